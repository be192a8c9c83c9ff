//! Memory for tests: a few pieces at given addresses.

use std::collections::BTreeMap;

use crate::base::{MemError, ReadMem, VirtAddr};

/// Pieces of memory, by their first address.
#[derive(Default)]
pub struct FakeMemory {
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl FakeMemory {
    /// With these bytes at that address.
    pub fn with(mut self, at: u64, bytes: &[u8]) -> Self {
        self.pieces.insert(at, bytes.to_vec());
        self
    }

    /// With these words at that address.
    pub fn with_words(self, at: u64, words: &[u64]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.with(at, &bytes)
    }
}

impl ReadMem for FakeMemory {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        let (start, bytes) = self.pieces.range(..=at.0).next_back().ok_or(MemError::Unmapped(at))?;
        let from = usize::try_from(at.0 - start).ok().filter(|from| *from < bytes.len());
        let rest = &bytes[from.ok_or(MemError::Unmapped(at))?..];
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
