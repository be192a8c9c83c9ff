//! A breakpoint's condition over several places, some of which have not its names; beside gdb.

use std::path::Path;
use std::process::Command;

use super::source::batch;
use crate::support::{Fixture, Variant};

/// The lines of a listing's places and whether each is disabled.
fn places(text: &str, mark: &str) -> Vec<(String, bool)> {
    let of_line = |line: &str| {
        let (_, place) = line.rsplit_once("contained.cpp:")?;
        let number: String = place.chars().take_while(char::is_ascii_digit).collect();
        line.contains(" overload(").then(|| (number, line.contains(mark)))
    };
    let mut found: Vec<_> = text.lines().filter_map(of_line).collect();
    found.sort();
    found
}

fn of_gdb(program: &Path, commands: &[&str]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off", "-ex", "break main"]);
    for one in ["run"].iter().chain(commands) {
        gdb.args(["-ex", one]);
    }
    let output = gdb.arg(program).output().expect("gdb runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The last listing of a session.
fn last_listing(text: &str) -> &str {
    text.rsplit_once("\nNum ").map_or("", |(_, rest)| rest)
}

#[test]
fn places_without_a_conditions_names_are_disabled_and_the_others_are_judged() {
    let fixture = Fixture::build("contained", Variant::O0);
    let listed = |text: &str, mark| places(last_listing(text), mark);
    for commands in [
        &["break overload if query == 2", "info breakpoints"][..],
        &["break overload if query == 2", "condition 1 letter == 'c'", "info breakpoints"],
        &["break overload if query == 2", "condition 1", "info breakpoints"],
        &["break overload if query == 2", "condition 1 nosuch == 2", "info breakpoints"],
    ] {
        let ours = batch(&fixture, &[], commands);
        let theirs: Vec<String> = commands.iter().map(|one| one.replace("condition 1", "condition 2")).collect();
        let theirs = of_gdb(fixture.path(), &theirs.iter().map(String::as_str).collect::<Vec<_>>());
        let own = listed(&ours.stdout, "(disabled: the condition means nothing here: ");
        assert_eq!(own.len(), 4, "{commands:?}: {}\n{}", ours.stdout, ours.stderr);
        assert_eq!(own, listed(&theirs, " N* "), "{commands:?}: {}\n{theirs}", ours.stdout);
    }
}

#[test]
fn hits_are_judged_where_the_condition_means_something_and_the_others_are_not_told() {
    let fixture = Fixture::build("contained", Variant::O0);
    let commands = ["break overload if query == 3", "continue", "print query", "condition 1 number == 1", "continue"];
    let output = batch(&fixture, &[], &commands);
    let text = &output.stdout;
    assert!(text.contains("overload(letter=99 'c', query=3)"), "{text}\n{}", output.stderr);
    assert!(text.contains("\n$1 = 3\n"), "{text}");
    let told = |part: &str| text.lines().chain(output.stderr.lines()).filter(|line| line.contains(part)).count();
    // Both at first, then again that of which the other condition means nothing, and the one that has come to fit.
    assert_eq!(told("is disabled: its condition means nothing there: no symbol \"query\""), 2, "{output:?}");
    assert_eq!(told("is disabled: its condition means nothing there: no symbol \"number\""), 1, "{output:?}");
    assert!(text.contains("exited"), "{text}");
}

#[test]
fn a_condition_that_means_nothing_anywhere_is_refused_and_nothing_is_left() {
    let fixture = Fixture::build("contained", Variant::O0);
    let commands = ["break overload if nosuch == 1", "info breakpoints", "continue"];
    let output = batch(&fixture, &[], &commands);
    assert!(output.stderr.contains("no symbol \"nosuch\" in the current context"), "{output:?}");
    assert!(output.stdout.contains("No breakpoints."), "{output:?}");
    assert!(output.stdout.contains("exited"), "{output:?}");
}
