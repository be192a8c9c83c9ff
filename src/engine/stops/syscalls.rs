//! Syscall-stops, and breakpoints on system calls.
//!
//! Threads report their calls only while somebody wants to see them: a breakpoint on calls that is enabled, or the trace.
//! A call counts once, at its entry; that the kernel or rdbg has it made again is not seen
//! ([`crate::target::calls_under_way`]).

use crate::api::{
    ApiError, Argument, BreakpointAction, CaughtCall, FunctionCall, StopReason, SyscallSide, SyscallSpec, Toggle, Where,
};
use crate::base::{Inferior, Pid, Regs, ResumeHow, Signal, SyscallStop, Tid, VirtAddr};
use crate::binary::symbols::demangle;
use crate::engine::breakpoints::{Pattern, Verdict};
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::{Engine, World};
use crate::target::breakpoint::CleanMemory;
use crate::target::calls_under_way::{
    never_returns, Begun, Breaker, CallMoment, CallUnderWay, Caught, Entry, MadeCall, ThreadCalls,
};
use crate::target::syscalls::{decode_call, error_of, result_text, similar_calls, CallMemory, CallSet, GROUPS};
use crate::target::task::{Role, RunState, StopKind};
use crate::target::value::DecodedCall;

/// The bytes of `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// -EINTR as a system call returns it.
const EINTR: u64 = (-4i64) as u64;
/// execve(2) and execveat(2).
const EXECVE: [u64; 2] = [59, 322];
/// How many similar names are offered.
const NEAREST: usize = 3;

/// The calls that are caught: of each breakpoint that is enabled.
#[derive(Default)]
pub(in crate::engine) struct WantedCalls {
    sets: Vec<CallSet>,
}

impl WantedCalls {
    fn is_wanted(&self) -> bool {
        !self.sets.is_empty()
    }
}

/// The calls that a user means.
pub(in crate::engine) fn parse_calls(spec: &SyscallSpec) -> Result<Pattern, ApiError> {
    let explain = |word: String| {
        let (message, hint) = match word.strip_prefix("group:").or_else(|| word.strip_prefix("g:")) {
            Some(group) => {
                (format!("there is no group of system calls `{group}`"), format!("there are {}", GROUPS.join(", ")))
            }
            None => {
                let near = similar_calls(&word, NEAREST);
                let near = if near.is_empty() { String::new() } else { format!("; near it: {}", near.join(", ")) };
                (format!("there is no system call `{word}`"), format!("a name as in `man 2 ..`, or a number{near}"))
            }
        };
        ApiError::user(message).with_hint(hint)
    };
    CallSet::parse(&spec.calls).map(Pattern::Calls).map_err(explain)
}

impl<I: Inferior> Engine<I> {
    /// A breakpoint on calls has come, gone, or been switched.
    pub(in crate::engine) fn wanted_calls_changed(&mut self) {
        let enabled = self.breakpoints.values().filter(|one| one.enabled == Toggle::On);
        let sets = enabled.filter_map(|one| match &one.pattern {
            Pattern::Calls(set) => Some(set.clone()),
            _ => None,
        });
        let saw = self.wanted_calls.is_wanted();
        self.wanted_calls.sets = sets.collect();
        if !saw && self.wanted_calls.is_wanted() {
            // What was under way when nobody looked is not known.
            self.threads.values_mut().for_each(|one| one.calls = ThreadCalls::default());
            for pid in self.debugged() {
                self.begin_seeing_calls(pid);
            }
        }
    }

    /// Whether a breakpoint on calls is enabled.
    pub(in crate::engine) fn catches_calls(&self) -> bool {
        self.wanted_calls.is_wanted()
    }

    fn sees_calls(&self) -> bool {
        self.wanted_calls.is_wanted() || self.trace_sees_calls()
    }

    /// Threads that run report their calls only after they have stood once.
    pub(in crate::engine) fn begin_seeing_calls(&mut self, pid: Pid) {
        if !self.sees_calls() || self.world != World::Running {
            return;
        }
        let stood: Vec<Tid> = self.threads.iter().filter(|(_, one)| one.is_stopped()).map(|(tid, _)| *tid).collect();
        self.note_sleepers(pid);
        self.world = World::Stopping;
        self.stop_process(pid);
        self.world = World::Running;
        let stopped: Vec<Tid> = self.threads.iter().filter(|(_, one)| one.is_stopped()).map(|(tid, _)| *tid).collect();
        for tid in stopped.into_iter().filter(|tid| !stood.contains(tid)) {
            self.go_on(tid);
        }
    }

