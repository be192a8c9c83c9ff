//! One ELF file as a value: where it would be loaded, what it is called, what it holds.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use object::elf;

use super::dwarf::{CatalogueStore, DebugFile, Dwarf, SplitFiles};
use super::image::Image;
use super::names::{parse_debuglink, unpack_mini};
use super::naming::Recovery;
use super::{BinaryError, DebugLink, Dynamic, FileBytes, NamesFile, Section, Segment, SymbolIndex, UnwindTables};
use crate::base::{FileAddr, LoadBias, Progress, VirtAddr};

const PAGE: u64 = 4096;
/// Bytes of an Elf64_Sym.
const SYMBOL: usize = 24;
/// A search among fewer names is over before an index of them could be opened.
const MANY_NAMES: usize = 16 << 10;

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
    pub(super) image: Arc<Image>,
    pub(super) dynamic: Dynamic,
    unwind: OnceLock<Arc<UnwindTables>>,
    symbols: OnceLock<SymbolIndex>,
    dwarf: OnceLock<Dwarf>,
    names: Option<NamesFile>,
    split: Option<Arc<dyn SplitFiles>>,
    store: Option<Arc<dyn CatalogueStore>>,
    pub(super) recovery: Recovery,
    pub(super) progress: Progress,
}

impl Module {
    /// Parses the headers of a file (System V gABI, "Object Files"). `path` is a label only; nothing is opened.
    ///
    /// # Errors
    /// Not ELF, 32-bit or big-endian, another machine, neither ET_EXEC nor ET_DYN, or headers beyond the file's end.
    /// Bad section headers are no error: the file is then treated as having none.
    pub fn parse(path: PathBuf, bytes: FileBytes) -> Result<Module, BinaryError> {
        Ok(Module::from_image(Image::parse(path, bytes)?))
    }

    /// A module that is in no file.
    pub(super) fn from_image(image: Image) -> Module {
        let image = Arc::new(image);
        let dynamic = Dynamic::parse(&image);
        Module::new(image, dynamic)
    }

    /// The same module with what a separate file says of it. That the two belong together is the caller's to prove.
    pub fn with_names(&self, names: NamesFile) -> Module {
        Module { names: Some(names), ..self.reopened() }
    }

    /// The same module, of which nothing has been asked yet.
    pub fn reopened(&self) -> Module {
        let (names, progress) = (self.names.clone(), self.progress.clone());
        let (split, store) = (self.split.clone(), self.store.clone());
        Module { names, split, store, progress, ..Module::new(self.image.clone(), self.dynamic.clone()) }
    }

    /// The same module with the files that its units' entries were split into; nothing is known of those that were found
    /// before.
    pub fn with_split(self, files: Arc<dyn SplitFiles>) -> Module {
        Module { split: Some(files), dwarf: OnceLock::new(), ..self }
    }

    /// The same module, with a place where the catalogue of what its debug information names is kept.
    pub fn with_store(self, store: Arc<dyn CatalogueStore>) -> Module {
        Module { store: Some(store), dwarf: OnceLock::new(), ..self }
    }

    /// The same module, telling there how far it is with what takes its time. What is then cancelled gives an answer that is
    /// not to be used, and leaves nothing behind.
    pub fn reporting_to(self, progress: Progress) -> Module {
        Module { progress, ..self }
    }

    fn new(image: Arc<Image>, dynamic: Dynamic) -> Module {
        let (unwind, symbols, dwarf) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let (recovery, progress) = (Recovery::default(), Progress::default());
        Module { image, dynamic, unwind, symbols, dwarf, names: None, split: None, store: None, recovery, progress }
    }

    /// The separate file that the names come from.
    pub fn names_file(&self) -> Option<&NamesFile> {
        self.names.as_ref()
    }

    /// .gnu_debuglink.
    pub fn debug_link(&self) -> Option<DebugLink> {
        parse_debuglink(&self.image)
    }

