//! Three scripts that users wrote for bpftrace to learn how Envoy listens, accepts and sets connections up, unchanged:
//! what they tell of mini_envoy, stacks included, is what strace tells of a run alike.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{skip, target_dir, Fixture, Home, Process, Rdbg, Variant, LONG};

/// How often the server is connected to. The last connection marks how far the accounts are compared.
const CONNECTIONS: usize = 3;

/// The scripts watch this path and this port.
const SETUP: &str = r#"
    ip link set lo up && mount --bind "$ROOM" /usr/local/bin || { echo 'no container' >&2; exit 9; }
    said() { until grep -q "$1" "$2" 2>/dev/null; do :; done; }
    serve='/usr/local/bin/envoy --listen 15006 --rounds 1000000000 --workers 1 --paced --file-events'
    connect() {
        said listening= $HOME/served
        for one in 1 2 3; do
            exec 9<>/dev/tcp/127.0.0.1/15006 && read answer <&9; exec 9>&-
            [ "$answer" = hello ] || { echo "answered: $answer" >&2; exit 8; }
        done
    }
    mkfifo $HOME/go
"#;

/// What a tracer has written about a server in a container of its own; `steps` start both.
fn account(steps: &str, script: &Path) -> Option<String> {
    let home = Home::new();
    let room = tempfile::tempdir().unwrap();
    Fixture::build("mini_envoy", Variant::GCC).copy_as(room.path(), "envoy");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.args(["bash", "-c", &format!("{SETUP}{steps}")]);
    command.env("RDBG", Rdbg::binary()).env("SCRIPT", script).env("HOME", home.path()).env("ROOM", room.path());
    let output = Process::spawn(command).finish(LONG);
    if output.stderr.contains("unshare failed") || output.code() == 9 {
        skip("no mount, network and pid namespaces can be made here");
        return None;
    }
    output.success();
    Some(std::fs::read_to_string(home.path().join("account")).unwrap())
}

fn script(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("RDBG_SCRIPTS").map_or_else(|| target_dir().join("real/scripts"), PathBuf::from);
    let path = folder.join(name);
    if !path.is_file() {
        skip(&format!("no {} (RDBG_SCRIPTS names the folder; github.com/labilezhu/pub-diy has it)", path.display()));
        return None;
    }
    Some(path)
}

/// A call as strace tells it.
struct Call {
    thread: &'static str,
    name: String,
    /// What stands between the parentheses, split at commas outside of braces and brackets.
    arguments: Vec<String>,
    result: i64,
    /// The program's own frames, as rdbg writes them.
    stack: Vec<String>,
}

impl Call {
    fn fd(&self) -> &str {
        &self.arguments[0]
    }

    /// The number that the scripts print for an argument.
    fn number(&self, at: usize) -> i64 {
        match self.arguments[at].trim_matches(['[', ']']) {
            "SOL_SOCKET" | "EPOLL_CTL_ADD" | "TCP_NODELAY" => 1,
            "SO_REUSEADDR" | "EPOLL_CTL_DEL" => 2,
            "SOL_TCP" => 6,
            "SO_REUSEPORT" => 15,
            number => number.parse().unwrap_or_else(|_| panic!("{number} is no constant that is known here")),
        }
    }

    /// `127.0.0.1` and the port of an argument.
    fn address(&self, at: usize) -> (&str, u16) {
        let after = |start: &str, end: char| {
            self.arguments[at].split_once(start).and_then(|(_, rest)| rest.split_once(end)).unwrap().0
        };
        (after("inet_addr(\"", '"'), after("htons(", ')').parse().unwrap())
    }

    fn option(&self) -> String {
        let (option, value, length) = (self.number(2), self.number(3), self.number(4));
        format!("optname={option}, optval={value}, optlen={length}.")
    }
}

/// The calls of a run alike, in order.
fn straces_account() -> Option<Vec<Call>> {
    if Command::new("strace").arg("--version").output().is_err() {
        skip("no strace");
        return None;
    }
    let names = "setsockopt,bind,listen,accept4,epoll_ctl,close,epoll_wait,dup";
    let steps = format!("strace -f -k -qq -e signal=none -e trace={names} -o $HOME/account $serve >$HOME/served & tracer=$!; connect; kill $(cat /proc/$tracer/task/$tracer/children); wait $tracer; true");
    let text = account(&steps, Path::new(""))?;
    let main = text.split_whitespace().next().unwrap();
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        if let Some(frame) = line.strip_prefix(" > /usr/local/bin/envoy(") {
            let (name, offset) = frame.rsplit_once(") [").unwrap().0.rsplit_once("+0x").unwrap();
            let offset = u64::from_str_radix(offset, 16).unwrap();
            calls.last_mut().unwrap().stack.push(format!("{name}+{offset}"));
        } else if let Some((tid, call)) = line.split_once(' ').filter(|_| !line.starts_with(' ')) {
            calls.extend(parse_call(if tid == main { "envoy" } else { "wrk:worker_0" }, call.trim()));
        }
    }
    calls.iter_mut().for_each(|call| call.stack.retain(|frame| is_programs(frame)));
    Some(calls)
}

