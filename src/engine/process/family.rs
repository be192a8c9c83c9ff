//! New tasks: threads, forks, vforks; and which of them stay in the session.

use crate::api::{Event, FollowFork, Toggle};
use crate::base::{Inferior, Pid, PtraceEvent, Tid};
use crate::engine::state::Engine;
use crate::target::task::{Process, Role, RunState, StopKind};

/// What becomes of a new process and its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Follow {
    ParentOnly,
    ChildOnly,
    Both,
}

impl<I: Inferior> Engine<I> {
    /// `parent` stands in a fork, vfork or clone event-stop. The child's own first stop comes before or after this.
    pub(in crate::engine) fn on_new_task(&mut self, parent: Tid, event: PtraceEvent) {
        let Ok(message) = self.inferior.event_message(parent) else { return };
        let child = Tid(message as i32);
        let Some(pid) = self.threads.get(&parent).map(|one| one.pid) else { return };
        let group = self.inferior.thread_group(child).unwrap_or(match event {
            PtraceEvent::Clone => pid,
            _ => child.as_leader_of(),
        });
        if self.has_come_and_gone(group, child) {
            self.go_on(parent);
            return;
        }
        self.inherit_pin(parent, child);
        if group == pid {
            self.add_thread(child, pid, RunState::Running);
        } else {
            self.on_new_process(parent, group, event);
        }
        if let Some(first) = self.early.remove(&child) {
            self.handle(child, first);
        }
        self.go_on(parent);
    }

    fn on_new_process(&mut self, parent: Tid, child: Pid, event: PtraceEvent) {
        let Some((parent_pid, parent_space, role, origin)) =
            self.process_of(parent).map(|one| (one.pid, one.space, one.role, one.origin))
        else {
            return;
        };
        let shared = match self.inferior.shares_memory(parent, child.leader()) {
            Some(shared) => shared,
            // Without kcmp: vfork always shares; a plain clone that is no thread is taken not to.
            None => event == PtraceEvent::Vfork,
        };
        if event == PtraceEvent::Vfork {
            if let Some(thread) = self.threads.get_mut(&parent) {
                thread.in_vfork = true;
            }
        }
        let follow = self.follow_choice(role);
        let space = if shared { parent_space } else { self.copy_space(parent_space, child) };
        let child_role = match (role, follow) {
            (Role::Debugged, Follow::ParentOnly) => Role::Passenger,
            (other, _) => other,
        };
        self.next.process += 1;
        let exe = self.inferior.exe(child).unwrap_or_default();
        let process = Process { pid: child, number: self.next.process, space, exe, origin, role: child_role };
        self.processes.insert(child, process);
        self.inherit_filter(parent_pid, child);
        self.add_thread(child.leader(), child, RunState::Running);
        if role == Role::Debugged {
            let followed = if follow == Follow::ParentOnly { Toggle::Off } else { Toggle::On };
            self.emit(Event::Forked { parent: parent_pid, child, followed });
        }
        if !shared && follow != Follow::ParentOnly {
            self.reconcile_copy(child, space);
        }
        match follow {
            Follow::ParentOnly if !shared && role == Role::Debugged => self.let_child_go(child),
            Follow::ChildOnly if role == Role::Debugged => self.prefer_child(parent_pid, child, shared),
            Follow::ParentOnly | Follow::ChildOnly | Follow::Both => {}
        }
    }

    fn follow_choice(&self, role: Role) -> Follow {
        if role == Role::Scouted || self.awaited.as_ref().is_some_and(|one| one.is_by_descent()) {
            return Follow::Both;
        }
        match (role, self.settings.follow_fork) {
            (Role::Passenger | Role::Catching, _) => Follow::Both,
            (_, FollowFork::Parent) => Follow::ParentOnly,
            (_, FollowFork::Child) => Follow::ChildOnly,
            (_, FollowFork::Both) => Follow::Both,
        }
    }

    /// A forked child has a copy of the memory, our patches included.
    fn copy_space(&mut self, of: crate::target::task::SpaceId, child: Pid) -> crate::target::task::SpaceId {
        let id = self.add_space();
        let Some(from) = self.spaces.get(&of) else { return id };
        let (modules, sites) = (from.modules.clone(), from.sites.clone());
        let (rendezvous, syscall_at, slots) = (from.rendezvous, from.syscall_at, from.slots.clone());
        let guarded = from.guarded.and_then(|_| super::safety::guard_copy(&mut self.guardian, child, from));
        let (registers, net) = (from.registers.clone(), from.net.clone());
        // The fork was made by a thread that ran.
        let (jit, bared, trampoline_at) = (from.jit, Vec::new(), from.trampoline_at);
        let copy = crate::engine::state::Space {
            modules,
            sites,
            bared,
            rendezvous,
            syscall_at,
            trampoline_at,
            registers,
            slots,
            guarded,
            net,
            jit,
        };
        self.spaces.insert(id, copy);
        for breakpoint in self.breakpoints.values_mut() {
            breakpoint.share_locations(of, id);
        }
        self.copy_semaphores(of, child, id);
        id
    }

    /// A child that is not followed gets its own text back and goes untraced, once it has made its first stop.
    fn let_child_go(&mut self, child: Pid) {
        let first = match self.early.remove(&child.leader()) {
            Some(status) => Ok(status),
            None => self.wait_for(child.leader()),
        };
        if first.is_err() {
            return;
        }
        if let Some(thread) = self.threads.get_mut(&child.leader()) {
            thread.state = RunState::Stopped(StopKind::Event);
        }
        self.leave_net_in(child);
        self.release_process(child);
    }

    /// follow-fork-mode child: the parent is let go; where the child shares its memory, only when that has given it back.
    fn prefer_child(&mut self, parent: Pid, child: Pid, shared: bool) {
        self.selection.pid = Some(child);
        self.selection.tid = Some(child.leader());
        match self.processes.get_mut(&parent) {
            Some(process) if shared => process.role = Role::Passenger,
            _ => self.detach_process(parent),
        }
    }

    /// The child of a vfork has executed something or ended: the parent goes on, or is let go if it was kept only for
    /// the memory that the two shared.
    pub(in crate::engine) fn on_vfork_done(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.in_vfork = false;
        }
        let Some((pid, role)) = self.process_of(tid).map(|one| (one.pid, one.role)) else { return };
        if role == Role::Passenger && self.settings.follow_fork == FollowFork::Child {
            self.detach_process(pid);
            return;
        }
        self.go_on(tid);
    }

    /// A process that was waited for has been found: those that were followed only to find it are let go.
    pub(super) fn let_others_go(&mut self, keep: Pid) {
        let others = self.processes.values().filter(|one| one.pid != keep && one.role != Role::Debugged);
        let others: Vec<Pid> = others.map(|one| one.pid).collect();
        for pid in others {
            self.detach_process(pid);
        }
    }
}
