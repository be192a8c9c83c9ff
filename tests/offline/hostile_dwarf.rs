//! Damaged debug information: every answer comes, in bounded time and memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object::{Object, ObjectSection};
use rdbg::base::FileAddr;
use rdbg::binary::dwarf::{Global, SourceName, SplitFiles, SplitName};
use rdbg::binary::{FileBytes, Module};

use crate::support::{skip, target_dir};

#[path = "anything.rs"]
mod anything;

use anything::{look_at_type, Anything};

/// Damaged copies of each program.
const COPIES: u64 = 60;
/// What one copy may take. The machine may be busy, and the build not optimised.
const DEADLINE: Duration = Duration::from_secs(20);
/// The most that the whole test may have had resident, KiB.
const MEMORY: u64 = 1 << 20;

/// Compiles fixtures/formats; `None`, said aloud, where the compiler is missing.
fn build(name: &str, compiler: &str, flags: &[&str]) -> Option<PathBuf> {
    let place = target_dir().join("fixtures/hostile").join(name);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formats");
    std::fs::create_dir_all(&place).expect("a directory under target");
    let mut command = Command::new(compiler);
    command.args(["-std=c++17", "-g"]).args(flags).args(["main.cpp", "store.cpp"].map(|one| sources.join(one)));
    match command.args(["-o", "program"]).current_dir(&place).output() {
        Ok(output) if output.status.success() => Some(place.join("program")),
        Ok(output) => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            skip(&format!("{compiler}: {error}"));
            None
        }
    }
}

/// Numbers that are the same each time (Marsaglia's xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    /// Damages some bytes of some debug sections.
    fn damage(&mut self, bytes: &mut [u8]) {
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let sections = file.sections().filter(|one| one.name().is_ok_and(|name| name.starts_with(".debug_")));
        let ranges: Vec<(u64, u64)> = sections.filter_map(|one| one.file_range()).filter(|one| one.1 > 0).collect();
        for _ in 0..1 + self.next(6) {
            let (start, len) = ranges[self.next(ranges.len())];
            let at = start as usize + self.next(len as usize);
            let end = (at + 1 + self.next(8)).min((start + len) as usize);
            let kind = self.next(4);
            let from = start as usize + self.next(len as usize);
            for place in at..end {
                bytes[place] = match kind {
                    0 => 0xff,
                    1 => 0,
                    2 => bytes[place] ^ 1 << self.next(8),
                    // What is right elsewhere: forms, offsets and tags that lead to other places.
                    _ => bytes[(from + place - at).min((start + len) as usize - 1)],
                };
            }
        }
    }
}

/// .dwo files of a program, damaged.
struct Damaged(PathBuf, u64);

impl SplitFiles for Damaged {
    fn packages(&self) -> Vec<(PathBuf, FileBytes)> {
        Vec::new()
    }

    fn find(&self, wanted: &SplitName) -> Option<(PathBuf, FileBytes)> {
        let path = self.0.join(Path::new(&wanted.name).file_name()?);
        let mut bytes = std::fs::read(&path).ok()?;
        Random(self.1).damage(&mut bytes);
        Some((path, Arc::new(bytes)))
    }

    fn common(&self, name: &str, _: &[u8]) -> Option<(PathBuf, FileBytes)> {
        self.find(&SplitName { name: name.to_owned(), ..SplitName::default() })
    }

    fn refuse(&self, _: String) {}
}

/// Asks all that a session would.
fn ask(module: &Module, functions: &[FileAddr]) {
    let dwarf = module.dwarf();
    let _ = (dwarf.is_empty(), dwarf.fault());
    for (file, line) in [("store.cpp", 30), ("store.h", 1), ("main.cpp", 12)] {
        let _ = dwarf.addresses_of_line(&SourceName::new(file), line);
    }
    let types = dwarf.types();
    for at in functions.iter().flat_map(|start| [0, 9, 40].map(|offset| start.offset(offset))) {
        let _ = (dwarf.find_line(at), dwarf.frames_at(at), dwarf.body_of(at));
        let chain = dwarf.instances_at(at);
        for copy in &chain {
            let _ = (dwarf.function_name(copy.entry), types.enclosing_scope(copy.entry), types.producer(copy.entry));
            let _ = (types.arguments_at_entry(copy.entry), types.signature(copy.entry));
            for variable in types.variables(copy, at) {
                look_at_type(&types, variable.ty);
                let _ = types.locate(variable.entry, chain.first().map(|one| one.entry), at, &Anything);
            }
        }
        let _ = types.value_at_call(at, 5, &Anything);
    }
    for name in ["depot::Store::stores", "depot::total", "sink", "Fine"] {
        if let Some(Global::Variable(found)) = types.global(name, functions.first().copied()) {
            look_at_type(&types, found.ty);
        }
    }
    for name in ["depot::Store", "depot::Opaque", "depot::Store::Inner", "depot::Pair<int>", "unsigned int"] {
        types.find_type(name).into_iter().for_each(|id| look_at_type(&types, id));
    }
}

fn survive(program: &Path, is_split: bool) {
    let whole = std::fs::read(program).expect("the program");
    let module = Module::parse(program.to_owned(), Arc::new(whole.clone())).expect("an ELF file");
    let names = ["main", "summed", "Store5weigh", "StoreC2", "begun"];
    let starts = module.symbols().iter().filter(|symbol| names.iter().any(|name| symbol.name.contains(name)));
    let functions: Vec<FileAddr> = starts.map(|symbol| symbol.address).collect();
    assert!(functions.len() >= 3, "the program has its functions");
    for seed in 1..=COPIES {
        let mut bytes = whole.clone();
        if !is_split || seed % 3 == 0 {
            Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).damage(&mut bytes);
        }
        let begun = Instant::now();
        let module = Module::parse(program.to_owned(), Arc::new(bytes)).expect("its headers are whole");
        let directory = program.parent().expect("a directory").to_owned();
        let module = module.with_split(Arc::new(Damaged(directory, seed.wrapping_mul(0x2545_f491_4f6c_dd1d))));
        ask(&module, &functions);
        assert!(begun.elapsed() < DEADLINE, "{} with seed {seed}: {:?}", program.display(), begun.elapsed());
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("our own status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < MEMORY, "{}: {peak} KiB", program.display());
}

#[test]
fn damaged_units_lines_and_lists() {
    for (name, compiler, flags) in [
        ("g4", "g++", ["-gdwarf-4", "-O2", "-fdebug-types-section"]),
        ("g5", "g++", ["-gdwarf-5", "-O2", "-fno-inline-small-functions"]),
        ("c4", "clang++", ["-gdwarf-4", "-O2", "-fdebug-types-section"]),
        ("c5", "clang++", ["-gdwarf-5", "-O2", "-gz=zlib"]),
    ] {
        let Some(program) = build(name, compiler, &flags) else { continue };
        survive(&program, false);
    }
}

#[test]
fn damaged_units_in_other_files() {
    for (name, compiler, flags) in [
        ("gs4", "g++", ["-gdwarf-4", "-gsplit-dwarf", "-fdebug-types-section"]),
        ("gs5", "g++", ["-gdwarf-5", "-gsplit-dwarf", "-O2"]),
        ("cs5", "clang++", ["-gdwarf-5", "-gsplit-dwarf", "-fdebug-types-section"]),
    ] {
        let Some(program) = build(name, compiler, &flags) else { continue };
        survive(&program, true);
    }
}
