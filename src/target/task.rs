//! Threads and processes as the engine knows them.

use std::path::PathBuf;

use super::broken_call::{BrokenCall, RedoneCall};
use super::calls_under_way::ThreadCalls;
use super::debug_register::Reached;
use crate::base::{Pid, ResumeHow, Signal, TaskUid, VirtAddr};

/// One traced task.
#[derive(Debug)]
pub struct Thread {
    /// Its identity.
    pub uid: TaskUid,
    /// rdbg's number for it, from 1.
    pub number: u32,
    /// Its thread group.
    pub pid: Pid,
    /// Running or in which ptrace-stop.
    pub state: RunState,
    /// A signal that was taken from the program and is to be delivered when the task goes on.
    pub owed: Option<Signal>,
    /// The pc of a stop that the user has been told of: a site there is stepped over, not hit, when the task goes on.
    pub reported_at: Option<VirtAddr>,
    /// A site that it has hit while the world stood or was being stopped; it stands before it, and hits it again.
    pub stands_before: Option<VirtAddr>,
    /// A site whose hit was dealt with but whose instruction a signal's handler came before, and the stack pointer then:
    /// when the handler has returned there, the hit is not counted again.
    pub passed_at: Option<(VirtAddr, VirtAddr)>,
    /// How it was resumed last.
    pub resumed: ResumeHow,
    /// The user has stopped this thread alone (non-stop mode): it does not go on with the others.
    pub held: bool,
    /// It was taken out of a group-stop so that it reports a trap that was queued behind it.
    pub left_group_stop: bool,
    /// Its pc has been set before its trap was looked at.
    pub early: Option<EarlyPc>,
    /// It stands while another thread goes on (`set scheduler-locking`).
    pub locked: bool,
    /// A signal that the user has sent it, which is passed on without a word when it comes.
    pub given: Option<Signal>,
    /// A signal that the user wants it to get when it goes on.
    pub queued: Option<Signal>,
    /// A signal that came while the world stood still, of which the user is still to be told.
    pub untold: Option<Signal>,
    /// It waits in the kernel for its vfork child, where nothing can stop it.
    pub in_vfork: bool,
    /// The system call that the stop it is in has broken off.
    pub broken: Option<BrokenCall>,
    /// The last one that it was told to make again.
    pub redone: Option<RedoneCall>,
    /// The change of debug registers that it was given last; 0: it never had any.
    pub registers_seen: u64,
    /// Watched bytes that it has reached and that have not been judged: the world stood or was being stopped.
    pub reached: Vec<Reached>,
    /// System calls that it is in, while breakpoints wait for some.
    pub calls: ThreadCalls,
}

/// A pc that was set as soon as a trap was reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EarlyPc {
    /// As it was reported.
    pub reported: VirtAddr,
    /// As it is.
    pub now: VirtAddr,
}

/// Whether a task runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// It runs, or is blocked in the kernel.
    Running,
    /// It is in a ptrace-stop.
    Stopped(StopKind),
}

/// The ptrace-stop that a task is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopKind {
    /// An event-stop, or a SIGTRAP of rdbg's own that the program must not see.
    Event,
    /// Signal-delivery-stop; [`Thread::owed`] says whether the signal will be passed on.
    Signal(Signal),
    /// Group-stop.
    Group(Signal),
    /// Syscall-stop at a call's entry, or the event-stop of a fork, clone or exec: it is inside a system call, and can make
    /// no other.
    Syscall,
}

/// One thread group.
#[derive(Debug)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// rdbg's number for it, from 1.
    pub number: u32,
    /// Its memory.
    pub space: SpaceId,
    /// What it executes.
    pub exe: PathBuf,
    /// How it came to rdbg.
    pub origin: Origin,
    /// What rdbg wants of it.
    pub role: Role,
}

/// An address space; several processes can share one between vfork and exec.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpaceId(pub u32);

/// How a process came to rdbg: it decides what leaving means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It ran before; it is detached from.
    Attached,
    /// rdbg started it.
    Launched,
}

/// What rdbg wants of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It is debugged.
    Debugged,
    /// It shares a debugged process's memory until it executes something: its hits are stepped over and not counted, and
    /// then it is let go.
    Passenger,
    /// It was seized inside an execve and is caught when that is done.
    Catching,
    /// It is followed only to find the exec of an awaited program among its descendants.
    Scouted,
}

impl Thread {
    /// Whether it is in a ptrace-stop.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, RunState::Stopped(_))
    }

    /// Whether it may go on when the world runs.
    pub fn is_free(&self) -> bool {
        !self.held && !self.locked
    }
}
