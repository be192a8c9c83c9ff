//! From the path and pattern of a function probe to places in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::TracedPlace;
use crate::base::FileAddr;
use crate::binary::dwarf::SourceName;
use crate::binary::symbols::{demangle, demangle_without_parameters};
use crate::binary::{Module, NamePattern, SymbolKind};
use crate::lang::script::point::{glob, Place};

/// Where libraries are looked for by name, as ld.so does.
const LIBRARY_FOLDERS: [&str; 7] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/usr/lib",
    "/lib",
    "/usr/local/lib",
];
/// The most files that a pattern of paths may name.
const FILES: usize = 64;

/// The files that a probe's path names: a path, a pattern of paths, a program in PATH, or a library.
pub(super) fn find(path: &str) -> Vec<PathBuf> {
    if path.contains(['*', '?']) {
        return expand(path);
    }
    if path.contains('/') {
        return Some(PathBuf::from(path)).filter(|one| one.is_file()).into_iter().collect();
    }
    let programs = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&programs).map(|folder| folder.join(path)).find(|one| one.is_file());
    in_path.or_else(|| find_library(path)).into_iter().collect()
}

/// `libc`, `c` and `libc.so.6` are all the same library.
fn find_library(name: &str) -> Option<PathBuf> {
    let stem = if name.starts_with("lib") { name.to_owned() } else { format!("lib{name}") };
    let wanted = |file: &str| file == name || file == stem || file.starts_with(&format!("{stem}.so"));
    LIBRARY_FOLDERS.iter().find_map(|folder| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
            .ok()?
            .flatten()
            .filter(|entry| wanted(&entry.file_name().to_string_lossy()))
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .collect();
        found.sort();
        found.pop()
    })
}

fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "." })];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            if !part.contains(['*', '?']) {
                next.push(folder.join(part));
                continue;
            }
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            next.extend(
                entries
                    .filter(|one| glob(part, &one.file_name().to_string_lossy()))
                    .map(|one| folder.join(one.file_name())),
            );
        }
        next.retain(|path| path.exists());
        next.truncate(FILES);
        found = next;
    }
    found.sort();
    found.retain(|path| path.is_file());
    found
}

/// The places of a file that a probe means, one an address, in ascending order.
pub(super) fn places(module: &Module, place: &Place) -> Result<Vec<TracedPlace>, String> {
    let mut found: Vec<(FileAddr, String)> = match place {
        Place::Address(address) => {
            let at = FileAddr(*address);
            if !module.is_executable_addr(at) {
                return Err(format!("{address:#x} is not in the code of {}", module.path().display()));
            }
            let name = module.symbols().find_at(at).map(|(symbol, offset)| match offset {
                0 => symbol.name.into_owned(),
                offset => format!("{}+{offset}", symbol.name),
            });
            vec![(at, name.unwrap_or_else(|| format!("{address:#x}")))]
        }
        Place::Line { file, line } => lines(module, file, *line)?,
        Place::Linked(name, offset) if !name.contains(['*', '?']) => {
            let symbols = module.symbols();
            let exact = symbols.find_exact(name).filter(|one| one.kind != SymbolKind::Data);
            if let Some(found) = exact.as_ref().filter(|one| *offset > 0 && one.size > 0 && *offset >= one.size) {
                return Err(format!("Offset outside the function bounds ('{name}' size is {})", found.size));
            }
            exact.map(|one| (one.address.offset(*offset), one.name.into_owned())).into_iter().collect()
        }
        Place::Linked(pattern, _) => functions(module, pattern, |name| glob(pattern, name)),
        Place::Demangled(pattern) => {
            let is_pattern = pattern.contains(['*', '?']);
            let found = functions(module, pattern, |name| {
                let full = demangle(name);
                match is_pattern {
                    true => glob(pattern, &full),
                    false => *full == **pattern || demangle_without_parameters(name) == *pattern,
                }
            });
            if found.is_empty() && module.is_stripped() {
                recovered(module, pattern)?
            } else {
                found
            }
        }
    };
    found.sort();
    found.dedup_by_key(|(at, _)| *at);
    Ok(found
        .into_iter()
        .map(|(at, name)| TracedPlace { at, name: name.into(), entry: Vec::new(), returns: Vec::new(), usdt: None })
        .collect())
}

