//! Leaving processes: every byte restored, every pc moved back, nothing left stopped that ran before.

use super::interrupted::Coming;
use super::remote::Wait;
use crate::api::{Event, Leave};
use crate::base::{Inferior, MemError, Pid, Resume, ResumeHow, Signal, Tid, VirtAddr};
use crate::engine::breakpoints::resume::SLOT_PAGES;
use crate::engine::state::{Engine, World};
use crate::target::task::{Origin, Role, RunState, SpaceId, StopKind};

/// munmap(2) on x86-64.
const SYS_MUNMAP: u64 = 11;

impl<I: Inferior> Engine<I> {
    /// Lets one process go: stops its threads for as long as it takes to restore them, and detaches. Processes that share
    /// its memory, as a vfork child does until it executes something, go with it: they would run into what is restored.
    pub(in crate::engine) fn detach_process(&mut self, pid: Pid) {
        let Some(space) = self.processes.get(&pid).map(|one| one.space) else { return };
        // What is made for the cache takes no time of those that stand.
        self.hold_indexing();
        // The code first, while threads run: they stand still for the rest only. A trap that is under way is that of a
        // retired site.
        let restored = self.restore_text(pid, space);
        self.note_sleepers(pid);
        let world = std::mem::replace(&mut self.world, World::Stopping);
        self.stop_process(pid);
        // One that was started while others were being stopped is found by another look.
        let mut sharers = vec![pid];
        while let Some(next) = self.sharers_of(pid).into_iter().find(|one| !sharers.contains(one)) {
            self.stop_process(next);
            sharers.push(next);
        }
        // Where the kernel lets code be written only while a thread stands.
        if restored.is_err() {
            self.restore_standing(pid, space);
        }
        let debugged: Vec<Pid> = sharers
            .iter()
            .copied()
            .filter(|pid| self.processes.get(pid).is_some_and(|one| one.role == Role::Debugged))
            .collect();
        self.release_together(&sharers);
        self.world = world;
        self.release_parked();
        for pid in debugged {
            self.emit(Event::Detached { pid });
        }
        if self.threads.is_empty() {
            self.world = World::Running;
            self.stop = None;
        }
    }

    /// The other processes that share a process's memory.
    fn sharers_of(&self, pid: Pid) -> Vec<Pid> {
        let space = self.processes.get(&pid).map(|one| one.space);
        self.processes.values().filter(|one| Some(one.space) == space && one.pid != pid).map(|one| one.pid).collect()
    }

    /// Threads of other processes that reported while this one was being stopped go on, if the world runs.
    fn release_parked(&mut self) {
        let parked: Vec<Tid> = self.threads.iter().filter(|(_, one)| one.is_stopped()).map(|(tid, _)| *tid).collect();
        for tid in parked {
            self.go_on(tid);
        }
    }

    /// The second half of [`Engine::detach_process`], for a process whose threads stand. Where others share its memory, that
    /// stays as it is.
    pub(super) fn release_process(&mut self, pid: Pid) {
        let Some(space) = self.processes.get(&pid).map(|one| one.space) else { return };
        if self.sharers_of(pid).is_empty() {
            self.restore_standing(pid, space);
        }
        self.release_together(&[pid]);
    }

    fn release_together(&mut self, pids: &[Pid]) {
        let Some((first, space)) = pids.first().and_then(|pid| Some((*pid, self.processes.get(pid)?.space))) else {
            return;
        };
        let alone = !self.processes.values().any(|one| one.space == space && !pids.contains(&one.pid));
        let tids: Vec<Tid> = pids.iter().flat_map(|pid| self.threads_of(*pid)).collect();
        for tid in &tids {
            self.settle(*tid);
        }
        if alone {
            self.lift_net(pids, space);
            self.unmap_slots(&tids, space);
        }
        for pid in pids {
            self.unpin_process(*pid);
        }
        for tid in &tids {
            self.release_thread(*tid);
        }
        for pid in pids.iter().rev() {
            if *pid == first && tids.iter().any(|tid| self.late.contains_key(tid)) {
                self.remember_departed(first);
            }
            self.processes.remove(pid);
            self.inferior.forget(*pid);
            if self.selection.pid == Some(*pid) {
                self.selection = Default::default();
            }
        }
        self.drop_unused_spaces();
    }

    /// Detaches from one thread. One that does not stand, since it waits in the kernel where nothing can stop it, is let
    /// go when it reports something.
    fn release_thread(&mut self, tid: Tid) {
        self.apply_queued(tid);
        self.mend_call(tid, Coming::All(self.threads.get(&tid).and_then(|one| one.owed)));
        let is_running = self.threads.get(&tid).is_some_and(|one| !one.is_stopped());
        let is_dead = is_running && self.is_dead(tid);
        let Some(thread) = self.threads.remove(&tid) else { return };
        match thread.state {
            // Gone is an answer. A signal that was taken from the program and not delivered goes along.
            RunState::Stopped(_) => {
                let _ = self.inferior.detach(tid, thread.owed);
            }
            RunState::Running if is_dead => {}
            RunState::Running => {
                self.late.insert(tid, thread.in_vfork);
            }
        }
    }

    /// Makes a stopped thread's registers what they would be without rdbg.
    fn settle(&mut self, tid: Tid) {
        let stopped = self.threads.get(&tid).is_some_and(|one| one.is_stopped());
        if stopped {
            self.leave_slot(tid);
            self.clear_registers(tid);
        }
    }

