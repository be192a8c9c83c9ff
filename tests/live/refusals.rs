//! Bad input: a clear message, a right exit status, and everybody else is well.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{copy_program, procfs, Fixture, Guard, Home, Output, Process, Rdbg, Target, LONG, SOON};

/// A fixture that waits, for rdbg to fail on.
fn waiting() -> Target {
    Target::start(&Fixture::get("hits"), ["--threads", "2", "--calls", "10"])
}

/// It ends as if nobody had come.
#[track_caller]
fn unharmed(mut target: Target) {
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[track_caller]
fn fails(output: &Output, status: i32, texts: &[&str]) {
    assert_eq!(output.code(), status, "{output:?}");
    for text in texts {
        assert!(output.stderr.contains(text), "no `{text}` in stderr: {output:?}");
    }
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

#[test]
fn a_regex_that_does_not_compile_is_shown_where_it_is_wrong() {
    let target = waiting();
    let pid = target.pid().to_string();
    let output = Rdbg::run(["break", "--regex", "hits_(", "--pid", &pid], LONG);
    fails(&output, 2, &["regex parse error", "unclosed group"]);
    unharmed(target);
    let program = Fixture::get("hits");
    let args = ["symbols".as_ref(), program.path().as_os_str(), OsStr::new("--regex"), OsStr::new("[z")];
    fails(&Rdbg::run(args, LONG), 2, &["regex parse error", "unclosed"]);
}

#[test]
fn a_name_that_matches_nothing_brings_the_nearest_ones() {
    let target = waiting();
    let pid = target.pid().to_string();
    let args = ["attach", "--pid", &pid, "--batch", "--ex", "break hits_push_rpb"];
    let output = Rdbg::run(args, LONG);
    let told = output.stdout.clone();
    assert!(told.contains("pending") && told.contains("nearest names") && told.contains("hits_push_rbp"), "{told}");
    unharmed(target);
}

#[test]
fn a_pattern_that_matches_too_many_functions_names_their_number_and_the_option() {
    let target = waiting();
    let pid = target.pid().to_string();
    let output = Rdbg::run(["break", "--regex", ".", "--limit", "40", "--module", "hits", "--pid", &pid], LONG);
    fails(&output, 1, &["the limit is 40", "--limit "]);
    let matched = output.stderr.split("matches ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(matched.is_some_and(|count| count > 40), "{output:?}");
    unharmed(target);
}

#[test]
fn files_that_are_no_elf_or_not_whole_or_of_32_bits_are_refused_by_name() {
    let home = Home::new();
    let elf = std::fs::read(Fixture::get("hits").path()).expect("the fixture");
    let mut narrow = elf.clone();
    narrow[4] = 1; // EI_CLASS: ELFCLASS32
    let cases: [(&str, &[u8], &str); 6] = [
        ("text", b"#include <stdio.h>\n", "not an ELF file"),
        ("empty", b"", ""),
        ("header", &elf[..40], "ends before"),
        ("segments", &elf[..100], "ends before"),
        ("half", &elf[..elf.len() / 8], "ends before"),
        ("narrow", &narrow, "32-bit"),
    ];
    for (name, bytes, text) in cases {
        let path = home.path().join(name);
        std::fs::write(&path, bytes).expect("a file of ours");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a file of ours");
        let path = path.display().to_string();
        fails(&home.run(["symbols", &path], LONG), 1, &["error: ", name, text]);
        if name != "narrow" {
            fails(&home.run(["run", "--batch", "--ex", "continue", "--", &path], LONG), 1, &["error: "]);
        }
    }
    fails(&home.run(["symbols", &home.path().join("missing").display().to_string()], LONG), 1, &["No such file"]);
}

#[test]
fn every_cut_of_an_elf_file_is_answered_without_a_panic() {
    let home = Home::new();
    let elf = std::fs::read(Fixture::get("stack").path()).expect("the fixture");
    let path = home.path().join("cut");
    for part in 0..24 {
        std::fs::write(&path, &elf[..elf.len() * part / 24]).expect("a file of ours");
        let output = home.run(["symbols", &path.display().to_string()], LONG);
        assert!([0, 1].contains(&output.code()), "{part}/24: {output:?}");
        assert!(!output.stderr.contains("panicked"), "{part}/24: {output:?}");
    }
}

#[test]
fn processes_that_are_not_there_are_told_of() {
    let mut ended = Process::spawn(Command::new("true"));
    let pid = ended.pid().to_string();
    ended.finish(SOON).success();
    fails(&Rdbg::run(["attach", "--pid", &pid], LONG), 1, &["no process", &pid]);
    fails(&Rdbg::run(["attach", "no-such-name-here"], LONG), 1, &["no-such-name-here", "--waitfor"]);
    fails(&Rdbg::run(["run", "--", "/no/such/program"], LONG), 1, &["/no/such/program"]);
}

#[test]
fn a_name_of_two_processes_brings_a_table_of_both() {
    let home = Home::new();
    let program = Fixture::get("hits").copy_as(home.path(), "rdbg-twins");
    let (one, two) = (
        Target::start_program(program.as_os_str(), ["--calls", "1"]),
        Target::start_program(program.as_os_str(), ["--calls", "1"]),
    );
    let output = home.run(["attach", "rdbg-twins"], LONG);
    assert_eq!(output.code(), 1, "{output:?}");
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains(&one.pid().to_string()) && all.contains(&two.pid().to_string()), "{all}");
    unharmed(one);
    unharmed(two);
}

#[test]
fn another_users_process_is_refused_with_the_rule_that_refused() {
    if procfs::task_status(std::process::id(), std::process::id(), "Uid").is_none_or(|uid| !uid.starts_with("0\t")) {
        return crate::support::skip("only root can start rdbg as another user");
    }
    let target = waiting();
    // A place that another user can reach.
    let place = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).expect("a directory of ours");
    let rdbg = place.path().join("rdbg");
    copy_program(&Rdbg::binary(), &rdbg);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&rdbg);
    command.args(["attach", "--batch", "--pid", &target.pid().to_string()]).env_remove("XDG_RUNTIME_DIR");
    let output = Process::spawn(command).finish(SOON);
    fails(&output, 1, &["belongs to user 0", "rdbg runs as user 65534", "CAP_SYS_PTRACE"]);
    unharmed(target);
}

