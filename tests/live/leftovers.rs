//! What goes wrong around rdbg: it is killed with its guardian, nobody reads what it writes, its disk is full. The target runs on.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::live::survival::{gone, guardian, paced_with, unharmed};
use crate::support::{procfs, Fixture, Guard, Home, Rdbg, Target, SOON};

/// hits, not released yet, with an int3 at each of these functions that nobody knows of any more.
#[track_caller]
fn with_leftovers(functions: &str) -> Target {
    let target = Target::start(&Fixture::get("hits"), ["--threads", "2", "--calls", "50"]);
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.expect_line("Attached to", SOON);
    rdbg.send(&format!("break --regex {functions} --log"));
    rdbg.expect_line("Breakpoint 1", SOON);
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    let guardian = guardian(&rdbg);
    crate::support::process::signal(guardian, "KILL");
    gone(guardian);
    rdbg.signal("KILL");
    rdbg.wait(SOON);
    assert!(!Guard::problems(target.pid()).is_empty(), "nothing was left behind");
    target
}

#[test]
fn an_int3_that_a_killed_debugger_left_is_mended_when_it_is_hit() {
    let mut target = with_leftovers("^hits_(push_rbp|test|lea_rip)$");
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    rdbg.expect_line("Attached to", SOON);
    rdbg.send("continue");
    target.release();
    for _ in 0..3 {
        let mended = |line: &str| line.starts_with("1 byte of hits at 0x") && line.contains("restored, or process");
        rdbg.expect("a mended byte", |line| mended(&line.text), SOON);
    }
    rdbg.expect_line("exited with status 0", SOON);
    rdbg.finish(SOON);
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[test]
fn a_breakpoint_on_a_leftover_takes_it_over_and_away() {
    let mut target = with_leftovers("^hits_push_rbp$");
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    rdbg.expect_line("Attached to", SOON);
    rdbg.send("break hits_push_rbp");
    rdbg.expect_line("it goes when the breakpoint goes", SOON);
    rdbg.send("disassemble hits_push_rbp");
    rdbg.expect_line("push", SOON);
    rdbg.send("detach");
    rdbg.finish(SOON);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[test]
fn the_programs_own_int3_stays_its_own() {
    let fixture = Fixture::get("signals");
    let program = fixture.path().display().to_string();
    let output = Rdbg::run(
        ["run", "--batch", "--ex", "handle SIGTRAP nostop pass", "--ex", "continue", "--", &program, "--rounds", "20"],
        SOON,
    );
    assert!(!output.stdout.contains("not in its file"), "{output:?}");
}

/// rdbg that logs every call of a busy target to `out`.
fn logging(target: &Target, out: Stdio, home: &Home) -> Child {
    let mut command = Command::new(Rdbg::binary());
    command.args(["break", "--log", "--max-rate", "off", "--name", "paced_call", "--pid", &target.pid().to_string()]);
    command.env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.runtime_dir());
    command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).spawn().expect("rdbg starts")
}

/// Waits for its end; what it wrote on stderr, and its status.
#[track_caller]
fn end_of(rdbg: Child) -> (String, Option<i32>) {
    let pid = rdbg.id();
    let end = Instant::now() + SOON;
    while procfs::stat(pid).is_some_and(|(state, ..)| state != 'Z') {
        assert!(Instant::now() < end, "rdbg does not end: {}", procfs::describe(pid));
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
    let output = rdbg.wait_with_output().expect("its output");
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
}

#[test]
fn a_full_disk_ends_the_session_and_not_the_target() {
    let (target, home) = (paced_with(&["--threads", "2", "--rate", "500"]), Home::new());
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let (said, status) = end_of(logging(&target, full.into(), &home));
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(said.matches("No space left on device").count(), 1, "{said}");
    assert!(said.contains("the session ends"), "{said}");
    unharmed(target);
}

#[test]
fn a_reader_that_has_gone_ends_the_session_and_not_the_target() {
    let (target, home) = (paced_with(&["--threads", "2", "--rate", "500"]), Home::new());
    let mut rdbg = logging(&target, Stdio::piped(), &home);
    drop(rdbg.stdout.take());
    let (said, _) = end_of(rdbg);
    assert!(said.contains("Broken pipe"), "{said}");
    unharmed(target);
}

#[test]
fn sigterm_ends_rdbg_also_while_nobody_reads_what_it_writes() {
    let (target, home) = (paced_with(&["--threads", "4", "--rate", "2000"]), Home::new());
    let mut rdbg = logging(&target, Stdio::piped(), &home);
    let unread = rdbg.stdout.take();
    let waits =
        || std::fs::read_to_string(format!("/proc/{}/wchan", rdbg.id())).is_ok_and(|at| at.contains("pipe_write"));
    let end = Instant::now() + SOON * 3;
    while !waits() {
        assert!(Instant::now() < end, "the pipe does not fill up: {}", procfs::describe(rdbg.id()));
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    crate::support::process::signal(rdbg.id(), "TERM");
    end_of(rdbg);
    drop(unread);
    unharmed(target);
}
