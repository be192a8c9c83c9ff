//! Names for the stubs of the procedure linkage table.

use std::collections::HashMap;

use object::elf;

use super::super::image::Image;
use super::super::Dynamic;
use super::index::Tables;
use super::made::MadeName;
use super::table::{u32_at, u64_at};
use super::{NameSource, SymbolKind};
use crate::base::{FileAddr, Progress};

const RELA: usize = 24;
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// The stubs of .plt, .plt.sec, .plt.got and .iplt. A stub is `jmp *slot(%rip)`, after an endbr64 or a bnd prefix
/// perhaps; the slot's relocation names it (x86-64 psABI, "Procedure Linkage Table").
pub(super) fn decode_stubs(image: &Image, dynamic: &Dynamic, tables: &Tables) -> Vec<MadeName> {
    let sections: Vec<_> =
        [".plt", ".plt.sec", ".plt.got", ".iplt"].iter().filter_map(|name| image.section(name)).collect();
    if sections.is_empty() {
        return Vec::new();
    }
    let slots = read_slots(image, dynamic, tables);
    let mut stubs = Vec::new();
    for section in sections {
        let code = image.slice(&section.bytes);
        for offset in (0..code.len()).step_by(8) {
            let address = section.addr.offset(offset as u64);
            let Some((slot, size)) = decode_jump(&code[offset..], address) else { continue };
            let Some(name) = slots.get(&slot) else { continue };
            let name = format!("{}@plt", String::from_utf8_lossy(name));
            stubs.push(MadeName { name, address, size, kind: SymbolKind::Plt, source: NameSource::Plt });
        }
    }
    stubs
}

/// The slot that a stub jumps through, and how long the stub is.
fn decode_jump(code: &[u8], address: FileAddr) -> Option<(FileAddr, u64)> {
    let endbr = if code.starts_with(&ENDBR64) { ENDBR64.len() } else { 0 };
    let bnd = usize::from(code.get(endbr) == Some(&0xf2));
    let at = endbr + bnd;
    if code.get(at..at + 2) != Some(&[0xff, 0x25]) || code.len() < at + 6 {
        return None;
    }
    let distance = i64::from(u32_at(code, at + 2) as i32);
    let slot = FileAddr(address.0.wrapping_add(at as u64 + 6).wrapping_add_signed(distance));
    // An 8-byte stub ends in a two-byte nop; a lazy one goes on with `push index; jmp first`.
    let short = endbr == 0 && code.get(at + 6) != Some(&0x68);
    Some((slot, if short { 8 } else { 16 }))
}

/// The names of the GOT slots that relocations fill with a function's address.
fn read_slots<'a>(image: &'a Image, dynamic: &Dynamic, tables: &'a Tables) -> HashMap<FileAddr, &'a [u8]> {
    let mut relocations: Vec<&[u8]> =
        dynamic.relocations.iter().filter_map(|(at, size)| image.bytes_at(*at, *size)).collect();
    if relocations.is_empty() {
        let sections = image.sections.iter().filter(|section| section.sh_type == elf::SHT_RELA && section.addr.0 != 0);
        relocations = sections.map(|section| image.slice(&section.bytes)).collect();
    }
    let mut slots = HashMap::new();
    let mut indirect = Vec::new();
    for entry in relocations.into_iter().flat_map(|table| table.chunks_exact(RELA)) {
        let slot = FileAddr(u64_at(entry, 0));
        match u32_at(entry, 8) {
            elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT => {
                let name = tables.dynsym.as_ref().map_or(&[][..], |dynsym| dynsym.name(u32_at(entry, 12)));
                if !name.is_empty() {
                    slots.insert(slot, name);
                }
            }
            elf::R_X86_64_IRELATIVE => indirect.push((slot, FileAddr(u64_at(entry, 16)))),
            _ => {}
        }
    }
    name_indirect(tables, &indirect, &mut slots);
    slots
}

/// R_X86_64_IRELATIVE has no symbol: the slot is named after the resolver that its addend is the address of.
fn name_indirect<'a>(tables: &'a Tables, indirect: &[(FileAddr, FileAddr)], slots: &mut HashMap<FileAddr, &'a [u8]>) {
    let mut resolvers: HashMap<FileAddr, &[u8]> = indirect.iter().map(|(_, resolver)| (*resolver, &[][..])).collect();
    if resolvers.is_empty() {
        return;
    }
    let underscores = |name: &[u8]| name.iter().take_while(|byte| **byte == b'_').count();
    for table in tables.all() {
        for entry in table.select(&|_| true, &|_| true, &|kind, _| kind != SymbolKind::Data, &Progress::default()) {
            let Some(known) = resolvers.get_mut(&entry.address) else { continue };
            let name = table.name(entry.number);
            if known.is_empty() || (underscores(name), name.len(), name) < (underscores(known), known.len(), *known) {
                *known = name;
            }
        }
    }
    for (slot, resolver) in indirect {
        if let Some(name) = resolvers.get(resolver).filter(|name| !name.is_empty()) {
            slots.insert(*slot, name);
        }
    }
}
