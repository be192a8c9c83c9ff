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
    fails(&Rdbg::run(few, SOON), 1, "the limit is 3; the first are:\n    hits_");
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

/// A 32-bit program of one segment: `for (;;) pause();` through the system call gate of i386.
fn elf32() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    // mov eax, 29 (pause of i386); int 0x80; jmp to the mov.
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
    let size = HEADERS + code.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |file: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    let words = |file: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    // e_type ET_EXEC, e_machine EM_386; e_version, e_entry, e_phoff, e_shoff, e_flags.
    halves(&mut file, &[2, 3]);
    words(&mut file, &[1, BASE + HEADERS, 52, 0, 0]);
    halves(&mut file, &[52, 32, 1, 40, 0, 0]);
    // PT_LOAD of the whole file, readable and executable.
    words(&mut file, &[1, 0, BASE, BASE, size, size, 5, 0x1000]);
    file.extend(code);
    file
}

#[test]
fn programs_of_32_bits_are_refused_and_go_on() {
    let home = Home::new();
    let path = home.path().join("elf32");
    std::fs::write(&path, elf32()).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let name = path.to_str().unwrap();
    fails(&Rdbg::run(["run", "--batch", "--", name], SOON), 1, "32-bit");
    let mut child = match Command::new(&path).spawn() {
        Ok(child) => child,
        // ENOEXEC: a kernel without CONFIG_IA32_EMULATION.
        Err(error) => return crate::support::skip(&format!("a 32-bit program: {error}")),
    };
    let pid = child.id();
    fails(&Rdbg::run(["attach", "--pid", &pid.to_string(), "--batch"], SOON), 1, "32-bit");
    assert_eq!(child.try_wait().unwrap(), None);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("TracerPid:\t0\n"), "{status}");
    assert!(!status.contains("State:\tt") && !status.contains("State:\tT"), "{status}");
    child.kill().unwrap();
    child.wait().unwrap();
}
