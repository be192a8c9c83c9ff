//! What the socket needs of the machine and of the engine.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::api::{ClientId, Session};

/// The machine, as `os` knows it.
pub trait SocketHost: Send + Sync {
    /// The directory of the sockets, rdbg's own: `$XDG_RUNTIME_DIR/rdbg`, or `/tmp/rdbg-UID`. It need not exist.
    fn runtime_dir(&self) -> io::Result<PathBuf>;

    /// The uid of the process at the other end (SO_PEERCRED).
    fn peer_uid(&self, stream: &UnixStream) -> io::Result<u32>;

    /// The uid of rdbg.
    fn own_uid(&self) -> u32;
}

/// The engine: gives a front end its queues, and subscribes it.
pub trait Connect: Send + Sync {
    /// The queues of a client.
    fn connect(&self, client: ClientId) -> Session;
}

impl<F: Fn(ClientId) -> Session + Send + Sync> Connect for F {
    fn connect(&self, client: ClientId) -> Session {
        self(client)
    }
}

/// Why a session cannot be reached, or not be offered.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// There is none.
    #[error(
        "no session of rdbg is live here; start one by naming a target:\n  \
         --pid PID             a running process\n  \
         --waitfor NAME        the next process that executes NAME\n  \
         -- PROGRAM ARGS..     a program to start"
    )]
    NoSession,
    /// None is called so.
    #[error("no live session is called `{asked}`; there are:\n{}", .live.join("\n"))]
    NoSuchSession {
        /// What was asked for.
        asked: String,
        /// What there is.
        live: Vec<String>,
    },
    /// There are several.
    #[error("several sessions are live; choose one with --session NAME or PID:\n{}", .live.join("\n"))]
    Several {
        /// What there is.
        live: Vec<String>,
    },
    /// The directory is another user's, or no directory.
    #[error("{path} is not a directory of ours: {reason}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The kernel refused.
    #[error("{what} failed: {source}")]
    Io {
        /// What.
        what: String,
        /// Its reason.
        source: io::Error,
    },
    /// The session went away, or speaks something else.
    #[error("the session has gone: {0}")]
    Gone(String),
}

impl SocketError {
    /// For `map_err`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> SocketError {
        let what = what.into();
        move |source| SocketError::Io { what, source }
    }
}
