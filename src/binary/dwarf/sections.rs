//! Where the bytes of DWARF sections come from: the module's own file, or a separate one.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use gimli::{EndianSlice, LittleEndian, SectionId};
use object::read::{CompressedData, CompressionFormat};

use crate::binary::image::{Image, Section};

/// Bytes of a section, as gimli reads them.
pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// A section that says it is larger than this when decompressed is not believed, bytes.
const SECTION_LIMIT: u64 = 16 << 30;
/// zlib and zstd do not pack better than this; a header that claims more is a lie.
const PACKING_LIMIT: u64 = 2000;

/// The sections that are read.
const SECTIONS: [SectionId; 15] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugCuIndex,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTuIndex,
    SectionId::DebugTypes,
];

/// A file that holds DWARF. A section is decompressed (gABI, "Section Compression") when it is first asked for.
pub struct DebugFile {
    image: Arc<Image>,
    sections: [Source; SECTIONS.len()],
}

/// One section.
enum Source {
    Missing,
    /// As it is in the file.
    Plain(Range<usize>),
    /// Made of what is there: decompressed, or joined of several sections of one name (GCC gives each type's unit in a .dwo one
    /// of its own). What cannot be decompressed is left out.
    Made(Vec<Section>, OnceLock<Vec<u8>>),
}

impl DebugFile {
    /// The sections of a parsed file; which ones there are is looked up now, their content later.
    pub(in crate::binary) fn new(image: Arc<Image>) -> Self {
        Self::with_names(image, |id| Some(id.name()))
    }

    /// Those of a .dwo or .dwp (DWARF 5, 7.3.2): `.debug_info.dwo` for `.debug_info`.
    pub(super) fn split(image: Arc<Image>) -> Self {
        Self::with_names(image, SectionId::dwo_name)
    }

    fn with_names(image: Arc<Image>, name: impl Fn(SectionId) -> Option<&'static str>) -> Self {
        let named = |name: &'static str| image.sections.iter().filter(move |section| section.name == name);
        let locate = |id: SectionId| {
            let mut left = image.bytes().len();
            // Sections that lie over each other would make more than the file has.
            let fits = |section: &&Section| left.checked_sub(section.bytes.len()).map(|rest| left = rest).is_some();
            let found: Vec<&Section> = name(id).into_iter().flat_map(named).take_while(fits).collect();
            match found[..] {
                [] => Source::Missing,
                [section] if !section.compressed => Source::Plain(section.bytes.clone()),
                _ => Source::Made(found.into_iter().cloned().collect(), OnceLock::new()),
            }
        };
        let sections = SECTIONS.map(locate);
        Self { image, sections }
    }

    /// Whether there is any DWARF.
    pub fn has_units(&self) -> bool {
        !self.section(SectionId::DebugInfo).is_empty()
    }

    /// The file's path, for messages.
    pub fn path(&self) -> &Path {
        self.image.path()
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// The content of a section; empty where there is none.
    pub(super) fn section(&self, id: SectionId) -> &[u8] {
        let Some(at) = SECTIONS.iter().position(|one| *one == id) else { return &[] };
        match &self.sections[at] {
            Source::Missing => &[],
            Source::Plain(range) => self.image.slice(range),
            Source::Made(parts, content) => content.get_or_init(|| {
                let content = |part: &Section| match part.compressed {
                    true => decompress(self.image.slice(&part.bytes)).unwrap_or_default(),
                    false => self.image.slice(&part.bytes).to_vec(),
                };
                match &parts[..] {
                    [one] => content(one),
                    parts => parts.iter().flat_map(content).collect(),
                }
            }),
        }
    }

    /// The content of a section that is none of DWARF's, as it is in the file; empty where there is none, or it is compressed.
    pub(super) fn plain_section(&self, name: &str) -> &[u8] {
        let found = self.image.sections.iter().find(|section| section.name == name && !section.compressed);
        found.map_or(&[], |section| self.image.slice(&section.bytes))
    }

    /// How many bytes each section has in the file.
    pub(super) fn section_sizes(&self) -> Vec<u64> {
        let size = |source: &Source| match source {
            Source::Missing => 0,
            Source::Plain(range) => range.len(),
            Source::Made(parts, _) => parts.iter().map(|part| part.bytes.len()).sum(),
        };
        self.sections.iter().map(|source| size(source) as u64).collect()
    }

    /// A part of a section (bytes from its start; clipped to it) has been read in one pass, and need not stay resident.
    pub(super) fn release(&self, id: SectionId, part: Range<usize>) {
        let at = SECTIONS.iter().position(|one| *one == id);
        if let Some(Source::Plain(range)) = at.map(|at| &self.sections[at]) {
            let end = range.start.saturating_add(part.end).min(range.end);
            self.image.release(range.start.saturating_add(part.start).min(end)..end);
        }
    }

    /// All sections, for gimli.
    pub(super) fn read(&self) -> gimli::Dwarf<Slice<'_>> {
        let load = |id| Ok::<_, std::convert::Infallible>(EndianSlice::new(self.section(id), LittleEndian));
        match gimli::Dwarf::load(load) {
            Ok(dwarf) => dwarf,
            Err(never) => match never {},
        }
    }

    /// The sections of a .dwp with the index that says which part of each is whose.
    pub(super) fn package(&self) -> gimli::Result<gimli::DwarfPackage<Slice<'_>>> {
        let load = |id| Ok::<_, gimli::Error>(EndianSlice::new(self.section(id), LittleEndian));
        gimli::DwarfPackage::load(load, EndianSlice::new(&[], LittleEndian))
    }
}

/// What a section begins with that was compressed before there was SHF_COMPRESSED; its size follows, the highest byte first.
const OLD_MAGIC: &[u8; 4] = b"ZLIB";

/// The content of a section that begins with an Elf64_Chdr, or is compressed in the old way (`.zdebug_info`; gdb's "gdb_bfd.c",
/// binutils' "compress.c"); `None` where the head is malformed or absurd.
fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| bytes.get(at..)?.first_chunk::<8>();
    let (format, size, data) = match bytes.first_chunk::<4>()? {
        OLD_MAGIC => (CompressionFormat::Zlib, u64::from_be_bytes(*word(4)?), bytes.get(12..)?),
        kind => {
            let format = match u32::from_le_bytes(*kind) {
                object::elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
                object::elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
                _ => return None,
            };
            (format, u64::from_le_bytes(*word(8)?), bytes.get(24..)?)
        }
    };
    if size > SECTION_LIMIT || size > (data.len() as u64).saturating_mul(PACKING_LIMIT) {
        return None;
    }
    let compressed = CompressedData { format, data, uncompressed_size: size };
    compressed.decompress().ok().map(std::borrow::Cow::into_owned)
}
