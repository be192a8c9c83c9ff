//! step, next and until: by source lines.
//!
//! Inside the code of one line the thread is single-stepped. Calls run freely to a site at their return address, so that
//! only few instructions cost a stop. The other threads stand still until the first call is made: from then on they run,
//! since the call may wait for them.

use super::breakpoints::Verdict;
use super::inlined::not_entered;
use super::source::code_place;
use super::state::{Engine, World};
use super::stepping::{call_end, AfterReturn, Others, StepGoal};
use crate::api::{ApiError, Event, FrameExit, LineStepKind, Reply, StopReason, Toggle};
use crate::base::{AddrRange, Inferior, ReadMem, Regs, ResumeHow, Tid, VirtAddr};
use crate::binary::dwarf::{CodePlace, Instance};
use crate::binary::symbols::demangle;
use crate::binary::SymbolKind;
use crate::engine::memory::RawMemory;
use crate::target::address_space::LoadedModule;
use crate::target::breakpoint::CleanMemory;

/// After so many instructions the other threads go on too: the line may wait for one of them.
const ALONE: u32 = 2000;
/// The most instructions between a call and the function that it leads to, through stubs and thunks.
const TRAMPOLINE: u32 = 6;
/// What a C++ handler calls first.
const BEGIN_CATCH: &str = "__cxa_begin_catch";

/// A step that is under way.
pub(super) struct LineStep {
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

/// What the source says of a pc.
struct Here {
    place: Option<CodePlace>,
    /// The function, and the inlined calls that the thread is in.
    copies: Vec<Instance>,
    /// The inlined calls that begin at the pc and have not been entered.
    begun: Vec<Instance>,
    loaded_bias: crate::base::LoadBias,
}

impl Here {
    /// The line of the pc's row.
    fn row_line(&self) -> Option<(String, u32)> {
        let place = self.place.as_ref()?;
        let line = Some(place.row.line).filter(|line| *line > 0)?;
        Some((place.file()?.path.clone(), line))
    }

    /// The line where the thread is shown: that of the call, where an inlined one is about to be entered.
    fn line(&self) -> Option<(String, u32)> {
        let Some(call) = self.begun.first().and_then(|copy| copy.call) else { return self.row_line() };
        let file = self.place.as_ref()?.file_of_call(&call)?;
        Some((file.path.clone(), call.line)).filter(|(_, line)| *line > 0)
    }

    fn begun_too(&self) -> Vec<Instance> {
        self.copies.iter().chain(&self.begun).cloned().collect()
    }

    fn range(&self) -> AddrRange {
        let Some(place) = &self.place else { return AddrRange::default() };
        AddrRange { start: self.loaded_bias.to_virt(place.row.addr), end: self.loaded_bias.to_virt(place.line_end()) }
    }
}

impl<I: Inferior> Engine<I> {
    /// `step N`, `next N`, `until`.
    pub(super) fn step_lines(&mut self, kind: LineStepKind, count: u32) -> Result<Reply, ApiError> {
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

    fn here(&self, tid: Tid, pc: VirtAddr) -> Here {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id));
        let loaded = space.and_then(|one| one.modules.module_at(pc));
        let (Some(space), Some(loaded)) = (space, loaded) else {
            return Here { place: None, copies: Vec::new(), begun: Vec::new(), loaded_bias: Default::default() };
        };
        let at = loaded.to_file(pc);
        let mut copies = loaded.module.dwarf().instances_at(at);
        let begins = copies.iter().map(|copy| copy.is_call_begun_at(at));
        let waiting = not_entered(begins, self.entered_calls(tid, pc));
        let begun = copies.split_off(copies.len() - waiting);
        Here { place: code_place(space, pc), copies, begun, loaded_bias: loaded.bias }
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

