//! A module's names from every source: its symbol tables first, and where it is stripped, what can be recovered.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::pack;
use super::rtti::{
    may_hold, may_match, numbered, one, Forward, Recovered, RecoveredName, StoredNames, Sureness, VtableNames,
};
use super::symbols::{demangle_without_parameters, Literals};
use super::{Matches, Module, NamePattern, NameSource, NamesFile, Symbol, SymbolKind};
use crate::base::FileAddr;

/// To recover fewer names takes no time worth saving.
const MANY_RECOVERED: usize = 4000;

/// What a module has recovered, once it has been asked for.
#[derive(Default)]
pub(super) struct Recovery {
    names: OnceLock<Recovered>,
    known: OnceLock<Known>,
}

/// The tables of known names.
enum Known {
    BuiltIn(Arc<VtableNames>),
    /// With the user's before them.
    Extended(Arc<VtableNames>),
}

impl Module {
    /// Whether neither the file nor a separate one has a .symtab, so that its own functions have no names but those that it exports.
    pub fn is_stripped(&self) -> bool {
        let own = self.section_bytes(".symtab").is_some_and(|bytes| !bytes.is_empty());
        !own && !self.names_file().is_some_and(NamesFile::has_symbols)
    }

    /// Tables of known names to use beside the built-in ones; stored names, which were made without them, are used no more.
    /// Without effect once a name has been recovered.
    pub fn set_vtable_names(&self, names: Arc<VtableNames>) {
        let _ = self.recovery.known.set(Known::Extended(names));
    }

    /// What can be known of functions without a symbol; `None` where that was broken off. Built at the first call: some
    /// tenths of a second for 100 MB.
    pub fn recovered(&self) -> Option<&Recovered> {
        if let Some(known) = self.recovery.names.get() {
            return Some(known);
        }
        let (image, unwind, known) = (self.image.clone(), self.unwind_tables().clone(), self.known_names().clone());
        let built = Recovered::build(image, &self.dynamic, unwind, self.symbols(), known, self.progress.clone())?;
        Some(self.recovery.names.get_or_init(|| built))
    }

    /// The recovered names of a pack, which need not be recovered again.
    pub fn stored(&self) -> Option<&StoredNames> {
        self.names_file()?.stored().filter(|_| self.knows_built_in_only())
    }

    fn knows_built_in_only(&self) -> bool {
        !matches!(self.recovery.known.get(), Some(Known::Extended(_)))
    }

    /// Whether so many names were recovered that a pack would have saved time.
    pub fn lacks_pack(&self) -> bool {
        let many = self.recovery.names.get().is_some_and(|names| names.len() >= MANY_RECOVERED);
        many && self.knows_built_in_only()
    }

    /// Whether a name has been asked for that had to be recovered from the file.
    pub fn has_recovered(&self) -> bool {
        self.recovery.names.get().is_some()
    }

    /// What stands at an address, and how many bytes into it the address lies: by the symbol tables; in a stripped file
    /// then by what is recovered; else by the FDE, as `sub_<file address>`.
    pub fn name_at(&self, at: FileAddr) -> Option<(Symbol<'_>, u64)> {
        let found = self.symbols().find_at(at);
        if found.as_ref().is_some_and(|(symbol, _)| symbol.kind != SymbolKind::Unwind) || !self.is_stripped() {
            return found;
        }
        let name = match self.stored() {
            Some(stored) => stored.name_at(at),
            None => self.recovered().and_then(|recovered| recovered.name_at(at)),
        };
        match name {
            Some(name) => {
                let offset = at.since(name.function.start);
                Some((self.recovered_symbol(name), offset))
            }
            None => found,
        }
    }

    /// The functions whose name matches, in address order, at most `limit` of them: those of the symbol tables; in a
    /// stripped file, where none of them matches, recovered names; where none of these matches, hints.
    pub fn functions_named(&self, pattern: &NamePattern, limit: usize) -> Matches {
        let found = self.certainly_named(pattern, limit);
        if found.total > 0 || !self.is_stripped() {
            return found;
        }
        match self.stored() {
            Some(stored) => stored.functions_hinted(pattern, limit),
            None if !may_match(&self.image, self.known_names(), pattern) => found,
            None => self.recovered().map_or(found, |recovered| recovered.functions_hinted(pattern, limit)),
        }
    }

    /// The same without hints, for which the whole code may have to be read.
    fn certainly_named(&self, pattern: &NamePattern, limit: usize) -> Matches {
        let found = self.symbols().functions_named(pattern, limit);
        if found.total > 0 || !self.is_stripped() {
            return found;
        }
        if let Some(function) = numbered(self.unwind(), pattern.text()) {
            return one(function);
        }
        match self.stored() {
            Some(stored) => stored.functions_named(pattern, limit),
            None if !may_match(&self.image, self.known_names(), pattern) => found,
            None => self.recovered().map_or(found, |recovered| recovered.functions_named(pattern, limit)),
        }
    }

