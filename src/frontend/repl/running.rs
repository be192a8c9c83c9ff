//! The commands that choose a process, and let it run.

use std::ffi::OsString;

use super::breakpoints::nothing_after;
use super::parse::{engine, ParseError, Parsed};
use super::table::{row, CommandSpec, Completes, Group};
use super::words::Rest;
use crate::api::{Command, SignalPolicy, StepKind, TargetSelector, Toggle};
use crate::base::{Pid, Signal};

const G: Group = Group::Running;

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(
        G,
        "attach",
        &["at"],
        "attach PID | NAME | --waitfor NAME [--include-existing] [--until-exec NAME]",
        "Attach to a running process, or to the next one that executes NAME",
        parse_attach,
    ),
    row(G, "run", &["r"], "run [ARGS..]", "Start the program again, with other arguments if some are given", parse_run)
        .completing(Completes::Files),
    row(G, "continue", &["c", "fg"], "continue", "Let the target go on", |rest| nothing_after(rest, Command::Continue)),
    row(G, "stepi", &["si"], "stepi [N]", "Execute an instruction, or N", |rest| parse_step(rest, StepKind::Into))
        .repeats(),
    row(G, "nexti", &["ni"], "nexti [N]", "Execute an instruction, calls as a whole", |rest| {
        parse_step(rest, StepKind::Over)
    })
    .repeats(),
    row(G, "finish", &["fin"], "finish", "Run until the selected frame has returned", |rest| {
        nothing_after(rest, Command::Finish)
    }),
    row(G, "interrupt", &[], "interrupt", "Stop the running target", |rest| nothing_after(rest, Command::Interrupt)),
    row(
        G,
        "signal",
        &[],
        "signal SIGNAL|0",
        "Let the target go on and give the selected thread a signal; 0 takes away the one that it stopped with",
        |rest| engine(Command::Signal { signal: signal_or_none(rest)? }),
    ),
    row(
        G,
        "queue-signal",
        &[],
        "queue-signal SIGNAL|0",
        "Give the selected thread a signal when it goes on; 0 takes it back",
        |rest| engine(Command::QueueSignal { signal: signal_or_none(rest)? }),
    ),
    row(
        G,
        "handle",
        &[],
        "handle SIGNAL|LOW-HIGH|all.. [no]stop [no]print [no]pass",
        "What a signal to the target does",
        parse_handle,
    ),
    row(
        G,
        "info signals",
        &["info handle"],
        "info signals [SIGNAL|LOW-HIGH]..",
        "List what each signal does, or these",
        parse_listed_signals,
    ),
    row(G, "detach", &[], "detach", "Let the selected process run on, untraced", |rest| {
        nothing_after(rest, Command::Detach)
    }),
    row(G, "kill", &["k"], "kill", "Kill the selected process", |rest| nothing_after(rest, Command::Kill)),
];

fn parse_attach(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    parse_target(rest)
}

/// A pid, a name, or a name to wait for; takes lldb's `--name` and `--pid` too.
pub fn parse_target(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let mut name = None;
    let mut pid = None;
    let mut waits = Toggle::Off;
    let mut include_existing = Toggle::Off;
    let mut until_exec = None;
    let mut words = rest.words()?.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--waitfor" | "-w" => waits = Toggle::On,
            "--include-existing" | "-i" => include_existing = Toggle::On,
            "--name" | "-n" => name = Some(words.next().ok_or_else(|| rest.wrong("--name needs a value"))?),
            "--pid" | "-p" => {
                let word = words.next().ok_or_else(|| rest.wrong("--pid needs a value"))?;
                pid = Some(rest.parse_number::<i32>(&word)?);
            }
            "--until-exec" => {
                until_exec = Some(words.next().ok_or_else(|| rest.wrong("--until-exec needs a value"))?);
            }
            option if option.starts_with('-') => {
                return Err(rest.wrong(format!("`{option}` is no option of this command")));
            }
            _ if name.is_some() || pid.is_some() => return Err(rest.wrong("one process only, please")),
            word if waits == Toggle::Off && word.bytes().all(|byte| byte.is_ascii_digit()) => {
                pid = Some(rest.parse_number::<i32>(word)?);
            }
            word => name = Some(word.to_owned()),
        }
    }
    let selector = match (pid, name, waits) {
        (Some(pid), None, Toggle::Off) => TargetSelector::Pid { pid: Pid(pid) },
        (None, Some(name), Toggle::Off) => TargetSelector::Name { name },
        (None, Some(name), Toggle::On) => TargetSelector::WaitFor { name, include_existing, method: None },
        (Some(_), _, Toggle::On) => return Err(rest.wrong("--waitfor takes a name, not a pid")),
        (Some(_), Some(_), _) => return Err(rest.wrong("a pid or a name, not both")),
        (None, None, _) => return Err(rest.wrong("a pid or a name is missing")),
    };
    engine(Command::Target { selector, until_exec, hold: Toggle::On })
}

