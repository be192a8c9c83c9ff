//! Processes that guard themselves: by a filter of system calls that kills, and against being looked at.

use std::process::Command;

use crate::support::{copy_program, procfs, skip, Fixture, Guard, Process, Rdbg, Target, LONG, SOON};

const NEVER: &str = "1000000000";
/// Kinds whose instruction is emulated, and one that needs a copy, for which the target would have to make a call.
const EMULATED: [&str; 4] = ["push_rbp", "mov_rip", "call_mem", "ret"];
const COPIED: &str = "addsd_rip";

#[test]
fn a_filter_that_kills_for_unknown_calls_is_given_none() {
    let fixture = Fixture::get("hits");
    let args = ["--seccomp", "--threads", "4", "--calls", "500"];
    let mut target = Target::start(&fixture, args.into_iter().chain(["--hold"]));
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    for (at, kind) in EMULATED.iter().chain([&COPIED]).enumerate() {
        rdbg.send(&format!("break hits_{kind}"));
        rdbg.send(&format!("ignore {} {NEVER}", at + 1));
    }
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    target.release();
    target.wait_done(LONG);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.send("quit");
    let output = rdbg.wait(SOON).success();
    // Past a site often enough for a copy, which the filter forbids, as well as before.
    for number in 1..=EMULATED.len() {
        assert_eq!(output.hits(number), 2000, "{}", output.stdout);
    }
    assert!(output.stdout.contains("filtered (seccomp)"), "{}", output.stdout);
    Guard::check(target.pid());
    target.release();
    let output = target.wait(SOON).success();
    assert_eq!((output.count("wrong"), output.count("hits_addsd_rip")), (0, 2000));
}

#[test]
fn a_process_that_is_not_dumpable_is_debugged_by_root_and_told_of_to_others() {
    if procfs::task_status(std::process::id(), std::process::id(), "Uid").is_none_or(|uid| !uid.starts_with("0\t")) {
        return skip("only root can start rdbg as another user");
    }
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--undumpable", "--calls", "1", "--threads", "1"]);
    let output = Rdbg::run(["attach", "--pid", &target.pid().to_string(), "--batch", "--ex", "break main"], LONG);
    assert!(output.success().stdout.contains("Breakpoint 1"));
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);

    // The same user's process, which is not dumpable, for a user without capabilities.
    let place = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("our directory");
    let (rdbg, hits) = (place.path().join("rdbg"), place.path().join("hits"));
    copy_program(&Rdbg::binary(), &rdbg);
    copy_program(fixture.path(), &hits);
    let as_nobody = |program: &std::path::Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    };
    let mut command = as_nobody(&hits);
    command.args(["--wait-stdin", "--undumpable", "--calls", "1"]);
    let mut process = Process::spawn(command);
    process.expect_line("ready", SOON);
    let mut command = as_nobody(&rdbg);
    command.args(["attach", "--batch", "--pid", &process.pid().to_string()]).env_remove("XDG_RUNTIME_DIR");
    let output = Process::spawn(command).finish(SOON);
    assert_eq!(output.code(), 1, "{output:?}");
    assert!(output.stderr.contains("dumpable"), "{output:?}");
    process.send_bytes(b"\n");
    process.wait(SOON).success();
}
