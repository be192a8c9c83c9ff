//! Arguments as a function's parameters want them.

use crate::arch::{CallOperand, FloatWidth, ParameterClass};
use crate::base::{MemError, ReadMem, VirtAddr};
use crate::binary::dwarf::{Encoding, Parameter, Passed, Shape, TypeId, Types};
use crate::lang::debug::arithmetic_type;
use crate::lang::typed::Held;
use crate::lang::{CallArgument, Type, Value};

/// The most bytes of a record that are passed by value.
const RECORD_LIMIT: u64 = 4096;

/// How well an argument fits a parameter: the less the better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Distance(pub u32);

impl Distance {
    const SAME: Distance = Distance(0);
    const PROMOTED: Distance = Distance(1);
    const CONVERTED: Distance = Distance(3);
    const FORCED: Distance = Distance(8);
}

/// An argument that fits: how well, and what is passed; `None`: it takes no place.
pub(super) type Fitting = (Distance, Option<CallOperand>);

/// The types of a parameter and of the argument for it, each with those of its own module.
pub(super) struct Fit<'t, 'a> {
    pub(super) types: &'t Types<'a>,
    /// Of the argument, where it has a described type.
    pub(super) argument_types: Option<&'t Types<'a>>,
    pub(super) memory: &'t dyn ReadMem,
}

impl Fit<'_, '_> {
    /// Converts an argument. The error says what does not fit.
    pub(super) fn convert(&self, parameter: &Parameter, argument: &CallArgument) -> Result<Fitting, String> {
        let view = self.types.view(parameter.ty);
        let refuse = || format!("{} is no {}", self.describe(argument), self.types.name(parameter.ty));
        match (&view.shape, argument) {
            (Shape::Base(_) | Shape::Enumeration(_), CallArgument::Number { value, ty, .. }) => {
                self.number(parameter, *value, ty.map(|one| one.id)).ok_or_else(refuse)
            }
            (Shape::Pointer(to), CallArgument::Text(text)) => {
                let to = self.types.view(*to);
                let is_narrow = to.size == 1 && matches!(to.shape, Shape::Base(_)) || to.shape == Shape::Void;
                let terminated = text.iter().copied().chain([0]).collect();
                is_narrow.then_some((Distance::SAME, Some(CallOperand::AddressOf(terminated)))).ok_or_else(refuse)
            }
            (Shape::Pointer(to), CallArgument::Number { value, ty, .. }) if !value.ty().is_float() => {
                let (distance, offset) = self.pointer(*to, *value, ty.map(|one| one.id));
                let at = if value.bits() == 0 { 0 } else { value.bits().wrapping_add(offset) };
                Ok((distance, Some(word(at))))
            }
            (Shape::Reference(to), _) => self.reference(*to, argument).ok_or_else(refuse),
            (Shape::Record | Shape::Union | Shape::Incomplete, CallArgument::Object { value, .. }) => {
                if !self.is_named(parameter.ty, value.ty) {
                    return Err(refuse());
                }
                if parameter.passed == Passed::ByReference {
                    let name = self.types.name(parameter.ty);
                    return Err(format!("{name} is passed as a copy that only its own constructor can make"));
                }
                let Some(class) = parameter.class else { return Ok((Distance::SAME, None)) };
                let bytes = self.bytes(&value.place, view.size).map_err(|error| error.to_string())?;
                Ok((Distance::SAME, Some(CallOperand::Value { class, bytes })))
            }
            _ => Err(refuse()),
        }
    }

    fn number(&self, parameter: &Parameter, value: Value, own: Option<TypeId>) -> Option<Fitting> {
        let wanted = arithmetic_type(self.types, parameter.ty);
        if wanted.is_opaque() {
            return None;
        }
        let view = self.types.view(parameter.ty);
        let is_enum = |types: &Types<'_>, id: TypeId| matches!(types.view(id).shape, Shape::Enumeration(_));
        let from_enum = own.zip(self.argument_types).is_some_and(|(id, types)| is_enum(types, id));
        let distance = match (value.ty().is_float(), wanted.is_float()) {
            _ if value.ty().is_pointer() => match view.shape {
                Shape::Base(Encoding::Boolean) => Distance::FORCED,
                _ => return None,
            },
            _ if is_enum(self.types, parameter.ty) => match own {
                Some(own) if from_enum && self.is_named(parameter.ty, own) => Distance::SAME,
                Some(_) if from_enum => return None,
                _ => Distance::FORCED,
            },
            _ if value.ty() == wanted && !from_enum => Distance::SAME,
            (true, true) => Distance::PROMOTED,
            (false, false) if wanted.size() >= value.ty().size() && wanted != Type::BOOL => Distance::PROMOTED,
            _ => Distance::CONVERTED,
        };
        let value = value.convert(wanted).ok()?;
        // Integers are extended to the whole register, as callers do.
        let bytes = if wanted.is_float() { value.to_raw() } else { value.bits() };
        let class = parameter.class?;
        Some((distance, Some(CallOperand::Value { class, bytes: bytes.to_le_bytes().to_vec() })))
    }

