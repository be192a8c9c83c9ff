//! One loadable part of a file.

use crate::base::FileAddr;

/// A PT_LOAD program header (gABI, "Program Header").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// p_vaddr.
    pub addr: FileAddr,
    /// p_memsz, bytes.
    pub mem_size: u64,
    /// p_offset, bytes from the start of the file.
    pub file_offset: u64,
    /// p_filesz, bytes; cut to what the file holds.
    pub file_size: u64,
    /// PF_R.
    pub read: bool,
    /// PF_W.
    pub write: bool,
    /// PF_X.
    pub exec: bool,
}

impl Segment {
    /// Whether `at` lies in the memory image of the segment.
    pub fn contains(&self, at: FileAddr) -> bool {
        at >= self.addr && at.since(self.addr) < self.mem_size
    }

    /// One past the last address of the memory image, saturating.
    pub fn end(&self) -> FileAddr {
        FileAddr(self.addr.0.saturating_add(self.mem_size))
    }
}
