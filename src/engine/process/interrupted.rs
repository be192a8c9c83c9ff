//! Calls that fail with EINTR only because rdbg has stopped their thread are made again, with what is left of their
//! time. Without this a program that does not expect EINTR from epoll_wait would see that it is being debugged, and one
//! that is stopped over and over would never see a time-out.
//!
//! When a call began is not known as such. The scheduler's record from before the stop tells how long the thread had
//! slept, if it slept on one CPU; else the call is taken to have begun when it was first seen broken. So a time-out is
//! never early.

use std::time::{Duration, Instant};

use crate::arch::{is_dead_after, syscall_argument, IntegerRegister};
use crate::base::{Inferior, Pid, ReadMem, Regs, ResumeHow, Signal, Tid, VirtAddr};
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;
use crate::target::breakpoint::CleanMemory;
use crate::target::broken_call::{
    milliseconds_left, parse_milliseconds, parse_timespec, time_limit, timespec_bytes, BrokenCall, RedoneCall,
    TimeLimit,
};

/// -EINTR as a system call returns it.
const EINTR: u64 = (-4i64) as u64;
/// The length of `syscall`, bytes.
const SYSCALL_LENGTH: u64 = 2;
/// Of how many threads the scheduler is asked before a stop: each costs some 10 us, while the process still runs.
const MOST_ASKED: usize = 64;
/// Below the stack pointer a function may keep this much that no signal's frame overwrites (psABI, "The Stack Frame").
const RED_ZONE: u64 = 128;
/// The size of `struct timespec`.
const TIMESPEC: u64 = 16;

/// A call's start is read off the scheduler's clock, which is not the one that its time is measured by: what is left is
/// given with this much more, so that no call ends early.
const CLOCKS_APART: Duration = Duration::from_millis(1);

/// What reaches a thread that goes on: the signals for whose sake a call stays broken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Coming {
    /// It stays traced. What else waits is reported before it is delivered, and the user may have it dropped.
    Delivered(Option<Signal>),
    /// It is let go: with that one, and nobody holds back what waits.
    All(Option<Signal>),
}

impl<I: Inferior> Engine<I> {
    /// Before a process is stopped: notes which of its threads sleep since when.
    pub(in crate::engine) fn note_sleepers(&mut self, pid: Pid) {
        self.asleep.clear();
        let mut running = self.threads_of(pid);
        running.retain(|tid| self.threads.get(tid).is_some_and(|one| !one.is_stopped()));
        for tid in running.into_iter().take(MOST_ASKED) {
            if let Some(record) = self.inferior.run_record(tid) {
                self.asleep.insert(tid, record);
            }
        }
    }

    /// At a stop that has made a call fail with EINTR: remembers the call.
    pub(in crate::engine) fn note_broken_call(&mut self, tid: Tid) {
        let before = self.asleep.remove(&tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        thread.broken = None;
        // SIGSTOP and SIGCONT break a call off without rdbg too.
        if thread.resumed == ResumeHow::Listen {
            return;
        }
        let Ok(regs) = self.inferior.regs(tid) else { return };
        if regs.rax != EINTR {
            return;
        }
        let Some(limit) = time_limit(regs.orig_rax) else { return };
        let (number, after) = (regs.orig_rax, regs.pc());
        let register = limit_register(limit).map(|place| syscall_argument(&regs, place));
        let known = register.and_then(|value| thread.redone?.deadline_of(number, after, value));
        let deadline = known.or_else(|| {
            let time = self.read_limit(tid, limit, &regs)?;
            let slept = before.and_then(|record| record.slept_until(&self.inferior.run_record(tid)?));
            Instant::now().checked_add(time)?.checked_sub(slept.unwrap_or_default())
        });
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.broken = Some(BrokenCall { number, after, deadline });
        }
    }

    /// The time that a call was given; `None`: for ever, or it is not known.
    fn read_limit(&self, tid: Tid, limit: TimeLimit, regs: &Regs) -> Option<Duration> {
        match limit {
            TimeLimit::Elsewhere => None,
            TimeLimit::Milliseconds(place) => parse_milliseconds(syscall_argument(regs, place)),
            TimeLimit::Timespec(place) => {
                let at = syscall_argument(regs, place);
                let mut bytes = [0; TIMESPEC as usize];
                let memory = RawMemory { inferior: &self.inferior, pid: self.threads.get(&tid)?.pid };
                memory.read_exact(VirtAddr(at), &mut bytes).ok().filter(|()| at != 0)?;
                parse_timespec(&bytes)
            }
        }
    }

