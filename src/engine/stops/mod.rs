//! What is done with each report of a wait.

mod advance;
pub(super) mod catching;
pub(super) mod finishing;
pub(super) mod line_step;
pub(super) mod pause;
pub(super) mod skips;
pub(super) mod stepping;
mod swallowed;
pub(super) mod syscalls;
mod world;

use super::breakpoints::Verdict;
use super::process::interrupted::Coming;
use super::state::{Engine, World};
use crate::api::{Event, Toggle};
use crate::base::{
    DebugRegister, Inferior, InferiorError, PendingScope, PtraceEvent, Resume, ResumeHow, Signal, Tid, VirtAddr,
    WaitStatus,
};
use crate::engine::inspect::described_names::Kept;
use crate::lang::Value;
use crate::target::debug_register::RegisterSet;
use crate::target::stop::{classify_trap, tells_exception, TrapCause};
use crate::target::task::{Origin, Role, RunState, StopKind};

impl<I: Inferior> Engine<I> {
    /// One report of a wait, to its end.
    pub(super) fn handle(&mut self, tid: Tid, status: WaitStatus) {
        if !self.threads.contains_key(&tid) {
            return self.on_stray(tid, status);
        }
        let kind = match status {
            WaitStatus::Exited { code } => return self.thread_gone(tid, code, None),
            WaitStatus::Signaled { signal } => return self.thread_gone(tid, 128 + signal.0, Some(signal)),
            WaitStatus::SignalDelivery(signal) => StopKind::Signal(signal),
            WaitStatus::GroupStop(signal) => StopKind::Group(signal),
            WaitStatus::Event(PtraceEvent::Stop) => StopKind::Event,
            // The kernel is in the midst of a call, whose result it writes to rax when the thread goes on.
            WaitStatus::SyscallStop | WaitStatus::Event(_) => StopKind::Syscall,
        };
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = RunState::Stopped(kind);
        }
        match status {
            WaitStatus::SignalDelivery(Signal::TRAP) => self.on_trap(tid),
            WaitStatus::SignalDelivery(signal) => self.on_signal(tid, signal),
            WaitStatus::GroupStop(signal) if self.catch_stopped(tid, signal) => {}
            WaitStatus::Event(PtraceEvent::Exec) => self.on_exec(tid),
            WaitStatus::Event(event @ (PtraceEvent::Fork | PtraceEvent::Vfork | PtraceEvent::Clone)) => {
                self.on_new_task(tid, event)
            }
            WaitStatus::Event(PtraceEvent::VforkDone) => self.on_vfork_done(tid),
            WaitStatus::SyscallStop => self.on_syscall_stop(tid),
            WaitStatus::Event(PtraceEvent::Seccomp) => self.on_filtered_call(tid),
            WaitStatus::Event(PtraceEvent::Stop) => {
                self.on_traced_stop(tid);
                self.note_broken_call(tid);
                self.leave_slot(tid);
                self.go_on(tid);
            }
            _ => self.go_on(tid),
        }
    }

    /// Lets a thread go on, unless the world stands still or the thread is held: then it stays as it is.
    pub(super) fn go_on(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get(&tid) else { return };
        if self.world != World::Running || !thread.is_free() {
            return;
        }
        if !thread.reached.is_empty() && self.judge_kept(tid, RegisterSet::default()) == Verdict::Stop {
            return;
        }
        if self.tell_calls(tid) == Verdict::Stop {
            return;
        }
        let Some(thread) = self.threads.get(&tid) else { return };
        if self.is_stepping(tid) && !matches!(thread.state, RunState::Stopped(StopKind::Group(_))) {
            self.resume_task(tid, ResumeHow::Step, None);
        } else {
            self.release(tid);
        }
    }

    fn on_trap(&mut self, tid: Tid) {
        let Ok(mut regs) = self.inferior.regs(tid) else { return };
        match self.threads.get(&tid).and_then(|one| one.early) {
            Some(early) => regs.rip = early.reported.0,
            None => self.enter_slot_early(tid, &regs),
        }
        let Ok(siginfo) = self.inferior.siginfo(tid) else { return };
        let dr6 = self.take_debug_status(tid, &siginfo);
        let (Some(space), Some(thread)) = (self.space_of(tid), self.threads.get_mut(&tid)) else { return };
        let Some(one) = self.spaces.get(&space) else { return };
        let trap = classify_trap(&siginfo, dr6, regs.pc(), thread.resumed, &one.sites, &one.registers);
        if trap.cause != TrapCause::Own {
            thread.state = RunState::Stopped(StopKind::Event);
        }
        if !matches!(trap.cause, TrapCause::Site(_)) && self.take_early(tid).is_some() {
            // Somebody has sent a SIGTRAP to a thread that is right behind a site.
            let _ = self.inferior.set_pc(tid, regs.pc());
        }
        if !trap.registers.is_empty() {
            return self.on_registers(tid, trap);
        }
        match trap.cause {
            TrapCause::Site(at) => self.on_hit(tid, at, regs, Vec::new()),
            TrapCause::Retired(at) => {
                // A site that was removed while this thread was on its way to report it: nothing happened.
                let _ = self.inferior.set_pc(tid, at);
                self.go_on(tid);
            }
            TrapCause::StepDone => self.on_step_done(tid),
            // A register that is in use no more: nothing happened.
            TrapCause::Hardware => self.go_on(tid),
            TrapCause::Own if self.mend_leftover(tid, &siginfo, &regs) => {}
            TrapCause::Own => {
                self.undo_swallowed(tid, &siginfo, &regs);
                self.on_signal(tid, Signal::TRAP)
            }
        }
    }

    /// Whether a thread that answers an interrupt has executed an int3, reached a debug register or ended its single step, and
    /// the SIGTRAP of that is still on its way. The kernel reports the interrupt before signals that are queued (get_signal:
    /// JOBCTL_TRAP_MASK first), so the pc stands past the site, and the trap must be collected before anything else is done
    /// to the thread: left behind, it would be the process's end.
    pub(super) fn trap_is_on_its_way(&self, tid: Tid) -> bool {
        let Some((pid, space)) = self.process_of(tid).map(|one| (one.pid, one.space)) else { return false };
        let (Ok(regs), Some(one)) = (self.inferior.regs(tid), self.spaces.get(&space)) else { return false };
        // Asking the kernel what is pending costs more than all else that a stop takes.
        let patched = VirtAddr(regs.rip.wrapping_sub(1));
        let is_past_site = one.sites.find(patched).is_some() || one.sites.is_retired(patched);
        if !is_past_site && !self.has_debug_exception(tid) {
            return false;
        }
        let mask = self.inferior.pending_signals(pid, tid, PendingScope::Task).unwrap_or(0);
        mask & (1 << (Signal::TRAP.0 - 1)) != 0
    }

    /// Whether the CPU has told of a debug register or a single step. It may be one that has been dealt with.
    fn has_debug_exception(&self, tid: Tid) -> bool {
        let is_stepped = self.threads.get(&tid).is_some_and(|one| one.resumed == ResumeHow::Step);
        (is_stepped || self.registers_changes != 0)
            && self.inferior.debug_register(tid, DebugRegister::Status).is_ok_and(tells_exception)
    }

    /// A task has ended.
    fn thread_gone(&mut self, tid: Tid, status: i32, signal: Option<Signal>) {
        let Some(thread) = self.threads.remove(&tid) else { return };
        self.traced_thread_gone(tid);
        self.forget_returns_of(tid);
        self.forget_pin(tid);
        if self.selection.tid == Some(tid) {
            self.selection.tid = None;
        }
        if self.threads.values().any(|one| one.pid == thread.pid) {
            self.step_ended_with(tid, thread.pid);
            return;
        }
        self.steps.remove(&tid);
        self.process_gone(thread.pid, status, signal);
    }

    /// The last task of a process has ended.
    fn process_gone(&mut self, pid: crate::base::Pid, status: i32, signal: Option<Signal>) {
        self.remember_departed(pid);
        self.forget_filter(pid);
        let Some(process) = self.processes.remove(&pid) else { return };
        self.inferior.forget(pid);
        self.drop_unused_spaces();
        if self.selection.pid == Some(pid) {
            self.selection = Default::default();
        }
        if process.role == Role::Scouted && self.processes.is_empty() {
            self.give_up_wait(format!(
                "every process that was followed has ended, the last one ({pid}) with status {status}"
            ));
        }
        if process.role != Role::Debugged {
            return;
        }
        let launched = if process.origin == Origin::Launched { Toggle::On } else { Toggle::Off };
        let (kept, gone, number) = match signal {
            Some(signal) => ("_exitsignal", "_exitcode", signal.0),
            None => ("_exitcode", "_exitsignal", status),
        };
        self.kept.remove(gone);
        self.kept.insert(kept.to_owned(), Kept::Plain(Value::int(number)));
        self.emit(Event::Exited { pid, status, signal, launched });
        self.traced_process_gone();
        if self.threads.is_empty() {
            self.world = World::Running;
            self.stop = None;
        }
    }

    /// The kernel says that nothing is traced.
    pub(super) fn all_gone(&mut self) {
        self.late.clear();
        let tids: Vec<Tid> = self.threads.keys().copied().collect();
        for tid in tids {
            self.thread_gone(tid, 0, None);
        }
    }

    /// Resumes, remembering how. A task that has gone in the meantime reports so itself.
    pub(super) fn resume_task(&mut self, tid: Tid, how: ResumeHow, signal: Option<Signal>) {
        self.patch_bared();
        let how = self.resume_to_call(tid, how, signal);
        self.entered.remove(&tid);
        self.mend_call(tid, Coming::Delivered(signal));
        self.calls_go_on(tid, signal);
        if let Err(error) = self.write_registers(tid) {
            if !matches!(error, InferiorError::Gone(_)) {
                self.emit(Event::Notice { text: format!("thread {tid} runs without its watchpoints: {error}") });
            }
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = RunState::Running;
            thread.resumed = how;
            thread.owed = None;
            thread.early = None;
            thread.stands_before = None;
        }
        let _ = self.inferior.resume(tid, Resume { how, signal });
    }
}
