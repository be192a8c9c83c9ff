//! `--if` and `--stop-if` over the program's variables, and calls that a stop breaks off amid a trace.

use serde_json::Value;

use crate::support::{Fixture, Output, Rdbg, Variant, LONG};

/// The fixture calls f(p, n, k) for n from 0 to 9, which adds 2n to `total` and returns p->x + 2n + k.
fn traced(options: &[&str]) -> Output {
    let fixture = Fixture::build("variables", Variant::O0);
    let options = ["trace", "-f", "json"].iter().chain(options);
    Rdbg::run(options.chain(&["--", fixture.path().to_str().unwrap()]), LONG)
}

/// The text of an argument of each call that is reported.
fn argument(output: &Output, name: &str) -> Vec<String> {
    let hits = output.stdout.lines().filter(|line| line.starts_with('{'));
    let hits = hits.map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|hit| hit["type"] == "hit");
    let of = |hit: Value| {
        let arguments = hit["arguments"].as_array().unwrap().clone();
        let found = arguments.into_iter().find(|one| one["name"] == name).expect("the argument");
        found["text"].as_str().unwrap().to_owned()
    };
    hits.map(of).collect()
}

#[test]
fn a_condition_is_over_arguments_members_enumerators_and_globals() {
    for (condition, numbers) in [
        ("n == 4", vec![4]),
        ("p->x == 3", vec![7]),
        ("k == GREEN || n < 1", vec![0, 4]),
        // Before the call that adds to it.
        ("total >= 20", vec![5, 6, 7, 8, 9]),
        ("retval > 10 && n != 9", vec![5, 6, 7, 8]),
        ("retval == 1 + total - n * (n - 1) && n == 6", vec![6]),
    ] {
        let output = traced(&["--fn", "^f$", "--ret", "--if", condition]).success();
        let numbers: Vec<String> = numbers.into_iter().map(|one: u8| one.to_string()).collect();
        assert_eq!(argument(&output, "n"), numbers, "{condition}\n{}{}", output.stdout, output.stderr);
    }
}

#[test]
fn in_a_system_call_a_condition_is_over_globals() {
    for (condition, count) in [("total == 90 && arg0 == 1", 1), ("total == 89", 0)] {
        let output = traced(&["--syscall", "write", "--if", condition]).success();
        assert_eq!(argument(&output, "fd").len(), count, "{condition}\n{}{}", output.stdout, output.stderr);
    }
}

#[test]
fn the_call_that_is_to_stop_is_found_by_a_variable() {
    let options = ["--fn", "^f$", "--stop-if", "n == 3", "--batch", "--ex", "info args", "--ex", "print total"];
    let output = traced(&options).success();
    assert!(output.stdout.contains("n = 3\n") && output.stdout.contains("= 6\n"), "{}", output.stdout);
}

#[test]
fn a_name_that_means_nothing_anywhere_ends_the_trace_at_once() {
    for what in [["--fn", "^f$"], ["--syscall", "write"]] {
        let output = traced(&[what[0], what[1], "--if", "nobody == 1"]);
        assert!(output.code() == 1 && output.stderr.contains("no symbol \"nobody\""), "{}", output.stderr);
        assert!(!output.stdout.contains("\"hit\"") && !output.stdout.contains("120"), "{}", output.stdout);
    }
}

#[test]
fn what_a_stop_breaks_off_is_one_call() {
    let fixture = Fixture::build("mini_envoy", Variant::GCC);
    let program = fixture.path().display().to_string();
    // All others wait in epoll_wait when the script stops one of them.
    let script = format!(
        "uprobe:{program}:*setFilterChainName* {{ @names++; if (@names % 40 == 0) {{ stop(); }} }}
         tracepoint:syscalls:sys_enter_epoll_wait {{ @begun = count(); }}
         tracepoint:syscalls:sys_exit_epoll_wait {{ @over = count(); if (args->ret < 0) {{ @failed = count(); }} }}"
    );
    let mut options = vec!["trace", "-e", &script, "--batch"];
    options.extend(["--ex", "continue"].repeat(10));
    options.extend(["--", &program, "--paced", "--workers", "4", "--rounds", "6400", "--argument-rounds", "0"]);
    let output = Rdbg::run(options, LONG).success();
    let shown = &output.stdout;
    assert_eq!(shown.matches("Stopped by the script").count(), 10, "{shown}{}", output.stderr);
    assert!(shown.contains("@begun: 400\n") && shown.contains("@over: 400\n"), "{shown}{}", output.stderr);
    assert!(!shown.contains("@failed"), "{shown}");
}
