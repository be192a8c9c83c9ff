//! Bytes of files, never a process: ELF segments and dynamic entries, the name index, call frame information.
//!
//! Everything here is an immutable value made from bytes; no pid and no load bias is known. All addresses are
//! [`crate::base::FileAddr`]s, found through program headers, never through a section's offset.

pub mod dwarf;
mod dynamic;
mod error;
mod image;
mod jit;
mod landing;
mod module;
mod names;
mod naming;
mod pack;
mod proved;
pub mod rtti;
mod segment;
pub mod symbols;
pub mod unwind;
mod usdt;

pub use dwarf::Dwarf;
pub use dynamic::Dynamic;
pub use error::BinaryError;
pub use image::{FileBytes, Section};
pub use jit::JitMap;
pub use module::{Module, ModuleKind};
pub use names::{DebugLink, NamesFile};
pub use rtti::{Recovered, RecoveredName, Sureness, VtableNames};
pub use segment::Segment;
pub use symbols::{
    FunctionMatch, Matches, MethodKind, NamePattern, NameSource, Signature, Symbol, SymbolIndex, SymbolKind,
};
pub use unwind::{CfaRule, FrameKind, FunctionRange, RegisterRule, UnwindRow, UnwindTables};
pub use usdt::{UsdtOperand, UsdtProbe};
