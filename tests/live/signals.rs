//! Signals: the program sees what it would see without rdbg.

use std::time::Duration;

use crate::support::{Fixture, Guard, Home, Process, Rdbg, Target, SOON};

#[test]
fn a_program_with_its_own_int3_and_handlers_works_as_before_under_a_log() {
    let fixture = Fixture::get("signals");
    // So many that the breakpoint's instruction is emulated at first, and then runs in a slot.
    let mut target = Target::start(&fixture, ["--rounds", "1000", "--hold"]);
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

/// Somebody's SIGTRAP, sent to a thread just before it hits, takes the place of the hit's.
#[test]
fn a_sigtrap_that_is_sent_to_a_thread_swallows_no_hit() {
    let fixture = Fixture::get("trapped");
    for policy in ["pass", "nopass"] {
        let mut target = Target::start(&fixture, ["--signals", "3000", "--hold"]);
        let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
        rdbg.send(&format!("handle SIGTRAP nostop noprint {policy}"));
        rdbg.expect_line("SIGTRAP", SOON);
        for function in ["trapped_push", "trapped_lea"] {
            rdbg.send(&format!("break {function} --ignore 1000000000"));
            rdbg.expect_line(&format!(": {function}+0"), SOON);
        }
        rdbg.send("continue");
        rdbg.expect_line("Continuing", SOON);
        target.release();
        target.wait_done(Duration::from_secs(60));
        rdbg.signal("INT");
        rdbg.expect_line("Stopped by interrupt", SOON);
        rdbg.send("info breakpoints");
        rdbg.expect_line("2.1 ", SOON);
        let output = rdbg.finish(SOON);
        let calls = target.count("calls");
        assert_eq!((output.hits(1), output.hits(2), target.count("wrong")), (calls, calls, 0), "{policy}: {output:?}");
        assert_eq!(target.count("traps") > 0, policy == "pass");
        Guard::check(target.pid());
        target.release();
        assert_eq!(target.wait(SOON).code(), 0);
    }
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

#[test]
fn a_signal_can_be_given_dropped_and_queued() {
    let fixture = Fixture::get("sigwake");
    let mut command = std::process::Command::new(fixture.path());
    command.stdin(std::process::Stdio::piped());
    let mut target = Process::spawn(command);
    target.expect_line("ready", SOON);
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.expect_line("Attached to", SOON);
    rdbg.send("signal SIGUSR1");
    target.expect_line("woken 1", SOON);
    // One that stops, and is dropped.
    target.signal("USR1");
    rdbg.expect_line("Signal SIGUSR1", SOON);
    rdbg.send("queue-signal 0");
    rdbg.send("signal 0");
    // One that stops, and another in its place.
    target.signal("USR1");
    rdbg.expect_line("Signal SIGUSR1", SOON);
    rdbg.send("signal SIGWINCH");
    let pid = target.pid();
    wait_until("the target runs", || crate::support::procfs::stat(pid).is_some_and(|(state, _, _)| state == 'S'));
    // Given while the thread stands in epoll_wait; it is not told of again.
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("handle SIGUSR1 nopass");
    rdbg.expect_line("SIGUSR1", SOON);
    rdbg.send("queue-signal SIGUSR1");
    rdbg.expect_line("SIGUSR1 is not passed to the program", SOON);
    rdbg.send("handle SIGUSR1 pass");
    rdbg.expect_line("SIGUSR1", SOON);
    rdbg.send("queue-signal SIGUSR1");
    rdbg.send("continue");
    target.expect_line("woken 2", SOON);
    rdbg.signal("TERM");
    rdbg.wait(SOON);
    Guard::check(target.pid());
    target.close_stdin();
    let output = target.wait(SOON).success();
    assert_eq!((output.count("handled"), output.count("woken")), (2, 2), "{output:?}");
}

#[test]
fn queued_signals_keep_their_order_and_their_values() {
    let fixture = Fixture::build("ways_out", crate::support::Variant::GCC);
    let path = fixture.path().to_str().expect("a path in UTF-8");
    let quiet =
        ["run", "--batch", "--ex", "break ways_wait", "--ex", "ignore 1 100", "--ex", "continue", "--", path, "queue"];
    let mut seen = vec!["run", "--batch", "--ex", "handle SIGRTMIN+1 stop print pass"];
    seen.extend(["--ex", "continue"].repeat(21));
    seen.extend(["--", path, "queue"]);
    for args in [quiet.to_vec(), seen] {
        let output = Rdbg::run(args, SOON).success();
        assert!(output.stdout.contains("queued=20 wrong=0"), "{output:?}");
    }
}

#[test]
fn a_parent_learns_of_stops_and_continues_as_without_rdbg() {
    let fixture = Fixture::get("jobs");
    let mut command = std::process::Command::new(fixture.path());
    command.stdin(std::process::Stdio::piped());
    let mut parent = Process::spawn(command);
    let line = parent.expect_line("ready ", SOON).text;
    let child: u32 = line["ready ".len()..].trim().parse().expect("a pid");
    let mut rdbg = Home::new().start(["attach", "--pid", &child.to_string()]);
    rdbg.expect_line("Attached to", SOON);
    rdbg.send("handle SIGSTOP SIGTSTP SIGTTIN SIGTTOU nostop noprint pass");
    rdbg.expect_line("SIGTTOU", SOON);
    rdbg.send("continue");
    for round in 0..5 {
        for (name, number) in [("STOP", 19), ("TSTP", 20), ("TTIN", 21), ("TTOU", 22)] {
            crate::support::process::signal(child, name);
            parent.expect_line(&format!("stopped {number}"), SOON);
            if round == 2 {
                // Looked at while it is stopped, it stays so.
                rdbg.signal("INT");
                rdbg.expect_line("Stopped by interrupt", SOON);
                rdbg.send("info threads");
                rdbg.expect_line("stopped by SIG", SOON);
                rdbg.send("continue");
            }
            crate::support::process::signal(child, "CONT");
            parent.expect_line("continued 18", SOON);
        }
    }
    rdbg.signal("TERM");
    rdbg.wait(SOON);
    Guard::check(child);
    parent.close_stdin();
    parent.expect_line("exited 7", SOON);
    parent.wait(SOON).success();
    let told = parent.lines().iter().filter(|line| line.text.starts_with("stopped")).count();
    assert_eq!(told, 20, "{:?}", parent.lines());
}

/// Polls a fact of /proc, which nothing announces.
fn wait_until(what: &str, fact: impl Fn() -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !fact() {
        assert!(std::time::Instant::now() < end, "not in time: {what}");
        std::thread::yield_now();
    }
}
