//! The real Envoy: caught under its Go parent, its start decoded as strace decodes it, its stacks as gdb's.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::support::{unique_id, Envoy, EnvoyConfig, Guard, Home, PilotAgent, Process, LONG, SOON};

/// Envoy under a name of its own.
fn envoy(home: &Home) -> Option<(Envoy, String)> {
    let name = format!("envoy{}-{}", std::process::id() % 10_000, unique_id());
    Some((Envoy::find_or_skip()?.copy_as(home.path(), &name), name))
}

#[test]
fn twenty_of_twenty_at_the_first_instruction_under_a_go_parent() {
    let home = Home::new();
    let Some((envoy, _)) = envoy(&home) else { return };
    for round in 0..20 {
        let config = EnvoyConfig::new();
        let mut rdbg = home.start(["attach", "--waitfor", envoy.path().to_str().unwrap()]);
        rdbg.expect_line("Waiting for", SOON);
        let mut agent = PilotAgent::start(&["--delay", "1ms"], envoy.path(), &config.args());
        let line = rdbg.expect("the catch", |line| line.text.starts_with("Caught "), SOON).text;
        assert!(line.ends_with("at its first instruction"), "round {round}: {line}");
        rdbg.finish(SOON);
        agent.stop(LONG);
    }
}

/// What two accounts of one start can be compared by: the function and those of its arguments that are no descriptors,
/// pointers or numbers of the run.
fn essence(function: &str, arguments: &str) -> Option<String> {
    let words: Vec<&str> = arguments
        .split(|one: char| !(one.is_ascii_alphanumeric() || one == '_' || one == '.'))
        .filter(|word| {
            let is_name = word.starts_with(|one: char| one.is_ascii_uppercase()) && !word.starts_with("EPOLL_CLOEXEC");
            is_name || word.starts_with(|one: char| one.is_ascii_digit()) && word.split('.').count() == 4
        })
        .collect();
    let wanted = ["socket", "bind", "listen", "setsockopt", "epoll_ctl"];
    wanted.contains(&function).then(|| {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.sort();
        words.dedup();
        format!("{function}({})", words.join(" "))
    })
}

fn counts(calls: impl Iterator<Item = String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call).or_default() += 1;
    }
    counts
}

/// The function and arguments of a line that ends in `name(arguments)`, or goes on with `= result`.
fn call_of(text: &str) -> Option<(&str, &str)> {
    let (function, rest) = text.trim().split_once('(')?;
    Some((function, rest))
}

#[test]
fn its_start_is_decoded_as_strace_decodes_it() {
    let home = Home::new();
    let Some((envoy, _)) = envoy(&home) else { return };
    let config = EnvoyConfig::new();

    let mut rdbg = home.start([
        "break",
        "--log",
        "--module",
        "libc.so.6",
        "--regex",
        "^(socket|bind|listen|setsockopt|epoll_ctl)$",
        "--waitfor",
        envoy.path().to_str().unwrap(),
    ]);
    rdbg.expect_line("Waiting for", SOON);
    let mut process = envoy.start(&config);
    config.wait_ready(&process, LONG);
    process.signal("TERM");
    process.wait(LONG);
    let output = rdbg.wait(LONG);
    let lines = output.stdout.lines().filter_map(|line| line.split_once("] ").map(|(_, call)| call));
    let ours = counts(lines.filter_map(call_of).filter_map(|(function, rest)| essence(function, rest)));

    let trace = home.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(&trace).args(["-e", "trace=socket,bind,listen,setsockopt,epoll_ctl", "--"]);
    strace.arg(envoy.path()).args(config.args());
    let mut traced = Process::spawn(strace);
    config.wait_ready(&traced, LONG);
    let pids: Vec<u32> = crate::support::procfs::descendants(traced.pid());
    for pid in pids {
        crate::support::process::signal(pid, "TERM");
    }
    traced.wait(LONG);
    let text = std::fs::read_to_string(&trace).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(' ').map(|(_, call)| call));
    let theirs = counts(lines.filter_map(call_of).filter_map(|(function, rest)| {
        let arguments = rest.rsplit_once(") = ").map_or(rest, |(arguments, _)| arguments);
        essence(function, arguments)
    }));

    // What the two starts have in common by construction: sockets, their options, binds, listens. How often the harness
    // asked whether Envoy is ready is another matter: TCP_NODELAY and epoll_ctl come once a connection.
    let sockets = |all: &BTreeMap<String, u32>| {
        all.iter()
            .filter(|(call, _)| !call.starts_with("epoll") && !call.contains("TCP_NODELAY"))
            .map(|(call, count)| (call.clone(), *count))
            .collect::<Vec<_>>()
    };
    assert_eq!(sockets(&ours), sockets(&theirs), "rdbg: {ours:#?}\nstrace: {theirs:#?}");
    for kind in ["EPOLLET", "EPOLL_CTL_ADD"] {
        let any =
            |all: &BTreeMap<String, u32>| all.keys().any(|call| call.starts_with("epoll_ctl") && call.contains(kind));
        assert!(any(&ours) && any(&theirs), "{kind}: {ours:#?} {theirs:#?}");
    }
}

