//! Running trace scripts: what a probe's hit does, the maps it fills, and how all that is printed.
//!
//! A [`Machine`] runs on the tracer thread, while the task that hit a probe stands. What it prints are [`Record`]s on a
//! bounded queue; a [`printer`] on another thread names and formats them.

pub mod call;
mod functions;
pub mod hit;
pub mod json;
pub mod machine;
pub mod map;
pub mod names;
pub mod printer;
pub mod printf;
pub mod record;
pub mod series;
pub mod show;
pub mod value;

pub use functions::describe_address;
pub use hit::{control_group_of, FunctionArgument, Hit, NoTask, SyscallHit};
pub use machine::{Machine, Machinery, StopWish};
pub use printer::{run_printer, Printed, PrinterOptions, Stream};
pub use record::{Output, Record};
pub use value::{StackValue, Text, Value};

#[cfg(test)]
mod tests;
