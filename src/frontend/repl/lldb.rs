//! lldb's long forms.

use super::breakpoints::{nothing_after, parse_delete, parse_disable, parse_enable, parse_spec};
use super::data::{parse_functions, parse_registers};
use super::general::set_named;
use super::lines::parse_lines;
use super::parse::{engine, ParseError, Parsed};
use super::running::{find_signal, parse_run, parse_step, parse_target};
use super::stack::{parse_backtrace, parse_frame, parse_inferior};
use super::table::{row, CommandSpec, Completes, Group};
use super::words::{unquote, Rest};
use crate::api::{Command, FrameMove, LineStepKind, SignalPolicy, StepKind, Toggle};

const G: Group = Group::Lldb;
const BREAKPOINT_SET: &str =
    "breakpoint set --name F | --file F --line N | --func-regex RE | --basename F | --address A [--shlib LIB] [--condition EXPR] [--one-shot true]";
const ATTACH: &str = "process attach --name NAME [--waitfor] [--include-existing] | --pid PID";

/// The forms on breakpoints and processes.
pub const COMMANDS: &[CommandSpec] = &[
    row(G, "breakpoint set", &["br s", "br set"], BREAKPOINT_SET, "break", |rest| {
        if rest.text.is_empty() {
            return Err(rest.wrong("a place is missing"));
        }
        engine(Command::Break { spec: parse_spec(rest)? })
    })
    .completing(Completes::Symbols),
    row(G, "breakpoint list", &["br l"], "breakpoint list", "info breakpoints", |rest| {
        nothing_after(rest, Command::ListBreakpoints)
    }),
    row(G, "breakpoint delete", &["br del"], "breakpoint delete [N..]", "delete", parse_delete),
    row(G, "breakpoint enable", &[], "breakpoint enable [N..]", "enable", parse_enable),
    row(G, "breakpoint disable", &[], "breakpoint disable [N..]", "disable", parse_disable),
    row(G, "process attach", &["platform process attach"], ATTACH, "attach", parse_target),
    row(G, "process launch", &[], "process launch [-- ARGS..]", "run", parse_run),
    row(G, "process continue", &["thread continue"], "process continue", "continue", |rest| {
        nothing_after(rest, Command::Continue)
    }),
    row(G, "process detach", &[], "process detach", "detach", |rest| nothing_after(rest, Command::Detach)),
    row(G, "process kill", &[], "process kill", "kill", |rest| nothing_after(rest, Command::Kill)),
    row(G, "process interrupt", &[], "process interrupt", "interrupt", |rest| nothing_after(rest, Command::Interrupt)),
    row(G, "process status", &[], "process status", "status", |rest| nothing_after(rest, Command::Status)),
    row(
        G,
        "process handle",
        &[],
        "process handle SIGNAL.. [--stop BOOL] [--notify BOOL] [--pass BOOL]",
        "handle",
        parse_handle,
    ),
    row(G, "platform process list", &[], "platform process list [--name-regex RE]", "ps", parse_process_list),
];

/// The forms on threads, frames, data and settings.
pub const MORE_COMMANDS: &[CommandSpec] = &[
    row(G, "thread list", &[], "thread list", "info threads", |rest| nothing_after(rest, Command::ListThreads)),
    row(G, "thread backtrace", &[], "thread backtrace [all] [-c N] [--how]", "backtrace", |rest| {
        parse_backtrace(rest, Toggle::Off)
    }),
    row(G, "thread select", &[], "thread select N", "thread", |rest| {
        let number = rest.number()?.ok_or_else(|| rest.wrong("the thread's number is missing"))?;
        engine(Command::Thread { number: Some(number) })
    }),
    row(G, "thread step-in", &[], "thread step-in [N]", "step", |rest| parse_lines(rest, LineStepKind::Into)).repeats(),
    row(G, "thread step-over", &[], "thread step-over [N]", "next", |rest| parse_lines(rest, LineStepKind::Over))
        .repeats(),
    row(G, "thread step-inst", &[], "thread step-inst [-c N]", "stepi", |rest| parse_step(rest, StepKind::Into))
        .repeats(),
    row(G, "thread step-inst-over", &[], "thread step-inst-over [-c N]", "nexti", |rest| {
        parse_step(rest, StepKind::Over)
    })
    .repeats(),
    row(G, "thread step-out", &[], "thread step-out", "finish", |rest| nothing_after(rest, Command::Finish)),
    row(G, "thread info", &[], "thread info", "thread", |rest| nothing_after(rest, Command::Thread { number: None })),
    row(G, "frame select", &[], "frame select N", "frame", parse_frame),
    row(G, "frame info", &[], "frame info", "frame", |rest| {
        nothing_after(rest, Command::Frame { select: FrameMove::Current })
    }),
    row(G, "register read", &[], "register read [NAME..]", "info registers", parse_registers),
    row(G, "register write", &[], "register write NAME VALUE", "set $NAME = VALUE", parse_register_write),
    row(
        G,
        "memory read",
        &[],
        "memory read[/COUNT FORMAT SIZE] [--count N] [--format F] [--size BYTES] ADDR",
        "x",
        parse_memory_read,
    )
    .completing(Completes::Symbols),
    row(G, "expression", &["expr"], "expression EXPR", "print", |rest| {
        let text = rest.needed("the expression")?;
        let expression = text.strip_prefix("--").map_or(text.as_str(), str::trim).to_owned();
        engine(Command::Print { expression, format: None })
    }),
    row(G, "image list", &["target modules list"], "image list", "info sharedlibrary", |rest| {
        nothing_after(rest, Command::ListModules)
    }),
    row(
        G,
        "image lookup",
        &[],
        "image lookup --regex --name RE | --name F | --address A",
        "info functions",
        parse_lookup,
    )
    .completing(Completes::Symbols),
    row(G, "target list", &[], "target list", "info inferiors", |rest| nothing_after(rest, Command::ListInferiors)),
    row(G, "target select", &[], "target select N", "inferior", parse_inferior),
    row(G, "settings set", &[], "settings set NAME VALUE", "set", |rest| {
        let text = rest.needed("the setting's name")?;
        let text = text.strip_prefix("-- ").unwrap_or(&text);
        let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        set_named(rest, name, value.trim())
    }),
    row(G, "settings show", &[], "settings show [NAME]", "show", |rest| {
        let name = rest.text.rsplit('.').next().filter(|text| !text.is_empty()).map(str::to_owned);
        engine(Command::Show { name })
    }),
];

