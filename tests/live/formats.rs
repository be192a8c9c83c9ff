//! The forms in which compilers and linkers leave debug information: versions, compression, split, shared and indexed.
//! In each of them the answers are gdb's.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};
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
/// In sections `.zdebug_...`, as it was done before the ELF standard had a way.
const OLD_ZLIB: Form =
    Form { name: "old zlib", flags: &[], after: &["objcopy --compress-debug-sections=zlib-gnu unfinished"] };
const ZSTD: Form = Form { name: "zstd", flags: &[], after: &["objcopy --compress-debug-sections=zstd unfinished"] };
const INDEX: Form = Form { name: "index", flags: &[], after: &["gdb-add-index unfinished"] };
/// Each type in a unit of its own.
const TYPES: Form = Form { name: "types", flags: &["-fdebug-types-section"], after: &[] };
/// Code and places in a unit of its own, which refers to the others for the rest.
const LTO: Form = Form { name: "lto", flags: &["-flto"], after: &[] };
/// Entries in a .dwo beside the object.
const SPLIT: Form = Form { name: "split", flags: &["-gsplit-dwarf"], after: &[] };
const SPLIT_TYPES: Form = Form { name: "split types", flags: &["-gsplit-dwarf", "-fdebug-types-section"], after: &[] };
/// All of them in one file.
const PACKAGE: Form = Form { name: "package", flags: &["-gsplit-dwarf"], after: PACK };
const PACKAGE_TYPES: Form =
    Form { name: "package types", flags: &["-gsplit-dwarf", "-fdebug-types-section"], after: PACK };
/// What two programs have in common in a file of its own, and each unit's rest made smaller.
const SHARED: Form =
    Form { name: "shared", flags: &[], after: &["cp unfinished other", "dwz -m common.debug unfinished other"] };
const SHRUNK: Form = Form { name: "shrunk", flags: &[], after: &["dwz unfinished"] };
/// The shared part is not there.
const UNSHARED: Form = Form {
    name: "unshared",
    flags: &[],
    after: &["cp unfinished other", "dwz -m common.debug unfinished other", "mkdir away", "mv common.debug away"],
};
/// Away from where the skeletons say; one of another unit there; and a package away from the program.
const MOVED: Form = Form {
    name: "moved",
    flags: &["-gsplit-dwarf"],
    after: &["llvm-dwp -e unfinished -o packed.dwp", "mkdir away", "mv main.dwo store.dwo packed.dwp away"],
};
const STALE: Form = Form { name: "stale", flags: &["-gsplit-dwarf"], after: &["cp main.dwo store.dwo"] };
/// The same by binutils' tool.
const GNU_PACKAGE: Form = Form {
    name: "gnu package",
    flags: &["-gsplit-dwarf", "-fdebug-types-section"],
    after: &["dwp -e unfinished -o formats.dwp", "rm main.dwo store.dwo"],
};
const PACK: &[&str] = &["llvm-dwp -e unfinished -o formats.dwp", "rm main.dwo store.dwo"];

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
            run(Command::new(words[0]).args(&words[1..]).current_dir(&place))?;
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
const QUESTIONS: [&str; 14] = [
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
    "whatis opaque->before",
];

fn of_rdbg(program: &Path, commands: &[String]) -> String {
    let mut args: Vec<&OsStr> = vec![OsStr::new("run"), OsStr::new("--batch")];
    for command in commands {
        args.extend([OsStr::new("--ex"), OsStr::new(command)]);
    }
    args.extend([OsStr::new("--"), program.as_os_str()]);
    Rdbg::run(args, Duration::from_secs(60)).stdout
}

/// What gdb has said of a program. Several forms of debug information are compared with the same.
static SAID: LazyLock<Mutex<HashMap<Asked, String>>> = LazyLock::new(Mutex::default);
type Asked = (PathBuf, Vec<String>);

