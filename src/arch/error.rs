//! What can go wrong with an instruction.

use crate::base::{MemError, VirtAddr};

/// Why an instruction could not be planned, moved or carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchError {
    /// The bytes are no instruction, or end in the middle of one.
    #[error("there is no valid instruction at {0}")]
    Invalid(VirtAddr),
    /// The instruction is itself a trap (int3, int1): no displaced copy of it would do what it does in place.
    #[error("the instruction at {0} is itself a breakpoint trap")]
    Trap(VirtAddr),
    /// User mode may not execute it.
    #[error("the instruction at {at} is privileged: {text}")]
    Privileged {
        /// Where.
        at: VirtAddr,
        /// Its disassembly.
        text: String,
    },
    /// It depends on where it stands, and is not one of those that are emulated.
    #[error("the instruction at {at} can be neither emulated nor moved: {text}")]
    NotMovable {
        /// Where.
        at: VirtAddr,
        /// Its disassembly.
        text: String,
    },
    /// A rip-relative operand cannot be reached from the slot.
    #[error("the operand at {operand} is farther than 2 GiB from the scratch slot at {slot}")]
    TooFar {
        /// Where the copy was to go.
        slot: VirtAddr,
        /// What it refers to.
        operand: VirtAddr,
    },
    /// The CPU would refuse to go there, and raise an exception at the instruction itself.
    #[error("{0} is no canonical address")]
    NotCanonical(VirtAddr),
    /// The interpreter met an instruction that it does not know, or whose answer depends on the CPU (cpuid, xgetbv).
    #[error("cannot interpret the instruction at {at}: {text}")]
    NotInterpretable {
        /// Where.
        at: VirtAddr,
        /// Its disassembly.
        text: String,
    },
    /// The interpreted function did not return in time.
    #[error("the function at {entry} did not return within {limit} instructions")]
    TooLong {
        /// The function.
        entry: VirtAddr,
        /// How many were allowed.
        limit: u32,
    },
    /// The arguments of a call that need the stack do not fit into what it has for them.
    #[error("the arguments take {bytes} bytes of the stack, and a call from here has {room} for them")]
    TooManyArguments {
        /// What they take.
        bytes: usize,
        /// What there is.
        room: usize,
    },
    /// A result that no stack has room for.
    #[error("its result has {0} bytes, for which the stack has no room")]
    ResultTooLarge(u64),
    /// The image of a thread's vector registers is shorter than the CPU writes it.
    #[error("the thread's vector registers cannot be kept: the kernel gives {0} bytes of them")]
    NoExtendedState(usize),
    /// An operand's memory could not be read or written.
    #[error(transparent)]
    Memory(#[from] MemError),
}
