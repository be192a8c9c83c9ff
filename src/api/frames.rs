//! `info frame`.

use serde::{Deserialize, Serialize};

use super::reply::{FrameRow, HowFound};
use crate::base::VirtAddr;

/// All that is known of a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameDetail {
    /// The frame, as a stack shows it.
    pub frame: FrameRow,
    /// The frame whose code this one was inlined into; its registers and addresses are that one's.
    pub inlined_into: Option<u32>,
    /// Who called it, and how that was found.
    pub caller: Caller,
    /// The frame that it called: its canonical frame address.
    pub callee: Option<VirtAddr>,
    /// The language of its source, as gdb calls it.
    pub language: Option<String>,
    /// Where the caller's registers lie, by their names.
    pub saved: Vec<(String, VirtAddr)>,
}

/// Who called a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Caller {
    /// A frame.
    Found {
        /// Where it goes on.
        pc: VirtAddr,
        /// Its canonical frame address, where its own caller is known.
        cfa: Option<VirtAddr>,
        /// How it was found.
        how: HowFound,
    },
    /// Nobody: it is the bottom of the stack.
    Outermost,
    /// It was not found; why.
    Lost {
        /// What was tried, with addresses.
        reason: String,
    },
}
