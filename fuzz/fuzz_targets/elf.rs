//! Any bytes as an ELF file: headers, names, searches, unwinding rows.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rdbg::base::FileAddr;
use rdbg::binary::{Module, NamePattern};

fuzz_target!(|bytes: &[u8]| {
    let Ok(module) = Module::parse("fuzzed".into(), Arc::new(bytes.to_vec())) else { return };
    let _ = (module.build_id(), module.interpreter(), module.needed(), module.debug_link(), module.thread_local_size());
    let symbols = module.symbols();
    let _ = (symbols.len(), symbols.find_exact("main"), symbols.find_data("environ"));
    for pattern in [NamePattern::Plain("main".into()), NamePattern::parse_regex("ma.n|_start").unwrap()] {
        let _ = symbols.functions_named(&pattern, 10);
    }
    let _ = (symbols.complete("ma", 10), symbols.nearest_names("mian", 3));
    for function in module.unwind().function_starts().iter().take(8) {
        let _ = (symbols.find_at(function.start), module.unwind().row_at(function.start));
    }
    let _ = (symbols.find_at(module.entry()), symbols.find_at(FileAddr(u64::MAX)));
});
