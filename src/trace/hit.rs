//! What a probe's hit gives to its program: the task, its registers and its memory.

use std::sync::Arc;

use super::value::{StackValue, Text};
use crate::lang::script::point::Side;

/// A system call at its entry or return.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyscallHit {
    /// Which.
    pub number: u64,
    /// Its parameters.
    pub arguments: [u64; 6],
}

/// An argument of a function.
#[derive(Clone, Debug, Default)]
pub struct FunctionArgument {
    /// Its value, or the first eight bytes of it.
    pub word: u64,
    /// The text that it is or points to; empty where there is none.
    pub text: Text,
}

/// The task that hit a probe, while it stands.
pub trait Hit {
    /// The process.
    fn pid(&self) -> u64;
    /// The thread.
    fn tid(&self) -> u64;
    /// The thread's name.
    fn comm(&self) -> Text;
    /// The name of a process.
    fn comm_of(&self, pid: u64) -> Text;
    /// Its user and group.
    fn owner(&self) -> (u32, u32);
    /// The processor that it ran on last.
    fn cpu(&self) -> u64;
    /// The parent process.
    fn parent(&self) -> u64;
    /// The number of its control group (version 2).
    fn control_group(&self) -> u64;
    /// Reads as much of the memory as there is; how much that was.
    fn read(&self, at: u64, buf: &mut [u8]) -> usize;
    /// A register, by arch's number.
    fn register(&self, number: u16) -> u64;
    /// An argument of a function at its entry.
    fn argument(&self, number: u8) -> u64;
    /// An argument of a function at its entry, by its name or number.
    fn named_argument(&self, _name: &str) -> Option<FunctionArgument> {
        None
    }
    /// All of `args` as one text, at a call's entry or return.
    fn whole_arguments(&self, _side: Side) -> Text {
        Text::default()
    }
    /// What a function or system call returned.
    fn return_value(&self) -> u64;
    /// The system call.
    fn syscall(&self) -> SyscallHit;
    /// The signal.
    fn signal(&self) -> u64;
    /// The probe's name.
    fn probe(&self) -> Text;
    /// The traced function, demangled.
    fn function(&self) -> Text;
    /// Nanoseconds that the function or call took.
    fn duration(&self) -> u64;
    /// The stack, at most so many frames.
    fn stack(&self, limit: u32) -> Option<Arc<StackValue>>;
    /// An address, to be named later.
    fn symbol(&self, at: u64) -> Option<Arc<StackValue>>;
    /// The address of a symbol.
    fn symbol_address(&self, name: &str) -> u64;
    /// An argument of the command line.
    fn command_line(&self, number: u64) -> Text;
    /// The other end of a socket.
    fn peer(&self, fd: u64) -> Text;
    /// The launched program.
    fn child(&self) -> u64;
}

/// The number of a process's control group: that of the folder that /proc/PID/cgroup names (cgroups(7)).
pub fn control_group_of(process: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    let path = text.lines().find_map(|line| line.strip_prefix("0::"));
    path.map_or(0, |path| control_group_at(&format!("{CONTROL_GROUPS}{path}")))
}

/// The number of a folder of control groups: the kernel gives it as that of the inode. 0 where there is none.
pub fn control_group_at(path: &str) -> u64 {
    std::fs::metadata(path).map_or(0, |one| std::os::unix::fs::MetadataExt::ino(&one))
}

/// Where control groups are mounted.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// What BEGIN, END and intervals run in: rdbg itself.
#[derive(Clone, Debug)]
pub struct NoTask {
    /// The probe's name.
    pub probe: String,
    /// The launched program.
    pub child: u64,
}

impl Hit for NoTask {
    fn pid(&self) -> u64 {
        u64::from(std::process::id())
    }

    fn tid(&self) -> u64 {
        self.pid()
    }

    fn comm(&self) -> Text {
        Text::new(b"rdbg")
    }

    fn comm_of(&self, _: u64) -> Text {
        Text::new(b"")
    }

    fn owner(&self) -> (u32, u32) {
        (0, 0)
    }

    fn cpu(&self) -> u64 {
        0
    }

    fn parent(&self) -> u64 {
        0
    }

    fn control_group(&self) -> u64 {
        control_group_of("self")
    }

    fn read(&self, _: u64, _: &mut [u8]) -> usize {
        0
    }

    fn register(&self, _: u16) -> u64 {
        0
    }

    fn argument(&self, _: u8) -> u64 {
        0
    }

    fn return_value(&self) -> u64 {
        0
    }

    fn syscall(&self) -> SyscallHit {
        SyscallHit::default()
    }

    fn signal(&self) -> u64 {
        0
    }

    fn probe(&self) -> Text {
        Text::new(self.probe.as_bytes())
    }

    fn function(&self) -> Text {
        Text::new(b"")
    }

    fn duration(&self) -> u64 {
        0
    }

    fn stack(&self, _: u32) -> Option<Arc<StackValue>> {
        None
    }

    fn symbol(&self, _: u64) -> Option<Arc<StackValue>> {
        None
    }

    fn symbol_address(&self, _: &str) -> u64 {
        0
    }

    fn command_line(&self, _: u64) -> Text {
        Text::new(b"")
    }

    fn peer(&self, _: u64) -> Text {
        Text::new(b"")
    }

    fn child(&self) -> u64 {
        self.child
    }
}
