//! Where the names of a module come from, and what it lacks: `info symbols-source`, `rdbg symbols --sources`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{hex, FoundNames};
use crate::api::{ApiError, NameSourceRow, NameSourcesRow, Reply};
use crate::base::{Inferior, Pid};
use crate::binary::{Module, NameSource, SymbolKind};
use crate::engine::state::Engine;

impl<I: Inferior> Engine<I> {
    /// `info symbols-source`.
    pub(in crate::engine) fn list_name_sources(&self) -> Result<Reply, ApiError> {
        let pid = self.selected_pid()?;
        let root = crate::os::root_of(pid);
        let modules = self.space_of_pid(pid)?.modules.modules();
        let row = |path: &Path, module: &Module| {
            sources_of(module, path, &self.settings.names.find(module, path, Some(&root)))
        };
        Ok(Reply::NameSources { rows: modules.iter().map(|one| row(&one.path, &one.module)).collect() })
    }
}

/// The same of every module of a process that is not attached to. Reads its memory map and the files.
///
/// # Errors
/// There is no such process, or its memory map may not be read.
pub(super) fn sources_of_process(pid: Pid, names: &super::NameFiles) -> Result<Vec<NameSourcesRow>, ApiError> {
    let maps = crate::os::read_maps(pid);
    let maps = maps.map_err(|error| ApiError::target(format!("the memory map of process {pid}: {error}")))?;
    let root = crate::os::root_of(pid);
    let mut rows = Vec::new();
    for (mapping, _) in super::modules::executable_files(&maps) {
        let crate::base::MappingSource::File { path, .. } = &mapping.source else { continue };
        let opened = crate::os::openable_path(pid, mapping).and_then(|openable| crate::os::map_file(&openable).ok());
        let Some(bytes) = opened else {
            let missing = vec!["the file cannot be opened: its functions have no names".to_owned()];
            rows.push(NameSourcesRow {
                path: path.clone(),
                build_id: None,
                sources: Vec::new(),
                functions: 0,
                unnamed: 0,
                missing,
            });
            continue;
        };
        let Ok(module) = Module::parse(path.clone(), bytes) else { continue };
        let mut found = names.find(&module, path, Some(&root));
        let module = match found.file.take() {
            Some(file) => module.with_names(file),
            None => module,
        };
        rows.push(sources_of(&module, path, &found));
    }
    Ok(rows)
}

/// What one module has.
pub(super) fn sources_of(module: &Module, path: &Path, found: &FoundNames) -> NameSourcesRow {
    let mut counts: HashMap<NameSource, u64> = HashMap::new();
    for symbol in module.symbols().iter() {
        *counts.entry(symbol.source).or_default() += 1;
    }
    let functions = module.unwind().function_starts();
    let mut unnamed = 0;
    for function in &functions {
        let by_table = module.symbols().find_at(function.start).is_some_and(|(one, _)| one.kind != SymbolKind::Unwind);
        let recovered = if by_table || !module.is_stripped() { None } else { module.recovered_source(function.start) };
        match recovered {
            Some(source) => *counts.entry(source).or_default() += 1,
            None => unnamed += u64::from(!by_table),
        }
    }
    let mut sources: Vec<(NameSource, u64)> = counts.into_iter().collect();
    sources.sort_unstable();
    let from = |source: NameSource| -> Option<PathBuf> {
        let file = module.names_file()?;
        let separate =
            matches!(source, NameSource::DebugFile) || module.stored().is_some() && source >= NameSource::Rtti;
        separate.then(|| file.path().to_owned())
    };
    let row = |(source, count): (NameSource, u64)| NameSourceRow {
        source: source.word().to_owned(),
        count,
        from: from(source),
    };
    NameSourcesRow {
        path: path.to_owned(),
        build_id: module.build_id().map(hex),
        sources: sources.into_iter().map(row).collect(),
        functions: functions.len() as u64,
        unnamed,
        missing: missing_of(module, path, found),
    }
}

/// What is not there, and where it was looked for.
fn missing_of(module: &Module, path: &Path, found: &FoundNames) -> Vec<String> {
    let mut missing = Vec::new();
    let has = |name: &str| module.section_bytes(name).is_some_and(|bytes| !bytes.is_empty());
    if module.is_stripped() && path == Path::new(super::modules::VDSO) {
        missing.push("symbol table: it is the kernel's own code and no file; what it exports has names".to_owned());
    } else if module.is_stripped() {
        missing.push("symbol table: stripped, and no separate file of its build was found:".to_owned());
        missing.extend(found.tried.iter().map(|(path, why)| format!("  {}: {why}", path.display())));
        if module.build_id().is_none() {
            missing.push("  build-id directories: not looked in, it has no build-id".to_owned());
        }
        for (section, what) in [(".gnu_debuglink", "it names no debug file"), (".gnu_debugdata", "it packs no symbols")]
        {
            if !has(section) {
                missing.push(format!("  {section}: not there, {what}"));
            }
        }
        if !found.given {
            missing.push("  --symbols-from: no file was given".to_owned());
        }
        if module.stored().is_none() {
            missing.push("  cache: no pack (`rdbg index FILE` makes one)".to_owned());
        }
    }
    if module.dwarf().is_empty() {
        missing.push("debug information: none, so there are no source lines and no variables".to_owned());
    }
    missing
}
