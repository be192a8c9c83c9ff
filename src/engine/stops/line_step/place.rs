//! What the source says of a place that a step comes to.

use crate::api::LineStepKind;
use crate::base::{AddrRange, Inferior, LoadBias, Tid, VirtAddr};
use crate::binary::dwarf::{CodePlace, Instance};
use crate::engine::inspect::inlined::not_entered;
use crate::engine::inspect::source::code_place;
use crate::engine::state::Engine;

/// What the source says of a pc.
pub(super) struct Here {
    pub(super) place: Option<CodePlace>,
    /// The function, and the inlined calls that the thread is in.
    pub(super) copies: Vec<Instance>,
    /// The inlined calls that begin at the pc and have not been entered.
    pub(super) begun: Vec<Instance>,
    pub(super) loaded_bias: LoadBias,
}

impl Here {
    /// The line of the pc's row.
    pub(super) fn row_line(&self) -> Option<(String, u32)> {
        let place = self.place.as_ref()?;
        let line = Some(place.row.line).filter(|line| *line > 0)?;
        Some((place.file()?.path.clone(), line))
    }

    /// The line where the thread is shown: that of the call, where an inlined one is about to be entered.
    pub(super) fn line(&self) -> Option<(String, u32)> {
        let Some(call) = self.begun.first().and_then(|copy| copy.call) else { return self.row_line() };
        let file = self.place.as_ref()?.file_of_call(&call)?;
        Some((file.path.clone(), call.line)).filter(|(_, line)| *line > 0)
    }

    pub(super) fn begun_too(&self) -> Vec<Instance> {
        self.copies.iter().chain(&self.begun).cloned().collect()
    }

    /// The row's code. Where the next row goes on with the line, an inlined call can begin, so that is looked at anew.
    /// To `until` the rows of a line are one.
    pub(super) fn range(&self, kind: LineStepKind) -> AddrRange {
        let Some(place) = &self.place else { return AddrRange::default() };
        let end = if kind == LineStepKind::Until { place.line_end() } else { place.end };
        AddrRange { start: self.loaded_bias.to_virt(place.row.addr), end: self.loaded_bias.to_virt(end) }
    }
}

impl<I: Inferior> Engine<I> {
    /// Of the place where a thread stands.
    pub(super) fn here(&self, tid: Tid, pc: VirtAddr) -> Here {
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
}

/// Whether `copies` is `outer` with inlined calls more.
pub(super) fn extends(copies: &[Instance], outer: &[Instance]) -> bool {
    !outer.is_empty() && copies.len() > outer.len() && are_same(&copies[..outer.len()], outer)
}

pub(super) fn are_same(some: &[Instance], others: &[Instance]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(a, b)| a.entry == b.entry)
}
