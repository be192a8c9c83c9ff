//! Files that are looked at without a process: `rdbg symbols`.

use std::path::{Path, PathBuf};

use super::names::NameFiles;
use crate::api::{ApiError, Outcome, Reply, Toggle};
use crate::binary::{Module, NamePattern};

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
    let index = module.symbols();
    let matches = index.functions_named(&pattern, limit.map_or(usize::MAX, |limit| limit as usize));
    if let (0, Some(regex)) = (matches.total, regex) {
        let near = index.nearest_names(regex, 3);
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
