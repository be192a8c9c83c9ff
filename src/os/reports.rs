//! What tasks report: waitpid(2) and waitid(2), each status decoded once.

use libc::c_int;

use crate::base::{InferiorError, PtraceEvent, Signal, Tid, TrapOrder, WaitStatus};

use super::error::last_errno;
use super::request::failed;
use super::Doorbell;

/// The one place that waits, for the calling thread's tracees and children only (__WNOTHREAD).
#[derive(Debug)]
pub(super) struct Reports {
    doorbell: Doorbell,
    order: TrapOrder,
    /// The task whose SIGTRAP has been reported and not collected.
    owed: Option<Tid>,
    /// What was found instead when one was to be collected: the task has been killed.
    instead: Option<(Tid, WaitStatus)>,
}

impl Reports {
    /// Those of the calling thread, whose bell `doorbell` is.
    pub(super) fn new(doorbell: &Doorbell) -> Self {
        Self { doorbell: doorbell.clone(), order: TrapOrder::default(), owed: None, instead: None }
    }

    /// See [`crate::base::Inferior::wait`].
    pub(super) fn next(&mut self, block: bool) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        // A ring before this look is taken here; one after it repeats until waitpid has been interrupted.
        if block && self.doorbell.take() {
            return Ok(None);
        }
        self.collect_owed();
        if let Some(report) = self.instead.take() {
            return Ok(Some(report));
        }
        let flags = if block { 0 } else { libc::WNOHANG };
        match self.order {
            TrapOrder::Collect => self.wait_pid(-1, flags),
            TrapOrder::Owe => self.wait_owing(flags),
        }
    }

    /// See [`crate::base::Inferior::wait_for_task`].
    pub(super) fn of_task(&mut self, tid: Tid) -> Result<Option<WaitStatus>, InferiorError> {
        self.collect(tid);
        if let Some((_, status)) = self.instead.take_if(|(who, _)| *who == tid) {
            return Ok(Some(status));
        }
        match self.wait_pid(tid.0, libc::WNOHANG) {
            // It is not traced, or not any more.
            Err(InferiorError::NothingTraced) => Err(InferiorError::Gone(tid)),
            other => Ok(other?.map(|(_, status)| status)),
        }
    }

    /// See [`crate::base::Inferior::order_traps`].
    pub(super) fn order(&mut self, order: TrapOrder) {
        self.order = order;
    }

    /// See [`crate::base::Inferior::collect_trap`].
    pub(super) fn collect(&mut self, tid: Tid) {
        if self.owed == Some(tid) {
            self.collect_owed();
        }
    }

    /// It goes on: the kernel forgets its signal with that (ptrace_resume), collected or not.
    pub(super) fn goes_on(&mut self, tid: Tid) {
        self.owed.take_if(|owed| *owed == tid);
    }

    /// waitpid(2) of one task, or with -1 of any; `None` when none has reported, or the doorbell was rung.
    fn wait_pid(&mut self, pid: c_int, flags: c_int) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        let flags = flags | libc::__WALL | libc::__WNOTHREAD;
        loop {
            let mut status = 0;
            // SAFETY: the kernel writes an int to `status`.
            let got = unsafe { libc::waitpid(pid, &mut status, flags) };
            match got {
                0 => return Ok(None),
                -1 => match last_errno() {
                    libc::EINTR if flags & libc::WNOHANG == 0 => {
                        self.doorbell.take();
                        return Ok(None);
                    }
                    libc::EINTR => {}
                    libc::ECHILD => return Err(InferiorError::NothingTraced),
                    errno => return Err(failed("wait", Tid(pid), errno)),
                },
                tid => {
                    let tid = Tid(tid);
                    let Some(decoded) = parse_wait_status(status) else {
                        tracing::warn!(%tid, status, "a wait status that rdbg does not know");
                        continue;
                    };
                    return Ok(Some((tid, decoded)));
                }
            }
        }
    }

    /// A wait for any task that leaves a SIGTRAP's stop to be collected.
    fn wait_owing(&mut self, flags: c_int) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        loop {
            // SAFETY: the kernel fills a siginfo that lives over the call, for which zeroes are valid. The members that are
            // read are those that it sets for a child (waitid(2)).
            let (answer, pid, code, status) = unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                let how = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | libc::__WALL | libc::__WNOTHREAD | flags;
                let answer = libc::waitid(libc::P_ALL, 0, &mut info, how);
                (answer, info.si_pid(), info.si_code, info.si_status())
            };
            match answer {
                0 if pid == 0 => return Ok(None),
                0 if code == libc::CLD_TRAPPED && status == libc::SIGTRAP => {
                    self.owed = Some(Tid(pid));
                    return Ok(Some((Tid(pid), WaitStatus::SignalDelivery(Signal::TRAP))));
                }
                0 => {
                    // Nothing else is owed. Between the two calls it can have been killed.
                    if let Some(report) = self.wait_pid(pid, libc::WNOHANG)? {
                        return Ok(Some(report));
                    }
                }
                _ => match last_errno() {
                    libc::EINTR if flags & libc::WNOHANG == 0 => {
                        self.doorbell.take();
                        return Ok(None);
                    }
                    libc::EINTR => {}
                    libc::ECHILD => return Err(InferiorError::NothingTraced),
                    errno => return Err(failed("wait", Tid(-1), errno)),
                },
            }
        }
    }

    /// Collects the stop that is owed, if any: a wait would report it again.
    fn collect_owed(&mut self) {
        let Some(tid) = self.owed.take() else { return };
        match self.wait_pid(tid.0, libc::WNOHANG) {
            Ok(Some((_, WaitStatus::SignalDelivery(Signal::TRAP)))) | Ok(None) | Err(_) => {}
            Ok(other) => self.instead = other,
        }
    }
}

