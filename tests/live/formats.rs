//! The forms in which compilers and linkers leave debug information: versions, compression, split, shared and indexed.
//! In each of them the answers are gdb's.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use regex::Regex;

use super::source::line_in;
use crate::support::{skip, target_dir, Rdbg};

/// One form: what is added to the compiler's flags, and what is done to the program afterwards.
#[derive(Clone, Copy, Debug)]
struct Form {
    name: &'static str,
    flags: &'static [&'static str],
    after: &'static [&'static str],
}

const PLAIN: Form = Form { name: "plain", flags: &[], after: &[] };
const ZLIB: Form = Form { name: "zlib", flags: &["-gz=zlib"], after: &[] };
const INDEX: Form = Form { name: "index", flags: &[], after: &["gdb-add-index"] };
/// Each type in a unit of its own.
const TYPES: Form = Form { name: "types", flags: &["-fdebug-types-section"], after: &[] };
/// Code and places in a unit of its own, which refers to the others for the rest.
const LTO: Form = Form { name: "lto", flags: &["-flto"], after: &[] };

/// A compiler and what it is told.
#[derive(Clone, Copy, Debug)]
struct Build {
    compiler: &'static str,
    version: &'static str,
    level: &'static str,
    form: Form,
}

impl Build {
    fn about(&self) -> String {
        format!("{} {} {} {}", self.compiler, self.version, self.level, self.form.name)
    }

    /// Compiles the fixture; `None`, said aloud, where a tool is missing.
    fn make(&self) -> Option<PathBuf> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formats");
        let place = target_dir().join("fixtures/formats").join(self.about().replace([' ', '='], "_"));
        let program = place.join("formats");
        let written = |path: &Path| path.metadata().and_then(|one| one.modified()).ok();
        let newest = ["main.cpp", "store.cpp", "store.h"].iter().filter_map(|file| written(&sources.join(file))).max();
        if written(&program).is_some_and(|at| Some(at) > newest) {
            return Some(program);
        }
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).expect("a directory under target");
        for unit in ["main", "store"] {
            let mut command = Command::new(self.compiler);
            command.args(["-std=c++17", "-g", self.version, self.level]).args(self.form.flags).current_dir(&place);
            run(command.arg("-c").arg(sources.join(unit).with_extension("cpp")))?;
        }
        let mut link = Command::new(self.compiler);
        link.args(["-g", self.version, self.level]).args(self.form.flags).current_dir(&place);
        run(link.args(["main.o", "store.o", "-o", "unfinished"]))?;
        for tool in self.form.after {
            let words: Vec<&str> = tool.split(' ').collect();
            run(Command::new(words[0]).args(&words[1..]).arg("unfinished").current_dir(&place))?;
        }
        fs::rename(place.join("unfinished"), &program).expect("the program that was made");
        Some(program)
    }
}

fn run(command: &mut Command) -> Option<()> {
    match command.output() {
        Ok(output) if output.status.success() => Some(()),
        Ok(output) => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            skip(&format!("{:?}: {error}; scripts/setup installs it", command.get_program()));
            None
        }
    }
}

/// `VALUE` of each `$N = VALUE` and each `NAME = VALUE`, addresses made alike.
fn values(text: &str) -> Vec<String> {
    let address = Regex::new("0x[0-9a-f]{4,}").expect("a constant");
    let fixed = Regex::new(r", static \w+ = [^,}]*").expect("a constant");
    let numbered = Regex::new(r"^\$\d+ = ").expect("a constant");
    let lines =
        text.lines().filter(|line| line.contains(" = ") && !line.starts_with(['#', ' ', '-']) && !line.contains('\t'));
    lines
        .map(|line| numbered.replace(&fixed.replace_all(&address.replace_all(line, "0xN"), ""), "").into_owned())
        .collect()
}

/// What both are asked at both stops. An answer is of one line.
const QUESTIONS: [&str; 13] = [
    "info locals",
    "info args",
    "print both",
    "print store.inner_->weights",
    "print *store.inner_",
    "print pair.second + store.narrow_",
    "print store.wide_",
    "print depot::Store::stores",
    "print depot::total",
    "print store.grade_",
    "print sizeof(depot::Store)",
    "up",
    "print *opaque",
];

fn of_rdbg(program: &Path, commands: &[String]) -> String {
    let mut args: Vec<&OsStr> = vec![OsStr::new("run"), OsStr::new("--batch")];
    for command in commands {
        args.extend([OsStr::new("--ex"), OsStr::new(command)]);
    }
    args.extend([OsStr::new("--"), program.as_os_str()]);
    Rdbg::run(args, Duration::from_secs(60)).stdout
}

fn of_gdb(program: &Path, commands: &[String]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    for command in commands {
        gdb.args(["-ex", if command == "continue" { "run" } else { command }]);
    }
    let output = gdb.arg(program).current_dir(program.parent().expect("a directory")).output().expect("gdb runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the two disagree in one build, after these commands.
fn disagreement(build: &Build, program: &Path, commands: &[String]) -> Option<String> {
    let (ours, theirs) = (of_rdbg(program, commands), of_gdb(program, commands));
    let (own, other) = (values(&ours), values(&theirs));
    assert!(!other.is_empty(), "{}: gdb says\n{theirs}", build.about());
    let differ =
        || format!("{}: rdbg has {own:#?}\ngdb has {other:#?}\nrdbg says\n{ours}\ngdb says\n{theirs}", build.about());
    (own != other).then(differ)
}

const COMPILERS: &[&str] = &["g++", "clang++"];
const VERSIONS: &[&str] = &["-gdwarf-4", "-gdwarf-5"];

fn each(form: Form) {
    each_of(form, COMPILERS, VERSIONS, "nothing");
}

/// Without the questions that hold `not_asked`.
fn each_of(form: Form, compilers: &[&'static str], versions: &[&'static str], not_asked: &str) {
    let (summed, begun) = (line_in("formats/store.cpp", "summed"), line_in("formats/main.cpp", "begun"));
    let mut values = vec![format!("break store.cpp:{summed}"), "continue".to_owned()];
    values.extend(QUESTIONS.iter().filter(|one| !one.contains(not_asked)).map(|one| (*one).to_owned()));
    let inlined = [format!("break main.cpp:{begun}"), "continue".into(), "print made".into(), "info locals".into()];
    let mut wrong = Vec::new();
    for &compiler in compilers {
        for &version in versions {
            for level in ["-O0", "-O2"] {
                let build = Build { compiler, version, level, form };
                let Some(program) = build.make() else { return };
                wrong.extend(disagreement(&build, &program, &values));
                wrong.extend(disagreement(&build, &program, &inlined));
            }
        }
    }
    assert!(wrong.is_empty(), "{} disagree:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn units_in_the_file() {
    each(PLAIN);
}

#[test]
fn compressed_sections() {
    each(ZLIB);
}

#[test]
fn types_in_units_of_their_own() {
    // DWARF 4 has them in a section of their own, .debug_types, which is not read.
    // Of a class that g++ only declares in the unit, gdb 13 does not find the definition; rdbg does.
    each_of(TYPES, COMPILERS, &["-gdwarf-5"], "store.inner_");
}

#[test]
fn files_with_an_index_of_gdbs() {
    each(INDEX);
}

#[test]
fn units_that_refer_to_each_other() {
    // clang++ needs a linker that understands it.
    each_of(LTO, &["g++"], VERSIONS, "nothing");
}
