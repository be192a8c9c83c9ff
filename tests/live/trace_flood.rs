//! Traces whose output nobody reads, or cannot be written: the target runs on, memory is bounded, what is lost is counted,
//! and Ctrl-C is heard.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread::JoinHandle;

use serde_json::Value;

use crate::support::{procfs, Fixture, Guard, Rdbg, Target, LONG, SOON};

/// Calls of each of the two threads: more than all queues hold together, with lines of this length.
const CALLS: u64 = 30_000;
const PADDING: usize = 400;
/// More than rdbg needs with all its queues full, KiB: 64 MiB of records, some MiB of texts, and itself.
const MOST_MEMORY: u64 = 200 << 10;

/// A FIFO that rdbg writes to. It is opened for reading when rdbg has opened it, and read when the test says so.
fn unread(path: &Path) -> JoinHandle<File> {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    let path = path.to_owned();
    std::thread::spawn(move || File::open(path).unwrap())
}

/// Traces two threads of `hits` with these options, reads nothing until they have ended, and gives the lines then.
fn flooded(options: &[&str]) -> Vec<Value> {
    let fixture = Fixture::get("hits");
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("out");
    let reader = unread(&fifo);
    let calls = CALLS.to_string();
    let mut target = Target::start(&fixture, ["--threads", "2", "--calls", &calls, "--only", "push_rbp", "--hold"]);
    let guard = Guard::take(target.pid());
    let pid = target.pid().to_string();
    let options: Vec<String> =
        options.iter().map(|one| one.replace("PROGRAM", fixture.path().to_str().unwrap())).collect();
    let head = ["trace", "-p", &pid, "-f", "json", "-o", fifo.to_str().unwrap()];
    let mut tracer = Rdbg::start(head.into_iter().chain(options.iter().map(String::as_str)));
    tracer.expect_line(&format!("Tracing process {pid}"), SOON);
    let mut stream = reader.join().unwrap();
    target.release();
    target.wait_done(LONG);
    assert_eq!((target.count("hits_push_rbp"), target.count("wrong")), (2 * CALLS, 0));
    let memory = procfs::task_status(tracer.debugger_pid(), tracer.debugger_pid(), "VmHWM").unwrap();
    let memory: u64 = memory.split_whitespace().next().unwrap().parse().unwrap();
    assert!(memory < MOST_MEMORY, "{memory} KiB");
    tracer.signal("INT");
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    tracer.process.wait(LONG).success();
    guard.check_after();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

#[test]
fn a_script_that_nobody_reads_holds_nobody_up_and_its_sums_are_right() {
    let padding = "x".repeat(PADDING);
    let script = format!("uprobe:PROGRAM:hits_push_rbp {{ @calls = count(); printf(\"%d {padding}\", tid); }}");
    let lines = flooded(&["-e", &script]);
    assert!(lines[0]["type"] == "begin" && lines[0]["data"]["format"] == 1, "{}", lines[0]);
    let end = &lines.last().unwrap()["data"];
    let number = |name: &str| end[name].as_u64().unwrap_or_else(|| panic!("no {name} in {end}"));
    assert_eq!(number("hits"), 2 * CALLS);
    let printed = of_kind(&lines, "printf").len() as u64;
    // The map at the end is the one line more.
    assert_eq!((printed + 1 + number("lost"), number("records")), (number("records"), 2 * CALLS + 1));
    let lost: u64 = of_kind(&lines, "lost_events").iter().map(|one| one["count"].as_u64().unwrap()).sum();
    assert!(lost == number("lost") && lost > 0, "{lost} {end}");
    assert_eq!(of_kind(&lines, "map")[0]["data"]["@calls"], 2 * CALLS);
}

#[test]
fn calls_that_nobody_reads_are_counted_as_lost() {
    let lines = flooded(&["--fn", "^hits_push_rbp$", "--ret", "--stack=4"]);
    let end = lines.last().unwrap();
    let number = |name: &str| end[name].as_u64().unwrap_or_else(|| panic!("no {name} in {end}"));
    assert_eq!((number("hits"), number("reported"), number("open")), (2 * CALLS, 2 * CALLS, 0));
    let lost: u64 = of_kind(&lines, "lost").iter().map(|one| one["count"].as_u64().unwrap()).sum();
    assert!(lost == number("lost") && lost > 0, "{end}");
    assert_eq!(of_kind(&lines, "hit").len() as u64 + lost, number("reported"));
}

#[test]
fn ctrl_c_lets_the_process_go_though_nobody_reads() {
    let fixture = Fixture::get("hits");
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("out");
    let reader = unread(&fifo);
    // More lines than a pipe holds: the writer is stuck when they have been made.
    let mut target = Target::start(&fixture, ["--threads", "1", "--calls", "5000", "--only", "push_rbp", "--hold"]);
    let guard = Guard::take(target.pid());
    let pid = target.pid().to_string();
    let mut tracer = Rdbg::start(["trace", "-p", &pid, "-o", fifo.to_str().unwrap(), "--fn", "^hits_push_rbp$"]);
    tracer.expect_line(&format!("Tracing process {pid}"), SOON);
    let stuck = reader.join().unwrap();
    target.release();
    target.wait_done(LONG);
    tracer.signal("INT");
    tracer.expect_line("All processes have been let go. Nobody reads the output", SOON);
    guard.check_after();
    tracer.signal("INT");
    assert_eq!(tracer.process.wait(SOON).code(), 130);
    drop(stuck);
    target.release();
    target.wait(LONG).success();
}

#[test]
fn the_time_of_a_script_without_processes_begins_at_once() {
    let options = ["trace", "--duration", "300ms", "-e", "interval:ms:20 { @ticks++; } END { print(@ticks > 3); }"];
    let output = Rdbg::run(options, SOON).success();
    assert!(output.stdout.contains("true\n"), "{}", output.stdout);
}

#[test]
fn a_full_disk_ends_the_trace_and_nothing_else() {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "1", "--calls", "2000", "--only", "push_rbp", "--hold"]);
    let guard = Guard::take(target.pid());
    let pid = target.pid().to_string();
    let mut tracer = Rdbg::start(["trace", "-p", &pid, "--fn", "^hits_push_rbp$", "-o", "/dev/full"]);
    tracer.expect_line(&format!("Tracing process {pid}"), SOON);
    target.release();
    let output = tracer.process.wait(SOON);
    assert_eq!(output.code(), 1);
    assert!(
        output.stderr.contains("No space left on device") && output.stderr.contains("the trace ends"),
        "{}",
        output.stderr
    );
    target.wait_done(LONG);
    assert_eq!((target.count("hits_push_rbp"), target.count("wrong")), (2000, 0));
    guard.check_after();
}

#[test]
fn an_interrupt_as_the_last_process_ends_loses_no_map() {
    let fixture = Fixture::get("hits");
    let script = format!("uprobe:{}:hits_push_rbp {{ @calls = count(); }}", fixture.path().display());
    for _ in 0..10 {
        let mut target = Target::start(&fixture, ["--threads", "1", "--calls", "100", "--only", "push_rbp", "--hold"]);
        let pid = target.pid().to_string();
        let mut tracer = Rdbg::start(["trace", "-p", &pid, "-e", &script]);
        tracer.expect_line(&format!("Tracing process {pid}"), SOON);
        target.release();
        target.wait_done(LONG);
        target.process.signal("KILL");
        tracer.signal("INT");
        let output = tracer.process.wait(SOON).success();
        assert!(output.stdout.contains("@calls: 100\n"), "{}{}", output.stdout, output.stderr);
    }
}
