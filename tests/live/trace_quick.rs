//! `rdbg trace --fn --syscall`: what it reports is what the program and strace count, in order, and the stream proves
//! that it is whole.

use std::process::Command;

use serde_json::Value;

use crate::support::{Fixture, Guard, Output, Process, Rdbg, Target, Variant, LONG, SOON};

/// The lines of a JSON stream, checked against what docs/trace-format.md promises: a `begin` first, an `end` last, and
/// counts by which nothing is missing. Returns the hits and the end.
#[track_caller]
fn stream(output: &Output) -> (Vec<Value>, Value) {
    let is_ours = |line: &&str| line.starts_with('{');
    let lines: Vec<Value> = output
        .stdout
        .lines()
        .filter(is_ours)
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let kind = |value: &Value| value["type"].as_str().unwrap_or_default().to_owned();
    let (first, last) = (lines.first().expect("a begin"), lines.last().expect("an end").clone());
    assert_eq!((kind(first), first["format"].as_u64()), ("begin".into(), Some(1)));
    assert_eq!(kind(&last), "end", "{last}");
    let number = |name: &str| last[name].as_u64().unwrap_or_else(|| panic!("no {name} in {last}"));
    assert_eq!(number("hits"), number("reported") + number("held_back") + number("open"), "{last}");
    let told = |name: &str| -> u64 {
        lines.iter().filter(|line| kind(line) == name).map(|line| line["count"].as_u64().unwrap()).sum()
    };
    assert_eq!(told("held_back"), number("held_back"));
    assert_eq!(told("lost"), number("lost"));
    let hits: Vec<Value> = lines.into_iter().filter(|line| kind(line) == "hit").collect();
    assert_eq!(hits.len() as u64 + number("lost"), number("reported"), "{last}");
    for (before, after) in hits.iter().zip(hits.iter().skip(1)) {
        assert!(before["number"].as_u64() < after["number"].as_u64(), "{before}\n{after}");
    }
    for hit in &hits {
        check_hit(hit);
    }
    (hits, last)
}

/// Every field of a hit, by type.
#[track_caller]
fn check_hit(hit: &Value) {
    let fields: Vec<&str> = hit.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "arguments",
        "duration_ns",
        "function",
        "kind",
        "module",
        "number",
        "outcome",
        "pid",
        "stack",
        "thread",
        "tid",
        "time_ns",
        "type",
        "value",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected, "{hit}");
    assert!(hit["time_ns"].as_u64() > Some(1_600_000_000_000_000_000), "{hit}");
    assert!(hit["pid"].as_i64() > Some(0) && hit["tid"].as_i64() > Some(0) && hit["thread"].is_string(), "{hit}");
    assert!(["function", "syscall"].contains(&hit["kind"].as_str().unwrap()), "{hit}");
    let returned = hit["outcome"] == "returned";
    assert!(returned || ["entered", "left", "unfinished"].contains(&hit["outcome"].as_str().unwrap()), "{hit}");
    assert_eq!(returned, hit["value"].as_str().is_some_and(|value| value.starts_with("0x")), "{hit}");
    for argument in hit["arguments"].as_array().unwrap() {
        assert!(argument["text"].is_string() && argument["certain"].is_boolean(), "{hit}");
    }
    for frame in hit["stack"].as_array().into_iter().flatten() {
        assert!(frame["pc"].as_str().unwrap().starts_with("0x") && frame["place"].is_string(), "{hit}");
    }
}

#[test]
fn every_call_of_a_function_is_reported_with_its_value() {
    let fixture = Fixture::get("hits");
    let program = fixture.path().to_str().unwrap();
    let args = ["trace", "--fn", "^hits_(push_rbp|sub_rsp)$", "--ret", "--stack=3", "-f", "json", "--", program];
    let output = Rdbg::run(args.into_iter().chain(["--threads", "3", "--calls", "40"]), LONG).success();
    let (hits, end) = stream(&output);
    for name in ["hits_push_rbp", "hits_sub_rsp"] {
        let of: Vec<&Value> = hits.iter().filter(|hit| hit["function"] == name).collect();
        assert_eq!(of.len() as u64, output.count(name), "{}", output.stdout);
        assert!(of.iter().all(|hit| hit["outcome"] == "returned" && hit["duration_ns"].as_u64() > Some(0)));
        // The caller of each is the fixture's thread.
        let caller = |hit: &&&Value| hit["stack"][0]["place"].as_str().is_some_and(|place| place.contains('+'));
        assert!(of.iter().all(|hit| caller(&hit)), "{}", of[0]);
    }
    assert_eq!(end["held_back"], 0);
    assert_eq!(output.count("wrong"), 0);
}

