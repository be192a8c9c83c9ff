//! Finding recovered names by a pattern.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::super::symbols::text::{is_identifier, split_scope};
use super::super::symbols::{file_name, Literals};
use super::super::{FunctionMatch, FunctionRange, Matches, NamePattern, NameSource, SymbolKind, UnwindTables};
use super::classes::template_of;
use super::owners::{Owner, Virtual};
use super::{Image, Recovered, RecoveredName, Sureness, VtableNames};
use crate::base::FileAddr;

/// A function that was folded from more than so many is no one's: no pattern finds it.
const MAX_FOLDED: usize = 4;
/// How many functions completion looks at together before it may stop.
const CHUNK: usize = 8 << 10;
/// What stands in recovered names besides classes and the names of imports.
const MADE: &str = "main _start initializer finalizer virtual deleting thunk others sub_ makes lambda";
/// Of these, what can stand in the name of a virtual function.
const MADE_OF_VIRTUALS: &str = "virtual deleting thunk others sub_";

impl Recovered {
    /// The functions whose name matches, in address order, at most `limit` of them. Hints do not match; thunks only a
    /// pattern that contains `thunk`.
    pub fn functions_named(&self, pattern: &NamePattern, limit: usize) -> Matches {
        let mut matcher = Matcher::new(pattern);
        let thunks = if matcher.thunks() { Thunks::Seen } else { Thunks::PassedOver };
        let literals = matcher.literals.take();
        let mut addresses: Vec<FileAddr> = self.addresses(literals, thunks).collect();
        if let Some(method) = plain_method(pattern).filter(|_| thunks == Thunks::PassedOver) {
            let places: Vec<(&str, u16)> = self.known.places_of(method).collect();
            addresses.retain(|at| self.may_stand_in(*at, &places));
        }
        self.progress
            .stage(&format!("searching the names of {}", file_name(self.image.path())), addresses.len() as u64);
        let found = addresses.into_par_iter().filter(|_| !self.progress.is_cancelled()).filter_map(|at| {
            self.progress.advance(1);
            let name = self.name_of(self.unwind.find_function(at).filter(|function| function.start == at)?)?;
            let folded = name.sureness == Sureness::Ambiguous;
            let matches =
                matcher.accepts(&name.text) || folded && self.candidates(at).iter().any(|one| matcher.accepts(one));
            matches.then_some(name)
        });
        collect(found.collect(), limit)
    }

    /// The functions whose hint matches. Reads the whole code of the file the first time.
    pub fn functions_hinted(&self, pattern: &NamePattern, limit: usize) -> Matches {
        let NamePattern::Regex(regex) = pattern else { return Matches::default() };
        let found =
            self.hinted().par_iter().filter(|(_, text)| regex.is_match(text)).map(|(function, text)| RecoveredName {
                text: text.clone(),
                function: *function,
                sureness: Sureness::Hint,
                source: NameSource::Hint,
            });
        collect(found.collect(), limit)
    }

    /// The names that start with `prefix`; sorted, at most `limit`.
    pub fn complete(&self, prefix: &str, limit: usize) -> Vec<String> {
        let thunks = if prefix.starts_with('t') { Thunks::Seen } else { Thunks::PassedOver };
        let addresses: Vec<FileAddr> = self.addresses(Literals::all_of(prefix), thunks).collect();
        let mut found = BTreeSet::new();
        for chunk in addresses.chunks(CHUNK) {
            if found.len() >= limit {
                break;
            }
            let names = chunk.par_iter().filter_map(|at| self.name_of(self.unwind.find_function(*at)?));
            let names = names.filter(|name| name.text.starts_with(prefix) && name.sureness != Sureness::Ambiguous);
            found.extend(names.map(|name| name.text).collect::<Vec<_>>());
        }
        found.into_iter().take(limit).collect()
    }

