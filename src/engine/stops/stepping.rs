//! stepi and nexti, and which threads go on with the one that is meant (`set scheduler-locking`).

use crate::api::{ApiError, Event, Reply, StepKind, StopReason, Toggle};
use crate::base::{Inferior, PtraceEvent, ReadMem, Regs, Resume, ResumeHow, Signal, Tid, VirtAddr, WaitStatus};
use crate::engine::breakpoints::Verdict;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::settings::SchedulerLocking;
use crate::engine::state::{Engine, World};
use crate::target::breakpoint::{CleanMemory, Owner};
use crate::target::task::{RunState, StopKind, Thread};

/// The longest instruction, bytes.
const LONGEST_INSTRUCTION: usize = 15;
/// `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// execve(2) and execveat(2) on x86-64.
const EXECVE: [u64; 2] = [59, 322];

/// What one thread is to do before it stops again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum StepGoal {
    /// So many instructions more, one at least.
    Instructions { kind: StepKind, left: u32 },
    /// A step by source lines, whose state is the engine's `line_step`.
    Lines,
    /// Return to a frame.
    Return { then: AfterReturn },
}

/// What a return is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum AfterReturn {
    /// `finish`: stop and show the value of the function that this address is in.
    Finish { of: VirtAddr },
    /// `advance`: stop.
    Advance,
    /// A call within a step by source lines.
    Lines,
    /// A call that an expression makes.
    Call,
    /// `nexti` over a call, or a signal's handler that came between: `left` more instructions.
    Steps { kind: StepKind, left: u32 },
}

/// What the other threads do meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Others {
    /// They go on too.
    Run,
    /// They stand still.
    Stand,
}

impl<I: Inferior> Engine<I> {
    /// `stepi N`, `nexti N`. The other threads stand while one instruction is executed, since none can wait for them but
    /// a system call; during a call and a system call they run, unless scheduler-locking says otherwise.
    pub(in crate::engine) fn step_instructions(&mut self, kind: StepKind, count: u32) -> Result<Reply, ApiError> {
        let tid = self.selected_tid()?;
        if count == 0 {
            return Ok(Reply::Done);
        }
        self.stop = None;
        self.steps.insert(tid, StepGoal::Instructions { kind, left: count });
        self.run_alone(tid);
        self.step_once(tid);
        Ok(Reply::Resumed)
    }

    /// From now on threads run, but of those that stand only `tid` may.
    pub(super) fn run_alone(&mut self, tid: Tid) {
        let world_stood = self.world == World::Stopped;
        for (other, thread) in &mut self.threads {
            thread.locked = *other != tid && (thread.locked || world_stood && thread.is_stopped());
            thread.held &= *other != tid;
        }
        self.world = World::Running;
    }

    /// Lets a thread go on, with the others or alone. With non-stop it is always alone: the others do as they do.
    pub(in crate::engine) fn go_with(&mut self, tid: Tid, others: Others) {
        if others == Others::Run && self.settings.non_stop == Toggle::Off {
            self.resume_world();
            return;
        }
        self.stop = None;
        self.selection.frame = 0;
        self.run_alone(tid);
        self.release(tid);
    }

    /// What the others do while a thread steps over something that may wait for them.
    pub(super) fn others_in_step(&self) -> Others {
        match self.settings.scheduler_locking {
            SchedulerLocking::Off => Others::Run,
            SchedulerLocking::Step | SchedulerLocking::On => Others::Stand,
        }
    }

    /// Executes the next instruction of a thread that stands and has a goal.
    fn step_once(&mut self, tid: Tid) {
        let Some(StepGoal::Instructions { kind, left }) = self.steps.get(&tid).copied() else { return };
        let Ok(regs) = self.inferior.regs(tid) else { return };
        self.apply_queued(tid);
        if let Some(signal) = self.threads.get(&tid).and_then(|one| one.owed) {
            // Its handler comes first; what stands here is executed, not hit, when that has returned.
            self.pass_later(tid, regs.pc(), regs.sp());
            self.resume_task(tid, ResumeHow::Step, Some(signal));
            return;
        }
        let code = self.code_at(tid, regs.pc());
        if let (StepKind::Over, Some(next)) = (kind, call_end(regs.pc(), &code)) {
            if self.arm_return(tid, next, regs.sp()) {
                self.arm_escapes_here(tid, regs.sp());
                let then = AfterReturn::Steps { kind, left: left - 1 };
                self.steps.insert(tid, StepGoal::Return { then });
                self.note_told(tid, regs.pc());
                self.go_with(tid, self.others_in_step());
                return;
            }
        }
        if self.is_site(tid, regs.pc()) {
            match self.step_over(tid, regs.pc(), regs) {
                Ok(reached) if self.judge_kept(tid, reached) == Verdict::Stop => {}
                Ok(_) => self.after_step_over(tid),
                Err(error) => {
                    self.steps.remove(&tid);
                    self.cannot_pass(tid, regs.pc(), &error);
                }
            }
            return;
        }
        self.pass_register(tid, regs.pc());
        if code.starts_with(&SYSCALL) && self.others_in_step() == Others::Run {
            self.unlock_others(tid);
        }
        self.resume_task(tid, ResumeHow::Step, None);
    }

