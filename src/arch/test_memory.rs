//! Memory for the tests of this room: one block of bytes.

use crate::base::{MemError, Memory, ReadMem, VirtAddr};

/// Bytes from `base` on.
pub(super) struct TestMemory {
    pub(super) base: VirtAddr,
    pub(super) bytes: Vec<u8>,
}

impl TestMemory {
    /// A word that is there.
    pub(super) fn read_u64_at(&self, at: u64) -> u64 {
        self.read_u64(VirtAddr(at)).unwrap()
    }

    /// How many bytes can be used from `at` on, and where they start in the block.
    fn find(&self, at: VirtAddr) -> Result<usize, MemError> {
        usize::try_from(at.since(self.base))
            .ok()
            .filter(|start| *start < self.bytes.len())
            .ok_or(MemError::Unmapped(at))
    }
}

impl ReadMem for TestMemory {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        let from = &self.bytes[self.find(at)?..];
        let length = from.len().min(buf.len());
        buf[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }
}

impl Memory for TestMemory {
    fn write_mem(&mut self, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        let start = self.find(at)?;
        let to = self.bytes.get_mut(start..start + bytes.len()).ok_or(MemError::Unmapped(at))?;
        to.copy_from_slice(bytes);
        Ok(())
    }
}
