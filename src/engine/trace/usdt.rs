//! `usdt:PATH:PROVIDER:NAME`: probe points that programs bring along, and the counters by which they know that somebody
//! listens.

use std::collections::HashMap;
use std::sync::Arc;

use super::TracedPlace;
use crate::base::{FileAddr, Inferior, Pid, VirtAddr};
use crate::binary::Module;
use crate::engine::state::Engine;
use crate::lang::script::point::glob;
use crate::os::{GuardedId, Guardian};
use crate::target::task::SpaceId;

/// Counters that were raised in processes' memory, to be lowered when they are left.
#[derive(Default)]
pub(super) struct Semaphores {
    raised: HashMap<SpaceId, Vec<VirtAddr>>,
}

impl Semaphores {
    /// One more listens. A counter that several probe points share is raised once.
    pub(super) fn raise<I: Inferior>(
        &mut self,
        inferior: &mut I,
        guard: Guard<'_>,
        pid: Pid,
        space: SpaceId,
        at: VirtAddr,
    ) {
        let known = self.raised.entry(space).or_default();
        if known.contains(&at) {
            return;
        }
        let Some(before) = read(inferior, pid, at) else { return };
        guard.guardian.cover_counter(guard.id, at, before);
        match inferior.write_mem(pid, at, &before.wrapping_add(1).to_le_bytes()) {
            Ok(()) => known.push(at),
            Err(_) => guard.guardian.uncover(guard.id, at),
        }
    }

    /// Nobody listens any more, as far as this trace goes.
    fn lower<I: Inferior>(&mut self, inferior: &mut I, guard: Guard<'_>, pid: Pid, space: SpaceId) {
        for at in self.raised.remove(&space).unwrap_or_default() {
            if let Some(now) = read(inferior, pid, at) {
                // Gone is an answer.
                let _ = inferior.write_mem(pid, at, &now.wrapping_sub(1).to_le_bytes());
            }
            guard.guardian.uncover(guard.id, at);
        }
    }
}

/// Who lowers the counters of an address space should rdbg be killed.
pub(super) struct Guard<'a> {
    pub(super) guardian: &'a mut Guardian,
    pub(super) id: Option<GuardedId>,
}

/// A 16-bit counter, which other tracers change too.
fn read<I: Inferior>(inferior: &I, pid: Pid, at: VirtAddr) -> Option<u16> {
    let mut counter = [0; 2];
    let read = inferior.read_mem(pid, at, &mut counter).is_ok_and(|got| got == counter.len());
    read.then(|| u16::from_le_bytes(counter))
}

impl<I: Inferior> Engine<I> {
    /// A fork has copied a space, raised counters and all.
    pub(in crate::engine) fn copy_semaphores(&mut self, of: SpaceId, child: Pid, to: SpaceId) {
        let id = self.guarded(to);
        let Some(raised) = self.trace.as_ref().and_then(|tracing| tracing.semaphores.raised.get(&of)).cloned() else {
            return;
        };
        for at in &raised {
            if let Some(now) = read(&self.inferior, child, *at) {
                self.guardian.cover_counter(id, *at, now.wrapping_sub(1));
            }
        }
        if let Some(tracing) = &mut self.trace {
            tracing.semaphores.raised.insert(to, raised);
        }
    }

    /// A process is being left, or the trace ends.
    pub(in crate::engine) fn lower_semaphores(&mut self, pid: Pid, space: SpaceId) {
        let id = self.guarded(space);
        if let Some(tracing) = &mut self.trace {
            let guard = Guard { guardian: &mut self.guardian, id };
            tracing.semaphores.lower(&mut self.inferior, guard, pid, space);
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
