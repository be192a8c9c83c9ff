//! Changes of a stripped C++ file whose names are recovered from its type information: each five bytes of the input are a
//! place and what stands there.
#![no_main]

use std::sync::OnceLock;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rdbg::binary::{Module, NamePattern};

fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = std::env::var("RTTI_FILE").expect("RTTI_FILE names a small stripped C++ program");
        std::fs::read(path).expect("that it can be read")
    })
}

fuzz_target!(|input: &[u8]| {
    let mut bytes = file().to_vec();
    for change in input.chunks_exact(5) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize % bytes.len();
        bytes[at] = change[4];
    }
    let Ok(module) = Module::parse("fuzzed".into(), Arc::new(bytes)) else { return };
    for function in module.unwind().function_starts().iter().take(40) {
        let Some((symbol, _)) = module.name_at(function.start) else { continue };
        let _ = (module.candidates_of(&symbol.name, function.start), module.forward_of(function.start));
    }
    let _ = module.functions_named(&NamePattern::parse_regex("Impl|~").unwrap(), 10);
    let _ = module.complete("sh", 10);
});
