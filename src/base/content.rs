//! The bytes of a file, however they were got.

use std::ops::Range;
use std::sync::Arc;

/// Bytes that stay as they are.
pub trait Content: AsRef<[u8]> + Send + Sync {
    /// A part will not be read soon: what memory it takes can be given back. Reading it later is as right, only slower.
    fn forget(&self, _part: Range<usize>) {}
}

impl Content for Vec<u8> {}

/// The bytes of a file, to be shared between threads.
pub type FileBytes = Arc<dyn Content>;
