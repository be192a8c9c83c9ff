//! Colours, or none.

use anstyle::{AnsiColor, Color, Style as Ansi};

/// Whether texts carry colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// None.
    Plain,
    /// For a terminal.
    Colour,
}

impl Style {
    fn paint(self, colour: AnsiColor, text: &str) -> String {
        match self {
            Style::Plain => text.to_owned(),
            Style::Colour => {
                let ansi = Ansi::new().fg_color(Some(Color::Ansi(colour)));
                format!("{ansi}{text}{ansi:#}")
            }
        }
    }

    /// A function's name.
    pub fn function(self, text: &str) -> String {
        self.paint(AnsiColor::Yellow, text)
    }

    /// An address.
    pub fn address(self, text: &str) -> String {
        self.paint(AnsiColor::Blue, text)
    }

    /// A thread's or process's name.
    pub fn thread(self, text: &str) -> String {
        self.paint(AnsiColor::Green, text)
    }

    /// The mark of the current line.
    pub fn marker(self, text: &str) -> String {
        self.paint(AnsiColor::Cyan, text)
    }

    /// A headline.
    pub fn headline(self, text: &str) -> String {
        match self {
            Style::Plain => text.to_owned(),
            Style::Colour => {
                let ansi = Ansi::new().bold();
                format!("{ansi}{text}{ansi:#}")
            }
        }
    }

    /// A failure.
    pub fn error(self, text: &str) -> String {
        self.paint(AnsiColor::Red, text)
    }
}
