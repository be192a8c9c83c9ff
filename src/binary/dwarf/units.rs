//! The units of a file: where they are, what they cover, which line program is theirs.

use std::ops::Range;
use std::sync::Arc;

use gimli::{
    DebugLineOffset, DebugStrOffsetsBase, DebugTypeSignature, SectionId, UnitHeader, UnitSectionOffset, UnitType,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::entry::EntryId;
use super::sections::{DebugFile, Slice};
use super::unit::{open_unit, Sections};
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

    /// Its index among those of a kind; `None`: it is of another.
    pub(super) fn index(self, kind: UnitKind) -> Option<usize> {
        (self.0 >> INDEX_BITS == kind as u32).then_some((self.0 & ((1 << INDEX_BITS) - 1)) as usize)
    }
}

/// How many ranges before a pc are looked at: ranges do not overlap in what compilers write.
const LOOK_BACK: usize = 32;
/// Of a range that is longer than 4 GiB, so many parts of that length are kept.
const MAX_PARTS: usize = 16;
/// So many units are scanned together. What was touched of them is then let go of: the kernel maps whatever is cached
/// around each of their entries.
const BATCH: usize = 64;

/// All units of .debug_info and then those of .debug_types (DWARF 4, 7.5.1.2), found through one pass over headers and root
/// entries; what lies between them is not touched.
#[derive(Default)]
pub(super) struct UnitTable {
    pub units: Vec<UnitEntry>,
    /// How many of them are in .debug_info.
    info: usize,
    covered: Vec<Covered>,
    /// The types that have a unit of their own, by their signatures (DWARF 5, 3.1.4).
    types: FxHashMap<u64, EntryId>,
    /// Why the pass ended before the section did, and where.
    pub broken: Option<(u64, String)>,
}

/// One unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitEntry {
    pub offset: UnitSectionOffset,
    pub lines: Option<DebugLineOffset>,
    /// Where its offsets of strings are, if it names strings by their index.
    pub strings: Option<DebugStrOffsetsBase>,
    /// What identifies the unit of another file that has its entries, if it is a skeleton.
    pub split: Option<u64>,
}

/// A range of addresses and the unit that it belongs to. There can be a million of them, one for each function.
#[derive(Clone, Copy, Debug)]
struct Covered {
    start: u64,
    /// Bytes.
    len: u32,
    unit: UnitId,
}

impl Covered {
    /// The ranges of one unit; those that follow each other are one.
    fn of_unit(unit: UnitId, ranges: Vec<(u64, u64)>) -> Vec<Covered> {
        let mut joined: Vec<Covered> = Vec::new();
        for (mut start, end) in ranges {
            match joined.last_mut() {
                Some(last) if last.end() == start && u64::from(last.len) + (end - start) <= u64::from(u32::MAX) => {
                    last.len += (end - start) as u32;
                    continue;
                }
                _ => {}
            }
            // The memory of a range that no program can have is bounded all the same.
            for _ in 0..MAX_PARTS {
                let len = (end - start).min(u64::from(u32::MAX)) as u32;
                joined.push(Covered { start, len, unit });
                start += u64::from(len);
                if start == end {
                    break;
                }
            }
        }
        joined.shrink_to_fit();
        joined
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.len.into())
    }
}

impl UnitTable {
    /// Scans the root entries, on all processors.
    pub fn scan(file: &DebugFile) -> Self {
        let dwarf = Arc::new(file.read());
        let mut table = UnitTable::default();
        let (mut units, mut types) = (dwarf.units(), dwarf.type_units());
        table.read(file, &dwarf, SectionId::DebugInfo, &mut || units.next());
        table.info = table.units.len();
        table.read(file, &dwarf, SectionId::DebugTypes, &mut || types.next());
        for section in [SectionId::DebugRanges, SectionId::DebugRngLists, SectionId::DebugAbbrev] {
            file.release(section, 0..usize::MAX);
        }
        table.covered.sort_unstable_by_key(|one| one.start);
        table
    }

