//! absl::flat_hash_map and its kin, as in Abseil's release 20220623: an array of slots, and a byte for each.

use super::members::{class_in, distance, place, place_of, pointer_of, Table};
use super::{Source, Visit};
use crate::base::VirtAddr;
use crate::binary::dwarf::{Shape, TypeId, Types};
use crate::lang::Fault;

/// So many slots' bytes are read at a time.
const GROUP: u64 = 64;
/// No table is looked through that says it has more slots.
const SLOTS: u64 = 1 << 32;
const TEMPLATES: Table =
    &[("flat_hash_map", &[]), ("flat_hash_set", &[]), ("node_hash_map", &[]), ("node_hash_set", &[])];

/// Where an element is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    /// So many bytes from the slot's start.
    Within(u64),
    /// Where the slot points.
    Elsewhere,
}

/// A table's layout; distances in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::lang) struct Swiss {
    /// Its elements.
    pub(super) of: TypeId,
    pub(super) is_map: bool,
    /// In the object: the numbers of elements and of slots, the pointers to the slots and to their bytes.
    size: u64,
    capacity: u64,
    slots: u64,
    control: u64,
    slot: Slot,
    slot_size: u64,
}

impl Swiss {
    pub(in crate::lang) fn of(types: &Types<'_>, id: TypeId) -> Option<Swiss> {
        let (steps, class, _) = class_in(types, id, TEMPLATES)?;
        let start = distance(&steps)?;
        let view = types.view(class);
        if !types.name(view.id).starts_with("absl::") {
            return None;
        }
        let template = view.name.as_deref()?.split('<').next()?;
        let (slots, slot_type) = pointer_of(types, class, &["slots_"])?;
        let (control, _) = pointer_of(types, class, &["ctrl_"])?;
        let (size, capacity) = (place(types, class, "size_")?.0, place(types, class, "capacity_")?.0);
        let (slot, of) = match (template.starts_with("node"), types.view(slot_type).shape.clone()) {
            (true, Shape::Pointer(to)) => (Slot::Elsewhere, to),
            (true, _) => return None,
            // A map's slot is a union of what its key may be done with.
            (false, Shape::Union) => {
                let (at, of) = place_of(types, slot_type, &["value"])?;
                (Slot::Within(at), of)
            }
            (false, _) => (Slot::Within(0), slot_type),
        };
        let at = |offset: u64| start.checked_add(offset);
        Some(Swiss {
            of,
            is_map: template.ends_with("map"),
            size: at(size)?,
            capacity: at(capacity)?,
            slots: at(slots)?,
            control: at(control)?,
            slot,
            slot_size: types.size(slot_type).max(1),
        })
    }

    pub(super) fn count(&self, source: &dyn Source) -> Result<u64, Fault> {
        source.field(self.size)
    }

    /// A slot is used where its control byte is not negative.
    pub(super) fn each(&self, source: &dyn Source, visit: Visit<'_>) -> Result<(), Fault> {
        let (mut left, capacity) = (self.count(source)?, source.field(self.capacity)?);
        if left > capacity || capacity > SLOTS {
            return Err(Fault::Corrupt("a table has more elements than slots, or absurdly many"));
        }
        let (slots, control) = (source.field(self.slots)?, VirtAddr(source.field(self.control)?));
        let mut bytes = [0; GROUP as usize];
        let mut first = 0;
        while first < capacity && left > 0 {
            let group = &mut bytes[..GROUP.min(capacity - first) as usize];
            source.read(control.offset(first), group)?;
            for (index, _) in (first..).zip(group.iter()).filter(|(_, byte)| **byte < 0x80).take(left as usize) {
                let slot = VirtAddr(slots.wrapping_add(index.wrapping_mul(self.slot_size)));
                let element = match self.slot {
                    Slot::Within(distance) => slot.offset(distance),
                    Slot::Elsewhere => VirtAddr(source.word(slot)?),
                };
                left -= 1;
                if visit(element)?.is_break() {
                    return Ok(());
                }
            }
            first += GROUP;
        }
        Ok(())
    }
}
