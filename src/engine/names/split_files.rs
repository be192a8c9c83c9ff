//! Where the files are that hold the entries of split units: beside the object, in a package, in what the user names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{hex, NameFiles};
use crate::api::Event;
use crate::base::Inferior;
use crate::binary::dwarf::{SplitFiles, SplitName};
use crate::binary::{FileBytes, Module};
use crate::engine::inspect::source::mapped;
use crate::engine::state::Engine;

/// After so many notes there are no more.
const TOLD_LIMIT: usize = 64;

/// What the user has said of such files, and what is to be told of them; one for all modules of a session.
#[derive(Clone, Default)]
pub struct SplitPlaces(Arc<Mutex<Places>>);

#[derive(Default)]
struct Places {
    /// `--symbols-from DIR`, the newest last.
    directories: Vec<PathBuf>,
    /// `--symbols-from FILE.dwp`.
    packages: Vec<PathBuf>,
    /// `set substitute-path`.
    maps: Vec<(String, String)>,
    /// What is to be told, and what has been.
    notes: Vec<String>,
    told: HashSet<String>,
}

/// The split files of one module.
struct SplitOf {
    places: SplitPlaces,
    /// The module's path, and its separate file's.
    files: Vec<PathBuf>,
    /// Where paths begin: `set sysroot`, the target's root, ours.
    roots: Vec<PathBuf>,
    /// One missing file is told of; when all are missing that is enough.
    is_told: AtomicBool,
}

impl SplitPlaces {
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes a directory of .dwo files, or a .dwp. `false`: it is neither.
    pub(super) fn take(&self, path: &Path) -> bool {
        let mut places = self.lock();
        let Places { directories, packages, .. } = &mut *places;
        let list = match path.is_dir() {
            true => directories,
            false if path.extension().is_some_and(|one| one == "dwp") && path.is_file() => packages,
            false => return false,
        };
        list.retain(|one| one != path);
        list.push(path.to_owned());
        true
    }

    /// What was taken, for `show`.
    pub(super) fn taken(&self) -> Vec<PathBuf> {
        let places = self.lock();
        places.directories.iter().chain(&places.packages).cloned().collect()
    }

    /// Each text is told once.
    fn note(&self, text: String) {
        let mut places = self.lock();
        if places.told.len() < TOLD_LIMIT && places.told.insert(text.clone()) {
            places.notes.push(text);
        }
    }
}

impl SplitOf {
    /// A path of the debug information, under each root.
    fn under_roots(&self, path: &Path) -> Vec<PathBuf> {
        match path.strip_prefix("/") {
            Ok(relative) => self.roots.iter().map(|root| root.join(relative)).collect(),
            Err(_) => vec![path.to_owned()],
        }
    }

    /// Where a unit's file should be, and where it can be, in order.
    fn candidates(&self, wanted: &SplitName) -> (String, Vec<PathBuf>) {
        let whole = match wanted.name.starts_with('/') || wanted.directory.is_empty() {
            true => wanted.name.clone(),
            false => format!("{}/{}", wanted.directory.trim_end_matches('/'), wanted.name),
        };
        let name = Path::new(&wanted.name);
        let base = name.file_name().map(Path::new);
        let within = |directory: &Path| {
            let given = directory.join(wanted.name.trim_start_matches('/'));
            [Some(given), base.map(|base| directory.join(base))].into_iter().flatten()
        };
        let places = self.places.lock();
        let own = mapped(&places.maps, &whole);
        let mut found = if own == whole { Vec::new() } else { vec![PathBuf::from(&own)] };
        found.extend(self.under_roots(Path::new(&whole)));
        found.extend(places.directories.iter().rev().flat_map(|directory| within(directory)));
        let beside = self.files.iter().filter_map(|file| file.parent());
        found.extend(beside.flat_map(within).flat_map(|path| self.under_roots(&path)));
        (own, found)
    }
}

