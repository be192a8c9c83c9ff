//! A session and the terminals that talk to it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::support::{Fixture, Guard, Home, Output, Rdbg, Target, LONG, SOON};

/// Four threads that call one function without end.
fn busy() -> Target {
    let mut target = Target::start(&Fixture::get("hits"), ["--threads", "4", "--endless", "--only", "push_rbp"]);
    target.release();
    target.process.expect_line("running ", SOON);
    target
}

#[track_caller]
fn unharmed(mut target: Target) {
    Guard::check(target.pid());
    target.process.send_bytes(b"\n");
    let output = target.wait(SOON).success();
    assert_eq!(output.count("wrong"), 0, "{output:?}");
}

/// A session that holds the target.
#[track_caller]
fn session(home: &Home, target: &Target) -> Rdbg {
    let mut rdbg = home.start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    rdbg.expect_line("Attached to", SOON);
    rdbg
}

/// The only socket of this home.
#[track_caller]
fn socket(home: &Home) -> PathBuf {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("a directory of ours").flatten() {
            let kind = entry.file_type().expect("a file of ours");
            if kind.is_dir() {
                walk(&entry.path(), found);
            } else if kind.is_socket() {
                found.push(entry.path());
            }
        }
    }
    let mut found = Vec::new();
    walk(&home.runtime_dir(), &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[track_caller]
fn ctl(home: &Home, command: &str) -> Output {
    home.run(["ctl", command], SOON)
}

#[test]
fn a_breakpoint_from_another_terminal_stops_in_the_session() {
    let home = Home::new();
    let target = busy();
    let mut rdbg = session(&home, &target);
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    let output = home.run(["break", "--regex", "^hits_push_rb.$"], SOON).success();
    assert!(output.stdout.contains("Breakpoint 1: hits_push_rbp+0"), "{output:?}");
    rdbg.expect_line("Breakpoint 1, hits_push_rbp(", SOON);
    rdbg.send("quit");
    rdbg.finish(SOON).success();
    unharmed(target);
}

#[test]
fn hits_that_are_logged_from_another_terminal_show_there() {
    let home = Home::new();
    let target = busy();
    let mut rdbg = session(&home, &target);
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    let output = home.run(["break", "--name", "hits_push_rbp", "--log", "--count", "12"], SOON).success();
    let shown = output.stdout.lines().filter(|line| line.contains("] hits_push_rbp(")).count();
    assert_eq!(shown, 12, "{output:?}");
    // The terminal has gone, and its breakpoint with it.
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.expect_line("No breakpoints", SOON);
    rdbg.finish(SOON).success();
    unharmed(target);
}

#[test]
fn a_log_of_another_terminal_ends_with_it_and_with_the_session() {
    let home = Home::new();
    let target = busy();
    let mut rdbg = session(&home, &target);
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    // Killed: it cannot say goodbye.
    let mut other = home.start(["break", "--name", "hits_push_rbp", "--log"]);
    other.expect_line("] hits_push_rbp(", SOON);
    other.signal("KILL");
    other.wait(SOON);
    // The session leaves while a log runs.
    let mut other = home.start(["break", "--name", "hits_push_rbp", "--log"]);
    other.expect_line("] hits_push_rbp(", SOON);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.expect("the log of the living terminal", |line| line.text.starts_with("2   log"), SOON);
    let listed = rdbg.lines().iter().any(|line| line.text.starts_with("1   log"));
    assert!(!listed, "the breakpoint of the killed terminal is still there: {:#?}", rdbg.lines().last());
    rdbg.finish(SOON).success();
    other.wait(SOON).success();
    unharmed(target);
}

#[test]
fn ctl_asks_the_session_and_tells_its_errors() {
    let home = Home::new();
    let target = busy();
    let mut rdbg = session(&home, &target);
    let output = ctl(&home, "info threads").success();
    for name in ["hits_0", "hits_1", "hits_2", "hits_3"] {
        assert!(output.stdout.contains(name), "{output:?}");
    }
    let output = home.run(["ctl", "break", "hits_push_rbp"], SOON).success();
    assert!(output.stdout.contains("Breakpoint 1: hits_push_rbp"), "{output:?}");
    assert!(ctl(&home, "info breakpoints").success().stdout.contains("hits_push_rbp"));
    let output = ctl(&home, "delete 77");
    assert_eq!(output.code(), 1, "{output:?}");
    assert!(output.stderr.contains("no breakpoint 77"), "{output:?}");
    let own = target.pid().to_string();
    let by_target = home.run(["ctl", "--session", &own, "status"], SOON).success();
    assert!(by_target.stdout.contains(&own), "{by_target:?}");
    let output = home.run(["ctl", "--session", "nobody", "status"], SOON);
    assert_eq!(output.code(), 1, "{output:?}");
    assert!(output.stderr.contains("nobody") && output.stderr.contains(&own), "{output:?}");
    rdbg.send("quit");
    rdbg.finish(SOON).success();
    unharmed(target);
}

#[test]
fn two_sessions_are_told_apart() {
    let home = Home::new();
    let (one, two) = (busy(), busy());
    let (mut first, mut second) = (session(&home, &one), session(&home, &two));
    let output = ctl(&home, "status");
    assert_eq!(output.code(), 1, "{output:?}");
    for pid in [first.pid(), second.pid()] {
        assert!(output.stderr.contains(&pid.to_string()), "{output:?}");
    }
    for (rdbg, target) in [(&first, &one), (&second, &two)] {
        let output = home.run(["ctl", "--session", &rdbg.pid().to_string(), "status"], SOON).success();
        assert!(output.stdout.contains(&target.pid().to_string()), "{output:?}");
    }
    first.finish(SOON).success();
    assert!(ctl(&home, "status").success().stdout.contains(&two.pid().to_string()));
    second.finish(SOON).success();
    unharmed(one);
    unharmed(two);
}

#[test]
fn the_socket_is_the_users_alone_and_goes_with_the_session() {
    let home = Home::new();
    let target = busy();
    let mut rdbg = session(&home, &target);
    let path = socket(&home);
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("a directory")), 0o700);
    rdbg.finish(SOON).success();
    assert!(!path.exists());
    unharmed(target);
}

