//! Words that every room shares: addresses, tasks, registers, memory and the [`Inferior`] seam. Imports nothing.

pub mod addr;
pub mod content;
pub mod cpu;
pub mod extended;
pub mod inferior;
pub mod mem;
pub mod progress;
pub mod regs;
pub mod rest;
pub mod signal;
pub mod span;
pub mod task;
pub mod wait;
pub mod witness;

pub use addr::{AddrRange, FileAddr, LoadBias, VirtAddr};
pub use content::FileContent;
pub use cpu::CpuMask;
pub use extended::{Component, ComponentPlaces, ExtendedRegs};
pub use inferior::{
    DebugRegister, Inferior, InferiorError, Mapping, MappingSource, PendingScope, Resume, ResumeHow, SigInfo,
    SignalMasks, SyscallStop, TraceOptions, TrapOrder,
};
pub use mem::{MemError, Memory, ReadMem};
pub use progress::Progress;
pub use regs::{Regs, VectorRegs};
pub use rest::RunRecord;
pub use signal::Signal;
pub use span::{parse_span, show_span};
pub use task::{Pid, TaskUid, Tid};
pub use wait::{PtraceEvent, WaitStatus};
pub use witness::{Recollection, Witness};
