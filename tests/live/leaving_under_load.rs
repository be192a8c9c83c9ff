//! However rdbg leaves, what was attached runs on as it was found, and what was launched is gone or let go as is said.

use std::time::{Duration, Instant};

use crate::support::{process, procfs, Fixture, Guard, Home, Process, Rdbg, Target, LONG, SOON};

/// Four threads that call one function without end.
fn busy() -> Target {
    let mut target = Target::start(&Fixture::get("hits"), ["--threads", "4", "--endless", "--only", "push_rbp"]);
    target.release();
    target.process.expect_line("running ", SOON);
    target
}

/// The target is as it was found, still works, and nothing was wrong.
#[track_caller]
fn unharmed(mut target: Target) {
    Guard::check(target.pid());
    target.process.send_bytes(b"\n");
    let output = target.wait(SOON).success();
    assert_eq!(output.count("wrong"), 0, "{output:?}");
    assert!(output.count("hits_push_rbp") > 0);
}

/// rdbg at its prompt, the target stopped at a breakpoint that the other threads hit too.
#[track_caller]
fn at_a_breakpoint(target: &Target) -> Rdbg {
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    rdbg.send("break hits_push_rbp");
    rdbg.send("continue");
    rdbg.expect_line("Breakpoint 1, hits_push_rbp", SOON);
    rdbg
}

/// rdbg with a breakpoint that all threads hit and that never stops.
#[track_caller]
fn running(target: &Target) -> Rdbg {
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    rdbg.send("break hits_push_rbp if 0");
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    rdbg
}

/// rdbg that logs what all threads hit.
#[track_caller]
fn logging(target: &Target) -> Rdbg {
    let args = ["break", "--name", "hits_push_rbp", "--log", "--pid", &target.pid().to_string()];
    let mut rdbg = Rdbg::start(args);
    rdbg.watch(target.pid());
    for _ in 0..20 {
        rdbg.expect_line("] hits_push_rbp(", SOON);
    }
    rdbg
}

/// Waits for a process to be gone.
#[track_caller]
fn gone(pid: u32) {
    let end = Instant::now() + SOON;
    while procfs::stat(pid).is_some_and(|(state, ..)| state != 'Z') {
        assert!(Instant::now() < end, "process {pid} lives on: {}", procfs::describe(pid));
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Launches a program of many calls; its pid.
#[track_caller]
fn launched(rdbg: &mut Rdbg) -> u32 {
    let line = rdbg.expect_line("Launched ", SOON).text;
    let pid = line.split_once("(pid ").and_then(|(_, rest)| rest.split(')').next()?.parse().ok());
    pid.unwrap_or_else(|| panic!("no pid in {line}"))
}

fn launch(home: &Home, options: &[&str]) -> Rdbg {
    let program = Fixture::get("hits").path().display().to_string();
    let args = ["--", &program, "--threads", "4", "--calls", "1000000000", "--only", "push_rbp"];
    home.start(["run"].iter().chain(options).chain(&args))
}

#[test]
fn quit_detach_and_the_end_of_input_leave_an_attached_program_running() {
    for last in [Some("quit"), Some("detach"), None] {
        let target = busy();
        let mut rdbg = at_a_breakpoint(&target);
        if let Some(command) = last {
            rdbg.send(command);
        }
        let output = rdbg.finish(SOON).success();
        assert!(output.stdout.contains(&format!("Detached from process {}", target.pid())), "{last:?}: {output:?}");
        unharmed(target);
    }
}

#[test]
fn a_signal_to_rdbg_at_its_prompt_lets_a_stopped_target_go() {
    for signal in ["TERM", "HUP"] {
        let target = busy();
        let mut rdbg = at_a_breakpoint(&target);
        rdbg.signal(signal);
        rdbg.wait(SOON);
        unharmed(target);
    }
}

#[test]
fn a_signal_to_rdbg_while_the_target_runs_into_breakpoints_lets_it_go() {
    for signal in ["TERM", "HUP"] {
        let target = busy();
        let mut rdbg = running(&target);
        rdbg.signal(signal);
        rdbg.wait(SOON);
        unharmed(target);
    }
}

#[test]
fn a_log_ends_with_the_signal_that_ends_it() {
    for signals in [vec!["TERM"], vec!["HUP"], vec!["INT"], vec!["INT", "INT"]] {
        let target = busy();
        let mut rdbg = logging(&target);
        for signal in &signals {
            rdbg.signal(signal);
        }
        let output = rdbg.wait(SOON);
        assert!(output.stdout.contains("Detached from process"), "{signals:?}: {output:?}");
        unharmed(target);
    }
}

#[test]
fn an_interrupt_stops_the_target_and_a_second_one_while_it_runs_again_does_too() {
    let target = busy();
    let mut rdbg = running(&target);
    for _ in 0..5 {
        rdbg.signal("INT");
        rdbg.expect_line("Stopped by interrupt", SOON);
        rdbg.send("continue");
        rdbg.expect_line("Continuing", SOON);
    }
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.finish(SOON).success();
    unharmed(target);
}

#[test]
fn a_reader_that_goes_away_ends_a_log_and_the_target_runs_on() {
    let target = busy();
    let home = Home::new();
    let rdbg = Rdbg::binary().display().to_string();
    let line = format!("'{rdbg}' break --name hits_push_rbp --log --pid {} | head -n 30", target.pid());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &line]).env("XDG_RUNTIME_DIR", home.runtime_dir()).env("HOME", home.path());
    let output = Process::spawn(command).finish(SOON);
    assert_eq!(output.stdout.lines().count(), 30, "{output:?}");
    unharmed(target);
}

