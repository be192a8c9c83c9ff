//! The index over the names of a module: they stay where the file has them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::super::image::Image;
use super::super::{Dynamic, UnwindTables};
use super::literals::Literals;
use super::made::MadeName;
use super::table::{Table, TableEntry};
use super::{plt, NameSource, Symbol, SymbolKind};
use crate::base::FileAddr;

/// How many symbols before an address are tried, for one that reaches over it (nested symbols of hand-written assembly).
const MAX_LOOK_BACK: usize = 64;
/// The table number of made names.
const MADE: u8 = u8::MAX;

/// The names of a module. A search by name reads the string tables and then the symbol tables once and builds nothing;
/// the first question about an address makes the order by address, 24 bytes for each name.
pub struct SymbolIndex {
    image: Arc<Image>,
    dynamic: Dynamic,
    unwind: Arc<UnwindTables>,
    tables: Tables,
    made: OnceLock<Vec<MadeName>>,
    sorted: OnceLock<Sorted>,
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

/// All names in address order, the best one of each address first.
struct Sorted {
    entries: Vec<Entry>,
    /// For each entry the end of the symbol that reaches furthest, of all up to it.
    reach: Vec<FileAddr>,
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
        let own = Table::symtab(image, NameSource::Symtab);
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
        SymbolIndex { image, dynamic, unwind, tables, made: OnceLock::new(), sorted: OnceLock::new() }
    }

    /// How many names the index holds.
    pub fn len(&self) -> usize {
        self.sorted().entries.len()
    }

    /// Whether the file has no names at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many symbols the tables of a source have, those that name nothing in this file included.
    pub fn table_len(&self, source: NameSource) -> usize {
        self.tables.list.iter().filter(|table| table.source == source).map(Table::len).sum()
    }

    /// All names in address order, the best one of each address first.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.sorted().entries.iter().map(|entry| self.symbol(entry))
    }

    /// What stands at an address, and how many bytes into it the address lies. A symbol is bounded by its size; one
    /// without a size by the FDE that covers it, else by the next FDE or symbol. An address that only an FDE covers is
    /// named `sub_<file address>`; any other is `None`.
    pub fn find_at(&self, at: FileAddr) -> Option<(Symbol<'_>, u64)> {
        let segment = self.image.segment_at(at)?;
        let Sorted { entries, reach } = self.sorted();
        let after = entries.partition_point(|entry| entry.address <= at);
        let mut tried = 0;
        let mut position = after;
        while position > 0 && tried < MAX_LOOK_BACK {
            let address = entries[position - 1].address;
            // The nearest symbol may reach over `at` without a size; those before it only by theirs.
            if address < segment.addr || (tried > 0 && reach[position - 1] <= at) {
                break;
            }
            let first = entries[..position].partition_point(|entry| entry.address < address);
            let aliases = &entries[first..position];
            let found = aliases.iter().take(MAX_LOOK_BACK).find(|entry| self.covers(entry, &entries[..after], at));
            if let Some(entry) = found {
                return Some((self.symbol(entry), at.since(address)));
            }
            position = first;
            tried += 1;
        }
        let range = self.unwind.find_function(at)?;
        let symbol = Symbol {
            name: Cow::Owned(format!("sub_{:x}", range.start.0)),
            address: range.start,
            size: range.end.since(range.start),
            kind: SymbolKind::Unwind,
            source: NameSource::EhFrame,
        };
        Some((symbol, at.since(range.start)))
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
        let code = |at: FileAddr| self.image.segment_at(at).is_some_and(|segment| segment.exec);
        let mut found = Vec::new();
        for (number, table) in self.tables.list.iter().enumerate() {
            let entry = |one: TableEntry| Entry {
                address: one.address,
                number: one.number,
                table: number as u8,
                kind: one.kind,
            };
            let candidates = literals.map(|literals| table.strings().find(literals));
            let wanted = |offset: usize| candidates.as_ref().is_none_or(|candidates| candidates.contains(offset));
            found.extend(table.select(&code, &wanted, &accepts).into_iter().map(entry));
        }
        if stubs == Stubs::Seen {
            let made = self.made().iter().enumerate().filter(|(_, one)| accepts(one.kind, one.name.as_bytes()));
            found.extend(made.map(|(number, one)| Entry::made(number, one)));
        }
        found
    }

    /// Puts names in order, the best one of an address first, and drops those that are there twice.
    pub(super) fn in_order(&self, entries: &mut Vec<Entry>) {
        entries.par_sort_unstable_by_key(|entry| (entry.address, entry.kind, entry.table, entry.number));
        for aliases in entries.chunk_by_mut(|a, b| a.address == b.address).filter(|aliases| aliases.len() > 1) {
            aliases.sort_by(|a, b| self.rank(a).cmp(&self.rank(b)));
        }
        entries.dedup_by(|b, a| a.address == b.address && self.raw_name(a) == self.raw_name(b));
    }

    fn sorted(&self) -> &Sorted {
        self.sorted.get_or_init(|| {
            let mut entries = self.select(None, Stubs::Seen, |_, _| true);
            self.in_order(&mut entries);
            let furthest = |reach: &mut FileAddr, entry: &Entry| {
                *reach = (*reach).max(FileAddr(entry.address.0.saturating_add(self.size(entry).max(1))));
                Some(*reach)
            };
            let reach = entries.iter().scan(FileAddr(0), furthest).collect();
            Sorted { entries, reach }
        })
    }

    fn made(&self) -> &[MadeName] {
        self.made.get_or_init(|| plt::decode_stubs(&self.image, &self.dynamic, &self.tables))
    }

    /// Whether an entry reaches over `at`; `before` are all entries up to there.
    fn covers(&self, entry: &Entry, before: &[Entry], at: FileAddr) -> bool {
        let offset = at.since(entry.address);
        if offset == 0 {
            return true;
        }
        let size = self.size(entry);
        if size > 0 {
            return offset < size;
        }
        if entry.kind == SymbolKind::Data || before.last().is_none_or(|last| last.address != entry.address) {
            return false;
        }
        match self.unwind.find_function(entry.address) {
            Some(range) => range.contains(at),
            None => self.unwind.find_next_start(entry.address).is_none_or(|next| at < next),
        }
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

    fn size(&self, entry: &Entry) -> u64 {
        match self.table(entry) {
            Some(table) => table.size(entry.number),
            None => self.made().get(entry.number as usize).map_or(0, |made| made.size),
        }
    }

    fn source(&self, entry: &Entry) -> NameSource {
        match self.table(entry) {
            Some(table) => table.source,
            None => self.made().get(entry.number as usize).map_or(NameSource::Plt, |made| made.source),
        }
    }

    /// The table that holds an entry; `None` for a made name.
    fn table(&self, entry: &Entry) -> Option<&Table> {
        self.tables.list.get(usize::from(entry.table))
    }

    /// The order of entries: by address, and there the name that a user would know first.
    fn rank(&self, entry: &Entry) -> impl Ord + '_ {
        let name = self.raw_name(entry);
        let mangled = name.starts_with(b"_Z") || name.starts_with(b"_R");
        let underscores = if mangled { 0 } else { name.iter().take_while(|byte| **byte == b'_').count() };
        let source = self.source(entry);
        (entry.address, entry.kind, self.size(entry) == 0, underscores, name.len(), name, source)
    }
}

impl Entry {
    fn made(number: usize, made: &MadeName) -> Entry {
        Entry { address: made.address, number: number as u32, table: MADE, kind: made.kind }
    }
}
