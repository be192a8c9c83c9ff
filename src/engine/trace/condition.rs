//! The conditions of a trace without a script, `--if` and `--stop-if`: in the language of breakpoints' conditions, over
//! the variables that are in scope at each traced function, and over variables outside of functions in a system call.

use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::sync::Arc;

use crate::api::{ApiError, Toggle};
use crate::base::{Inferior, Regs, Tid, VirtAddr};
use crate::engine::breakpoints::holds;
use crate::engine::inspect::expressions::explain;
use crate::engine::state::Engine;
use crate::lang::{Expression, Fault};
use crate::target::task::SpaceId;

/// So many of a trace's places are tried before a condition that means nothing in any of them is an error.
const TRIED: usize = 64;

/// A point in a call's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    Entry,
    Return,
}

/// A condition, and when it can be judged.
pub(super) struct Test {
    text: String,
    pub(super) moment: Moment,
    /// What it means at the entry of a function; `None`: in a system call.
    compiled: HashMap<(SpaceId, Option<VirtAddr>), Compiled>,
}

/// What a condition means in a place, or why it means nothing.
struct Compiled {
    expression: Result<Arc<Expression>, String>,
    /// How many modules the process had then: others have other variables.
    modules: usize,
}

impl<I: Inferior> Engine<I> {
    /// A condition of which only the grammar can be checked yet: the names may be those of a process to come.
    pub(super) fn read_test(&self, text: &str, returns: Toggle) -> Result<Test, ApiError> {
        let names = self.names_of(self.selected_pid().ok());
        match Expression::compile(text, &names) {
            Err(error) if !matches!(error.fault, Fault::NoSymbol(_)) => return Err(explain(&error, text)),
            _ => {}
        }
        let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let moment = if words.into_iter().any(|word| word == "retval") { Moment::Return } else { Moment::Entry };
        if moment == Moment::Return && returns == Toggle::Off {
            return Err(ApiError::user(format!("`{text}`: retval is not known before the call has returned"))
                .with_hint("add --ret"));
        }
        Ok(Test { text: text.to_owned(), moment, compiled: HashMap::new() })
    }

    /// Whether a condition is true of a call whose function is entered at `place`; `None`: in a system call. What cannot
    /// be judged is true, as with breakpoints, and `tell` is told why: else the user would wait for ever.
    pub(super) fn agrees(
        &self,
        test: &mut Test,
        tid: Tid,
        regs: &Regs,
        place: Option<VirtAddr>,
        tell: impl FnOnce(String),
    ) -> Option<bool> {
        let process = self.process_of(tid)?;
        let space = self.spaces.get(&process.space)?;
        let modules = space.modules.modules().len();
        let compile = || {
            let compiled = self.compile_condition_at(&test.text, process.pid, place.unwrap_or(VirtAddr(0)));
            Compiled { expression: compiled.map(Arc::new).map_err(|error| error.message), modules }
        };
        let compiled = match test.compiled.entry((process.space, place)) {
            Entry::Occupied(known) if known.get().modules != modules => {
                let known = known.into_mut();
                *known = compile();
                known
            }
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(compile()),
        };
        let judged = compiled.expression.as_ref().map_err(String::clone).and_then(|expression| {
            holds(expression, regs, &self.inferior, self.who(tid), space).map_err(|error| error.to_string())
        });
        Some(judged.unwrap_or_else(|error| {
            tell(format!("the condition `{}` cannot be judged: {error}", test.text));
            true
        }))
    }

    /// Whether the conditions mean something in at least one of the places that a process has, or, where only system
    /// calls are traced, in the process.
    ///
    /// # Errors
    /// What the first place said.
    pub(in crate::engine) fn check_trace_conditions(&self) -> Result<(), ApiError> {
        let Some(quick) = self.trace.as_ref().and_then(|one| one.quick.as_ref()) else { return Ok(()) };
        let places = self.breakpoints.values().filter(|one| quick.breakpoints.contains(&one.id));
        let places = places.flat_map(|one| one.live()).filter_map(|(_, place)| {
            let pid = place.spaces.first().and_then(|space| self.pid_of_space(*space))?;
            Some((pid, place.addr))
        });
        let mut places: Vec<_> = places.take(TRIED).collect();
        if places.is_empty() && !quick.calls.is_empty() {
            places.extend(self.selected_pid().ok().map(|pid| (pid, VirtAddr(0))));
        }
        for test in quick.condition.iter().chain(&quick.stop_if) {
            let mut tried = places.iter().map(|(pid, at)| self.compile_condition_at(&test.text, *pid, *at));
            let Some(Err(first)) = tried.next() else { continue };
            if tried.all(|one| one.is_err()) {
                return Err(first);
            }
        }
        Ok(())
    }
}
