//! Catching system calls: each call is told once, with what it returned, whatever signals, threads and families do.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::support::{skip, Fixture, Guard, Home, Output, Process, Rdbg, Target, LONG, SOON};

/// The fixture in a mode, launched under these commands.
#[track_caller]
fn run(options: &[&str], commands: &[&str], mode: &[&str]) -> Output {
    let fixture = Fixture::get("calls");
    let mut words: Vec<&OsStr> = ["run", "--batch"].iter().chain(options).map(OsStr::new).collect();
    for command in commands {
        words.extend([OsStr::new("--ex"), OsStr::new(command)]);
    }
    words.extend([OsStr::new("--"), fixture.path().as_os_str()]);
    words.extend(mode.iter().map(OsStr::new));
    Rdbg::run(words, LONG)
}

/// What was logged: `name(..) = result`, without the time and the thread.
fn logged(output: &str) -> Vec<String> {
    let call = |line: &str| {
        let (head, call) = line.split_once("] ")?;
        (head.as_bytes().get(2) == Some(&b':')).then(|| call.to_owned())
    };
    output.lines().filter_map(call).collect()
}

/// The first arguments of the fixture's marks, in the order that they were told in.
fn marks(output: &str) -> Vec<u64> {
    let mark = |call: String| {
        let number = call.strip_prefix("dup3(oldfd=")?.split(',').next()?.parse().ok()?;
        assert!(call.ends_with("flags=0) = -1 EINVAL"), "{call}");
        Some(number)
    };
    logged(output).into_iter().filter_map(mark).collect()
}

#[track_caller]
fn says(output: &Output, texts: &[&str]) {
    let mut rest = output.stdout.as_str();
    for text in texts {
        match rest.split_once(text) {
            Some((_, after)) => rest = after,
            None => panic!("no `{text}` (in this order) in:\n{}\n{}", output.stdout, output.stderr),
        }
    }
}

#[test]
fn a_call_stops_before_it_is_made_and_when_it_has_returned() {
    let commands = ["catch syscall bind", "continue", "continue", "info breakpoints", "delete 1", "tcatch syscall 50"];
    let rest = ["continue", "info breakpoints", "catch syscall --return bind if $rax != 0", "continue", "continue"];
    let output = run(&[], &[&commands[..], &rest].concat(), &["bind"]);
    let call = "bind(fd=3, addr={sa_family=AF_INET, sin_port=0, sin_addr=127.0.0.1}, addrlen=16)";
    let (entered, returned) = (format!("Catchpoint 1, entering {call} at "), format!("Catchpoint 1, {call} = 0 at "));
    says(
        &output,
        &[
            "Catchpoint 1: catch syscall bind",
            &entered,
            &returned,
            "1   stop  y   1       catch syscall bind",
            "Catchpoint 2: catch syscall 50",
            "Catchpoint 2, entering listen(fd=3, backlog=16)",
            "No breakpoints.",
            &format!("Catchpoint 3, {call} = -1 EINVAL"),
            "exited with status 0",
        ],
    );
}

#[test]
fn conditions_counts_and_switches_hold_for_calls() {
    let commands = [
        "catch syscall --log --count 3 dup3 if $rdi >= 10",
        "catch syscall --log --ignore 48 dup3",
        "catch syscall dup3",
        "disable 3",
        "continue",
        "info breakpoints",
    ];
    let output = run(&[], &commands, &["threads", "--threads", "1", "--rounds", "50"]);
    assert_eq!(marks(&output.stdout), [10, 11, 12, 48, 49], "{}", output.stdout);
    says(&output, &["Breakpoint 1 is done after 3 hits", "exited with status 0"]);
    let wrong = run(&[], &["catch syscall bindd", "catch syscall g:net", "catch syscall --log --count 1"], &["bind"]);
    for text in
        ["there is no system call `bindd`", "near it: bind", "there is no group of system calls `net`", "network"]
    {
        assert!(wrong.stderr.contains(text), "{text}: {}", wrong.stderr);
    }
}

#[test]
fn every_call_of_every_thread_is_told_once() {
    let output =
        run(&[], &["catch syscall --log dup3", "continue"], &["threads", "--threads", "16", "--rounds", "100"]);
    let mut seen = marks(&output.stdout);
    seen.sort_unstable();
    let expected: Vec<u64> = (0..100).flat_map(|number| std::iter::repeat_n(number, 16)).collect();
    assert_eq!(seen, expected, "{}", output.stdout);
}

