//! Where the System V calling convention (AMD64 psABI 3.2.3) puts arguments.

use crate::base::Regs;

/// The size of what one SSE parameter holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FloatWidth {
    /// `float`, 4 bytes.
    Single,
    /// `double`, 8 bytes.
    Double,
    /// `__float128` or a 16-byte vector.
    Quad,
    /// A vector of 32 or 64 bytes, as a whole in one ymm or zmm register.
    Vector(u8),
}

/// How the psABI classifies one parameter. A C++ object with a non-trivial copy or destructor is passed by the address
/// of a copy, and so is [`ParameterClass::Integer`]; so is the hidden first one of a function that returns in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParameterClass {
    /// An integer, pointer, bool, enumeration or reference; an aggregate of at most 8 bytes with an integer in it.
    Integer,
    /// A floating-point value or an aggregate of at most 8 bytes that holds nothing else.
    Sse {
        /// Its size.
        width: FloatWidth,
    },
    /// An aggregate of 9 to 16 bytes, an integer in each half; `__int128`.
    IntegerPair,
    /// An aggregate of 9 to 16 bytes, floating-point in both halves.
    SsePair,
    /// An aggregate whose first eight bytes are integer, and the rest floating-point.
    IntegerThenSse,
    /// An aggregate whose first eight bytes are floating-point, and the rest integer.
    SseThenInteger,
    /// `long double`: on the stack, 16 bytes, aligned to 16.
    X87,
    /// A by-value aggregate on the stack.
    Memory {
        /// Its size in bytes.
        size: u32,
    },
}

/// The index of an argument register: rdi, rsi, rdx, rcx, r8, r9.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntegerRegister(pub u8);

/// The index of an argument register: xmm0 to xmm7.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SseRegister(pub u8);

/// Where an argument is when the function is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgumentPlace {
    /// In one integer register.
    Integer(IntegerRegister),
    /// In the low bytes of one xmm register; a vector that is wider, in the ymm or zmm register of that index.
    Sse(SseRegister),
    /// The low and the high eight bytes.
    IntegerPair(IntegerRegister, IntegerRegister),
    /// The low and the high eight bytes.
    SsePair(SseRegister, SseRegister),
    /// The low eight bytes in an integer register, the rest in an xmm register.
    IntegerThenSse(IntegerRegister, SseRegister),
    /// The low eight bytes in an xmm register, the rest in an integer register.
    SseThenInteger(SseRegister, IntegerRegister),
    /// In the caller's frame.
    Stack {
        /// Bytes from rsp as it is at the function's first instruction, where the return address is at 0.
        offset: u64,
    },
}

const INTEGER_REGISTERS: u8 = 6;
const SSE_REGISTERS: u8 = 8;

/// What has been given out so far.
struct Allocation {
    integers: u8,
    floats: u8,
    stack: u64,
}

impl Allocation {
    /// `integers` and `floats` more registers, all or none: their first indices.
    fn take(&mut self, integers: u8, floats: u8) -> Option<(u8, u8)> {
        let first = (self.integers, self.floats);
        if first.0 + integers > INTEGER_REGISTERS || first.1 + floats > SSE_REGISTERS {
            return None;
        }
        self.integers += integers;
        self.floats += floats;
        Some(first)
    }

    fn push(&mut self, size: u64, alignment: u64) -> ArgumentPlace {
        // The caller aligns rsp + 8 to 16 at entry, so alignment counts from the first argument.
        let start = (self.stack - 8).next_multiple_of(alignment) + 8;
        self.stack = start + size.next_multiple_of(8);
        ArgumentPlace::Stack { offset: start }
    }

    fn place(&mut self, class: ParameterClass) -> ArgumentPlace {
        let (integer, sse) = (IntegerRegister, SseRegister);
        let registers = match class {
            ParameterClass::Integer => self.take(1, 0).map(|(i, _)| ArgumentPlace::Integer(integer(i))),
            ParameterClass::Sse { .. } => self.take(0, 1).map(|(_, f)| ArgumentPlace::Sse(sse(f))),
            ParameterClass::IntegerPair => {
                self.take(2, 0).map(|(i, _)| ArgumentPlace::IntegerPair(integer(i), integer(i + 1)))
            }
            ParameterClass::SsePair => self.take(0, 2).map(|(_, f)| ArgumentPlace::SsePair(sse(f), sse(f + 1))),
            ParameterClass::IntegerThenSse => {
                self.take(1, 1).map(|(i, f)| ArgumentPlace::IntegerThenSse(integer(i), sse(f)))
            }
            ParameterClass::SseThenInteger => {
                self.take(1, 1).map(|(i, f)| ArgumentPlace::SseThenInteger(sse(f), integer(i)))
            }
            ParameterClass::X87 | ParameterClass::Memory { .. } => None,
        };
        registers.unwrap_or_else(|| match class {
            ParameterClass::Integer => self.push(8, 8),
            ParameterClass::Sse { width: FloatWidth::Single | FloatWidth::Double } => self.push(8, 8),
            ParameterClass::Sse { width: FloatWidth::Quad } | ParameterClass::X87 => self.push(16, 16),
            ParameterClass::Sse { width: FloatWidth::Vector(bytes) } => self.push(bytes.into(), bytes.into()),
            ParameterClass::Memory { size } => self.push(u64::from(size), 8),
            ParameterClass::IntegerPair
            | ParameterClass::SsePair
            | ParameterClass::IntegerThenSse
            | ParameterClass::SseThenInteger => self.push(16, 8),
        })
    }
}

