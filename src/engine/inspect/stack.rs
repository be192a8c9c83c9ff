//! Stacks, frames and calls, as they are shown.

use std::sync::Arc;

use super::inlined::{shown_in, ShownFrame};
use super::memory::{CachedMemory, RawMemory};
use super::source::source_line;
use crate::api::{self, ApiError, FrameMove, FrameRow, FunctionCall, Reply, SourceLine, Stack, Toggle};
use crate::base::{Inferior, Regs, Tid, VirtAddr};
use crate::binary::symbols::{demangle, demangle_without_parameters};
use crate::binary::SymbolKind;
use crate::engine::state::{Engine, Space};
use crate::target::breakpoint::CleanMemory;
use crate::target::unwind::{walk, Frame, FrameAddress, HowFound, StackWalk, WalkEnd};
use crate::target::value::{ArgumentReader, CallPlan, Certainty, DecodedArgument};

/// How deep a walk goes when no limit is given.
pub(super) const DEFAULT_DEPTH: u32 = 1000;

impl<I: Inferior> Engine<I> {
    /// The stack of a stopped thread.
    pub(super) fn walk_of(&self, tid: Tid, limit: u32) -> Option<StackWalk> {
        let process = self.process_of(tid)?;
        let space = self.spaces.get(&process.space)?;
        let regs = self.inferior.regs(tid).ok()?;
        let raw = RawMemory { inferior: &self.inferior, pid: process.pid };
        let clean = CleanMemory { raw: &raw, sites: &space.sites };
        Some(walk(&space.modules, &CachedMemory::new(&clean), &regs, limit))
    }

    /// The frames of a stopped thread, innermost first.
    pub(in crate::engine) fn frames_of(&self, tid: Tid, limit: u32) -> Vec<Frame> {
        self.walk_of(tid, limit).map(|one| one.frames).unwrap_or_default()
    }

    /// `bt`.
    pub(in crate::engine) fn backtrace(&self, limit: Option<u32>, all: Toggle) -> Result<Reply, ApiError> {
        let selected = self.selected_tid()?;
        let mut tids = vec![selected];
        if all == Toggle::On {
            let pid = self.selected_pid()?;
            tids = self.threads_of(pid).into_iter().filter(|tid| self.stands(*tid)).collect();
        }
        let stacks = tids.into_iter().filter_map(|tid| self.stack_of(tid, limit.unwrap_or(DEFAULT_DEPTH))).collect();
        Ok(Reply::Stacks { stacks })
    }

    /// One thread's stack, as it is shown.
    pub(in crate::engine) fn stack_of(&self, tid: Tid, limit: u32) -> Option<Stack> {
        let walked = self.walk_of(tid, limit)?;
        let space = self.spaces.get(&self.space_of(tid)?)?;
        let shown = self.shown_among(tid, space, &walked.frames, limit.saturating_add(1));
        let more = shown.len() > limit as usize;
        let rows = shown.iter().take(limit as usize).enumerate();
        let frames = rows.map(|(number, one)| self.shown_row(number as u32, tid, one, space)).collect();
        let (truncated, more) = match walked.end {
            _ if more => (None, Toggle::On),
            WalkEnd::Outermost => (None, Toggle::Off),
            WalkEnd::Limit => (None, Toggle::On),
            WalkEnd::Truncated(reason) => (Some(reason), Toggle::Off),
        };
        Some(Stack { thread: self.thread_ref(tid)?, frames, truncated, more })
    }

