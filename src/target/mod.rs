//! What is known of a process: its address space, its stacks, the values in its registers and memory.

pub mod address_space;
#[cfg(test)]
mod fake_memory;
pub mod syscalls;
pub mod unwind;
pub mod value;

pub use address_space::{AddressSpace, LoadedModule, Named};
pub use unwind::{walk, Frame, FrameAddress, FrameRegs, HowFound, StackWalk, WalkEnd};
pub use value::{ArgumentReader, CallPlan, Certainty, DecodedArgument, DecodedCall};
