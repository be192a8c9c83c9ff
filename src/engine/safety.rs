//! What protects an attached program should rdbg be killed.

use super::state::{Engine, Space};
use crate::base::{Inferior, Pid, Regs, Tid};
use crate::os::{GuardedId, Guardian};
use crate::target::task::{Origin, SpaceId};

impl<I: Inferior> Engine<I> {
    /// The same engine, whose patches the guardian knows of.
    pub(super) fn guarded_by(mut self, guardian: Guardian) -> Self {
        self.guardian = guardian;
        self
    }

    /// Has the guardian look after an address space, from its first patch on. What rdbg launched dies with it and needs
    /// no guardian.
    pub(super) fn guard_space(&mut self, pid: Pid, space: SpaceId) -> Option<GuardedId> {
        let attached = self.processes.get(&pid).is_some_and(|one| one.origin == Origin::Attached);
        let one = self.spaces.get_mut(&space)?;
        if one.guarded.is_none() && attached {
            one.guarded = self.guardian.enter(pid);
        }
        one.guarded
    }

    /// Before what takes its time at a hit: should rdbg be killed meanwhile, the thread goes on from its site, not from
    /// the middle of the instruction. `regs` have pc at the site. What the thread is to do then sets the pc again.
    pub(super) fn stand_at_site(&mut self, tid: Tid, regs: &Regs) {
        // Gone is an answer, which the wait reports.
        let _ = self.inferior.set_pc(tid, regs.pc());
    }

    /// Before the debug registers of a space are written: those that are set would outlive rdbg.
    pub(super) fn guard_registers(&mut self, pid: Pid, space: SpaceId) {
        if self.spaces.get(&space).is_some_and(|one| one.registers.control() != 0) {
            if let Some(id) = self.guard_space(pid, space) {
                self.guardian.debug_registers_in_use(id);
            }
        }
    }

    /// After they have been written: where none is in use and every thread stands, no thread has one set.
    pub(super) fn registers_written(&mut self, space: SpaceId) {
        let Some(one) = self.spaces.get(&space).filter(|one| one.registers.control() == 0) else { return };
        let runs = |tid: &Tid| self.space_of(*tid) == Some(space) && self.is_running(*tid);
        if let Some(id) = one.guarded.filter(|_| !self.threads.keys().any(runs)) {
            self.guardian.debug_registers_cleared(id);
        }
    }

    /// As what the guardian knows an address space.
    pub(super) fn guarded(&self, space: SpaceId) -> Option<GuardedId> {
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
