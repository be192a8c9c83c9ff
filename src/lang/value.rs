//! A typed value of 64 bits.

use crate::base::VirtAddr;

use super::{Fault, Scalar, Type};

/// A value and its type. Integers narrower than 64 bits are held extended by their sign or by zeros; `float` is held as
/// the `double` of the same value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    bits: u64,
    ty: Type,
}

impl Value {
    /// The value that `raw`, a register's or memory's little-endian bits, means in that type; higher bits are dropped.
    pub fn from_raw(raw: u64, ty: Type) -> Value {
        match ty.as_scalar() {
            Some(Scalar::Float) => Value::from_f64(f64::from(f32::from_bits(raw as u32)), ty),
            Some(Scalar::Void) => Value { bits: 0, ty },
            _ => Value { bits: extend(raw, ty), ty },
        }
    }

    /// The bits to store in a register or in memory, in the low [`Type::size`] bytes; the others are 0.
    pub fn to_raw(self) -> u64 {
        match self.ty.as_scalar() {
            Some(Scalar::Float) => u64::from((self.as_f64() as f32).to_bits()),
            _ => self.bits & mask(self.ty.size()),
        }
    }

    /// An `int`.
    pub fn int(value: i32) -> Value {
        Value { bits: value as i64 as u64, ty: Type::INT }
    }

    /// A `long`.
    pub fn long(value: i64) -> Value {
        Value { bits: value as u64, ty: Type::LONG }
    }

    /// A function, or any place in the code.
    pub fn code(at: VirtAddr) -> Value {
        Value { bits: at.0, ty: Type::CODE }
    }

    /// A `double`.
    pub fn double(value: f64) -> Value {
        Value::from_f64(value, Type::DOUBLE)
    }

    /// A `float` or `double`, rounded to it.
    pub(super) fn from_f64(value: f64, ty: Type) -> Value {
        let rounded = if ty == Type::FLOAT { f64::from(value as f32) } else { value };
        Value { bits: rounded.to_bits(), ty }
    }

    /// Its type.
    pub fn ty(self) -> Type {
        self.ty
    }

    /// An integer or an address, extended to 64 bits; of a `float` or `double` the bits of the `double`.
    pub fn bits(self) -> u64 {
        self.bits
    }

    /// The value as an integer: a float is truncated towards 0, as C does.
    pub fn as_i64(self) -> i64 {
        if self.ty.is_float() {
            f64::from_bits(self.bits) as i64
        } else {
            self.bits as i64
        }
    }

    /// The value as an address.
    pub fn as_addr(self) -> VirtAddr {
        VirtAddr(self.as_i64() as u64)
    }

    /// The value as a double.
    pub fn as_f64(self) -> f64 {
        if self.ty.is_float() {
            f64::from_bits(self.bits)
        } else if self.ty.is_signed() {
            self.bits as i64 as f64
        } else {
            self.bits as f64
        }
    }

    /// Whether a condition of this value holds: it is not 0.
    pub fn is_true(self) -> bool {
        if self.ty.is_float() {
            self.as_f64() != 0.0
        } else {
            self.bits != 0
        }
    }

    /// C's conversion to `ty`, which a cast asks for.
    pub fn convert(self, ty: Type) -> Result<Value, Fault> {
        let from = self.ty;
        convertible(from, ty)?;
        Ok(if ty == Type::VOID {
            Value { bits: 0, ty }
        } else if ty == Type::BOOL {
            Value { bits: u64::from(self.is_true()), ty }
        } else if ty.is_float() {
            Value::from_f64(self.as_f64(), ty)
        } else if from.is_float() && !ty.is_signed() && self.as_f64() >= 0.0 {
            Value { bits: extend(self.as_f64() as u64, ty), ty }
        } else {
            Value { bits: extend(self.as_i64() as u64, ty), ty }
        })
    }
}

/// Whether C can convert between the types: everything becomes `void`, `void` nothing, and floats are no addresses.
pub(super) fn convertible(from: Type, to: Type) -> Result<(), Fault> {
    let mixed = (from.is_float() && to.is_address()) || (from.is_address() && to.is_float());
    let opaque = from.is_opaque() || to.is_opaque();
    if mixed || opaque || (from == Type::VOID && to != Type::VOID) {
        return Err(Fault::Conversion { from, to });
    }
    Ok(())
}

/// The low `bytes` bytes.
pub(super) fn mask(bytes: usize) -> u64 {
    if bytes >= 8 {
        u64::MAX
    } else {
        (1 << (bytes * 8)) - 1
    }
}

/// The low bytes of `raw` that the type has, extended to 64 bits by its sign.
fn extend(raw: u64, ty: Type) -> u64 {
    let unused = 64 - 8 * ty.size().clamp(1, 8) as u32;
    if ty.is_signed() {
        (((raw << unused) as i64) >> unused) as u64
    } else {
        (raw << unused) >> unused
    }
}
