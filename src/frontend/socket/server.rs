//! The session's side: listens, and gives each client a conversation of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::directory::{live_sessions, open_directory, socket_path};
use super::host::{Connect, SocketError, SocketHost};
use super::peer::Peer;
use crate::api::ClientId;

/// How many clients at once.
const CLIENT_LIMIT: u32 = 32;
/// How long one that comes while there are so many waits for room.
const ROOM_PATIENCE: Duration = Duration::from_secs(2);

/// A socket that is listened at until this is dropped.
pub struct Server {
    path: PathBuf,
    ending: Arc<AtomicBool>,
}

impl Server {
    /// Opens the socket of a session, mode 0600. Sockets of sessions that died are removed.
    pub fn open(host: Arc<dyn SocketHost>, name: &str, connect: Arc<dyn Connect>) -> Result<Server, SocketError> {
        let directory = open_directory(host.as_ref())?;
        drop(live_sessions(&directory));
        let path = socket_path(&directory, name);
        let at = || path.display().to_string();
        // A socket with our own pid in its name cannot be another live rdbg's of this pid namespace.
        if let Err(error) = fs::remove_file(&path) {
            tracing::trace!(%error, "no socket of that name");
        }
        let listener = UnixListener::bind(&path).map_err(SocketError::io(format!("listening at {}", at())))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(SocketError::io(format!("closing {} to others", at())))?;
        let ending = Arc::new(AtomicBool::new(false));
        let accepting = Accepting { host, connect, ending: Arc::clone(&ending), alive: Arc::default() };
        thread::Builder::new()
            .name("rdbg-socket".into())
            .spawn(move || accepting.run(&listener))
            .map_err(SocketError::io("starting the socket's thread"))?;
        Ok(Server { path, ending })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Wakes the accepting thread; when that fails there is nobody to wake.
        let _ = UnixStream::connect(&self.path);
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the socket was not removed");
        }
    }
}

struct Accepting {
    host: Arc<dyn SocketHost>,
    connect: Arc<dyn Connect>,
    ending: Arc<AtomicBool>,
    alive: Arc<AtomicU32>,
}

impl Accepting {
    fn run(&self, listener: &UnixListener) {
        let mut next = 1;
        while !self.ending.load(Ordering::Acquire) {
            match listener.accept() {
                Ok((stream, _)) if !self.ending.load(Ordering::Acquire) => {
                    self.take(stream, ClientId(next));
                    next += 1;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a client was not accepted");
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Whether one more may come. Clients that have gone take a moment to be done with: those who come meanwhile wait.
    fn has_room(&self) -> bool {
        let end = Instant::now() + ROOM_PATIENCE;
        while self.alive.load(Ordering::Acquire) >= CLIENT_LIMIT {
            if Instant::now() > end || self.ending.load(Ordering::Acquire) {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    fn take(&self, stream: UnixStream, client: ClientId) {
        let uid = self.host.peer_uid(&stream);
        if !matches!(uid, Ok(uid) if uid == self.host.own_uid()) {
            tracing::warn!(?uid, "a client of another user was refused");
            return;
        }
        if !self.has_room() {
            tracing::warn!("a client was refused: there are {CLIENT_LIMIT} already");
            return;
        }
        self.alive.fetch_add(1, Ordering::AcqRel);
        let session = self.connect.connect(client);
        let alive = Arc::clone(&self.alive);
        let spawned = thread::Builder::new().name(format!("rdbg-client-{}", client.0)).spawn(move || {
            if let Err(error) = Peer::serve(&stream, session) {
                tracing::debug!(%error, client = client.0, "a client's conversation ended");
            }
            alive.fetch_sub(1, Ordering::AcqRel);
        });
        if let Err(error) = spawned {
            self.alive.fetch_sub(1, Ordering::AcqRel);
            tracing::warn!(%error, "no thread for a client");
        }
    }
}
