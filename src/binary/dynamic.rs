//! The dynamic section: what a module needs from others.

use super::image::Image;
use crate::base::FileAddr;

const DT_NEEDED: u64 = 1;
const DT_PLTRELSZ: u64 = 2;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_DEBUG: u64 = 21;
const DT_JMPREL: u64 = 23;
const DT_INIT_ARRAY: u64 = 25;
const DT_FINI_ARRAY: u64 = 26;
const DT_INIT_ARRAYSZ: u64 = 27;
const DT_FINI_ARRAYSZ: u64 = 28;
const DT_RELRSZ: u64 = 35;
const DT_RELR: u64 = 36;
/// Bytes of one symbol (gABI, "Symbol Table").
const SYMBOL: u64 = 24;

/// The entries of PT_DYNAMIC that rdbg uses (gABI, "Dynamic Section").
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dynamic {
    /// DT_NEEDED, in order: the names of the libraries that are loaded with the module.
    pub needed: Vec<String>,
    /// DT_SONAME.
    pub soname: Option<String>,
    /// Where the dynamic loader writes the address of `r_debug`: the value of the DT_DEBUG entry.
    pub debug_slot: Option<FileAddr>,
    /// DT_SYMTAB.
    pub(super) symbols: Option<FileAddr>,
    /// DT_STRTAB and DT_STRSZ.
    pub(super) strings: Option<(FileAddr, u64)>,
    /// DT_HASH.
    pub(super) hash: Option<FileAddr>,
    /// DT_RELA with DT_RELASZ, DT_JMPREL with DT_PLTRELSZ: address and bytes.
    pub(super) relocations: Vec<(FileAddr, u64)>,
    /// DT_RELR with DT_RELRSZ: address and bytes.
    pub(super) relative: Option<(FileAddr, u64)>,
    /// DT_INIT_ARRAY with DT_INIT_ARRAYSZ: address and bytes.
    pub(super) initializers: Option<(FileAddr, u64)>,
    /// DT_FINI_ARRAY with DT_FINI_ARRAYSZ: address and bytes.
    pub(super) finalizers: Option<(FileAddr, u64)>,
}

impl Dynamic {
    pub(super) fn parse(image: &Image) -> Dynamic {
        let mut dynamic = Dynamic::default();
        let Some(located) = &image.dynamic else { return dynamic };
        let mut names = Vec::new();
        let mut soname = None;
        let mut found = std::collections::BTreeMap::new();
        for (index, entry) in image.slice(&located.bytes).chunks_exact(16).enumerate() {
            let (tag, value) = (word(entry, 0), word(entry, 8));
            match tag {
                0 => break,
                DT_NEEDED => names.push(value),
                DT_SONAME => soname = Some(value),
                DT_DEBUG => dynamic.debug_slot = Some(located.addr.offset(index as u64 * 16 + 8)),
                DT_PLTRELSZ | DT_HASH | DT_STRTAB | DT_SYMTAB | DT_RELA | DT_RELASZ | DT_STRSZ | DT_JMPREL
                | DT_RELR | DT_RELRSZ | DT_INIT_ARRAY | DT_INIT_ARRAYSZ | DT_FINI_ARRAY | DT_FINI_ARRAYSZ => {
                    found.entry(tag).or_insert(value);
                }
                _ => {}
            }
        }
        let get = |tag: u64| found.get(&tag).copied();
        dynamic.symbols = get(DT_SYMTAB).map(FileAddr);
        dynamic.hash = get(DT_HASH).map(FileAddr);
        dynamic.strings = get(DT_STRTAB).map(FileAddr).zip(get(DT_STRSZ));
        for (table, size) in [(DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)] {
            dynamic.relocations.extend(get(table).map(FileAddr).zip(get(size)));
        }
        dynamic.relative = get(DT_RELR).map(FileAddr).zip(get(DT_RELRSZ));
        dynamic.initializers = get(DT_INIT_ARRAY).map(FileAddr).zip(get(DT_INIT_ARRAYSZ));
        dynamic.finalizers = get(DT_FINI_ARRAY).map(FileAddr).zip(get(DT_FINI_ARRAYSZ));
        let string = |offset: u64| -> Option<String> {
            let name = dynamic.string(image, offset).filter(|name| name.len() < 4096)?;
            Some(String::from_utf8_lossy(name).into_owned())
        };
        let soname = soname.and_then(string);
        let needed = names.into_iter().take(4096).filter_map(string).collect();
        (dynamic.soname, dynamic.needed) = (soname, needed);
        dynamic
    }

    /// The value of the symbol of .dynsym with this number, where this file defines it.
    pub(super) fn defined_symbol(&self, image: &Image, number: u32) -> Option<FileAddr> {
        let symbol = self.symbol(image, number)?;
        let section = u16::from_le_bytes([symbol[6], symbol[7]]);
        (section != object::elf::SHN_UNDEF).then(|| FileAddr(word(symbol, 8)))
    }

    /// The name of the symbol of .dynsym with this number, without the NUL.
    pub(super) fn symbol_name<'a>(&self, image: &'a Image, number: u32) -> Option<&'a [u8]> {
        let symbol = self.symbol(image, number)?;
        self.string(image, word(symbol, 0) & 0xffff_ffff)
    }

    /// The symbols of .dynsym that the file defines and whose names `wanted` takes. There are as many as DT_HASH says, or
    /// as lie before DT_STRTAB, which every known linker puts behind the symbols.
    pub(super) fn symbols_named<'a>(
        &'a self,
        image: &'a Image,
        wanted: impl Fn(&[u8]) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a [u8], FileAddr)> + 'a {
        let hashed = self.hash.and_then(|hash| image.bytes_at(hash, 8)).map(|header| word(header, 0) >> 32);
        let before_strings =
            self.symbols.zip(self.strings).map(|(start, (end, _))| end.0.saturating_sub(start.0) / SYMBOL);
        let count = hashed.or(before_strings).unwrap_or(0).min(image.bytes().len() as u64 / SYMBOL) as u32;
        (0..count).filter_map(move |number| {
            let value = self.defined_symbol(image, number)?;
            self.symbol_name(image, number).filter(|name| wanted(name)).map(|name| (name, value))
        })
    }

    fn symbol<'a>(&self, image: &'a Image, number: u32) -> Option<&'a [u8]> {
        image.bytes_at(self.symbols?.offset(u64::from(number) * SYMBOL), SYMBOL)
    }

    fn string<'a>(&self, image: &'a Image, offset: u64) -> Option<&'a [u8]> {
        let (addr, size) = self.strings?;
        let rest = image.bytes_at(addr, size)?.get(usize::try_from(offset).ok()?..)?;
        Some(&rest[..memchr::memchr(0, rest)?])
    }
}

/// A little-endian word of a slice that is long enough; 0 otherwise.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let raw = bytes.get(at..at + 8).and_then(|raw| raw.try_into().ok());
    raw.map_or(0, u64::from_le_bytes)
}
