//! Where a function's arguments are when it is entered: the psABI's classes (3.2.3) worked out from the types.

use gimli::AttributeValue;

use super::entry::{Entry, EntryId};
use super::types::{Encoding, Shape, TypeId, Types};
use super::MemberKind;
use crate::arch::{place_arguments, ArgumentPlace, FloatWidth, ParameterClass};

/// Aggregates in aggregates deeper than this are taken for memory.
const DEPTH: u32 = 16;
/// What fits into two registers, bytes.
const REGISTERS: u64 = 16;

/// A parameter at its function's first instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PassedArgument {
    /// The parameter's entry.
    pub entry: EntryId,
    /// Where it is.
    pub place: ArgumentPlace,
    /// What is there.
    pub means: Passed,
}

/// How a parameter is passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passed {
    /// Itself.
    ByValue,
    /// The address of a copy: a C++ object that cannot be copied bit by bit.
    ByReference,
}

/// Where a function's result is when it has returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReturnPlace {
    /// There is none, or it has no bytes that matter.
    Nothing,
    /// In the registers of its class.
    In(ParameterClass),
    /// `long double _Complex`: in st(0) and st(1).
    X87Pair,
    /// Where the caller wanted it, which is in rax again.
    AtRax,
}

/// The class of eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Eightbyte {
    Nothing,
    Sse,
    /// The upper half of what is in one xmm register.
    SseUp,
    Integer,
    Memory,
}

impl Eightbyte {
    fn merged(self, other: Eightbyte) -> Eightbyte {
        match (self, other) {
            (Eightbyte::Memory, _) | (_, Eightbyte::Memory) => Eightbyte::Memory,
            (Eightbyte::Integer, _) | (_, Eightbyte::Integer) => Eightbyte::Integer,
            (Eightbyte::Sse, _) | (_, Eightbyte::Sse) => Eightbyte::Sse,
            (Eightbyte::SseUp, _) | (_, Eightbyte::SseUp) => Eightbyte::SseUp,
            _ => Eightbyte::Nothing,
        }
    }
}

fn is_x87_name(name: Option<&str>) -> bool {
    name == Some("long double")
}

/// A function by which objects have a pointer to a table, which a copy cannot take over bit by bit.
fn is_virtual(entry: &Entry<'_>) -> bool {
    entry.tag == gimli::DW_TAG_subprogram
        && !matches!(
            entry.get(gimli::DW_AT_virtuality),
            None | Some(AttributeValue::Virtuality(gimli::DW_VIRTUALITY_none))
        )
}

impl<'a> Types<'a> {
    /// Where a function's arguments are at its first instruction, in the order of its parameters. Those of no class that
    /// takes a place (empty C++ objects) are left out, and all of a Go function (`go_argument`).
    pub fn arguments_at_entry(&self, function: EntryId) -> Vec<PassedArgument> {
        let session = &self.session;
        if self.is_go(function) {
            return Vec::new();
        }
        let Ok(entry) = session.entry(function) else { return Vec::new() };
        let result = session.inherited(&entry, gimli::DW_AT_type).and_then(|(id, value)| session.target(id, value));
        let mut classes = Vec::new();
        let mut named = Vec::new();
        if let Some(result) = result.map(|id| TypeId::of(Some(id))) {
            let in_memory = matches!(self.class_of(result), Some(ParameterClass::Memory { .. }));
            if in_memory || self.passed(result) == Passed::ByReference {
                // The hidden first argument: where the result goes.
                classes.push(ParameterClass::Integer);
                named.push(None);
            }
        }
        let parameters = session.children(function).unwrap_or_default();
        for parameter in parameters.iter().filter(|one| one.tag == gimli::DW_TAG_formal_parameter) {
            let ty = self.type_of(parameter);
            let means = self.passed(ty);
            let class = match means {
                Passed::ByReference => Some(ParameterClass::Integer),
                Passed::ByValue => self.class_of(ty),
            };
            if let Some(class) = class {
                classes.push(class);
                named.push(Some((parameter.id, means)));
            }
        }
        let placed = place_arguments(&classes).into_iter().zip(named);
        placed.filter_map(|(place, named)| named.map(|(entry, means)| PassedArgument { entry, place, means })).collect()
    }

