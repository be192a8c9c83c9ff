//! Names for the functions of a stripped file, from what the language leaves in it: type information, virtual tables,
//! the code of the functions, the strings that they log.
//!
//! Nothing is demangled and no code is read before a name is asked for. Every name says how sure it is ([`Sureness`]).

mod bodies;
mod classes;
mod hints;
mod names;
mod owners;
mod pointers;
mod search;
mod slots;
mod startup;
mod stored;
mod types;
mod vtables;

use std::sync::{Arc, OnceLock};

use super::image::Image;
use super::symbols::file_name;
use super::{Dynamic, FunctionRange, NameSource, SymbolIndex, SymbolKind, UnwindTables};
use crate::base::{FileAddr, Progress};
use classes::ClassNames;
use owners::Virtual;
use pointers::Pointers;
use startup::Startup;
use types::Types;
use vtables::Vtables;

pub(in crate::binary) use search::{may_hold, may_match, numbered, one};
pub use slots::{BadTable, KnownClass, KnownMethod, VtableNames};
pub use stored::StoredNames;
pub(in crate::binary) use stored::Tables;

/// How many steps recovering has, for who waits.
const STEPS: u64 = 5;

/// What is known of the functions that no symbol table names. Built from a file's bytes in bounded time and memory: the
/// tables that are kept grow with its relocations.
pub struct Recovered {
    image: Arc<Image>,
    unwind: Arc<UnwindTables>,
    pointers: Pointers,
    types: Types,
    vtables: Vtables,
    /// In address order.
    virtuals: Vec<Virtual>,
    /// In address order.
    startup: Vec<(FileAddr, Startup)>,
    classes: ClassNames,
    /// The stubs of the procedure linkage table in address order, and whom each calls.
    stubs: Vec<(FileAddr, String)>,
    /// The names of the symbols of .dynsym that data points to, by number.
    imports: Vec<(u32, String)>,
    known: Arc<VtableNames>,
    deletes: OnceLock<Vec<FileAddr>>,
    hints: OnceLock<Vec<(FunctionRange, String)>>,
    progress: Progress,
}

/// How sure a recovered name is. What is not certain shows it: a `?` behind the name, an `or`, or braces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Sureness {
    /// It follows from the file's tables and code. Held against a symbol table, 98 in 100 are true.
    Certain,
    /// The class is this one, or a base of it that has no table of its own in the file.
    Likely,
    /// The linker folded equal functions of several classes into one.
    Ambiguous,
    /// The function has no name; something in its code tells of it.
    Hint,
}

/// A name that was made for a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecoveredName {
    /// As it is shown, and can be searched for.
    pub text: String,
    /// The function.
    pub function: FunctionRange,
    /// How sure it is.
    pub sureness: Sureness,
    /// What it rests on.
    pub source: NameSource,
}

/// A function of another file that a virtual function does little else than call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forward {
    /// Its name, without version.
    pub function: String,
    /// For each of its integer arguments, which of the caller's it is (0 for `this`), where that is known.
    pub arguments: [Option<u8>; 6],
}

impl Recovered {
    /// Reads the type information and virtual tables; `None` where it was broken off. `symbols` names the stubs through which other files are called.
    pub(super) fn build(
        image: Arc<Image>,
        dynamic: &Dynamic,
        unwind: Arc<UnwindTables>,
        symbols: &SymbolIndex,
        known: Arc<VtableNames>,
        progress: Progress,
    ) -> Option<Recovered> {
        progress.stage(&format!("recovering the names of {}", file_name(image.path())), STEPS);
        let wanted = || {
            progress.advance(1);
            (!progress.is_cancelled()).then_some(())
        };
        let pointers = Pointers::read(&image, dynamic);
        wanted()?;
        let types = Types::read(&image, dynamic, &pointers);
        wanted()?;
        let vtables = Vtables::read(&image, &pointers, &types);
        wanted()?;
        let virtuals = owners::find_owners(&types, &vtables);
        wanted()?;
        let startup = startup::find_startup(&image, dynamic, &pointers);
        let classes = ClassNames::new(&types);
        let stubs = symbols.iter().filter(|symbol| symbol.kind == SymbolKind::Plt);
        let stubs = stubs.map(|stub| (stub.address, stub.name.trim_end_matches("@plt").to_owned())).collect();
        let mut imports: Vec<u32> = pointers.imports().iter().map(|import| import.symbol).collect();
        imports.sort_unstable();
        imports.dedup();
        let name =
            |number: u32| Some((number, String::from_utf8_lossy(dynamic.symbol_name(&image, number)?).into_owned()));
        let imports = imports.into_iter().filter_map(name).collect();
        let (deletes, hints) = (OnceLock::new(), OnceLock::new());
        wanted()?;
        Some(Recovered {
            image,
            unwind,
            pointers,
            types,
            vtables,
            virtuals,
            startup,
            classes,
            stubs,
            imports,
            known,
            deletes,
            hints,
            progress,
        })
    }

    /// How many functions have a name that is no hint.
    pub fn len(&self) -> usize {
        self.virtuals.len() + self.startup.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the function that an address lies in: what is known of it, else what its code hints at.
    pub fn name_at(&self, at: FileAddr) -> Option<RecoveredName> {
        let function = self.unwind.find_function(at)?;
        self.name_of(function).or_else(|| self.hinted_name(function))
    }

    /// The function of another file that the function at `start` hands its arguments to.
    pub fn forward_of(&self, start: FileAddr) -> Option<Forward> {
        self.forward(self.unwind.find_function(start).filter(|function| function.start == start)?)
    }

    /// The classes among whose virtual functions the one at `start` is: more than one where functions were folded.
    pub fn candidates(&self, start: FileAddr) -> Vec<String> {
        let Some(found) = self.virtual_at(start) else { return Vec::new() };
        let Some(function) = self.unwind.find_function(start) else { return Vec::new() };
        found.owners.iter().take(names::MAX_LISTED).map(|(owner, _)| self.owner_text(*owner, function)).collect()
    }

    /// Where every function starts that has a name which is no hint, in address order.
    pub fn named_functions(&self) -> impl Iterator<Item = FileAddr> + '_ {
        let virtuals = self.virtuals.iter().map(|one| one.function);
        virtuals.chain(self.startup.iter().map(|(at, _)| *at)).filter(|at| self.unwind.find_function(*at).is_some())
    }

    /// The mangled name of the class whose virtual function the one at `start` is; the first of several.
    pub fn class_at(&self, start: FileAddr) -> Option<String> {
        let (owner, _) = self.virtual_at(start)?.owners.first()?;
        Some(String::from_utf8_lossy(self.image.slice(&self.types.get(owner.class).name)).into_owned())
    }

    fn virtual_at(&self, start: FileAddr) -> Option<&Virtual> {
        let found = self.virtuals.binary_search_by_key(&start, |one| one.function).ok()?;
        Some(&self.virtuals[found])
    }

    /// What the name of the function at `start` rests on; `None` where it has none.
    pub(in crate::binary) fn source_at(&self, start: FileAddr) -> Option<NameSource> {
        let startup = self.startup_at(start).map(|_| NameSource::Startup);
        startup.or_else(|| self.virtual_at(start).map(|_| NameSource::Rtti))
    }

    fn startup_at(&self, start: FileAddr) -> Option<Startup> {
        let found = self.startup.binary_search_by_key(&start, |(at, _)| *at).ok()?;
        Some(self.startup[found].1)
    }

    fn code(&self, function: FunctionRange) -> &[u8] {
        self.image.bytes_at(function.start, function.end.since(function.start)).unwrap_or_default()
    }
}
