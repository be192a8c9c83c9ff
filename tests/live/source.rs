//! Source lines: breakpoints at them, what is shown at a stop, listing, paths that have moved.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Fixture, Output, Rdbg, Variant};

const EACH: [Variant; 5] = [Variant::O0, Variant::CLANG_O0, Variant::DWARF4, Variant::GCC, Variant::CLANG];

/// The number of the line that a comment `// line: MARK` ends, in a file of the fixture.
pub fn line_of(file: &str, mark: &str) -> u32 {
    line_in(&format!("source/{file}"), mark)
}

/// The same, of any fixture.
pub fn line_in(file: &str, mark: &str) -> u32 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file);
    let text = std::fs::read_to_string(&path).expect("the fixture's source");
    let at = text.lines().position(|line| line.ends_with(&format!("// line: {mark}")));
    at.unwrap_or_else(|| panic!("no line is marked {mark}")) as u32 + 1
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/source")
}

/// Launches the fixture under commands.
pub fn batch(fixture: &Fixture, options: &[&str], commands: &[&str]) -> Output {
    let mut args: Vec<&OsStr> = vec![OsStr::new("run"), OsStr::new("--batch")];
    args.extend(options.iter().map(OsStr::new));
    for command in commands {
        args.extend([OsStr::new("--ex"), OsStr::new(command)]);
    }
    args.extend([OsStr::new("--"), fixture.path().as_os_str()]);
    Rdbg::run(args, Duration::from_secs(60))
}

#[track_caller]
fn says(output: &Output, text: &str) {
    assert!(output.stdout.contains(text), "no `{text}` in:\n{}\n{}", output.stdout, output.stderr);
}

#[test]
fn a_breakpoint_at_a_line_stops_there_and_shows_it() {
    let line = line_of("main.cpp", "handler");
    for variant in EACH {
        let fixture = Fixture::build("source", variant);
        for name in [format!("main.cpp:{line}"), format!("source/main.cpp:{line}")] {
            let output = batch(&fixture, &[], &[&format!("break {name}"), "continue"]);
            says(&output, "Breakpoint 1 at ");
            says(&output, &format!("main.cpp:{line}\n"));
            says(&output, &format!("\n-> {line:>4}      caught = static_cast<int>"));
        }
    }
}

#[test]
fn each_instance_of_a_template_is_a_location_and_so_is_an_inlined_call() {
    let (twice, squared) = (line_of("shape.h", "twice"), line_of("main.cpp", "squared"));
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::DWARF4] {
        let fixture = Fixture::build("source", variant);
        let set = [format!("break shape.h:{twice}"), format!("break main.cpp:{squared}")];
        let output = batch(&fixture, &[], &[&set[0], &set[1], "continue", "continue", "continue"]);
        says(&output, "Breakpoint 1: 2 locations");
        says(&output, "twice<int>(int)");
        says(&output, "twice<double>(double)");
        says(&output, " [inlined in main+");
        assert_eq!(output.stdout.matches("Breakpoint 1 at ").count(), 2, "{}", output.stdout);
    }
}

#[test]
fn a_line_without_code_means_the_next_one_and_says_so() {
    let line = line_of("main.cpp", "recursion");
    let fixture = Fixture::build("source", Variant::O0);
    let output = batch(&fixture, &[], &[&format!("break main.cpp:{}", line - 1), "continue"]);
    says(&output, &format!("line {} has no code; the next that has is {line}", line - 1));
    says(&output, &format!("\n-> {line:>4}"));
    let output = batch(&fixture, &[], &["break no_such_file.cpp:3", "break main.cpp:100000", "info breakpoints"]);
    says(&output, "has code of a source file `no_such_file.cpp`");
    says(&output, "(pending)");
}

#[test]
fn a_function_with_a_prologue_is_stopped_behind_it() {
    let line = line_of("main.cpp", "main");
    for variant in [Variant::O0, Variant::CLANG_O0] {
        let fixture = Fixture::build("source", variant);
        let output = batch(&fixture, &[], &[&format!("break main.cpp:{}", line - 1), "continue"]);
        says(&output, &format!("\n-> {line:>4}    int start = argc;"));
    }
}