#[test]
fn a_call_that_is_restarted_is_one_call() {
    let commands = ["handle SIGUSR1 nostop noprint", "catch syscall --log dup3 read pread64 rt_sigreturn", "continue"];
    let of_interest = |output: &Output| {
        let keep = |call: &String| call.contains("count=1") && !call.contains("count=1024") || !call.contains("count=");
        let short = |call: String| {
            let (name, result) = (call.split('(').next().unwrap_or_default().to_owned(), call.rsplit(" = ").next());
            format!("{name} = {}", result.unwrap_or_default())
        };
        logged(&output.stdout).into_iter().filter(keep).map(short).collect::<Vec<_>>()
    };
    let handled = ["dup3 = -1 EINVAL", "rt_sigreturn = 0"];
    let restart = run(&[], &commands, &["restart"]);
    assert_eq!(of_interest(&restart), [&handled.repeat(5)[..], &["read = 1"]].concat(), "{}", restart.stdout);
    says(&restart, &["read 1 0"]);
    let ignored = run(&[], &commands, &["ignored"]);
    assert_eq!(of_interest(&ignored), ["read = 1"], "{}", ignored.stdout);
    let broken = run(&[], &commands, &["handler"]);
    let expected = ["dup3 = -1 EINVAL", "rt_sigreturn = -1 EINTR", "read = -1 EINTR", "pread64 = -1 ESPIPE"];
    assert_eq!(of_interest(&broken), expected, "{}", broken.stdout);
    says(&broken, &["read -1 4"]);
    // The handler jumps away: the call never returns.
    let jump = run(&[], &commands, &["jump"]);
    assert_eq!(marks(&jump.stdout), [7002, 7003], "{}", jump.stdout);
    assert_eq!(of_interest(&jump), ["dup3 = -1 EINVAL"; 2], "{}", jump.stdout);
}

#[test]
fn families_are_caught_where_they_are_followed() {
    let commands = ["catch syscall --log dup3 execve exit_group vfork", "continue"];
    for (follow, expected) in [("parent", &[1, 4][..]), ("both", &[1, 2, 3, 8, 4])] {
        let output = run(&["--follow", follow], &commands, &["family"]);
        assert_eq!(marks(&output.stdout), expected, "{follow}: {}", output.stdout);
        let execs: Vec<String> = logged(&output.stdout).into_iter().filter(|one| one.starts_with("execve")).collect();
        match follow {
            "both" => assert!(
                execs.len() == 1
                    && execs[0].contains("pathname=\"/proc/self/exe\", argv=[")
                    && execs[0].ends_with(" = 0"),
                "{execs:?}"
            ),
            _ => assert!(execs.is_empty(), "{execs:?}"),
        }
        says(&output, &["exit_group(status=0) = ?"]);
    }
    let exec = run(&[], &["catch syscall --log group:file dup3", "continue"], &["exec"]);
    assert_eq!(marks(&exec.stdout), [1, 8], "{}", exec.stdout);
    says(&exec, &["execve(pathname=\"/proc/self/exe\"", "openat(dirfd=AT_FDCWD, pathname="]);
}

#[test]
fn a_step_over_a_caught_call_stops_on_both_of_its_sides() {
    let commands =
        ["break syscall", "continue", "catch syscall dup3", "stepi 9", "stepi", "stepi", "delete 2", "continue"];
    let output = run(&[], &commands, &["mark"]);
    says(
        &output,
        &[
            "Breakpoint 1, syscall(",
            "Catchpoint 2, entering dup3(oldfd=8, newfd=8, flags=0) at syscall+",
            "Catchpoint 2, dup3(oldfd=8, newfd=8, flags=0) = -1 EINVAL at syscall+",
            "Step at syscall+",
            "exited with status 0",
        ],
    );
    // Between the two the step may not execute what stands behind the call.
    let finish = run(&[], &["catch syscall --entry bind", "continue", "break *$pc", "finish"], &["bind"]);
    says(&finish, &["Catchpoint 1, entering bind(", "Breakpoint 2"]);
}

#[test]
fn a_target_is_left_amid_a_call_as_it_was() {
    let fixture = Fixture::get("calls");
    let mut command = Command::new(fixture.path());
    command.arg("wait").stdin(Stdio::piped());
    let mut target = Process::spawn(command);
    target.expect_line("waiting", SOON);
    let pid = target.pid().to_string();
    for round in 0..20 {
        let mut rdbg = Rdbg::start(["attach", "--pid", &pid, "--ex", "catch syscall epoll_wait", "--ex", "continue"]);
        rdbg.expect_line("Continuing", SOON);
        if round % 2 == 0 {
            rdbg.signal("INT");
            rdbg.expect_line("Stopped by interrupt", SOON);
        }
        rdbg.signal("TERM");
        rdbg.wait(SOON);
        rdbg.never_said("Catchpoint 1, ");
        Guard::check(target.pid());
    }
    let mut rdbg = Rdbg::start(["attach", "--pid", &pid]);
    rdbg.send("catch syscall --log epoll_wait");
    for _ in 0..5 {
        rdbg.send("continue");
        rdbg.expect_line("Continuing", SOON);
        rdbg.signal("INT");
        rdbg.expect_line("Stopped by interrupt", SOON);
    }
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    target.send("x");
    rdbg.expect_line("epoll_wait(epfd=", SOON);
    let logged = logged(&rdbg.finish(SOON).stdout);
    assert!(logged.len() == 1 && logged[0].ends_with("maxevents=1, timeout=-1) = 1"), "{logged:?}");
    assert!(target.wait(SOON).success().stdout.contains("woken 1 0"));
}

