//! From a breakpoint's intent to its locations: searching modules, resolving IFUNCs.

use std::collections::HashSet;

use super::arming::ArmError;
use super::conditions::Untried;
use super::watching::Means;
use super::{Indirect, Location, Pattern};
use crate::api::{ApiError, Event, ModuleFilter, Toggle};
use crate::arch::interpret_function;
use crate::base::{Inferior, MemError, Pid, Regs, VirtAddr};
use crate::binary::symbols::demangle;
use crate::binary::{FunctionMatch, Matches, SymbolKind};
use crate::engine::inspect::memory::RawMemory;
use crate::engine::process::attach::shorten;
use crate::engine::state::Engine;
use crate::target::address_space::LoadedModule;
use crate::target::breakpoint::{CleanMemory, Owner};
use crate::target::task::SpaceId;

/// The longest instruction, bytes (Intel SDM vol. 2, 2.3.11).
pub(in crate::engine) const LONGEST_INSTRUCTION: usize = 15;
/// An IFUNC's resolver looks at a few CPU features; one that runs longer is none that can be followed.
const RESOLVER_LIMIT: u32 = 20_000;
/// How many of too many functions are shown.
const EXAMPLES: usize = 3;
/// How many similar names are offered.
const NEAREST: usize = 3;

impl<I: Inferior> Engine<I> {
    /// Places a new breakpoint in every space; says what the user should know where it found nothing.
    pub(super) fn place_breakpoint(&mut self, id: u32) -> Result<(), ApiError> {
        if self.breakpoints.get(&id).is_some_and(|one| one.means == Means::Syscalls) {
            self.wanted_calls_changed();
            return Ok(());
        }
        let spaces: Vec<SpaceId> =
            self.debugged().iter().filter_map(|pid| Some(self.processes.get(pid)?.space)).collect();
        if let Some(Pattern::Absolute(at)) = self.breakpoints.get(&id).map(|one| &one.pattern) {
            let at = *at;
            let of_data = self.breakpoints.get(&id).is_some_and(|one| one.is_watch());
            // An address of no module means something in the process that the user has looked at.
            let chosen = self.selected_pid().ok().and_then(|pid| Some(self.processes.get(&pid)?.space));
            for space in spaces.into_iter().filter(|space| !of_data || chosen == Some(*space)) {
                if !of_data {
                    self.check_executable(space, at)?;
                }
                self.check_registers(id, space, &[at])?;
                self.add_location(id, space, at, Vec::new()).map_err(|error| ApiError::user(error.to_string()))?;
            }
            return Ok(());
        }
        let mut spaces = spaces;
        spaces.dedup();
        let mut found = Vec::new();
        for space in spaces {
            for start in self.module_starts(space) {
                if let Some(matches) = self.search_module(id, space, start) {
                    found.push((space, start, matches));
                }
            }
        }
        self.still_wanted()?;
        self.check_limit(id, &found)?;
        for (space, places) in self.places_by_space(&found) {
            self.check_registers(id, space, &places)?;
        }
        let wanted = found.len();
        for (space, start, matches) in found {
            self.place_matches(id, space, start, matches);
        }
        self.check_armed(id, wanted)?;
        self.note_if_pending(id);
        Ok(())
    }

    fn places_by_space(&self, found: &[(SpaceId, VirtAddr, Matches)]) -> Vec<(SpaceId, Vec<VirtAddr>)> {
        let of_module = |(space, start, matches): &(SpaceId, VirtAddr, Matches)| {
            let loaded = self.spaces.get(space).and_then(|one| one.modules.module_at(*start));
            let places = matches.functions.iter().filter_map(|one| Some(loaded?.bias.to_virt(one.address)));
            (*space, places.collect())
        };
        let mut all: Vec<(SpaceId, Vec<VirtAddr>)> = Vec::new();
        for (space, places) in found.iter().map(of_module) {
            match all.last_mut() {
                Some((last, into)) if *last == space => into.extend(places),
                _ => all.push((space, places)),
            }
        }
        all
    }