fn parse_register_write(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    match rest.text.split_once(char::is_whitespace) {
        Some((name, value)) => {
            engine(Command::Assign { assignment: format!("${} = {}", name.trim_start_matches('$'), value.trim()) })
        }
        None => Err(rest.wrong("a register and a value are needed")),
    }
}

fn parse_process_list(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let words = rest.words()?;
    let matching = match words.as_slice() {
        [] => None,
        [option, name]
            if ["--name", "-n", "--match", "-c", "--contains", "--name-regex", "-r"].contains(&option.as_str()) =>
        {
            Some(name.clone())
        }
        _ => return Err(rest.wrong(format!("`{}` is not expected here", rest.text))),
    };
    engine(Command::Processes { matching })
}

fn parse_handle(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let mut signals = Vec::new();
    let mut policy = SignalPolicy::default();
    let mut words = rest.words()?.into_iter();
    while let Some(word) = words.next() {
        let field = match word.as_str() {
            "--stop" | "-s" => &mut policy.stop,
            "--notify" | "-n" => &mut policy.print,
            "--pass" | "-p" => &mut policy.pass,
            name => {
                signals.push(find_signal(rest, name)?);
                continue;
            }
        };
        *field = match words.next().as_deref() {
            Some("true" | "1" | "yes") => Some(Toggle::On),
            Some("false" | "0" | "no") => Some(Toggle::Off),
            _ => return Err(rest.wrong(format!("{word} needs true or false"))),
        };
    }
    if signals.is_empty() {
        return engine(Command::ListSignals);
    }
    engine(Command::Handle { signals, policy })
}

fn parse_memory_read(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let (mut count, mut format, mut size) = (None, None, None);
    let mut expression: Vec<String> = Vec::new();
    let mut words = rest.words()?.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| rest.wrong(format!("{word} needs a value")));
        match word.as_str() {
            "--count" | "-c" => count = Some(rest.parse_number::<u32>(&value()?)?),
            "--format" | "-f" => format = Some(value()?),
            "--size" | "-s" => size = Some(size_letter(rest, &value()?)?),
            option if option.starts_with("--") => {
                return Err(rest.wrong(format!("`{option}` is no option of this command")));
            }
            _ => expression.push(word),
        }
    }
    if expression.is_empty() {
        return Err(rest.wrong("the address is missing"));
    }
    let spec = match rest.format {
        Some(spec) => spec.to_owned(),
        None => {
            let format = match format.as_deref() {
                None | Some("x" | "hex") => "x",
                Some("d" | "decimal") => "d",
                Some("u" | "unsigned decimal") => "u",
                Some("s" | "c-string" | "cstring") => "s",
                Some("i" | "instruction") => "i",
                Some("c" | "character") => "c",
                Some("a" | "address" | "A") => "a",
                Some(other) => return Err(rest.wrong(format!("`{other}` is no format"))),
            };
            let default = if size.is_none() && format == "x" { 32 } else { 1 };
            let size = if "si".contains(format) { "" } else { size.unwrap_or("b") };
            format!("{}{format}{size}", count.unwrap_or(default))
        }
    };
    engine(Command::Examine { spec, expression: Some(expression.join(" ")) })
}

fn size_letter(rest: &Rest<'_>, bytes: &str) -> Result<&'static str, ParseError> {
    match bytes {
        "1" => Ok("b"),
        "2" => Ok("h"),
        "4" => Ok("w"),
        "8" => Ok("g"),
        _ => Err(rest.wrong("the size is 1, 2, 4 or 8")),
    }
}

fn parse_lookup(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let mut regex = Toggle::Off;
    let mut name = None;
    let mut words = rest.words()?.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--regex" | "-r" => regex = Toggle::On,
            "-rn" => {
                regex = Toggle::On;
                name = words.next();
            }
            "--name" | "-n" | "--function" | "-F" | "--symbol" | "-s" => name = words.next(),
            "--address" | "-a" => {
                let expression = words.next().ok_or_else(|| rest.wrong("--address needs a value"))?;
                return engine(Command::InfoSymbol { expression });
            }
            option => return Err(rest.wrong(format!("`{option}` is not expected here"))),
        }
    }
    let name = name.ok_or_else(|| rest.wrong("a name or an address is missing"))?;
    match regex {
        Toggle::On => parse_functions(&Rest { text: unquote(&name), ..*rest }),
        Toggle::Off => engine(Command::InfoSymbol { expression: name }),
    }
}
