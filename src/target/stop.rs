//! What a SIGTRAP stop means: one pure function, one table test.

use crate::base::{ResumeHow, SigInfo, VirtAddr};
use crate::target::breakpoint::SiteTable;
use crate::target::debug_register::{DebugRegisters, RegisterSet};

/// SI_KERNEL of siginfo.h: what int3 gives on x86.
const SI_KERNEL: i32 = 0x80;
/// TRAP_BRKPT: a single-step that ended in a system call (arch/x86/kernel/signal: user_single_step_report).
const TRAP_BRKPT: i32 = 1;
/// TRAP_TRACE: a single-step.
const TRAP_TRACE: i32 = 2;
/// A single-step with a signal has ended at its handler's first instruction: `ptrace_notify(SIGTRAP)` gives the number
/// of the signal as code (kernel/signal.c, signal_delivered).
const HANDLER_ENTERED: i32 = 5;
/// TRAP_HWBKPT: a debug register.
pub const TRAP_HWBKPT: i32 = 4;

/// All that one stop with SIGTRAP can mean at once: a step can end on an instruction that has reached watched bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trap {
    /// What the thread was at.
    pub cause: TrapCause,
    /// The debug registers that were hit.
    pub registers: RegisterSet,
}

/// Why a task stopped with SIGTRAP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrapCause {
    /// It executed the int3 of this site; pc stands one past it.
    Site(VirtAddr),
    /// It executed the int3 of a site that is no more; pc is to be set back, and nothing happened.
    Retired(VirtAddr),
    /// The single-step that rdbg asked for is done.
    StepDone,
    /// Debug registers alone. Which: [`Trap::registers`]; none, where the ones that were hit are in use no more.
    Hardware,
    /// The program's own int3, or a SIGTRAP that somebody sent: the program's business.
    Own,
}

/// Whether DR6 tells something of a trap with this code (TRAP_TRACE is a step, to whose end registers can be hit too).
pub fn involves_registers(code: i32) -> bool {
    matches!(code, TRAP_HWBKPT | TRAP_TRACE)
}

/// Whether DR6 tells of debug registers that were hit or of a single step (Intel SDM vol. 3, 18.2.3: B0 to B3 and BS).
pub fn tells_exception(dr6: u64) -> bool {
    dr6 & 0x400f != 0
}

/// Classifies a signal-delivery-stop with SIGTRAP by its siginfo, DR6 (0 where it tells nothing), the pc, how the task
/// was resumed, the sites, and the debug registers in use.
pub fn classify_trap(
    siginfo: &SigInfo,
    dr6: u64,
    pc: VirtAddr,
    resumed: ResumeHow,
    sites: &SiteTable,
    registers: &DebugRegisters,
) -> Trap {
    let patched = VirtAddr(pc.0.wrapping_sub(1));
    let cause = match siginfo.code {
        SI_KERNEL if sites.find(patched).is_some() => TrapCause::Site(patched),
        SI_KERNEL if sites.is_retired(patched) => TrapCause::Retired(patched),
        TRAP_BRKPT | TRAP_TRACE | HANDLER_ENTERED if resumed == ResumeHow::Step => TrapCause::StepDone,
        TRAP_HWBKPT => TrapCause::Hardware,
        _ => TrapCause::Own,
    };
    let registers = match siginfo.code {
        code if involves_registers(code) => registers.hit(dr6),
        _ => RegisterSet::default(),
    };
    Trap { cause, registers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::plan_step_over;
    use crate::base::{Pid, Signal};
    use crate::target::breakpoint::{Owner, Site};
    use crate::target::debug_register::{Region, Trigger, Watcher};

    #[test]
    fn a_trap_has_a_cause_and_the_registers_that_were_hit() {
        let (armed, gone) = (VirtAddr(0x1000), VirtAddr(0x2000));
        let mut sites = SiteTable::default();
        for at in [armed, gone] {
            let step_over = plan_step_over(at, &[0x55]).unwrap();
            sites.insert(at, Site::new(0x55, step_over, Owner::Rendezvous));
        }
        sites.remove_owner(gone, Owner::Rendezvous);
        let mut registers = DebugRegisters::default();
        let watcher = Watcher { id: 1, location: 0 };
        let region = Region { watcher, at: VirtAddr(0x5000), length: 8, trigger: Trigger::Write, last: None };
        registers.add(region).unwrap();
        let (none, first) = (RegisterSet::default(), registers.hit(1));
        let (run, step) = (ResumeHow::Continue, ResumeHow::Step);
        let rows = [
            (0x80, 0, 0x1001, run, TrapCause::Site(armed), none),
            (0x80, 0, 0x1001, step, TrapCause::Site(armed), none),
            (0x80, 0, 0x2001, run, TrapCause::Retired(gone), none),
            (0x80, 0, 0x3001, run, TrapCause::Own, none),
            (2, 0, 0x1001, step, TrapCause::StepDone, none),
            (2, 0x4001, 0x1001, step, TrapCause::StepDone, first),
            (1, 0, 0x3000, step, TrapCause::StepDone, none),
            (5, 0, 0x3000, step, TrapCause::StepDone, none),
            (5, 0, 0x3000, run, TrapCause::Own, none),
            (2, 0, 0x3000, run, TrapCause::Own, none),
            (4, 1, 0x3000, run, TrapCause::Hardware, first),
            (4, 1, 0x3000, step, TrapCause::Hardware, first),
            (4, 8, 0x3000, run, TrapCause::Hardware, none),
            (0, 1, 0x1001, run, TrapCause::Own, none),
            (-6, 0, 0x1001, run, TrapCause::Own, none),
        ];
        for (code, dr6, pc, resumed, cause, hit) in rows {
            let siginfo = SigInfo { signal: Signal::TRAP, code, addr: VirtAddr(0), sender: Pid(0), user: 0, status: 0 };
            let trap = classify_trap(&siginfo, dr6, VirtAddr(pc), resumed, &sites, &registers);
            assert_eq!(trap, Trap { cause, registers: hit }, "{code:#x} at {pc:#x}");
        }
    }
}
