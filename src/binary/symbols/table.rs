//! Reading .symtab and .dynsym (gABI, "Symbol Table").

use std::ops::Range;

use object::elf;

use super::super::image::{Image, Section};
use super::super::Dynamic;
use super::{NameSource, SymbolKind};
use crate::base::FileAddr;

const ENTRY: usize = 24;

/// One symbol of a table; the name is a range of the file.
#[derive(Clone, Debug)]
pub(super) struct RawSymbol {
    pub address: FileAddr,
    pub size: u64,
    pub name: Range<usize>,
    pub kind: SymbolKind,
    pub source: NameSource,
}

/// A symbol table and its strings, as ranges of the file.
#[derive(Clone, Debug)]
pub(super) struct Table {
    symbols: Range<usize>,
    strings: Range<usize>,
    source: NameSource,
}

/// What the tables of a file hold.
pub(super) struct Symbols {
    /// The defined functions and objects of both tables.
    pub functions_and_data: Vec<RawSymbol>,
    /// .dynsym, to which relocations refer.
    pub dynsym: Option<Table>,
}

/// All symbols of a file. Bounded by the size of the file.
pub(super) fn read_symbols(image: &Image, dynamic: &Dynamic) -> Symbols {
    let from_section = |kind: u32, source: NameSource| {
        let section = image.sections.iter().find(|section| section.sh_type == kind && !section.bytes.is_empty())?;
        let strings: &Section = image.sections.get(section.link)?;
        Some(Table { symbols: section.bytes.clone(), strings: strings.bytes.clone(), source })
    };
    let symtab = from_section(elf::SHT_SYMTAB, NameSource::Symtab);
    let dynsym = from_section(elf::SHT_DYNSYM, NameSource::Dynsym).or_else(|| from_dynamic(image, dynamic));
    let mut found = Vec::new();
    for table in symtab.iter().chain(&dynsym) {
        let entries = image.slice(&table.symbols).chunks_exact(ENTRY);
        found.reserve(entries.len());
        found.extend(entries.filter_map(|entry| parse_symbol(image, table, entry)));
    }
    Symbols { functions_and_data: found, dynsym }
}

impl Table {
    /// The name of the symbol with this number, without its version.
    pub fn name(&self, image: &Image, number: u32) -> Option<Range<usize>> {
        let start = usize::try_from(number).ok()?.checked_mul(ENTRY)?;
        let entry = image.slice(&self.symbols).get(start..start.checked_add(ENTRY)?)?;
        self.entry_name(image, entry)
    }

    fn entry_name(&self, image: &Image, entry: &[u8]) -> Option<Range<usize>> {
        let mut name = image.string_at(&self.strings, u64::from(u32_at(entry, 0)))?;
        if let Some(version) = memchr::memchr(b'@', image.slice(&name)) {
            name.end = name.start + version;
        }
        (!name.is_empty()).then_some(name)
    }
}

fn parse_symbol(image: &Image, table: &Table, entry: &[u8]) -> Option<RawSymbol> {
    let section_number = u16::from_le_bytes([entry[6], entry[7]]);
    let address = FileAddr(u64_at(entry, 8));
    if section_number == elf::SHN_UNDEF || address.0 == 0 {
        return None;
    }
    let kind = match entry[4] & 0xf {
        elf::STT_FUNC => SymbolKind::Function,
        elf::STT_GNU_IFUNC => SymbolKind::IndirectFunction,
        elf::STT_OBJECT => SymbolKind::Data,
        elf::STT_NOTYPE if image.segment_at(address).is_some_and(|segment| segment.exec) => SymbolKind::Function,
        _ => return None,
    };
    let name = table.entry_name(image, entry)?;
    Some(RawSymbol { address, size: u64_at(entry, 16), name, kind, source: table.source })
}

/// .dynsym of a file without section headers: DT_SYMTAB, with its length from DT_HASH, or else up to DT_STRTAB, which
/// every known linker puts behind it.
fn from_dynamic(image: &Image, dynamic: &Dynamic) -> Option<Table> {
    let start = dynamic.symbols?;
    let (strings_at, strings_size) = dynamic.strings?;
    let mut symbols = image.file_range_from(start)?;
    let hashed = dynamic.hash.and_then(|hash| image.bytes_at(hash, 8)).map(|hash| u64::from(u32_at(hash, 4)) * 24);
    let until_strings = (strings_at > start).then(|| strings_at.since(start));
    let size = usize::try_from(hashed.or(until_strings)?).ok()?;
    symbols.end = symbols.end.min(symbols.start.saturating_add(size));
    let mut strings = image.file_range_from(strings_at)?;
    strings.end = strings.end.min(strings.start.saturating_add(usize::try_from(strings_size).ok()?));
    Some(Table { symbols, strings, source: NameSource::Dynsym })
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|raw| raw.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    super::super::dynamic::word(bytes, at)
}
