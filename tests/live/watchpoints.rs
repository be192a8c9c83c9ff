//! Debug registers: every access is told once, by whichever thread, and none is left behind.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use crate::support::{Fixture, Guard, Output, Rdbg, Target, LONG, SOON};

/// A fixture launched under these commands.
#[track_caller]
fn run(commands: &[&str], fixture: &str, args: &[&str]) -> Output {
    let fixture = Fixture::get(fixture);
    let mut words: Vec<&OsStr> = vec![OsStr::new("run"), OsStr::new("--batch")];
    for command in commands {
        words.extend([OsStr::new("--ex"), OsStr::new(command)]);
    }
    words.extend([OsStr::new("--"), fixture.path().as_os_str()]);
    words.extend(args.iter().map(OsStr::new));
    Rdbg::run(words, LONG)
}

/// The lines that log `expression(old=.., new=..)`: thread and values.
fn logged(output: &str, expression: &str) -> Vec<(String, u64, u64)> {
    let mark = format!("] {expression}(old=");
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a number");
    let parse = |line: &str| {
        let (who, values) = line.split_once(&mark)?;
        let (old, new) = values.trim_end_matches(')').split_once(", new=")?;
        Some((who.split_whitespace().last()?.to_owned(), number(old), number(new)))
    };
    output.lines().filter_map(parse).collect()
}

#[track_caller]
fn says(output: &Output, texts: &[&str]) {
    let mut rest = output.stdout.as_str();
    for text in texts {
        match rest.split_once(text) {
            Some((_, after)) => rest = after,
            None => panic!("no `{text}` (in this order) in:\n{}\n{}", output.stdout, output.stderr),
        }
    }
}

#[test]
fn four_sizes_at_once_under_four_threads_tell_every_change() {
    let watches = [
        "watch --log watched_1",
        "watch --log watched_2",
        "watch --log watched_4",
        "watch --log watched_8",
        "continue",
    ];
    let output = run(&watches, "watched", &["--threads", "4", "--rounds", "150"]).success();
    for (expression, modulus) in [("watched_1", 256), ("watched_2", 1 << 16), ("watched_4", 600), ("watched_8", 601)] {
        let hits = logged(&output.stdout, expression);
        assert_eq!(hits.len(), 600, "{expression}: {}", output.stdout);
        for (at, (_, old, new)) in hits.iter().enumerate() {
            assert_eq!(*old, at as u64 % modulus, "{expression}");
            assert_eq!(*new % modulus, (at as u64 + 1) % modulus, "{expression}");
        }
        let threads: BTreeSet<&String> = hits.iter().map(|(who, ..)| who).collect();
        assert_eq!(threads.len(), 4, "{expression}: {threads:?}");
    }
}

#[test]
fn a_write_of_the_same_value_is_a_hit_only_where_every_write_is_asked_for() {
    let commands = ["watch --every --log watched_8", "awatch --log watched_4", "rwatch --log watched_2", "continue"];
    let output = run(&commands, "watched", &["--threads", "1", "--rounds", "10"]).success();
    // bump_8 and write_the_same.
    assert_eq!(logged(&output.stdout, "watched_8").len(), 20, "{}", output.stdout);
    let (any, reads) = (logged(&output.stdout, "watched_4").len(), logged(&output.stdout, "watched_2").len());
    // An increment in memory is one access; one by way of a register reads, then writes.
    assert!(any == 10 || any == 20, "{any}: {}", output.stdout);
    assert!(reads == 0 || reads == 10, "{reads}: {}", output.stdout);
}

#[test]
fn unaligned_bytes_take_several_registers_and_a_fifth_is_refused_with_who_has_them() {
    let commands =
        ["watch watched_bytes+3 8", "watch watched_1", "continue", "delete 1", "watch watched_1", "continue"];
    let output = run(&commands, "watched", &["--rounds", "1"]);
    says(
        &output,
        &[
            "Watchpoint 1: watch watched_bytes+3 8",
            "Watchpoint 1, watched_bytes+3: 0 (0x0) -> 281474976710656 (0x1000000000000)",
            "exited with status 0",
        ],
    );
    assert!(output.stderr.contains("none is free (breakpoint 1 has the others)"), "{}", output.stderr);
    assert!(output.stderr.contains("delete or disable one of those"), "{}", output.stderr);
    let output = run(&["watch watched_bytes 64", "watch *(int*)8", "watch 0xffff800000000000"], "watched", &[]);
    for text in ["64 bytes at ", "nothing is mapped at 0x8", "nothing is mapped at 0xffff800000000000"] {
        assert!(output.stderr.contains(text), "{text}: {}", output.stderr);
    }
}

