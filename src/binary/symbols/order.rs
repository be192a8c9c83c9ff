//! What stands at an address: at first by a pass over the tables as they lie in the file, then by an order that is kept.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;

use rayon::prelude::*;

use super::index::Entry;
use super::ready::Ready;
use super::{Symbol, SymbolIndex, SymbolKind};
use crate::base::FileAddr;

/// So many questions are answered by a pass. The order costs as much as some tens of them, and 24 bytes for each name; a
/// session that sets a breakpoint and shows where it stands never needs it.
const PASSES: u32 = 24;
/// How many addresses before the one asked for are tried, for a symbol that reaches over it (nested symbols of hand-written
/// assembly).
const MAX_LOOK_BACK: usize = 64;
/// No more names of one address are compared: a hostile table could have all of its names there.
const MAX_ALIASES: usize = 4096;

/// The names of a module in address order, once it is worth making.
#[derive(Default)]
pub(super) struct ByAddress {
    asked: AtomicU32,
    order: OnceLock<MadeOrder>,
}

struct MadeOrder {
    /// Those of one address stand together, in no useful order.
    entries: Vec<Entry>,
    /// For each entry the end of the symbol that reaches furthest, of all up to it.
    reach: Vec<FileAddr>,
}

/// Entries in the order of their addresses.
trait Ordered {
    fn len(&self) -> usize;
    fn entry(&self, place: usize) -> Result<Entry, Damaged>;
    /// Whether an entry up to and with this place may reach over an address.
    fn may_reach(&self, place: usize, at: FileAddr) -> bool;
}

/// An order that was made ready cannot be read.
struct Damaged;

impl Ordered for MadeOrder {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, place: usize) -> Result<Entry, Damaged> {
        self.entries.get(place).copied().ok_or(Damaged)
    }

    fn may_reach(&self, place: usize, at: FileAddr) -> bool {
        self.reach.get(place).is_some_and(|reach| *reach > at)
    }
}

/// The order of an index that was made ready. It does not say how far symbols reach.
struct ReadyOrder<'a> {
    index: &'a SymbolIndex,
    ready: &'a Ready,
}

impl Ordered for ReadyOrder<'_> {
    fn len(&self) -> usize {
        self.ready.ordered()
    }

    fn entry(&self, place: usize) -> Result<Entry, Damaged> {
        self.ready.row(place).and_then(|row| self.index.entry_of_row(row)).ok_or(Damaged)
    }

    fn may_reach(&self, _place: usize, _at: FileAddr) -> bool {
        true
    }
}

