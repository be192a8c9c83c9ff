//! step, next, until and advance: the same lines as gdb, and where gdb gives up.

use std::process::Command;

use super::source::{batch, line_of};
use crate::support::{Fixture, Output, Variant};

/// The lines of main.cpp and shape.h where the target stopped, in order.
fn lines(output: &Output) -> Vec<String> {
    let stops = output.stdout.lines().filter(|line| line.starts_with("Step") || line.starts_with("Breakpoint 1"));
    let at = |line: &str| line.rsplit_once(" at ").map(|(_, place)| place.rsplit('/').next().unwrap_or("").to_owned());
    stops.filter(|line| line.contains("main.cpp:") || line.contains("shape.h:")).filter_map(at).skip(2).collect()
}

/// The lines where gdb stops under the same commands.
fn lines_of_gdb(fixture: &Fixture, at: &str, command: &str, count: usize) -> Vec<String> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-batch", "-nx", "-ex", "skip -rfu ^std::", "-ex", "set debuginfod enabled off"]);
    gdb.args(["-ex", &format!("break {at}"), "-ex", "run"]);
    for _ in 0..count {
        gdb.args(["-ex", command, "-ex", "printf \"@\"", "-ex", "frame"]);
    }
    let output = gdb.arg(fixture.path()).output().expect("gdb (run scripts/setup)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let stops = text.lines().filter(|line| line.starts_with("@#0"));
    let at = |line: &str| line.rsplit_once(" at ").map(|(_, place)| place.rsplit('/').next().unwrap_or("").to_owned());
    let ours = |place: &String| place.starts_with("main.cpp") || place.starts_with("shape.h");
    stops.filter_map(at).filter(ours).collect()
}

fn stepped(fixture: &Fixture, at: &str, command: &str, count: usize) -> Vec<String> {
    let mut commands = vec![format!("break {at}"), "continue".to_owned()];
    commands.extend(std::iter::repeat_n(command.to_owned(), count));
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    lines(&batch(fixture, &[], &commands))
}

#[test]
fn unoptimised_code_is_stepped_line_by_line_as_gdb_does() {
    let (main, values) = (line_of("main.cpp", "main"), line_of("main.cpp", "values"));
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::DWARF4] {
        let fixture = Fixture::build("source", variant);
        for (at, command, count) in [
            (format!("main.cpp:{main}"), "next", 16),
            (format!("main.cpp:{main}"), "step", 30),
            (format!("main.cpp:{main}"), "until", 10),
            (format!("main.cpp:{}", values - 14), "next", 14),
        ] {
            let (ours, gdbs) = (stepped(&fixture, &at, command, count), lines_of_gdb(&fixture, &at, command, count));
            assert!(ours.len() >= 10, "{}: {command} at {at}: {ours:?}", variant.name);
            assert_eq!(ours, gdbs, "{}: {command} at {at}", variant.name);
        }
    }
}

#[test]
fn a_step_over_or_out_of_what_throws_ends_at_the_handler() {
    let (throw, call, handler) =
        (line_of("main.cpp", "throw"), line_of("main.cpp", "call thrower"), line_of("main.cpp", "handler"));
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::DWARF4] {
        let fixture = Fixture::build("source", variant);
        for at in [throw, call] {
            let ours = stepped(&fixture, &format!("main.cpp:{at}"), "next", 4);
            let landed = ours.iter().position(|place| *place == format!("main.cpp:{}", handler - 1));
            assert!(landed == Some(0), "{}: from {at}: {ours:?}", variant.name);
            assert!(ours.contains(&format!("main.cpp:{handler}")), "{}: {ours:?}", variant.name);
        }
    }
}

#[test]
fn optimised_code_is_stepped_to_its_end_without_getting_lost() {
    for variant in [Variant::GCC, Variant::CLANG] {
        let fixture = Fixture::build("source", variant);
        let at = format!("main.cpp:{}", line_of("main.cpp", "inlined"));
        for command in ["next", "step"] {
            let mut commands = vec![format!("break {at}"), "continue".to_owned()];
            commands.extend(std::iter::repeat_n(command.to_owned(), 10));
            commands.push("continue".to_owned());
            let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
            let output = batch(&fixture, &[], &commands);
            assert!(output.stdout.contains("exited with status 0"), "{}: {}", variant.name, output.stdout);
        }
    }
}

