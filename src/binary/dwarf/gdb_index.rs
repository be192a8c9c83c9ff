//! `.gdb_index` (gdb's manual, "Index Section Format"), which linkers write on request and which says in which units a name is
//! defined. It spares the pass over all units that makes a catalogue, for a name that it has.
//!
//! It is never believed: a unit that it names is read, and the entry there decides. A name that it lacks, or has in the wrong
//! unit, is looked for as if there were no index.

use gimli::SectionId;

use super::definitions::Wanted;
use super::{Dwarf, UnitId};

const SECTION: &str = ".gdb_index";
/// From 7 on a unit stands with the kind of what it defines; 9 has one more part, behind those that are read.
const VERSIONS: std::ops::RangeInclusive<u32> = 7..=9;
/// Bytes of a unit's place: its offset in .debug_info and its length.
const UNIT: usize = 16;
/// Bytes of a slot of the hash table: where the name and where its units are, both from the start of the pool.
const SLOT: usize = 8;
/// Slots that are looked at for a name; in a table that is three quarters full, as they are made, a handful do.
const PROBES: usize = 4096;
/// Of a name that more units define the first ones are read.
const UNITS: usize = 64;

/// An index, its parts as its head says.
struct GdbIndex<'a> {
    units: &'a [u8],
    slots: &'a [u8],
    pool: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The hash of a name: of its letters' case it knows nothing.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0u32, |hash, byte| {
        hash.wrapping_mul(67).wrapping_add(u32::from(byte.to_ascii_lowercase())).wrapping_sub(113)
    })
}

impl<'a> GdbIndex<'a> {
    /// `None` where it is of another version or its parts do not lie in it.
    fn parse(bytes: &'a [u8]) -> Option<GdbIndex<'a>> {
        if !VERSIONS.contains(&word(bytes, 0)?) {
            return None;
        }
        let place = |at: usize| Some(word(bytes, at)? as usize);
        // Of version 9 a part lies between the slots and the pool.
        let (units, types, slots) = (place(4)?, place(8)?, place(16)?);
        let is_ninth = word(bytes, 0)? == 9;
        let (behind_slots, pool) = (place(20)?, place(if is_ninth { 24 } else { 20 })?);
        let parsed = GdbIndex {
            units: bytes.get(units..types)?,
            slots: bytes.get(slots..behind_slots)?,
            pool: bytes.get(pool..)?,
        };
        (parsed.slots.len() / SLOT).is_power_of_two().then_some(parsed)
    }

    /// Where the units that define the name begin in .debug_info, in the index's order, the first ones.
    fn offsets(&self, wanted: Wanted, name: &str) -> Option<Vec<u64>> {
        let count = self.slots.len() / SLOT;
        let hash = hash(name) as usize;
        let step = (hash.wrapping_mul(17) & (count - 1)) | 1;
        let mut at = hash & (count - 1);
        for _ in 0..count.min(PROBES) {
            let (text, vector) = (word(self.slots, at * SLOT)?, word(self.slots, at * SLOT + 4)?);
            if (text, vector) == (0, 0) {
                return None;
            }
            let text = self.pool.get(text as usize..)?;
            if text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&0) {
                return Some(self.vector(wanted, vector as usize));
            }
            at = (at + step) & (count - 1);
        }
        None
    }

    fn vector(&self, wanted: Wanted, at: usize) -> Vec<u64> {
        /// The kinds of bits 28 to 30: a type, a variable or enumerator.
        const TYPE: u32 = 1;
        const VARIABLE: u32 = 2;
        let kind = match wanted {
            Wanted::Type => TYPE,
            Wanted::Value => VARIABLE,
        };
        let count = word(self.pool, at).unwrap_or_default() as usize;
        let words = (1..=count).map_while(|number| word(self.pool, at.checked_add(number.checked_mul(4)?)?));
        let numbers = words.filter(|word| word >> 28 & 7 == kind).map(|word| (word & 0xff_ffff) as usize);
        numbers.filter_map(|number| self.unit(number)).take(UNITS).collect()
    }

    /// `None`: no such unit, or one of types, whose number is past the others'.
    fn unit(&self, number: usize) -> Option<u64> {
        let at = number * UNIT;
        Some(u64::from_le_bytes(self.units.get(at..at + 8)?.try_into().ok()?))
    }
}

