//! The course of a call: the thread is set up, runs alone until it has returned, and is put back as it was.
//!
//! Whatever else happens on the way, another stop, a signal, the user's interrupt, the time being over, ends the call,
//! and the thread is put back all the same. The rest of the program stands; where the call takes so long that it may wait
//! for another thread, they all run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, RecvTimeoutError, Sender};

use super::{CallMode, PlannedCall, PlannedResult};
use crate::api::{ApiError, ClientId, Command, FrameExit, Outcome, StopReason, Toggle};
use crate::arch::{lay_out_call, CallFrame, CallSpec, Interrupted};
use crate::base::progress::Ticket;
use crate::base::{Inferior, InferiorError, Regs, Signal, Tid, VirtAddr};
use crate::binary::dwarf::{ReturnPlace, Shape, TypeId};
use crate::binary::Module;
use crate::engine::inspect::described_names::Kept;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::settings::SchedulerLocking;
use crate::engine::state::{Engine, Input, Selection};
use crate::engine::stops::stepping::{AfterReturn, Others, StepGoal};
use crate::lang::typed::{Held, TypedValue};
use crate::lang::{Type, Value};
use crate::target::broken_call::{BrokenCall, RedoneCall};
use crate::target::calls_under_way::ThreadCalls;
use crate::target::debug_register::Reached;
use crate::target::task::{RunState, StopKind};

/// For so long only the thread of the call runs.
const ALONE: Duration = Duration::from_millis(500);
/// A call may take so long in all.
const LIMIT: Duration = Duration::from_secs(10);
/// How often a call that takes its time is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// `mov rax, 15; syscall`, as glibc, musl and Go have it for the return from a signal's handler: rt_sigreturn(2) is 15.
const TRAMPOLINES: [&[u8]; 2] = [&[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05], &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05]];
/// SIGILL, SIGBUS, SIGFPE, SIGSEGV.
const FAULTS: [i32; 4] = [4, 7, 8, 11];
/// Where C++ goes with an exception that nobody catches, or that comes where none may: std::terminate(), and what the
/// personality function calls.
const TERMINATES: [&str; 2] = ["_ZSt9terminatev", "__cxa_call_terminate"];

/// A command that is being done.
pub(in crate::engine) struct Asked {
    pub(in crate::engine) client: ClientId,
    pub(in crate::engine) command: Command,
    pub(in crate::engine) answer: Sender<Outcome>,
    pub(in crate::engine) ticket: Ticket,
}

/// A thread that makes a call.
pub(in crate::engine) struct CallUnderWay {
    tid: Tid,
    serial: u64,
    asked: Option<Asked>,
    planned: PlannedCall,
    frame: CallFrame,
    trampoline: VirtAddr,
    was: Interrupted,
    stood: Stood,
    stop: Option<StopReason>,
    selection: Selection,
    begun: Instant,
    others: Others,
    /// The end of the channel whose other end the clock listens at.
    #[allow(dead_code, reason = "held for its drop, which ends the clock")]
    clock: Sender<()>,
}

/// What the end of a call has come to for its thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// It stands as it did before.
    PutBack,
    /// It is still in the function, and comes back by the frame on its stack.
    Left,
    /// It has ended.
    Gone,
}

/// How a thread stood before the call.
struct Stood {
    owed: Option<Signal>,
    untold: Option<Signal>,
    queued: Option<Signal>,
    reported_at: Option<VirtAddr>,
    stands_before: Option<VirtAddr>,
    passed_at: Option<(VirtAddr, VirtAddr)>,
    broken: Option<BrokenCall>,
    redone: Option<RedoneCall>,
    reached: Vec<Reached>,
    calls: ThreadCalls,
}

/// That the clock of a call has ticked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallTick(u64);

impl<I: Inferior> Engine<I> {
    /// Whether this thread makes a call for the user.
    pub(in crate::engine) fn is_calling(&self, tid: Tid) -> bool {
        self.calling.under_way.as_ref().is_some_and(|one| one.tid == tid)
    }