#[test]
fn what_rdbg_executes_in_a_threads_place_is_a_hit_too() {
    // push: emulated. `lock inc`: in a slot.
    let push = ["break hits_push_rbp", "continue", "watch --every *(long*)($rsp-8)", "continue", "continue"];
    let output = run(&push, "hits", &["--threads", "1", "--calls", "2", "--only", "push_rbp"]);
    says(
        &output,
        &["Breakpoint 1, hits_push_rbp", "Watchpoint 2, ", "at hits_push_rbp+1", "Breakpoint 1, hits_push_rbp"],
    );
    let locked = ["break hits_lock_inc", "continue", "watch hits_locked", "continue", "continue", "continue"];
    let output = run(&locked, "hits", &["--threads", "1", "--calls", "2", "--only", "lock_inc"]);
    let hit = ["Watchpoint 2, hits_locked: 0 (0x0) -> 1 (0x1) at hits_lock_inc+", "Breakpoint 1, hits_lock_inc"];
    says(&output, &hit);
    says(&output, &[hit[1], hit[1], "Watchpoint 2, hits_locked: 1 (0x1) -> 2 (0x2)"]);
    // Counted exactly with a site that logs at each of the instructions.
    let both = ["break --log hits_lock_inc", "watch --log hits_locked", "continue"];
    let output = run(&both, "hits", &["--threads", "1", "--calls", "500", "--only", "lock_inc"]).success();
    assert_eq!(logged(&output.stdout, "hits_locked").len(), 500);
    assert_eq!(output.stdout.matches("] hits_lock_inc(").count(), 500);
    assert_eq!(output.count("wrong"), 0);
}

#[test]
fn an_hbreak_and_a_site_at_one_place_are_one_stop_and_each_works_alone() {
    let commands = [
        "hbreak bump_8",
        "break bump_8",
        "continue",
        "disable 2",
        "continue",
        "enable 2",
        "disable 1",
        "continue",
        "enable 1",
        "thbreak bump_1 if watched_1 != 0",
        "continue",
        "info breakpoints",
        "delete",
        "continue",
    ];
    let output = run(&commands, "watched", &["--rounds", "6"]);
    says(&output, &["Breakpoint 1, 2, bump_8", "Breakpoint 1, bump_8", "Breakpoint 2, bump_8", "Breakpoint 3, bump_1"]);
    says(&output, &["hbreak bump_8", "watched_8=6", "exited with status 0"]);
    let log = run(&["hbreak --log bump_4", "continue"], "watched", &["--threads", "3", "--rounds", "50"]).success();
    assert_eq!(log.stdout.matches("] bump_4(").count(), 150, "{}", log.stdout);
}

#[test]
fn a_step_onto_an_hbreak_is_not_a_second_stop_there_and_a_step_that_writes_is_a_hit() {
    let commands = [
        "break bump_8",
        "continue",
        "watch watched_8",
        "stepi",
        "stepi",
        "stepi",
        "delete",
        "hbreak *$pc",
        "stepi",
        "info registers rip",
        "continue",
    ];
    let output = run(&commands, "watched", &["--rounds", "1"]);
    says(
        &output,
        &["Breakpoint 1, bump_8", "Watchpoint 2, watched_8: 0 (0x0) -> 1 (0x1) at bump_8+", "exited with status 0"],
    );
}

/// Attached to a process whose threads work without end.
fn attached(threads: &str) -> (Target, Rdbg) {
    let mut target = Target::start(&Fixture::get("watched"), ["--threads", threads, "--endless"]);
    target.release();
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    rdbg.expect_line("Attached to", SOON);
    (target, rdbg)
}

/// The target is clean, and goes on with what was watched.
#[track_caller]
fn is_left_well(target: &mut Target) {
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(LONG).code(), 0);
}

