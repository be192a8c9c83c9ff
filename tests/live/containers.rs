//! A target in namespaces of its own, under a root that rdbg does not see.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::{procfs, skip, Fixture, Guard, Process, Rdbg, Variant, SOON};

/// The fixture as process 1 of a pid namespace, in a file system that is mounted in its mount namespace only and is its root
/// (pivot_root(2)); and its pid here.
#[track_caller]
fn contained() -> Option<(Process, u32)> {
    let fixture = Fixture::build("hits", Variant::STATIC);
    let room = tempfile::tempdir().expect("a directory of ours");
    let script = "mount -t tmpfs none \"$0\" && mkdir \"$0/old\" && cp \"$1\" \"$0/contained\" && cd \"$0\" && \
                  pivot_root . old && exec /contained --threads 2 --endless";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]);
    command.arg(room.path()).arg(fixture.path()).stdin(Stdio::piped());
    let mut process = Process::spawn(command);
    let end = Instant::now() + SOON;
    loop {
        let is_program = |pid: &u32| procfs::stat(*pid).is_some_and(|(_, _, name)| name == "contained");
        if let Some(pid) = procfs::descendants(process.pid()).into_iter().find(is_program) {
            return Some((process, pid));
        }
        if !process.is_running() {
            skip("no namespaces can be made here");
            return None;
        }
        assert!(Instant::now() < end, "it does not start");
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_process_in_its_own_pid_and_mount_namespaces_is_debugged_from_outside() {
    let Some((mut process, pid)) = contained() else { return };
    let host = pid.to_string();
    let hits = Rdbg::run(["break", "--name", "hits_push_rbp", "--log", "--count", "5", "--pid", &host], SOON).success();
    assert_eq!(hits.stdout.matches("] hits_push_rbp(").count(), 5, "{hits:?}");
    // By its path as it is in there, and by its bare name; frames have their names from the file that is only there.
    for name in ["/contained", "contained"] {
        let commands = ["--batch", "--ex", "tbreak hits_push_rbp", "--ex", "continue", "--ex", "bt"];
        let stop = Rdbg::run(["attach", name].into_iter().chain(commands), SOON).success();
        assert!(stop.stdout.contains("#0 ") && stop.stdout.contains(" hits_push_rbp"), "{stop:?}");
    }
    let listed = Rdbg::run(["ps", "--match", "contained"], SOON).success();
    assert!(listed.stdout.lines().any(|line| line.split_whitespace().take(2).eq([host.as_str(), "1"])), "{listed:?}");
    Guard::check(pid);
    process.send_bytes(b"\n");
    process.wait(SOON).success();
    assert!(process.lines().iter().any(|line| line.text.contains("wrong=0")));
}
