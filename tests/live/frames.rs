//! `info frame`, `frame function`, `up` and `down`, compared with gdb.

use std::process::Command;

use regex::{Captures, Regex};

use super::source::batch;
use crate::support::{Fixture, Variant};

/// What is said of each frame, one text a frame, with addresses on the stack as distances below the frame's own.
fn details(text: &str) -> Vec<String> {
    let address = Regex::new("0x[0-9a-f]+").expect("a constant");
    let parse = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal");
    let frames = text.split("Stack level ").skip(1);
    let one = |frame: &str| {
        let ends = frame.find("\n@@@").unwrap_or(frame.len());
        let frame = frame[..ends].trim_end();
        let own = parse(address.find(frame).expect("a frame's address").as_str());
        let relative = |found: &Captures<'_>| {
            let at = parse(&found[0]);
            match own.abs_diff(at) < 0x1000 {
                true => format!("frame{:+}", at.wrapping_sub(own) as i64),
                false => "0xN".to_owned(),
            }
        };
        address.replace_all(frame, relative).into_owned()
    };
    frames.map(one).collect()
}

fn of_gdb(fixture: &Fixture, numbers: &[u32]) -> Vec<String> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    gdb.args(["-ex", "break stand", "-ex", "run"]);
    for number in numbers {
        gdb.args(["-ex", &format!("frame {number}"), "-ex", "info frame", "-ex", "echo @@@\\n"]);
    }
    details(&String::from_utf8_lossy(&gdb.arg(fixture.path()).output().expect("gdb runs").stdout))
}

fn of_rdbg(fixture: &Fixture, numbers: &[u32]) -> Vec<String> {
    let mut commands = vec!["break stand".to_owned(), "continue".to_owned()];
    for number in numbers {
        commands.extend([format!("info frame {number}"), "echo @@@".to_owned()]);
    }
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let output = batch(fixture, &[], &commands);
    let found = details(&output.stdout);
    assert_eq!(found.len(), numbers.len(), "{}\n{}", output.stdout, output.stderr);
    found
}

/// The lines that begin so, or follow such a line.
fn part(detail: &str, begin: &str) -> String {
    let mut lines = detail.lines().skip_while(|line| !line.trim_start().starts_with(begin));
    let first = lines.next().unwrap_or_default();
    match begin {
        "Saved registers" => lines.next().unwrap_or_default().to_owned(),
        _ => first.to_owned(),
    }
}

#[test]
fn a_frame_is_described_as_gdb_does() {
    // leaf, middle in outer, outer.
    let numbers = [1, 2, 3];
    let path = Regex::new(r"\([^ ()]*/").expect("a constant");
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::GCC, Variant::CLANG] {
        let fixture = Fixture::build("framed", variant);
        let (ours, theirs) = (of_rdbg(&fixture, &numbers), of_gdb(&fixture, &numbers));
        for ((number, ours), theirs) in numbers.iter().zip(&ours).zip(&theirs) {
            let about = format!("frame {number}, {}\n{ours}\n{theirs}", variant.name);
            // Where a function has no frame pointer gdb's list of arguments lies where rsp once was.
            let keeps_pointer = matches!(variant.name, "o0" | "clang-o0");
            let mut parts = vec!["rip = ", "called by", "source language"];
            // For an inlined call gdb has the callee's registers, and no list.
            if *number != 2 {
                parts.push("Saved registers");
                assert_eq!(ours.lines().next(), theirs.lines().next(), "{about}");
            }
            if keeps_pointer && *number != 2 {
                parts.extend(["Arglist", "Locals"]);
            }
            for one in parts {
                // A path is as the compiler was given it, or as a whole.
                let strip = |text: String| path.replace(&text, "(").into_owned();
                assert_eq!(strip(part(ours, one)), strip(part(theirs, one)), "{one}: {about}");
            }
        }
        assert!(part(&ours[1], "inlined into").starts_with(" inlined into frame 3"), "{}", ours[1]);
        assert!(part(&ours[0], "Saved registers").contains("rbx at frame-"), "{}", ours[0]);
    }
}

#[test]
fn a_frame_without_frame_information_says_how_its_caller_was_found() {
    let fixture = Fixture::build("framed", Variant::O0);
    let output = batch(&fixture, &[], &["info frame", "break stand", "continue", "continue", "info frame 1"]);
    for text in ["outermost: nothing called it", " in bare_call", " (found by frame pointer), caller of frame at 0x"] {
        assert!(output.stdout.contains(text), "no `{text}` in\n{}\n{}", output.stdout, output.stderr);
    }
    let own = output.stdout.rsplit("Saved registers:\n").next().expect("the last part");
    assert!(own.starts_with("  rbp at 0x") && own.contains(", rip at 0x"), "{own}");
}

#[test]
fn frames_are_selected_by_function_and_as_far_as_there_are_any() {
    let fixture = Fixture::build("framed", Variant::O0);
    for (command, answer) in [
        ("frame function main", "main+"),
        ("frame function outer", "#3 "),
        ("frame function leaf", "framed::Box::leaf"),
        ("frame function framed::Box::leaf", "#1 "),
        ("frame function nowhere", "no frame of the stack is of a function `nowhere`"),
        ("frame level 2", "middle"),
        ("info frame level 1", "Stack level 1, frame at 0x"),
        ("info frame 99", "there is no frame 99"),
        ("up 99", "_start"),
        ("down 1", "this is the innermost frame"),
    ] {
        let output = batch(&fixture, &[], &["break stand", "continue", command]);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains(answer), "{command}: no `{answer}` in\n{said}");
    }
    let output = batch(&fixture, &[], &["break stand", "continue", "up 3", "down 9", "info frame"]);
    assert!(output.stdout.contains("Stack level 0, "), "{}\n{}", output.stdout, output.stderr);
}