/// The first place below `end` whose entry `is_before` does not take.
fn find_place(order: &impl Ordered, end: usize, is_before: impl Fn(&Entry) -> bool) -> Result<usize, Damaged> {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(&order.entry(middle)?) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The entries of the highest address of those that were offered.
#[derive(Default)]
struct Highest {
    address: FileAddr,
    entries: Vec<Entry>,
}

impl Highest {
    fn offer(&mut self, entry: Entry) {
        if entry.address > self.address || self.entries.is_empty() {
            self.entries.clear();
            self.address = entry.address;
        }
        if entry.address == self.address && self.entries.len() < MAX_ALIASES {
            self.entries.push(entry);
        }
    }
}

impl SymbolIndex {
    /// How many names the index holds.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether the file has no names at all.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// All names in address order, the best one of each address first; what two tables say alike comes once.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        let aliases = self.order().entries.chunk_by(|a, b| a.address == b.address);
        aliases.flat_map(|aliases| {
            let mut aliases = aliases.to_vec();
            self.in_order(&mut aliases);
            aliases.into_iter().map(|entry| self.symbol(&entry)).filter(|symbol| !symbol.name.is_empty())
        })
    }

    /// What stands at an address, and how many bytes into it the address lies. A symbol is bounded by its size; one
    /// without a size by the FDE that covers it, else by the next FDE or symbol. An address that only an FDE covers is
    /// named `sub_<file address>`; any other is `None`.
    pub fn find_at(&self, at: FileAddr) -> Option<(Symbol<'_>, u64)> {
        let first = self.image.segment_at(at)?.addr;
        let ready = self.ready.get().map(|ready| ReadyOrder { index: self, ready });
        let by_ready = ready.and_then(|order| self.find_in_order(&order, first, at).ok());
        let found = by_ready.unwrap_or_else(|| self.find_by_own_order(first, at));
        if let Some(entry) = found {
            return Some((self.symbol(&entry), at.since(entry.address)));
        }
        self.unwind.find_function(at).map(|range| (Symbol::of_frame(range), at.since(range.start)))
    }

    fn find_by_own_order(&self, first: FileAddr, at: FileAddr) -> Option<Entry> {
        let is_early = self.by_address.asked.fetch_add(1, Ordering::Relaxed) < PASSES;
        self.has_passed();
        match self.by_address.order.get() {
            None if is_early => self.find_by_pass(first, at),
            _ => self.find_in_order(self.order(), first, at).ok().flatten(),
        }
    }

    /// The entry that covers `at`, by one look at every entry. None below `first` is considered.
    fn find_by_pass(&self, first: FileAddr, at: FileAddr) -> Option<Entry> {
        let (mut nearest, mut reaching) = (Highest::default(), Highest::default());
        self.for_each(|entry, size| {
            if entry.address < first || entry.address > at {
                return;
            }
            nearest.offer(entry);
            if size > at.since(entry.address) {
                reaching.offer(entry);
            }
        });
        self.best_covering(&nearest.entries, Standing::Nearest, at)
            .or_else(|| self.best_covering(&reaching.entries, Standing::Further, at))
    }

    fn find_in_order(&self, order: &impl Ordered, first: FileAddr, at: FileAddr) -> Result<Option<Entry>, Damaged> {
        let mut position = find_place(order, order.len(), |entry| entry.address <= at)?;
        let mut standing = Standing::Nearest;
        for _ in 0..MAX_LOOK_BACK {
            if position == 0 {
                return Ok(None);
            }
            let address = order.entry(position - 1)?.address;
            // The nearest symbol may reach over `at` without a size; those before it only by theirs.
            if address < first || standing == Standing::Further && !order.may_reach(position - 1, at) {
                return Ok(None);
            }
            let start = find_place(order, position, |entry| entry.address < address)?;
            let aliases = (start..position).take(MAX_ALIASES).map(|place| order.entry(place));
            let aliases = aliases.collect::<Result<Vec<Entry>, Damaged>>()?;
            if let Some(found) = self.best_covering(&aliases, standing, at) {
                return Ok(Some(found));
            }
            (position, standing) = (start, Standing::Further);
        }
        Ok(None)
    }

    /// Of the names of one address the best one that reaches over `at`.
    fn best_covering(&self, aliases: &[Entry], standing: Standing, at: FileAddr) -> Option<Entry> {
        let covering = aliases.iter().take(MAX_ALIASES).filter(|entry| self.covers(entry, standing, at));
        let named = covering.filter(|entry| !self.raw_name(entry).is_empty());
        named.min_by(|a, b| self.rank(a).cmp(&self.rank(b))).copied()
    }

    fn covers(&self, entry: &Entry, standing: Standing, at: FileAddr) -> bool {
        let offset = at.since(entry.address);
        if offset == 0 {
            return true;
        }
        let size = self.size(entry);
        if size > 0 {
            return offset < size;
        }
        if entry.kind == SymbolKind::Data || standing == Standing::Further {
            return false;
        }
        match self.unwind.find_function(entry.address) {
            Some(range) => range.contains(at),
            None => self.unwind.find_next_start(entry.address).is_none_or(|next| at < next),
        }
    }

    fn order(&self) -> &MadeOrder {
        self.by_address.order.get_or_init(|| {
            let mut entries = Vec::new();
            self.for_each(|entry, _| entries.push(entry));
            entries.par_sort_unstable_by_key(|entry| entry.address);
            let furthest = |reach: &mut FileAddr, entry: &Entry| {
                *reach = (*reach).max(FileAddr(entry.address.0.saturating_add(self.size(entry).max(1))));
                Some(*reach)
            };
            let reach = entries.iter().scan(FileAddr(0), furthest).collect();
            MadeOrder { entries, reach }
        })
    }

    /// Puts names in order, the best one of an address first, and drops those that are there twice.
    pub(super) fn in_order(&self, entries: &mut Vec<Entry>) {
        entries.par_sort_unstable_by_key(|entry| entry.address);
        for aliases in entries.chunk_by_mut(|a, b| a.address == b.address).filter(|aliases| aliases.len() > 1) {
            aliases.sort_by(|a, b| self.rank(a).cmp(&self.rank(b)));
        }
        entries.dedup_by(|b, a| a.address == b.address && self.raw_name(a) == self.raw_name(b));
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

/// How the names of an address stand to an address behind them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// No name stands between.
    Nearest,
    /// Others stand between.
    Further,
}