#[test]
fn a_process_that_is_traced_already_is_refused_with_the_tracers_name() {
    let target = waiting();
    let pid = target.pid();
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "-p", &pid.to_string()]);
    let mut strace = Process::spawn(command);
    let end = Instant::now() + SOON;
    while procfs::task_status(pid, pid, "TracerPid").is_none_or(|tracer| tracer == "0") {
        assert!(Instant::now() < end && strace.is_running(), "strace did not attach");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let output = Rdbg::run(["attach", "--pid", &pid.to_string()], LONG);
    fails(&output, 1, &[&strace.pid().to_string(), "strace", "traces it already"]);
    strace.signal("INT");
    strace.wait(SOON);
    unharmed(target);
}

#[test]
fn wrong_usage_is_status_2_and_names_what_is_wrong() {
    for (args, text) in [
        (vec!["attach"], "NAME"),
        (vec!["attach", "--pid", "abc"], "abc"),
        (vec!["frobnicate"], "frobnicate"),
        (vec!["break", "--name", "a", "--count", "3", "--pid", "1"], "--log"),
        (vec!["break", "--name", "a", "--regex", "b"], "--regex"),
        (vec!["run"], "PROGRAM"),
        (vec!["symbols"], "FILE"),
        (vec!["ctl", "frobnicate"], "frobnicate"),
        (vec!["run", "--log-filter", "a=b=c", "--", "true"], "--log-filter"),
    ] {
        let output = Rdbg::run(&args, SOON);
        assert_eq!(output.code(), 2, "{args:?}: {output:?}");
        assert!(output.stderr.contains(text), "{args:?}: {output:?}");
    }
}

#[test]
fn commands_that_fail_say_why_and_the_session_goes_on() {
    let target = waiting();
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    for (command, text) in [
        ("frobnicate", "`frobnicate` is no command"),
        ("delete 99", "no breakpoint 99"),
        ("thread 99", "no thread 99"),
        ("frame 99", "no frame 99"),
        ("print $nosuch", "$nosuch"),
        ("print *(int*)0", "cannot access memory at 0x0"),
        ("print 1 +", "an expression expected"),
        ("x/4q $sp", "invalid format letter `q`"),
        ("set nosuch 3", "no setting `nosuch`"),
        ("source /no/such/file", "cannot read /no/such/file"),
        ("handle SIGFOO stop", "SIGFOO"),
        ("break *0x10", "not in executable memory"),
        ("break --regex (", "bad regular expression"),
        ("condition 99 1", "no breakpoint 99"),
        ("set $rip", "an assignment needs"),
    ] {
        rdbg.send(command);
        rdbg.expect(command, |line| line.text.starts_with("error: ") && line.text.contains(text), SOON);
    }
    rdbg.send("echo well");
    rdbg.expect_line("well", SOON);
    rdbg.finish(SOON);
    unharmed(target);
}
