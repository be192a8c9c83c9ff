//! Lines from the terminal or from a pipe, read by a thread of their own so that events can be shown meanwhile.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam_channel::{bounded, Receiver, Sender};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::completer::LineHelper;
use super::console::Console;
use super::shown::ShownLine;
use crate::api::Session;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line.
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of the input.
    End,
}

/// The reading thread, seen from outside: it reads one line each time it is asked.
pub struct LineReader {
    /// What was read.
    pub lines: Receiver<Line>,
    asks: Sender<String>,
}

impl LineReader {
    /// Asks for a line, with this prompt.
    pub fn ask(&self, prompt: &str) {
        // A reader that has ended has sent `End`, which the caller will see.
        let _ = self.asks.send(prompt.to_owned());
    }

    /// Lines of a pipe or file: no prompt.
    pub fn piped(mut input: impl BufRead + Send + 'static) -> io::Result<LineReader> {
        let (asks, asked) = bounded::<String>(1);
        let (sender, lines) = bounded(1);
        thread::Builder::new().name("rdbg-lines".into()).spawn(move || {
            while asked.recv().is_ok() {
                let mut bytes = Vec::new();
                let line = match input.read_until(b'\n', &mut bytes) {
                    Ok(0) | Err(_) => Line::End,
                    Ok(_) => Line::Text(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned()),
                };
                if sender.send(line).is_err() {
                    break;
                }
            }
        })?;
        Ok(LineReader { lines, asks })
    }

    /// Lines of a terminal, with editing, history and completion; and what prints above its prompt.
    pub fn terminal(session: Session, history: Option<PathBuf>) -> io::Result<(LineReader, Console)> {
        let (asks, asked) = bounded::<String>(1);
        let (sender, lines) = bounded(1);
        let shown = ShownLine::default();
        let above = shown.clone();
        let mut editor = open_editor(session, history.as_deref(), &shown).map_err(io::Error::other)?;
        thread::Builder::new()
            .name("rdbg-prompt".into())
            .spawn(move || read_lines(&mut editor, &shown, &asked, &sender, history.as_deref()))?;
        let print = move |text: String| above.print_above(&mut io::stdout().lock(), &text);
        Ok((LineReader { lines, asks }, Console::Prompt(Box::new(print))))
    }
}

type LineEditor = Editor<LineHelper, FileHistory>;

fn open_editor(session: Session, history: Option<&Path>, shown: &ShownLine) -> rustyline::Result<LineEditor> {
    let config = Config::builder()
        .max_history_size(10_000)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = LineEditor::with_config(config)?;
    editor.set_helper(Some(LineHelper::new(session, shown.clone())));
    if let Some(path) = history {
        if let Some(directory) = path.parent() {
            if let Err(error) = std::fs::create_dir_all(directory) {
                tracing::debug!(%error, ?directory, "no history is kept");
            }
        }
        if let Err(error) = editor.load_history(path) {
            tracing::debug!(%error, ?path, "no history yet");
        }
    }
    Ok(editor)
}

fn read_lines(
    editor: &mut LineEditor,
    shown: &ShownLine,
    asked: &Receiver<String>,
    sender: &Sender<Line>,
    history: Option<&Path>,
) {
    while let Ok(prompt) = asked.recv() {
        shown.set_prompt(&prompt);
        let read = editor.readline(&prompt);
        shown.clear();
        let line = match read {
            Ok(text) => {
                let kept = editor.add_history_entry(text.as_str()).unwrap_or(false);
                if let (true, Some(path)) = (kept, history) {
                    if let Err(error) = editor.append_history(path) {
                        tracing::debug!(%error, ?path, "the history was not written");
                    }
                }
                Line::Text(text)
            }
            Err(ReadlineError::Interrupted) => Line::Interrupted,
            Err(_) => Line::End,
        };
        if sender.send(line).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gives_its_lines_then_its_end() {
        let reader = LineReader::piped(io::Cursor::new(b"a\nb \xff".to_vec())).unwrap();
        for expected in [Line::Text("a".into()), Line::Text("b \u{fffd}".into()), Line::End] {
            reader.ask("");
            assert_eq!(reader.lines.recv().unwrap(), expected);
        }
    }
}
