//! Collecting names from all units at once, and writing them down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::{Kind, NameHash, HASH, MARK, NONE, RECORD, SHORT};
use crate::binary::dwarf::EntryId;
use crate::binary::proved::Proved;

/// Parts of the collection that are locked each by itself.
const SHARDS: usize = 64;
/// More names than this are not kept: a file that has them wants all memory.
const MAX_NAMES: usize = 8 << 20;
/// The same of the names' bytes; each name counts without its scopes.
const MAX_TEXT: usize = 256 << 20;
/// A longer name is cut where names are listed; a record has 24 bits for its length.
const MAX_NAME: usize = (1 << 24) - 1;

/// What names a record: one name can stand for a type and for a variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub hash: NameHash,
    pub kind: Kind,
    /// Whether inline namespaces are left out of the name.
    pub is_short: bool,
}

/// What a unit has of a name.
pub(super) struct Found<'a> {
    pub key: Key,
    pub entry: EntryId,
    pub scope: NameHash,
    /// The name's last component.
    pub leaf: &'a [u8],
}

#[derive(Clone, Copy)]
struct Kept {
    entry: EntryId,
    scope: NameHash,
    /// In the shard's text.
    start: u32,
    len: u32,
}

#[derive(Default)]
struct Shard {
    names: FxHashMap<Key, Kept>,
    text: Vec<u8>,
}

/// Names of units that are read on several processors.
pub(super) struct Collector {
    shards: [Mutex<Shard>; SHARDS],
    names: AtomicUsize,
    text: AtomicUsize,
    is_full: AtomicBool,
}

impl Default for Collector {
    fn default() -> Self {
        Collector {
            shards: std::array::from_fn(|_| Mutex::default()),
            names: AtomicUsize::new(0),
            text: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
        }
    }
}

impl Collector {
    /// Adds a name, where none of an earlier entry stands.
    pub fn add(&self, found: &Found<'_>) {
        let mut shard = self.shards[shard_of(found.key.hash)].lock().unwrap_or_else(PoisonError::into_inner);
        let Shard { names, text } = &mut *shard;
        match names.entry(found.key) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                if found.entry < known.get().entry {
                    known.get_mut().entry = found.entry;
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                let leaf = &found.leaf[..found.leaf.len().min(MAX_NAME)];
                let count = self.names.fetch_add(1, Ordering::Relaxed) + 1;
                let bytes = self.text.fetch_add(leaf.len(), Ordering::Relaxed) + leaf.len();
                if count > MAX_NAMES || bytes > MAX_TEXT {
                    self.is_full.store(true, Ordering::Relaxed);
                    return;
                }
                let (start, len) = (text.len() as u32, leaf.len() as u32);
                text.extend_from_slice(leaf);
                place.insert(Kept { entry: found.entry, scope: found.scope, start, len });
            }
        }
    }

    /// Whether there is more than is kept.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// The catalogue's bytes; `None` where a number does not fit.
    pub fn finish(self, identity: &[u8]) -> Option<Vec<u8>> {
        let shards = self.shards.map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        let in_order: Vec<Part> = Vec::from(shards).into_par_iter().map(Part::of).collect();
        let order = Order::of(in_order)?;
        let records: Option<Vec<Vec<u8>>> =
            (0..order.parts.len()).into_par_iter().map(|at| order.records(at)).collect();
        let records = records?;
        let counts = [order.names, order.text];
        let body_len = order.names as usize * (HASH + RECORD) + order.text as usize;
        Proved::make_with(&MARK, &counts, identity, body_len, |body| {
            let hashes = order.parts.iter().flat_map(|part| &part.names).map(|(key, _)| key.hash.0);
            hashes.for_each(|hash| body.extend(hash.to_le_bytes()));
            records.iter().for_each(|part| body.extend(part));
            order.parts.iter().for_each(|part| body.extend(&part.text));
        })
    }
}

/// The names of a shard, in order.
struct Part {
    names: Vec<(Key, Kept)>,
    text: Vec<u8>,
}

