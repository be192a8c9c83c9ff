//! Thread-local variables: of the program, of libraries that were there at its start, of those that are loaded late.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::source::line_in;
use crate::support::{skip, Fixture, Home, Output, Process, Variant};

/// How the library gets into the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loaded {
    /// By LD_PRELOAD: its block has a place below each thread's pointer.
    AtStart,
    /// By dlopen: a thread has a block from its first use on.
    Late,
}

fn ours(fixture: &Fixture, library: &Path, loaded: Loaded, commands: &[String]) -> Output {
    let mut args: Vec<&OsStr> = vec![OsStr::new("run"), OsStr::new("--batch")];
    for command in commands {
        args.extend([OsStr::new("--ex"), OsStr::new(command)]);
    }
    args.extend([OsStr::new("--"), fixture.path().as_os_str(), library.as_os_str()]);
    let mut command = Home::new().command(args);
    if loaded == Loaded::AtStart {
        command.env("LD_PRELOAD", library);
    }
    Process::spawn(command).finish(Duration::from_secs(60))
}

fn of_gdb(fixture: &Fixture, library: &Path, loaded: Loaded, commands: &[String]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off", "-ex", "set startup-with-shell off"]);
    if loaded == Loaded::AtStart {
        gdb.args(["-ex", &format!("set environment LD_PRELOAD={}", library.display())]);
    }
    for command in commands {
        gdb.args(["-ex", if command == "continue" { "run" } else { command }]);
    }
    let output = gdb.arg("--args").arg(fixture.path()).arg(library).output().expect("gdb (run scripts/setup)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The answers to `print`, in order; where there is none, gdb counts nothing up.
fn answers(printed: &str) -> Vec<String> {
    let shown = printed.lines().filter_map(|line| line.strip_prefix('$')?.split_once(" = "));
    shown.map(|(_, value)| value.to_owned()).filter(|value| !value.starts_with('<')).collect()
}

#[test]
fn each_threads_variables_are_those_that_gdb_finds() {
    let library = Fixture::build("plugin_tls", Variant::O0);
    let mut commands = vec![
        format!("tbreak thread_local.c:{}", line_in("thread_local.c", "all")),
        "continue".to_owned(),
        "info sharedlibrary".to_owned(),
    ];
    for thread in 1..=3 {
        commands.push(format!("thread {thread}"));
        let asked = ["of_program", "of_library", "library_state.turns", "library_state.text[0]", "of_library*2"];
        commands.extend(asked.map(|one| format!("print {one}")));
    }
    for variant in [Variant::O0, Variant::NO_PIE] {
        let fixture = Fixture::build("thread_local", variant);
        for loaded in [Loaded::AtStart, Loaded::Late] {
            let (ours, theirs) = (
                ours(&fixture, library.path(), loaded, &commands),
                of_gdb(&fixture, library.path(), loaded, &commands),
            );
            let found = answers(&ours.stdout);
            assert_eq!(found, answers(&theirs), "{}, {loaded:?}:\n{}\n{theirs}", variant.name, ours.stdout);
            let untouched = "$8 = <this thread has not used the thread-local variables of plugin_tls.so yet";
            let expected = if loaded == Loaded::Late { 11 } else { 15 };
            assert_eq!(found.len(), expected, "{}, {loaded:?}:\n{}", variant.name, ours.stdout);
            assert_eq!(ours.stdout.contains(untouched.split_once('=').unwrap().1), loaded == Loaded::Late);
        }
    }
}

#[test]
fn conditions_are_over_the_hitting_threads_own_or_are_refused() {
    let (fixture, library) = (Fixture::build("thread_local", Variant::O0), Fixture::build("plugin_tls", Variant::O0));
    let program = line_in("thread_local.c", "all");
    let inside = line_in("plugin_tls.c", "in library");
    let stops = |condition: &str| {
        [
            format!("tbreak thread_local.c:{}", line_in("thread_local.c", "loaded")),
            "continue".to_owned(),
            format!("break plugin_tls.c:{inside} if {condition}"),
            "continue".to_owned(),
            "print number".to_owned(),
        ]
    };
    // Thread 3 comes first, with 7.
    let found = ours(&fixture, library.path(), Loaded::AtStart, &stops("of_library == 6"));
    assert_eq!(answers(&found.stdout), ["1"], "{}\n{}", found.stdout, found.stderr);
    let found = ours(&fixture, library.path(), Loaded::Late, &stops("of_program == 13"));
    assert_eq!(answers(&found.stdout), ["7"], "{}\n{}", found.stdout, found.stderr);
    let found = ours(&fixture, library.path(), Loaded::Late, &stops("of_library == 6"));
    assert!(found.stderr.contains("each thread has its thread-local variables elsewhere"), "{}", found.stderr);
    let commands = [format!("break thread_local.c:{program} if of_program == 5"), "continue".to_owned()];
    let found = ours(&fixture, library.path(), Loaded::AtStart, &commands);
    assert!(found.stdout.contains("exited with status 0"), "{}\n{}", found.stdout, found.stderr);
}

#[test]
fn a_c_library_that_does_not_tell_is_named_as_the_reason() {
    if !Variant::MUSL.is_available() {
        return skip("no musl-gcc");
    }
    let (fixture, library) =
        (Fixture::build("thread_local", Variant::MUSL), Fixture::build("plugin_tls", Variant::MUSL));
    let commands = [
        format!("tbreak thread_local.c:{}", line_in("thread_local.c", "all")),
        "continue".to_owned(),
        "print of_program".to_owned(),
        "print of_library".to_owned(),
    ];
    let found = ours(&fixture, library.path(), Loaded::Late, &commands);
    assert_eq!(answers(&found.stdout), ["4"], "{}\n{}", found.stdout, found.stderr);
    assert!(found.stdout.contains("$2 = <where plugin_tls.so has its thread-local variables"), "{}", found.stdout);
}
