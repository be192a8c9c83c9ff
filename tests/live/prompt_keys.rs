//! The prompt on a terminal: Ctrl-C, Ctrl-D, completion, help, and lldb's long forms as people write them.

use crate::support::{procfs, Fixture, Guard, Home, Rdbg, Target, SOON};

/// Waits until the prompt can be typed at.
#[track_caller]
fn prompt(rdbg: &mut Rdbg) {
    rdbg.expect("the prompt", |line| line.text.contains("(rdbg) "), SOON);
}

/// Types a line at the prompt, and waits for what it brings.
#[track_caller]
fn types(rdbg: &mut Rdbg, keys: &str, text: &str) -> String {
    rdbg.send_bytes(keys.as_bytes());
    rdbg.expect_line(text, SOON).text
}

fn busy() -> Target {
    let mut target = Target::start(&Fixture::get("hits"), ["--threads", "4", "--endless", "--only", "push_rbp"]);
    target.release();
    target.process.expect_line("running ", SOON);
    target
}

#[track_caller]
fn unharmed(mut target: Target) {
    Guard::check(target.pid());
    target.process.send_bytes(b"\n");
    let output = target.wait(SOON).success();
    assert_eq!(output.count("wrong"), 0, "{output:?}");
}

#[track_caller]
fn attached(target: &Target) -> Rdbg {
    let mut rdbg = Home::new().start_on_terminal(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    prompt(&mut rdbg);
    rdbg
}

#[test]
fn ctrl_c_interrupts_the_target_and_kills_nobody() {
    let target = busy();
    let mut rdbg = attached(&target);
    for _ in 0..3 {
        types(&mut rdbg, "continue\r", "Continuing");
        prompt(&mut rdbg);
        types(&mut rdbg, "\x03", "Stopped by interrupt");
        prompt(&mut rdbg);
    }
    types(&mut rdbg, "print 40 + 2\r", "= 42");
    prompt(&mut rdbg);
    rdbg.send_bytes(b"quit\r");
    rdbg.wait(SOON).success();
    unharmed(target);
}

#[test]
fn ctrl_d_asks_before_it_kills_what_was_launched() {
    let program = Fixture::get("stack").path().display().to_string();
    let mut rdbg = Home::new().start_on_terminal(["run", "--stop-at-entry", "--", &program]);
    let line = rdbg.expect_line("Launched ", SOON).text;
    let pid: u32 = line
        .split_once("(pid ")
        .and_then(|(_, rest)| rest.split(')').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no pid in {line}"));
    prompt(&mut rdbg);
    types(&mut rdbg, "\x04", "Kill what was launched and quit?");
    rdbg.send_bytes(b"n\r");
    prompt(&mut rdbg);
    types(&mut rdbg, "print 40 + 2\r", "= 42");
    assert!(procfs::stat(pid).is_some());
    prompt(&mut rdbg);
    types(&mut rdbg, "\x04", "Kill what was launched and quit?");
    rdbg.send_bytes(b"y\r");
    rdbg.wait(SOON).success();
    assert!(procfs::stat(pid).is_none(), "{}", procfs::describe(pid));
}

#[test]
fn a_tab_completes_commands_and_symbols() {
    let target = busy();
    let mut rdbg = attached(&target);
    types(&mut rdbg, "info thre\t\r", "hits_3");
    prompt(&mut rdbg);
    types(&mut rdbg, "tbreak hits_push_r1\t\r", "Breakpoint 1: hits_push_r15+0");
    prompt(&mut rdbg);
    rdbg.send_bytes(b"quit\r");
    rdbg.wait(SOON).success();
    unharmed(target);
}

#[test]
fn help_and_unknown_commands_lead_on() {
    let target = busy();
    let mut rdbg = attached(&target);
    types(&mut rdbg, "help\r", "help COMMAND");
    prompt(&mut rdbg);
    types(&mut rdbg, "help tbreak\r", "deleted at its first stop");
    prompt(&mut rdbg);
    types(&mut rdbg, "frobnicate\r", "`frobnicate` is no command; `help` lists all");
    prompt(&mut rdbg);
    rdbg.send_bytes(b"quit\r");
    rdbg.wait(SOON).success();
    unharmed(target);
}

#[test]
fn a_terminal_that_drops_lets_the_target_go() {
    let target = busy();
    let mut rdbg = attached(&target);
    types(&mut rdbg, "break hits_push_rbp\r", "Breakpoint 1: hits_push_rbp");
    prompt(&mut rdbg);
    types(&mut rdbg, "continue\r", "Breakpoint 1, hits_push_rbp(");
    prompt(&mut rdbg);
    let debugger = rdbg.debugger_pid();
    // script holds the master side: without it the terminal hangs up.
    rdbg.signal("KILL");
    rdbg.wait(SOON);
    let end = std::time::Instant::now() + SOON;
    while procfs::stat(debugger).is_some_and(|(state, ..)| state != 'Z') {
        assert!(std::time::Instant::now() < end, "rdbg lives on: {}", procfs::describe(debugger));
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    unharmed(target);
}

#[test]
fn lldbs_lines_are_accepted_as_written() {
    let fixture = Fixture::get("mini_envoy");
    let program = fixture.path().display().to_string();
    let mut args = vec!["run", "--batch"];
    let lines = [
        "break Envoy::MainCommon::main",
        "continue",
        "breakpoint set --func-regex .*OsSysCallsImpl.*",
        "breakpoint set --shlib libc.so.6 --func-regex 'epoll_create.*|epoll_wait|epoll_ctl'",
        "breakpoint set --shlib libc.so.6 --basename 'epoll_create1'",
        "settings set target.process.follow-fork-mode child",
        "show follow-fork-mode",
        "set follow-fork-mode parent",
        "show follow-fork-mode",
        "platform process list",
        "breakpoint list",
        "process continue",
        "thread backtrace",
        "register read rip",
        "process status",
    ];
    for line in lines {
        args.extend(["--ex", line]);
    }
    args.extend(["--", &program, "--rounds", "1", "--listen", "0"]);
    let output = Rdbg::run(args, crate::support::LONG).success();
    let says = |text: &str| assert!(output.stdout.contains(text), "no `{text}`: {}\n{}", output.stdout, output.stderr);
    says("Breakpoint 2: 12 locations");
    says("Breakpoint 3: 4 locations");
    says("Breakpoint 4: epoll_create1+0 libc.so.6");
    says("follow-fork-mode = child");
    says("follow-fork-mode = parent");
    says("Breakpoint 2, Envoy::Api::OsSysCallsImpl::socket(");
    says("Envoy::MainCommon::main");
    says("rip");
    assert!(!output.stderr.contains("error"), "{}", output.stderr);
}

#[test]
fn lines_that_are_typed_ahead_are_all_done() {
    let target = busy();
    let mut rdbg = attached(&target);
    rdbg.send_bytes(b"print 40 + 2\rprint 50 + 3\rprint 60 + 4\r");
    for text in ["= 42", "= 53", "= 64"] {
        rdbg.expect_line(text, SOON);
    }
    prompt(&mut rdbg);
    rdbg.send_bytes(b"quit\r");
    rdbg.wait(SOON).success();
    unharmed(target);
}

#[test]
fn the_prompt_tells_no_standing_time_of_a_process_that_is_gone() {
    let target = Target::start(&Fixture::get("hits"), ["--threads", "1"]);
    let mut rdbg = attached(&target);
    rdbg.send_bytes(b"set pause-budget 30s\r");
    rdbg.expect("the time it may stand", |line| line.text.contains(" of 30s] (rdbg) "), SOON);
    target.process.signal("KILL");
    rdbg.expect_line("was killed by SIGKILL", SOON);
    types(&mut rdbg, "print 40 + 2\r", "= 42");
    rdbg.expect("a prompt without time", |line| line.text.contains("(rdbg) ") && !line.text.contains(" of 30s]"), SOON);
    let error = types(&mut rdbg, "print nothing_here + 1\r", "error:");
    assert!(error.contains("`nothing_here` means nothing: there is no process"), "{error}");
    prompt(&mut rdbg);
    rdbg.send_bytes(b"quit\r");
    rdbg.wait(SOON).success();
}
