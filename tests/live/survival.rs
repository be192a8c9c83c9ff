//! rdbg is killed: what it was attached to lives on.

use std::time::{Duration, Instant};

use crate::support::{process, procfs, Fixture, Guard, Rdbg, Target, SOON};

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

/// Threads that make a call each time they are asked to: nothing is hit at the very moment of a kill.
fn asked() -> Target {
    paced_with(&["--threads", "2", "--asked"])
}

/// The target makes its next call, and lives.
#[track_caller]
fn call(target: &mut Target) {
    target.process.send_bytes(b"c");
    target.process.expect_line("call ", SOON);
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

/// A trap flag that single-stepping left set would be the end of it.
#[test]
fn a_target_that_stands_after_a_step_lives_on() {
    for steps in [&["stepi"][..], &["stepi 5"], &["next"], &["step", "nexti 3"], &["set non-stop on", "stepi 2"]] {
        let target = paced("2", "100");
        let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
        rdbg.watch(target.pid());
        for command in ["tbreak paced_call", "continue"] {
            rdbg.send(command);
        }
        rdbg.expect_line("Breakpoint 1, paced_call", SOON);
        for command in steps {
            rdbg.send(command);
            if command.starts_with("set") {
                continue;
            }
            rdbg.expect("the end of a step", |line| line.text.starts_with("Step at"), SOON);
        }
        kill(rdbg);
        works_on(target.pid());
        unharmed(target);
    }
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
        assert!(procfs::stat(pid).is_some_and(|(state, ..)| state != 'Z'), "it died");
        assert!(Instant::now() < end, "it does not go on: {}", procfs::describe(pid));
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
    let mut target = asked();
    for _ in 0..10 {
        let mut rdbg = tracing(&target, &["break paced_call --log"]);
        call(&mut target);
        rdbg.expect_line("] paced_call(", SOON);
        kill(rdbg);
        Guard::check(target.pid());
        call(&mut target);
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
    let target = paced("2", "200");
    for stops in [1, 2, 3, 1, 2, 3] {
        let mut rdbg = tracing(&target, &["break paced_call"]);
        rdbg.expect_line("Breakpoint 1, paced_call", SOON);
        for _ in 1..stops {
            rdbg.send("continue");
            rdbg.expect_line("Breakpoint 1, paced_call", SOON);
        }
        let patched = Guard::problems(target.pid());
        assert!(patched.iter().all(|one| !one.contains("/paced")), "it stands before an int3: {patched:?}");
        kill(rdbg);
        works_on(target.pid());
    }
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
    let mut target = asked();
    for _ in 0..10 {
        let mut rdbg = tracing(&target, &["watch --log calls"]);
        for _ in 0..2 {
            call(&mut target);
            rdbg.expect_line("] calls(old=", SOON);
        }
        kill(rdbg);
        call(&mut target);
        call(&mut target);
    }
    unharmed(target);
}

#[test]
fn with_the_safety_net_watchpoints_may_be_hit_all_the_time() {
    let target = paced("2", "2000");
    for _ in 0..5 {
        let watch = ["set safety-net on", "watch calls", "ignore 1 1000000000", "tbreak paced_call", "ignore 2 50"];
        let mut rdbg = tracing(&target, &watch);
        rdbg.expect_line("paced_call", SOON);
        kill(rdbg);
        works_on(target.pid());
    }
    unharmed(target);
}

#[test]
fn with_the_safety_net_a_thread_may_be_in_the_midst_of_a_step() {
    let target = paced("2", "1000");
    for _ in 0..5 {
        let mut rdbg = tracing(&target, &["set safety-net on", "break paced_call"]);
        rdbg.expect_line("Breakpoint 1, paced_call", SOON);
        rdbg.send("stepi 1000000");
        rdbg.expect_line("Breakpoint 1", SOON);
        rdbg.send("stepi 1000000");
        std::thread::park_timeout(Duration::from_millis(5));
        kill(rdbg);
        works_on(target.pid());
    }
    unharmed(target);
}

#[test]
fn the_safety_net_leaves_nothing_behind() {
    let target = paced_with(&["--threads", "2", "--rate", "1000", "--forks", "50"]);
    let guard = Guard::take(target.pid());
    let commands = ["set safety-net on", "set follow-fork-mode both", "break paced_call if 0"];
    let mut rdbg = tracing(&target, &commands);
    let caught = procfs::task_status(target.pid(), target.pid(), "SigCgt").expect("a mask");
    assert!(u64::from_str_radix(&caught, 16).expect("hexadecimal") & 1 << 4 != 0, "{caught}");
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info safety");
    let line = rdbg.expect_line("patched places covered", SOON);
    let places: Vec<u64> = line.text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(places.len() == 2 && places[0] == places[1] && places[0] > 0, "{}", line.text);
    rdbg.send("quit");
    rdbg.wait(SOON).success();
    guard.check_after();
    unharmed(target);
}

#[test]
fn a_program_that_has_its_own_way_with_sigtrap_keeps_it() {
    for (trap, reason) in [("catch", "handles SIGTRAP itself"), ("ignore", "ignores SIGTRAP")] {
        let target = paced_with(&["--threads", "1", "--rate", "100", "--trap", trap]);
        let guard = Guard::take(target.pid());
        let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
        rdbg.send("set safety-net on");
        rdbg.expect_line(&format!("no safety net: the program {reason}"), SOON);
        rdbg.send("quit");
        rdbg.wait(SOON).success();
        guard.check_after();
        process::signal(target.pid(), "TRAP");
        unharmed(target);
    }
    let target = paced_with(&["--threads", "1", "--rate", "100", "--trap", "later"]);
    let mut rdbg = tracing(&target, &["set safety-net on", "handle SIGUSR1 nostop noprint pass"]);
    process::signal(target.pid(), "USR1");
    works_on(target.pid());
    rdbg.signal("INT");
    rdbg.expect_line("has set a handler of SIGTRAP of its own", SOON);
    rdbg.send("quit");
    rdbg.wait(SOON).success();
    // The handler that it set last is there.
    works_on(target.pid());
    process::signal(target.pid(), "TRAP");
    unharmed(target);
}

#[test]
fn a_trap_of_the_programs_own_ends_it_through_the_safety_net_too() {
    let mut target = paced("1", "100");
    let mut rdbg = tracing(&target, &["set safety-net on", "break paced_call if 0", "handle SIGTRAP nostop pass"]);
    process::signal(target.pid(), "TRAP");
    rdbg.expect_line("was killed by SIGTRAP", SOON);
    assert_eq!(target.wait(SOON).code(), 128 + 5);
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
