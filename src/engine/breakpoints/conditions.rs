//! Conditions of breakpoints: compiled once, for all places or over the variables that are in scope in each.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::watching::Means;
use super::Location;
use crate::api::{ApiError, Event};
use crate::base::{Inferior, Pid, VirtAddr};
use crate::binary::symbols::demangle;
use crate::engine::inspect::expressions::explain;
use crate::engine::process::attach::shorten;
use crate::engine::state::Engine;
use crate::lang::Expression;

/// So long the places of one breakpoint are looked at for its condition; a regex can have thousands.
const CHECK_TIME: Duration = Duration::from_secs(1);
/// So many places where a condition meant nothing are looked at again when a module has come.
const TRIED_AGAIN: usize = 64;
/// So many places that were disabled or enabled are told of.
const TOLD: usize = 5;

/// Which places a condition is compiled in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Untried {
    /// Those where it has not been.
    Only,
    /// And some of those where it meant nothing: a module with debug information has come, and may have brought a name.
    AndSomeUnfit,
    /// All: it is another condition.
    All,
}

/// What a condition comes to in one place.
struct Judged {
    location: u32,
    outcome: Result<Arc<Expression>, ApiError>,
}

/// As gdb: a condition is refused where it means nothing in all places that were looked at.
fn refuse_if_nowhere(judged: &[Judged]) -> Result<(), ApiError> {
    let mut failed = judged.iter().map(|one| one.outcome.as_ref().err());
    match failed.next() {
        Some(Some(first)) if failed.all(|one| one.is_some()) => Err(first.clone()),
        _ => Ok(()),
    }
}

impl<I: Inferior> Engine<I> {
    /// A condition that means the same in every place; `None` where debug information may give its names a meaning in
    /// each place.
    pub(super) fn condition_everywhere(&self, text: Option<&str>) -> Result<Option<Arc<Expression>>, ApiError> {
        let Some(text) = text else { return Ok(None) };
        let names = self.names_of(self.selected_pid().ok());
        let modules = names.space.map(|space| space.modules.modules()).unwrap_or_default();
        if modules.iter().any(|one| !one.module.dwarf().is_empty()) {
            return Ok(None);
        }
        Expression::compile(text, &names).map(|one| Some(Arc::new(one))).map_err(|error| explain(&error, text))
    }

    /// Compiles a new breakpoint's condition in its places, and disables those in which it means nothing.
    ///
    /// # Errors
    /// What the first place said, where it means nothing in any.
    pub(super) fn check_condition(&mut self, id: u32) -> Result<(), ApiError> {
        let judged = self.judge_places(id, Untried::Only);
        refuse_if_nowhere(&judged)?;
        self.settle_condition(id, judged);
        Ok(())
    }

    /// Compiles conditions in places that have been found since.
    pub(super) fn check_conditions_of(&mut self, ids: &[u32], which: Untried) {
        for id in ids {
            let judged = self.judge_places(*id, which);
            self.settle_condition(*id, judged);
        }
    }

    /// What a breakpoint's condition comes to in its places, as far as there is time: what is left is judged at its first
    /// hit.
    fn judge_places(&self, id: u32, which: Untried) -> Vec<Judged> {
        let Some(breakpoint) = self.breakpoints.get(&id).filter(|one| one.condition.is_none()) else {
            return Vec::new();
        };
        let Some(text) = breakpoint.spec.condition.as_deref() else { return Vec::new() };
        let mut again = match which {
            Untried::Only => 0,
            Untried::AndSomeUnfit => TRIED_AGAIN,
            Untried::All => usize::MAX,
        };
        let mut is_asked = |one: &Location| match (&one.condition, &one.unfit) {
            (None, None) => true,
            _ if which == Untried::All => true,
            (_, unfit) => {
                let is_asked = unfit.is_some() && again > 0;
                again -= usize::from(is_asked);
                is_asked
            }
        };
        let begun = Instant::now();
        let asked = breakpoint.live().filter(|(_, one)| is_asked(one));
        let judged = asked.take_while(|_| begun.elapsed() < CHECK_TIME).filter_map(|(location, one)| {
            let pid = one.spaces.first().and_then(|space| self.pid_of_space(*space))?;
            Some(Judged { location, outcome: self.compile_condition_at(text, pid, one.addr).map(Arc::new) })
        });
        judged.collect()
    }

