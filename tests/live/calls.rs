//! Calls of the program's functions out of expressions (`--allow-calls`).

use std::process::Command;

use regex::Regex;

use crate::support::{Fixture, Guard, Home, Rdbg, Target, Variant, LONG, SOON};

/// What both debuggers call alike, while the program stands in `handled`.
const ALIKE: &[&str] = &[
    "twice(4)",
    "twice(4L)",
    "twice(2.5)",
    "twice(twice(3) + 1)",
    "bump()",
    "bump() + 10 * bump()",
    "counter",
    "narrow(200)",
    "is_red(red)",
    "next_colour(red)",
    "half(5)",
    "half(2.5f)",
    "small(5, 6)",
    "small(5, 6).b",
    "mixed(1.5, 7)",
    "large(10)",
    "large(10).words[3]",
    "nine(1,2,3,4,5,6,7,8,9)",
    "sum_small(a_pair)",
    "sum_large(a_large)",
    "length(a_text)",
    "slot()",
    "apply(triple, 21)",
    "a_square.area()",
    "a_shape->area()",
    "a_shape->number()",
    "a_square.number()",
    "a_square.title()",
    "a_square.scaled(2)",
    "a_square.scaled(0.5)",
    "shapes::Shape::count(2)",
    "shapes::perimeter(a_square)",
    "shapes::identity(&a_square)",
    "budget > 0 && spend()",
    "budget",
    "budget < 1 ? spend() : 7",
    "budget",
    "*cell()@2",
    "counter",
    "0 && bump()",
    "1 || bump()",
    "1 ? 5 : bump()",
    "sizeof(bump())",
    "counter",
    "catcher(2)",
    "(int)getpid() > 0",
    "$_strlen(twice(\"two\"))",
    "counter + bump() * 0",
];

fn marker(fixture: &str) -> String {
    let source = std::fs::read_to_string(fixture).expect("the fixture's source");
    let line = source.lines().position(|line| line.contains("MARK stop")).expect("its marker");
    format!("main.cpp:{}", line + 1)
}

