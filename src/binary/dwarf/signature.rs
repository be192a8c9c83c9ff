//! What a function takes and gives back, for a call of it.

use gimli::AttributeValue;

use super::entry::EntryId;
use super::members::MemberKind;
use super::passing::{Passed, ReturnPlace};
use super::types::{Shape, TypeId, Types};
use crate::arch::ParameterClass;

/// How deep bases are looked for in bases.
const DEPTH: u32 = 16;

/// One parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Its type.
    pub ty: TypeId,
    /// Whether it itself is passed.
    pub passed: Passed,
    /// How the psABI passes it; `None`: it takes no place.
    pub class: Option<ParameterClass>,
}

/// How a function is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Convention {
    /// As the psABI says.
    System,
    /// As Rust does: as the psABI says for numbers and pointers only.
    Rust,
}

/// A function's parameters and result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallSignature {
    /// The type of `this`, where it is called for an object.
    pub object: Option<TypeId>,
    /// The other parameters.
    pub parameters: Vec<Parameter>,
    /// Whether more may follow (`...`).
    pub is_variadic: bool,
    /// The type of what it returns.
    pub result: TypeId,
    /// Where that is then.
    pub place: ReturnPlace,
    /// How it is called.
    pub convention: Convention,
}

impl<'a> Types<'a> {
    /// The signature of a function, or of a function type. `None`: the entry cannot be read, is of a language with calling
    /// conventions of its own, or of assembly, whose functions are described without what they take.
    pub fn call_signature(&self, function: EntryId) -> Option<CallSignature> {
        if self.is_go(function) || self.is_assembly(function) {
            return None;
        }
        let (result, place) = self.result_of(function)?;
        let convention = if self.is_rust(function) { Convention::Rust } else { Convention::System };
        let children = self.session.children(function).ok()?;
        let mut signature =
            CallSignature { object: None, parameters: Vec::new(), is_variadic: false, result, place, convention };
        for child in &children {
            match child.tag {
                gimli::DW_TAG_unspecified_parameters => signature.is_variadic = true,
                gimli::DW_TAG_formal_parameter => {
                    let ty = self.type_of(child);
                    // A concrete copy's parameter says by its origin that it is `this`.
                    let artificial = self.session.inherited(child, gimli::DW_AT_artificial);
                    let is_object = artificial.is_some_and(|(_, value)| value == AttributeValue::Flag(true));
                    if is_object && signature.object.is_none() && signature.parameters.is_empty() {
                        signature.object = Some(ty);
                        continue;
                    }
                    let passed = self.passed(ty);
                    let class = match passed {
                        Passed::ByReference => Some(ParameterClass::Integer),
                        Passed::ByValue => self.class_of(ty),
                    };
                    signature.parameters.push(Parameter { ty, passed, class });
                }
                _ => {}
            }
        }
        Some(signature)
    }

    /// How far into an object of class `derived` its base of that name begins, bytes; `None`: it is no base, or a virtual
    /// one.
    pub fn base_offset(&self, derived: TypeId, base: &str) -> Option<u64> {
        self.base_within(derived, base, DEPTH)
    }

    fn base_within(&self, class: TypeId, base: &str, depth: u32) -> Option<u64> {
        let class = self.unqualified(class);
        let class = self.definition(class).unwrap_or(class);
        if self.view(class).shape != Shape::Record {
            return None;
        }
        if self.name(class) == base {
            return Some(0);
        }
        let depth = depth.checked_sub(1)?;
        let members = self.members(class);
        members
            .iter()
            .filter(|one| one.kind == MemberKind::Base)
            .find_map(|one| self.base_within(one.ty, base, depth)?.checked_add(one.offset))
    }

    /// The type itself, without names for it, const and volatile.
    pub fn unqualified(&self, id: TypeId) -> TypeId {
        self.view(id).id
    }
}
