//! step, next and until: by source lines.
//!
//! Inside the code of one line the thread is single-stepped. Calls run freely to a site at their return address, so that
//! only few instructions cost a stop. The other threads stand still until the first call is made: from then on they run,
//! since the call may wait for them.

mod calls;
mod place;

use self::calls::TRAMPOLINE;
use self::place::{are_same, extends, Here};
use super::stepping::{call_end, AfterReturn, Others, StepGoal};
use crate::api::{ApiError, Event, FrameExit, LineStepKind, Reply, StopReason};
use crate::base::{AddrRange, Inferior, Regs, ResumeHow, Tid, VirtAddr};
use crate::binary::dwarf::Instance;
use crate::binary::SymbolKind;
use crate::engine::breakpoints::Verdict;
use crate::engine::state::{Engine, World};

/// After so many instructions the other threads go on too: the line may wait for one of them.
const ALONE: u32 = 2000;
/// A step that is under way.
pub(in crate::engine) struct LineStep {
    kind: LineStepKind,
    left: u32,
    /// The line that is being left: its file's path and number; `None`: any line's beginning ends the step.
    line: Option<(String, u32)>,
    /// The line's code around the pc.
    range: AddrRange,
    /// The function and the calls inlined in it, where the step began.
    copies: Vec<Instance>,
    ends: Ends,
    phase: Phase,
    /// Instructions since the step began.
    steps: u32,
    /// The name of the function whose stub was entered last.
    stub: Option<String>,
    /// An exception has led here, and no handler has begun yet: what runs are destructors.
    unwinding: bool,
}

/// Where a step ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    /// Where another line begins.
    AtLine,
    /// Where the thread is in `copies` and in no call that was inlined there.
    InCopies,
}

/// What the thread is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Executing one instruction.
    Single,
    /// Executing a call that is to be entered.
    Calling { return_to: VirtAddr },
    /// In a stub between a call and its function.
    Trampoline { return_to: VirtAddr, cfa: VirtAddr, left: u32 },
}

impl<I: Inferior> Engine<I> {
    /// `step N`, `next N`, `until`.
    pub(in crate::engine) fn step_lines(&mut self, kind: LineStepKind, count: u32) -> Result<Reply, ApiError> {
        let tid = self.selected_tid()?;
        if count == 0 {
            return Ok(Reply::Done);
        }
        let regs = self.inferior.regs(tid).map_err(|error| ApiError::target(error.to_string()))?;
        let here = self.here(tid, regs.pc());
        let step = LineStep::new(kind, count, &here);
        if here.line().is_none() {
            return self.step_out_of_unknown(tid, &regs, step);
        }
        self.stop = None;
        self.steps.insert(tid, StepGoal::Lines);
        self.line_step = Some(step);
        self.run_alone(tid);
        self.begin(tid, regs, here);
        Ok(Reply::Resumed)
    }

    /// `finish` in a call that was inlined: the thread, or the frame `inner` calls from it once that has returned, goes on
    /// until it is in `copies` only.
    pub(super) fn finish_inlined(
        &mut self,
        tid: Tid,
        copies: Vec<Instance>,
        inner: Option<(VirtAddr, VirtAddr)>,
    ) -> Result<Reply, ApiError> {
        let regs = self.inferior.regs(tid).map_err(|error| ApiError::target(error.to_string()))?;
        let here = self.here(tid, regs.pc());
        let range = AddrRange::default();
        let step =
            LineStep { line: None, range, copies, ends: Ends::InCopies, ..LineStep::new(LineStepKind::Over, 1, &here) };
        self.stop = None;
        self.line_step = Some(step);
        match inner {
            Some((return_to, cfa)) => self.run_to(tid, &regs, return_to, cfa),
            None => {
                self.run_alone(tid);
                self.step_on(tid, regs);
            }
        }
        Ok(Reply::Resumed)
    }

