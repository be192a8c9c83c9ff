//! Breakpoints by name, regex, base name and address; pending ones; what the prompt does at a stop.

use std::ffi::OsStr;
use std::time::Duration;

use crate::support::{Fixture, Guard, Home, Output, Rdbg, Target, Variant, SOON};

/// Launches a program under commands.
fn batch(commands: &[&str], program: &[&OsStr]) -> Output {
    let mut args: Vec<&OsStr> = vec![OsStr::new("run"), OsStr::new("--batch")];
    for command in commands {
        args.extend([OsStr::new("--ex"), OsStr::new(command)]);
    }
    args.push(OsStr::new("--"));
    args.extend(program);
    Rdbg::run(args, Duration::from_secs(60))
}

#[track_caller]
fn says(output: &Output, text: &str) {
    assert!(output.stdout.contains(text), "no `{text}` in:\n{}\n{}", output.stdout, output.stderr);
}

#[track_caller]
fn does_not_say(output: &Output, text: &str) {
    assert!(!output.stdout.contains(text), "`{text}` in:\n{}\n{}", output.stdout, output.stderr);
}

#[test]
fn each_way_to_name_a_cxx_function_finds_it() {
    for variant in [Variant::GCC, Variant::CLANG] {
        let fixture = Fixture::build("mini_envoy", variant);
        let program = [fixture.path().as_os_str(), OsStr::new("--rounds"), OsStr::new("1")];
        for name in [
            "break Envoy::Worker::tick",
            "break Worker::tick",
            "break tick",
            "break _ZN5Envoy6Worker4tickEim",
            "break Envoy::Worker::tick(int, unsigned long)",
            "break --regex '^Envoy::Worker::tick'",
            "break --basename tick",
            "breakpoint set --func-regex .*Worker::tick.*",
            "break --module mini_envoy tick",
        ] {
            let output = batch(&[name, "continue"], &program);
            assert!(
                output.stdout.contains("Breakpoint 1, Envoy::Worker::tick("),
                "{name}: {}{}",
                output.stdout,
                output.stderr
            );
        }
        let output = batch(&["break --module libc.so.6 tick", "continue"], &program);
        says(&output, "exited with status 0");
    }
}

#[test]
fn a_regex_over_a_class_finds_its_methods() {
    let fixture = Fixture::get("mini_envoy");
    let program = [fixture.path().as_os_str(), OsStr::new("--rounds"), OsStr::new("1")];
    let output = batch(&["break --regex .*OsSysCallsImpl.*", "continue", "bt 1", "info breakpoints"], &program);
    says(&output, "locations");
    says(&output, "Envoy::Api::OsSysCallsImpl::");
    says(&output, "#0 ");
}

#[test]
fn tbreak_condition_ignore_disable_enable_and_delete_do_what_they_say() {
    let fixture = Fixture::get("hits");
    let program = [fixture.path(), "--threads".as_ref(), "1".as_ref(), "--calls".as_ref(), "10".as_ref()]
        .map(|one| one.as_os_str());
    let output = batch(&["tbreak hits_push_rbp", "continue", "continue"], &program);
    says(&output, "exited with status 0");
    let output = batch(
        &["break hits_push_rbp", "ignore 1 9", "continue", "info breakpoints", "disable 1", "continue"],
        &program,
    );
    says(&output, "Breakpoint 1, hits_push_rbp");
    says(&output, "y   10 ");
    says(&output, "exited with status 0");
    let output = batch(&["break hits_push_rbp if $rsp == 0", "continue"], &program);
    does_not_say(&output, "Breakpoint 1, ");
    let output = batch(&["break hits_push_rbp if $rsp != 0", "continue", "delete 1", "continue"], &program);
    says(&output, "Breakpoint 1, hits_push_rbp");
    says(&output, "exited with status 0");
    let output = batch(&["break hits_push_rbp", "disable 1", "enable 1", "continue"], &program);
    says(&output, "Breakpoint 1, hits_push_rbp");
}

#[test]
fn an_address_is_a_breakpoint_and_memory_shows_no_int3() {
    let fixture = Fixture::get("hits");
    let program = [fixture.path().as_os_str()];
    let output =
        batch(&["break *hits_push_rbp", "x/1xb hits_push_rbp", "continue", "x/1xb $pc", "disassemble"], &program);
    says(&output, "Breakpoint 1, hits_push_rbp");
    does_not_say(&output, "0xcc");
    does_not_say(&output, "int3");
    says(&output, "push");
}

#[test]
fn a_breakpoint_waits_for_its_module_and_goes_and_comes_with_it() {
    let (opener, plugin) = (Fixture::get("dlopener"), Fixture::get("plugin"));
    let program = [opener.path().as_os_str(), OsStr::new("--rounds"), OsStr::new("3"), plugin.path().as_os_str()];
    let output =
        batch(&["break plugin_entry", "ignore 1 12", "continue", "info breakpoints", "disable", "continue"], &program);
    says(&output, "(pending)");
    // Five calls a round: the 13th is in the third round, in a module that was loaded for the third time.
    says(&output, "Breakpoint 1, plugin_entry(");
    says(&output, "y   13 ");
    says(&output, "exited with status 0");
}

#[test]
fn an_indirect_function_is_the_one_that_was_chosen() {
    let fixture = Fixture::get("mini_envoy");
    let program = [fixture.path().as_os_str(), OsStr::new("--rounds"), OsStr::new("1")];
    let output =
        batch(&["break main", "continue", "delete 1", "break --module libc.so.6 strlen", "continue", "bt 2"], &program);
    says(&output, "Breakpoint 2, strlen(");
    // It has a shorter name, too.
    let output = batch(&["break main", "continue", "break --module libc.so.6 strchr"], &program);
    says(&output, "Breakpoint 2: strchr+0 libc.so.6");
}

#[test]
fn stepping_and_finishing_go_where_the_instructions_go() {
    let fixture = Fixture::get("stack");
    let program = [fixture.path().as_os_str(), OsStr::new("--mode"), OsStr::new("recursion")];
    let commands =
        ["break stack_leaf", "continue", "delete", "stepi", "p $pc - stack_leaf", "nexti 2", "finish", "bt 1"];
    let output = batch(&commands, &program);
    says(&output, "$1 = 1");
    says(&output, "Finished, returned");
    says(&output, "#0 ");
    let output = batch(&["break stack_leaf", "continue", "up", "up", "down", "frame 1", "down"], &program);
    says(&output, "stack_leaf+0");
    assert!(output.status.success(), "{}", output.stderr);
}

#[test]
fn what_was_set_is_there_again_after_run() {
    let fixture = Fixture::get("hits");
    let output = batch(&["break hits_push_rbp", "continue", "run", "continue"], &[fixture.path().as_os_str()]);
    assert_eq!(output.stdout.matches("Breakpoint 1, hits_push_rbp").count(), 2, "{}", output.stdout);
}

#[test]
fn breakpoints_in_a_running_process_leave_its_text_as_it_was() {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "4", "--calls", "2000", "--hold"]);
    let pid = target.pid().to_string();
    let home = Home::new();
    let mut rdbg = home.start(["attach", "--pid", &pid]);
    rdbg.send("break --regex ^hits_");
    rdbg.expect_line("locations", SOON);
    rdbg.send("ignore 1 1000000");
    rdbg.send("continue");
    target.release();
    target.wait_done(Duration::from_secs(100));
    rdbg.close_stdin();
    rdbg.signal("TERM");
    rdbg.wait(SOON);
    Guard::check(target.pid());
    target.release();
    assert_eq!(target.wait(SOON).code(), 0);
}
