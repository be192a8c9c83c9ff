//! What scripts can do beyond bpftrace, and watchpoints: arguments by name, stop(), bytes that are watched.

use crate::support::{Fixture, Output, Rdbg, Variant, LONG};

fn trace(script: &str, options: &[&str], program: &Fixture, args: &[&str]) -> Output {
    let script = script.replace("PROGRAM", &program.path().display().to_string());
    let command = ["trace", "-e", &script].into_iter().chain(options.iter().copied());
    Rdbg::run(command.chain(["--", program.path().to_str().unwrap()]).chain(args.iter().copied()), LONG)
}

#[test]
fn arguments_are_named_by_the_debug_information() {
    let fixture = Fixture::build("variables", Variant::O0);
    let script = "uprobe:PROGRAM:f { printf(\"n=%d k=%d x=%d %d\\n\", args.n, args.k, *(int32 *)args.p, args.1); }";
    let output = trace(script, &[], &fixture, &[]).success();
    // The fixture calls f ten times, with a number, an enumerator and the one or the other object.
    for n in 0..10 {
        let line = format!("n={n} k={} x={} {n}\n", i32::from(n == 4), if n == 7 { 3 } else { 1 });
        assert!(output.stdout.contains(&line), "no {line} in {}", output.stdout);
    }
}

#[test]
fn a_name_that_no_function_has_is_an_error_with_its_place() {
    let fixture = Fixture::build("variables", Variant::O0);
    let output = trace("uprobe:PROGRAM:f { print(args.wrong); }", &[], &fixture, &[]);
    let error = &output.stderr;
    assert!(!output.status.success() && error.contains("ERROR: Can't find function parameter wrong"), "{error}");
    assert!(error.contains("it has p, n, k"), "{error}");
}

