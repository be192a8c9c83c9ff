//! Files as bytes.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::{Mmap, UncheckedAdvice};

use super::OsError;
use crate::base::{Content, FileBytes};

/// A whole file in memory.
struct Mapped(Mmap);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Content for Mapped {
    fn forget(&self, part: Range<usize>) {
        let len = self.0.len();
        let (start, end) = (part.start.min(len), part.end.min(len));
        // SAFETY: the mapping is of a file, private and never written to: the kernel reads a page that was dropped again
        // from the file when it is next touched (madvise(2), MADV_DONTNEED), so no byte changes.
        let advised =
            unsafe { self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end.saturating_sub(start)) };
        if let Err(error) = advised {
            tracing::debug!(%error, "memory of a file is kept");
        }
    }
}

/// Maps a whole file for reading (mmap(2)); an empty one gives no bytes.
pub fn map_file(path: &Path) -> Result<FileBytes, OsError> {
    let fail = |source| OsError::file(path, source);
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(OsError::Unsafe { path: path.to_owned(), reason: "not a regular file".to_owned() });
    }
    if metadata.len() == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    // SAFETY: the mapping is private and read-only. Executables and libraries in use are replaced, not written
    // (ETXTBSY); one that is truncated under rdbg ends rdbg with SIGBUS, as it does every debugger that maps.
    let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
    Ok(Arc::new(Mapped(map)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"bytes").unwrap();
        assert_eq!((*map_file(&path).unwrap()).as_ref(), b"bytes");
        std::fs::write(&path, b"").unwrap();
        assert!((*map_file(&path).unwrap()).as_ref().is_empty());
        assert!(map_file(directory.path()).is_err());
        assert!(matches!(map_file(&directory.path().join("none")), Err(OsError::File { .. })));
    }
}
