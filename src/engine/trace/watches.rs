//! `watchpoint:ADDRESS:LENGTH:MODE`: debug registers, by the breakpoints that the prompt's `watch` sets.

use super::Tracing;
use crate::api::{BreakpointAction, BreakpointSpec, ClientId, ModuleFilter, Toggle, WatchAccess, WatchSpec, Where};
use crate::base::Inferior;
use crate::engine::state::Engine;
use crate::lang::script::point::{Access, Point};

impl<I: Inferior> Engine<I> {
    /// A process has come, and its modules are known: its watchpoints are set. What can be watched is only in a process
    /// that there is, so the first one has them, and its children as copies.
    pub(in crate::engine) fn place_watches(&mut self) {
        let Some(mut tracing) = self.trace.take() else { return };
        if tracing.watches.is_empty() {
            self.place_watches_of(&mut tracing);
        }
        self.trace = Some(tracing);
    }

    fn place_watches_of(&mut self, tracing: &mut Tracing) {
        let program = std::sync::Arc::clone(tracing.machine.program());
        for (number, probe) in program.probes.iter().enumerate() {
            let Point::Watch { expression, length, access } = &probe.point else { continue };
            let breakpoint = BreakpointSpec {
                location: watched(expression, *length, *access),
                module: ModuleFilter::Any,
                condition: None,
                temporary: Toggle::Off,
                action: BreakpointAction::Trace,
                ignore: 0,
                limit: 1,
                max_rate: crate::api::MaxRate::Off,
            };
            match self.add_breakpoint(ClientId(0), breakpoint) {
                Ok(id) => drop(tracing.watches.insert(id, number as u32)),
                Err(error) => tracing.tell_once(format!("{} is not watched: {error}", probe.text)),
            }
        }
    }

    /// The end of a trace: nothing is watched any more.
    pub(super) fn drop_watches(&mut self, tracing: &mut Tracing) {
        for (id, _) in tracing.watches.drain() {
            self.delete_breakpoint(id);
        }
    }
}

fn watched(expression: &str, length: u64, access: Access) -> Where {
    let access = match access {
        Access::Execute => return Where::Hardware(Box::new(Where::Address(expression.to_owned()))),
        Access::Read => WatchAccess::Read,
        Access::Write => WatchAccess::Write,
        Access::Any => WatchAccess::Any,
    };
    Where::Watch(WatchSpec { expression: expression.to_owned(), length: Some(length), access })
}
