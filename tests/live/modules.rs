//! Code that comes and goes: libraries loaded late, twice, or into another namespace; programs that are linked and loaded
//! in every way; pages that a program maps by hand and takes away again.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{skip, Fixture, Guard, Home, Output, Process, Rdbg, Variant, LONG, SOON};

const NEVER: &str = "1000000000";

/// `run --batch`: these breakpoints count, and what they have counted is told at the end.
fn run_counting(breakpoints: &[&str], program: &Path, args: &[&str]) -> Output {
    let mut words = vec!["run".to_owned(), "--batch".to_owned()];
    let mut commands = Vec::new();
    for (at, breakpoint) in breakpoints.iter().enumerate() {
        commands.extend([(*breakpoint).to_owned(), format!("ignore {} {NEVER}", at + 1)]);
    }
    commands.extend(["tbreak --regex ^_[eE]xit$", "continue", "info breakpoints", "continue"].map(str::to_owned));
    for command in commands {
        words.extend(["--ex".to_owned(), command]);
    }
    words.extend(["--".to_owned(), program.to_string_lossy().into_owned()]);
    words.extend(args.iter().map(|one| (*one).to_owned()));
    Rdbg::run(words, LONG)
}

/// The hits of breakpoint `number` in the last table.
#[track_caller]
fn told(output: &str, number: u32) -> u64 {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let kind = matches!(fields.get(1), Some(&("stop" | "log" | "once")));
        (kind && fields.first()?.parse() == Ok(number)).then(|| fields.get(3)?.parse().ok())?
    };
    output.lines().filter_map(row).next_back().unwrap_or_else(|| panic!("no breakpoint {number} in:\n{output}"))
}

