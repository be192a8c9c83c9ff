//! The stopped task that an expression is evaluated in.

use crate::base::{MemError, VirtAddr};

use super::RegisterId;

/// Registers and memory to evaluate an expression with.
pub trait Environment {
    /// The register's bits. Those above the width that [`super::Names::register`] gave are ignored.
    fn register(&self, id: RegisterId) -> u64;

    /// Fills all of `buf` from the process's memory, or fails.
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), MemError>;
}
