//! Changes of an index, with checksums that are right: each three bytes of the input are a place and what stands there.
#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use rdbg::base::FileAddr;
use rdbg::binary::{Module, NamePattern};

/// What rdbg writes: the mark, the head's length, its checksum; the checksums of blocks are the end of the head.
const BLOCK: usize = 16 << 10;

/// A file, and an index of its names.
fn file() -> &'static (Arc<Vec<u8>>, Vec<u8>) {
    static FILE: OnceLock<(Arc<Vec<u8>>, Vec<u8>)> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = "/lib/x86_64-linux-gnu/libm.so.6";
        let bytes = Arc::new(std::fs::read(path).expect("libm"));
        let index = Module::parse(path.into(), bytes.clone()).expect("an ELF file").make_ready("", &|| true);
        (bytes, index.expect("few names"))
    })
}

fuzz_target!(|input: &[u8]| {
    let (bytes, index) = file();
    let mut index = index.clone();
    let head = u32::from_le_bytes(index[8..12].try_into().expect("four bytes")) as usize;
    for change in input.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % index.len();
        if at >= 16 {
            index[at] = change[2];
        }
    }
    let blocks: Vec<u8> = index[head..].chunks(BLOCK).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect();
    index[head - blocks.len()..head].copy_from_slice(&blocks);
    let crc = crc32fast::hash(&index[16..head]).to_le_bytes();
    index[12..16].copy_from_slice(&crc);
    let module = Module::parse("libm".into(), bytes.clone()).expect("as before");
    if !module.use_ready(Arc::new(index), "") {
        return;
    }
    let symbols = module.symbols();
    for name in ["sin", "cosf", "no_such"] {
        let _ = (symbols.find_exact(name), symbols.functions_named(&NamePattern::Plain(name.to_owned()), 10));
    }
    for at in [0, 0x1000, 0x2_0000, 0x5_0123, u64::MAX] {
        let _ = symbols.find_at(FileAddr(at));
    }
});
