//! Trace scripts: what they count is what the program and strace count, and whoever was traced is left clean.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Fixture, Guard, Home, Output, Process, Rdbg, Target, Variant, LONG, SOON};

/// `rdbg trace -e SCRIPT -c COMMAND`.
fn trace(script: &str, program: &Path, args: &str) -> Output {
    let command = format!("{} {args}", program.display());
    Rdbg::run(["trace", "-e", script, "-c", &command], LONG)
}

/// `@name[key]: number` lines, by what stands between the brackets.
fn map_of(stdout: &str, name: &str) -> BTreeMap<String, u64> {
    let row = |line: &str| {
        let (key, value) = line.strip_prefix(name)?.strip_prefix('[')?.rsplit_once("]: ")?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    stdout.lines().filter_map(row).collect()
}

#[test]
fn every_entry_and_every_return_is_counted() {
    let fixture = Fixture::get("hits");
    let path = fixture.path();
    let script = format!(
        "uprobe:{0}:hits_push_rbp, uprobe:{0}:hits_sub_rsp {{ @entry[func] = count(); }}
         uretprobe:{0}:hits_push_rbp, uretprobe:{0}:hits_sub_rsp {{ @return[func] = count(); @zero[retval == 0] = count(); }}",
        path.display()
    );
    let output = trace(&script, path, "--threads 3 --calls 400").success();
    let (entries, returns) = (map_of(&output.stdout, "@entry"), map_of(&output.stdout, "@return"));
    for name in ["hits_push_rbp", "hits_sub_rsp"] {
        assert_eq!(entries[name], output.count(name), "{}", output.stdout);
    }
    assert_eq!(entries, returns);
    assert_eq!(output.count("wrong"), 0);
}

#[test]
fn a_traced_return_gives_the_value_that_the_caller_gets() {
    let fixture = Fixture::build("mini_envoy", Variant::GCC);
    let script = format!(
        "uprobe:{0}:cpp:Envoy::Worker::tick {{ @calls = count(); }}
         uretprobe:{0}:cpp:Envoy::Worker::tick {{ @last[tid] = retval; @time = hist(duration); }}",
        fixture.path().display()
    );
    let output = trace(&script, fixture.path(), "--rounds 50 --workers 1 --argument-rounds 0").success();
    // The fixture's own arithmetic: check = check * 31 + worker + round.
    let check = (0..50u64).fold(0u64, |check, round| check.wrapping_mul(31).wrapping_add(round));
    let last: Vec<u64> = map_of(&output.stdout, "@last").into_values().collect();
    assert_eq!(last, [check], "{}", output.stdout);
    assert!(output.stdout.contains("@calls: 50\n"), "{}", output.stdout);
}

#[test]
fn system_calls_are_those_that_strace_sees() {
    let fixture = Fixture::build("mini_envoy", Variant::GCC);
    let args = ["--listen", "0", "--rounds", "64", "--workers", "2", "--argument-rounds", "0"];
    let script = "tracepoint:raw_syscalls:sys_enter { @enter[args->id] = count(); }
        tracepoint:raw_syscalls:sys_exit { @exit[args->id] = count(); }
        tracepoint:syscalls:sys_enter_setsockopt { printf(\"setsockopt %d %d %d %d\\n\", args->level, args->optname, *(int32 *)args->optval, args->optlen); }
        tracepoint:syscalls:sys_exit_listen { printf(\"listen = %d\\n\", args->ret); }";
    let output = trace(script, fixture.path(), &args.join(" ")).success();
    let account = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-n", "-e", "signal=none", "-o"]).arg(account.path()).arg(fixture.path()).args(args);
    Process::spawn(strace).finish(LONG).success();
    let text = std::fs::read_to_string(account.path()).unwrap();
    let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.contains("resumed>") && !line.contains("+++")) {
        let number = line.split_once('[').and_then(|(_, rest)| rest.split(']').next()).unwrap_or_default();
        *numbers.entry(number.trim().to_owned()).or_default() += 1;
    }
    let entries = map_of(&output.stdout, "@enter");
    // Socket calls, epoll and dup come in the same number in every run; those of the allocator and of locks do not.
    for number in ["41", "49", "50", "51", "54", "232", "233", "290", "291", "283", "286"] {
        assert_eq!(entries.get(number), numbers.get(number), "call {number}\n{}\n{text}", output.stdout);
    }
    let printed: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("setsockopt ")).collect();
    assert_eq!(printed, ["setsockopt 1 2 1 4", "setsockopt 1 15 1 4"].repeat(2));
    assert_eq!(output.stdout.matches("listen = 0\n").count(), 2);
}

#[test]
fn an_attached_process_is_traced_by_its_filter_and_left_clean() {
    let fixture = Fixture::build("mini_envoy", Variant::GCC);
    let mut target = Target::start(&fixture, ["--rounds", "100000", "--paced", "--hold", "--workers", "2"]);
    let guard = Guard::take(target.pid());
    let script = format!(
        "BEGIN {{ printf(\"begun\\n\"); }}
         uprobe:{}:*setFilterChainName* /pid == $1/ {{ @names[comm, str(reg(\"si\"))] = count(); @stack[ustack(2)] = count(); }}
         tracepoint:syscalls:sys_enter_epoll_wait /pid == $1/ {{ @wait[comm] = count(); }}
         END {{ printf(\"ended\\n\"); clear(@wait); }}",
        fixture.path().display()
    );
    let pid = target.pid().to_string();
    let mut tracer = Rdbg::start(["trace", "-e", &script, &pid]);
    tracer.expect_line(&format!("Tracing process {pid}"), SOON);
    target.release();
    target.wait_done(LONG);
    tracer.signal("INT");
    let output = tracer.process.wait(SOON).success();
    let names = map_of(&output.stdout, "@names");
    let counted = names["wrk:worker_0, 0.0.0.0_8080"] + names["wrk:worker_1, virtualInbound"];
    assert!(counted > 0 && counted <= target.count("names"), "{}", output.stdout);
    assert!(output.stdout.contains("ended\n\n\n@names"), "{}", output.stdout);
    assert!(output.stdout.contains("Envoy::StreamInfo::StreamInfoImpl::setFilterChainName(absl::string_view)+0\n"));
    assert!(!output.stdout.contains("@wait"));
    guard.check_after();
}

#[test]
fn a_connection_is_followed_from_the_kernel_to_its_filter_chain() {
    let fixture = Fixture::build("mini_envoy", Variant::GCC);
    let args = ["--listen", "0", "--rounds", "10000000", "--workers", "1", "--paced", "--file-events"];
    let mut command = Command::new(fixture.path());
    command.args(args);
    let mut server = Process::spawn(command);
    let line = server.expect_line("listening=", SOON);
    let port: u16 = line.text["listening=".len()..].parse().unwrap();
    let script = "#include <net/sock.h>
        BEGIN { printf(\"begun\\n\"); }
        kretprobe:inet_csk_accept /pid == $1/ { $sk = (struct sock *)retval; $c = $sk->__sk_common;
          printf(\"accepted %s %d %s %d %d\\n\", ntop($c.skc_daddr), $c.skc_family == AF_INET, ntop($c.skc_rcv_saddr), $c.skc_num, $sk->sk_max_ack_backlog); @new[tid] = 1; }
        tracepoint:syscalls:sys_exit_accept4 /pid == $1 && @new[tid]/ { @fd[args->ret] = 1; delete(@new[tid]); printf(\"descriptor %s\\n\", peer(args->ret)); }
        uprobe:/proc/${SERVER_PID}/exe:*FileEventImpl*assignEvents* /pid == $1/ { if (@fd[arg0]) { printf(\"fired %d\\n\", arg1); } }
        tracepoint:syscalls:sys_enter_close /pid == $1/ { if (@fd[args->fd]) { printf(\"closed\\n\"); exit(3); } }";
    let pid = server.pid().to_string();
    let home = Home::new();
    let mut command = home.command(["trace", "-e", script, &pid]);
    command.env("SERVER_PID", &pid);
    let mut tracer = Process::spawn(command);
    tracer.expect_line(&format!("Tracing process {pid}"), SOON);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let from = client.local_addr().unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello\n");
    let output = tracer.wait(SOON);
    assert_eq!(output.code(), 3, "{}{}", output.stdout, output.stderr);
    let told: Vec<&str> = output.stdout.lines().collect();
    let expected = [
        "begun",
        &format!("accepted 127.0.0.1 1 127.0.0.1 {port} 128"),
        &format!("descriptor {from}"),
        "fired 4",
        "closed",
    ];
    assert_eq!(told[..5], expected, "{}", output.stdout);
    Guard::check(server.pid());
}

#[test]
fn a_program_that_is_awaited_by_its_execve_is_traced_from_its_first_call() {
    let directory = tempfile::tempdir().unwrap();
    let program = Fixture::build("mini_envoy", Variant::GCC).copy_as(directory.path(), "awaited-envoy");
    let script = format!(
        "BEGIN {{ printf(\"begun\\n\"); }}
         tracepoint:syscalls:sys_enter_execve {{ if (str(args->argv[0]) == \"{0}\") {{ @watched[pid] = pid; printf(\"watched %s\\n\", str(args->filename)); }} }}
         tracepoint:syscalls:sys_enter_listen /@watched[pid]/ {{ printf(\"%s listens, backlog %d\\n\", comm, args->backlog); exit(); }}",
        program.display()
    );
    let mut tracer = Rdbg::start(["trace", "-e", &script]);
    tracer.expect_line("Waiting for", SOON);
    let mut command = Command::new(&program);
    command.args(["--listen", "0", "--rounds", "64"]);
    let server = Process::spawn(command);
    let output = tracer.process.wait(SOON).success();
    let expected = format!("watched {}\nawaited-envoy listens, backlog 128\n", program.display());
    assert!(output.stdout.contains(&expected), "{}", output.stdout);
    drop(server);
}

#[test]
fn what_cannot_be_traced_is_refused_with_its_place() {
    let refused = |script: &str| {
        let output = Rdbg::run(["trace", "-e", script], SOON);
        assert_eq!(output.code(), 1);
        output.stderr
    };
    assert!(refused("kprobe:vfs_read { }").contains("stdin:1:1-16: ERROR: probe type kprobe is not supported"));
    assert!(refused("uprobe:/bin/true:nope { }").contains("stdin:1:1-22: ERROR: No matches for uprobe /bin/true:nope."));
    assert!(refused("uprobe:/no/such:f { }").contains("ERROR: uprobe target file '/no/such' does not exist"));
    assert!(refused("BEGIN { x }").contains("stdin:1:9-10: ERROR: Unknown identifier: 'x'\nBEGIN { x }\n        ~"));
    let listed = Rdbg::run(["trace", "-l", "tracepoint:syscalls:sys_enter_epoll_c*"], SOON).success();
    assert_eq!(listed.stdout.lines().count(), 3, "{}", listed.stdout);
}

#[test]
fn timers_tick_and_json_is_written_to_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.json");
    let script = "interval:ms:5 { @n++; if (@n == 3) { exit(); } } END { printf(\"%d\", @n); }";
    Rdbg::run(["trace", "-f", "json", "-o", path.to_str().unwrap(), "-e", script], SOON).success();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("{\"type\": \"attached_probes\", \"count\": 2"), "{text}");
    assert!(
        text.contains("{\"type\": \"printf\", \"data\": \"3\"}\n{\"type\": \"map\", \"data\": {\"@n\": 3}}\n"),
        "{text}"
    );
}
