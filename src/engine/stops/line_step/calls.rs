//! Calls that a step comes to: entered, or run over.

use super::place::Here;
use super::Phase;
use crate::api::{LineStepKind, StopReason, Toggle};
use crate::base::{AddrRange, Inferior, ReadMem, Regs, Tid, VirtAddr};
use crate::binary::dwarf::{CodePlace, Instance};
use crate::binary::symbols::demangle;
use crate::binary::SymbolKind;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;
use crate::target::address_space::LoadedModule;
use crate::target::breakpoint::CleanMemory;

/// The most instructions between a call and the function that it leads to, through stubs and thunks.
pub(super) const TRAMPOLINE: u32 = 6;
/// What a C++ handler calls first.
const BEGIN_CATCH: &str = "__cxa_begin_catch";

impl<I: Inferior> Engine<I> {
    /// Whether the call at the pc is the first of a handler (Itanium C++ ABI: Exception Handling, section 2.5.3).
    pub(super) fn handler_begins(&self, tid: Tid, regs: &Regs) -> bool {
        if !self.line_step.as_ref().is_some_and(|step| step.unwinding) {
            return false;
        }
        let Some(process) = self.process_of(tid) else { return false };
        let Some(space) = self.spaces.get(&process.space) else { return false };
        let memory =
            CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid: process.pid }, sites: &space.sites };
        let mut bytes = [0; 15];
        let got = memory.read_mem(regs.pc(), &mut bytes).unwrap_or(0);
        let target = crate::arch::direct_target(regs.pc(), &bytes[..got]);
        let named = target.and_then(|at| space.modules.find_symbol(at));
        named.is_some_and(|one| one.name.trim_end_matches("@plt") == BEGIN_CATCH)
    }

    /// A tail call: the new function returns to where the old one would have.
    pub(super) fn called_by_jump(&mut self, tid: Tid, regs: Regs) {
        let Some(return_to) = self.read_word(tid, regs.sp()) else { return self.finish_step(tid, StopReason::Step) };
        let cfa = regs.sp().offset(8);
        match self.line_step.as_ref().map(|step| step.kind) {
            Some(LineStepKind::Into) => self.entered(tid, regs, return_to, cfa, TRAMPOLINE),
            _ => self.run_to(tid, &regs, return_to, cfa),
        }
    }

    pub(super) fn read_word(&self, tid: Tid, at: VirtAddr) -> Option<VirtAddr> {
        let pid = self.threads.get(&tid)?.pid;
        let mut word = [0; 8];
        RawMemory { inferior: &self.inferior, pid }.read_exact(at, &mut word).ok()?;
        Some(VirtAddr(u64::from_le_bytes(word)))
    }

    /// `step` has made a call and stands at the callee's first instruction, or at a stub's.
    pub(super) fn entered(&mut self, tid: Tid, regs: Regs, return_to: VirtAddr, cfa: VirtAddr, left: u32) {
        if self.hits_breakpoint(tid, &regs) {
            return;
        }
        let here = self.here(tid, regs.pc());
        if here.line().is_some() {
            if self.is_skipped(tid, regs.pc(), &here) {
                return self.run_to(tid, &regs, return_to, cfa);
            }
            return self.enter_body(tid, regs, here);
        }
        if left == 0 || !self.is_trampoline(tid, &regs) {
            if let Some(target) = self.lazy_target(tid) {
                self.arm_return(tid, target, VirtAddr(cfa.0.wrapping_sub(8)));
            }
            return self.run_to(tid, &regs, return_to, cfa);
        }
        self.set_phase(Phase::Trampoline { return_to, cfa, left: left - 1 });
        self.step_on(tid, regs);
    }

    /// Runs through the prologue of a function that was entered.
    pub(super) fn enter_body(&mut self, tid: Tid, regs: Regs, here: Here) {
        let body = self.body_at(tid, regs.pc()).filter(|body| *body > regs.pc());
        let Some(body) = body else { return self.line_reached(tid, regs, here) };
        if let Some(step) = self.line_step.as_mut() {
            step.phase = Phase::Single;
            step.line = None;
            step.range = AddrRange { start: regs.pc(), end: body };
            step.copies = here.copies;
        }
        self.step_on(tid, regs);
    }

    /// Where the body of the function at an address begins.
    pub(in crate::engine) fn body_at(&self, tid: Tid, at: VirtAddr) -> Option<VirtAddr> {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id))?;
        let loaded = space.modules.module_at(at)?;
        Some(loaded.to_virt(loaded.module.dwarf().body_of(loaded.to_file(at))?))
    }

    pub(super) fn is_skipped(&self, tid: Tid, pc: VirtAddr, here: &Here) -> bool {
        let Some(space) = self.space_of(tid).and_then(|id| self.spaces.get(&id)) else { return false };
        let name = space.modules.find_symbol(pc).map(|one| demangle(&one.name).into_owned()).unwrap_or_default();
        self.skips_function(&name, here)
    }

    pub(super) fn skips_function(&self, name: &str, here: &Here) -> bool {
        let library = self.settings.skip_std == Toggle::On && super::super::skips::is_library(name);
        let file = here.place.as_ref().and_then(CodePlace::file).map(|file| file.path.as_str());
        library || self.skips.covers(name, file.unwrap_or_default())
    }

    /// Whether the code at the pc only leads on: a stub of the PLT, or a jump (a thunk's end).
    pub(super) fn is_trampoline(&mut self, tid: Tid, regs: &Regs) -> bool {
        let Some(process) = self.process_of(tid) else { return false };
        let Some(space) = self.spaces.get(&process.space) else { return false };
        if let Some(named) = space.modules.find_symbol(regs.pc()).filter(|one| one.kind == SymbolKind::Plt) {
            let stub = named.name.strip_suffix("@plt").map(str::to_owned);
            if let Some(step) = self.line_step.as_mut() {
                step.stub = stub;
            }
            return true;
        }
        let memory =
            CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid: process.pid }, sites: &space.sites };
        let mut bytes = [0; 15];
        let got = memory.read_mem(regs.pc(), &mut bytes).unwrap_or(0);
        crate::arch::leads_on(regs.pc(), &bytes[..got])
    }

    /// The function that a stub stands for, by the stub's name: the dynamic loader is about to look it up.
    pub(super) fn lazy_target(&self, tid: Tid) -> Option<VirtAddr> {
        let name = self.line_step.as_ref()?.stub.as_deref()?;
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id))?;
        let find = |loaded: &LoadedModule| {
            let symbol = loaded.module.symbols().find_exact(name)?;
            (symbol.kind == SymbolKind::Function).then(|| loaded.to_virt(symbol.address))
        };
        space.modules.modules().iter().find_map(find)
    }

    /// Whether `skip` covers a function that was inlined.
    pub(super) fn skips_inlined(&self, tid: Tid, here: &Here, call: &Instance) -> bool {
        let space = self.space_of(tid).and_then(|id| self.spaces.get(&id));
        let loaded = space.and_then(|space| space.modules.module_at(here.loaded_bias.to_virt(call.start())));
        let name = loaded.and_then(|loaded| loaded.module.dwarf().function_name(call.entry)).unwrap_or_default();
        self.skips_function(&name, here)
    }
}
