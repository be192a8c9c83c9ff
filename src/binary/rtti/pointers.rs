//! Where a file's data points: its relocations, or the words themselves where it is not relocated.

use std::iter::Peekable;
use std::slice;

use object::elf;
use rayon::prelude::*;

use super::super::dynamic::word;
use super::super::image::Image;
use super::super::Dynamic;
use crate::base::FileAddr;

const RELA: usize = 24;
const WORD: u64 = 8;

/// The pointers that a file's data holds once it is loaded, in address order.
pub(super) struct Pointers {
    /// To an address of the file itself.
    inner: Vec<Pointer>,
    /// To a symbol that another file defines.
    imports: Vec<Import>,
}

/// A word of data that holds an address of the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Pointer {
    /// Where the word is.
    pub at: FileAddr,
    /// What it will hold, before the load bias.
    pub to: FileAddr,
}

/// A word of data that holds the address of another file's symbol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Import {
    /// Where the word is.
    pub at: FileAddr,
    /// The number of the symbol in .dynsym.
    pub symbol: u32,
    /// Bytes that are added to its address.
    pub addend: i64,
}

impl Pointers {
    /// Reads R_X86_64_RELATIVE, R_X86_64_64 and DT_RELR (x86-64 psABI, "Relocation"; gABI, "Relative Relocation Table");
    /// for a file that is loaded where it was linked, every aligned word of data that is an address of it. Never more
    /// pointers than the file has words.
    pub fn read(image: &Image, dynamic: &Dynamic) -> Pointers {
        let mut pointers = Pointers { inner: Vec::new(), imports: Vec::new() };
        for (at, size) in &dynamic.relocations {
            pointers.read_rela(image, dynamic, image.bytes_at(*at, *size).unwrap_or_default());
        }
        if let Some((at, size)) = dynamic.relative {
            pointers.read_relr(image, image.bytes_at(at, size).unwrap_or_default());
        }
        if image.elf_type == elf::ET_EXEC {
            pointers.read_words(image);
        }
        if !pointers.inner.is_sorted() {
            pointers.inner.par_sort_unstable();
        }
        pointers.inner.dedup_by_key(|pointer| pointer.at);
        pointers.imports.sort_unstable();
        pointers.imports.dedup_by_key(|import| import.at);
        pointers
    }

    /// All pointers to the file itself.
    pub fn inner(&self) -> &[Pointer] {
        &self.inner
    }

    /// All pointers to other files' symbols.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// The pointers to the file itself from an address on.
    pub fn from(&self, at: FileAddr) -> Peekable<slice::Iter<'_, Pointer>> {
        let first = self.inner.partition_point(|pointer| pointer.at < at);
        self.inner[first..].iter().peekable()
    }

    /// Where the word at `at` points in this file.
    pub fn target(&self, at: FileAddr) -> Option<FileAddr> {
        let found = self.inner.binary_search_by_key(&at, |pointer| pointer.at).ok()?;
        Some(self.inner[found].to)
    }

    /// The other file's symbol whose address the word at `at` holds.
    pub fn import(&self, at: FileAddr) -> Option<Import> {
        let found = self.imports.binary_search_by_key(&at, |import| import.at).ok()?;
        Some(self.imports[found])
    }

    /// Whether the word at `at` is a pointer at all.
    pub fn is_pointer(&self, at: FileAddr) -> bool {
        self.target(at).is_some() || self.import(at).is_some()
    }

    fn read_rela(&mut self, image: &Image, dynamic: &Dynamic, table: &[u8]) {
        self.inner.reserve(table.len() / RELA);
        for entry in table.chunks_exact(RELA) {
            let (at, info, addend) = (FileAddr(word(entry, 0)), word(entry, 8), word(entry, 16));
            let symbol = (info >> 32) as u32;
            match info as u32 {
                elf::R_X86_64_RELATIVE => self.inner.push(Pointer { at, to: FileAddr(addend) }),
                elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT => match dynamic.defined_symbol(image, symbol) {
                    Some(value) => self.inner.push(Pointer { at, to: FileAddr(value.0.wrapping_add(addend)) }),
                    None => self.imports.push(Import { at, symbol, addend: addend as i64 }),
                },
                _ => {}
            }
        }
    }

    /// A word that is an address, then words whose bits stand for the 63 words behind it.
    fn read_relr(&mut self, image: &Image, table: &[u8]) {
        let most = image.bytes().len() / WORD as usize;
        let mut next = 0u64;
        for entry in table.chunks_exact(WORD as usize).map(|entry| word(entry, 0)) {
            let first = if entry & 1 == 0 { entry } else { next };
            let bits = if entry & 1 == 0 { 1 } else { entry >> 1 };
            for bit in (0..63).filter(|bit| bits >> bit & 1 == 1) {
                let at = FileAddr(first.wrapping_add(bit * WORD));
                if self.inner.len() < most {
                    let to = image.bytes_at(at, WORD).map(|bytes| FileAddr(word(bytes, 0)));
                    self.inner.extend(to.map(|to| Pointer { at, to }));
                }
            }
            next = first.wrapping_add(if entry & 1 == 0 { WORD } else { 63 * WORD });
        }
    }

    fn read_words(&mut self, image: &Image) {
        let (Some(first), Some(last)) = (image.segments.first(), image.segments.last()) else { return };
        let span = first.addr..FileAddr(last.addr.0.saturating_add(last.mem_size));
        for segment in image.segments.iter().filter(|segment| !segment.exec) {
            let Some(bytes) = image.bytes_at(segment.addr, segment.file_size) else { continue };
            let skip = segment.addr.0.wrapping_neg() % WORD;
            let words = bytes.get(skip as usize..).unwrap_or_default().par_chunks_exact(WORD as usize).enumerate();
            self.inner.par_extend(words.filter_map(|(index, bytes)| {
                let to = FileAddr(word(bytes, 0));
                let at = FileAddr(segment.addr.0.wrapping_add(skip + index as u64 * WORD));
                (span.contains(&to) && image.segment_at(to).is_some()).then_some(Pointer { at, to })
            }));
        }
    }
}