    /// Refuses a pattern that matches more functions than its limit, before anything is patched.
    fn check_limit(&self, id: u32, found: &[(SpaceId, VirtAddr, Matches)]) -> Result<(), ApiError> {
        let Some(breakpoint) = self.breakpoints.get(&id) else { return Ok(()) };
        let Pattern::Names(pattern) = &breakpoint.pattern else { return Ok(()) };
        let limit = breakpoint.spec.limit as usize;
        // Of one process: forked copies have the same functions.
        let in_space = |space: SpaceId| found.iter().filter(move |(one, ..)| *one == space);
        let total = found.iter().map(|(space, ..)| in_space(*space).map(|(.., matches)| matches.total).sum::<usize>());
        let total = total.max().unwrap_or(0);
        if total > limit {
            let mut message =
                format!("`{}` matches {total} functions; the limit is {limit}; the first are:", pattern.text());
            let names = found.iter().flat_map(|(.., matches)| &matches.functions).filter_map(|one| one.names.first());
            for name in names.take(EXAMPLES) {
                message.push_str(&format!("\n    {}", shorten(&demangle(name))));
            }
            return Err(ApiError::user(message).with_hint(format!(
                "narrow it (--module LIB, a longer pattern), or raise the limit: --limit {total}"
            )));
        }
        Ok(())
    }

    /// One by debug registers that found its places and could be armed at none of them is refused.
    fn check_armed(&self, id: u32, wanted: usize) -> Result<(), ApiError> {
        let Some(one) = self.breakpoints.get(&id).filter(|one| one.means != Means::Patch) else { return Ok(()) };
        match &one.note {
            Some(note) if wanted > 0 && one.live().next().is_none() => Err(ApiError::target(note.clone())),
            _ => Ok(()),
        }
    }

    fn check_executable(&self, space: SpaceId, at: VirtAddr) -> Result<(), ApiError> {
        let Some(pid) = self.pid_of_space(space) else { return Ok(()) };
        let maps = self.inferior.maps(pid).map_err(|error| ApiError::target(error.to_string()))?;
        if maps.iter().any(|one| one.exec && one.range.contains(at)) {
            return Ok(());
        }
        Err(ApiError::user(ArmError::NotExecutable(at).to_string()))
    }

    fn module_starts(&self, space: SpaceId) -> Vec<VirtAddr> {
        let modules = self.spaces.get(&space).map(|one| one.modules.modules());
        modules.unwrap_or_default().iter().map(|one| one.range.start).collect()
    }

    /// Places every breakpoint in a module that has just appeared.
    pub(in crate::engine) fn resolve_in_module(&mut self, _pid: Pid, space: SpaceId, start: VirtAddr) {
        let ids: Vec<u32> = self.breakpoints.keys().copied().collect();
        for &id in &ids {
            let matches = self.search_module(id, space, start);
            let found = matches.map_or(0, |matches| self.place_matches(id, space, start, matches));
            if found > 0 {
                let Some(breakpoint) = self.breakpoints.get_mut(&id) else { continue };
                breakpoint.note = None;
                let module = self.module_name(space, start);
                self.emit(Event::Resolved { breakpoint: id, locations: found, module });
            }
        }
        let loaded = self.spaces.get(&space).and_then(|one| one.modules.module_at(start));
        let which = match loaded.is_some_and(|one| !one.module.dwarf().is_empty()) {
            true => Untried::AndSomeUnfit,
            false => Untried::Only,
        };
        self.check_conditions_of(&ids, which);
    }

    fn module_name(&self, space: SpaceId, start: VirtAddr) -> String {
        let loaded = self.spaces.get(&space).and_then(|one| one.modules.module_at(start));
        loaded.map(|one| one.module.name()).unwrap_or_default()
    }

