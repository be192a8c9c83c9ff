//! Where the names of a module come from when its own file has none: files that the user gives, build-id directories,
//! .gnu_debuglink.

mod cache;
mod catalogues;
pub(super) mod debuginfod;
pub(super) mod files;
pub(super) mod indexing;
pub(super) mod jit;
mod modules;
mod provenance;
mod split_files;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::Engine;
use crate::api::{ApiError, Event, Toggle};
use crate::base::Inferior;
use crate::binary::{Module, NamesFile};
use crate::target::address_space::LoadedModule;
use crate::target::task::SpaceId;
use cache::Cache;
use debuginfod::Servers;
use split_files::SplitPlaces;

/// Where distributions put separate debug files.
const DEBUG_DIRECTORY: &str = "usr/lib/debug";

/// What the user has said of separate files.
#[derive(Default)]
pub struct NameFiles {
    /// `--symbols-from`, parsed.
    given: Vec<NamesFile>,
    /// `--force`: a given file is used for the program though its build-id differs.
    force: bool,
    /// `set sysroot`: searched before the target's root and our own.
    sysroot: Option<PathBuf>,
    /// `set debuginfod`.
    pub(super) servers: Servers,
    /// Files with split units.
    pub(super) split: SplitPlaces,
}

/// What was found for a module.
#[derive(Default)]
pub struct FoundNames {
    /// The file.
    pub file: Option<NamesFile>,
    /// What the user should know: a file that was refused, and why.
    pub notes: Vec<String>,
    /// Where a file could be, and why none was taken from there.
    pub tried: Vec<(PathBuf, String)>,
    /// Whether the user has given any file.
    pub given: bool,
}

/// The settings of this page.
pub const SETTINGS: [&str; 5] = ["symbols-from", "symbols-force", "sysroot", "debuginfod", "debuginfod-urls"];

impl NameFiles {
    /// `set symbols-from FILE|DIR`, `set symbols-force on|off`, `set sysroot DIR`.
    ///
    /// # Errors
    /// The file cannot be read, or is no ELF file; the directory does not exist.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        match name {
            "symbols-from" if self.split.take(Path::new(value)) => {}
            "symbols-from" => {
                let path = PathBuf::from(value);
                let file = open_names(&path).map_err(ApiError::user)?;
                self.given.retain(|one| one.path() != path);
                self.given.push(file);
            }
            "debuginfod" | "debuginfod-urls" => self.servers.set(name, value)?,
            "symbols-force" => self.force = super::settings::parse_toggle(value)? == Toggle::On,
            _ if value.is_empty() => self.sysroot = None,
            _ if Path::new(value).is_dir() => self.sysroot = Some(PathBuf::from(value)),
            _ => return Err(ApiError::user(format!("sysroot: {value} is no directory"))),
        }
        Ok(())
    }

    pub(super) fn sysroot(&self) -> Option<&Path> {
        self.sysroot.as_deref()
    }

    /// The settings and their values.
    pub fn show(&self) -> [(String, String); 5] {
        let given = self.given.iter().map(|one| one.path().to_owned()).chain(self.split.taken());
        let given: Vec<String> = given.map(|path| path.display().to_string()).collect();
        let sysroot = self.sysroot.as_ref().map_or(String::new(), |path| path.display().to_string());
        let force = if self.force { "on" } else { "off" };
        let [enabled, urls] = self.servers.show();
        let values = [given.join(" "), force.to_owned(), sysroot, enabled, urls];
        let mut values = values.into_iter();
        SETTINGS.map(|name| (name.to_owned(), values.next().unwrap_or_default()))
    }

    /// Looks for a separate file for a module that a process with this root directory has at `path`. A file belongs to
    /// it when its build-id is the same, or, where one of them has none, when .gnu_debuglink's CRC is right.
    pub fn find(&self, module: &Module, path: &Path, root: Option<&Path>) -> FoundNames {
        let mut found = FoundNames { given: !self.given.is_empty(), ..FoundNames::default() };
        self.find_given(module, &mut found);
        if found.file.is_some() || module.is_complete() {
            return found;
        }
        let roots = self.sysroot.as_deref().into_iter().chain(root).chain([Path::new("/")]);
        let beside = roots.flat_map(|root| candidates(module, path, root));
        for candidate in beside.chain(self.servers.cached(module)) {
            if found.tried.iter().any(|(tried, _)| *tried == candidate) {
                continue;
            }
            match fs::metadata(&candidate) {
                Ok(metadata) if metadata.is_file() => {
                    match open_names(&candidate).and_then(|file| prove(module, file)) {
                        Ok(file) => {
                            found.file = Some(file);
                            return found;
                        }
                        Err(reason) => {
                            found.tried.push((candidate, "refused".to_owned()));
                            found.notes.push(reason);
                        }
                    }
                }
                Ok(_) => found.tried.push((candidate, "no regular file".to_owned())),
                Err(error) => found.tried.push((candidate, describe(&error))),
            }
        }
        if module.is_stripped() {
            found.file = Cache::of_user().and_then(|cache| cache.load(module, &key_of(path, root)));
        }
        found
    }

    fn find_given(&self, module: &Module, found: &mut FoundNames) {
        let same = |file: &&NamesFile| module.build_id().is_some() && file.build_id() == module.build_id();
        if let Some(file) = self.given.iter().find(same) {
            found.file = Some(file.clone());
            return;
        }
        // A given file that no module matches is meant for the program itself.
        let is_program = module.dynamic().soname.is_none() && module.entry().0 != 0;
        for file in self.given.iter().filter(|_| is_program) {
            if self.force {
                found.file = Some(file.clone());
            } else {
                found.notes.push(mismatch(module, file));
            }
        }
    }
}

