//! `rdbg trace --fn --syscall`: calls are reported without a script. Functions are found and watched by breakpoints with
//! the action [`BreakpointAction::Trace`], system calls by syscall-stops.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::calendar::Calendar;
use super::condition::{Moment, Test};
use super::task::TracedTask;
use super::{At, Called, Tracing};
use crate::api::{self, ApiError, BreakpointAction, BreakpointSpec, ClientId, ModuleFilter, QuickSpec, Toggle, Where};
use crate::base::{Inferior, Regs, Tid, VirtAddr};
use crate::engine::breakpoints::hot_sites::Pace;
use crate::engine::breakpoints::Verdict;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;
use crate::lang::script::program::{Config, Program};
use crate::os::{clock_nanoseconds, Clock};
use crate::target::breakpoint::CleanMemory;
use crate::target::syscalls::{decode, decode_call, find_kernel_call, kernel_call, kernel_calls, CallMemory};
use crate::target::value::DecodedArgument;
use crate::trace::call::{Call, CallArgument, CallCounts, Callee, Certainty, Outcome, SOCKET_CALLS};
use crate::trace::{Hit, Record, SyscallHit};

/// What is traced without a script.
pub(super) struct Quick {
    /// The breakpoints of `--fn`.
    pub(super) breakpoints: Vec<u32>,
    /// The system calls, by number.
    pub(super) calls: HashSet<u64>,
    pub(super) returns: Toggle,
    stack: u32,
    pub(super) condition: Option<Test>,
    pub(super) stop_if: Option<Test>,
    /// The trace ends after so many reports.
    limit: Option<u64>,
    rate: Option<Rate>,
    counts: CallCounts,
    calendar: Calendar,
}

/// How many calls are reported in a second.
struct Rate {
    limit: u64,
    pace: Pace,
    untold: u64,
}

/// A program with no probe: what runs beside a trace without a script.
pub(super) fn empty_program() -> Program {
    Program { probes: Vec::new(), maps: Vec::new(), types: Default::default(), config: Config::default() }
}

impl Quick {
    /// Whether the trace has had all the calls it was to have.
    pub(super) fn is_done(&self) -> bool {
        self.limit.is_some_and(|limit| self.counts.reported >= limit)
    }

    /// Whether one of its calls can be a stop.
    pub(super) fn can_stop(&self) -> bool {
        self.stop_if.is_some()
    }

    fn judges_returns(&self) -> bool {
        self.condition.iter().chain(&self.stop_if).any(|one| one.moment == Moment::Return)
    }

    /// When a call is counted: with its condition.
    fn counted_at(&self) -> Moment {
        self.condition.as_ref().map_or(Moment::Entry, |one| one.moment)
    }

    fn admits(&mut self, now: u64, output: &mut crate::trace::Output) -> bool {
        let Some(rate) = &mut self.rate else { return true };
        if rate.pace.begins_anew(now) && rate.untold > 0 {
            output.send_surely(Record::HeldBack(std::mem::take(&mut rate.untold)));
        }
        if rate.pace.admits(rate.limit) {
            return true;
        }
        rate.untold += 1;
        self.counts.held_back += 1;
        false
    }
}

impl<I: Inferior> Engine<I> {
    /// Sets the breakpoints of a trace without a script, and reads its conditions.
    pub(super) fn begin_quick(&mut self, client: ClientId, spec: &QuickSpec) -> Result<Quick, ApiError> {
        let mut calls = find_calls(&spec.calls)?;
        if spec.sockets == Toggle::On {
            calls.extend(find_calls(&SOCKET_CALLS.map(str::to_owned))?);
        }
        let condition = spec.condition.as_deref().map(|text| self.read_test(text, spec.returns)).transpose()?;
        let stop_if = spec.stop_if.as_deref().map(|text| self.read_test(text, spec.returns)).transpose()?;
        let mut breakpoints = Vec::new();
        for regex in &spec.functions {
            let breakpoint = BreakpointSpec {
                location: Where::Regex(regex.clone()),
                module: spec.module.clone().map_or(ModuleFilter::Any, ModuleFilter::Named),
                condition: None,
                temporary: Toggle::Off,
                action: BreakpointAction::Trace,
                ignore: 0,
                limit: spec.limit,
                max_rate: api::MaxRate::Off,
            };
            match self.add_breakpoint(client, breakpoint) {
                Ok(id) => breakpoints.push(id),
                Err(error) => {
                    breakpoints.into_iter().for_each(|id| self.delete_breakpoint(id));
                    return Err(error);
                }
            }
        }
        Ok(Quick {
            breakpoints,
            calls,
            returns: spec.returns,
            stack: spec.stack,
            condition,
            stop_if,
            limit: spec.count,
            rate: spec.max_rate.map(|limit| Rate { limit, pace: Pace::default(), untold: 0 }),
            counts: CallCounts::default(),
            calendar: Calendar::new(),
        })
    }

