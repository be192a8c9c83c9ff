use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use super::console::Console;
use super::converse::{Conversation, Manner};
use super::course::{exit_status, start, Next};
use super::reader::LineReader;
use super::shell::Shell;
use crate::api::{ClientId, Command, Leave};
use crate::frontend::cli::{parse_args, Plan};
use crate::frontend::fake::Fake;
use crate::frontend::render::Renderer;
use crate::frontend::socket::Connect;

struct Ran {
    text: String,
    commands: Vec<Command>,
    status: i32,
    next: Next,
}

/// Runs a command line against the fake engine; `input` is what a pipe would say.
fn run(line: &[&str], input: &str) -> Ran {
    let words = std::iter::once("rdbg").chain(line.iter().copied()).map(OsString::from);
    let (Plan::Session(plan), options) = parse_args(words).unwrap() else { panic!() };
    let fake = Fake::start();
    let text = Arc::new(Mutex::new(String::new()));
    let console = Console::Capture(Arc::clone(&text));
    let mut shell = Shell::new(fake.connect(ClientId(0)), Renderer::PLAIN, console, crossbeam_channel::never());
    let next = start(&mut shell, &plan, &options, None);
    if next == Next::Converse {
        let reader = LineReader::piped(std::io::Cursor::new(input.to_owned().into_bytes())).unwrap();
        Conversation::new(&mut shell, &reader, Manner::Piped).run();
    }
    assert!(shell.ended);
    let text = text.lock().unwrap().clone();
    Ran { text, commands: fake.commands(), status: exit_status(&shell, next, &plan, &options), next }
}

#[test]
fn run_in_batch_gives_the_programs_own_status() {
    let ran = run(&["run", "--batch", "--ex", "b main", "--ex", "c", "--ex", "c", "--", "prog"], "");
    assert_eq!(ran.status, 7);
    assert_eq!(ran.next, Next::Done);
    let stop = ran.text.find("Breakpoint 1 at main+0 fake").expect(&ran.text);
    let exit = ran.text.find("Process 100 exited with status 7").expect(&ran.text);
    assert!(stop < exit);
    assert_eq!(ran.commands.last(), Some(&Command::Quit { leave: Leave::Default }));
}

#[test]
fn a_failed_command_in_batch_is_status_1_and_the_rest_is_done() {
    let ran = run(&["run", "--batch", "--ex", "p bad", "--ex", "nonsense", "--ex", "p 1", "--", "prog"], "");
    assert_eq!(ran.status, 1);
    assert!(ran.text.contains("error: no such thing"));
    assert!(ran.text.contains("error: `nonsense` is no command"));
    assert!(ran.text.contains("$1 = 1"));
    assert!(!ran.commands.contains(&Command::Continue));
}

#[test]
fn without_scripts_a_launched_program_goes_on() {
    let ran = run(&["run", "prog"], "c\n");
    assert_eq!(ran.commands.iter().filter(|command| **command == Command::Continue).count(), 2);
    let held = run(&["run", "--stop-at-entry", "prog"], "p 1\n");
    assert!(!held.commands.contains(&Command::Continue));
}

#[test]
fn scripts_find_an_attached_process_held() {
    let ran = run(&["attach", "--pid", "100", "--batch", "--ex", "bt"], "");
    let place = |wanted: &dyn Fn(&Command) -> bool| ran.commands.iter().position(wanted).unwrap();
    assert!(place(&|c| *c == Command::Interrupt) < place(&|c| matches!(c, Command::Backtrace { .. })));
    assert_eq!(ran.status, 0);
    let plain = run(&["attach", "--pid", "100"], "");
    assert!(!plain.commands.contains(&Command::Interrupt));
}

#[test]
fn a_stop_at_the_catch_is_not_taken_for_a_later_one() {
    let ran = run(&["attach", "--waitfor", "fake", "--batch", "--ex", "c", "--ex", "p 1"], "");
    let caught = ran.text.find("Caught fake (pid 100) at its first instruction").expect(&ran.text);
    let stop = ran.text.find("Breakpoint 1 at").expect(&ran.text);
    let printed = ran.text.find("$1 = 1").expect(&ran.text);
    assert!(caught < stop && stop < printed, "{}", ran.text);
}

#[test]
fn a_target_that_cannot_be_had_is_status_1() {
    let ran = run(&["attach", "nobody"], "");
    assert_eq!((ran.status, ran.next), (1, Next::Failed));
    assert!(ran.text.contains("error: no process is called nobody"));
}

#[test]
fn break_stops_at_the_first_hit_and_then_does_the_scripts() {
    let ran = run(&["break", "--name", "main", "--batch", "--ex", "p 1", "--", "prog"], "");
    assert!(ran.text.find("Breakpoint 1 at").unwrap() < ran.text.find("$1 = 1").unwrap());
}

#[test]
fn break_with_log_prints_hits_up_to_the_count_and_leaves() {
    let ran = run(&["break", "--name", "main", "--log", "--count", "2", "--", "prog"], "");
    assert_eq!(ran.text.matches("00:00:00.000000 fake[100] main()").count(), 2);
    assert_eq!(ran.next, Next::Done);
    assert_eq!(ran.commands.last(), Some(&Command::Quit { leave: Leave::Default }));
}

#[test]
fn the_end_of_a_pipe_ends_the_session_and_quit_ends_it_before() {
    let ran = run(&["attach", "--pid", "100"], "p 1\nquit --detach\np 1\n");
    assert_eq!(ran.text.matches("$1 = 1").count(), 1);
    assert_eq!(ran.commands.last(), Some(&Command::Quit { leave: Leave::DetachAll }));
    let ran = run(&["attach", "--pid", "100"], "si\nset confirm off\nhelp bt\n");
    assert!(ran.text.contains("Step at main+0 fake") && ran.text.contains("usage: backtrace"), "{}", ran.text);
}