impl<I: Inferior> Engine<I> {
    /// What is said of separate files holds for the modules that are loaded, too.
    pub(super) fn rename_modules(&mut self) {
        let loaded = self.spaces.iter().flat_map(|(space, one)| one.modules.modules().iter().map(|one| (*space, one)));
        for (space, loaded) in loaded.map(|(space, one)| (space, one.clone())).collect::<Vec<_>>() {
            self.rename_module(space, loaded);
        }
    }

    fn rename_module(&mut self, space: SpaceId, loaded: LoadedModule) {
        let Some(pid) = self.pid_of_space(space) else { return };
        let found = self.settings.names.find(&loaded.module, &loaded.path, Some(&crate::os::root_of(pid)));
        for text in found.notes {
            self.emit(Event::Notice { text });
        }
        let known = loaded.module.names_file().map(NamesFile::path);
        let module = match found.file {
            Some(file) if known != Some(file.path()) => loaded.module.with_names(file),
            _ if loaded.module.has_looked_for_split() => loaded.module.reopened(),
            _ => return,
        };
        let module = self.settings.names.with_split(module, &loaded.path, &crate::os::root_of(pid));
        let (start, module) = (loaded.range.start, Arc::new(module));
        self.take_index(&module, &loaded.path, &crate::os::root_of(pid));
        for known in self.files.values_mut().filter(|known| Arc::ptr_eq(known, &loaded.module)) {
            *known = module.clone();
        }
        if let Some(one) = self.spaces.get_mut(&space) {
            one.modules.insert(LoadedModule { module, ..loaded });
        }
        for breakpoint in self.breakpoints.values_mut() {
            breakpoint.searched.retain(|one| *one != (space, start));
        }
        self.resolve_in_module(pid, space, start);
    }
}

/// What names a file in the cache where it has no build-id.
pub(super) fn key_of(path: &Path, root: Option<&Path>) -> String {
    let relative = path.strip_prefix("/").unwrap_or(path);
    cache::file_key(&root.unwrap_or(Path::new("/")).join(relative))
}

fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    }
}

/// Where a module's separate file may be, under a root directory.
fn candidates(module: &Module, path: &Path, root: &Path) -> Vec<PathBuf> {
    let debug = root.join(DEBUG_DIRECTORY);
    let mut found = Vec::new();
    if let Some((first, rest)) = module.build_id().and_then(<[u8]>::split_first).filter(|(_, rest)| !rest.is_empty()) {
        found.push(debug.join(format!(".build-id/{first:02x}/{}.debug", hex(rest))));
    }
    let directory = path.parent().and_then(|parent| parent.strip_prefix("/").ok());
    if let (Some(link), Some(directory)) = (module.debug_link(), directory) {
        found.push(root.join(directory).join(&link.name));
        found.push(root.join(directory).join(".debug").join(&link.name));
        found.push(debug.join(directory).join(&link.name));
    }
    found.retain(|candidate| candidate != path);
    found
}

fn open_names(path: &Path) -> Result<NamesFile, String> {
    let bytes = crate::os::map_file(path).map_err(|error| error.to_string())?;
    NamesFile::parse(path.to_path_buf(), bytes).map_err(|error| error.to_string())
}

/// The file, if it is of the module's build.
fn prove(module: &Module, file: NamesFile) -> Result<NamesFile, String> {
    match (module.build_id(), file.build_id(), module.debug_link()) {
        (Some(own), Some(other), _) if own == other => Ok(file),
        (Some(_), Some(_), _) => Err(mismatch(module, &file)),
        (_, _, Some(link)) if file.crc() == link.crc => Ok(file),
        (_, _, Some(link)) => Err(format!(
            "{}: its CRC is {:08x}, but .gnu_debuglink of {} wants {:08x}; its names are not used",
            file.path().display(),
            file.crc(),
            module.path().display(),
            link.crc,
        )),
        (_, _, None) => Err(mismatch(module, &file)),
    }
}

fn mismatch(module: &Module, file: &NamesFile) -> String {
    let id = |id: Option<&[u8]>| id.map_or("none".to_owned(), hex);
    format!(
        "{} is of another build than {}: build-id {}, not {}; its names are not used (--force, or `set symbols-force on`, \
         uses them)",
        file.path().display(),
        module.path().display(),
        id(file.build_id()),
        id(module.build_id()),
    )
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the names of a module come from, and what it lacks.
pub fn describe_names(module: &Module) -> String {
    use crate::binary::NameSource::{DebugFile, Dynsym, Jit, Symtab};
    let symbols = module.symbols();
    let [symtab, debug, dynsym] = [Symtab, DebugFile, Dynsym].map(|source| symbols.table_len(source));
    let from = || match module.names_file() {
        Some(file) => file.path().display().to_string(),
        None => ".gnu_debugdata".to_owned(),
    };
    let stored = module.stored().map(|stored| format!("{} recovered names from {}", stored.len(), from()));
    let made = symbols.table_len(Jit);
    if made > 0 {
        return format!("the map of its JIT ({} functions)", made - 1);
    }
    let names = match (symtab, debug, dynsym) {
        (0, 0, dynsym) if stored.is_some() => format!(".dynsym ({dynsym}); {}", stored.unwrap_or_default()),
        (0, 0, 0) => "none: stripped; functions by .eh_frame".to_owned(),
        (0, 0, dynsym) => format!(".dynsym ({dynsym}); stripped of .symtab, and no separate file of its build is here"),
        (0, debug, _) => format!("{} ({debug})", from()),
        (symtab, ..) => format!(".symtab ({symtab})"),
    };
    format!("{names}{}", if module.has_ready() { ", indexed" } else { "" })
}
