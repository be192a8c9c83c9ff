//! A live session and other terminals: breakpoints and commands sent to it, and clients that misbehave.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use crate::support::{Fixture, Guard, Home, Rdbg, Target, SOON};

/// A target with a live session attached to it, held.
fn session(home: &Home) -> (Target, Rdbg) {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "2", "--endless"]);
    target.release();
    let mut rdbg = home.start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.expect_line("Attached", SOON);
    (target, rdbg)
}

fn end(mut target: Target, mut rdbg: Rdbg) {
    rdbg.finish(SOON);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

fn sockets(home: &Home) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![home.runtime_dir()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|one| one == "sock"));
    found
}

#[test]
fn a_breakpoint_typed_elsewhere_stops_in_the_session() {
    let home = Home::new();
    let (target, mut rdbg) = session(&home);
    let output = home.run(["break", "--name", "hits_push_rbp"], SOON).success();
    assert!(output.stdout.contains("Breakpoint 1: hits_push_rbp+0"), "{output:?}");
    rdbg.send("continue");
    rdbg.expect_line("Breakpoint 1, hits_push_rbp(", SOON);
    let output = home.run(["ctl", "info threads"], SOON).success();
    assert!(output.stdout.contains("hits_push_rbp+0"), "{output:?}");
    let output = home.run(["ctl", "no-such-command"], SOON);
    assert_ne!(output.code(), 0);
    end(target, rdbg);
}

#[test]
fn a_log_typed_elsewhere_prints_there_and_goes_with_its_terminal() {
    let home = Home::new();
    let (target, mut rdbg) = session(&home);
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    let output = home.run(["break", "--log", "--count", "3", "--name", "hits_push_rbp"], SOON).success();
    assert_eq!(output.stdout.matches("] hits_push_rbp(").count(), 3, "{output:?}");
    let mut log = home.start(["break", "--log", "--name", "hits_nop"]);
    log.expect_line("] hits_nop(", SOON);
    log.signal("KILL");
    log.wait(SOON);
    // The session notices that the client has gone, and takes its breakpoint away.
    let end_of_wait = std::time::Instant::now() + SOON;
    loop {
        let rows = home.run(["ctl", "info breakpoints"], SOON).success().stdout;
        if !rows.contains("hits_nop") {
            break;
        }
        assert!(std::time::Instant::now() < end_of_wait, "{rows}");
    }
    rdbg.signal("TERM");
    end(target, rdbg);
}

#[test]
fn the_socket_is_private_and_outlives_rubbish_floods_and_deaths() {
    let home = Home::new();
    let (target, rdbg) = session(&home);
    let socket = sockets(&home).pop().expect("a socket");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let connect = || UnixStream::connect(&socket).unwrap();
    let mut rubbish = connect();
    rubbish.write_all(b"\xff\xfe{]}\n{\"id\":1}\n[]\n").unwrap();
    rubbish.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = [0; 16];
    assert!(rubbish.read(&mut answer).unwrap() > 0, "rubbish is answered");
    let mut flood = connect();
    flood.set_write_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    // Whoever floods may be cut off; the writes may fail.
    for _ in 0..64 {
        if flood.write_all(&[b'x'; 65_536]).is_err() {
            break;
        }
    }
    drop(connect());
    drop((rubbish, flood));
    home.run(["ctl", "info threads"], SOON).success();
    end(target, rdbg);
}

#[test]
fn without_a_session_the_ways_to_name_a_target_are_told() {
    let output = Home::new().run(["break", "--name", "main"], SOON);
    assert_eq!(output.code(), 1);
    for way in ["--pid", "--waitfor", "-- PROGRAM"] {
        assert!(output.stderr.contains(way), "{output:?}");
    }
}
