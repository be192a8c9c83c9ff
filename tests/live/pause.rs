//! `set pause-budget`: a target that stands for too long goes on, and what was seen of it stays to be seen.

use crate::live::survival::{paced_with, unharmed};
use crate::support::{procfs, Fixture, Guard, Home, Rdbg, Target, SOON};

/// rdbg with the commands done.
#[track_caller]
fn attached(target: &Target, commands: &[&str]) -> Rdbg {
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    rdbg.expect_line("Attached to", SOON);
    for command in commands {
        rdbg.send(command);
    }
    rdbg
}

/// Waits until each of the process's threads has been on a processor since.
#[track_caller]
fn all_threads_work_on(rdbg: &Rdbg, pid: u32) {
    let slept =
        |tid| procfs::task_status(pid, tid, "voluntary_ctxt_switches").and_then(|text| text.parse::<u64>().ok());
    let before: Vec<_> =
        procfs::tasks(pid).into_iter().filter(|tid| *tid != pid).map(|tid| (tid, slept(tid))).collect();
    let end = std::time::Instant::now() + SOON;
    while before.iter().any(|(tid, before)| slept(*tid) <= *before) {
        if std::time::Instant::now() > end {
            rdbg.fail("a thread stands still");
        }
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_target_that_stands_too_long_goes_on_and_its_stop_can_still_be_looked_at() {
    let target = paced_with(&["--threads", "3", "--rate", "1000"]);
    let commands = ["set pause-budget 300ms", "break paced_call", "continue", "show pause-budget"];
    let mut rdbg = attached(&target, &commands);
    let stop = rdbg.expect_line("Breakpoint 1, paced_call(x=", SOON).text;
    let x = stop.split("(x=").nth(1).and_then(|rest| rest.split(')').next()).expect("the argument").to_owned();
    rdbg.expect_line("pause-budget = 300ms", SOON);
    rdbg.expect_line("Pause budget over", SOON);
    rdbg.expect_line("breakpoint 1 is disabled", SOON);
    all_threads_work_on(&rdbg, target.pid());
    for (command, answer) in [
        ("bt", "#1 "),
        ("frame 0", "paced_call"),
        ("thread", "paced_call"),
        ("info registers rip rdi", "rdi"),
        ("info args", &format!("x = {x}")),
        ("print x", &format!("= {x}")),
        ("x/2gx $rsp", "0x"),
        ("list", "paced_call"),
    ] {
        rdbg.send(command);
        rdbg.expect_line("[kept from the stop of ", SOON);
        rdbg.expect_line(answer, SOON);
    }
    // What nobody looked at then is shown as it is now.
    rdbg.send("print calls");
    rdbg.expect("a value", |line| line.text.starts_with('$') && !line.text.contains("error"), SOON);
    // What changes the target is not done to a stop that is over.
    for command in ["stepi", "finish", "print $rax = 7"] {
        rdbg.send(command);
        rdbg.expect("a refusal", |line| line.text.contains("is running") || line.text.contains("not"), SOON);
    }
    // A new stop is shown as it is, and the old one is forgotten.
    rdbg.send("interrupt");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("bt 1");
    rdbg.expect("a stack of now", |line| line.text.starts_with("#0 "), SOON);
    rdbg.send("set pause-budget off");
    let output = rdbg.finish(SOON);
    let kept = output.stdout.matches("[kept from the stop").count();
    assert!(kept <= 8, "{output:?}");
    unharmed(target);
}

#[test]
fn a_stop_that_is_over_in_time_is_none_of_the_budgets_business() {
    let target = paced_with(&["--threads", "1", "--rate", "1000"]);
    let mut rdbg = attached(&target, &["set pause-budget 20s", "tbreak paced_call", "continue"]);
    rdbg.expect_line("Breakpoint 1, paced_call", SOON);
    rdbg.send("stepi");
    rdbg.expect_line("Step", SOON);
    rdbg.send("bt 1");
    rdbg.expect_line("#0 ", SOON);
    let output = rdbg.finish(SOON);
    assert!(!output.stdout.contains("kept from") && !output.stdout.contains("budget over"), "{output:?}");
    unharmed(target);
}

#[test]
fn with_non_stop_each_thread_has_its_own_time() {
    let target = paced_with(&["--threads", "2", "--rate", "200"]);
    let commands = ["set non-stop on", "set pause-budget 400ms", "break paced_call", "continue"];
    let mut rdbg = attached(&target, &commands);
    rdbg.expect_line("Breakpoint 1, paced_call", SOON);
    rdbg.expect_line("Pause budget over", SOON);
    let kept = rdbg.expect_line("kept of thread ", SOON).text;
    let thread = kept.split_whitespace().nth(3).expect("its number").to_owned();
    all_threads_work_on(&rdbg, target.pid());
    // The other thread's time may have been over later: each has its own stop.
    rdbg.send(&format!("thread {thread}"));
    rdbg.expect_line(&format!("[kept from the stop of thread {thread} "), SOON);
    rdbg.send("bt");
    rdbg.expect_line(&format!("[kept from the stop of thread {thread} "), SOON);
    rdbg.expect_line("#0 ", SOON);
    rdbg.finish(SOON);
    unharmed(target);
}

#[test]
fn every_process_of_the_session_goes_on() {
    let mut target = Target::start(&Fixture::get("forks"), ["--rounds", "3"]);
    let commands = ["set follow-fork-mode both", "tbreak forked_call", "set pause-budget 300ms", "continue"];
    let mut rdbg = attached(&target, &commands);
    target.release();
    rdbg.expect_line("Breakpoint 1, forked_call", SOON);
    rdbg.expect_line("Pause budget over", SOON);
    rdbg.expect_line("exited with status 0", SOON);
    assert_eq!(target.wait(SOON).success().count("died"), 0);
    rdbg.finish(SOON);
}

#[test]
fn a_target_for_which_going_on_would_be_the_end_stays() {
    let target = paced_with(&["--threads", "2", "--rate", "100"]);
    let mut rdbg = attached(&target, &["set pause-budget 300ms", "continue"]);
    rdbg.expect_line("Continuing", SOON);
    crate::support::process::signal(target.pid(), "TERM");
    rdbg.expect_line("Signal SIGTERM", SOON);
    rdbg.expect_line("but stays: SIGTERM", SOON);
    rdbg.send("info threads");
    rdbg.expect_line("SIGTERM", SOON);
    rdbg.send("signal 0");
    all_threads_work_on(&rdbg, target.pid());
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.finish(SOON);
    unharmed(target);
}

#[test]
fn the_prompt_tells_how_long_the_target_has_stood() {
    let target = paced_with(&["--threads", "1", "--rate", "100"]);
    let home = Home::new();
    let mut rdbg = home.start_on_terminal(["attach", "--pid", &target.pid().to_string()]);
    rdbg.expect_line("(rdbg)", SOON);
    rdbg.send("set pause-budget 2s");
    rdbg.expect_line("of 2s] (rdbg)", SOON);
    rdbg.expect_line("Pause budget over", SOON);
    rdbg.send("info registers rip");
    rdbg.expect_line("[kept from the stop", SOON);
    rdbg.send_bytes(b"\x03");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.expect_line("(rdbg)", SOON);
    rdbg.send_bytes(b"\x04");
    rdbg.expect_line("(y or n)", SOON);
    rdbg.send("y");
    rdbg.wait(SOON);
    Guard::check(target.pid());
    unharmed(target);
}
