//! The index: every name of a module in address order.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use super::super::image::Image;
use super::super::{Dynamic, UnwindTables};
use super::table::{read_symbols, RawSymbol};
use super::{plt, NameSource, Symbol, SymbolKind};
use crate::base::FileAddr;

/// How many symbols before an address are tried, for one that reaches over it (nested symbols of hand-written assembly).
const MAX_LOOK_BACK: usize = 64;

/// The names of a module in address order. Names stay in the file's bytes; an entry takes 32 bytes.
pub struct SymbolIndex {
    pub(super) image: Arc<Image>,
    unwind: Arc<UnwindTables>,
    /// Sorted by address, the best name of an address first.
    pub(super) entries: Vec<Entry>,
    /// For each entry the end of the symbol that reaches furthest, of all up to it.
    reach: Vec<FileAddr>,
    /// The names of PLT stubs, which are in no file.
    made_names: String,
}

/// One name.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub address: FileAddr,
    size: u64,
    /// An offset into the file, for [`NameSource::Plt`] into `made_names`.
    name_start: usize,
    name_len: u32,
    pub kind: SymbolKind,
    source: NameSource,
}

impl SymbolIndex {
    pub(in crate::binary) fn build(image: Arc<Image>, dynamic: &Dynamic, unwind: Arc<UnwindTables>) -> SymbolIndex {
        let tables = read_symbols(&image, dynamic);
        let mut entries: Vec<Entry> = tables.functions_and_data.iter().map(Entry::from_raw).collect();
        let mut made_names = String::new();
        for stub in plt::decode_stubs(&image, dynamic, &tables) {
            let name_start = made_names.len();
            made_names.push_str(&stub.name);
            made_names.push_str("@plt");
            entries.push(Entry {
                address: stub.address,
                size: stub.size,
                name_start,
                name_len: (made_names.len() - name_start) as u32,
                kind: SymbolKind::Plt,
                source: NameSource::Plt,
            });
        }
        let mut index = SymbolIndex { image, unwind, entries: Vec::new(), reach: Vec::new(), made_names };
        entries.par_sort_unstable_by(|a, b| index.rank(a).cmp(&index.rank(b)));
        entries.dedup_by(|b, a| a.address == b.address && index.raw_name(a) == index.raw_name(b));
        let furthest = |reach: &mut FileAddr, entry: &Entry| {
            *reach = (*reach).max(FileAddr(entry.address.0.saturating_add(entry.size.max(1))));
            Some(*reach)
        };
        index.reach = entries.iter().scan(FileAddr(0), furthest).collect();
        index.entries = entries;
        index
    }

    /// How many names the index holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the file has no names at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All names in address order, the best one of each address first.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.entries.iter().map(|entry| self.symbol(entry))
    }

    /// What stands at an address, and how many bytes into it the address lies. A symbol is bounded by its size; one
    /// without a size by the FDE that covers it, else by the next FDE or symbol. An address that only an FDE covers is
    /// named `sub_<file address>`; any other is `None`.
    pub fn find_at(&self, at: FileAddr) -> Option<(Symbol<'_>, u64)> {
        let segment = self.image.segment_at(at)?;
        let after = self.entries.partition_point(|entry| entry.address <= at);
        let mut tried = 0;
        let mut position = after;
        while position > 0 && tried < MAX_LOOK_BACK {
            let address = self.entries[position - 1].address;
            // The nearest symbol may reach over `at` without a size; those before it only by theirs.
            if address < segment.addr || (tried > 0 && self.reach[position - 1] <= at) {
                break;
            }
            let first = self.entries[..position].partition_point(|entry| entry.address < address);
            let aliases = &self.entries[first..position];
            let found = aliases.iter().take(MAX_LOOK_BACK).find(|entry| self.covers(entry, after, at));
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
        let named = self.entries.par_iter().filter(|entry| self.raw_name(entry) == name.as_bytes());
        named.min_by_key(|entry| (entry.kind, entry.address)).map(|entry| self.symbol(entry))
    }

    /// The address of the data symbol of exactly this name.
    pub fn find_data(&self, name: &str) -> Option<FileAddr> {
        let is_it = |entry: &&Entry| entry.kind == SymbolKind::Data && self.raw_name(entry) == name.as_bytes();
        self.entries.par_iter().find_first(is_it).map(|entry| entry.address)
    }

    /// Whether an entry reaches over `at`; `after` is the position of the first entry beyond `at`.
    fn covers(&self, entry: &Entry, after: usize, at: FileAddr) -> bool {
        let offset = at.since(entry.address);
        if offset == 0 {
            return true;
        }
        if entry.size > 0 {
            return offset < entry.size;
        }
        if entry.kind == SymbolKind::Data
            || self.entries[..after].last().is_none_or(|last| last.address != entry.address)
        {
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
            size: entry.size,
            kind: entry.kind,
            source: entry.source,
        }
    }

    pub(super) fn raw_name(&self, entry: &Entry) -> &[u8] {
        let bytes = match entry.source {
            NameSource::Plt => self.made_names.as_bytes(),
            _ => self.image.bytes(),
        };
        bytes.get(entry.name_start..entry.name_start + entry.name_len as usize).unwrap_or_default()
    }

    /// The order of entries: by address, and there the name that a user would know first.
    fn rank(&self, entry: &Entry) -> impl Ord + '_ {
        let name = self.raw_name(entry);
        let mangled = name.starts_with(b"_Z") || name.starts_with(b"_R");
        let underscores = if mangled { 0 } else { name.iter().take_while(|byte| **byte == b'_').count() };
        (entry.address, entry.kind, entry.size == 0, underscores, name.len(), name, entry.source)
    }
}

impl Entry {
    fn from_raw(raw: &RawSymbol) -> Entry {
        Entry {
            address: raw.address,
            size: raw.size,
            name_start: raw.name.start,
            name_len: u32::try_from(raw.name.len()).unwrap_or(u32::MAX),
            kind: raw.kind,
            source: raw.source,
        }
    }
}
