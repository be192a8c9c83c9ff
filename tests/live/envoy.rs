//! The real Envoy: caught under its Go parent, its start decoded as strace decodes it, its stacks as gdb's.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::support::{process, procfs, unique_id, Envoy, EnvoyConfig, Guard, Home, PilotAgent, Process, LONG, SOON};

/// Envoy under a name of its own.
fn envoy(home: &Home) -> Option<(Envoy, String)> {
    let name = format!("envoy{}-{}", std::process::id() % 10_000, unique_id());
    Some((Envoy::find_or_skip()?.copy_as(home.path(), &name), name))
}

/// Five starts; twenty with RDBG_LONG.
#[test]
fn every_start_under_a_go_parent_is_caught_at_its_first_instruction() {
    let home = Home::new();
    let Some((envoy, _)) = envoy(&home) else { return };
    let rounds = if std::env::var_os("RDBG_LONG").is_some() { 20 } else { 5 };
    for round in 0..rounds {
        let config = EnvoyConfig::new();
        let mut rdbg = home.start(["attach", "--waitfor", envoy.path().to_str().unwrap()]);
        rdbg.expect_line("Waiting for", SOON);
        let mut agent = PilotAgent::start(&["--delay", "1ms"], envoy.path(), &config.args());
        let line = rdbg.expect("the catch", |line| line.text.starts_with("Caught "), SOON).text;
        assert!(line.ends_with("at its first instruction"), "round {round}: {line}");
        rdbg.finish(SOON).success();
        let pid = agent.child_pid(SOON);
        assert!(line.contains(&format!("(pid {pid})")), "round {round}: {line}");
        config.wait_ready(&agent.process, LONG);
        Guard::check(pid);
        assert_eq!(agent.stop(LONG).code(), 0, "round {round}");
    }
}

