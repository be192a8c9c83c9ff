//! Processes and threads that come and go while breakpoints are armed.

use std::ffi::OsStr;
use std::time::Duration;

use crate::support::{procfs, Fixture, Guard, Process, Rdbg, Target, LONG, SOON};

/// How many hits of a function were shown: lines `TIME NAME[TID] FUNCTION(..)`, and those that are said to be lost.
fn hits(process: &Process, function: &str) -> u64 {
    let mark = format!("] {function}(");
    let lines = process.lines();
    let lost = |text: &str| text.strip_prefix('(')?.split_once(" hits not shown")?.0.parse::<u64>().ok();
    let unseen: u64 = lines.iter().filter_map(|line| lost(&line.text)).sum();
    lines.iter().filter(|line| line.text.contains(&mark)).count() as u64 + unseen
}

/// rdbg that logs a function of a fixture which waits to be released.
#[track_caller]
fn log(target: &mut Target, function: &str, more: &[&str]) -> Rdbg {
    let pid = target.pid().to_string();
    let args = ["break", "--name", function, "--log", "--pid", &pid];
    let mut rdbg = Rdbg::start(args.iter().chain(more));
    rdbg.watch(target.pid());
    rdbg.expect_line("Breakpoint 1: ", SOON);
    rdbg
}

