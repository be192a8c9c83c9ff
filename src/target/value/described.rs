//! Arguments by the debug information: names, types and places, read once for a function. A hit looks at registers and
//! memory only.

use std::sync::Arc;

use super::plan::{Certainty, DecodedArgument};
use super::reader::ArgumentReader;
use super::shape::{EnumerationNames, RecordField, Shape, Sign};
use crate::arch::ArgumentPlace;
use crate::base::FileAddr;
use crate::binary::dwarf::{Encoding, MemberKind, Passed, Shape as Described, TypeId, Types};
use crate::binary::Module;

/// Members of a record that is passed by value are shown up to so many, and so deep.
const MEMBERS: usize = 8;
const DEPTH: u32 = 2;
/// An enumeration with more names is shown as a number.
const ENUMERATORS: usize = 512;

/// A parameter that the debug information tells of.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    name: String,
    shape: Shape,
    /// None: an empty class, which is passed nowhere.
    pub(super) place: Option<ArgumentPlace>,
}

impl Parameter {
    pub(super) fn read(&self, reader: &ArgumentReader<'_>, certainty: Certainty) -> DecodedArgument {
        let text = self.place.map_or_else(|| "{}".to_owned(), |place| reader.read(&self.shape, place));
        DecodedArgument { name: Some(self.name.clone()), text, certainty }
    }
}

/// The parameters of the function that begins at an address; `None` where the debug information says nothing of them.
pub(super) fn parameters(module: &Module, at: FileAddr) -> Option<Vec<Parameter>> {
    let dwarf = module.dwarf();
    if dwarf.is_empty() {
        return None;
    }
    let chain = dwarf.instances_at(at);
    let function = chain.first().filter(|one| one.start() == at)?;
    let types = dwarf.types();
    // Rust's own calling convention is not the psABI's, and Go's neither.
    if types.is_assembly(function.entry) || types.is_rust(function.entry) || types.is_go(function.entry) {
        return None;
    }
    let passed = types.arguments_at_entry(function.entry);
    let named = types.arguments(function).into_iter().map(|variable| {
        let place = passed.iter().find(|one| one.entry == variable.entry);
        let shape = match place.map(|one| one.means) {
            Some(Passed::ByReference) => object(&types, variable.ty),
            _ => shape_of(&types, variable.ty, DEPTH),
        };
        Parameter { name: variable.name, shape, place: place.map(|one| one.place) }
    });
    Some(named.collect())
}

/// What lies at the address by which an object is passed.
fn object(types: &Types<'_>, ty: TypeId) -> Shape {
    match by_name(types, ty) {
        text @ Shape::Text(_) => text,
        object @ Shape::Object(_) => object,
        _ => Shape::Object(types.name(ty)),
    }
}

/// What a library's type is, known by its name.
fn by_name(types: &Types<'_>, ty: TypeId) -> Shape {
    Shape::parse(&types.whole_name(ty))
}

fn shape_of(types: &Types<'_>, ty: TypeId, depth: u32) -> Shape {
    let view = types.view(ty);
    match &view.shape {
        Described::Base(encoding) => base(*encoding, view.size),
        Described::Enumeration(encoding) => enumeration(types, ty, sign(*encoding), view.size),
        Described::Pointer(to) => pointer(types, *to),
        Described::Reference(to) => reference(types, *to),
        Described::Record => match by_name(types, ty) {
            known @ (Shape::View(_) | Shape::Span | Shape::Duration(_) | Shape::Optional(_)) => known,
            _ => record(types, ty, depth),
        },
        Described::Union => Shape::Record(Arc::new([])),
        Described::Function => Shape::Function,
        Described::MemberPointer(_) if view.size == 16 => Shape::MemberFunction,
        Described::MemberPointer(_) => Shape::Integer(8, Sign::Signed),
        _ => Shape::Unknown,
    }
}

fn pointer(types: &Types<'_>, to: TypeId) -> Shape {
    let target = types.view(to);
    match target.shape {
        Described::Base(Encoding::Char) => Shape::CText,
        Described::Function => Shape::Function,
        Described::Record => match by_name(types, to) {
            text @ (Shape::Text(_) | Shape::View(_)) => Shape::Reference(Box::new(text)),
            _ => Shape::Pointer,
        },
        _ => Shape::Pointer,
    }
}

fn reference(types: &Types<'_>, to: TypeId) -> Shape {
    let target = types.view(to);
    let inner = match target.shape {
        Described::Record => by_name(types, to),
        Described::Base(_) | Described::Enumeration(_) => shape_of(types, to, 0),
        _ => Shape::Unknown,
    };
    match inner {
        Shape::Unknown | Shape::Reference(_) => Shape::Pointer,
        inner => Shape::Reference(Box::new(inner)),
    }
}

fn sign(encoding: Encoding) -> Sign {
    if encoding.is_signed() {
        Sign::Signed
    } else {
        Sign::Unsigned
    }
}

fn base(encoding: Encoding, size: u64) -> Shape {
    match (encoding, size) {
        (Encoding::Boolean, _) => Shape::Bool,
        (Encoding::Char | Encoding::UnsignedChar | Encoding::Utf, 1 | 2 | 4) => Shape::Character(size as u8),
        (Encoding::Float, 4) => Shape::Float,
        (Encoding::Float, 8) => Shape::Double,
        (Encoding::Float, _) => Shape::LongDouble,
        (_, 1..=8) => Shape::Integer(size as u8, sign(encoding)),
        (_, 16) => Shape::Wide(sign(encoding)),
        _ => Shape::Unknown,
    }
}

fn enumeration(types: &Types<'_>, ty: TypeId, sign: Sign, size: u64) -> Shape {
    let named = types.enumerators(ty);
    if named.len() > ENUMERATORS || !(1..=8).contains(&size) {
        return Shape::Integer(size.clamp(1, 8) as u8, sign);
    }
    let scope = types.enumerator_scope(ty);
    let values = named.into_iter().map(|(name, value)| (value, format!("{scope}{name}"))).collect();
    Shape::Enumeration(size as u8, Arc::new(EnumerationNames { sign, values }))
}

/// The members of a record, as far as they are shown; none where it is not shown.
fn record(types: &Types<'_>, ty: TypeId, depth: u32) -> Shape {
    let members = types.members(ty);
    let own: Vec<_> = members.iter().filter(|one| one.kind != MemberKind::Static).collect();
    let is_plain = own.iter().all(|one| one.bits.is_none() && one.kind == MemberKind::Field);
    if depth == 0 || own.is_empty() || own.len() > MEMBERS || !is_plain {
        return Shape::Record(Arc::new([]));
    }
    let fields = own.iter().map(|one| RecordField {
        name: one.name.clone().unwrap_or_default(),
        offset: one.offset as usize,
        size: types.size(one.ty) as usize,
        shape: shape_of(types, one.ty, depth - 1),
    });
    Shape::Record(fields.collect())
}
