//! Options that `rdbg trace` has of bpftrace, and the signal by which a running script is asked for what it has.

use std::process::Command;

use crate::support::{Fixture, Home, Output, Rdbg, LONG, SOON};

fn run(args: &[&str]) -> Output {
    Rdbg::run(["trace"].iter().chain(args), SOON)
}

#[test]
fn a_signal_to_rdbg_runs_its_probe_and_ends_nothing() {
    let script =
        "BEGIN { @n = 1; } self:signal:SIGUSR1 { printf(\"%s %d\\n\", probe, @n); @n++; if (@n == 3) { exit(); } }";
    let mut tracer = Rdbg::start(["trace", "-e", script]);
    tracer.expect_line("Attached 2 probes", SOON);
    for n in 1..3 {
        tracer.signal("USR1");
        tracer.expect_line(&format!("self:signal:SIGUSR1 {n}"), SOON);
    }
    let output = tracer.process.wait(SOON).success();
    assert!(output.stdout.contains("@n: 3\n"), "{}", output.stdout);
}

#[test]
fn without_a_probe_the_signal_does_nothing() {
    let mut tracer = Rdbg::start(["trace", "-e", "BEGIN { printf(\"begun\\n\"); } END { printf(\"ended\\n\"); }"]);
    tracer.expect_line("begun", SOON);
    tracer.signal("USR1");
    tracer.signal("INT");
    let output = tracer.process.wait(SOON).success();
    assert!(output.stdout.contains("ended\n"), "{}", output.stdout);
}

#[test]
fn a_launched_program_has_the_signal_for_itself() {
    let script = "signal:SIGUSR1 { printf(\"to %s\\n\", comm); } self:signal:SIGUSR1 { printf(\"to rdbg\\n\"); }";
    let output = run(&["-e", script, "-c", "sh -c 'kill -USR1 $$'"]);
    assert!(output.stdout.contains("to sh\n") && !output.stdout.contains("to rdbg"), "{}", output.stdout);
}

#[test]
fn a_signal_that_does_not_exist_is_refused() {
    for (probe, message) in [
        ("signal:SIGFOO", "ERROR: SIGFOO is not a valid signal"),
        ("signal:9", "ERROR: no tracer sees SIGKILL"),
        ("self:signal:SIGHUP", "ERROR: SIGHUP is not a supported signal"),
    ] {
        let output = run(&["-e", &format!("{probe} {{ }}")]);
        assert!(output.code() == 1 && output.stderr.contains(message), "{probe}: {}", output.stderr);
    }
}

#[test]
fn probes_are_listed_with_their_fields_where_that_is_asked_for() {
    let names = "tracepoint:syscalls:sys_enter_accept4\ntracepoint:syscalls:sys_exit_accept4\n";
    assert_eq!(run(&["-l", "t:syscalls:*accept4"]).success().stdout, names);
    let fields = "tracepoint:syscalls:sys_enter_accept4\n    int fd\n    struct sockaddr *upeer_sockaddr\n    int *upeer_addrlen\n    \
                  int flags\ntracepoint:syscalls:sys_exit_accept4\n    long ret\n";
    for options in [
        &["-lv", "t:syscalls:*accept4"][..],
        &["-l", "-v", "t:syscalls:*accept4"],
        &["-v", "t:syscalls:*accept4", "-l"],
    ] {
        assert_eq!(run(options).success().stdout, fields, "{options:?}");
    }
    let all = run(&["-l"]).success().stdout;
    for probe in ["BEGIN", "self:signal:SIGUSR1", "tracepoint:raw_syscalls:sys_exit"] {
        assert!(all.lines().any(|line| line == probe), "no {probe}");
    }
    assert!(run(&["-l", "t:*", "u:*"]).stderr.contains("-l takes one pattern"));
}

#[test]
fn the_probes_of_a_script_are_listed_and_nothing_of_it_runs() {
    let fixture = Fixture::get("hits");
    let path = fixture.path().display();
    let script = format!("BEGIN {{ printf(\"ran\\n\"); }} u:{path}:hits_push_r* {{ }} ur:{path}:hits_push_rbp {{ }}");
    let listed = run(&["-l", "-e", &script]).success().stdout;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &script).unwrap();
    assert_eq!(run(&["-l", file.path().to_str().unwrap()]).success().stdout, listed);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.first(), Some(&"BEGIN"), "{listed}");
    assert_eq!(lines.last(), Some(&format!("uretprobe:{path}:hits_push_rbp").as_str()), "{listed}");
    assert!(lines.contains(&format!("uprobe:{path}:hits_push_rbp").as_str()), "{listed}");
    assert!(run(&["-l", "-e", "uprobe:/bin/true:nope { }"]).stderr.contains("No matches for uprobe"), "{listed}");
}

