//! The bytes of one ELF file with its segments and sections located: what every index is built from.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::LittleEndian;

use super::{BinaryError, NameSource, Segment};
use crate::base::{FileAddr, FileContent};

/// The bytes of a file, however they were got: read, or mapped by the `os` room.
pub type FileBytes = Arc<dyn FileContent>;

const ENDIAN: LittleEndian = LittleEndian;

/// One section header (gABI, "Sections"). A file may have none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Its name, `.text`.
    pub name: String,
    /// sh_addr; 0 for what is not loaded.
    pub addr: FileAddr,
    /// Where its bytes are in the file; empty for SHT_NOBITS and for what lies outside the file.
    pub(super) bytes: Range<usize>,
    /// sh_type.
    pub(super) sh_type: u32,
    /// sh_link.
    pub(super) link: usize,
    /// `bytes` begin with a compression header: SHF_COMPRESSED, or what was there before it (`.zdebug_info`, which is called
    /// `.debug_info` here).
    pub(super) compressed: bool,
}

/// A parsed file. Shared by the module and its lazy indexes.
pub(super) struct Image {
    pub path: PathBuf,
    pub data: FileBytes,
    pub elf_type: u16,
    pub entry: FileAddr,
    pub segments: Vec<Segment>,
    pub sections: Vec<Section>,
    /// PT_DYNAMIC, PT_INTERP and PT_GNU_EH_FRAME: ranges of the file, and the address.
    pub dynamic: Option<Located>,
    pub interpreter: Option<Located>,
    pub eh_frame_hdr: Option<Located>,
    pub build_id: Option<Range<usize>>,
    /// PT_TLS: size and alignment of a thread's block, bytes.
    pub thread_local: Option<(u64, u64)>,
    /// What the names of its own symbol table are.
    pub own_names: NameSource,
}

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// All that its program headers promise.
    Loaded,
    /// Names and debug information; the bytes of segments may have been left out.
    Separate,
    /// Debug information for a linked file: not linked itself.
    Split,
}

/// Bytes of the file and the address they are loaded at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Located {
    pub addr: FileAddr,
    pub bytes: Range<usize>,
}

impl Image {
    /// Parses a file that is to be loaded.
    pub fn parse(path: PathBuf, data: FileBytes) -> Result<Image, BinaryError> {
        Image::parse_as(path, data, Content::Loaded)
    }

    /// Parses a file that only tells of another.
    pub fn parse_separate(path: PathBuf, data: FileBytes) -> Result<Image, BinaryError> {
        Image::parse_as(path, data, Content::Separate)
    }

    /// Parses a .dwo, a .dwp, or an object file that holds the same.
    pub fn parse_split(path: PathBuf, data: FileBytes) -> Result<Image, BinaryError> {
        Image::parse_as(path, data, Content::Split)
    }

    fn parse_as(path: PathBuf, data: FileBytes, content: Content) -> Result<Image, BinaryError> {
        let bytes: &[u8] = (*data).as_ref();
        let header = check_header(&path, bytes, content)?;
        let truncated = |what, offset| BinaryError::Truncated { path: path.clone(), what, offset };
        let headers = header
            .program_headers(ENDIAN, bytes)
            .map_err(|_| truncated("program headers", header.e_phoff.get(ENDIAN)))?;
        let mut image = Image {
            elf_type: header.e_type.get(ENDIAN),
            entry: FileAddr(header.e_entry.get(ENDIAN)),
            segments: Vec::new(),
            sections: parse_sections(header, bytes),
            dynamic: None,
            interpreter: None,
            eh_frame_hdr: None,
            thread_local: None,
            own_names: NameSource::Symtab,
            build_id: None,
            path: path.clone(),
            data: data.clone(),
        };
        for header in headers {
            image.add_program_header(header, bytes, content)?;
        }
        image.segments.sort_by_key(|segment| segment.addr);
        if image.build_id.is_none() {
            let notes = image.sections.iter().filter(|section| section.sh_type == elf::SHT_NOTE);
            image.build_id = notes.filter_map(|section| find_build_id(bytes, section.bytes.clone(), 4)).next();
        }
        Ok(image)
    }

    fn add_program_header(
        &mut self,
        header: &ProgramHeader64<LittleEndian>,
        bytes: &[u8],
        content: Content,
    ) -> Result<(), BinaryError> {
        let (offset, size) = header.file_range(ENDIAN);
        let range = clip(offset, size, bytes.len());
        let addr = FileAddr(header.p_vaddr(ENDIAN));
        let located = Some(Located { addr, bytes: range.clone() });
        match header.p_type(ENDIAN) {
            elf::PT_LOAD => {
                if offset > bytes.len() as u64 && content == Content::Loaded {
                    return Err(BinaryError::Truncated { path: self.path.clone(), what: "loadable segment", offset });
                }
                let flags = header.p_flags(ENDIAN);
                self.segments.push(Segment {
                    addr,
                    mem_size: header.p_memsz(ENDIAN),
                    file_offset: offset,
                    file_size: range.len() as u64,
                    read: flags & elf::PF_R != 0,
                    write: flags & elf::PF_W != 0,
                    exec: flags & elf::PF_X != 0,
                });
            }
            elf::PT_TLS => self.thread_local = Some((header.p_memsz(ENDIAN), header.p_align(ENDIAN))),
            elf::PT_DYNAMIC => self.dynamic = located,
            elf::PT_INTERP => self.interpreter = located,
            elf::PT_GNU_EH_FRAME => self.eh_frame_hdr = located,
            elf::PT_NOTE if self.build_id.is_none() => {
                self.build_id = find_build_id(bytes, range, header.p_align(ENDIAN));
            }
            _ => {}
        }
        Ok(())
    }

