//! The commands on registers, memory, code and symbols.

use super::breakpoints::nothing_after;
use super::parse::{engine, ParseError, Parsed};
use super::table::{row, CommandSpec, Completes, Group};
use super::words::{unquote, Rest};
use crate::api::{Command, RegisterSet, TypeDetail, VariableSet};

const G: Group = Group::Data;
/// How many `info functions` and `info variables` list.
pub const FUNCTIONS_LIMIT: u32 = 500;
/// How many instructions `disassemble` shows.
pub const DISASSEMBLE_COUNT: u32 = 10;

/// The rows of the table.
pub const COMMANDS: &[CommandSpec] = &[
    row(
        G,
        "print",
        &["p", "inspect"],
        "print[/F] EXPR",
        "Evaluate an expression: $rdi, *(int*)$rsi, main",
        parse_print,
    )
    .completing(Completes::Symbols),
    row(G, "x", &[], "x[/COUNT FORMAT SIZE] [EXPR]", "Show memory: x/4xg $rsp, x/s $rdi, x/5i $pc", parse_examine)
        .repeats()
        .completing(Completes::Symbols),
    row(G, "whatis", &[], "whatis EXPR|TYPE", "The type of an expression", |rest| {
        engine(Command::TypeOf { expression: rest.needed("the expression")?, detail: TypeDetail::Name })
    })
    .completing(Completes::Symbols),
    row(G, "ptype", &["pt"], "ptype[/o|/m] EXPR|TYPE", "The definition of a type, or of an expression's", parse_ptype)
        .completing(Completes::Symbols),
    row(G, "info locals", &["info lo"], "info locals", "The variables in scope in the selected frame", |rest| {
        nothing_after(rest, Command::Variables { set: VariableSet::Locals })
    }),
    row(G, "info args", &["info ar"], "info args", "The selected frame's arguments", |rest| {
        nothing_after(rest, Command::Variables { set: VariableSet::Arguments })
    }),
    row(G, "info registers", &["info r", "info reg"], "info registers [NAME..]", "The registers", parse_registers),
    row(G, "info all-registers", &["info al"], "info all-registers", "All registers, of x87 and vectors too", |rest| {
        nothing_after(rest, Command::Registers { set: RegisterSet::All })
    }),
    row(G, "info vector", &["info vec"], "info vector", "The vector registers, and mxcsr", |rest| {
        nothing_after(rest, Command::Registers { set: RegisterSet::Vectors })
    }),
    row(G, "info float", &["info fl"], "info float", "The x87 registers", |rest| {
        nothing_after(rest, Command::Registers { set: RegisterSet::Floats })
    }),
    row(G, "disassemble", &["disas", "disass"], "disassemble [EXPR] [,COUNT]", "Disassemble code", parse_disassemble)
        .completing(Completes::Symbols),
    row(G, "info sharedlibrary", &["info sh", "info dll"], "info sharedlibrary", "The loaded modules", |rest| {
        nothing_after(rest, Command::ListModules)
    }),
    row(
        G,
        "info symbols-source",
        &[],
        "info symbols-source",
        "Where each module's names come from, how many, and what is missing and why",
        |rest| nothing_after(rest, Command::ListNameSources),
    ),
    row(G, "info functions", &["info fun"], "info functions [REGEX]", "Functions whose name matches", parse_functions)
        .completing(Completes::Symbols),
    row(
        G,
        "info variables",
        &["info var"],
        "info variables [REGEX]",
        "Global and static data whose name matches",
        |rest| {
            let regex = pattern_of(rest);
            engine(Command::DataSymbols { regex, limit: FUNCTIONS_LIMIT })
        },
    )
    .completing(Completes::Symbols),
    row(G, "info types", &["info ty"], "info types [REGEX]", "Types that the debug information describes", |rest| {
        engine(Command::TypeNames { regex: pattern_of(rest), limit: FUNCTIONS_LIMIT })
    }),
    row(G, "info symbol", &["info sym"], "info symbol EXPR", "Which symbol holds an address", parse_symbol),
    row(G, "set variable", &["set var"], "set var $REG = EXPR | set var {TYPE}ADDR = EXPR", "Assign", |rest| {
        engine(Command::Assign { assignment: rest.needed("the assignment")? })
    }),
];

