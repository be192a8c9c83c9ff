//! The directory of the sockets: one `PID-NAME.sock` a live session.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::host::{SocketError, SocketHost};

/// The longest name in a socket's path, which may have 107 bytes in all.
const NAME_LIMIT: usize = 24;

/// A session that answers.
#[derive(Debug)]
pub struct Live {
    /// Of the rdbg that holds it.
    pub pid: String,
    /// Of its target.
    pub name: String,
    /// An open connection.
    pub stream: UnixStream,
}

/// Where a session's socket is.
pub fn socket_path(directory: &Path, name: &str) -> PathBuf {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(keep).take(NAME_LIMIT).collect();
    directory.join(format!("{}-{name}.sock", std::process::id()))
}

/// Makes the directory, mode 0700; refuses one that is not ours.
pub fn open_directory(host: &dyn SocketHost) -> Result<PathBuf, SocketError> {
    let path = host.runtime_dir().map_err(SocketError::io("finding the runtime directory"))?;
    let wrong = |reason: &str| SocketError::Directory { path: path.clone(), reason: reason.to_owned() };
    match DirBuilder::new().mode(0o700).recursive(true).create(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(wrong("it is a file")),
        Err(source) => return Err(SocketError::Io { what: format!("making {}", path.display()), source }),
    }
    let found = fs::symlink_metadata(&path).map_err(SocketError::io(format!("looking at {}", path.display())))?;
    if !found.is_dir() {
        return Err(wrong("it is a link"));
    }
    if found.uid() != host.own_uid() {
        return Err(wrong(&format!("it belongs to uid {}", found.uid())));
    }
    if found.mode() & 0o777 != 0o700 {
        fs::set_permissions(&path, Permissions::from_mode(0o700))
            .map_err(SocketError::io(format!("closing {} to others", path.display())))?;
    }
    Ok(path)
}

/// Every session that answers. Sockets that nobody listens at are removed.
pub fn live_sessions(directory: &Path) -> Vec<Live> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut live = Vec::new();
    for entry in entries.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some((pid, name)) = file.strip_suffix(".sock").and_then(|stem| stem.split_once('-')) else { continue };
        match UnixStream::connect(entry.path()) {
            Ok(stream) => live.push(Live { pid: pid.to_owned(), name: name.to_owned(), stream }),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                if let Err(error) = fs::remove_file(entry.path()) {
                    tracing::debug!(%error, file, "a stale socket stays");
                }
            }
            Err(error) => tracing::debug!(%error, file, "a socket cannot be reached"),
        }
    }
    live.sort_by(|a, b| a.pid.len().cmp(&b.pid.len()).then_with(|| a.pid.cmp(&b.pid)));
    live
}
