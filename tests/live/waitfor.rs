//! Waiting for a process by name, and following one down to it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{procfs, unique_id, Fixture, Guard, Home, PilotAgent, Process, Rdbg, LONG, SOON};

/// A copy of a fixture under a name of its own: whatever else runs, only this is waited for.
struct Program {
    home: Home,
    path: PathBuf,
    name: String,
}

fn program(fixture: &str) -> Program {
    let home = Home::new();
    let name = format!("rw{}-{}", std::process::id() % 100_000, unique_id());
    let path = Fixture::get(fixture).copy_as(home.path(), &name);
    Program { home, path, name }
}

/// The pid of `Caught NAME (pid N) ..`.
fn caught(rdbg: &mut Rdbg) -> (u32, String) {
    let line = rdbg.expect("the catch", |line| line.text.starts_with("Caught "), SOON).text;
    let pid = line.split("(pid ").nth(1).and_then(|rest| rest.split(')').next()?.parse().ok()).unwrap();
    (pid, line)
}

/// Starts the program under a parent of the fixture `spawner`.
fn spawn(program: &Program, how: &str, args: &[&str]) -> Process {
    let mut command = Command::new(Fixture::get("spawner").path());
    command.args([how, "--"]).arg(&program.path).args(args);
    Process::spawn(command)
}

#[test]
fn twenty_of_twenty_at_the_first_instruction_under_a_go_parent() {
    let program = program("exits");
    let args = ["churn", "--rounds", "1", "--threads", "1"].map(str::to_owned);
    for round in 0..20 {
        let mut rdbg = program.home.start(["attach", "--waitfor", program.path.to_str().unwrap()]);
        rdbg.expect_line("Waiting for", SOON);
        let mut agent = PilotAgent::start(&["--delay", "1ms"], &program.path, &args);
        let (pid, line) = caught(&mut rdbg);
        assert!(line.ends_with("at its first instruction"), "round {round}: {line}");
        rdbg.expect_line("Held at the first instruction", SOON);
        rdbg.send("break main");
        rdbg.send("continue");
        rdbg.expect_line("Breakpoint 1, main(", SOON);
        rdbg.send("detach");
        rdbg.expect_line(&format!("Detached from process {pid}"), SOON);
        assert_eq!(agent.process.wait(SOON).code(), 0, "round {round}");
        rdbg.finish(SOON);
    }
}

#[test]
fn parents_that_fork_vfork_spawn_or_exec_in_a_thread_are_no_different() {
    let program = program("exits");
    for how in ["--fork", "--vfork", "--spawn", "--thread"] {
        let mut rdbg = program.home.start(["attach", "--waitfor", program.path.to_str().unwrap()]);
        rdbg.expect_line("Waiting for", SOON);
        let mut parent = spawn(&program, how, &["churn", "--rounds", "1", "--threads", "1"]);
        let (_, line) = caught(&mut rdbg);
        assert!(line.ends_with("at its first instruction"), "{how}: {line}");
        rdbg.finish(SOON);
        assert_eq!(parent.wait(SOON).code(), 0, "{how}");
    }
}

#[test]
fn every_way_of_waiting_catches_it_and_says_how_far_it_was() {
    let program = program("hits");
    for (method, shown) in [("fanotify", "by fanotify"), ("inotify", "by inotify"), ("scan", "by polling")] {
        let path = program.path.to_str().unwrap();
        let mut rdbg = program.home.start(["attach", "--waitfor", path, "--wait-method", method]);
        rdbg.expect_line(shown, SOON);
        let mut parent = spawn(&program, "--fork", &["--endless"]);
        let (pid, line) = caught(&mut rdbg);
        let known = ["at its first instruction", "in the dynamic loader, at", "late, at"];
        assert!(known.iter().any(|one| line.contains(one)), "{method}: {line}");
        rdbg.finish(SOON);
        Guard::check(pid);
        crate::support::process::signal(pid, "KILL");
        parent.wait(SOON);
    }
}

#[test]
fn a_bare_name_that_is_no_file_yet_is_waited_for() {
    let home = Home::new();
    let name = format!("rw{}-{}", std::process::id() % 100_000, unique_id());
    let mut rdbg = home.start(["attach", "--waitfor", &name]);
    rdbg.expect_line("Waiting for", SOON);
    let path = Fixture::get("exits").copy_as(home.path(), &name);
    let program = Program { home, path, name };
    let mut parent = spawn(&program, "--fork", &["churn", "--rounds", "1", "--threads", "1"]);
    let (_, line) = caught(&mut rdbg);
    assert!(line.contains(&program.name), "{line}");
    rdbg.finish(SOON);
    assert_eq!(parent.wait(SOON).code(), 0);
}

