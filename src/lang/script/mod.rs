//! Trace scripts: bpftrace's language, read, checked and compiled.
//!
//! A script is read to a syntax tree ([`ast`]), its types are inferred, and it becomes a [`Program`]: what `rdbg trace`
//! runs at a hit. Nothing here knows a process; what a builtin means is decided by whoever runs the program.

pub mod ast;
mod change;
mod check;
mod ctypes;
pub mod error;
mod expressions;
pub mod format;
mod headers;
mod lexer;
mod macros;
pub mod number;
mod parser;
pub mod point;
mod preprocess;
pub mod program;
pub mod types;

pub use check::{compile, CompileOptions, Compiled, Safety};
pub use error::{Diagnostic, Severity, Source};
pub use program::Program;
