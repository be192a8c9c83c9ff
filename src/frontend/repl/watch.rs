//! The commands on debug registers.

use super::breakpoints::{nothing_after, parse_delete, parse_disable, parse_enable, parse_spec, plain_spec};
use super::breakpoints::{split_condition, take_toggle};
use super::parse::{engine, ParseError, Parsed};
use super::table::{row, CommandSpec, Completes, Group};
use super::words::{split_words, Rest};
use crate::api::{BreakpointAction, BreakpointSpec, Command, Toggle, WatchAccess, WatchSpec, Where};

const G: Group = Group::Breakpoints;
const HBREAK: &str = "hbreak (as break)";
const WATCH: &str = "watch [--every] [--log [--count N]] [--ignore N] EXPR | ADDR [LENGTH] [if COND]";
const SET: &str =
    "watchpoint set expression|variable [-w modify|write|read|read_write] [-s LENGTH] [--] EXPR [if COND]";

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(G, "hbreak", &["hb"], HBREAK, "A breakpoint by a debug register: no byte of the program is changed", |rest| {
        hardware(parse_spec(rest)?)
    })
    .completing(Completes::Symbols),
    row(G, "thbreak", &["thb"], "thbreak (as break)", "An hbreak that is deleted at its first stop", |rest| {
        hardware(BreakpointSpec { temporary: Toggle::On, ..parse_spec(rest)? })
    })
    .completing(Completes::Symbols),
    row(G, "watch", &[], WATCH, "Stop when bytes are written and change; --every: at each write", |rest| {
        parse_watch(rest, WatchAccess::Change)
    })
    .completing(Completes::Symbols),
    row(G, "rwatch", &[], "rwatch (as watch)", "Stop when bytes are read", |rest| parse_watch(rest, WatchAccess::Read))
        .completing(Completes::Symbols),
    row(G, "awatch", &[], "awatch (as watch)", "Stop when bytes are read or written", |rest| {
        parse_watch(rest, WatchAccess::Any)
    })
    .completing(Completes::Symbols),
];

/// lldb's forms.
pub const LLDB_COMMANDS: &[CommandSpec] = &[
    row(Group::Lldb, "watchpoint set expression", &["w s e"], SET, "watch, rwatch, awatch", |rest| {
        parse_watch(rest, WatchAccess::Change)
    })
    .completing(Completes::Symbols),
    row(Group::Lldb, "watchpoint set variable", &["w s v"], SET, "watch, rwatch, awatch", |rest| {
        parse_watch(rest, WatchAccess::Change)
    })
    .completing(Completes::Symbols),
    row(Group::Lldb, "watchpoint list", &[], "watchpoint list", "info breakpoints", |rest| {
        nothing_after(rest, Command::ListBreakpoints)
    }),
    row(Group::Lldb, "watchpoint delete", &[], "watchpoint delete [N..]", "delete", parse_delete),
    row(Group::Lldb, "watchpoint enable", &[], "watchpoint enable [N..]", "enable", parse_enable),
    row(Group::Lldb, "watchpoint disable", &[], "watchpoint disable [N..]", "disable", parse_disable),
];

fn hardware(spec: BreakpointSpec) -> Result<Parsed, ParseError> {
    let location = Where::Hardware(Box::new(spec.location));
    engine(Command::Break { spec: BreakpointSpec { location, ..spec } })
}

fn parse_watch(rest: &Rest<'_>, access: WatchAccess) -> Result<Parsed, ParseError> {
    let (text, condition) = split_condition(rest.text);
    let mut watch = WatchSpec { expression: String::new(), length: None, access };
    let mut spec = plain_spec(Where::Address(String::new()));
    spec.condition = condition.map(str::to_owned);
    let mut count = None;
    // Options come first; what follows is an expression, in which quotes and backslashes are its own.
    let mut left = text;
    while let Some((option, after)) = next_option(left) {
        left = after;
        if option == "--" {
            break;
        }
        let mut value = || {
            let (word, after) = left.split_once(char::is_whitespace).unwrap_or((left, ""));
            left = after.trim_start();
            if word.is_empty() {
                Err(rest.wrong(format!("{option} needs a value")))
            } else {
                Ok(word.to_owned())
            }
        };
        match option {
            "--every" => watch.access = WatchAccess::Write,
            "-l" | "-location" => {}
            "-w" | "--watch" => watch.access = parse_access(rest, &value()?)?,
            "-s" | "--size" => watch.length = Some(rest.parse_number(&value()?)?),
            "--log" => spec.action = BreakpointAction::Log { count: None },
            "--count" => count = Some(rest.parse_number(&value()?)?),
            "--ignore" | "-i" => spec.ignore = rest.parse_number(&value()?)?,
            "--one-shot" | "--temporary" => {
                let mut words = split_words(left)?.into_iter();
                spec.temporary = take_toggle(&mut words);
                if words.len() < split_words(left)?.len() {
                    left = left.split_once(char::is_whitespace).map_or("", |(_, after)| after.trim_start());
                }
            }
            _ => return Err(rest.wrong(format!("`{option}` is no option of this command"))),
        }
    }
    match (&mut spec.action, count) {
        (BreakpointAction::Log { count: limit }, count) => *limit = count,
        (_, Some(_)) => return Err(rest.wrong("--count goes with --log")),
        _ => {}
    }
    let (expression, length) = split_length(left);
    if expression.is_empty() {
        return Err(rest.wrong("what is to be watched is missing"));
    }
    watch.length = length.or(watch.length);
    watch.expression = expression.to_owned();
    spec.location = Where::Watch(watch);
    engine(Command::Break { spec })
}