fn parse_call(thread: &'static str, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let result = if result.starts_with("-1 EAGAIN") { "-11" } else { result.split(' ').next()? };
    let mut depth = 0;
    let split = arguments.trim_end().strip_suffix(')')?.split(|letter| {
        depth += i32::from(matches!(letter, '{' | '[')) - i32::from(matches!(letter, '}' | ']'));
        letter == ',' && depth == 0
    });
    let arguments = split.map(|one| one.trim().to_owned()).collect();
    Some(Call { thread, name: name.to_owned(), arguments, result: result.parse().ok()?, stack: Vec::new() })
}

/// Whether a frame is of the program's own code.
fn is_programs(frame: &str) -> bool {
    frame.starts_with("Envoy::") || frame.starts_with("main+")
}

/// A line without its widths, and without what differs from run to run.
fn stable(line: &str) -> String {
    let line = line.trim();
    if is_programs(line) {
        return line.to_owned();
    }
    let volatile = ["pid:", "peerPort:", "elapsed=", "tid=", "events=", "epoll_event*="];
    let stays = |word: &&str| !volatile.iter().any(|name| word.starts_with(name));
    line.split_whitespace().filter(stays).collect::<Vec<_>>().join(" ")
}

/// Of what a script has printed, the lines that are about system calls, and the program's frames, up to the last
/// connection; `marks` begin the lines.
fn told(text: &str, marks: &[&str]) -> Vec<String> {
    let lines = text.lines().map(stable);
    lines.filter(|line| is_programs(line) || marks.iter().any(|mark| line.starts_with(mark))).collect()
}

/// Up to the last connection both say the same.
#[track_caller]
fn assert_alike(ours: &[String], theirs: &[String], connection: &str) {
    let last = |lines: &[String]| {
        let found = lines.iter().enumerate().filter(|(_, line)| line.contains(connection)).nth(CONNECTIONS - 1);
        found.unwrap_or_else(|| panic!("no {CONNECTIONS} of {connection} in {lines:#?}")).0
    };
    assert_eq!(ours[..last(ours)], theirs[..last(theirs)]);
}

fn bound(call: &Call) -> String {
    let (ip, port) = call.address(1);
    format!("comm:{} : bind AF_INET: ip:{ip} port:{port} fd={}", call.thread, call.fd())
}

#[test]
fn who_binds_and_accepts_is_what_strace_says() {
    let Some(script) = script("trace-envoy-socket.bt") else { return };
    let Some(theirs) = straces_account() else { return };
    // The script is given the pid of a shell that is about to become the server.
    let steps = r#"
        bash -c "read line <$HOME/go; exec $serve" >$HOME/served & server=$!
        $RDBG trace $SCRIPT $server >$HOME/account 2>$HOME/err & tracer=$!
        said 'Tracing process' $HOME/err; echo >$HOME/go; connect; kill $tracer; wait $tracer"#;
    let Some(ours) = account(steps, &script) else { return };
    let mut expected = Vec::new();
    for call in theirs {
        let (thread, fd) = (call.thread, call.fd());
        expected.push(match call.name.as_str() {
            "setsockopt" => format!("comm:{thread} : setsockopt: fd={fd}, {} stack:", call.option()),
            "bind" => bound(&call),
            "accept4" => format!("accept4: comm:{thread} family:2 peerIP:{} fd:{}", call.address(1).0, call.result),
            _ => continue,
        });
        expected.extend(call.stack);
    }
    let ours = told(&ours, &["comm:", "accept4:"]);
    assert_alike(&ours, &expected, "accept4:");
}

#[test]
fn who_listens_where_is_what_strace_says() {
    let Some(script) = script("trace-envoy-socket-listen.bt") else { return };
    let Some(theirs) = straces_account() else { return };
    let steps = r#"
        $RDBG trace $SCRIPT >$HOME/account 2>$HOME/err & tracer=$!
        said 'Waiting for' $HOME/err; $serve >$HOME/served & server=$!
        connect; kill $tracer; wait $tracer"#;
    let Some(text) = account(steps, &script) else { return };
    let (mut expected, mut options, mut bind) = (Vec::new(), BTreeMap::new(), String::new());
    for call in theirs {
        let (thread, fd) = (call.thread, call.fd().to_owned());
        match call.name.as_str() {
            "setsockopt" => {
                let level = call.number(1);
                expected.push(format!("comm:{thread} : setsockopt: level={level}, fd={fd}, {}", call.option()));
                let line = format!("@fd2sockopt[{fd}]: ({level}, {}, {})", call.number(2), call.number(3));
                options.insert(fd, line);
            }
            "bind" => {
                let (ip, port) = call.address(1);
                bind = format!("({ip}, {port})");
                expected.push(bound(&call));
                expected.extend(call.stack);
            }
            "listen" => {
                let (ip, port) = bind.trim_matches(['(', ')']).split_once(", ").unwrap();
                expected.push(format!("comm:{thread} : listen() fd={fd}, ip:{ip} , port:{port}"));
                expected.extend(call.stack);
            }
            _ => {}
        }
    }
    let ours = told(&text, &["comm:"]);
    assert_alike(&ours, &expected, "optname=1,");
    assert_eq!(text.matches("watched envoy pid: ").count(), 1, "{text}");
    let maps: Vec<&str> = text.lines().filter(|line| line.starts_with('@')).collect();
    let first = [format!("@fd2bind[3]: {bind}"), "@fd2listen[3]: 1".to_owned()];
    assert_eq!(maps, first.into_iter().chain(options.into_values()).collect::<Vec<_>>(), "{text}");
}

