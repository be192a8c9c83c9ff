//! What a class declares of its functions (DWARF 5, 5.7.8).

use gimli::AttributeValue;

use super::entry::{Descend, Entry};
use super::members::{access_of, Access};
use super::types::{Shape, TypeId, Types};

/// A member function, as its class declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name, without the class's.
    pub name: String,
    /// The function: what its type is.
    pub ty: TypeId,
    /// Who may call it.
    pub access: Access,
    /// Whether it is called without an object.
    pub is_static: bool,
    /// Whether a derived class's may stand in its place.
    pub is_virtual: bool,
    /// Which slot of the virtual table has it.
    pub slot: Option<u64>,
    /// Whether it may be called for an object that is const.
    pub is_const: bool,
}

impl<'a> Types<'a> {
    /// The functions that a class declares, in the order of the source; what the compiler adds is left out.
    pub fn methods(&self, id: TypeId) -> Vec<Method> {
        let view = self.view(id);
        let Some(class) = view.id.entry.filter(|_| matches!(view.shape, Shape::Record | Shape::Union)) else {
            return Vec::new();
        };
        let Ok(class) = self.session.entry(class) else { return Vec::new() };
        let mut found = Vec::new();
        let walked = self.session.walk(class.id, &mut |entry, _| {
            if entry.tag == gimli::DW_TAG_subprogram && !entry.flag(gimli::DW_AT_artificial) {
                found.extend(self.method(&class, entry));
            }
            Descend::No
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "bad entries of a class");
        }
        found
    }

    fn method(&self, class: &Entry<'a>, entry: &Entry<'a>) -> Option<Method> {
        let object = self.object_of(entry);
        let slot = entry.get(gimli::DW_AT_vtable_elem_location).and_then(|value| match value {
            AttributeValue::Exprloc(expression) => constant(expression.0.slice()),
            value => value.udata_value(),
        });
        let virtuality = entry.get(gimli::DW_AT_virtuality);
        let is_virtual = virtuality.is_some_and(|one| one != AttributeValue::Virtuality(gimli::DW_VIRTUALITY_none));
        // A closure's destructor is called by a name that no source has.
        let name = self.session.name(entry).filter(|name| !name.starts_with("~<"))?;
        Some(Method {
            name,
            ty: TypeId::of(Some(entry.id)),
            access: access_of(class.tag, entry),
            is_static: object.is_none(),
            is_virtual,
            slot,
            is_const: object.is_some_and(|object| self.points_to_const(object)),
        })
    }

    /// The type of a member function's `this`, which is its first parameter and made by the compiler.
    fn object_of(&self, function: &Entry<'a>) -> Option<TypeId> {
        let mut first = None;
        let _ = self.session.walk(function.id, &mut |entry, _| {
            if entry.tag == gimli::DW_TAG_formal_parameter {
                first = entry.flag(gimli::DW_AT_artificial).then(|| self.type_of(entry));
                return Descend::Stop;
            }
            Descend::No
        });
        first
    }

    fn points_to_const(&self, pointer: TypeId) -> bool {
        let Shape::Pointer(to) = self.view(pointer).shape else { return false };
        let target = to.entry.and_then(|id| self.session.entry(id).ok());
        target.is_some_and(|entry| entry.tag == gimli::DW_TAG_const_type)
    }
}

/// The N of `DW_OP_constu N` and of its short forms.
fn constant(expression: &[u8]) -> Option<u64> {
    let (operation, operand) = expression.split_first()?;
    let mut reader = gimli::EndianSlice::new(operand, gimli::LittleEndian);
    match gimli::DwOp(*operation) {
        gimli::DW_OP_constu => gimli::Reader::read_uleb128(&mut reader).ok(),
        gimli::DW_OP_const1u => gimli::Reader::read_u8(&mut reader).ok().map(u64::from),
        gimli::DW_OP_const2u => gimli::Reader::read_u16(&mut reader).ok().map(u64::from),
        _ => Some(u64::from(operation.wrapping_sub(gimli::DW_OP_lit0.0))).filter(|small| *small < 32),
    }
}
