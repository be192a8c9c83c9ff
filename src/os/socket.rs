//! Where sessions listen, and who may talk to them.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::OsError;

/// rdbg's effective user.
pub fn own_uid() -> u32 {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// The directory of rdbg's sockets: $XDG_RUNTIME_DIR/rdbg, else /tmp/rdbg-UID. Made with mode 0700 when it is missing;
/// refused when it is a link, somebody else's, or open to others: in /tmp anybody could have made it.
pub fn runtime_dir() -> Result<PathBuf, OsError> {
    let uid = own_uid();
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    // A directory of another user (kept by `sudo -E`, or `su`) is not ours to put sockets into.
    let base = base.filter(|path| std::fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid));
    let path = base.map_or_else(|| PathBuf::from(format!("/tmp/rdbg-{uid}")), |base| base.join("rdbg"));
    private_directory(&path)?;
    Ok(path)
}

fn private_directory(path: &Path) -> Result<(), OsError> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(OsError::file(path, error)),
    }
    let found = std::fs::symlink_metadata(path).map_err(|error| OsError::file(path, error))?;
    let refuse = |reason: String| Err(OsError::Unsafe { path: path.to_owned(), reason });
    if !found.is_dir() {
        return refuse("is no directory; remove it".to_owned());
    }
    if found.uid() != own_uid() {
        return refuse(format!("belongs to user {}, not to {}; set XDG_RUNTIME_DIR", found.uid(), own_uid()));
    }
    if found.mode() & 0o077 != 0 {
        return refuse(format!("is open to other users (mode {:o}); chmod 700 it", found.mode() & 0o777));
    }
    Ok(())
}

/// Closes a socket's file to other users.
pub fn set_private_mode(path: &Path) -> Result<(), OsError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|error| OsError::file(path, error))
}

/// The effective user of the process that connected (SO_PEERCRED, unix(7)).
pub fn peer_uid(stream: &UnixStream) -> Result<u32, OsError> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `peer`, into it.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut peer).cast(),
            &mut length,
        )
    };
    if answer == 0 {
        Ok(peer.uid)
    } else {
        Err(OsError::last("SO_PEERCRED"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_this_user() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(peer_uid(&one).unwrap(), own_uid());
    }

    #[test]
    fn an_open_or_linked_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rdbg");
        private_directory(&path).unwrap();
        private_directory(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private_directory(&path).is_err());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(private_directory(&link).is_err());
    }
}
