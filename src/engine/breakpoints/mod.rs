//! Breakpoints: what the user meant, where that is now, and what a hit does.

mod arming;
mod bared;
mod conditions;
mod hits;
pub(super) mod hot_sites;
mod leftover;
pub(super) mod placing;
mod reached;
pub(super) mod resume;
pub(super) mod site_scope;
mod source_places;
mod watching;

use std::collections::HashSet;
use std::sync::Arc;

use super::state::{Engine, Space};
use crate::api::{
    ApiError, BreakpointAction, BreakpointSpec, ClientId, Event, FunctionCall, ModuleFilter, Toggle, WatchHit, Where,
};
use crate::base::{AddrRange, FileAddr, Inferior, Regs, Tid, VirtAddr};
use crate::binary::dwarf::SourceName;
use crate::binary::NamePattern;
use crate::engine::inspect::expressions::ThreadEnvironment;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::inspect::session_values::Who;
use crate::engine::stops::catching::Catching;
use crate::lang::Expression;
use crate::target::breakpoint::Owner;
use crate::target::syscalls::CallSet;
use crate::target::task::SpaceId;
use crate::target::value::CallPlan;
use hot_sites::Pace;
use watching::Means;

/// A breakpoint with all that is known of it.
pub(super) struct Breakpoint {
    pub(super) id: u32,
    pub(super) spec: BreakpointSpec,
    pub(super) client: ClientId,
    pub(super) pattern: Pattern,
    pub(super) means: Means,
    /// Of `catch`: which exceptions it is for.
    pub(super) catching: Option<Catching>,
    /// That holds in every place; one over variables is each location's own.
    pub(super) condition: Option<Arc<Expression>>,
    /// The condition of what has no place, over the variables of one space.
    pub(super) condition_in: Option<(SpaceId, Arc<Expression>)>,
    pub(super) enabled: Toggle,
    pub(super) hits: u64,
    pub(super) ignore: u64,
    /// By the index that sites hold; `None` once a module has gone.
    pub(super) locations: Vec<Option<Location>>,
    pub(super) note: Option<String>,
    /// Hits of what has no place of its own.
    pub(super) pace: Pace,
    /// What a watchpoint saw last.
    pub(super) seen: Option<WatchHit>,
    /// Modules that have been looked through: space and start.
    pub(super) searched: Vec<(SpaceId, VirtAddr)>,
    /// IFUNCs whose choice is not known yet.
    pub(super) unresolved: Vec<Indirect>,
}

/// An IFUNC that a breakpoint means.
pub(super) struct Indirect {
    pub(super) space: SpaceId,
    /// Where its module starts.
    pub(super) module: VirtAddr,
    pub(super) resolver: FileAddr,
    /// The names of it that matched, mangled.
    pub(super) names: Vec<String>,
}

/// How a breakpoint finds its places.
pub(super) enum Pattern {
    /// By names.
    Names(NamePattern),
    /// At an address of a module, by the module's name.
    InModule { module: String, at: FileAddr },
    /// A line of a source file.
    Line { file: SourceName, line: u32 },
    /// At an address of no module.
    Absolute(VirtAddr),
    /// At no place: system calls.
    Calls(CallSet),
}

/// One place of a breakpoint.
#[derive(Default)]
pub(super) struct Location {
    pub(super) addr: VirtAddr,
    /// The address spaces it is armed in: one, and those of forked copies.
    pub(super) spaces: Vec<SpaceId>,
    /// Mangled; the shown one first.
    pub(super) names: Vec<String>,
    pub(super) hits: u64,
    pub(super) pace: Pace,
    /// It was hit so often in a second that it is disarmed.
    pub(super) too_hot: Option<u64>,
    /// The breakpoint's condition, over the variables that are in scope here; made with it, or at the first hit.
    pub(super) condition: Option<Arc<Expression>>,
    /// Why the breakpoint's condition means nothing here: it is not armed then.
    pub(super) unfit: Option<String>,
    /// How its arguments are read; made at the first hit that is shown.
    pub(super) plan: Option<Arc<CallPlan>>,
}

/// What a hit of one breakpoint comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Stop,
    GoOn,
}

impl Breakpoint {
    /// Whether it reports to a client that can go away.
    pub(super) fn is_log_of(&self, client: ClientId) -> bool {
        self.client == client && client != ClientId(0) && matches!(self.spec.action, BreakpointAction::Log { .. })
    }

    /// Whether it waits for accesses to bytes, not for an instruction.
    pub(super) fn is_watch(&self) -> bool {
        matches!(self.spec.location, Where::Watch(_))
    }