    /// Keeps what a condition comes to in some places: disarms those in which it means nothing, arms those again in which
    /// it has come to mean something, and tells both.
    fn settle_condition(&mut self, id: u32, judged: Vec<Judged>) {
        let Some(breakpoint) = self.breakpoints.get_mut(&id) else { return };
        let is_patch = breakpoint.means == Means::Patch;
        let (mut lost, mut fit) = (Vec::new(), Vec::new());
        for Judged { location, outcome } in judged {
            let Some(Some(one)) = breakpoint.locations.get_mut(location as usize) else { continue };
            let was_unfit = one.unfit.is_some();
            (one.condition, one.unfit) = match outcome {
                Ok(compiled) => (Some(compiled), None),
                Err(error) => (None, Some(error.message)),
            };
            match (was_unfit, one.unfit.is_some()) {
                (false, true) => lost.push(location),
                (true, false) if is_patch && one.too_hot.is_none() => fit.push(location),
                _ => {}
            }
        }
        let of = |id: u32, location: u32, one: &Location| {
            let name = one.names.first().map(|name| format!(" {}", shorten(&demangle(name)))).unwrap_or_default();
            format!("breakpoint {id}.{} at {}{name}", location + 1, one.addr)
        };
        let place = |location: &u32| Some((*location, breakpoint.locations.get(*location as usize)?.as_ref()?));
        let (unfit, armed) = (lost.iter().filter_map(place), fit.iter().filter_map(place));
        let unfit = unfit.map(|(number, one)| {
            let reason = one.unfit.as_deref().unwrap_or_default();
            format!("{} is disabled: its condition means nothing there: {reason}", of(id, number, one))
        });
        let armed =
            armed.map(|(number, one)| format!("{} is enabled: its condition means something now", of(id, number, one)));
        let (mut told, all) = (unfit.chain(armed).take(TOLD).collect::<Vec<_>>(), lost.len() + fit.len());
        if all > TOLD {
            told.push(format!(
                "and so in {} more places of breakpoint {id}; `info breakpoints` marks them",
                all - TOLD
            ));
        }
        told.into_iter().for_each(|text| self.emit(Event::Notice { text }));
        self.disarm_places(id, &lost);
        self.arm_again(id, |location| fit.contains(&location));
    }

    /// A place whose condition means nothing, as its first hit has shown: it is disarmed, as one that was seen before.
    pub(super) fn found_unfit(&mut self, id: u32, location: u32, reason: String) {
        self.settle_condition(id, vec![Judged { location, outcome: Err(ApiError::user(reason)) }]);
    }

    /// `condition N EXPR`.
    pub(in crate::engine) fn change_condition(&mut self, id: u32, text: Option<String>) -> Result<(), ApiError> {
        let compiled = self.condition_everywhere(text.as_deref())?;
        let breakpoint = self.breakpoint_mut(id)?;
        let before = (
            std::mem::replace(&mut breakpoint.spec.condition, text),
            std::mem::replace(&mut breakpoint.condition, compiled),
        );
        let judged = self.judge_places(id, Untried::All);
        if let Err(error) = refuse_if_nowhere(&judged) {
            let breakpoint = self.breakpoint_mut(id)?;
            (breakpoint.spec.condition, breakpoint.condition) = before;
            return Err(error);
        }
        let breakpoint = self.breakpoint_mut(id)?;
        breakpoint.condition_in = None;
        let is_patch = breakpoint.means == Means::Patch;
        let is_judged: HashSet<u32> = judged.iter().map(|one| one.location).collect();
        let mut freed = HashSet::new();
        for (index, one) in breakpoint.locations.iter_mut().enumerate() {
            let (Some(one), index) = (one, index as u32) else { continue };
            if !is_judged.contains(&index) {
                one.condition = None;
                freed.extend(one.unfit.take().filter(|_| is_patch).map(|_| index));
            }
        }
        self.arm_again(id, |location| freed.contains(&location));
        self.settle_condition(id, judged);
        Ok(())
    }

    /// The condition that a hit is judged by; `None`: there is none. Compiled at a place's first hit.
    pub(super) fn condition_at(
        &mut self,
        id: u32,
        location: Option<u32>,
        pid: Pid,
    ) -> Option<Result<Arc<Expression>, String>> {
        let breakpoint = self.breakpoints.get(&id)?;
        if let Some(compiled) = &breakpoint.condition {
            return Some(Ok(compiled.clone()));
        }
        let text = breakpoint.spec.condition.as_deref()?;
        let place = location.and_then(|at| breakpoint.locations.get(at as usize)).and_then(Option::as_ref);
        if let Some(compiled) = place.and_then(|one| one.condition.clone()) {
            return Some(Ok(compiled));
        }
        let space = self.processes.get(&pid).map(|one| one.space);
        if let (None, Some((of, compiled))) = (location, &breakpoint.condition_in) {
            if Some(*of) == space {
                return Some(Ok(compiled.clone()));
            }
        }
        let at = place.map_or(VirtAddr(0), |one| one.addr);
        let compiled = match self.compile_condition_at(text, pid, at) {
            Ok(compiled) => Arc::new(compiled),
            Err(error) => return Some(Err(error.message)),
        };
        let breakpoint = self.breakpoints.get_mut(&id)?;
        if let Some(Some(one)) = location.and_then(|at| breakpoint.locations.get_mut(at as usize)) {
            one.condition = Some(compiled.clone());
        } else {
            breakpoint.condition_in = space.map(|space| (space, compiled.clone()));
        }
        Some(Ok(compiled))
    }
}