    /// The functions of one module that a breakpoint means; nothing where it has been looked through already.
    fn search_module(&mut self, id: u32, space: SpaceId, start: VirtAddr) -> Option<Matches> {
        let module = self.spaces.get(&space).and_then(|one| one.modules.module_at(start))?.module.clone();
        let breakpoint = self.breakpoints.get_mut(&id)?;
        let name = module.name();
        if !breakpoint.wants_module(&name) || breakpoint.searched.contains(&(space, start)) {
            return None;
        }
        breakpoint.searched.push((space, start));
        let limit = breakpoint.spec.limit as usize;
        match &breakpoint.pattern {
            Pattern::Names(pattern) => Some(module.functions_named(pattern, limit)),
            Pattern::Line { file, line } => {
                let found = module.dwarf().addresses_of_line(file, *line);
                Some(self.line_matches(id, found))
            }
            Pattern::InModule { module, at } if *module == name => {
                let function = FunctionMatch::nameless(*at);
                Some(Matches { functions: vec![function], total: 1 })
            }
            Pattern::InModule { .. } | Pattern::Absolute(_) | Pattern::Calls(_) => None,
        }
    }

    /// Places a breakpoint at what it means in one module; returns how many places there are.
    fn place_matches(&mut self, id: u32, space: SpaceId, start: VirtAddr, matches: Matches) -> u32 {
        let Some(loaded) = self.spaces.get(&space).and_then(|one| one.modules.module_at(start)).cloned() else {
            return 0;
        };
        if matches.total > matches.functions.len() {
            let (name, limit) = (loaded.module.name(), matches.functions.len());
            let note = format!("{name}: {} functions match, the first {limit} (the limit) are taken", matches.total);
            if let Some(one) = self.breakpoints.get_mut(&id) {
                one.note = Some(note.clone());
            }
            self.emit(Event::Notice { text: format!("breakpoint {id}: {note}") });
        }
        let (indirect, direct): (Vec<_>, Vec<_>) =
            matches.functions.into_iter().partition(|one| one.kind == SymbolKind::IndirectFunction);
        if let Some(one) = self.breakpoints.get_mut(&id) {
            let of = |one: FunctionMatch| Indirect { space, module: start, resolver: one.address, names: one.names };
            one.unresolved.extend(indirect.into_iter().map(of));
        }
        let known = self.breakpoints.get(&id).map(|one| one.addresses_in(space)).unwrap_or_default();
        let places = direct.into_iter().map(|one| (loaded.bias.to_virt(one.address), one.names));
        let places = places.filter(|(at, _)| !known.contains(at)).collect::<Vec<_>>();
        let wanted = places.len();
        let failed = self.add_locations(id, space, places);
        if let (Some((at, error)), Some(one)) = (failed.first(), self.breakpoints.get_mut(&id)) {
            one.note = Some(format!("{} of {wanted} matches could not be patched: {at}: {error}", failed.len()));
        }
        (wanted - failed.len()) as u32 + self.resolve_indirect(id, space)
    }

