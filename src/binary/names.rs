//! Separate files that hold the names of a module, and what proves that they belong to it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lzma_rust2::XzReader;

use super::image::Image;
use super::pack::{self, Contents};
use super::rtti::StoredNames;
use super::{BinaryError, FileBytes};

/// A .gnu_debugdata that unpacks to more is not read, bytes. Fedora's largest are a few MB.
const MINI_LIMIT: u64 = 256 << 20;
/// How much memory the unpacker may take for its dictionary, KiB.
const DICTIONARY_LIMIT: u32 = 128 << 10;

/// An ELF file with names and debug information for another: a .debug file, an unstripped twin, a pack.
#[derive(Clone)]
pub struct NamesFile {
    image: Arc<Image>,
    pack: Option<Contents>,
}

/// .gnu_debuglink: the file name of the separate file, and the CRC of its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugLink {
    /// A file name without directories.
    pub name: String,
    /// CRC-32 as in zlib.
    pub crc: u32,
}

impl NamesFile {
    /// Parses the headers. `path` is a label only.
    ///
    /// # Errors
    /// As [`super::Module::parse`], save that segments may lie beyond the file's end: their bytes were stripped. A pack of
    /// another version, or one that is damaged.
    pub fn parse(path: PathBuf, bytes: FileBytes) -> Result<NamesFile, BinaryError> {
        let image = Arc::new(Image::parse_separate(path.clone(), bytes)?);
        let pack = pack::open(&image).map_err(|reason| BinaryError::BadPack { path, reason })?;
        Ok(NamesFile { image, pack })
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        self.image.path()
    }

    /// The descriptor of its NT_GNU_BUILD_ID note.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.image.build_id.as_ref().map(|range| self.image.slice(range))
    }

    /// The CRC-32 of the whole file, to be compared with [`DebugLink::crc`]. Reads every byte.
    pub fn crc(&self) -> u32 {
        crc32fast::hash(self.image.bytes())
    }

    /// Whether it is one that rdbg made.
    pub fn is_pack(&self) -> bool {
        self.pack.is_some()
    }

    /// What a pack was made of, see [`super::Module::pack_identity`]; empty for any other file.
    pub fn identity(&self) -> &[u8] {
        self.pack.as_ref().map_or(&[], |pack| &pack.identity)
    }

    /// The recovered names that a pack holds.
    pub fn stored(&self) -> Option<&StoredNames> {
        self.pack.as_ref()?.stored.as_ref()
    }

    /// Whether it has a symbol table.
    pub fn has_symbols(&self) -> bool {
        self.image.section(".symtab").is_some_and(|section| !section.bytes.is_empty())
    }

    pub(super) fn image(&self) -> &Arc<Image> {
        &self.image
    }
}

/// .gnu_debuglink of a file (gdb manual, "Separate Debug Files"): a name, NUL, padding to four bytes, the CRC.
pub(super) fn parse_debuglink(image: &Image) -> Option<DebugLink> {
    let bytes = image.slice(&image.section(".gnu_debuglink")?.bytes);
    let end = memchr::memchr(0, bytes)?;
    let name = std::str::from_utf8(&bytes[..end]).ok()?;
    let crc = bytes.get((end + 1).next_multiple_of(4)..)?.get(..4)?;
    let plain = !name.is_empty() && name != ".." && name != "." && !name.contains('/');
    plain.then(|| DebugLink { name: name.to_owned(), crc: u32::from_le_bytes(crc.try_into().unwrap_or_default()) })
}

/// The file that .gnu_debugdata packs with xz: symbols of functions that .dynsym lacks (gdb manual, "MiniDebugInfo").
/// `None` where there is none, or where it cannot be unpacked.
pub(super) fn unpack_mini(image: &Image) -> Option<Arc<Image>> {
    let section = image.section(".gnu_debugdata")?;
    let unpacker = XzReader::new_mem_limit(image.slice(&section.bytes), false, DICTIONARY_LIMIT);
    let mut bytes = Vec::new();
    let unpacked = unpacker.take(MINI_LIMIT).read_to_end(&mut bytes);
    let unpacked = unpacked.map_err(|error| error.to_string());
    let parsed = unpacked.and_then(|_| {
        let path = PathBuf::from(format!("{}(.gnu_debugdata)", image.path().display()));
        Image::parse_separate(path, Arc::new(bytes)).map_err(|error| error.to_string())
    });
    parsed
        .inspect_err(|reason| tracing::debug!(path = %image.path().display(), reason, "bad .gnu_debugdata"))
        .ok()
        .map(Arc::new)
}
