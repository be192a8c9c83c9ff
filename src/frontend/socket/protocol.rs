//! One JSON object a line.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

use crate::api::{ApiError, Command, Event, Outcome, Reply, Toggle};

/// The longest line, in bytes, that is read.
pub const LINE_LIMIT: usize = 1 << 20;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientMessage {
    /// Comes back with the answer.
    pub id: u64,
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Events too, or no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<bool>,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A command.
    Command(Command),
    /// Events, or none.
    Subscribe(Toggle),
}

impl ClientMessage {
    /// The one thing that is asked for.
    pub fn into_ask(self) -> Result<Ask, ApiError> {
        match (self.command, self.subscribe) {
            (Some(command), None) => Ok(Ask::Command(command)),
            (None, Some(true)) => Ok(Ask::Subscribe(Toggle::On)),
            (None, Some(false)) => Ok(Ask::Subscribe(Toggle::Off)),
            _ => Err(ApiError::user("a message has an id and either a command or subscribe")),
        }
    }
}

/// What the session sends: an answer, or an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerMessage {
    /// Of the message that is answered; missing where that had none that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// Or why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// Or what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
}

impl ServerMessage {
    /// An answer.
    pub fn answer(id: u64, outcome: Outcome) -> Self {
        match outcome {
            Ok(reply) => Self { id: Some(id), reply: Some(reply), ..Self::default() },
            Err(error) => Self { id: Some(id), error: Some(error), ..Self::default() },
        }
    }

    /// A complaint about a line.
    pub fn complaint(error: ApiError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// An event.
    pub fn event(event: Event) -> Self {
        Self { event: Some(event), ..Self::default() }
    }
}

/// A message as a line, newline included.
pub fn to_line(message: &impl Serialize) -> String {
    let mut line = serde_json::to_string(message)
        .unwrap_or_else(|error| serde_json::json!({ "error": ApiError::internal(error.to_string()) }).to_string());
    line.push('\n');
    line
}

/// A line that was read.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadLine {
    /// Without its newline.
    Line(Vec<u8>),
    /// It has more than [`LINE_LIMIT`] bytes.
    TooLong,
    /// There is none; a last line without a newline is none.
    End,
}

/// Reads a line, and never keeps more than [`LINE_LIMIT`] bytes of it.
pub fn read_line(from: &mut impl BufRead) -> io::Result<ReadLine> {
    let mut line = Vec::new();
    from.take(LINE_LIMIT as u64 + 1).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => Ok(ReadLine::Line(line)),
        Some(_) if line.len() >= LINE_LIMIT => Ok(ReadLine::TooLong),
        _ => Ok(ReadLine::End),
    }
}
