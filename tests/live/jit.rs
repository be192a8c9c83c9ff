//! Code that a JIT has made, and named in /tmp/perf-PID.map: stacks, `info symbol` and breakpoints know it.

use std::process::Command;

use crate::support::{Fixture, Guard, Process, Rdbg, SOON};

#[test]
fn made_code_has_names_in_stacks_and_breakpoints_and_the_map_is_read_again_when_it_grows() {
    let mut command = Command::new(Fixture::get("jitter").path());
    command.args(["--calls", "3", "--hold"]);
    let mut target = Process::spawn(command);
    target.expect_line("made", SOON);
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.send("break --regex jit_first");
    rdbg.expect_line("Breakpoint 1: jit_first script.js:1+0 perf-", SOON);
    rdbg.send("break --regex jit_second");
    rdbg.expect_line("no module that is loaded has a function that matches", SOON);
    rdbg.send("tbreak from_jit");
    rdbg.send("continue");
    target.send_bytes(b"\n");
    rdbg.expect_line("Breakpoint 1, jit_first script.js:1", SOON);
    rdbg.send("info symbol $rip");
    rdbg.expect_line("jit_first script.js:1+0 perf-", SOON);
    rdbg.send("continue");
    rdbg.expect_line("from_jit", SOON);
    rdbg.send("bt");
    rdbg.expect_line("#1 ", SOON);
    rdbg.send("info sharedlibrary");
    rdbg.expect_line("the map of its JIT (1 functions)", SOON);
    rdbg.send("delete 1");
    rdbg.send("continue");
    target.expect_line("grown", SOON);
    // The map has grown: at the next stop the function is found that breakpoint 2 waits for.
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.expect_line("jit_second script.js:2", SOON);
    rdbg.send("continue");
    target.send_bytes(b"\n");
    rdbg.expect_line("Breakpoint 2, jit_second script.js:2", SOON);
    rdbg.send("delete");
    rdbg.send("detach");
    rdbg.expect_line("Detached", SOON);
    target.expect_line("done", SOON);
    Guard::check(target.pid());
    target.send_bytes(b"\n");
    let output = target.wait(SOON).success();
    assert_eq!((output.count("from_jit"), output.count("wrong")), (6, 0));
}
