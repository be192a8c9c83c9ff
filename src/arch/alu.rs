//! Integer arithmetic with the CPU's flags (Intel SDM volume 1, 3.4.3). Where the manual leaves a flag undefined, what
//! current CPUs do: checked against an AMD EPYC, all but AF after a shift, which that CPU sets and Intel's clear (here
//! it is cleared), agree.

use super::register::mask;

/// Carry.
pub(super) const CF: u64 = 1;
/// Parity of the low byte.
pub(super) const PF: u64 = 1 << 2;
/// Carry out of bit 3.
pub(super) const AF: u64 = 1 << 4;
/// Zero.
pub(super) const ZF: u64 = 1 << 6;
/// Sign.
pub(super) const SF: u64 = 1 << 7;
/// Overflow.
pub(super) const OF: u64 = 1 << 11;
/// The six that arithmetic sets.
pub(super) const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// An operation of two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binary {
    Add,
    AddCarry,
    Subtract,
    SubtractBorrow,
    And,
    Or,
    Xor,
    /// As Subtract, but keeps the result to itself.
    Compare,
    /// As And, but keeps the result to itself.
    Test,
}

/// An operation of one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unary {
    Increment,
    Decrement,
    Negate,
    Not,
}

/// A shift.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shift {
    Left,
    Right,
    RightSigned,
    RotateLeft,
    RotateRight,
}

/// What happens to the tested bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BitChange {
    Keep,
    Set,
    Reset,
    Complement,
}

/// The condition that setcc, cmovcc and jcc name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    Overflow,
    Below,
    Equal,
    BelowOrEqual,
    Sign,
    Parity,
    Less,
    LessOrEqual,
}

impl Condition {
    #[inline]
    pub(super) fn holds(self, flags: u64) -> bool {
        let less = (flags & SF != 0) != (flags & OF != 0);
        match self {
            Condition::Overflow => flags & OF != 0,
            Condition::Below => flags & CF != 0,
            Condition::Equal => flags & ZF != 0,
            Condition::BelowOrEqual => flags & (CF | ZF) != 0,
            Condition::Sign => flags & SF != 0,
            Condition::Parity => flags & PF != 0,
            Condition::Less => less,
            Condition::LessOrEqual => less || flags & ZF != 0,
        }
    }
}

/// Sign-extends a value of `width` bytes.
#[inline]
pub(super) fn sign_extend(value: u64, width: u8) -> u64 {
    let unused = 64 - 8 * u32::from(width.clamp(1, 8));
    (((value << unused) as i64) >> unused) as u64
}

#[inline]
fn bits(width: u8) -> u32 {
    8 * u32::from(width)
}

#[inline]
fn top_bit(value: u64, width: u8) -> u64 {
    (value >> (bits(width) - 1)) & 1
}

/// `flag` if `on` is 1.
#[inline]
fn flag_if(on: u64, flag: u64) -> u64 {
    on.wrapping_neg() & flag
}

/// SF, ZF and PF of a result.
#[inline]
fn result_flags(result: u64, width: u8) -> u64 {
    let parity = u64::from((result as u8).count_ones() % 2 == 0);
    flag_if(top_bit(result, width), SF) | flag_if(u64::from(result == 0), ZF) | flag_if(parity, PF)
}

#[inline]
fn with(flags: u64, changed: u64, new: u64) -> u64 {
    (flags & !changed) | (new & changed)
}

fn add(a: u64, b: u64, carry: u64, width: u8) -> (u64, u64) {
    let result = a.wrapping_add(b).wrapping_add(carry) & mask(width);
    let carries = (a & b) | ((a | b) & !result);
    let overflow = (a ^ result) & (b ^ result);
    let flags = result_flags(result, width)
        | flag_if(top_bit(carries, width), CF)
        | flag_if((carries >> 3) & 1, AF)
        | flag_if(top_bit(overflow, width), OF);
    (result, flags)
}

fn subtract(a: u64, b: u64, borrow: u64, width: u8) -> (u64, u64) {
    let result = a.wrapping_sub(b).wrapping_sub(borrow) & mask(width);
    let borrows = (!a & b) | ((!a | b) & result);
    let overflow = (a ^ b) & (a ^ result);
    let flags = result_flags(result, width)
        | flag_if(top_bit(borrows, width), CF)
        | flag_if((borrows >> 3) & 1, AF)
        | flag_if(top_bit(overflow, width), OF);
    (result, flags)
}

