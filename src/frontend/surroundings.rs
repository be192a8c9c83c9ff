//! What main hands to the front end: the ways to the engine, to the machine and to the terminal.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::socket::{Connect, SocketHost};
use crate::api::{NamesRequest, Outcome};
use crate::base::Progress;

/// A signal to rdbg itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// SIGINT.
    Interrupt,
    /// SIGTERM or SIGHUP.
    Terminate,
}

/// Answers a question about the names of files.
pub type AnswerNames = dyn Fn(&NamesRequest, &Progress) -> Outcome + Sync;

/// Everything the front end is given.
pub struct Surroundings {
    /// For the session socket.
    pub host: Arc<dyn SocketHost>,
    /// Signals to rdbg, taken from the kernel by main.
    pub interrupts: Receiver<Interruption>,
    /// Starts the engine; called at most once, and only by plans that need it.
    pub start_engine: Box<dyn FnOnce() -> Arc<dyn Connect>>,
    /// Answers a question about the names of files.
    pub names: Box<AnswerNames>,
    /// Puts the terminal back to how it was at the start; called when a session ends while the prompt is up.
    pub restore_terminal: Box<dyn Fn()>,
    /// $HOME.
    pub home: Option<PathBuf>,
    /// $XDG_STATE_HOME.
    pub state_home: Option<PathBuf>,
}

impl Surroundings {
    /// ~/.rdbgrc.
    pub fn rc_file(&self) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(".rdbgrc"))
    }

    /// $XDG_STATE_HOME/rdbg/history, else ~/.local/state/rdbg/history.
    pub fn history_file(&self) -> Option<PathBuf> {
        let absolute = self.state_home.clone().filter(|path| path.is_absolute());
        let state = absolute.or_else(|| self.home.as_ref().map(|home| home.join(".local/state")))?;
        Some(state.join("rdbg/history"))
    }
}