#[test]
fn how_a_connection_is_set_up_is_what_strace_says() {
    let Some(script) = script("trace-envoy-accept-flow.bt") else { return };
    let Some(theirs) = straces_account() else { return };
    let steps = r#"
        $serve >$HOME/served & server=$!; said listening= $HOME/served
        ENVOY_PID=$server $RDBG trace $SCRIPT $server >$HOME/account 2>$HOME/err & tracer=$!
        said 'Tracing process' $HOME/err; connect; kill $tracer; wait $tracer"#;
    let Some(text) = account(steps, &script) else { return };
    let (mut expected, mut connections, mut concerned) = (Vec::new(), HashSet::new(), false);
    for call in theirs {
        let (thread, fd) = (call.thread, call.fd());
        let is_known = |at: usize| connections.contains(&call.arguments[at]);
        match call.name.as_str() {
            "accept4" if call.result >= 0 => {
                concerned = true;
                expected.push(format!("sys_exit_accept4 fd={}", call.result));
                expected.extend(call.stack);
                connections.insert(call.result.to_string());
            }
            "epoll_ctl" if is_known(2) => {
                let (operation, fd) = (call.number(1), &call.arguments[2]);
                expected
                    .push(format!("***** sys_enter_epoll_ctl, epfd={}, op={operation}, fd={fd},", &call.arguments[0]));
                if operation == 1 {
                    expected.extend(call.stack);
                }
            }
            "setsockopt" if is_known(0) => {
                let level = call.number(1);
                expected.push(format!("comm:{thread} : setsockopt: level={level}, fd={fd}, {}", call.option()));
            }
            "close" if connections.remove(fd) => {
                concerned = true;
                expected.push(format!("sys_enter_close fd={fd}"));
            }
            "epoll_wait" if std::mem::take(&mut concerned) => {
                expected.push("******* WAKE-ROUND:END Summary *******".to_owned());
                let (most, time) = (&call.arguments[2], &call.arguments[3]);
                expected.push(format!("*** last_epoll_wait_args: epfd={fd}, maxevents={most}, timeout={time}"));
            }
            _ => {}
        }
    }
    let marks = ["sys_", "***** sys_enter_epoll_ctl", "comm:wrk:worker_0 : setsockopt", "******* ", "*** last"];
    let mut ours = told(&text, &marks);
    // The three frames of the probe on the filter chain's name are no system call's.
    while let Some(at) = ours.iter().position(|line| line.contains("::setFilterChainName(")) {
        ours.drain(at..at + 3);
    }
    assert_alike(&ours, &expected, "sys_exit_accept4");
    check_functions(&text);
}

/// What strace cannot see: the order of functions and calls in each connection's life.
fn check_functions(text: &str) {
    let expected = [
        "OS handshaked TCP:",
        "sys_exit_accept4 fd=7",
        "TlsInspector*, probe=uprobe:",
        "ConnectionSocketImpl::setRequestedApplicationProtocols",
        "Got setFilterChainName=0.0.0.0_8080, lenght=12",
        "END:EventFired",
        "epfd=4, op=1, fd=7,",
        "setsockopt: level=6, fd=7, optname=1, optval=1, optlen=4.",
        "WAKE-ROUND:END",
        "BEGIN:EventFired:",
        "fd=7, events=0x4",
        "epfd=4, op=2, fd=7,",
        "sys_enter_close fd=7",
        "END:EventFired",
        "WAKE-ROUND:END",
    ];
    let kinds: HashSet<&str> = expected.into_iter().collect();
    let kind = |line: &str| kinds.iter().find(|kind| line.contains(**kind)).copied();
    let seen: Vec<&str> = text.lines().filter_map(kind).collect();
    let rounds = CONNECTIONS - 1;
    assert_eq!(seen[..rounds * expected.len()], expected.repeat(rounds), "{text}");
    for connection in text.split("OS handshaked TCP:\n").skip(1) {
        let line: Vec<&str> = connection.lines().next().unwrap().split_whitespace().skip(1).collect();
        assert!(matches!(line[..], [_, "wrk:worker_0", "127.0.0.1", _, "127.0.0.1", "15006", "0/128"]), "{line:?}");
    }
}