    /// A line, or the next of several, is to be left. `step` enters an inlined call that begins here: nothing is executed
    /// for that.
    fn begin(&mut self, tid: Tid, regs: Regs, mut here: Here) {
        while self.line_step.as_ref().is_some_and(|step| step.kind == LineStepKind::Into)
            && self.enter(tid, regs.pc(), &mut here)
        {
            self.refresh(&here);
            let Some(step) = self.line_step.as_mut() else { return };
            step.left = step.left.saturating_sub(1);
            if step.left == 0 {
                return self.finish_step(tid, StopReason::Step);
            }
        }
        self.begin_line(&here);
        self.step_on(tid, regs);
    }

    /// Enters the outermost inlined call that begins at the pc, if there is one that is not skipped.
    fn enter(&mut self, tid: Tid, pc: VirtAddr, here: &mut Here) -> bool {
        if here.begun.first().is_none_or(|call| self.skips_inlined(tid, here, call)) {
            return false;
        }
        self.set_entered(tid, pc, self.entered_calls(tid, pc) + 1);
        here.copies.push(here.begun.remove(0));
        true
    }

    /// From a function without lines a step goes to its caller.
    fn step_out_of_unknown(&mut self, tid: Tid, regs: &Regs, step: LineStep) -> Result<Reply, ApiError> {
        let frames = self.frames_of(tid, 2);
        let (Some(frame), Some(caller)) = (frames.first(), frames.get(1)) else {
            return Err(ApiError::user("the pc is in no line of the source, and its function has no caller")
                .with_hint("stepi executes an instruction"));
        };
        let (cfa, return_to) = (frame.cfa.unwrap_or(regs.sp()), caller.address.pc());
        self.emit(Event::Notice {
            text: "This function has no line information: running until it returns.".to_owned(),
        });
        if !self.arm_return(tid, return_to, cfa) {
            return Err(ApiError::target(format!("cannot set a breakpoint at the return address {return_to}")));
        }
        self.stop = None;
        self.steps.insert(tid, StepGoal::Return { then: AfterReturn::Lines });
        self.line_step = Some(step);
        self.note_told(tid, regs.pc());
        self.go_with(tid, self.others_in_step());
        Ok(Reply::Resumed)
    }

    /// Executes the next instruction of the thread, or the call that it is.
    fn step_on(&mut self, tid: Tid, regs: Regs) {
        self.steps.insert(tid, StepGoal::Lines);
        self.apply_queued(tid);
        if let Some(signal) = self.threads.get(&tid).and_then(|one| one.owed) {
            return self.signal_in_step(tid, Some(signal));
        }
        let Some(step) = self.line_step.as_mut() else { return };
        step.steps += 1;
        let (kind, steps, entering) = (step.kind, step.steps, step.line.is_none());
        if steps == ALONE && self.others_in_step() == Others::Run {
            self.unlock_others(tid);
        }
        let code = self.code_at(tid, regs.pc());
        if let Some(next) = call_end(regs.pc(), &code) {
            if self.handler_begins(tid, &regs) {
                return self.finish_step(tid, StopReason::Step);
            }
            if kind == LineStepKind::Into && !entering {
                self.set_phase(Phase::Calling { return_to: next });
            } else {
                return self.run_to(tid, &regs, next, regs.sp());
            }
        } else if let Some(step) =
            self.line_step.as_mut().filter(|step| !matches!(step.phase, Phase::Trampoline { .. }))
        {
            step.phase = Phase::Single;
        }
        if self.is_site(tid, regs.pc()) {
            match self.step_over(tid, regs.pc(), regs) {
                Ok(reached) if self.judge_kept(tid, reached) == Verdict::Stop => {}
                Ok(_) => self.after_step_over(tid),
                Err(error) => self.cannot_pass(tid, regs.pc(), &error),
            }
            return;
        }
        self.pass_register(tid, regs.pc());
        self.resume_task(tid, ResumeHow::Step, None);
    }

    fn set_phase(&mut self, phase: Phase) {
        if let Some(step) = self.line_step.as_mut() {
            step.phase = phase;
        }
    }

