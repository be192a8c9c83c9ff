//! Traced system calls that a stop of rdbg's breaks off with EINTR and that are then made again: to the program, and so
//! to the trace, each is one call that has not returned yet.

use super::TracedThread;
use crate::base::{Inferior, Tid};
use crate::engine::state::Engine;

/// -EINTR as a system call returns it.
const EINTR: u64 = (-4i64) as u64;

/// How a call fares that a stop has broken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// Its return is held back until it is known whether it is made again.
    Held,
    /// It is made again: the next entries of its number are its own.
    MadeAgain,
}

impl TracedThread {
    /// Whether an entry goes on with a call that is told of already.
    pub(super) fn goes_on_with(&mut self, number: u64) -> bool {
        let same = self.syscall.is_some_and(|(call, _)| call.number == number);
        if self.broken == Some(Broken::MadeAgain) && same {
            return true;
        }
        self.broken = None;
        false
    }
}

impl<I: Inferior> Engine<I> {
    /// A thread stands behind a call that a stop may have broken off.
    pub(in crate::engine) fn hold_traced_return(&mut self, tid: Tid) {
        if let Some(thread) = self.traced_thread(tid) {
            thread.broken = Some(Broken::Held);
        }
    }

    /// The thread has been set back before its call.
    pub(in crate::engine) fn traced_call_made_again(&mut self, tid: Tid, number: u64) {
        let under_way = |thread: &&mut TracedThread| thread.syscall.is_some_and(|(call, _)| call.number == number);
        if let Some(thread) = self.traced_thread(tid).filter(under_way) {
            thread.broken = Some(Broken::MadeAgain);
        }
    }

    /// The thread goes on: a return that is still held back is one that the program sees.
    pub(in crate::engine) fn settle_traced_return(&mut self, tid: Tid) {
        if self.traced_thread(tid).is_some_and(|one| one.broken == Some(Broken::Held)) {
            self.traced_call_failed(tid);
        }
    }

    /// A call that was to be made again is not: the program sees it fail.
    pub(in crate::engine) fn traced_call_failed(&mut self, tid: Tid) {
        if self.traced_thread(tid).is_none_or(|one| one.broken.is_none()) {
            return;
        }
        let Some(mut tracing) = self.trace.take() else { return };
        // It is on its way: nobody can be stopped here.
        let _ = self.call_returned(&mut tracing, tid, EINTR);
        tracing.stop = None;
        self.after_hit(tracing, tid);
    }

    fn traced_thread(&mut self, tid: Tid) -> Option<&mut TracedThread> {
        self.trace.as_mut()?.threads.get_mut(&tid)
    }
}