    /// Keeps only locations in these spaces.
    pub(super) fn forget_spaces(&mut self, used: &[SpaceId]) {
        for slot in &mut self.locations {
            if let Some(location) = slot {
                location.spaces.retain(|space| used.contains(space));
                if location.spaces.is_empty() {
                    *slot = None;
                }
            }
        }
        self.searched.retain(|(space, _)| used.contains(space));
        self.unresolved.retain(|one| used.contains(&one.space));
    }

    /// Forgets locations in a range of one space, whose module has gone.
    pub(super) fn forget_range(&mut self, space: SpaceId, range: AddrRange) {
        for slot in &mut self.locations {
            let Some(location) = slot else { continue };
            if range.contains(location.addr) {
                location.spaces.retain(|one| *one != space);
                if location.spaces.is_empty() {
                    *slot = None;
                }
            }
        }
        self.searched.retain(|(one, start)| *one != space || *start != range.start);
        self.unresolved.retain(|one| one.space != space || one.module != range.start);
    }

    /// A fork has copied a space, sites and all.
    pub(super) fn share_locations(&mut self, of: SpaceId, with: SpaceId) {
        for location in self.locations.iter_mut().flatten() {
            if location.spaces.contains(&of) {
                location.spaces.push(with);
            }
        }
        let copies: Vec<_> = self.searched.iter().filter(|(one, _)| *one == of).map(|(_, at)| (with, *at)).collect();
        self.searched.extend(copies);
    }

    /// Whether it looks in a module of that file name.
    pub(super) fn wants_module(&self, name: &str) -> bool {
        match &self.spec.module {
            ModuleFilter::Any => true,
            ModuleFilter::Named(wanted) => {
                let rest = name.strip_prefix(wanted.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(".so") || rest.starts_with('-'))
            }
        }
    }

    /// Every place that it is armed at, or would be: the space, the address, and the location's index.
    fn places(&self) -> Vec<(SpaceId, VirtAddr, u32)> {
        let of = |(index, one): (u32, &Location)| -> Vec<_> {
            one.spaces.iter().map(|space| (*space, one.addr, index)).collect()
        };
        let is_armed = |one: &Location| one.unfit.is_none() || self.means != Means::Patch;
        self.live().filter(|(_, one)| is_armed(one)).flat_map(of).collect()
    }

    /// The addresses of its locations in one space.
    pub(super) fn addresses_in(&self, space: SpaceId) -> HashSet<VirtAddr> {
        self.live().filter(|(_, one)| one.spaces.contains(&space)).map(|(_, one)| one.addr).collect()
    }

    /// Its live locations with their indices.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, &Location)> {
        self.locations.iter().enumerate().filter_map(|(at, one)| Some((at as u32, one.as_ref()?)))
    }
}

impl<I: Inferior> Engine<I> {
    /// `break`: makes it and places it in what is mapped.
    pub(super) fn add_breakpoint(&mut self, client: ClientId, mut spec: BreakpointSpec) -> Result<u32, ApiError> {
        let (pattern, means) = self.parse_intent(&spec.location)?;
        if let (Where::Watch(watch), Means::Registers { length, .. }) = (&mut spec.location, means) {
            watch.length = Some(length);
        }
        let catching = Catching::parse(&spec.location)?;
        let condition = self.condition_everywhere(spec.condition.as_deref())?;
        self.next.breakpoint += 1;
        let id = self.next.breakpoint;
        let breakpoint = Breakpoint {
            id,
            client,
            pattern,
            means,
            catching,
            condition,
            condition_in: None,
            enabled: Toggle::On,
            hits: 0,
            ignore: spec.ignore,
            locations: Vec::new(),
            note: None,
            pace: Pace::default(),
            seen: None,
            searched: Vec::new(),
            unresolved: Vec::new(),
            spec,
        };
        self.breakpoints.insert(id, breakpoint);
        if let Err(error) = self.place_breakpoint(id).and_then(|()| self.check_condition(id)) {
            self.delete_breakpoint(id);
            return Err(error);
        }
        Ok(id)
    }

    pub(super) fn parse_where(&self, location: &Where) -> Result<Pattern, ApiError> {
        let bad = |error: crate::binary::BinaryError| ApiError::user(error.to_string());
        Ok(match location {
            Where::Name(name) => Pattern::Names(NamePattern::Plain(name.clone())),
            Where::BaseName(name) => Pattern::Names(NamePattern::BaseName(name.clone())),
            Where::Regex(regex) => Pattern::Names(NamePattern::parse_regex(regex).map_err(bad)?),
            Where::Line { file, line } => self.parse_line_place(file.as_deref(), *line)?,
            Where::Address(text) => self.pattern_at(self.evaluate_address(text)?),
            Where::Catch(spec) => Pattern::Names(crate::engine::stops::catching::pattern_of(spec.event)?),
            Where::Hardware(place) => self.parse_where(place)?,
            Where::Watch(spec) => self.pattern_at(self.evaluate_address(&spec.expression)?),
            Where::Syscalls(spec) => crate::engine::stops::syscalls::parse_calls(spec)?,
        })
    }

