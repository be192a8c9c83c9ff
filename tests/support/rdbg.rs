//! rdbg under test: the binary of this build, with directories of its own.

use super::process::{Output, Process};
use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The directories of one user: rdbg processes that share a home see each other's sessions.
#[derive(Clone)]
pub struct Home {
    directory: Arc<TempDir>,
}

impl Default for Home {
    fn default() -> Home {
        Home::new()
    }
}

impl Home {
    pub fn new() -> Home {
        use std::os::unix::fs::PermissionsExt;
        // Short, as the path of a Unix socket has 107 bytes only.
        let directory = tempfile::Builder::new().prefix("rdbg-").tempdir().expect("a temporary directory");
        for name in ["run", "state", "cache", "config"] {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).expect("a fresh directory");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("a directory of ours");
        }
        Home { directory: Arc::new(directory) }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// XDG_RUNTIME_DIR.
    pub fn runtime_dir(&self) -> PathBuf {
        self.path().join("run")
    }

    /// rdbg with these directories, not started yet.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(Rdbg::binary());
        command.args(args);
        self.dress(&mut command);
        command
    }

    fn dress(&self, command: &mut Command) {
        command
            .env("HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.runtime_dir())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("NO_COLOR", "1")
            .env("TERM", "dumb")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("RUST_LOG");
    }

    /// Starts rdbg; where its stdin is no terminal, the prompt reads commands from it ([`Process::send`]).
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Rdbg {
        Rdbg { process: Process::spawn(self.command(args)), home: self.clone() }
    }

    /// Runs rdbg to its end with nothing on stdin.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, deadline: Duration) -> Output {
        self.start(args).process.finish(deadline)
    }

    /// Starts rdbg on a terminal, made by script(1): echo, line editing, Ctrl-C (`send_bytes(b"\x03")`) and Ctrl-D
    /// (`\x04`) work as at a user's. Stdout and stderr are one stream, with `\r` before each line's end taken off. The
    /// pid of the process is script's; [`Rdbg::debugger_pid`] gives rdbg's.
    #[track_caller]
    pub fn start_on_terminal<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Rdbg {
        let mut line = format!("exec {}", quote(Rdbg::binary().as_os_str()));
        for arg in args {
            line += &format!(" {}", quote(arg.as_ref()));
        }
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
        self.dress(&mut command);
        command.env("SHELL", "/bin/sh").env("TERM", "xterm");
        Rdbg { process: Process::spawn(command), home: self.clone() }
    }
}

fn quote(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}

/// A running rdbg. All of [`Process`] is at hand: expect_line, send, signal, finish.
pub struct Rdbg {
    pub process: Process,
    pub home: Home,
}

impl Rdbg {
    /// The binary: RDBG_BIN, else the one of this build.
    pub fn binary() -> PathBuf {
        std::env::var_os("RDBG_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_rdbg")), PathBuf::from)
    }

    /// Starts rdbg in a home of its own.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Rdbg {
        Home::new().start(args)
    }

    /// Runs rdbg to its end in a home of its own.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, deadline: Duration) -> Output {
        Home::new().run(args, deadline)
    }

    /// The pid of rdbg itself, also on a terminal.
    pub fn debugger_pid(&self) -> u32 {
        let descendants = super::procfs::descendants(self.process.pid());
        let is_rdbg = |pid: &u32| super::procfs::stat(*pid).is_some_and(|(_, _, name)| name.starts_with("rdbg"));
        descendants.into_iter().find(is_rdbg).unwrap_or_else(|| self.process.pid())
    }
}

impl Deref for Rdbg {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Rdbg {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
