//! What a breakpoint counts is what the program counts, and the program's own answers do not change.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use crate::support::{procfs, Fixture, Guard, Home, Output, Process, Rdbg, Target, Variant, LONG, SOON};

/// Large enough that no hit is ever the one that stops.
const NEVER: &str = "1000000000";

fn words<'a>(options: &'a [&'a str], program: &'a Path, args: &'a [&'a str]) -> Vec<&'a OsStr> {
    let options = options.iter().map(OsStr::new);
    options.chain([OsStr::new("--"), program.as_os_str()]).chain(args.iter().map(OsStr::new)).collect()
}

/// `run --batch` with these commands.
fn run_with(commands: &[String], program: &Path, args: &[&str]) -> Output {
    let mut options = vec!["run", "--batch"];
    for command in commands {
        options.extend(["--ex", command]);
    }
    Rdbg::run(words(&options, program, args), LONG)
}

/// The hits that the last `info breakpoints` told, by number.
fn hits_told(stdout: &str) -> BTreeMap<u32, u64> {
    let mut hits = BTreeMap::new();
    for line in stdout.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [id, kind, "y" | "n", count, ..] = fields.as_slice() {
            if let (true, Ok(id), Ok(count)) = (["stop", "log", "once"].contains(kind), id.parse(), count.parse()) {
                hits.insert(id, count);
            }
        }
    }
    hits
}

/// Every `hits_NAME=COUNT` of the fixture's last line.
fn program_counts(stdout: &str) -> Vec<(String, u64)> {
    let words = stdout.split_whitespace().filter_map(|word| word.split_once('='));
    let counts = words.filter(|(name, _)| name.starts_with("hits_"));
    counts.map(|(name, count)| (name.to_owned(), count.parse().expect("a count"))).collect()
}

fn checksum(stdout: &str) -> String {
    let word = stdout.split_whitespace().find(|word| word.starts_with("checksum="));
    word.unwrap_or_else(|| panic!("no checksum in:\n{stdout}")).to_owned()
}

/// The fixture without rdbg.
fn alone(program: &Path, args: &[&str]) -> String {
    let mut command = std::process::Command::new(program);
    command.args(args);
    Process::spawn(command).finish(LONG).success().stdout
}

/// A breakpoint on each of these functions that counts and never stops, and one that stops at the end.
fn counting(names: &[String]) -> Vec<String> {
    let mut commands = Vec::new();
    for (at, name) in names.iter().enumerate() {
        commands.extend([format!("break {name}"), format!("ignore {} {NEVER}", at + 1)]);
    }
    let more = ["tbreak _exit", "continue", "info breakpoints", "continue"];
    commands.extend(more.map(str::to_owned));
    commands
}

#[test]
fn eight_threads_on_one_function_count_exactly_what_the_program_counts() {
    let fixture = Fixture::get("hits");
    let args = ["--threads", "8", "--calls", "2000", "--only", "push_rbp"];
    let expected = checksum(&alone(fixture.path(), &args));
    let output = run_with(&counting(&["hits_push_rbp".to_owned()]), fixture.path(), &args).success();
    assert_eq!(hits_told(&output.stdout)[&1], 16_000, "{}", output.stdout);
    assert_eq!(output.count("hits_push_rbp"), 16_000);
    assert_eq!(output.count("wrong"), 0);
    assert_eq!(checksum(&output.stdout), expected);
}

#[test]
fn every_kind_of_first_instruction_counts_exactly_and_changes_nothing() {
    for variant in [Variant::GCC, Variant::NO_PIE, Variant::STATIC] {
        let fixture = Fixture::build("hits", variant);
        let args = ["--threads", "4", "--calls", "50"];
        let without = alone(fixture.path(), &args);
        let names: Vec<String> = program_counts(&without).into_iter().map(|(name, _)| name).collect();
        assert!(names.len() > 25, "{without}");
        let output = run_with(&counting(&names), fixture.path(), &args).success();
        let told = hits_told(&output.stdout);
        for (at, (name, count)) in program_counts(&output.stdout).into_iter().enumerate() {
            assert_eq!(count, 200, "{name}");
            assert_eq!(told[&(at as u32 + 1)], count, "{name} ({}):\n{}", variant.name, output.stdout);
        }
        assert_eq!(output.count("wrong"), 0, "{}", variant.name);
        assert_eq!(checksum(&output.stdout), checksum(&without), "{}", variant.name);
    }
}

#[test]
fn a_condition_that_is_false_stops_nobody_and_one_that_is_true_stops_once() {
    let fixture = Fixture::get("hits");
    let args = ["--threads", "4", "--calls", "300", "--only", "cmp"];
    let expected = checksum(&alone(fixture.path(), &args));
    // x is i * 0x100000001 + thread * 7 + 9: true once in each of four threads, in i = 100.
    let commands = ["break hits_cmp if 0", "break hits_cmp if ($rdi >> 32) == 100", "tbreak _exit"];
    let mut commands = commands.map(str::to_owned).to_vec();
    commands.extend((0..5).map(|_| "continue".to_owned()));
    commands.extend(["info breakpoints", "continue"].map(str::to_owned));
    let output = run_with(&commands, fixture.path(), &args).success();
    let told = hits_told(&output.stdout);
    assert_eq!((told[&1], told[&2]), (0, 4), "{}", output.stdout);
    assert_eq!(output.stdout.matches("Breakpoint 2, hits_cmp").count(), 4, "{}", output.stdout);
    assert!(!output.stdout.contains("Breakpoint 1, hits_cmp"), "{}", output.stdout);
    assert_eq!(checksum(&output.stdout), expected);
}

