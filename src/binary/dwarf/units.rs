//! The units of a file: where they are, and what their root entries say.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use gimli::{
    DebugLineOffset, DebugStrOffsetsBase, DebugTypeSignature, SectionId, UnitHeader, UnitSectionOffset, UnitType,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::coverage::Coverage;
use super::entry::EntryId;
use super::sections::{DebugFile, Slice};
use super::unit::{header_at, open_root, OpenUnit, Sections};
use crate::base::FileAddr;

/// Which unit: one of the file, or one that a file has which it refers to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnitId(u32);

/// Where a unit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UnitKind {
    /// In the file's table; a skeleton stands for the unit that has its entries.
    Own,
    /// A type's, of a .dwo or .dwp.
    SplitType,
    /// Of the file that several have in common.
    Common,
}

/// Bits of a [`UnitId`] that are an index.
const INDEX_BITS: u32 = 30;

impl UnitId {
    /// One of the file's table.
    pub(super) fn own(index: usize) -> Self {
        Self::new(UnitKind::Own, index)
    }

    /// More units than there are numbers are none: their index is that of no unit.
    pub(super) fn new(kind: UnitKind, index: usize) -> Self {
        Self((kind as u32) << INDEX_BITS | u32::try_from(index).unwrap_or(u32::MAX).min((1 << INDEX_BITS) - 1))
    }

    /// As a number to be kept.
    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// Of such a number; one that is none is that of no unit.
    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Its index, if it is one of the file's table.
    pub(super) fn own_index(self) -> Option<usize> {
        self.index(UnitKind::Own)
    }

    /// Its index among those of a kind; `None`: it is of another.
    pub(super) fn index(self, kind: UnitKind) -> Option<usize> {
        (self.0 >> INDEX_BITS == kind as u32).then_some((self.0 & ((1 << INDEX_BITS) - 1)) as usize)
    }
}

/// So many units are looked at together. What was touched of them is then let go of: the kernel maps whatever is cached
/// around each of their entries.
const BATCH: usize = 64;

/// All units of .debug_info and then those of .debug_types (DWARF 4, 7.5.1.2), found through one pass over their headers. The
/// root entry of one is read when something is asked that it tells.
pub(super) struct UnitTable {
    file: Arc<DebugFile>,
    units: Vec<Unit>,
    /// How many of them are in .debug_info.
    info: usize,
    coverage: Coverage,
    /// The types that have a unit of their own, by their signatures (DWARF 5, 3.1.4).
    types: FxHashMap<u64, EntryId>,
    /// Why the pass ended before the section did, and where.
    pub broken: Option<(u64, String)>,
}

/// One unit.
struct Unit {
    offset: UnitSectionOffset,
    /// `None`: its root entry cannot be read.
    root: OnceLock<Option<UnitEntry>>,
}

/// What the root entry of a unit says.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitEntry {
    pub lines: Option<DebugLineOffset>,
    /// Where its offsets of strings are, if it names strings by their index.
    pub strings: Option<DebugStrOffsetsBase>,
    /// What identifies the unit of another file that has its entries, if it is a skeleton.
    pub split: Option<u64>,
}

impl UnitTable {
    /// Reads the headers.
    pub fn read(file: Arc<DebugFile>) -> Self {
        let (coverage, broken) = Default::default();
        let (units, types) = (Vec::new(), FxHashMap::default());
        let mut table = UnitTable { file: file.clone(), units, info: 0, coverage, types, broken };
        let dwarf = file.read();
        let (mut units, mut types) = (dwarf.units(), dwarf.type_units());
        table.add(SectionId::DebugInfo, &mut || units.next());
        table.info = table.units.len();
        table.add(SectionId::DebugTypes, &mut || types.next());
        table.units.shrink_to_fit();
        table
    }