    /// The functions that can have a name which the literals admit. A thunk's name is its target's, which the filter does
    /// not look at: where thunks count, all functions that can be one are among them.
    fn addresses(&self, literals: Option<Literals>, thunks: Thunks) -> impl Iterator<Item = FileAddr> + '_ {
        let filter = literals.map(|literals| Filter::new(self, &literals));
        let startup = self.startup.iter().map(|(at, _)| *at);
        let virtuals = self.virtuals.par_iter().filter(|one| {
            let may_be_thunk = || thunks == Thunks::Seen && one.owners.iter().any(|(owner, _)| owner.offset != 0);
            one.owners.len() <= MAX_FOLDED
                && (filter.as_ref().is_none_or(|filter| filter.admits(self, one)) || may_be_thunk())
        });
        let virtuals: Vec<FileAddr> = virtuals.map(|one| one.function).collect();
        startup.chain(virtuals)
    }

    /// Whether a function may be the method that a table knows in one of these slots of these classes, or is the program's
    /// start. The slots are compared first: a class's name costs its demangling.
    fn may_stand_in(&self, function: FileAddr, places: &[(&str, u16)]) -> bool {
        let is_in = |owner: &Owner| {
            let mut fitting = places.iter().filter(|(_, slot)| *slot == owner.slot && owner.offset == 0);
            fitting.any(|(class, _)| *class == template_of(self.class_text(owner.class)))
        };
        self.startup_at(function).is_some()
            || self.virtual_at(function).is_some_and(|one| one.owners.iter().any(|(owner, _)| is_in(owner)))
    }

    /// The mangled names of the classes that stand in the name of an owner's function: its own, and the base's of whose
    /// table it is.
    fn parts(&self, owner: Owner) -> impl Iterator<Item = &[u8]> + Clone {
        let base = if owner.offset == 0 { None } else { self.base_at(owner) };
        [owner.class].into_iter().chain(base).map(|class| self.image.slice(&self.types.get(class).name))
    }

    /// Whether patterns find the function at `start` by its name.
    pub(super) fn is_findable(&self, start: FileAddr) -> bool {
        self.virtual_at(start).is_none_or(|one| one.owners.len() <= MAX_FOLDED)
    }
}

/// Whether a file can hold a name that a pattern matches, by its bytes alone: what a match must contain stands in its
/// data, or rdbg writes it.
pub(in crate::binary) fn may_match(image: &Image, known: &VtableNames, pattern: &NamePattern) -> bool {
    may_be_plain(known, pattern) && may_hold(image, known, literals_of(pattern).as_ref())
}

/// Whether a file can hold a name that these literals admit.
pub(in crate::binary) fn may_hold(image: &Image, known: &VtableNames, literals: Option<&Literals>) -> bool {
    let data = image.segments.iter().filter(|segment| !segment.exec);
    let data = data.filter_map(|segment| image.bytes_at(segment.addr, segment.file_size));
    let known = known.method_names().map(str::as_bytes);
    literals.is_none_or(|literals| literals.admit_in([MADE.as_bytes()].into_iter().chain(known).chain(data)))
}

/// Whether a recovered name can end in what a plain pattern ends in: a method that a table knows, or the program's start.
fn may_be_plain(known: &VtableNames, pattern: &NamePattern) -> bool {
    plain_method(pattern)
        .is_none_or(|last| ["main", "_start"].contains(&last) || known.method_names().any(|one| one == last))
}

/// The identifier that a plain pattern ends in. Recovered names that a table does not know, but for the program's start, end
/// in a bracket, or are destructors.
fn plain_method(pattern: &NamePattern) -> Option<&str> {
    let (NamePattern::Plain(text) | NamePattern::BaseName(text)) = pattern else { return None };
    let last = split_scope(text.trim().trim_end_matches('?')).1;
    last.bytes().all(is_identifier).then_some(last)
}

/// What stands in the names of the functions that literals admit: in a class, or in the name of an import, which the
/// function's code must then refer to.
struct Filter {
    literals: Literals,
    by_import: Option<ByImport>,
}

/// The filter of names that hold an import's.
struct ByImport {
    /// What is left to be found in the classes.
    literals: Literals,
    /// The stubs and the slots of the imports, in order.
    targets: Vec<FileAddr>,
}