impl Binary {
    /// Whether the result replaces the first operand.
    #[inline]
    pub(super) fn stores(self) -> bool {
        !matches!(self, Binary::Compare | Binary::Test)
    }

    /// The result and the flags register after it; the operands have no bits beyond `width` bytes.
    #[inline]
    pub(super) fn apply(self, a: u64, b: u64, width: u8, flags: u64) -> (u64, u64) {
        let (result, new) = match self {
            Binary::Add => add(a, b, 0, width),
            Binary::AddCarry => add(a, b, flags & CF, width),
            Binary::Subtract | Binary::Compare => subtract(a, b, 0, width),
            Binary::SubtractBorrow => subtract(a, b, flags & CF, width),
            Binary::And | Binary::Test => (a & b, result_flags(a & b, width)),
            Binary::Or => (a | b, result_flags(a | b, width)),
            Binary::Xor => (a ^ b, result_flags(a ^ b, width)),
        };
        (result, with(flags, STATUS, new))
    }
}

impl Unary {
    #[inline]
    pub(super) fn apply(self, a: u64, width: u8, flags: u64) -> (u64, u64) {
        match self {
            Unary::Increment => {
                let (result, new) = add(a, 1, 0, width);
                (result, with(flags, STATUS & !CF, new))
            }
            Unary::Decrement => {
                let (result, new) = subtract(a, 1, 0, width);
                (result, with(flags, STATUS & !CF, new))
            }
            Unary::Negate => {
                let (result, new) = subtract(0, a, 0, width);
                (result, with(flags, STATUS, new))
            }
            Unary::Not => (!a & mask(width), flags),
        }
    }
}

impl Shift {
    /// `count` as the instruction has it; the CPU takes 5 bits of it, 6 for 64-bit operands.
    pub(super) fn apply(self, a: u64, count: u8, width: u8, flags: u64) -> (u64, u64) {
        let count = u32::from(count) & if width == 8 { 0x3f } else { 0x1f };
        if count == 0 {
            return (a, flags);
        }
        match self {
            Shift::Left => {
                let wide = u128::from(a) << count;
                let result = wide as u64 & mask(width);
                let carry = (wide >> bits(width)) as u64 & 1;
                let overflow = top_bit(result, width) ^ carry;
                (result, with(flags, STATUS, shift_flags(result, width, carry, overflow)))
            }
            Shift::Right => {
                let result = a.checked_shr(count).unwrap_or(0);
                let carry = a.checked_shr(count - 1).unwrap_or(0) & 1;
                let overflow = top_bit(result, width) ^ top_bit(result << 1, width);
                (result, with(flags, STATUS, shift_flags(result, width, carry, overflow)))
            }
            Shift::RightSigned => {
                let signed = sign_extend(a, width) as i64;
                let result = (signed >> count) as u64 & mask(width);
                let carry = (signed >> (count - 1)) as u64 & 1;
                (result, with(flags, STATUS, shift_flags(result, width, carry, 0)))
            }
            Shift::RotateLeft => {
                let result = rotate_left(a, count % bits(width), width);
                let carry = result & 1;
                let overflow = top_bit(result, width) ^ carry;
                (result, with(flags, CF | OF, flag_if(carry, CF) | flag_if(overflow, OF)))
            }
            Shift::RotateRight => {
                let result = rotate_left(a, (bits(width) - count % bits(width)) % bits(width), width);
                let carry = top_bit(result, width);
                let overflow = carry ^ top_bit(result << 1, width);
                (result, with(flags, CF | OF, flag_if(carry, CF) | flag_if(overflow, OF)))
            }
        }
    }
}

fn shift_flags(result: u64, width: u8, carry: u64, overflow: u64) -> u64 {
    result_flags(result, width) | flag_if(carry, CF) | flag_if(overflow, OF)
}

/// `count` is less than the width in bits.
fn rotate_left(a: u64, count: u32, width: u8) -> u64 {
    if count == 0 {
        a
    } else {
        ((a << count) | (a >> (bits(width) - count))) & mask(width)
    }
}