    /// Does a command, with the calls that it asks for, and answers it when they are made.
    pub(in crate::engine) fn carry_out(&mut self, mut asked: Asked) {
        let mode = match (&asked.command, self.settings.allow_calls) {
            (_, Toggle::Off) => CallMode::Refused,
            _ if self.calling.under_way.is_some() => CallMode::Refused,
            (Command::TypeOf { .. }, _) => CallMode::TypesOnly,
            (
                Command::Print { .. }
                | Command::Assign { .. }
                | Command::PrintFormatted { .. }
                | Command::Examine { .. },
                _,
            ) => CallMode::Made,
            _ => CallMode::Refused,
        };
        if mode == CallMode::Refused {
            if self.calling.under_way.is_none() {
                self.calling.book.close();
            }
            let command = std::mem::replace(&mut asked.command, Command::Status);
            let outcome = self.obey(asked.client, command);
            return self.answer(asked, outcome);
        }
        self.calling.book.open(mode);
        let mut outcome = self.obey(asked.client, asked.command.clone());
        let pending = self.calling.book.pending.borrow_mut().take();
        self.calling.book.mode.set(CallMode::Refused);
        let mut asked = Some(asked);
        if let Some(planned) = pending {
            match self.begin_call(planned, &mut asked) {
                Ok(()) => return,
                Err(error) => outcome = Err(error),
            }
        }
        self.calling.book.close();
        if let Some(asked) = asked {
            self.answer(asked, outcome);
        }
    }

    fn answer(&mut self, asked: Asked, outcome: Outcome) {
        self.progress.end();
        self.empty_outbox();
        // A front end that no longer waits for its answer is no failure of the command.
        let _ = asked.answer.send(outcome);
    }

    /// Ends a call that is under way, before a command that would move the program on its own.
    pub(in crate::engine) fn make_way_for(&mut self, command: &Command) {
        if self.calling.under_way.is_none() || !moves(command) {
            return;
        }
        self.break_off_call("another command came meanwhile");
    }

    /// Begins a call; its end answers what was asked.
    fn begin_call(&mut self, planned: PlannedCall, asked: &mut Option<Asked>) -> Result<(), ApiError> {
        let tid = self.selected_tid()?;
        self.check_may_call(tid)?;
        self.leave_slot(tid);
        let failed = |error: InferiorError| ApiError::target(format!("{} was not called: {error}", planned.name));
        let trampoline = self.find_trampoline(tid).ok_or_else(|| {
            ApiError::target(format!(
                "{} was not called: the program has no return from a signal's handler",
                planned.name
            ))
            .with_hint("a call returns by that, so that it ends well though rdbg should be killed meanwhile")
        })?;
        let was = Interrupted {
            regs: self.inferior.regs(tid).map_err(failed)?,
            extended: self.inferior.extended_regs(tid).map_err(failed)?,
            blocked: self.inferior.blocked_signals(tid).map_err(failed)?,
            broken: self.threads.get(&tid).and_then(|one| one.broken).map(|call| call.number),
        };
        let spec = CallSpec {
            function: planned.function,
            trampoline,
            operands: planned.operands.clone(),
            result_size: planned.result.memory_size(),
            below: self.calling.book.below(was.regs.sp()),
        };
        let frame = lay_out_call(&spec, &was)
            .map_err(|error| ApiError::user(format!("{} was not called: {error}", planned.name)))?;
        self.check_room(tid, &frame)?;
        self.calling.book.use_down_to(frame.at, was.regs.sp());
        self.arm_for_call(tid, &was.regs, trampoline, &frame)?;
        if let Err(error) = self.set_up(tid, &frame) {
            self.forget_returns_of(tid);
            // It stands as it did, or is gone.
            let _ = self
                .inferior
                .set_regs(tid, &was.regs)
                .and_then(|()| self.inferior.set_extended_regs(tid, &was.extended));
            return Err(failed(error));
        }
        self.progress.stage(&format!("calling {}", planned.name), 0);
        self.calling.serial += 1;
        let clock = self.start_clock(self.calling.serial);
        let Some(stood) = self.take_stood(tid) else { return Err(failed(InferiorError::Gone(tid))) };
        let under_way = CallUnderWay {
            tid,
            serial: self.calling.serial,
            asked: asked.take(),
            planned,
            frame,
            trampoline,
            was,
            stood,
            stop: self.stop.clone(),
            selection: self.selection,
            begun: Instant::now(),
            others: Others::Stand,
            clock,
        };
        self.calling.under_way = Some(Box::new(under_way));
        self.steps.insert(tid, StepGoal::Return { then: AfterReturn::Call });
        self.go_with(tid, Others::Stand);
        Ok(())
    }

