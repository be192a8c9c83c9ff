//! The C functions of libc that users break on, and the kernel's system calls: their parameters, and how each is shown
//! (as strace shows them).

mod call;
mod constant;
mod decode;
mod errno;
mod group;
mod kernel;
mod option;
mod signature;
mod sockaddr;
mod structure;
mod table;

pub use call::{call_name, decode_call, result_text};
pub use decode::CallMemory;
pub use errno::error_of;
pub use group::{similar_calls, CallSet, GROUPS};
pub use kernel::{find_kernel_call, kernel_call, kernel_calls, KernelCall};
pub use signature::{Kind, Parameter, Signature};
pub use table::find_signature;

pub(crate) use decode::{decode, pointer};
pub(crate) use structure::{c_text, quote, Rest, TEXT_LIMIT};
