//! How far long work has come, and whether it is still wanted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One for a session, shared between who works and who waits. Work that may take longer than half a second names itself,
/// counts, and looks now and then whether it was cancelled; it then ends early with whatever it has, which nobody keeps.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<State>);

/// A piece of work, so that who waits for one does not cancel another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ticket(u64);

#[derive(Debug, Default)]
struct State {
    given: AtomicU64,
    current: AtomicU64,
    cancelled: AtomicU64,
    done: AtomicU64,
    total: AtomicU64,
    what: Mutex<String>,
    unattended: Option<Unattended>,
}

/// Says of work that nobody waits for whether it goes on.
struct Unattended(Box<dyn Fn() -> bool + Send + Sync>);

/// What can be shown of work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stage {
    /// What is done: `recovering names of envoy`.
    pub what: String,
    /// How much of it is, in units of the work's own.
    pub done: u64,
    /// Of how much; 0 where that is not known.
    pub total: u64,
}

impl std::fmt::Debug for Unattended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unattended")
    }
}

impl Progress {
    /// One for work that nobody waits for. `goes_on` is asked wherever the work looks whether it was cancelled, and can keep it
    /// waiting.
    pub fn unattended(goes_on: impl Fn() -> bool + Send + Sync + 'static) -> Progress {
        Progress(Arc::new(State { unattended: Some(Unattended(Box::new(goes_on))), ..State::default() }))
    }

    /// A ticket for a piece of work that is to be done.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.0.given.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The work of this ticket begins. It may have been cancelled before.
    pub fn begin(&self, ticket: Ticket) {
        self.stage("", 0);
        self.0.current.store(ticket.0, Ordering::Relaxed);
    }

    /// No work is being done: what is done now nobody can cancel.
    pub fn end(&self) {
        self.begin(Ticket::default());
    }

    /// What the work does now, and how much of that there is (0: unknown).
    pub fn stage(&self, what: &str, total: u64) {
        let mut named = self.0.what.lock().unwrap_or_else(PoisonError::into_inner);
        what.clone_into(&mut named);
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
    }

    /// So much more is done.
    pub fn advance(&self, by: u64) {
        self.0.done.fetch_add(by, Ordering::Relaxed);
    }

    /// The user no longer waits for this piece of work.
    pub fn cancel(&self, ticket: Ticket) {
        self.0.cancelled.store(ticket.0, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_cancelled(&self) -> bool {
        if let Some(Unattended(goes_on)) = &self.0.unattended {
            return !goes_on();
        }
        let current = self.0.current.load(Ordering::Relaxed);
        current != 0 && current == self.0.cancelled.load(Ordering::Relaxed)
    }

    /// Whether the user no longer waits for the work of this ticket, whatever is being done now.
    pub fn was_cancelled(&self, ticket: Ticket) -> bool {
        ticket.0 != 0 && ticket.0 == self.0.cancelled.load(Ordering::Relaxed)
    }

    /// How the work of this ticket fares; `None` where it is not being done, or has not said.
    pub fn look(&self, ticket: Ticket) -> Option<Stage> {
        if self.0.current.load(Ordering::Relaxed) != ticket.0 {
            return None;
        }
        let what = self.0.what.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (done, total) = (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed));
        (!what.is_empty()).then_some(Stage { what, done, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_counts_and_the_other_cancels_its_own_work_only() {
        let worker = Progress::default();
        let waiter = worker.clone();
        let (first, second) = (waiter.ticket(), waiter.ticket());
        worker.begin(first);
        assert_eq!((waiter.look(first), worker.is_cancelled()), (None, false));
        worker.stage("counting", 10);
        worker.advance(4);
        let stage = Stage { what: "counting".to_owned(), done: 4, total: 10 };
        assert_eq!((waiter.look(first), waiter.look(second)), (Some(stage), None));
        waiter.cancel(second);
        assert!(!worker.is_cancelled());
        worker.begin(second);
        assert!(worker.is_cancelled() && waiter.look(second).is_none());
        worker.end();
        assert!(!worker.is_cancelled());
    }
}