    /// A thread is at the entry of a function of `--fn`; `regs` have pc there.
    pub(in crate::engine) fn trace_call(&mut self, id: u32, location: u32, tid: Tid, regs: &Regs) -> Verdict {
        let Some(mut tracing) = self.trace.take() else { return Verdict::GoOn };
        if let Some(probe) = tracing.watches.get(&id).copied() {
            self.run_probe(&mut tracing, tid, probe, At::Sample);
            self.after_hit(tracing, tid);
            return Verdict::GoOn;
        }
        let began = clock_nanoseconds(Clock::Boot);
        let verdict = self.judge_call(&mut tracing, Moment::Entry, tid, regs, Some(regs.pc()));
        if let (Some(_), Some(quick)) = (verdict, &mut tracing.quick) {
            let (returns, stack, time_ns) = (quick.returns, quick.stack, quick.calendar.time_of_day(began));
            self.stand_at_site(tid, regs);
            let called = self.call_at(id, location, tid, regs);
            let callee = Callee::Function { name: called.function, module: called.module };
            let arguments = called.arguments.into_iter().map(argument).collect();
            // The function itself stands on the line already.
            if let Some(mut call) =
                self.describe_call(&tracing, tid, regs, callee, if stack > 0 { stack + 1 } else { 0 })
            {
                (call.arguments, call.time_ns) = (arguments, time_ns);
                call.stack = call.stack.map(without_innermost);
                match returns {
                    Toggle::On => {
                        let called = Called::Function { call, id, entry: Box::new(*regs) };
                        self.expect_return(&mut tracing, tid, called, regs, began);
                    }
                    Toggle::Off => tracing.report(call),
                }
            }
        }
        self.after_hit(tracing, tid);
        verdict.unwrap_or(Verdict::GoOn)
    }

    /// A call of `--fn` has returned. The breakpoint to stop for, if it is to stop here.
    pub(super) fn traced_call_returned(
        &mut self,
        tracing: &mut Tracing,
        tid: Tid,
        mut call: Box<Call>,
        entry: &Regs,
        duration: u64,
        value: u64,
    ) -> Verdict {
        call.outcome = Outcome::Returned { value, duration };
        // Its arguments are those that it was called with: their registers hold anything by now.
        let regs = Regs { rax: value, ..*entry };
        let Some(verdict) = self.judge_call(tracing, Moment::Return, tid, &regs, Some(entry.pc())) else {
            return Verdict::GoOn;
        };
        tracing.report(call);
        verdict
    }

    /// A thread is at the entry of a system call.
    pub(super) fn quick_call_entered(&mut self, tracing: &mut Tracing, tid: Tid, call: SyscallHit) -> Verdict {
        let Some(quick) = tracing.quick.as_ref().filter(|one| one.calls.contains(&call.number)) else {
            return Verdict::GoOn;
        };
        let (returns, stack) = (quick.returns, quick.stack);
        let regs = match quick.condition.is_some() || quick.stop_if.is_some() || stack > 0 {
            true => self.call_regs(tid, call, None),
            // Nobody looks at them.
            false => Regs::default(),
        };
        let Some(verdict) = self.judge_call(tracing, Moment::Entry, tid, &regs, None) else { return Verdict::GoOn };
        let callee = Callee::Kernel { name: call_name(call.number) };
        let Some(mut described) = self.describe_call(tracing, tid, &regs, callee, stack) else { return verdict };
        described.arguments = self.call_arguments(tid, call);
        let entered = tracing.threads.get(&tid).and_then(|one| one.syscall);
        let began = entered.map_or_else(|| clock_nanoseconds(Clock::Boot), |(_, began)| began);
        described.time_ns = tracing.quick.as_mut().map_or(0, |one| one.calendar.time_of_day(began));
        match returns {
            Toggle::On => tracing.threads.entry(tid).or_default().quick = Some(described),
            Toggle::Off => tracing.report(described),
        }
        verdict
    }

