//! Probes on functions to sites in processes.

use super::usdt::Guard;
use super::{TracedSite, Tracing};
use crate::api::Event;
use crate::base::{FileAddr, Inferior, VirtAddr};
use crate::binary::Module;
use crate::engine::state::Engine;
use crate::lang::script::point::{Place, Point, Side};
use crate::target::breakpoint::Owner;
use crate::target::task::{Role, SpaceId};

impl<I: Inferior> Engine<I> {
    /// Arms the trace's probes in a module that has just been mapped.
    pub(in crate::engine) fn place_probes(&mut self, space: SpaceId, start: VirtAddr) {
        let Some(mut tracing) = self.trace.take() else { return };
        tracing.caches.forget_space(space);
        self.place_probes_of(&mut tracing, space, start);
        self.trace = Some(tracing);
    }

    fn place_probes_of(&mut self, tracing: &mut Tracing, space: SpaceId, start: VirtAddr) {
        let Some(loaded) = self.spaces.get(&space).and_then(|one| one.modules.module_at(start)).cloned() else {
            return;
        };
        let Some(pid) = self.pid_of_space(space) else { return };
        if self.processes.get(&pid).is_none_or(|one| one.role != Role::Debugged) {
            return;
        }
        let mut places = Vec::new();
        for file in 0..tracing.files.len() {
            if !is_same_file(&tracing.files[file].module, &loaded.module) {
                continue;
            }
            for place in 0..tracing.files[file].places.len() {
                let at = tracing.files[file].places[place].at;
                let owner = Owner::Probe { site: tracing.site_number(file, place) };
                if let Some(counter) = tracing.files[file].places[place].semaphore() {
                    let id = self.guard_space(pid, space);
                    let guard = Guard { guardian: &mut self.guardian, id };
                    tracing.semaphores.raise(&mut self.inferior, guard, pid, space, loaded.to_virt(counter));
                }
                places.push((loaded.to_virt(at), owner));
            }
        }
        places.sort_by_key(|(at, _)| *at);
        let failed = self.arm_all(pid, space, &places);
        if let Some((at, error)) = failed.first() {
            let count = failed.len();
            let text = format!("{count} probes are not in place in process {pid}: at {at}, {error}");
            self.emit(Event::Notice { text });
        }
    }

    /// A module has gone: what was known of its places is void.
    pub(in crate::engine) fn forget_probes_in(&mut self, space: SpaceId) {
        if let Some(tracing) = &mut self.trace {
            tracing.caches.forget_space(space);
            tracing.return_sites.retain(|(one, _)| *one != space);
        }
    }

    /// Arms the trace's probes in every process that is debugged already.
    pub(super) fn place_probes_everywhere(&mut self) {
        let spaces: Vec<SpaceId> =
            self.debugged().iter().filter_map(|pid| Some(self.processes.get(pid)?.space)).collect();
        for space in spaces {
            let modules = self.spaces.get(&space).map(|one| one.modules.modules()).unwrap_or_default();
            let starts: Vec<VirtAddr> = modules.iter().map(|one| one.range.start).collect();
            for start in starts {
                self.place_probes(space, start);
            }
        }
    }
}

impl Tracing {
    /// The number of a place's site: the same in every process.
    fn site_number(&mut self, file: usize, place: usize) -> u32 {
        let traced = &self.files[file].places[place];
        let key: (usize, FileAddr) = (file, traced.at);
        if let Some(number) = self.site_numbers.get(&key) {
            return *number;
        }
        let program = self.machine.program();
        let named = |probe: &u32| {
            let point = program.probes.get(*probe as usize).map(|one| &one.point);
            (*probe, point.map(|one| spelled_out(one, &traced.name)).unwrap_or_default().into())
        };
        let site = TracedSite {
            name: traced.name.clone(),
            entry: traced.entry.iter().map(named).collect(),
            returns: traced.returns.iter().map(named).collect(),
            usdt: traced.usdt.clone(),
        };
        let number = self.sites.len() as u32;
        self.sites.push(site);
        self.site_numbers.insert(key, number);
        number
    }
}

/// An attach point in a file with the name of one place that it means.
pub(super) fn spelled_out(point: &Point, name: &str) -> String {
    match point {
        Point::Function { path, place: Place::Line { .. }, .. } => format!("uprobe:{path}@{name}"),
        Point::Function { path, side: Side::Entry, .. } => format!("uprobe:{path}:{name}"),
        Point::Function { path, .. } => format!("uretprobe:{path}:{name}"),
        Point::Usdt { path, .. } => format!("usdt:{path}:{name}"),
        _ => String::new(),
    }
}

/// Whether two modules are of one file: the same build, or the same bytes where there is no build id.
fn is_same_file(one: &Module, other: &Module) -> bool {
    match (one.build_id(), other.build_id()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => {
            let path = |module: &Module| std::fs::canonicalize(module.path()).ok();
            one.name() == other.name()
                && one.entry() == other.entry()
                && (path(one) == path(other) || path(other).is_none())
        }
        _ => false,
    }
}
