//! Places that are hit too often: they are disarmed, so that a careless pattern does not stall the target.

use super::Breakpoint;
use crate::api::{BreakpointAction, Event, MaxRate, Toggle, Where};
use crate::base::Inferior;
use crate::binary::symbols::demangle;
use crate::engine::state::Engine;
use crate::os::{clock_nanoseconds, Clock};
use crate::target::breakpoint::Owner;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Hits in the second that began last.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Pace {
    /// Nanoseconds of a clock that stands never at 0.
    began: u64,
    used: u64,
}

impl Pace {
    /// Begins a new second where the last one is over; whether it did.
    pub(in crate::engine) fn begins_anew(&mut self, now: u64) -> bool {
        let anew = self.began == 0 || now.saturating_sub(self.began) >= SECOND;
        if anew {
            *self = Pace { began: now, used: 0 };
        }
        anew
    }

    /// Counts one; whether it is among the first `limit` of its second.
    pub(in crate::engine) fn admits(&mut self, limit: u64) -> bool {
        self.used = self.used.saturating_add(1);
        self.used <= limit
    }

    /// Counts one, and looks at the clock only when the limit is reached; if too many came within a second, how many a
    /// second these are.
    fn count(&mut self, limit: u64, clock: impl FnOnce() -> u64) -> Option<u64> {
        if self.began != 0 && self.admits(limit) {
            return None;
        }
        let now = clock();
        if self.begins_anew(now) {
            self.used = 1;
            return None;
        }
        let elapsed = u128::from(now.saturating_sub(self.began).max(1));
        Some((u128::from(self.used) * u128::from(SECOND) / elapsed) as u64)
    }
}

/// The hits a second that a place of a breakpoint may have.
fn limit_of(breakpoint: &Breakpoint, setting: MaxRate) -> Option<u64> {
    let spec = &breakpoint.spec;
    let goes_on = matches!(spec.action, BreakpointAction::Log { .. } | BreakpointAction::Count);
    match (spec.max_rate, setting) {
        (MaxRate::PerSecond(limit), _) => Some(limit),
        (MaxRate::Fit, MaxRate::PerSecond(limit)) if goes_on => Some(limit),
        (MaxRate::Fit, MaxRate::Fit) if goes_on => {
            let is_pattern = matches!(spec.location, Where::Regex(_) | Where::BaseName(_) | Where::Syscalls(_));
            is_pattern.then_some(MaxRate::OF_PATTERNS)
        }
        _ => None,
    }
}

impl<I: Inferior> Engine<I> {
    /// Counts a hit, also one whose condition is false: it costs the target as much. Whether it was one too many: then
    /// its place is disarmed.
    pub(super) fn is_too_hot(&mut self, id: u32, location: Option<u32>) -> bool {
        let Some(breakpoint) = self.breakpoints.get_mut(&id) else { return false };
        let Some(limit) = limit_of(breakpoint, self.settings.max_rate) else { return false };
        let place = location.and_then(|at| breakpoint.locations.get_mut(at as usize)).and_then(Option::as_mut);
        let pace = place.map_or(&mut breakpoint.pace, |place| &mut place.pace);
        let Some(per_second) = pace.count(limit, || clock_nanoseconds(Clock::Monotonic)) else { return false };
        *pace = Pace::default();
        self.cool(id, location, per_second, limit);
        true
    }

    /// Disarms a place, or what has none.
    fn cool(&mut self, id: u32, location: Option<u32>, per_second: u64, limit: u64) {
        let Some(breakpoint) = self.breakpoints.get_mut(&id) else { return };
        let place = location.and_then(|at| breakpoint.locations.get_mut(at as usize)).and_then(Option::as_mut);
        let mut name = None;
        match (place, location) {
            (Some(place), Some(location)) if !breakpoint.spec.location.has_registers() => {
                place.too_hot = Some(per_second);
                name = place.names.first().map(|name| demangle(name).into_owned());
                let (at, spaces) = (place.addr, place.spaces.clone());
                for space in spaces {
                    self.disarm(space, at, Owner::Breakpoint { id, location });
                }
            }
            _ => self.enable_breakpoint(id, Toggle::Off),
        }
        let location = location.map(|index| index + 1);
        self.emit(Event::TooHot { breakpoint: id, location, name, per_second, limit });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_second_pass_and_the_next_is_one_too_many() {
        let mut pace = Pace::default();
        let clock = |now| move || now;
        for _ in 0..3 {
            assert_eq!(pace.count(3, clock(SECOND)), None);
        }
        // Four in half a second.
        assert_eq!(pace.count(3, clock(SECOND + SECOND / 2)), Some(8));
    }

    #[test]
    fn a_new_second_begins_when_the_limit_is_reached_after_the_old_one() {
        let mut pace = Pace::default();
        for round in 1..20 {
            for _ in 0..3 {
                assert_eq!(pace.count(3, || round * 2 * SECOND), None);
            }
        }
    }

    #[test]
    fn the_clock_is_looked_at_once_for_so_many_hits() {
        let (mut pace, looks) = (Pace::default(), std::cell::Cell::new(0));
        for hit in 0..10_000u64 {
            let clock = || {
                looks.set(looks.get() + 1);
                (1 + hit) * SECOND / 500
            };
            assert_eq!(pace.count(1000, clock), None);
        }
        assert!(looks.get() <= 11, "{}", looks.get());
    }
}
