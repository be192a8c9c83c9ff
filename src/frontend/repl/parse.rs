//! A line of the prompt to a command.

use std::path::PathBuf;

use super::table::{all_commands, CommandSpec};
use super::words::Rest;
use crate::api::{Command, Toggle};

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// Something of the engine.
    Engine {
        /// What.
        command: Command,
        /// How the answer is shown.
        detail: Detail,
    },
    /// Something of the prompt itself.
    Local(Local),
    /// An empty line or a comment.
    Nothing,
}

/// How much of an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Detail {
    /// As usual.
    #[default]
    Plain,
    /// With how each frame was found.
    How,
}

/// What the prompt does by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// `help [COMMAND]`.
    Help(Option<String>),
    /// `source FILE`.
    Source(PathBuf),
    /// `history [N]`.
    History(Option<u32>),
    /// `echo TEXT`.
    Echo(String),
    /// `set confirm on|off`.
    Confirm(Toggle),
    /// `json on|off`.
    Json(Toggle),
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No command begins so.
    #[error("`{word}` is no command{}", nearest_text(.nearest))]
    Unknown {
        /// The word or words.
        word: String,
        /// The nearest command.
        nearest: Option<String>,
    },
    /// Several commands begin so.
    #[error("`{word}` is ambiguous: {}", .candidates.join(", "))]
    Ambiguous {
        /// The word or words.
        word: String,
        /// What it could be.
        candidates: Vec<String>,
    },
    /// The command was meant, but not like this.
    #[error("{message}\n  usage: {usage}")]
    Usage {
        /// What is wrong.
        message: String,
        /// How it is written.
        usage: &'static str,
    },
    /// A quote that does not end.
    #[error("the quote {0} does not end")]
    OpenQuote(char),
}

fn nearest_text(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; `help` lists all".to_owned(),
    }
}

/// A command of the engine, shown as usual.
pub fn engine(command: Command) -> Result<Parsed, ParseError> {
    Ok(Parsed::Engine { command, detail: Detail::Plain })
}

/// What a line asks for: gdb's names, short or as an unambiguous prefix, or lldb's long forms.
pub fn parse_line(line: &str) -> Result<Parsed, ParseError> {
    let line = strip_prompt(line.trim());
    if line.is_empty() || line.starts_with('#') {
        return Ok(Parsed::Nothing);
    }
    let (spec, rest) = resolve(line)?;
    (spec.parse)(&rest)
}

/// The spec that a line names, if it names one.
pub fn find_spec(line: &str) -> Option<&'static CommandSpec> {
    resolve(line).ok().map(|(spec, _)| spec)
}

/// A line copied with its prompt is taken without it.
fn strip_prompt(line: &str) -> &str {
    ["(lldb)", "(gdb)", "(rdbg)"].iter().find_map(|prompt| line.strip_prefix(prompt)).unwrap_or(line).trim()
}

/// The leading words of a line, each with where it ends.
fn leading_words(line: &str) -> Vec<(&str, usize)> {
    let mut words = Vec::new();
    let mut at = 0;
    for _ in 0..3 {
        let start = at + line[at..].len() - line[at..].trim_start().len();
        let tail = &line[start..];
        if tail.is_empty() {
            break;
        }
        let length = tail.find(char::is_whitespace).unwrap_or(tail.len());
        at = start + length;
        words.push((&line[start..at], at));
    }
    words
}

struct Candidate {
    spec: &'static CommandSpec,
    path: Vec<&'static str>,
}

fn candidates() -> Vec<Candidate> {
    let mut all = Vec::new();
    for spec in all_commands() {
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            all.push(Candidate { spec, path: name.split(' ').collect() });
        }
    }
    all
}

/// The longest command path that the line's words begin; at each word an exact match beats a prefix.
fn resolve(line: &str) -> Result<(&'static CommandSpec, Rest<'_>), ParseError> {
    let words = leading_words(line);
    let mut open = candidates();
    let mut best: Option<(Vec<&'static CommandSpec>, usize)> = None;
    for (index, (word, end)) in words.iter().enumerate() {
        let name = word.split_once('/').filter(|(name, _)| !name.is_empty()).map_or(*word, |(name, _)| name);
        let name = if index == 0 && name == "i" { "info" } else { name };
        let exact = open.iter().any(|candidate| candidate.path.get(index) == Some(&name));
        open.retain(|candidate| match candidate.path.get(index) {
            Some(part) if exact => *part == name,
            Some(part) => part.starts_with(name),
            None => false,
        });
        if open.is_empty() {
            break;
        }
        let mut whole: Vec<&'static CommandSpec> = Vec::new();
        for candidate in open.iter().filter(|candidate| candidate.path.len() == index + 1) {
            if !whole.iter().any(|spec| std::ptr::eq(*spec, candidate.spec)) {
                whole.push(candidate.spec);
            }
        }
        if !whole.is_empty() {
            best = Some((whole, index));
        }
        let _ = end;
    }
    let Some((specs, index)) = best else { return Err(no_match(&words, line)) };
    let (word, end) = words[index];
    if specs.len() > 1 {
        let word = words[..=index].iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" ");
        return Err(ParseError::Ambiguous {
            word,
            candidates: specs.iter().map(|spec| spec.name.to_owned()).collect(),
        });
    }
    let format = word.split_once('/').filter(|(name, _)| !name.is_empty()).map(|(_, format)| format);
    Ok((specs[0], Rest { format, text: line[end..].trim(), usage: specs[0].usage }))
}

fn no_match(words: &[(&str, usize)], line: &str) -> ParseError {
    let first = words.first().map_or(line, |(word, _)| word);
    let group: Vec<String> = all_commands()
        .filter(|spec| spec.name.contains(' ') && spec.name.split(' ').next().is_some_and(|part| part == first))
        .map(|spec| spec.name.to_owned())
        .collect();
    if words.len() < 2 && !group.is_empty() {
        return ParseError::Ambiguous { word: first.to_owned(), candidates: group };
    }
    let word = match words.get(1) {
        Some((second, _)) if !group.is_empty() => format!("{first} {second}"),
        _ => first.to_owned(),
    };
    let nearest = all_commands()
        .flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()))
        .map(|name| (distance(&word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.to_owned());
    ParseError::Unknown { word, nearest }
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
