//! rdbg is killed: what it was attached to lives on.

use std::time::{Duration, Instant};

use crate::support::{procfs, Fixture, Guard, Rdbg, Target, SOON};

/// Threads that call `paced_call`, so many times a second each.
fn paced(threads: &str, rate: &str) -> Target {
    paced_with(&["--threads", threads, "--rate", rate])
}

pub(super) fn paced_with(args: &[&str]) -> Target {
    let mut target = Target::start(&Fixture::get("paced"), args);
    target.release();
    target.process.expect_line("running ", SOON);
    target
}

/// rdbg with the commands done; the target runs.
#[track_caller]
fn tracing(target: &Target, commands: &[&str]) -> Rdbg {
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    for command in commands {
        rdbg.send(command);
    }
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    rdbg
}

/// The guardian of an rdbg.
pub(super) fn guardian(rdbg: &Rdbg) -> u32 {
    let is_guardian = |pid: &u32| procfs::stat(*pid).is_some_and(|(_, _, name)| name == "guardian");
    procfs::descendants(rdbg.pid()).into_iter().find(is_guardian).unwrap_or_else(|| rdbg.fail("it has no guardian"))
}

#[track_caller]
pub(super) fn gone(pid: u32) {
    let end = Instant::now() + SOON;
    while procfs::stat(pid).is_some_and(|(state, ..)| state != 'Z') {
        assert!(Instant::now() < end, "process {pid} lives on: {}", procfs::describe(pid));
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Kills rdbg, and waits until its guardian has done its work.
#[track_caller]
fn kill(mut rdbg: Rdbg) {
    let guardian = guardian(&rdbg);
    rdbg.signal("KILL");
    rdbg.wait(SOON);
    gone(guardian);
}

/// Waits until the process has slept and gone on some more times: its threads sleep between two calls.
#[track_caller]
fn works_on(pid: u32) {
    let sleeps = || -> u64 {
        let of = |tid| procfs::task_status(pid, tid, "voluntary_ctxt_switches")?.parse::<u64>().ok();
        procfs::tasks(pid).into_iter().filter_map(of).sum()
    };
    let (end, before) = (Instant::now() + SOON, sleeps());
    while sleeps() < before + 3 {
        assert!(Instant::now() < end && procfs::stat(pid).is_some_and(|(state, ..)| state != 'Z'), "it died");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[track_caller]
pub(super) fn unharmed(mut target: Target) {
    Guard::check(target.pid());
    target.process.send_bytes(b"\n");
    let output = target.wait(SOON).success();
    assert_eq!(output.count("wrong"), 0, "{output:?}");
}

#[test]
fn ten_kills_at_rare_hits_harm_nobody() {
    // One thread: with two, the other may hit at the very moment of the kill, which only the safety net survives.
    let target = paced("1", "5");
    for _ in 0..10 {
        let mut rdbg = Rdbg::start(["break", "--name", "paced_call", "--log", "--pid", &target.pid().to_string()]);
        rdbg.watch(target.pid());
        rdbg.expect_line("] paced_call(", SOON);
        kill(rdbg);
        Guard::check(target.pid());
    }
    unharmed(target);
}

#[test]
fn every_patched_byte_is_restored_at_once() {
    let mut target = Target::start(&Fixture::get("hits"), ["--threads", "2"]);
    let rdbg = tracing(&target, &["break --regex hits_.* --log", "break --regex ^str --module libc.so.6 --log"]);
    assert!(!Guard::problems(target.pid()).is_empty(), "nothing was patched");
    kill(rdbg);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[test]
fn a_target_that_stands_when_rdbg_is_killed_goes_on() {
    let target = paced("2", "1000");
    let mut rdbg = tracing(&target, &["break paced_call"]);
    rdbg.expect_line("Breakpoint 1, paced_call", SOON);
    kill(rdbg);
    unharmed(target);
}

#[test]
fn forked_copies_are_restored_too() {
    let target = Target::start(&Fixture::get("forks"), ["--rounds", "3"]);
    let rdbg = tracing(&target, &["set follow-fork-mode both", "break forked_call --log"]);
    kill(rdbg);
    Guard::check(target.pid());
    let mut target = target;
    target.release();
    assert_eq!(target.wait(SOON).success().count("died"), 0);
}

#[test]
fn watchpoints_that_rdbg_leaves_behind_are_cleared_in_every_thread() {
    // One hit in 200 ms: none comes between the kill and the guardian's work.
    let target = paced("1", "5");
    for _ in 0..5 {
        let mut rdbg = tracing(&target, &["watch --log calls"]);
        rdbg.expect_line("] calls(old=", SOON);
        kill(rdbg);
        works_on(target.pid());
    }
    unharmed(target);
}

#[test]
fn the_guardian_ends_with_rdbg_and_keeps_nothing_of_it() {
    let target = paced("2", "100");
    let mut rdbg = tracing(&target, &["break paced_call if 0"]);
    let guardian = guardian(&rdbg);
    for fd in 0..3 {
        let kept = std::fs::read_link(format!("/proc/{guardian}/fd/{fd}")).expect("its descriptors");
        assert_eq!(kept.to_str(), Some("/dev/null"), "descriptor {fd}");
    }
    rdbg.signal("TERM");
    rdbg.wait(SOON);
    gone(guardian);
    unharmed(target);
}
