//! Waiting for a process by name, and following one down to it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{procfs, unique_id, Fixture, Guard, Home, PilotAgent, Process, Rdbg, Target, LONG, SOON};

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
        let mut parent = spawn(&program, how, &["churn", "--rounds", "30", "--threads", "3"]);
        let (pid, line) = caught(&mut rdbg);
        assert!(line.ends_with("at its first instruction"), "{how}: {line}");
        assert_eq!(pid == parent.pid(), how == "--thread", "{how}: {line}");
        for command in ["break main", "break exits_call", "ignore 2 1000000", "continue", "bt"] {
            rdbg.send(command);
        }
        rdbg.expect_line("Breakpoint 1, main(", SOON);
        rdbg.expect_line("_start", SOON);
        for command in ["break _exit", "continue", "info breakpoints", "delete", "detach"] {
            rdbg.send(command);
        }
        rdbg.expect_line("Breakpoint 3, ", SOON);
        let of = |id: &'static str| move |line: &crate::support::Line| line.text.starts_with(id);
        let calls = rdbg.expect("the second breakpoint", of("2 "), SOON).text;
        assert_eq!(calls.split_whitespace().nth(3), Some("90"), "{how}: {calls}");
        rdbg.finish(SOON).success();
        let output = parent.wait(SOON);
        assert_eq!((output.code(), output.count("calls")), (0, 90), "{how}: {output:?}");
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
        let known: &[&str] = match method {
            "fanotify" => &["at its first instruction"],
            _ => &["at its first instruction", "in the dynamic loader, at", "late, at"],
        };
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
    assert!(line.contains(&program.name) && line.ends_with("at its first instruction"), "{line}");
    rdbg.finish(SOON);
    assert_eq!(parent.wait(SOON).code(), 0);
}

#[test]
fn a_full_path_means_that_file_only() {
    let program = program("hits");
    let (elsewhere, same_directory) = (Home::new(), format!("{}x", program.name));
    let others = [
        Fixture::get("exits").copy_as(elsewhere.path(), &program.name),
        Fixture::get("exits").copy_as(program.home.path(), &same_directory),
    ];
    for method in ["fanotify", "inotify", "scan"] {
        let path = program.path.to_str().unwrap();
        let mut rdbg = program.home.start(["attach", "--waitfor", path, "--wait-method", method]);
        rdbg.expect_line("Waiting for", SOON);
        for other in &others {
            let mut command = Command::new(other);
            command.args(["churn", "--rounds", "50", "--threads", "2"]);
            assert_eq!(Process::spawn(command).wait(SOON).count("calls"), 100, "{method}: {}", other.display());
        }
        rdbg.never_said("Caught");
        let mut parent = spawn(&program, "--spawn", &["--endless"]);
        let child = parent.expect("the child", |line| line.text.starts_with("started "), SOON);
        let (pid, line) = caught(&mut rdbg);
        assert_eq!(child.text, format!("started {pid}"), "{method}: {line}");
        rdbg.finish(SOON);
        Guard::check(pid);
        parent.send_bytes(b"\n");
        assert_eq!(parent.wait(SOON).success().count("wrong"), 0, "{method}");
    }
}