impl BitChange {
    /// CF becomes the bit; the others stay.
    #[inline]
    pub(super) fn apply(self, a: u64, index: u64, width: u8, flags: u64) -> (u64, u64) {
        let bit = 1u64 << (index & u64::from(bits(width) - 1));
        let result = match self {
            BitChange::Keep => a,
            BitChange::Set => a | bit,
            BitChange::Reset => a & !bit,
            BitChange::Complement => a ^ bit,
        };
        (result, with(flags, CF, u64::from(a & bit != 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(outcome: (u64, u64)) -> (u64, u64) {
        (outcome.0, outcome.1 & STATUS)
    }

    #[test]
    fn addition_and_subtraction_set_all_six_flags() {
        assert_eq!(status(Binary::Add.apply(0xff, 1, 1, 0)), (0, CF | PF | AF | ZF));
        assert_eq!(status(Binary::Add.apply(0x7f, 1, 1, 0)), (0x80, AF | SF | OF));
        assert_eq!(status(Binary::AddCarry.apply(u64::MAX, 0, 8, CF)), (0, CF | PF | AF | ZF));
        assert_eq!(status(Binary::AddCarry.apply(u64::MAX, u64::MAX, 8, CF)), (u64::MAX, CF | PF | AF | SF));
        assert_eq!(status(Binary::Subtract.apply(0, 1, 4, 0)), (0xffff_ffff, CF | PF | AF | SF));
        assert_eq!(status(Binary::Subtract.apply(0x8000_0000, 1, 4, 0)), (0x7fff_ffff, PF | AF | OF));
        assert_eq!(status(Binary::SubtractBorrow.apply(5, 5, 8, CF)), (u64::MAX, CF | PF | AF | SF));
        assert_eq!(status(Binary::Compare.apply(5, 5, 8, OF | CF)), (0, PF | ZF));
    }

    #[test]
    fn logic_clears_carry_and_overflow() {
        assert_eq!(status(Binary::Test.apply(0x80, 0xff, 1, STATUS)), (0x80, SF));
        assert_eq!(status(Binary::Xor.apply(7, 7, 8, STATUS)), (0, PF | ZF));
    }

    #[test]
    fn increments_keep_the_carry_and_other_bits_stay() {
        assert_eq!(Unary::Increment.apply(0xffff, 2, CF | 0x202), (0, CF | PF | AF | ZF | 0x202));
        assert_eq!(Unary::Decrement.apply(0x80, 1, 0x202), (0x7f, AF | OF | 0x202));
        assert_eq!(Unary::Negate.apply(0, 8, CF), (0, PF | ZF));
        assert_eq!(status(Unary::Negate.apply(1 << 63, 8, 0)), (1 << 63, CF | PF | SF | OF));
        assert_eq!(Unary::Not.apply(0x0f, 1, STATUS), (0xf0, STATUS));
    }

    #[test]
    fn shifts_take_the_last_bit_out_as_carry() {
        assert_eq!(status(Shift::Left.apply(0x81, 1, 1, 0)), (2, CF | OF));
        assert_eq!(status(Shift::Left.apply(1, 63, 8, 0)), (1 << 63, PF | SF | OF));
        assert_eq!(status(Shift::Right.apply(0x81, 1, 1, 0)), (0x40, CF | OF));
        assert_eq!(status(Shift::RightSigned.apply(0x8000_0001, 1, 4, 0)), (0xc000_0000, CF | PF | SF));
        assert_eq!(status(Shift::RightSigned.apply(0x80, 31, 1, 0)), (0xff, CF | PF | SF));
        assert_eq!(Shift::Left.apply(3, 32, 4, STATUS), (3, STATUS));
        assert_eq!(Shift::RotateLeft.apply(0x8000_0001, 1, 4, SF), (3, SF | CF | OF));
        assert_eq!(Shift::RotateRight.apply(1, 1, 8, 0), (1 << 63, CF | OF));
    }

    #[test]
    fn conditions_read_the_flags() {
        assert!(Condition::Less.holds(SF) && !Condition::Less.holds(SF | OF));
        assert!(Condition::LessOrEqual.holds(ZF) && Condition::BelowOrEqual.holds(CF));
        assert_eq!(BitChange::Keep.apply(4, 34, 4, 0), (4, CF));
        assert_eq!(BitChange::Reset.apply(4, 2, 8, 0), (0, CF));
    }
}
