//! Exceptions and panics that are waited for.

use serde::{Deserialize, Serialize};

/// What `catch` waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchSpec {
    /// The event.
    pub event: CatchEvent,
    /// A regex that the exception's type is to match; `None`: any.
    pub types: Option<String>,
}

/// A step in the life of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchEvent {
    /// A C++ exception is thrown.
    Throw,
    /// A handler throws it on.
    Rethrow,
    /// A handler begins.
    Catch,
    /// A Rust thread panics.
    Panic,
}

impl CatchEvent {
    /// The word of the command.
    pub fn word(self) -> &'static str {
        match self {
            CatchEvent::Throw => "throw",
            CatchEvent::Rethrow => "rethrow",
            CatchEvent::Catch => "catch",
            CatchEvent::Panic => "panic",
        }
    }
}
