//! Any bytes as an ELF file with debug information: lines, functions, types, variables and values, and the names of other units.
#![no_main]

use std::path::PathBuf;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rdbg::base::FileAddr;
use rdbg::binary::dwarf::{Global, SourceName, SplitFiles, SplitName, Types};
use rdbg::binary::{FileBytes, Module};

#[path = "../../tests/offline/anything.rs"]
mod anything;

use anything::{look_at_type, Anything};

/// Functions that are looked at.
const FUNCTIONS: usize = 6;

/// The file itself stands for its .dwo and for what it has in common with others.
struct Itself(Vec<u8>);

impl SplitFiles for Itself {
    fn packages(&self) -> Vec<(PathBuf, FileBytes)> {
        Vec::new()
    }

    fn find(&self, _: &SplitName) -> Option<(PathBuf, FileBytes)> {
        Some(("fuzzed.dwo".into(), Arc::new(self.0.clone())))
    }

    fn common(&self, _: &str, _: &[u8]) -> Option<(PathBuf, FileBytes)> {
        Some(("common".into(), Arc::new(self.0.clone())))
    }

    fn refuse(&self, _: String) {}
}

fn look_at_code(module: &Module, types: &Types<'_>, at: FileAddr) {
    let dwarf = module.dwarf();
    let _ = (dwarf.find_line(at), dwarf.frames_at(at), dwarf.body_of(at), types.value_at_call(at, 5, &Anything));
    let chain = dwarf.instances_at(at);
    for copy in &chain {
        let _ = (dwarf.function_name(copy.entry), types.enclosing_scope(copy.entry), types.producer(copy.entry));
        let _ = (types.arguments_at_entry(copy.entry), types.signature(copy.entry), types.meanings(copy.entry, "", "it"));
        for variable in types.variables(copy, at).iter().take(20) {
            look_at_type(types, variable.ty);
            let _ = types.locate(variable.entry, chain.first().map(|one| one.entry), at, &Anything);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(module) = Module::parse("fuzzed".into(), Arc::new(bytes.to_vec())) else { return };
    let module = module.with_split(Arc::new(Itself(bytes.to_vec())));
    let dwarf = module.dwarf();
    let _ = (dwarf.is_empty(), dwarf.fault());
    let _ = dwarf.addresses_of_line(&SourceName::new("small.cpp"), 14);
    let types = dwarf.types();
    let functions: Vec<FileAddr> = module.symbols().iter().map(|symbol| symbol.address).take(FUNCTIONS).collect();
    for at in functions.iter().flat_map(|start| [0, 9].map(|offset| start.offset(offset))) {
        look_at_code(&module, &types, at);
    }
    for name in ["depot::Base::stores", "depot::local", "total", "depot::Grade::Fine"] {
        if let Some(Global::Variable(found)) = types.global(name, functions.first().copied()) {
            look_at_type(&types, found.ty);
        }
    }
    for name in ["depot::Store", "depot::Store::Inner", "depot::Pair<int>", "int"] {
        types.find_type(name).into_iter().for_each(|id| look_at_type(&types, id));
    }
    let _ = dwarf.types_named(&|name| name.contains("Pair"));
});
