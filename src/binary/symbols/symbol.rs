//! A name for an address.

use std::borrow::Cow;

use super::super::FunctionRange;
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
    pub source: NameSource,
}

impl Symbol<'static> {
    /// The name of a function that only call frame information knows.
    pub(in crate::binary) fn of_frame(range: FunctionRange) -> Self {
        Symbol {
            name: Cow::Owned(format!("sub_{:x}", range.start.0)),
            address: range.start,
            size: range.end.since(range.start),
            kind: SymbolKind::Unwind,
            source: NameSource::EhFrame,
        }
    }
}

/// What a symbol names; of several at one address the first here is what stands there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SymbolKind {
    /// STT_GNU_IFUNC: the address is the resolver's, which returns the function's. A .symtab has the resolver itself too
    /// (`strlen_ifunc` of glibc's), as a function: a breakpoint there would be hit by the loader only.
    IndirectFunction,
    /// STT_FUNC, or STT_NOTYPE at an executable address.
    Function,
    /// A stub of the procedure linkage table.
    Plt,
    /// STT_OBJECT.
    Data,
    /// No symbol: a function that only call frame information knows.
    Unwind,
}

/// Where a name comes from; in the order in which they are believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NameSource {
    /// .symtab of the file itself.
    Symtab,
    /// .symtab of a separate file of the same build: .debug, an unstripped twin, a pack, or .gnu_debugdata.
    DebugFile,
    /// The map of a JIT (/tmp/perf-PID.map).
    Jit,
    /// .dynsym.
    Dynsym,
    /// A PLT stub's relocation.
    Plt,
    /// Class and virtual function, from the type information of a C++ program.
    Rtti,
    /// The program's entry, and what it runs before and after `main`.
    Startup,
    /// .eh_frame or .debug_frame: bounds without a name.
    EhFrame,
    /// The same, with something that the function's code refers to.
    Hint,
}

impl NameSource {
    /// The word that users read: `symtab`, `debug file`, `jit map`, `dynsym`, `plt`, `rtti`, `startup`, `eh_frame`, `hint`.
    pub fn word(self) -> &'static str {
        match self {
            NameSource::Symtab => "symtab",
            NameSource::DebugFile => "debug file",
            NameSource::Jit => "jit map",
            NameSource::Dynsym => "dynsym",
            NameSource::Plt => "plt",
            NameSource::Rtti => "rtti",
            NameSource::Startup => "startup",
            NameSource::EhFrame => "eh_frame",
            NameSource::Hint => "hint",
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
    /// Where the best name comes from.
    pub source: NameSource,
}

impl FunctionMatch {
    /// A place in code that was not found by a name: an address or a source line.
    pub fn nameless(address: FileAddr) -> FunctionMatch {
        FunctionMatch { address, names: Vec::new(), kind: SymbolKind::Function, size: 0, source: NameSource::EhFrame }
    }
}

/// What a pattern matched.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matches {
    /// In address order, one per address, at most as many as were asked for.
    pub functions: Vec<FunctionMatch>,
    /// How many there are without the limit.
    pub total: usize,
}
