//! The code of a compiled expression.

use super::arith::UnaryOp;
use super::containers::{Bits, KeyKind, Keyed, Sequence};
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
    /// Fails where the byte so far from the address at the top is 0: an optional holds nothing.
    Engaged(u32),
    /// Replaces a sequence's address by the number of its elements.
    Count(Contained),
    /// Pops a number, and replaces a sequence's address by that of the element, or of a vector of bool by the bit.
    Element(Contained),
    /// Replaces a sequence's address by that of its first or last element, or of a vector of bool by the bit.
    End(Contained, End),
    /// Replaces a sequence's address by where its first element is, or would be.
    Start(Contained),
    /// Replaces a keyed container's address by what is said of a key: a text, or the number that is popped.
    Find(Contained, KeyFrom, Answer),
    /// Pops.
    Drop,
}

/// A container's layout, by its number in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Contained(pub(super) u32);

/// See [`Op::End`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    First,
    Last,
}

/// Where a key is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeyFrom {
    /// The number at the top.
    Stack,
    /// A text of the code's.
    Text(u32),
}

/// What is wanted of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The address of the element that has it.
    Place,
    /// Whether one has it.
    Presence,
}

/// The layout of a container that an instruction is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Container {
    /// Its elements have numbers.
    Sequence(Sequence),
    /// A vector of bool.
    Bits(Bits),
    /// Its elements have keys, of this kind and so far from an element's start.
    Keyed(Keyed, Option<KeyKind>, u64),
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
            Op::Element(_) | Op::Find(_, KeyFrom::Stack, _) => -1,
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
    pub(super) containers: Vec<Container>,
}
