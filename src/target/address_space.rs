//! Which modules a process has loaded, and where: the only place where a load bias converts addresses.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::{AddrRange, FileAddr, LoadBias, VirtAddr};
use crate::binary::{BinaryError, FunctionRange, Module, SymbolKind, UnwindRow};

/// A module in a process.
#[derive(Clone, Debug)]
pub struct LoadedModule {
    /// What its file says.
    pub module: Arc<Module>,
    /// What its addresses are shifted by here.
    pub bias: LoadBias,
    /// From its first to its last mapped byte.
    pub range: AddrRange,
    /// As the process sees it.
    pub path: PathBuf,
}

/// The modules of a process, in address order, none over another.
#[derive(Clone, Debug, Default)]
pub struct AddressSpace {
    modules: Vec<LoadedModule>,
}

/// What stands at an address.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    /// In which module.
    pub module: &'a LoadedModule,
    /// Its name as the linker wrote it: mangled, `name@plt`, `sub_<hex>`.
    pub name: Cow<'a, str>,
    /// Where it starts.
    pub start: VirtAddr,
    /// How many bytes past its start the address lies.
    pub offset: u64,
    /// What it is.
    pub kind: SymbolKind,
}

impl LoadedModule {
    /// Where a place of the file is in the process.
    pub fn to_virt(&self, at: FileAddr) -> VirtAddr {
        self.bias.to_virt(at)
    }

    /// Where an address that lies in the module is in its file.
    pub fn to_file(&self, at: VirtAddr) -> FileAddr {
        self.bias.to_file(at)
    }

    /// The file name.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Whether an address lies in code.
    pub fn is_executable(&self, at: VirtAddr) -> bool {
        self.range.contains(at) && self.module.is_executable_addr(self.to_file(at))
    }

    /// The unwind rules at an address.
    ///
    /// # Errors
    /// The module's frame information is malformed.
    pub fn unwind_row_at(&self, at: VirtAddr) -> Result<Option<UnwindRow>, BinaryError> {
        self.module.unwind().row_at(self.to_file(at))
    }

    /// The function, or part of one, that frame information says an address lies in: its first byte and one past its
    /// last.
    pub fn find_function(&self, at: VirtAddr) -> Option<AddrRange> {
        let FunctionRange { start, end } = self.module.unwind().find_function(self.to_file(at))?;
        Some(AddrRange { start: self.to_virt(start), end: self.to_virt(end) })
    }

    /// What stands at an address.
    pub fn find_symbol(&self, at: VirtAddr) -> Option<Named<'_>> {
        let (symbol, offset) = self.module.symbols().find_at(self.to_file(at))?;
        Some(Named { module: self, start: self.to_virt(symbol.address), name: symbol.name, offset, kind: symbol.kind })
    }

    /// What stands at an address, by a recovered name too where the module is stripped; for what is shown.
    pub fn find_name(&self, at: VirtAddr) -> Option<Named<'_>> {
        let (symbol, offset) = self.module.name_at(self.to_file(at))?;
        Some(Named { module: self, start: self.to_virt(symbol.address), name: symbol.name, offset, kind: symbol.kind })
    }
}

impl AddressSpace {
    /// A space with no module.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a module. What it was mapped over is dropped: the kernel unmapped it.
    pub fn insert(&mut self, loaded: LoadedModule) {
        let new = loaded.range;
        self.modules.retain(|old| old.range.end <= new.start || new.end <= old.range.start);
        let position = self.modules.partition_point(|old| old.range.start < new.start);
        self.modules.insert(position, loaded);
    }

    /// Takes out the module that starts there.
    pub fn remove(&mut self, start: VirtAddr) -> Option<LoadedModule> {
        let position = self.modules.iter().position(|loaded| loaded.range.start == start)?;
        Some(self.modules.remove(position))
    }

    /// In address order.
    pub fn modules(&self) -> &[LoadedModule] {
        &self.modules
    }

    /// The module that an address lies in.
    pub fn module_at(&self, at: VirtAddr) -> Option<&LoadedModule> {
        let after = self.modules.partition_point(|loaded| loaded.range.start <= at);
        self.modules[..after].last().filter(|loaded| loaded.range.contains(at))
    }

    /// What stands at an address. None: no module is there, or nothing in it reaches over the address.
    pub fn find_symbol(&self, at: VirtAddr) -> Option<Named<'_>> {
        self.module_at(at)?.find_symbol(at)
    }

    /// What stands at an address, by a recovered name too where its module is stripped; for what is shown.
    pub fn find_name(&self, at: VirtAddr) -> Option<Named<'_>> {
        self.module_at(at)?.find_name(at)
    }

    /// Whether an address lies in a module's code.
    pub fn is_executable(&self, at: VirtAddr) -> bool {
        self.module_at(at).is_some_and(|loaded| loaded.is_executable(at))
    }
}