    pub fn bytes(&self) -> &[u8] {
        (*self.data).as_ref()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The bytes of a range that was clipped to the file.
    pub fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes().get(range.clone()).unwrap_or_default()
    }

    /// What has been read in one pass need not stay resident.
    pub fn release(&self, range: Range<usize>) {
        self.data.release(range);
    }

    pub fn segment_at(&self, at: FileAddr) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.contains(at))
    }

    /// Where in the file the bytes from `at` to the end of its segment's file content are.
    pub fn file_range_from(&self, at: FileAddr) -> Option<Range<usize>> {
        let segment = self.segment_at(at)?;
        let skip = at.since(segment.addr);
        let left = segment.file_size.checked_sub(skip)?;
        let start = segment.file_offset.checked_add(skip)?;
        Some(clip(start, left, self.bytes().len()))
    }

    pub fn bytes_at(&self, at: FileAddr, len: u64) -> Option<&[u8]> {
        let range = self.file_range_from(at)?;
        let len = usize::try_from(len).ok()?;
        self.slice(&range).get(..len)
    }
}

fn check_header<'a>(
    path: &Path,
    bytes: &'a [u8],
    content: Content,
) -> Result<&'a FileHeader64<LittleEndian>, BinaryError> {
    let path = || path.to_path_buf();
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(BinaryError::NotElf { path: path() });
    }
    let truncated = || BinaryError::Truncated { path: path(), what: "ELF header", offset: 0 };
    match bytes.get(4).copied() {
        Some(elf::ELFCLASS64) => {}
        Some(_) => return Err(BinaryError::WrongClass { path: path(), found: "32-bit" }),
        None => return Err(truncated()),
    }
    match bytes.get(5).copied() {
        Some(elf::ELFDATA2LSB) => {}
        Some(_) => return Err(BinaryError::WrongClass { path: path(), found: "big-endian" }),
        None => return Err(truncated()),
    }
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(|_| truncated())?;
    let machine = header.e_machine.get(ENDIAN);
    if machine != elf::EM_X86_64 {
        return Err(BinaryError::WrongMachine { path: path(), machine });
    }
    match header.e_type.get(ENDIAN) {
        elf::ET_EXEC | elf::ET_DYN => Ok(header),
        elf::ET_REL if content == Content::Split => Ok(header),
        elf_type => Err(BinaryError::WrongType { path: path(), elf_type }),
    }
}

/// Sections are a help only: a file whose section headers are missing or bad is treated as having none.
fn parse_sections(header: &FileHeader64<LittleEndian>, bytes: &[u8]) -> Vec<Section> {
    let Ok(table) = header.sections(ENDIAN, bytes) else { return Vec::new() };
    let parse = |section: &elf::SectionHeader64<LittleEndian>| {
        let name = table.section_name(ENDIAN, section).unwrap_or_default();
        let (offset, size) = section.file_range(ENDIAN).unwrap_or((0, 0));
        // Names come from the file: one long string must not be copied for each of many headers.
        let name = String::from_utf8_lossy(&name[..name.len().min(256)]);
        let before = name.strip_prefix(".zdebug_").map(|rest| format!(".debug_{rest}"));
        let compressed = before.is_some() || section.sh_flags(ENDIAN) & u64::from(elf::SHF_COMPRESSED) != 0;
        Section {
            name: before.unwrap_or_else(|| name.into_owned()),
            addr: FileAddr(section.sh_addr(ENDIAN)),
            bytes: clip(offset, size, bytes.len()),
            sh_type: section.sh_type(ENDIAN),
            link: section.sh_link(ENDIAN) as usize,
            compressed,
        }
    };
    table.iter().map(parse).collect()
}

/// The part of `offset..offset + size` that lies in a file of `len` bytes.
fn clip(offset: u64, size: u64, len: usize) -> Range<usize> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(len);
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(len - start);
    start..start + size
}

/// NT_GNU_BUILD_ID's descriptor in a run of notes (gABI, "Note Section").
fn find_build_id(bytes: &[u8], notes: Range<usize>, align: u64) -> Option<Range<usize>> {
    let align = if align == 8 { 8 } else { 4 };
    let word = |at: usize| -> Option<usize> {
        let raw = bytes.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(raw.try_into().ok()?)).ok()
    };
    let mut at = notes.start;
    while at + 12 <= notes.end {
        let (name_len, desc_len, note_type) = (word(at)?, word(at + 4)?, word(at + 8)?);
        let name = at + 12;
        let desc = name.checked_add(name_len)?.checked_next_multiple_of(align)?;
        let end = desc.checked_add(desc_len)?;
        if end > notes.end {
            return None;
        }
        if note_type == elf::NT_GNU_BUILD_ID as usize && bytes.get(name..name + name_len) == Some(b"GNU\0".as_slice()) {
            return Some(desc..end);
        }
        at = end.checked_next_multiple_of(align)?;
    }
    None
}