    /// The type of a function's result, and where that is when the function has returned (psABI, 3.2.3, "Returning of
    /// Values"). `None`: the entry cannot be read.
    pub fn result_of(&self, function: EntryId) -> Option<(TypeId, ReturnPlace)> {
        let session = &self.session;
        let entry = session.entry(function).ok()?;
        let result = session.inherited(&entry, gimli::DW_AT_type).and_then(|(id, value)| session.target(id, value));
        let Some(result) = result.map(|id| TypeId::of(Some(id))) else {
            return Some((TypeId::VOID, ReturnPlace::Nothing));
        };
        let place = match self.class_of(result) {
            _ if self.passed(result) == Passed::ByReference => ReturnPlace::AtRax,
            _ if self.is_x87_pair(result) => ReturnPlace::X87Pair,
            _ if self.is_x87(result, DEPTH) => ReturnPlace::In(ParameterClass::X87),
            Some(ParameterClass::Memory { .. }) => ReturnPlace::AtRax,
            Some(class) => ReturnPlace::In(class),
            None => ReturnPlace::Nothing,
        };
        Some((result, place))
    }

    fn is_x87_pair(&self, id: TypeId) -> bool {
        let view = self.view(id);
        view.shape == Shape::Base(Encoding::Complex)
            && view.size == 32
            && !view.name.as_ref().is_some_and(|name| name.contains("128"))
    }

    /// The class of a vector, as compilers' extensions have it, or of a record of one and nothing else.
    fn vector_class(&self, id: TypeId, depth: u32) -> Option<ParameterClass> {
        let view = self.view(id);
        match view.shape {
            Shape::Array(..) if self.is_vector(id) => {
                let width = match view.size {
                    1..=8 => FloatWidth::Double,
                    16 => FloatWidth::Quad,
                    32 | 64 => FloatWidth::Vector(view.size as u8),
                    _ => return None,
                };
                Some(ParameterClass::Sse { width })
            }
            Shape::Record | Shape::Union if matches!(view.size, 32 | 64) && depth > 0 => {
                let members = self.members(id);
                let mut own = members.iter().filter(|one| one.kind != MemberKind::Static);
                let class = own.next().filter(|one| self.size(one.ty) == view.size)?;
                own.next().is_none().then(|| self.vector_class(class.ty, depth - 1)).flatten()
            }
            _ => None,
        }
    }

    /// A long double, or a record of one and nothing else: as a result it is in st(0), as an argument in memory.
    fn is_x87(&self, id: TypeId, depth: u32) -> bool {
        let view = self.view(id);
        match view.shape {
            Shape::Base(Encoding::Float) => view.size > 8 && view.name.as_deref() == Some("long double"),
            Shape::Record | Shape::Union if view.size == REGISTERS && depth > 0 => {
                let members = self.members(id);
                let mut own = members.iter().filter(|one| one.kind != MemberKind::Static);
                let first = own.next();
                own.next().is_none() && first.is_some_and(|one| self.is_x87(one.ty, depth - 1))
            }
            _ => false,
        }
    }

