//! The commands on breakpoints.

use super::parse::{engine, ParseError, Parsed};
use super::source::line_place;
use super::syscalls::calls_place;
use super::table::{row, CommandSpec, Completes, Group};
use super::words::{split_words, unquote, Rest};
use crate::api::{BreakpointAction, BreakpointSpec, Command, MaxRate, ModuleFilter, Toggle, Where};

/// How many functions a pattern may match unless `--limit` says otherwise.
pub const DEFAULT_LIMIT: u32 = 1000;

const G: Group = Group::Breakpoints;
const BREAK: &str =
    "break [NAME | FILE:LINE | LINE | MODULE`NAME | *ADDR | --at FILE:LINE | --name F | --regex RE | --basename F | --address A | --syscall CALLS] [--module LIB] \
                     [--log [--count N]] [--max-rate N/s] [--limit N] [--ignore N] [if COND]";

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(G, "break", &["b", "br"], BREAK, "Stop at a function, a pattern of functions, or an address", parse_break)
        .completing(Completes::Symbols),
    row(G, "tbreak", &["tb"], "tbreak (as break)", "A breakpoint that is deleted at its first stop", parse_tbreak)
        .completing(Completes::Symbols),
    row(G, "rbreak", &[], "rbreak REGEX", "Stop at every function whose demangled name matches", parse_rbreak),
    row(G, "delete", &["d"], "delete [N | N-M]..", "Delete breakpoints; all of them without a number", parse_delete),
    row(G, "enable", &["en"], "enable [N | N-M]..", "Enable breakpoints", parse_enable),
    row(G, "disable", &["dis"], "disable [N | N-M]..", "Disable breakpoints", parse_disable),
    row(G, "ignore", &[], "ignore N COUNT", "Let the next COUNT hits of a breakpoint pass", parse_ignore),
    row(G, "condition", &["cond"], "condition N [EXPR]", "Set or remove a breakpoint's condition", parse_condition),
    row(
        G,
        "info breakpoints",
        &["info b", "info br", "info watchpoints"],
        "info breakpoints",
        "List the breakpoints",
        |rest| nothing_after(rest, Command::ListBreakpoints),
    ),
];

/// A command that takes no argument.
pub fn nothing_after(rest: &Rest<'_>, command: Command) -> Result<Parsed, ParseError> {
    match rest.text {
        "" => engine(command),
        text => Err(rest.wrong(format!("`{text}` is not expected here"))),
    }
}

/// A breakpoint that stops, everywhere, with nothing special.
pub fn plain_spec(location: Where) -> BreakpointSpec {
    BreakpointSpec {
        location,
        module: ModuleFilter::Any,
        condition: None,
        temporary: Toggle::Off,
        action: BreakpointAction::Stop,
        ignore: 0,
        limit: DEFAULT_LIMIT,
        max_rate: MaxRate::Fit,
    }
}

/// `*ADDR`, `FILE:LINE`, `MODULE'NAME` with a backtick, or a name.
fn parse_place(text: &str) -> (Where, ModuleFilter) {
    if let Some(address) = text.strip_prefix('*') {
        return (Where::Address(address.trim().to_owned()), ModuleFilter::Any);
    }
    if let Some(line) = line_place(text) {
        return (line, ModuleFilter::Any);
    }
    match text.split_once('`') {
        Some((module, name)) if !module.is_empty() && !name.is_empty() => {
            (Where::Name(name.to_owned()), ModuleFilter::Named(module.to_owned()))
        }
        _ => (Where::Name(text.to_owned()), ModuleFilter::Any),
    }
}

/// The text before a free-standing `if`, and the condition after it.
pub fn split_condition(text: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    let mut blank_before = true;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if blank_before && text[at..].starts_with("if") => {
                let after = &text[at + 2..];
                if after.starts_with(|c: char| c.is_whitespace() || c == '(') {
                    return (text[..at].trim(), Some(after.trim()));
                }
            }
            None => {}
        }
        blank_before = c.is_whitespace();
    }
    (text, None)
}

