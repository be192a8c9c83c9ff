//! The index over the names of a module: they stay where the file has them.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::super::image::Image;
use super::super::{Dynamic, UnwindTables};
use super::literals::Literals;
use super::made::MadeName;
use super::order::ByAddress;
use super::ready::Ready;
use super::table::{Table, TableEntry};
use super::{plt, NameSource, Symbol, SymbolKind};
use crate::base::{FileAddr, Progress};

/// The table number of made names.
const MADE: u8 = u8::MAX;

/// The names of a module. A search by name reads the string tables and then the symbol tables once and builds nothing; nor
/// do the first questions about addresses.
pub struct SymbolIndex {
    pub(super) image: Arc<Image>,
    dynamic: Dynamic,
    pub(super) unwind: Arc<UnwindTables>,
    tables: Tables,
    made: OnceLock<Vec<MadeName>>,
    pub(super) by_address: ByAddress,
    pub(super) ready: OnceLock<Ready>,
    /// A question was answered by a pass over a whole table.
    passed: AtomicBool,
    progress: Progress,
}

/// The symbol tables of a module, the most believed first.
pub(super) struct Tables {
    list: Vec<Table>,
    /// .dynsym, to which relocations refer.
    pub dynsym: Option<Table>,
}

/// One name: where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub address: FileAddr,
    number: u32,
    table: u8,
    pub kind: SymbolKind,
}

/// Whether a search looks at the names of PLT stubs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stubs {
    Seen,
    PassedOver,
}

impl Tables {
    fn find(image: &Arc<Image>, separate: impl FnOnce() -> Option<Arc<Image>>, dynamic: &Dynamic) -> Tables {
        let dynsym = Table::dynsym(image, dynamic);
        let own = Table::symtab(image, image.own_names);
        let symtab = own.or_else(|| Table::symtab(&separate()?, NameSource::DebugFile));
        let list = symtab.into_iter().chain(dynsym.clone()).collect();
        Tables { list, dynsym }
    }

    /// All tables.
    pub fn all(&self) -> &[Table] {
        &self.list
    }
}

impl SymbolIndex {
    /// Locates the tables; reads none. `separate` is asked for another file with symbols where the file has no .symtab.
    pub(in crate::binary) fn new(
        image: Arc<Image>,
        separate: impl FnOnce() -> Option<Arc<Image>>,
        dynamic: &Dynamic,
        unwind: Arc<UnwindTables>,
    ) -> SymbolIndex {
        let tables = Tables::find(&image, separate, dynamic);
        let dynamic = dynamic.clone();
        let (made, by_address, progress) = Default::default();
        let (ready, passed) = Default::default();
        SymbolIndex { image, dynamic, unwind, tables, made, by_address, ready, passed, progress }
    }

    /// The same index; its searches tell there how far they are.
    pub(in crate::binary) fn reporting_to(self, progress: Progress) -> SymbolIndex {
        SymbolIndex { progress, ..self }
    }

    /// How many symbols the tables of a source have, those that name nothing in this file included.
    pub fn table_len(&self, source: NameSource) -> usize {
        self.tables.list.iter().filter(|table| table.source == source).map(Table::len).sum()
    }

