//! `catch` and `tcatch`.

use super::breakpoints::parse_spec;
use super::parse::{engine, ParseError};
use super::table::{row, CommandSpec, Group};
use super::words::Rest;
use crate::api::{BreakpointSpec, CatchEvent, CatchSpec, Command, Toggle, Where};

const G: Group = Group::Breakpoints;
const CATCH: &str = "catch throw|rethrow|catch|panic [REGEX] [--log [--count N]] [--ignore N] [if COND]";

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(G, "catch", &[], CATCH, "Stop where a C++ exception is thrown or caught, or Rust panics", |rest| {
        engine(Command::Break { spec: parse_catch(rest)? })
    }),
    row(G, "tcatch", &[], "tcatch (as catch)", "The same, once", |rest| {
        engine(Command::Break { spec: BreakpointSpec { temporary: Toggle::On, ..parse_catch(rest)? } })
    }),
];

fn parse_catch(rest: &Rest<'_>) -> Result<BreakpointSpec, ParseError> {
    let (word, tail) = rest.text.split_once(char::is_whitespace).unwrap_or((rest.text, ""));
    let events = [CatchEvent::Throw, CatchEvent::Rethrow, CatchEvent::Catch, CatchEvent::Panic];
    let event = events.into_iter().find(|event| event.word() == word);
    let event = event.ok_or_else(|| rest.wrong("throw, rethrow, catch, panic or syscall is what can be caught"))?;
    let mut spec = parse_spec(&Rest { text: tail.trim(), ..*rest })?;
    let types = match spec.location {
        Where::Name(text) | Where::Regex(text) => Some(text),
        Where::Address(text) if text == "$pc" => None,
        _ => return Err(rest.wrong("a regex over the exception's type is what can follow")),
    };
    spec.location = Where::Catch(CatchSpec { event, types });
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BreakpointSpec, ParseError> {
        parse_catch(&Rest { format: None, text, usage: CATCH })
    }

    #[test]
    fn an_event_and_a_regex() {
        let at = |text| parse(text).unwrap().location;
        let catch = |event, types: Option<&str>| Where::Catch(CatchSpec { event, types: types.map(str::to_owned) });
        assert_eq!(at("throw"), catch(CatchEvent::Throw, None));
        assert_eq!(at("catch ^std::runtime --log"), catch(CatchEvent::Catch, Some("^std::runtime")));
        assert_eq!(at("panic if $rdi != 0"), catch(CatchEvent::Panic, None));
        assert!(parse("load").is_err() && parse("").is_err() && parse("throw a.cc:3").is_err());
    }
}
