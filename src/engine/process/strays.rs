//! Tasks that report and are not known: those whose parent has yet to announce them, those whose parent was killed
//! before it could, and those that were too late to be let go with their process.

use std::path::PathBuf;

use super::remote::Wait;
use crate::api::Event;
use crate::base::{Inferior, InferiorError, Pid, PtraceEvent, ReadMem, Signal, Tid, VirtAddr, WaitStatus};
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::{Engine, Space};
use crate::target::breakpoint::INT3;
use crate::target::task::{Origin, Process, Role, RunState, StopKind};

/// How many address spaces of processes that have gone are remembered.
const DEPARTED: usize = 8;
/// How long the children of a killed process get to make their first stop, and a vfork to end, in naps.
const NAPS: u32 = 50;
const NAP: std::time::Duration = std::time::Duration::from_millis(1);

/// What was patched in a process that has ended, or was left.
pub(in crate::engine) struct Departed {
    exe: PathBuf,
    space: Space,
}

impl<I: Inferior> Engine<I> {
    /// A report of a task that is not known.
    pub(in crate::engine) fn on_stray(&mut self, tid: Tid, status: WaitStatus) {
        if self.late.contains_key(&tid) {
            self.let_late_go(tid, status);
            return;
        }
        let leader_of = tid.as_leader_of();
        if status == WaitStatus::Event(PtraceEvent::Exec) && self.processes.contains_key(&leader_of) {
            // Its leader had exited before rdbg came; the thread that has called execve is the leader now.
            self.add_thread(tid, leader_of, RunState::Running);
            self.handle(tid, status);
            return;
        }
        self.early.insert(tid, status);
        self.adopt_orphan(tid);
    }

    /// Whether a new task has ended before it was announced: then there is nothing to do about it.
    pub(super) fn has_come_and_gone(&mut self, pid: Pid, tid: Tid) -> bool {
        let ended = matches!(self.early.get(&tid), Some(WaitStatus::Exited { .. } | WaitStatus::Signaled { .. }));
        if ended {
            self.early.remove(&tid);
        }
        // One that lives has the number of another that ended.
        ended && self.inferior.is_dead(pid, tid)
    }

    /// Keeps what was patched in a space that is about to be forgotten: a child of its process may be on its way.
    pub(in crate::engine) fn remember_departed(&mut self, pid: Pid) {
        let Some(process) = self.processes.get(&pid) else { return };
        let (id, exe) = (process.space, process.exe.clone());
        let is_shared = self.processes.values().any(|one| one.space == id && one.pid != pid);
        let space = if is_shared { None } else { self.spaces.remove(&id) };
        let Some(mut space) = space else { return };
        if let Some(guarded) = space.guarded.take() {
            self.guardian.leave(guarded);
        }
        self.departed.truncate(DEPARTED - 1);
        self.departed.insert(0, Departed { exe, space });
        for tid in self.early.keys().copied().collect::<Vec<_>>() {
            self.adopt_orphan(tid);
        }
    }

    /// The first children of processes that were killed may still make their first stop, when nothing else is traced.
    pub(in crate::engine) fn await_orphans(&mut self) {
        for _ in 0..NAPS {
            if self.departed.is_empty() || !self.threads.is_empty() {
                break;
            }
            match self.next_report(Wait::Poll) {
                Ok(Some((tid, status))) => self.handle(tid, status),
                Ok(None) => std::thread::sleep(NAP),
                Err(_) => break,
            }
        }
        self.departed.clear();
    }

    /// A process whose parent was killed between its fork and the report of that: it stands at its first stop with the
    /// parent's patches in its memory, and no event will name it. It is restored and let go.
    fn adopt_orphan(&mut self, tid: Tid) {
        if self.early.get(&tid) != Some(&WaitStatus::Event(PtraceEvent::Stop)) || self.departed.is_empty() {
            return;
        }
        let pid = tid.as_leader_of();
        let is_process = self.inferior.thread_group(tid).is_ok_and(|group| group == pid);
        let parent = self.inferior.parent(pid).ok();
        let has_parent = parent.is_none_or(|parent| self.processes.contains_key(&parent));
        if !is_process || self.processes.contains_key(&pid) || has_parent {
            return;
        }
        let exe = self.inferior.exe(pid).unwrap_or_default();
        let memory = RawMemory { inferior: &self.inferior, pid };
        let is_patched = |at: VirtAddr| {
            let mut byte = [0];
            memory.read_mem(at, &mut byte).is_ok() && byte == [INT3]
        };
        let of = |one: &Departed| one.exe == exe && one.space.sites.iter().all(|(at, _)| is_patched(at));
        let Some(departed) = self.departed.iter().find(|one| of(one)) else { return };
        let (modules, sites) = (departed.space.modules.clone(), departed.space.sites.clone());
        let (syscall_at, slots) = (departed.space.syscall_at, departed.space.slots.clone());
        let net = departed.space.net.clone();
        self.early.remove(&tid);
        let space = self.add_space();
        if let Some(one) = self.spaces.get_mut(&space) {
            let (bared, registers, jit) = Default::default();
            let (rendezvous, guarded) = (None, None);
            *one = Space {
                modules,
                sites,
                bared,
                rendezvous,
                syscall_at,
                trampoline_at: None,
                registers,
                slots,
                guarded,
                net,
                jit,
            };
        }
        self.next.process += 1;
        let (number, origin, role) = (self.next.process, Origin::Attached, Role::Passenger);
        self.processes.insert(pid, Process { pid, number, space, exe, origin, role });
        self.add_thread(tid, pid, RunState::Stopped(StopKind::Event));
        self.release_process(pid);
        self.emit(Event::Notice { text: format!("process {pid}, whose parent was killed, goes on untraced") });
    }

    /// Lets go the threads whose vfork child has just executed its program. The kernel lets them out of their wait before
    /// it reports the exec (exec_mmap), so that they report that now, unless they wait for another child.
    pub(super) fn await_vfork_parents(&mut self) {
        for _ in 0..NAPS {
            if !self.late.values().any(|in_vfork| *in_vfork) {
                return;
            }
            match self.next_report(Wait::Poll) {
                Ok(Some((tid, status))) => self.handle(tid, status),
                Ok(None) => std::thread::sleep(NAP),
                Err(_) => return,
            }
        }
    }

    /// A thread that did not stop in time when its process was left: the memory is restored, so it needs but to be let
    /// go; a trap that it ran into before that is not its own.
    fn let_late_go(&mut self, tid: Tid, status: WaitStatus) {
        self.late.remove(&tid);
        let mut owed = None;
        self.clear_registers(tid);
        if let WaitStatus::SignalDelivery(signal) = status {
            let was_patched = |at: VirtAddr| self.departed.iter().any(|one| one.space.sites.is_retired(at));
            let site = self.inferior.regs(tid).ok().map(|regs| VirtAddr(regs.rip.wrapping_sub(1)));
            match site.filter(|at| signal == Signal::TRAP && was_patched(*at)) {
                Some(at) => drop(self.inferior.set_pc(tid, at)),
                None if self.is_of_registers(tid, signal) => {}
                None => owed = Some(signal),
            }
        }
        // Gone is an answer.
        let _: Result<(), InferiorError> = self.inferior.detach(tid, owed);
    }
}
