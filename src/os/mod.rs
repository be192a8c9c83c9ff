//! Every system call and every `unsafe` of rdbg: ptrace and wait, memory, /proc, fork and exec, fanotify and inotify.
//!
//! The rooms above see values and errors; what the kernel does differently from its man pages is written at the line
//! that copes with it.

pub mod doorbell;
pub mod error;
pub mod launch;
pub mod mem;
pub mod proc;
pub mod refusal;
pub mod tracer;

pub use doorbell::Doorbell;
pub use error::OsError;
pub use launch::{launch, Aslr, LaunchSpec, Launched, Stdio};
pub use proc::{find_by_name, list_processes, ProcessRow};
pub use tracer::LiveInferior;
