//! Frames as the source has them: a call that was inlined is a frame of its own.
//!
//! A thread that stands at the first instruction of inlined code has not made that call yet in the user's eyes, as at a
//! call instruction: its frame is shown at the call's line, and `step` enters the call without executing anything.

use crate::api::ApiError;
use crate::base::{Inferior, Tid, VirtAddr};
use crate::binary::dwarf::{Instance, SourceFile, SourceFrame};
use crate::engine::breakpoints::Pattern;
use crate::engine::state::{Engine, Space};
use crate::target::unwind::{Frame, FrameAddress, FrameRegs, HowFound};

/// A frame as the user counts them.
#[derive(Clone, Debug)]
pub(in crate::engine) struct ShownFrame {
    /// The frame on the stack whose code this is.
    pub(in crate::engine) frame: Frame,
    /// The frame of the stack that called it, where that is known.
    pub(super) caller: Option<Frame>,
    /// Which frame of the stack that is; 0: the innermost.
    pub(in crate::engine) physical: usize,
    /// The function that was inlined; `None`: the frame's own function.
    pub(in crate::engine) inlined: Option<InlinedCall>,
    /// Where it stands in the source: file, line, column.
    pub(super) line: Option<(SourceFile, u32, u32)>,
    /// The function's code and the inlined calls of this frame and those around it, the function first.
    pub(in crate::engine) chain: Vec<Instance>,
}

/// A function that was inlined.
#[derive(Clone, Debug)]
pub(in crate::engine) struct InlinedCall {
    /// As the linker would know it: mangled where it is C++ or Rust.
    pub(in crate::engine) symbol: String,
}

/// The innermost calls that begin at `pc` and have not been entered.
pub(in crate::engine) fn not_entered(begins: impl DoubleEndedIterator<Item = bool>, entered: usize) -> usize {
    begins.rev().take_while(|begins| *begins).count().saturating_sub(entered)
}

/// The frames of the source in one frame of the stack, the innermost first; without debug information the frame itself.
pub(super) fn shown_in(space: &Space, frame: Frame, physical: usize, entered: usize) -> Vec<ShownFrame> {
    let lookup = frame.address.address_for_lookup();
    let plain = |line| ShownFrame { frame, caller: None, physical, inlined: None, line, chain: Vec::new() };
    let Some(loaded) = space.modules.module_at(lookup) else { return vec![plain(None)] };
    let dwarf = loaded.module.dwarf();
    let at = loaded.to_file(lookup);
    let frames = dwarf.frames_at(at);
    if frames.is_empty() {
        return vec![plain(super::source::line_of_row(space, lookup))];
    }
    let stands_exactly = physical == 0 && matches!(frame.address, FrameAddress::InstructionPointer(_));
    let begins = |one: &SourceFrame| one.instance.is_call_begun_at(at);
    let hidden = if stands_exactly { not_entered(frames.iter().rev().map(begins), entered) } else { 0 };
    let chain: Vec<Instance> = frames.iter().rev().map(|one| one.instance.clone()).collect();
    let shown = frames.into_iter().enumerate().skip(hidden).map(|(index, one)| {
        let symbol = || dwarf.function_symbol(one.instance.entry).unwrap_or_else(|| "(inlined)".to_owned());
        let inlined = one.instance.call.map(|_| InlinedCall { symbol: symbol() });
        let line = one.file.filter(|_| one.line > 0).map(|file| (file, one.line, one.column));
        ShownFrame { frame, caller: None, physical, inlined, line, chain: chain[..chain.len() - index].to_vec() }
    });
    shown.collect()
}

impl<I: Inferior> Engine<I> {
    /// The frames of a stopped thread as the user counts them, innermost first.
    pub(super) fn shown_frames(&self, tid: Tid, limit: u32) -> Vec<ShownFrame> {
        let Some(space) = self.space_of(tid).and_then(|id| self.spaces.get(&id)) else { return Vec::new() };
        self.shown_among(tid, space, &self.frames_of(tid, limit.saturating_add(1)), limit)
    }

    /// The frames of the source in these frames of a thread's stack.
    pub(super) fn shown_among(&self, tid: Tid, space: &Space, frames: &[Frame], limit: u32) -> Vec<ShownFrame> {
        let mut shown = Vec::new();
        for (physical, frame) in frames.iter().enumerate() {
            if shown.len() >= limit as usize {
                break;
            }
            let caller = frames.get(physical + 1).copied();
            let all = shown_in(space, *frame, physical, self.entered_calls(tid, frame.pc));
            shown.extend(all.into_iter().map(|one| ShownFrame { caller, ..one }));
        }
        shown.truncate(limit as usize);
        shown
    }

    /// The selected thread and frame.
    pub(in crate::engine) fn selected_frame(&self) -> Result<(Tid, ShownFrame), ApiError> {
        let tid = self.selected_tid()?;
        let number = self.selection.frame;
        let frames = self.shown_frames(tid, number.saturating_add(1));
        let shown = frames.into_iter().nth(number as usize);
        Ok((tid, shown.ok_or_else(|| ApiError::target("the thread has gone"))?))
    }

    /// How many of the inlined calls that begin where the thread stands it has entered.
    pub(in crate::engine) fn entered_calls(&self, tid: Tid, pc: VirtAddr) -> usize {
        self.entered.get(&tid).filter(|(at, _)| *at == pc).map_or(0, |(_, count)| *count)
    }

    /// The thread has entered so many of the inlined calls that begin where it stands.
    pub(in crate::engine) fn set_entered(&mut self, tid: Tid, pc: VirtAddr, count: usize) {
        self.entered.insert(tid, (pc, count));
    }

    /// A stop at these breakpoints: one that is meant for a line of inlined code, or for an address in it, is in that
    /// code; one for a call's line is before the call.
    pub(in crate::engine) fn enter_at_breakpoints(&mut self, tid: Tid, pc: VirtAddr, ids: &[u32]) {
        let Some(space) = self.space_of(tid).and_then(|id| self.spaces.get(&id)) else { return };
        let frame = Frame::new(FrameAddress::InstructionPointer(pc), FrameRegs::default(), HowFound::Registers);
        let inside = shown_in(space, frame, 0, usize::MAX);
        let begun = inside.len() - shown_in(space, frame, 0, 0).len();
        let entered = ids.iter().filter_map(|id| match &self.breakpoints.get(id)?.pattern {
            Pattern::Names(_) => None,
            Pattern::Line { line, .. } => {
                let stands_at = |one: &ShownFrame| one.line.as_ref().is_some_and(|(_, at, _)| at == line);
                Some(begun.saturating_sub(inside.iter().position(stands_at).unwrap_or(0)))
            }
            Pattern::InModule { .. } | Pattern::Absolute(_) | Pattern::Calls(_) => Some(begun),
        });
        if let Some(count) = entered.max().filter(|count| *count > 0) {
            self.set_entered(tid, pc, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::not_entered;

    #[test]
    fn calls_that_begin_at_the_pc_wait_to_be_entered_innermost_last() {
        let begins = [false, true, true];
        assert_eq!(not_entered(begins.into_iter(), 0), 2);
        assert_eq!(not_entered(begins.into_iter(), 1), 1);
        assert_eq!(not_entered(begins.into_iter(), 9), 0);
        assert_eq!(not_entered([true, false].into_iter(), 0), 0);
    }
}