impl Filter {
    fn new(recovered: &Recovered, literals: &Literals) -> Filter {
        let known = recovered.known.method_names().map(str::as_bytes);
        let literals = literals.beyond([MADE_OF_VIRTUALS.as_bytes()].into_iter().chain(known));
        let stubs = recovered.stubs.iter().map(|(at, name)| (*at, name.as_str()));
        let slots = recovered.pointers.imports().iter().filter_map(|import| {
            let found = recovered.imports.binary_search_by_key(&import.symbol, |(number, _)| *number).ok()?;
            Some((import.at, recovered.imports[found].1.as_str()))
        });
        let touched = stubs.chain(slots).filter(|(_, name)| literals.touch(name.as_bytes()));
        let (mut targets, names): (Vec<FileAddr>, Vec<&str>) = touched.unzip();
        targets.sort_unstable();
        let left = literals.beyond(names.iter().map(|name| name.as_bytes()));
        let by_import = (left.len() < literals.len()).then_some(ByImport { literals: left, targets });
        Filter { literals, by_import }
    }

    fn admits(&self, recovered: &Recovered, one: &Virtual) -> bool {
        let parts = || one.owners.iter().flat_map(|(owner, _)| recovered.parts(*owner));
        let imports = || {
            let by_import = self.by_import.as_ref().filter(|by_import| by_import.literals.admit_in(parts()));
            by_import.is_some_and(|by_import| recovered.refers_to(one.function, &by_import.targets))
        };
        self.literals.admit_in(parts()) || imports()
    }
}

fn literals_of(pattern: &NamePattern) -> Option<Literals> {
    match pattern {
        NamePattern::Regex(regex) => Literals::of_regex(regex.as_str()),
        NamePattern::Plain(text) | NamePattern::BaseName(text) => Literals::all_of(text),
    }
}

/// Whether a search looks at the names of thunks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thunks {
    Seen,
    PassedOver,
}

/// A pattern made ready to test many names.
pub(super) struct Matcher<'a> {
    pattern: &'a NamePattern,
    pub literals: Option<Literals>,
    /// A plain pattern without leading `::` and the mark of what is not certain.
    plain: &'a str,
}

impl<'a> Matcher<'a> {
    pub fn new(pattern: &'a NamePattern) -> Matcher<'a> {
        let text = pattern.text().trim();
        let plain = text.strip_prefix("::").unwrap_or(text);
        Matcher { pattern, literals: literals_of(pattern), plain: plain.trim_end_matches('?') }
    }

    /// Whether the pattern means thunks too.
    fn thunks(&self) -> bool {
        self.pattern.text().contains("thunk")
    }

    pub fn accepts(&self, text: &str) -> bool {
        if text.starts_with("thunk to ") && !self.thunks() {
            return false;
        }
        let text = text.trim_end_matches('?');
        match self.pattern {
            NamePattern::Regex(regex) => regex.is_match(text),
            NamePattern::Plain(_) => ends_with_components(text, self.plain),
            NamePattern::BaseName(_) => split_scope(text).1 == self.plain,
        }
    }
}

/// Whether `name` is `end`, or ends with it behind a `::`.
fn ends_with_components(name: &str, end: &str) -> bool {
    !end.is_empty() && name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with("::"))
}

pub(super) fn collect(mut found: Vec<RecoveredName>, limit: usize) -> Matches {
    found.sort_unstable_by_key(|name| name.function);
    let total = found.len();
    let functions = found.into_iter().take(limit).map(matched).collect();
    Matches { functions, total }
}

fn matched(name: RecoveredName) -> FunctionMatch {
    let size = name.function.end.since(name.function.start);
    FunctionMatch {
        address: name.function.start,
        names: vec![name.text],
        kind: SymbolKind::Function,
        size,
        source: name.source,
    }
}

/// The function that `sub_<hex>` means, with or without its hint.
pub(in crate::binary) fn numbered(unwind: &UnwindTables, text: &str) -> Option<FunctionRange> {
    let digits = text.trim().strip_prefix("sub_")?.split(' ').next()?;
    let start = FileAddr(u64::from_str_radix(digits, 16).ok()?);
    unwind.find_function(start).filter(|function| function.start == start)
}

/// The one function that a pattern means, which has no name.
pub(in crate::binary) fn one(function: FunctionRange) -> Matches {
    let text = format!("sub_{:x}", function.start.0);
    let name = RecoveredName { text, function, sureness: Sureness::Certain, source: NameSource::EhFrame };
    Matches { functions: vec![matched(name)], total: 1 }
}
