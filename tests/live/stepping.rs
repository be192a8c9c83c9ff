//! Frames that are left in every way there is, and steps that meet signals, locks and other threads.

use std::time::Duration;

use crate::support::{Fixture, Home, Output, Rdbg, Target, Variant, LONG, SOON};

/// ways_out under rdbg, with these commands.
#[track_caller]
fn run(variant: Variant, way: &str, commands: &[&str]) -> Output {
    let fixture = Fixture::build("ways_out", variant);
    let mut args = vec!["run", "--batch"];
    for command in commands {
        args.extend(["--ex", command]);
    }
    let path = fixture.path().to_str().expect("a path in UTF-8");
    args.extend(["--", path, way]);
    Home::new().run(args, LONG)
}

/// What is said at each stop, without the place in the source.
fn stops(output: &Output) -> Vec<&str> {
    let is_stop =
        |line: &&str| ["Finished", "The frame was", "Step", "Signal SIG"].iter().any(|one| line.starts_with(one));
    output.stdout.lines().filter(is_stop).map(|line| line.split(" ways_out").next().unwrap_or(line)).collect()
}

#[test]
fn finish_comes_back_from_its_own_frame_and_no_other() {
    for variant in [Variant::GCC, Variant::CLANG, Variant::O0] {
        let finish =
            ["break ways_recurse", "continue", "continue", "continue", "delete", "finish", "finish", "continue"];
        let output = run(variant, "return", &finish).success();
        let returned: Vec<&str> = stops(&output).iter().filter_map(|line| line.split(" at ").next()).collect();
        assert_eq!(returned, ["Finished, returned $1 = 0xa (10)", "Finished, returned $2 = 0xb (11)"], "{output:?}");
        // The outer frame, from within: both deeper returns pass by.
        let finish =
            ["break ways_recurse", "continue", "continue", "continue", "delete", "up", "up", "finish", "continue"];
        let output = run(variant, "return", &finish).success();
        assert!(stops(&output)[0].starts_with("Finished, returned $1 = 0xc (12) at main+"), "{output:?}");
        assert!(output.stdout.contains("done return"), "{output:?}");
    }
}

#[test]
fn finish_from_a_tail_called_function_returns_to_the_callers_caller() {
    let output = run(Variant::GCC, "tail", &["break ways_tailed", "continue", "finish", "continue"]).success();
    assert!(stops(&output)[0].starts_with("Finished, returned $1 = 0x2a (42) at ways_after_tail+"), "{output:?}");
}

#[test]
fn finish_ends_where_an_exception_lands() {
    for variant in [Variant::GCC, Variant::CLANG, Variant::GCC_FP] {
        for (way, landed) in [("throw", "ways_catch+"), ("cleanup", "ways_clean_caller+")] {
            let output = run(variant, way, &["break ways_leave", "continue", "finish", "continue"]).success();
            let expected = format!("The frame was left by an exception, not by a return: landed at {landed}");
            assert!(stops(&output)[0].starts_with(&expected), "{}: {output:?}", variant.name);
            assert!(output.stdout.contains(&format!("done {way}")), "{output:?}");
        }
        // Caught inside of the frame that is waited for: that is no way out of it.
        let output = run(variant, "throw", &["break ways_catch", "continue", "finish", "continue"]).success();
        assert!(stops(&output)[0].starts_with("Finished, returned $1 = 0x1 (1) at main+"), "{output:?}");
    }
}

#[test]
fn finish_ends_where_longjmp_goes_to() {
    for (way, landed) in [("longjmp", "ways_land+"), ("forever", "ways_loop+")] {
        let output = run(Variant::GCC, way, &["break ways_jump", "continue", "finish", "kill"]);
        let expected = format!("The frame was left by a jump (longjmp), not by a return: landed at {landed}");
        assert!(stops(&output)[0].starts_with(&expected), "{output:?}");
    }
    let output = run(Variant::GCC, "longjmp", &["break ways_land", "continue", "finish", "continue"]).success();
    assert!(stops(&output)[0].starts_with("Finished, returned $1 = 0x3 (3) at main+"), "{output:?}");
    let output = run(Variant::STATIC, "longjmp", &["break ways_jump", "continue", "finish", "continue"]).success();
    assert!(stops(&output)[0].contains("landed at ways_land+"), "{output:?}");
}

