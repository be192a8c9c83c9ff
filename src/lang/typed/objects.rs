//! The class of an object as its virtual table tells it.

use crate::base::VirtAddr;
use crate::binary::dwarf::{MemberKind, Shape, TypeId, Types};

use super::{Inspector, Objects, TypedValue};

/// How deep a first base is looked into for the pointer to the virtual table.
const DEPTH: u32 = 16;

impl Inspector<'_, '_> {
    /// The class of the object at an address, where it is another than the declared one.
    pub(super) fn dynamic_class(&self, declared: TypeId, at: VirtAddr) -> Option<String> {
        if self.style.objects == Objects::Declared || at.0 == 0 || !is_polymorphic(self.types, declared, DEPTH) {
            return None;
        }
        let table = self.memory.read_u64(at).ok()?;
        let label = self.labels.label(VirtAddr(table))?;
        let class = label.name.strip_prefix("vtable for ")?;
        (class != self.types.name(declared).trim_start_matches("const ")).then(|| class.to_owned())
    }

    /// The whole object that a pointer's or reference's target is a part of, by its own class, where that is known here.
    pub fn whole_object(&self, part: &TypedValue) -> Option<TypedValue> {
        let super::Held::Memory(at) = part.place else { return None };
        let class = self.dynamic_class(part.ty, at)?;
        let ty = self.types.find_type(&class)?;
        let table = self.memory.read_u64(at).ok()?;
        // Two words before the functions: how far the part is from the object's start (Itanium C++ ABI, 2.5.2).
        let to_top = self.memory.read_u64(VirtAddr(table.wrapping_sub(16))).ok()?;
        Some(TypedValue { ty, place: super::Held::Memory(VirtAddr(at.0.wrapping_add(to_top))) })
    }
}

/// Whether a class has a virtual table: its first member points to it, or its first base has one.
fn is_polymorphic(types: &Types<'_>, id: TypeId, depth: u32) -> bool {
    if types.view(id).shape != Shape::Record {
        return false;
    }
    let members = types.members(id);
    let has_table = |name: &Option<String>| name.as_deref().is_some_and(|name| name.starts_with("_vptr"));
    members.iter().any(|one| match one.kind {
        MemberKind::Field => has_table(&one.name),
        MemberKind::Base if one.offset == 0 => depth > 0 && is_polymorphic(types, one.ty, depth - 1),
        MemberKind::VirtualBase { .. } => true,
        _ => false,
    })
}
