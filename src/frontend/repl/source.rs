//! The commands on source lines.

use super::breakpoints::nothing_after;
use super::parse::{engine, ParseError, Parsed};
use super::table::{row, CommandSpec, Completes, Group};
use super::words::Rest;
use crate::api::{Command, SourceQuery, Where};

const G: Group = Group::Source;

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(
        G,
        "list",
        &["l"],
        "list [N | N,M | FILE:N | FUNCTION | -]",
        "Show source lines; again: the next ones",
        parse_list,
    )
    .repeats()
    .completing(Completes::Symbols),
    row(G, "info line", &[], "info line [FILE:N | ADDR]", "Where a source line's code is", |rest| {
        query(SourceQuery::Line { place: place_of(rest) })
    }),
    row(G, "info source", &[], "info source", "The selected frame's source file", |rest| {
        nothing_after(rest, Command::Source { query: SourceQuery::File })
    }),
    row(
        G,
        "set substitute-path",
        &[],
        "set substitute-path FROM TO",
        "Look for source files whose path begins with FROM under TO",
        parse_substitute,
    ),
    row(G, "unset substitute-path", &[], "unset substitute-path FROM", "Drop such a rule", |rest| {
        query(SourceQuery::Map { from: Some(rest.needed("the path")?), to: None })
    }),
    row(G, "show substitute-path", &[], "show substitute-path", "List such rules", |rest| {
        nothing_after(rest, Command::Source { query: SourceQuery::Map { from: None, to: None } })
    }),
];

fn query(query: SourceQuery) -> Result<Parsed, ParseError> {
    engine(Command::Source { query })
}

fn place_of(rest: &Rest<'_>) -> Option<String> {
    Some(rest.text.trim_start_matches('*').trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn parse_list(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    match rest.text {
        "-" => query(SourceQuery::ListBefore),
        _ => query(SourceQuery::List { place: place_of(rest) }),
    }
}

fn parse_substitute(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    match rest.words()?.as_slice() {
        [from, to] => query(SourceQuery::Map { from: Some(from.clone()), to: Some(to.clone()) }),
        _ => Err(rest.wrong("two paths are needed")),
    }
}

/// `FILE:LINE`, or a line of the selected frame's file; a C++ name with `::` is neither.
pub fn line_place(text: &str) -> Option<Where> {
    if let Ok(line) = text.parse() {
        return Some(Where::Line { file: None, line });
    }
    let (file, line) = text.rsplit_once(':')?;
    let line = line.parse().ok()?;
    (!file.is_empty() && !file.ends_with(':')).then(|| Where::Line { file: Some(file.to_owned()), line })
}
