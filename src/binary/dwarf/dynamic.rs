//! Arrays whose length is known only in a frame: C's of variable length (DWARF 5, 5.13).

use gimli::AttributeValue;

use super::entry::{Entry, EntryId};
use super::location::{evaluate, expression_at, FrameState, Source};
use super::types::{TypeId, Types, SIZE_LIMIT};
use crate::base::FileAddr;

/// Where an array's bounds are looked for: a frame of this function at that address.
#[derive(Clone, Copy)]
pub struct BoundsScope<'a> {
    /// The function, which has the frame base.
    pub function: Option<EntryId>,
    /// The pc, or an address in the call.
    pub at: FileAddr,
    /// The frame.
    pub state: &'a dyn FrameState,
}

impl<'a> Types<'a> {
    /// Works out how many elements an array has in a frame, if that is known there only. Afterwards its type has so many,
    /// for this look at the types.
    pub fn settle_bounds(&self, array: TypeId, scope: BoundsScope<'_>) {
        let id = self.view(array).id;
        let Some(entry) = id.entry.filter(|_| id.stars == 0).and_then(|id| self.session.entry(id).ok()) else { return };
        if entry.tag != gimli::DW_TAG_array_type {
            return;
        }
        let ranges = self.session.children(entry.id).unwrap_or_default();
        let ranges: Vec<_> = ranges.iter().filter(|one| one.tag == gimli::DW_TAG_subrange_type).collect();
        let is_dynamic = |range: &&Entry<'a>| bound(range).is_some_and(|(value, _)| !is_constant(&value));
        if !ranges.iter().any(is_dynamic) {
            return;
        }
        let counts = ranges.iter().zip(self.counts(&entry)).map(|(range, known)| {
            let (value, more) = bound(range)?;
            if is_constant(&value) {
                return known;
            }
            let count = self.number(entry.id, value, scope)?.wrapping_add(more);
            Some(count).filter(|count| *count < SIZE_LIMIT)
        });
        self.settled.borrow_mut().insert(entry.id, counts.collect());
        self.views.borrow_mut().clear();
    }

    /// What an attribute says that is an expression, or refers to a variable.
    fn number(
        &self,
        of: EntryId,
        value: AttributeValue<super::sections::Slice<'a>>,
        scope: BoundsScope<'_>,
    ) -> Option<u64> {
        let BoundsScope { function, at, state } = scope;
        let word = |source: &Source, is_place: bool| match source {
            Source::Memory(address) if is_place => {
                let mut word = [0; 8];
                state.read(*address, &mut word).map(|()| u64::from_le_bytes(word))
            }
            // An expression that gives a value leaves it where a place would be.
            Source::Memory(number) => Some(*number),
            Source::Register(number) => state.register(*number),
            Source::Bytes(bytes) => Some(bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))),
            Source::Missing | Source::Synthetic => None,
        };
        if let Some(variable) = self.session.target(of, value) {
            let pieces = self.locate(variable, function, at, state).ok()?;
            let size = self.session.entry(variable).map_or(8, |entry| self.size(self.type_of(&entry))).clamp(1, 8);
            let number = word(&pieces.first()?.source, true)?;
            return Some(number & (u64::MAX >> (64 - 8 * size)));
        }
        let open = self.session.unit(of.unit).ok()?;
        let expression = expression_at(&open, value, at).ok()??;
        let frame_base = || self.frame_base(function?, at, state);
        let pieces = evaluate(&open, expression, state, &frame_base).ok()?;
        word(&pieces.first()?.source, false)
    }
}

/// What bounds an array, and how many elements more than that it has.
fn bound<'a>(range: &Entry<'a>) -> Option<(AttributeValue<super::sections::Slice<'a>>, u64)> {
    let count = range.get(gimli::DW_AT_count).map(|value| (value, 0));
    count.or_else(|| range.get(gimli::DW_AT_upper_bound).map(|value| (value, 1)))
}

fn is_constant(value: &AttributeValue<super::sections::Slice<'_>>) -> bool {
    value.udata_value().is_some() || value.sdata_value().is_some()
}
