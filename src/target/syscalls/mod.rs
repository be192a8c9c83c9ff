//! The C functions of libc that users break on: their parameters, and how each is shown (as strace shows them).

mod constant;
mod decode;
mod kernel;
mod option;
mod signature;
mod sockaddr;
mod structure;
mod table;

pub use decode::CallMemory;
pub use kernel::{find_kernel_call, kernel_call, kernel_calls, KernelCall};
pub use signature::{Kind, Parameter, Signature};
pub use table::find_signature;

pub(crate) use decode::{decode, pointer};
pub(crate) use structure::{c_text, quote, Rest, TEXT_LIMIT};
