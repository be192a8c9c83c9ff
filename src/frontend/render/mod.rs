//! Replies and events to text or JSON lines.

pub mod clock;
mod displays;
pub mod event;
mod frame_detail;
pub mod json;
mod names;
pub mod places;
pub mod reply;
pub mod safe;
pub mod source;
pub mod style;
mod syscalls;
pub mod tables;
mod watch;

#[cfg(test)]
mod tests;

use crate::api::{ApiError, Event, Reply};

use super::repl::Detail;
pub use style::Style;

/// How things are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text(Style),
    /// `{"type":..,"data":..}`, one a line.
    Json,
}

/// Turns what the engine says into lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renderer {
    /// How.
    pub format: Format,
}

impl Renderer {
    /// Text without colours.
    pub const PLAIN: Renderer = Renderer { format: Format::Text(Style::Plain) };

    /// A reply, without a newline at its end; `None` where there is nothing to show.
    pub fn reply(&self, reply: &Reply, detail: Detail) -> Option<String> {
        let text = match self.format {
            Format::Json => json::reply_line(reply),
            Format::Text(style) => safe::make_safe(&reply::reply_text(reply, detail, style), style),
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// An event; `None` where there is nothing to show.
    pub fn event(&self, event: &Event) -> Option<String> {
        let text = match self.format {
            Format::Json => json::event_line(event),
            Format::Text(style) => safe::make_safe(&event::event_text(event, style), style),
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// A failure.
    pub fn error(&self, error: &ApiError) -> String {
        match self.format {
            Format::Json => json::error_line(error),
            Format::Text(style) => safe::make_safe(&style.error(&format!("error: {error}")), style),
        }
    }

    /// A text of the prompt's own.
    pub fn note(&self, text: &str) -> String {
        match self.format {
            Format::Json => json::note_line(text),
            Format::Text(_) => text.to_owned(),
        }
    }
}