/// Compiles a shared object, with flags besides, to a file of that name in `directory`.
#[track_caller]
fn build_library(directory: &Path, name: &str, source: &Path, flags: &[&str]) -> PathBuf {
    let library = directory.join(name);
    let mut command = Command::new("gcc");
    command.args(["-shared", "-fPIC", "-O1", "-g", "-I", concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")]);
    let done = command.args(flags).arg("-o").arg(&library).arg(source).output().expect("gcc");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    library
}

fn fixture_source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn library(name: &str) -> String {
    Fixture::get(name).path().to_string_lossy().into_owned()
}

#[test]
fn a_library_that_comes_and_goes_is_hit_each_time_it_is_there() {
    let plugin = library("plugin");
    let args = ["--rounds", "6", "--calls", "7", &plugin];
    // Pending at first; armed, gone, and armed again in each round.
    let output = run_counting(&["break plugin_entry"], Fixture::get("dlopener").path(), &args).success();
    assert_eq!((told(&output.stdout, 1), output.count("plugin_entry"), output.count("wrong")), (42, 42, 0));
}

#[test]
fn an_armed_library_that_is_unloaded_while_rdbg_is_attached_and_loaded_again() {
    let plugin = library("plugin");
    let mut command = Command::new(Fixture::get("dlopener").path());
    command.args(["--step", "--rounds", "3", "--calls", "4", &plugin]);
    let mut target = Process::spawn(command);
    target.expect_line("before-load", SOON);
    target.send_bytes(b"\n");
    target.expect_line("loaded", SOON);
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    for command in ["break plugin_entry", &format!("ignore 1 {NEVER}"), "continue"] {
        rdbg.send(command);
    }
    rdbg.expect_line("Continuing", SOON);
    for word in ["unloaded", "before-load", "loaded", "unloaded", "before-load", "loaded"] {
        target.send_bytes(b"\n");
        target.expect_line(word, SOON);
    }
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.send("detach");
    rdbg.expect_line("Detached", SOON);
    let text: String = rdbg.lines().into_iter().map(|line| line.text + "\n").collect();
    assert_eq!(told(&text, 1), 8, "{text}");
    Guard::check(target.pid());
    target.send_bytes(b"\n\n\n");
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[test]
fn four_thousand_functions_of_a_library_are_armed_when_it_is_loaded() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let source = directory.path().join("many.c");
    let mut text = String::new();
    for number in 0..4000 {
        text += &format!("__attribute__((noinline)) int many_{number}(int x) {{ return x + {number}; }}\n");
    }
    text += "int plugin_entry(int x) {\n  volatile int sum = 0;\n";
    for number in 0..4000 {
        text += &format!("  sum += many_{number}(x);\n");
    }
    text += "  return x + 1000;\n}\n";
    std::fs::write(&source, text).expect("a file of ours");
    let many = build_library(directory.path(), "many.so", &source, &["-fno-inline", "-O1"]);
    let args = ["--rounds", "2", "--calls", "3", &many.to_string_lossy()];
    let output = run_counting(&["break --limit 4000 --regex ^many_"], Fixture::get("dlopener").path(), &args).success();
    assert_eq!((told(&output.stdout, 1), output.count("wrong")), (4000 * 6, 0), "{}", output.stdout);
    assert!(output.stdout.contains("4000"), "{}", output.stdout);
}

#[test]
fn both_copies_of_a_library_in_two_namespaces_are_hit() {
    let plugin = library("plugin");
    let args = ["--calls", "9", &plugin];
    let output = run_counting(&["break plugin_entry"], Fixture::get("namespaces").path(), &args).success();
    assert_eq!((told(&output.stdout, 1), output.count("plugin_entry"), output.count("wrong")), (18, 18, 0));
}

#[test]
fn a_library_that_is_linked_for_another_address_than_zero() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for flags in [["-Wl,-Ttext-segment=0x3000000000"], ["-Wl,-Ttext-segment=0x7654000"]] {
        let plugin = build_library(directory.path(), "prelinked.so", &fixture_source("plugin.c"), &flags);
        let args = ["--rounds", "2", "--calls", "5", &plugin.to_string_lossy()];
        let output = run_counting(&["break plugin_entry"], Fixture::get("dlopener").path(), &args).success();
        assert_eq!((told(&output.stdout, 1), output.count("wrong")), (10, 0), "{flags:?}: {}", output.stdout);
    }
}

#[test]
fn a_program_is_hit_however_it_is_linked() {
    let mut variants = vec![Variant::STATIC_PIE, Variant::STATIC, Variant::NO_PIE, Variant::CLANG];
    if Variant::MUSL.is_available() {
        variants.extend([Variant::MUSL, Variant::MUSL_STATIC]);
    } else {
        skip("there is no musl-gcc (Debian package musl-tools)");
    }
    for variant in variants {
        let fixture = Fixture::build("hits", variant);
        let args = ["--threads", "3", "--calls", "40"];
        let breakpoints = ["break hits_push_rbp", "break hits_addsd_rip", "break hits_call_rel", "break main"];
        let output = run_counting(&breakpoints, fixture.path(), &args).success();
        for number in 1..=3 {
            assert_eq!(told(&output.stdout, number), 120, "{} {number}: {}", variant.name, output.stdout);
        }
        assert_eq!((told(&output.stdout, 4), output.count("wrong")), (1, 0), "{}", variant.name);
    }
}

#[test]
fn a_library_that_musls_loader_loads_late_is_hit() {
    if !Variant::MUSL.is_available() {
        return skip("there is no musl-gcc (Debian package musl-tools)");
    }
    let plugin = Fixture::build("plugin", Variant::MUSL).path().to_string_lossy().into_owned();
    let program = Fixture::build("dlopener", Variant::MUSL);
    // musl unloads nothing: what is loaded again is the same.
    let output = run_counting(&["break plugin_entry"], program.path(), &["--rounds", "3", "--calls", "5", &plugin]);
    let output = output.success();
    assert_eq!((told(&output.stdout, 1), output.count("wrong")), (15, 0), "{}", output.stdout);
}

/// Where `pure_entry` is in the library.
fn pure_library(directory: &Path) -> (String, String) {
    let library = build_library(directory, "pure.so", &fixture_source("pure.c"), &[]);
    let listed = Command::new("nm").arg(&library).output().expect("nm");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let line = text.lines().find(|line| line.ends_with(" pure_entry")).expect("pure_entry");
    let offset = format!("0x{}", line.split_whitespace().next().expect("an address"));
    (library.to_string_lossy().into_owned(), offset)
}

/// A mapper that has mapped its code, and rdbg with a counting breakpoint in it.
fn mapped_and_armed(directory: &Path, mode: &str) -> (Process, Rdbg) {
    let (library, offset) = pure_library(directory);
    let mut command = Command::new(Fixture::get("mapper").path());
    command.args(["--calls", "5", mode, &library, &offset]);
    let mut target = Process::spawn(command);
    target.expect_line("mapped", SOON);
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    for command in ["break pure_entry", &format!("ignore 1 {NEVER}"), "continue"] {
        rdbg.send(command);
    }
    rdbg.expect_line("Continuing", SOON);
    target.send_bytes(b"\n");
    (target, rdbg)
}

#[test]
fn code_that_is_mapped_at_two_addresses_is_hit_at_both() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (library, offset) = pure_library(directory.path());
    let mut command = Command::new(Fixture::get("mapper").path());
    command.args(["--hold", "--calls", "5", "twice", &library, &offset]);
    let mut target = Process::spawn(command);
    target.expect_line("mapped", SOON);
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    for command in ["break pure_entry", &format!("ignore 1 {NEVER}"), "continue"] {
        rdbg.send(command);
    }
    rdbg.expect_line("Continuing", SOON);
    target.send_bytes(b"\n");
    target.expect_line("done", SOON);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.send("quit");
    let output = rdbg.wait(SOON).success();
    assert_eq!(told(&output.stdout, 1), 10, "{}", output.stdout);
    Guard::check(target.pid());
    target.send_bytes(b"\n");
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[test]
fn what_a_program_maps_in_the_place_of_armed_code_is_left_alone() {
    for mode in ["replaced", "moved"] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (mut target, mut rdbg) = mapped_and_armed(directory.path(), mode);
        target.expect_line("changed", SOON);
        rdbg.signal("INT");
        rdbg.expect_line("Stopped by interrupt", SOON);
        rdbg.send("info breakpoints");
        rdbg.send("quit");
        let output = rdbg.wait(SOON).success();
        assert_eq!(told(&output.stdout, 1), 5, "{mode}: {}", output.stdout);
        target.send_bytes(b"\n");
        assert_eq!(target.wait(SOON).success().count("wrong"), 0, "{mode}");
    }
}

