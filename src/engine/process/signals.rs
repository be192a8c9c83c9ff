//! Signals on their way to the program, and those that the user sends it.

use crate::api::{ApiError, Event, Outcome, Reply, StopReason, Toggle};
use crate::base::{Inferior, ResumeHow, Signal, Tid};
use crate::engine::state::{Engine, World};
use crate::target::task::{Role, RunState, StopKind};

impl<I: Inferior> Engine<I> {
    /// A signal-delivery-stop with a signal that is the program's.
    pub(in crate::engine) fn on_signal(&mut self, tid: Tid, signal: Signal) {
        if self.catch_stopped(tid, signal) {
            return;
        }
        self.leave_slot(tid);
        self.note_broken_call(tid);
        let pass = self.settings.signal_policy(signal).pass == Some(Toggle::On);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if thread.given.take_if(|given| *given == signal).is_some() {
            thread.owed = Some(signal);
            thread.untold = None;
        } else {
            thread.owed = pass.then_some(signal);
            thread.untold = Some(signal);
        }
        let (owed, free) = (thread.owed, thread.is_free());
        if self.world != World::Running || !free || self.tell_late(tid) {
            return;
        }
        if self.process_of(tid).is_some_and(|one| one.role == Role::Debugged) {
            self.on_traced_signal(tid, signal);
        }
        if self.is_stepping(tid) {
            self.signal_in_step(tid, owed);
            return;
        }
        match self.threads.get(&tid).and_then(|one| one.reported_at) {
            Some(_) => self.release(tid),
            None => self.resume_task(tid, ResumeHow::Continue, owed),
        }
    }

    /// Tells of the signal that a thread stands with, if that is still to be done. Whether the target stops for it.
    pub(in crate::engine) fn tell_late(&mut self, tid: Tid) -> bool {
        let Some(signal) = self.threads.get_mut(&tid).and_then(|one| one.untold.take()) else { return false };
        let policy = self.settings.signal_policy(signal);
        if self.process_of(tid).is_none_or(|one| one.role != Role::Debugged) {
            return false;
        }
        if policy.stop == Some(Toggle::On) {
            self.stop_for(tid, StopReason::Signal { signal });
            return true;
        }
        if policy.print == Some(Toggle::On) {
            if let Some(thread) = self.thread_ref(tid) {
                self.emit(Event::SignalNoted { thread, signal });
            }
        }
        false
    }

    /// `signal SIG`, `signal 0`.
    pub(in crate::engine) fn go_with_signal(&mut self, signal: Option<Signal>) -> Outcome {
        let tid = self.selected_tid()?;
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.owed = None;
            thread.untold = None;
            thread.queued = signal;
        }
        self.go()
    }

    /// `queue-signal SIG`, `queue-signal 0`.
    pub(in crate::engine) fn queue_signal(&mut self, signal: Option<Signal>) -> Outcome {
        let tid = self.selected_tid()?;
        let passes = |signal: Signal| self.settings.signal_policy(signal).pass == Some(Toggle::On);
        if let Some(refused) = signal.filter(|one| !passes(*one)) {
            return Err(ApiError::user(format!("{refused} is not passed to the program"))
                .with_hint(format!("`handle {refused} pass`, or `signal {refused}`")));
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.owed = thread.owed.filter(|_| signal.is_some());
            thread.queued = signal;
        }
        Ok(Reply::Done)
    }

    /// Before a thread goes on: gives it the signal that the user wants it to have. In a signal-delivery-stop that takes
    /// the place of the signal that it stands with; the same one keeps its siginfo.
    pub(in crate::engine) fn apply_queued(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let Some(signal) = thread.queued.take() else { return };
        if let RunState::Stopped(StopKind::Signal(_)) = thread.state {
            thread.owed = Some(signal);
            return;
        }
        thread.given = Some(signal);
        let pid = thread.pid;
        // Gone is an answer; its end is reported.
        let _ = self.inferior.tkill(pid, tid, signal);
    }
}