    /// Whether the file itself holds .symtab and DWARF, so that no separate file can add to them.
    pub fn is_complete(&self) -> bool {
        let has = |name: &str| self.image.section(name).is_some_and(|section| !section.bytes.is_empty());
        has(".symtab") && has(".debug_info")
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

    /// How far below the thread pointer a program's own block of thread-local variables begins, bytes (variant II of
    /// "ELF Handling For Thread-Local Storage"); `None`: the file has none.
    pub fn thread_local_size(&self) -> Option<u64> {
        let (size, align) = self.image.thread_local?;
        size.checked_next_multiple_of(align.max(1))
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
    /// `None` when no PT_LOAD segment holds it. For [`ModuleKind::Executable`] 0, or `None` where it is not linked there.
    pub fn bias_for(&self, first_mapping_start: VirtAddr, mapping_file_offset: u64) -> Option<LoadBias> {
        let starts_there = |segment: &&Segment| segment.file_offset & !(PAGE - 1) == mapping_file_offset;
        let holds = |segment: &&Segment| {
            let start = segment.file_offset & !(PAGE - 1);
            let end = segment.file_offset.saturating_add(segment.file_size);
            segment.file_size > 0 && start <= mapping_file_offset && mapping_file_offset < end
        };
        let with_content = || self.segments().iter().filter(|segment| segment.file_size > 0);
        let segment = with_content().find(starts_there).or_else(|| with_content().find(holds))?;
        let linked_at = segment.addr.0.wrapping_add(mapping_file_offset).wrapping_sub(segment.file_offset);
        if self.kind() == ModuleKind::Executable {
            // Elsewhere it is a copy that the program has mapped for itself: the file's addresses say nothing of it.
            return (first_mapping_start.0.abs_diff(linked_at) < PAGE).then_some(LoadBias(0));
        }
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
        self.symbols.get_or_init(|| {
            let separate = || match &self.names {
                Some(names) if names.has_symbols() => Some(names.image().clone()),
                _ => unpack_mini(&self.image),
            };
            let (image, unwind) = (self.image.clone(), self.unwind_tables().clone());
            SymbolIndex::new(image, separate, &self.dynamic, unwind).reporting_to(self.progress.clone())
        })
    }

    /// Whether the file has so many names that an index of them is worth keeping.
    pub fn has_many_names(&self) -> bool {
        let separate = self.names.as_ref().map(NamesFile::image);
        let tables = [(Some(&self.image), ".symtab"), (Some(&self.image), ".dynsym"), (separate, ".symtab")];
        let sections = tables.iter().filter_map(|(image, name)| image.as_ref()?.section(name));
        sections.map(|section| section.bytes.len()).sum::<usize>() / SYMBOL >= MANY_NAMES
    }

    /// Uses an index of the names that [`Module::make_ready`] made; whether it belongs to them. `key` names the file where it
    /// has no build-id.
    pub fn use_ready(&self, bytes: FileBytes, key: &str) -> bool {
        self.symbols().use_ready(bytes, &self.index_identity(key))
    }

    /// Whether one is used.
    pub fn has_ready(&self) -> bool {
        self.symbols.get().is_some_and(SymbolIndex::is_ready)
    }

    /// What an index that belongs to these names has in its head: the build-id, or else `key`, and what tells their tables from
    /// others of the same build.
    pub fn index_identity(&self, key: &str) -> Vec<u8> {
        let hex = |id: &[u8]| id.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
        let id = self.build_id().filter(|id| !id.is_empty()).map_or_else(|| key.to_owned(), hex);
        self.symbols().identity(&id)
    }

    /// Whether an index would have saved a pass over all names.
    pub fn lacks_ready(&self) -> bool {
        let symbols = self.symbols();
        symbols.took_a_pass() && !symbols.is_ready()
    }

    /// The bytes of an index of the names, to be kept in a file. `goes_on` is asked now and then, and can keep the work
    /// waiting; `None` once it says no, or where there are too many names.
    pub fn make_ready(&self, key: &str, goes_on: &dyn Fn() -> bool) -> Option<Vec<u8>> {
        self.symbols().make_ready(&self.index_identity(key), goes_on)
    }

    /// The call frame information of the module; located at the first call.
    pub fn unwind(&self) -> &UnwindTables {
        self.unwind_tables()
    }

    /// The debug information; empty where the file has none. Read as far as it is asked for.
    pub fn dwarf(&self) -> &Dwarf {
        self.dwarf.get_or_init(|| {
            let own = self.image.section(".debug_info").is_some();
            let separate = self.names.as_ref().filter(|_| !own).map(NamesFile::image);
            let dwarf = Dwarf::new(DebugFile::new(separate.unwrap_or(&self.image).clone()));
            let dwarf = dwarf.reporting_to(self.progress.clone());
            let dwarf = match &self.store {
                Some(store) => dwarf.with_store(store.clone()),
                None => dwarf,
            };
            match &self.split {
                Some(files) => dwarf.with_split(files.clone()),
                None => dwarf,
            }
        })
    }

    /// Whether files with split units have been looked for.
    pub fn has_looked_for_split(&self) -> bool {
        self.dwarf.get().is_some_and(Dwarf::has_looked_for_split)
    }

    /// DT_NEEDED in order: the libraries that are loaded with the module.
    pub fn needed(&self) -> &[String] {
        &self.dynamic.needed
    }

    /// The dynamic section; empty for a static program.
    pub fn dynamic(&self) -> &Dynamic {
        &self.dynamic
    }

    pub(super) fn unwind_tables(&self) -> &Arc<UnwindTables> {
        self.unwind.get_or_init(|| Arc::new(UnwindTables::new(self.image.clone())))
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path()).field("kind", &self.kind()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NameSource, SymbolKind};
    use super::*;

    const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

    fn parse(bytes: Vec<u8>) -> Result<Module, BinaryError> {
        Module::parse(PathBuf::from("/a/file"), Arc::new(bytes))
    }

    fn libc() -> Module {
        Module::parse(PathBuf::from(LIBC), Arc::new(std::fs::read(LIBC).unwrap())).unwrap()
    }

    /// An ELF header and one PT_LOAD program header, nothing else.
    fn small_elf() -> Vec<u8> {
        let mut bytes = vec![0u8; 120];
        bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(16, &3u16.to_le_bytes());
        put(18, &62u16.to_le_bytes());
        put(20, &1u32.to_le_bytes());
        put(24, &0x40_1040u64.to_le_bytes());
        put(32, &64u64.to_le_bytes());
        put(52, &64u16.to_le_bytes());
        put(54, &56u16.to_le_bytes());
        put(56, &1u16.to_le_bytes());
        put(64, &1u32.to_le_bytes());
        put(68, &5u32.to_le_bytes());
        put(80, &0x40_0000u64.to_le_bytes());
        put(96, &120u64.to_le_bytes());
        put(104, &0x2000u64.to_le_bytes());
        bytes
    }

    #[test]
    fn what_cannot_be_debugged_is_named() {
        assert!(matches!(parse(b"#!/bin/sh".to_vec()), Err(BinaryError::NotElf { .. })));
        assert!(matches!(parse(Vec::new()), Err(BinaryError::NotElf { .. })));
        assert!(matches!(parse(b"\x7fELF".to_vec()), Err(BinaryError::Truncated { .. })));
        let changed = |at: usize, value: u8| {
            let mut bytes = small_elf();
            bytes[at] = value;
            parse(bytes)
        };
        assert!(matches!(changed(4, 1), Err(BinaryError::WrongClass { found: "32-bit", .. })));
        assert!(matches!(changed(5, 2), Err(BinaryError::WrongClass { found: "big-endian", .. })));
        assert!(matches!(changed(18, 183), Err(BinaryError::WrongMachine { machine: 183, .. })));
        assert!(matches!(changed(16, 1), Err(BinaryError::WrongType { elf_type: 1, .. })));
        assert!(matches!(changed(39, 0x7f), Err(BinaryError::Truncated { what: "program headers", .. })));
        assert!(matches!(changed(79, 0x7f), Err(BinaryError::Truncated { what: "loadable segment", .. })));
    }

    #[test]
    fn a_file_without_sections_has_segments_and_no_names() {
        let module = parse(small_elf()).unwrap();
        assert_eq!((module.name().as_str(), module.entry()), ("file", FileAddr(0x40_1040)));
        assert!(module.is_executable_addr(FileAddr(0x40_1fff)) && !module.is_executable_addr(FileAddr(0x40_2000)));
        assert_eq!(module.bytes_at(FileAddr(0x40_0000), 4), Some(b"\x7fELF".as_slice()));
        assert_eq!(module.bytes_at(FileAddr(0x40_0000), 121), None);
        assert_eq!(module.bytes_at(FileAddr(0x40_1000), 1), None);
        assert!(module.symbols().is_empty() && module.unwind().function_starts().is_empty());
        assert_eq!(module.symbols().find_at(FileAddr(0x40_1000)), None);
        assert_eq!(module.bias_for(VirtAddr(0x7000_0000), 0), Some(LoadBias(0x7000_0000 - 0x40_0000)));
        assert_eq!(module.bias_for(VirtAddr(0x7000_0000), 0x1000), None);
    }

    #[test]
    fn every_truncation_and_many_flips_of_a_real_file_are_survived() {
        let bytes = std::fs::read("/bin/true").unwrap();
        let exercise = |bytes: Vec<u8>| {
            let Ok(module) = parse(bytes) else { return };
            let _ = (module.build_id(), module.interpreter(), module.needed(), module.symbols().len());
            for range in module.unwind().function_starts().iter().take(3) {
                let _ = (module.symbols().find_at(range.start), module.unwind().row_at(range.start));
            }
        };
        for len in (0..bytes.len()).step_by(997).chain(0..200) {
            exercise(bytes[..len].to_vec());
        }
        for at in (0..1024).chain((1024..bytes.len()).step_by(911)) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0xff;
            exercise(flipped);
        }
    }

    #[test]
    fn libc_is_what_it_is() {
        let libc = libc();
        assert_eq!((libc.name().as_str(), libc.kind()), ("libc.so.6", ModuleKind::PositionIndependent));
        assert_eq!(libc.build_id().map(<[u8]>::len), Some(20));
        assert_eq!(libc.dynamic().soname.as_deref(), Some("libc.so.6"));
        assert_eq!(libc.needed(), ["ld-linux-x86-64.so.2"]);
        let text = libc.segments().iter().find(|segment| segment.exec).unwrap();
        let page = text.file_offset & !(PAGE - 1);
        let bias = LoadBias(0x7f00_0000_0000);
        assert_eq!(libc.bias_for(bias.to_virt(FileAddr(text.addr.0 & !(PAGE - 1))), page), Some(bias));
        let later = bias.to_virt(FileAddr((text.addr.0 & !(PAGE - 1)) + 0x3000));
        assert_eq!(libc.bias_for(later, page + 0x3000), Some(bias));
    }

    #[test]
    fn libc_names_agree_with_nm() {
        let libc = libc();
        let Ok(output) = std::process::Command::new("nm").args(["-D", "--defined-only", LIBC]).output() else { return };
        let mut compared = 0;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [address, kind, name] = fields[..] else { continue };
            // A name with two versions has two addresses; only what has one can be compared.
            if !matches!(kind, "T" | "W" | "i") || !name.contains("@@") {
                continue;
            }
            let address = FileAddr(u64::from_str_radix(address, 16).unwrap());
            let name = name.split('@').next().unwrap();
            let (found, offset) = libc.symbols().find_at(address).unwrap();
            assert_eq!((found.address, offset), (address, 0), "{name}");
            let aliases = libc.symbols().iter().filter(|symbol| symbol.address == address);
            assert!(aliases.into_iter().any(|symbol| symbol.name == name), "{name}");
            compared += 1;
            if compared == 400 {
                break;
            }
        }
        assert!(compared > 100 || output.stdout.is_empty());
    }