    /// An address as a place that a module brings with it wherever it is loaded, if it lies in one.
    pub(super) fn pattern_at(&self, at: VirtAddr) -> Pattern {
        let pid = self.selected_pid().ok();
        let space = pid.and_then(|pid| self.processes.get(&pid)).and_then(|one| self.spaces.get(&one.space));
        match space.and_then(|one| one.modules.module_at(at)) {
            Some(loaded) => Pattern::InModule { module: loaded.module.name(), at: loaded.bias.to_file(at) },
            None => Pattern::Absolute(at),
        }
    }

    /// Deletes it and restores what only it had patched.
    pub(super) fn delete_breakpoint(&mut self, id: u32) {
        self.disarm_breakpoint(id);
        let removed = self.breakpoints.remove(&id);
        if removed.is_some_and(|one| one.means == Means::Syscalls) {
            self.wanted_calls_changed();
        }
    }

    /// Takes all its sites away.
    pub(super) fn disarm_breakpoint(&mut self, id: u32) {
        let Some(breakpoint) = self.breakpoints.get(&id) else { return };
        if breakpoint.means != Means::Patch {
            return self.free_registers(id);
        }
        for (space, at, location) in breakpoint.places() {
            self.disarm(space, at, Owner::Breakpoint { id, location });
        }
    }

    /// `enable` and `disable`.
    pub(super) fn enable_breakpoint(&mut self, id: u32, state: Toggle) {
        let Some(breakpoint) = self.breakpoints.get_mut(&id) else { return };
        let mut cooled = Vec::new();
        for (index, place) in breakpoint.locations.iter_mut().enumerate() {
            if place.as_mut().and_then(|place| place.too_hot.take()).is_some() {
                cooled.push(index as u32);
            }
        }
        let was = std::mem::replace(&mut breakpoint.enabled, state);
        if was == state && (cooled.is_empty() || state == Toggle::Off) {
            return;
        }
        if breakpoint.means == Means::Syscalls {
            return self.wanted_calls_changed();
        }
        if state == Toggle::Off {
            self.disarm_breakpoint(id);
            return;
        }
        self.arm_again(id, |location| was != state || cooled.contains(&location));
    }

    /// Disarms some places of a breakpoint; debug registers stay, and what they report there is passed over.
    pub(super) fn disarm_places(&mut self, id: u32, which: &[u32]) {
        let Some(breakpoint) = self.breakpoints.get(&id).filter(|one| one.means == Means::Patch) else { return };
        let of = |location: &u32| Some((*location, breakpoint.locations.get(*location as usize)?.as_ref()?));
        let places: Vec<_> = which.iter().filter_map(of).map(|(at, one)| (at, one.addr, one.spaces.clone())).collect();
        for (location, at, spaces) in places {
            for space in spaces {
                self.disarm(space, at, Owner::Breakpoint { id, location });
            }
        }
    }

    /// Arms those places of a breakpoint that are wanted, if it is enabled.
    pub(super) fn arm_again(&mut self, id: u32, is_wanted: impl Fn(u32) -> bool) {
        let Some(breakpoint) = self.breakpoints.get(&id).filter(|one| one.enabled == Toggle::On) else { return };
        let mut places = breakpoint.places();
        places.retain(|(_, _, location)| is_wanted(*location));
        places.sort_unstable();
        for group in places.chunk_by(|(a, ..), (b, ..)| a == b) {
            let Some(pid) = self.pid_of_space(group[0].0) else { continue };
            let of = |&(_, at, location): &(_, VirtAddr, u32)| (at, Owner::Breakpoint { id, location });
            let failed = self.arm_places(id, pid, group[0].0, &group.iter().map(of).collect::<Vec<_>>());
            if let Some((at, error)) = failed.first() {
                let text = format!("breakpoint {id} is not armed at {} of its places: {at}: {error}", failed.len());
                self.emit(Event::Notice { text });
                self.stays_disabled(id);
            }
        }
    }

    /// What this hit means to one breakpoint. `regs` have pc at the site.
    pub(super) fn judge(&mut self, id: u32, location: u32, tid: Tid, regs: &Regs) -> Verdict {
        match self.passes(id, Some(location), tid, regs) {
            Some(BreakpointAction::Stop) => Verdict::Stop,
            Some(BreakpointAction::Count) | None => Verdict::GoOn,
            Some(BreakpointAction::Trace) => self.trace_call(id, location, tid, regs),
            Some(BreakpointAction::Log { .. }) => {
                self.log_hit(id, location, tid, regs);
                Verdict::GoOn
            }
        }
    }

