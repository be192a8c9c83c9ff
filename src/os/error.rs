//! Why a system call of rdbg's own failed (what fails on a task is a [`crate::base::InferiorError`]).

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// What the operating system refused.
#[derive(Debug, thiserror::Error)]
pub enum OsError {
    /// A system call.
    #[error("{what}: {source}")]
    Call {
        /// Which call, and what for.
        what: &'static str,
        /// Its errno.
        source: io::Error,
    },
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Its errno.
        source: io::Error,
    },
    /// The program to launch is no file, nor in PATH.
    #[error("no executable file {program:?} (searched: {searched})")]
    NoSuchProgram {
        /// As it was given.
        program: PathBuf,
        /// Where rdbg looked.
        searched: String,
    },
    /// `execve` refused the program.
    #[error("cannot execute {}: {source}", program.display())]
    Exec {
        /// The file.
        program: PathBuf,
        /// The errno in the child.
        source: io::Error,
    },
    /// A string for the kernel holds a NUL byte.
    #[error("{0:?} holds a NUL byte")]
    NulByte(OsString),
    /// A file or directory exists, but is not ours or not as private as it has to be.
    #[error("{}: {reason}", path.display())]
    Unsafe {
        /// Which one.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A thread of rdbg's own did not start.
    #[error("cannot start a thread: {reason}")]
    Thread {
        /// Why.
        reason: String,
    },
    /// No way to wait for an exec works here.
    #[error("cannot wait for a program to start: {0}")]
    NoWaitMethod(String),
}

impl OsError {
    /// The error of the last system call, from errno.
    pub(crate) fn last(what: &'static str) -> OsError {
        OsError::Call { what, source: io::Error::last_os_error() }
    }

    /// A file's error.
    pub(crate) fn file(path: impl Into<PathBuf>, source: io::Error) -> OsError {
        OsError::File { path: path.into(), source }
    }
}

/// The text of an errno.
pub(crate) fn errno_text(errno: i32) -> String {
    io::Error::from_raw_os_error(errno).to_string()
}

/// The errno of the last failed call.
pub(crate) fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