/// The arguments, parted at the commas that stand in no bracket and no string.
fn arguments(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quoted) = (vec![String::new()], 0, false);
    for one in text.chars() {
        match one {
            '"' => quoted = !quoted,
            '{' | '[' | '(' if !quoted => depth += 1,
            '}' | ']' | ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(one);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

/// A call without what differs from run to run (descriptors, pointers, the data of an event), in one spelling: rdbg's
/// names of arguments are left out, and strace's htons, inet_addr and NULs at a string's end.
fn essence(call: &str) -> Option<String> {
    let (function, rest) = call.trim().split_once('(')?;
    // (which arguments are descriptors)
    let descriptors: &[usize] = match function {
        "socket" => &[],
        "bind" | "listen" | "setsockopt" => &[0],
        "epoll_ctl" => &[0, 2],
        _ => return None,
    };
    let spelling =
        regex::Regex::new(r#"htons\((\d+)\)|inet_addr\("([^"]*)"\)|(?:\\0)+(")|, data=(?:\{[^}]*\}|-?\w+)"#).unwrap();
    let named = regex::Regex::new(r"^[a-z]+=").unwrap();
    let mut words = Vec::new();
    for (at, argument) in arguments(rest.rsplit_once(')')?.0).iter().enumerate() {
        if !descriptors.contains(&at) {
            words.push(spelling.replace_all(&named.replace(argument, ""), "$1$2$3").into_owned());
        }
    }
    if words.first().is_some_and(|op| op == "EPOLL_CTL_DEL") {
        // Of an event that the kernel does not look at, strace tells the address.
        words.truncate(1);
    }
    Some(format!("{function}({})", words.join(", ")))
}

fn counts<'a>(calls: impl Iterator<Item = &'a str>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for call in calls.filter_map(essence) {
        *counts.entry(call).or_default() += 1;
    }
    counts
}

#[test]
fn a_call_is_compared_without_what_differs_from_run_to_run() {
    let same = [
        (
            "bind(fd=7, addr={sa_family=AF_INET, sin_port=80, sin_addr=127.0.0.1}, addrlen=16)",
            r#"bind(9, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0"#,
            "bind({sa_family=AF_INET, sin_port=80, sin_addr=127.0.0.1}, 16)",
        ),
        (
            r#"bind(fd=7, addr={sa_family=AF_UNIX, sun_path=@"a, b"}, addrlen=110)"#,
            r#"bind(9, {sa_family=AF_UNIX, sun_path=@"a, b\0\0"}, 110) = 0"#,
            r#"bind({sa_family=AF_UNIX, sun_path=@"a, b"}, 110)"#,
        ),
        (
            "epoll_ctl(epfd=3, op=EPOLL_CTL_ADD, fd=4, event={events=EPOLLIN|EPOLLET, data=94353702512736})",
            "epoll_ctl(4, EPOLL_CTL_ADD, 5, {events=EPOLLIN|EPOLLET, data={u32=31, u64=94}}) = 0",
            "epoll_ctl(EPOLL_CTL_ADD, {events=EPOLLIN|EPOLLET})",
        ),
        (
            "epoll_ctl(epfd=3, op=EPOLL_CTL_DEL, fd=4, event={events=EPOLLIN, data=4})",
            "epoll_ctl(4, EPOLL_CTL_DEL, 5, 0x7f00) = 0",
            "epoll_ctl(EPOLL_CTL_DEL)",
        ),
        ("listen(fd=3, backlog=-1)", "listen(4, -1)     = 0", "listen(-1)"),
        (
            "setsockopt(fd=3, level=SOL_TCP, optname=TCP_NODELAY, optval=[1], optlen=4)",
            "setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = -1 EOPNOTSUPP (Operation not supported)",
            "setsockopt(SOL_TCP, TCP_NODELAY, [1], 4)",
        ),
    ];
    for (ours, theirs, expected) in same {
        let theirs = call_of_strace(theirs).unwrap();
        assert_eq!((essence(ours).as_deref(), essence(theirs).as_deref()), (Some(expected), Some(expected)));
    }
}

/// `name(arguments)` of `name(arguments) = result`.
fn call_of_strace(line: &str) -> Option<&str> {
    let end = line.rfind(" = ")?;
    Some(line[..end].trim_end())
}

#[test]
fn its_start_is_decoded_as_strace_decodes_it() {
    let home = Home::new();
    let Some((envoy, _)) = envoy(&home) else { return };
    // The same for both, with its ports and its base id.
    let config = EnvoyConfig::new();

    let path = envoy.path().to_str().unwrap();
    let functions = "^(socket|bind|listen|setsockopt|epoll_ctl)$";
    let mut rdbg = home.start(["break", "--log", "--module", "libc.so.6", "--regex", functions, "--waitfor", path]);
    rdbg.expect_line("Waiting for", SOON);
    // Until it answers: the one request that both see, as a refused one does not reach it.
    let mut process = envoy.start(&config);
    process.signal("TERM");
    process.wait(LONG).success();
    let output = rdbg.wait(LONG).success();
    assert!(!output.stdout.contains("hits not shown"), "{}", output.stdout);
    let ours = counts(output.stdout.lines().filter_map(|line| line.split_once("] ").map(|(_, call)| call)));

    // A file for each thread, as a shared one has lines of one thread inside those of another.
    let traces = home.path().join("traces");
    std::fs::create_dir(&traces).unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-ff", "-s", "200", "-e", "trace=socket,bind,listen,setsockopt,epoll_ctl", "-o"]);
    strace.arg(traces.join("of")).arg("--").arg(envoy.path()).args(config.args());
    let mut traced = Process::spawn(strace);
    config.wait_ready(&traced, LONG);
    for pid in procfs::descendants(traced.pid()) {
        process::signal(pid, "TERM");
    }
    traced.wait(LONG).success();
    let mut text = String::new();
    for file in std::fs::read_dir(&traces).unwrap() {
        text += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    let theirs = counts(text.lines().filter_map(call_of_strace));

    assert!(ours.values().sum::<u32>() > 60, "{ours:#?}");
    assert_eq!(ours, theirs, "rdbg:\n{}\nstrace:\n{text}", output.stdout);
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
    let frames: Vec<&str> =
        output.stdout.lines().filter(|line| line.starts_with('#') && !line.contains(" [inlined in ")).collect();
    assert!(frames.first().is_some_and(|line| line.contains("+0 libc.so.6")), "{function}: {output:?}");
    frames
        .into_iter()
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

/// Its binds and listens as the kernel gets them.
#[test]
fn its_system_calls_are_caught_from_its_start_on() {
    let home = Home::new();
    let Some((envoy, _)) = envoy(&home) else { return };
    let config = EnvoyConfig::new();
    let mut words = vec!["run".to_owned(), "--ex".into(), "catch syscall --log listen accept4".into()];
    words.extend(["--ex", "catch syscall bind if *(short*)($rsi) == 2", "--ex", "continue", "--"].map(str::to_owned));
    words.push(envoy.path().display().to_string());
    words.extend(config.args());
    let mut rdbg = home.start(words);
    let line = rdbg.expect_line("Catchpoint 2, entering bind(fd=", LONG).text;
    assert!(line.contains("addr={sa_family=AF_INET, sin_port="), "{line}");
    rdbg.send("bt 4");
    rdbg.expect_line("bind+", LONG);
    rdbg.send("continue");
    let line = rdbg.expect("its return", |line| line.text.starts_with("Catchpoint 2, bind(fd="), LONG).text;
    assert!(line.contains("sa_family=AF_INET") && line.contains(" = 0 at "), "{line}");
    rdbg.send("delete 2");
    rdbg.send("continue");
    let line = rdbg.expect_line("listen(fd=", LONG).text;
    assert!(line.contains("envoy") && line.ends_with(" = 0"), "{line}");
    rdbg.signal("TERM");
    rdbg.wait(LONG);
}
