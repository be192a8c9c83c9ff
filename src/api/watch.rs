//! Watchpoints: what is watched, and what a hit saw.

use serde::{Deserialize, Serialize};

use crate::base::VirtAddr;

/// Bytes to watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSpec {
    /// What gives the address: a place in memory (`*(int*)0x1234`), or an address itself (a symbol's name, `$rsp+8`).
    pub expression: String,
    /// How many bytes; `None`: the size of the place or of the symbol, else 8.
    pub length: Option<u64>,
    /// Which accesses are hits.
    pub access: WatchAccess,
}

/// Which accesses of a program's instructions are hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchAccess {
    /// `watch`: writes that change the value.
    Change,
    /// Every write.
    Write,
    /// `rwatch`: reads, told from writes by the value being as it was.
    Read,
    /// `awatch`: reads and writes.
    Any,
}

/// An access that was caught. The instruction that made it is done; the thread stands behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchHit {
    /// The watchpoint.
    pub id: u32,
    /// As the user wrote it.
    pub expression: String,
    /// Which accesses it catches.
    pub access: WatchAccess,
    /// The first watched byte.
    pub at: VirtAddr,
    /// What the bytes were when they were last looked at; `None`: they could not be read.
    pub old: Option<Vec<u8>>,
    /// What they are.
    pub new: Option<Vec<u8>>,
}
