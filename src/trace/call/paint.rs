//! The colours of calls on a terminal: those that the prompt has.

use std::borrow::Cow;

use anstyle::{AnsiColor, Color, Style};

/// Whether lines carry colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    /// None.
    Plain,
    /// For a terminal.
    Colour,
}

impl Paint {
    fn with(self, colour: AnsiColor, text: &str) -> Cow<'_, str> {
        match self {
            Paint::Plain => text.into(),
            Paint::Colour => {
                let style = Style::new().fg_color(Some(Color::Ansi(colour)));
                format!("{style}{text}{style:#}").into()
            }
        }
    }

    pub(super) fn function(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Yellow, text)
    }

    pub(super) fn thread(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Green, text)
    }

    pub(super) fn error(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Red, text)
    }
}