#[test]
fn system_calls_come_in_straces_order_with_straces_values() {
    let names = "openat,read,close,write,mmap,munmap";
    let output = Rdbg::run(["trace", "--syscall", names, "--ret", "-f", "json", "--", "/bin/cat", "/etc/passwd"], LONG);
    let (hits, _) = stream(&output.success());
    let account = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", &format!("trace={names}"), "-e", "signal=none", "-o"]).arg(account.path());
    strace.args(["/bin/cat", "/etc/passwd"]);
    Process::spawn(strace).finish(LONG).success();
    let text = std::fs::read_to_string(account.path()).unwrap();
    // Addresses differ from run to run.
    let shown = |name: &str, value: i64| format!("{name} {}", if name == "mmap" { 0 } else { value });
    let theirs: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once('(')?;
            let value = rest.rsplit_once(" = ")?.1.split(' ').next()?;
            Some(shown(name, value.parse().unwrap_or_default()))
        })
        .collect();
    let ours: Vec<String> = hits
        .iter()
        .map(|hit| {
            let value = u64::from_str_radix(&hit["value"].as_str().unwrap()[2..], 16).unwrap() as i64;
            shown(hit["function"].as_str().unwrap(), if value < 0 { -1 } else { value })
        })
        .collect();
    assert_eq!(ours, theirs, "{text}");
    let opened = hits.iter().find(|hit| hit["arguments"][1]["text"] == "\"/etc/passwd\"").expect("its file");
    assert_eq!(opened["arguments"][0]["text"], "AT_FDCWD");
}

#[test]
fn a_call_that_does_not_return_is_reported_too() {
    let output =
        Rdbg::run(["trace", "--syscall", "exit_group", "--ret", "-f", "json", "--", "/bin/true"], LONG).success();
    let (hits, _) = stream(&output);
    assert_eq!((hits.len(), &hits[0]["outcome"]), (1, &Value::from("unfinished")));
}

#[test]
fn a_condition_chooses_and_a_return_can_be_judged() {
    let fixture = Fixture::get("hits");
    let program = fixture.path().to_str().unwrap();
    let run = |options: &[&str]| {
        let head = ["trace", "--fn", "^hits_push_rbp$", "-f", "json"].into_iter().chain(options.iter().copied());
        let output = Rdbg::run(head.chain(["--", program, "--threads", "1", "--calls", "64"]), LONG);
        stream(&output.success())
    };
    let (all, _) = run(&["--ret"]);
    let argument = |hit: &Value| hit["value"].as_str().unwrap().to_owned();
    let wanted = argument(&all[5]);
    let (by_value, _) = run(&["--ret", "--if", &format!("retval == {wanted}")]);
    let same = all.iter().filter(|hit| argument(hit) == wanted).count();
    assert_eq!(by_value.len(), same);
    assert!(by_value.iter().all(|hit| argument(hit) == wanted));
    // hits_push_rbp returns its argument plus 1.
    let (by_argument, _) = run(&["--ret", "--if", &format!("arg0 == {wanted} - 1")]);
    assert_eq!(by_argument.len(), same);
    let (few, end) = run(&["--max-rate", "2"]);
    assert!(end["held_back"].as_u64() > Some(0) && !few.is_empty() && few.len() < 64, "{end}");
    let refused = Rdbg::run(["trace", "--fn", "f", "--if", "retval == 1", "--", "/bin/true"], SOON);
    assert!(refused.code() == 1 && refused.stderr.contains("add --ret"), "{}", refused.stderr);
}

#[test]
fn a_trace_ends_at_its_count_and_leaves_the_process_as_it_was() {
    let fixture = Fixture::build("mini_envoy", Variant::GCC);
    let mut target = Target::start(&fixture, ["--rounds", "100000", "--paced", "--hold", "--workers", "2"]);
    let guard = Guard::take(target.pid());
    let pid = target.pid().to_string();
    let mut tracer = Rdbg::start([
        "trace",
        &pid,
        "--fn",
        "setFilterChainName",
        "--syscall",
        "epoll_wait",
        "--count",
        "20",
        "-f",
        "json",
    ]);
    target.release();
    let output = tracer.process.wait(LONG).success();
    let (hits, _) = stream(&output);
    assert_eq!(hits.len(), 20);
    let named = hits.iter().find(|hit| hit["kind"] == "function").expect("a call of the function");
    assert_eq!(named["function"], "Envoy::StreamInfo::StreamInfoImpl::setFilterChainName");
    assert!(["\"0.0.0.0_8080\"", "\"virtualInbound\""].contains(&named["arguments"][1]["text"].as_str().unwrap()));
    target.wait_done(LONG);
    guard.check_after();
}

