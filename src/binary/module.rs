//! One ELF file as a value: where it would be loaded, what it is called, what it holds.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use object::elf;

use super::image::Image;
use super::{BinaryError, Dynamic, FileBytes, Section, Segment, SymbolIndex, UnwindTables};
use crate::base::{FileAddr, LoadBias, VirtAddr};

const PAGE: u64 = 4096;

/// How a module is linked (e_type).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModuleKind {
    /// ET_EXEC: loaded where it was linked, with a bias of 0.
    Executable,
    /// ET_DYN: a shared object or a position-independent executable.
    PositionIndependent,
}

/// An executable or shared object. Immutable and `Sync`; used as `Arc<Module>`. The name index and the unwind tables
/// are built when they are first asked for.
pub struct Module {
    image: Arc<Image>,
    dynamic: Dynamic,
    unwind: OnceLock<Arc<UnwindTables>>,
    symbols: OnceLock<SymbolIndex>,
}

impl Module {
    /// Parses the headers of a file (System V gABI, "Object Files"). `path` is a label only; nothing is opened.
    ///
    /// # Errors
    /// Not ELF, 32-bit or big-endian, another machine, neither ET_EXEC nor ET_DYN, or headers beyond the file's end.
    /// Bad section headers are no error: the file is then treated as having none.
    pub fn parse(path: PathBuf, bytes: FileBytes) -> Result<Module, BinaryError> {
        let image = Arc::new(Image::parse(path, bytes)?);
        let dynamic = Dynamic::parse(&image);
        Ok(Module { image, dynamic, unwind: OnceLock::new(), symbols: OnceLock::new() })
    }

    /// The path that the module was parsed with.
    pub fn path(&self) -> &Path {
        self.image.path()
    }

    /// The file name of the path, or the whole path where it has none (`[vdso]`).
    pub fn name(&self) -> String {
        let path = self.path();
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The descriptor of the NT_GNU_BUILD_ID note, usually 20 bytes.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.image.build_id.as_ref().map(|range| self.image.slice(range))
    }

    /// How the module is linked.
    pub fn kind(&self) -> ModuleKind {
        if self.image.elf_type == elf::ET_EXEC {
            ModuleKind::Executable
        } else {
            ModuleKind::PositionIndependent
        }
    }

    /// e_entry; 0 in most shared objects.
    pub fn entry(&self) -> FileAddr {
        self.image.entry
    }

    /// PT_INTERP: the dynamic loader that the kernel starts for this program.
    pub fn interpreter(&self) -> Option<PathBuf> {
        let located = self.image.interpreter.as_ref()?;
        let bytes = self.image.slice(&located.bytes);
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len()).min(PAGE as usize);
        (end > 0).then(|| PathBuf::from(OsStr::from_bytes(&bytes[..end])))
    }

    /// The PT_LOAD segments in address order.
    pub fn segments(&self) -> &[Segment] {
        &self.image.segments
    }

    /// The section headers; none when the file has none.
    pub fn sections(&self) -> &[Section] {
        &self.image.sections
    }

    /// The file's bytes of a section, as they are in the file (compressed sections stay compressed).
    pub fn section_bytes(&self, name: &str) -> Option<&[u8]> {
        self.image.section(name).map(|section| self.image.slice(&section.bytes))
    }

    /// The bias with which the module is loaded where the kernel maps the file's page at `mapping_file_offset` (bytes)
    /// to `first_mapping_start`: start - (p_vaddr + mapping_file_offset - p_offset) of the segment that holds that page.
    /// `None` when no PT_LOAD segment holds it. Always 0 for [`ModuleKind::Executable`].
    pub fn bias_for(&self, first_mapping_start: VirtAddr, mapping_file_offset: u64) -> Option<LoadBias> {
        let starts_there = |segment: &&Segment| segment.file_offset & !(PAGE - 1) == mapping_file_offset;
        let holds = |segment: &&Segment| {
            let start = segment.file_offset & !(PAGE - 1);
            let end = segment.file_offset.saturating_add(segment.file_size);
            segment.file_size > 0 && start <= mapping_file_offset && mapping_file_offset < end
        };
        let with_content = || self.segments().iter().filter(|segment| segment.file_size > 0);
        let segment = with_content().find(starts_there).or_else(|| with_content().find(holds))?;
        if self.kind() == ModuleKind::Executable {
            return Some(LoadBias(0));
        }
        let linked_at = segment.addr.0.wrapping_add(mapping_file_offset).wrapping_sub(segment.file_offset);
        Some(LoadBias(first_mapping_start.0.wrapping_sub(linked_at)))
    }

    /// The file's content for `len` bytes at an address, through the PT_LOAD segment that holds it. `None` when a byte
    /// of it is not in the file (.bss, a hole). Relocations are not applied.
    pub fn bytes_at(&self, at: FileAddr, len: u64) -> Option<&[u8]> {
        self.image.bytes_at(at, len)
    }

    /// Whether an address lies in a PT_LOAD segment with PF_X.
    pub fn is_executable_addr(&self, at: FileAddr) -> bool {
        self.segments().iter().any(|segment| segment.exec && segment.contains(at))
    }

    /// The names of the module; built at the first call, from any thread.
    pub fn symbols(&self) -> &SymbolIndex {
        self.symbols.get_or_init(|| SymbolIndex::build(self.image.clone(), &self.dynamic, self.unwind_tables().clone()))
    }

    /// The call frame information of the module; located at the first call.
    pub fn unwind(&self) -> &UnwindTables {
        self.unwind_tables()
    }

    /// DT_NEEDED in order: the libraries that are loaded with the module.
    pub fn needed(&self) -> &[String] {
        &self.dynamic.needed
    }

    /// The dynamic section; empty for a static program.
    pub fn dynamic(&self) -> &Dynamic {
        &self.dynamic
    }

    fn unwind_tables(&self) -> &Arc<UnwindTables> {
        self.unwind.get_or_init(|| Arc::new(UnwindTables::new(self.image.clone())))
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path()).field("kind", &self.kind()).finish_non_exhaustive()
    }
}
