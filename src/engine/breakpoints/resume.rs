//! Letting a stopped thread go on: past the site it stands at, with the signal it is owed.

use super::placing::LONGEST_INSTRUCTION;
use super::Verdict;
use crate::api::{Event, StopReason};
use crate::arch::{plan_out_of_line, Effect, OutOfLine, StepOver};
use crate::base::{Inferior, InferiorError, ReadMem, Regs, ResumeHow, Tid, VirtAddr};
use crate::engine::inspect::memory::{RawMemory, ThreadMemory};
use crate::engine::state::{Engine, World};
use crate::target::breakpoint::CleanMemory;
use crate::target::debug_register::RegisterSet;
use crate::target::task::{RunState, SpaceId, StopKind};

/// Bytes that one displaced instruction and its jump back may take.
pub(super) const SLOT_SIZE: u64 = crate::arch::SLOT_SIZE;
/// Slots are made a page run at a time, bytes.
pub(in crate::engine) const SLOT_PAGES: u64 = 16 * 4096;
/// How far from a site a slot may be, so that a rip-relative operand still reaches: 1 GiB leaves room for the module.
const SLOT_REACH: u64 = 1 << 30;
/// A site that threads have passed so often is worth a copy: writing rip alone costs less than emulating, but the copy
/// takes a mapping in the target and some hundred microseconds.
const HOT: u32 = 256;
/// mmap(2) on x86-64.
const SYS_MMAP: u64 = 9;
/// PROT_READ | PROT_EXEC.
const PROT_READ_EXEC: u64 = 1 | 4;
/// MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE.
const MAP_SLOTS: u64 = 0x02 | 0x20 | 0x10_0000;

