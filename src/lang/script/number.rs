//! Arithmetic on 64-bit numbers, as the checker folds it and the machine does it.

use super::types::Sign;
use crate::lang::operator::BinaryOp;

/// A number cut to so many bytes, and extended again by its sign.
pub fn narrow(value: u64, bytes: u8, sign: Sign) -> u64 {
    let unused = 64 - 8 * u32::from(bytes.clamp(1, 8));
    match sign {
        Sign::Signed => (((value << unused) as i64) >> unused) as u64,
        Sign::Unsigned => (value << unused) >> unused,
    }
}

/// Some bits of a number, extended by the sign.
pub fn bits(value: u64, first: u8, width: u8, sign: Sign) -> u64 {
    if width == 0 {
        return 0;
    }
    let up = 64u32.saturating_sub(u32::from(first) + u32::from(width));
    let down = 64 - u32::from(width.min(64));
    match sign {
        Sign::Signed => (((value << up) as i64) >> down) as u64,
        Sign::Unsigned => (value << up) >> down,
    }
}

/// Computes; `None` for a division by zero.
pub fn apply(op: BinaryOp, sign: Sign, a: u64, b: u64) -> Option<u64> {
    use BinaryOp::*;
    let signed = sign == Sign::Signed;
    let (x, y) = (a as i64, b as i64);
    let order = if signed { x.cmp(&y) } else { a.cmp(&b) };
    let inside = b < 64;
    Some(match op {
        Mul => a.wrapping_mul(b),
        Div | Rem if b == 0 => return None,
        Div if signed => x.wrapping_div(y) as u64,
        Rem if signed => x.wrapping_rem(y) as u64,
        Div => a / b,
        Rem => a % b,
        Add => a.wrapping_add(b),
        Sub => a.wrapping_sub(b),
        Shl => {
            if inside {
                a << b
            } else {
                0
            }
        }
        Shr if signed => (x >> b.min(63)) as u64,
        Shr => {
            if inside {
                a >> b
            } else {
                0
            }
        }
        Lt => u64::from(order.is_lt()),
        Gt => u64::from(order.is_gt()),
        Le => u64::from(order.is_le()),
        Ge => u64::from(order.is_ge()),
        Eq => u64::from(a == b),
        Ne => u64::from(a != b),
        And => a & b,
        Xor => a ^ b,
        Or => a | b,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_decides_orders_divisions_and_shifts() {
        let minus = (-4i64) as u64;
        assert_eq!(apply(BinaryOp::Lt, Sign::Signed, minus, 1), Some(1));
        assert_eq!(apply(BinaryOp::Lt, Sign::Unsigned, minus, 1), Some(0));
        assert_eq!(apply(BinaryOp::Div, Sign::Signed, minus, 2), Some((-2i64) as u64));
        assert_eq!(apply(BinaryOp::Shr, Sign::Signed, minus, 70), Some(u64::MAX));
        assert_eq!(
            (apply(BinaryOp::Div, Sign::Signed, 1, 0), apply(BinaryOp::Shl, Sign::Unsigned, 1, 64)),
            (None, Some(0))
        );
        assert_eq!(apply(BinaryOp::Rem, Sign::Signed, i64::MIN as u64, u64::MAX), Some(0));
    }

    #[test]
    fn narrowing_extends_by_the_sign() {
        assert_eq!(narrow(0xff, 1, Sign::Signed), u64::MAX);
        assert_eq!(narrow(0x1_ff, 1, Sign::Unsigned), 0xff);
        assert_eq!(bits(0b1011_0000, 4, 3, Sign::Unsigned), 3);
        assert_eq!(bits(0b0100_0000, 4, 3, Sign::Signed), (-4i64) as u64);
    }
}
