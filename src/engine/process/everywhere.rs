//! A trace that no script confines: every process that rdbg may trace, and those to come.
//!
//! Children of traced processes are followed at once, by the kernel. Those of others, the user's shell for one, are looked
//! for: ptrace has no way to be told of them.

use std::collections::HashMap;

use crate::api::{ApiError, Event, Outcome, Reply};
use crate::base::{Inferior, Pid};
use crate::engine::state::Engine;
use crate::engine::trace::{Filter, ScanClock};
use crate::os::{Family, Standing};

/// How often processes that are known are looked at again: they can have executed or mapped something.
const LOOK_AGAIN: u32 = 50;

/// The watch over all processes.
pub(in crate::engine) struct Everywhere {
    family: Family,
    filter: Filter,
    /// Processes that are not traced, and why.
    passed_over: HashMap<Pid, Reason>,
    looks: u32,
    /// Dropped to end its thread.
    _clock: ScanClock,
}

/// Why a process is not traced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reason {
    Family,
    Traced,
    NotPermitted,
    NoProbe,
    NoProgram,
}

impl<I: Inferior> Engine<I> {
    /// Traces every process that may be traced and that a probe can be for, from now on.
    pub(in crate::engine) fn trace_everywhere(&mut self) -> Outcome {
        if self.trace.is_none() {
            return Err(ApiError::user("only a trace script can be for every process"));
        }
        let clock = self.scan_clock().map_err(|error| ApiError::internal(format!("a thread: {error}")))?;
        let (family, filter) = (Family::read(), self.trace_filter());
        let passed_over = HashMap::new();
        self.everywhere = Some(Everywhere { family, filter, passed_over, looks: 0, _clock: clock });
        self.look_everywhere();
        let Some(watch) = &self.everywhere else { return Ok(Reply::Waiting) };
        let count = |reason| watch.passed_over.values().filter(|one| **one == reason).count();
        let text = format!(
            "Watching every process that rdbg may trace{}: {} now. Children of these are traced at once, other new processes \
             within 10 ms. Left alone: rdbg's own surroundings ({}), processes that others trace ({}), that rdbg may not \
             trace ({}), that no probe can be for ({}).",
            watch.filter.describe(),
            self.debugged().len(),
            count(Reason::Family),
            count(Reason::Traced),
            count(Reason::NotPermitted),
            count(Reason::NoProbe),
        );
        self.emit(Event::Notice { text });
        Ok(Reply::Waiting)
    }

    /// Looks for processes that are not traced yet.
    pub(in crate::engine) fn look_everywhere(&mut self) {
        let Some(mut watch) = self.everywhere.take() else { return };
        let pids = crate::os::read_pids().unwrap_or_default();
        watch.passed_over.retain(|pid, _| pids.binary_search(pid).is_ok());
        watch.looks += 1;
        let again = watch.looks % LOOK_AGAIN == 0;
        for pid in pids {
            let known = watch.passed_over.get(&pid).copied();
            // One of rdbg's own group may leave it: what a shell has just forked does so when it comes to setsid(2).
            let may_change =
                matches!(known, Some(Reason::NoProbe | Reason::Traced | Reason::NotPermitted | Reason::Family));
            if self.processes.contains_key(&pid) || known.is_some() && !(again && may_change) {
                continue;
            }
            if let Some(reason) = self.trace_or_pass_over(&watch, pid) {
                watch.passed_over.insert(pid, reason);
            }
        }
        self.everywhere = Some(watch);
    }

    /// Traces a process; why not, if not. `None` too for one that has gone.
    fn trace_or_pass_over(&mut self, watch: &Everywhere, pid: Pid) -> Option<Reason> {
        match watch.family.standing(pid)? {
            Standing::Family => return Some(Reason::Family),
            Standing::Traced => return Some(Reason::Traced),
            Standing::NoProgram => return Some(Reason::NoProgram),
            Standing::Free if crate::os::is_32_bit(pid) => return Some(Reason::NotPermitted),
            Standing::Free => {}
        }
        if !watch.filter.admits(pid) {
            return Some(Reason::NoProbe);
        }
        self.attach_debugged(pid).err().map(|_| Reason::NotPermitted)
    }
}
