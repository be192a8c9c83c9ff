//! Signals on their way to the program.

use super::state::{Engine, World};
use crate::api::{Event, StopReason, Toggle};
use crate::base::{Inferior, ResumeHow, Signal, Tid};
use crate::target::task::Role;

impl<I: Inferior> Engine<I> {
    /// A signal-delivery-stop with a signal that is the program's.
    pub(super) fn on_signal(&mut self, tid: Tid, signal: Signal) {
        if self.swallow_stop_of_catch(tid, signal) {
            return;
        }
        self.leave_slot(tid);
        self.note_broken_call(tid);
        let policy = self.settings.signal_policy(signal);
        let pass = policy.pass == Some(Toggle::On);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.owed = pass.then_some(signal);
        }
        if self.signal_in_line_step(tid, signal, policy) || self.world != World::Running {
            return;
        }
        let debugged = self.process_of(tid).is_some_and(|one| one.role == Role::Debugged);
        if debugged && policy.stop == Some(Toggle::On) {
            self.stop_for(tid, StopReason::Signal { signal });
            return;
        }
        if debugged && policy.print == Some(Toggle::On) {
            if let Some(thread) = self.thread_ref(tid) {
                self.emit(Event::SignalNoted { thread, signal });
            }
        }
        if self.threads.get(&tid).is_some_and(|one| one.held) {
            return;
        }
        match self.threads.get(&tid).and_then(|one| one.reported_at) {
            Some(_) => self.release(tid),
            None => self.resume_task(tid, ResumeHow::Continue, pass.then_some(signal)),
        }
    }
}
