//! Conditions of breakpoints: compiled once, for all places or over the variables that are in scope in each.

use std::sync::Arc;

use crate::api::ApiError;
use crate::base::{Inferior, Pid, VirtAddr};
use crate::engine::inspect::expressions::explain;
use crate::engine::state::Engine;
use crate::lang::Expression;

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

    /// Whether a breakpoint's condition can be compiled in the first of its places.
    pub(super) fn check_condition(&self, id: u32) -> Result<(), ApiError> {
        let Some(breakpoint) = self.breakpoints.get(&id).filter(|one| one.condition.is_none()) else { return Ok(()) };
        let (Some(text), Some((_, location))) = (&breakpoint.spec.condition, breakpoint.live().next()) else {
            return Ok(());
        };
        let pid = location.spaces.first().and_then(|space| self.pid_of_space(*space));
        pid.map_or(Ok(()), |pid| self.compile_condition_at(text, pid, location.addr).map(drop))
    }

    /// `condition N EXPR`.
    pub(in crate::engine) fn change_condition(&mut self, id: u32, text: Option<String>) -> Result<(), ApiError> {
        let compiled = self.condition_everywhere(text.as_deref())?;
        let breakpoint = self.breakpoint_mut(id)?;
        let before = (
            std::mem::replace(&mut breakpoint.spec.condition, text),
            std::mem::replace(&mut breakpoint.condition, compiled),
        );
        if let Err(error) = self.check_condition(id) {
            let breakpoint = self.breakpoint_mut(id)?;
            (breakpoint.spec.condition, breakpoint.condition) = before;
            return Err(error);
        }
        let breakpoint = self.breakpoint_mut(id)?;
        breakpoint.condition_in = None;
        breakpoint.locations.iter_mut().flatten().for_each(|one| one.condition = None);
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