    /// A system call has returned.
    pub(super) fn quick_call_returned(
        &mut self,
        tracing: &mut Tracing,
        tid: Tid,
        call: SyscallHit,
        value: u64,
        duration: u64,
    ) -> Verdict {
        let Some(mut described) = tracing.threads.get_mut(&tid).and_then(|one| one.quick.take()) else {
            return Verdict::GoOn;
        };
        let is_judged = tracing.quick.as_ref().is_some_and(|one| one.judges_returns());
        let regs = if is_judged { self.call_regs(tid, call, Some(value)) } else { Regs::default() };
        let Some(verdict) = self.judge_call(tracing, Moment::Return, tid, &regs, None) else { return Verdict::GoOn };
        if FILLS_ADDRESS.contains(&described.callee.name()) && (value as i64) >= 0 {
            self.fill_address(tid, call, &mut described);
        }
        described.outcome = Outcome::Returned { value, duration };
        tracing.report(described);
        verdict
    }

    /// Whether a call is to be reported: `None` if not; else whether it is to be a stop. `place` is where its function is
    /// entered.
    fn judge_call(
        &self,
        tracing: &mut Tracing,
        moment: Moment,
        tid: Tid,
        regs: &Regs,
        place: Option<VirtAddr>,
    ) -> Option<Verdict> {
        let Tracing { quick, machine, told, hits, .. } = tracing;
        let quick = quick.as_mut()?;
        if quick.is_done() {
            return None;
        }
        let mut agrees = |test: &mut Test| {
            let tell = |text: String| {
                if told.insert(text.clone()) {
                    machine.output().send_surely(Record::Warning(text));
                }
            };
            self.agrees(test, tid, regs, place, tell) == Some(true)
        };
        let counts = quick.counted_at() == moment;
        if counts {
            if quick.condition.as_mut().is_some_and(|condition| !agrees(condition)) {
                return None;
            }
            quick.counts.hits += 1;
            *hits += 1;
        }
        if quick.stop_if.as_mut().is_some_and(|test| test.moment == moment && agrees(test)) {
            return Some(Verdict::Stop);
        }
        (!counts || quick.admits(clock_nanoseconds(Clock::Boot), machine.output())).then_some(Verdict::GoOn)
    }

    /// A call that begins, with its thread and stack; not yet when that was.
    fn describe_call(&self, tracing: &Tracing, tid: Tid, regs: &Regs, callee: Callee, stack: u32) -> Option<Box<Call>> {
        let task = self.traced_task(tid, &tracing.caches, At::Sample)?;
        let task = TracedTask { regs: OnceCell::from(*regs), ..task };
        Some(Box::new(Call {
            number: 0,
            time_ns: 0,
            pid: task.pid,
            tid,
            thread: task.comm(),
            callee,
            arguments: Vec::new(),
            outcome: Outcome::Entered,
            stack: if stack > 0 { task.stack(stack) } else { None },
        }))
    }

    /// The registers of a thread in a system call, with the call's parameters where a function would have them: so that
    /// arg3 is the fourth of either.
    fn call_regs(&self, tid: Tid, call: SyscallHit, returned: Option<u64>) -> Regs {
        let mut regs = self.inferior.regs(tid).unwrap_or_default();
        [regs.rdi, regs.rsi, regs.rdx, regs.rcx, regs.r8, regs.r9] = call.arguments;
        regs.rax = returned.unwrap_or(regs.rax);
        regs
    }

    fn call_arguments(&self, tid: Tid, call: SyscallHit) -> Vec<CallArgument> {
        self.with_call_memory(tid, |memory| {
            let decoded = decode_call(call.number, &call.arguments, memory).arguments;
            let one =
                |one: DecodedArgument| CallArgument { name: one.name, text: one.text, certainty: Certainty::Known };
            decoded.into_iter().map(one).collect()
        })
    }

