//! Members of the libraries' classes by their names, wherever a version of the library has put them.

use crate::binary::dwarf::{Member, MemberKind, Shape, TypeId, Types};
use crate::lang::described::Step;

/// How deep a base, and a member in a class, is looked for.
pub(in crate::lang) const DEPTH: u32 = 8;

/// Templates, and the members that may hold what is wanted.
pub(in crate::lang) type Table = &'static [(&'static str, &'static [&'static str])];

/// Go names a slice by its elements: `[]int`.
pub(in crate::lang) const GO_SLICE: &str = "[]";

/// How far a way leads; `None`: it goes through a virtual base.
pub(in crate::lang) fn distance(steps: &[Step]) -> Option<u64> {
    steps.iter().try_fold(0u64, |sum, step| match step {
        Step::Offset(offset) => sum.checked_add(*offset),
        Step::VirtualBase(_) => None,
    })
}

/// The class itself or its base that is a template of the table.
pub(in crate::lang) fn class_in(
    types: &Types<'_>,
    id: TypeId,
    table: Table,
) -> Option<(Vec<Step>, TypeId, &'static [&'static str])> {
    class_within(types, id, table, DEPTH)
}

fn class_within(
    types: &Types<'_>,
    id: TypeId,
    table: Table,
    depth: u32,
) -> Option<(Vec<Step>, TypeId, &'static [&'static str])> {
    let view = types.view(id);
    if view.shape != Shape::Record {
        return None;
    }
    let name = view.name.as_deref().unwrap_or_default();
    let template = match name.starts_with(GO_SLICE) {
        true => GO_SLICE,
        false => name.split('<').next().unwrap_or_default(),
    };
    // A vector of bool has bits for elements.
    if let Some((_, members)) = table.iter().find(|(one, _)| *one == template && !name.starts_with("vector<bool")) {
        return Some((Vec::new(), id, members));
    }
    let depth = depth.checked_sub(1)?;
    let members = types.members(id);
    let mut bases = members.iter().filter(|one| one.kind == MemberKind::Base);
    bases.find_map(|base| {
        let (mut steps, class, names) = class_within(types, base.ty, table, depth)?;
        steps.insert(0, Step::Offset(base.offset));
        Some((steps, class, names))
    })
}

/// A member wherever it is inside a class: in bases and in members of members.
pub(in crate::lang) fn member_in(
    types: &Types<'_>,
    id: TypeId,
    name: &str,
    fits: &dyn Fn(&Member) -> bool,
) -> Option<(Vec<Step>, Member)> {
    member_within(types, id, name, fits, DEPTH)
}

fn member_within(
    types: &Types<'_>,
    id: TypeId,
    name: &str,
    fits: &dyn Fn(&Member) -> bool,
    depth: u32,
) -> Option<(Vec<Step>, Member)> {
    let members = types.members(id);
    if let Some(own) = members.iter().find(|one| one.name.as_deref() == Some(name) && fits(one)) {
        return Some((Vec::new(), own.clone()));
    }
    let depth = depth.checked_sub(1)?;
    let inside = |one: &&Member| {
        matches!(one.kind, MemberKind::Field | MemberKind::Base)
            && one.bits.is_none()
            && matches!(types.view(one.ty).shape, Shape::Record | Shape::Union)
    };
    members.iter().filter(inside).find_map(|one| {
        let (mut steps, found) = member_within(types, one.ty, name, fits, depth)?;
        steps.insert(0, Step::Offset(one.offset));
        Some((steps, found))
    })
}

/// How far a member is from the start of a class's object, bytes, and its type.
pub(super) fn place(types: &Types<'_>, class: TypeId, name: &str) -> Option<(u64, TypeId)> {
    let (steps, member) = member_in(types, class, name, &|one| one.kind != MemberKind::Static)?;
    Some((distance(&steps)?.checked_add(member.offset)?, member.ty))
}

/// The first of several members that a class has.
pub(super) fn place_of(types: &Types<'_>, class: TypeId, names: &[&str]) -> Option<(u64, TypeId)> {
    names.iter().find_map(|name| place(types, class, name))
}

/// How far a pointer is from the start of a class's object, and what it points to.
pub(super) fn pointer_of(types: &Types<'_>, class: TypeId, names: &[&str]) -> Option<(u64, TypeId)> {
    let is_pointer = |one: &Member| matches!(types.view(one.ty).shape, Shape::Pointer(_));
    names.iter().find_map(|name| {
        let (steps, member) = member_in(types, class, name, &is_pointer)?;
        let Shape::Pointer(to) = types.view(member.ty).shape else { return None };
        Some((distance(&steps)?.checked_add(member.offset)?, to))
    })
}

/// A member of a member.
pub(super) fn place_in(types: &Types<'_>, class: TypeId, outer: &str, inner: &str) -> Option<(u64, TypeId)> {
    let (start, ty) = place(types, class, outer)?;
    let (distance, ty) = place(types, ty, inner)?;
    Some((start.checked_add(distance)?, ty))
}