    fn add_location(&mut self, id: u32, space: SpaceId, at: VirtAddr, names: Vec<String>) -> Result<(), ArmError> {
        match self.add_locations(id, space, vec![(at, names)]).pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Adds places to a breakpoint, in ascending order of their addresses, and arms them if it is enabled; returns those
    /// that could not be armed, which it does not have then. A place that it has already is passed over.
    fn add_locations(
        &mut self,
        id: u32,
        space: SpaceId,
        places: Vec<(VirtAddr, Vec<String>)>,
    ) -> Vec<(VirtAddr, ArmError)> {
        let Some(pid) = self.pid_of_space(space) else {
            return places.into_iter().map(|(at, _)| (at, MemError::Gone.into())).collect();
        };
        let Some(breakpoint) = self.breakpoints.get_mut(&id) else { return Vec::new() };
        let known = breakpoint.addresses_in(space);
        let first = breakpoint.locations.len();
        let new = places.into_iter().filter(|(at, _)| !known.contains(at));
        let location = |(addr, names)| Some(Location { addr, spaces: vec![space], names, ..Location::default() });
        breakpoint.locations.extend(new.map(location));
        if breakpoint.enabled == Toggle::Off {
            return Vec::new();
        }
        let new = breakpoint.live().skip_while(|(index, _)| (*index as usize) < first);
        let owned = new.map(|(location, one)| (one.addr, Owner::Breakpoint { id, location })).collect::<Vec<_>>();
        let failed = self.arm_places(id, pid, space, &owned);
        if let (false, Some(breakpoint)) = (failed.is_empty(), self.breakpoints.get_mut(&id)) {
            let failed: HashSet<VirtAddr> = failed.iter().map(|(at, _)| *at).collect();
            for slot in breakpoint.locations.iter_mut().skip(first) {
                slot.take_if(|one| failed.contains(&one.addr));
            }
            let kept = breakpoint.locations.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            breakpoint.locations.truncate(kept.max(first));
        }
        failed
    }

    /// IFUNCs that could not be resolved before: a module's relocations come after its mapping.
    pub(in crate::engine) fn resolve_pending(&mut self, _pid: Pid, space: SpaceId) {
        let ids: Vec<u32> =
            self.breakpoints.values().filter(|one| !one.unresolved.is_empty()).map(|one| one.id).collect();
        for id in &ids {
            self.resolve_indirect(*id, space);
        }
        self.check_conditions_of(&ids, Untried::Only);
    }

    /// Follows the resolvers of a breakpoint's IFUNCs on a copy of the memory, and places it where they lead.
    fn resolve_indirect(&mut self, id: u32, space: SpaceId) -> u32 {
        let Some(breakpoint) = self.breakpoints.get_mut(&id) else { return 0 };
        let pending = std::mem::take(&mut breakpoint.unresolved);
        let (here, elsewhere): (Vec<_>, Vec<_>) = pending.into_iter().partition(|one| one.space == space);
        breakpoint.unresolved = elsewhere;
        let mut placed = 0;
        for function in here {
            let chosen = self.choice_of_resolver(&function);
            match chosen.map(|at| self.add_location(id, space, at, function.names.clone())) {
                Some(Ok(())) => placed += 1,
                _ => {
                    if let Some(one) = self.breakpoints.get_mut(&id) {
                        one.unresolved.push(function);
                    }
                }
            }
        }
        placed
    }

    fn choice_of_resolver(&self, function: &Indirect) -> Option<VirtAddr> {
        let pid = self.pid_of_space(function.space)?;
        let one = self.spaces.get(&function.space)?;
        let loaded: &LoadedModule = one.modules.module_at(function.module)?;
        let memory = CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid }, sites: &one.sites };
        // Where the resolver's own stack would be does not matter: what it writes is kept apart.
        let regs = Regs { rsp: 0x7fff_ffff_0000, ..Regs::default() };
        let resolver = loaded.bias.to_virt(function.resolver);
        let chosen = VirtAddr(interpret_function(resolver, regs, &memory, RESOLVER_LIMIT).ok()?);
        let target = one.modules.module_at(chosen)?;
        target.module.is_executable_addr(target.bias.to_file(chosen)).then_some(chosen)
    }

    /// What to tell of a breakpoint that stands nowhere.
    fn note_if_pending(&mut self, id: u32) {
        let Some(breakpoint) = self.breakpoints.get(&id) else { return };
        if breakpoint.live().next().is_some() || breakpoint.note.is_some() {
            return;
        }
        if let Pattern::Line { file, .. } = &breakpoint.pattern {
            let note = format!(
                "{}; it is set when one is loaded that does",
                crate::engine::inspect::source::no_such_file(file.text())
            );
            self.set_note(id, note);
            return;
        }
        let Pattern::Names(pattern) = &breakpoint.pattern else { return };
        let modules = match &breakpoint.spec.module {
            ModuleFilter::Any => "no module that is loaded".to_string(),
            ModuleFilter::Named(name) => format!("no loaded module {name}"),
        };
        let mut note = format!("{modules} has a function that matches; it is set when one is loaded that does");
        let mut near: Vec<String> = Vec::new();
        for space in self.spaces.values() {
            for loaded in space.modules.modules().iter().filter(|one| breakpoint.wants_module(&one.module.name())) {
                near.extend(loaded.module.symbols().nearest_names(pattern.text(), NEAREST));
            }
        }
        near.truncate(NEAREST);
        if !near.is_empty() {
            note.push_str(&format!(" (nearest names: {})", near.join(", ")));
        }
        if let Some(breakpoint) = self.breakpoints.get_mut(&id) {
            breakpoint.note = Some(note);
        }
    }
}
