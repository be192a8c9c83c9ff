//! Files that are looked at without a process: `rdbg symbols`, `rdbg index`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{megabytes, write_whole, Cache};
use super::provenance::{sources_of, sources_of_process};
use super::{hex, key_of, FoundNames, NameFiles};
use crate::api::{ApiError, NamesQuestion, NamesRequest, Outcome, Reply, Toggle};
use crate::base::{Inferior, Progress};
use crate::binary::{Module, NamePattern, VtableNames};
use crate::engine::state::Engine;

/// A table of known methods, before those that rdbg brings along.
pub(in crate::engine) fn read_vtable_names(path: &Path) -> Result<Arc<VtableNames>, ApiError> {
    let bad = |reason: String| ApiError::user(format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let names = VtableNames::parse(&text).map_err(|error| bad(error.to_string()))?;
    Ok(Arc::new(VtableNames::built_in().with(names)))
}

/// A file with what separate ones say of it.
struct NamedFile {
    module: Module,
    path: PathBuf,
    found: FoundNames,
}

/// Answers a question about files.
///
/// # Errors
/// A file cannot be read or written; nothing matches; a file of `symbols_from` is of another build and `force` is off.
pub fn answer_names(request: &NamesRequest, progress: &Progress) -> Outcome {
    let outcome = answer(request, progress);
    if progress.is_cancelled() {
        return Err(ApiError::user("broken off"));
    }
    outcome
}

fn answer(request: &NamesRequest, progress: &Progress) -> Outcome {
    match &request.question {
        NamesQuestion::Functions { file, regex, limit } => {
            file_symbols(request, progress, (file, regex.as_deref(), *limit))
        }
        NamesQuestion::Sources { file } => {
            let named = open_named(request, progress, file)?;
            Ok(Reply::NameSources { rows: vec![sources_of(&named.module, &named.path, &named.found)] })
        }
        NamesQuestion::SourcesOf { pid } => {
            Ok(Reply::NameSources { rows: sources_of_process(*pid, &separate_files(request)?)? })
        }
        NamesQuestion::Index { file, output } => index(request, progress, (file, output.as_deref())),
        NamesQuestion::Cache(action) => Cache::of_user().ok_or_else(no_cache)?.answer(*action),
    }
}

fn no_cache() -> ApiError {
    ApiError::user("there is no place for the cache: neither XDG_CACHE_HOME nor HOME is set")
        .with_hint("`rdbg index FILE -o PACK` and `--symbols-from PACK` need none")
}

fn separate_files(request: &NamesRequest) -> Result<NameFiles, ApiError> {
    let mut separate = NameFiles::default();
    for path in &request.symbols_from {
        separate.set("symbols-from", &path.to_string_lossy())?;
    }
    separate.set("symbols-force", if request.force == Toggle::On { "on" } else { "off" })?;
    Ok(separate)
}

fn open_named(request: &NamesRequest, progress: &Progress, file: &Path) -> Result<NamedFile, ApiError> {
    let user = |text: String| ApiError::user(text);
    let bytes = crate::os::map_file(file).map_err(|error| user(error.to_string()))?;
    let module = Module::parse(file.to_path_buf(), bytes).map_err(|error| user(error.to_string()))?;
    let module = module.reporting_to(progress.clone());
    let path = std::path::absolute(file).unwrap_or_default();
    let mut found = separate_files(request)?.find(&module, &path, None);
    let module = match found.file.take() {
        Some(names) => module.with_names(names),
        None if !found.given => module,
        None => return Err(user(found.notes.join("\n"))),
    };
    if let Some(path) = &request.vtable_names {
        module.set_vtable_names(read_vtable_names(path)?);
    }
    Ok(NamedFile { module, path, found })
}

/// The functions of a file whose demangled names match, at most `limit` of them.
fn file_symbols(
    request: &NamesRequest,
    progress: &Progress,
    (file, regex, limit): (&Path, Option<&str>, Option<u32>),
) -> Outcome {
    let user = |text: String| ApiError::user(text);
    let pattern = NamePattern::parse_regex(regex.unwrap_or("")).map_err(|error| user(error.to_string()))?;
    let module = open_named(request, progress, file)?.module;
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
    let rows = matches.functions.iter().map(|one| crate::engine::inspect::symbol_row(one, &name)).collect();
    Ok(Reply::Symbols { rows, total: matches.total as u64 })
}

/// Writes a pack of a file's names, to `output` or into the cache.
fn index(request: &NamesRequest, progress: &Progress, (file, output): (&Path, Option<&Path>)) -> Outcome {
    let NamedFile { module, path, found } = open_named(request, progress, file)?;
    found.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let key = key_of(&path, None);
    if output.is_none() && !module.is_stripped() {
        return keep_index(&module, &path, &key, progress);
    }
    let pack = module.make_pack(&key);
    if progress.is_cancelled() {
        return Ok(Reply::Done);
    }
    let size = megabytes(pack.len() as u64);
    let to = match output {
        Some(to) => {
            let fail = |error: std::io::Error| ApiError::user(format!("{}: {error}", to.display()));
            write_whole(to, &pack).map_err(fail)?;
            to.to_owned()
        }
        None => {
            let fail = |error: std::io::Error| ApiError::user(format!("the cache cannot be written: {error}"));
            Cache::of_user().ok_or_else(no_cache)?.store(&module, &key, &pack).map_err(fail)?
        }
    };
    let id = module.build_id().map_or_else(|| "without a build-id".to_owned(), |id| format!("build-id {}", hex(id)));
    Ok(Reply::Text { text: format!("{}: {size}, the names of {} ({id})", to.display(), path.display()) })
}

/// Puts an index of a file's names into the cache.
fn keep_index(module: &Module, path: &Path, key: &str, progress: &Progress) -> Outcome {
    if !module.has_many_names() {
        return Err(ApiError::user(format!(
            "{} needs nothing in the cache: its names are few, and are read from where they are",
            path.display()
        ))
        .with_hint("`-o PACK` writes a pack for a stripped copy of it"));
    }
    let Some(index) = module.make_ready(key, &|| !progress.is_cancelled()) else { return Ok(Reply::Done) };
    let fail = |error: std::io::Error| ApiError::user(format!("the cache cannot be written: {error}"));
    let to = Cache::of_user().ok_or_else(no_cache)?.store_index(module, key, &index).map_err(fail)?;
    let (to, size) = (to.display(), megabytes(index.len() as u64));
    Ok(Reply::Text { text: format!("{to}: {size}, an index of the names of {}", path.display()) })
}

impl<I: Inferior> Engine<I> {
    /// `set`: for files that are open already too.
    pub(in crate::engine) fn change_setting(&mut self, name: &str, value: &str) -> Outcome {
        if name == "safety-net" {
            return self.set_safety_net(value);
        }
        self.settings.set(name, value)?;
        if super::SETTINGS.contains(&name) {
            self.rename_modules();
            self.ask_for_names();
        }
        if let Some((_, names)) = &self.settings.vtable_names {
            self.files.values().for_each(|module| module.set_vtable_names(names.clone()));
        }
        Ok(Reply::Done)
    }
}
