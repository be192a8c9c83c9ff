//! What a SIGTRAP stop means: one pure function, one table test.

use crate::base::{ResumeHow, SigInfo, VirtAddr};
use crate::target::breakpoint::SiteTable;

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
const TRAP_HWBKPT: i32 = 4;

/// Why a task stopped with SIGTRAP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrapCause {
    /// It executed the int3 of this site; pc stands one past it.
    Site(VirtAddr),
    /// It executed the int3 of a site that is no more; pc is to be set back, and nothing happened.
    Retired(VirtAddr),
    /// The single-step that rdbg asked for is done.
    StepDone,
    /// A debug register.
    Hardware,
    /// The program's own int3, or a SIGTRAP that somebody sent: the program's business.
    Own,
}

/// Classifies a signal-delivery-stop with SIGTRAP by its siginfo, the pc, how the task was resumed, and the sites.
pub fn classify_trap(siginfo: &SigInfo, pc: VirtAddr, resumed: ResumeHow, sites: &SiteTable) -> TrapCause {
    let patched = VirtAddr(pc.0.wrapping_sub(1));
    match siginfo.code {
        SI_KERNEL if sites.find(patched).is_some() => TrapCause::Site(patched),
        SI_KERNEL if sites.is_retired(patched) => TrapCause::Retired(patched),
        TRAP_BRKPT | TRAP_TRACE | HANDLER_ENTERED if resumed == ResumeHow::Step => TrapCause::StepDone,
        TRAP_HWBKPT => TrapCause::Hardware,
        _ => TrapCause::Own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::plan_step_over;
    use crate::base::{Pid, Signal};
    use crate::target::breakpoint::{Owner, Site};

    #[test]
    fn each_trap_has_one_cause() {
        let (armed, gone) = (VirtAddr(0x1000), VirtAddr(0x2000));
        let mut sites = SiteTable::default();
        for at in [armed, gone] {
            let step_over = plan_step_over(at, &[0x55]).unwrap();
            sites.insert(at, Site::new(0x55, step_over, Owner::Rendezvous));
        }
        sites.remove_owner(gone, Owner::Rendezvous);
        let run = ResumeHow::Continue;
        let rows = [
            (0x80, 0x1001, run, TrapCause::Site(armed)),
            (0x80, 0x1001, ResumeHow::Step, TrapCause::Site(armed)),
            (0x80, 0x2001, run, TrapCause::Retired(gone)),
            (0x80, 0x3001, run, TrapCause::Own),
            (2, 0x1001, ResumeHow::Step, TrapCause::StepDone),
            (1, 0x3000, ResumeHow::Step, TrapCause::StepDone),
            (5, 0x3000, ResumeHow::Step, TrapCause::StepDone),
            (5, 0x3000, run, TrapCause::Own),
            (2, 0x3000, run, TrapCause::Own),
            (4, 0x3000, run, TrapCause::Hardware),
            (0, 0x1001, run, TrapCause::Own),
            (-6, 0x1001, run, TrapCause::Own),
        ];
        for (code, pc, resumed, cause) in rows {
            let siginfo = SigInfo { signal: Signal::TRAP, code, addr: VirtAddr(0), sender: Pid(0) };
            assert_eq!(classify_trap(&siginfo, VirtAddr(pc), resumed, &sites), cause, "{code:#x} at {pc:#x}");
        }
    }
}
