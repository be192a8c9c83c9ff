//! Elements of the libraries' containers and targets of their pointers, as members: `list[1]`, `*shared`, `unique->age`.
//! Found by the members' names, of libstdc++, libc++ and Abseil, so that an expression becomes offsets like any other.

use crate::binary::dwarf::{Member, Shape, TypeId, Types};

use super::code::{InPlaceLayout, Op, TextForm};
use super::compiler::Compiler;
use super::containers::{class_in, distance, member_in, Templates, GO_SLICE};
use super::debug::DebugType;
use super::described::Step;
use super::emitter::{Operand, OperandKind};
use super::{LangError, Span};

/// What is done with a library's object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// `object[index]`: the member is a pointer to the first element, or an array.
    Element,
    /// `*object`: the member is a pointer, or of an optional the value.
    Target,
}

const POINTERS: &[&str] = &["_M_head_impl", "__value_", "__ptr_"];
const ELEMENTS: Templates = &[
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
const TEXTS: Templates = &[("basic_string", &[]), ("basic_string_view", &[]), ("string_view", &[])];
/// The members of strings that are a pointer and a length.
const TEXT_MEMBERS: &[(&str, &str)] = &[
    ("_M_p", "_M_string_length"),
    ("_M_str", "_M_len"),
    ("__data", "__size"),
    ("__data_", "__size_"),
    ("ptr_", "length_"),
];
const TARGETS: Templates = &[
    ("unique_ptr", POINTERS),
    ("shared_ptr", &["_M_ptr", "__ptr_"]),
    ("optional", &["_M_value", "__val_"]),
    ("reference_wrapper", &["_M_data", "__f_"]),
    ("__normal_iterator", &["_M_current"]),
    ("__wrap_iter", &["__i_", "__i"]),
];

const OPTIONALS: Templates = &[("optional", &["_M_engaged", "__engaged_"])];

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
        if let Some(flag) = self.engaged_flag(ty).filter(|_| used == Use::Target) {
            self.emitter.emit(Op::Engaged(flag), span)?;
        }
        self.walk(&steps, span)?;
        self.add(member.offset, span)?;
        self.in_memory(DebugType { id: member.ty, ..ty }, span).map(Some)
    }

    /// Whether a class is a smart pointer, or anything else whose `*` is known.
    pub(super) fn is_pointer_object(&self, ty: DebugType) -> bool {
        self.look(ty, |types, id| part_of(types, id, Use::Target).is_some()) == Some(true)
    }

    /// How far the byte that tells whether an optional holds something is from its start; `None`: it is no optional.
    pub(super) fn engaged_flag(&self, ty: DebugType) -> Option<u32> {
        let flag = self.look(ty, |types, id| {
            let (steps, class, names) = class_in(types, id, OPTIONALS)?;
            let is_byte = |one: &Member| types.size(one.ty) == 1;
            let (inner, member) = names.iter().find_map(|name| member_in(types, class, name, &is_byte))?;
            distance(&steps)?.checked_add(distance(&inner)?)?.checked_add(member.offset)
        });
        flag.flatten().and_then(|flag| u32::try_from(flag).ok())
    }
}

impl Compiler<'_> {
    /// Where an object of a class of strings, of libstdc++, libc++ or Abseil, has its text.
    pub(super) fn text_form(&self, ty: DebugType) -> Option<TextForm> {
        let ty = self.defined(ty);
        self.look(ty, text_form_of).flatten()
    }
}

/// See [`Compiler::text_form`].
pub(super) fn text_form_of(types: &Types<'_>, id: TypeId) -> Option<TextForm> {
    let (to_class, class, _) = class_in(types, id, TEXTS)?;
    let start = distance(&to_class)?;
    let place = |class: TypeId, name: &str| {
        let (steps, member) = member_in(types, class, name, &|_| true)?;
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

fn part_of(types: &Types<'_>, id: TypeId, used: Use) -> Option<(Vec<Step>, Member)> {
    let table = if used == Use::Element { ELEMENTS } else { TARGETS };
    let (mut steps, class, names) = class_in(types, id, table)?;
    let fits = |member: &Member| match types.view(member.ty).shape {
        Shape::Pointer(_) => true,
        Shape::Array(..) => used == Use::Element,
        // An optional's value is in it.
        _ => used == Use::Target && matches!(member.name.as_deref(), Some("_M_value" | "__val_")),
    };
    let (inner, member) = names.iter().find_map(|name| member_in(types, class, name, &fits))?;
    steps.extend(inner);
    Some((steps, member))
}
