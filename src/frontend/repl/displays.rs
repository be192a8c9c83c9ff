//! The commands on what is shown at every stop.

use super::breakpoints::{nothing_after, parse_ids};
use super::parse::{engine, ParseError, Parsed};
use super::table::{row, CommandSpec, Completes, Group};
use super::words::Rest;
use crate::api::{Command, DisplayChange, Toggle};

const G: Group = Group::Data;

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(
        G,
        "display",
        &[],
        "display[/F] [EXPR]",
        "Show an expression at every stop: display x, display/i $pc; without one, show all now",
        parse_display,
    )
    .completing(Completes::Symbols),
    row(
        G,
        "undisplay",
        &["delete display"],
        "undisplay [N | N-M]..",
        "Show these no longer; all of them without a number",
        |rest| change(DisplayChange::Remove { ids: parse_ids(rest)? }),
    ),
    row(G, "enable display", &[], "enable display [N | N-M]..", "Show these at stops again", |rest| {
        change(DisplayChange::Enable { ids: parse_ids(rest)?, to: Toggle::On })
    }),
    row(G, "disable display", &[], "disable display [N | N-M]..", "Keep these, and do not show them", |rest| {
        change(DisplayChange::Enable { ids: parse_ids(rest)?, to: Toggle::Off })
    }),
    row(G, "info display", &[], "info display", "List what is shown at every stop", |rest| {
        nothing_after(rest, Command::Displays { change: DisplayChange::List })
    }),
    row(
        G,
        "printf",
        &[],
        "printf \"FORMAT\", EXPR, ..",
        "Print values as C's printf does: printf \"%d %s\\n\", fd, name",
        |rest| engine(Command::PrintFormatted { text: rest.needed("the format")? }),
    ),
];

fn change(change: DisplayChange) -> Result<Parsed, ParseError> {
    engine(Command::Displays { change })
}

fn parse_display(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let spec = rest.format.unwrap_or("");
    if !spec.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(rest.wrong(format!("`/{spec}` is no format")));
    }
    match rest.text {
        "" => change(DisplayChange::Show),
        text => change(DisplayChange::Add { spec: spec.to_owned(), expression: text.to_owned() }),
    }
}