    /// The function names, without parameters, that start with `prefix`; sorted, at most `limit`.
    pub fn complete(&self, prefix: &str, limit: usize) -> Vec<String> {
        let mut found = self.symbols().complete(prefix, limit);
        let left = limit.saturating_sub(found.len());
        if left == 0 || prefix.is_empty() || !self.is_stripped() {
            return found;
        }
        match self.stored() {
            Some(stored) => found.extend(stored.complete(prefix, left)),
            None if may_hold(&self.image, self.known_names(), Literals::all_of(prefix).as_ref()) => {
                found.extend(self.recovered().map(|recovered| recovered.complete(prefix, left)).unwrap_or_default());
            }
            None => {}
        }
        found
    }

    /// The same of names that have a later component which starts with `text`: `Envoy::Api::OsSysCallsImpl::bind` for
    /// `OsSysCalls`.
    pub fn complete_within(&self, text: &str, limit: usize) -> Vec<String> {
        let within = format!("::{text}");
        let Ok(pattern) = NamePattern::parse_regex(&regex::escape(&within)) else { return Vec::new() };
        // Overloads are one name.
        let found = self.certainly_named(&pattern, limit.saturating_mul(4)).functions;
        let plain = |source, name: String| match source {
            NameSource::Rtti | NameSource::Startup => name,
            _ => demangle_without_parameters(&name).into_owned(),
        };
        let names = found.into_iter().flat_map(|one| one.names.into_iter().map(move |name| plain(one.source, name)));
        // What was found in parameters only is not what is typed.
        let names: BTreeSet<String> = names.filter(|name| name.contains(&within)).collect();
        names.into_iter().take(limit).collect()
    }

    /// The function of another file that a recovered function does little else than call.
    pub fn forward_of(&self, start: FileAddr) -> Option<Forward> {
        match self.stored() {
            Some(stored) => stored.forward_of(start),
            None => self.recovered()?.forward_of(start),
        }
    }

    /// What the recovered name of the function that starts at `start` rests on; `None` where it has no name but a hint.
    pub fn recovered_source(&self, start: FileAddr) -> Option<NameSource> {
        match self.stored() {
            Some(stored) => stored.source_at(start),
            None => self.recovered()?.source_at(start),
        }
    }

    /// What a pack of this module's recovered names must have been made of to be used unasked: the rules and the tables that
    /// ship with rdbg, and `key`, which names the file where it has no build-id.
    pub fn pack_identity(&self, key: &str) -> Vec<u8> {
        let known = crc32fast::hash(format!("{:?}", VtableNames::built_in()).as_bytes());
        let key = if self.build_id().is_some() { "" } else { key };
        format!("{} {known:08x} {key}", env!("CARGO_PKG_VERSION")).into_bytes()
    }

    /// The bytes of a pack: the functions and data of the symbol table or debug file; for a stripped file every name that can be
    /// recovered, and every hint.
    pub fn make_pack(&self, key: &str) -> Vec<u8> {
        let recovered = if self.is_stripped() { self.recovered().map(Recovered::tables) } else { None };
        let whole = [NameSource::Symtab, NameSource::DebugFile];
        let symbols = self.symbols().iter().filter(|symbol| whole.contains(&symbol.source));
        pack::write(self.build_id(), &self.pack_identity(key), symbols, recovered)
    }

    fn known_names(&self) -> &Arc<VtableNames> {
        match self.recovery.known.get_or_init(|| Known::BuiltIn(Arc::new(VtableNames::built_in()))) {
            Known::BuiltIn(names) | Known::Extended(names) => names,
        }
    }

    /// What a function can be whose recovered name leaves it open; the first few where there are many. Nothing for any
    /// other name.
    pub fn candidates_of(&self, name: &str, start: FileAddr) -> Vec<String> {
        let ambiguous = |found: RecoveredName| found.text == name && found.sureness == Sureness::Ambiguous;
        match self.stored() {
            _ if !self.is_stripped() => Vec::new(),
            Some(stored) if stored.name_at(start).is_some_and(ambiguous) => stored.candidates(start),
            Some(_) => Vec::new(),
            None => match self.recovered() {
                Some(recovered) if recovered.name_at(start).is_some_and(ambiguous) => recovered.candidates(start),
                _ => Vec::new(),
            },
        }
    }

    fn recovered_symbol(&self, name: RecoveredName) -> Symbol<'_> {
        let function = name.function;
        Symbol {
            source: name.source,
            name: Cow::Owned(name.text),
            address: function.start,
            size: function.end.since(function.start),
            kind: SymbolKind::Function,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_that_cannot_be_a_recovered_one_recovers_nothing() {
        let bytes = std::fs::read("/bin/true").unwrap();
        let module = Module::parse("/bin/true".into(), Arc::new(bytes)).unwrap();
        let find = |name: &str| module.functions_named(&NamePattern::Plain(name.to_owned()), 10).total;
        // It stands in the file, as an import: only behind a `[virtual 1 -> ` could a recovered name have it.
        assert_eq!(find("__libc_start_main"), 0);
        assert!(module.is_stripped() && module.recovery.names.get().is_none());
        assert_eq!(find("main"), 1);
        assert!(module.recovery.names.get().is_some());
    }
}