    /// How well a pointer fits a parameter that points to `to`, and how many bytes into its object the base class is.
    fn pointer(&self, to: TypeId, value: Value, own: Option<TypeId>) -> (Distance, u64) {
        let own_target = own.zip(self.argument_types).and_then(|(id, types)| match types.view(id).shape {
            Shape::Pointer(to) => Some((to, types)),
            _ => None,
        });
        let wanted = self.types.view(to);
        if let Some((target, types)) = own_target {
            if self.is_named(to, target) {
                return (Distance::SAME, 0);
            }
            if let Some(offset) = self.base_offset(types, target, to) {
                return (Distance::PROMOTED, offset);
            }
        }
        match wanted.shape {
            Shape::Void => (Distance::PROMOTED, 0),
            Shape::Function if value.ty() == Type::CODE => (Distance::SAME, 0),
            _ if value.bits() == 0 => (Distance::CONVERTED, 0),
            _ => (Distance::FORCED, 0),
        }
    }

    fn reference(&self, to: TypeId, argument: &CallArgument) -> Option<Fitting> {
        let to_view = self.types.view(to);
        match argument {
            CallArgument::Object { value, .. } => {
                let argument_types = self.argument_types?;
                let offset = match self.is_named(to, value.ty) {
                    true => 0,
                    false => self.base_offset(argument_types, value.ty, to)?,
                };
                let distance = if offset == 0 { Distance::SAME } else { Distance::PROMOTED };
                let operand = match &value.place {
                    Held::Memory(at) => word(at.0.wrapping_add(offset)),
                    Held::Bytes(bytes) => CallOperand::AddressOf(bytes.get(offset as usize..)?.to_vec()),
                    _ => return None,
                };
                Some((distance, Some(operand)))
            }
            CallArgument::Number { value, place, .. } => {
                let wanted = arithmetic_type(self.types, to);
                if wanted.is_opaque()
                    || !matches!(to_view.shape, Shape::Base(_) | Shape::Enumeration(_) | Shape::Pointer(_))
                {
                    return None;
                }
                if let Some(at) = place.filter(|_| value.ty() == wanted) {
                    return Some((Distance::SAME, Some(word(at.0))));
                }
                let raw = value.convert(wanted).ok()?.to_raw().to_le_bytes();
                let bytes = raw.get(..wanted.size())?.to_vec();
                Some((Distance::CONVERTED, Some(CallOperand::AddressOf(bytes))))
            }
            CallArgument::Text(_) => None,
        }
    }

    fn base_offset(&self, argument_types: &Types<'_>, derived: TypeId, base: TypeId) -> Option<u64> {
        // A base is known by its name, in the argument's own types.
        argument_types.base_offset(derived, &self.types.name(self.types.unqualified(base)))
    }

    /// Whether a type of the argument's module is called as one of the parameter's.
    fn is_named(&self, wanted: TypeId, own: TypeId) -> bool {
        let Some(argument_types) = self.argument_types else { return false };
        let wanted = self.types.name(self.types.unqualified(wanted));
        wanted == argument_types.name(argument_types.unqualified(own))
    }

    fn bytes(&self, place: &Held, size: u64) -> Result<Vec<u8>, MemError> {
        let size = size.min(RECORD_LIMIT) as usize;
        let mut bytes = vec![0; size];
        match place {
            Held::Memory(at) => self.memory.read_exact(*at, &mut bytes)?,
            Held::Bytes(own) => {
                let count = own.len().min(size);
                bytes[..count].copy_from_slice(&own[..count]);
            }
            _ => return Err(MemError::Unmapped(VirtAddr(0))),
        }
        Ok(bytes)
    }

    pub(super) fn describe(&self, argument: &CallArgument) -> String {
        let named = |id: TypeId| self.argument_types.map(|types| types.name(id));
        match argument {
            CallArgument::Text(_) => "a string literal".to_owned(),
            CallArgument::Object { value, .. } => named(value.ty).unwrap_or_else(|| "an object".to_owned()),
            CallArgument::Number { value, ty, .. } => {
                ty.and_then(|ty| named(ty.id)).unwrap_or_else(|| value.ty().to_string())
            }
        }
    }
}

/// An argument for which no parameter is described. The error says what cannot be passed so.
pub(super) fn convert_plain(argument: &CallArgument) -> Result<CallOperand, String> {
    match argument {
        CallArgument::Text(text) => Ok(CallOperand::AddressOf(text.iter().copied().chain([0]).collect())),
        CallArgument::Number { value, .. } if value.ty().is_float() => {
            let class = ParameterClass::Sse { width: FloatWidth::Double };
            Ok(CallOperand::Value { class, bytes: value.as_f64().to_le_bytes().to_vec() })
        }
        CallArgument::Number { value, .. } => Ok(word(value.bits())),
        CallArgument::Object { .. } => {
            Err("an object can be passed only where the parameters are described".to_owned())
        }
    }
}

pub(super) fn word(value: u64) -> CallOperand {
    CallOperand::Value { class: ParameterClass::Integer, bytes: value.to_le_bytes().to_vec() }
}
