//! Leaving processes: every byte restored, every pc moved back, nothing left stopped that ran before.

use super::remote::Wait;
use super::state::{Engine, World};
use crate::api::{Event, Leave};
use crate::base::{Inferior, Pid, ResumeHow, Signal, Tid};
use crate::target::task::{Origin, Role, RunState, StopKind};

/// munmap(2) on x86-64.
const SYS_MUNMAP: u64 = 11;

impl<I: Inferior> Engine<I> {
    /// Lets one process go: stops its threads for as long as it takes to restore them, and detaches.
    pub(super) fn detach_process(&mut self, pid: Pid) {
        let Some(role) = self.processes.get(&pid).map(|one| one.role) else { return };
        self.note_sleepers(pid);
        let world = std::mem::replace(&mut self.world, World::Stopping);
        self.stop_process(pid);
        self.release_process(pid);
        self.world = world;
        self.release_parked();
        if matches!(role, Role::Debugged) {
            self.emit(Event::Detached { pid });
        }
        if self.threads.is_empty() {
            self.world = World::Running;
            self.stop = None;
        }
    }

    /// Threads of other processes that reported while this one was being stopped go on, if the world runs.
    fn release_parked(&mut self) {
        let parked: Vec<Tid> = self.threads.iter().filter(|(_, one)| one.is_stopped()).map(|(tid, _)| *tid).collect();
        for tid in parked {
            self.go_on(tid);
        }
    }

    /// The second half of [`Engine::detach_process`], for a process whose threads stand.
    pub(super) fn release_process(&mut self, pid: Pid) {
        let Some(process) = self.processes.get(&pid) else { return };
        let space = process.space;
        let alone = !self.processes.values().any(|one| one.space == space && one.pid != pid);
        let tids = self.threads_of(pid);
        for tid in &tids {
            self.settle(*tid);
        }
        if alone {
            self.restore_text(pid, space);
            self.unmap_slots(&tids, space);
        }
        let is_late = |tid: &&Tid| self.threads.get(tid).is_some_and(|one| !one.is_stopped()) && !self.is_dead(**tid);
        let late: Vec<Tid> = tids.iter().filter(is_late).copied().collect();
        if !late.is_empty() {
            self.late.extend(late);
            self.remember_departed(pid);
        }
        for tid in tids {
            self.apply_queued(tid);
            self.mend_call(tid, self.threads.get(&tid).and_then(|one| one.owed));
            let Some(thread) = self.threads.remove(&tid) else { continue };
            if let RunState::Stopped(_) = thread.state {
                // Gone is an answer. A signal that was taken from the program and not delivered goes along.
                let _ = self.inferior.detach(tid, thread.owed);
            }
        }
        self.processes.remove(&pid);
        self.inferior.forget(pid);
        self.drop_unused_spaces();
        if self.selection.pid == Some(pid) {
            self.selection = Default::default();
        }
    }

    /// Makes a stopped thread's registers what they would be without rdbg.
    fn settle(&mut self, tid: Tid) {
        let stopped = self.threads.get(&tid).is_some_and(|one| one.is_stopped());
        if stopped {
            self.leave_slot(tid);
        }
    }

    fn restore_text(&mut self, pid: Pid, space: crate::target::task::SpaceId) {
        let guarded = self.guarded(space);
        let Some(one) = self.spaces.get_mut(&space) else { return };
        let mut failed = None;
        for (at, original) in one.sites.retire_all() {
            match self.restore(pid, at, original) {
                Ok(()) => self.guardian.uncover(guarded, at),
                Err(error) => failed = Some((at, error)),
            }
        }
        if let Some((at, error)) = failed {
            self.emit(Event::Notice {
                text: format!("the instruction at {at} of process {pid} was not restored: {error}"),
            });
        }
    }

    /// Takes the pages of displaced instructions out of the target again. No pc and no signal's frame points into them:
    /// [`Engine::leave_slot`] sees to both. Where no thread can be made to do it the pages stay; they harm nobody.
    fn unmap_slots(&mut self, tids: &[Tid], space: crate::target::task::SpaceId) {
        let runs: Vec<_> = self.spaces.get_mut(&space).map(|one| std::mem::take(&mut one.slots)).unwrap_or_default();
        let stands = |tid: &&Tid| {
            self.threads
                .get(tid)
                .is_some_and(|one| one.state == RunState::Stopped(StopKind::Event) && one.owed.is_none())
        };
        // A thread that could not be stopped may be in one of them.
        let all_stand = tids.iter().all(|tid| self.threads.get(tid).is_none_or(|one| one.is_stopped()));
        let Some(tid) = tids.iter().find(stands).copied().filter(|_| all_stand) else { return };
        for (_, end) in runs {
            let start = end.0 - super::resume::SLOT_PAGES;
            if let Err(error) = self.remote_syscall(tid, SYS_MUNMAP, [start, super::resume::SLOT_PAGES, 0, 0, 0, 0]) {
                self.emit(Event::Notice { text: format!("a page of rdbg's stays mapped at {start:#x}: {error}") });
            }
        }
    }

    /// `quit`, a signal to rdbg, a lost terminal, a fault: leaves every process as its origin asks.
    pub(super) fn leave_all(&mut self, leave: Leave) {
        self.cancel_wait();
        let all: Vec<(Pid, Origin, Role)> =
            self.processes.values().map(|one| (one.pid, one.origin, one.role)).collect();
        // Passengers first: their memory is another's, who restores it.
        let (passengers, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, _, role)| *role == Role::Passenger);
        for (pid, _, _) in passengers {
            self.detach_process(pid);
        }
        for (pid, origin, _) in others {
            match (leave, origin) {
                (Leave::Default, Origin::Launched) => self.kill_process(pid),
                _ => self.detach_process(pid),
            }
        }
    }

    /// Kills a process and waits for its end.
    pub(super) fn kill_process(&mut self, pid: Pid) {
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
