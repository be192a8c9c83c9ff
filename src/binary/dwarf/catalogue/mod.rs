//! Where each qualified name is defined: types, variables and enumerators outside of functions, of all units of a file.
//!
//! It is made by one pass over all units ([`gather`]), when a name is first looked for, and kept: with the file for the session,
//! and by a [`CatalogueStore`] for later ones. Of several definitions of one name it has the first. What it says of a name is
//! where to look: the entry itself decides. A name with an inline namespace in it stands there with it and without it.
//!
//! The bytes are [`Proved`]; the body has the names' hashes in order, a record for each, and the names without their scopes.

mod gather;
mod lately;
mod plan;
mod write;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gimli::SectionId;
use rayon::prelude::*;

use super::definitions::Wanted;
use super::type_list::NamedType;
use super::units::UnitKind;
use super::{Dwarf, EntryId, UnitId};
use crate::binary::proved::{word_at, Proved};
use crate::binary::symbols::file_name;
use crate::binary::FileBytes;
use write::Collector;

/// The format, and the rules by which names are gathered. What has another is made anew.
const MARK: [u8; 8] = *b"RDBGCAT\x02";
/// Bytes of a name's hash.
const HASH: usize = 8;
/// Bytes of a record: five numbers of 32 bits.
const RECORD: usize = 20;
/// Counts of the head: of the identity's bytes, the names, the bytes of text.
const COUNTS: usize = 3;
/// No record.
const NONE: u32 = u32::MAX;
/// Scopes in scopes; deeper ones are not written.
const DEPTH: usize = 64;
/// More threads than this do not make a catalogue: each has some megabytes of its own.
const WORKERS: usize = 16;
/// After so many bytes of entries the strings that were touched are let go of: names that were added are not looked at again.
const STRINGS_FOR: usize = 24 << 20;
/// What a unit in another file is taken for, bytes.
const SMALL: usize = 64 << 10;
/// Fewer names than this are not shared out.
const LISTED: usize = 4096;
/// A catalogue of less debug information is made in less time than it takes to keep it, bytes.
const WORTH_KEEPING: usize = 16 << 20;

/// Keeps a file's catalogue for later sessions.
pub trait CatalogueStore: Send + Sync {
    /// Whether there is memory to make one of so much debug information, bytes.
    fn has_room(&self, size: u64) -> bool;
    /// What names the file: its build-id, or what changes when the file does.
    fn file_id(&self) -> &str;
    /// What was kept for debug information of this identity.
    fn load(&self, identity: &[u8]) -> Option<FileBytes>;
    /// Keeps it, if it can.
    fn keep(&self, identity: &[u8], bytes: &[u8]);
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    /// A namespace, or a class that is not defined here: what others are in.
    Scope = 0,
    Class = 1,
    Struct = 2,
    Union = 3,
    Enum = 4,
    Typedef = 5,
    Base = 6,
    /// A variable or an enumerator.
    Value = 7,
}

/// The kinds, by their numbers.
const KINDS: [Kind; 8] =
    [Kind::Scope, Kind::Class, Kind::Struct, Kind::Union, Kind::Enum, Kind::Typedef, Kind::Base, Kind::Value];
/// Set in a record's kind where its name leaves inline namespaces out.
const SHORT: u8 = 0x80;

impl Kind {
    fn is(self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Type => !matches!(self, Kind::Scope | Kind::Value),
            Wanted::Value => self == Kind::Value,
        }
    }

    fn keyword(self) -> &'static str {
        match self {
            Kind::Class => "class",
            Kind::Struct => "struct",
            Kind::Union => "union",
            Kind::Enum => "enum",
            Kind::Typedef => "typedef",
            Kind::Scope | Kind::Base | Kind::Value => "",
        }
    }
}

/// The hash of a qualified name (FNV-1a), which goes on from that of its scope.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct NameHash(u64);

impl NameHash {
    /// Of no name: the scope of what is in none.
    const ROOT: NameHash = NameHash(0xcbf2_9ce4_8422_2325);

