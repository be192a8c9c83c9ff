//! Bad input gets a clear error and an exit status, and nobody is harmed.

use std::process::Command;

use crate::support::{Fixture, Guard, Home, Output, Process, Rdbg, Target, SOON};

#[track_caller]
fn fails(output: &Output, code: i32, text: &str) {
    let all = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.code(), code, "{all}");
    assert!(all.contains(text), "no `{text}` in:\n{all}");
}

#[test]
fn patterns_that_do_not_compile_or_match_nothing_or_too_much() {
    let fixture = Fixture::get("hits");
    let path = fixture.path().to_str().unwrap();
    fails(&Rdbg::run(["break", "--regex", "hits_(", "--", path], SOON), 2, "hits_(");
    fails(&Rdbg::run(["symbols", path, "--regex", "hits_pusk_rbp"], SOON), 1, "hits_push_rbp");
    let few = ["break", "--regex", "hits_", "--limit", "3", "--", path];
    fails(&Rdbg::run(few, SOON), 1, "the limit is 3");
}

#[test]
fn files_that_are_no_64_bit_elf() {
    let home = Home::new();
    let file = home.path().join("file");
    let name = file.to_str().unwrap();
    std::fs::write(&file, b"#!/bin/sh\n").unwrap();
    fails(&Rdbg::run(["symbols", name], SOON), 1, "ELF");
    let mut whole = std::fs::read(Fixture::get("hits").path()).unwrap();
    std::fs::write(&file, &whole[..40]).unwrap();
    fails(&Rdbg::run(["symbols", name], SOON), 1, "error");
    // EI_CLASS: ELFCLASS32.
    whole[4] = 1;
    std::fs::write(&file, &whole).unwrap();
    fails(&Rdbg::run(["symbols", name], SOON), 1, "32");
    fails(&Rdbg::run(["symbols", "no-such-file"], SOON), 1, "no-such-file");
}

#[test]
fn processes_that_are_not_there_or_are_taken() {
    // Above pid_max.
    fails(&Rdbg::run(["attach", "--pid", "99999999", "--batch"], SOON), 1, "99999999");
    fails(&Rdbg::run(["attach", "no-such-process-name", "--batch"], SOON), 1, "--waitfor");
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "1"]);
    let mut tracer = Command::new("strace");
    tracer.args(["-f", "-o", "/dev/null", "-p", &target.pid().to_string()]);
    let mut tracer = Process::spawn(tracer);
    tracer.expect_line("attached", SOON);
    let output = Rdbg::run(["attach", "--pid", &target.pid().to_string(), "--batch"], SOON);
    fails(&output, 1, "strace");
    tracer.signal("INT");
    tracer.wait(SOON);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn another_users_process_is_refused_with_the_rule() {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "1"]);
    let home = Home::new();
    let binary = home.path().join("rdbg-copy");
    std::fs::copy(Rdbg::binary(), &binary).unwrap();
    Command::new("chmod").args(["-R", "a+rX"]).arg(home.path()).status().unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(&binary);
    command.args(["attach", "--pid", &target.pid().to_string(), "--batch"]).env("HOME", "/nonexistent");
    let output = Process::spawn(command).finish(SOON);
    fails(&output, 1, "rdbg runs as user 65534");
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn a_program_that_cannot_be_started_and_a_wrong_command_line() {
    fails(&Rdbg::run(["run", "--batch", "--", "no-such-program"], SOON), 1, "no-such-program");
    fails(&Rdbg::run(["run", "--batch", "--", "/etc/passwd"], SOON), 1, "/etc/passwd");
    assert_eq!(Rdbg::run(["attach"], SOON).code(), 2);
    assert_eq!(Rdbg::run(["break", "--regex", "a", "--name", "b"], SOON).code(), 2);
    assert_eq!(Rdbg::run(["--no-such-option"], SOON).code(), 2);
    assert_eq!(Rdbg::run(["--version"], SOON).code(), 0);
}
