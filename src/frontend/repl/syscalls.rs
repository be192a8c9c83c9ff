//! The commands that catch system calls.

use super::breakpoints::{plain_spec, split_condition};
use super::parse::{engine, ParseError};
use super::table::{row, CommandSpec, Group};
use super::words::{split_words, Rest};
use crate::api::{BreakpointAction, BreakpointSpec, Command, SyscallSide, SyscallSpec, Toggle, Where};

const CATCH: &str =
    "catch syscall [--entry | --return] [--log [--count N]] [--max-rate N/s] [--ignore N] [NAME | NUMBER | group:G].. [if COND]";

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(
        Group::Breakpoints,
        "catch syscall",
        &[],
        CATCH,
        "Stop before a system call is made and when it has returned; --log: tell it with its result, and go on",
        |rest| engine(Command::Break { spec: parse_catch(rest)? }),
    ),
    row(
        Group::Breakpoints,
        "tcatch syscall",
        &[],
        "tcatch syscall (as catch)",
        "A catch syscall that is deleted at its first stop",
        |rest| engine(Command::Break { spec: BreakpointSpec { temporary: Toggle::On, ..parse_catch(rest)? } }),
    ),
];

/// The calls of a list with commas.
pub fn calls_place(list: &str) -> Where {
    let calls = list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Where::Syscalls(SyscallSpec { calls, side: SyscallSide::Both })
}

fn parse_catch(rest: &Rest<'_>) -> Result<BreakpointSpec, ParseError> {
    let (text, condition) = split_condition(rest.text);
    let mut caught = SyscallSpec { calls: Vec::new(), side: SyscallSide::Both };
    let mut spec = plain_spec(Where::Address(String::new()));
    spec.condition = condition.map(str::to_owned);
    let mut count = None;
    let mut words = split_words(text)?.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| rest.wrong(format!("{word} needs a value")));
        match word.as_str() {
            "--entry" => caught.side = SyscallSide::Entry,
            "--return" => caught.side = SyscallSide::Return,
            "--log" => spec.action = BreakpointAction::Log { count: None },
            "--count" => count = Some(rest.parse_number(&value()?)?),
            "--max-rate" => spec.max_rate = value()?.parse().map_err(|error: String| rest.wrong(error))?,
            "--ignore" | "-i" => spec.ignore = rest.parse_number(&value()?)?,
            option if option.starts_with('-') => {
                return Err(rest.wrong(format!("`{option}` is no option of this command")));
            }
            _ => caught.calls.extend(word.split(',').filter(|one| !one.is_empty()).map(str::to_owned)),
        }
    }
    match (&mut spec.action, count) {
        (BreakpointAction::Log { count: limit }, count) => *limit = count,
        (_, Some(_)) => return Err(rest.wrong("--count goes with --log")),
        _ => {}
    }
    spec.location = Where::Syscalls(caught);
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::super::parse::{parse_line, Parsed};
    use super::*;

    #[track_caller]
    fn spec(line: &str) -> BreakpointSpec {
        match parse_line(line) {
            Ok(Parsed::Engine { command: Command::Break { spec }, .. }) => spec,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn calls(words: &[&str], side: SyscallSide) -> Where {
        Where::Syscalls(SyscallSpec { calls: words.iter().map(|word| (*word).to_owned()).collect(), side })
    }

    #[test]
    fn calls_are_named_numbered_and_grouped() {
        for (line, location) in [
            ("catch syscall", calls(&[], SyscallSide::Both)),
            ("catch syscall bind listen", calls(&["bind", "listen"], SyscallSide::Both)),
            ("catch syscall --entry 49,group:network", calls(&["49", "group:network"], SyscallSide::Entry)),
            ("break --syscall bind,listen", calls(&["bind", "listen"], SyscallSide::Both)),
        ] {
            assert_eq!(spec(line).location, location, "{line}");
        }
        let all = spec("catch syscall --log --count 3 --return --ignore 2 bind if $rax == 0");
        assert_eq!(all.location, calls(&["bind"], SyscallSide::Return));
        assert_eq!((all.action, all.ignore), (BreakpointAction::Log { count: Some(3) }, 2));
        assert_eq!(all.condition.as_deref(), Some("$rax == 0"));
        assert_eq!(spec("tcatch syscall bind").temporary, Toggle::On);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, message) in [
            ("catch syscall --sideways bind", "`--sideways` is no option"),
            ("catch syscall --count 3 bind", "--count goes with --log"),
            ("catch syscall --ignore", "--ignore needs a value"),
        ] {
            let error = parse_line(line).unwrap_err().to_string();
            assert!(error.contains(message), "{line}: {error}");
        }
    }
}
