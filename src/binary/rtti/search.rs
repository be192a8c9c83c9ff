//! Finding recovered names by a pattern.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::super::symbols::text::split_scope;
use super::super::symbols::Literals;
use super::super::{FunctionMatch, FunctionRange, Matches, NamePattern, NameSource, SymbolKind};
use super::owners::Owner;
use super::{Image, Recovered, RecoveredName, Sureness, VtableNames};
use crate::base::FileAddr;

/// A function that was folded from more than so many is no one's: no pattern finds it.
const MAX_FOLDED: usize = 4;
/// How many functions completion looks at together before it may stop.
const CHUNK: usize = 8 << 10;
/// What stands in recovered names besides classes and the names of imports.
const MADE: &str = "main _start initializer finalizer virtual deleting thunk others sub_ makes lambda";

impl Recovered {
    /// The functions whose name matches, in address order, at most `limit` of them. Hints do not match; thunks only a
    /// pattern that contains `thunk`.
    pub fn functions_named(&self, pattern: &NamePattern, limit: usize) -> Matches {
        if let Some(function) = self.numbered(pattern.text()) {
            return one(function, format!("sub_{:x}", function.start.0));
        }
        let mut matcher = Matcher::new(pattern);
        let thunks = if matcher.thunks() { Thunks::Seen } else { Thunks::PassedOver };
        let literals = matcher.literals.take();
        let addresses: Vec<FileAddr> = self.addresses(literals, thunks).collect();
        let found = addresses.into_par_iter().filter_map(|at| {
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
        let literals = literals.map(|literals| literals.beyond(self.endings().as_bytes()));
        let startup = self.startup.iter().map(|(at, _)| *at);
        let virtuals = self.virtuals.iter().filter(move |one| {
            let owners = one.owners.iter().map(|(owner, _)| *owner);
            let may_be_thunk = || thunks == Thunks::Seen && owners.clone().any(|owner| owner.offset != 0);
            let admitted = |literals: &Literals| literals.admit_in(owners.clone().flat_map(|owner| self.parts(owner)));
            one.owners.len() <= MAX_FOLDED && (literals.as_ref().is_none_or(admitted) || may_be_thunk())
        });
        startup.chain(virtuals.map(|one| one.function))
    }

    /// The mangled names of the classes that stand in the name of an owner's function: its own, and the base's of whose
    /// table it is.
    fn parts(&self, owner: Owner) -> impl Iterator<Item = &[u8]> + Clone {
        let base = if owner.offset == 0 { None } else { self.base_at(owner) };
        [owner.class].into_iter().chain(base).map(|class| self.image.slice(&self.types.get(class).name))
    }

    /// Everything that can stand behind a class in a name.
    fn endings(&self) -> String {
        let imports = self.stubs.iter().map(|(_, name)| name.as_str());
        let imports = imports.chain(self.imports.iter().map(|(_, name)| name.as_str()));
        let known = self.known.method_names();
        [MADE].into_iter().chain(imports).chain(known).collect::<Vec<_>>().join(" ")
    }

    /// The function that `sub_<hex>` means, with or without its hint.
    fn numbered(&self, text: &str) -> Option<FunctionRange> {
        let digits = text.trim().strip_prefix("sub_")?.split(' ').next()?;
        let start = FileAddr(u64::from_str_radix(digits, 16).ok()?);
        self.unwind.find_function(start).filter(|function| function.start == start)
    }
}

/// Whether a file can hold a name that a pattern matches, by its bytes alone: what a match must contain stands in its
/// data, or rdbg writes it.
pub(in crate::binary) fn may_match(image: &Image, known: &VtableNames, pattern: &NamePattern) -> bool {
    let Some(literals) = literals_of(pattern).filter(|_| !pattern.text().starts_with("sub_")) else { return true };
    let data = image.segments.iter().filter(|segment| !segment.exec);
    let data = data.filter_map(|segment| image.bytes_at(segment.addr, segment.file_size));
    let known = known.method_names().map(str::as_bytes);
    literals.admit_in([MADE.as_bytes()].into_iter().chain(known).chain(data))
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
struct Matcher<'a> {
    pattern: &'a NamePattern,
    literals: Option<Literals>,
    /// A plain pattern without leading `::` and the mark of what is not certain.
    plain: &'a str,
}

impl<'a> Matcher<'a> {
    fn new(pattern: &'a NamePattern) -> Matcher<'a> {
        let text = pattern.text().trim();
        let plain = text.strip_prefix("::").unwrap_or(text);
        Matcher { pattern, literals: literals_of(pattern), plain: plain.trim_end_matches('?') }
    }

    /// Whether the pattern means thunks too.
    fn thunks(&self) -> bool {
        self.pattern.text().contains("thunk")
    }

    fn accepts(&self, text: &str) -> bool {
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

fn collect(mut found: Vec<RecoveredName>, limit: usize) -> Matches {
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

fn one(function: FunctionRange, text: String) -> Matches {
    let name = RecoveredName { text, function, sureness: Sureness::Certain, source: NameSource::EhFrame };
    Matches { functions: vec![matched(name)], total: 1 }
}
