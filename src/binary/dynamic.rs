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
                DT_PLTRELSZ | DT_HASH | DT_STRTAB | DT_SYMTAB | DT_RELA | DT_RELASZ | DT_STRSZ | DT_JMPREL => {
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
        let string = |offset: u64| -> Option<String> {
            let (addr, size) = dynamic.strings?;
            let table = image.bytes_at(addr, size)?.get(usize::try_from(offset).ok()?..)?;
            let table = &table[..table.len().min(4096)];
            Some(String::from_utf8_lossy(&table[..memchr::memchr(0, table)?]).into_owned())
        };
        dynamic.soname = soname.and_then(string);
        dynamic.needed = names.into_iter().take(4096).filter_map(string).collect();
        dynamic
    }
}

/// A little-endian word of a slice that is long enough; 0 otherwise.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let raw = bytes.get(at..at + 8).and_then(|raw| raw.try_into().ok());
    raw.map_or(0, u64::from_le_bytes)
}