#[test]
fn options_that_change_nothing_here_are_taken() {
    for options in [&["-B", "none"][..], &["-B", "line"], &["-B", "full"], &["-k"], &["-kk"]] {
        let script = ["-e", "BEGIN { printf(\"one\\n\"); exit(); }"];
        let options: Vec<&str> = options.iter().copied().chain(script).collect();
        assert!(run(&options).success().stdout.starts_with("one\n"), "{options:?}");
    }
    let refused = run(&["-B", "some", "-e", "BEGIN { }"]);
    assert!(refused.code() == 2 && refused.stderr.contains("possible values: line, full, none"), "{}", refused.stderr);
}

#[test]
fn info_tells_what_there_is_without_a_script() {
    let told = run(&["--info"]).success().stdout;
    for kind in ["uprobe", "tracepoint:syscalls", "watchpoint", "profile: emulated", "kprobe, fentry"] {
        assert!(told.contains(kind), "no {kind} in {told}");
    }
}

#[test]
fn a_program_of_several_words_is_started_and_its_output_is_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let script = "tracepoint:syscalls:sys_enter_exit_group { printf(\"status %d\\n\", args->error_code); }";
    let options = ["-q", "-o", out.to_str().unwrap(), "-e", script, "-c", "sh -c 'echo \"its own\"; exit 3'"];
    let output = Rdbg::run(["trace"].iter().chain(&options), LONG);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("its own\n", ""));
    let written = std::fs::read_to_string(out).unwrap();
    assert!(written.contains("status 3\n"), "{written}");
}

#[test]
fn colours_come_when_they_are_asked_for() {
    let program = ["--syscall", "exit_group", "--", "/bin/true"];
    let traced = |when: &str| run(&["--color", when].into_iter().chain(program).collect::<Vec<_>>()).success().stdout;
    assert!(traced("always").contains("\x1b[33mexit_group\x1b["), "{}", traced("always"));
    for when in ["never", "auto"] {
        assert!(traced(when).contains("] exit_group(") && !traced(when).contains('\x1b'), "{when}");
    }
}

#[test]
fn the_line_of_progress_stays_while_the_calls_go_to_a_file_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let words = ["trace", "-o", out.to_str().unwrap(), "--syscall", "nanosleep,clock_nanosleep", "--"];
    let program = ["sh", "-c", "while :; do sleep 0.02; done"];
    let mut tracer = Home::new().start_on_terminal(words.iter().chain(&program));
    tracer.expect("the line, although calls are written", |line| line.text.contains(" hits, "), SOON);
    tracer.send_bytes(b"\x03");
    let output = tracer.wait(SOON).success();
    assert!(output.stdout.ends_with("\r\x1b[K"), "{:?}", output.stdout);
    assert!(std::fs::read_to_string(out).unwrap().contains("nanosleep("));
}

#[test]
fn two_interrupts_at_once_are_one_and_the_maps_are_printed() {
    let mut tracer = Rdbg::start(["trace", "-e", "BEGIN { @ = 7; }"]);
    tracer.expect_line("Attached 1 probe", SOON);
    // As timeout(1) does it.
    let pid = tracer.debugger_pid();
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {pid}; kill -INT {pid}")]).status();
    assert!(sent.unwrap().success());
    let output = tracer.process.wait(SOON).success();
    assert!(output.stdout.contains("@: 7\n"), "{}", output.stdout);
}

#[test]
fn an_endless_loop_is_ended_at_each_hit_and_told_once() {
    let script = "interval:ms:1 { while (1) { } @ended++; if (@ended == 3) { exit(); } }";
    let output = run(&["-e", script]).success();
    assert_eq!(output.stderr.matches("a loop was ended").count(), 1, "{}", output.stderr);
    assert!(output.stdout.contains("@ended: 3\n"), "{}", output.stdout);
}
