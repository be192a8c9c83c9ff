//! Names for the code that a JIT has made: what its map says of a process's anonymous executable memory becomes modules.

use std::sync::Arc;

use crate::api::Event;
use crate::base::{AddrRange, Inferior, LoadBias, Mapping, MappingSource, Pid, VirtAddr};
use crate::binary::JitMap;
use crate::engine::state::Engine;
use crate::os::{PerfMap, PerfMapMark};
use crate::target::address_space::LoadedModule;
use crate::target::task::SpaceId;

/// What was read last of a space's map.
#[derive(Clone, Copy, Default)]
pub(in crate::engine) struct JitSeen(Option<PerfMapMark>);

impl<I: Inferior> Engine<I> {
    /// Reads the maps of the debugged processes again that have changed: before names are looked for, and when a process
    /// stops. Costs two system calls where nothing has.
    pub(in crate::engine) fn refresh_jit(&mut self) {
        for pid in self.debugged() {
            let Some(space) = self.processes.get(&pid).map(|one| one.space) else { continue };
            let Some(map) = PerfMap::open(pid) else { continue };
            let seen = self.spaces.get(&space).and_then(|one| one.jit.0);
            if seen != Some(map.mark) {
                self.read_jit(pid, space, map);
            }
        }
    }

    fn read_jit(&mut self, pid: Pid, space: SpaceId, map: PerfMap) {
        let (mark, path) = (map.mark, map.path.clone());
        if let Some(one) = self.spaces.get_mut(&space) {
            one.jit = JitSeen(Some(mark));
        }
        let bytes = match map.read() {
            Ok(bytes) => bytes,
            Err(error) => return self.emit(Event::Notice { text: format!("{}: {error}", path.display()) }),
        };
        let map = JitMap::parse(&bytes);
        let Ok(maps) = self.inferior.maps(pid) else { return };
        for range in jit_ranges(&maps) {
            let Some(one) = self.spaces.get_mut(&space) else { return };
            let in_file = |loaded: &&LoadedModule| loaded.path != path && overlap(loaded.range, range);
            if one.modules.modules().iter().any(|loaded| in_file(&loaded)) {
                continue;
            }
            let Some(module) = map.module(path.clone(), range) else { continue };
            let module = Arc::new(module.reporting_to(self.progress.clone()));
            self.replace_jit(pid, space, LoadedModule { module, bias: LoadBias(0), range, path: path.clone() });
        }
    }

    /// Puts a module in the place of what was known of its memory, and places breakpoints in what is new.
    fn replace_jit(&mut self, pid: Pid, space: SpaceId, loaded: LoadedModule) {
        let Some(one) = self.spaces.get_mut(&space) else { return };
        let range = loaded.range;
        one.modules.insert(loaded);
        for breakpoint in self.breakpoints.values_mut() {
            breakpoint.searched.retain(|(of, start)| *of != space || !range.contains(*start));
        }
        self.resolve_in_module(pid, space, range.start);
    }
}

/// The mappings that a JIT's code can be in.
pub(super) fn jit_ranges(maps: &[Mapping]) -> impl Iterator<Item = AddrRange> + '_ {
    maps.iter().filter(|one| one.exec && one.source == MappingSource::Anonymous).map(|one| one.range)
}

fn overlap(a: AddrRange, b: AddrRange) -> bool {
    a.start < b.end && b.start < a.end
}

/// Where such mappings start.
pub(super) fn jit_starts(maps: &[Mapping]) -> impl Iterator<Item = VirtAddr> + '_ {
    jit_ranges(maps).map(|range| range.start)
}
