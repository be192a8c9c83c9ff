//! Symbol tables where they lie in a file: .symtab and .dynsym (gABI, "Symbol Table"). Nothing is copied out of them.

use std::ops::Range;
use std::sync::Arc;

use object::elf;

use super::super::image::{Image, Section};
use super::super::Dynamic;
use super::literals::Literals;
use super::pieces::map_pieces;
use super::scan::{Candidates, Strings};
use super::{NameSource, SymbolKind};
use crate::base::{FileAddr, Progress};

/// Bytes of an Elf64_Sym.
const ENTRY: usize = 24;
/// A longer name is taken for none: no compiler makes it, and a hostile table could point into it from everywhere.
const MAX_NAME: usize = 64 << 10;
/// A string table that is larger is let go of once it has been read, bytes. It is read again from the page cache.
const LARGE: usize = 8 << 20;
/// How much of each end of a table stands for the whole of it, bytes.
const EDGE: usize = 4096;
/// How many symbols are read together.
pub(super) const CHUNK: usize = 16 << 10;

/// A symbol table with its strings, as ranges of a file.
#[derive(Clone)]
pub(super) struct Table {
    image: Arc<Image>,
    symbols: Range<usize>,
    strings: Range<usize>,
    pub source: NameSource,
}

/// One entry of a table that names a defined function or object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TableEntry {
    /// Its place in the table.
    pub number: u32,
    pub address: FileAddr,
    pub kind: SymbolKind,
}

impl Table {
    /// .symtab of a file.
    pub fn symtab(image: &Arc<Image>, source: NameSource) -> Option<Table> {
        Table::from_section(image, elf::SHT_SYMTAB, source)
    }

    /// .dynsym of a file, which is found without section headers too.
    pub fn dynsym(image: &Arc<Image>, dynamic: &Dynamic) -> Option<Table> {
        let section = Table::from_section(image, elf::SHT_DYNSYM, NameSource::Dynsym);
        section.or_else(|| from_dynamic(image, dynamic))
    }

    fn from_section(image: &Arc<Image>, kind: u32, source: NameSource) -> Option<Table> {
        let section = image.sections.iter().find(|section| section.sh_type == kind && !section.bytes.is_empty())?;
        let strings: &Section = image.sections.get(section.link)?;
        let (symbols, strings) = (section.bytes.clone(), strings.bytes.clone());
        Some(Table { image: image.clone(), symbols, strings, source })
    }

    /// How many entries the table has, undefined ones included.
    pub fn len(&self) -> usize {
        self.symbols.len() / ENTRY
    }

    /// What an entry names, where that is a function or data and has a name. `code` as for [`Table::select`].
    pub fn find(&self, number: u32, code: impl Fn(FileAddr) -> bool) -> Option<TableEntry> {
        let entry = self.entry(number).filter(|entry| u32_at(entry, 0) != 0)?;
        parse_entry(number, entry, &code)
    }

    /// The name of an entry, without its version; empty for none.
    pub fn name(&self, number: u32) -> &[u8] {
        self.entry(number).map_or(&[], |entry| self.entry_name(entry))
    }

    /// st_size in bytes; 0 when the file does not say.
    pub fn size(&self, number: u32) -> u64 {
        self.entry(number).map_or(0, |entry| u64_at(entry, 16))
    }

    /// The strings that `literals` admit. A large table does not stay resident.
    pub fn strings_with(&self, literals: &Literals) -> Candidates {
        let strings = Strings(self.image.slice(&self.strings));
        let release = |piece: Range<usize>| self.release_strings(piece);
        strings.find(literals, release)
    }

    /// The entries that name functions and data (there is a name), of those whose offset in the string table `wanted` takes, and that
    /// `accepts` takes by kind and name, in the order of the table; too few of them once `progress` is cancelled. `code`
    /// tells whether an address is executable.
    pub fn select(
        &self,
        code: &(impl Fn(FileAddr) -> bool + Sync),
        wanted: &(impl Fn(usize) -> bool + Sync),
        accepts: &(impl Fn(SymbolKind, &[u8]) -> bool + Sync),
        progress: &Progress,
    ) -> Vec<TableEntry> {
        let bytes = self.image.slice(&self.symbols);
        let chunks: Vec<(usize, &[u8])> = bytes.chunks(ENTRY * CHUNK).enumerate().collect();
        let select_in = |(chunk, bytes): (usize, &[u8])| {
            if progress.is_cancelled() {
                return Vec::new();
            }
            let first = (chunk * CHUNK) as u32;
            let numbered = (first..).zip(bytes.chunks_exact(ENTRY));
            let (mut least, mut most) = (usize::MAX, 0);
            let named = numbered.filter(|(_, entry)| {
                let offset = u32_at(entry, 0) as usize;
                let is_wanted = wanted(offset);
                if is_wanted {
                    (least, most) = (offset.min(least), offset.max(most));
                }
                is_wanted
            });
            let parsed = named.filter_map(|(number, entry)| Some((parse_entry(number, entry, code)?, entry)));
            let accepted = parsed.filter(|(one, entry)| {
                let name = self.entry_name(entry);
                !name.is_empty() && accepts(one.kind, name)
            });
            let found: Vec<TableEntry> = accepted.map(|(one, _)| one).collect();
            self.release_strings(least..most);
            progress.advance((bytes.len() / ENTRY) as u64);
            found
        };
        map_pieces(chunks, select_in).concat()
    }

