//! Files as bytes.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::{Mmap, UncheckedAdvice};

use super::OsError;
use crate::base::FileContent;

/// The bytes of a file, to be shared between threads.
pub type FileBytes = Arc<dyn FileContent>;

/// A file that is mapped for reading.
struct MappedFile(Mmap);

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FileContent for MappedFile {
    fn release(&self, part: Range<usize>) {
        // SAFETY: the pages are the page cache's, mapped privately and never written: what MADV_DONTNEED drops is read again
        // from the same file at the next access.
        let released = unsafe { self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, part.start, part.len()) };
        if let Err(error) = released {
            tracing::debug!(%error, "pages of a mapped file are kept");
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
    Ok(Arc::new(MappedFile(map)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"bytes").unwrap();
        let mapped = map_file(&path).unwrap();
        mapped.release(1..4);
        assert_eq!((*mapped).as_ref(), b"bytes");
        std::fs::write(&path, b"").unwrap();
        assert!((*map_file(&path).unwrap()).as_ref().is_empty());
        assert!(map_file(directory.path()).is_err());
        assert!(matches!(map_file(&directory.path().join("none")), Err(OsError::File { .. })));
    }
}
