//! The commands on the session itself.

use std::path::PathBuf;

use super::breakpoints::nothing_after;
use super::parse::{engine, Local, ParseError, Parsed};
use super::table::{row, CommandSpec, Completes, Group};
use super::words::{unquote, Rest};
use crate::api::{Command, Leave, Toggle};

const G: Group = Group::General;

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(G, "help", &["h"], "help [COMMAND]", "What there is, or how a command is used", |rest| {
        let topic = Some(rest.text).filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Parsed::Local(Local::Help(topic)))
    })
    .completing(Completes::Commands),
    row(
        G,
        "set",
        &[],
        "set NAME VALUE | set $REG = EXPR | set confirm on|off",
        "Change a setting, or assign",
        parse_set,
    ),
    row(G, "show", &[], "show [NAME]", "Show a setting, or all", |rest| {
        let name = Some(rest.text).filter(|text| !text.is_empty()).map(str::to_owned);
        engine(Command::Show { name })
    }),
    row(G, "status", &["info program"], "status", "Where the session stands", |rest| {
        nothing_after(rest, Command::Status)
    }),
    row(G, "source", &[], "source FILE", "Do the commands of a file", |rest| {
        Ok(Parsed::Local(Local::Source(PathBuf::from(unquote(&rest.needed("the file")?)))))
    })
    .completing(Completes::Files),
    row(G, "history", &[], "history [N]", "The last lines that were typed", |rest| {
        Ok(Parsed::Local(Local::History(rest.number()?)))
    }),
    row(G, "echo", &[], "echo TEXT", "Print a text", |rest| {
        Ok(Parsed::Local(Local::Echo(unquote(rest.text).replace("\\n", "\n"))))
    }),
    row(G, "json", &[], "json on|off", "Print answers and events as JSON, one a line", |rest| {
        Ok(Parsed::Local(Local::Json(parse_toggle(rest, rest.text)?)))
    }),
    row(
        G,
        "quit",
        &["q", "exit"],
        "quit [--detach]",
        "End the session: detach from what was attached, kill what was launched; --detach kills nothing",
        parse_quit,
    ),
];

fn parse_quit(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    match rest.text {
        "" => engine(Command::Quit { leave: Leave::Default }),
        "--detach" => engine(Command::Quit { leave: Leave::DetachAll }),
        text => Err(rest.wrong(format!("`{text}` is not expected here"))),
    }
}

fn parse_toggle(rest: &Rest<'_>, word: &str) -> Result<Toggle, ParseError> {
    match word {
        "on" | "1" | "yes" | "true" | "enable" | "" => Ok(Toggle::On),
        "off" | "0" | "no" | "false" | "disable" => Ok(Toggle::Off),
        word => Err(rest.wrong(format!("`{word}` is neither on nor off"))),
    }
}

fn parse_set(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let text = rest.needed("the setting's name")?;
    let (name, value) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
    if text.starts_with(['$', '{', '*', '('])
        || (text.contains('=') && (value.is_empty() || value.trim().starts_with('=')))
    {
        return engine(Command::Assign { assignment: text });
    }
    set_named(rest, name, value.trim())
}

/// A setting by gdb's or lldb's name.
pub fn set_named(rest: &Rest<'_>, name: &str, value: &str) -> Result<Parsed, ParseError> {
    let name = match name {
        "target.run-args" => "args",
        "auto-confirm" => {
            let auto = parse_toggle(rest, value)?;
            let confirm = if auto == Toggle::On { Toggle::Off } else { Toggle::On };
            return Ok(Parsed::Local(Local::Confirm(confirm)));
        }
        name => name.rsplit('.').next().unwrap_or(name),
    };
    match name {
        "print" => {
            let (name, value) = value.split_once(char::is_whitespace).unwrap_or((value, "on"));
            engine(Command::Set { name: format!("print {name}"), value: value.trim().to_owned() })
        }
        "confirm" => Ok(Parsed::Local(Local::Confirm(parse_toggle(rest, value)?))),
        "pagination" | "height" | "width" => Ok(Parsed::Nothing),
        name => engine(Command::Set { name: name.to_owned(), value: value.to_owned() }),
    }
}