#[test]
fn of_many_that_start_at_once_one_is_caught_and_the_others_run_on() {
    let program = program("exits");
    for round in 0..5 {
        let mut rdbg = program.home.start(["attach", "--waitfor", program.path.to_str().unwrap()]);
        rdbg.expect_line("Waiting for", SOON);
        let hows = ["--fork", "--vfork", "--spawn", "--thread", "--fork", "--spawn"];
        let args = ["churn", "--rounds", "5", "--threads", "2"];
        let mut parents: Vec<Process> = hows.iter().map(|how| spawn(&program, how, &args)).collect();
        let (pid, line) = caught(&mut rdbg);
        assert!(line.ends_with("at its first instruction"), "round {round}: {line}");
        let of_it = |one: &Process| one.pid() == pid || procfs::descendants(one.pid()).contains(&pid);
        let at = parents.iter().position(of_it).expect("the parent of what was caught");
        let mut held = parents.swap_remove(at);
        for parent in &mut parents {
            assert_eq!(parent.wait(SOON).success().count("calls"), 10, "round {round}");
        }
        assert!(held.is_running(), "round {round}");
        rdbg.finish(SOON);
        assert_eq!(held.wait(SOON).success().count("calls"), 10, "round {round}");
    }
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

/// Whether the process holds a fanotify group that has marks.
fn has_marks(pid: u32) -> bool {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten();
    let mut texts = entries.filter_map(|one| std::fs::read_to_string(one.path()).ok());
    texts.any(|text| text.lines().any(|line| line.starts_with("fanotify ino:") || line.starts_with("fanotify sdev:")))
}

#[test]
fn a_wait_that_another_client_gives_up_leaves_nothing_marked_in_a_session_that_goes_on() {
    for by_path in [true, false] {
        let program = program("exits");
        let name = if by_path { program.path.to_str().unwrap() } else { "rdbg-no-such-program" };
        let target = Target::start(&Fixture::get("hits"), ["--calls", "1"]);
        let pid = target.pid().to_string();
        let mut rdbg = program.home.start_on_terminal(["attach", "--pid", &pid]);
        rdbg.expect_line("Attached", SOON);
        rdbg.send("detach");
        rdbg.expect_line("Detached from", SOON);
        rdbg.send(&format!("attach --waitfor {name}"));
        rdbg.expect_line("Waiting for ", SOON);
        assert!(has_marks(rdbg.debugger_pid()), "{name}");
        let session = rdbg.debugger_pid().to_string();
        program.home.run(["ctl", "--session", &session, "interrupt"], SOON).success();
        rdbg.expect_line("no longer waiting for", SOON);
        assert!(!has_marks(rdbg.debugger_pid()), "{name}");
        let mut parent = spawn(&program, "--fork", &["churn", "--rounds", "5", "--threads", "1"]);
        assert_eq!(parent.wait(SOON).success().count("calls"), 5, "{name}");
        rdbg.never_said("Caught");
        // It waits anew, and catches.
        rdbg.send(&format!("attach --waitfor {}", program.path.display()));
        rdbg.expect_line("Waiting for ", SOON);
        let mut parent = spawn(&program, "--fork", &["churn", "--rounds", "5", "--threads", "1"]);
        let (_, line) = caught(&mut rdbg);
        assert!(line.ends_with("at its first instruction"), "{line}");
        rdbg.send("quit");
        assert_eq!(parent.wait(SOON).success().count("calls"), 5, "{name}");
        Guard::check(target.pid());
    }
}

#[test]
fn a_wait_that_is_ended_amid_execs_holds_nobody() {
    let program = program("exits");
    for round in 0..12u32 {
        let signal = ["INT", "TERM", "HUP", "KILL"][round as usize % 4];
        let mut rdbg = program.home.start(["attach", "--waitfor", program.path.to_str().unwrap()]);
        rdbg.expect_line("Waiting for", SOON);
        let args = ["churn", "--rounds", "5", "--threads", "2"];
        let before = ["--fork", "--vfork", "--spawn", "--thread"];
        // The signal comes after none, one or more of them have been started.
        let (first, rest) = before.split_at(round as usize / 4);
        let mut parents: Vec<Process> = first.iter().map(|how| spawn(&program, how, &args)).collect();
        rdbg.signal(signal);
        parents.extend(rest.iter().map(|how| spawn(&program, how, &args)));
        rdbg.close_stdin();
        for parent in &mut parents {
            assert_eq!(parent.wait(SOON).success().count("calls"), 10, "round {round}, {signal}");
        }
        rdbg.wait(SOON);
    }
}

/// Waits until every thread of a process has a tracer.
fn wait_traced(rdbg: &Rdbg, pid: u32) {
    let end = Instant::now() + SOON;
    let is_traced = |tid: &u32| procfs::task_status(pid, *tid, "TracerPid").is_some_and(|tracer| tracer != "0");
    while !procfs::tasks(pid).iter().all(is_traced) {
        if Instant::now() > end {
            rdbg.fail(&format!("{pid} is not traced:\n{}", procfs::describe(pid)));
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_go_parent_is_followed_to_the_exec_and_runs_on() {
    let program = program("hits");
    let path = program.path.to_str().unwrap();
    for round in 0..5 {
        let mut agent = Target::start(&Fixture::get("pilot-agent"), ["--busy", "2", "--", path, "--endless"]);
        let pid = agent.pid().to_string();
        let words = ["attach", "--pid", &pid, "--follow", "child", "--until-exec", &program.name];
        let mut rdbg = program.home.start(words);
        wait_traced(&rdbg, agent.pid());
        agent.release();
        let (child, line) = caught(&mut rdbg);
        assert!(line.ends_with("at its first instruction"), "round {round}: {line}");
        // Only once the catch is told whole: the others are let go before.
        rdbg.expect_line("Held at the first instruction", SOON);
        Guard::check(agent.pid());
        agent.process.expect_line(&format!("started {child}"), SOON);
        let before = procfs::cpu_time(agent.pid()).unwrap();
        rdbg.send("break main");
        rdbg.send("continue");
        rdbg.expect_line("Breakpoint 1, main(", SOON);
        let end = Instant::now() + SOON;
        while procfs::cpu_time(agent.pid()).unwrap() == before {
            assert!(Instant::now() < end, "the parent does not compute: {}", procfs::describe(agent.pid()));
            std::thread::yield_now();
        }
        rdbg.finish(SOON).success();
        Guard::check(child);
        Guard::check(agent.pid());
        agent.release();
        assert_eq!(agent.wait(SOON).success().count("wrong"), 0, "round {round}");
    }
}

#[test]
fn a_launched_go_parent_is_followed_to_the_exec_and_runs_on() {
    let program = program("hits");
    let agent = Fixture::get("pilot-agent");
    for round in 0..5 {
        let words = ["run", "--until-exec", &program.name, "--", agent.path().to_str().unwrap(), "--busy", "2", "--"];
        let mut rdbg = program.home.start(words.into_iter().chain([program.path.to_str().unwrap(), "--endless"]));
        let (child, line) = caught(&mut rdbg);
        assert!(line.ends_with("at its first instruction"), "round {round}: {line}");
        rdbg.expect_line("Held at the first instruction", SOON);
        let parent = procfs::stat(child).unwrap().1;
        assert_eq!(procfs::stat(parent).unwrap().2, "pilot-agent", "round {round}");
        Guard::check(parent);
        rdbg.send("break main");
        rdbg.send("continue");
        rdbg.expect_line("Breakpoint 1, main(", SOON);
        rdbg.send("detach");
        rdbg.expect_line(&format!("Detached from process {child}"), SOON);
        Guard::check(child);
        Guard::check(parent);
        crate::support::process::signal(child, "TERM");
        let end = Instant::now() + SOON;
        while procfs::stat(parent).is_some_and(|(state, ..)| state != 'Z') {
            if Instant::now() > end {
                rdbg.fail(&format!("the parent does not end:\n{}", procfs::describe(parent)));
            }
            std::thread::yield_now();
        }
        rdbg.expect_line("the program was ended by", SOON);
        let started = format!("started {child}");
        assert!(rdbg.lines().iter().any(|line| line.text == started), "round {round}: {:#?}", rdbg.lines());
        rdbg.finish(SOON);
    }
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

#[test]
fn a_tracer_that_is_busy_catches_it_all_the_same_and_leaves_no_stop_behind() {
    let program = program("exits");
    let mut busy = Target::start(&Fixture::get("hits"), ["--threads", "1", "--calls", "10"]);
    let mut rdbg = program.home.start(["attach", "--pid", &busy.pid().to_string()]);
    rdbg.expect_line("Attached to", SOON);
    let mut askers = Vec::new();
    for _ in 0..4 {
        // Each asks without end for what takes the tracer longer than an exec may be held.
        let home = program.home.clone();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                home.run(["ctl", "info functions ."], LONG).success();
            }
        });
        askers.push((stop, thread));
    }
    for round in 0..8 {
        rdbg.send(&format!("attach --waitfor {}", program.path.display()));
        rdbg.expect_line("Waiting for", SOON);
        let mut parent = spawn(&program, "--fork", &["churn", "--rounds", "2", "--threads", "1"]);
        let (pid, line) = caught(&mut rdbg);
        assert!(line.ends_with("at its first instruction"), "round {round}: {line}");
        if round % 2 == 0 {
            // It is let go before a SIGSTOP could have come to it.
            rdbg.send("detach");
            rdbg.expect_line(&format!("Detached from process {pid}"), SOON);
        } else {
            rdbg.send("continue");
            rdbg.expect_line(&format!("Process {pid} exited with status 0"), SOON);
            rdbg.signal("INT");
            rdbg.expect_line("Stopped by interrupt", SOON);
        }
        assert_eq!(parent.wait(SOON).success().count("calls"), 2, "round {round}");
    }
    rdbg.never_said("Signal SIG");
    for (stop, thread) in askers {
        drop(stop);
        thread.join().expect("every question is answered");
    }
    rdbg.send("quit");
    rdbg.finish(SOON);
    Guard::check(busy.pid());
    busy.release();
    busy.wait(SOON).success();
}
