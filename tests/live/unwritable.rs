//! Where the kernel lets nobody write code through /proc/PID/mem, rdbg and its guardian do it as tracers.

use std::process::Command;
use std::time::Instant;

use super::survival::{gone, guardian, paced_with, unharmed};
use crate::support::{procfs, Fixture, Guard, Home, Process, Rdbg, Target, LONG, SOON};

/// Instructions that are emulated, and one that needs a copy.
const KINDS: [&str; 5] = ["push_rbp", "mov_rip", "ret", "addsd_rip", "call_mem"];

/// rdbg, for which every pwrite64 fails, its guardian's too.
#[track_caller]
fn start(args: &[&str]) -> Rdbg {
    let home = Home::new();
    let mut command = Command::new(Fixture::get("unwritable").path());
    command.arg(Rdbg::binary()).args(args);
    for (name, value) in home.command(args).get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Rdbg { process: Process::spawn(command), home }
}

/// Waits until every thread sleeps in the kernel: none is at a breakpoint.
#[track_caller]
fn asleep(pid: u32) {
    let sleeps = |tid| procfs::task_status(pid, tid, "State").is_some_and(|state| state.starts_with('S'));
    let end = Instant::now() + SOON;
    while !procfs::tasks(pid).into_iter().all(sleeps) {
        assert!(Instant::now() < end, "{}", procfs::describe(pid));
        std::thread::yield_now();
    }
}

#[test]
fn breakpoints_come_and_go_while_the_target_runs() {
    let target = paced_with(&["--threads", "2", "--rate", "200", "--forks", "20"]);
    let pid = target.pid().to_string();
    for _ in 0..3 {
        let output =
            start(&["break", "--name", "paced_call", "--log", "--count", "20", "--pid", &pid]).process.finish(LONG);
        assert_eq!(output.success().stdout.matches("] paced_call(").count(), 20);
        Guard::check(target.pid());
    }
    unharmed(target);
}

#[test]
fn what_is_emulated_and_what_needs_a_copy_is_counted_exactly() {
    let mut target = Target::start(&Fixture::get("hits"), ["--threads", "2", "--calls", "300", "--hold"]);
    let mut rdbg = start(&["attach", "--pid", &target.pid().to_string()]);
    for (at, kind) in KINDS.iter().enumerate() {
        rdbg.send(&format!("break hits_{kind}"));
        rdbg.send(&format!("ignore {} 1000000000", at + 1));
    }
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    target.release();
    target.wait_done(LONG);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.send("quit");
    let output = rdbg.wait(SOON).success();
    for number in 1..=KINDS.len() {
        assert_eq!(output.hits(number), 600, "{}", output.stdout);
    }
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[test]
fn the_guardian_becomes_the_tracer_of_what_it_cannot_write() {
    // So rarely that no hit comes before it is: that takes as long as rdbg takes to end.
    let target = paced_with(&["--threads", "1", "--rate", "1"]);
    for _ in 0..3 {
        let mut rdbg = start(&["attach", "--pid", &target.pid().to_string()]);
        rdbg.watch(target.pid());
        rdbg.send("info safety");
        rdbg.expect_line("proc_mem.force_override", SOON);
        rdbg.send("break --regex ^str --module libc.so.6 --log");
        rdbg.send("break paced_call --log");
        rdbg.send("continue");
        rdbg.expect_line("] paced_call(", SOON);
        assert!(!Guard::problems(target.pid()).is_empty(), "nothing was patched");
        let guardian = guardian(&rdbg);
        asleep(target.pid());
        rdbg.signal("KILL");
        rdbg.wait(SOON);
        gone(guardian);
        Guard::check(target.pid());
    }
    unharmed(target);
}
