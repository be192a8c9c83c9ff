//! Pointers to members (Itanium C++ ABI, 2.3).

use crate::base::VirtAddr;
use crate::binary::dwarf::{Member, MemberKind, Method, TypeId, TypeView};

use super::{Inspector, TypedValue};

/// How deep a member is looked for in bases.
const DEPTH: u32 = 16;

impl Inspector<'_, '_> {
    /// `&A::member`, `&virtual A::function(int)`, or the function's address.
    pub(super) fn show_member_pointer(&self, value: &TypedValue, view: &TypeView, class: TypeId) -> String {
        let bytes = match self.bytes(value) {
            Ok(bytes) => bytes,
            Err(reason) => return reason,
        };
        let word =
            |at: usize| bytes.iter().skip(at).take(8).rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        let first = word(0);
        if bytes.len() != 16 {
            return match self.member_at(class, first, DEPTH) {
                _ if first == u64::MAX => "NULL".to_owned(),
                Some(name) => format!("&{name}"),
                None => format!("{first:#x}"),
            };
        }
        // A function's address is even; an odd number is one more than the distance in the virtual table.
        let virtual_one = (first & 1 == 1).then(|| self.virtual_function(class, first / 8, DEPTH)).flatten();
        let target = match (first, virtual_one) {
            (0, _) => "NULL".to_owned(),
            (_, Some(name)) => format!("&virtual {name}"),
            (odd, None) if odd & 1 == 1 => format!("&virtual table offset {}", odd - 1),
            (at, None) => format!("({}) {}", self.types.name(view.id), self.labelled(VirtAddr(at))),
        };
        match word(8) {
            0 => target,
            adjustment => format!("{target}, this adjustment {}", adjustment as i64),
        }
    }

    /// The data member at a distance from the object's start, in the class or in a base.
    fn member_at(&self, class: TypeId, at: u64, depth: u32) -> Option<String> {
        let members = self.types.members(class);
        let is_it = |one: &&Member| one.kind == MemberKind::Field && one.offset == at && one.bits.is_none();
        if let Some(name) = members.iter().find(is_it).and_then(|one| one.name.as_deref()) {
            return Some(format!("{}::{name}", self.types.name(class)));
        }
        let depth = depth.checked_sub(1)?;
        let bases = members.iter().filter(|one| one.kind == MemberKind::Base);
        bases.filter(|one| one.offset <= at).find_map(|one| self.member_at(one.ty, at - one.offset, depth))
    }

    /// The function in a slot of a class's virtual table, as the class or its first base declares it.
    fn virtual_function(&self, class: TypeId, slot: u64, depth: u32) -> Option<String> {
        let methods = self.types.methods(class);
        let is_it = |one: &&Method| one.slot == Some(slot);
        if let Some(method) = methods.iter().find(is_it) {
            return Some(self.types.method_name(class, method));
        }
        let depth = depth.checked_sub(1)?;
        let members = self.types.members(class);
        let first = members.iter().find(|one| one.kind == MemberKind::Base && one.offset == 0)?;
        self.virtual_function(first.ty, slot, depth)
    }
}
