//! The answer to a task that waits inside its execve.

use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The fanotify group, which the answers use too; closed (which allows everything) by the watch's end.
#[derive(Debug)]
pub(super) struct Group(Mutex<Option<OwnedFd>>);

impl Group {
    pub(super) fn new(fd: OwnedFd) -> Group {
        Group(Mutex::new(Some(fd)))
    }

    /// Closing removes every mark and lets every waiting task go on.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Lets the task of the event with this descriptor go on.
    pub(super) fn allow(&self, event: &OwnedFd) {
        let group = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(group) = group.as_ref() else { return };
        let response = libc::fanotify_response { fd: event.as_raw_fd(), response: libc::FAN_ALLOW };
        let length = size_of::<libc::fanotify_response>();
        // SAFETY: writes the bytes of a live local of that length. The event's descriptor is still open: it names the
        // event. ENOENT (the task was killed meanwhile) needs no answer.
        unsafe { libc::write(group.as_raw_fd(), std::ptr::from_ref(&response).cast(), length) };
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Asked,
    Allowed,
    Stopped,
}

#[derive(Debug)]
pub(super) struct Question {
    group: Arc<Group>,
    event: OwnedFd,
    phase: Mutex<Phase>,
    answered: Condvar,
}

impl Question {
    pub(super) fn new(group: &Arc<Group>, event: OwnedFd) -> Arc<Question> {
        let (phase, answered) = (Mutex::new(Phase::Asked), Condvar::new());
        Arc::new(Question { group: Arc::clone(group), event, phase, answered })
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allow(&self) {
        let mut phase = self.lock();
        if *phase == Phase::Asked {
            *phase = Phase::Allowed;
            self.group.allow(&self.event);
            self.answered.notify_all();
        }
    }

    /// Waits for the answer. When none comes in time `stop_task` is to stop the task, and it goes on.
    pub(super) fn wait_or_stop(&self, patience: Duration, stop_task: impl FnOnce() -> bool) {
        let asked = |phase: &mut Phase| *phase == Phase::Asked;
        let waited = self.answered.wait_timeout_while(self.lock(), patience, asked);
        let (mut phase, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *phase == Phase::Asked {
            *phase = if stop_task() { Phase::Stopped } else { Phase::Allowed };
            self.group.allow(&self.event);
        }
    }
}

/// The tracer's end of the question. Dropping it allows the exec.
#[derive(Debug)]
pub struct ExecAnswer(Arc<Question>);

impl ExecAnswer {
    pub(super) fn new(question: Arc<Question>) -> ExecAnswer {
        ExecAnswer(question)
    }

    /// Lets the exec go on. To be called by the tracer once it has seized the task, whose exec event then follows.
    pub fn allow(&self) {
        self.0.allow();
    }

    /// Whether the tracer was too late: then the task was sent a SIGSTOP and goes on. The tracer owes it this: seize,
    /// suppress the SIGSTOP (an exec event, a signal-delivery-stop or a group-stop shows it), and send SIGCONT, or the
    /// task stays stopped after a detach. On kernels before 6.8 PTRACE_SEIZE itself blocks until this has happened.
    pub fn was_stopped(&self) -> bool {
        *self.0.lock() == Phase::Stopped
    }
}

impl Drop for ExecAnswer {
    fn drop(&mut self) {
        self.allow();
    }
}
