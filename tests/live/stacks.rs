//! Stacks equal gdb's, frame by frame.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{Fixture, Home, Variant};

/// The pcs of `#N 0x..` lines.
fn rdbg_stack(program: &Path, args: &[&str], stop_at: &str) -> Vec<u64> {
    // The personality of `setarch -R` is inherited, so that both debuggers see the same addresses.
    let home = Home::new();
    let (stop, pass) = (format!("tbreak {stop_at}"), "handle SIGUSR1 nostop noprint pass");
    let rdbg = home.command(["run", "--batch", "--ex", pass, "--ex", &stop, "--ex", "continue", "--ex", "bt"]);
    let mut command = Command::new("setarch");
    command.arg("-R").arg(rdbg.get_program()).args(rdbg.get_args());
    command.arg("--").arg(program).args(args);
    for (name, value) in rdbg.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut process = crate::support::Process::spawn(command);
    let output = process.finish(Duration::from_secs(60));
    let pcs: Vec<u64> = output
        .stdout
        .lines()
        // Debug files of libc tell of inlined calls, which are on no stack.
        .filter(|line| line.starts_with('#') && !line.contains(" [inlined in "))
        .filter_map(|line| line.split_whitespace().nth(1)?.strip_prefix("0x"))
        .filter_map(|hex| u64::from_str_radix(hex, 16).ok())
        .collect();
    assert!(!pcs.is_empty(), "{output:?}");
    pcs
}

/// The pcs that gdb finds, each frame's printed by itself.
fn gdb_stack(program: &Path, args: &[&str], stop_at: &str) -> Vec<u64> {
    let mut command = Command::new("gdb");
    command.args(["-nx", "-batch", "-ex", "set backtrace past-main on", "-ex", "set backtrace past-entry on"]);
    // Debug files of libc, where a machine has them, give it tail callers too.
    command.args(["-iex", "set debug-file-directory /nonexistent", "-ex", "handle SIGUSR1 nostop noprint pass"]);
    // The instruction itself, not the end of the prologue, where gdb would stop.
    command.arg("-ex").arg(format!("tbreak *{stop_at}")).args(["-ex", "run", "-ex", "frame apply all -q p/x $pc"]);
    let all: Vec<OsString> = std::iter::once(program.into()).chain(args.iter().map(OsString::from)).collect();
    let output = command.arg("--args").args(all).env("LC_ALL", "C.UTF-8").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pcs: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix('$')?.split_once("= 0x"))
        .filter_map(|(_, hex)| u64::from_str_radix(hex.trim(), 16).ok())
        .collect();
    assert!(!pcs.is_empty(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    pcs
}

/// The program without debug info, by which gdb adds frames that are on no stack: inlined ones, and tail callers.
fn without_debug_info(fixture: &Fixture, home: &Home) -> PathBuf {
    let copy = home.path().join("program");
    let status = Command::new("strip").arg("-g").arg("-o").arg(&copy).arg(fixture.path()).status().unwrap();
    assert!(status.success());
    copy
}

#[track_caller]
fn same_stack(program: &Path, args: &[&str], stop_at: &str) {
    let (ours, gdbs) = (rdbg_stack(program, args, stop_at), gdb_stack(program, args, stop_at));
    let hex = |pcs: &[u64]| pcs.iter().map(|pc| format!("{pc:#x}")).collect::<Vec<_>>().join(" ");
    assert_eq!(ours, gdbs, "{args:?} at {stop_at}\nrdbg: {}\ngdb:  {}", hex(&ours), hex(&gdbs));
}

#[test]
fn stacks_that_are_hard_to_walk_are_gdbs() {
    for variant in [Variant::GCC, Variant::GCC_FP, Variant::CLANG, Variant::CLANG_FP] {
        let fixture = Fixture::build("stack", variant);
        let home = Home::new();
        let program = without_debug_info(&fixture, &home);
        for mode in ["recursion", "tail", "alloca", "signal", "callback", "thread"] {
            same_stack(&program, &["--mode", mode], "stack_leaf");
        }
    }
}

#[test]
fn stacks_of_a_cxx_program_are_gdbs() {
    for variant in Variant::ALL_ENVOY {
        let fixture = Fixture::build("mini_envoy", variant);
        let args = ["--rounds", "64", "--workers", "2"];
        let home = Home::new();
        same_stack(&without_debug_info(&fixture, &home), &args, "_ZN5Envoy6Worker4tickEim");
    }
}

#[test]
fn a_stack_from_inside_libc_goes_down_to_the_start() {
    let fixture = Fixture::get("stack");
    let pcs = rdbg_stack(fixture.path(), &["--mode", "recursion"], "getppid");
    assert!(pcs.len() > 10, "{pcs:x?}");
}
