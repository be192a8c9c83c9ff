//! Launched programs that stop for the traced system calls alone: a filter that they have from their launch tells the
//! kernel which ones. All others are made at full speed.
//!
//! A filter stays for good, and without a tracer what it reports fails with ENOSYS. So only that gets one which ends with
//! rdbg: what was launched, where its children are followed and nobody can let go of it at a prompt.

use rustc_hash::FxHashSet;

use crate::api::{FollowFork, StopReason};
use crate::base::{Inferior, Pid, Tid};
use crate::engine::breakpoints::Verdict;
use crate::engine::state::{Engine, World};
use crate::os::CALL_FILTER_DATA;
use crate::target::task::Origin;

/// The processes with a filter of rdbg's.
#[derive(Default)]
pub(in crate::engine) struct FilteredProcesses(FxHashSet<Pid>);

impl<I: Inferior> Engine<I> {
    /// The calls that alone a program is to report which is launched now; none: it gets no filter.
    pub(super) fn calls_to_filter(&self) -> Vec<u32> {
        if self.settings.follow_fork != FollowFork::Both {
            return Vec::new();
        }
        self.trace.as_ref().map(|one| one.calls_to_filter()).unwrap_or_default()
    }

    /// A launched program stands at its first instruction: whether it got its filter.
    pub(super) fn note_filter(&mut self, pid: Pid, asked: &[u32]) {
        if !asked.is_empty() && crate::os::has_call_filter(pid.leader()) {
            self.filtered.0.insert(pid);
        }
    }

    /// A forked process has its parent's filters.
    pub(super) fn inherit_filter(&mut self, parent: Pid, child: Pid) {
        if self.filtered.0.contains(&parent) {
            self.filtered.0.insert(child);
        }
    }

    pub(in crate::engine) fn forget_filter(&mut self, pid: Pid) {
        self.filtered.0.remove(&pid);
    }

    /// How many filters a thread has of rdbg's.
    pub(super) fn own_filters(&self, tid: Tid) -> u32 {
        u32::from(self.is_filtered(tid))
    }

    /// Whether a thread reports its calls by its filter.
    pub(in crate::engine) fn is_filtered(&self, tid: Tid) -> bool {
        !self.filtered.0.is_empty() && self.threads.get(&tid).is_some_and(|one| self.filtered.0.contains(&one.pid))
    }

    /// Whether events of filters are to be reported of a process that comes now.
    pub(super) fn reports_filtered(&self, origin: Origin) -> bool {
        origin == Origin::Launched && !self.calls_to_filter().is_empty()
    }

    /// A thread stands at the entry of a call that a filter reports.
    pub(in crate::engine) fn on_filtered_call(&mut self, tid: Tid) {
        let ours = self.inferior.event_message(tid).is_ok_and(|data| data == u64::from(CALL_FILTER_DATA));
        if !ours {
            self.refuse_call(tid);
        }
        // With a breakpoint on calls the entry was told already, by its syscall-stop.
        let traced = match self.inferior.syscall_stop(tid) {
            Ok(stop) if ours && !self.catches_calls() => self.on_traced_call(tid, stop),
            _ => Verdict::GoOn,
        };
        match traced {
            Verdict::Stop if self.world == World::Running => {
                let reason = self.take_trace_stop().unwrap_or(StopReason::Syscall { hits: Vec::new() });
                self.stop_for(tid, reason);
            }
            _ => self.go_on(tid),
        }
    }

    /// A filter of the program's own asks for a tracer, and the program counts on there being none: its call fails with
    /// ENOSYS, which is in rax already (seccomp(2), SECCOMP_RET_TRACE).
    fn refuse_call(&mut self, tid: Tid) {
        if let Ok(mut regs) = self.inferior.regs(tid) {
            regs.orig_rax = u64::MAX;
            let _ = self.inferior.set_regs(tid, &regs);
        }
    }
}
