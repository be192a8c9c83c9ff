//! `advance` and `until PLACE`: run to a place, or to the end of the frame.

use super::stepping::{AfterReturn, Others, StepGoal};
use crate::api::{ApiError, Reply};
use crate::base::{Inferior, Tid, VirtAddr};
use crate::binary::dwarf::SourceName;
use crate::engine::inspect::source::split_file_line;
use crate::engine::state::Engine;

impl<I: Inferior> Engine<I> {
    /// Lets the target go until the selected thread comes to the place, or its frame returns.
    pub(in crate::engine) fn advance(&mut self, text: &str) -> Result<Reply, ApiError> {
        let tid = self.selected_tid()?;
        let pc = self.inferior.regs(tid).map_err(|error| ApiError::target(error.to_string()))?.pc();
        let places = self.addresses_of_place(tid, text)?;
        for at in &places {
            if !self.arm_anywhere(tid, *at) {
                self.forget_returns_of(tid);
                return Err(ApiError::target(format!("cannot set a breakpoint at {at}")));
            }
        }
        let frames = self.frames_of(tid, 2);
        if let [frame, caller, ..] = frames.as_slice() {
            if let Some(cfa) = frame.cfa {
                self.arm_return(tid, caller.address.pc(), cfa);
            }
        }
        self.steps.insert(tid, StepGoal::Return { then: AfterReturn::Advance });
        self.note_told(tid, pc);
        self.go_with(tid, Others::Run);
        Ok(Reply::Resumed)
    }

    /// FILE:LINE, LINE, a function's body, or an address.
    fn addresses_of_place(&self, tid: Tid, text: &str) -> Result<Vec<VirtAddr>, ApiError> {
        let line = match text.parse::<u32>() {
            Ok(line) => Some((self.current_file()?, line)),
            Err(_) => split_file_line(text).map(|(file, line)| (self.sources.unmapped(file), line)),
        };
        let Some((file, line)) = line else {
            let at = self.evaluate_address(text.trim_start_matches('*'))?;
            let body = if text.starts_with('*') { None } else { self.body_at(tid, at) };
            return Ok(vec![body.unwrap_or(at)]);
        };
        let name = SourceName::new(&file);
        let space = self.space_of_pid(self.selected_pid()?)?;
        let modules = space.modules.modules().iter();
        let in_module = |loaded: &crate::target::address_space::LoadedModule| {
            let addresses = loaded.module.dwarf().addresses_of_line(&name, line).addresses;
            addresses.into_iter().map(|at| loaded.to_virt(at)).collect::<Vec<_>>()
        };
        let found: Vec<VirtAddr> = modules.flat_map(in_module).collect();
        match found.is_empty() {
            true => Err(ApiError::user(crate::engine::inspect::source::no_such_file(&file))),
            false => Ok(found),
        }
    }
}