#[test]
fn clients_that_send_rubbish_flood_or_die_harm_nothing() {
    let home = Home::new();
    let target = busy();
    let mut rdbg = session(&home, &target);
    let path = socket(&home);
    let connect = || UnixStream::connect(&path).expect("the session listens");

    for rubbish in [&b"\x00\xff\xfe\n"[..], b"{}\n", b"[]\n", b"{\"id\":1}\n", b"{\"id\":1,\"command\":\"Nonsense\"}\n"]
    {
        let mut client = connect();
        client.set_read_timeout(Some(SOON)).expect("a socket");
        client.write_all(rubbish).expect("the session reads");
        let mut line = String::new();
        BufReader::new(client).read_line(&mut line).expect("an answer");
        assert!(line.contains("\"error\""), "{rubbish:?}: {line}");
    }
    // A line without an end; what is sent after the session hung up is an error, and no fault of the test.
    let mut endless = connect();
    let chunk = vec![b'x'; 1 << 16];
    for _ in 0..64 {
        if endless.write_all(&chunk).is_err() {
            break;
        }
    }
    // Commands whose answers nobody reads, from clients that stay, and from clients that go.
    let floods: Vec<UnixStream> = (0..4).map(|_| connect()).collect();
    for mut flood in &floods {
        flood.set_write_timeout(Some(std::time::Duration::from_millis(200))).expect("a socket");
        for id in 0..3000 {
            if writeln!(flood, "{{\"id\":{id},\"command\":\"ListThreads\"}}").is_err() {
                break;
            }
        }
    }
    for _ in 0..200 {
        drop(connect());
    }
    assert!(ctl(&home, "info threads").success().stdout.contains("hits_3"));
    rdbg.send("info threads");
    rdbg.expect_line("hits_3", LONG);
    drop(floods);
    rdbg.send("quit");
    rdbg.finish(SOON).success();
    unharmed(target);
}

#[test]
fn without_a_session_the_three_ways_to_name_a_target_are_told() {
    let home = Home::new();
    for args in [vec!["break", "--name", "main"], vec!["ctl", "status"]] {
        let output = home.run(args.iter().map(OsStr::new), SOON);
        assert_eq!(output.code(), 1, "{output:?}");
        for way in ["--pid", "--waitfor", "-- PROGRAM"] {
            assert!(output.stderr.contains(way), "{way}: {output:?}");
        }
    }
}

#[test]
fn a_socket_that_a_killed_rdbg_left_is_no_session() {
    let home = Home::new();
    let directory = home.runtime_dir().join("rdbg");
    let mut rdbg = home.start(["run", "--stop-at-entry", "--", "/bin/true"]);
    rdbg.expect_line("Launched", SOON);
    let path = socket(&home);
    assert!(path.starts_with(&directory), "{path:?}");
    // What it launched is held at its entry and goes with its tracer (PTRACE_O_EXITKILL) or runs to its end.
    rdbg.signal("KILL");
    rdbg.wait(SOON);
    assert!(path.exists());
    let output = ctl(&home, "status");
    assert_eq!(output.code(), 1, "{output:?}");
    assert!(output.stderr.contains("no session"), "{output:?}");
    assert!(!path.exists(), "a stale socket stays");
}
