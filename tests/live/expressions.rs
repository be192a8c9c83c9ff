//! What names mean in expressions, and the kinds of values that they reach; compared with gdb's answers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::source::batch;
use crate::support::{Fixture, Rdbg, Variant};

/// The values that `print` showed: `$1 = ..` and so on.
fn printed(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| line.starts_with('$'));
    lines.filter_map(|line| line.split_once(" = ")).map(|(_, value)| value).collect()
}

/// What gdb prints after these commands.
fn of_gdb(program: &Path, commands: &[&str]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    for one in commands {
        gdb.args(["-ex", one]);
    }
    let output = gdb.arg(program).output().expect("gdb runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn compile(directory: &Path, name: &str, text: &str, arguments: &[&str]) {
    let source = directory.join(format!("{name}.c"));
    std::fs::write(&source, text).expect("a file of ours");
    let mut gcc = Command::new("gcc");
    let done = gcc.args(["-g", "-O0", "-o", name]).arg(&source).args(arguments).current_dir(directory).output();
    let done = done.expect("gcc runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_plain_name_in_a_librarys_frame_is_not_some_other_files_static() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = directory.path();
    std::fs::write(
        at.join("other.c"),
        "static volatile int state = 2, kept = 7;\nint shared = 8;\nint touch(void) { return state + kept; }\n",
    )
    .expect("a file of ours");
    let library = "int touch(void);\nint side(void) { return touch(); }\n";
    compile(at, "libside.so", library, &["other.c", "-shared", "-fPIC"]);
    let program = "static volatile int state = 1;\nint side(void);\nint main(void) { return side() + state - 10; }\n";
    compile(at, "program", program, &["libside.so", "-Wl,-rpath,$ORIGIN"]);

    let asked = ["print state", "print kept", "print shared"];
    let stops = ["break side", "continue"].iter().chain(&asked);
    let stops: Vec<&str> = stops.chain(&["break touch", "continue"]).chain(&asked).copied().collect();
    let mut words = vec!["run", "--batch"];
    words.extend(stops.iter().flat_map(|one| ["--ex", one]));
    let path = at.join("program");
    words.extend(["--", path.to_str().expect("a path in UTF-8")]);
    let ours = Rdbg::run(words, Duration::from_secs(60));
    assert_eq!(printed(&ours.stdout), ["1", "7", "8", "2", "7", "8"], "{}\n{}", ours.stdout, ours.stderr);
    let theirs: Vec<&str> = ["break main", "run"].iter().chain(&stops).copied().collect();
    assert_eq!(printed(&of_gdb(&path, &theirs)), printed(&ours.stdout));
}

#[test]
fn a_condition_reads_an_argument_that_a_hidden_pointer_passes() {
    let source = include_str!("../../fixtures/values/values.cpp");
    let behind = source.lines().position(|line| line.starts_with("  return letter + little")).expect("a line of it");
    for variant in [Variant::O0, Variant::CLANG_O0] {
        let fixture = Fixture::build("values", variant);
        for place in ["entered".to_owned(), format!("values.cpp:{behind}")] {
            let never = format!("break {place} if copy == \"another text\"");
            let holds = format!("break {place} if copy == \"a string that is longer than what fits in place\"");
            let output = batch(&fixture, &[], &[&never, &holds, "continue", "print number"]);
            let about = format!("{place}, {}:\n{}\n{}", variant.name, output.stdout, output.stderr);
            assert!(output.stdout.contains("Continuing.\nBreakpoint 2"), "{about}");
            assert_eq!(printed(&output.stdout), ["3"], "{about}");
        }
    }
}