    /// The address that the kernel has filled in, in the place of the pointer to it.
    fn fill_address(&self, tid: Tid, call: SyscallHit, described: &mut Call) {
        let mut values = call.arguments;
        let filled = self.with_call_memory(tid, |memory| {
            let mut word = [0; 4];
            memory.mem.read_exact(VirtAddr(values[2]), &mut word).ok()?;
            values[2] = u64::from(u32::from_le_bytes(word));
            Some(decode(crate::target::syscalls::Kind::Sockaddr(2), 1, &values, memory))
        });
        if let (Some(text), Some(argument)) = (filled, described.arguments.get_mut(1)) {
            argument.text = text;
        }
    }

    fn with_call_memory<T: Default>(&self, tid: Tid, read: impl FnOnce(&CallMemory<'_>) -> T) -> T {
        let Some(process) = self.process_of(tid) else { return T::default() };
        let Some(space) = self.spaces.get(&process.space) else { return T::default() };
        let raw = RawMemory { inferior: &self.inferior, pid: process.pid };
        let clean = CleanMemory { raw: &raw, sites: &space.sites };
        let function_name =
            |at| space.modules.find_name(at).filter(|one| one.offset == 0).map(|one| one.name.into_owned());
        read(&CallMemory { mem: &clean, function_name: &function_name })
    }

    /// The end of a trace without a script: what has not returned is reported, unless the trace has all it wanted.
    pub(super) fn finish_quick(&mut self, tracing: &mut Tracing) {
        let open: Vec<Call> = tracing.threads.values_mut().flat_map(super::TracedThread::take_open).collect();
        let Some(quick) = &mut tracing.quick else { return };
        for id in std::mem::take(&mut quick.breakpoints) {
            self.delete_breakpoint(id);
        }
        let counted = quick.counted_at() == Moment::Entry;
        if quick.is_done() {
            quick.counts.open = if counted { open.len() as u64 } else { 0 };
        } else if counted {
            open.into_iter().for_each(|call| tracing.report_unfinished(call));
        }
        let Some(quick) = &mut tracing.quick else { return };
        let untold = quick.rate.as_mut().map_or(0, |rate| std::mem::take(&mut rate.untold));
        let mut counts = quick.counts;
        let output = tracing.machine.output();
        if untold > 0 {
            output.send_surely(Record::HeldBack(untold));
        }
        counts.lost = output.lost();
        output.send_surely(Record::CallsEnd(counts));
    }
}

impl Tracing {
    /// Gives a call to the writer.
    pub(super) fn report(&mut self, mut call: Box<Call>) {
        let Some(quick) = &mut self.quick else { return };
        if quick.is_done() {
            quick.counts.open += 1;
            return;
        }
        quick.counts.reported += 1;
        call.number = quick.counts.reported;
        self.machine.output().send(Record::Call(call));
    }

    /// A call whose thread or trace has ended before its return.
    pub(super) fn report_unfinished(&mut self, mut call: Call) {
        if self.quick.as_ref().is_some_and(|one| one.counted_at() == Moment::Entry) {
            call.outcome = Outcome::Unfinished;
            self.report(Box::new(call));
        }
    }
}

/// Calls that fill in an address, whose length stands where their third argument points to.
const FILLS_ADDRESS: [&str; 4] = ["accept", "accept4", "getsockname", "getpeername"];

fn find_calls(names: &[String]) -> Result<HashSet<u64>, ApiError> {
    let mut found = HashSet::new();
    for name in names {
        if name == "all" {
            found.extend(kernel_calls().map(|one| u64::from(one.number)));
            continue;
        }
        let call = find_kernel_call(name).ok_or_else(|| {
            ApiError::user(format!("there is no system call `{name}`"))
                .with_hint("`rdbg trace -l 'tracepoint:syscalls:sys_enter_*'` lists them; `all` is every one")
        })?;
        found.insert(u64::from(call.number));
    }
    Ok(found)
}

fn call_name(number: u64) -> String {
    kernel_call(number).map_or_else(|| format!("syscall_{number}"), |one| one.name.to_owned())
}

fn argument(decoded: api::Argument) -> CallArgument {
    let certainty = if decoded.certain == Toggle::On { Certainty::Known } else { Certainty::Guessed };
    CallArgument { name: decoded.name, text: decoded.text, certainty }
}

fn without_innermost(stack: std::sync::Arc<crate::trace::StackValue>) -> std::sync::Arc<crate::trace::StackValue> {
    let frames = stack.frames.get(1..).unwrap_or_default().to_vec();
    std::sync::Arc::new(crate::trace::StackValue { pid: stack.pid, frames, space: stack.space.clone() })
}
