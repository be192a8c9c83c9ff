//! Sites: the bytes that rdbg has replaced in one address space.

use std::collections::BTreeMap;

use crate::arch::{OutOfLine, StepOver, SLOT_SIZE};
use crate::base::{MemError, ReadMem, Tid, VirtAddr};

/// The one-byte breakpoint instruction.
pub const INT3: u8 = 0xcc;

/// On whose behalf a site is patched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A user's breakpoint, by its id and the index of its location.
    Breakpoint {
        /// The breakpoint's number.
        id: u32,
        /// The index into its locations.
        location: u32,
    },
    /// The dynamic loader reports that modules came or went.
    Rendezvous,
    /// One thread's return from a frame: valid where its stack pointer has come back to `cfa`.
    Return {
        /// Whose.
        tid: Tid,
        /// The canonical frame address of the frame that returns.
        cfa: VirtAddr,
    },
    /// Probes of a trace script, by the number of what is to be run there.
    Probe {
        /// The number.
        site: u32,
    },
    /// Where traced calls return to; which of them did is seen from the stack pointer.
    ProbeReturn,
    /// A place where a thread comes to when a frame is left without a return: by an exception or a jump. The engine knows
    /// with which stack pointer.
    Escape {
        /// Whose.
        tid: Tid,
    },
}

impl Owner {
    /// The thread on whose behalf it is, if it is one thread's.
    pub fn thread(&self) -> Option<Tid> {
        match self {
            Owner::Return { tid, .. } | Owner::Escape { tid } => Some(*tid),
            Owner::Breakpoint { .. } | Owner::Rendezvous | Owner::Probe { .. } | Owner::ProbeReturn => None,
        }
    }
}

/// One patched instruction.
#[derive(Clone)]
pub struct Site {
    /// The byte that INT3 stands for.
    pub original: u8,
    /// How a thread gets past without the site being lifted.
    pub step_over: StepOver,
    /// Never empty.
    pub owners: Vec<Owner>,
    /// Where the displaced instruction was copied to, once a thread has needed it.
    pub slot: Option<VirtAddr>,
    /// How many threads have passed by emulation.
    pub emulated: u32,
}

impl Site {
    /// A site that no thread has passed yet.
    pub fn new(original: u8, step_over: StepOver, owner: Owner) -> Site {
        Site { original, step_over, owners: vec![owner], slot: None, emulated: 0 }
    }
}

/// All sites of an address space.
#[derive(Clone, Default)]
pub struct SiteTable {
    sites: BTreeMap<VirtAddr, Site>,
    /// Sites that were removed while threads ran: a trap that was under way may still be reported, and must rewind.
    retired: BTreeMap<VirtAddr, u8>,
    /// Every slot, with the site it was made for and what is in it. A slot outlives its site: a thread may be in it.
    slots: BTreeMap<VirtAddr, (VirtAddr, OutOfLine)>,
}

impl SiteTable {
    /// The site at `at`.
    pub fn find(&self, at: VirtAddr) -> Option<&Site> {
        self.sites.get(&at)
    }

    /// The site at `at`, to change.
    pub fn find_mut(&mut self, at: VirtAddr) -> Option<&mut Site> {
        self.sites.get_mut(&at)
    }

    /// Whether a site was at `at` once and is no more.
    pub fn is_retired(&self, at: VirtAddr) -> bool {
        self.retired.contains_key(&at)
    }

    /// Adds a site that has just been patched.
    pub fn insert(&mut self, at: VirtAddr, site: Site) {
        self.retired.remove(&at);
        self.sites.insert(at, site);
    }

    /// What stood there has been restored, and threads may have run into it before.
    pub fn retire(&mut self, at: VirtAddr, original: u8) {
        self.retired.insert(at, original);
    }

    /// Takes an owner away. Returns the byte to restore where that was the last one; the site is retired then.
    pub fn remove_owner(&mut self, at: VirtAddr, owner: Owner) -> Option<u8> {
        let site = self.sites.get_mut(&at)?;
        site.owners.retain(|one| *one != owner);
        if !site.owners.is_empty() {
            return None;
        }
        let original = site.original;
        self.sites.remove(&at);
        self.retired.insert(at, original);
        Some(original)
    }

    /// Forgets the sites in `start..end` without restoring anything, as what was mapped there has gone; returns them.
    pub fn forget_range(&mut self, start: VirtAddr, end: VirtAddr) -> Vec<(VirtAddr, u8)> {
        let gone = self.sites.range(start..end).map(|(at, site)| (*at, site.original)).collect();
        self.sites.retain(|at, _| *at < start || *at >= end);
        self.retired.retain(|at, _| *at < start || *at >= end);
        self.slots.retain(|_, (at, _)| *at < start || *at >= end);
        gone
    }

