//! What protects an attached program should rdbg be killed.

use crate::base::{Inferior, Pid, Regs, Signal, Tid, VirtAddr, WaitStatus};
use crate::engine::state::{Engine, Space};
use crate::os::{GuardedId, Guardian};
use crate::target::task::{EarlyPc, Origin, SpaceId};

impl<I: Inferior> Engine<I> {
    /// The same engine, whose patches the guardian knows of.
    pub(in crate::engine) fn guarded_by(mut self, guardian: Guardian) -> Self {
        self.guardian = guardian;
        self
    }

    /// Has the guardian look after an address space, from its first patch on. What rdbg launched dies with it and needs
    /// no guardian.
    pub(in crate::engine) fn guard_space(&mut self, pid: Pid, space: SpaceId) -> Option<GuardedId> {
        let attached = self.processes.get(&pid).is_some_and(|one| one.origin == Origin::Attached);
        let one = self.spaces.get_mut(&space)?;
        if one.guarded.is_none() && attached {
            one.guarded = self.guardian.enter(pid);
        }
        one.guarded
    }

    /// The first thing that is done to a thread that reports a SIGTRAP with these registers. Its stop has been collected,
    /// so the kernel no longer delivers the signal should rdbg be killed: the thread would go on from where it is, in the
    /// midst of an instruction. Nearly every hit ends in the site's slot, so the pc goes there at once: from there the
    /// thread does by itself what it would have done. Whatever else comes of the hit sets the pc anyway, so that this costs
    /// no call more. What is left is the time from the wait to here, of one call (PTRACE_GETREGS).
    pub(in crate::engine) fn enter_slot_early(&mut self, tid: Tid, regs: &Regs) {
        let site = self.site_of_trap(tid, regs);
        if let Some((_, Some(slot))) = site {
            self.put_early(tid, regs, slot);
        }
    }

    /// As [`Engine::enter_slot_early`], of a report that is kept for later: then a site without a slot is worth a call.
    pub(super) fn keep_report(&mut self, tid: Tid, status: WaitStatus) {
        self.backlog.push_back((tid, status));
        if status != WaitStatus::SignalDelivery(Signal::TRAP) {
            return;
        }
        let Ok(regs) = self.inferior.regs(tid) else { return };
        if let Some((at, slot)) = self.site_of_trap(tid, &regs) {
            self.put_early(tid, &regs, slot.unwrap_or(at));
        }
    }

    /// The site that a trap with these registers seems to be of, and its slot.
    fn site_of_trap(&self, tid: Tid, regs: &Regs) -> Option<(VirtAddr, Option<VirtAddr>)> {
        let space = self.spaces.get(&self.space_of(tid)?)?;
        let at = VirtAddr(regs.rip.wrapping_sub(1));
        // With debug registers in use a trap can be several things at once.
        let site = space.sites.find(at).filter(|_| space.registers.control() == 0)?;
        Some((at, site.slot))
    }

    fn put_early(&mut self, tid: Tid, regs: &Regs, now: VirtAddr) {
        if self.inferior.set_pc(tid, now).is_ok() {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.early = Some(EarlyPc { reported: regs.pc(), now });
            }
        }
    }

    /// Where the pc is already; it is the caller's to set from now on.
    pub(in crate::engine) fn take_early(&mut self, tid: Tid) -> Option<EarlyPc> {
        self.threads.get_mut(&tid)?.early.take()
    }

    /// Before what takes its time at a hit, and where a thread is to stand: should rdbg be killed meanwhile, it goes on
    /// from its site, not from the middle of the instruction. `regs` have pc at the site. What the thread is to do then
    /// sets the pc again.
    pub(in crate::engine) fn stand_at_site(&mut self, tid: Tid, regs: &Regs) {
        self.take_early(tid);
        // Gone is an answer, which the wait reports.
        let _ = self.inferior.set_pc(tid, regs.pc());
    }

    /// Before the debug registers of a space are written: those that are set would outlive rdbg.
    pub(in crate::engine) fn guard_registers(&mut self, pid: Pid, space: SpaceId) {
        if self.spaces.get(&space).is_some_and(|one| one.registers.control() != 0) {
            if let Some(id) = self.guard_space(pid, space) {
                self.guardian.debug_registers_in_use(id);
            }
        }
    }

    /// After they have been written: where none is in use and every thread stands, no thread has one set.
    pub(in crate::engine) fn registers_written(&mut self, space: SpaceId) {
        let Some(one) = self.spaces.get(&space).filter(|one| one.registers.control() == 0) else { return };
        let runs = |tid: &Tid| self.space_of(*tid) == Some(space) && self.is_running(*tid);
        if let Some(id) = one.guarded.filter(|_| !self.threads.keys().any(runs)) {
            self.guardian.debug_registers_cleared(id);
        }
    }

    /// As what the guardian knows an address space.
    pub(in crate::engine) fn guarded(&self, space: SpaceId) -> Option<GuardedId> {
        self.spaces.get(&space)?.guarded
    }
}

/// A forked child has every patch of its parent, and is given its registers when it goes on.
pub(super) fn guard_copy(guardian: &mut Guardian, child: Pid, from: &Space) -> Option<GuardedId> {
    let id = guardian.enter(child);
    for (at, original) in from.sites.originals() {
        guardian.cover(id, at, original);
    }
    if let Some(id) = id.filter(|_| from.registers.control() != 0) {
        guardian.debug_registers_in_use(id);
    }
    id
}