#[test]
fn list_goes_on_and_back_and_takes_places() {
    let line = line_of("main.cpp", "last");
    let fixture = Fixture::build("source", Variant::O0);
    let commands =
        [format!("break main.cpp:{line}"), "list shape.h:5,6".into(), "list 7,7".into(), "list factorial".into()];
    let output =
        batch(&fixture, &[], &[&commands[0], "continue", &commands[1], &commands[2], &commands[3], "list 1,2", "list"]);
    says(&output, "\n      5  namespace geometry {\n      6\n      7  enum class Colour");
    says(&output, "factorial(int n) {");
    says(&output, "\n      2  #include <cstdio>\n      3  #include <cstdlib>\n");
    let output = batch(&fixture, &[], &[&commands[0], "continue", "list", "list 500"]);
    says(&output, &format!("\n-> {line:>4}    std::printf"));
    says(&output, "is beyond its end");
}

#[test]
fn the_stack_names_lines_as_addr2line_does() {
    for variant in EACH {
        let fixture = Fixture::build("source", variant);
        let line = line_of("main.cpp", "throw");
        let output = batch(&fixture, &[], &[&format!("break main.cpp:{line}"), "continue", "bt"]);
        let call = line_of("main.cpp", "call thrower");
        assert!(output.stdout.contains(&format!("main.cpp:{call}\n")), "{}: {}", variant.name, output.stdout);
        says(&output, "_start");
    }
}

#[test]
fn a_moved_source_is_found_by_a_rule_and_a_missing_one_says_where_it_was_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    let moved = directory.path().join("moved");
    std::fs::create_dir(&moved).unwrap();
    for file in ["main.cpp", "shape.h"] {
        let text = std::fs::read_to_string(sources().join(file)).unwrap();
        std::fs::write(moved.join(file), text.replace("int start = argc;", "int moved = argc;")).unwrap();
    }
    let fixture = Fixture::build("source", Variant::O0);
    let (from, line) = (sources().display().to_string(), line_of("main.cpp", "main"));
    let stop = format!("break main.cpp:{line}");
    let map = format!("{from}={}", moved.display());
    let output = batch(&fixture, &["--source-map", &map], &[&stop, "continue", "show substitute-path"]);
    says(&output, "int moved = argc;");
    says(&output, "the source is newer than the program");
    says(&output, &format!("{from} -> {}", moved.display()));
    let by_new_path = format!("break {}/main.cpp:{line}", moved.display());
    let rule = format!("set substitute-path {from} {}", moved.display());
    says(&batch(&fixture, &[], &[&rule, &by_new_path, "continue"]), "int moved = argc;");
    let rule = format!("set substitute-path {from} {}/none", moved.display());
    let output = batch(&fixture, &[], &[&rule, &stop, "continue", "info source"]);
    says(&output, "int start = argc;");
    says(&output, &format!("compiled as {from}/main.cpp"));
}

#[test]
fn one_command_stops_at_a_line() {
    let fixture = Fixture::build("source", Variant::O0);
    let line = line_of("main.cpp", "loop");
    let at = format!("main.cpp:{line}");
    let args = ["break", "--at", &at, "--log", "--count", "3", "--"].map(OsStr::new);
    let output = Rdbg::run(args.into_iter().chain([fixture.path().as_os_str()]), Duration::from_secs(60));
    assert_eq!(output.stdout.matches(" main+0x").count(), 3, "{}{}", output.stdout, output.stderr);
    let output = Rdbg::run(["break", "--at", "nonsense", "--", "/bin/true"], Duration::from_secs(60));
    assert!(output.stderr.contains("is no FILE:LINE"), "{}", output.stderr);
}

#[test]
fn debug_information_in_sections_that_zstd_has_packed_is_read() {
    let fixture = Fixture::build("source", Variant::O0);
    let room = tempfile::tempdir().expect("a directory of ours");
    let packed = room.path().join("source");
    let mut pack = std::process::Command::new("objcopy");
    pack.arg("--compress-debug-sections=zstd").arg(fixture.path()).arg(&packed);
    if !pack.output().is_ok_and(|one| one.status.success()) {
        return crate::support::skip("objcopy knows no zstd");
    }
    let line = line_of("main.cpp", "handler");
    let at = format!("break main.cpp:{line}");
    let program = packed.display().to_string();
    let options = ["run", "--batch", "--ex", &at, "--ex", "continue", "--ex", "info locals", "--", &program];
    let output = Rdbg::run(options, Duration::from_secs(60));
    says(&output, &format!("main.cpp:{line}\n"));
    says(&output, "caught = ");
}