#[test]
fn ignore_lets_exactly_so_many_hits_pass() {
    let fixture = Fixture::get("hits");
    let args = ["--threads", "1", "--calls", "300", "--only", "nop"];
    let commands = ["break hits_nop", "ignore 1 123", "continue", "print $rdi >> 32", "delete", "continue"];
    let output = run_with(&commands.map(str::to_owned), fixture.path(), &args).success();
    // 123 calls (i = 0..122) passed: the stop is in i = 123.
    assert!(output.stdout.contains("= 123"), "{}", output.stdout);
    assert_eq!(output.count("hits_nop"), 300);
}

#[test]
fn a_log_shows_a_line_for_each_hit() {
    let fixture = Fixture::get("hits");
    let args = ["--threads", "8", "--calls", "100", "--only", "push_rbp"];
    let output = Rdbg::run(words(&["break", "--name", "hits_push_rbp", "--log"], fixture.path(), &args), LONG);
    let output = output.success();
    let shown = output.stdout.lines().filter(|line| line.contains("] hits_push_rbp(")).count();
    assert_eq!(shown, 800, "{}", output.stdout);
    for thread in 0..8 {
        let name = format!(" hits_{thread}[");
        let of_thread = output.stdout.lines().filter(|line| line.contains(&name)).count();
        assert_eq!(of_thread, 100, "{name}");
    }
    assert_eq!(output.count("wrong"), 0);
}

#[test]
fn a_log_with_a_count_shows_so_many_and_lets_the_program_be() {
    let fixture = Fixture::get("hits");
    let target = Target::start(&fixture, ["--threads", "8", "--endless", "--only", "push_rbp"]);
    let mut target = target;
    target.release();
    target.process.expect_line("running ", SOON);
    let pid = target.pid().to_string();
    let guard = Guard::take(target.pid());
    let args = ["break", "--name", "hits_push_rbp", "--log", "--count", "25", "--pid", &pid];
    let output = Rdbg::run(args, LONG).success();
    let shown = output.stdout.lines().filter(|line| line.contains("] hits_push_rbp(")).count();
    assert_eq!(shown, 25, "{}", output.stdout);
    assert!(output.stdout.contains("Breakpoint 1 is done after 25 hits"), "{}", output.stdout);
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(!all.contains("cannot pass"), "{all}");
    guard.check_after();
    target.process.send_bytes(b"\n");
    assert_eq!(target.wait(SOON).success().count("wrong"), 0);
}

#[test]
fn a_stripped_program_is_logged_where_it_calls_libc() {
    let fixture = Fixture::build("stack", Variant::STRIPPED);
    let home = Home::new();
    let program = fixture.copy_as(home.path(), "no_symbols");
    let args = ["--mode", "recursion", "--rounds", "7"];
    let options = ["break", "--name", "getppid", "--module", "libc.so.6", "--log"];
    let output = home.run(words(&options, &program, &args), LONG).success();
    assert_eq!(output.stdout.lines().filter(|line| line.ends_with("] getppid()")).count(), 7, "{}", output.stdout);
    assert_eq!((output.count("leaf"), output.count("wrong")), (7, 0));
}

#[test]
fn coming_and_going_while_eight_threads_hit_loses_nothing_of_the_program() {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "8", "--endless"]);
    target.release();
    target.process.expect_line("running ", SOON);
    let pid = target.pid().to_string();
    let home = Home::new();
    for round in 0..20 {
        let args = ["break", "--regex", "^hits_[a-z0-9_]+$", "--log", "--count", "10", "--pid", &pid];
        let output = home.run(args, LONG).success();
        assert!(output.stdout.contains("is done after 10 hits"), "round {round}: {output:?}");
        Guard::check(target.pid());
    }
    target.process.send_bytes(b"\n");
    let output = target.wait(LONG).success();
    assert_eq!(output.count("wrong"), 0);
    assert!(output.count("hits_push_rbp") > 20);
}

#[test]
fn every_thread_goes_on_working_under_a_breakpoint_that_counts() {
    let fixture = Fixture::get("hits");
    let mut target = Target::start(&fixture, ["--threads", "8", "--calls", "2000", "--only", "mov_rip", "--hold"]);
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    for command in ["break hits_mov_rip", &format!("ignore 1 {NEVER}"), "continue"] {
        rdbg.send(command);
    }
    rdbg.expect_line("Continuing", SOON);
    target.release();
    target.wait_done(LONG);
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    rdbg.send("info breakpoints");
    rdbg.send("echo told");
    rdbg.expect_line("told", SOON);
    let text: String = rdbg.lines().into_iter().map(|line| line.text + "\n").collect();
    assert_eq!(hits_told(&text)[&1], 16_000, "{text}");
    assert_eq!(target.count("hits_mov_rip"), 16_000);
    rdbg.send("quit");
    rdbg.finish(SOON).success();
    Guard::check(target.pid());
    assert!(procfs::tasks(target.pid()).len() == 1);
    target.release();
    target.wait(SOON).success();
}