    fn of(name: &str) -> NameHash {
        NameHash::ROOT.with(name.as_bytes())
    }

    fn with(self, bytes: &[u8]) -> NameHash {
        NameHash(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)))
    }

    /// Of a name in the scope that this is the hash of.
    fn join(self, leaf: &[u8]) -> NameHash {
        if self == NameHash::ROOT {
            self.with(leaf)
        } else {
            self.with(b"::").with(leaf)
        }
    }
}

/// What a name is and where it is defined.
struct Record {
    kind: Kind,
    entry: EntryId,
}

/// The names of a file.
pub(super) struct Catalogue {
    bytes: Proved,
    names: usize,
}

impl Catalogue {
    /// `None` where the bytes are of another file or format, cut or damaged.
    fn open(bytes: FileBytes, identity: &[u8]) -> Option<Catalogue> {
        let body_len = |counts: &[u32]| {
            let names = u64::from(*counts.get(1)?) * (HASH + RECORD) as u64;
            usize::try_from(names + u64::from(*counts.get(2)?)).ok()
        };
        let bytes = Proved::open(bytes, &MARK, COUNTS, identity, body_len)?;
        let names = bytes.count(1) as usize;
        Some(Catalogue { bytes, names })
    }

    fn hash(&self, number: usize) -> Option<u64> {
        let bytes = self.bytes.part(number * HASH..(number + 1) * HASH)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn record(&self, number: usize) -> Option<Record> {
        if number >= self.names {
            return None;
        }
        let word = |at: usize| self.bytes.word(self.names * HASH + number * RECORD + at * 4);
        let (unit, offset, last) = (word(0)?, word(1)?, word(4)?);
        let kind = *KINDS.get(usize::from(last as u8 & !SHORT))?;
        Some(Record { kind, entry: EntryId { unit: UnitId::from_bits(unit), offset: u64::from(offset) } })
    }

    /// Entries that can define the name, the first of the file first; `None` where a part that is needed is damaged.
    pub fn entries(&self, wanted: Wanted, name: &str) -> Option<Vec<EntryId>> {
        let hash = NameHash::of(name).0;
        let (mut low, mut high) = (0, self.names);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.hash(middle)? < hash {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut found = Vec::new();
        // As many as there are kinds, with the short names.
        for number in (low..self.names).take(2 * KINDS.len()) {
            if self.hash(number)? != hash {
                break;
            }
            let record = self.record(number)?;
            if record.kind.is(wanted) {
                found.push(record.entry);
            }
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    fn listing(&self) -> Option<Listing<'_>> {
        Some(Listing { body: self.bytes.whole()?, names: self.names })
    }

    /// The types whose qualified names are wanted, in the order of their names; `None` where a part is damaged.
    pub fn types(&self, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Option<Vec<NamedType>> {
        let listing = self.listing()?;
        let begin = || (Vec::new(), Vec::new());
        let one = |(mut found, mut name): (Vec<NamedType>, Vec<u8>), number| {
            found.extend(listing.named_type(number, wanted, &mut name)?);
            Some((found, name))
        };
        let parts = (0..self.names).into_par_iter().with_min_len(LISTED).try_fold(begin, one);
        let parts: Option<Vec<(Vec<NamedType>, Vec<u8>)>> = parts.collect();
        let mut found: Vec<NamedType> = parts?.into_iter().flat_map(|(found, _)| found).collect();
        found.par_sort_unstable();
        Some(found)
    }
}

/// All names, for a look at each of them: the body has been proved.
struct Listing<'c> {
    body: &'c [u8],
    names: usize,
}

impl<'c> Listing<'c> {
    /// A number of a record.
    fn word(&self, number: usize, at: usize) -> Option<u32> {
        word_at(self.body.get(self.names * HASH + number * RECORD..)?, at)
    }

    /// A name without its scope, and the record of that.
    fn leaf(&self, number: usize) -> Option<(&'c [u8], u32)> {
        if number >= self.names {
            return None;
        }
        let (scope, start, last) = (self.word(number, 2)?, self.word(number, 3)?, self.word(number, 4)?);
        let start = self.names * (HASH + RECORD) + start as usize;
        Some((self.body.get(start..start + (last >> 8) as usize)?, scope))
    }

    /// The type that a record is of, where it is one that is wanted; `None`: it is not a record. `name` is what its name is
    /// written in.
    fn named_type(
        &self,
        number: usize,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        name: &mut Vec<u8>,
    ) -> Option<Option<NamedType>> {
        let last = self.word(number, 4)? as u8;
        let kind = *KINDS.get(usize::from(last & !SHORT))?;
        if last & SHORT != 0 || !kind.is(Wanted::Type) {
            return Some(None);
        }
        self.write_name(number, name)?;
        let name = std::str::from_utf8(name).map_or_else(|_| String::from_utf8_lossy(name), Cow::Borrowed);
        Some(wanted(&name).then(|| NamedType { name: name.into_owned(), keyword: kind.keyword() }))
    }

    fn write_name(&self, number: usize, name: &mut Vec<u8>) -> Option<()> {
        let mut parts = [&[][..]; DEPTH];
        let (leaf, mut scope) = self.leaf(number)?;
        parts[0] = leaf;
        let mut depth = 1;
        while scope != NONE && depth < DEPTH {
            (parts[depth], scope) = self.leaf(scope as usize)?;
            depth += 1;
        }
        name.clear();
        for part in parts[1..depth].iter().rev() {
            name.extend_from_slice(part);
            name.extend_from_slice(b"::");
        }
        name.extend_from_slice(leaf);
        Some(())
    }
}

/// The catalogue of a file, when there is one.
#[derive(Default)]
pub(super) struct Kept {
    store: Option<Arc<dyn CatalogueStore>>,
    catalogue: Mutex<Option<Arc<Catalogue>>>,
    /// What was kept is damaged.
    is_refused: AtomicBool,
}

impl Dwarf {
    /// The same, with a place where the catalogue of its names is kept.
    pub fn with_store(mut self, store: Arc<dyn CatalogueStore>) -> Self {
        self.catalogue.store = Some(store);
        self
    }

    /// Asks the catalogue. A question that it cannot answer since it is damaged goes to a new one; `None`: that was cancelled,
    /// memory is short, or there are too many names.
    pub(super) fn ask_catalogue<T>(&self, ask: impl Fn(&Catalogue) -> Option<T>) -> Option<T> {
        if let Some(answer) = ask(&*self.catalogue()?) {
            return Some(answer);
        }
        self.catalogue.is_refused.store(true, Ordering::Relaxed);
        *self.catalogue.catalogue.lock().unwrap_or_else(PoisonError::into_inner) = None;
        ask(&*self.catalogue()?)
    }

    /// Whether there is a catalogue already: then nothing else is faster.
    pub(super) fn has_catalogue(&self) -> bool {
        self.known_catalogue().is_some()
    }

    /// What there is, or was kept.
    fn known_catalogue(&self) -> Option<Arc<Catalogue>> {
        let lock = || self.catalogue.catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().clone() {
            return Some(known);
        }
        let store = self.catalogue_store().filter(|_| !self.catalogue.is_refused.load(Ordering::Relaxed))?;
        let identity = self.catalogue_identity(store.file_id());
        let kept = Catalogue::open(store.load(&identity)?, &identity)?;
        Some(lock().get_or_insert(Arc::new(kept)).clone())
    }

    /// What there is, what was kept, else a new one.
    fn catalogue(&self) -> Option<Arc<Catalogue>> {
        if let Some(known) = self.known_catalogue() {
            return Some(known);
        }
        let store = self.catalogue_store();
        let size = self.file.section(SectionId::DebugInfo).len() as u64;
        if store.is_some_and(|store| !store.has_room(size)) {
            return None;
        }
        let identity = self.catalogue_identity(store.map_or("", |store| store.file_id()));
        // No lock is held meanwhile: other questions can come up on the threads that do this.
        let bytes = self.gather(&identity)?;
        store.filter(|_| self.is_by_itself()).into_iter().for_each(|store| store.keep(&identity, &bytes));
        let made = Arc::new(Catalogue::open(Arc::new(bytes), &identity)?);
        let mut kept = self.catalogue.catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        Some(kept.get_or_insert(made).clone())
    }

    /// The place where a catalogue of this file is worth keeping.
    fn catalogue_store(&self) -> Option<&dyn CatalogueStore> {
        let is_large = self.file.section(SectionId::DebugInfo).len() >= WORTH_KEEPING;
        self.catalogue.store.as_deref().filter(|_| is_large)
    }

    /// The file, and what tells debug information from other of the same build: the sizes of its sections.
    fn catalogue_identity(&self, file_id: &str) -> Vec<u8> {
        let sizes = self.file.section_sizes().into_iter().flat_map(u64::to_le_bytes);
        file_id.bytes().take(256).chain(sizes).collect()
    }

    /// What depends on other files is not kept: they can change without this one.
    fn is_by_itself(&self) -> bool {
        self.supplement().is_none() && self.units().entries().all(|(_, entry)| entry.split.is_none())
    }

    /// The pass over all units.
    fn gather(&self, identity: &[u8]) -> Option<Vec<u8>> {
        let begun = Instant::now();
        let units = self.all_units();
        let file = file_name(self.file.path());
        self.progress.stage(&format!("reading the names of {file}"), units.len() as u64);
        let collector = Collector::default();
        let next = AtomicUsize::new(0);
        let workers = rayon::current_num_threads().min(WORKERS).min(units.len());
        (0..workers).into_par_iter().with_max_len(1).for_each(|_| self.gather_some(&units, &next, &collector));
        self.file.release(SectionId::DebugStr, 0..usize::MAX);
        if self.progress.is_cancelled() || collector.is_full() {
            return None;
        }
        let gathered = begun.elapsed();
        let bytes = collector.finish(identity)?;
        tracing::debug!(?file, bytes = bytes.len(), ?gathered, elapsed = ?begun.elapsed(), "a catalogue of names");
        Some(bytes)
    }

    /// One worker's part of the units, each the next that nobody has begun with.
    fn gather_some(&self, units: &[UnitId], next: &AtomicUsize, collector: &Collector) {
        // Of split units the file itself has little: there are as many as if each were a small one.
        let size = self.file.section(SectionId::DebugInfo).len().max(units.len() * SMALL);
        let mut worker = gather::Worker::new(size);
        let mut read = 0usize;
        while let Some(&unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
            if self.progress.is_cancelled() || collector.is_full() {
                return;
            }
            let found = gather::unit(&self.types(), unit, collector, &mut worker);
            found.unwrap_or_else(|error| tracing::debug!(%error, "bad entries in a unit"));
            self.progress.advance(1);
            if let Some((section, part)) = unit.own_index().and_then(|index| self.units().span(index)) {
                read += part.end.saturating_sub(part.start).min(STRINGS_FOR);
                self.file.release(section, part);
            }
            if read >= STRINGS_FOR {
                read = 0;
                self.file.release(SectionId::DebugStr, 0..usize::MAX);
            }
        }
    }

    /// The file's units, those of types in the files that it is split into, and those that it has in common with others.
    fn all_units(&self) -> Vec<UnitId> {
        let own = (0..self.units().len()).map(UnitId::own);
        let split = (0..self.split_type_units()).map(|index| UnitId::new(UnitKind::SplitType, index));
        let common = self.supplement().map_or(0, |one| one.units().len());
        own.chain(split).chain((0..common).map(|index| UnitId::new(UnitKind::Common, index))).collect()
    }
}

#[cfg(test)]
mod tests;
