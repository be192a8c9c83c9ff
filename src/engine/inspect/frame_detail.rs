//! `info frame`.

use super::inlined::ShownFrame;
use super::memory::{CachedMemory, RawMemory};
use super::stack::{how_found, DEFAULT_DEPTH};
use crate::api::{ApiError, Caller, FrameDetail, FrameMove, Reply};
use crate::arch::Register;
use crate::base::{Inferior, Tid, VirtAddr};
use crate::engine::state::{Engine, Space};
use crate::target::breakpoint::CleanMemory;
use crate::target::unwind::{saved_registers, StackWalk, WalkEnd};

impl<I: Inferior> Engine<I> {
    /// Describes the selected frame, or another; the selection stays.
    pub(in crate::engine) fn describe_frame(&self, number: Option<u32>) -> Result<Reply, ApiError> {
        let tid = self.selected_tid()?;
        let number = number.unwrap_or(self.selection.frame);
        let gone = || ApiError::target("the thread has gone");
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id)).ok_or_else(gone)?;
        // The caller's own caller tells its CFA.
        let walked = self.walk_of(tid, number.saturating_add(3)).ok_or_else(gone)?;
        let shown = self.shown_among(tid, space, &walked.frames, number.saturating_add(2));
        let Some(one) = shown.get(number as usize) else {
            let last = shown.len().saturating_sub(1);
            return Err(ApiError::user(format!("there is no frame {number}; the outermost is {last}")));
        };
        let inlined_into = one.inlined.is_some().then_some(number + 1);
        let callee = number.checked_sub(1).and_then(|inner| shown.get(inner as usize)?.frame.cfa);
        let detail = FrameDetail {
            frame: self.selected_row(number, tid, one, space),
            inlined_into,
            caller: caller(one, &walked),
            callee,
            language: self.language_of(one, space),
            saved: self.saved(tid, one, &walked, space),
        };
        Ok(Reply::FrameDetail { detail: Box::new(detail) })
    }

    fn language_of(&self, shown: &ShownFrame, space: &Space) -> Option<String> {
        let loaded = space.modules.module_at(shown.frame.address.address_for_lookup())?;
        let language = loaded.module.dwarf().types().language_name(shown.chain.last()?.entry)?;
        Some(language.to_owned())
    }

    fn saved(&self, tid: Tid, shown: &ShownFrame, walked: &StackWalk, space: &Space) -> Vec<(String, VirtAddr)> {
        let Some(process) = self.process_of(tid) else { return Vec::new() };
        let raw = RawMemory { inferior: &self.inferior, pid: process.pid };
        let clean = CleanMemory { raw: &raw, sites: &space.sites };
        let how = walked.frames.get(shown.physical + 1).map(|one| one.how);
        let saved = saved_registers(&space.modules, &CachedMemory::new(&clean), &shown.frame, how);
        let named = |(number, at)| Some((Register::from_dwarf(number)?.name().to_owned(), at));
        saved.into_iter().filter_map(named).collect()
    }

    /// The innermost frame of a function.
    pub(super) fn frame_of_function(&self, tid: Tid, name: &str) -> Result<u32, ApiError> {
        let stack = self.stack_of(tid, DEFAULT_DEPTH).ok_or_else(|| ApiError::target("the thread has gone"))?;
        let is_it = |shown: &str| {
            let plain = shown.split('(').next().unwrap_or(shown);
            shown == name || plain == name || plain.rsplit("::").next() == Some(name)
        };
        let found = stack.frames.iter().find(|one| one.place.function.as_deref().is_some_and(is_it));
        found.map(|one| one.number).ok_or_else(|| {
            ApiError::user(format!("no frame of the stack is of a function `{name}`")).with_hint("`bt` shows the stack")
        })
    }

    /// Which frame a move leads to, without a look at whether it is there.
    pub(super) fn frame_number(&self, tid: Tid, select: &FrameMove) -> Result<u32, ApiError> {
        let current = self.selection.frame;
        match select {
            FrameMove::Current => Ok(current),
            FrameMove::To(number) => Ok(*number),
            FrameMove::Up(count) => Ok(current.saturating_add(*count)),
            FrameMove::Down(count) if current > 0 => Ok(current.saturating_sub(*count)),
            FrameMove::Down(0) => Ok(current),
            FrameMove::Down(_) => Err(ApiError::user("this is the innermost frame; there is none below it")),
            FrameMove::Function(name) => self.frame_of_function(tid, name),
        }
    }
}

fn caller(shown: &ShownFrame, walked: &StackWalk) -> Caller {
    match (walked.frames.get(shown.physical + 1), &walked.end) {
        (Some(outer), _) => Caller::Found { pc: outer.pc, cfa: outer.cfa, how: how_found(outer.how) },
        (None, WalkEnd::Truncated(reason)) => Caller::Lost { reason: reason.clone() },
        (None, WalkEnd::Outermost | WalkEnd::Limit) => Caller::Outermost,
    }
}