    /// The class of a type that is passed by value; `None`: nothing is passed.
    fn class_of(&self, id: TypeId) -> Option<ParameterClass> {
        let view = self.view(id);
        let size = view.size;
        let memory = ParameterClass::Memory { size: u32::try_from(size).unwrap_or(u32::MAX) };
        if let Some(class) = self.vector_class(id, DEPTH) {
            return Some(class);
        }
        match view.shape {
            Shape::Base(Encoding::Complex) => {
                return Some(match size {
                    0..=8 => ParameterClass::Sse { width: FloatWidth::Double },
                    9..=REGISTERS => ParameterClass::SsePair,
                    _ => memory,
                });
            }
            Shape::Base(Encoding::Float) => {
                let width = match size {
                    0..=4 => FloatWidth::Single,
                    5..=8 => FloatWidth::Double,
                    _ if view.name.as_deref() == Some("long double") => return Some(ParameterClass::X87),
                    _ => FloatWidth::Quad,
                };
                return Some(ParameterClass::Sse { width });
            }
            Shape::Base(_) if size <= 8 => return Some(ParameterClass::Integer),
            Shape::Enumeration(_) | Shape::Pointer(_) | Shape::Reference(_) => return Some(ParameterClass::Integer),
            Shape::Incomplete | Shape::Other | Shape::Void | Shape::Function => return Some(ParameterClass::Integer),
            _ => {}
        }
        if size == 0 {
            return None;
        }
        if size > REGISTERS {
            return Some(memory);
        }
        let mut halves = [Eightbyte::Nothing; 2];
        self.classify(id, 0, &mut halves, DEPTH);
        Some(match (halves, size > 8) {
            ([Eightbyte::Memory, _] | [_, Eightbyte::Memory], _) => memory,
            // An empty object: gcc passes none in C++, and C has none.
            ([Eightbyte::Nothing, Eightbyte::Nothing], _) => return None,
            ([Eightbyte::Sse, Eightbyte::SseUp], true) => ParameterClass::Sse { width: FloatWidth::Quad },
            ([Eightbyte::Sse, _], false) => ParameterClass::Sse { width: FloatWidth::Double },
            (_, false) => ParameterClass::Integer,
            ([Eightbyte::Sse, Eightbyte::Sse], true) => ParameterClass::SsePair,
            ([Eightbyte::Sse, _], true) => ParameterClass::SseThenInteger,
            ([_, Eightbyte::Sse], true) => ParameterClass::IntegerThenSse,
            (_, true) => ParameterClass::IntegerPair,
        })
    }

    fn classify(&self, id: TypeId, at: u64, halves: &mut [Eightbyte; 2], depth: u32) {
        let view = self.view(id);
        let mut note = |at: u64, class: Eightbyte| {
            if let Some(half) = halves.get_mut((at / 8) as usize) {
                *half = half.merged(class);
            }
        };
        match view.shape {
            _ if depth == 0 || at >= REGISTERS => note(0, Eightbyte::Memory),
            Shape::Base(Encoding::Float) if view.size > 8 && is_x87_name(view.name.as_deref()) => {
                note(0, Eightbyte::Memory)
            }
            Shape::Base(Encoding::Float) if view.size > 8 => {
                note(at, Eightbyte::Sse);
                note(at + 8, Eightbyte::SseUp);
            }
            Shape::Array(..) if self.is_vector(id) && view.size > 8 => {
                note(at, Eightbyte::Sse);
                note(at + 8, Eightbyte::SseUp);
            }
            Shape::Array(..) if self.is_vector(id) => note(at, Eightbyte::Sse),
            Shape::Base(Encoding::Float) => note(at, Eightbyte::Sse),
            Shape::Base(Encoding::Complex) => {
                note(at, Eightbyte::Sse);
                note(at + view.size.saturating_sub(1), Eightbyte::Sse);
            }
            Shape::Base(_) | Shape::MemberPointer(_) => {
                note(at, Eightbyte::Integer);
                note(at + view.size.saturating_sub(1), Eightbyte::Integer);
            }
            Shape::Record | Shape::Union => {
                for member in self.members(id).iter().filter(|one| one.kind != MemberKind::Static) {
                    let bits = member.bits.map(|bits| bits.first / 8);
                    self.classify(member.ty, at + bits.unwrap_or(member.offset), halves, depth - 1);
                }
            }
            Shape::Array(of, count) => {
                let size = self.size(of).max(1);
                for index in 0..count.unwrap_or(0).min(REGISTERS) {
                    self.classify(of, at + index * size, halves, depth - 1);
                }
            }
            _ => note(at, Eightbyte::Integer),
        }
    }