    /// `frame`, `up`, `down`.
    pub(in crate::engine) fn select_frame(&mut self, select: &FrameMove) -> Result<Reply, ApiError> {
        let tid = self.selected_tid()?;
        let mut wanted = self.frame_number(tid, select)?;
        let frames = self.shown_frames(tid, wanted.saturating_add(1));
        if matches!(select, FrameMove::Up(_)) && self.selection.frame as usize + 1 < frames.len() {
            // As gdb: as far up as there are frames.
            wanted = wanted.min(frames.len() as u32 - 1);
        }
        let Some(frame) = frames.get(wanted as usize) else {
            let depth = frames.len();
            return Err(ApiError::user(format!(
                "there is no frame {wanted}; the outermost is {}",
                depth.saturating_sub(1)
            )));
        };
        self.selection.frame = wanted;
        self.examine_next = None;
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id)).ok_or_else(|| ApiError::target("gone"))?;
        let row = self.selected_row(wanted, tid, frame, space);
        let thread = self.thread_ref(tid).ok_or_else(|| ApiError::target("the thread has gone"))?;
        let source = self.source_around_selected();
        Ok(Reply::Frame { thread, frame: row, source })
    }

    /// A frame that is looked at by itself: of the innermost the arguments that registers tell, too.
    pub(super) fn selected_row(&self, number: u32, tid: Tid, frame: &ShownFrame, space: &Space) -> FrameRow {
        let mut row = self.shown_row(number, tid, frame, space);
        if frame.physical == 0 && frame.inlined.is_none() && row.arguments.is_none() {
            row.arguments = self.call_at_pc(tid).map(|call| call.arguments);
        }
        row
    }

    /// A frame as the user counts them, with its arguments, as its debug information tells; the function's name goes without
    /// its parameters then.
    fn shown_row(&self, number: u32, tid: Tid, shown: &ShownFrame, space: &Space) -> FrameRow {
        let mut row = shown_row(number, shown, space);
        row.arguments = self.frame_arguments(tid, shown);
        let named = space.modules.find_name(shown.frame.address.address_for_lookup());
        match (&shown.inlined, named) {
            _ if row.arguments.is_none() => {}
            (Some(call), _) => row.place.function = Some(demangle_without_parameters(&call.symbol).into_owned()),
            (None, Some(named)) => row.place.function = Some(demangle_without_parameters(&named.name).into_owned()),
            (None, None) => {}
        }
        row
    }

    /// The registers of the selected frame; of an outer one those that its callees must have kept, others as zero.
    pub(super) fn selected_frame_regs(&self) -> Option<Regs> {
        let tid = self.selected_tid().ok()?;
        let regs = self.inferior.regs(tid).ok()?;
        if self.selection.frame == 0 {
            return Some(regs);
        }
        let (_, ShownFrame { frame, physical, .. }) = self.selected_frame().ok()?;
        if physical == 0 {
            return Some(regs);
        }
        let mut outer =
            Regs { fs_base: regs.fs_base, gs_base: regs.gs_base, cs: regs.cs, ss: regs.ss, ..Regs::default() };
        for number in 0..16 {
            if let (Some(register), Some(value)) = (crate::arch::Register::from_dwarf(number), frame.regs.get(number)) {
                register.write(&mut outer, value);
            }
        }
        outer.rip = frame.pc.0;
        Some(outer)
    }

    /// Where a thread has stopped, and the call that it stands at the entry of.
    pub(in crate::engine) fn stop_place(&self, tid: Tid) -> (Option<FrameRow>, Option<FunctionCall>) {
        let Some(space) = self.space_of(tid).and_then(|id| self.spaces.get(&id)) else { return (None, None) };
        let Some(shown) = self.shown_frames(tid, 1).into_iter().next() else { return (None, None) };
        let row = self.shown_row(0, tid, &shown, space);
        let mut call = self.call_at_pc(tid).filter(|_| shown.inlined.is_none());
        if let (Some(call), Some(arguments)) = (&mut call, &row.arguments) {
            call.arguments.clone_from(arguments);
        }
        (Some(row), call)
    }

    /// The call at whose entry a thread stands.
    fn call_at_pc(&self, tid: Tid) -> Option<FunctionCall> {
        let regs = self.inferior.regs(tid).ok()?;
        let space = self.spaces.get(&self.space_of(tid)?)?;
        let named = space.modules.find_name(regs.pc())?;
        if named.offset != 0 || named.kind == SymbolKind::Data {
            return None;
        }
        let shown = self.shown_name(space, regs.pc()).unwrap_or_else(|| named.name.to_string());
        let plan = CallPlan::at(&shown, named.module, regs.pc());
        Some(self.read_call(tid, &regs, space, &shown, &plan))
    }

    /// The name that a breakpoint at this address was matched by, which may be another alias than the first.
    fn shown_name(&self, space: &Space, at: VirtAddr) -> Option<String> {
        let _ = space;
        let locations = self.breakpoints.values().flat_map(|one| one.locations.iter().flatten());
        locations.into_iter().find(|one| one.addr == at && !one.names.is_empty()).map(|one| one.names[0].clone())
    }

    /// The call at a breakpoint's location, by the plan that is made once.
    pub(in crate::engine) fn call_at(&mut self, id: u32, index: u32, tid: Tid, regs: &Regs) -> FunctionCall {
        let planned = self.plan_at(id, index, tid, regs.pc());
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id));
        match (planned, space) {
            (Some((plan, name)), Some(space)) => self.read_call(tid, regs, space, &name, &plan),
            _ => FunctionCall { function: regs.pc().to_string(), module: None, arguments: Vec::new() },
        }
    }

    fn plan_at(&mut self, id: u32, index: u32, tid: Tid, pc: VirtAddr) -> Option<(Arc<CallPlan>, String)> {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id));
        let location = self.breakpoints.get_mut(&id).and_then(|one| one.locations.get_mut(index as usize)?.as_mut());
        let (Some(space), Some(location)) = (space, location) else {
            return None;
        };
        if location.names.is_empty() {
            let named = space.modules.find_name(pc);
            let name = named.map_or_else(
                || format!("{pc}"),
                |one| match one.offset {
                    0 => one.name.to_string(),
                    offset => format!("{}+{offset:#x}", one.name),
                },
            );
            location.names.push(name);
        }
        let name = location.names[0].clone();
        let loaded = space.modules.module_at(pc)?;
        let plan = location.plan.get_or_insert_with(|| Arc::new(CallPlan::at(&name, loaded, pc)));
        Some((plan.clone(), name))
    }

    fn read_call(&self, tid: Tid, regs: &Regs, space: &Space, name: &str, plan: &CallPlan) -> FunctionCall {
        let pid = self.threads.get(&tid).map_or(crate::base::Pid(0), |one| one.pid);
        let raw = RawMemory { inferior: &self.inferior, pid };
        let memory = CleanMemory { raw: &raw, sites: &space.sites };
        let vectors = || self.inferior.vector_regs(tid).ok();
        let reader = ArgumentReader::new(&space.modules, &memory, regs, &vectors);
        let exception = self.exception_arguments(tid, regs, name);
        let arguments = exception.unwrap_or_else(|| plan.read(&reader).into_iter().map(argument).collect());
        let module = space.modules.module_at(regs.pc()).map(|one| one.module.name());
        FunctionCall { function: demangle_without_parameters(name).into_owned(), module, arguments }
    }
}

