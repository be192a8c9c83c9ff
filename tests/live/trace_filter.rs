//! Launched programs stop for the traced system calls alone, by a filter, and nothing is missed or changed by it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Fixture, Process, Rdbg, LONG};

/// How often each call was made with each first argument and result, by strace -f.
fn straces_account(names: &str, program: &Path, args: &[&str]) -> BTreeMap<String, u64> {
    let account = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={names}"), "-e", "signal=none", "-o"]).arg(account.path());
    Process::spawn({
        strace.arg(program).args(args);
        strace
    })
    .finish(LONG)
    .success();
    let text = std::fs::read_to_string(account.path()).unwrap();
    let mut counts = BTreeMap::new();
    // A call that others came between stands in two lines: its arguments in the first, its result in the second.
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        let Some((tid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let whole = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let (_, result) = resumed.split_once("resumed>").unwrap();
                open.remove(tid).unwrap_or_default() + result
            }
            None => rest.to_owned(),
        };
        match whole.split_once(" <unfinished") {
            Some((begun, _)) => drop(open.insert(tid.to_owned(), begun.to_owned())),
            None => *counts.entry(account_of(&whole)).or_default() += 1,
        }
    }
    counts
}

/// `dup3(5, 5, 0) = -1 EINVAL (..)` to `dup3 5 EINVAL`.
fn account_of(line: &str) -> String {
    let (name, rest) = line.split_once('(').unwrap();
    let first = rest.split([',', ')']).next().unwrap();
    let result = rest.rsplit_once(" = ").unwrap().1;
    let result = result.strip_prefix("-1 ").unwrap_or(result).split(' ').next().unwrap();
    format!("{name} {} {result}", if name == "execve" { "" } else { first })
}

/// The same of what rdbg reports.
fn our_account(names: &str, program: &Path, args: &[&str]) -> BTreeMap<String, u64> {
    let options = ["trace", "--syscall", names, "--ret", "-f", "json", "--", program.to_str().unwrap()];
    let output = Rdbg::run(options.iter().chain(args), LONG).success();
    let mut counts = BTreeMap::new();
    for line in output.stdout.lines().filter(|line| line.starts_with('{')) {
        let hit: Value = serde_json::from_str(line).unwrap();
        if hit["type"] != "hit" {
            continue;
        }
        let name = hit["function"].as_str().unwrap();
        let value = u64::from_str_radix(&hit["value"].as_str().expect(line)[2..], 16).unwrap() as i64;
        let first = hit["arguments"][0]["text"].as_str().unwrap();
        let result = match value {
            -22 => "EINVAL".to_owned(),
            -29 => "ESPIPE".to_owned(),
            value => value.to_string(),
        };
        let key = format!("{name} {} {result}", if name == "execve" { "" } else { first });
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[test]
fn what_is_reported_is_what_strace_reports() {
    let fixture = Fixture::get("calls");
    for mode in ["restart", "ignored", "handler", "jump", "threads", "family", "exec"] {
        let names = "dup3,execve,pread64";
        let theirs = straces_account(names, fixture.path(), &[mode]);
        assert!(theirs.keys().any(|key| key.starts_with("dup3")) || mode == "ignored", "{mode}: {theirs:?}");
        assert_eq!(our_account(names, fixture.path(), &[mode]), theirs, "{mode}");
    }
}

#[test]
fn calls_that_rdbg_has_a_thread_make_are_not_the_programs() {
    let fixture = Fixture::get("hits");
    let args = ["--threads", "3", "--calls", "400"];
    let script = format!(
        "uprobe:{}:hits_sub_rsp {{ @calls = count(); }} tracepoint:syscalls:sys_enter_mmap {{ @maps = count(); }}",
        fixture.path().display()
    );
    let command = format!("{} {}", fixture.path().display(), args.join(" "));
    let output = Rdbg::run(["trace", "-e", &script, "-c", &command], LONG).success();
    let account = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=mmap", "-e", "signal=none", "-o"]).arg(account.path());
    strace.arg(fixture.path()).args(args);
    Process::spawn(strace).finish(LONG).success();
    let account = std::fs::read_to_string(account.path()).unwrap();
    let theirs = account.lines().filter(|line| !line.contains("resumed>")).count();
    assert!(output.stdout.contains(&format!("@calls: {}\n", output.count("hits_sub_rsp"))), "{}", output.stdout);
    assert!(output.stdout.contains(&format!("@maps: {theirs}\n")), "{}\n{account}", output.stdout);
    assert_eq!(output.count("wrong"), 0);
}

/// How many filters a program has that rdbg launches.
fn filters(options: &[&str]) -> u64 {
    let shell = ["--", "/bin/sh", "-c", "grep Seccomp_filters /proc/self/status"];
    let output = Rdbg::run(["trace"].iter().chain(options).chain(&shell), LONG).success();
    let line = output.stdout.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")).expect("its filters");
    line.trim().parse().unwrap()
}

#[test]
fn a_filter_is_put_in_only_where_it_ends_with_rdbg() {
    let none = filters(&["--fn", "^no_such_function_anywhere$"]);
    assert_eq!(filters(&["--syscall", "listen"]), none + 1);
    assert_eq!(filters(&["-e", "tracepoint:syscalls:sys_exit_listen { print(1); }"]), none + 1);
    assert_eq!(filters(&["-e", "kretprobe:inet_csk_accept { print(1); }"]), none + 1);
    // The prompt can let go of it.
    assert_eq!(filters(&["--syscall", "listen", "--stop-if", "arg0 == 77"]), none);
    // Its children are let go.
    assert_eq!(filters(&["--syscall", "listen", "--follow", "parent"]), none);
    // It is to report all.
    assert_eq!(filters(&["-e", "tracepoint:raw_syscalls:sys_enter { @ = count(); }"]), none);
}

#[test]
fn a_filter_of_the_programs_own_answers_as_without_a_tracer() {
    let fixture = Fixture::get("filters");
    for traced in ["listen", "dup2", "dup3", "dup2,dup3"] {
        let output = Rdbg::run(["trace", "--syscall", traced, "--", fixture.path().to_str().unwrap()], LONG).success();
        // ENOSYS and EBADF.
        assert_eq!((output.count("dup3"), output.count("dup2")), (38, 9), "{traced}: {}", output.stdout);
        assert_eq!(output.stdout.contains("dup2("), traced.contains("dup2"), "{}", output.stdout);
    }
}