/// Why a thread cannot get past a site.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum PassError {
    #[error(transparent)]
    Inferior(#[from] InferiorError),
    #[error(transparent)]
    Arch(#[from] crate::arch::ArchError),
    #[error("there is no room near {0} for a copy of the instruction")]
    NoRoom(VirtAddr),
    #[error("no site is known at {0}")]
    NoSite(VirtAddr),
}

impl<I: Inferior> Engine<I> {
    /// Lets a stopped thread run: a site that it stands at and that was told of is stepped over.
    pub(in crate::engine) fn release(&mut self, tid: Tid) {
        self.apply_queued(tid);
        if self.tell_late(tid) {
            return;
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let RunState::Stopped(kind) = thread.state else { return };
        if !thread.reached.is_empty() && self.judge_kept(tid, RegisterSet::default()) == Verdict::Stop {
            return;
        }
        if self.tell_calls(tid) == Verdict::Stop {
            return;
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        // Amid a call nothing stands before a site: what is behind the call is hit when that has returned.
        let reported = thread.reported_at.take().filter(|_| kind != StopKind::Syscall);
        let owed = thread.owed;
        if let StopKind::Group(_) = kind {
            // The group stays stopped until SIGCONT, as it would without rdbg; LISTEN reports that.
            self.resume_task(tid, ResumeHow::Listen, None);
            return;
        }
        if let Some(at) = reported.filter(|at| self.is_site(tid, *at)) {
            match self.inferior.regs(tid) {
                Ok(regs) if regs.pc() == at => {
                    if owed.is_some() {
                        // The handler's frame must not hold a slot's address, so the handler comes first.
                        self.pass_later(tid, at, regs.sp());
                    } else {
                        match self.step_over(tid, at, regs) {
                            Ok(reached) if self.judge_kept(tid, reached) == Verdict::Stop => return,
                            Ok(_) => {}
                            Err(error) => return self.cannot_pass(tid, at, &error),
                        }
                    }
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
        if let Some(at) = reported {
            self.pass_register(tid, at);
        }
        self.resume_task(tid, ResumeHow::Continue, owed);
    }

    pub(in crate::engine) fn pass_later(&mut self, tid: Tid, at: VirtAddr, sp: VirtAddr) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.passed_at = Some((at, sp));
        }
    }

    /// Whether a site is armed there in the thread's memory.
    pub(in crate::engine) fn is_site(&self, tid: Tid, at: VirtAddr) -> bool {
        self.space_of(tid).and_then(|id| self.spaces.get(&id)).is_some_and(|space| space.sites.find(at).is_some())
    }

    /// Executes the displaced instruction of the site at `at` for a thread whose registers are `regs`, without lifting
    /// the site: the registers are written, the thread still stands. Returns the debug registers that the CPU would have
    /// found hit.
    pub(in crate::engine) fn step_over(
        &mut self,
        tid: Tid,
        at: VirtAddr,
        mut regs: Regs,
    ) -> Result<RegisterSet, PassError> {
        let space = self.space_of(tid).ok_or(InferiorError::Gone(tid))?;
        let early = self.take_early(tid);
        let netted = self.spread_at_hit(tid);
        let site = self.spaces.get_mut(&space).and_then(|one| one.sites.find_mut(at)).ok_or(PassError::NoSite(at))?;
        if let Some(slot) = site.slot {
            // The thread's registers are the hit's own; rip alone changes.
            if early.is_none_or(|early| early.now != slot) {
                self.inferior.set_pc(tid, slot)?;
            }
            return Ok(RegisterSet::default());
        }
        match &site.step_over {
            StepOver::Emulate(emulation) => {
                let emulation = *emulation;
                site.emulated = site.emulated.saturating_add(1);
                let hot = if netted { 1 } else { HOT };
                if site.emulated == hot && emulation.effect() != Effect::ProgramCounter {
                    if let Some(slot) = self.copy_emulated_site(tid, at, &regs) {
                        self.inferior.set_pc(tid, slot)?;
                        return Ok(RegisterSet::default());
                    }
                }
                if netted {
                    // The handler knows sites and copies; where else the thread comes to it could not tell.
                    self.inferior.set_pc(tid, at)?;
                    self.inferior.collect_trap(tid);
                }
                let reached = match self.emulate(tid, &emulation, &mut regs) {
                    Ok(reached) => reached,
                    Err(error) => {
                        // The CPU would raise an exception, as it does in the copy, or cannot be stood in for here.
                        let slot = self.copy_emulated_site(tid, at, &regs).ok_or(error)?;
                        self.inferior.set_pc(tid, slot)?;
                        return Ok(RegisterSet::default());
                    }
                };
                match emulation.effect() {
                    Effect::ProgramCounter => self.inferior.set_pc(tid, regs.pc())?,
                    Effect::Registers | Effect::Memory => self.inferior.set_regs(tid, &regs)?,
                }
                Ok(reached)
            }
            StepOver::OutOfLine(copy) => {
                let copy = *copy;
                let slot = self.make_slot(tid, at, &copy, &regs)?;
                self.inferior.set_pc(tid, slot)?;
                Ok(RegisterSet::default())
            }
        }
    }

    /// Gives a site that can be emulated a slot, if it can be had without harm: a filter of system calls could kill the
    /// process for the mapping. Where there is none the site goes on as it was.
    fn copy_emulated_site(&mut self, tid: Tid, at: VirtAddr, regs: &Regs) -> Option<VirtAddr> {
        let (pid, space) = self.process_of(tid).map(|one| (one.pid, one.space))?;
        let mut bytes = [0; LONGEST_INSTRUCTION];
        let memory = RawMemory { inferior: &self.inferior, pid };
        let sites = &self.spaces.get(&space)?.sites;
        let got = CleanMemory { raw: &memory, sites }.read_mem(at, &mut bytes).ok()?;
        let copy = plan_out_of_line(at, &bytes[..got]).ok()?;
        self.make_slot(tid, at, &copy, regs).inspect_err(|error| tracing::debug!(%error, "no slot")).ok()
    }

    /// Copies a site's displaced instruction into a slot of the target, whose page is mapped when the first is needed.
    fn make_slot(&mut self, tid: Tid, at: VirtAddr, copy: &OutOfLine, regs: &Regs) -> Result<VirtAddr, PassError> {
        let (pid, space) = match self.process_of(tid) {
            Some(process) => (process.pid, process.space),
            None => return Err(InferiorError::Gone(tid).into()),
        };
        if self.map_slots_near(tid, space, at)? {
            // The remote call left the registers as they were in the stop, one past the int3.
            self.inferior.set_regs(tid, regs)?;
        }
        let near = |slot: VirtAddr| slot.0.abs_diff(at.0) < SLOT_REACH;
        let one = self.spaces.get_mut(&space).ok_or(PassError::NoSite(at))?;
        let run = one.slots.iter_mut().find(|(next, end)| next < end && near(*next)).ok_or(PassError::NoRoom(at))?;
        let slot = run.0;
        let code = copy.code_at(slot)?;
        self.inferior.write_mem(pid, slot, &code).map_err(InferiorError::from)?;
        run.0 = slot.offset(SLOT_SIZE);
        one.sites.add_slot(at, slot, *copy);
        one.net.add_copy(&mut self.inferior, pid, &one.sites, at);
        Ok(slot)
    }

    /// Sees to it that a slot for `at` can be had; whether a thread had to make a call for it.
    pub(in crate::engine) fn map_slots_near(
        &mut self,
        tid: Tid,
        space: SpaceId,
        at: VirtAddr,
    ) -> Result<bool, PassError> {
        let runs = &self.spaces.get(&space).ok_or(PassError::NoSite(at))?.slots;
        if runs.iter().any(|(next, end)| next < end && next.0.abs_diff(at.0) < SLOT_REACH) {
            return Ok(false);
        }
        let run = self.map_slots(tid, at)?;
        if let Some(one) = self.spaces.get_mut(&space) {
            one.slots.push((run, run.offset(SLOT_PAGES)));
        }
        Ok(true)
    }

    /// Maps a run of executable pages into the target, near `at`.
    fn map_slots(&mut self, tid: Tid, at: VirtAddr) -> Result<VirtAddr, PassError> {
        let pid = self.threads.get(&tid).map(|one| one.pid).ok_or(InferiorError::Gone(tid))?;
        let maps = self.inferior.maps(pid)?;
        let ends: Vec<VirtAddr> = maps.iter().map(|one| one.range.end).collect();
        let starts = maps.iter().skip(1).map(|one| one.range.start).chain([VirtAddr(0x7fff_ffff_f000)]);
        let gaps = ends.iter().zip(starts).filter(|(end, start)| start.0.saturating_sub(end.0) >= 2 * SLOT_PAGES);
        let mut places: Vec<VirtAddr> = gaps
            .flat_map(|(end, start)| [*end, VirtAddr(start.0 - SLOT_PAGES)])
            .filter(|place| place.0.abs_diff(at.0) < SLOT_REACH)
            .collect();
        places.sort_by_key(|place| place.0.abs_diff(at.0));
        for place in places.into_iter().take(8) {
            let args = [place.0, SLOT_PAGES, PROT_READ_EXEC, MAP_SLOTS, u64::MAX, 0];
            if self.remote_syscall(tid, SYS_MMAP, args)? == place.0 {
                return Ok(place);
            }
        }
        Err(PassError::NoRoom(at))
    }

    /// Moves a stopped thread out of a slot, back to the program's own text: before a signal's frame can hold its pc,
    /// before a step, and before leaving.
    pub(in crate::engine) fn leave_slot(&mut self, tid: Tid) {
        self.take_early(tid);
        let Some(space) = self.space_of(tid) else { return };
        let Some(sites) = self.spaces.get(&space).map(|one| &one.sites) else { return };
        let in_runs = |pc: VirtAddr| {
            let runs = self.spaces.get(&space).map(|one| one.slots.as_slice()).unwrap_or_default();
            runs.iter().any(|(_, end)| end.since(pc).wrapping_sub(1) < SLOT_PAGES)
        };
        if self.spaces.get(&space).is_none_or(|one| one.slots.is_empty()) {
            return;
        }
        let Ok(regs) = self.inferior.regs(tid) else { return };
        if !in_runs(regs.pc()) {
            return;
        }
        let Some((at, slot, copy)) = sites.find_slot(regs.pc()) else { return };
        let executed = regs.pc().since(slot) >= u64::from(copy.copied_length());
        // What can be emulated is: then the hit is over, and a signal's handler that comes next is not in its midst.
        if let (false, Some(StepOver::Emulate(emulation))) = (executed, sites.find(at).map(|site| &site.step_over)) {
            let watched = self.spaces.get(&space).is_some_and(|one| one.registers.watches_data());
            let (emulation, mut past) = (*emulation, Regs { rip: at.0, ..regs });
            let mut memory = ThreadMemory { inferior: &mut self.inferior, tid };
            // Where bytes are watched it must not be lost that it reaches them, and it is carried out when the thread goes on.
            if !watched && emulation.run(&mut past, &mut memory).is_ok() && self.inferior.set_regs(tid, &past).is_ok() {
                return;
            }
        }
        let back = if executed { at.offset(u64::from(copy.length)) } else { at };
        let _ = self.inferior.set_pc(tid, back);
        if let (false, Some(thread)) = (executed, self.threads.get_mut(&tid)) {
            thread.reported_at = Some(at);
        }
    }

    /// A site that a thread cannot get past: the site goes, the thread goes on, and the user is told.
    pub(in crate::engine) fn cannot_pass(&mut self, tid: Tid, at: VirtAddr, error: &PassError) {
        if matches!(error, PassError::Inferior(InferiorError::Gone(_) | InferiorError::Memory(_)))
            && !self.is_site(tid, at)
        {
            return;
        }
        let text = format!("thread {tid} cannot pass the breakpoint at {at}: {error}; the breakpoint is removed there");
        self.emit(Event::Notice { text });
        self.drop_site(tid, at);
        let _ = self.inferior.set_pc(tid, at);
        if self.world == World::Running {
            self.resume_task(tid, ResumeHow::Continue, None);
        }
    }

    /// `continue`.
    pub(in crate::engine) fn resume_world(&mut self) {
        self.world = World::Running;
        self.stop = None;
        self.selection.frame = 0;
        let mut stopped: Vec<Tid> = Vec::new();
        for (tid, thread) in &mut self.threads {
            thread.held = false;
            thread.locked = false;
            if thread.is_stopped() {
                stopped.push(*tid);
            }
        }
        // One that is to be told of a signal ends the rest, so it comes first.
        stopped.sort_unstable_by_key(|tid| (self.threads.get(tid).is_none_or(|one| one.untold.is_none()), *tid));
        for tid in stopped {
            // One that goes on can stop them all again: what it reached while they stood is judged now.
            if self.world != World::Running {
                break;
            }
            self.release(tid);
        }
    }

    /// Why it stands.
    pub(in crate::engine) fn stop_reason(&self) -> Option<StopReason> {
        self.stop.clone()
    }
}