#[test]
fn a_breakpoint_in_a_call_that_is_stepped_over_stops_the_step() {
    let fixture = Fixture::build("source", Variant::O0);
    let (call, deepest) = (line_of("main.cpp", "factorial"), line_of("main.cpp", "deepest"));
    let set = [format!("break main.cpp:{call}"), format!("break main.cpp:{deepest}")];
    let output = batch(&fixture, &[], &[&set[0], &set[1], "continue", "next", "next", "continue"]);
    assert!(output.stdout.contains("Breakpoint 2 at (anonymous namespace)::factorial+"), "{}", output.stdout);
    assert!(output.stdout.contains(&format!("main.cpp:{}\n", deepest + 4)), "{}", output.stdout);
    assert!(output.stdout.contains("exited with status 0"), "{}", output.stdout);
}

#[test]
fn recursion_does_not_end_a_step_in_another_frame() {
    let fixture = Fixture::build("source", Variant::O0);
    let line = line_of("main.cpp", "recursion");
    let at = format!("main.cpp:{line}");
    let commands = [&format!("tbreak {at}") as &str, "continue", "next", "bt"];
    let output = batch(&fixture, &[], &commands);
    assert!(output.stdout.contains(&format!("-> {:>4}    return n * below;", line + 1)), "{}", output.stdout);
    let deepest = output.stdout.lines().filter(|one| one.starts_with('#') && one.contains("factorial")).count();
    assert_eq!(deepest, 1, "{}", output.stdout);
}

#[test]
fn skip_keeps_step_out_of_functions_and_files() {
    let fixture = Fixture::build("source", Variant::O0);
    let at = format!("break main.cpp:{}", line_of("main.cpp", "factorial"));
    let call = line_of("main.cpp", "factorial");
    for rule in ["skip function factorial", "skip file main.cpp", "skip regex ^.*factorial"] {
        let output = batch(&fixture, &[], &[&at, "continue", rule, "step", "info skip"]);
        assert!(output.stdout.contains(&format!("\n-> {:>4}", call + 1)), "{rule}: {}", output.stdout);
        assert!(output.stdout.contains("\n1   "), "{rule}: {}", output.stdout);
    }
    let output = batch(&fixture, &[], &[&at, "continue", "skip factorial", "skip delete 1", "step"]);
    assert!(output.stdout.contains("\n->   54    if (n <= 1)"), "{}", output.stdout);
}

#[test]
fn advance_and_until_run_to_a_place_or_to_the_frames_end() {
    let fixture = Fixture::build("source", Variant::O0);
    let at = format!("break main.cpp:{}", line_of("main.cpp", "main"));
    let last = line_of("main.cpp", "last");
    let output = batch(&fixture, &[], &[&at, "continue", &format!("advance main.cpp:{last}")]);
    assert!(output.stdout.contains(&format!("\n-> {last:>4}")), "{}", output.stdout);
    let output = batch(&fixture, &[], &[&at, "continue", "advance factorial", "until main.cpp:1000", "until 118"]);
    assert!(output.stdout.contains("\n->   54    if (n <= 1)"), "{}", output.stdout);
    assert!(output.stderr.contains("has code of a source file"), "{}", output.stderr);
}

#[test]
fn a_signal_during_a_step_runs_its_handler_and_the_step_goes_on() {
    let fixture = Fixture::build("stepped", Variant::O0);
    let line = |mark: &str| super::source::line_in("stepped.c", mark);
    let at = format!("break stepped.c:{}", line("spin"));
    let output = batch(&fixture, &[], &[&at, "continue", "next", "next", "continue"]);
    assert!(output.stdout.contains(&format!("\n-> {:>4}", line("after spin"))), "{}\n{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("handled"), "{}", output.stdout);
    let at = format!("break stepped.c:{}", line("wait"));
    let output = batch(&fixture, &[], &[&at, "continue", "next", "continue"]);
    assert!(output.stdout.contains(&format!("\n-> {:>4}", line("after wait"))), "{}\n{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("exited with status 0"), "{}", output.stdout);
}