    /// Before a thread goes on: a call that our stop alone has broken off is to be made again. Where a signal has an
    /// effect on the program it sees EINTR by right.
    pub(in crate::engine) fn mend_call(&mut self, tid: Tid, coming: Coming) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        match thread.broken.take() {
            Some(call) => {
                self.redo(tid, call, coming);
                self.settle_traced_return(tid);
            }
            None if thread.redone.is_some() && coming != Coming::Delivered(None) => self.undo(tid, coming),
            None => {}
        }
    }

    /// Whether the program is to see that a call was broken off.
    fn has_effect(&self, tid: Tid, coming: Coming) -> bool {
        // Asking the kernel costs some 10 us a thread.
        if coming == Coming::Delivered(None) {
            return false;
        }
        let (Coming::Delivered(signal) | Coming::All(signal)) = coming;
        self.inferior.signal_masks(tid).is_none_or(|masks| {
            signal.is_some_and(|one| masks.has_effect(one))
                || matches!(coming, Coming::All(_)) && masks.pending_has_effect()
        })
    }

    fn redo(&mut self, tid: Tid, call: BrokenCall, coming: Coming) {
        let Ok(mut regs) = self.inferior.regs(tid) else { return };
        // The user may have written the registers.
        let as_seen = regs.rax == EINTR && regs.orig_rax == call.number && regs.pc() == call.after;
        if !as_seen || self.has_effect(tid, coming) {
            return;
        }
        self.call_made_again(tid, &regs);
        let limit = call.deadline.and_then(|deadline| self.shorten(tid, call, deadline, &mut regs));
        regs.rax = call.number;
        regs.orig_rax = u64::MAX;
        regs.rip = call.after.0.wrapping_sub(SYSCALL_LENGTH);
        // Gone is an answer here: then nobody sees anything.
        let _ = self.inferior.set_regs(tid, &regs);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.redone = Some(RedoneCall { call, limit });
        }
    }

    /// A signal came after a call was told to be made again and before the thread came to it: a program that waits for
    /// the signal in that very call must see EINTR.
    fn undo(&mut self, tid: Tid, coming: Coming) {
        let Some(call) = self.threads.get(&tid).and_then(|one| one.redone).map(|one| one.call) else { return };
        let Ok(regs) = self.inferior.regs(tid) else { return };
        let before = call.after.0.wrapping_sub(SYSCALL_LENGTH);
        if regs.rip != before || regs.rax != call.number || regs.orig_rax != u64::MAX {
            return;
        }
        if self.has_effect(tid, coming) {
            let _ = self.inferior.set_regs(tid, &Regs { rax: EINTR, rip: call.after.0, ..regs });
            self.call_not_made_again(tid);
        }
    }

    /// Writes what is left of a call's time into the registers it is made again with, if the program cannot see that:
    /// it may not use the register after the call, since the kernel keeps it. Returns what was written.
    ///
    /// A timespec is in the program's memory, which may be shared or constant. What is left goes where no one else
    /// looks, below the red zone of the thread's own stack, where any signal's frame may be put; the kernel has copied
    /// it when the call begins. Only in libc is the stack known to reach that far.
    fn shorten(&mut self, tid: Tid, call: BrokenCall, deadline: Instant, regs: &mut Regs) -> Option<u64> {
        let limit = time_limit(call.number)?;
        let place = limit_register(limit)?;
        let process = self.process_of(tid)?;
        let (pid, space) = (process.pid, self.spaces.get(&process.space)?);
        let memory = CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid }, sites: &space.sites };
        if !is_dead_after(&memory, call.after, place) {
            return None;
        }
        let left = deadline.saturating_duration_since(Instant::now()) + CLOCKS_APART;
        let value = match limit {
            TimeLimit::Elsewhere => return None,
            TimeLimit::Milliseconds(_) => milliseconds_left(left),
            TimeLimit::Timespec(_) => {
                space.modules.module_at(call.after).filter(|module| is_libc(&module.name()))?;
                let at = VirtAddr(regs.rsp.checked_sub(RED_ZONE + TIMESPEC)? & !(TIMESPEC - 1));
                self.inferior.write_mem(pid, at, &timespec_bytes(left)).ok()?;
                at.0
            }
        };
        match place.0 {
            2 => regs.rdx = value,
            3 => regs.r10 = value,
            _ => return None,
        }
        Some(value)
    }
}

fn limit_register(limit: TimeLimit) -> Option<IntegerRegister> {
    match limit {
        TimeLimit::Elsewhere => None,
        TimeLimit::Milliseconds(place) | TimeLimit::Timespec(place) => Some(place),
    }
}

/// glibc's and musl's, shared.
pub(in crate::engine) fn is_libc(module: &str) -> bool {
    ["libc.so", "libc-2.", "libc.musl", "ld-musl"].iter().any(|name| module.starts_with(name))
}
