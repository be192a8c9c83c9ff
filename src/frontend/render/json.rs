//! JSON lines: `{"type":"reply","data":..}`.

use serde::Serialize;
use serde_json::json;

use crate::api::{ApiError, Event, Reply};

fn line(kind: &str, data: &impl Serialize) -> String {
    json!({ "type": kind, "data": data }).to_string()
}

/// A reply.
pub fn reply_line(reply: &Reply) -> String {
    line("reply", reply)
}

/// An event.
pub fn event_line(event: &Event) -> String {
    line("event", event)
}

/// A failure.
pub fn error_line(error: &ApiError) -> String {
    line("error", error)
}

/// A text of the prompt's own.
pub fn note_line(text: &str) -> String {
    line("note", &text)
}