    /// Lets the thread run until it comes to `at` with its stack as at `sp` or above, or an exception leads it to a frame
    /// as far out.
    fn run_to(&mut self, tid: Tid, regs: &Regs, at: VirtAddr, sp: VirtAddr) {
        if !self.arm_return(tid, at, sp) {
            return self.finish_step(tid, StopReason::Step);
        }
        self.arm_escapes_here(tid, sp);
        self.steps.insert(tid, StepGoal::Return { then: AfterReturn::Lines });
        self.note_told(tid, regs.pc());
        self.go_with(tid, self.others_in_step());
    }

    /// An instruction has been executed.
    pub(super) fn line_stepped(&mut self, tid: Tid) {
        if self.world != World::Running {
            return;
        }
        let (Ok(regs), Some(step)) = (self.inferior.regs(tid), self.line_step.as_ref()) else { return };
        match step.phase {
            Phase::Calling { return_to } => {
                let cfa = regs.sp().offset(8);
                self.set_phase(Phase::Trampoline { return_to, cfa, left: TRAMPOLINE });
                self.entered(tid, regs, return_to, cfa, TRAMPOLINE);
            }
            Phase::Trampoline { return_to, cfa, left } => self.entered(tid, regs, return_to, cfa, left),
            Phase::Single => self.arrived(tid, regs),
        }
    }

    /// The thread stands somewhere new by its own steps, or is back from a call.
    fn arrived(&mut self, tid: Tid, regs: Regs) {
        if self.hits_breakpoint(tid, &regs) {
            return;
        }
        let in_range = self.line_step.as_ref().is_some_and(|step| step.range.contains(regs.pc()));
        if in_range {
            return self.step_on(tid, regs);
        }
        self.left_range(tid, regs);
    }

    /// A breakpoint of the user's where the thread has come to is hit as if it ran.
    fn hits_breakpoint(&mut self, tid: Tid, regs: &Regs) -> bool {
        let ids = self.breakpoints_at(tid, regs);
        if ids.is_empty() {
            return false;
        }
        self.note_told(tid, regs.pc());
        self.stop_for(tid, StopReason::Breakpoint { ids: ids.clone() });
        self.after_stop_at(&ids);
        true
    }

    /// The thread has left the line's code: by a jump, a return, or simply by going on.
    fn left_range(&mut self, tid: Tid, regs: Regs) {
        let here = self.here(tid, regs.pc());
        let Some(step) = self.line_step.as_ref() else { return };
        let same_function = match (step.copies.first(), here.copies.first()) {
            (Some(old), Some(new)) => old.entry == new.entry,
            _ => false,
        };
        let Some(place) = &here.place else { return self.left_for_unknown(tid, regs) };
        let at_entry = here.copies.first().is_some_and(|copy| here.loaded_bias.to_virt(copy.start()) == regs.pc());
        if at_entry && !same_function && !step.copies.is_empty() {
            return self.called_by_jump(tid, regs);
        }
        let in_inlined = extends(&here.copies, &step.copies);
        if step.ends == Ends::InCopies {
            if in_inlined || extends(&here.begun_too(), &step.copies) {
                self.go_on_in(&here);
                return self.step_on(tid, regs);
            }
            return self.finish_step(tid, StopReason::Step);
        }
        if !here.begun.is_empty() && are_same(&here.copies, &step.copies) {
            return self.at_inlined_call(tid, regs, here);
        }
        let row_line = here.row_line();
        if in_inlined {
            let skipped = here.copies[step.copies.len()..].iter().any(|call| self.skips_inlined(tid, &here, call));
            if step.kind == LineStepKind::Into && row_line.is_some() && !skipped {
                return self.line_reached(tid, regs, here);
            }
            self.go_on_in(&here);
            return self.step_on(tid, regs);
        }
        let other_line = row_line.is_some() && row_line != step.line;
        if row_line.is_none() {
            self.go_on_in(&here);
        } else if here.range(step.kind).start == regs.pc() && other_line {
            let unwinding = self.line_step.as_mut().is_some_and(|step| {
                step.unwinding &= same_function;
                step.unwinding
            });
            if place.row.is_stmt && !unwinding {
                return self.line_reached(tid, regs, here);
            }
            // In another frame any statement will do, one of the line that was left too.
            if let Some(step) = self.line_step.as_mut().filter(|step| !are_same(&step.copies, &here.copies)) {
                (step.line, step.copies) = (Some(Default::default()), here.copies.clone());
            }
            self.go_on_in(&here);
        } else {
            self.refresh(&here);
        }
        self.step_on(tid, regs);
    }