fn stop() -> String {
    marker(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/called/main.cpp"))
}

/// Without addresses.
fn alike(text: &str) -> String {
    Regex::new("0x[0-9a-f]{6,}").expect("a constant").replace_all(text, "0xN").into_owned()
}

fn prints(lines: impl Iterator<Item = String>) -> Vec<String> {
    let value = Regex::new(r"^\$\d+ = (.*)$").expect("a constant");
    lines.filter_map(|line| Some(alike(value.captures(&line)?.get(1)?.as_str()))).collect()
}

/// The commands as arguments, each after `option`; a debugger goes on after one that fails.
fn arguments(option: &str, first: &[&str]) -> Vec<String> {
    let prints = ALIKE.iter().map(|one| format!("print {one}"));
    let commands = first.iter().map(|one| (*one).to_owned()).chain(prints);
    commands.flat_map(|one| [option.to_owned(), one]).collect()
}

#[test]
fn what_functions_return_is_what_gdb_says() {
    let home = Home::new();
    for variant in [Variant::O0, Variant::CLANG_O0] {
        let fixture = Fixture::build("called", variant);
        let program = fixture.path().display().to_string();
        let begin = format!("break {}", stop());
        let mut ours: Vec<String> = ["run", "--allow-calls", "--batch"].map(str::to_owned).into();
        ours.extend(arguments("--ex", &[&begin, "continue"]));
        ours.extend(["--".to_owned(), program.clone()]);
        let ours = prints(home.run(ours, LONG).stdout.lines().map(str::to_owned));
        let first = ["set width 0", "set debuginfod enabled off", &begin, "run"];
        let theirs =
            Command::new("gdb").args(["-nx", "-q", "-batch"]).args(arguments("-ex", &first)).arg(&program).output();
        let theirs = String::from_utf8_lossy(&theirs.expect("gdb runs").stdout).into_owned();
        let theirs = prints(theirs.lines().map(str::to_owned));
        assert_eq!((ours.len(), theirs.len()), (ALIKE.len(), ALIKE.len()), "{ours:#?}\n{theirs:#?}");
        for ((text, ours), theirs) in ALIKE.iter().zip(&ours).zip(&theirs) {
            // gdb's truth values are bool in C++, ours int as C's.
            let theirs = match (theirs.as_str(), ours.as_str()) {
                ("true", "1") => "1",
                ("false", "0") => "0",
                (theirs, _) => theirs,
            };
            match *text {
                // gdb has no printer for libc++'s.
                "a_square.title()" if variant.clang => assert!(ours.contains("\"square\""), "{ours}"),
                _ => assert_eq!(ours, theirs, "{text}, {}: rdbg's and gdb's", variant.name),
            }
        }
    }
}

/// rdbg at the marker, after these commands.
fn stopped(options: &[&str], args: &[&str]) -> Rdbg {
    let fixture = Fixture::build("called", Variant::O0);
    let program = fixture.path().display().to_string();
    let mut line = vec!["run".to_owned()];
    line.extend(options.iter().map(|one| (*one).to_owned()));
    line.extend(["--ex".to_owned(), format!("break {}", stop()), "--ex".to_owned(), "continue".to_owned()]);
    line.extend(["--".to_owned(), program]);
    line.extend(args.iter().map(|one| (*one).to_owned()));
    let mut rdbg = Rdbg::start(line);
    rdbg.expect_line("Breakpoint 1 at handled", SOON);
    rdbg
}

/// The program goes on from there to the end that it has without rdbg, but for its count.
#[track_caller]
fn goes_on(mut rdbg: Rdbg, counter: i32) {
    rdbg.send("delete");
    rdbg.send("continue");
    rdbg.expect_line(&format!("11 {counter} some text 12 1.5"), LONG);
    rdbg.expect_line("exited with status 0", SOON);
    rdbg.send("quit");
    rdbg.wait(SOON);
}

#[test]
fn nothing_is_called_unless_that_is_allowed() {
    let mut rdbg = stopped(&[], &[]);
    rdbg.send("print bump()");
    rdbg.expect_line("not done without `set allow-calls on`", SOON);
    rdbg.send("set allow-calls on");
    rdbg.send("whatis bump()");
    rdbg.expect_line("type = int", SOON);
    rdbg.send("condition 1 bump()");
    rdbg.expect_line("error: ", SOON);
    rdbg.send("display bump()");
    rdbg.expect_line("error: ", SOON);
    goes_on(rdbg, 1);
}

#[test]
fn what_ends_a_call_leaves_the_thread_as_it_was() {
    let mut rdbg = stopped(&["--allow-calls"], &[]);
    for (call, why) in [
        ("crash(0)", "SIGSEGV came at"),
        // No exception is to come from the call that it stands at.
        ("thrower(2)", "SIGABRT came at"),
        ("signaller()", "SIGUSR1 came at"),
        ("nine(1,2)", "it takes 9 and gets 2"),
        ("nosuch(1)", "no symbol \"nosuch\""),
        ("shapes::Shape::number(3)", "it is called for an object"),
    ] {
        rdbg.send(&format!("print {call}"));
        rdbg.expect_line(why, LONG);
        rdbg.send("print local");
        rdbg.expect(call, |line| line.text.ends_with(" = 11"), SOON);
    }
    rdbg.send("next");
    rdbg.expect_line("MARK thrower", SOON);
    rdbg.send("stepi");
    rdbg.expect_line("Step at", SOON);
    rdbg.send("print thrower(2)");
    // A handler of the frame that stands would catch it.
    rdbg.expect_line("an exception left it", SOON);
    rdbg.send("print forever()");
    rdbg.expect_line("in the call", LONG);
    rdbg.signal("INT");
    rdbg.expect_line("it was broken off", LONG);
    rdbg.send("handle SIGWINCH stop");
    rdbg.send("print forever()");
    rdbg.expect_line("in the call", LONG);
    let launched = rdbg.lines().into_iter().find_map(|line| {
        let rest = line.text.split_once(" (pid ")?.1.to_owned();
        rest.split(')').next()?.parse().ok()
    });
    crate::support::process::signal(launched.expect("the program's pid"), "WINCH");
    rdbg.expect_line("SIGWINCH came at", LONG);
    rdbg.send("continue");
    // It was none of the function's: the program gets it.
    rdbg.expect_line("Signal SIGWINCH", SOON);
    rdbg.send("break twice(int)");
    rdbg.expect_line("Breakpoint 2", SOON);
    rdbg.send("print twice(8)");
    rdbg.expect("a breakpoint does not stop a call", |line| line.text.ends_with(" = 16"), SOON);
    goes_on(rdbg, 1);
}

#[test]
fn a_call_that_ends_the_program_says_so() {
    let mut rdbg = stopped(&["--allow-calls"], &[]);
    rdbg.send("print ender()");
    // The end of the program, on standard output, and the answer come in any order.
    rdbg.send("quit");
    let output = rdbg.wait(LONG);
    assert!(output.stdout.contains("exited with status 3"), "{output:?}");
    assert!(output.stderr.contains("ender() has not returned: the thread has ended in it"), "{output:?}");
}

/// The lock's owner stands with all others; after half a second they run.
#[test]
fn a_call_that_waits_for_another_thread_comes_to_its_end() {
    let fixture = Fixture::build("called", Variant::O0);
    let program = fixture.path().display().to_string();
    let lines = ["--ex", "break handled", "--ex", "continue", "--ex", "print locked()", "--ex", "delete"];
    let line = ["run", "--allow-calls", "--batch"].into_iter().chain(lines);
    let output = Rdbg::run(line.chain(["--ex", "continue", "--", &program, "lock"]), LONG).success();
    assert!(output.stdout.contains("$1 = 5\n"), "{output:?}");
    assert!(output.stdout.contains("11 1 some text 12 1.5"), "{output:?}");
}

/// A signal that the program stands with is delivered after the call.
#[test]
fn a_signal_waits_for_the_end_of_a_call() {
    let fixture = Fixture::build("called", Variant::O0);
    let program = fixture.path().display().to_string();
    let lines = ["--ex", "continue", "--ex", "print twice(30)", "--ex", "print counter", "--ex", "continue"];
    let line = ["run", "--allow-calls", "--batch", "--stop-at-entry"].into_iter().chain(lines);
    let output = Rdbg::run(line.chain(["--", &program, "signal"]), LONG).success();
    assert!(output.stdout.contains("SIGUSR2"), "{output:?}");
    assert!(output.stdout.contains("$1 = 60\n") && output.stdout.contains("$2 = 0\n"), "{output:?}");
    assert!(output.stdout.contains("11 101 some text 12 1.5"), "{output:?}");
}

/// rdbg is killed while the function runs: when that returns, the kernel puts the thread back.
#[test]
fn a_thread_goes_on_as_it_was_though_rdbg_is_killed_in_the_call() {
    if !std::arch::is_x86_feature_detected!("avx") {
        return crate::support::skip("the CPU has no AVX");
    }
    for mode in [&[][..], &["--read"], &["--poll"]] {
        for is_killed in [true, false] {
            let mut target = Target::start(&Fixture::get("patterned"), mode);
            target.release();
            target.process.expect_line("waiting", SOON);
            let mut rdbg = Rdbg::start(["attach", "--allow-calls", "--pid", &target.pid().to_string()]);
            rdbg.watch(target.pid());
            rdbg.send("print slow(10)");
            target.process.expect_line("in the call", LONG);
            if is_killed {
                let guardian = super::survival::guardian(&rdbg);
                rdbg.signal("KILL");
                rdbg.wait(SOON);
                super::survival::gone(guardian);
                target.process.expect_line("out of the call", SOON);
            } else {
                rdbg.expect_line("$1 = 42", SOON);
                rdbg.send("quit");
                rdbg.wait(SOON);
            }
            Guard::check(target.pid());
            target.process.send_bytes(b"x");
            target.process.expect_line("wrong=0", SOON);
            target.wait(SOON).success();
        }
    }
}

/// With non-stop the others run all the time.
#[test]
fn a_thread_that_stands_alone_makes_a_call_alone() {
    let fixture = Fixture::build("called", Variant::O0);
    let program = fixture.path().display().to_string();
    let lines = ["set non-stop on", "break handled", "continue", "print locked()", "print bump()", "info threads"];
    let lines = lines.into_iter().flat_map(|line| ["--ex", line]);
    let line = ["run", "--allow-calls", "--batch"].into_iter().chain(lines);
    let output = Rdbg::run(line.chain(["--ex", "delete", "--ex", "continue", "--", &program, "lock"]), LONG).success();
    assert!(output.stdout.contains("$1 = 5\n") && output.stdout.contains("$2 = 1\n"), "{output:?}");
    assert!(output.stdout.contains("11 2 some text 12 1.5"), "{output:?}");
}

/// Clients of the session may look meanwhile; what would move the program ends the call.
#[test]
fn another_client_ends_a_call_only_where_it_moves_the_program() {
    let mut rdbg = stopped(&["--allow-calls"], &[]);
    rdbg.send("print forever()");
    rdbg.expect_line("in the call", LONG);
    let home = rdbg.home.clone();
    let ctl = |command: &str| home.run(["ctl", command], SOON);
    let output = ctl("info threads");
    assert!(output.stdout.contains("running"), "{output:?}");
    let output = ctl("print bump()");
    assert!(output.stderr.contains("error: "), "{output:?}");
    ctl("interrupt").success();
    rdbg.expect_line("another command came meanwhile", SOON);
    goes_on(rdbg, 1);
}
