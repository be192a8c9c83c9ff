//! Any bytes as a separate file of names; their last four become the checksum that a pack is to have.
#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use rdbg::base::FileAddr;
use rdbg::binary::{Module, NamePattern, NamesFile};

fuzz_target!(|bytes: &[u8]| {
    static PROGRAM: OnceLock<Module> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        Module::parse("true".into(), Arc::new(std::fs::read("/bin/true").expect("coreutils"))).expect("an ELF file")
    });
    let mut bytes = bytes.to_vec();
    if let Some(body) = bytes.len().checked_sub(4) {
        let crc = crc32fast::hash(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&crc);
    }
    let Ok(names) = NamesFile::parse("fuzzed".into(), Arc::new(bytes)) else { return };
    let module = program.with_names(names);
    let at = module.entry();
    let _ = (module.name_at(at), module.complete("ma", 10), module.forward_of(FileAddr(0x1000)));
    let _ = (module.candidates_of("main", at), module.recovered_source(at));
    for pattern in [NamePattern::Plain("main".into()), NamePattern::parse_regex("ma.n|sub").unwrap()] {
        let _ = module.functions_named(&pattern, 10);
    }
});
