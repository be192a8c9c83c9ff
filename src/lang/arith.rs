//! C's operators on values: the same function decides types for the compiler and for the machine.

use super::operator::BinaryOp;
use super::{Fault, Type, Value};

/// The unary operators on values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub(super) enum UnaryOp {
    Plus,
    Negate,
    Invert,
    Not,
}

impl BinaryOp {
    /// The type of the result. Bit operations and comparisons take addresses for `unsigned long`.
    pub(super) fn result(self, left: Type, right: Type) -> Result<Type, Fault> {
        use BinaryOp::*;
        let refuse = Fault::Operands { operator: self.text(), left, right };
        if matches!(self, Add | Sub) && (left.is_address() || right.is_address()) {
            return self.address_result(left, right).ok_or(refuse)?;
        }
        let bitwise = matches!(self, And | Or | Xor | Rem | Shl | Shr);
        let operand = |ty: Type| {
            let as_number = ty.is_address() && (bitwise || self.is_comparison());
            if as_number {
                Type::ULONG
            } else {
                ty
            }
        };
        let (a, b) = (operand(left), operand(right));
        let Some(common) = a.common(b) else { return Err(refuse) };
        if (bitwise && common.is_float()) || (left.is_address() && b.is_float()) || (right.is_address() && a.is_float())
        {
            return Err(refuse);
        }
        Ok(match self {
            _ if self.is_comparison() => Type::INT,
            Shl | Shr => a.promoted(),
            _ => common,
        })
    }

    /// Of `+` and `-` where one side at least is an address; `None` if they do not go together.
    fn address_result(self, left: Type, right: Type) -> Option<Result<Type, Fault>> {
        if left.is_address() && right.is_integer() {
            return Some(Ok(left));
        }
        if self == BinaryOp::Add {
            return (left.is_integer() && right.is_address()).then_some(Ok(right));
        }
        if !left.is_address() || !right.is_address() {
            return None;
        }
        Some(if left.stride() == right.stride() { Ok(Type::LONG) } else { Err(Fault::PointerDifference) })
    }

    /// Computes.
    pub(super) fn apply(self, left: Value, right: Value) -> Result<Value, Fault> {
        let (a, b) = (left.ty(), right.ty());
        let ty = self.result(a, b)?;
        if matches!(self, BinaryOp::Add | BinaryOp::Sub) {
            match (a.stride(), b.stride()) {
                (Some(size), Some(_)) => {
                    return Ok(Value::long((left.bits().wrapping_sub(right.bits()) as i64) / size as i64));
                }
                (Some(size), None) => {
                    let step = right.bits().wrapping_mul(size);
                    let moved = if self == BinaryOp::Add {
                        left.bits().wrapping_add(step)
                    } else {
                        left.bits().wrapping_sub(step)
                    };
                    return Ok(Value::from_raw(moved, ty));
                }
                (None, Some(size)) => {
                    let step = left.bits().wrapping_mul(size);
                    return Ok(Value::from_raw(right.bits().wrapping_add(step), ty));
                }
                (None, None) => {}
            }
        }
        if matches!(self, BinaryOp::Shl | BinaryOp::Shr) {
            return self.shift(left.convert(ty)?, right);
        }
        let common = if a.is_address() || b.is_address() { Some(Type::ULONG) } else { a.common(b) };
        let common = common.ok_or(Fault::BadCode)?;
        let (left, right) = (left.convert(common)?, right.convert(common)?);
        if common.is_float() {
            return Ok(self.floats(left.as_f64(), right.as_f64(), common));
        }
        self.integers(left, right, common)
    }

    /// On two floats that were converted to `ty`.
    fn floats(self, a: f64, b: f64, ty: Type) -> Value {
        use BinaryOp::*;
        let truth = |holds: bool| Value::int(i32::from(holds));
        let number = |value: f64| Value::from_f64(value, ty);
        match self {
            Mul => number(a * b),
            Div => number(a / b),
            Add => number(a + b),
            Sub => number(a - b),
            Lt => truth(a < b),
            Gt => truth(a > b),
            Le => truth(a <= b),
            Ge => truth(a >= b),
            Ne => truth(a != b),
            // The others do not apply to floats, as `result` has made sure.
            _ => truth(a == b),
        }
    }