    /// How a thread goes on: to its next system call where somebody wants to see it. A step over a call goes to the call's
    /// entry and then to its return, since the kernel reports neither of a thread that is single-stepped.
    pub(super) fn resume_to_call(&mut self, tid: Tid, how: ResumeHow, signal: Option<Signal>) -> ResumeHow {
        if !self.sees_calls() || self.process_of(tid).is_none_or(|one| one.role != Role::Debugged) {
            return how;
        }
        match how {
            ResumeHow::Continue if !self.catches_calls() && self.is_filtered(tid) && !self.awaits_call_return(tid) => {
                how
            }
            ResumeHow::Continue => ResumeHow::Syscall,
            ResumeHow::Step if self.wanted_calls.is_wanted() && signal.is_none() && self.enters_call(tid) => {
                ResumeHow::Syscall
            }
            how => how,
        }
    }

    fn enters_call(&self, tid: Tid) -> bool {
        if self.threads.get(&tid).is_some_and(|one| one.calls.is_amid_call()) {
            return true;
        }
        self.inferior.regs(tid).is_ok_and(|regs| self.code_at(tid, regs.pc()).starts_with(&SYSCALL))
    }

    /// A thread stands at the entry or return of a system call.
    pub(super) fn on_syscall_stop(&mut self, tid: Tid) {
        let stop = self.inferior.syscall_stop(tid).unwrap_or(SyscallStop::Other);
        let debugged = self.process_of(tid).is_some_and(|one| one.role == Role::Debugged);
        if let SyscallStop::Return { value, pc, sp } = stop {
            self.note_return(tid, value, (pc, sp), debugged && self.wanted_calls.is_wanted());
        }
        let traced = match stop {
            SyscallStop::Return { .. } if self.threads.get(&tid).is_some_and(|one| one.broken.is_some()) => {
                self.hold_traced_return(tid);
                Verdict::GoOn
            }
            stop => self.on_traced_call(tid, stop),
        };
        match stop {
            SyscallStop::Entry { number, arguments, pc, sp } if debugged && self.wanted_calls.is_wanted() => {
                let Some(thread) = self.threads.get_mut(&tid) else { return };
                let made = MadeCall { number, arguments, after: pc, sp };
                if thread.calls.enter(made) == Entry::New {
                    thread.calls.untold.push(CallMoment::Entered);
                }
            }
            SyscallStop::Return { .. }
                if self.world == World::Running && traced == Verdict::GoOn && self.is_stepping(tid) =>
            {
                return match self.tell_calls(tid) {
                    Verdict::Stop => {}
                    Verdict::GoOn => self.on_step_done(tid),
                };
            }
            _ => {}
        }
        match traced {
            Verdict::Stop if self.world == World::Running => {
                let reason = self.take_trace_stop().unwrap_or(StopReason::Syscall { hits: Vec::new() });
                self.stop_for(tid, reason);
            }
            _ => self.go_on(tid),
        }
    }

