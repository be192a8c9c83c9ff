//! Files as bytes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use super::OsError;

/// The bytes of a file, to be shared between threads.
pub type FileBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

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
    Ok(Arc::new(map))
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
