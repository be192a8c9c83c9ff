//! Sites that threads stand before, with the program's own bytes in them for as long as everything stands.
//!
//! A thread that stands before an int3 executes it at once should rdbg be killed: the kernel lets it go in the moment in
//! which the guardian is woken, and it is a matter of luck who comes first. While no thread of the memory runs nobody can
//! miss an int3, so those that are stood at are taken out, and put back before the first thread goes on.

use crate::api::{Event, Toggle};
use crate::base::{Inferior, MemError, VirtAddr};
use crate::engine::state::Engine;
use crate::target::breakpoint::INT3;
use crate::target::task::SpaceId;

impl<I: Inferior> Engine<I> {
    /// Once everything stands: the program's bytes at the sites that threads are known to stand before.
    pub(in crate::engine) fn bare_sites(&mut self) {
        if self.settings.non_stop == Toggle::On || self.threads.keys().any(|tid| self.is_running(*tid)) {
            return;
        }
        let standing =
            self.threads.iter().filter_map(|(tid, one)| Some((*tid, one.reported_at.or(one.stands_before)?)));
        let places: Vec<(SpaceId, VirtAddr)> =
            standing.filter_map(|(tid, at)| Some((self.space_of(tid)?, at))).collect();
        for (space, at) in places {
            let Some(one) = self.spaces.get_mut(&space).filter(|one| !one.bared.contains(&at)) else { continue };
            let Some(original) = one.sites.find(at).map(|site| site.original) else { continue };
            one.bared.push(at);
            self.any_bared = true;
            let written =
                self.pid_of_space(space).ok_or(MemError::Gone).and_then(|pid| self.restore(pid, at, original));
            if let Err(error) = written {
                tracing::debug!(%at, %error, "the site keeps its int3");
            }
        }
    }

    /// Before a thread goes on: the int3s again, but of sites that were removed meanwhile.
    pub(in crate::engine) fn patch_bared(&mut self) {
        if !std::mem::take(&mut self.any_bared) {
            return;
        }
        let taken = |(id, one): (&SpaceId, &mut crate::engine::state::Space)| {
            let bared = std::mem::take(&mut one.bared);
            let still = bared.into_iter().filter(|at| one.sites.find(*at).is_some());
            still.map(|at| (*id, at)).collect::<Vec<_>>()
        };
        let bared: Vec<(SpaceId, VirtAddr)> = self.spaces.iter_mut().flat_map(taken).collect();
        for (space, at) in bared {
            let Some(pid) = self.pid_of_space(space) else { continue };
            match self.inferior.write_mem(pid, at, &[INT3]) {
                Ok(()) | Err(MemError::Gone | MemError::Unmapped(_)) => {}
                Err(error) => {
                    self.emit(Event::Notice {
                        text: format!("the breakpoint at {at} could not be set again: {error}"),
                    });
                }
            }
        }
    }
}
