//! The units of a file: where they are, what they cover, which line program is theirs.

use std::sync::Arc;

use gimli::{
    DebugInfoOffset, DebugLineOffset, DebugStrOffsetsBase, DebugTypeSignature, Dwarf, SectionId, UnitHeader, UnitType,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::entry::EntryId;
use super::sections::{DebugFile, Slice};
use super::unit::open_unit;
use crate::base::FileAddr;

/// Which unit of a file: its place in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnitId(pub(super) u32);

/// How many ranges before a pc are looked at: ranges do not overlap in what compilers write.
const LOOK_BACK: usize = 32;
/// Of a range that is longer than 4 GiB, so many parts of that length are kept.
const MAX_PARTS: usize = 16;
/// So many units are scanned together. What was touched of them is then let go of: the kernel maps whatever is cached
/// around each of their entries.
const BATCH: usize = 64;

/// All units of .debug_info, found through one pass over headers and root entries; what lies between them is
/// not touched.
pub(super) struct UnitTable {
    pub units: Vec<UnitEntry>,
    covered: Vec<Covered>,
    /// The types that have a unit of their own, by their signatures (DWARF 5, 3.1.4).
    types: FxHashMap<u64, EntryId>,
    /// Why the pass ended before the section did, and where.
    pub broken: Option<(u64, String)>,
}

/// One unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitEntry {
    pub offset: DebugInfoOffset,
    pub lines: Option<DebugLineOffset>,
    /// Where its offsets of strings are, if it names strings by their index.
    pub strings: Option<DebugStrOffsetsBase>,
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
        let dwarf = file.read();
        let mut table = UnitTable { units: Vec::new(), covered: Vec::new(), types: FxHashMap::default(), broken: None };
        let mut iter = dwarf.units();
        let (mut at, mut is_over) = (0, false);
        while !is_over {
            let mut headers = Vec::with_capacity(BATCH);
            while headers.len() < BATCH && !is_over {
                match iter.next() {
                    Ok(Some(header)) => headers.extend(is_wanted(&header).then_some(header)),
                    Ok(None) => is_over = true,
                    Err(error) => {
                        let last = headers.last().and_then(|one| one.offset().as_debug_info_offset());
                        let before = table.units.last().map(|one| one.offset);
                        let at = last.or(before).map_or(0, |offset| offset.0);
                        table.broken = Some((at as u64, error.to_string()));
                        is_over = true;
                    }
                }
            }
            let scanned: Vec<_> = headers.par_iter().filter_map(|header| scan_unit(&dwarf, header)).collect();
            for (entry, ranges, signed) in scanned {
                let unit = UnitId(table.units.len() as u32);
                if let Some((signature, offset)) = signed {
                    table.types.entry(signature).or_insert(EntryId { unit, offset });
                }
                table.units.push(entry);
                table.covered.extend(Covered::of_unit(unit, ranges));
            }
            let end = headers.last().and_then(|one| one.offset().as_debug_info_offset()).map_or(at, |offset| offset.0);
            file.release(SectionId::DebugInfo, at..end);
            at = end;
        }
        for section in [SectionId::DebugRanges, SectionId::DebugRngLists, SectionId::DebugAbbrev] {
            file.release(section, 0..usize::MAX);
        }
        table.covered.sort_unstable_by_key(|one| one.start);
        table
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
        self.units.get(unit.0 as usize)
    }
}

fn is_wanted(header: &UnitHeader<Slice<'_>>) -> bool {
    matches!(header.type_(), UnitType::Compilation | UnitType::Partial | UnitType::Skeleton(_) | UnitType::Type { .. })
}

/// A unit, what it covers, and of a type's unit the signature and where in the unit the type is.
type Scanned = (UnitEntry, Vec<(u64, u64)>, Option<(u64, u64)>);

fn scan_unit<'a>(dwarf: &Dwarf<Slice<'a>>, header: &UnitHeader<Slice<'a>>) -> Option<Scanned> {
    let offset = header.offset().as_debug_info_offset()?;
    let abbreviations = Arc::new(header.abbreviations(&dwarf.debug_abbrev).ok()?);
    let open = open_unit(dwarf, *header, abbreviations).ok()?;
    let ranges = open.ranges(dwarf).unwrap_or_default();
    let strings = open.root.strings;
    match header.type_() {
        // Its line program is that of the units that use the type.
        UnitType::Type { type_signature, type_offset } => {
            let signed = Some((type_signature.0, type_offset.0 as u64));
            Some((UnitEntry { offset, lines: None, strings }, Vec::new(), signed))
        }
        _ => Some((UnitEntry { offset, lines: open.root.lines, strings }, ranges, None)),
    }
}