#[test]
fn one_that_runs_already_is_passed_over_unless_asked_for() {
    let program = program("hits");
    let first = crate::support::Target::start_program(program.path.as_os_str(), ["--endless"]);
    let mut rdbg = program.home.start(["attach", "--waitfor", program.path.to_str().unwrap()]);
    rdbg.expect_line("Waiting for", SOON);
    let mut parent = spawn(&program, "--fork", &["--endless"]);
    let (pid, _) = caught(&mut rdbg);
    assert_ne!(pid, first.pid());
    rdbg.finish(SOON);
    crate::support::process::signal(pid, "KILL");
    parent.wait(SOON);
    let existing = ["attach", "--waitfor", &program.name, "--include-existing", "--batch", "--ex", "info threads"];
    let output = program.home.run(existing, SOON).success();
    assert!(output.stdout.contains(&format!("(pid {})", first.pid())), "{output:?}");
    Guard::check(first.pid());
    first.process.signal("KILL");
}

#[test]
fn waiting_costs_next_to_nothing() {
    for method in ["fanotify", "inotify"] {
        let program = program("exits");
        let path = program.path.to_str().unwrap();
        let mut rdbg = program.home.start(["attach", "--waitfor", path, "--wait-method", method]);
        rdbg.expect_line("Waiting for", SOON);
        let before = procfs::cpu_time(rdbg.debugger_pid()).unwrap();
        let begun = Instant::now();
        // Time itself is what is measured here.
        while begun.elapsed() < Duration::from_secs(1) {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        let spent = procfs::cpu_time(rdbg.debugger_pid()).unwrap() - before;
        assert!(spent < Duration::from_millis(50), "{method}: {spent:?} of CPU in a second of waiting");
        rdbg.signal("TERM");
        rdbg.wait(SOON);
    }
}

#[test]
fn leaving_a_wait_leaves_nothing_marked() {
    for signal in ["INT", "TERM", "HUP", "KILL"] {
        let program = program("exits");
        let mut rdbg = program.home.start(["attach", "--waitfor", program.path.to_str().unwrap()]);
        rdbg.expect_line("Waiting for", SOON);
        rdbg.signal(signal);
        rdbg.wait(SOON);
        let mut parent = spawn(&program, "--fork", &["churn", "--rounds", "1", "--threads", "1"]);
        assert_eq!(parent.wait(SOON).code(), 0, "{signal}");
    }
}

#[test]
fn a_go_parent_is_followed_to_the_exec_and_runs_on() {
    let program = program("hits");
    let args = ["--endless".to_owned()];
    let mut agent = PilotAgent::start(&["--delay", "700ms", "--busy", "2"], &program.path, &args);
    let pid = agent.process.pid().to_string();
    let mut rdbg = program.home.start(["attach", "--pid", &pid, "--follow", "child", "--until-exec", &program.name]);
    let (child, line) = caught(&mut rdbg);
    assert!(line.ends_with("at its first instruction"), "{line}");
    Guard::check(agent.process.pid());
    rdbg.send("break main");
    rdbg.send("continue");
    rdbg.expect_line("Breakpoint 1, main(", SOON);
    rdbg.finish(SOON);
    Guard::check(child);
    agent.stop(LONG);
}

#[test]
fn a_launched_parent_is_followed_to_the_exec() {
    let program = program("exits");
    let spawner = Fixture::get("spawner");
    let words =
        ["run", "--until-exec", &program.name, "--batch", "--ex", "break main", "--ex", "continue", "--ex", "bt", "--"];
    for how in ["--fork", "--vfork", "--spawn", "--thread"] {
        let tail = [spawner.path().to_str().unwrap(), how, "--", program.path.to_str().unwrap(), "leader"];
        let output = program.home.run(words.iter().copied().chain(tail), LONG);
        assert!(output.stdout.contains("at its first instruction"), "{how}: {output:?}");
        assert!(output.stdout.contains("Breakpoint 1, main("), "{how}: {output:?}");
    }
}