    /// The thread has come to the beginning of an inlined call. One in the line that is being left is entered by `step`
    /// and passed over by `next`; for one in another line the step ends before it.
    fn at_inlined_call(&mut self, tid: Tid, regs: Regs, mut here: Here) {
        let Some(step) = self.line_step.as_ref() else { return };
        let (kind, other_line) = (step.kind, here.line() != step.line && here.line().is_some());
        if other_line || kind == LineStepKind::Into && self.enter(tid, regs.pc(), &mut here) {
            return self.line_reached(tid, regs, here);
        }
        self.go_on_in(&here);
        self.step_on(tid, regs);
    }

    /// The code around the pc is passed through.
    fn go_on_in(&mut self, here: &Here) {
        if let Some(step) = self.line_step.as_mut() {
            step.range = here.range(step.kind);
        }
    }

    /// `until` does not go back: to it, all of the function before the line's end is as the line itself.
    fn begin_line(&mut self, here: &Here) {
        self.go_on_in(here);
        let Some(step) = self.line_step.as_mut() else { return };
        if let (LineStepKind::Until, Some(copy)) = (step.kind, here.copies.last()) {
            step.range.start = here.loaded_bias.to_virt(copy.start()).min(step.range.start);
        }
    }

    /// The line that the thread is in the midst of is the one to leave now.
    fn refresh(&mut self, here: &Here) {
        if let Some(step) = self.line_step.as_mut() {
            (step.line, step.copies) = (here.line(), here.copies.clone());
        }
        self.go_on_in(here);
    }

    /// A line has begun: the step is done, or one of several is.
    fn line_reached(&mut self, tid: Tid, regs: Regs, here: Here) {
        self.refresh(&here);
        let Some(step) = self.line_step.as_mut() else { return };
        step.left = step.left.saturating_sub(1);
        if step.left == 0 {
            self.finish_step(tid, StopReason::Step);
            return;
        }
        self.begin(tid, regs, here);
    }

    /// The thread has come to code without lines. By a jump to a function's beginning it is a call; else it has returned
    /// there, and the step ends.
    fn left_for_unknown(&mut self, tid: Tid, regs: Regs) {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id));
        let named = space.and_then(|space| space.modules.find_symbol(regs.pc()));
        if named.is_some_and(|one| one.offset == 0 || one.kind == SymbolKind::Plt) {
            return self.called_by_jump(tid, regs);
        }
        self.finish_step(tid, StopReason::Step);
    }

    /// The call that was stepped over, or a signal's handler, is over.
    pub(super) fn line_returned(&mut self, tid: Tid, regs: Regs, how: FrameExit) {
        self.steps.insert(tid, StepGoal::Lines);
        self.set_phase(Phase::Single);
        if how != FrameExit::Return {
            // Landing pads lie in the function that has the handler: whatever line they begin with is in its midst.
            let here = self.here(tid, regs.pc());
            self.refresh(&here);
            if let Some(step) = self.line_step.as_mut() {
                step.unwinding = how == FrameExit::Exception;
            }
        }
        self.arrived(tid, regs);
    }
}

impl LineStep {
    fn new(kind: LineStepKind, left: u32, here: &Here) -> Self {
        LineStep {
            kind,
            left,
            line: here.line(),
            range: here.range(kind),
            copies: here.copies.clone(),
            ends: Ends::AtLine,
            phase: Phase::Single,
            steps: 0,
            stub: None,
            unwinding: false,
        }
    }
}