    /// Whether the call at the pc is the first of a handler (Itanium C++ ABI: Exception Handling, section 2.5.3).
    fn handler_begins(&self, tid: Tid, regs: &Regs) -> bool {
        if !self.line_step.as_ref().is_some_and(|step| step.unwinding) {
            return false;
        }
        let Some(process) = self.process_of(tid) else { return false };
        let Some(space) = self.spaces.get(&process.space) else { return false };
        let memory =
            CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid: process.pid }, sites: &space.sites };
        let mut bytes = [0; 15];
        let got = memory.read_mem(regs.pc(), &mut bytes).unwrap_or(0);
        let target = crate::arch::direct_target(regs.pc(), &bytes[..got]);
        let named = target.and_then(|at| space.modules.find_symbol(at));
        named.is_some_and(|one| one.name.trim_end_matches("@plt") == BEGIN_CATCH)
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
        } else if here.range().start == regs.pc() && other_line {
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

    /// Whether `skip` covers a function that was inlined.
    fn skips_inlined(&self, tid: Tid, here: &Here, call: &Instance) -> bool {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id));
        let loaded = space.and_then(|space| space.modules.module_at(here.loaded_bias.to_virt(call.start())));
        let name = loaded.and_then(|loaded| loaded.module.dwarf().function_name(call.entry)).unwrap_or_default();
        self.skips_function(&name, here)
    }

    /// The code around the pc is passed through.
    fn go_on_in(&mut self, here: &Here) {
        if let Some(step) = self.line_step.as_mut() {
            step.range = here.range();
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

    /// A tail call: the new function returns to where the old one would have.
    fn called_by_jump(&mut self, tid: Tid, regs: Regs) {
        let Some(return_to) = self.read_word(tid, regs.sp()) else { return self.finish_step(tid, StopReason::Step) };
        let cfa = regs.sp().offset(8);
        match self.line_step.as_ref().map(|step| step.kind) {
            Some(LineStepKind::Into) => self.entered(tid, regs, return_to, cfa, TRAMPOLINE),
            _ => self.run_to(tid, &regs, return_to, cfa),
        }
    }

    fn read_word(&self, tid: Tid, at: VirtAddr) -> Option<VirtAddr> {
        let pid = self.threads.get(&tid)?.pid;
        let mut word = [0; 8];
        RawMemory { inferior: &self.inferior, pid }.read_exact(at, &mut word).ok()?;
        Some(VirtAddr(u64::from_le_bytes(word)))
    }

    /// `step` has made a call and stands at the callee's first instruction, or at a stub's.
    fn entered(&mut self, tid: Tid, regs: Regs, return_to: VirtAddr, cfa: VirtAddr, left: u32) {
        if self.hits_breakpoint(tid, &regs) {
            return;
        }
        let here = self.here(tid, regs.pc());
        if here.line().is_some() {
            if self.is_skipped(tid, regs.pc(), &here) {
                return self.run_to(tid, &regs, return_to, cfa);
            }
            return self.enter_body(tid, regs, here);
        }
        if left == 0 || !self.is_trampoline(tid, &regs) {
            if let Some(target) = self.lazy_target(tid) {
                self.arm_return(tid, target, VirtAddr(cfa.0.wrapping_sub(8)));
            }
            return self.run_to(tid, &regs, return_to, cfa);
        }
        self.set_phase(Phase::Trampoline { return_to, cfa, left: left - 1 });
        self.step_on(tid, regs);
    }

    /// Runs through the prologue of a function that was entered.
    fn enter_body(&mut self, tid: Tid, regs: Regs, here: Here) {
        let body = self.body_at(tid, regs.pc()).filter(|body| *body > regs.pc());
        let Some(body) = body else { return self.line_reached(tid, regs, here) };
        if let Some(step) = self.line_step.as_mut() {
            step.phase = Phase::Single;
            step.line = None;
            step.range = AddrRange { start: regs.pc(), end: body };
            step.copies = here.copies;
        }
        self.step_on(tid, regs);
    }

    /// Where the body of the function at an address begins.
    pub(super) fn body_at(&self, tid: Tid, at: VirtAddr) -> Option<VirtAddr> {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id))?;
        let loaded = space.modules.module_at(at)?;
        Some(loaded.to_virt(loaded.module.dwarf().body_of(loaded.to_file(at))?))
    }

    fn is_skipped(&self, tid: Tid, pc: VirtAddr, here: &Here) -> bool {
        let Some(space) = self.space_of(tid).and_then(|id| self.spaces.get(&id)) else { return false };
        let name = space.modules.find_symbol(pc).map(|one| demangle(&one.name).into_owned()).unwrap_or_default();
        self.skips_function(&name, here)
    }

    fn skips_function(&self, name: &str, here: &Here) -> bool {
        let library = self.settings.skip_std == Toggle::On && super::skips::is_library(name);
        let file = here.place.as_ref().and_then(CodePlace::file).map(|file| file.path.as_str());
        library || self.skips.covers(name, file.unwrap_or_default())
    }

    /// Whether the code at the pc only leads on: a stub of the PLT, or a jump (a thunk's end).
    fn is_trampoline(&mut self, tid: Tid, regs: &Regs) -> bool {
        let Some(process) = self.process_of(tid) else { return false };
        let Some(space) = self.spaces.get(&process.space) else { return false };
        if let Some(named) = space.modules.find_symbol(regs.pc()).filter(|one| one.kind == SymbolKind::Plt) {
            let stub = named.name.strip_suffix("@plt").map(str::to_owned);
            if let Some(step) = self.line_step.as_mut() {
                step.stub = stub;
            }
            return true;
        }
        let memory =
            CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid: process.pid }, sites: &space.sites };
        let mut bytes = [0; 15];
        let got = memory.read_mem(regs.pc(), &mut bytes).unwrap_or(0);
        crate::arch::leads_on(regs.pc(), &bytes[..got])
    }

    /// The function that a stub stands for, by the stub's name: the dynamic loader is about to look it up.
    fn lazy_target(&self, tid: Tid) -> Option<VirtAddr> {
        let name = self.line_step.as_ref()?.stub.as_deref()?;
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id))?;
        let find = |loaded: &LoadedModule| {
            let symbol = loaded.module.symbols().find_exact(name)?;
            (symbol.kind == SymbolKind::Function).then(|| loaded.to_virt(symbol.address))
        };
        space.modules.modules().iter().find_map(find)
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
            range: here.range(),
            copies: here.copies.clone(),
            ends: Ends::AtLine,
            phase: Phase::Single,
            steps: 0,
            stub: None,
            unwinding: false,
        }
    }
}

/// Whether `copies` is `outer` with inlined calls more.
fn extends(copies: &[Instance], outer: &[Instance]) -> bool {
    !outer.is_empty() && copies.len() > outer.len() && are_same(&copies[..outer.len()], outer)
}

fn are_same(some: &[Instance], others: &[Instance]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(a, b)| a.entry == b.entry)
}
