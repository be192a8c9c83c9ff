//! What a wait for a tracee can report, decoded once.

use super::Signal;

/// The answer of one wait for a tracee that was seized (ptrace(2), "Stopped states").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitStatus {
    /// The task is gone; for a leader, the whole group. `exit(code)`.
    Exited {
        /// The low 8 bits given to `exit`.
        code: i32,
    },
    /// The task was killed by a signal.
    Signaled {
        /// Which one.
        signal: Signal,
    },
    /// Signal-delivery-stop: the signal is delivered only if it is passed on when the task is resumed.
    SignalDelivery(Signal),
    /// Group-stop: a stopping signal stops the whole group; to be answered with [`super::ResumeHow::Listen`].
    GroupStop(Signal),
    /// A system call was entered or left (PTRACE_O_TRACESYSGOOD is always set).
    SyscallStop,
    /// A PTRACE_EVENT stop.
    Event(PtraceEvent),
}

/// PTRACE_EVENT_* as they reach a tracer that seizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PtraceEvent {
    /// `fork`, or a `clone` that signals with SIGCHLD.
    Fork,
    /// `vfork`, or a `clone` with CLONE_VFORK.
    Vfork,
    /// Any other `clone`: usually a thread.
    Clone,
    /// The task executes another program; it has the leader's tid now, whichever thread asked.
    Exec,
    /// The child of a vfork has given the memory back.
    VforkDone,
    /// The task is about to exit; its registers can still be read.
    Exit,
    /// A seccomp filter returned SECCOMP_RET_TRACE.
    Seccomp,
    /// EVENT_STOP with SIGTRAP: the answer to an interrupt, a new child's first stop, or the end of a group-stop.
    Stop,
}
