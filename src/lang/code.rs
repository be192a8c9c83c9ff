//! The code of a compiled expression.

use super::arith::UnaryOp;
use super::operator::BinaryOp;
use super::{RegisterName, Span, Type, Value};

/// How many values the machine's stack holds.
pub(super) const STACK: usize = 32;

/// One instruction of the stack machine. Jumps only go forward, so all code ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Op {
    /// Pushes a constant.
    Push(u32),
    /// Pushes a register.
    Register(RegisterName),
    /// Replaces an address by what is there.
    Load(Type),
    /// Converts.
    Cast(Type),
    /// Applies to the top.
    Unary(UnaryOp),
    /// Replaces the top two by one.
    Binary(BinaryOp),
    /// Replaces the top by `int` 1 if it is true, or else 0.
    Truth,
    /// Pops, and jumps if it was false.
    JumpIfFalse(u32),
    /// Pops, and jumps if it was true.
    JumpIfTrue(u32),
    /// Jumps.
    Jump(u32),
    /// Compares the strings at the top two addresses.
    StringsEqual,
    /// Compares the string at the top with a literal.
    EqualsLiteral(u32),
    /// Compares the string object whose address is at the top with a literal.
    ObjectEquals(TextForm, u32),
    /// The length of the string at the top.
    StringLength,
    /// Replaces an object's address by that of its virtual base, whose offset is so many bytes before the address point
    /// of its virtual table.
    VirtualBase(u32),
    /// Pops.
    Drop,
}

/// Where a string object has its text: distances from its start, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TextForm {
    /// A pointer and a length.
    Pair { data: u16, length: u16 },
    /// libc++'s std::string: a pointer and a length, or a text in place. The lowest bit of the byte `flag` tells, and the
    /// others are the length in place; in its alternate layout the highest bit.
    InPlace { data: u16, length: u16, text: u16, flag: u16, layout: InPlaceLayout },
}

/// See [`TextForm::InPlace`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InPlaceLayout {
    Usual,
    Alternate,
}

impl Op {
    /// By how much the stack grows.
    pub(super) fn growth(self) -> isize {
        match self {
            Op::Push(_) | Op::Register(_) => 1,
            Op::Binary(_) | Op::JumpIfFalse(_) | Op::JumpIfTrue(_) | Op::StringsEqual | Op::Drop => -1,
            _ => 0,
        }
    }
}

/// Instructions, with the part of the text that each one comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Code {
    pub(super) ops: Vec<Op>,
    pub(super) spans: Vec<Span>,
    pub(super) constants: Vec<Value>,
    pub(super) texts: Vec<Vec<u8>>,
}
