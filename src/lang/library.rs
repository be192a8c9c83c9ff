//! Elements of the libraries' containers and targets of their pointers, as members: `list[1]`, `*shared`, `unique->age`.
//! Found by the members' names, of libstdc++, libc++ and Abseil, so that an expression becomes offsets like any other.

use crate::binary::dwarf::{Member, MemberKind, Shape, TypeId, Types};

use super::code::{InPlaceLayout, TextForm};
use super::compiler::Compiler;
use super::debug::DebugType;
use super::described::Step;
use super::emitter::{Operand, OperandKind};
use super::{LangError, Span};

/// How deep a base, and a member in a class, is looked for.
const DEPTH: u32 = 8;

/// What is done with a library's object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// `object[index]`: the member is a pointer to the first element, or an array.
    Element,
    /// `*object`: the member is a pointer, or of an optional the value.
    Target,
}

/// Templates, and the members that may hold what is wanted.
type Table = &'static [(&'static str, &'static [&'static str])];

const POINTERS: &[&str] = &["_M_head_impl", "__value_", "__ptr_"];
const ELEMENTS: Table = &[
    ("vector", &["_M_start", "__begin_"]),
    ("basic_string", &["_M_p"]),
    ("basic_string_view", &["_M_str", "__data_", "__data", "ptr_"]),
    ("array", &["_M_elems", "__elems_"]),
    ("span", &["_M_ptr", "__data_", "__data"]),
    ("Span", &["ptr_"]),
    ("initializer_list", &["_M_array", "__begin_"]),
    ("unique_ptr", POINTERS),
    (GO_SLICE, &["array"]),
];
/// Go names a slice by its elements: `[]int`.
const GO_SLICE: &str = "[]";
const TEXTS: Table = &[("basic_string", &[]), ("basic_string_view", &[]), ("string_view", &[])];
/// The members of strings that are a pointer and a length.
const TEXT_MEMBERS: &[(&str, &str)] = &[
    ("_M_p", "_M_string_length"),
    ("_M_str", "_M_len"),
    ("__data", "__size"),
    ("__data_", "__size_"),
    ("ptr_", "length_"),
];
const TARGETS: Table = &[
    ("unique_ptr", POINTERS),
    ("shared_ptr", &["_M_ptr", "__ptr_"]),
    ("optional", &["_M_value", "__val_"]),
    ("reference_wrapper", &["_M_data", "__f_"]),
    ("__normal_iterator", &["_M_current"]),
    ("__wrap_iter", &["__i_", "__i"]),
];

impl Compiler<'_> {
    /// The member of a library's object, whose address is on the stack, that its operator goes by; `None`: it is none
    /// that is known.
    pub(super) fn library_part(
        &mut self,
        object: Operand,
        used: Use,
        span: Span,
    ) -> Result<Option<Operand>, LangError> {
        let Some(ty) = object.origin.filter(|_| object.kind == OperandKind::Memory) else { return Ok(None) };
        let ty = self.defined(ty);
        let Some((steps, member)) = self.look(ty, |types, id| part_of(types, id, used)).flatten() else {
            return Ok(None);
        };
        self.walk(&steps, span)?;
        self.add(member.offset, span)?;
        self.in_memory(DebugType { id: member.ty, ..ty }, span).map(Some)
    }
}

impl Compiler<'_> {
    /// Where an object of a class of strings, of libstdc++, libc++ or Abseil, has its text.
    pub(super) fn text_form(&self, ty: DebugType) -> Option<TextForm> {
        let ty = self.defined(ty);
        self.look(ty, text_form_of).flatten()
    }
}

fn text_form_of(types: &Types<'_>, id: TypeId) -> Option<TextForm> {
    let (to_class, class, _) = class_in(types, id, TEXTS, DEPTH)?;
    let start = distance(&to_class)?;
    let place = |class: TypeId, name: &str| {
        let (steps, member) = member_in(types, class, name, &|_| true, DEPTH)?;
        Some((distance(&steps)?.checked_add(member.offset)?, member))
    };
    let is_narrow =
        |pointer: &Member| matches!(types.view(pointer.ty).shape, Shape::Pointer(to) if types.size(to) == 1);
    let narrow = |at: u64| u16::try_from(start.checked_add(at)?).ok();
    let Some(((long_at, long), (short_at, short))) = place(class, "__l").zip(place(class, "__s")) else {
        return TEXT_MEMBERS.iter().find_map(|(data, length)| {
            let ((data, pointer), (length, _)) = (place(class, data)?, place(class, length)?);
            is_narrow(&pointer).then_some(TextForm::Pair { data: narrow(data)?, length: narrow(length)? })
        });
    };
    let ((data, pointer), (length, _)) = (place(long.ty, "__data_")?, place(long.ty, "__size_")?);
    let (text, _) = place(short.ty, "__data_")?;
    let layout = if text == 0 { InPlaceLayout::Alternate } else { InPlaceLayout::Usual };
    let flag = if text == 0 { types.size(class).checked_sub(1)? } else { 0 };
    is_narrow(&pointer).then_some(TextForm::InPlace {
        data: narrow(long_at + data)?,
        length: narrow(long_at + length)?,
        text: narrow(short_at + text)?,
        flag: narrow(flag)?,
        layout,
    })
}

/// How far a way leads; `None`: it goes through a virtual base.
fn distance(steps: &[Step]) -> Option<u64> {
    steps.iter().try_fold(0u64, |sum, step| match step {
        Step::Offset(offset) => sum.checked_add(*offset),
        Step::VirtualBase(_) => None,
    })
}

fn part_of(types: &Types<'_>, id: TypeId, used: Use) -> Option<(Vec<Step>, Member)> {
    let table = if used == Use::Element { ELEMENTS } else { TARGETS };
    let (mut steps, class, names) = class_in(types, id, table, DEPTH)?;
    let fits = |member: &Member| match types.view(member.ty).shape {
        Shape::Pointer(_) => true,
        Shape::Array(..) => used == Use::Element,
        // An optional's value is in it.
        _ => used == Use::Target && matches!(member.name.as_deref(), Some("_M_value" | "__val_")),
    };
    let (inner, member) = names.iter().find_map(|name| member_in(types, class, name, &fits, DEPTH))?;
    steps.extend(inner);
    Some((steps, member))
}

/// The class itself or its base that is a template of the table.
fn class_in(
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
        let (mut steps, class, names) = class_in(types, base.ty, table, depth)?;
        steps.insert(0, Step::Offset(base.offset));
        Some((steps, class, names))
    })
}

/// A member wherever it is inside a class: in bases and in members of members.
fn member_in(
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
        let (mut steps, found) = member_in(types, one.ty, name, fits, depth)?;
        steps.insert(0, Step::Offset(one.offset));
        Some((steps, found))
    })
}