    /// The others go on: what `tid` is about to do may wait for them.
    pub(in crate::engine) fn unlock_others(&mut self, tid: Tid) {
        let mut locked: Vec<Tid> = Vec::new();
        for (other, thread) in &mut self.threads {
            if std::mem::replace(&mut thread.locked, false) && *other != tid {
                locked.push(*other);
            }
        }
        for other in locked {
            self.go_on(other);
        }
    }

    /// The displaced instruction has been emulated, or stands in its slot to be stepped there.
    pub(super) fn after_step_over(&mut self, tid: Tid) {
        let Ok(regs) = self.inferior.regs(tid) else { return };
        let slots = self.space_of(tid).and_then(|id| self.spaces.get(&id)).map(|one| &one.sites);
        let in_slot = slots.is_some_and(|sites| sites.find_slot(regs.pc()).is_some());
        if in_slot {
            self.resume_task(tid, ResumeHow::Step, None);
            return;
        }
        self.on_step_done(tid);
    }

    /// A single-step is done.
    pub(in crate::engine) fn on_step_done(&mut self, tid: Tid) {
        self.leave_slot(tid);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = RunState::Stopped(StopKind::Event);
            thread.reported_at = None;
        }
        if self.steps.get(&tid) == Some(&StepGoal::Lines) {
            return self.line_stepped(tid);
        }
        let Some(StepGoal::Instructions { kind, left }) = self.steps.get(&tid).copied() else {
            return self.go_on(tid);
        };
        let Ok(regs) = self.inferior.regs(tid) else { return };
        if self.world != World::Running {
            // Counted when the thread goes on; until then it stands where it came to.
            return;
        }
        if regs.rax == 0 && EXECVE.contains(&regs.orig_rax) {
            // The trap at the end of the execve itself: of the new program nothing has been executed.
            self.resume_task(tid, ResumeHow::Step, None);
            return;
        }
        let ids = self.breakpoints_at(tid, &regs);
        if !ids.is_empty() {
            self.note_told(tid, regs.pc());
            self.stop_for(tid, StopReason::Breakpoint { ids: ids.clone() });
            self.after_stop_at(&ids);
            return;
        }
        self.steps_left(tid, kind, left - 1);
    }

    /// Ends the single-stepping of threads that stand after it. The kernel ends it when a thread is let go on otherwise, but
    /// not when its tracer ends: should rdbg be killed, the next instruction would be the process's end by SIGTRAP. So they
    /// are let go on into an interrupt, which meets them before they execute anything.
    pub(in crate::engine) fn end_single_steps(&mut self) {
        let stands = RunState::Stopped(StopKind::Event);
        let is_stepped = |thread: &Thread| thread.resumed == ResumeHow::Step && thread.state == stands;
        let stepped: Vec<Tid> = self.threads.iter().filter(|(_, one)| is_stepped(one)).map(|(tid, _)| *tid).collect();
        for tid in stepped {
            let onward = Resume { how: ResumeHow::Continue, signal: None };
            if self.inferior.interrupt(tid).is_err() || self.inferior.resume(tid, onward).is_err() {
                continue;
            }
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.resumed = ResumeHow::Continue;
            }
            match self.wait_for(tid) {
                Ok(WaitStatus::Event(PtraceEvent::Stop)) => {}
                Ok(other) => self.handle(tid, other),
                // Its end is reported to the loop.
                Err(_) => {}
            }
        }
    }

    /// So many instructions are left of a step whose thread stands.
    pub(super) fn steps_left(&mut self, tid: Tid, kind: StepKind, left: u32) {
        if left == 0 {
            return self.finish_step(tid, StopReason::Step);
        }
        let others_run = |(other, thread): (&Tid, &Thread)| *other != tid && !thread.is_stopped();
        if self.settings.non_stop == Toggle::Off && self.threads.iter().any(others_run) {
            self.stop_world();
            self.run_alone(tid);
        }
        self.steps.insert(tid, StepGoal::Instructions { kind, left });
        self.step_once(tid);
    }

    /// A step has brought a thread to a site: whether a breakpoint there wants a stop. The loader's site is looked after
    /// as in a hit.
    pub(super) fn breakpoints_at(&mut self, tid: Tid, regs: &Regs) -> Vec<u32> {
        let Some(space) = self.space_of(tid) else { return Vec::new() };
        let site = self.spaces.get(&space).and_then(|one| one.sites.find(regs.pc()));
        let owners = site.map(|one| one.owners.clone()).unwrap_or_default();
        let waiting = self.watchers_at(tid, regs.pc()).into_iter();
        let waiting = waiting.map(|one| Owner::Breakpoint { id: one.id, location: one.location });
        let mut ids = Vec::new();
        for owner in owners.into_iter().chain(waiting) {
            match owner {
                Owner::Breakpoint { id, location } => {
                    if self.judge(id, location, tid, regs) == Verdict::Stop {
                        ids.push(id);
                    }
                }
                Owner::Rendezvous => self.modules_changed(tid, space),
                Owner::Probe { site } => self.on_probe(tid, site, regs),
                Owner::ProbeReturn => ids.extend(self.on_probe_return(tid, regs)),
                Owner::Return { .. } | Owner::Escape { .. } => {}
            }
        }
        // It stands already.
        self.take_trace_stop();
        ids
    }

    pub(super) fn finish_step(&mut self, tid: Tid, reason: StopReason) {
        self.steps.remove(&tid);
        if let Ok(regs) = self.inferior.regs(tid) {
            self.note_told(tid, regs.pc());
        }
        self.stop_for(tid, reason);
    }

    /// The user knows that the thread stands there: a site at `at` is stepped over, not hit.
    pub(super) fn note_told(&mut self, tid: Tid, at: VirtAddr) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.reported_at = Some(at);
        }
    }

    /// Whether the thread is in the midst of single-steps.
    pub(in crate::engine) fn is_stepping(&self, tid: Tid) -> bool {
        matches!(self.steps.get(&tid), Some(StepGoal::Instructions { .. } | StepGoal::Lines))
    }

    /// A signal that does not stop has come to a thread amid a step. A handler runs as a whole, and then the step goes
    /// on: a program with signals all the time, as Go's are, could not be stepped otherwise.
    pub(in crate::engine) fn signal_in_step(&mut self, tid: Tid, signal: Option<Signal>) {
        let goal = self.steps.get(&tid).copied();
        let then = match goal {
            Some(StepGoal::Instructions { kind, left }) => AfterReturn::Steps { kind, left },
            Some(StepGoal::Lines) => AfterReturn::Lines,
            _ => return,
        };
        let caught = |signal: Signal| {
            self.inferior.signal_masks(tid).is_some_and(|masks| masks.caught >> (signal.0 - 1) & 1 != 0)
        };
        let Some(signal) = signal.filter(|one| caught(*one)) else {
            self.resume_task(tid, ResumeHow::Step, signal);
            return;
        };
        let Ok(regs) = self.inferior.regs(tid) else { return };
        if self.arm_return(tid, regs.pc(), regs.sp()) {
            self.arm_escapes_here(tid, regs.sp());
            self.steps.insert(tid, StepGoal::Return { then });
            self.resume_task(tid, ResumeHow::Continue, Some(signal));
        } else {
            self.resume_task(tid, ResumeHow::Step, Some(signal));
        }
    }

    /// Tells which threads were held while one that was interrupted may have waited for them.
    pub(super) fn tell_locked(&mut self) {
        let mut locked: Vec<Tid> = self.threads.iter().filter(|(_, one)| one.locked).map(|(tid, _)| *tid).collect();
        locked.sort_unstable();
        let names = locked.iter().filter_map(|tid| self.thread_ref(*tid));
        let names: Vec<String> = names.take(8).map(|one| format!("{} ({})", one.number, one.name)).collect();
        if names.is_empty() {
            return;
        }
        let more = locked.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!(
            "threads held meanwhile by scheduler-locking: {}{more}; where the thread waits for one of them, \
             `set scheduler-locking off` lets them run",
            names.join(", ")
        );
        self.emit(Event::Notice { text });
    }

    /// A thread has ended, perhaps amid its step. Where the others were held for it, somebody has to be told.
    pub(super) fn step_ended_with(&mut self, tid: Tid, pid: crate::base::Pid) {
        let stepped = self.steps.remove(&tid).is_some();
        let waits_for_none = !stepped && self.threads.keys().any(|one| self.is_running(*one));
        if waits_for_none || !self.threads.values().any(|one| one.locked) {
            return;
        }
        let text = format!("thread {tid} has ended; the others were held for it by scheduler-locking");
        self.emit(Event::Notice { text });
        let standing = |tid: &Tid| self.threads.get(tid).is_some_and(|one| one.is_stopped());
        if let Some(other) = self.threads_of(pid).into_iter().find(standing) {
            self.stop_for(other, StopReason::Step);
        }
    }

    /// The code at `pc`, without sites.
    pub(super) fn code_at(&self, tid: Tid, pc: VirtAddr) -> Vec<u8> {
        let mut bytes = vec![0; LONGEST_INSTRUCTION];
        let got = self.process_of(tid).and_then(|process| {
            let sites = &self.spaces.get(&process.space)?.sites;
            let raw = RawMemory { inferior: &self.inferior, pid: process.pid };
            CleanMemory { raw: &raw, sites }.read_mem(pc, &mut bytes).ok()
        });
        bytes.truncate(got.unwrap_or(0));
        bytes
    }
}

/// The address behind the instruction at `pc`, if that is a call. One that calls what follows it, to learn where it is,
/// need not come back there.
pub(super) fn call_end(pc: VirtAddr, code: &[u8]) -> Option<VirtAddr> {
    let length = crate::arch::call_length(pc, code)?;
    let calls_what_follows = code.starts_with(&[0xe8, 0, 0, 0, 0]);
    (!calls_what_follows).then(|| pc.offset(u64::from(length)))
}