#[test]
fn a_program_whose_file_was_deleted_is_hit_by_name() {
    let home = Home::new();
    let program = Fixture::get("hits").copy_as(home.path(), "short_lived");
    let mut command = Command::new(&program);
    command.args(["--wait-stdin", "--threads", "2", "--calls", "50", "--only", "push_rbp", "--hold"]);
    let mut target = Process::spawn(command);
    target.expect_line("ready", SOON);
    std::fs::remove_file(&program).expect("a file of ours");
    let mut rdbg = home.start(["attach", "--pid", &target.pid().to_string()]);
    for command in ["break hits_push_rbp", &format!("ignore 1 {NEVER}"), "continue"] {
        rdbg.send(command);
    }
    rdbg.expect_line("Continuing", SOON);
    target.send_bytes(b"\n");
    target.expect_line("done", SOON);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    for command in ["info breakpoints", "info sharedlibrary", "info symbols-source", "quit"] {
        rdbg.send(command);
    }
    let output = rdbg.wait(SOON).success();
    assert_eq!(told(&output.stdout, 1), 100, "{}", output.stdout);
    let row = |name: &str| output.stdout.lines().find(|line| line.starts_with("0x") && line.contains(name));
    assert!(row("short_lived (deleted)").is_some(), "{}", output.stdout);
    assert!(row("libc.so.6").is_some_and(|line| !line.contains("(deleted)")), "{}", output.stdout);
    let vdso: Vec<&str> = output.stdout.lines().skip_while(|line| !line.starts_with("[vdso]")).collect();
    assert!(vdso.len() > 1, "{}", output.stdout);
    let of_vdso = vdso.iter().skip(1).take_while(|line| line.starts_with(' '));
    assert!(of_vdso.clone().any(|line| line.contains("the kernel's own code")), "{}", output.stdout);
    assert!(of_vdso.clone().all(|line| !line.contains("no pack") && !line.contains("--symbols-from")));
    target.send_bytes(b"\n");
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}
