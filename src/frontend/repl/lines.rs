//! The commands that step by source lines.

use super::breakpoints::nothing_after;
use super::parse::{engine, ParseError, Parsed};
use super::table::{row, CommandSpec, Completes, Group};
use super::words::Rest;
use crate::api::{Command, LineStepKind, SkipChange, SkipRule};

const G: Group = Group::Running;

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(G, "step", &["s"], "step [N]", "Go to the next source line, into functions that have lines", |rest| {
        parse_lines(rest, LineStepKind::Into)
    })
    .repeats(),
    row(G, "next", &["n"], "next [N]", "Go to the next source line, calls as a whole", |rest| {
        parse_lines(rest, LineStepKind::Over)
    })
    .repeats(),
    row(G, "until", &["u"], "until [PLACE]", "As next, but not back in a loop; or run to a place", |rest| {
        match rest.text {
            "" => engine(Command::Step { kind: LineStepKind::Until, count: 1 }),
            place => engine(Command::Advance { place: place.to_owned() }),
        }
    })
    .repeats()
    .completing(Completes::Symbols),
    row(G, "advance", &[], "advance PLACE", "Run to a line, function or *ADDR, or until the frame returns", |rest| {
        engine(Command::Advance { place: rest.needed("the place")? })
    })
    .completing(Completes::Symbols),
    row(
        G,
        "skip",
        &[],
        "skip [function NAME | file NAME | regex RE]",
        "Keep step out of functions; without an argument, of the selected frame's",
        parse_skip,
    )
    .completing(Completes::Symbols),
    row(G, "skip delete", &[], "skip delete [N]", "Drop a rule of skip, or all", |rest| {
        change(SkipChange::Delete { number: rest.number()? })
    }),
    row(G, "info skip", &[], "info skip", "List the rules of skip", |rest| {
        nothing_after(rest, Command::Skip { change: SkipChange::List })
    }),
];

fn change(change: SkipChange) -> Result<Parsed, ParseError> {
    engine(Command::Skip { change })
}

/// A step by lines, with a count.
pub fn parse_lines(rest: &Rest<'_>, kind: LineStepKind) -> Result<Parsed, ParseError> {
    let count = rest.number()?.unwrap_or(1);
    if count == 0 {
        return Err(rest.wrong("0 steps are no step"));
    }
    engine(Command::Step { kind, count })
}

fn parse_skip(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let (kind, what) = rest.text.split_once(char::is_whitespace).unwrap_or((rest.text, ""));
    let what = what.trim().to_owned();
    let rule = match (kind, what.is_empty()) {
        ("", _) => return change(SkipChange::Add { rule: None }),
        ("function" | "-fu" | "--function", false) => SkipRule::Function(what),
        ("file" | "-fi" | "--file", false) => SkipRule::File(what),
        ("regex" | "-rfu" | "--rfunction", false) => SkipRule::Regex(what),
        (name, true) if !name.starts_with('-') => SkipRule::Function(name.to_owned()),
        _ => return Err(rest.wrong("function NAME, file NAME or regex RE is needed")),
    };
    change(SkipChange::Add { rule: Some(rule) })
}