    /// Tests a hit's condition, and counts it; what is to be done of it, `None`: nothing.
    pub(super) fn passes(&mut self, id: u32, location: Option<u32>, tid: Tid, regs: &Regs) -> Option<BreakpointAction> {
        if self.is_too_hot(id, location) {
            return None;
        }
        let place = location.and_then(|at| self.breakpoints.get(&id)?.locations.get(at as usize)?.as_ref());
        if place.is_some_and(|one| one.unfit.is_some()) {
            return None;
        }
        let pid = self.threads.get(&tid)?.pid;
        let condition = match (self.condition_at(id, location, pid), location) {
            (Some(Err(reason)), Some(location)) => {
                self.found_unfit(id, location, reason);
                return None;
            }
            (condition, _) => condition,
        };
        let who = self.who(tid);
        let space = self.spaces.get(&self.processes.get(&pid)?.space)?;
        let breakpoint = self.breakpoints.get_mut(&id)?;
        if let Some(catching) = &breakpoint.catching {
            if !catching.wants(regs, &RawMemory { inferior: &self.inferior, pid }) {
                return None;
            }
        }
        if let Some(condition) = condition {
            let held = condition.and_then(|condition| {
                holds(&condition, regs, &self.inferior, who, space).map_err(|error| error.to_string())
            });
            match held {
                Ok(false) => return None,
                Ok(true) => {}
                Err(error) => {
                    // As gdb: a condition that cannot be evaluated stops, else the user waits for ever.
                    let text = format!("the condition of breakpoint {id} failed: {error}");
                    self.emit(Event::Notice { text });
                    return Some(BreakpointAction::Stop);
                }
            }
        }
        breakpoint.hits += 1;
        if let Some(Some(one)) = location.and_then(|at| breakpoint.locations.get_mut(at as usize)) {
            one.hits += 1;
        }
        if breakpoint.ignore > 0 {
            breakpoint.ignore -= 1;
            return None;
        }
        Some(breakpoint.spec.action)
    }

    /// Reports a hit of a breakpoint in log mode at one of its places.
    fn log_hit(&mut self, id: u32, location: u32, tid: Tid, regs: &Regs) {
        let call = self.watched_call(id).unwrap_or_else(|| {
            self.stand_at_site(tid, regs);
            self.call_at(id, location, tid, regs)
        });
        self.tell_hit(id, tid, call, None);
    }

    /// Reports a hit of a breakpoint in log mode, and ends it at its count.
    pub(super) fn tell_hit(&mut self, id: u32, tid: Tid, call: FunctionCall, returned: Option<String>) {
        let Some(breakpoint) = self.breakpoints.get(&id) else { return };
        let (client, hits) = (breakpoint.client, breakpoint.hits);
        let BreakpointAction::Log { count } = breakpoint.spec.action else { return };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        if let Some(thread) = self.thread_ref(tid) {
            let time_ns = now.as_nanos() as u64;
            self.emit(Event::Hit { breakpoint: id, client, count: hits, time_ns, thread, call, returned });
        }
        if count.is_some_and(|count| hits >= count) {
            self.enable_breakpoint(id, Toggle::Off);
            self.emit(Event::LogDone { breakpoint: id, client, hits });
        }
    }

    /// After the stop has been told: temporary breakpoints that stopped go.
    pub(super) fn after_stop_at(&mut self, ids: &[u32]) {
        for id in ids {
            if self.breakpoints.get(id).is_some_and(|one| one.spec.temporary == Toggle::On) {
                self.delete_breakpoint(*id);
            }
        }
    }

    /// One breakpoint, or that there is none.
    pub(super) fn breakpoint_mut(&mut self, id: u32) -> Result<&mut Breakpoint, ApiError> {
        self.breakpoints.get_mut(&id).ok_or_else(|| {
            ApiError::user(format!("there is no breakpoint {id}")).with_hint("`info breakpoints` lists them")
        })
    }
}

/// Whether a condition is true.
pub(super) fn holds<I: Inferior>(
    condition: &Expression,
    regs: &Regs,
    inferior: &I,
    who: Who,
    space: &Space,
) -> Result<bool, crate::lang::LangError> {
    let memory = RawMemory { inferior, pid: who.pid };
    let extended = || inferior.extended_regs(who.tid).ok();
    let environment = ThreadEnvironment::new(regs, &memory, &space.sites, &extended, who);
    condition.evaluate(&environment).map(|value| Expression::is_true(&value))
}