/// Reads the options of `break` and of lldb's `breakpoint set`.
pub fn parse_spec(rest: &Rest<'_>) -> Result<BreakpointSpec, ParseError> {
    let (text, condition) = split_condition(rest.text);
    let mut spec = plain_spec(Where::Address("$pc".to_owned()));
    spec.condition = condition.map(str::to_owned);
    if let Some(address) = text.strip_prefix('*') {
        spec.location = Where::Address(address.trim().to_owned());
        return Ok(spec);
    }
    let mut place: Option<Where> = None;
    let mut plain: Vec<String> = Vec::new();
    let mut count = None;
    let (mut file, mut line) = (None, None);
    let mut words = split_words(text)?.into_iter();
    while let Some(word) = words.next() {
        let (option, glued) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        let mut value =
            || glued.clone().or_else(|| words.next()).ok_or_else(|| rest.wrong(format!("{option} needs a value")));
        match option.as_str() {
            "--regex" | "--func-regex" | "-r" => set_place(rest, &mut place, Where::Regex(value()?))?,
            "--name" | "-n" | "--method" | "-M" | "--fullname" | "-F" => {
                set_place(rest, &mut place, Where::Name(value()?))?;
            }
            "--basename" | "-b" => set_place(rest, &mut place, Where::BaseName(value()?))?,
            "--syscall" => set_place(rest, &mut place, calls_place(&value()?))?,
            "--address" | "-a" => set_place(rest, &mut place, Where::Address(value()?))?,
            "--at" => {
                let text = value()?;
                let line = line_place(&text).ok_or_else(|| rest.wrong(format!("`{text}` is no FILE:LINE")))?;
                set_place(rest, &mut place, line)?;
            }
            "--file" | "-f" => file = Some(value()?),
            "--line" | "-l" => line = Some(rest.parse_number::<u32>(&value()?)?),
            "--module" | "--shlib" | "-s" => spec.module = ModuleFilter::Named(value()?),
            "--condition" | "-c" => spec.condition = Some(value()?),
            "--max-rate" => spec.max_rate = value()?.parse().map_err(|error: String| rest.wrong(error))?,
            "--limit" => spec.limit = rest.parse_number(&value()?)?,
            "--ignore" | "--ignore-count" | "-i" => spec.ignore = rest.parse_number(&value()?)?,
            "--count" => count = Some(rest.parse_number(&value()?)?),
            "--log" => spec.action = BreakpointAction::Log { count: None },
            "--one-shot" | "-o" | "--temporary" => spec.temporary = take_toggle(&mut words),
            // (`->` stands in recovered names)
            option if option.starts_with('-') && option.len() > 1 && option != "->" => {
                return Err(rest.wrong(format!("`{option}` is no option of this command")));
            }
            _ => plain.push(word),
        }
    }
    if !plain.is_empty() {
        let (location, module) = parse_place(&plain.join(" "));
        set_place(rest, &mut place, location)?;
        if let ModuleFilter::Named(_) = module {
            spec.module = module;
        }
    }
    match (file, line) {
        (file, Some(line)) => set_place(rest, &mut place, Where::Line { file, line })?,
        (Some(_), None) => return Err(rest.wrong("--file needs a --line")),
        (None, None) => {}
    }
    match (&mut spec.action, count) {
        (BreakpointAction::Log { count: limit }, count) => *limit = count,
        (_, Some(_)) => return Err(rest.wrong("--count goes with --log")),
        _ => {}
    }
    spec.location = place.unwrap_or(spec.location);
    Ok(spec)
}

/// lldb writes `--one-shot true`; alone it means yes.
pub fn take_toggle(words: &mut std::vec::IntoIter<String>) -> Toggle {
    match words.as_slice().first().map(String::as_str) {
        Some("true" | "1" | "yes" | "on") => {
            words.next();
            Toggle::On
        }
        Some("false" | "0" | "no" | "off") => {
            words.next();
            Toggle::Off
        }
        _ => Toggle::On,
    }
}

fn set_place(rest: &Rest<'_>, place: &mut Option<Where>, location: Where) -> Result<(), ParseError> {
    match place {
        Some(_) => Err(rest.wrong("one place only, please")),
        None => {
            *place = Some(location);
            Ok(())
        }
    }
}

fn parse_break(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    engine(Command::Break { spec: parse_spec(rest)? })
}

fn parse_tbreak(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    engine(Command::Break { spec: BreakpointSpec { temporary: Toggle::On, ..parse_spec(rest)? } })
}

fn parse_rbreak(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let text = rest.needed("the regex")?;
    engine(Command::Break { spec: plain_spec(Where::Regex(unquote(&text).to_owned())) })
}

/// Numbers and ranges of breakpoints.
pub fn parse_ids(rest: &Rest<'_>) -> Result<Vec<u32>, ParseError> {
    let mut ids = Vec::new();
    for word in rest.text.split([' ', '\t', ',']).filter(|word| !word.is_empty() && *word != "breakpoints") {
        match word.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (rest.parse_number::<u32>(first)?, rest.parse_number::<u32>(last)?);
                if last < first || last - first > 10_000 {
                    return Err(rest.wrong(format!("`{word}` is no range")));
                }
                ids.extend(first..=last);
            }
            None => ids.push(rest.parse_number(word)?),
        }
    }
    Ok(ids)
}

/// `delete`.
pub fn parse_delete(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    engine(Command::Delete { ids: parse_ids(rest)? })
}

/// `enable`.
pub fn parse_enable(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    engine(Command::Enable { ids: parse_ids(rest)?, state: Toggle::On })
}

/// `disable`.
pub fn parse_disable(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    engine(Command::Enable { ids: parse_ids(rest)?, state: Toggle::Off })
}

fn parse_ignore(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    match rest.words()?.as_slice() {
        [id, count] => engine(Command::Ignore { id: rest.parse_number(id)?, count: rest.parse_number(count)? }),
        _ => Err(rest.wrong("a breakpoint's number and a count are needed")),
    }
}

fn parse_condition(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let text = rest.needed("the breakpoint's number")?;
    let (id, condition) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
    let condition = Some(condition.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
    engine(Command::Condition { id: rest.parse_number(id)?, condition })
}