fn of_gdb(program: &Path, commands: &[String]) -> String {
    let mut said = SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let said = said.entry((program.to_owned(), commands.to_vec()));
    said.or_insert_with(|| ask_gdb(program, commands)).clone()
}

fn ask_gdb(program: &Path, commands: &[String]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    for command in commands {
        gdb.args(["-ex", if command == "continue" { "run" } else { command }]);
    }
    let output = gdb.arg(program).current_dir(program.parent().expect("a directory")).output().expect("gdb runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the two disagree on one build, after these commands. gdb has a program of its own.
fn disagreement(build: &Build, programs: (&Path, &Path), commands: &[String]) -> Option<String> {
    let (ours, theirs) = (of_rdbg(programs.0, commands), of_gdb(programs.1, commands));
    let (own, other) = (values(&ours), values(&theirs));
    assert!(!other.is_empty(), "{}: gdb says\n{theirs}", build.about());
    let differ =
        || format!("{}: rdbg has {own:#?}\ngdb has {other:#?}\nrdbg says\n{ours}\ngdb says\n{theirs}", build.about());
    (own != other).then(differ)
}

const COMPILERS: &[&str] = &["g++", "clang++"];
const VERSIONS: &[&str] = &["-gdwarf-4", "-gdwarf-5"];

fn each(form: Form) {
    each_of(form, form, COMPILERS, VERSIONS);
}

/// gdb gets the same code with debug information of the form `known`: of some it understands less.
fn each_of(form: Form, known: Form, compilers: &[&'static str], versions: &[&'static str]) {
    let (summed, begun) = (line_in("formats/store.cpp", "summed"), line_in("formats/main.cpp", "begun"));
    let mut values = vec![format!("break store.cpp:{summed}"), "continue".to_owned()];
    values.extend(QUESTIONS.iter().map(|one| (*one).to_owned()));
    let inlined = [format!("break main.cpp:{begun}"), "continue".into(), "print made".into(), "info locals".into()];
    let mut wrong = Vec::new();
    for &compiler in compilers {
        for &version in versions {
            for level in ["-O0", "-O2"] {
                let build = Build { compiler, version, level, form };
                let Some(program) = build.make() else { return };
                let Some(other) = Build { form: known, ..build }.make() else { return };
                wrong.extend(disagreement(&build, (&program, &other), &values));
                wrong.extend(disagreement(&build, (&program, &other), &inlined));
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
    each_of(OLD_ZLIB, PLAIN, COMPILERS, &["-gdwarf-4"]);
    each_of(ZSTD, ZSTD, COMPILERS, &["-gdwarf-5"]);
}

#[test]
fn types_in_units_of_their_own() {
    // Of a class that g++ only declares in the unit, gdb 13 does not find the definition.
    each_of(TYPES, PLAIN, COMPILERS, VERSIONS);
}

#[test]
fn files_with_an_index_of_gdbs() {
    each(INDEX);
}

#[test]
fn units_that_refer_to_each_other() {
    // clang++ needs a linker that understands it.
    each_of(LTO, LTO, &["g++"], VERSIONS);
}

#[test]
fn entries_in_files_of_their_own() {
    // gdb 13 does not find all places in clang++'s DWARF 5.
    each_of(SPLIT, PLAIN, COMPILERS, VERSIONS);
    each_of(SPLIT_TYPES, PLAIN, COMPILERS, VERSIONS);
}

#[test]
fn entries_in_a_package() {
    for form in [PACKAGE, PACKAGE_TYPES] {
        each_of(form, PLAIN, &["clang++"], VERSIONS);
        // llvm-dwp 14 does not end on g++'s DWARF 5.
        each_of(form, PLAIN, &["g++"], &["-gdwarf-4"]);
    }
    // binutils 2.40 ends by a signal on DWARF 5.
    each_of(GNU_PACKAGE, PLAIN, COMPILERS, &["-gdwarf-4"]);
}

/// What rdbg says at `summed` after these commands, and before `print both`.
fn said_of_split(form: Form, before: &[String], after: &[String]) -> Option<String> {
    let build = Build { compiler: "clang++", version: "-gdwarf-5", level: "-O0", form };
    let program = build.make()?;
    let summed = line_in("formats/store.cpp", "summed");
    let stop = [format!("break store.cpp:{summed}"), "continue".into(), "bt".into()];
    let all: Vec<String> = before.iter().chain(&stop).chain(after).chain(&["print both".to_owned()]).cloned().collect();
    Some(of_rdbg(&program, &all))
}

fn place_of(form: Form) -> PathBuf {
    let build = Build { compiler: "clang++", version: "-gdwarf-5", level: "-O0", form };
    target_dir().join("fixtures/formats").join(build.about().replace([' ', '='], "_"))
}

#[test]
fn files_of_entries_that_were_moved_are_named_and_found() {
    let place = place_of(MOVED).display().to_string();
    let Some(lost) = said_of_split(MOVED, &[], &[]) else { return };
    let missing = format!("{place}/store.dwo is not there");
    assert_eq!((lost.matches(&missing).count(), lost.contains("$1 = ")), (1, false), "{lost}");
    assert!(lost.contains("depot::summed(") && lost.contains("store.cpp:"), "lines and names are known: {lost}");
    let told = [format!("set symbols-from {place}/away")];
    let package = [format!("set symbols-from {place}/away/packed.dwp")];
    let mapped = [format!("set substitute-path {place} {place}/away")];
    for rule in [&told, &package, &mapped] {
        for (before, after) in [(&rule[..], &[][..]), (&[], rule)] {
            let said = said_of_split(MOVED, before, after).expect("it was built");
            assert!(said.contains("$1 = 19"), "{rule:?}: {said}");
            assert_eq!(said.contains(&missing), before.is_empty(), "{said}");
            assert!(!said.contains("more locations"), "{said}");
        }
    }
}

#[test]
fn entries_of_another_build_are_refused() {
    let Some(said) = said_of_split(STALE, &[], &[]) else { return };
    let refused = format!("{}/store.dwo is of another build than ", place_of(STALE).display());
    assert_eq!((said.matches(&refused).count(), said.contains("$1 = ")), (1, false), "{said}");
    let other = Build { compiler: "clang++", version: "-gdwarf-5", level: "-O2", form: MOVED }.make();
    let Some(other) = other.map(|program| program.with_file_name("away/packed.dwp")) else { return };
    let said = said_of_split(STALE, &[format!("set symbols-from {}", other.display())], &[]).expect("it was built");
    let refused = format!("{} is of another build than ", other.display());
    assert_eq!((said.matches(&refused).count(), said.contains("$1 = ")), (1, false), "{said}");
}

#[test]
fn parts_that_files_have_in_common() {
    // dwz 0.15 does not read clang++'s DWARF 5.
    for form in [SHRUNK, SHARED] {
        each_of(form, PLAIN, &["g++"], VERSIONS);
        each_of(form, PLAIN, &["clang++"], &["-gdwarf-4"]);
    }
}

#[test]
fn a_common_part_that_is_missing_is_named_and_found() {
    let build = Build { compiler: "g++", version: "-gdwarf-5", level: "-O0", form: UNSHARED };
    let Some(program) = build.make() else { return };
    let summed = line_in("formats/store.cpp", "summed");
    let stop = [format!("break store.cpp:{summed}"), "continue".into(), "print store.grade_".into()];
    let said = of_rdbg(&program, &stop);
    assert_eq!(
        (said.matches("common.debug, which is not there").count(), said.contains("$1 = ")),
        (1, false),
        "{said}"
    );
    let away = format!("set symbols-from {}", program.with_file_name("away").display());
    for commands in [vec![away.clone(), stop[0].clone(), stop[1].clone(), stop[2].clone()], {
        let mut later = stop.to_vec();
        later.insert(2, away);
        later
    }] {
        let said = of_rdbg(&program, &commands);
        assert!(said.contains("$1 = depot::Grade::Fine"), "{said}");
    }
}
