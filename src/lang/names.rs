//! What the names of an expression mean, asked once when it is compiled.

use crate::base::VirtAddr;

use super::calls::Calls;
use super::debug::DebugNames;
use super::vector::{VectorName, VectorValue};
use super::{FlagSet, Scalar, Type, Value};

/// A register, as whoever implements [`Names`] and [`super::Environment`] numbers it; means nothing to the language.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RegisterId(pub u16);

/// A register that an expression may read, and the type it has there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterName {
    /// Which one.
    pub id: RegisterId,
    /// Its type; only the low [`Type::size`] bytes of what the environment gives are used.
    pub ty: Type,
}

impl RegisterName {
    /// A signed integer of 1, 2, 4 or 8 bytes, as gdb types the general registers.
    pub fn integer(id: RegisterId, bytes: usize) -> RegisterName {
        let ty = if bytes == 1 { Type::scalar(Scalar::Byte) } else { Type::signed(bytes) };
        RegisterName { id, ty }
    }

    /// A register of flags.
    pub fn flags(id: RegisterId, set: FlagSet) -> RegisterName {
        RegisterName { id, ty: Type::scalar(Scalar::Flags(set)) }
    }

    /// The program counter.
    pub fn code(id: RegisterId) -> RegisterName {
        RegisterName { id, ty: Type::CODE }
    }

    /// The stack and frame pointer.
    pub fn pointer(id: RegisterId) -> RegisterName {
        RegisterName { id, ty: Type::VOID_POINTER }
    }

    /// Its width in bytes.
    pub fn width(self) -> usize {
        self.ty.size()
    }
}

/// The names that an expression can use. Names of registers and variables come without their `$`.
pub trait Names {
    /// The register of that name. Of the bare words only `arg0`, `arg1`.. and `retval` are asked for, `$rdi` as `rdi`.
    fn register(&self, name: &str) -> Option<RegisterName>;

    /// The register of that name that is wider than a number: `xmm0`, `st0`.
    fn vector(&self, _name: &str) -> Option<VectorName> {
        None
    }

    /// The value of `$name` that is such a register's: of the history, or a convenience variable.
    fn vector_value(&self, _name: &str) -> Option<VectorValue> {
        None
    }

    /// Whether a register has no value in the frame: a function that it called could change it, and nobody saved it.
    fn is_lost(&self, _id: RegisterId) -> bool {
        false
    }

    /// The address of a symbol, which may be qualified, demangled and have its arguments: `A::f(int)`.
    fn symbol(&self, name: &str) -> Option<VirtAddr>;

    /// What debug information knows, where there is any.
    fn debug(&self) -> Option<&dyn DebugNames> {
        None
    }

    /// Makes calls of the program's functions, where they are allowed.
    fn calls(&self) -> Option<&dyn Calls> {
        None
    }

    /// The value of `$name`: `1` and `` for the history's `$1` and `$`, or a convenience variable. It is asked after
    /// registers, and what it gives is fixed in the compiled expression.
    fn variable(&self, name: &str) -> Option<Value>;
}
