//! System calls that a stop breaks off: the program sees neither EINTR nor a time-out that never comes.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::{process, Fixture, Guard, Home, Output, Process, Rdbg, LONG, SOON};

/// The calls whose limit rdbg can shorten.
const LIMITED: [&str; 5] = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "sigtimedwait", "semtimedop"];
/// The ones that stand in registers or sockets that nobody may change.
const OTHERS: [&str; 4] = ["epoll_inline", "accept_timeo", "recv_timeo", "read_timeo"];

fn start(fixture: &str, args: &[&str]) -> Process {
    let mut command = Command::new(Fixture::get(fixture).path());
    command.args(args).stdin(Stdio::piped());
    let mut target = Process::spawn(command);
    target.expect_line("ready", SOON);
    target
}

#[track_caller]
fn end(mut target: Process) -> Output {
    Guard::check(target.pid());
    target.send("x");
    let output = target.wait(SOON).success();
    for call in LIMITED.iter().chain(&OTHERS) {
        assert_eq!(output.count(&format!("{call}_early")), 0, "{call}: {output:?}");
    }
    output
}

/// A session that holds a process, and a terminal that speaks to it.
struct Held {
    rdbg: Rdbg,
    socket: BufReader<UnixStream>,
}

impl Held {
    fn attach(home: &Home, pid: u32) -> Held {
        let mut rdbg = home.start(["attach", "--pid", &pid.to_string()]);
        rdbg.expect_line("Attached to", SOON);
        let directory = std::fs::read_dir(home.runtime_dir().join("rdbg")).expect("a directory of sessions");
        let path = directory.flatten().next().expect("the session's socket").path();
        Held { rdbg, socket: BufReader::new(UnixStream::connect(path).expect("the session listens")) }
    }

    fn ask(&mut self, command: &str) -> String {
        let line = format!("{{\"id\":1,\"command\":{command}}}\n");
        self.socket.get_mut().write_all(line.as_bytes()).expect("the session reads");
        let mut answer = String::new();
        self.socket.read_line(&mut answer).expect("the session answers");
        assert!(answer.contains("\"reply\""), "{answer} {:?}", self.rdbg.lines());
        answer
    }

    fn interrupt(&mut self) {
        self.ask("{\"type\":\"interrupt\"}");
    }

    fn go_on(&mut self) {
        self.ask("{\"type\":\"continue\"}");
    }

    fn quit(mut self) {
        self.rdbg.signal("TERM");
        self.rdbg.wait(SOON);
    }
}

/// Until the leader waits in the system call of that number: what comes before has no EINTR.
#[track_caller]
fn wait_for_call(pid: u32, number: u64) {
    let end = Instant::now() + SOON;
    let prefix = format!("{number} ");
    while !std::fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|text| text.starts_with(&prefix)) {
        assert!(Instant::now() < end, "process {pid} is not in system call {number}");
        std::thread::yield_now();
    }
}

#[test]
fn a_thousand_stops_of_a_session_break_no_call_and_time_outs_come_in_time() {
    let target = start("eintr", &["--limit", "300"]);
    let mut held = Held::attach(&Home::new(), target.pid());
    for _ in 0..1000 {
        held.go_on();
        held.interrupt();
    }
    held.quit();
    let output = end(target);
    for call in LIMITED {
        let late = output.count(&format!("{call}_late_ms"));
        assert!(late < 300, "{call} ended {late} ms late: {output:?}");
    }
}

