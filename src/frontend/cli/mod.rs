//! The command line: typed arguments (clap), then a checked [`Plan`].

pub mod args;
pub mod plan;

#[cfg(test)]
mod tests;

pub use plan::{parse_args, AtEntry, Batch, Options, OutputKind, Plan, Scripted, SessionPlan, TracePlan, TraceScript};
