//! What the user sees: the command line, the prompt, the texts, and the session socket. It holds no truth of its own:
//! it turns lines into [`crate::api::Command`]s and shows what comes back.

pub mod cli;
pub mod front;
mod progress;
pub mod render;
pub mod repl;
pub mod socket;
pub mod surroundings;
mod trace;
mod working;
mod writer;

pub use front::run;
pub use surroundings::{Interruption, Surroundings};

#[cfg(test)]
pub(crate) mod fake;
