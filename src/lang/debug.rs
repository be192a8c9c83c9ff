//! What debug information tells an expression: variables, types, and where values are.

use crate::base::{ReadMem, VirtAddr};
use crate::binary::dwarf::{Encoding, Shape, TypeId, Types};

use super::typed::TypedValue;
use super::{RegisterName, Scalar, Type};

/// A type of one module's debug information.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DebugType {
    /// The module, as whoever implements [`DebugNames`] numbers it.
    pub module: u16,
    /// The type there.
    pub id: TypeId,
}

/// What a name means.
#[derive(Clone, Debug)]
pub enum Found {
    /// A value whose place is known now.
    Value {
        /// The value.
        value: TypedValue,
        /// The module of its type.
        module: u16,
    },
    /// A value in memory, at a distance from what a register holds when the expression is evaluated.
    Relative {
        /// The register.
        register: RegisterName,
        /// The distance, bytes.
        offset: i64,
        /// What is there.
        ty: DebugType,
    },
    /// A value in memory, at a distance from where a pointer points, which is at a distance from what a register holds
    /// when the expression is evaluated.
    Pointed {
        /// The register.
        register: RegisterName,
        /// Where the pointer is, bytes from there.
        offset: i64,
        /// Where the value is, bytes from where the pointer points.
        distance: i64,
        /// What is there.
        ty: DebugType,
    },
    /// A value in a register when the expression is evaluated.
    Register {
        /// The register.
        register: RegisterName,
        /// What it holds.
        ty: DebugType,
    },
    /// An enumerator.
    Constant {
        /// Its enumeration.
        ty: DebugType,
        /// Its number.
        number: i128,
    },
}

/// Names that debug information knows.
pub trait DebugNames {
    /// Calls `use_it` with a module's types.
    fn look(&self, module: u16, use_it: &mut dyn FnMut(&Types<'_>));

    /// The memory that values are in now.
    fn memory(&self) -> &dyn ReadMem;

    /// A variable of the frame.
    fn local(&self, name: &str) -> Option<Found>;

    /// A variable or enumerator: of the frame, of its function's namespaces, or of the whole program.
    fn variable(&self, name: &str) -> Option<Found>;

    /// A variable outside of functions that the code of a source file can name.
    fn in_file(&self, file: &str, name: &str) -> Option<Found> {
        let _ = (file, name);
        None
    }

    /// A value of the history or a convenience variable, by its name without the `$`; `None` also for a plain number.
    fn kept(&self, name: &str) -> Option<Found>;

    /// The type of a name.
    fn find_type(&self, name: &str) -> Option<DebugType>;

    /// The type of the function that begins at an address.
    fn function_type(&self, at: VirtAddr) -> Option<DebugType>;
}

/// Calls `use_it` with a module's types; `None` where that module has none.
pub(super) fn with_types<T>(debug: &dyn DebugNames, module: u16, use_it: impl FnOnce(&Types<'_>) -> T) -> Option<T> {
    let (mut use_it, mut result) = (Some(use_it), None);
    debug.look(module, &mut |types| result = use_it.take().map(|use_it| use_it(types)));
    result
}

/// The type that is calculated with. What is neither number nor pointer is opaque.
pub(super) fn arithmetic_type(types: &Types<'_>, id: TypeId) -> Type {
    arithmetic_within(types, id, 0)
}

fn arithmetic_within(types: &Types<'_>, id: TypeId, depth: u8) -> Type {
    /// Pointers to pointers beyond this are pointers to void.
    const DEPTH: u8 = 8;
    let view = types.view(id);
    let size = view.size as usize;
    let opaque = Type::scalar(Scalar::Opaque(u32::try_from(view.size).unwrap_or(u32::MAX)));
    match view.shape {
        Shape::Void => Type::VOID,
        Shape::Function => Type::CODE,
        Shape::Base(encoding) | Shape::Enumeration(encoding) => match (encoding, size) {
            (Encoding::Boolean, 1) => Type::BOOL,
            (Encoding::Float, 4) => Type::FLOAT,
            (Encoding::Float, 8) => Type::DOUBLE,
            (Encoding::Float | Encoding::Complex, _) => opaque,
            (Encoding::Char, 1) => Type::CHAR,
            (_, 1 | 2 | 4 | 8) if encoding.is_signed() => Type::signed(size),
            (_, 1 | 2 | 4 | 8) => Type::unsigned(size),
            _ => opaque,
        },
        Shape::Pointer(_) if depth >= DEPTH => Type::VOID_POINTER,
        Shape::Pointer(to) | Shape::Reference(to) => {
            arithmetic_within(types, to, depth + 1).pointer().unwrap_or(Type::VOID_POINTER)
        }
        _ => opaque,
    }
}