/// The first word, if it is an option, and what follows.
fn next_option(text: &str) -> Option<(&str, &str)> {
    let (word, after) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let is_option = word == "--" || word.strip_prefix('-')?.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic());
    is_option.then_some((word, after.trim_start()))
}

/// A last word that is a small number and follows a whole expression is the length.
fn split_length(text: &str) -> (&str, Option<u64>) {
    let split = text.rsplit_once(char::is_whitespace).and_then(|(before, last)| {
        let before = before.trim_end();
        let whole =
            before.ends_with(|c: char| c.is_ascii_alphanumeric() || "_)]'\"".contains(c)) && !ends_in_cast(before);
        let number = last.parse().ok().filter(|_| whole && last.len() <= 3)?;
        Some((before, Some(number)))
    });
    split.unwrap_or((text, None))
}

/// `*(int*) 8`: the number is what is cast.
fn ends_in_cast(text: &str) -> bool {
    text.ends_with("*)")
}

fn parse_access(rest: &Rest<'_>, word: &str) -> Result<WatchAccess, ParseError> {
    match word {
        "modify" => Ok(WatchAccess::Change),
        "write" => Ok(WatchAccess::Write),
        "read" => Ok(WatchAccess::Read),
        "read_write" => Ok(WatchAccess::Any),
        _ => Err(rest.wrong(format!("`{word}` is none of modify, write, read, read_write"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_line;
    use super::*;

    #[track_caller]
    fn spec(line: &str) -> BreakpointSpec {
        match parse_line(line) {
            Ok(Parsed::Engine { command: Command::Break { spec }, .. }) => spec,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn watch(expression: &str, length: Option<u64>, access: WatchAccess) -> Where {
        Where::Watch(WatchSpec { expression: expression.into(), length, access })
    }

    #[test]
    fn gdbs_and_lldbs_forms_mean_the_same() {
        use WatchAccess::*;
        let rows = [
            ("watch counter", watch("counter", None, Change)),
            ("watch counter 4", watch("counter", Some(4), Change)),
            ("watch *(int*)0x7fff1234", watch("*(int*)0x7fff1234", None, Change)),
            ("watch *(int*) 64", watch("*(int*) 64", None, Change)),
            ("watch counter + 8", watch("counter + 8", None, Change)),
            ("watch -l *(short*)$rsp", watch("*(short*)$rsp", None, Change)),
            ("watch --every 0x1000 2", watch("0x1000", Some(2), Write)),
            ("watch -8+$rsp", watch("-8+$rsp", None, Change)),
            ("rwatch $rsp+8 8", watch("$rsp+8", Some(8), Read)),
            ("awatch counter", watch("counter", None, Any)),
            ("watchpoint set expression -- 0x1000", watch("0x1000", None, Change)),
            ("watchpoint set expression -w read -s 4 -- 0x1000", watch("0x1000", Some(4), Read)),
            ("watchpoint set variable -w read_write counter", watch("counter", None, Any)),
            ("hbreak main", Where::Hardware(Box::new(Where::Name("main".into())))),
            ("hbreak *0x1000", Where::Hardware(Box::new(Where::Address("0x1000".into())))),
        ];
        for (line, location) in rows {
            assert_eq!(spec(line).location, location, "{line}");
        }
        let all = spec("watch --log --count 3 --ignore 2 counter 8 if $rdi == 1");
        assert_eq!((all.action, all.ignore), (BreakpointAction::Log { count: Some(3) }, 2));
        assert_eq!((all.location, all.condition.as_deref()), (watch("counter", Some(8), Change), Some("$rdi == 1")));
        assert_eq!(spec("thbreak main").temporary, Toggle::On);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, message) in [
            ("watch", "what is to be watched is missing"),
            ("watch --sideways x", "`--sideways` is no option"),
            ("watch --count 3 x", "--count goes with --log"),
            ("watchpoint set expression -w never x", "`never` is none of"),
            ("watch -s", "-s needs a value"),
        ] {
            let error = parse_line(line).unwrap_err().to_string();
            assert!(error.contains(message), "{line}: {error}");
        }
    }
}
