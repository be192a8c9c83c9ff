//! What rdbg has patched, in memory that its guardian shares: written by the tracer thread alone, read after its death.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use crate::base::{Pid, VirtAddr};
use crate::os::OsError;

/// How many address spaces are looked after at once.
pub(super) const SPACES: usize = 1024;
/// How many sites. Pages of the table that were never used take no memory.
pub(super) const SITES: usize = 1 << 20;
/// Futexes that the tracer thread holds besides the guardian's. The kernel lets go of at most 2048
/// (ROBUST_LIST_LIMIT of <linux/futex.h>), one after the other and the guardian's first, before it lets go of the
/// tracees: that takes a few hundred microseconds, in which the guardian works.
pub(super) const DELAYS: usize = 2040;

/// The mapping.
#[repr(C)]
pub(super) struct Table {
    /// The tracer thread's tid while it lives.
    pub(super) owner: RobustFutex,
    /// rdbg has left in order.
    pub(super) dismissed: AtomicU32,
    /// The tracer thread's robust list: kept here so that it stays where it is.
    robust: RobustList,
    delays: [RobustFutex; DELAYS],
    /// Sites from here on were never used.
    used: AtomicU32,
    spaces: [SpaceRecord; SPACES],
    sites: [SiteRecord; SITES],
}

/// `struct robust_list_head` of <linux/futex.h>.
#[repr(C)]
struct RobustList {
    first: AtomicU64,
    futex_offset: AtomicU64,
    pending: AtomicU64,
}

/// A futex and its place in the list.
#[repr(C)]
pub(super) struct RobustFutex {
    /// The address of the next one's.
    next: AtomicU64,
    pub(super) word: AtomicU32,
}

/// One address space.
#[repr(C)]
struct SpaceRecord {
    /// A process that has it; 0 where the record is free.
    pid: AtomicI32,
    /// Goes up each time the record is given to another address space.
    generation: AtomicU32,
    /// Threads of the process have debug registers set: 1.
    debug_registers: AtomicU32,
    /// When the process started, in clock ticks: a pid that came back is another process.
    started: AtomicU64,
}

/// One patched byte, or one counter that was raised.
#[repr(C)]
struct SiteRecord {
    at: AtomicU64,
    /// SITE, the space's index, the byte; COUNTER, what it was before, the space's index; 0 where the record is free.
    what: AtomicU64,
}

const SITE: u64 = 1 << 63;
const COUNTER: u64 = 1 << 62;
const SPACE_SHIFT: u32 = 8;
const BEFORE_SHIFT: u32 = 32;

/// An address space as it is in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GuardedSpace {
    pub(super) pid: Pid,
    pub(super) generation: u32,
    pub(super) started: u64,
    pub(super) debug_registers: bool,
}