    fn check_may_call(&self, tid: Tid) -> Result<(), ApiError> {
        let refuse = |why: &str, hint: &str| {
            Err(ApiError::user(format!("thread {tid} {why}: nothing was called")).with_hint(hint))
        };
        let Some(thread) = self.threads.get(&tid).filter(|one| one.is_stopped()) else {
            return refuse("runs on", "interrupt it first (Ctrl-C, or `interrupt`)");
        };
        if self.is_go_program(tid) {
            return refuse(
                "may be on a goroutine's stack, which a call could overrun",
                "Go's functions cannot be called",
            );
        }
        match thread.state {
            RunState::Stopped(StopKind::Syscall) => {
                refuse("stands inside a system call", "`stepi` or `finish` takes it out, or select another thread")
            }
            RunState::Stopped(StopKind::Group(signal)) => refuse(
                &format!("is stopped by {signal}"),
                "`signal SIGCONT` and an interrupt, or select another thread",
            ),
            _ if thread.in_vfork => refuse("waits for its vfork child", "select another thread"),
            _ => Ok(()),
        }
    }

    /// Whether the program has Go's table of functions.
    fn is_go_program(&self, tid: Tid) -> bool {
        let modules = self.space_of(tid).and_then(|id| self.spaces.get(&id)).map(|space| space.modules.modules());
        let has_table = |one: &crate::target::address_space::LoadedModule| {
            one.module.sections().iter().any(|section| section.name.ends_with(".gopclntab"))
        };
        modules.unwrap_or_default().iter().any(has_table)
    }

    /// Whether the thread's stack has room for the frame. Writes by the debugger would go through, whatever is there.
    fn check_room(&self, tid: Tid, frame: &CallFrame) -> Result<(), ApiError> {
        let Some(pid) = self.threads.get(&tid).map(|one| one.pid) else { return Ok(()) };
        let maps = self.inferior.maps(pid).map_err(|error| ApiError::target(error.to_string()))?;
        let end = frame.at.offset(frame.stack.len() as u64);
        let fits = |one: &&crate::base::Mapping| one.write && one.range.start <= frame.at && end <= one.range.end;
        match maps.iter().find(fits) {
            Some(_) => Ok(()),
            None => Err(ApiError::target(format!(
                "the stack of thread {tid} has no room for a call at {}: nothing was called",
                frame.at
            ))),
        }
    }

    /// Sites where the thread comes to when the function returns, or is left otherwise.
    fn arm_for_call(&mut self, tid: Tid, was: &Regs, trampoline: VirtAddr, frame: &CallFrame) -> Result<(), ApiError> {
        self.arm_escapes_here(tid, was.sp());
        for at in self.find_terminate(tid) {
            self.arm_anywhere(tid, at);
        }
        if !self.arm_return(tid, trampoline, frame.returned_sp()) {
            self.forget_returns_of(tid);
            return Err(ApiError::target(format!("cannot set a breakpoint at {trampoline}, where a call returns to")));
        }
        Ok(())
    }

    fn find_terminate(&self, tid: Tid) -> Vec<VirtAddr> {
        let Some(space) = self.space_of(tid).and_then(|id| self.spaces.get(&id)) else { return Vec::new() };
        let of_module = |one: &crate::target::address_space::LoadedModule| {
            let symbols = one.module.symbols();
            TERMINATES.map(|name| Some(one.to_virt(symbols.find_exact(name)?.address)))
        };
        space.modules.modules().iter().flat_map(of_module).flatten().collect()
    }

    fn find_trampoline(&mut self, tid: Tid) -> Option<VirtAddr> {
        let space = self.space_of(tid)?;
        if let Some(known) = self.spaces.get(&space)?.trampoline_at {
            return Some(known);
        }
        let found = self.look_for_trampoline(tid)?;
        self.spaces.get_mut(&space)?.trampoline_at = Some(found);
        Some(found)
    }

