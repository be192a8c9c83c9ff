//! What the user sees: the command line, the prompt, the texts, and the session socket. It holds no truth of its own:
//! it turns lines into [`crate::api::Command`]s and shows what comes back.

pub mod cli;
pub mod front;
pub mod render;
pub mod repl;
pub mod socket;
pub mod surroundings;
mod progress;
mod trace;

pub use front::run;
pub use surroundings::{Interruption, Surroundings};

#[cfg(test)]
pub(crate) mod fake;
