//! A place that is hit too often is disarmed, and says so; the others go on.

use crate::support::{Fixture, Guard, Home, Rdbg, Target, SOON};

/// hits, whose threads call without end.
fn busy(args: &[&str]) -> Target {
    let mut target = Target::start(&Fixture::get("hits"), ["--threads", "2", "--endless"].iter().chain(args));
    target.release();
    target
}

/// The target is told to end, and must have come to the right answers.
#[track_caller]
fn unharmed(mut target: Target) {
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[test]
fn a_hot_place_is_disarmed_with_a_message_and_armed_again_by_enable() {
    let target = busy(&[]);
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    rdbg.expect_line("Attached to", SOON);
    // The second place is not called: it stays armed.
    rdbg.send("break --log --max-rate 50/s --regex ^(hits_push_rbp|main)$");
    rdbg.expect_line("2 locations", SOON);
    rdbg.send("continue");
    let told = rdbg.expect_line("Breakpoint 1 is disarmed at 1.", SOON).text;
    assert!(told.contains("hits_push_rbp") && told.contains("50 are allowed"), "{told}");
    rdbg.expect_line("`enable 1` arms it again", SOON);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.expect(
        "which place is disarmed",
        |line| line.text.contains("hits_push_rbp") && line.text.contains("(disarmed: "),
        SOON,
    );
    let hits = rdbg.lines().iter().filter(|line| line.text.contains("] hits_push_rbp(")).count();
    assert_eq!(hits, 50, "so many are told, and no more");
    rdbg.send("enable 1");
    rdbg.send("continue");
    rdbg.expect_line("Breakpoint 1 is disarmed at 1.", SOON);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.finish(SOON);
    unharmed(target);
}

#[test]
fn a_pattern_has_a_limit_unless_it_is_lifted_and_a_name_has_none() {
    let target = busy(&["--only", "push_rbp"]);
    let pid = target.pid().to_string();
    let mut rdbg = Home::new().start(["attach", "--pid", &pid]);
    rdbg.watch(target.pid());
    for line in ["show max-rate", "set max-rate 20/s", "show max-rate", "break --log hits_push_rbp", "continue"] {
        rdbg.send(line);
    }
    rdbg.expect_line("max-rate = default (10000/s for regex", SOON);
    rdbg.expect_line("max-rate = 20/s", SOON);
    rdbg.expect_line("Breakpoint 1 is disarmed at 1.1 hits_push_rbp", SOON);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    for line in ["delete 1", "set max-rate default", "break --log --count 30000 hits_push_rbp", "continue"] {
        rdbg.send(line);
    }
    rdbg.expect_line("Breakpoint 2 is done after 30000 hits", SOON * 3);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.finish(SOON);
    unharmed(target);
}

#[test]
fn a_hot_catchpoint_is_disabled() {
    let fixture = Fixture::get("calls");
    let program = fixture.path().display().to_string();
    let commands = ["--ex", "catch syscall --log --max-rate 20 dup3", "--ex", "continue"];
    let options = ["run", "--batch"].into_iter().chain(commands);
    let output = Rdbg::run(options.chain(["--", &program, "threads", "--threads", "4", "--rounds", "100"]), SOON);
    assert!(output.stdout.contains("Breakpoint 1 is disabled: "), "{output:?}");
    // Those that the other three threads were in when it was disabled have no result that could be told.
    let told = output.stdout.matches("] dup3(").count();
    assert!((17..=20).contains(&told), "{output:?}");
}

#[test]
fn from_the_shell_too() {
    let target = busy(&["--only", "push_rbp"]);
    let mut rdbg = Rdbg::start([
        "break",
        "--regex",
        "^hits_push",
        "--log",
        "--max-rate",
        "100",
        "--pid",
        &target.pid().to_string(),
    ]);
    rdbg.watch(target.pid());
    rdbg.expect_line("is disarmed at 1.", SOON);
    rdbg.signal("INT");
    rdbg.wait(SOON);
    unharmed(target);
}