/// Where the code of a line begins, in each copy of it.
fn lines(module: &Module, file: &str, line: u32) -> Result<Vec<(FileAddr, String)>, String> {
    let found = module.dwarf().addresses_of_line(&SourceName::new(file), line);
    if found.addresses.is_empty() {
        return Err(match found.files.first() {
            Some(known) => format!("No code at line {line} of {known} or after it"),
            None => format!("No source file '{file}' in the debug information of {}", module.path().display()),
        });
    }
    if found.line != line {
        return Err(format!("No code at line {line} of '{file}'; the next line that has some is {}", found.line));
    }
    Ok(found.addresses.into_iter().map(|at| (at, format!("{file}:{line}"))).collect())
}

fn functions(module: &Module, pattern: &str, wanted: impl Fn(&str) -> bool + Sync) -> Vec<(FileAddr, String)> {
    let found = module.symbols().functions_where(pattern, wanted);
    found.into_iter().map(|one| (one.address, one.name.into_owned())).collect()
}

/// The functions of a stripped file whose recovered names match.
fn recovered(module: &Module, pattern: &str) -> Result<Vec<(FileAddr, String)>, String> {
    let pattern = match pattern.contains(['*', '?']) {
        true => {
            let regex = regex::escape(pattern).replace("\\*", ".*").replace("\\?", ".");
            NamePattern::parse_regex(&format!("^{regex}$")).map_err(|error| error.to_string())?
        }
        false => NamePattern::Plain(pattern.to_owned()),
    };
    let found = module.functions_named(&pattern, usize::MAX).functions.into_iter();
    Ok(found.filter_map(|one| Some((one.address, one.names.into_iter().next()?))).collect())
}

/// A file, parsed.
pub(super) fn open(path: &Path) -> Result<Arc<Module>, String> {
    let bytes = crate::os::map_file(path).map_err(|error| error.to_string())?;
    Module::parse(path.to_path_buf(), bytes).map(Arc::new).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_by_each_of_its_names() {
        let found: Vec<PathBuf> = ["libc.so.6", "libc", "c"].into_iter().flat_map(|name| find(name).pop()).collect();
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|path| path.to_string_lossy().contains("libc.so")), "{found:?}");
        assert!(find("sh")[0].ends_with("sh") && find("/no/such/file").is_empty());
        assert!(find("/lib/*/libc.so.?").len() == 1);
    }

    #[test]
    fn functions_are_matched_by_the_linkers_names_and_by_demangled_ones() {
        let libc = open(&find("libc.so.6")[0]).unwrap();
        let exact = places(&libc, &Place::Linked("epoll_wait".into(), 0)).unwrap();
        assert_eq!((exact.len(), &*exact[0].name), (1, "epoll_wait"));
        let filtered = places(&libc, &Place::Linked("epoll_*".into(), 0)).unwrap();
        let of_kind = |one: &crate::binary::Symbol<'_>| one.kind == SymbolKind::Function;
        let mut full: Vec<FileAddr> = libc
            .symbols()
            .iter()
            .filter(|one| of_kind(one) && one.name.starts_with("epoll_"))
            .map(|one| one.address)
            .collect();
        full.dedup();
        assert!(filtered.len() >= 4 && filtered.iter().map(|one| one.at).eq(full));
        assert!(places(&libc, &Place::Linked("no_such".into(), 0)).unwrap().is_empty());
        assert!(places(&libc, &Place::Linked("epoll_wait".into(), 1 << 20)).is_err());
        assert!(places(&libc, &Place::Address(1 << 50)).is_err());
    }
}