    /// Calls `visit` with every entry that has a name and names a function or data, and its size in bytes.
    pub fn for_each(&self, code: impl Fn(FileAddr) -> bool, mut visit: impl FnMut(TableEntry, u64)) {
        let entries = self.image.slice(&self.symbols).chunks_exact(ENTRY);
        for (number, entry) in (0..).zip(entries).filter(|(_, entry)| u32_at(entry, 0) != 0) {
            if let Some(one) = parse_entry(number, entry, &code) {
                visit(one, u64_at(entry, 16));
            }
        }
    }

    /// What tells this table from another of the same file: its source, how long it and its strings are, and the CRC-32 of where
    /// they begin and end.
    pub fn fingerprint(&self) -> String {
        let edges = |range: &Range<usize>| {
            let bytes = self.image.slice(range);
            let edge = bytes.len().min(EDGE);
            let mut crc = crc32fast::Hasher::new();
            crc.update(&bytes[..edge]);
            crc.update(&bytes[bytes.len() - edge..]);
            format!("{:x}-{:08x}", bytes.len(), crc.finalize())
        };
        format!("{:?} {} {}", self.source, edges(&self.symbols), edges(&self.strings))
    }

    /// Lets go of a part of the strings, where there are many.
    pub fn release_strings(&self, part: Range<usize>) {
        let end = part.end.min(self.strings.len());
        if self.strings.len() > LARGE && part.start < end {
            self.image.release(self.strings.start + part.start..self.strings.start + end);
        }
    }

    fn entry(&self, number: u32) -> Option<&[u8]> {
        let start = (number as usize).checked_mul(ENTRY)?;
        self.image.slice(&self.symbols).get(start..start.checked_add(ENTRY)?)
    }

    fn entry_name(&self, entry: &[u8]) -> &[u8] {
        let Some(rest) = self.image.slice(&self.strings).get(u32_at(entry, 0) as usize..) else { return &[] };
        let Some(end) = memchr::memchr(0, &rest[..rest.len().min(MAX_NAME)]) else { return &[] };
        let name = &rest[..end];
        &name[..memchr::memchr(b'@', name).unwrap_or(end)]
    }
}

fn parse_entry(number: u32, entry: &[u8], code: &impl Fn(FileAddr) -> bool) -> Option<TableEntry> {
    let section_number = u16::from_le_bytes([entry[6], entry[7]]);
    let address = FileAddr(u64_at(entry, 8));
    if section_number == elf::SHN_UNDEF || address.0 == 0 {
        return None;
    }
    let kind = match entry[4] & 0xf {
        elf::STT_FUNC => SymbolKind::Function,
        elf::STT_GNU_IFUNC => SymbolKind::IndirectFunction,
        elf::STT_OBJECT => SymbolKind::Data,
        elf::STT_NOTYPE if code(address) => SymbolKind::Function,
        _ => return None,
    };
    Some(TableEntry { number, address, kind })
}

/// .dynsym of a file without section headers: DT_SYMTAB, with its length from DT_HASH, or else up to DT_STRTAB, which
/// every known linker puts behind it.
fn from_dynamic(image: &Arc<Image>, dynamic: &Dynamic) -> Option<Table> {
    let start = dynamic.symbols?;
    let (strings_at, strings_size) = dynamic.strings?;
    let mut symbols = image.file_range_from(start)?;
    let hashed = dynamic.hash.and_then(|hash| image.bytes_at(hash, 8)).map(|hash| u64::from(u32_at(hash, 4)) * 24);
    let until_strings = (strings_at > start).then(|| strings_at.since(start));
    let size = usize::try_from(hashed.or(until_strings)?).ok()?;
    symbols.end = symbols.end.min(symbols.start.saturating_add(size));
    let mut strings = image.file_range_from(strings_at)?;
    strings.end = strings.end.min(strings.start.saturating_add(usize::try_from(strings_size).ok()?));
    Some(Table { image: image.clone(), symbols, strings, source: NameSource::Dynsym })
}

pub(in crate::binary) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|raw| raw.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    super::super::dynamic::word(bytes, at)
}