impl SplitFiles for SplitOf {
    fn packages(&self) -> Vec<(PathBuf, FileBytes)> {
        let beside = self.files.iter().map(|file| {
            let mut name = file.clone().into_os_string();
            name.push(".dwp");
            PathBuf::from(name)
        });
        let beside = beside.flat_map(|path| self.under_roots(&path));
        let given = self.places.lock().packages.clone();
        let all = given.into_iter().rev().chain(beside).filter(|path| path.is_file());
        all.filter_map(|path| Some((path.clone(), open(&path).map_err(|reason| self.refuse(reason)).ok()?))).collect()
    }

    fn find(&self, wanted: &SplitName) -> Option<(PathBuf, FileBytes)> {
        let (own, candidates) = self.candidates(wanted);
        if let Some(path) = candidates.iter().find(|path| path.is_file()) {
            return open(path).map_err(|reason| self.refuse(reason)).ok().map(|bytes| (path.clone(), bytes));
        }
        if !self.is_told.swap(true, Ordering::Relaxed) {
            let name = self.files.first().and_then(|file| file.file_name()).unwrap_or_default();
            self.places.note(format!(
                "{}: most of its debug information is in other files, and {own} is not there: of such units only lines are \
                 known (`set symbols-from DIR` or FILE.dwp, or `set substitute-path FROM TO`, says where they are)",
                name.to_string_lossy(),
            ));
        }
        None
    }

    fn common(&self, name: &str, build_id: &[u8]) -> Option<(PathBuf, FileBytes)> {
        let path = Path::new(name);
        let directories = self.files.iter().filter_map(|file| file.parent());
        let mut candidates: Vec<PathBuf> = match path.is_absolute() {
            true => self.under_roots(path),
            false => directories.flat_map(|directory| self.under_roots(&directory.join(path))).collect(),
        };
        let given = self.places.lock().directories.clone();
        candidates.extend(given.iter().rev().filter_map(|directory| Some(directory.join(path.file_name()?))));
        if let Some((first, rest)) = build_id.split_first() {
            let by_id = format!("/usr/lib/debug/.build-id/{first:02x}/{}.debug", hex(rest));
            candidates.extend(self.under_roots(Path::new(&by_id)));
        }
        if let Some(path) = candidates.iter().find(|path| path.is_file()) {
            return open(path).map_err(|reason| self.refuse(reason)).ok().map(|bytes| (path.clone(), bytes));
        }
        let module = self.files.first().and_then(|file| file.file_name()).unwrap_or_default();
        self.places.note(format!(
            "{}: a part of its debug information is in {name}, which is not there: some types and names are not known \
             (`set symbols-from DIR` says where it is)",
            module.to_string_lossy(),
        ));
        None
    }

    fn refuse(&self, reason: String) {
        self.places.note(reason);
    }
}

fn open(path: &Path) -> Result<FileBytes, String> {
    crate::os::map_file(path).map_err(|error| error.to_string())
}

impl NameFiles {
    /// A module that a process with this root directory has at `path`, with its split files.
    pub(super) fn with_split(&self, module: Module, path: &Path, root: &Path) -> Module {
        let names = module.names_file().map(|file| file.path().to_owned());
        let mut roots: Vec<PathBuf> = self.sysroot().map(Path::to_owned).into_iter().collect();
        roots.extend([root.to_owned(), PathBuf::from("/")]);
        let files = [Some(path.to_owned()), names].into_iter().flatten().collect();
        let split = SplitOf { places: self.split.clone(), files, roots, is_told: AtomicBool::new(false) };
        super::catalogues::with_store(module.with_split(Arc::new(split)), path, root)
    }
}

impl<I: Inferior> Engine<I> {
    /// `set substitute-path` holds for them, too.
    pub(in crate::engine) fn map_split_files(&mut self) {
        self.settings.names.split.lock().maps = self.sources.maps.clone();
        let has_looked = |module: &Arc<Module>| module.has_looked_for_split();
        if self.files.values().any(has_looked) {
            self.rename_modules();
        }
    }

    /// Tells what has come up while split files were looked for.
    pub(in crate::engine) fn tell_of_split_files(&mut self) {
        let notes = std::mem::take(&mut self.settings.names.split.lock().notes);
        for text in notes {
            self.emit(Event::Notice { text });
        }
    }
}
