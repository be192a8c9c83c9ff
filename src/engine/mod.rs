//! The tracer thread: it alone talks to ptrace. It takes requests from its queue, waits for its tracees, and sends events.
//!
//! One loop ([`Engine::run`]) handles one thing at a time to its end. Nothing here calls a front end.

mod breakpoints;
mod calls;
mod commands;
mod inspect;
mod names;
mod pinning;
mod process;
#[cfg(test)]
mod scripted;
mod settings;
mod spawn;
mod state;
mod stops;
mod trace;

pub use names::files::answer_names;
pub use spawn::{spawn, Handle, Port};
pub use state::Engine;