#[test]
fn calls_are_those_that_strace_sees() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        return skip("there is no strace");
    }
    let fixture = Fixture::get("calls");
    let strace = Command::new("strace").arg(fixture.path()).arg("bind").output().expect("strace runs");
    let name_and_result = |line: &str| {
        let (call, result) = line.rsplit_once(" = ")?;
        let name = call.split('(').next()?.trim().to_owned();
        let result = match result.strip_prefix("-1 ") {
            Some(error) => error.split(' ').next()?.to_owned(),
            None if result.starts_with("0x") => "an address".to_owned(),
            None => result.to_owned(),
        };
        Some((name, result))
    };
    let stderr = String::from_utf8_lossy(&strace.stderr).into_owned();
    let strange = |name: &str| ["set_tid_address", "getrandom", "getpid"].contains(&name);
    let expected: Vec<_> = stderr.lines().filter_map(name_and_result).filter(|(name, _)| !strange(name)).collect();
    let output = run(&[], &["catch syscall --log", "continue"], &["bind"]);
    let seen = logged(&output.stdout);
    let seen: Vec<_> =
        seen.iter().filter_map(|line| name_and_result(line)).filter(|(name, _)| !strange(name)).collect();
    // The execve that begins the program is rdbg's own business.
    assert_eq!(seen, expected[1..], "{stderr}\n{}", output.stdout);
}

#[test]
fn a_catchpoint_comes_and_goes_while_the_target_runs() {
    let mut target = Target::start(&Fixture::get("calls"), ["threads", "--wait-stdin", "--hold"]);
    let pid = target.pid().to_string();
    let home = Home::new();
    let mut rdbg = home.start(["attach", "--pid", &pid, "--ex", "continue"]);
    rdbg.expect_line("Continuing", SOON);
    // Set while the target is in its read: of that call the return is told.
    let ask = |command: &str| home.run(["ctl", command], SOON).success();
    for command in ["catch syscall read", "catch syscall dup3", "disable 2"] {
        ask(command);
    }
    target.release();
    let line = rdbg.expect_line("Catchpoint", SOON).text;
    assert!(line.contains("Catchpoint 1, read(fd=0, buf=0x") && line.contains("count=1) = 1 at "), "{line}");
    ask("delete 1");
    ask("continue");
    target.wait_done(SOON);
    rdbg.never_said("dup3(");
    rdbg.signal("TERM");
    rdbg.wait(SOON);
    Guard::check(target.pid());
}

#[test]
fn an_exec_by_another_thread_than_the_leader_is_one_call_from_entry_to_return() {
    let output = run(&[], &["catch syscall --log dup3 execve", "continue"], &["thread-exec"]).success();
    let calls = logged(&output.stdout);
    assert_eq!(calls.len(), 3, "{output:?}");
    assert!(calls[1].starts_with("execve(pathname=\"/proc/self/exe\"") && calls[1].ends_with(" = 0"), "{calls:?}");
    let stops =
        run(&[], &["catch syscall execve", "continue", "continue", "info threads", "continue"], &["thread-exec"]);
    says(
        &stops.success(),
        &[
            "Catchpoint 1, entering execve(",
            "thread 2 \"calls\"",
            "Catchpoint 1, execve(",
            " = 0",
            "thread 1 \"exe\"",
            "* 1 ",
            "exited with status 0",
        ],
    );
}

#[test]
fn with_non_stop_each_threads_calls_stop_it_alone_and_each_once() {
    let commands = ["set non-stop on", "catch syscall --entry dup3"].into_iter().chain(["continue"; 40]);
    let commands: Vec<&str> = commands.collect();
    let output = run(&[], &commands, &["threads", "--threads", "3", "--rounds", "5"]);
    assert_eq!(output.stdout.matches("Catchpoint 1, entering dup3(").count(), 15, "{output:?}");
    assert!(output.stdout.contains("exited with status 0"), "{output:?}");
}
