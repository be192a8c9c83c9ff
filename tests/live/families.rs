//! Tasks that come and go while rdbg comes and goes, that share memory, and that take each other's numbers.

use std::fmt::Write as _;

use crate::support::{skip, Fixture, Guard, Home, Process, Rdbg, Target, LONG, SOON};

/// kin, which waits to be released.
fn kin(what: &str) -> Target {
    Target::start_program(Fixture::get("kin").path().as_os_str(), [what])
}

/// What works without end is told to end, and must have come out right.
#[track_caller]
fn ends_well(mut target: Target) {
    Guard::check(target.pid());
    target.release();
    target.wait(SOON).success();
    assert_eq!(target.count("wrong"), 0);
}

/// The hits that a session has told of.
fn hits(process: &Process) -> usize {
    process.lines().iter().filter(|line| line.text.contains("] kin_call(")).count()
}

/// In one session: attaches to the target and leaves it, over and over, with these lines in between.
#[track_caller]
fn come_and_go(target: &Target, rounds: u32, between: &str) {
    let home = Home::new();
    let script = home.path().join("rounds");
    let mut lines = String::new();
    for _ in 1..rounds {
        let _ = writeln!(lines, "{between}\ndetach\nattach {}", target.pid());
    }
    std::fs::write(&script, lines).expect("a file of ours");
    let (pid, script) = (target.pid().to_string(), script.display().to_string());
    let output = home.run(["attach", "--pid", &pid, "--batch", "-x", &script], LONG).success();
    assert_eq!(output.stdout.matches("Attached to").count(), rounds as usize, "{output:?}");
}

#[test]
fn two_hundred_attachments_to_a_storm_of_threads_harm_nobody() {
    let mut target = kin("storm");
    target.release();
    target.process.expect_line("working", SOON);
    come_and_go(&target, 200, "info threads");
    ends_well(target);
}

#[test]
fn attachments_with_a_breakpoint_to_a_storm_of_threads_harm_nobody() {
    let mut target = kin("storm");
    target.release();
    target.process.expect_line("working", SOON);
    come_and_go(&target, 40, "tbreak kin_call\ncontinue");
    ends_well(target);
}

#[test]
fn attachments_amid_spawns_leave_every_child_clean() {
    let mut target = kin("spawner");
    target.release();
    target.process.expect_line("working", SOON);
    come_and_go(&target, 60, "tbreak kin_call\ncontinue");
    ends_well(target);
}

#[test]
fn children_that_share_the_memory_pass_the_breakpoints_of_their_parent() {
    for (follow, expected) in [("parent", 50), ("both", 100)] {
        let mut target = kin("clone-vm");
        let pid = target.pid().to_string();
        let mut rdbg = Rdbg::start(["break", "--name", "kin_call", "--log", "--follow", follow, "--pid", &pid]);
        rdbg.expect_line("Breakpoint 1: ", SOON);
        target.release();
        target.process.expect_line("working", LONG);
        rdbg.signal("INT");
        rdbg.wait(SOON);
        assert_eq!(hits(&rdbg), expected, "{follow}");
        ends_well(target);
    }
}

#[test]
fn a_number_that_is_given_again_is_another_task() {
    for follow in ["parent", "both"] {
        let mut target = kin("reuse");
        let pid = target.pid().to_string();
        let mut rdbg = Rdbg::start(["break", "--name", "kin_call", "--log", "--follow", follow, "--pid", &pid]);
        rdbg.expect_line("Breakpoint 1: ", SOON);
        target.release();
        target.process.expect_line("working", LONG);
        rdbg.signal("INT");
        rdbg.wait(SOON);
        let found = hits(&rdbg);
        let pid = target.pid();
        ends_well_counting(target, found, follow, pid);
    }
}

#[track_caller]
fn ends_well_counting(mut target: Target, hits: usize, follow: &str, pid: u32) {
    Guard::check(pid);
    target.release();
    target.wait(SOON).success();
    assert_eq!(target.count("wrong"), 0);
    if target.count("reused") == 0 {
        skip("clone3 with set_tid needs CAP_CHECKPOINT_RESTORE");
        return;
    }
    // 31 threads are the process's own; 31 children are followed or not.
    assert_eq!(target.count("reused"), 60);
    assert_eq!(hits, if follow == "both" { 62 } else { 31 }, "{follow}");
}

#[test]
fn all_processes_of_a_session_are_listed_and_looked_at_in_turn() {
    let mut target = kin("family");
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.expect_line("Attached to", SOON);
    for command in ["set follow-fork-mode both", "tbreak kin_call", "continue"] {
        rdbg.send(command);
    }
    target.release();
    rdbg.expect_line("kin_call(", SOON);
    rdbg.send("info inferiors");
    rdbg.expect_line("kin", SOON);
    // The child that stopped is selected; both have the breakpoint's place.
    for command in ["delete", "break kin_call", "continue", "continue", "continue"] {
        rdbg.send(command);
    }
    rdbg.expect_line("Breakpoint 2, kin_call(", SOON);
    rdbg.send("inferior 1");
    rdbg.send("info threads");
    let row = rdbg.expect(
        "the parent's thread",
        |line| {
            line.text.contains(&target.pid().to_string())
                && line.text.contains("running") | line.text.contains("stopped")
        },
        SOON,
    );
    assert!(row.text.contains("kin"), "{row:?}");
    rdbg.send("inferior 2");
    rdbg.send("bt");
    rdbg.expect_line("main+", SOON);
    rdbg.send("inferior 9");
    rdbg.expect_line("there is no inferior 9", SOON);
    rdbg.send("quit");
    rdbg.finish(SOON);
    target.process.expect_line("working", SOON);
    ends_well(target);
}