/// The place of each argument, in order. An aggregate for which too few registers are left goes wholly to the stack,
/// and leaves them to the parameters after it.
pub fn place_arguments(classes: &[ParameterClass]) -> Vec<ArgumentPlace> {
    let mut allocation = Allocation { integers: 0, floats: 0, stack: 8 };
    classes.iter().map(|class| allocation.place(*class)).collect()
}

/// The value of an integer argument register at a function's entry.
pub fn integer_argument(regs: &Regs, index: IntegerRegister) -> u64 {
    match index.0 {
        3 => regs.rcx,
        _ => syscall_argument(regs, index),
    }
}

/// The value of a system call's argument register: rdi, rsi, rdx, r10, r8, r9. 0 for an index past the sixth.
pub fn syscall_argument(regs: &Regs, index: IntegerRegister) -> u64 {
    match index.0 {
        0 => regs.rdi,
        1 => regs.rsi,
        2 => regs.rdx,
        3 => regs.r10,
        4 => regs.r8,
        5 => regs.r9,
        _ => 0,
    }
}

/// The integer result of a function or system call that has just returned: rax, and rdx for the high half of a pair.
pub fn integer_result(regs: &Regs) -> (u64, u64) {
    (regs.rax, regs.rdx)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT: ParameterClass = ParameterClass::Integer;
    const DOUBLE: ParameterClass = ParameterClass::Sse { width: FloatWidth::Double };

    fn integer(index: u8) -> ArgumentPlace {
        ArgumentPlace::Integer(IntegerRegister(index))
    }

    fn stack(offset: u64) -> ArgumentPlace {
        ArgumentPlace::Stack { offset }
    }

    #[test]
    fn the_seventh_integer_goes_to_the_stack_and_floats_count_apart() {
        let places = place_arguments(&[INT, DOUBLE, INT, INT, INT, INT, INT, INT, INT, DOUBLE]);
        assert_eq!(places[0], integer(0));
        assert_eq!(places[1], ArgumentPlace::Sse(SseRegister(0)));
        assert_eq!(places[6], integer(5));
        assert_eq!(places[7..9], [stack(8), stack(16)]);
        assert_eq!(places[9], ArgumentPlace::Sse(SseRegister(1)));
    }

    #[test]
    fn a_pair_that_does_not_fit_leaves_the_last_register_to_the_next() {
        let places = place_arguments(&[INT, INT, INT, INT, INT, ParameterClass::IntegerPair, INT, INT]);
        assert_eq!(places[5..], [stack(8), integer(5), stack(24)]);
        let both = place_arguments(&[ParameterClass::IntegerThenSse, ParameterClass::SseThenInteger]);
        assert_eq!(both[0], ArgumentPlace::IntegerThenSse(IntegerRegister(0), SseRegister(0)));
        assert_eq!(both[1], ArgumentPlace::SseThenInteger(SseRegister(1), IntegerRegister(1)));
    }

    #[test]
    fn aggregates_in_memory_take_whole_words_and_long_double_is_aligned() {
        let places = place_arguments(&[
            ParameterClass::Memory { size: 20 },
            INT,
            ParameterClass::X87,
            ParameterClass::Memory { size: 32 },
        ]);
        assert_eq!(places, [stack(8), integer(0), stack(40), stack(56)]);
    }

    #[test]
    fn the_fourth_argument_differs_between_functions_and_system_calls() {
        let regs = Regs { rdi: 1, rsi: 2, rdx: 3, rcx: 4, r8: 5, r9: 6, r10: 40, ..Regs::default() };
        let values: Vec<u64> = (0..6).map(|index| integer_argument(&regs, IntegerRegister(index))).collect();
        assert_eq!(values, [1, 2, 3, 4, 5, 6]);
        assert_eq!(syscall_argument(&regs, IntegerRegister(3)), 40);
    }
}
