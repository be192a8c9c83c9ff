//! Collecting names from all units at once, and writing them down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
        let shard = (found.key.hash.0 >> 58) as usize % SHARDS;
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
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
        // The shards are in the order of the hashes.
        let mut order: Vec<(Key, Kept)> = Vec::with_capacity(self.names.into_inner());
        let mut text = Vec::with_capacity(self.text.into_inner());
        for shard in shards {
            let (first, before) = (order.len(), u32::try_from(text.len()).ok()?);
            order.extend(shard.names.into_iter().map(|(key, kept)| (key, Kept { start: before + kept.start, ..kept })));
            order[first..].sort_unstable_by_key(|(key, _)| *key);
            text.extend(shard.text);
        }
        let scope_of = |hash: NameHash| {
            let at = order.partition_point(|(key, _)| key.hash < hash);
            let is_it = hash != NameHash::ROOT && order.get(at).is_some_and(|(key, _)| key.hash == hash);
            if is_it {
                at as u32
            } else {
                NONE
            }
        };
        let mut body = Vec::with_capacity(order.len() * (HASH + RECORD) + text.len());
        body.extend(order.iter().flat_map(|(key, _)| key.hash.0.to_le_bytes()));
        for (key, kept) in &order {
            let kind = key.kind as u32 | if key.is_short { u32::from(SHORT) } else { 0 };
            let offset = u32::try_from(kept.entry.offset).ok()?;
            let words = [kept.entry.unit.bits(), offset, scope_of(kept.scope), kept.start, kept.len << 8 | kind];
            body.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }
        let counts = [u32::try_from(order.len()).ok()?, u32::try_from(text.len()).ok()?];
        body.extend(text);
        Proved::make(&MARK, &counts, identity, &body)
    }
}
