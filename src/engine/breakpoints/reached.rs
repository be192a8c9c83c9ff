//! Hits of debug registers: by the CPU, or by an instruction that rdbg has carried out in its place.

use super::watching::Means;
use super::Verdict;
use crate::api::{Argument, FunctionCall, StopReason, Toggle, WatchAccess, WatchHit, Where};
use crate::arch::{ArchError, Emulation};
use crate::base::{DebugRegister, Inferior, MemError, Memory, ReadMem, Regs, SigInfo, Signal, Tid, VirtAddr};
use crate::engine::inspect::memory::ThreadMemory;
use crate::engine::state::{Engine, World};
use crate::target::debug_register::{DebugRegisters, Reach, Reached, RegisterSet, Trigger, Watcher};
use crate::target::stop::{involves_registers, Trap, TrapCause, TRAP_HWBKPT};
use std::cell::Cell;

/// EFLAGS.RF: the next instruction hits no debug register that waits for its execution (Intel SDM vol. 3, 18.3.1.1).
const RESUME_FLAG: u64 = 1 << 16;

/// A thread's memory, noting which registers the CPU would have found hit.
struct NotedMemory<'a, I: Inferior> {
    memory: ThreadMemory<'a, I>,
    registers: &'a DebugRegisters,
    reached: Cell<RegisterSet>,
}

impl<I: Inferior> NotedMemory<'_, I> {
    fn note(&self, at: VirtAddr, length: usize, how: Reach) {
        self.reached.set(self.reached.get().union(self.registers.reached(at, length as u64, how)));
    }
}

impl<I: Inferior> ReadMem for NotedMemory<'_, I> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        let got = self.memory.read_mem(at, buf)?;
        self.note(at, got, Reach::Load);
        Ok(got)
    }
}

impl<I: Inferior> Memory for NotedMemory<'_, I> {
    fn write_mem(&mut self, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        self.memory.write_mem(at, bytes)?;
        self.note(at, bytes.len(), Reach::Store);
        Ok(())
    }
}

