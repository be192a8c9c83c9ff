//! Long sequences of steps over the same program, in rdbg and in gdb: after each command both stand in the same line of
//! the same function. Where they part, it is listed here with who is right.

use std::process::Command;

use regex::Regex;

use super::source::{batch, line_in};
use crate::support::{Fixture, Variant};

/// Function and line where a command has led.
type Place = Option<(String, u32)>;

/// What is in rdbg's sequence and not in gdb's, or the other way round, and why rdbg's stays.
const PARTED: &[(&str, &str, &str)] = &[(
    "clang-o0",
    "inheritance: int legs =",
    "code of line 0 amid a line is no line of its own; gdb stops in the line again behind it",
)];

/// Each command, and behind it the frame.
fn framed(commands: &[String]) -> Vec<String> {
    commands
        .iter()
        .flat_map(|one| [one.clone(), "echo @@@".to_owned(), "frame".to_owned(), "echo @@@".to_owned()])
        .collect()
}

/// The places in what a debugger printed, by the frames between the marks.
fn places(printed: &str, frame: &Regex) -> Vec<Place> {
    let frames = printed.split("@@@").skip(1).step_by(2);
    frames
        .map(|text| {
            let found = frame.captures(text)?;
            // A closure's function has its whole name in rdbg, and `operator()` in gdb.
            let is_closure = found[0].contains("lambda") || found[1].contains("operator");
            let name = if is_closure { "a closure" } else { &found[1] };
            Some((name.to_owned(), found[2].parse().ok()?))
        })
        .collect()
}

fn of_rdbg(fixture: &Fixture, commands: &[String]) -> Vec<Place> {
    let commands = framed(commands);
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let frame = Regex::new(r"#\d+  0x[0-9a-f]+ ([^+\s(<]+)[^\n]* at [^\n]*:(\d+)\n").expect("a constant");
    places(&batch(fixture, &[], &commands).stdout, &frame)
}

fn of_gdb(fixture: &Fixture, commands: &[String]) -> Vec<Place> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    // rdbg passes over the library's functions unless told otherwise.
    for skipped in ["skip -gfi */c++/*", "skip -gfi */bits/*", "skip -rfu ^std::"] {
        gdb.args(["-ex", skipped]);
    }
    let commands = framed(commands);
    let first = commands.iter().position(|one| one == "continue");
    for (number, one) in commands.iter().enumerate() {
        gdb.args(["-ex", if Some(number) == first { "run" } else { one }]);
    }
    let output = gdb.arg(fixture.path()).output().expect("gdb (run scripts/setup)");
    let frame = Regex::new(r"#\d+  (?:0x[0-9a-f]+ in )?([^\s(<]+)[^\n]* at [^\n]*:(\d+)\n").expect("a constant");
    places(&String::from_utf8_lossy(&output.stdout), &frame)
}

fn begin() -> Vec<String> {
    vec![format!("tbreak kinds.cpp:{}", line_in("kinds/kinds.cpp", "begin")), "continue".to_owned()]
}

fn compare(variant: Variant, commands: Vec<String>) {
    let fixture = Fixture::build("kinds", variant);
    // Before the program runs the two have nothing to compare.
    let [ours, mut theirs] = [of_rdbg(&fixture, &commands), of_gdb(&fixture, &commands)].map(|all| all[1..].to_vec());
    let source = std::fs::read_to_string("fixtures/kinds/kinds.cpp").expect("the source");
    let text = |place: &Place| {
        let (function, line) = place.as_ref()?;
        Some(format!("{function}: {}", source.lines().nth(*line as usize - 1)?.trim()))
    };
    let mut at = 0;
    while at < ours.len().min(theirs.len()) {
        let is_listed = || {
            let listed = |one: &&(&str, &str, &str)| {
                variant.name == one.0 && text(&theirs[at]).is_some_and(|text| text.starts_with(one.1))
            };
            theirs[at] == theirs[at - 1] && PARTED.iter().any(|one| listed(&one))
        };
        if ours[at] != theirs[at] && at > 0 && is_listed() {
            theirs.remove(at);
            continue;
        }
        let command = &commands[at + 1];
        let before = &ours[at.saturating_sub(3)..at];
        assert_eq!(ours[at], theirs[at], "{}: `{command}`, number {at}, after {before:?}", variant.name);
        at += 1;
    }
    assert!(at + PARTED.len() >= commands.len() - 1, "{}: {at} of {} compared", variant.name, commands.len());
    assert!(ours.iter().all(Option::is_some), "{}: {ours:?}", variant.name);
}

fn repeated(command: &str, times: usize) -> Vec<String> {
    begin().into_iter().chain(std::iter::repeat_n(command.to_owned(), times)).collect()
}

#[test]
fn hundreds_of_steps_into_calls_stand_where_gdbs_do() {
    compare(Variant::O0, repeated("step", 250));
}

#[test]
fn steps_in_clangs_code_stand_where_gdbs_do() {
    // Where an exception is thrown, gdb loses a program with clang's runtime.
    compare(Variant::CLANG_O0, repeated("step", 120));
}

#[test]
fn steps_over_calls_stand_where_gdbs_do() {
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::GCC] {
        compare(variant, repeated("next", 18));
    }
}

#[test]
fn frames_finish_until_and_advance_lead_where_gdbs_do() {
    let line = |mark| line_in("kinds/kinds.cpp", mark);
    for variant in [Variant::O0, Variant::DWARF4] {
        let mut commands = begin();
        commands.extend([format!("tbreak kinds.cpp:{}", line("recursion")), "continue".to_owned()]);
        commands.extend(["up", "up", "down", "finish", "finish", "step"].map(str::to_owned));
        commands.extend([format!("tbreak kinds.cpp:{}", line("loop")), "continue".to_owned()]);
        commands.extend(["until"; 4].map(str::to_owned));
        commands.extend([format!("advance kinds.cpp:{}", line("end")), "next".to_owned()]);
        compare(variant, commands);
    }
}
