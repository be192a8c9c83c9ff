//! catch throw, rethrow, catch and panic.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use super::source::{batch, line_of};
use crate::support::{Fixture, Home, Output, Rdbg, Variant};

#[track_caller]
fn says(output: &Output, text: &str) {
    assert!(output.stdout.contains(text), "no `{text}` in:\n{}\n{}", output.stdout, output.stderr);
}

#[test]
fn a_throw_and_its_handler_stop_with_the_exceptions_type() {
    for variant in [Variant::O0, Variant::GCC, Variant::CLANG, Variant::STATIC, Variant::STRIPPED] {
        let fixture = Fixture::build("source", variant);
        let commands = [
            "catch throw",
            "tcatch catch runtime_error$",
            "info breakpoints",
            "continue",
            "bt",
            "continue",
            "continue",
        ];
        let output = batch(&fixture, &[], &commands);
        says(&output, "catch throw");
        says(&output, "catch catch runtime_error$");
        says(&output, "Breakpoint 1, __cxa_throw(type=std::runtime_error, object=0x");
        says(&output, "Breakpoint 2, __cxa_begin_catch(type=std::runtime_error)");
        says(&output, "exited with status 0");
        if !variant.strip {
            says(&output, "thrower");
        }
    }
}

#[test]
fn a_type_that_does_not_match_is_passed_and_a_log_goes_on() {
    let fixture = Fixture::build("source", Variant::O0);
    let output = batch(&fixture, &[], &["catch throw logic_error", "catch throw std::.*_error --log", "continue"]);
    assert!(!output.stdout.contains("Breakpoint 1, __cxa_throw"), "{}", output.stdout);
    says(&output, " __cxa_throw(type=std::runtime_error, object=0x");
    says(&output, "exited with status 0");
    let output = batch(&fixture, &[], &["catch throw (", "catch rethrow x", "catch load"]);
    for reason in ["a bad regex", "is not known there", "is what can be caught"] {
        assert!(output.stderr.contains(reason), "{reason}: {}", output.stderr);
    }
}

#[test]
fn a_step_from_a_caught_throw_ends_at_its_handler() {
    let fixture = Fixture::build("source", Variant::O0);
    let output = batch(&fixture, &[], &["catch throw", "continue", "finish"]);
    let handler = line_of("main.cpp", "handler") - 1;
    says(&output, "The frame was left by an exception");
    says(&output, &format!("main.cpp:{handler}"));
}

#[test]
fn a_rust_panic_stops_before_the_stack_is_unwound() {
    let home = Home::new();
    let (source, program) = (home.path().join("panics.rs"), home.path().join("panics"));
    let text = "fn main() { let caught = std::panic::catch_unwind(|| deep(3)); println!(\"{}\", caught.is_err()); }\n\
                #[inline(never)] fn deep(n: u32) -> u32 { if n == 0 { panic!(\"on purpose\") } deep(n - 1) + 1 }\n";
    std::fs::write(&source, text).unwrap();
    let status = Command::new("rustc").args(["-g", "-o"]).args([&program, &source]).status().expect("rustc");
    assert!(status.success());
    let args = ["run", "--batch", "--ex", "catch panic", "--ex", "continue", "--ex", "bt", "--ex", "continue", "--"];
    let args = args.map(OsStr::new).into_iter().chain([program.as_os_str()]);
    let output = Rdbg::run(args, Duration::from_secs(60));
    says(&output, "Breakpoint 1");
    assert_eq!(output.stdout.lines().filter(|line| line.contains("panics::deep")).count(), 4, "{}", output.stdout);
    says(&output, "true\n");
    says(&output, "exited with status 0");
}
