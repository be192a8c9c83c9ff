//! Abseil's types, shown by what they hold. Written over their members' names as in Abseil's release 20220623, the
//! numbers of Cord's pieces over absl/strings/internal/cord_internal.h. What is laid out otherwise is shown by its members.

use crate::base::VirtAddr;
use crate::binary::dwarf::{Shape, TypeView};

use super::{Held, Inspector, TypedValue};
use crate::lang::text;

/// absl/status/status.h, in the order of their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// A Status that is less than this is its code, times four; else the address of a StatusRep, and one.
const INLINE_STATUS: u64 = 4096;
/// How deep the pieces of a Cord lie: its trees are balanced.
const CORD_DEPTH: u32 = 16;
/// CordRep: the length, the number of users, the tag, and three bytes of the kind's own.
const CORD_TAG: u64 = 12;
const CORD_STORAGE: u64 = 13;
/// What a piece of a kind other than flat holds behind that.
const CORD_REST: u64 = 16;
/// CordRepBtree.
const CORD_EDGES: u64 = 6;

impl Inspector<'_, '_> {
    /// The text of one of Abseil's types; `None`: it is none that is known, or is not as expected.
    pub(super) fn show_abseil(
        &self,
        value: &TypedValue,
        view: &TypeView,
        template: &str,
        depth: u32,
    ) -> Option<String> {
        let is_known = matches!(
            template,
            "flat_hash_map"
                | "flat_hash_set"
                | "node_hash_map"
                | "node_hash_set"
                | "InlinedVector"
                | "Span"
                | "Status"
                | "StatusOr"
                | "Cord"
        );
        if !is_known || !self.types.name(view.id).starts_with("absl::") {
            return None;
        }
        match template {
            "InlinedVector" => self.show_inlined_vector(value, view, depth),
            "Span" => {
                let first = self.pointer_at(value, "ptr_")?;
                let Shape::Pointer(of) = self.view(&first).shape else { return None };
                let (start, count) = (self.scalar(&first)? as u64, self.dig_number(value, "len_")?);
                self.show_run(&format!("absl::Span of length {count}"), of, start, count, depth)
            }
            "Status" => self.show_status(value),
            "StatusOr" => self.show_status_or(value, view, depth),
            "Cord" => self.show_cord(value),
            _ => self.show_keyed(value, "absl", template, depth),
        }
    }

    fn show_inlined_vector(&self, value: &TypedValue, view: &TypeView, depth: u32) -> Option<String> {
        let of = (*self.types.template_arguments(view.id).first()?)?;
        let metadata = self.dig_number(&self.dig(value, "metadata_")?, "value")?;
        let count = metadata >> 1;
        let inlined = self.dig(value, "inlined_data")?;
        let (start, capacity) = match metadata & 1 {
            1 => (self.dig_number(value, "allocated_data")?, self.dig_number(value, "allocated_capacity")?),
            _ => match inlined.place {
                Held::Memory(at) => (at.0, self.view(&inlined).size / self.types.size(of).max(1)),
                _ => return None,
            },
        };
        self.show_run(&format!("absl::InlinedVector of length {count}, capacity {capacity}"), of, start, count, depth)
    }

    fn show_status(&self, value: &TypedValue) -> Option<String> {
        let word = self.dig_number(value, "rep_")?;
        let code = |number: u64| match CODES.get(usize::try_from(number).ok()?) {
            Some(name) => Some((*name).to_owned()),
            None => Some(format!("code {number}")),
        };
        if word < INLINE_STATUS {
            return Some(format!("absl::Status {}", code(word >> 2)?));
        }
        let name = self.types.name(self.types.unaliased(value.ty));
        let ty = self.types.find_type(&format!("{}status_internal::StatusRep", name.strip_suffix("Status")?))?;
        let rep = TypedValue { ty, place: Held::Memory(VirtAddr(word & !3)) };
        let number = self.dig_number(&rep, "code")?;
        Some(format!("absl::Status {}: {}", code(number)?, self.show(&self.member(&rep, "message")?)))
    }

    fn show_status_or(&self, value: &TypedValue, view: &TypeView, depth: u32) -> Option<String> {
        let of = (*self.types.template_arguments(view.id).first()?)?;
        let title = format!("absl::StatusOr<{}>", self.types.name(of));
        let status = self.dig(value, "status_")?;
        if self.dig_number(&status, "rep_")? != 0 {
            return Some(format!("{title} [{}]", self.show_status(&status)?));
        }
        let held = self.dig(value, "data_")?;
        Some(format!("{title} = {{[value] = {}}}", self.show_within(&held, depth + 1)))
    }

    /// Up to 15 letters in place, with the number of letters in the last byte, twice; else a tree of pieces, with an
    /// odd number there.
    fn show_cord(&self, value: &TypedValue) -> Option<String> {
        let letters = self.bytes(&self.dig(value, "as_chars_")?).ok()?;
        let (tag, place) = letters.split_last()?;
        let limit = self.style.elements;
        let mut found = Vec::new();
        let length = match tag & 1 {
            0 => {
                found.extend_from_slice(place.get(..usize::from(tag >> 1))?);
                found.len() as u64
            }
            _ => {
                let rep = self.dig_number(value, "rep")?;
                let length = self.word(rep)?;
                self.cord_piece(rep, 0, length.min(limit), CORD_DEPTH, &mut found)?;
                length
            }
        };
        let shown = found.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        let more = if length > shown as u64 { "..." } else { "" };
        Some(format!("absl::Cord of length {length} = {}{more}", text::quote(&found[..shown])))
    }

    /// Appends up to `count` letters of a piece, from its `skip`th on; how many it had.
    fn cord_piece(&self, rep: u64, skip: u64, count: u64, depth: u32, into: &mut Vec<u8>) -> Option<u64> {
        const SUBSTRING: u8 = 1;
        const CRC: u8 = 2;
        const BTREE: u8 = 3;
        const EXTERNAL: u8 = 5;
        let depth = depth.checked_sub(1).filter(|_| self.may_go_on())?;
        let rest = rep.wrapping_add(CORD_REST);
        let length = self.word(rep)?.checked_sub(skip)?.min(count);
        let head = self.read(VirtAddr(rep), CORD_REST).ok()?;
        match *head.get(CORD_TAG as usize)? {
            SUBSTRING => {
                let start = self.word(rest)?;
                return self.cord_piece(
                    self.word(rest.wrapping_add(8))?,
                    start.checked_add(skip)?,
                    length,
                    depth,
                    into,
                );
            }
            CRC => return self.cord_piece(self.word(rest)?, skip, length, depth, into),
            BTREE => {
                let (first, end) = (u64::from(*head.get(14)?), u64::from(*head.get(15)?));
                let (mut before, mut left) = (skip, length);
                for edge in first..end.min(CORD_EDGES) {
                    let child = self.word(rest.wrapping_add(edge * 8))?;
                    let size = self.word(child)?;
                    if before < size && left > 0 {
                        left -= self.cord_piece(child, before, left, depth, into)?;
                    }
                    before = before.saturating_sub(size);
                }
            }
            EXTERNAL => {
                let base = self.word(rest)?;
                into.extend(self.read(VirtAddr(base.wrapping_add(skip)), length).ok()?);
            }
            // All others are flat, of different sizes.
            tag if tag > EXTERNAL => {
                into.extend(self.read(VirtAddr(rep.wrapping_add(CORD_STORAGE).wrapping_add(skip)), length).ok()?);
            }
            _ => return None,
        }
        Some(length)
    }
}