/// gdb's flags: `o` offsets, `m` no functions; what `t`, `r`, `M` and `T` ask for is so anyway.
fn parse_ptype(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let flags = rest.format.unwrap_or("");
    if let Some(other) = flags.chars().find(|flag| !"omtrMT".contains(*flag)) {
        return Err(
            rest.wrong(format!("ptype has no `/{other}`: `/o` shows offsets, sizes and holes, `/m` no functions"))
        );
    }
    let detail = match (flags.contains('o'), flags.contains('m')) {
        (true, _) => TypeDetail::Layout,
        (false, true) => TypeDetail::Data,
        (false, false) => TypeDetail::Definition,
    };
    engine(Command::TypeOf { expression: rest.needed("the type or expression")?, detail })
}

fn parse_print(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let format = match rest.format {
        None => None,
        Some(letters) => {
            let mut chars = letters.chars();
            match (chars.next(), chars.next()) {
                (Some(letter), None) if letter.is_ascii_alphabetic() => Some(letter),
                _ => return Err(rest.wrong(format!("`/{letters}` is no format; one letter is"))),
            }
        }
    };
    engine(Command::Print { expression: rest.needed("the expression")?, format })
}

fn parse_examine(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let spec = rest.format.unwrap_or("");
    if !spec.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(rest.wrong(format!("`/{spec}` is no format")));
    }
    let expression = Some(rest.text).filter(|text| !text.is_empty()).map(str::to_owned);
    engine(Command::Examine { spec: spec.to_owned(), expression })
}

/// `info registers`, `register read`.
pub fn parse_registers(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let names: Vec<String> = rest
        .text
        .split([' ', ',', '\t'])
        .filter(|word| !word.is_empty() && !word.starts_with("--"))
        .map(|word| word.trim_start_matches('$').to_ascii_lowercase())
        .collect();
    // Groups by gdb's names, where one stands alone.
    let set = match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["general"] => RegisterSet::General,
        ["all"] => RegisterSet::All,
        ["vector"] => RegisterSet::Vectors,
        ["float"] => RegisterSet::Floats,
        _ => RegisterSet::Named(names),
    };
    engine(Command::Registers { set })
}

fn parse_disassemble(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    let words = rest.words()?;
    if words.first().is_some_and(|word| word.starts_with('-')) {
        return parse_lldb_disassemble(rest, words);
    }
    let (expression, count) = match rest.text.rsplit_once(',') {
        Some((expression, count)) => (expression.trim(), rest.parse_number(count.trim())?),
        None => (rest.text, DISASSEMBLE_COUNT),
    };
    let expression = Some(expression).filter(|text| !text.is_empty()).map(str::to_owned);
    engine(Command::Disassemble { expression, count })
}

fn parse_lldb_disassemble(rest: &Rest<'_>, words: Vec<String>) -> Result<Parsed, ParseError> {
    let mut expression = None;
    let mut count = DISASSEMBLE_COUNT;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--name" | "-n" | "--start-address" | "-s" | "--address" | "-a" => expression = words.next(),
            "--count" | "-c" => {
                count = rest.parse_number(&words.next().ok_or_else(|| rest.wrong("--count needs a value"))?)?;
            }
            "--pc" | "-p" | "--frame" | "-f" => expression = None,
            option => return Err(rest.wrong(format!("`{option}` is no option of this command"))),
        }
    }
    engine(Command::Disassemble { expression, count })
}

/// `info functions`.
pub fn parse_functions(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    engine(Command::Functions { regex: pattern_of(rest), limit: FUNCTIONS_LIMIT })
}

fn pattern_of(rest: &Rest<'_>) -> String {
    match unquote(rest.text) {
        "" => ".*".to_owned(),
        text => text.to_owned(),
    }
}

fn parse_symbol(rest: &Rest<'_>) -> Result<Parsed, ParseError> {
    engine(Command::InfoSymbol { expression: rest.needed("the address")? })
}