#[test]
fn a_target_that_is_killed_while_it_is_stopped_is_told_of() {
    let mut target = busy();
    let mut rdbg = at_a_breakpoint(&target);
    process::signal(target.pid(), "KILL");
    rdbg.expect_line("was killed by SIGKILL", SOON);
    rdbg.send("info threads");
    rdbg.send("bt");
    rdbg.send("echo alive");
    rdbg.expect_line("alive", SOON);
    rdbg.finish(SOON);
    assert_eq!(target.wait(SOON).code(), 128 + 9);
}

#[test]
fn a_target_that_is_killed_while_it_runs_ends_the_log_and_the_wait() {
    let mut target = busy();
    let mut rdbg = logging(&target);
    process::signal(target.pid(), "KILL");
    let output = rdbg.wait(SOON);
    assert!(output.stdout.contains("was killed by SIGKILL"), "{output:?}");
    assert_eq!(target.wait(SOON).code(), 128 + 9);

    let mut target = busy();
    let mut rdbg = running(&target);
    process::signal(target.pid(), "KILL");
    rdbg.expect_line("was killed by SIGKILL", SOON);
    rdbg.finish(SOON);
    assert_eq!(target.wait(SOON).code(), 128 + 9);
}

#[test]
fn kill_kills_what_was_attached() {
    let mut target = busy();
    let mut rdbg = at_a_breakpoint(&target);
    rdbg.send("kill");
    rdbg.expect_line("was killed by SIGKILL", SOON);
    rdbg.finish(SOON);
    assert_eq!(target.wait(SOON).code(), 128 + 9);
}

#[test]
fn what_was_attached_survives_a_batch() {
    let target = busy();
    let pid = target.pid().to_string();
    let args = ["attach", "--pid", &pid, "--batch", "--ex", "break hits_push_rbp", "--ex", "continue"];
    let output = Rdbg::run(args, LONG).success();
    assert!(output.stdout.contains("Breakpoint 1, hits_push_rbp"), "{output:?}");
    unharmed(target);
}

#[test]
fn what_was_launched_is_killed_at_quit_and_at_the_end_of_a_batch() {
    let home = Home::new();
    let mut rdbg = launch(&home, &["--batch", "--ex", "break hits_push_rbp", "--ex", "continue"]);
    let pid = launched(&mut rdbg);
    let output = rdbg.wait(SOON);
    assert!(output.stdout.contains("Breakpoint 1, hits_push_rbp"), "{output:?}");
    gone(pid);

    let mut rdbg = launch(&home, &["--ex", "break hits_push_rbp", "--ex", "continue"]);
    let pid = launched(&mut rdbg);
    rdbg.expect_line("Breakpoint 1, hits_push_rbp", SOON);
    rdbg.send("quit");
    rdbg.wait(SOON);
    gone(pid);
}

#[test]
fn what_was_launched_lives_on_after_quit_detach_and_after_a_signal() {
    for how in ["quit --detach", "TERM", "HUP"] {
        let home = Home::new();
        let mut rdbg = launch(&home, &["--ex", "break hits_push_rbp", "--ex", "continue"]);
        let pid = launched(&mut rdbg);
        rdbg.expect_line("Breakpoint 1, hits_push_rbp", SOON);
        match how {
            "quit --detach" => rdbg.send(how),
            signal => rdbg.signal(signal),
        }
        // Its output is the test's pipe, which it holds open: only the end of rdbg is waited for.
        rdbg.wait(SOON);
        let problems = Guard::problems(pid);
        process::signal(pid, "KILL");
        assert!(problems.is_empty(), "{how}: {problems:?}");
    }
}