    #[test]
    fn a_symbol_does_not_reach_beyond_its_size() {
        let libc = libc();
        let symbols = libc.symbols();
        let wait = symbols.find_exact("epoll_wait").unwrap();
        assert_eq!((wait.kind, wait.source), (SymbolKind::Function, NameSource::Dynsym));
        let (inside, offset) = symbols.find_at(wait.address.offset(wait.size - 1)).unwrap();
        assert_eq!((inside.name.as_ref(), offset), ("epoll_wait", wait.size - 1));
        let unnamed =
            libc.unwind().function_starts().into_iter().find_map(|range| symbols.find_at(range.start.offset(1)));
        assert!(unnamed.is_some());
        for range in libc.unwind().function_starts() {
            let Some((symbol, offset)) = symbols.find_at(range.start) else { continue };
            assert!(symbol.size == 0 || offset < symbol.size);
            if symbol.kind == SymbolKind::Unwind {
                assert_eq!(symbol.name, format!("sub_{:x}", range.start.0));
            }
        }
    }

    #[test]
    fn without_section_headers_the_dynamic_section_names_the_symbols() {
        let mut bytes = std::fs::read(LIBC).unwrap();
        bytes[40..48].fill(0);
        bytes[60..64].fill(0);
        let bare = parse(bytes).unwrap();
        assert!(bare.sections().is_empty());
        let find = |module: &Module, name: &str| module.symbols().find_exact(name).map(|symbol| symbol.address);
        let libc = libc();
        for name in ["read", "epoll_wait", "environ"] {
            assert!(find(&bare, name).is_some());
            assert_eq!(find(&bare, name), find(&libc, name));
        }
        assert_eq!(bare.unwind().function_starts(), libc.unwind().function_starts());
    }

