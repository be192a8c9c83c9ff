//! `set pin`: the target and the tracer thread share one CPU, so that a hit wakes no other one. On a machine whose CPUs
//! idle the wake-up of the second is most of what a hit costs; docs/benchmarks.md has the figures.

use rustc_hash::FxHashMap;

use super::state::Engine;
use crate::api::{ApiError, Event};
use crate::base::{CpuMask, Inferior, Pid, Tid};
use crate::target::task::Origin;

/// What was bound, and where it might run before.
pub(super) struct Pinned {
    cpu: u32,
    only: CpuMask,
    /// Where each thread might run before; `None` is the tracer thread.
    before: FxHashMap<Option<Tid>, CpuMask>,
}

impl<I: Inferior> Engine<I> {
    /// `set pin on|off|CPU`.
    pub(super) fn set_pin(&mut self, value: &str) -> Result<(), ApiError> {
        let cpu = match value {
            "off" | "false" | "no" => None,
            "on" | "true" | "yes" => Some(crate::os::current_cpu()),
            number => Some(number.parse().map_err(|_| {
                ApiError::user(format!("`{number}` is neither on, off nor a CPU"))
                    .with_hint("set pin on, or: set pin 3")
            })?),
        };
        self.unpin();
        let Some(cpu) = cpu else { return Ok(()) };
        let only = CpuMask::only(cpu).ok_or_else(|| ApiError::user(format!("there is no CPU {cpu}")))?;
        self.pinned = Some(Pinned { cpu, only, before: FxHashMap::default() });
        let bound = self.pin_task(None);
        if let Err(error) = bound {
            self.pinned = None;
            return Err(ApiError::user(format!("rdbg may not run on CPU {cpu}: {error}")));
        }
        for pid in self.debugged() {
            self.pin_process(pid);
        }
        Ok(())
    }

    /// `show`: where the target is bound, besides what the settings hold.
    pub(super) fn show_settings(&self, name: Option<&str>) -> Result<Vec<(String, String)>, ApiError> {
        let pin = || ("pin".to_string(), self.pinned.as_ref().map_or("off".to_string(), |one| one.cpu.to_string()));
        match name {
            Some("pin") => Ok(vec![pin()]),
            Some(name) => self.settings.show(Some(name)),
            None => Ok(self.settings.show(None)?.into_iter().chain([pin()]).collect()),
        }
    }

    /// Binds the threads of a process that has come into the session, if the user wants that.
    pub(super) fn pin_process(&mut self, pid: Pid) {
        let Some(cpu) = self.pinned.as_ref().map(|pinned| pinned.cpu) else { return };
        let mut failed = None;
        for tid in self.threads_of(pid) {
            failed = self.pin_task(Some(tid)).err().or(failed);
            self.unlearn_launch(pid, tid);
        }
        if let Some(error) = failed {
            let text = format!("process {pid} is not bound to CPU {cpu}: {error}");
            self.emit(Event::Notice { text });
        }
    }

    /// What rdbg launches has inherited the tracer's one CPU, and is freed as the tracer is.
    fn unlearn_launch(&mut self, pid: Pid, tid: Tid) {
        let launched = self.processes.get(&pid).is_some_and(|one| one.origin == Origin::Launched);
        let Some(pinned) = self.pinned.as_mut().filter(|_| launched) else { return };
        if let Some(own) = pinned.before.get(&None).copied() {
            pinned.before.entry(Some(tid)).and_modify(|mask| *mask = if *mask == pinned.only { own } else { *mask });
        }
    }

    fn pin_task(&mut self, tid: Option<Tid>) -> std::io::Result<()> {
        let Some(pinned) = &mut self.pinned else { return Ok(()) };
        let before = crate::os::affinity(tid)?;
        crate::os::set_affinity(tid, &pinned.only)?;
        pinned.before.insert(tid, before);
        Ok(())
    }

    /// A new task runs where its parent does, and is freed as its parent would be.
    pub(super) fn inherit_pin(&mut self, parent: Tid, child: Tid) {
        let Some(pinned) = &mut self.pinned else { return };
        if let Some(before) = pinned.before.get(&Some(parent)).copied() {
            pinned.before.insert(Some(child), before);
        }
    }

    /// A task has ended; its number can come back.
    pub(super) fn forget_pin(&mut self, tid: Tid) {
        if let Some(pinned) = &mut self.pinned {
            pinned.before.remove(&Some(tid));
        }
    }

    /// Lets the threads of a process run where they might before. One that has chosen for itself meanwhile keeps its choice.
    pub(super) fn unpin_process(&mut self, pid: Pid) {
        let tids = self.threads_of(pid);
        let Some(pinned) = &mut self.pinned else { return };
        for tid in tids {
            let Some(before) = pinned.before.remove(&Some(tid)) else { continue };
            restore(Some(tid), &pinned.only, &before);
        }
    }

    fn unpin(&mut self) {
        for pid in self.processes.keys().copied().collect::<Vec<_>>() {
            self.unpin_process(pid);
        }
        if let Some(Pinned { only, before, .. }) = self.pinned.take() {
            if let Some(before) = before.get(&None) {
                restore(None, &only, before);
            }
        }
    }
}

/// A task that has gone has no use for it.
fn restore(tid: Option<Tid>, only: &CpuMask, before: &CpuMask) {
    if crate::os::affinity(tid).is_ok_and(|now| now == *only) {
        let _ = crate::os::set_affinity(tid, before);
    }
}
