//! Waiting for a program that does not run yet.

use std::path::Path;

use crate::api::{ApiError, CaughtAt, Event, Outcome, Reply, StopReason, Toggle};
use crate::base::{Inferior, Pid, Signal, Tid, TraceOptions};
use crate::engine::state::{Engine, Input};
use crate::os::waitfor::{ExecAnswer, ExecWatch, WatchEvent, WatchMethod, WatchSpec};
use crate::target::task::{Origin, Process, Role, RunState};

/// What is waited for.
pub(in crate::engine) struct Awaited {
    name: String,
    by: By,
    /// Whether it is to be held when it is caught.
    hold: Toggle,
    /// Tasks that were sent a SIGSTOP so that they could be seized: it is not the program's.
    stop_owed: Vec<Tid>,
}

enum By {
    /// A watch on every exec of the machine; dropping it ends it.
    Watch(#[allow(dead_code, reason = "held for its drop")] ExecWatch),
    /// Exec events of processes that are traced.
    Descent,
}

impl Awaited {
    /// An exec of NAME among the descendants of what is traced.
    pub(super) fn by_descent(name: String) -> Self {
        Self { name, by: By::Descent, hold: Toggle::On, stop_owed: Vec::new() }
    }

    /// Whether descendants are followed to find it.
    pub(super) fn is_by_descent(&self) -> bool {
        matches!(self.by, By::Descent)
    }
}

impl<I: Inferior> Engine<I> {
    /// `attach --waitfor NAME`.
    pub(in crate::engine) fn wait_for_exec(
        &mut self,
        name: String,
        include_existing: Toggle,
        method: Option<String>,
        hold: Toggle,
    ) -> Outcome {
        if include_existing == Toggle::On && !crate::os::find_by_name(&name).is_empty() {
            let pid = super::attach::find_one(&name)?;
            return self.attach(pid, None, hold);
        }
        let methods = method.as_deref().map(parse_method).transpose()?;
        let (inputs, doorbell) = (self.input_sender.clone(), self.doorbell.clone());
        let sink = move |event| {
            // An engine that has ended needs no more events.
            let _ = inputs.send(Input::Watch(event));
            doorbell.ring();
        };
        let spec = WatchSpec { name: name.clone(), methods: methods.map(|one| vec![one]) };
        let watch = ExecWatch::start(spec, Box::new(sink))
            .map_err(|error| ApiError::target(format!("cannot wait for {name}: {error}")))?;
        self.awaited = Some(Awaited { name, by: By::Watch(watch), hold, stop_owed: Vec::new() });
        Ok(Reply::Waiting)
    }

    /// Gives a wait up; whether there was one.
    pub(in crate::engine) fn cancel_wait(&mut self) -> bool {
        let Some(awaited) = self.end_wait() else { return false };
        drop(awaited.by);
        let scouts: Vec<Pid> = self
            .processes
            .values()
            .filter(|one| matches!(one.role, Role::Scouted | Role::Catching))
            .map(|one| one.pid)
            .collect();
        for pid in scouts {
            self.detach_process(pid);
        }
        self.emit(Event::WaitEnded { reason: format!("no longer waiting for {}", awaited.name) });
        true
    }

    /// A wait that can come to nothing any more.
    pub(in crate::engine) fn give_up_wait(&mut self, reason: String) {
        self.awaited = None;
        self.emit(Event::WaitEnded { reason });
    }

    /// Something from the watch thread.
    pub(in crate::engine) fn on_watch(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Method { chosen, rejected, note } => {
                let rejected = rejected.into_iter().map(|(method, reason)| (method.to_string(), reason)).collect();
                let name = self.awaited.as_ref().map_or("", |one| one.name.as_str());
                let chosen = format!("{name} by {chosen} ({})", promise(chosen));
                self.emit(Event::WaitMethod { chosen, rejected, note });
            }
            WatchEvent::Exec { tid, answer } => self.on_held_exec(tid, answer),
            WatchEvent::Candidate { pid } => self.on_candidate(pid),
            WatchEvent::Failed(reason) => {
                self.awaited = None;
                self.emit(Event::WaitEnded { reason });
            }
        }
    }

    /// A task stands inside execve until it is answered: it is seized there, and its next report is the exec event.
    fn on_held_exec(&mut self, tid: Tid, answer: ExecAnswer) {
        let waiting = self.awaited.as_ref().is_some_and(|one| !one.is_by_descent());
        let group = self.inferior.thread_group(tid).unwrap_or(tid.as_leader_of());
        if !waiting || self.threads.contains_key(&tid) {
            answer.allow();
            let stopped = answer.was_stopped();
            if stopped {
                self.end_stop(group);
            }
            return;
        }
        let seized = self.inferior.seize(tid, TraceOptions::default());
        answer.allow();
        // Only now: until it is allowed, it can still be stopped.
        let stopped = answer.was_stopped();
        if let Err(error) = seized {
            if stopped {
                self.end_stop(group);
            }
            self.emit(Event::Notice { text: format!("an exec of the awaited program was not caught: {error}") });
            return;
        }
        self.next.process += 1;
        let space = self.add_space();
        let exe = self.inferior.exe(group).unwrap_or_default();
        let (number, origin, role) = (self.next.process, Origin::Attached, Role::Catching);
        // When a thread that is not the leader calls execve, it reports with the leader's tid afterwards.
        self.processes.insert(group, Process { pid: group, number, space, exe, origin, role });
        self.add_thread(group.leader(), group, RunState::Running);
        if stopped {
            if let Some(awaited) = &mut self.awaited {
                awaited.stop_owed.push(group.leader());
            }
        }
        if let Some(first) = self.early.remove(&group.leader()) {
            self.handle(group.leader(), first);
        }
    }