    /// On two integers that were converted to `ty`.
    fn integers(self, left: Value, right: Value, ty: Type) -> Result<Value, Fault> {
        use BinaryOp::*;
        let (a, b) = (left.bits(), right.bits());
        let (sa, sb) = (a as i64, b as i64);
        let order = if ty.is_signed() { sa.cmp(&sb) } else { a.cmp(&b) };
        let truth = |holds: bool| Ok(Value::int(i32::from(holds)));
        let signed = ty.is_signed();
        let bits = match self {
            Lt => return truth(order.is_lt()),
            Gt => return truth(order.is_gt()),
            Le => return truth(order.is_le()),
            Ge => return truth(order.is_ge()),
            Eq => return truth(order.is_eq()),
            Ne => return truth(order.is_ne()),
            Div | Rem if b == 0 => return Err(Fault::DivisionByZero),
            Div if signed => sa.wrapping_div(sb) as u64,
            Rem if signed => sa.wrapping_rem(sb) as u64,
            Div => a / b,
            Rem => a % b,
            Mul => a.wrapping_mul(b),
            Add => a.wrapping_add(b),
            Sub => a.wrapping_sub(b),
            And => a & b,
            Xor => a ^ b,
            Or => a | b,
            Shl | Shr => return Err(Fault::BadCode),
        };
        Ok(Value::from_raw(bits, ty))
    }

    /// Shifts by the width and more leave nothing, or only the sign.
    fn shift(self, value: Value, by: Value) -> Result<Value, Fault> {
        if by.ty().is_signed() && by.as_i64() < 0 {
            return Err(Fault::NegativeShift);
        }
        let ty = value.ty();
        let count = by.bits();
        let inside = count < 8 * ty.size() as u64;
        let bits = match self {
            BinaryOp::Shl if inside => value.bits() << count,
            BinaryOp::Shr if ty.is_signed() => (value.bits() as i64 >> count.min(63)) as u64,
            BinaryOp::Shr if inside => value.bits() >> count,
            _ => 0,
        };
        Ok(Value::from_raw(bits, ty))
    }
}

impl UnaryOp {
    /// The operator that is written so.
    pub(super) fn parse(text: &str) -> Option<UnaryOp> {
        Some(match text {
            "+" => UnaryOp::Plus,
            "-" => UnaryOp::Negate,
            "~" => UnaryOp::Invert,
            "!" => UnaryOp::Not,
            _ => return None,
        })
    }

    fn text(self) -> &'static str {
        match self {
            UnaryOp::Plus => "+",
            UnaryOp::Negate => "-",
            UnaryOp::Invert => "~",
            UnaryOp::Not => "!",
        }
    }

    /// The type of the result.
    pub(super) fn result(self, operand: Type) -> Result<Type, Fault> {
        let applies = match self {
            UnaryOp::Not => operand != Type::VOID,
            UnaryOp::Invert => operand.is_integer() || operand.is_address(),
            UnaryOp::Plus | UnaryOp::Negate => operand.is_integer() || operand.is_float(),
        };
        if !applies {
            return Err(Fault::Operand { operator: self.text(), operand });
        }
        Ok(match self {
            UnaryOp::Not => Type::INT,
            _ if operand.is_address() => Type::ULONG,
            _ => operand.promoted(),
        })
    }

    /// Computes.
    pub(super) fn apply(self, value: Value) -> Result<Value, Fault> {
        let ty = self.result(value.ty())?;
        if self == UnaryOp::Not {
            return Ok(Value::int(i32::from(!value.is_true())));
        }
        let value = value.convert(ty)?;
        Ok(match self {
            UnaryOp::Negate if ty.is_float() => Value::from_f64(-value.as_f64(), ty),
            UnaryOp::Negate => Value::from_raw(value.bits().wrapping_neg(), ty),
            UnaryOp::Invert => Value::from_raw(!value.bits(), ty),
            _ => value,
        })
    }
}

/// The type of `c ? left : right`.
pub(super) fn conditional(left: Type, right: Type) -> Result<Type, Fault> {
    if left == right {
        return Ok(left);
    }
    if let Some(common) = left.common(right) {
        return Ok(common);
    }
    match (left.is_address(), right.is_address()) {
        (true, true) => Ok(if right == Type::VOID_POINTER { left } else { right }),
        (true, false) if right.is_integer() => Ok(left),
        (false, true) if left.is_integer() => Ok(right),
        _ => Err(Fault::Operands { operator: "?:", left, right }),
    }
}
