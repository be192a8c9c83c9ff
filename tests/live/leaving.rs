//! However rdbg leaves, what was attached runs on with its text as it was, and what was launched ends.

use std::time::Duration;

use crate::support::{Fixture, Guard, Home, Rdbg, Target, LONG, SOON};

/// Four threads that hit breakpoints without end, and rdbg logging them.
fn busy() -> (Target, Rdbg) {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "4", "--endless"]);
    target.release();
    let pid = target.pid().to_string();
    let mut rdbg = Rdbg::start(["break", "--regex", "^hits_", "--log", "--pid", &pid]);
    rdbg.expect_line("hits_push_rbp(", SOON);
    (target, rdbg)
}

/// The target is clean, and ends by itself as it would.
#[track_caller]
fn is_left_well(target: &mut Target) {
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(LONG).code(), 0);
    assert_eq!(target.count("wrong"), 0);
}

#[test]
fn signals_to_rdbg_while_four_threads_hit_leave_the_target_well() {
    for signal in ["INT", "TERM", "HUP"] {
        let (mut target, mut rdbg) = busy();
        rdbg.signal(signal);
        rdbg.wait(SOON);
        is_left_well(&mut target);
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_log_and_leaves_the_target_well() {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "2", "--endless"]);
    target.release();
    let command = format!("{} break --regex ^hits_ --log --pid {} | head -3", Rdbg::binary().display(), target.pid());
    let home = Home::new();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command]).env("XDG_RUNTIME_DIR", home.runtime_dir()).env("HOME", home.path());
    assert!(shell.status().unwrap().success());
    // The pipe's last process has ended; rdbg notices at its next line.
    let end = std::time::Instant::now() + SOON;
    while !Guard::problems(target.pid()).is_empty() {
        assert!(std::time::Instant::now() < end, "{:?}", Guard::problems(target.pid()));
        std::thread::yield_now();
    }
    is_left_well(&mut target);
}

#[test]
fn quit_detach_and_the_end_of_input_leave_what_was_attached() {
    for last in ["quit", "detach", ""] {
        let fixture = Fixture::get("hits");
        let mut target = Target::start(&fixture, ["--threads", "4", "--endless"]);
        target.release();
        let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
        rdbg.send("break hits_push_rbp");
        rdbg.send("continue");
        rdbg.expect_line("Breakpoint 1, hits_push_rbp", SOON);
        rdbg.send("info threads");
        if !last.is_empty() {
            rdbg.send(last);
        }
        rdbg.finish(SOON);
        is_left_well(&mut target);
    }
}

#[test]
fn a_target_killed_while_it_is_stopped_or_runs_is_reported_and_rdbg_ends() {
    for held in [false, true] {
        let fixture = Fixture::get("hits");
        let mut target = Target::start(&fixture, ["--threads", "4", "--endless"]);
        target.release();
        let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
        rdbg.expect_line("Attached", SOON);
        if !held {
            rdbg.send("break hits_push_rbp if $rsp == 0");
            rdbg.send("continue");
            rdbg.expect_line("Continuing", SOON);
        }
        target.process.signal("KILL");
        rdbg.expect_line("was killed by SIGKILL", SOON);
        assert!(rdbg.finish(SOON).status.success());
    }
}

#[test]
fn what_was_launched_ends_with_a_batch_and_gives_its_status() {
    let fixture = Fixture::get("hits");
    let path = fixture.path().to_str().unwrap();
    let output = Rdbg::run(["run", "--batch", "--ex", "break hits_push_rbp", "--ex", "continue", "--", path], LONG);
    let pid: u32 = output.stdout.split("(pid ").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
    assert!(crate::support::procfs::stat(pid).is_none(), "the launched program lives on");
    let sh = ["run", "--batch", "--", "/bin/sh", "-c", "exit 7"];
    assert_eq!(Rdbg::run(sh, LONG).code(), 7);
    let killed = ["run", "--batch", "--ex", "kill", "--", "/bin/sleep", "100"];
    let output = Rdbg::run(killed, Duration::from_secs(20));
    assert!(output.stdout.contains("was killed by SIGKILL"), "{output:?}");
}
