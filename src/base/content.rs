//! The bytes of a file, however they were got.

use std::ops::Range;

/// Bytes that can be shared between threads: read, unpacked, or mapped.
pub trait FileContent: AsRef<[u8]> + Send + Sync {
    /// A part of them, in bytes, will hardly be looked at again soon: where they are mapped, what is resident of it may be
    /// let go. They stay readable.
    fn release(&self, _part: Range<usize>) {}
}

impl FileContent for Vec<u8> {}