    fn look_for_trampoline(&self, tid: Tid) -> Option<VirtAddr> {
        let process = self.process_of(tid)?;
        let memory = RawMemory { inferior: &self.inferior, pid: process.pid };
        let maps = self.inferior.maps(process.pid).ok()?;
        let code: Vec<_> = maps.iter().filter(|one| one.exec).collect();
        let find = |pattern: &&[u8]| {
            code.iter().find_map(|one| crate::engine::process::remote::find_bytes(&memory, one.range, pattern))
        };
        TRAMPOLINES.iter().find_map(find)
    }

    fn set_up(&mut self, tid: Tid, frame: &CallFrame) -> Result<(), InferiorError> {
        let pid = self.threads.get(&tid).map(|one| one.pid).ok_or(InferiorError::Gone(tid))?;
        self.inferior.write_mem(pid, frame.at, &frame.stack)?;
        self.inferior.set_extended_regs(tid, &frame.extended)?;
        self.inferior.set_regs(tid, &frame.regs)
    }

    /// Takes all from a thread that says how it stands, so that it goes into the call with nothing owed.
    fn take_stood(&mut self, tid: Tid) -> Option<Stood> {
        let is_fault = self.came_of_fault(tid);
        let thread = self.threads.get_mut(&tid)?;
        thread.early = None;
        Some(Stood {
            // A fault comes by itself when its instruction is executed again, with its address.
            owed: thread.owed.take().filter(|_| !is_fault),
            untold: thread.untold.take(),
            queued: thread.queued.take(),
            reported_at: thread.reported_at.take(),
            stands_before: thread.stands_before.take(),
            passed_at: thread.passed_at.take(),
            broken: thread.broken.take(),
            redone: thread.redone.take(),
            reached: std::mem::take(&mut thread.reached),
            calls: std::mem::take(&mut thread.calls),
        })
    }

    /// Whether the thread stands with the signal of an instruction that cannot be executed.
    fn came_of_fault(&self, tid: Tid) -> bool {
        self.inferior.siginfo(tid).is_ok_and(|info| FAULTS.contains(&info.signal.0) && info.code > 0)
    }

    /// The signal that the thread stands with at the call's end, if it is the program's and no doing of the function: it
    /// is to come all the same.
    fn signal_to_keep(&self, tid: Tid) -> Option<Signal> {
        let thread = self.threads.get(&tid)?;
        let RunState::Stopped(StopKind::Signal(signal)) = thread.state else { return None };
        let info = self.inferior.siginfo(tid).ok()?;
        let is_own = info.code <= 0 && info.sender == thread.pid;
        (!is_own && !self.came_of_fault(tid)).then_some(signal)
    }

