//! A module's names from every source: its symbol tables first, and where it is stripped, what can be recovered.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::rtti::{may_hold, may_match, Recovered, RecoveredName, Sureness, VtableNames};
use super::symbols::Literals;
use super::{Matches, Module, NamePattern, Symbol, SymbolKind};
use crate::base::FileAddr;

/// What a module has recovered, once it has been asked for.
#[derive(Default)]
pub(super) struct Recovery {
    names: OnceLock<Recovered>,
    known: OnceLock<Arc<VtableNames>>,
}

impl Module {
    /// Whether neither the file nor a separate one has a .symtab, so that its own functions have no names but those that it exports.
    pub fn is_stripped(&self) -> bool {
        self.names_file().is_none() && self.section_bytes(".symtab").is_none_or(<[u8]>::is_empty)
    }

    /// Tables of known names to use beside the built-in ones. Without effect once a name has been recovered.
    pub fn set_vtable_names(&self, names: Arc<VtableNames>) {
        let _ = self.recovery.known.set(names);
    }

    /// What can be known of functions without a symbol. Built at the first call: some tenths of a second for 100 MB.
    pub fn recovered(&self) -> &Recovered {
        self.recovery.names.get_or_init(|| {
            let (image, unwind) = (self.image.clone(), self.unwind_tables().clone());
            Recovered::build(image, &self.dynamic, unwind, self.symbols(), self.known_names().clone())
        })
    }

    /// What stands at an address, and how many bytes into it the address lies: by the symbol tables; in a stripped file
    /// then by what is recovered; else by the FDE, as `sub_<file address>`.
    pub fn name_at(&self, at: FileAddr) -> Option<(Symbol<'_>, u64)> {
        let found = self.symbols().find_at(at);
        if found.as_ref().is_some_and(|(symbol, _)| symbol.kind != SymbolKind::Unwind) || !self.is_stripped() {
            return found;
        }
        match self.recovered().name_at(at) {
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
        let found = self.symbols().functions_named(pattern, limit);
        if found.total > 0 || !self.is_stripped() || !may_match(&self.image, self.known_names(), pattern) {
            return found;
        }
        let found = self.recovered().functions_named(pattern, limit);
        if found.total > 0 {
            return found;
        }
        self.recovered().functions_hinted(pattern, limit)
    }

    /// The function names, without parameters, that start with `prefix`; sorted, at most `limit`.
    pub fn complete(&self, prefix: &str, limit: usize) -> Vec<String> {
        let found = self.symbols().complete(prefix, limit);
        let enough = found.len() >= limit || prefix.is_empty() || !self.is_stripped();
        if enough || !may_hold(&self.image, self.known_names(), Literals::all_of(prefix).as_ref()) {
            return found;
        }
        let mut found = found;
        found.extend(self.recovered().complete(prefix, limit - found.len()));
        found
    }

    fn known_names(&self) -> &Arc<VtableNames> {
        self.recovery.known.get_or_init(|| Arc::new(VtableNames::built_in()))
    }

    /// What a function can be whose recovered name leaves it open; the first few where there are many. Nothing for any
    /// other name.
    pub fn candidates_of(&self, name: &str, start: FileAddr) -> Vec<String> {
        let recovered = if self.is_stripped() { self.recovered().name_at(start) } else { None };
        match recovered {
            Some(found) if found.text == name && found.sureness == Sureness::Ambiguous => {
                self.recovered().candidates(start)
            }
            _ => Vec::new(),
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