#[test]
fn texts_are_read_by_the_functions_name_alone() {
    let fixture = Fixture::build("mini_envoy", Variant::GCC);
    let script =
        "uprobe:PROGRAM:cpp:*takesString*, uprobe:PROGRAM:cpp:*takesStdView*, uprobe:PROGRAM:cpp:*takesAbslView*
         { printf(\"text %s\\n\", str(args.0)); }
         uprobe:PROGRAM:*setFilterChainName* { printf(\"chain %s this %d\\n\", str(args.1), args.this == arg0); }
         uprobe:libc:epoll_ctl { @op[args.op == arg1 && args.epfd == arg0] = count(); }";
    let output = trace(script, &[], &fixture, &["--rounds", "2", "--workers", "1", "--argument-rounds", "1"]).success();
    for line in ["text virtualInbound", "text by value", "text standard view", "chain 0.0.0.0_8080 this 1"] {
        assert!(output.stdout.lines().any(|one| one == line), "no {line} in {}", output.stdout);
    }
    assert!(output.stdout.contains("@op[true]: ") && !output.stdout.contains("@op[false]"), "{}", output.stdout);
}

#[test]
fn a_hit_that_stops_opens_the_prompt_and_the_trace_goes_on() {
    let fixture = Fixture::build("variables", Variant::O0);
    let script = "uprobe:PROGRAM:f /args.n == 4/ { stop(); } uretprobe:PROGRAM:f { @returns = count(); }";
    let options = ["--batch", "--ex", "bt 2", "--ex", "continue"];
    let output = trace(script, &options, &fixture, &[]);
    let shown = &output.stdout;
    let stopped = shown.find("Stopped by the script, at uprobe:").unwrap_or_else(|| panic!("{shown}{}", output.stderr));
    assert!(shown[stopped..].contains("f(p=0x") && shown[stopped..].contains("n=4, k=GREEN"), "{shown}");
    assert!(shown[stopped..].contains("#1  ") && shown[stopped..].contains("main"), "{shown}");
    // All ten returned: the stop was in the fifth.
    assert!(shown[stopped..].contains("@returns: 10\n"), "{shown}");
    assert!(shown[stopped..].contains("exited with status 0"), "{shown}");
}

#[test]
fn a_system_call_can_be_a_stop_too() {
    let fixture = Fixture::get("calls");
    let script = "tracepoint:syscalls:sys_exit_listen /args->ret == 0/ { stop(); }";
    let output = trace(script, &["--batch", "--ex", "bt 1", "--ex", "continue"], &fixture, &["bind"]);
    assert!(
        output.stdout.contains("Stopped by the script, at tracepoint:syscalls:sys_exit_listen"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("#0  ") && output.stdout.contains("listen"), "{}", output.stdout);
}

#[test]
fn only_a_thread_that_stands_can_be_stopped() {
    for probe in ["BEGIN", "END", "interval:s:1", "profile:hz:9", "signal:SIGTERM"] {
        let output = Rdbg::run(["trace", "-e", &format!("{probe} {{ stop(); }}"), "--", "/bin/true"], LONG);
        assert!(output.stderr.contains("ERROR: stop() can not be used with"), "{probe}: {}", output.stderr);
    }
}

#[test]
fn every_write_of_watched_bytes_is_a_hit() {
    let fixture = Fixture::build("variables", Variant::O0);
    let script = "watchpoint:total:4:w { printf(\"total %d\\n\", *(int32 *)uaddr(\"total\")); @writes = count(); }
        watchpoint:f:1:x { @executed = count(); }";
    let output = trace(script, &[], &fixture, &[]).success();
    let totals: Vec<i32> = output.stdout.lines().filter_map(|line| line.strip_prefix("total ")?.parse().ok()).collect();
    let sums: Vec<i32> = (0..10)
        .scan(0, |sum, n| {
            Some({
                *sum += 2 * n;
                *sum
            })
        })
        .collect();
    assert_eq!(totals, sums, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("@writes: 10\n") && output.stdout.contains("@executed: 10\n"), "{}", output.stdout);
}

#[test]
fn what_cannot_be_watched_is_told() {
    let fixture = Fixture::build("variables", Variant::O0);
    let output = trace("watchpoint:no_such_variable:4:w { }", &[], &fixture, &[]);
    assert!(output.stderr.contains("watchpoint:no_such_variable:4:w is not watched"), "{}", output.stderr);
    for (point, reason) in [("watchpoint:1:3:w", "Invalid length"), ("watchpoint:1:4:q", "invalid watchpoint mode")] {
        let output = trace(&format!("{point} {{ }}"), &[], &fixture, &[]);
        assert!(output.stderr.contains(reason), "{point}: {}", output.stderr);
    }
}

#[test]
fn a_line_of_the_source_is_a_probe() {
    let fixture = Fixture::build("variables", Variant::O0);
    let source = std::fs::read_to_string(format!("{}/fixtures/variables.c", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let line = 1 + source.lines().position(|line| line.contains("total +=")).expect("the fixture adds to total");
    let script = format!("uprobe:PROGRAM@variables.c:{line} {{ @at[probe] = count(); }}");
    let output = trace(&script, &[], &fixture, &[]).success();
    let expected = format!("variables@variables.c:{line}]: 10\n");
    assert!(output.stdout.contains("@at[uprobe:") && output.stdout.contains(&expected), "{}", output.stdout);
    let output = trace("uprobe:PROGRAM@nowhere.c:3 { }", &[], &fixture, &[]);
    assert!(output.stderr.contains("No source file 'nowhere.c' in the debug information"), "{}", output.stderr);
}

#[test]
fn macros_series_and_bounded_maps_run_at_hits() {
    let fixture = Fixture::build("variables", Variant::O0);
    let script = "macro note(@m, n) { @m[n] = count(); n * 2 }
        let @last = lruhash(3);
        uprobe:PROGRAM:f { @sum = sum(note(@last, args.n)); @line = tseries(args.n, 1h, 2, \"max\");
          if (!find(@seen, args.k, $count)) { @seen[args.k] = args.n; } }
        END { errorf(\"%d left\", len(@last)); assert(len(@last) == 3, \"three\"); }";
    let output = trace(script, &["-f", "json"], &fixture, &[]).success();
    for line in [
        r#"{"type": "map", "data": {"@last": {"7": 1, "8": 1, "9": 1}}}"#,
        r#"{"type": "map", "data": {"@sum": 90}}"#,
        r#"{"type": "map", "data": {"@seen": {"0": 0, "1": 4}}}"#,
        r#""value":9}]}}"#,
    ] {
        assert!(output.stdout.contains(line), "no {line} in {}", output.stdout);
    }
    assert!(output.stderr.contains(": ERROR: 3 left\n"), "{}", output.stderr);
}

#[test]
fn all_arguments_are_printed_as_one_structure() {
    let fixture = Fixture::build("variables", Variant::O0);
    let script = "uprobe:PROGRAM:f { print(args); } tracepoint:syscalls:sys_enter_write /args.fd == 1/ { print(args); }
        tracepoint:syscalls:sys_exit_write { printf(\"left %s\\n\", args); }";
    let output = trace(script, &["-q"], &fixture, &[]).success();
    for n in 0..10 {
        let kind = if n == 4 { "GREEN" } else { "RED" };
        let wanted = format!(", .n = {n}, .k = {kind} }}");
        let found = output.stdout.lines().any(|line| line.starts_with("{ .p = 0x") && line.ends_with(&wanted));
        assert!(found, "no {wanted} in {}", output.stdout);
    }
    assert!(
        output.stdout.contains("{ .fd = 1, .buf = \"103\\n\"") && output.stdout.contains("left { .ret = 4 }\n"),
        "{}",
        output.stdout
    );
}
