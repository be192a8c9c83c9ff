//! What is known of a process: its threads, its address space, its modules; what a stop means; sites; stacks; values.

pub mod breakpoint;
pub mod stop;
pub mod task;