    /// Reads what `next` gives, the units of one section.
    fn read<'a>(
        &mut self,
        file: &DebugFile,
        dwarf: &Sections<'a>,
        section: SectionId,
        next: &mut dyn FnMut() -> gimli::Result<Option<UnitHeader<Slice<'a>>>>,
    ) {
        let (mut at, mut is_over) = (0, false);
        while !is_over {
            let mut headers = Vec::with_capacity(BATCH);
            while headers.len() < BATCH && !is_over {
                match next() {
                    Ok(Some(header)) => headers.extend(is_wanted(&header).then_some(header)),
                    Ok(None) => is_over = true,
                    Err(error) => {
                        let at = headers.last().map_or(at, |one: &UnitHeader<_>| in_section(one.offset()));
                        self.broken.get_or_insert_with(|| (at as u64, error.to_string()));
                        is_over = true;
                    }
                }
            }
            let scanned: Vec<_> = headers.par_iter().filter_map(|header| scan_unit(dwarf, header)).collect();
            for (entry, ranges, signed) in scanned {
                let unit = UnitId::own(self.units.len());
                if let Some((signature, offset)) = signed {
                    self.types.entry(signature).or_insert(EntryId { unit, offset });
                }
                self.units.push(entry);
                self.covered.extend(Covered::of_unit(unit, ranges));
            }
            let end = headers.last().map_or(at, |one| in_section(one.offset()));
            file.release(section, at..end);
            at = end;
        }
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
        let entry = self.entry(id.unit).filter(|one| one.split.is_none())?;
        let UnitSectionOffset::DebugInfoOffset(start) = entry.offset else { return None };
        Some(start.0 as u64 + id.offset)
    }

    /// The unit that covers an address.
    pub fn unit_at(&self, at: FileAddr) -> Option<UnitId> {
        let after = self.covered.partition_point(|one| one.start <= at.0);
        let near = self.covered[..after].iter().rev().take(LOOK_BACK);
        near.into_iter().find(|one| at.0 < one.end()).map(|one| one.unit)
    }

    /// The type of a signature.
    pub fn type_signed(&self, signature: DebugTypeSignature) -> Option<EntryId> {
        self.types.get(&signature.0).copied()
    }

    /// A unit's entry.
    pub fn entry(&self, unit: UnitId) -> Option<&UnitEntry> {
        self.units.get(unit.index(UnitKind::Own)?)
    }
}

fn in_section(offset: UnitSectionOffset) -> usize {
    match offset {
        UnitSectionOffset::DebugInfoOffset(offset) => offset.0,
        UnitSectionOffset::DebugTypesOffset(offset) => offset.0,
    }
}

fn is_wanted(header: &UnitHeader<Slice<'_>>) -> bool {
    matches!(header.type_(), UnitType::Compilation | UnitType::Partial | UnitType::Skeleton(_) | UnitType::Type { .. })
}

/// A unit, what it covers, and of a type's unit the signature and where in the unit the type is.
type Scanned = (UnitEntry, Vec<(u64, u64)>, Option<(u64, u64)>);

fn scan_unit<'a>(dwarf: &Sections<'a>, header: &UnitHeader<Slice<'a>>) -> Option<Scanned> {
    let offset = header.offset();
    let abbreviations = Arc::new(header.abbreviations(&dwarf.debug_abbrev).ok()?);
    let open = open_unit(dwarf, *header, abbreviations).ok()?;
    let ranges = open.ranges().unwrap_or_default();
    let entry = UnitEntry { offset, lines: None, strings: open.root.strings, split: None };
    match header.type_() {
        // Its line program is that of the units that use the type.
        UnitType::Type { type_signature, type_offset } => {
            Some((entry, Vec::new(), Some((type_signature.0, type_offset.0 as u64))))
        }
        _ => Some((UnitEntry { lines: open.root.lines, split: open.root.split, ..entry }, ranges, None)),
    }
}