#[test]
fn the_hit_that_stop_if_means_is_a_stop_with_its_stack() {
    let fixture = Fixture::get("hits");
    let program = fixture.path().to_str().unwrap();
    for (place, shown) in [
        (["--fn", "^hits_push_rbp$", "--stop-if", "arg0 >= 0"], "hits_push_rbp+0 hits"),
        (["--syscall", "write", "--stop-if", "arg0 == 1"], "write"),
    ] {
        let head = ["trace"].into_iter().chain(place).chain(["--ex", "bt 1", "--ex", "info threads", "--batch"]);
        let output = Rdbg::run(head.chain(["--", program, "--threads", "1", "--calls", "4"]), LONG).success();
        assert!(output.stdout.contains("#0 ") && output.stdout.contains(shown), "{place:?}\n{}", output.stdout);
        // It did not come to its end.
        assert!(!output.stdout.contains("wrong="), "{}", output.stdout);
    }
}

/// A run of mini-envoy with two workers, by these options.
#[track_caller]
fn written(options: &[&str]) -> String {
    let fixture = Fixture::build("mini_envoy", Variant::GCC);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let program = fixture.path().to_str().unwrap();
    let head = ["trace", "-o", path.to_str().unwrap()].into_iter().chain(options.iter().copied());
    let args = ["--", program, "--listen", "0", "--rounds", "16", "--workers", "2", "--argument-rounds", "0"];
    Rdbg::run(head.chain(args), LONG).success();
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn a_timeline_has_tracks_slices_and_wake_rounds() {
    let text = written(&["--syscall", "epoll_wait,read,write,listen", "--fn", "Worker::tick", "-f", "perfetto"]);
    let parsed: Value = serde_json::from_str(&text).unwrap();
    let events = parsed["traceEvents"].as_array().unwrap();
    let named = |name: &str| events.iter().any(|one| one["ph"] == "M" && one["args"]["name"] == name);
    assert!(named("wrk:worker_0") && named("wrk:worker_1"), "{text}");
    assert!(events.iter().any(|one| one["name"] == "Envoy::Worker::tick" && one["ph"] == "X"), "{text}");
    let rounds: Vec<&Value> = events.iter().filter(|one| one["cat"] == "epoll").collect();
    assert!(!rounds.is_empty() && rounds.iter().all(|one| one["dur"].as_f64() >= Some(0.0)), "{text}");
    check_nesting(events);
    let hits = parsed["otherData"]["hits"].as_u64().unwrap();
    assert_eq!(events.iter().filter(|one| one["cat"] == "syscall" || one["cat"] == "function").count() as u64, hits);
}

/// Of two slices of a track one lies within the other, or they do not touch: else they cannot be drawn.
#[track_caller]
fn check_nesting(events: &[Value]) {
    let number = |event: &Value, name: &str| (event[name].as_f64().unwrap() * 1e3).round() as i64;
    let slices = events.iter().filter(|one| one["ph"] == "X");
    let slices = slices.map(|one| (one["tid"].as_i64().unwrap(), number(one, "ts"), -number(one, "dur")));
    let mut slices: Vec<(i64, i64, i64)> = slices.collect();
    slices.sort_unstable();
    let mut open: Vec<(i64, i64)> = Vec::new();
    for (tid, began, duration) in slices {
        let ended = began - duration;
        while open.last().is_some_and(|(track, end)| *track != tid || *end <= began) {
            open.pop();
        }
        assert!(
            open.last().is_none_or(|(_, end)| ended <= *end),
            "a slice of {tid} from {began} to {ended} in {open:?}"
        );
        open.push((tid, ended));
    }
}

#[test]
fn stacks_are_folded_and_drawn_with_every_call_in_them() {
    let folded = written(&["--fn", "Worker::tick", "-f", "folded"]);
    let total: u64 = folded.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    // 16 rounds of two workers.
    assert_eq!(total, 32, "{folded}");
    assert!(folded.lines().all(|line| line.starts_with("wrk:worker_") && line.contains(";Envoy::Worker::tick ")));
    let flame = written(&["--fn", "Worker::tick", "-f", "flame"]);
    assert!(flame.starts_with("<?xml") && flame.ends_with("</svg>\n"));
    assert!(flame.contains("<title>all calls: 32 calls, 100.0%</title>"), "{flame}");
}

#[test]
fn the_sockets_are_told_with_their_options_and_listeners() {
    let table = written(&["--summary", "sockets"]);
    let count = |what: &str| table.matches(what).count();
    assert_eq!((count("listens, backlog"), count("SO_REUSEPORT=[1]")), (2, 2), "{table}");
    assert!(count("bound to {sa_family=AF_INET") >= 2, "{table}");
}
