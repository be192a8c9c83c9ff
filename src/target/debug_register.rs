//! The four debug registers of the CPU, as one address space uses them (Intel SDM vol. 3, 18.2).

use crate::base::VirtAddr;

/// How many the CPU has.
pub const REGISTERS: usize = 4;
/// The most bytes that one of them watches.
const WIDEST: u64 = 8;
/// The bits of DR6 that say which register was hit.
const HIT_BITS: u64 = 0b1111;

/// What a register waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// The instruction at the address is about to be executed.
    Execute,
    /// A byte was written.
    Write,
    /// A byte was read or written; the CPU has no way to wait for reads alone.
    Access,
}

/// How an instruction reaches memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// It reads.
    Load,
    /// It writes.
    Store,
}

/// A set of debug registers: bit N for DRN.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RegisterSet(u8);

impl RegisterSet {
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    pub fn union(self, other: RegisterSet) -> RegisterSet {
        RegisterSet(self.0 | other.0)
    }

    fn has(self, register: usize) -> bool {
        self.0 >> register & 1 != 0
    }
}

/// On whose behalf a region is watched: a breakpoint, and the index of its location.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watcher {
    /// The breakpoint's number.
    pub id: u32,
    /// The index into its locations.
    pub location: u32,
}

/// Bytes, or an instruction, that somebody waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Whose.
    pub watcher: Watcher,
    /// The first byte.
    pub at: VirtAddr,
    /// How many; 1 for an instruction.
    pub length: u64,
    /// What is waited for.
    pub trigger: Trigger,
    /// The bytes when they were last looked at.
    pub last: Option<Vec<u8>>,
}

/// Watched bytes that an instruction has reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// Whose they are.
    pub watcher: Watcher,
    /// The first of them.
    pub at: VirtAddr,
    /// What they were when they were last looked at; `None`: they could not be read.
    pub old: Option<Vec<u8>>,
    /// What they are.
    pub new: Option<Vec<u8>>,
}

/// What one register holds: an aligned piece of the regions that share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Piece {
    at: VirtAddr,
    length: u64,
    trigger: Trigger,
}

impl Piece {
    /// DR7's four bits for it: what for in the lower two, the length in the upper two.
    fn control(self) -> u64 {
        let what = match self.trigger {
            Trigger::Execute => 0b00,
            Trigger::Write => 0b01,
            Trigger::Access => 0b11,
        };
        let length = match self.length {
            2 => 0b01,
            4 => 0b11,
            8 => 0b10,
            _ => 0b00,
        };
        length << 2 | what
    }
}

/// Why a region cannot be watched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegisterError {
    /// The registers do not suffice.
    #[error("it takes {wanted} of the CPU's {REGISTERS} debug registers, and {}{}", free_text(*.free), used_by(.by))]
    Taken {
        /// How many it takes.
        wanted: usize,
        /// How many are free.
        free: usize,
        /// The breakpoints that have the others.
        by: Vec<u32>,
    },
    /// More than any CPU can watch.
    #[error("{length} bytes at {at} are too many: the CPU has {REGISTERS} debug registers of at most 8 aligned bytes")]
    TooLong {
        /// The first byte.
        at: VirtAddr,
        /// How many.
        length: u64,
    },
    /// Nothing to watch, or not an address that a program can have.
    #[error("{length} bytes at {at} are no part of a program's memory")]
    Nowhere {
        /// The first byte.
        at: VirtAddr,
        /// How many.
        length: u64,
    },
}

fn free_text(free: usize) -> String {
    match free {
        0 => "none is free".to_owned(),
        1 => "1 is free".to_owned(),
        many => format!("{many} are free"),
    }
}

fn used_by(by: &[u32]) -> String {
    let ids: Vec<String> = by.iter().map(u32::to_string).collect();
    match ids.as_slice() {
        [] => String::new(),
        [one] => format!(" (breakpoint {one} has the others)"),
        many => format!(" (breakpoints {} have the others)", many.join(", ")),
    }
}

/// The registers of one address space.
#[derive(Clone, Default, Debug)]
pub struct DebugRegisters {
    pieces: [Option<Piece>; REGISTERS],
    regions: Vec<Region>,
}

impl DebugRegisters {
    /// Adds a region, in as many registers as it takes; those that hold the same already are shared.
    pub fn add(&mut self, region: Region) -> Result<(), RegisterError> {
        let missing = self.missing(region.at, region.length, region.trigger)?;
        let free = self.free();
        if missing.len() > free {
            return Err(RegisterError::Taken { wanted: missing.len(), free, by: self.users() });
        }
        for (slot, piece) in self.pieces.iter_mut().filter(|one| one.is_none()).zip(missing) {
            *slot = Some(piece);
        }
        self.regions.push(region);
        Ok(())
    }

    /// Whether so many regions of that length could be added, wherever they lie apart.
    pub fn check_room(&self, regions: &[(VirtAddr, u64, Trigger)]) -> Result<(), RegisterError> {
        let mut wanted = 0;
        for (at, length, trigger) in regions {
            wanted += self.missing(*at, *length, *trigger)?.len();
        }
        match self.free() {
            free if wanted > free => Err(RegisterError::Taken { wanted, free, by: self.users() }),
            _ => Ok(()),
        }
    }