    /// Adds what `next` gives, the units of one section.
    fn add<'a>(&mut self, section: SectionId, next: &mut dyn FnMut() -> gimli::Result<Option<UnitHeader<Slice<'a>>>>) {
        let (mut at, mut released) = (0, 0);
        loop {
            let header = match next() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error) => {
                    self.broken.get_or_insert_with(|| (at as u64, error.to_string()));
                    break;
                }
            };
            at = in_section(header.offset());
            match header.type_() {
                UnitType::Compilation | UnitType::Partial | UnitType::Skeleton(_) => {}
                UnitType::Type { type_signature, type_offset } => {
                    let id = EntryId { unit: UnitId::own(self.units.len()), offset: type_offset.0 as u64 };
                    self.types.entry(type_signature.0).or_insert(id);
                }
                _ => continue,
            }
            self.units.push(Unit { offset: header.offset(), root: OnceLock::new() });
            if self.units.len() % BATCH == 0 {
                self.file.release(section, released..at);
                released = at;
            }
        }
        self.file.release(section, released..usize::MAX);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Where one of them begins.
    pub fn place(&self, unit: UnitId) -> Option<UnitSectionOffset> {
        Some(self.units.get(unit.own_index()?)?.offset)
    }

    /// What the root entry of one says.
    pub fn entry(&self, unit: UnitId) -> Option<&UnitEntry> {
        self.entry_in(&self.sections(), unit.own_index()?)
    }

    fn entry_in(&self, dwarf: &Sections<'_>, index: usize) -> Option<&UnitEntry> {
        let read = || {
            let open = self.open_root(dwarf, index)?;
            // The line program of a type's unit is that of the units that use the type.
            let is_type = matches!(open.unit.header.type_(), UnitType::Type { .. });
            let lines = open.root.lines.filter(|_| !is_type);
            Some(UnitEntry { lines, strings: open.root.strings, split: open.root.split.filter(|_| !is_type) })
        };
        self.units.get(index)?.root.get_or_init(read).as_ref()
    }

    /// What the root entries say that can be read.
    pub fn entries(&self) -> impl Iterator<Item = (UnitId, &UnitEntry)> {
        let dwarf = self.sections();
        (0..self.len()).filter_map(move |index| Some((UnitId::own(index), self.entry_in(&dwarf, index)?)))
    }

    /// Reads all root entries, on all processors: the first to ask for all of them may do it. Not from within other work on
    /// several processors.
    pub fn read_entries(&self) {
        self.for_each_root(&|dwarf, index| {
            self.entry_in(dwarf, index);
        });
    }

    /// Calls `visit` with each unit that has a header of its own, on all processors.
    pub fn for_each_root<'a>(&'a self, visit: &(dyn Fn(&Sections<'a>, usize) + Sync)) {
        let dwarf = self.sections();
        let visit_part = |part: Range<usize>| {
            part.clone().for_each(|index| visit(&dwarf, index));
            if let Some(((section, first), (_, last))) = self.span(part.start).zip(self.span(part.end - 1)) {
                self.file.release(section, first.start..last.start.max(first.end));
            }
        };
        // A part lies in one section.
        let parts = [0..self.info, self.info..self.len()].into_iter().flat_map(|all| {
            let end = all.end;
            all.step_by(BATCH).map(move |start| start..end.min(start + BATCH))
        });
        parts.collect::<Vec<_>>().into_par_iter().for_each(visit_part);
        for section in [SectionId::DebugRanges, SectionId::DebugRngLists, SectionId::DebugAbbrev] {
            self.file.release(section, 0..usize::MAX);
        }
    }

    /// Opens a unit so far as its root entry is concerned.
    pub fn open_root<'a>(&self, dwarf: &Sections<'a>, index: usize) -> Option<OpenUnit<'a>> {
        open_root(dwarf, header_at(dwarf, self.units.get(index)?.offset).ok()?).ok()
    }

    /// The file's own sections.
    pub fn sections(&self) -> Sections<'_> {
        Arc::new(self.file.read())
    }

    /// The bytes of one of the file's units and what follows it up to the next, in its section.
    pub fn span(&self, index: usize) -> Option<(SectionId, Range<usize>)> {
        let section = if index < self.info { SectionId::DebugInfo } else { SectionId::DebugTypes };
        let is_last = index + 1 == self.info || index + 1 == self.units.len();
        let end = if is_last { usize::MAX } else { in_section(self.units.get(index + 1)?.offset) };
        Some((section, in_section(self.units.get(index)?.offset)..end))
    }

    /// The entry at an offset in .debug_info or .debug_types.
    pub fn entry_at(&self, section: SectionId, at: usize) -> Option<EntryId> {
        let (info, types) = self.units.split_at(self.info);
        let (units, before) = if section == SectionId::DebugTypes { (types, self.info) } else { (info, 0) };
        let index = units.partition_point(|one| in_section(one.offset) <= at).checked_sub(1)?;
        let offset = (at - in_section(units[index].offset)) as u64;
        Some(EntryId { unit: UnitId::own(before + index), offset })
    }

    /// The offset in .debug_info of an entry, if that is where it is.
    pub fn offset_of(&self, id: EntryId) -> Option<u64> {
        self.entry(id.unit).filter(|one| one.split.is_none())?;
        let UnitSectionOffset::DebugInfoOffset(start) = self.place(id.unit)? else { return None };
        Some(start.0 as u64 + id.offset)
    }

    /// The unit that covers an address.
    pub fn unit_at(&self, at: FileAddr) -> Option<UnitId> {
        self.coverage.unit_at(self, at)
    }

    /// The type of a signature.
    pub fn type_signed(&self, signature: DebugTypeSignature) -> Option<EntryId> {
        self.types.get(&signature.0).copied()
    }

    pub(super) fn file(&self) -> &DebugFile {
        &self.file
    }
}

fn in_section(offset: UnitSectionOffset) -> usize {
    match offset {
        UnitSectionOffset::DebugInfoOffset(offset) => offset.0,
        UnitSectionOffset::DebugTypesOffset(offset) => offset.0,
    }
}
