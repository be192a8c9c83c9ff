//! An `int3` that is not in the program's file: a debugger that was killed has left it there (rdbg, when its guardian was
//! killed with it), and who runs into it dies of SIGTRAP.

use crate::api::Event;
use crate::base::{Inferior, MappingSource, Pid, Regs, SigInfo, Signal, Tid, VirtAddr};
use crate::engine::state::Engine;
use crate::target::address_space::AddressSpace;
use crate::target::breakpoint::INT3;

/// SI_KERNEL, which int3 gives (arch/x86/kernel/traps.c, do_int3_user).
const SI_KERNEL: i32 = 0x80;

/// The byte of the file where such an `int3` stands. Not for what the program can have written itself: the mapping is of a
/// file, executable and not writable, and the program has no handler of SIGTRAP. Not where the kernel may have put it: a uprobe's.
pub(super) fn leftover_byte<I: Inferior>(inferior: &I, pid: Pid, modules: &AddressSpace, at: VirtAddr) -> Option<u8> {
    let mut now = [0];
    let there = inferior.read_mem(pid, at, &mut now).is_ok_and(|got| got == 1) && now == [INT3];
    let loaded = modules.module_at(at).filter(|_| there)?;
    let original = *loaded.module.bytes_at(loaded.to_file(at), 1)?.first()?;
    let handles_traps = |masks: crate::base::SignalMasks| masks.caught & 1 << (Signal::TRAP.0 - 1) != 0;
    if original == INT3 || inferior.signal_masks(pid.leader()).is_some_and(handles_traps) {
        return None;
    }
    let maps = inferior.maps(pid).ok()?;
    let of_uprobes = |source: &MappingSource| matches!(source, MappingSource::Special(name) if name == "[uprobes]");
    let text = maps.iter().find(|one| one.range.contains(at))?;
    let is_text = text.exec && !text.write && matches!(text.source, MappingSource::File { .. });
    (is_text && !maps.iter().any(|one| of_uprobes(&one.source))).then_some(original)
}

impl<I: Inferior> Engine<I> {
    /// Whether a SIGTRAP that is none of rdbg's comes from such an `int3`: then the byte is the file's again, and the thread
    /// goes on from before it.
    pub(in crate::engine) fn mend_leftover(&mut self, tid: Tid, siginfo: &SigInfo, regs: &Regs) -> bool {
        let at = VirtAddr(regs.rip.wrapping_sub(1));
        let Some((pid, space)) = self.process_of(tid).map(|one| (one.pid, one.space)) else { return false };
        let Some(one) = self.spaces.get_mut(&space).filter(|_| siginfo.code == SI_KERNEL) else { return false };
        let Some(original) = leftover_byte(&self.inferior, pid, &one.modules, at) else { return false };
        if self.inferior.write_mem(pid, at, &[original]).is_err() {
            return false;
        }
        // Others may have run into it too, and are still to report it.
        one.sites.retire(at, original);
        let text =
            format!("{}: restored, or process {pid} would have ended by SIGTRAP", self.describe_leftover(pid, at));
        self.emit(Event::Notice { text });
        let _ = self.inferior.set_pc(tid, at);
        self.go_on(tid);
        true
    }

    /// Says that such a byte stands where a breakpoint is set.
    pub(super) fn tell_leftover(&mut self, pid: Pid, at: VirtAddr) {
        let text = self.describe_leftover(pid, at);
        self.emit(Event::Notice { text: format!("{text}: it goes when the breakpoint goes") });
    }

    fn describe_leftover(&self, pid: Pid, at: VirtAddr) -> String {
        let loaded = self.space_of_pid(pid).ok().and_then(|space| space.modules.module_at(at));
        let (name, offset) = loaded.map_or_else(Default::default, |one| (one.name(), one.to_file(at)));
        format!("1 byte of {name} at {offset} ({at}) is an int3 that is not in its file, left by a debugger that was killed")
    }
}