#[test]
fn a_thousand_rounds_of_attach_and_detach_break_no_call_and_time_outs_come() {
    let target = start("eintr", &["--limit", "300"]);
    let home = Home::new();
    let script = home.path().join("rounds");
    let mut rounds = String::new();
    for _ in 0..1000 {
        let _ = writeln!(rounds, "detach\nattach {}", target.pid());
    }
    std::fs::write(&script, rounds).expect("a file of ours");
    let (pid, script) = (target.pid().to_string(), script.display().to_string());
    home.run(["attach", "--pid", &pid, "--batch", "-x", &script], LONG).success();
    let output = end(target);
    for call in LIMITED {
        let late = output.count(&format!("{call}_late_ms"));
        // A new attachment knows nothing of the last one: it goes by what the scheduler keeps, if the thread has
        // stayed on its CPU.
        assert!(late < 900, "{call} ended {late} ms late: {output:?}");
    }
}

#[test]
fn no_call_returns_eintr_because_another_rdbg_came_looked_and_went() {
    let mut target = start("eintr", &[]);
    let pid = target.pid().to_string();
    let home = Home::new();
    for _ in 0..30 {
        home.run(["attach", "--pid", &pid, "--batch", "--ex", "info threads", "--ex", "detach"], SOON).success();
        assert!(target.is_running(), "{:?}", target.lines());
    }
    end(target);
}

#[test]
fn a_handler_that_ran_is_seen_as_eintr_whenever_its_signal_came() {
    let mut target = start("sigwake", &[]);
    let pid = target.pid();
    let mut held = Held::attach(&Home::new(), pid);
    held.ask("{\"type\":\"handle\",\"signals\":[10],\"policy\":{\"stop\":\"off\",\"print\":\"off\",\"pass\":\"on\"}}");
    held.go_on();
    for round in 1..=100 {
        wait_for_call(pid, 232);
        held.interrupt();
        // While the thread stands, or just as it goes on.
        if round % 2 == 0 {
            process::signal(pid, "USR1");
            held.go_on();
        } else {
            held.go_on();
            process::signal(pid, "USR1");
        }
        target.expect_line(&format!("woken {round}"), SOON);
    }
    held.quit();
    Guard::check(pid);
    target.close_stdin();
    assert_eq!(target.wait(SOON).success().count("woken"), 100);
}

#[test]
fn a_signal_that_comes_while_many_threads_stand_breaks_the_call_of_the_one_that_takes_it() {
    let mut target = start("sigcrowd", &["8"]);
    let pid = target.pid();
    let mut held = Held::attach(&Home::new(), pid);
    held.ask("{\"type\":\"handle\",\"signals\":[10],\"policy\":{\"stop\":\"off\",\"print\":\"off\",\"pass\":\"on\"}}");
    held.go_on();
    for _ in 0..20 {
        wait_for_call(pid, 232);
        held.interrupt();
        process::signal(pid, "USR1");
        held.go_on();
        target.expect_line("taken", SOON);
    }
    held.quit();
    Guard::check(pid);
    target.close_stdin();
    target.wait(SOON).success();
}

#[test]
fn a_signal_that_the_program_never_sees_breaks_no_call() {
    let mut target = start("sigwake", &[]);
    let pid = target.pid();
    let mut held = Held::attach(&Home::new(), pid);
    // Those that are ignored, and one that rdbg is told to drop.
    held.ask(
        "{\"type\":\"handle\",\"signals\":[12,10],\"policy\":{\"stop\":\"off\",\"print\":\"on\",\"pass\":\"on\"}}",
    );
    held.ask("{\"type\":\"handle\",\"signals\":[10],\"policy\":{\"stop\":null,\"print\":null,\"pass\":\"off\"}}");
    held.go_on();
    for _ in 0..20 {
        for name in ["WINCH", "URG", "CHLD", "USR2", "USR1"] {
            process::signal(pid, name);
            held.interrupt();
            held.go_on();
        }
    }
    held.ask("{\"type\":\"handle\",\"signals\":[10],\"policy\":{\"stop\":null,\"print\":null,\"pass\":\"on\"}}");
    process::signal(pid, "USR1");
    target.expect_line("woken 1", SOON);
    held.quit();
    Guard::check(pid);
    target.close_stdin();
    assert_eq!(target.wait(SOON).success().count("handled"), 1);
}
