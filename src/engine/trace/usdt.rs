//! `usdt:PATH:PROVIDER:NAME`: probe points that programs bring along, and the counters by which they know that somebody
//! listens.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::state::Engine;
use super::TracedPlace;
use crate::base::{FileAddr, Inferior, Pid, VirtAddr};
use crate::binary::Module;
use crate::lang::script::point::glob;
use crate::target::task::SpaceId;

/// Counters that were raised in processes' memory, to be lowered when they are left.
#[derive(Default)]
pub(super) struct Semaphores {
    raised: HashMap<SpaceId, Vec<VirtAddr>>,
}

impl Semaphores {
    /// One more listens. A counter that several probe points share is raised once.
    pub(super) fn raise<I: Inferior>(&mut self, inferior: &mut I, pid: Pid, space: SpaceId, at: VirtAddr) {
        let known = self.raised.entry(space).or_default();
        if !known.contains(&at) && add(inferior, pid, at, 1) {
            known.push(at);
        }
    }

    /// Nobody listens any more, as far as this trace goes.
    fn lower<I: Inferior>(&mut self, inferior: &mut I, pid: Pid, space: SpaceId) {
        for at in self.raised.remove(&space).unwrap_or_default() {
            add(inferior, pid, at, u16::MAX);
        }
    }
}

/// Adds to a 16-bit counter, which other tracers change too; whether it could be done.
fn add<I: Inferior>(inferior: &mut I, pid: Pid, at: VirtAddr, by: u16) -> bool {
    let mut counter = [0; 2];
    let read = inferior.read_mem(pid, at, &mut counter).is_ok_and(|got| got == counter.len());
    let sum = u16::from_le_bytes(counter).wrapping_add(by);
    read && inferior.write_mem(pid, at, &sum.to_le_bytes()).is_ok()
}

impl<I: Inferior> Engine<I> {
    /// A fork has copied a space, raised counters and all.
    pub(in crate::engine) fn copy_semaphores(&mut self, of: SpaceId, to: SpaceId) {
        if let Some(tracing) = &mut self.trace {
            if let Some(raised) = tracing.semaphores.raised.get(&of).cloned() {
                tracing.semaphores.raised.insert(to, raised);
            }
        }
    }

    /// A process is being left, or the trace ends.
    pub(in crate::engine) fn lower_semaphores(&mut self, pid: Pid, space: SpaceId) {
        if let Some(tracing) = &mut self.trace {
            tracing.semaphores.lower(&mut self.inferior, pid, space);
        }
    }

    /// The trace ends: in every process.
    pub(super) fn lower_all_semaphores(&mut self) {
        let everywhere: Vec<_> = self.processes.values().map(|one| (one.pid, one.space)).collect();
        everywhere.into_iter().for_each(|(pid, space)| self.lower_semaphores(pid, space));
    }
}

impl TracedPlace {
    /// The counter of who listens.
    pub(super) fn semaphore(&self) -> Option<FileAddr> {
        self.usdt.as_ref()?.semaphore
    }
}

/// The probe points of a file that a script means: one source line can be several places.
pub(super) fn places(module: &Module, provider: &str, name: &str) -> Vec<TracedPlace> {
    let mut found: Vec<TracedPlace> = module
        .usdt_probes()
        .into_iter()
        .filter(|one| glob(provider, &one.provider) && glob(name, &one.name) && module.is_executable_addr(one.at))
        .map(|one| TracedPlace {
            at: one.at,
            name: format!("{}:{}", one.provider, one.name).into(),
            entry: Vec::new(),
            returns: Vec::new(),
            usdt: Some(Arc::new(one)),
        })
        .collect();
    found.sort_by_key(|one| one.at);
    found.dedup_by_key(|one| one.at);
    found
}