    /// Retired sites too: a fork from before they were removed has them still.
    fn restore_text(&mut self, pid: Pid, space: SpaceId) -> Result<(), (VirtAddr, MemError)> {
        let guarded = self.guarded(space);
        self.lower_semaphores(pid, space);
        let Some(one) = self.spaces.get_mut(&space) else { return Ok(()) };
        one.sites.retire_all();
        let all: Vec<_> = one.sites.retired().collect();
        self.restore_all(pid, &all)?;
        all.iter().for_each(|(at, _)| self.guardian.uncover(guarded, *at));
        Ok(())
    }

    /// The same for a process that stands; what could not be restored is told.
    fn restore_standing(&mut self, pid: Pid, space: SpaceId) {
        if let Err((at, error)) = self.restore_text(pid, space) {
            let text = format!("the instruction at {at} of process {pid} was not restored: {error}");
            self.emit(Event::Notice { text });
        }
    }

    /// Takes the pages of displaced instructions out of the target again. No pc and no signal's frame points into them:
    /// [`Engine::leave_slot`] sees to both. Where no thread can be made to do it the pages stay; they harm nobody.
    fn unmap_slots(&mut self, tids: &[Tid], space: SpaceId) {
        let runs: Vec<_> = self.spaces.get_mut(&space).map(|one| std::mem::take(&mut one.slots)).unwrap_or_default();
        if runs.is_empty() {
            return;
        }
        let Some(tid) = self.thread_at_rest(tids) else { return };
        // A thread that could not be stopped may be in one of them.
        if tids.iter().any(|tid| self.threads.get(tid).is_some_and(|one| !one.is_stopped())) {
            return;
        }
        for (_, end) in runs {
            let start = end.0 - SLOT_PAGES;
            if let Err(error) = self.remote_syscall(tid, SYS_MUNMAP, [start, SLOT_PAGES, 0, 0, 0, 0]) {
                self.emit(Event::Notice { text: format!("a page of rdbg's stays mapped at {start:#x}: {error}") });
            }
        }
    }

    /// A thread that stands between two instructions of the program, and can make a call for rdbg. Where all of them stand
    /// in the midst of system calls, as they do while those are traced, one is let go on to the end of its own: the
    /// interrupt that is set before meets it there.
    pub(super) fn thread_at_rest(&mut self, tids: &[Tid]) -> Option<Tid> {
        let stands = |engine: &Self, tid: Tid, kind| {
            let thread = engine.threads.get(&tid);
            thread.is_some_and(|one| one.state == RunState::Stopped(kind) && one.owed.is_none() && !one.in_vfork)
        };
        if let Some(tid) = tids.iter().find(|tid| stands(self, **tid, StopKind::Event)) {
            return Some(*tid);
        }
        let tid = *tids.iter().find(|tid| stands(self, **tid, StopKind::Syscall))?;
        // Gone is an answer, which the wait reports.
        let _ = self.inferior.interrupt(tid);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = RunState::Running;
            thread.resumed = ResumeHow::Continue;
        }
        let _ = self.inferior.resume(tid, Resume { how: ResumeHow::Continue, signal: None });
        self.await_stops(&[tid]);
        stands(self, tid, StopKind::Event).then_some(tid)
    }

    /// `quit`, a signal to rdbg, a lost terminal, a fault: leaves every process as its origin asks.
    pub(in crate::engine) fn leave_all(&mut self, leave: Leave) {
        self.cancel_wait();
        self.break_off_call("the session ends");
        let mut left = Vec::new();
        // Another look each time: those that are not left yet go on forking.
        while let Some((pid, origin, role)) = self.next_to_leave(&left) {
            left.push(pid);
            match (leave, origin) {
                (Leave::Default, Origin::Launched) if role != Role::Passenger => self.kill_process(pid),
                _ => self.detach_process(pid),
            }
        }
    }

    /// Passengers last: they go with the process whose memory they share, or are left over when that was killed.
    fn next_to_leave(&self, left: &[Pid]) -> Option<(Pid, Origin, Role)> {
        let rest = || self.processes.values().filter(|one| !left.contains(&one.pid));
        let next = rest().find(|one| one.role != Role::Passenger).or_else(|| rest().next())?;
        Some((next.pid, next.origin, next.role))
    }

    /// Kills a process and waits for its end.
    pub(in crate::engine) fn kill_process(&mut self, pid: Pid) {
        if self.inferior.kill(pid, Signal::KILL).is_err() {
            self.detach_process(pid);
            return;
        }
        while self.processes.contains_key(&pid) {
            match self.next_report(Wait::Block) {
                Ok(Some((tid, status))) => {
                    let ours = self.threads.get(&tid).is_some_and(|one| one.pid == pid);
                    if ours
                        && matches!(
                            status,
                            crate::base::WaitStatus::SignalDelivery(_) | crate::base::WaitStatus::Event(_)
                        )
                    {
                        if let Some(thread) = self.threads.get_mut(&tid) {
                            thread.state = RunState::Stopped(StopKind::Event);
                        }
                        self.resume_task(tid, ResumeHow::Continue, None);
                    } else {
                        self.handle(tid, status);
                    }
                }
                Ok(None) => {}
                Err(_) => {
                    self.all_gone();
                    return;
                }
            }
        }
    }
}
