//! Which unit covers an address.
//!
//! .debug_aranges (DWARF 5, 6.1.2) leads to it, if there is one; a file may have it for some of its units only, and what it
//! says is proved by the unit's own root entry. Else a pass over all root entries finds it. After some questions the ranges
//! of all units are put in order.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use gimli::{SectionId, UnitType};
use rayon::prelude::*;

use super::unit::Sections;
use super::units::{UnitId, UnitTable};
use crate::base::FileAddr;

/// How many ranges before a pc are looked at: ranges do not overlap in what compilers write.
const LOOK_BACK: usize = 32;
/// Of a range that is longer than 4 GiB, so many parts of that length are kept.
const MAX_PARTS: usize = 16;
/// What questions may cost before all ranges are put in order.
const PATIENCE: u32 = 16;
/// What one costs that .debug_aranges answers, and one that takes a pass.
const LED: u32 = 1;
const PASS: u32 = 5;

/// What is known of the units' code.
#[derive(Default)]
pub(super) struct Coverage {
    spent: AtomicU32,
    /// The ranges of the units that were found, in order each. Where units overlap (the linker folded equal functions) an
    /// address stays with the one that it was first found in.
    found: Mutex<Vec<Vec<Covered>>>,
    all: OnceLock<Vec<Covered>>,
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

    fn holds(&self, at: FileAddr) -> bool {
        self.start <= at.0 && at.0 < self.end()
    }

    /// The unit of the range that holds an address, of ranges in order.
    fn find(ranges: &[Covered], at: FileAddr) -> Option<UnitId> {
        let after = ranges.partition_point(|one| one.start <= at.0);
        let near = ranges[..after].iter().rev().take(LOOK_BACK);
        near.into_iter().find(|one| one.holds(at)).map(|one| one.unit)
    }
}

impl Coverage {
    /// The unit that covers an address.
    pub fn unit_at(&self, units: &UnitTable, at: FileAddr) -> Option<UnitId> {
        if let Some(unit) = self.found().iter().find_map(|ranges| Covered::find(ranges, at)) {
            return Some(unit);
        }
        if self.all.get().is_none() && self.spent.load(Ordering::Relaxed) < PATIENCE {
            return self.find_first(units, at);
        }
        // No lock is held meanwhile: other questions can come up on the threads that do this.
        let all = self.all.get().map_or_else(|| self.keep(all_ranges(units)), Vec::as_slice);
        Covered::find(all, at)
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Covered>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, all: Vec<Covered>) -> &[Covered] {
        self.all.get_or_init(|| all)
    }

    fn find_first(&self, units: &UnitTable, at: FileAddr) -> Option<UnitId> {
        let led = led_by_aranges(units, at);
        self.spent.fetch_add(if led.is_some() { LED } else { PASS }, Ordering::Relaxed);
        let mut ranges = led.or_else(|| by_pass(units, at))?;
        ranges.sort_unstable_by_key(|one| one.start);
        let unit = ranges.first()?.unit;
        self.found().push(ranges);
        Some(unit)
    }
}

/// The ranges of a unit, as its root entry has them.
fn ranges_of(units: &UnitTable, dwarf: &Sections<'_>, index: usize) -> Vec<Covered> {
    let Some(open) = units.open_root(dwarf, index) else { return Vec::new() };
    if matches!(open.unit.header.type_(), UnitType::Type { .. }) {
        return Vec::new();
    }
    Covered::of_unit(UnitId::own(index), open.ranges().unwrap_or_default())
}

/// The ranges of the unit that .debug_aranges names for an address, where they hold it.
fn led_by_aranges(units: &UnitTable, at: FileAddr) -> Option<Vec<Covered>> {
    let dwarf = units.sections();
    let mut sets = dwarf.debug_aranges.headers();
    let found = std::iter::from_fn(|| sets.next().ok().flatten()).find_map(|set| {
        let mut entries = set.entries();
        while let Ok(Some(entry)) = entries.next() {
            let range = entry.range();
            if range.begin <= at.0 && at.0 < range.end {
                return Some(set.debug_info_offset());
            }
        }
        None
    });
    units.file().release(SectionId::DebugAranges, 0..usize::MAX);
    let entry = units.entry_at(SectionId::DebugInfo, found?.0).filter(|entry| entry.offset == 0)?;
    let ranges = ranges_of(units, &dwarf, entry.unit.own_index()?);
    ranges.iter().any(|one| one.holds(at)).then_some(ranges)
}

/// The ranges of the first unit that holds an address.
fn by_pass(units: &UnitTable, at: FileAddr) -> Option<Vec<Covered>> {
    let found = Mutex::new(None::<Vec<Covered>>);
    let first = || found.lock().unwrap_or_else(PoisonError::into_inner);
    let is_before = |found: &Option<Vec<Covered>>, unit: UnitId| found.as_ref().is_some_and(|one| one[0].unit < unit);
    units.for_each_root(&|dwarf, index| {
        if is_before(&first(), UnitId::own(index)) {
            return;
        }
        let ranges = ranges_of(units, dwarf, index);
        if ranges.iter().any(|one| one.holds(at)) {
            let mut first = first();
            if !is_before(&first, UnitId::own(index)) {
                *first = Some(ranges);
            }
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The ranges of all units in order.
fn all_ranges(units: &UnitTable) -> Vec<Covered> {
    let all = Mutex::new(Vec::new());
    units.for_each_root(&|dwarf, index| {
        let ranges = ranges_of(units, dwarf, index);
        all.lock().unwrap_or_else(PoisonError::into_inner).extend(ranges);
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.par_sort_unstable_by_key(|one| (one.start, one.unit));
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::binary::dwarf::DebugFile;
    use crate::binary::image::Image;

    /// The test's own program has some units with .debug_aranges and some without; what the three ways say is the same.
    #[test]
    fn every_way_leads_to_the_same_unit() {
        let path = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = DebugFile::new(Arc::new(Image::parse(path, Arc::new(bytes)).unwrap()));
        let units = UnitTable::read(Arc::new(file));
        let all = all_ranges(&units);
        let code = |one: &&Covered| units.file().image().segment_at(FileAddr(one.start)).is_some_and(|at| at.exec);
        let ranges: Vec<&Covered> = all.iter().filter(code).collect();
        assert!(ranges.len() > 100, "{}", ranges.len());
        for one in ranges.iter().step_by(ranges.len() / 7) {
            let at = FileAddr(one.end() - 1);
            let right = Covered::find(&all, at);
            assert!(right.is_some());
            assert_eq!(by_pass(&units, at).map(|found| found[0].unit), right, "{at:?}");
            let led = led_by_aranges(&units, at).map(|found| found[0].unit);
            assert!(led.is_none() || led == right, "{at:?}");
            assert_eq!(Coverage::default().unit_at(&units, at), right, "{at:?}");
        }
        let none = FileAddr(8);
        assert!(by_pass(&units, none).is_none() && led_by_aranges(&units, none).is_none());
        let coverage = Coverage::default();
        assert!((0..10).all(|_| coverage.unit_at(&units, none).is_none()) && coverage.all.get().is_some());
    }
}