/// Ctrl-C, and the end of rdbg.
#[track_caller]
fn leave(rdbg: &mut Rdbg) {
    rdbg.signal("INT");
    let output = rdbg.wait(SOON);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn children_that_are_let_go_never_see_the_breakpoints_of_their_parent() {
    let fixture = Fixture::get("forks");
    let mut target = Target::start(&fixture, ["--rounds", "15", "--threads", "3", "--hold"]);
    let mut rdbg = log(&mut target, "forked_call", &[]);
    target.release();
    target.wait_done(LONG);
    leave(&mut rdbg);
    assert_eq!(target.count("died"), 0, "{:?}", target.process.lines());
    let calls = target.count("parent_calls");
    assert_eq!(calls, 45);
    assert_eq!(hits(&rdbg, "forked_call"), calls, "only the parent's calls are hits");
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn both_sides_of_each_fork_are_debugged_with_follow_both() {
    let fixture = Fixture::get("forks");
    let mut target = Target::start(&fixture, ["--rounds", "8", "--threads", "2", "--hold"]);
    let mut rdbg = log(&mut target, "forked_call", &["--follow", "both"]);
    target.release();
    target.wait_done(LONG);
    leave(&mut rdbg);
    let count = |name| target.count(name);
    assert_eq!(count("died"), 0, "{:?}", target.process.lines());
    let all = count("parent_calls") + count("forks") + count("vforks") + count("spawns");
    assert_eq!(all, 64);
    assert_eq!(hits(&rdbg, "forked_call"), all, "{:#?}", rdbg.lines());
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn follow_child_goes_with_the_child_and_leaves_the_parent_clean() {
    let fixture = Fixture::get("forks");
    let mut target = Target::start(&fixture, ["--rounds", "3", "--hold"]);
    let mut rdbg = log(&mut target, "forked_call", &["--follow", "child"]);
    target.release();
    // The parent's first call, then the fork; the child's call is its exit status.
    let forked = rdbg.expect("a followed fork", |line| line.text.ends_with("(followed)"), SOON);
    let words: Vec<&str> = forked.text.split_whitespace().collect();
    assert_eq!(words[1], target.pid().to_string(), "{}", forked.text);
    let child = words[3].to_owned();
    rdbg.expect_line(&format!("[{child}] forked_call("), SOON);
    rdbg.expect_line(&format!("Process {child} exited with status 1"), SOON);
    let output = rdbg.wait(SOON);
    assert!(output.status.success(), "{output:?}");
    target.wait_done(SOON);
    assert_eq!(target.count("died"), 0, "{:?}", target.process.lines());
    assert_eq!(target.count("parent_calls"), 3);
    assert_eq!(hits(&rdbg, "forked_call"), 2);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn breakpoints_are_placed_anew_when_a_thread_that_is_not_the_leader_executes_a_program() {
    let (spawner, exits) = (Fixture::get("spawner"), Fixture::get("exits"));
    let words = ["break", "--regex", "^(main|exits_call)$", "--log", "--"];
    let program = [spawner.path().as_os_str(), OsStr::new("--thread"), OsStr::new("--"), exits.path().as_os_str()];
    let args = words.iter().map(OsStr::new).chain(program);
    let mut rdbg = Rdbg::start(args.chain(["churn", "--rounds", "40", "--threads", "3"].map(OsStr::new)));
    let output = rdbg.finish(LONG);
    assert_eq!(output.count("calls"), 120, "{output:?}");
    assert_eq!(hits(&rdbg, "exits_call"), 120, "{output:?}");
    // Of the first program, and of the second.
    assert_eq!(hits(&rdbg, "main"), 2, "{output:?}");
    assert!(output.stdout.contains("exited with status 0"), "{output:?}");
}

#[test]
fn a_process_whose_leader_has_left_is_traced_on_and_left_clean() {
    let fixture = Fixture::get("exits");
    let mut target = Target::start(&fixture, ["leader", "--rounds", "300", "--hold"]);
    let mut rdbg = log(&mut target, "exits_call", &[]);
    target.release();
    target.wait_done(LONG);
    target.process.never_said("calls=0");
    leave(&mut rdbg);
    assert_eq!(hits(&rdbg, "exits_call"), target.count("calls"));
    assert_eq!(target.count("calls"), 300);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn a_process_whose_leader_has_left_before_can_be_attached_to() {
    let fixture = Fixture::get("exits");
    let mut target = Target::start(&fixture, ["leader", "--rounds", "3", "--hold"]);
    target.release();
    target.wait_done(SOON);
    let pid = target.pid().to_string();
    assert_eq!(procfs::stat(target.pid()).map(|(state, ..)| state), Some('Z'), "the leader is a zombie");
    let args = ["attach", "--pid", &pid, "--batch", "--ex", "info threads", "--ex", "bt", "--ex", "detach"];
    let output = Rdbg::run(args, SOON);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.contains("\"heir\""), "{output:?}");
    assert!(output.stdout.contains("fixture_wait_byte") || output.stdout.contains("after_leader"), "{output:?}");
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn threads_that_start_call_and_exit_are_each_counted() {
    let fixture = Fixture::get("exits");
    let mut target = Target::start(&fixture, ["churn", "--rounds", "100", "--threads", "8", "--hold"]);
    let mut rdbg = log(&mut target, "exits_call", &[]);
    target.release();
    target.wait_done(LONG);
    leave(&mut rdbg);
    assert_eq!(target.count("calls"), 800);
    assert_eq!(hits(&rdbg, "exits_call"), 800);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn the_process_ends_while_eight_threads_hit() {
    let fixture = Fixture::get("exits");
    for delay in ["0", "1", "3", "10", "30", "100"] {
        let words = [
            "run",
            "--batch",
            "--ex",
            "break exits_call if $rdi == -1",
            "--ex",
            "continue",
            "--ex",
            "info breakpoints",
        ];
        let args = words.iter().map(OsStr::new).chain([OsStr::new("--"), fixture.path().as_os_str()]);
        let args = args.chain(["race", "--threads", "8", "--rounds", delay].map(OsStr::new));
        let mut rdbg = Rdbg::start(args);
        let output = rdbg.finish(LONG);
        assert_eq!(output.code(), 7, "the program's own status, after {delay} ms: {output:?}");
        assert!(output.stdout.contains("exited with status 7"), "{output:?}");
    }
}

#[test]
fn a_sigkill_while_eight_threads_hit_ends_the_session_well() {
    let fixture = Fixture::get("exits");
    let mut target = Target::start(&fixture, ["killed", "--threads", "8", "--rounds", "60000"]);
    let mut rdbg = log(&mut target, "exits_call", &[]);
    target.release();
    target.process.expect_line("running ", SOON);
    for _ in 0..200 {
        rdbg.expect_line("] exits_call(", SOON);
    }
    target.process.signal("KILL");
    rdbg.expect_line("was killed by SIGKILL", SOON);
    let output = rdbg.wait(SOON);
    assert!(output.status.success(), "status {:?}, {}", output.status, output.stderr);
    assert_eq!(target.wait(Duration::from_secs(5)).code(), 128 + 9);
}