impl<I: Inferior> Engine<I> {
    /// Carries out an instruction in a thread's place; returns the debug registers that it would have hit.
    pub(super) fn emulate(
        &mut self,
        tid: Tid,
        emulation: &Emulation,
        regs: &mut Regs,
    ) -> Result<RegisterSet, ArchError> {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id));
        let memory = ThreadMemory { inferior: &mut self.inferior, tid };
        match space.map(|one| &one.registers).filter(|one| one.watches_data()) {
            None => {
                let mut memory = memory;
                emulation.run(regs, &mut memory).map(|()| RegisterSet::default())
            }
            Some(registers) => {
                let mut memory = NotedMemory { memory, registers, reached: Cell::default() };
                emulation.run(regs, &mut memory).map(|()| memory.reached.get())
            }
        }
    }

    /// DR6 of a trap that it tells something of, else 0. It is cleared, since not every kernel does so at the next.
    pub(in crate::engine) fn take_debug_status(&mut self, tid: Tid, siginfo: &SigInfo) -> u64 {
        if self.registers_changes == 0 || !involves_registers(siginfo.code) {
            return 0;
        }
        let status = self.inferior.debug_register(tid, DebugRegister::Status).unwrap_or(0);
        let _ = self.inferior.set_debug_register(tid, DebugRegister::Status, 0);
        status
    }

    /// Whether a signal that a thread stands with comes of a debug register: it is never the program's.
    pub(in crate::engine) fn is_of_registers(&self, tid: Tid, signal: Signal) -> bool {
        signal == Signal::TRAP && self.inferior.siginfo(tid).is_ok_and(|info| info.code == TRAP_HWBKPT)
    }

    /// A thread's instruction has hit debug registers, or is about to be executed and is waited for by one.
    pub(in crate::engine) fn on_registers(&mut self, tid: Tid, trap: Trap) {
        // In a slot the CPU has executed a displaced instruction; the thread is to stand where it would without.
        self.leave_slot(tid);
        let Ok(regs) = self.inferior.regs(tid) else { return };
        let reached = self.look_at(tid, trap.registers);
        let executes = self.waiting_at(tid, trap.registers);
        if let (TrapCause::Own, Some(thread)) = (trap.cause, self.threads.get_mut(&tid)) {
            // A program that steps itself gets its signal too.
            thread.owed = Some(Signal::TRAP);
        }
        if self.world != World::Running {
            // As with sites: judged when the thread goes on. It has not executed yet what is waited for, and hits again.
            if !executes.is_empty() {
                let _ = self.inferior.set_regs(tid, &Regs { eflags: regs.eflags & !RESUME_FLAG, ..regs });
            }
            self.keep(tid, reached);
            if trap.cause == TrapCause::StepDone {
                self.on_step_done(tid);
            }
            return;
        }
        if !reached.is_empty() {
            let hits = self.judge_reached(tid, &regs, reached);
            if !hits.is_empty() {
                return self.stop_for_watch(tid, hits);
            }
        }
        let mut stop_ids = Vec::new();
        for Watcher { id, location } in executes.iter().copied() {
            if self.judge(id, location, tid, &regs) == Verdict::Stop {
                stop_ids.push(id);
            }
        }
        match (trap.cause, executes.is_empty()) {
            (_, false) => self.after_execute_hit(tid, regs, stop_ids),
            (TrapCause::StepDone, true) => self.on_step_done(tid),
            (_, true) => self.go_on(tid),
        }
    }

    /// Registers that wait for the instruction at pc have been judged. A site there belongs to the same hit.
    fn after_execute_hit(&mut self, tid: Tid, regs: Regs, stop_ids: Vec<u32>) {
        let at = regs.pc();
        if self.is_site(tid, at) {
            return self.on_hit(tid, at, Regs { eflags: regs.eflags & !RESUME_FLAG, ..regs }, stop_ids);
        }
        if stop_ids.is_empty() {
            // The kernel has set RF.
            return self.go_on(tid);
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.reported_at = Some(at);
        }
        self.stop_for(tid, StopReason::Breakpoint { ids: stop_ids.clone() });
        self.after_stop_at(&stop_ids);
    }

    /// Lets a thread past a register that waits for the instruction at `at`, of which the user has been told.
    pub(in crate::engine) fn pass_register(&mut self, tid: Tid, at: VirtAddr) {
        let waits = |id| self.spaces.get(&id).is_some_and(|one| one.registers.waits_at(at));
        if !self.space_of(tid).is_some_and(waits) {
            return;
        }
        if let Ok(regs) = self.inferior.regs(tid) {
            if regs.pc() == at {
                let _ = self.inferior.set_regs(tid, &Regs { eflags: regs.eflags | RESUME_FLAG, ..regs });
            }
        }
    }

    /// What the bytes behind these registers were and are.
    pub(super) fn look_at(&mut self, tid: Tid, set: RegisterSet) -> Vec<Reached> {
        let Some((pid, space)) = self.process_of(tid).map(|one| (one.pid, one.space)) else { return Vec::new() };
        let Some(one) = self.spaces.get_mut(&space) else { return Vec::new() };
        let data = one.registers.regions_of(set).filter(|region| region.trigger != Trigger::Execute);
        let places: Vec<_> = data.map(|region| (region.watcher, region.at, region.length)).collect();
        let mut all = Vec::new();
        for (watcher, at, length) in places {
            let new = self.read_watched(pid, space, at, length);
            let Some(one) = self.spaces.get_mut(&space) else { continue };
            let Some(region) = one.registers.regions_of(set).find(|region| region.watcher == watcher) else { continue };
            let old = std::mem::replace(&mut region.last, new.clone());
            all.push(Reached { watcher, at, old, new });
        }
        all
    }

    /// Whose registers wait for the instruction at `at`, to which a step has brought the thread.
    pub(in crate::engine) fn watchers_at(&self, tid: Tid, at: VirtAddr) -> Vec<Watcher> {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id));
        space.map(|one| one.registers.waiting_at(at).collect()).unwrap_or_default()
    }

    /// Whose registers among these wait for an instruction.
    fn waiting_at(&mut self, tid: Tid, set: RegisterSet) -> Vec<Watcher> {
        let space = self.space_of(tid).and_then(|id| self.spaces.get_mut(&id));
        let Some(one) = space else { return Vec::new() };
        let waiting = one.registers.regions_of(set).filter(|region| region.trigger == Trigger::Execute);
        waiting.map(|region| region.watcher).collect()
    }

    /// Keeps hits for when the thread goes on: what has been done cannot be hit again.
    pub(super) fn keep(&mut self, tid: Tid, reached: Vec<Reached>) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.reached.extend(reached);
        }
    }

    /// The hits among these for which the target is to stop; the others are counted, logged, or none.
    pub(super) fn judge_reached(&mut self, tid: Tid, regs: &Regs, reached: Vec<Reached>) -> Vec<WatchHit> {
        let mut hits = Vec::new();
        for Reached { watcher: Watcher { id, location }, at, old, new } in reached {
            let Some(Where::Watch(spec)) = self.breakpoints.get(&id).map(|one| &one.spec.location) else { continue };
            let changed = old != new;
            let wanted = match spec.access {
                WatchAccess::Change => changed,
                WatchAccess::Read => !changed,
                WatchAccess::Write | WatchAccess::Any => true,
            };
            if !wanted {
                continue;
            }
            let hit = WatchHit { id, expression: spec.expression.clone(), access: spec.access, at, old, new };
            if let Some(one) = self.breakpoints.get_mut(&id) {
                one.seen = Some(hit.clone());
            }
            if self.judge(id, location, tid, regs) == Verdict::Stop {
                hits.push(hit);
            }
        }
        hits
    }

    /// Stops for these.
    pub(super) fn stop_for_watch(&mut self, tid: Tid, hits: Vec<WatchHit>) {
        let ids: Vec<u32> = hits.iter().map(|one| one.id).collect();
        self.stop_for(tid, StopReason::Watch { hits });
        self.after_stop_at(&ids);
    }

    /// Before a thread goes on: judges hits that were kept, and those of `more`. [`Verdict::Stop`]: it has stopped for one.
    pub(in crate::engine) fn judge_kept(&mut self, tid: Tid, more: RegisterSet) -> Verdict {
        let kept = self.threads.get_mut(&tid).map(|one| std::mem::take(&mut one.reached)).unwrap_or_default();
        if kept.is_empty() && more.is_empty() {
            return Verdict::GoOn;
        }
        let Ok(regs) = self.inferior.regs(tid) else { return Verdict::GoOn };
        let reached = kept.into_iter().chain(self.look_at(tid, more)).collect();
        let hits = self.judge_reached(tid, &regs, reached);
        if hits.is_empty() {
            return Verdict::GoOn;
        }
        self.stop_for_watch(tid, hits);
        Verdict::Stop
    }

    /// How a watchpoint's hit is logged: as a call of the expression on what it was and is.
    pub(super) fn watched_call(&self, id: u32) -> Option<FunctionCall> {
        let one = self.breakpoints.get(&id).filter(|one| one.means != Means::Patch)?;
        let hit = one.seen.as_ref()?;
        let argument = |name: &str, bytes: &Option<Vec<u8>>| Argument {
            name: Some(name.to_owned()),
            text: bytes.as_deref().map_or_else(|| "?".to_owned(), bytes_text),
            certain: Toggle::On,
        };
        let arguments = vec![argument("old", &hit.old), argument("new", &hit.new)];
        Some(FunctionCall { function: hit.expression.clone(), module: None, arguments })
    }
}

/// A little-endian number of up to 8 bytes, else the bytes.
fn bytes_text(bytes: &[u8]) -> String {
    let mut word = [0; 8];
    match (bytes.len(), word.get_mut(..bytes.len())) {
        (1 | 2 | 4 | 8, Some(low)) => {
            low.copy_from_slice(bytes);
            format!("{:#x}", u64::from_le_bytes(word))
        }
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    }
}
