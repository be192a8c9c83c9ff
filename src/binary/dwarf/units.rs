//! The units of a file: where they are, what they cover, which line program is theirs.

use std::sync::Arc;

use gimli::{DebugInfoOffset, DebugLineOffset, DebugStrOffsetsBase, UnitType};
use rayon::prelude::*;

use super::sections::DebugFile;
use super::unit::open_unit;
use crate::base::FileAddr;

/// Which unit of a file: its place in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnitId(pub(super) u32);

/// How many ranges before a pc are looked at: ranges do not overlap in what compilers write.
const LOOK_BACK: usize = 32;

/// All compilation units of .debug_info, found through one pass over headers and root entries; what lies between them is
/// not touched.
pub(super) struct UnitTable {
    pub units: Vec<UnitEntry>,
    covered: Vec<Covered>,
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

/// A range of addresses and the unit that it belongs to.
#[derive(Clone, Copy, Debug)]
struct Covered {
    start: u64,
    end: u64,
    unit: UnitId,
}

impl UnitTable {
    /// Scans the root entries, on all processors.
    pub fn scan(file: &DebugFile) -> Self {
        let dwarf = file.read();
        let mut headers = Vec::new();
        let mut broken = None;
        let mut iter = dwarf.units();
        loop {
            match iter.next() {
                Ok(Some(header)) => {
                    let wanted =
                        matches!(header.type_(), UnitType::Compilation | UnitType::Partial | UnitType::Skeleton(_));
                    headers.extend(wanted.then_some(header));
                }
                Ok(None) => break,
                Err(error) => {
                    let at = headers.last().and_then(|one| one.offset().as_debug_info_offset()).map_or(0, |at| at.0);
                    broken = Some((at as u64, error.to_string()));
                    break;
                }
            }
        }
        let scan_one = |header: &gimli::UnitHeader<super::sections::Slice<'_>>| {
            let offset = header.offset().as_debug_info_offset()?;
            let abbreviations = Arc::new(header.abbreviations(&dwarf.debug_abbrev).ok()?);
            let open = open_unit(&dwarf, *header, abbreviations).ok()?;
            let ranges = open.ranges(&dwarf).unwrap_or_default();
            Some((UnitEntry { offset, lines: open.root.lines, strings: open.root.strings }, ranges))
        };
        let scanned: Vec<_> = headers.par_iter().filter_map(scan_one).collect();
        let mut table = UnitTable { units: Vec::with_capacity(scanned.len()), covered: Vec::new(), broken };
        for (entry, ranges) in scanned {
            let unit = UnitId(table.units.len() as u32);
            table.units.push(entry);
            table.covered.extend(ranges.into_iter().map(|(start, end)| Covered { start, end, unit }));
        }
        table.covered.sort_unstable_by_key(|one| one.start);
        table
    }

    /// The unit that covers an address.
    pub fn unit_at(&self, at: FileAddr) -> Option<UnitId> {
        let after = self.covered.partition_point(|one| one.start <= at.0);
        let near = self.covered[..after].iter().rev().take(LOOK_BACK);
        near.into_iter().find(|one| at.0 < one.end).map(|one| one.unit)
    }

    /// A unit's entry.
    pub fn entry(&self, unit: UnitId) -> Option<&UnitEntry> {
        self.units.get(unit.0 as usize)
    }
}