    /// Whether a C++ object is passed by the address of a copy: it has a copy constructor or destructor of its own
    /// (Itanium C++ ABI, 3.1.2.3), which DW_AT_calling_convention tells.
    fn passed(&self, id: TypeId) -> Passed {
        self.passed_within(id, DEPTH)
    }

    fn passed_within(&self, id: TypeId, depth: u32) -> Passed {
        let view = self.view(id);
        let entry = view.id.entry.and_then(|id| self.session.entry(id).ok());
        let (Shape::Record | Shape::Union, Some(entry)) = (&view.shape, entry) else { return Passed::ByValue };
        match entry.get(gimli::DW_AT_calling_convention) {
            Some(AttributeValue::CallingConvention(gimli::DW_CC_pass_by_reference)) => return Passed::ByReference,
            Some(AttributeValue::CallingConvention(gimli::DW_CC_pass_by_value)) => return Passed::ByValue,
            _ => {}
        }
        let children = self.session.children(entry.id).unwrap_or_default();
        if children.iter().any(|one| self.is_destructor(one) || is_virtual(one))
            || self.has_own_copying(&entry, &children)
        {
            return Passed::ByReference;
        }
        let members = self.members(id);
        let mut parts = members.iter().filter(|one| one.kind != MemberKind::Static);
        let any = parts.any(|one| {
            matches!(one.kind, MemberKind::VirtualBase { .. })
                || (depth > 0 && self.passed_within(one.ty, depth - 1) == Passed::ByReference)
        });
        if any {
            Passed::ByReference
        } else {
            Passed::ByValue
        }
    }

    /// Whether a class has a constructor of its own that copies or moves, or has had all of those deleted.
    fn has_own_copying(&self, class: &Entry<'a>, children: &[Entry<'a>]) -> bool {
        let Some(name) = self.session.name(class) else { return false };
        let name = name.split('<').next().unwrap_or(&name).to_owned();
        let copies: Vec<&Entry<'a>> = children.iter().filter(|one| self.is_copying(one, class.id, &name)).collect();
        let is_deleted = |one: &&&Entry<'a>| one.flag(gimli::DW_AT_deleted);
        let own = |one: &&Entry<'a>| {
            !one.flag(gimli::DW_AT_artificial)
                && !one.flag(gimli::DW_AT_deleted)
                && one.get(gimli::DW_AT_defaulted).is_none()
        };
        copies.iter().any(own) || (!copies.is_empty() && copies.iter().filter(is_deleted).count() == copies.len())
    }

    /// A constructor whose one parameter is a reference to an object of the class.
    fn is_copying(&self, entry: &Entry<'a>, class: EntryId, name: &str) -> bool {
        if entry.tag != gimli::DW_TAG_subprogram || self.session.name(entry).is_none_or(|own| own != name) {
            return false;
        }
        let children = self.session.children(entry.id).unwrap_or_default();
        let mut parameters = children
            .iter()
            .filter(|one| one.tag == gimli::DW_TAG_formal_parameter && !one.flag(gimli::DW_AT_artificial));
        let (first, second) = (parameters.next(), parameters.next());
        let Some(first) = first.filter(|_| second.is_none()) else { return false };
        match self.view(self.type_of(first)).shape {
            Shape::Reference(to) => self.view(to).id.entry == Some(class),
            _ => false,
        }
    }

    /// One that the compiler did not make by itself.
    fn is_destructor(&self, entry: &Entry<'a>) -> bool {
        entry.tag == gimli::DW_TAG_subprogram
            && !entry.flag(gimli::DW_AT_artificial)
            && entry.get(gimli::DW_AT_defaulted).is_none()
            && self.session.name(entry).is_some_and(|name| name.starts_with('~'))
    }
}
