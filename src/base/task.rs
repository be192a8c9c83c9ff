//! Kernel tasks and thread groups, by the numbers the kernel gives them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A thread group's id in rdbg's own pid namespace (`getpid` of the process when there is but one namespace).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pid(pub i32);

/// One kernel task (thread) in rdbg's own pid namespace. The leader's equals its [`Pid`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tid(pub i32);

impl Pid {
    /// The task that leads the group.
    pub fn leader(self) -> Tid {
        Tid(self.0)
    }
}

impl Tid {
    /// The thread group that this task would lead.
    pub fn as_leader_of(self) -> Pid {
        Pid(self.0)
    }
}

/// A task that stays distinct when the kernel gives its tid to another one later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TaskUid {
    /// The kernel's number.
    pub tid: Tid,
    /// How many tasks rdbg had seen before this one.
    pub serial: u64,
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