#[test]
fn threads_that_ran_before_are_watched_and_whatever_way_rdbg_leaves_no_register_stays() {
    for last in ["quit", "detach", "signal"] {
        let (mut target, mut rdbg) = attached("3");
        rdbg.send("watch --log watched_8");
        rdbg.expect_line("Watchpoint 1: watch watched_8 8", SOON);
        rdbg.send("hbreak --log bump_1");
        rdbg.expect_line("Breakpoint 2: bump_1", SOON);
        rdbg.send("continue");
        for name in ["watched_0[", "watched_1[", "watched_2["] {
            rdbg.expect(name, |line| line.text.contains(name) && line.text.contains("watched_8(old="), SOON);
        }
        rdbg.expect_line("bump_1(", SOON);
        if last == "signal" {
            rdbg.signal("TERM");
            rdbg.wait(SOON);
        } else {
            rdbg.signal("INT");
            rdbg.expect_line("Stopped by interrupt", SOON);
            rdbg.send(last);
            rdbg.finish(SOON);
        }
        is_left_well(&mut target);
    }
}

#[test]
fn threads_that_start_later_are_watched() {
    let mut target = Target::start(&Fixture::get("watched"), ["--threads", "4", "--rounds", "30", "--late", "--hold"]);
    target.release();
    target.process.expect_line("late", SOON);
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.send("watch --log watched_8");
    rdbg.expect_line("Watchpoint 1", SOON);
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    target.release();
    target.wait_done(LONG);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.finish(SOON);
    let text: String = rdbg.lines().iter().map(|line| format!("{}\n", line.text)).collect();
    assert_eq!(logged(&text, "watched_8").len(), 120, "{text}");
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn with_non_stop_one_thread_is_held_by_its_hit_and_the_others_go_on() {
    let mut target = Target::start(&Fixture::get("hits"), ["--threads", "3", "--endless", "--only", "lock_inc"]);
    target.release();
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.send("set non-stop on");
    // Thread 1 calls with i * 0x100000001 + 7 + 25.
    rdbg.send("watch hits_locked if ($rdi & 0xffffffff) - ($rdi >> 32) == 32");
    rdbg.expect_line("Watchpoint 1", SOON);
    rdbg.send("continue");
    rdbg.expect_line("Watchpoint 1, hits_locked: ", SOON);
    rdbg.send("info threads");
    for (name, state) in [("\"hits_0\"", "running"), ("\"hits_1\"", "stopped"), ("\"hits_2\"", "running")] {
        let row = rdbg.expect(
            name,
            |line| line.text.contains(name) && line.text.contains(" 0x") != (state == "running"),
            SOON,
        );
        assert!(row.text.contains(state), "{}", row.text);
    }
    rdbg.send("delete 1");
    rdbg.send("detach");
    rdbg.finish(SOON);
    is_left_well(&mut target);
    assert_eq!(target.count("wrong"), 0);
}

#[test]
fn children_that_are_let_go_write_unseen_and_those_that_are_followed_do_not() {
    let mut last = "watch --log watched_8";
    for (follow, hits) in [("parent", 2), ("both", 3)] {
        let follow = format!("set follow-fork-mode {follow}");
        let output = run(&[&follow, last, "continue", "continue"], "watched", &["--fork", "--rounds", "2"]);
        says(&output, &["child=0", "rounds=2 watched_8=2"]);
        let seen = logged(&output.stdout, "watched_8");
        assert_eq!(seen.len(), hits, "{follow}: {}\n{}", output.stdout, output.stderr);
        last = "watch --log watched_8 8";
    }
}

#[test]
fn the_kernels_own_writes_are_not_seen() {
    let output = run(&["watch --log watched_8", "continue"], "watched", &["--rounds", "2", "--read"]).success();
    says(&output, &["watched_8=7"]);
    assert_eq!(logged(&output.stdout, "watched_8").len(), 2);
}

#[test]
fn a_program_that_is_started_again_is_watched_again() {
    let commands = ["watch watched_8", "continue", "run", "continue", "delete", "continue"];
    let output = run(&commands, "watched", &["--rounds", "1"]);
    let hit = "Watchpoint 1, watched_8: 0 (0x0) -> 1 (0x1)";
    says(&output, &[hit, "Launched", hit, "exited with status 0"]);
}
