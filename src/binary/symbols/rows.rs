//! A file's symbols as rows, counted through all of its tables; and the index of them that was made ready beforehand.

use std::ops::Range;

use super::index::Entry;
use super::literals::Literals;
use super::ready::{Builder, Holders, Ready};
use super::{SymbolIndex, SymbolKind};
use crate::binary::FileBytes;

/// So many rows are read between two questions whether to go on.
const STRETCH: u32 = 1 << 12;

impl SymbolIndex {
    /// The rows of the tables; those of made names come behind them. 0 where a file has more than can be counted.
    fn rows(&self) -> u32 {
        let total =
            self.tables().iter().try_fold(0u32, |total, table| total.checked_add(u32::try_from(table.len()).ok()?));
        total.unwrap_or(0)
    }

    /// Which tables an index belongs to. `key` names the file.
    pub(in crate::binary) fn identity(&self, key: &str) -> Vec<u8> {
        let tables: Vec<String> = self.tables().iter().map(|table| table.fingerprint()).collect();
        format!("{key}\n{}", tables.join("\n")).into_bytes()
    }

    /// Uses an index that was made ready; whether it fits these tables.
    pub(in crate::binary) fn use_ready(&self, bytes: FileBytes, identity: &[u8]) -> bool {
        let ready = Ready::open(bytes, identity);
        ready.is_some_and(|ready| self.ready.set(ready).is_ok())
    }

    /// Whether one is used.
    pub(in crate::binary) fn is_ready(&self) -> bool {
        self.ready.get().is_some()
    }

    /// Makes an index ready. `goes_on` is asked now and then, and can keep the work waiting; `None` once it says no, or where
    /// the tables are too large.
    pub(in crate::binary) fn make_ready(&self, identity: &[u8], goes_on: &dyn Fn() -> bool) -> Option<Vec<u8>> {
        let rows = self.rows();
        let mut builder = Builder::new(rows);
        let mut first = 0;
        for table in self.tables() {
            let len = u32::try_from(table.len()).ok()?;
            for number in 0..len {
                if number % STRETCH == 0 {
                    table.release_strings(0..usize::MAX);
                    if !goes_on() {
                        return None;
                    }
                }
                if let Some(entry) = table.find(number, |at| self.is_code(at)) {
                    builder.add(first + number, entry.address.0, table.name(number));
                }
            }
            table.release_strings(0..usize::MAX);
            first += len;
        }
        for (number, made) in (first..).zip(self.made()) {
            builder.add_made(number, made.address.0);
        }
        builder.finish(identity).filter(|_| goes_on())
    }

    /// The entries that `accepts` takes by kind and name, of those that `literals` admit; `None` where no ready index tells
    /// which these are.
    pub(super) fn select_ready(
        &self,
        literals: &Literals,
        accepts: &impl Fn(SymbolKind, &[u8]) -> bool,
    ) -> Option<Vec<Entry>> {
        let Holders::Rows(runs) = self.ready.get()?.holders(literals.word()?)? else { return None };
        let tables = self.rows();
        let entries = runs.into_iter().flat_map(|run: Range<u32>| run.start..run.end.min(tables));
        let entries = entries.filter_map(|row| self.entry_of_row(row));
        let accepted = entries.filter(|entry| {
            let name = self.raw_name(entry);
            !name.is_empty() && accepts(entry.kind, name)
        });
        Some(accepted.collect())
    }

    /// What a row names; `None` where that is nothing.
    pub(super) fn entry_of_row(&self, row: u32) -> Option<Entry> {
        let mut number = row;
        for (at, table) in self.tables().iter().enumerate() {
            let len = table.len() as u32;
            if number < len {
                return Some(Entry::of_table(at, table.find(number, |at| self.is_code(at))?));
            }
            number -= len;
        }
        self.made().get(number as usize).map(|one| Entry::made(number as usize, one))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use crate::base::FileAddr;
    use crate::binary::symbols::base_name;
    use crate::binary::{Module, NamePattern};

    fn module(path: &PathBuf) -> Option<Module> {
        Module::parse(path.clone(), Arc::new(std::fs::read(path).ok()?)).ok()
    }

    /// What an index says that was made ready, and what the file itself says: of base names and whole names (in a debug build,
    /// of a few), of such that no file has, and of addresses in and between symbols. RDBG_LARGE_FILES has more files (`:`).
    #[test]
    fn an_index_made_ready_says_what_the_file_says() {
        let mut files = vec![PathBuf::from("/usr/lib/x86_64-linux-gnu/libstdc++.so.6")];
        // Rust's names: a hundred thousand, which takes a debug build minutes.
        files.extend(std::env::current_exe().ok().filter(|_| !cfg!(debug_assertions)));
        files.extend(std::env::var_os("RDBG_LARGE_FILES").iter().flat_map(std::env::split_paths));
        for path in files {
            let (Some(plain), Some(quick)) = (module(&path), module(&path)) else { continue };
            let bytes = plain.make_ready("key", &|| true).unwrap();
            assert!(quick.use_ready(Arc::new(bytes), "key"));
            let (plain, quick) = (plain.symbols(), quick.symbols());
            let names: Vec<String> = plain.iter().map(|symbol| symbol.name.into_owned()).collect();
            // A pass over a large table takes a debug build a tenth of a second.
            let step = if cfg!(debug_assertions) { names.len() / 10 + 1 } else { names.len() / 1000 + 1 };
            let texts = names.iter().step_by(step).flat_map(|name| [base_name(name).into_owned(), name.clone()]);
            for text in texts.chain(["none_such", "main"].map(str::to_owned)) {
                assert_eq!(quick.find_exact(&text), plain.find_exact(&text));
                for pattern in [NamePattern::Plain(text.clone()), NamePattern::BaseName(text.clone())] {
                    let (found, right) = (quick.functions_named(&pattern, 500), plain.functions_named(&pattern, 500));
                    assert_eq!((found.total, found.functions), (right.total, right.functions), "{pattern:?}");
                }
            }
            // The first questions of the plain one are answered by passes, the rest by its own order.
            for symbol in plain.iter().step_by(step) {
                for at in [0, 1, symbol.size, symbol.size + 1].map(|skip| FileAddr(symbol.address.0.wrapping_add(skip)))
                {
                    assert_eq!(quick.find_at(at), plain.find_at(at), "{at:?}");
                }
            }
        }
    }
}
