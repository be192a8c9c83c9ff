//! The command line: typed arguments (clap), then a checked [`Plan`].

pub mod args;
pub mod plan;
mod trace_plan;

#[cfg(test)]
mod tests;

pub use args::Colours;
pub use plan::{parse_args, AtEntry, Batch, Options, OutputKind, Plan, Scripted, SessionPlan, TracePlan, TraceScript};