/// The frames as (module, file address), innermost first.
fn rdbg_frames(home: &Home, envoy: &Envoy, config: &EnvoyConfig, function: &str) -> Vec<u64> {
    let (stop, program) = (format!("tbreak --module libc.so.6 {function}"), envoy.path().to_str().unwrap().to_owned());
    let rdbg = home.command(["run", "--batch", "--ex", &stop, "--ex", "continue", "--ex", "bt"]);
    let mut command = Command::new("setarch");
    command.arg("-R").arg(rdbg.get_program()).args(rdbg.get_args()).arg("--").arg(program).args(config.args());
    for (name, value) in rdbg.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    let output = Process::spawn(command).finish(LONG);
    let frames = output.stdout.lines().filter(|line| line.starts_with('#'));
    frames
        .filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(1)?.strip_prefix("0x")?, 16).ok())
        .collect()
}

fn gdb_frames(envoy: &Envoy, config: &EnvoyConfig, function: &str) -> Vec<u64> {
    let mut command = Command::new("gdb");
    command.args(["-nx", "-batch", "-iex", "set debug-file-directory /nonexistent"]);
    command.args(["-ex", "set breakpoint pending on", "-ex", "set backtrace past-main on"]);
    command.args(["-ex", "set backtrace past-entry on", "-ex"]).arg(format!("tbreak {function}"));
    command.args(["-ex", "run", "-ex", "frame apply all -q p/x $pc", "-ex", "kill", "--args"]);
    let output = command.arg(envoy.path()).args(config.args()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.strip_prefix('$')?.split_once("= 0x"));
    lines.filter_map(|(_, hex)| u64::from_str_radix(hex.trim(), 16).ok()).collect()
}

#[test]
fn its_stacks_are_gdbs() {
    let home = Home::new();
    let Some((envoy, _)) = envoy(&home) else { return };
    let config = EnvoyConfig::new();
    for function in ["bind", "listen", "epoll_ctl"] {
        let (ours, gdbs) = (rdbg_frames(&home, &envoy, &config, function), gdb_frames(&envoy, &config, function));
        assert!(ours.len() > 10, "{function}: {ours:x?}");
        // gdb stops behind the first instructions of a function that it takes for a prologue.
        assert_eq!(ours[1..], gdbs[1..], "{function}\nrdbg: {ours:x?}\ngdb: {gdbs:x?}");
    }
}

#[test]
fn a_running_one_is_logged_while_it_serves_and_is_left_as_it_was() {
    let home = Home::new();
    let Some((envoy, _)) = envoy(&home) else { return };
    let config = EnvoyConfig::new();
    let mut process = envoy.start(&config);
    config.wait_ready(&process, LONG);
    let pid = process.pid().to_string();
    let mut rdbg =
        home.start(["break", "--log", "--module", "libc.so.6", "--regex", "^(accept4|readv|close)$", "--pid", &pid]);
    rdbg.expect_line("Breakpoint 1", SOON);
    assert!(config.request().unwrap().contains("hello from envoy"));
    let line = rdbg.expect_line("accept4(fd=", SOON).text;
    assert!(line.contains("wrk:worker_") && line.contains("SOCK_NONBLOCK"), "{line}");
    rdbg.signal("INT");
    rdbg.wait(SOON);
    Guard::check(process.pid());
    let output = home.run(["attach", "--pid", &pid, "--batch", "--ex", "thread apply all bt", "--ex", "detach"], SOON);
    for name in ["wrk:worker_0", "wrk:worker_1", "dog:main_thread"] {
        assert!(output.stdout.contains(name), "{output:?}");
    }
    assert!(!output.stdout.contains("walk ended"), "{}", output.stdout);
    Guard::check(process.pid());
    assert!(config.request().unwrap().contains("hello from envoy"));
    process.signal("TERM");
    assert_eq!(process.wait(Duration::from_secs(60)).code(), 0);
}