    /// The symbol of exactly this name (mangled, without version; `name@plt` for a stub): functions before data.
    pub fn find_exact(&self, name: &str) -> Option<Symbol<'_>> {
        let named = self.named(name.as_bytes());
        named.iter().min_by_key(|entry| (entry.kind, entry.address)).map(|entry| self.symbol(entry))
    }

    /// The address of the data symbol of exactly this name.
    pub fn find_data(&self, name: &str) -> Option<FileAddr> {
        let data = self.named(name.as_bytes()).into_iter().filter(|entry| entry.kind == SymbolKind::Data);
        data.map(|entry| entry.address).min()
    }

    fn named(&self, name: &[u8]) -> Vec<Entry> {
        let stubs = if name.ends_with(b"@plt") { Stubs::Seen } else { Stubs::PassedOver };
        self.select((!name.is_empty()).then(|| Literals::exact(name)).as_ref(), stubs, |_, one| one == name)
    }

    /// The names that `accepts` takes, by kind and name, of those that `literals` admit; in no useful order.
    pub(super) fn select(
        &self,
        literals: Option<&Literals>,
        stubs: Stubs,
        accepts: impl Fn(SymbolKind, &[u8]) -> bool + Sync,
    ) -> Vec<Entry> {
        let ready = literals.and_then(|literals| self.select_ready(literals, &accepts));
        let mut found = ready.unwrap_or_else(|| self.select_by_pass(literals, &accepts));
        if stubs == Stubs::Seen {
            let made = self.made().iter().enumerate().filter(|(_, one)| accepts(one.kind, one.name.as_bytes()));
            found.extend(made.map(|(number, one)| Entry::made(number, one)));
        }
        found
    }

    fn select_by_pass(
        &self,
        literals: Option<&Literals>,
        accepts: &(impl Fn(SymbolKind, &[u8]) -> bool + Sync),
    ) -> Vec<Entry> {
        let code = |at: FileAddr| self.is_code(at);
        let mut found = Vec::new();
        let total = self.tables.list.iter().map(Table::len).sum::<usize>() as u64;
        self.progress.stage(&format!("searching the names of {}", file_name(self.image.path())), total);
        self.has_passed();
        for (number, table) in self.tables.list.iter().enumerate() {
            let entry = |one: TableEntry| Entry::of_table(number, one);
            let candidates = literals.map(|literals| table.strings_with(literals));
            let wanted = |offset: usize| candidates.as_ref().is_none_or(|candidates| candidates.contains(offset));
            found.extend(table.select(&code, &wanted, accepts, &self.progress).into_iter().map(entry));
        }
        found
    }

    /// A question is answered by a pass.
    pub(super) fn has_passed(&self) {
        self.passed.store(true, Ordering::Relaxed);
    }

    /// Whether a question was, so that an index made ready would have served.
    pub(in crate::binary) fn took_a_pass(&self) -> bool {
        self.passed.load(Ordering::Relaxed)
    }

    pub(super) fn tables(&self) -> &[Table] {
        self.tables.all()
    }

    /// Calls `visit` with every name and its size in bytes, the tables' in their order; what two of them say alike comes twice.
    pub(super) fn for_each(&self, mut visit: impl FnMut(Entry, u64)) {
        for (number, table) in self.tables.list.iter().enumerate() {
            table.for_each(|at| self.is_code(at), |one, size| visit(Entry::of_table(number, one), size));
        }
        for (number, one) in self.made().iter().enumerate() {
            visit(Entry::made(number, one), one.size);
        }
    }

    pub(super) fn is_code(&self, at: FileAddr) -> bool {
        self.image.segment_at(at).is_some_and(|segment| segment.exec)
    }

    pub(super) fn made(&self) -> &[MadeName] {
        self.made.get_or_init(|| plt::decode_stubs(&self.image, &self.dynamic, &self.tables))
    }

    pub(super) fn symbol(&self, entry: &Entry) -> Symbol<'_> {
        Symbol {
            name: String::from_utf8_lossy(self.raw_name(entry)),
            address: entry.address,
            size: self.size(entry),
            kind: entry.kind,
            source: self.source(entry),
        }
    }

    pub(super) fn raw_name(&self, entry: &Entry) -> &[u8] {
        match self.table(entry) {
            Some(table) => table.name(entry.number),
            None => self.made().get(entry.number as usize).map_or(&[], |made| made.name.as_bytes()),
        }
    }

    pub(super) fn size(&self, entry: &Entry) -> u64 {
        match self.table(entry) {
            Some(table) => table.size(entry.number),
            None => self.made().get(entry.number as usize).map_or(0, |made| made.size),
        }
    }

    pub(super) fn source(&self, entry: &Entry) -> NameSource {
        match self.table(entry) {
            Some(table) => table.source,
            None => self.made().get(entry.number as usize).map_or(NameSource::Plt, |made| made.source),
        }
    }

    /// The table that holds an entry; `None` for a made name.
    fn table(&self, entry: &Entry) -> Option<&Table> {
        self.tables.list.get(usize::from(entry.table))
    }
}

/// For messages.
pub(in crate::binary) fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
}

impl Entry {
    pub(super) fn of_table(table: usize, one: TableEntry) -> Entry {
        Entry { address: one.address, number: one.number, table: table as u8, kind: one.kind }
    }

    pub(super) fn made(number: usize, made: &MadeName) -> Entry {
        Entry { address: made.address, number: number as u32, table: MADE, kind: made.kind }
    }
}