impl Table {
    /// Maps one, to be shared with the children of this process.
    pub(super) fn map() -> Result<&'static Table, OsError> {
        // SAFETY: a new anonymous mapping, which no other one is put in place of.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Table>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(OsError::last("memory to share with the guardian"));
        }
        // SAFETY: the mapping is as large as a Table, aligned to a page, never unmapped, and all zeroes, which is valid
        // for atomics.
        Ok(unsafe { &*at.cast::<Table>() })
    }

    /// Makes the calling thread the owner of all futexes; what set_robust_list(2) is to be told, and its length. The
    /// list is what the kernel follows at the thread's end.
    pub(super) fn own(&self, tid: u32) -> (u64, usize) {
        let address = |one: &AtomicU64| std::ptr::from_ref(one) as u64;
        let head = address(&self.robust.first);
        self.robust.first.store(address(&self.owner.next), Ordering::Relaxed);
        let offset = std::mem::offset_of!(RobustFutex, word) - std::mem::offset_of!(RobustFutex, next);
        self.robust.futex_offset.store(offset as u64, Ordering::Relaxed);
        let mut last = &self.owner;
        for delay in &self.delays {
            delay.word.store(tid | libc::FUTEX_WAITERS, Ordering::Relaxed);
            last.next.store(address(&delay.next), Ordering::Relaxed);
            last = delay;
        }
        last.next.store(head, Ordering::Relaxed);
        self.owner.word.fetch_or(tid, Ordering::SeqCst);
        (head, size_of::<RobustList>())
    }

    /// Enters an address space; its generation. The pid is written last: before, the record counts for nothing.
    pub(super) fn enter_space(&self, index: usize, pid: Pid, started: u64) -> u32 {
        let record = &self.spaces[index];
        let generation = record.generation.load(Ordering::Relaxed).wrapping_add(1);
        record.generation.store(generation, Ordering::Relaxed);
        record.started.store(started, Ordering::Relaxed);
        record.debug_registers.store(0, Ordering::Relaxed);
        record.pid.store(pid.0, Ordering::Release);
        generation
    }

    pub(super) fn leave_space(&self, index: usize) {
        self.spaces[index].pid.store(0, Ordering::Release);
    }

    pub(super) fn set_debug_registers(&self, index: usize, in_use: u32) {
        self.spaces[index].debug_registers.store(in_use, Ordering::Release);
    }

    pub(super) fn space(&self, index: usize) -> Option<GuardedSpace> {
        let record = self.spaces.get(index)?;
        let pid = Pid(record.pid.load(Ordering::Acquire));
        (pid.0 != 0).then(|| GuardedSpace {
            pid,
            generation: record.generation.load(Ordering::Relaxed),
            started: record.started.load(Ordering::Relaxed),
            debug_registers: record.debug_registers.load(Ordering::Relaxed) != 0,
        })
    }

    /// Enters a site. Its byte is valid as soon as the record is, whenever the writer dies.
    pub(super) fn enter_site(&self, index: usize, space: usize, at: VirtAddr, original: u8) {
        self.enter(index, at, SITE | (space as u64) << SPACE_SHIFT | u64::from(original));
    }

    /// Enters a 16-bit counter that is about to be raised.
    pub(super) fn enter_counter(&self, index: usize, space: usize, at: VirtAddr, before: u16) {
        self.enter(index, at, COUNTER | u64::from(before) << BEFORE_SHIFT | (space as u64) << SPACE_SHIFT);
    }

    fn enter(&self, index: usize, at: VirtAddr, what: u64) {
        let record = &self.sites[index];
        record.at.store(at.0, Ordering::Relaxed);
        record.what.store(what, Ordering::Release);
        self.used.fetch_max(index as u32 + 1, Ordering::Release);
    }

    pub(super) fn is_site(&self, index: usize) -> bool {
        self.sites[index].what.load(Ordering::Relaxed) & SITE != 0
    }

    pub(super) fn leave_site(&self, index: usize) {
        self.sites[index].what.store(0, Ordering::Release);
    }

    /// The sites of one address space, in ascending order.
    pub(super) fn sites_of(&self, space: usize) -> Vec<(VirtAddr, u8)> {
        let mut found: Vec<_> = self.records_of(space, SITE).map(|(at, what)| (at, what as u8)).collect();
        found.sort_unstable();
        found
    }

    /// The counters of one address space, and what each was before.
    pub(super) fn counters_of(&self, space: usize) -> Vec<(VirtAddr, u16)> {
        self.records_of(space, COUNTER).map(|(at, what)| (at, (what >> BEFORE_SHIFT) as u16)).collect()
    }

    fn records_of(&self, space: usize, kind: u64) -> impl Iterator<Item = (VirtAddr, u64)> + '_ {
        let used = (self.used.load(Ordering::Acquire) as usize).min(SITES);
        self.sites[..used].iter().filter_map(move |record| {
            let what = record.what.load(Ordering::Acquire);
            let here = what & kind != 0 && (what >> SPACE_SHIFT) as u16 as usize == space;
            here.then(|| (VirtAddr(record.at.load(Ordering::Relaxed)), what))
        })
    }
}