impl Part {
    fn of(shard: Shard) -> Part {
        let mut names: Vec<(Key, Kept)> = shard.names.into_iter().collect();
        names.sort_unstable_by_key(|(key, _)| *key);
        Part { names, text: shard.text }
    }
}

/// All names: those of the shards one after the other are in the order of the hashes.
struct Order {
    parts: Vec<Part>,
    /// Of each part, how many names and bytes of text come before it.
    before: Vec<(u32, u32)>,
    names: u32,
    text: u32,
}

impl Order {
    fn of(parts: Vec<Part>) -> Option<Order> {
        let (mut names, mut text) = (0u32, 0u32);
        let mut before = Vec::with_capacity(parts.len());
        for part in &parts {
            before.push((names, text));
            names = names.checked_add(u32::try_from(part.names.len()).ok()?)?;
            text = text.checked_add(u32::try_from(part.text.len()).ok()?)?;
        }
        Some(Order { parts, before, names, text })
    }

    /// The number of the first record of a hash.
    fn number(&self, hash: NameHash) -> u32 {
        let at = shard_of(hash);
        let names = &self.parts[at].names;
        let first = first_not_below(names, hash);
        let is_it = hash != NameHash::ROOT && names.get(first).is_some_and(|(key, _)| key.hash == hash);
        if is_it {
            self.before[at].0 + first as u32
        } else {
            NONE
        }
    }

    /// The records of a part.
    fn records(&self, at: usize) -> Option<Vec<u8>> {
        let names = &self.parts[at].names;
        let mut bytes = Vec::with_capacity(names.len() * RECORD);
        for (key, kept) in names {
            let kind = key.kind as u32 | if key.is_short { u32::from(SHORT) } else { 0 };
            let offset = u32::try_from(kept.entry.offset).ok()?;
            let (scope, start) = (self.number(kept.scope), self.before[at].1 + kept.start);
            let words = [kept.entry.unit.bits(), offset, scope, start, kept.len << 8 | kind];
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }
        Some(bytes)
    }
}

/// Where a hash is in a part, or would be. Hashes are spread evenly: it is looked for from where it should be.
fn first_not_below(names: &[(Key, Kept)], hash: NameHash) -> usize {
    let is_below = |at: usize| names.get(at).is_some_and(|(key, _)| key.hash < hash);
    let within_part = u128::from(hash.0 << SHARDS.trailing_zeros());
    let guess = ((within_part * names.len() as u128) >> u64::BITS) as usize;
    let (mut low, mut high, mut step) = (guess, guess, 1);
    while low > 0 && !is_below(low - 1) {
        high = low;
        low = low.saturating_sub(step);
        step *= 2;
    }
    while is_below(high) {
        low = high;
        high = (high + step).min(names.len());
        step *= 2;
    }
    low + names[low..high].partition_point(|(key, _)| key.hash < hash)
}

/// Which shard the names of a hash are in.
fn shard_of(hash: NameHash) -> usize {
    (hash.0 >> (u64::BITS - SHARDS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_found_where_it_is_wherever_it_should_be() {
        let entry = EntryId { unit: crate::binary::dwarf::UnitId::own(0), offset: 0 };
        let one = |hash: u64| {
            let key = Key { hash: NameHash(hash), kind: Kind::Class, is_short: false };
            (key, Kept { entry, scope: NameHash::ROOT, start: 0, len: 0 })
        };
        let spread = |count: u64| (0..count).map(move |number| number * ((1 << 58) / count));
        let huddled: Vec<u64> = (0..100).chain(((1 << 58) - 100)..1 << 58).collect();
        for hashes in [vec![], vec![7], spread(2).collect(), spread(1000).collect(), huddled, vec![5; 40]] {
            let names: Vec<_> = hashes.iter().map(|hash| one(*hash)).collect();
            let asked = hashes.iter().flat_map(|hash| [hash.saturating_sub(1), *hash, hash + 1]);
            for hash in asked.chain([0, 1 << 57, (1 << 58) - 1]).map(NameHash) {
                let right = names.partition_point(|(key, _)| key.hash < hash);
                assert_eq!(first_not_below(&names, hash), right, "{hash:?} of {}", names.len());
            }
        }
    }
}
