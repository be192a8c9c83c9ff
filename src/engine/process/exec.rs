//! A process executes another program: everything that was known of its memory is void.

use crate::api::{CaughtAt, Event, StopReason, Toggle};
use crate::base::{Inferior, Pid, Tid};
use crate::engine::state::{Engine, World};
use crate::target::task::{Role, RunState, StopKind};

impl<I: Inferior> Engine<I> {
    /// `tid` stands in the exec event-stop, at the new program's first instruction. Whichever thread called execve, it
    /// has the leader's tid now, and the other threads are gone (ptrace(2), "execve(2) under ptrace").
    pub(in crate::engine) fn on_exec(&mut self, tid: Tid) {
        let Some(pid) = self.threads.get(&tid).map(|one| one.pid) else { return };
        self.calls_after_exec(tid);
        self.call_has_gone(tid, "it has executed another program");
        self.forget_pause_of(pid);
        let others: Vec<Tid> = self.threads_of(pid).into_iter().filter(|one| *one != tid).collect();
        for other in others {
            self.threads.remove(&other);
            self.forget_returns_of(other);
            self.steps.remove(&other);
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = RunState::Stopped(StopKind::Event);
            thread.owed = None;
            thread.reported_at = None;
            thread.passed_at = None;
        }
        self.take_back_stop(tid);
        self.traced_exec(tid);
        self.inferior.forget(pid);
        self.steps.remove(&tid);
        let space = self.add_space();
        let exe = self.inferior.exe(pid).unwrap_or_default();
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.space = space;
        process.exe = exe.clone();
        let role = process.role;
        self.drop_unused_spaces();
        if self.is_awaited(&exe, pid) {
            self.caught_at_exec(pid, exe);
            return;
        }
        match role {
            Role::Passenger => self.release_process(pid),
            Role::Catching => self.release_process(pid),
            Role::Scouted => self.go_on(tid),
            Role::Debugged => {
                self.emit(Event::Executed { pid, exe: exe.clone() });
                self.begin_space(tid);
                if self.settings.stop_on_exec == Toggle::On && self.world == World::Running {
                    self.stop_for(tid, StopReason::Exec { exe });
                } else {
                    self.go_on(tid);
                }
            }
        }
    }

    /// The awaited program stands at its first instruction.
    fn caught_at_exec(&mut self, pid: Pid, exe: std::path::PathBuf) {
        let tid = pid.leader();
        let hold = self.awaited_hold();
        self.end_wait();
        if let Some(process) = self.processes.get_mut(&pid) {
            process.role = Role::Debugged;
        }
        self.selection.pid = Some(pid);
        self.selection.tid = Some(tid);
        self.note_traced_process();
        self.begin_space(tid);
        self.on_watched_exec(tid);
        // The caught one stands while the others are let go.
        self.world = World::Stopped;
        self.let_others_go(pid);
        self.await_vfork_parents();
        if let Some(process) = self.inferior_row(pid) {
            self.emit(Event::Caught { process, at: CaughtAt::FirstInstruction });
        }
        self.world = World::Running;
        match hold {
            Toggle::On => self.stop_for(tid, StopReason::Exec { exe }),
            Toggle::Off => self.go_on(tid),
        }
    }
}
