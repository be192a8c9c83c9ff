//! Names for code that a JIT has made, by the map that it writes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use object::elf;

use super::image::{Image, Section};
use super::pack::symbol_table;
use super::{Module, NameSource, Segment, Symbol, SymbolKind};
use crate::base::{AddrRange, FileAddr, VirtAddr};

/// More functions are not kept; those that come later in the map are the newer ones.
const MAX_FUNCTIONS: usize = 1 << 20;
/// Of a longer name the beginning is kept, bytes.
const MAX_NAME: usize = 4096;

/// The functions of a map, by where they start; none reaches over another.
#[derive(Default)]
pub struct JitMap {
    functions: BTreeMap<u64, Function>,
}

struct Function {
    end: u64,
    name: String,
}

impl JitMap {
    /// Reads the lines `START SIZE name`; others are passed over, as is a last one without an end, which is being written.
    /// Where two overlap the later one holds: the JIT has reused the place.
    pub fn parse(bytes: &[u8]) -> JitMap {
        let mut functions: BTreeMap<u64, Function> = BTreeMap::new();
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        for line in bytes[..whole].rsplit(|byte| *byte == b'\n') {
            if functions.len() == MAX_FUNCTIONS {
                break;
            }
            let Some((start, function)) = parse_line(line) else { continue };
            let before = functions.range(..function.end).next_back();
            if before.is_none_or(|(_, other)| other.end <= start) {
                functions.insert(start, function);
            }
        }
        JitMap { functions }
    }

    /// The functions in a mapping as a module that is loaded without a bias; `None` where there are none.
    pub fn module(&self, path: PathBuf, range: AddrRange) -> Option<Module> {
        let within = self.functions.range(range.start.0..range.end.0).filter(|(_, one)| one.end <= range.end.0);
        let mut symbols = within.map(|(start, one)| Symbol {
            name: one.name.as_str().into(),
            address: FileAddr(*start),
            size: one.end - start,
            kind: SymbolKind::Function,
            source: NameSource::Jit,
        });
        let first = symbols.next()?;
        let (table, strings) = symbol_table(std::iter::once(first).chain(symbols));
        Some(Module::from_image(image_of(path, range, table, strings)))
    }
}

/// A line of the map. The name can hold spaces.
fn parse_line(line: &[u8]) -> Option<(u64, Function)> {
    let text = String::from_utf8_lossy(&line[..line.len().min(MAX_NAME)]);
    let mut fields = text.splitn(3, ' ');
    let mut number = || u64::from_str_radix(fields.next()?.trim_start_matches("0x"), 16).ok();
    let (start, size) = (number()?, number()?);
    let name = fields.next()?.trim();
    let end = start.checked_add(size).filter(|end| *end > start && start > 0)?;
    let is_usable = !name.is_empty() && !name.contains('\0');
    is_usable.then(|| (start, Function { end, name: name.to_owned() }))
}

/// An image of executable memory with a symbol table, which lies in no file.
fn image_of(path: PathBuf, range: AddrRange, table: Vec<u8>, strings: Vec<u8>) -> Image {
    let VirtAddr(start) = range.start;
    let section = |name: &str, sh_type, bytes, link| Section {
        name: name.to_owned(),
        addr: FileAddr(0),
        bytes,
        sh_type,
        link,
        compressed: false,
    };
    let (end, all) = (table.len(), table.len() + strings.len());
    let sections =
        vec![section(".symtab", elf::SHT_SYMTAB, 0..end, 1), section(".strtab", elf::SHT_STRTAB, end..all, 0)];
    let segment = Segment {
        addr: FileAddr(start),
        mem_size: range.len(),
        file_offset: 0,
        file_size: 0,
        read: true,
        write: false,
        exec: true,
    };
    Image {
        path,
        data: Arc::new([table, strings].concat()),
        elf_type: elf::ET_EXEC,
        entry: FileAddr(0),
        segments: vec![segment],
        sections,
        dynamic: None,
        interpreter: None,
        eh_frame_hdr: None,
        build_id: None,
        thread_local: None,
        own_names: NameSource::Jit,
    }
}

#[cfg(test)]
mod tests {
    use super::super::NamePattern;
    use super::*;

    fn module(map: &[u8]) -> Option<Module> {
        let range = AddrRange { start: VirtAddr(0x1000), end: VirtAddr(0x3000) };
        JitMap::parse(map).module("/tmp/perf-1.map".into(), range)
    }

    fn name_at(module: &Module, at: u64) -> Option<(String, u64)> {
        module.name_at(FileAddr(at)).map(|(symbol, offset)| (symbol.name.into_owned(), offset))
    }

    #[test]
    fn functions_are_found_by_address_and_by_name() {
        let module = module(b"1000 10 Function:~run a.js:3\n0x1100 20 b\n9000 10 elsewhere\n").unwrap();
        assert_eq!(name_at(&module, 0x1004), Some(("Function:~run a.js:3".to_owned(), 4)));
        assert_eq!(name_at(&module, 0x111f), Some(("b".to_owned(), 0x1f)));
        assert_eq!((name_at(&module, 0x1010), name_at(&module, 0x9000)), (None, None));
        let found = module.functions_named(&NamePattern::parse_regex("run").unwrap(), 10);
        assert_eq!((found.total, found.functions[0].source), (1, NameSource::Jit));
        assert_eq!(module.functions_named(&NamePattern::Plain("b".to_owned()), 10).total, 1);
    }

    #[test]
    fn the_later_line_holds_and_bad_ones_are_passed_over() {
        let text =
            b"1000 100 old\n1080 10 new\nrubbish\n zz\n1200 0 empty\nffffffffffffffff 2 wraps\n\n1300 10 cut off";
        let module = module(text).unwrap();
        assert_eq!(name_at(&module, 0x1081), Some(("new".to_owned(), 1)));
        for at in [0x1000, 0x1200, 0x1300] {
            assert_eq!(name_at(&module, at), None);
        }
    }

    #[test]
    fn a_hostile_map_costs_bounded_time_and_no_names() {
        assert!(module(b"").is_none() && module(&[0xff; 100_000]).is_none());
        let long = [b"1000 10 ".as_slice(), &[b'a'; 100_000], b"\n"].concat();
        assert!(name_at(&module(&long).unwrap(), 0x1000).unwrap().0.len() <= MAX_NAME);
        let many: Vec<u8> =
            (0..200_000u32).flat_map(|n| format!("{:x} 1000 n{n}\n", 0x1000 + n % 64).into_bytes()).collect();
        assert!(name_at(&module(&many).unwrap(), 0x1800).is_some());
    }
}
