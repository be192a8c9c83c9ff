//! Any bytes as an ELF file with debug information: lines, functions, types, variables and values, and the names of other units.
#![no_main]

use std::path::PathBuf;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rdbg::base::{FileAddr, MemError, ReadMem, VirtAddr};
use rdbg::binary::dwarf::{FrameState, Global, SourceName, SplitFiles, SplitName, TypeId, Types};
use rdbg::binary::{FileBytes, Module};
use rdbg::lang::typed::{Held, Inspector, Style, TypedValue};
use rdbg::lang::NoLabels;

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

/// A frame and memory of small numbers, some of them addresses that can be read.
struct Anything;

impl ReadMem for Anything {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        if at.0 > 1 << 20 {
            return Err(MemError::Unmapped(at));
        }
        buf.iter_mut().zip(at.0..).for_each(|(byte, at)| *byte = if at % 8 == 0 { (at / 8 % 251) as u8 } else { 0 });
        Ok(buf.len())
    }
}

impl FrameState for Anything {
    fn register(&self, number: u16) -> Option<u64> {
        Some(u64::from(number) * 64)
    }

    fn cfa(&self) -> Option<u64> {
        Some(0x1000)
    }

    fn bias(&self) -> u64 {
        0
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Option<()> {
        self.read_exact(VirtAddr(at), into).ok()
    }

    fn thread_local(&self, offset: u64) -> Option<u64> {
        Some(offset)
    }

    fn entry_register(&self, number: u16) -> Option<u64> {
        Some(u64::from(number))
    }
}

fn look_at_type(types: &Types<'_>, id: TypeId) {
    let inspector = Inspector::new(types, &Anything, &NoLabels, Style::default());
    let _ = (types.name(id), types.declaration(id, "it"), types.keyword(id), types.enumerators(id));
    let _ = (types.template_arguments(id), types.variants(id), types.definition(id));
    let _ = inspector.show(&TypedValue { ty: id, place: Held::Memory(VirtAddr(0x400)) });
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
