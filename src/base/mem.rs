//! Reading and writing a process's memory.

use super::VirtAddr;

/// Why memory could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemError {
    /// Nothing is mapped there, or not with that access.
    #[error("cannot access memory at {0}")]
    Unmapped(VirtAddr),
    /// The task has gone on since, and this was not kept.
    #[error("what stood at {0} was not kept, and the target runs (`interrupt` stops it)")]
    NotKept(VirtAddr),
    /// The process has gone.
    #[error("the process has gone")]
    Gone,
    /// The kernel refused.
    #[error("the kernel refused access to the memory at {at} (errno {errno})")]
    Refused {
        /// Where.
        at: VirtAddr,
        /// Its reason.
        errno: i32,
    },
}

/// Memory that can be read: a process's, a core file's, or a test's.
pub trait ReadMem {
    /// Fills as much of `buf` as can be read from `at` on, and returns how many bytes that is: fewer than asked for
    /// when a later page is not mapped, an error when the first byte cannot be read.
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError>;

    /// Fills all of `buf` or fails with the first address that could not be read.
    fn read_exact(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), MemError> {
        let got = self.read_mem(at, buf)?;
        if got == buf.len() {
            Ok(())
        } else {
            Err(MemError::Unmapped(at.offset(got as u64)))
        }
    }

    /// A little-endian 64-bit word.
    fn read_u64(&self, at: VirtAddr) -> Result<u64, MemError> {
        let mut word = [0; 8];
        self.read_exact(at, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    /// The bytes up to a NUL, at most `limit` of them; what was readable when memory ends before.
    fn read_c_string(&self, at: VirtAddr, limit: usize) -> Result<Vec<u8>, MemError> {
        let mut text = Vec::new();
        let mut chunk = [0u8; 256];
        while text.len() < limit {
            let want = chunk.len().min(limit - text.len());
            let got = match self.read_mem(at.offset(text.len() as u64), &mut chunk[..want]) {
                Ok(got) if got > 0 => got,
                Ok(_) => break,
                Err(_) if !text.is_empty() => break,
                Err(error) => return Err(error),
            };
            if let Some(end) = chunk[..got].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&chunk[..end]);
                break;
            }
            text.extend_from_slice(&chunk[..got]);
        }
        Ok(text)
    }
}

/// Memory that can be written too.
pub trait Memory: ReadMem {
    /// Writes all of `bytes` at `at`, whatever the page's protection is, or fails.
    fn write_mem(&mut self, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError>;
}