fn argument(decoded: DecodedArgument) -> api::Argument {
    let certain = if decoded.certainty == Certainty::Guess { Toggle::Off } else { Toggle::On };
    api::Argument { name: decoded.name, text: decoded.text, certain }
}

/// An address, named by the module and function that hold `lookup`.
pub(in crate::engine) fn place(at: VirtAddr, lookup: VirtAddr, space: &Space) -> api::Place {
    let module = space.modules.module_at(lookup);
    let named = space.modules.find_name(lookup);
    api::Place {
        addr: at,
        file_addr: module.map(|one| one.bias.to_file(at)),
        module: module.map(|one| one.module.name()),
        function: named.as_ref().map(|one| demangle(&one.name).into_owned()),
        offset: named.as_ref().map_or(0, |one| at.since(one.start)),
        inlined_into: None,
        line: source_line(space, lookup),
    }
}

/// A frame as the user counts them: its function and line are those of the inlined call, where it is one.
fn shown_row(number: u32, shown: &ShownFrame, space: &Space) -> FrameRow {
    let mut row = frame_row(number, &shown.frame, space);
    row.place.line = shown.line.clone().map(|(file, line, column)| SourceLine { file: file.name, line, column });
    if let Some(call) = &shown.inlined {
        row.place.inlined_into = row.place.function.replace(demangle(&call.symbol).into_owned());
    }
    row
}

fn frame_row(number: u32, frame: &Frame, space: &Space) -> FrameRow {
    let place = place(frame.pc, frame.address.address_for_lookup(), space);
    FrameRow { number, pc: frame.pc, cfa: frame.cfa, place, how: how_found(frame.how), arguments: None }
}

pub(super) fn how_found(how: HowFound) -> api::HowFound {
    match how {
        HowFound::Registers => api::HowFound::Registers,
        HowFound::Entry => api::HowFound::Entry,
        HowFound::Cfi => api::HowFound::Cfi,
        HowFound::FramePointer => api::HowFound::FramePointer,
        HowFound::Signal => api::HowFound::Signal,
        HowFound::Plt => api::HowFound::Plt,
    }
}

/// The row of a thread's innermost frame; it has entered so many of the inlined calls that begin at its pc.
pub(super) fn innermost_row(regs: &Regs, space: &Space, entered: usize) -> FrameRow {
    let frame = Frame::new(FrameAddress::InstructionPointer(regs.pc()), regs.into(), HowFound::Registers);
    match shown_in(space, frame, 0, entered).first() {
        Some(shown) => shown_row(0, shown, space),
        None => frame_row(0, &frame, space),
    }
}