    /// Every site with the byte it displaced.
    pub fn originals(&self) -> impl Iterator<Item = (VirtAddr, u8)> + '_ {
        self.sites.iter().map(|(at, site)| (*at, site.original))
    }

    /// Every site.
    pub fn iter(&self) -> impl Iterator<Item = (VirtAddr, &Site)> {
        self.sites.iter().map(|(at, site)| (*at, site))
    }

    /// Every site that is no more, with the byte it displaced.
    pub fn retired(&self) -> impl Iterator<Item = (VirtAddr, u8)> + '_ {
        self.retired.iter().map(|(at, original)| (*at, *original))
    }

    /// Retires every site and returns what to restore.
    pub fn retire_all(&mut self) -> Vec<(VirtAddr, u8)> {
        let all: Vec<_> = self.originals().collect();
        self.sites.clear();
        self.retired.extend(all.iter().copied());
        all
    }

    /// Notes that the displaced instruction of the site at `at` is in `slot` now.
    pub fn add_slot(&mut self, at: VirtAddr, slot: VirtAddr, copy: OutOfLine) {
        if let Some(site) = self.sites.get_mut(&at) {
            site.slot = Some(slot);
        }
        self.slots.insert(slot, (at, copy));
    }

    /// Every slot, with what is in it.
    pub fn slots(&self) -> impl Iterator<Item = (VirtAddr, &OutOfLine)> {
        self.slots.iter().map(|(slot, (_, copy))| (*slot, copy))
    }

    /// Forgets the slots in `start..end`: there are none in this memory.
    pub fn forget_slots(&mut self, start: VirtAddr, end: VirtAddr) {
        let in_range = |slot: &VirtAddr| (start..end).contains(slot);
        self.slots.retain(|slot, _| !in_range(slot));
        for site in self.sites.values_mut() {
            site.slot = site.slot.filter(|slot| !in_range(slot));
        }
    }

    /// The slot that holds `pc`: the site that it was made for, where it begins, and what is in it.
    pub fn find_slot(&self, pc: VirtAddr) -> Option<(VirtAddr, VirtAddr, &OutOfLine)> {
        let (slot, (at, copy)) = self.slots.range(..=pc).next_back()?;
        (pc.since(*slot) < SLOT_SIZE).then_some((*at, *slot, copy))
    }

    /// Puts the displaced bytes back into `buf`, which was read from `at`.
    pub fn hide(&self, at: VirtAddr, buf: &mut [u8]) {
        let end = at.offset(buf.len() as u64);
        for (addr, site) in self.sites.range(at..end) {
            buf[addr.since(at) as usize] = site.original;
        }
    }
}

/// Memory as the program wrote it: rdbg's own patches are not seen.
pub struct CleanMemory<'a> {
    /// The memory with the patches.
    pub raw: &'a dyn ReadMem,
    /// The patches.
    pub sites: &'a SiteTable,
}

impl ReadMem for CleanMemory<'_> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        let got = self.raw.read_mem(at, buf)?;
        self.sites.hide(at, &mut buf[..got]);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{plan_out_of_line, plan_step_over};

    fn push_rbp(at: VirtAddr, owner: Owner) -> Site {
        let step_over = plan_step_over(at, &[0x55, 0x48, 0x89, 0xe5]).unwrap();
        Site::new(0x55, step_over, owner)
    }

    #[test]
    fn a_site_goes_with_its_last_owner_and_stays_known_as_retired() {
        let at = VirtAddr(0x1000);
        let (first, second) = (Owner::Breakpoint { id: 1, location: 0 }, Owner::Rendezvous);
        let mut table = SiteTable::default();
        table.insert(at, push_rbp(at, first));
        table.find_mut(at).unwrap().owners.push(second);
        assert_eq!(table.remove_owner(at, first), None);
        assert_eq!(table.remove_owner(at, second), Some(0x55));
        assert!(table.find(at).is_none() && table.is_retired(at));
        table.insert(at, push_rbp(at, first));
        assert!(!table.is_retired(at));
    }

    #[test]
    fn a_slot_is_known_by_any_pc_in_it_after_its_site_has_gone_too() {
        let (at, slot) = (VirtAddr(0x1000), VirtAddr(0x9000));
        let mut table = SiteTable::default();
        table.insert(at, push_rbp(at, Owner::Rendezvous));
        let copy = plan_out_of_line(at, &[0x55]).unwrap();
        table.add_slot(at, slot, copy);
        assert_eq!(table.find(at).unwrap().slot, Some(slot));
        table.remove_owner(at, Owner::Rendezvous);
        assert_eq!(table.find_slot(slot.offset(SLOT_SIZE - 1)), Some((at, slot, &copy)));
        assert_eq!(table.find_slot(slot.offset(SLOT_SIZE)), None);
        assert_eq!(table.find_slot(VirtAddr(slot.0 - 1)), None);
    }

    #[test]
    fn what_is_shown_has_no_int3_of_ours() {
        struct Patched;
        impl ReadMem for Patched {
            fn read_mem(&self, _: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
                buf.fill(INT3);
                Ok(buf.len())
            }
        }
        let at = VirtAddr(0x1002);
        let mut table = SiteTable::default();
        table.insert(at, push_rbp(at, Owner::Rendezvous));
        let mut seen = [0; 4];
        CleanMemory { raw: &Patched, sites: &table }.read_exact(VirtAddr(0x1000), &mut seen).unwrap();
        assert_eq!(seen, [INT3, INT3, 0x55, INT3]);
    }
}
