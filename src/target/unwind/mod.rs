//! Who called whom: from a task's registers to its stack, by call frame information, by frame pointers, through
//! signal frames and PLT stubs.

mod cfi;
mod code;
mod expression;
mod frame;
mod frame_pointer;
mod saved;
mod signal_frame;
mod walk;

pub use frame::{Frame, FrameAddress, FrameRegs, HowFound, RSP};
pub use saved::saved_registers;
pub use walk::{walk, StackWalk, WalkEnd};