    fn start_clock(&self, serial: u64) -> Sender<()> {
        let (clock, ends) = bounded::<()>(0);
        let (inputs, doorbell) = (self.input_sender.clone(), self.doorbell.clone());
        std::thread::spawn(move || {
            while ends.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if inputs.send(Input::CallTick(CallTick(serial))).is_err() {
                    return;
                }
                doorbell.ring();
            }
        });
        clock
    }

    /// A call takes its time.
    pub(in crate::engine) fn on_call_tick(&mut self, tick: CallTick) {
        let Some(under_way) = self.calling.under_way.as_ref().filter(|one| one.serial == tick.0) else { return };
        let (tid, spent, others) = (under_way.tid, under_way.begun.elapsed(), under_way.others);
        let ticket = under_way.asked.as_ref().map(|one| one.ticket);
        if ticket.is_some_and(|ticket| self.progress.was_cancelled(ticket)) {
            self.break_off_call("it was broken off");
        } else if spent >= LIMIT {
            self.break_off_call("it did not return within 10 s");
        } else if spent >= ALONE && others == Others::Stand && self.settings.scheduler_locking == SchedulerLocking::Off
        {
            if let Some(under_way) = self.calling.under_way.as_mut() {
                under_way.others = Others::Run;
            }
            self.unlock_others(tid);
        }
    }

    /// The function has been left: by its return, or otherwise.
    pub(in crate::engine) fn call_left(&mut self, tid: Tid, regs: &Regs, how: FrameExit) {
        let Some(under_way) = self.calling.under_way.as_ref().filter(|one| one.tid == tid) else { return };
        let why = match how {
            FrameExit::Return if regs.pc() == under_way.trampoline => None,
            FrameExit::Return => Some("it called std::terminate, as for an exception that nobody catches"),
            FrameExit::Exception => Some("an exception left it"),
            FrameExit::Jump => Some("it left by longjmp"),
        };
        if let Some(why) = why {
            return self.break_off_call(why);
        }
        let kept = self.call_result(tid, regs);
        let Some((under_way, _)) = self.end_call() else { return };
        match (kept, under_way.asked) {
            (Ok(kept), Some(asked)) => {
                self.calling.book.results.borrow_mut().push(kept);
                self.progress.begin(asked.ticket);
                self.carry_out(asked);
            }
            (Err(error), Some(asked)) => {
                self.calling.book.close();
                self.answer(asked, Err(error));
            }
            (_, None) => self.calling.book.close(),
        }
    }

    /// What the function has returned, while the thread has it in its registers.
    fn call_result(&mut self, tid: Tid, regs: &Regs) -> Result<Kept, ApiError> {
        let under_way = self.calling.under_way.as_ref().ok_or_else(|| ApiError::internal("no call is under way"))?;
        let PlannedResult::Typed { ty, module, place, size } = &under_way.planned.result else {
            return Ok(Kept::Plain(Value::long(regs.rax as i64)));
        };
        let failed = |error: &dyn std::fmt::Display| ApiError::target(format!("the result cannot be read: {error}"));
        if *place == ReturnPlace::Nothing && module.dwarf().types().view(*ty).shape == Shape::Void {
            return Ok(Kept::Plain(Value::from_raw(0, Type::VOID)));
        }
        let bytes = match self.held_result(tid, *place, *size, regs) {
            Held::Bytes(bytes) => bytes,
            Held::Memory(at) => {
                let at = under_way.frame.result_at.unwrap_or(at);
                return Ok(described(*ty, module, Held::Memory(at)));
            }
            _ => return Err(failed(&"it is in registers that cannot be read")),
        };
        let is_record = matches!(module.dwarf().types().view(*ty).shape, Shape::Record | Shape::Union);
        if !is_record {
            return Ok(described(*ty, module, Held::Bytes(bytes)));
        }
        // In memory it has an address, which member functions of it need.
        let at = self.calling.book.below(under_way.was.regs.sp()).0.wrapping_sub(bytes.len() as u64) & !15;
        let pid = self.threads.get(&tid).map(|one| one.pid).ok_or_else(|| failed(&InferiorError::Gone(tid)))?;
        self.inferior.write_mem(pid, VirtAddr(at), &bytes).map_err(|error| failed(&error))?;
        self.calling.book.use_down_to(VirtAddr(at), under_way.was.regs.sp());
        Ok(described(*ty, module, Held::Memory(VirtAddr(at))))
    }

    /// Ends the call, if there is one, and tells who waits for it why it gives nothing.
    pub(in crate::engine) fn break_off_call(&mut self, why: &str) {
        if self.calling.under_way.is_none() {
            return;
        }
        let Some((under_way, ending)) = self.end_call() else { return };
        self.calling.book.close();
        let back = match ending {
            Ending::PutBack => "the thread is as it was before; what the function did until then is done",
            Ending::Left => "the thread cannot be stopped now, and is put back when the function returns",
            Ending::Gone => "the thread has gone",
        };
        let text = format!("{} has not returned: {why}; {back}", under_way.planned.name);
        if let Some(asked) = under_way.asked {
            self.answer(asked, Err(ApiError::target(text)));
        }
    }

    /// A stop amid a call ends it. Whether that is all that there is to the stop.
    pub(in crate::engine) fn stop_ends_call(&mut self, tid: Tid, reason: &StopReason) -> bool {
        let Some(under_way) = self.calling.under_way.as_ref() else { return false };
        let own = under_way.tid == tid;
        let at = self.inferior.regs(tid).map(|regs| regs.pc());
        let why = match (own, reason, at) {
            (true, StopReason::Signal { signal }, Ok(at)) => format!("{signal} came at {at}"),
            (true, StopReason::Interrupt, _) => "it was broken off".to_owned(),
            (true, ..) => "the thread has stopped in it".to_owned(),
            (false, ..) => format!("thread {tid} has stopped meanwhile"),
        };
        self.break_off_call(&why);
        own
    }

    /// The thread of a call is gone, or runs another program: nothing is put back. Where it has ended, who looks after
    /// that lets the others go.
    pub(in crate::engine) fn call_has_gone(&mut self, tid: Tid, why: &str) {
        if !self.is_calling(tid) {
            return;
        }
        let Some(under_way) = self.calling.under_way.take() else { return };
        self.calling.book.close();
        if self.threads.contains_key(&tid) {
            self.forget_returns_of(tid);
            self.steps.remove(&tid);
            self.unlock_others(tid);
        }
        let text = format!("{} has not returned: {why}", under_way.planned.name);
        if let Some(asked) = under_way.asked {
            self.answer(asked, Err(ApiError::target(text)));
        }
    }

    /// Stops the thread of the call, and the others if they run, and puts everything back; whether the thread is.
    fn end_call(&mut self) -> Option<(Box<CallUnderWay>, Ending)> {
        let tid = self.calling.under_way.as_ref()?.tid;
        if self.settings.non_stop == Toggle::Off {
            self.stop_world();
        } else if self.is_running(tid) {
            // Gone is an answer; the wait reports it.
            let _ = self.inferior.interrupt(tid);
            self.await_stops(&[tid]);
        }
        let mut under_way = self.calling.under_way.take()?;
        self.forget_returns_of(tid);
        self.steps.remove(&tid);
        self.end_single_steps();
        if self.settings.non_stop == Toggle::Off {
            self.threads.values_mut().for_each(|one| one.locked = false);
        }
        self.stop = under_way.stop.take();
        self.selection = under_way.selection;
        let ending = match self.threads.contains_key(&tid) {
            false => Ending::Gone,
            true if self.is_running(tid) || self.put_back(tid, &under_way.was).is_err() => Ending::Left,
            true => {
                self.put_stood(tid, &mut under_way.stood);
                Ending::PutBack
            }
        };
        self.bare_sites();
        Some((under_way, ending))
    }

    fn put_back(&mut self, tid: Tid, was: &Interrupted) -> Result<(), InferiorError> {
        if let (Some(signal), Some(pid)) = (self.signal_to_keep(tid), self.threads.get(&tid).map(|one| one.pid)) {
            // Its stop is over: sent again, it comes when the thread goes on.
            self.inferior.tkill(pid, tid, signal)?;
        }
        self.inferior.set_regs(tid, &was.regs)?;
        self.inferior.set_extended_regs(tid, &was.extended)?;
        self.inferior.block_signals(tid, was.blocked)
    }

    fn put_stood(&mut self, tid: Tid, stood: &mut Stood) {
        let held = self.settings.non_stop == Toggle::On;
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        thread.state = RunState::Stopped(StopKind::Event);
        thread.held |= held;
        thread.owed = None;
        thread.untold = stood.untold;
        thread.reported_at = stood.reported_at;
        thread.stands_before = stood.stands_before;
        thread.passed_at = stood.passed_at;
        thread.broken = stood.broken.take();
        thread.redone = stood.redone.take();
        thread.reached = std::mem::take(&mut stood.reached);
        thread.calls = std::mem::take(&mut stood.calls);
        // The stop for its delivery is over: a signal that was to come has to be sent anew.
        thread.queued = stood.queued.or(stood.owed);
    }
}

fn described(ty: TypeId, module: &Arc<Module>, place: Held) -> Kept {
    Kept::Described { value: TypedValue { ty, place }, module: Arc::clone(module) }
}

/// Commands that let the program go on in a way of their own, or end the session with it.
fn moves(command: &Command) -> bool {
    matches!(
        command,
        Command::Target { .. }
            | Command::Run { .. }
            | Command::Trace { .. }
            | Command::Continue
            | Command::StepInstruction { .. }
            | Command::Step { .. }
            | Command::Advance { .. }
            | Command::Finish
            | Command::Signal { .. }
            | Command::QueueSignal { .. }
            | Command::Interrupt
            | Command::Detach
            | Command::Kill
            | Command::Quit { .. }
    ) || matches!(command, Command::Set { name, .. } if name == "non-stop")
}