    #[test]
    fn stubs_are_named_after_their_relocation() {
        let libc = libc();
        let stub = libc.symbols().iter().find(|symbol| symbol.kind == SymbolKind::Plt).unwrap();
        assert!(stub.name.ends_with("@plt") && stub.size == 16 && stub.source == NameSource::Plt);
        let code = libc.bytes_at(stub.address, 16).unwrap();
        assert!(code.windows(2).any(|pair| pair == [0xff, 0x25]));
        let (found, offset) = libc.symbols().find_at(stub.address.offset(4)).unwrap();
        assert_eq!((found.name, offset), (stub.name, 4));
    }

    #[test]
    fn patterns_find_libc_functions() {
        use super::super::NamePattern;
        let libc = libc();
        let pattern = NamePattern::parse_regex("^(epoll_create.*|epoll_wait|epoll_ctl)$").unwrap();
        let found = libc.symbols().functions_named(&pattern, 10);
        let names: Vec<&str> = found.functions.iter().map(|function| function.names[0].as_str()).collect();
        assert_eq!(found.total, 4, "{names:?}");
        assert!(names.contains(&"epoll_create1"));
        assert_eq!(libc.symbols().functions_named(&pattern, 1).functions.len(), 1);
        assert_eq!(libc.symbols().functions_named(&NamePattern::Plain("epoll_wait".into()), 10).total, 1);
        assert_eq!(libc.symbols().complete("epoll_c", 10), ["epoll_create", "epoll_create1", "epoll_ctl"]);
        assert!(libc.symbols().nearest_names("epol_wait", 3).contains(&"epoll_wait".to_string()));
        assert!(libc.symbols().find_data("environ").is_some() && libc.symbols().find_data("read").is_none());
    }
}
