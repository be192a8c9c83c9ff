//! The names of a module: one compact index over .symtab, .dynsym and the PLT, with demangling and pattern search.

mod demangle;
mod index;
mod literals;
mod made;
mod order;
mod pattern;
mod pieces;
mod plt;
mod ready;
mod rows;
mod scan;
mod search;
mod signature;
mod suggest;
mod symbol;
mod table;
pub(in crate::binary) mod text;

pub use demangle::{base_name, demangle, demangle_without_parameters};
pub(in crate::binary) use index::file_name;
pub use index::SymbolIndex;
pub(in crate::binary) use literals::Literals;
pub use pattern::NamePattern;
pub(in crate::binary) use scan::Strings;
pub use signature::{parse_signature, MethodKind, Signature};
pub use symbol::{FunctionMatch, Matches, NameSource, Symbol, SymbolKind};
pub(in crate::binary) use table::u32_at;
