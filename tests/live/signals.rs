//! Signals: the program sees what it would see without rdbg.

use std::time::Duration;

use crate::support::{Fixture, Guard, Rdbg, Target, SOON};

#[test]
fn a_program_with_its_own_int3_and_handlers_works_as_before_under_a_log() {
    let fixture = Fixture::get("signals");
    let mut target = Target::start(&fixture, ["--rounds", "50", "--hold"]);
    let pid = target.pid().to_string();
    let mut rdbg = Rdbg::start(["break", "--name", "signals_call", "--log", "--pid", &pid]);
    rdbg.expect_line("Breakpoint 1", SOON);
    target.release();
    target.wait_done(Duration::from_secs(60));
    assert_eq!(target.count("wrong"), 0);
    let calls = target.count("calls");
    rdbg.signal("INT");
    let output = rdbg.wait(SOON);
    let hits = output.stdout.lines().filter(|line| line.contains(" signals_call(")).count() as u64;
    assert_eq!(hits, calls, "{}", output.stdout);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn a_process_that_somebody_stopped_stays_stopped_and_goes_on_when_told() {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "2", "--calls", "100"]);
    let pid = target.pid();
    target.process.signal("STOP");
    let stopped = || crate::support::procfs::stat(pid).is_some_and(|(state, _, _)| state == 'T');
    wait_until("the target is stopped", stopped);
    Rdbg::run(["attach", "--pid", &pid.to_string(), "--batch", "--ex", "info threads", "--ex", "detach"], SOON)
        .success();
    assert!(stopped(), "rdbg has let a stopped process go on");
    target.process.signal("CONT");
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

/// Polls a fact of /proc, which nothing announces.
fn wait_until(what: &str, fact: impl Fn() -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !fact() {
        assert!(std::time::Instant::now() < end, "not in time: {what}");
        std::thread::yield_now();
    }
}
