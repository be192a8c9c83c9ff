//! Completion of commands, functions and files.

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::{Context, Helper, Validator};

use super::parse::find_spec;
use super::shown::ShownLine;
use super::table::{all_commands, Completes};
use crate::api::{Command, Reply, Session};

/// How many functions are offered.
const LIMIT: u32 = 200;

/// rustyline's helper.
#[derive(Helper, Validator)]
pub struct LineHelper {
    session: Session,
    files: FilenameCompleter,
    shown: ShownLine,
}

impl LineHelper {
    /// Asks the session for functions, and keeps what is shown.
    pub fn new(session: Session, shown: ShownLine) -> Self {
        Self { session, files: FilenameCompleter::new(), shown }
    }

    fn functions(&self, prefix: &str) -> Vec<String> {
        match self.session.request(Command::Complete { prefix: prefix.to_owned(), limit: LIMIT }) {
            Ok(Reply::Completions { names }) => names,
            _ => Vec::new(),
        }
    }
}

/// Called whenever the line is drawn.
impl Hinter for LineHelper {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        self.shown.keep(line, pos);
        None
    }
}

/// Called whenever the cursor moves.
impl Highlighter for LineHelper {
    fn highlight_char(&self, line: &str, pos: usize, _: CmdKind) -> bool {
        self.shown.keep(line, pos);
        false
    }
}

/// The commands that go on as `line` begins.
pub fn complete_command(line: &str) -> Vec<String> {
    let mut names: Vec<String> = all_commands()
        .map(|spec| spec.name)
        .filter(|name| name.starts_with(line.trim_start()))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

impl Completer for LineHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let line = &line[..pos];
        let pairs = |names: Vec<String>| {
            names.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect::<Vec<_>>()
        };
        let commands = complete_command(line);
        if !commands.is_empty() {
            let start = line.len() - line.trim_start().len();
            return Ok((start, pairs(commands)));
        }
        let start = line.rfind([' ', '*', '`', '\'', '(']).map_or(0, |at| at + 1);
        match find_spec(line).map_or(Completes::Nothing, |spec| spec.completes) {
            Completes::Nothing => Ok((pos, Vec::new())),
            Completes::Files => self.files.complete(line, pos, context),
            Completes::Commands => Ok((start, pairs(complete_command(&line[start..])))),
            Completes::Symbols => Ok((start, pairs(self.functions(&line[start..])))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_complete_by_their_beginning() {
        assert!(complete_command("br").contains(&"break".to_owned()));
        assert_eq!(complete_command("info sh"), ["info sharedlibrary"]);
        assert!(complete_command("b main").is_empty());
    }
}