#[test]
fn finish_in_a_coroutine_waits_until_its_stack_goes_on() {
    let output =
        run(Variant::GCC, "context", &["break ways_yield", "continue", "delete", "finish", "continue"]).success();
    assert!(stops(&output)[0].starts_with("Finished, returned $1 = 0xb (11) at ways_coroutine+"), "{output:?}");
    assert!(output.stdout.contains("done context"), "{output:?}");
}

#[test]
fn nexti_over_a_call_that_throws_ends_where_it_lands() {
    let mut commands = vec!["break ways_leave", "continue"];
    commands.extend(["nexti"; 6]);
    let output = run(Variant::GCC, "throw", &commands);
    assert!(
        stops(&output).iter().any(|line| line.contains("exception, not by a return: landed at ways_catch")),
        "{output:?}"
    );
}

#[test]
fn the_first_step_of_a_program_executes_its_first_instruction() {
    let output = run(Variant::GCC, "return", &["print $pc", "stepi", "print $pc", "kill"]);
    let values: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with('$')).collect();
    let pc = |line: &str| line.split_once("= ").map(|(_, value)| value.split(' ').next().unwrap_or("").to_owned());
    assert_eq!(values.len(), 2, "{output:?}");
    assert_ne!(pc(values[0]), pc(values[1]), "{output:?}");
}

#[test]
fn steps_amid_a_storm_of_signals_go_on_and_every_handler_runs() {
    let quiet = "handle SIGUSR1 nostop noprint pass";
    let commands = [
        quiet,
        "break ways_signalled",
        "continue",
        "delete",
        "stepi 150",
        "nexti 50",
        "info registers rip",
        "continue",
    ];
    let output = run(Variant::GCC, "signals", &commands).success();
    let places = stops(&output);
    assert_eq!(places.len(), 2, "{output:?}");
    assert!(
        places.iter().all(|line| line.starts_with("Step at ways_signalled+") || line.starts_with("Step at main+")),
        "{output:?}"
    );
    assert!(output.stdout.contains("done signals"), "{output:?}");
}

#[test]
fn a_step_with_a_signal_that_stopped_enters_its_handler() {
    let output = run(Variant::GCC, "raise", &["continue", "stepi", "bt", "continue"]).success();
    let places = stops(&output);
    assert!(places[0].starts_with("Signal SIGUSR1"), "{output:?}");
    assert!(places[1].starts_with("Step, ways_handler("), "{output:?}");
    assert!(output.stdout.lines().any(|line| line.starts_with("#3") || line.contains(" main+")), "{output:?}");
}

#[test]
fn a_handler_is_left_through_sigreturn_step_by_step() {
    let commands = ["continue", "stepi", "finish", "stepi", "stepi", "bt 1", "nexti 20", "continue"];
    let output = run(Variant::GCC, "raise", &commands).success();
    let struck = stops(&output)[0].split(" at ").nth(1).map(str::to_owned).expect("a place");
    assert!(output.stdout.contains(&format!("Step at {struck}")), "{output:?}");
    assert!(output.stdout.contains("done raise"), "{output:?}");
}

#[test]
fn steps_onto_a_breakpoint_count_as_hits() {
    let commands = ["break ways_tail", "continue", "break ways_tailed", "stepi 50", "info breakpoints", "continue"];
    let output = run(Variant::GCC, "tail", &commands).success();
    assert!(output.stdout.contains("Breakpoint 2, ways_tailed("), "{output:?}");
    assert!(stops(&output).is_empty(), "{output:?}");
}

/// A session on the program with three threads that count; all stand.
fn three() -> (Target, Rdbg) {
    let fixture = Fixture::build("ways_out", Variant::GCC);
    let target = Target::start_program(fixture.path().as_os_str(), ["three"]);
    let mut rdbg = Home::new().start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.expect_line("Attached to", SOON);
    (target, rdbg)
}

/// The three counts as `x/3gd` shows them.
#[track_caller]
fn counts(rdbg: &mut Rdbg) -> Vec<i64> {
    rdbg.send("x/3gd &ways_counts");
    let mut numbers = Vec::new();
    while numbers.len() < 3 {
        let line = rdbg.expect_line("<ways_counts", SOON).text;
        let values = line.split_once(':').map(|(_, values)| values.to_owned()).unwrap_or_default();
        numbers.extend(values.split_whitespace().filter_map(|one| one.parse::<i64>().ok()));
    }
    numbers
}