    fn note_return(&mut self, tid: Tid, value: u64, at: (VirtAddr, VirtAddr), caught: bool) {
        let by_stop = value == EINTR && (self.world != World::Running || self.is_sampled(tid));
        if let Some(thread) = self.threads.get_mut(&tid) {
            // The result is written: the thread stands between two instructions.
            thread.state = RunState::Stopped(StopKind::Event);
        }
        if by_stop {
            self.note_broken_call(tid);
        }
        if !caught {
            return;
        }
        let regs = self.inferior.regs(tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let breaker = if thread.broken.is_some() { Breaker::Stop } else { Breaker::Program };
        let over = thread.calls.leave(value, at, breaker, || regs.ok().map(|regs| call_in_registers(&regs)));
        thread.calls.untold.extend(over.into_iter().map(|(call, value)| CallMoment::Returned(Box::new(call), value)));
    }

    /// Tells what is to be told of a thread's calls, before it goes on. [`Verdict::Stop`]: it has stopped for one.
    pub(in crate::engine) fn tell_calls(&mut self, tid: Tid) -> Verdict {
        let Some(thread) = self.threads.get_mut(&tid).filter(|one| !one.calls.untold.is_empty()) else {
            return Verdict::GoOn;
        };
        let untold = std::mem::take(&mut thread.calls.untold);
        let mut hits = Vec::new();
        for moment in untold {
            match moment {
                CallMoment::Entered => self.judge_entry(tid, &mut hits),
                CallMoment::Returned(call, value) => self.judge_return(tid, *call, value, &mut hits),
            }
        }
        if hits.is_empty() {
            return Verdict::GoOn;
        }
        let mut ids: Vec<u32> = hits.iter().map(|one| one.id).collect();
        ids.dedup();
        self.stop_for(tid, StopReason::Syscall { hits });
        self.after_stop_at(&ids);
        Verdict::Stop
    }

    /// The breakpoints that want a call, and on which side of it.
    fn catchers(&self, number: u64) -> Vec<(u32, SyscallSide)> {
        if !self.wanted_calls.sets.iter().any(|set| set.contains(number)) {
            return Vec::new();
        }
        let enabled = self.breakpoints.values().filter(|one| one.enabled == Toggle::On);
        let of = |one: &crate::engine::breakpoints::Breakpoint| match (&one.pattern, &one.spec.location) {
            (Pattern::Calls(set), Where::Syscalls(spec)) if set.contains(number) => Some((one.id, spec.side)),
            _ => None,
        };
        enabled.filter_map(of).collect()
    }

    fn judge_entry(&mut self, tid: Tid, hits: &mut Vec<CaughtCall>) {
        let Some(made) = self.threads.get_mut(&tid).and_then(|one| one.calls.in_kernel()).map(|one| one.made) else {
            return;
        };
        let catchers = self.catchers(made.number);
        if catchers.is_empty() {
            return;
        }
        let (Ok(regs), Some(decoded)) = (self.inferior.regs(tid), self.decode_made(tid, &made)) else { return };
        for (id, side) in catchers {
            let action = if side == SyscallSide::Return { None } else { self.passes(id, None, tid, &regs) };
            let call = || shown_call(decoded.clone());
            match action {
                Some(BreakpointAction::Stop) => hits.push(CaughtCall { id, call: call(), returned: None }),
                Some(BreakpointAction::Log { .. }) if side == SyscallSide::Entry => {
                    self.tell_hit(id, tid, call(), None)
                }
                Some(BreakpointAction::Log { .. }) if never_returns(made.number) => {
                    self.tell_hit(id, tid, call(), Some("?".to_owned()));
                }
                _ => {}
            }
            let told_at_return = side == SyscallSide::Return || side == SyscallSide::Both && action.is_some();
            let call = self.threads.get_mut(&tid).and_then(|one| one.calls.in_kernel());
            if let Some(call) = call.filter(|_| told_at_return) {
                call.caught.push(Caught { id, decoded: decoded.clone() });
            }
        }
    }

    fn judge_return(&mut self, tid: Tid, mut call: CallUnderWay, value: u64, hits: &mut Vec<CaughtCall>) {
        let number = call.made.number;
        let Ok(regs) = self.inferior.regs(tid) else { return };
        if call.begun == Begun::Unseen {
            if EXECVE.contains(&number) && value == 0 {
                // Of the program before this one nothing is left, its arguments neither.
                return;
            }
            // It was under way when the breakpoint was set: the return is all that there is to tell.
            let Some(decoded) = self.decode_made(tid, &call.made) else { return };
            for (id, side) in self.catchers(number) {
                let counted = match side {
                    SyscallSide::Entry => false,
                    SyscallSide::Return => true,
                    SyscallSide::Both => self.passes(id, None, tid, &regs).is_some(),
                };
                if counted {
                    call.caught.push(Caught { id, decoded: decoded.clone() });
                }
            }
        }
        let returned = result_text(number, value);
        for Caught { id, decoded } in call.caught {
            let Some(one) = self.breakpoints.get(&id).filter(|one| one.enabled == Toggle::On) else { continue };
            let Where::Syscalls(spec) = &one.spec.location else { continue };
            let action = match spec.side {
                SyscallSide::Return => self.passes(id, None, tid, &regs),
                _ => Some(one.spec.action),
            };
            let call = shown_call(decoded);
            match action {
                Some(BreakpointAction::Stop) => hits.push(CaughtCall { id, call, returned: Some(returned.clone()) }),
                Some(BreakpointAction::Log { .. }) => self.tell_hit(id, tid, call, Some(returned.clone())),
                Some(BreakpointAction::Count | BreakpointAction::Trace) | None => {}
            }
        }
    }

    fn decode_made(&self, tid: Tid, made: &MadeCall) -> Option<DecodedCall> {
        let process = self.process_of(tid)?;
        let space = self.spaces.get(&process.space)?;
        let raw = RawMemory { inferior: &self.inferior, pid: process.pid };
        let mem = CleanMemory { raw: &raw, sites: &space.sites };
        let function_name = |at: VirtAddr| {
            let named = space.modules.find_name(at).filter(|named| named.offset == 0)?;
            Some(demangle(&named.name).into_owned())
        };
        Some(decode_call(made.number, &made.arguments, &CallMemory { mem: &mem, function_name: &function_name }))
    }

    /// The thread is about to go on, with a signal or without.
    pub(super) fn calls_go_on(&mut self, tid: Tid, signal: Option<Signal>) {
        if !self.wanted_calls.is_wanted() {
            return;
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if let Some(over) = thread.calls.goes_on() {
            thread.calls.untold.push(CallMoment::Returned(Box::new(over), EINTR));
        }
        if thread.state == RunState::Stopped(StopKind::Event) {
            self.note_kernel_restart(tid);
        }
        let caught = |signal: Signal| {
            self.inferior.signal_masks(tid).is_some_and(|masks| masks.caught >> (signal.0 - 1) & 1 != 0)
        };
        if signal.is_some_and(caught) {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.calls.handler_begins();
            }
        }
    }

    /// A call that was entered before anyone looked, and that the kernel will make again.
    fn note_kernel_restart(&mut self, tid: Tid) {
        let Ok(regs) = self.inferior.regs(tid) else { return };
        let restarts = error_of(regs.rax).is_some_and(|error| error > 511) && (regs.orig_rax as i64) >= 0;
        if let Some(thread) = self.threads.get_mut(&tid).filter(|_| restarts) {
            thread.calls.note_restart(call_in_registers(&regs));
        }
    }

    /// rdbg has set a thread back before a call that its stop has broken.
    pub(in crate::engine) fn call_made_again(&mut self, tid: Tid, seen: &Regs) {
        self.traced_call_made_again(tid, seen.orig_rax);
        if let Some(thread) = self.threads.get_mut(&tid).filter(|_| self.wanted_calls.is_wanted()) {
            thread.calls.made_again(call_in_registers(seen));
        }
    }

    /// It is not made again after all: a signal has come.
    pub(in crate::engine) fn call_not_made_again(&mut self, tid: Tid) {
        self.traced_call_failed(tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if let Some(over) = thread.calls.not_made_again() {
            thread.calls.untold.push(CallMoment::Returned(Box::new(over), EINTR));
        }
    }

    /// A process has executed a program: the call returns in the thread that has the leader's tid now, whichever made it.
    pub(in crate::engine) fn calls_after_exec(&mut self, tid: Tid) {
        let former = self.inferior.event_message(tid).map(|message| Tid(message as i32)).unwrap_or(tid);
        let calls = self.threads.get_mut(&former).map(|one| std::mem::take(&mut one.calls)).unwrap_or_default();
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.calls = calls;
        }
    }
}

/// The call that a thread stands behind, as far as its registers tell: the kernel keeps all but rax, rcx and r11.
fn call_in_registers(regs: &Regs) -> MadeCall {
    MadeCall {
        number: regs.orig_rax,
        arguments: [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9],
        after: regs.pc(),
        sp: regs.sp(),
    }
}

fn shown_call(decoded: DecodedCall) -> FunctionCall {
    let shown =
        |one: crate::target::value::DecodedArgument| Argument { name: one.name, text: one.text, certain: Toggle::On };
    FunctionCall {
        function: decoded.function,
        module: None,
        arguments: decoded.arguments.into_iter().map(shown).collect(),
    }
}