/// Decodes the status of a wait for a seized tracee; `None` for what none can report (ptrace(2), "Stopped states").
pub(super) fn parse_wait_status(status: c_int) -> Option<WaitStatus> {
    if libc::WIFEXITED(status) {
        return Some(WaitStatus::Exited { code: libc::WEXITSTATUS(status) });
    }
    if libc::WIFSIGNALED(status) {
        return Some(WaitStatus::Signaled { signal: Signal(libc::WTERMSIG(status)) });
    }
    if !libc::WIFSTOPPED(status) {
        return None;
    }
    let signal = libc::WSTOPSIG(status);
    Some(match status >> 16 {
        // PTRACE_O_TRACESYSGOOD sets bit 7, which no signal has.
        0 if signal == libc::SIGTRAP | 0x80 => WaitStatus::SyscallStop,
        0 => WaitStatus::SignalDelivery(Signal(signal)),
        libc::PTRACE_EVENT_FORK => WaitStatus::Event(PtraceEvent::Fork),
        libc::PTRACE_EVENT_VFORK => WaitStatus::Event(PtraceEvent::Vfork),
        libc::PTRACE_EVENT_CLONE => WaitStatus::Event(PtraceEvent::Clone),
        libc::PTRACE_EVENT_EXEC => WaitStatus::Event(PtraceEvent::Exec),
        libc::PTRACE_EVENT_VFORK_DONE => WaitStatus::Event(PtraceEvent::VforkDone),
        libc::PTRACE_EVENT_EXIT => WaitStatus::Event(PtraceEvent::Exit),
        libc::PTRACE_EVENT_SECCOMP => WaitStatus::Event(PtraceEvent::Seccomp),
        // EVENT_STOP with one of the four stopping signals is a group-stop, with SIGTRAP an interrupt's answer, a new
        // child's first stop or the end of a group-stop.
        libc::PTRACE_EVENT_STOP => match signal {
            libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => WaitStatus::GroupStop(Signal(signal)),
            _ => WaitStatus::Event(PtraceEvent::Stop),
        },
        _ => return None,
    })
}