/// `run`, with or without arguments.
pub fn parse_run(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let mut words = rest.words()?;
    if words.first().is_some_and(|word| word == "--") {
        words.remove(0);
    }
    let args = Some(words).filter(|words| !words.is_empty());
    engine(Command::Run { args: args.map(|words| words.into_iter().map(OsString::from).collect()) })
}

/// A step, with a count.
pub fn parse_step(rest: &Rest<'_>, kind: StepKind) -> Result<Parsed, ParseError> {
    let text = rest.text.strip_prefix("--count").or_else(|| rest.text.strip_prefix("-c")).unwrap_or(rest.text).trim();
    let count = Rest { text, ..*rest }.number()?.unwrap_or(1);
    if count == 0 {
        return Err(rest.wrong("0 steps are no step"));
    }
    engine(Command::StepInstruction { kind, count })
}

fn parse_handle(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let mut signals = Vec::new();
    let mut policy = SignalPolicy::default();
    for word in rest.words()? {
        match word.as_str() {
            "stop" => {
                policy.stop = Some(Toggle::On);
                policy.print = Some(Toggle::On);
            }
            "nostop" => policy.stop = Some(Toggle::Off),
            "print" => policy.print = Some(Toggle::On),
            "noprint" => {
                policy.print = Some(Toggle::Off);
                policy.stop = Some(Toggle::Off);
            }
            "pass" | "noignore" => policy.pass = Some(Toggle::On),
            "nopass" | "ignore" => policy.pass = Some(Toggle::Off),
            "all" => signals.extend(all_but_the_debuggers()),
            name => signals.extend(find_signals(rest, name)?),
        }
    }
    if signals.is_empty() || policy == SignalPolicy::default() {
        return Err(rest.wrong("a signal and what to do with it are needed"));
    }
    engine(Command::Handle { signals, policy })
}

fn parse_listed_signals(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let mut signals = Vec::new();
    for word in rest.words()? {
        signals.extend(find_signals(rest, &word)?);
    }
    // A policy that says nothing changes nothing.
    let policy = SignalPolicy::default();
    engine(if signals.is_empty() { Command::ListSignals } else { Command::Handle { signals, policy } })
}

/// `signal SIGNAL`, `signal 0`.
fn signal_or_none(rest: &Rest<'_>) -> Result<Option<Signal>, ParseError> {
    match rest.needed("the signal")?.as_str() {
        "0" => Ok(None),
        name => find_signal(rest, name).map(Some),
    }
}

/// A signal, or as in gdb a range of numbers.
fn find_signals(rest: &Rest<'_>, name: &str) -> Result<Vec<Signal>, ParseError> {
    let bounds = name.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    match bounds {
        Some((low, high)) if 1 <= low && low <= high && high <= 64 => Ok((low..=high).map(Signal).collect()),
        Some(_) => Err(rest.wrong(format!("`{name}` is no range of signals; they are 1 to 64"))),
        None => find_signal(rest, name).map(|one| vec![one]),
    }
}

/// A signal by name or number.
pub fn find_signal(rest: &Rest<'_>, name: &str) -> Result<Signal, ParseError> {
    Signal::find_by_name(name).ok_or_else(|| rest.wrong(format!("`{name}` is neither a signal nor an action")))
}

/// As gdb, `all` leaves out SIGTRAP and SIGINT, which the debugger itself uses.
fn all_but_the_debuggers() -> impl Iterator<Item = Signal> {
    Signal::all().filter(|signal| *signal != Signal::TRAP && *signal != Signal::INT)
}
