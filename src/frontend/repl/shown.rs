//! The line that is being edited, so that events can be printed above it.
//!
//! rustyline has an external printer for this, but with it (17.0) the reader waits in select(2) for keys that it has
//! already read: whatever is typed ahead or sent in one piece stays undone until the next key.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by the editor's helper, which keeps it, and the console, which prints above it.
#[derive(Clone, Debug, Default)]
pub struct ShownLine(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    prompt: String,
    /// The text, and the cursor as a byte position in it; `None` while nothing is edited.
    edited: Option<(String, usize)>,
}

impl ShownLine {
    /// The prompt of the line to come.
    pub fn set_prompt(&self, prompt: &str) {
        self.with(|state| prompt.clone_into(&mut state.prompt));
    }

    /// The line is shown so.
    pub fn keep(&self, line: &str, pos: usize) {
        self.with(|state| state.edited = Some((line.to_owned(), pos)));
    }

    /// No line is shown.
    pub fn clear(&self) {
        self.with(|state| state.edited = None);
    }

    /// Prints whole lines above the line that is edited, and shows that again.
    pub fn print_above(&self, out: &mut impl Write, text: &str) -> io::Result<()> {
        self.with(|state| {
            match &state.edited {
                None => out.write_all(text.as_bytes())?,
                Some((line, pos)) => {
                    let behind = line.get(*pos..).map_or(0, |tail| tail.chars().count());
                    let back = if behind > 0 { format!("\x1b[{behind}D") } else { String::new() };
                    out.write_all(format!("\r\x1b[J{text}{}{line}{back}", state.prompt).as_bytes())?;
                }
            }
            out.flush()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edited_line_comes_back_below_what_is_printed() {
        let shown = ShownLine::default();
        shown.set_prompt("> ");
        let print = || {
            let mut out = Vec::new();
            shown.print_above(&mut out, "event\n").unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(print(), "event\n");
        shown.keep("b main", 4);
        assert_eq!(print(), "\r\x1b[Jevent\n> b main\x1b[2D");
        shown.clear();
        assert_eq!(print(), "event\n");
    }
}