#[track_caller]
fn ends_well(mut target: Target, mut rdbg: Rdbg) {
    rdbg.send("detach");
    rdbg.expect_line("Detached from", SOON);
    rdbg.send("quit");
    rdbg.finish(SOON);
    crate::support::Guard::check(target.pid());
    target.release();
    target.wait(SOON).success();
}

#[test]
fn scheduler_locking_holds_the_others_or_lets_them_run() {
    let (target, mut rdbg) = three();
    rdbg.send("tbreak ways_wait");
    rdbg.send("continue");
    rdbg.expect_line("ways_wait(", SOON);
    for mode in ["step", "on"] {
        rdbg.send(&format!("set scheduler-locking {mode}"));
        let before = counts(&mut rdbg);
        for _ in 0..3 {
            rdbg.send("nexti 4");
            rdbg.expect_line("Step", SOON);
        }
        let after = counts(&mut rdbg);
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new).count();
        assert!(moved <= 1, "{mode}: {before:?} {after:?}");
    }
    // With `on`, continue lets the one go alone; the others' breakpoints are not hit.
    let before = counts(&mut rdbg);
    rdbg.send("break ways_wait");
    for _ in 0..3 {
        rdbg.send("continue");
        rdbg.expect_line("ways_wait(", SOON);
    }
    let after = counts(&mut rdbg);
    assert_eq!(before.iter().zip(&after).filter(|(old, new)| old != new).count(), 1, "{before:?} {after:?}");
    rdbg.send("delete");
    rdbg.send("set scheduler-locking off");
    let mut moved = vec![false; 3];
    let before = counts(&mut rdbg);
    for _ in 0..500 {
        rdbg.send("nexti 8");
        rdbg.expect_line("Step", SOON);
        for (index, now) in counts(&mut rdbg).into_iter().enumerate() {
            moved[index] |= now != before[index];
        }
        if moved.iter().all(|one| *one) {
            break;
        }
    }
    assert_eq!(moved, [true; 3], "the others never ran");
    ends_well(target, rdbg);
}

#[test]
fn with_non_stop_one_thread_is_stepped_while_the_others_run() {
    let (target, mut rdbg) = three();
    rdbg.send("set non-stop on");
    rdbg.send("tbreak ways_wait");
    rdbg.send("continue");
    rdbg.expect_line("ways_wait(", SOON);
    for _ in 0..20 {
        let before = counts(&mut rdbg);
        rdbg.send("stepi");
        rdbg.expect_line("Step", SOON);
        rdbg.send("info threads");
        rdbg.expect_line("running", SOON);
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while counts(&mut rdbg).iter().zip(&before).filter(|(new, old)| new != old).count() < 2 {
            assert!(std::time::Instant::now() < end, "the others do not run");
        }
    }
    rdbg.send("finish");
    rdbg.expect_line("Finished", SOON);
    ends_well(target, rdbg);
}

#[test]
fn a_step_that_waits_for_a_held_thread_can_be_interrupted_and_names_it() {
    let fixture = Fixture::build("ways_out", Variant::GCC);
    let path = fixture.path().to_str().expect("a path in UTF-8");
    let mut rdbg = Home::new().start(["run", "--stop-at-entry", "--", path, "lock"]);
    rdbg.expect_line("Launched", SOON);
    for command in ["break ways_lock", "continue", "set scheduler-locking on", "finish"] {
        rdbg.send(command);
    }
    rdbg.expect_line("ways_lock(", SOON);
    let pid = rdbg
        .lines()
        .iter()
        .find_map(|line| line.text.split("(pid ").nth(1)?.split(',').next()?.trim_end_matches(')').parse::<u32>().ok());
    let pid = pid.expect("the pid is told");
    // In the mutex, which nobody gives back.
    let end = std::time::Instant::now() + SOON;
    while !std::fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|text| text.starts_with("202 ")) {
        assert!(std::time::Instant::now() < end, "not in futex(2)");
        std::thread::yield_now();
    }
    rdbg.signal("INT");
    rdbg.expect_line("threads held meanwhile by scheduler-locking: 2 (holder)", SOON);
    rdbg.expect_line("Stopped by interrupt", SOON);
    for command in ["set scheduler-locking off", "delete", "continue"] {
        rdbg.send(command);
    }
    rdbg.expect_line("done lock", SOON);
    rdbg.finish(SOON);
}
