//! Breakpoints on system calls: which calls are meant, and what a hit saw.

use serde::{Deserialize, Serialize};

use super::reply::FunctionCall;

/// Which system calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallSpec {
    /// Names (`bind`), numbers (`49`) and groups (`group:network`), as the user wrote them; empty: every call.
    pub calls: Vec<String>,
    /// Where in a call the target stops, and its condition is tested.
    pub side: SyscallSide,
}

/// A side of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyscallSide {
    /// Before it is made, where the condition is tested, and after. In log mode a call is told once, when it has returned.
    Both,
    /// Before it is made.
    Entry,
    /// When it has returned.
    Return,
}

/// A call that was caught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaughtCall {
    /// The breakpoint.
    pub id: u32,
    /// With its arguments as they were before it was made.
    pub call: FunctionCall,
    /// What it returned: `3`, `-1 EADDRINUSE`; `None`: it is about to be made.
    pub returned: Option<String>,
}
