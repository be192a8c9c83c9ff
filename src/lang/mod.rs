//! The one C-like expression language of `print`, `x`, `set` and breakpoint conditions.
//!
//! An [`Expression`] is compiled once against [`Names`] into code for a small stack machine, and evaluated as often as a
//! breakpoint is hit against an [`Environment`]; evaluating allocates nothing. Types are C's scalars on x86-64 Linux and
//! pointers to them: there are no structs, and a bare name is the address of a symbol.

mod arith;
pub mod assignment;
mod casts;
mod code;
mod compiler;
mod contained;
mod containers;
pub mod debug;
mod described;
mod emitter;
pub mod environment;
pub mod error;
pub mod examine;
pub mod expression;
mod float;
pub mod format;
mod lexer;
mod library;
mod literal;
mod machine;
pub mod names;
pub mod operator;
pub mod printf;
pub mod script;
mod string_functions;
mod symbol;
pub mod text;
pub mod typed;
mod typename;
pub mod types;
pub mod value;
pub mod vector;
mod vectors;

pub use assignment::{change_in, Assignment, Change};
pub use debug::{DebugNames, DebugType, Found};
pub use emitter::BitField;
pub use environment::Environment;
pub use error::{Fault, LangError, Span};
pub use examine::{ExamineFormat, ExamineKind, Unit};
pub use expression::{Expression, Outcome, Place};
pub use format::{format_labelled, format_value, Format, Label, Labels, NoLabels};
pub use names::{Names, RegisterId, RegisterName};
pub use types::{FlagSet, Scalar, Type};
pub use value::Value;
pub use vector::{VectorName, VectorValue};

/// The type that a text names: `struct S *`.
pub fn described_type(text: &str, names: &dyn Names) -> Option<DebugType> {
    let compiler = compiler::Compiler::new(text, names).ok()?;
    let (ty, used) = match compiler.type_of_operand(0) {
        Some(Ok((casts::Named::Described(ty), used))) => (ty, used),
        Some(_) => return None,
        None => compiler.described_type(0)?,
    };
    (used + 1 == compiler.tokens.len()).then_some(ty)
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
