//! Where lines go: standard output, above a prompt, or a test's text.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// A sink of whole lines.
pub enum Console {
    /// Standard output, and standard error for failures.
    Stdio,
    /// Above the prompt, which stays.
    Prompt(Box<dyn FnMut(String) -> io::Result<()> + Send>),
    /// A test's.
    Capture(Arc<Mutex<String>>),
}

impl Console {
    /// Prints a text and a newline. An error means that nobody reads any more.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        match self {
            Console::Stdio => {
                let mut out = io::stdout().lock();
                writeln!(out, "{text}")?;
                out.flush()
            }
            Console::Prompt(print) => print(format!("{text}\n")),
            Console::Capture(into) => {
                let mut into = into.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                into.push_str(text);
                into.push('\n');
                Ok(())
            }
        }
    }

    /// Prints a failure.
    pub fn complain(&mut self, text: &str) -> io::Result<()> {
        match self {
            Console::Stdio => writeln!(io::stderr().lock(), "{text}"),
            _ => self.print(text),
        }
    }
}
