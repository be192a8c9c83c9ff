//! What is known of a process: its threads, its address space, its modules; what a stop means; sites; stacks; values.

pub mod address_space;
pub mod breakpoint;
pub mod broken_call;
pub mod calls_under_way;
pub mod debug_register;
#[cfg(test)]
pub(crate) mod fake_memory;
pub mod stop;
pub mod syscalls;
pub mod task;
pub mod thread_locals;
pub mod unwind;
pub mod value;

pub use address_space::{AddressSpace, LoadedModule, Named};
pub use unwind::{walk, Frame, FrameAddress, FrameRegs, HowFound, StackWalk, WalkEnd};
