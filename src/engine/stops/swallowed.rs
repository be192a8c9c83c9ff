//! A SIGTRAP that somebody sends to a thread can swallow the one of an int3.
//!
//! The kernel keeps one standard signal of each number for a thread (signal(7); legacy_queue in kernel/signal.c). One that
//! is sent to a thread just before it executes an int3 of ours is still pending then, and the int3's is dropped: what is
//! reported is somebody's SIGTRAP, of a thread that is one past a site and has not executed the displaced instruction.

use crate::arch::{past_first_byte, PastFirstByte};
use crate::base::{Inferior, ReadMem, Regs, SigInfo, Tid, VirtAddr};
use crate::engine::breakpoints::placing::LONGEST_INSTRUCTION;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;
use crate::target::breakpoint::CleanMemory;

impl<I: Inferior> Engine<I> {
    /// Puts a thread that stands with somebody's SIGTRAP back before the site whose int3 it has executed unseen: it hits
    /// the site again when the signal has been dealt with. `regs` as they were reported.
    pub(super) fn undo_swallowed(&mut self, tid: Tid, siginfo: &SigInfo, regs: &Regs) {
        // Codes above 0 are the kernel's own: then nothing was pending before.
        if siginfo.code > 0 {
            return;
        }
        let at = VirtAddr(regs.rip.wrapping_sub(1));
        if self.has_executed_int3(tid, at, regs) == Some(true) {
            // Gone is an answer, which the wait reports.
            let _ = self.inferior.set_pc(tid, at);
        }
    }

    /// Whether a thread that is one past a site, or past where one was, got there by its int3; `None`: it is not there.
    fn has_executed_int3(&self, tid: Tid, at: VirtAddr, regs: &Regs) -> Option<bool> {
        let process = self.process_of(tid)?;
        let space = self.spaces.get(&process.space)?;
        if space.sites.find(at).is_none() && !space.sites.is_retired(at) {
            return None;
        }
        let memory =
            CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid: process.pid }, sites: &space.sites };
        let mut bytes = [0; LONGEST_INSTRUCTION];
        let got = memory.read_mem(at, &mut bytes).ok()?;
        Some(match past_first_byte(at, &bytes[..got]) {
            PastFirstByte::Amid | PastFirstByte::Nop => true,
            PastFirstByte::Push(register) => memory.read_u64(regs.sp()).ok()? != register.read(regs),
            PastFirstByte::Unknown => false,
        })
    }
}
