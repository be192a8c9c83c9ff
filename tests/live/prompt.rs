//! The prompt on a terminal.

use crate::support::{Fixture, Guard, Home, Target, SOON};

#[test]
fn ctrl_c_interrupts_the_target_and_kills_nobody_and_ctrl_d_asks() {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "2", "--endless"]);
    target.release();
    let home = Home::new();
    let mut rdbg = home.start_on_terminal(["attach", "--pid", &target.pid().to_string()]);
    rdbg.expect_line("(rdbg)", SOON);
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    rdbg.send_bytes(b"\x03");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.expect_line("(rdbg)", SOON);
    rdbg.send("bt 1");
    rdbg.expect_line("#0 ", SOON);
    // Between two prompts the terminal is in canonical mode, where the kernel takes Ctrl-D for the end of a line.
    rdbg.expect_line("(rdbg)", SOON);
    rdbg.send_bytes(b"\x04");
    rdbg.expect_line("(y or n)", SOON);
    rdbg.send("y");
    rdbg.wait(SOON);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}

#[test]
fn a_line_that_is_no_command_is_explained_and_help_helps() {
    let home = Home::new();
    let mut rdbg = home.start(["run", "--stop-at-entry", "--", "/bin/true"]);
    rdbg.expect_line("Launched", SOON);
    rdbg.send("brek main");
    rdbg.expect_line("did you mean `break`", SOON);
    rdbg.send("help break");
    rdbg.expect_line("--regex", SOON);
    rdbg.send("p 6 * 7");
    rdbg.expect_line("$1 = 42", SOON);
    rdbg.send("p no_such_thing");
    rdbg.expect_line("no_such_thing", SOON);
    rdbg.finish(SOON);
}

#[test]
fn the_lines_of_lldb_users_are_accepted_as_they_stand() {
    let home = Home::new();
    let mut rdbg = home.start(["run", "--stop-at-entry", "--", "/bin/true"]);
    rdbg.expect_line("Launched", SOON);
    for (line, answer) in [
        ("breakpoint set --func-regex .*OsSysCallsImpl.*", "Breakpoint 1"),
        ("breakpoint set --shlib libc.so.6 --func-regex 'epoll_create.*|epoll_wait|epoll_ctl'", "Breakpoint 2"),
        ("breakpoint set --shlib libc.so.6 --basename 'epoll_create1'", "Breakpoint 3"),
        ("settings set target.process.follow-fork-mode child", ""),
        ("show follow-fork-mode", "child"),
        ("set follow-fork-mode parent", ""),
        ("show follow-fork-mode", "parent"),
        ("platform process list", "rdbg"),
        ("breakpoint list", "epoll_create1"),
    ] {
        rdbg.send(line);
        if !answer.is_empty() {
            rdbg.expect_line(answer, SOON);
        }
    }
    let output = rdbg.finish(SOON);
    assert!(!output.stderr.contains("error"), "{output:?}");
}

#[test]
fn process_attach_waitfor_waits_and_ctrl_c_gives_up_the_wait_and_no_more() {
    let home = Home::new();
    let mut rdbg = home.start(["run", "--stop-at-entry", "--", "/bin/true"]);
    rdbg.expect_line("Launched", SOON);
    rdbg.send("kill");
    rdbg.expect_line("was killed by SIGKILL", SOON);
    rdbg.send("process attach --name rdbg-no-such-program --waitfor");
    rdbg.expect_line("Waiting for rdbg-no-such-program", SOON);
    rdbg.signal("INT");
    rdbg.expect_line("no longer waiting for rdbg-no-such-program", SOON);
    rdbg.send("print 6 * 7");
    rdbg.expect_line("$1 = 42", SOON);
    rdbg.send("quit");
    rdbg.finish(SOON);
}
