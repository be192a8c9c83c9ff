//! Stopping all threads, and telling of a stop.

use std::time::{Duration, Instant};

use crate::api::{Event, StopReason, ThreadRef, Toggle};
use crate::base::{Inferior, Pid, PtraceEvent, ResumeHow, Tid, WaitStatus};
use crate::engine::process::remote::Wait;
use crate::engine::state::{Engine, Selection, World};
use crate::target::task::RunState;

/// How long threads get to stop. Only a thread in an uninterruptible wait takes longer.
const STOP_DEADLINE: Duration = Duration::from_secs(2);
/// Polls before the tracer sleeps between them: a stop takes a few microseconds.
const SPINS: u32 = 200;
/// Between polls after that.
const NAP: Duration = Duration::from_micros(100);
/// A look at /proc for each thread that has not stopped costs as much as several stops.
const NAPS_BETWEEN_LOOKS: u32 = 256;

impl<I: Inferior> Engine<I> {
    /// Stops every thread, or with non-stop only this one, and tells the front ends why.
    pub(in crate::engine) fn stop_for(&mut self, tid: Tid, reason: StopReason) {
        if self.stop_ends_call(tid, &reason) {
            return;
        }
        let already = self.world == World::Stopped;
        if self.settings.non_stop == Toggle::On {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.held = true;
            }
        } else if !already {
            self.stop_world();
        }
        self.end_single_steps();
        let Some(pid) = self.threads.get(&tid).map(|one| one.pid) else { return };
        // Whatever was being stepped over or returned from is over: the user decides anew.
        if self.settings.non_stop == Toggle::On {
            self.steps.remove(&tid);
            self.forget_returns_of(tid);
        } else {
            self.steps.clear();
            self.forget_all_returns();
            self.threads.values_mut().for_each(|one| one.locked = false);
        }
        self.selection = Selection { pid: Some(pid), tid: Some(tid), frame: 0 };
        self.examine_next = None;
        self.epoch += 1;
        self.stop = Some(reason.clone());
        self.pause_begins(tid, &reason);
        self.look_at_nets();
        if let (StopReason::Breakpoint { ids }, Ok(regs)) = (&reason, self.inferior.regs(tid)) {
            self.enter_at_breakpoints(tid, regs.pc(), ids);
        }
        self.refresh_jit();
        self.bare_sites();
        let (frame, call) = self.stop_place(tid);
        let source = self.source_around_selected();
        let displays = self.displays_now();
        let Some(thread) = self.thread_ref(tid) else { return };
        self.emit(Event::Stopped { epoch: self.epoch, reason, thread, frame, call, source, displays });
    }

    /// Stops every thread of every process. What they report on the way waits until they go on.
    pub(in crate::engine) fn stop_world(&mut self) {
        let all: Vec<Tid> = self.threads.keys().copied().collect();
        self.world = World::Stopping;
        self.hold_indexing();
        self.stop_threads(&all);
        self.world = World::Stopped;
    }

    /// Stops the threads of one process; to be called with the world stopping or stopped.
    pub(in crate::engine) fn stop_process(&mut self, pid: Pid) {
        // Threads that start meanwhile are stopped where they begin, so one pass more finds them all. One that did not
        // stop in time is not waited for again, as the others stand still meanwhile.
        let mut tried = Vec::new();
        for _ in 0..8 {
            let of_pid = self.threads_of(pid).into_iter();
            let running: Vec<Tid> = of_pid.filter(|tid| self.is_running(*tid) && !tried.contains(tid)).collect();
            if running.is_empty() {
                return;
            }
            self.stop_threads(&running);
            tried.extend(running);
        }
    }

    pub(in crate::engine) fn is_running(&self, tid: Tid) -> bool {
        self.threads.get(&tid).is_some_and(|one| !one.is_stopped() && !one.in_vfork)
    }

    fn stop_threads(&mut self, tids: &[Tid]) {
        for tid in tids {
            if self.is_running(*tid) {
                // Gone is an answer; the wait below reports it.
                let _ = self.inferior.interrupt(*tid);
            }
        }
        self.await_stops(tids);
    }

    /// Collects the reports of threads that have been interrupted.
    pub(in crate::engine) fn await_stops(&mut self, tids: &[Tid]) {
        let begun = Instant::now();
        let mut polls = 0u32;
        // Those before `next` stand: each report is met with one look, not one at every thread.
        let mut next = 0;
        while let Some(ahead) = tids[next..].iter().position(|tid| self.is_running(*tid)) {
            next += ahead;
            // One look for whatever comes, new tasks for one; then at each that is waited for.
            let mut reported = match self.next_report(Wait::Poll) {
                Ok(Some((tid, status))) => {
                    self.handle_while_stopping(tid, status);
                    true
                }
                Ok(None) => false,
                Err(_) => return,
            };
            for tid in &tids[next..] {
                if let Some(status) = self.is_running(*tid).then(|| self.report_of(*tid)).flatten() {
                    self.handle_while_stopping(*tid, status);
                    reported = true;
                }
            }
            if reported {
                polls = 0;
                continue;
            }
            polls += 1;
            if polls < SPINS {
                std::hint::spin_loop();
                continue;
            }
            std::thread::sleep(NAP);
            // A thread that has ended unseen, as another's execve ends it, reports nothing more.
            if polls % NAPS_BETWEEN_LOOKS == 0
                && tids[next..].iter().all(|tid| !self.is_running(*tid) || self.is_dead(*tid))
            {
                return;
            }
            if begun.elapsed() > STOP_DEADLINE {
                let late = tids[next..].iter().filter(|tid| self.is_running(**tid)).count();
                let text = format!(
                    "{late} threads did not stop within 2 s (they wait in the kernel); they stop when they wake"
                );
                self.emit(Event::Notice { text });
                return;
            }
        }
    }

    pub(in crate::engine) fn is_dead(&self, tid: Tid) -> bool {
        self.threads.get(&tid).is_none_or(|one| self.inferior.is_dead(one.pid, tid))
    }

    /// As [`Engine::handle`], but a thread whose SIGTRAP is on its way is let run into it first.
    fn handle_while_stopping(&mut self, tid: Tid, status: WaitStatus) {
        let may_have_trapped = matches!(status, WaitStatus::Event(PtraceEvent::Stop) | WaitStatus::GroupStop(_));
        if may_have_trapped && self.trap_is_on_its_way(tid) {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.state = RunState::Running;
                thread.left_group_stop = matches!(status, WaitStatus::GroupStop(_));
            }
            let how = ResumeHow::Continue;
            let _ = self.inferior.resume(tid, crate::base::Resume { how, signal: None });
            return;
        }
        self.handle(tid, status);
    }

    /// A thread with its number and name.
    pub(in crate::engine) fn thread_ref(&self, tid: Tid) -> Option<ThreadRef> {
        let thread = self.threads.get(&tid)?;
        let name = self.inferior.comm(thread.pid, tid).unwrap_or_else(|_| "?".to_string());
        Some(ThreadRef { number: thread.number, tid, pid: thread.pid, name })
    }

    /// `interrupt`.
    pub(in crate::engine) fn interrupt(&mut self) {
        if self.world == World::Stopped || !self.threads.keys().any(|tid| self.is_running(*tid)) {
            return;
        }
        let Some(pid) = self.selected_pid().ok() else { return };
        let chosen = self.selection.tid.filter(|tid| self.threads.contains_key(tid));
        self.note_sleepers(pid);
        self.stop_world();
        let first =
            self.threads_of(pid).into_iter().find(|tid| self.threads.get(tid).is_some_and(|one| one.is_stopped()));
        self.tell_locked();
        if let Some(tid) = chosen.or(first) {
            self.stop_for(tid, StopReason::Interrupt);
        }
    }
}
