//! The commands on processes, threads and frames.

use super::breakpoints::nothing_after;
use super::parse::{engine, Detail, ParseError, Parsed};
use super::table::{row, CommandSpec, Group};
use super::words::{unquote, Rest};
use crate::api::{Command, FrameMove, Toggle};

const G: Group = Group::Stack;
const BT: &str = "backtrace [N] [all] [--how]";

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(G, "backtrace", &["bt", "where"], BT, "The stack of the selected thread, or of all", |rest| {
        parse_backtrace(rest, Toggle::Off)
    }),
    row(G, "thread apply all", &[], "thread apply all bt [N] [--how]", "The stacks of all threads", parse_apply_all),
    row(G, "frame", &["f"], "frame [N]", "Select a frame; 0 is the innermost", parse_frame),
    row(G, "frame level", &[], "frame level N", "Select a frame by its number", parse_frame),
    row(G, "frame function", &[], "frame function NAME", "Select the innermost frame of a function", |rest| {
        engine(Command::Frame { select: FrameMove::Function(unquote(&rest.needed("the function")?).to_owned()) })
    }),
    row(G, "up", &[], "up [N]", "Select the caller's frame", |rest| {
        engine(Command::Frame { select: FrameMove::Up(rest.number()?.unwrap_or(1)) })
    }),
    row(G, "down", &["dow"], "down [N]", "Select the frame that the selected one called", |rest| {
        engine(Command::Frame { select: FrameMove::Down(rest.number()?.unwrap_or(1)) })
    }),
    row(
        G,
        "info frame",
        &["info f"],
        "info frame [N]",
        "All of the selected frame, or of another: who called it, where it saved registers",
        parse_frame_detail,
    ),
    row(G, "thread", &["t"], "thread [N]", "Select a thread, or describe the selected one", |rest| {
        engine(Command::Thread { number: rest.number()? })
    }),
    row(G, "info threads", &[], "info threads", "List the threads", |rest| nothing_after(rest, Command::ListThreads)),
    row(G, "inferior", &["inf"], "inferior N", "Select a process", parse_inferior),
    row(G, "info inferiors", &["info inf"], "info inferiors", "List the processes of the session", |rest| {
        nothing_after(rest, Command::ListInferiors)
    }),
    row(G, "ps", &[], "ps [REGEX]", "The processes of the machine", parse_ps),
];

/// `bt [N] [all] [--how]`, and lldb's `thread backtrace [all] [-c N]`.
pub fn parse_backtrace(rest: &Rest<'_>, all: Toggle) -> Result<Parsed, ParseError> {
    let mut limit = None;
    let mut all_threads = all;
    let mut detail = Detail::Plain;
    for word in rest.words()? {
        match word.as_str() {
            "all" => all_threads = Toggle::On,
            "--how" => detail = Detail::How,
            "--count" | "-c" => {}
            number => limit = Some(rest.parse_number(number)?),
        }
    }
    Ok(Parsed::Engine { command: Command::Backtrace { limit, all_threads }, detail })
}

fn parse_apply_all(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let (name, tail) = rest.text.split_once(char::is_whitespace).unwrap_or((rest.text, ""));
    match name {
        "bt" | "backtrace" | "where" => parse_backtrace(&Rest { text: tail.trim(), ..*rest }, Toggle::On),
        _ => Err(rest.wrong("only `bt` can be applied to all threads")),
    }
}

/// `frame [N]`.
pub fn parse_frame(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    engine(Command::Frame { select: rest.number()?.map_or(FrameMove::Current, FrameMove::To) })
}

/// `info frame [N]`; gdb's `info frame level N` too.
fn parse_frame_detail(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let text = rest.text.strip_prefix("level").map_or(rest.text, str::trim_start);
    engine(Command::DescribeFrame { number: Rest { text, ..*rest }.number()? })
}

/// `inferior N`.
pub fn parse_inferior(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    match rest.number()? {
        Some(number) => engine(Command::Inferior { number }),
        None => engine(Command::ListInferiors),
    }
}

fn parse_ps(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let matching = Some(unquote(rest.text)).filter(|text| !text.is_empty()).map(str::to_owned);
    engine(Command::Processes { matching })
}
