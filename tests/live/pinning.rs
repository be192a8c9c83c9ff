//! `--pin` and `set pin`: the target shares the tracer's CPU while it is debugged, and has its own choice back afterwards.

use crate::support::{procfs, skip, Fixture, Guard, Rdbg, Target, LONG, SOON};

/// Where each thread may run.
fn allowed(pid: u32) -> Vec<String> {
    let of = |tid| procfs::task_status(pid, tid, "Cpus_allowed_list").expect("a thread");
    procfs::tasks(pid).into_iter().map(of).collect()
}

/// Whether the machine has one CPU only, where nothing can be told apart.
fn one_cpu() -> bool {
    let one = std::thread::available_parallelism().is_ok_and(|count| count.get() == 1);
    if one {
        skip("there is only one CPU");
    }
    one
}

#[test]
fn threads_old_and_new_are_bound_while_they_are_debugged() {
    if one_cpu() {
        return;
    }
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "4", "--endless"]);
    let before = allowed(target.pid());
    let mut rdbg = Rdbg::start(["attach", "--pin=1", "--pid", &target.pid().to_string()]);
    rdbg.expect_line("Attached", SOON);
    assert!(allowed(target.pid()).iter().all(|cpus| cpus == "1"), "{:?}", allowed(target.pid()));
    rdbg.send("show pin");
    rdbg.expect("the CPU", |line| line.text.contains("pin") && line.text.ends_with('1'), SOON);
    rdbg.send("break hits_push_rbp");
    rdbg.send("continue");
    target.release();
    rdbg.expect_line("Breakpoint 1, hits_push_rbp", SOON);
    assert!(allowed(target.pid()).iter().all(|cpus| cpus == "1"), "{:?}", allowed(target.pid()));
    rdbg.send("set pin off");
    rdbg.send("show pin");
    rdbg.expect("off", |line| line.text.ends_with("off"), SOON);
    assert!(allowed(target.pid()).iter().all(|cpus| *cpus == before[0]), "{:?}", allowed(target.pid()));
    rdbg.send("set pin 1");
    rdbg.send("set pin 999");
    rdbg.expect_line("may not run on CPU 999", SOON);
    rdbg.send("set pin on");
    rdbg.send("quit");
    rdbg.finish(SOON);
    Guard::check(target.pid());
    assert!(allowed(target.pid()).iter().all(|cpus| *cpus == before[0]), "{:?}", allowed(target.pid()));
    target.release();
    assert_eq!(target.wait(LONG).code(), 0);
}

#[test]
fn a_child_that_is_let_go_runs_where_its_parent_might() {
    if one_cpu() {
        return;
    }
    let own = procfs::task_status(std::process::id(), std::process::id(), "Cpus_allowed_list").expect("its own");
    let script = "grep Cpus_allowed_list /proc/$$/status; grep Cpus_allowed_list /proc/self/status; true";
    let output = Rdbg::run(["run", "--pin=1", "--batch", "--ex", "continue", "--", "sh", "-c", script], SOON).success();
    let lists: Vec<&str> = output.stdout.lines().filter_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).collect();
    assert_eq!(lists, ["1", own.as_str()], "{}", output.stdout);
}
