//! Writing a pack.

use object::elf;

use super::super::rtti::Tables;
use super::super::{Symbol, SymbolKind};
use super::{IDENTITY, MARK, MARK_AT, NAMES, TEXT};

const HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
const SYMBOL: u64 = 24;

/// One section of the file to be written.
struct Part {
    name: &'static str,
    kind: u32,
    /// sh_link.
    link: u32,
    entry_size: u64,
    bytes: Vec<u8>,
}

impl Part {
    fn new(name: &'static str, kind: u32, bytes: Vec<u8>) -> Part {
        Part { name, kind, link: 0, entry_size: 0, bytes }
    }
}

/// The bytes of a pack: `symbols` become its .symtab, `recovered` its stored names.
pub(in crate::binary) fn write<'a>(
    build_id: Option<&[u8]>,
    identity: &[u8],
    symbols: impl Iterator<Item = Symbol<'a>>,
    recovered: Option<Tables>,
) -> Vec<u8> {
    let mut parts = vec![Part::new("", elf::SHT_NULL, Vec::new())];
    parts.extend(build_id.map(|id| Part::new(".note.gnu.build-id", elf::SHT_NOTE, build_id_note(id))));
    parts.push(Part::new(IDENTITY, elf::SHT_PROGBITS, identity.to_vec()));
    let (table, strings) = symbol_table(symbols);
    if strings.len() > 1 {
        let link = parts.len() as u32 + 1;
        parts.push(Part { link, entry_size: SYMBOL, ..Part::new(".symtab", elf::SHT_SYMTAB, table) });
        parts.push(Part::new(".strtab", elf::SHT_STRTAB, strings));
    }
    if let Some(Tables { records, text }) = recovered {
        parts.push(Part::new(NAMES, elf::SHT_PROGBITS, records));
        parts.push(Part::new(TEXT, elf::SHT_PROGBITS, text));
    }
    let mut bytes = lay_out(parts);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// A note (gABI, "Note Section") of type NT_GNU_BUILD_ID.
fn build_id_note(id: &[u8]) -> Vec<u8> {
    let words = [4, id.len() as u32, elf::NT_GNU_BUILD_ID];
    let mut note: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    note.extend(b"GNU\0");
    note.extend(id);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// .symtab and .strtab (gABI, "Symbol Table"). All are global and absolute: there are no sections to refer to.
pub(in crate::binary) fn symbol_table<'a>(symbols: impl Iterator<Item = Symbol<'a>>) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut strings) = (vec![0; SYMBOL as usize], vec![0]);
    for symbol in symbols {
        let Ok(name) = u32::try_from(strings.len()) else { break };
        let kind = match symbol.kind {
            SymbolKind::IndirectFunction => elf::STT_GNU_IFUNC,
            SymbolKind::Data => elf::STT_OBJECT,
            SymbolKind::Function | SymbolKind::Plt | SymbolKind::Unwind => elf::STT_FUNC,
        };
        strings.extend(symbol.name.bytes());
        strings.push(0);
        table.extend(name.to_le_bytes());
        table.extend([elf::STB_GLOBAL << 4 | kind, elf::STV_DEFAULT]);
        table.extend(elf::SHN_ABS.to_le_bytes());
        table.extend(symbol.address.0.to_le_bytes());
        table.extend(symbol.size.to_le_bytes());
    }
    (table, strings)
}

/// The header, the sections, and the table of their headers.
fn lay_out(mut parts: Vec<Part>) -> Vec<u8> {
    let mut names = vec![0];
    let mut name_at: Vec<u32> = Vec::new();
    for name in parts.iter().map(|part| part.name).chain([".shstrtab"]) {
        name_at.push(if name.is_empty() { 0 } else { names.len() as u32 });
        names.extend(name.bytes());
        names.push(0);
    }
    parts.push(Part::new(".shstrtab", elf::SHT_STRTAB, names));
    let sections = parts.len() as u16;
    // Tens of MB: they are not to be there three times while they grow.
    let room: usize = parts.iter().map(|part| part.bytes.len() + SECTION_HEADER + 8).sum();
    let mut bytes = Vec::with_capacity(HEADER + room + 16);
    bytes.resize(HEADER, 0);
    let mut headers = Vec::new();
    for (part, name) in parts.into_iter().zip(name_at) {
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let (at, size) = (bytes.len() as u64, part.bytes.len() as u64);
        bytes.extend(&part.bytes);
        [name, part.kind].iter().for_each(|word| headers.extend(word.to_le_bytes()));
        let place = if part.kind == elf::SHT_NULL { 0 } else { at };
        [0, 0, place, size].iter().for_each(|word: &u64| headers.extend(word.to_le_bytes()));
        // sh_info of a symbol table: how many local symbols there are, the first, empty one.
        let local = u32::from(part.kind == elf::SHT_SYMTAB);
        [part.link, local].iter().for_each(|word| headers.extend(word.to_le_bytes()));
        let align = if part.kind == elf::SHT_NULL { 0 } else { 8 };
        [align, part.entry_size].iter().for_each(|word: &u64| headers.extend(word.to_le_bytes()));
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let table_at = bytes.len() as u64;
    bytes.extend(headers);
    bytes[..HEADER].copy_from_slice(&header(table_at, sections));
    bytes
}

/// The ELF header (gABI, "ELF Header") of a shared object for x86-64.
fn header(sections_at: u64, sections: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &elf::ELFMAG);
    put(4, &[elf::ELFCLASS64, elf::ELFDATA2LSB, elf::EV_CURRENT]);
    put(MARK_AT, &MARK);
    put(16, &elf::ET_DYN.to_le_bytes());
    put(18, &elf::EM_X86_64.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(40, &sections_at.to_le_bytes());
    put(52, &(HEADER as u16).to_le_bytes());
    put(58, &(SECTION_HEADER as u16).to_le_bytes());
    put(60, &sections.to_le_bytes());
    put(62, &(sections - 1).to_le_bytes());
    header
}
