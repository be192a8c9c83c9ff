//! A name for an address.

use std::borrow::Cow;

use crate::base::FileAddr;

/// A name of a file address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol<'a> {
    /// As the linker wrote it: mangled, without `@VERSION`; `name@plt` for a PLT stub, `sub_<hex>` for an FDE.
    pub name: Cow<'a, str>,
    /// st_value, or where the stub or FDE starts.
    pub address: FileAddr,
    /// Bytes; 0 when the file does not say.
    pub size: u64,
    /// What it names.
    pub kind: SymbolKind,
    /// Where the name comes from.
    pub source: SymbolSource,
}

/// What a symbol names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SymbolKind {
    /// STT_FUNC, or STT_NOTYPE at an executable address.
    Function,
    /// STT_GNU_IFUNC: the address is the resolver's, which returns the function's.
    IndirectFunction,
    /// A stub of the procedure linkage table.
    Plt,
    /// STT_OBJECT.
    Data,
    /// No symbol: a function that only call frame information knows.
    Unwind,
}

/// Where a symbol's name comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SymbolSource {
    /// .symtab.
    Symtab,
    /// .dynsym.
    Dynsym,
    /// A PLT stub's relocation.
    Plt,
    /// .eh_frame or .debug_frame.
    EhFrame,
    /// C++ type information and virtual tables.
    Rtti,
    /// The program's entry, and what it runs before and after `main`.
    Startup,
    /// Something that the function's code refers to.
    Hint,
}

impl SymbolSource {
    /// As it is shown.
    pub fn text(self) -> &'static str {
        match self {
            SymbolSource::Symtab => "symtab",
            SymbolSource::Dynsym => "dynsym",
            SymbolSource::Plt => "plt",
            SymbolSource::EhFrame => "eh_frame",
            SymbolSource::Rtti => "rtti",
            SymbolSource::Startup => "startup",
            SymbolSource::Hint => "hint",
        }
    }
}

/// One function that a pattern matched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionMatch {
    /// Where it starts; the resolver for [`SymbolKind::IndirectFunction`].
    pub address: FileAddr,
    /// The matching names at this address, mangled; the best one first.
    pub names: Vec<String>,
    /// What it is.
    pub kind: SymbolKind,
    /// Bytes; 0 when unknown.
    pub size: u64,
}

/// What a pattern matched.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matches {
    /// In address order, one per address, at most as many as were asked for.
    pub functions: Vec<FunctionMatch>,
    /// How many there are without the limit.
    pub total: usize,
}
