//! Names that stand in no symbol table: they are made of something else that the file holds.

use super::{NameSource, SymbolKind};
use crate::base::FileAddr;

/// A name that was made for an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeName {
    /// As a symbol table would have it, or as text where no mangling can say it.
    pub name: String,
    /// Where what it names starts.
    pub address: FileAddr,
    /// Bytes; 0 when unknown.
    pub size: u64,
    /// What it names.
    pub kind: SymbolKind,
    /// What it was made of.
    pub source: NameSource,
}