    /// A task that was seized only when a SIGSTOP had stopped it, behind its execve: it stands at the first instruction
    /// and reports no exec any more. Whether it was one.
    pub(in crate::engine) fn catch_stopped(&mut self, tid: Tid, signal: Signal) -> bool {
        let owed = self.awaited.as_ref().is_some_and(|one| one.stop_owed.contains(&tid));
        if signal != Signal::STOP || !owed {
            return false;
        }
        self.on_exec(tid);
        true
    }

    /// Takes back the SIGSTOP that was sent so that a task could be seized: SIGCONT ends the stop, or removes the signal
    /// where it has not come yet (kernel/signal.c, prepare_signal).
    pub(super) fn take_back_stop(&mut self, tid: Tid) {
        let owed = self.awaited.as_mut().map(|one| &mut one.stop_owed);
        if owed.is_some_and(|owed| owed.iter().position(|one| *one == tid).map(|at| owed.swap_remove(at)).is_some()) {
            self.end_stop(tid.as_leader_of());
        }
    }

    fn end_stop(&mut self, pid: Pid) {
        // Gone is an answer.
        let _ = self.inferior.kill(pid, Signal::CONT);
    }

    /// The wait is over: what is awaited no longer, with no SIGSTOP left behind.
    pub(super) fn end_wait(&mut self) -> Option<Awaited> {
        let awaited = self.awaited.take()?;
        for tid in &awaited.stop_owed {
            self.end_stop(tid.as_leader_of());
        }
        Some(awaited)
    }

    /// A process that has begun to run the awaited program.
    fn on_candidate(&mut self, pid: Pid) {
        let Some(awaited) = self.awaited.take() else { return };
        drop(awaited.by);
        match self.attach_debugged(pid) {
            Ok(process) => {
                if awaited.hold == Toggle::On {
                    self.stop_world();
                }
                let at = self.progress_of(pid);
                self.emit(Event::Caught { process, at });
                if awaited.hold == Toggle::On {
                    let exe = self.inferior.exe(pid).unwrap_or_default();
                    self.stop_for(pid.leader(), StopReason::Exec { exe });
                }
            }
            Err(error) => self.emit(Event::WaitEnded { reason: error.message }),
        }
    }

    /// How far a process had run when it was caught.
    fn progress_of(&self, pid: Pid) -> CaughtAt {
        let regs = self.inferior.regs(pid.leader());
        let space = self.processes.get(&pid).and_then(|one| self.spaces.get(&one.space));
        let (Ok(regs), Some(space)) = (regs, space) else {
            return CaughtAt::Later { place: Default::default() };
        };
        let place = crate::engine::inspect::stack::place(regs.pc(), regs.pc(), space);
        let in_loader = place.module.as_deref().is_some_and(|name| name.starts_with("ld-") || name.starts_with("ld."));
        let entry = space.modules.module_at(regs.pc()).map(|one| one.bias.to_virt(one.module.entry()));
        match (in_loader, entry == Some(regs.pc())) {
            (true, true) => CaughtAt::FirstInstruction,
            (true, false) => CaughtAt::Loader { place },
            (false, _) => CaughtAt::Later { place },
        }
    }

    /// Whether this exec is the awaited one.
    pub(super) fn is_awaited(&self, exe: &Path, pid: Pid) -> bool {
        let Some(awaited) = &self.awaited else { return false };
        let role = self.processes.get(&pid).map(|one| one.role);
        match (&awaited.by, role) {
            (By::Watch(_), Some(Role::Catching)) => true,
            (By::Watch(_), _) => false,
            (By::Descent, _) => {
                let by_path =
                    exe == Path::new(&awaited.name) || exe.file_name().is_some_and(|one| one == awaited.name.as_str());
                by_path || self.inferior.comm(pid, pid.leader()).is_ok_and(|comm| comm == awaited.name)
            }
        }
    }

    /// Whether the awaited program is to be held, once it is caught.
    pub(super) fn awaited_hold(&self) -> Toggle {
        self.awaited.as_ref().map_or(Toggle::On, |one| one.hold)
    }
}

/// How early a way of waiting catches a process.
fn promise(method: WatchMethod) -> &'static str {
    match method {
        WatchMethod::Fanotify => "held before its first instruction",
        WatchMethod::Inotify | WatchMethod::Poll => "caught soon after its start, mostly before main",
    }
}

fn parse_method(name: &str) -> Result<WatchMethod, ApiError> {
    match name {
        "fanotify" => Ok(WatchMethod::Fanotify),
        "inotify" => Ok(WatchMethod::Inotify),
        "scan" => Ok(WatchMethod::Poll),
        _ => Err(ApiError::user(format!(
            "there is no way of waiting called `{name}`; there are fanotify, inotify and scan"
        ))),
    }
}
