//! Long sequences of steps over the same program, in rdbg and in gdb: after each command both stand in the same line of
//! the same function, with the same functions and lines around it up to main. Where they part, it is listed here with
//! who is right.

use std::process::Command;

use regex::Regex;

use super::source::{batch, line_in};
use crate::support::{Fixture, Variant};

/// Functions and lines where a command has led: the selected frame, then the stack up to main.
type Place = Vec<(String, u32)>;

/// What is in gdb's sequence and not in rdbg's, by the build, and the function and text of the line where gdb stands; and why
/// rdbg's sequence stays.
const PARTED: &[(&str, &str, &str)] = &[
    (
        "clang-o0",
        "inheritance: int legs =",
        "code of line 0 amid a line is no line of its own; gdb stops in the line again behind it",
    ),
    (
        "gcc",
        "inheritance: return legs + same.legs()",
        "a call of legs() returns to where another, inlined, begins: rdbg comes from that very line, and goes on into the \
         inlined one. gdb stops before it, which tells more",
    ),
    ("clang", "inheritance: __attribute__", OPENING),
    ("clang", "integers: __attribute__", OPENING),
    ("clang", "reals: __attribute__", OPENING),
    ("clang", "enumerations: __attribute__", OPENING),
];

const OPENING: &str =
    "gdb's step stops at the function's opening line, where its own breakpoint on the function, and both \
                       debuggers without optimisation, stand behind the prologue that the compiler marks";

/// Each command, and behind it the frame and the stack.
fn framed(commands: &[String]) -> Vec<String> {
    let each = |one: &String| [one, "echo @@@", "frame", "bt", "echo @@@"].map(str::to_owned);
    commands.iter().flat_map(each).collect()
}

/// The places in what a debugger printed, by the frames between the marks.
fn places(printed: &str, frame: &Regex) -> Vec<Place> {
    let one = |found: regex::Captures<'_>| {
        // A closure's function has its whole name in rdbg, and `operator()` in gdb.
        let is_closure = found[0].contains("lambda") || found[1].contains("operator");
        let full = found[1].rsplit("::").next().unwrap_or(&found[1]);
        let name = if is_closure { "a closure" } else { full };
        Some((name.to_owned(), found[2].parse().ok()?))
    };
    let stack = |text: &str| {
        let mut frames: Place = frame.captures_iter(text).filter_map(one).collect();
        // What called main gdb does not show.
        if let Some(main) = frames.iter().skip(1).position(|(name, _)| name == "main") {
            frames.truncate(main + 2);
        }
        frames
    };
    printed.split("@@@").skip(1).step_by(2).map(stack).collect()
}

fn of_rdbg(fixture: &Fixture, commands: &[String]) -> Vec<Place> {
    let commands = framed(commands);
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let frame = Regex::new(r"#\d+ +0x[0-9a-f]+ ([^+\s(<]+)[^\n]* at [^\n]*:(\d+)\n").expect("a constant");
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
    let frame = Regex::new(r"#\d+ +(?:0x[0-9a-f]+ in )?([^\s(<]+)[^\n]* at [^\n]*:(\d+)\n").expect("a constant");
    places(&String::from_utf8_lossy(&output.stdout), &frame)
}

fn begin() -> Vec<String> {
    vec![format!("tbreak kinds.cpp:{}", line_in("kinds/kinds.cpp", "begin")), "continue".to_owned()]
}

/// Compares the sequences, and tells which of the listed partings there were.
fn compare(variant: Variant, commands: Vec<String>) -> Vec<&'static str> {
    let fixture = Fixture::build("kinds", variant);
    // Before the program runs the two have nothing to compare.
    let [ours, mut theirs] = [of_rdbg(&fixture, &commands), of_gdb(&fixture, &commands)].map(|all| all[1..].to_vec());
    let source = std::fs::read_to_string("fixtures/kinds/kinds.cpp").expect("the source");
    let header = std::fs::read_to_string("fixtures/kinds/kinds.h").expect("the header");
    let listed = |place: &Place| {
        let (function, line) = place.first()?;
        // Which of the two files it is, the listed text tells.
        let texts = [&source, &header].map(|file| file.lines().nth(*line as usize - 1).unwrap_or("").trim().to_owned());
        let is_it = |one: &&(&str, &str, &str)| {
            one.0 == variant.name && texts.iter().any(|text| format!("{function}: {text}").starts_with(one.1))
        };
        PARTED.iter().position(|one| is_it(&one))
    };
    let mut at = 0;
    let mut parted = std::collections::BTreeSet::new();
    while at < ours.len().min(theirs.len()) {
        if ours[at] != theirs[at] && at > 0 {
            if let Some(index) = listed(&theirs[at]) {
                parted.insert(index);
                theirs.remove(at);
                continue;
            }
        }
        let command = &commands[at + 1];
        let before = &ours[at.saturating_sub(3)..at];
        assert_eq!(ours[at], theirs[at], "{}: `{command}`, number {at}, after {before:?}", variant.name);
        at += 1;
    }
    // Each listed place is passed over a few times at most.
    assert!(at + 2 * PARTED.len() >= commands.len() - 1, "{}: {at} of {} compared", variant.name, commands.len());
    assert!(ours.iter().all(|place| !place.is_empty()), "{}: {ours:?}", variant.name);
    parted.into_iter().map(|index| PARTED[index].1).collect()
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
fn steps_in_optimised_code_stand_where_gdbs_do_but_for_what_is_listed() {
    for variant in [Variant::GCC, Variant::CLANG] {
        let parted = compare(variant, repeated("step", 80));
        let wanted = PARTED.iter().filter(|one| one.0 == variant.name).map(|one| one.1);
        assert_eq!(parted, wanted.collect::<Vec<_>>(), "{}: what is listed", variant.name);
    }
}

#[test]
fn steps_over_calls_stand_where_gdbs_do() {
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::GCC, Variant::CLANG] {
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
