//! Files that are looked at without a process: `rdbg symbols`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::NameFiles;
use super::state::Engine;
use crate::api::{ApiError, Outcome, Reply, Toggle};
use crate::base::Inferior;
use crate::binary::{Module, NamePattern, VtableNames};

/// A table of known methods, before those that rdbg brings along.
pub(super) fn read_vtable_names(path: &Path) -> Result<Arc<VtableNames>, ApiError> {
    let bad = |reason: String| ApiError::user(format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let names = VtableNames::parse(&text).map_err(|error| bad(error.to_string()))?;
    Ok(Arc::new(VtableNames::built_in().with(names)))
}

/// The functions of a file whose demangled names match, at most `limit` of them.
///
/// # Errors
/// A file cannot be read; nothing matches; a file of `names_from` is of another build and `force` is off.
pub fn file_symbols(
    file: &Path,
    regex: Option<&str>,
    limit: Option<u32>,
    names_from: &[PathBuf],
    force: Toggle,
    vtable_names: Option<&Path>,
) -> Outcome {
    let user = |text: String| ApiError::user(text);
    let pattern = NamePattern::parse_regex(regex.unwrap_or("")).map_err(|error| user(error.to_string()))?;
    let bytes = crate::os::map_file(file).map_err(|error| user(error.to_string()))?;
    let module = Module::parse(file.to_path_buf(), bytes).map_err(|error| user(error.to_string()))?;
    let mut separate = NameFiles::default();
    for path in names_from {
        separate.set("symbols-from", &path.to_string_lossy())?;
    }
    separate.set("symbols-force", if force == Toggle::On { "on" } else { "off" })?;
    let found = separate.find(&module, &std::path::absolute(file).unwrap_or_default(), None);
    let module = match found.file {
        Some(names) => module.with_names(names),
        None if names_from.is_empty() => module,
        None => return Err(user(found.notes.join("\n"))),
    };
    if let Some(path) = vtable_names {
        module.set_vtable_names(read_vtable_names(path)?);
    }
    let matches = module.functions_named(&pattern, limit.map_or(usize::MAX, |limit| limit as usize));
    if let (0, Some(regex)) = (matches.total, regex) {
        let near = module.symbols().nearest_names(regex, 3);
        let error = user(format!("no function of {} matches `{regex}`", file.display()));
        return Err(if near.is_empty() {
            error
        } else {
            error.with_hint(format!("nearest names: {}", near.join(", ")))
        });
    }
    let name = module.name();
    let rows = matches.functions.iter().map(|one| super::inspect::symbol_row(one, &name)).collect();
    Ok(Reply::Symbols { rows, total: matches.total as u64 })
}

impl<I: Inferior> Engine<I> {
    /// `set`: for files that are open already too.
    pub(super) fn change_setting(&mut self, name: &str, value: &str) -> Outcome {
        self.settings.set(name, value)?;
        if super::names::SETTINGS.contains(&name) {
            self.rename_modules();
        }
        if let Some((_, names)) = &self.settings.vtable_names {
            self.files.values().for_each(|module| module.set_vtable_names(names.clone()));
        }
        Ok(Reply::Done)
    }
}