impl Dwarf {
    /// The units that the file's index names as defining a type or a value; none where there is no index.
    pub(super) fn indexed_units(&self, wanted: Wanted, name: &str) -> Vec<UnitId> {
        let Some(index) = GdbIndex::parse(self.file.plain_section(SECTION)) else { return Vec::new() };
        let offsets = index.offsets(wanted, name).unwrap_or_default();
        let unit = |offset: u64| self.units().entry_at(SectionId::DebugInfo, usize::try_from(offset).ok()?);
        offsets.into_iter().filter_map(unit).filter(|entry| entry.offset == 0).map(|entry| entry.unit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index of two units and these names, each with its units' words.
    fn index(version: u32, names: &[(&str, &[u32])]) -> Vec<u8> {
        let head = if version == 9 { 28 } else { 24 };
        let units: Vec<u8> = [0u64, 0x40, 0x40, 0x80].into_iter().flat_map(u64::to_le_bytes).collect();
        let (mut pool, mut places) = (vec![0u8; 4], Vec::new());
        for (name, words) in names {
            let vector = pool.len();
            let all = std::iter::once(words.len() as u32).chain(words.iter().copied());
            pool.extend(all.flat_map(u32::to_le_bytes));
            places.push((pool.len() as u32, vector as u32));
            pool.extend(name.bytes().chain([0]));
        }
        let mut slots = vec![(0, 0); 8];
        for ((name, _), place) in names.iter().zip(places) {
            let hash = hash(name) as usize;
            let (mut at, step) = (hash & 7, (hash.wrapping_mul(17) & 7) | 1);
            while slots[at] != (0, 0) {
                at = (at + step) & 7;
            }
            slots[at] = place;
        }
        let slots: Vec<u8> =
            slots.into_iter().flat_map(|(name, vector)| [name, vector]).flat_map(u32::to_le_bytes).collect();
        let types = head + units.len();
        let pool_at = types + slots.len();
        let mut places = vec![head, types, types, types, pool_at];
        if version == 9 {
            places.push(pool_at);
        }
        let head = std::iter::once(version).chain(places.into_iter().map(|one| one as u32)).flat_map(u32::to_le_bytes);
        head.chain(units).chain(slots).chain(pool).collect()
    }

    const NAMES: [(&str, &[u32]); 4] = [
        ("depot::Store", &[1 << 28, 1 << 28 | 1]),
        ("total", &[2 << 28 | 1]),
        ("depot::Pair<int>", &[3 << 28, 1 << 28 | 1, 1 << 28 | 2]),
        ("run", &[3 << 28]),
    ];

    #[test]
    fn a_name_leads_to_the_units_that_define_it_as_what_is_wanted() {
        for version in 7..=9 {
            let bytes = index(version, &NAMES);
            let index = GdbIndex::parse(&bytes).unwrap();
            let found = |wanted, name| index.offsets(wanted, name);
            assert_eq!(found(Wanted::Type, "depot::Store"), Some(vec![0, 0x40]));
            assert_eq!(found(Wanted::Value, "total"), Some(vec![0x40]));
            // The third unit is one of types, beyond the list.
            assert_eq!(found(Wanted::Type, "depot::Pair<int>"), Some(vec![0x40]));
            assert_eq!(found(Wanted::Type, "run"), Some(vec![]));
            assert_eq!(found(Wanted::Type, "Store"), None);
            assert_eq!(found(Wanted::Type, ""), None);
        }
        assert!(GdbIndex::parse(&index(6, &NAMES)).is_none() && GdbIndex::parse(&index(10, &NAMES)).is_none());
    }

    #[test]
    fn an_index_that_is_cut_or_changed_ends_in_a_bounded_time() {
        let whole = index(8, &NAMES);
        let ask = |bytes: &[u8]| {
            if let Some(index) = GdbIndex::parse(bytes) {
                for (name, _) in NAMES {
                    let found = index.offsets(Wanted::Type, name).unwrap_or_default();
                    assert!(found.len() <= UNITS);
                }
            }
        };
        (0..whole.len()).for_each(|length| ask(&whole[..length]));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                ask(&changed);
            }
        }
        let count = |bytes: &mut Vec<u8>| {
            let place = bytes.windows(4).position(|four| four == 2u32.to_le_bytes()).unwrap();
            bytes[place..place + 4].fill(0xff);
        };
        let mut endless = whole;
        count(&mut endless);
        ask(&endless);
    }
}
