//! Patching instructions and restoring them, many in one pass.

use super::leftover::leftover_byte;
use super::placing::LONGEST_INSTRUCTION;
use crate::api::Event;
use crate::arch::{plan_step_over, ArchError};
use crate::base::{Inferior, MemError, Pid, ReadMem, Tid, VirtAddr};
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;
use crate::target::breakpoint::{CleanMemory, Owner, Site, INT3};
use crate::target::debug_register::RegisterError;
use crate::target::task::SpaceId;

/// Sites whose instructions are read together are in the same span of this many bytes.
const READ_SPAN: u64 = 4096;

/// Why a site could not be armed.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum ArmError {
    #[error(transparent)]
    Memory(#[from] MemError),
    /// The code can be read.
    #[error("the code cannot be written: {0}")]
    Unwritable(MemError),
    #[error(transparent)]
    Arch(#[from] ArchError),
    #[error(transparent)]
    Register(#[from] RegisterError),
    #[error("the kernel refuses it: {0}")]
    Refused(String),
    #[error("{0} is not in executable memory")]
    NotExecutable(VirtAddr),
}

impl<I: Inferior> Engine<I> {
    /// Patches an instruction, or adds an owner where it is patched already. The process may run: one byte is written.
    pub(in crate::engine) fn arm(
        &mut self,
        pid: Pid,
        space: SpaceId,
        at: VirtAddr,
        owner: Owner,
    ) -> Result<(), ArmError> {
        match self.arm_all(pid, space, &[(at, owner)]).pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Patches many instructions, in ascending order of their addresses; returns those that could not be, with the
    /// reason. Where the kernel lets code be written only while a thread stands (see [`Inferior::write_mem`]), one is
    /// made to.
    pub(in crate::engine) fn arm_all(
        &mut self,
        pid: Pid,
        space: SpaceId,
        places: &[(VirtAddr, Owner)],
    ) -> Vec<(VirtAddr, ArmError)> {
        let failed = self.patch_all(pid, space, places);
        let (mut unwritable, mut failed): (Vec<_>, Vec<_>) =
            failed.into_iter().partition(|(_, error)| matches!(error, ArmError::Unwritable(_)));
        if !unwritable.is_empty() {
            let is_among = |at: VirtAddr| unwritable.binary_search_by_key(&at, |(one, _)| *one).is_ok();
            let again: Vec<_> = places.iter().copied().filter(|(at, _)| is_among(*at)).collect();
            self.while_it_stands(pid, |engine| unwritable = engine.patch_all(pid, space, &again));
        }
        failed.extend(unwritable);
        failed
    }

    /// [`Engine::arm_all`] while the process runs or stands as it does. The instructions of a page are read at once. Each
    /// patch is a write of its own: a whole page written back would undo what somebody else writes there meanwhile, and
    /// costs no less than eight such writes.
    fn patch_all(&mut self, pid: Pid, space: SpaceId, places: &[(VirtAddr, Owner)]) -> Vec<(VirtAddr, ArmError)> {
        let mut failed = Vec::new();
        let mut code = Vec::new();
        let mut leftover = Vec::new();
        let guarded = self.guard_space(pid, space);
        self.spread_before_arming(pid, space, places);
        for group in places.chunk_by(|(a, _), (b, _)| a.0 / READ_SPAN == b.0 / READ_SPAN) {
            let Some(one) = self.spaces.get_mut(&space) else {
                failed.extend(group.iter().map(|(at, _)| (*at, MemError::Gone.into())));
                continue;
            };
            let (first, last) = (group[0].0, group[group.len() - 1].0);
            code.resize(last.since(first) as usize + LONGEST_INSTRUCTION, 0);
            let memory = CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid }, sites: &one.sites };
            let got = memory.read_mem(first, &mut code).unwrap_or(0);
            for (at, owner) in group {
                if let Some(site) = one.sites.find_mut(*at) {
                    if !site.owners.contains(owner) {
                        site.owners.push(*owner);
                    }
                    continue;
                }
                let from = at.since(first) as usize;
                if code.get(from) == Some(&INT3) {
                    if let Some(original) = leftover_byte(&self.inferior, pid, &one.modules, *at) {
                        code[from] = original;
                        leftover.push(*at);
                    }
                }
                let bytes = &code[from.min(got)..got.min(from + LONGEST_INSTRUCTION)];
                let armed = match bytes {
                    [] => Err(MemError::Unmapped(*at).into()),
                    _ => plan_step_over(*at, bytes).map_err(ArmError::from),
                };
                let patched = armed.and_then(|plan| {
                    self.guardian.cover(guarded, *at, bytes[0]);
                    one.net.cover(&mut self.inferior, pid, *at, bytes[0]);
                    self.inferior.write_mem(pid, *at, &[INT3]).map(|()| plan).map_err(ArmError::Unwritable)
                });
                match patched {
                    Ok(step_over) => one.sites.insert(*at, Site::new(bytes[0], step_over, *owner)),
                    Err(error) => {
                        self.guardian.uncover(guarded, *at);
                        failed.push((*at, error));
                    }
                }
            }
        }
        for at in leftover {
            self.tell_leftover(pid, at);
        }
        failed
    }

    /// Takes an owner off a site; the last one restores the byte.
    pub(in crate::engine) fn disarm(&mut self, space: SpaceId, at: VirtAddr, owner: Owner) {
        let Some(pid) = self.pid_of_space(space) else { return };
        let Some(original) = self.spaces.get_mut(&space).and_then(|one| one.sites.remove_owner(at, owner)) else {
            return;
        };
        let mut restored = self.restore(pid, at, original);
        if matches!(restored, Err(MemError::Unmapped(_) | MemError::Refused { .. })) {
            self.while_it_stands(pid, |engine| restored = engine.restore(pid, at, original));
        }
        match restored {
            Ok(()) | Err(MemError::Gone) => self.guardian.uncover(self.guarded(space), at),
            Err(error) => {
                self.emit(Event::Notice { text: format!("the instruction at {at} was not restored: {error}") });
            }
        }
    }

    /// Writes a displaced byte back, if its `int3` is still there: what the program has unmapped, mapped or written over
    /// it meanwhile is the program's.
    pub(super) fn restore(&mut self, pid: Pid, at: VirtAddr, original: u8) -> Result<(), MemError> {
        let mut now = [0];
        match self.inferior.read_mem(pid, at, &mut now) {
            Ok(_) if now == [INT3] => self.inferior.write_mem(pid, at, &[original]),
            Ok(_) | Err(MemError::Unmapped(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes displaced bytes back as [`Engine::restore`] does, the places in ascending order; the last that failed.
    pub(in crate::engine) fn restore_all(
        &mut self,
        pid: Pid,
        places: &[(VirtAddr, u8)],
    ) -> Result<(), (VirtAddr, MemError)> {
        let mut outcome = Ok(());
        for (at, original, now) in self.bytes_at(pid, places) {
            if now == INT3 {
                if let Err(error) = self.inferior.write_mem(pid, at, &[original]) {
                    outcome = Err((at, error));
                }
            }
        }
        outcome
    }

    /// Makes a forked copy of the memory agree with what is known of it: between the fork and the report of it sites
    /// were removed that the copy still has, others set that it has not, and slots filled.
    pub(in crate::engine) fn reconcile_copy(&mut self, child: Pid, space: SpaceId) {
        let Some(sites) = self.spaces.get(&space).map(|one| &one.sites) else { return };
        let (armed, retired): (Vec<_>, Vec<_>) = (sites.originals().collect(), sites.retired().collect());
        // Gone is an answer.
        let _ = self.restore_all(child, &retired);
        for (at, original, now) in self.bytes_at(child, &armed) {
            if now == original {
                let _ = self.inferior.write_mem(child, at, &[INT3]);
            }
        }
        let Some(one) = self.spaces.get_mut(&space) else { return };
        let is_mapped = |start: VirtAddr| self.inferior.read_mem(child, start, &mut [0]).is_ok();
        let ends: Vec<VirtAddr> = one.slots.iter().map(|(_, end)| *end).collect();
        for end in ends {
            let start = VirtAddr(end.0 - super::resume::SLOT_PAGES);
            if !is_mapped(start) {
                one.slots.retain(|(_, other)| *other != end);
                one.sites.forget_slots(start, end);
            }
        }
        let filled: Vec<_> =
            one.sites.slots().filter_map(|(slot, copy)| Some((slot, copy.code_at(slot).ok()?))).collect();
        for (slot, code) in filled {
            let _ = self.inferior.write_mem(child, slot, &code);
        }
        one.net.reconcile(&mut self.inferior, child, &one.sites);
    }

    /// What stands at these places, which are in ascending order, with what is given for each: read a page at a time.
    /// Those that cannot be read are left out.
    fn bytes_at(&self, pid: Pid, places: &[(VirtAddr, u8)]) -> Vec<(VirtAddr, u8, u8)> {
        let (mut found, mut span) = (Vec::with_capacity(places.len()), Vec::new());
        for group in places.chunk_by(|(a, _), (b, _)| a.0 / READ_SPAN == b.0 / READ_SPAN) {
            let (first, last) = (group[0].0, group[group.len() - 1].0);
            span.resize(last.since(first) as usize + 1, 0);
            let got = self.inferior.read_mem(pid, first, &mut span).unwrap_or(0);
            let now = |at: VirtAddr| span[..got].get(at.since(first) as usize).copied();
            found.extend(group.iter().filter_map(|(at, original)| Some((*at, *original, now(*at)?))));
        }
        found
    }

    /// Removes a site whoever owns it.
    pub(super) fn drop_site(&mut self, tid: Tid, at: VirtAddr) {
        let Some(space) = self.space_of(tid) else { return };
        let site = self.spaces.get(&space).and_then(|one| one.sites.find(at));
        let owners = site.map(|one| one.owners.clone()).unwrap_or_default();
        for owner in owners {
            self.disarm(space, at, owner);
        }
    }
}