    /// Takes the regions for which `goes` holds out; a register that nobody needs is free. Returns how many went.
    pub fn remove(&mut self, goes: impl Fn(&Region) -> bool) -> usize {
        let before = self.regions.len();
        self.regions.retain(|one| !goes(one));
        for slot in &mut self.pieces {
            slot.take_if(|piece| !self.regions.iter().any(|region| needs(region, piece)));
        }
        before - self.regions.len()
    }

    /// Nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// Whether any register waits for data.
    pub fn watches_data(&self) -> bool {
        self.pieces.iter().flatten().any(|piece| piece.trigger != Trigger::Execute)
    }

    /// Whether a register waits for the instruction at `at`.
    pub fn waits_at(&self, at: VirtAddr) -> bool {
        self.pieces.iter().flatten().any(|piece| piece.trigger == Trigger::Execute && piece.at == at)
    }

    /// Who waits for the instruction at `at`.
    pub fn waiting_at(&self, at: VirtAddr) -> impl Iterator<Item = Watcher> + '_ {
        let waits = move |one: &&Region| one.trigger == Trigger::Execute && one.at == at;
        self.regions.iter().filter(waits).map(|one| one.watcher)
    }

    /// DR7: the local enable bits, then what and how long for each register.
    pub fn control(&self) -> u64 {
        let of = |(number, piece): (usize, &Option<Piece>)| {
            piece.map_or(0, |piece| 1 << (2 * number) | piece.control() << (16 + 4 * number))
        };
        self.pieces.iter().enumerate().map(of).sum()
    }

    /// The registers in use, with what DR0 to DR3 hold.
    pub fn addresses(&self) -> impl Iterator<Item = (u8, VirtAddr)> + '_ {
        (0..).zip(&self.pieces).filter_map(|(number, piece)| Some((number, piece.as_ref()?.at)))
    }

    /// Those that DR6 says were hit, and that are in use.
    pub fn hit(&self, dr6: u64) -> RegisterSet {
        let used = self.addresses().fold(0, |set, (number, _)| set | 1 << number);
        RegisterSet((dr6 & HIT_BITS) as u8 & used)
    }

    /// Those that would be hit by an instruction that reaches `length` bytes at `at`.
    pub fn reached(&self, at: VirtAddr, length: u64, how: Reach) -> RegisterSet {
        let hit = |piece: &Piece| {
            let waits = match piece.trigger {
                Trigger::Execute => false,
                Trigger::Write => how == Reach::Store,
                Trigger::Access => true,
            };
            waits && at.0 < piece.at.0.saturating_add(piece.length) && piece.at.0 < at.0.saturating_add(length)
        };
        let all = self.pieces.iter().enumerate().filter(|(_, piece)| piece.as_ref().is_some_and(hit));
        RegisterSet(all.fold(0, |set, (number, _)| set | 1 << number))
    }

    /// The regions that these registers hold pieces of.
    pub fn regions_of(&mut self, set: RegisterSet) -> impl Iterator<Item = &mut Region> {
        let pieces = self.pieces;
        self.regions.iter_mut().filter(move |region| {
            let held = |(number, piece): (usize, &Option<Piece>)| {
                set.has(number) && piece.as_ref().is_some_and(|piece| needs(region, piece))
            };
            pieces.iter().enumerate().any(held)
        })
    }

    fn free(&self) -> usize {
        self.pieces.iter().filter(|one| one.is_none()).count()
    }

    /// The breakpoints that have registers.
    fn users(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.regions.iter().map(|one| one.watcher.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The pieces of a region that no register holds yet.
    fn missing(&self, at: VirtAddr, length: u64, trigger: Trigger) -> Result<Vec<Piece>, RegisterError> {
        let mut pieces = split(at, length)?;
        if pieces.len() > REGISTERS {
            return Err(RegisterError::TooLong { at, length });
        }
        pieces.retain(|(at, length)| {
            let piece = Piece { at: *at, length: *length, trigger };
            !self.pieces.iter().flatten().any(|one| *one == piece)
        });
        Ok(pieces.into_iter().map(|(at, length)| Piece { at, length, trigger }).collect())
    }
}

/// Whether a piece is one of a region's.
fn needs(region: &Region, piece: &Piece) -> bool {
    let end = piece.at.0.saturating_add(piece.length);
    region.trigger == piece.trigger && region.at <= piece.at && end <= region.at.0.saturating_add(region.length)
}

/// Parts a region into pieces of 1, 2, 4 or 8 bytes, each aligned to its length as the CPU demands.
fn split(at: VirtAddr, length: u64) -> Result<Vec<(VirtAddr, u64)>, RegisterError> {
    /// Where the addresses of programs end (TASK_SIZE_MAX with 5-level paging).
    const END: u64 = 1 << 56;
    let end = at.0.checked_add(length).filter(|end| *end <= END && length > 0);
    let Some(end) = end else { return Err(RegisterError::Nowhere { at, length }) };
    if length > REGISTERS as u64 * WIDEST {
        return Err(RegisterError::TooLong { at, length });
    }
    let mut pieces = Vec::new();
    let mut from = at.0;
    while from < end {
        let piece = [8, 4, 2, 1].into_iter().find(|size| from % size == 0 && end - from >= *size).unwrap_or(1);
        pieces.push((VirtAddr(from), piece));
        from += piece;
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: u32, at: u64, length: u64, trigger: Trigger) -> Region {
        Region { watcher: Watcher { id, location: 0 }, at: VirtAddr(at), length, trigger, last: None }
    }

    #[test]
    fn regions_are_parted_by_the_alignment_that_the_cpu_demands() {
        let parts =
            |at, length| split(VirtAddr(at), length).map(|all| all.iter().map(|one| (one.0 .0, one.1)).collect());
        assert_eq!(parts(0x1000, 8), Ok(vec![(0x1000, 8)]));
        assert_eq!(parts(0x1004, 8), Ok(vec![(0x1004, 4), (0x1008, 4)]));
        assert_eq!(parts(0x1003, 8), Ok(vec![(0x1003, 1), (0x1004, 4), (0x1008, 2), (0x100a, 1)]));
        assert_eq!(parts(0x1000, 32).map(|all: Vec<_>| all.len()), Ok(4));
        assert!(matches!(parts(0x1000, 33), Err(RegisterError::TooLong { .. })));
        assert!(matches!(parts(0x1000, 0), Err(RegisterError::Nowhere { .. })));
        assert!(matches!(parts(u64::MAX - 3, 8), Err(RegisterError::Nowhere { .. })));
        assert!(matches!(parts(0xffff_8000_0000_0000, 8), Err(RegisterError::Nowhere { .. })));
    }

    #[test]
    fn dr7_holds_what_the_manual_says() {
        let mut all = DebugRegisters::default();
        all.add(region(1, 0x40_1000, 1, Trigger::Execute)).unwrap();
        assert_eq!(all.control(), 0b1);
        all.add(region(2, 0x5000, 4, Trigger::Write)).unwrap();
        assert_eq!(all.control(), 0b101 | 0b1101 << 20);
        all.add(region(3, 0x6000, 8, Trigger::Access)).unwrap();
        assert_eq!(all.control(), 0b1_0101 | 0b1101 << 20 | 0b1011 << 24);
        all.remove(|one| one.watcher.id == 2);
        assert_eq!(all.control(), 0b1_0001 | 0b1011 << 24);
        all.add(region(4, 0x7002, 2, Trigger::Write)).unwrap();
        assert_eq!(all.control(), 0b1_0101 | 0b0101 << 20 | 0b1011 << 24);
        let held: Vec<_> = all.addresses().collect();
        assert_eq!(held, [(0, VirtAddr(0x40_1000)), (1, VirtAddr(0x7002)), (2, VirtAddr(0x6000))]);
    }

    #[test]
    fn a_fifth_is_refused_with_who_has_the_others_and_the_same_again_is_shared() {
        let mut all = DebugRegisters::default();
        for id in 1..=4 {
            all.add(region(id, 0x1000 * u64::from(id), 8, Trigger::Write)).unwrap();
        }
        let error = all.add(region(5, 0x9000, 1, Trigger::Write)).unwrap_err();
        assert_eq!(error, RegisterError::Taken { wanted: 1, free: 0, by: vec![1, 2, 3, 4] });
        assert!(error.to_string().ends_with("none is free (breakpoints 1, 2, 3, 4 have the others)"), "{error}");
        all.add(region(6, 0x2000, 8, Trigger::Write)).unwrap();
        assert_eq!(all.remove(|one| one.watcher.id == 2), 1);
        assert!(all.add(region(7, 0x9000, 1, Trigger::Write)).is_err(), "6 still has the register");
        all.remove(|one| one.watcher.id == 6);
        assert!(all.add(region(7, 0x9000, 1, Trigger::Write)).is_ok());
    }

    #[test]
    fn hits_are_told_by_dr6_and_by_the_bytes_that_an_emulated_instruction_reaches() {
        let mut all = DebugRegisters::default();
        all.add(region(1, 0x1004, 8, Trigger::Write)).unwrap();
        all.add(region(2, 0x1008, 4, Trigger::Access)).unwrap();
        let ids =
            |all: &mut DebugRegisters, set| -> Vec<u32> { all.regions_of(set).map(|one| one.watcher.id).collect() };
        let set = all.hit(0xffff_0ff0 | 0b1100);
        assert_eq!(ids(&mut all, set), [2], "DR3 is not in use");
        let set = all.reached(VirtAddr(0x1000), 8, Reach::Store);
        assert_eq!(ids(&mut all, set), [1]);
        let set = all.reached(VirtAddr(0x100b), 1, Reach::Load);
        assert_eq!(ids(&mut all, set), [2]);
        let set = all.reached(VirtAddr(0x100b), 1, Reach::Store);
        assert_eq!(ids(&mut all, set), [1, 2]);
        assert!(all.reached(VirtAddr(0x100c), 8, Reach::Store).is_empty());
        assert!(all.reached(VirtAddr(0xffc), 8, Reach::Store).is_empty());
    }
}
