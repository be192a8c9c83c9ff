//! What only a tracer can put right. The guardian becomes one when rdbg's tracer thread has ended, not before: a task has
//! one tracer (PTRACE_SEIZE fails with EPERM).

use std::time::{Duration, Instant};

use crate::base::{DebugRegister, Pid, Tid, VirtAddr};
use crate::os::proc;
use crate::os::request::{debug_register_offset, fetch, peek, poke, request, set_pc};

use super::mend::INT3;

/// How long a process takes whose tracer is still on its way out, and whose threads have still to stop.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts, microseconds. An int3 or a register can be hit meanwhile; but the guardian comes before others
/// (SCHED_FIFO), and trying all the time it would take the CPU from rdbg's own end, which it waits for.
const AGAIN: libc::useconds_t = 200;

/// What is to be done to a process.
#[derive(Default)]
pub(super) struct Repair {
    /// Its bytes that the kernel lets nobody write through /proc/PID/mem.
    pub(super) bytes: Vec<(VirtAddr, u8)>,
    /// Its threads have debug registers set.
    pub(super) registers: bool,
}

impl Repair {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.registers
    }
}

/// What has been done.
#[derive(Default)]
pub(super) struct Repaired {
    /// How many bytes were restored.
    pub(super) bytes: usize,
    /// In how many threads the debug registers were cleared.
    pub(super) threads: usize,
}

/// Seizes all threads, and lets each go when it is as it was. All are seized before the first is stopped: what a seized
/// thread runs into no longer kills it.
pub(super) fn repair(pid: Pid, what: &Repair) -> Repaired {
    let end = Instant::now() + PATIENCE;
    let mut repaired = Repaired::default();
    let threads = proc::read_threads(pid).unwrap_or_default();
    let mut seized: Vec<Tid> = threads.into_iter().filter(|tid| seize(*tid, end)).collect();
    for tid in &seized {
        // Gone is an answer, here and below.
        let _ = request(libc::PTRACE_INTERRUPT, *tid, std::ptr::null_mut(), std::ptr::null_mut());
    }
    let mut to_poke = what.bytes.as_slice();
    while !seized.is_empty() && Instant::now() < end {
        seized.retain(|tid| match stop_of(*tid) {
            Stop::None => true,
            Stop::Gone => false,
            Stop::At(signal) => {
                repaired.bytes += std::mem::take(&mut to_poke).iter().filter(|one| put_back(*tid, **one)).count();
                repaired.threads += usize::from(what.registers && clear_registers(*tid));
                let owed = if is_ours(*tid, signal, what) { 0 } else { signal };
                let _ = request(libc::PTRACE_DETACH, *tid, std::ptr::null_mut(), owed as usize as *mut libc::c_void);
                false
            }
        });
        // SAFETY: usleep takes a number.
        unsafe { libc::usleep(AGAIN) };
    }
    repaired
}

/// Until rdbg's tracer thread has ended the task is still its.
fn seize(tid: Tid, end: Instant) -> bool {
    loop {
        match request(libc::PTRACE_SEIZE, tid, std::ptr::null_mut(), std::ptr::null_mut()) {
            Ok(()) => return true,
            Err(libc::EPERM) if Instant::now() < end => {}
            Err(_) => return false,
        }
        // SAFETY: usleep takes a number.
        unsafe { libc::usleep(AGAIN) };
    }
}

enum Stop {
    None,
    /// The thread has ended.
    Gone,
    /// It stands, with this signal to be delivered, or 0.
    At(libc::c_int),
}

/// What a thread reports by now. The call does not wait: rdbg's end is told by a signal as well (PR_SET_PDEATHSIG), at any
/// time, which would interrupt it, and a thread that is given up for that keeps what rdbg has left.
fn stop_of(tid: Tid) -> Stop {
    let mut status = 0;
    // SAFETY: waitpid writes to an int that lives over the call.
    match unsafe { libc::waitpid(tid.0, &mut status, libc::__WALL | libc::WNOHANG) } {
        0 => Stop::None,
        // A signal that came before the interrupt; an event has none to deliver.
        got if got == tid.0 && libc::WIFSTOPPED(status) => {
            Stop::At(if status >> 16 == 0 { libc::WSTOPSIG(status) } else { 0 })
        }
        _ => Stop::Gone,
    }
}

/// Writes a byte back if its int3 stands there still.
fn put_back(tid: Tid, (at, original): (VirtAddr, u8)) -> bool {
    peek(tid, at).is_ok_and(|word| word as u8 == INT3) && poke(tid, at, &[original]).is_ok()
}

fn clear_registers(tid: Tid) -> bool {
    let control = debug_register_offset(DebugRegister::Control) as *mut libc::c_void;
    request(libc::PTRACE_POKEUSER, tid, control, std::ptr::null_mut()).is_ok()
}

/// Whether the signal is a trap of what rdbg left: a debug register, or an int3, to whose place the thread then goes back.
fn is_ours(tid: Tid, signal: libc::c_int, what: &Repair) -> bool {
    if signal != libc::SIGTRAP {
        return false;
    }
    if what.registers && is_hardware_trap(tid) {
        return true;
    }
    let Ok(regs) = fetch::<libc::user_regs_struct>("registers", libc::PTRACE_GETREGS, tid) else { return false };
    let at = VirtAddr(regs.rip.wrapping_sub(1));
    what.bytes.iter().any(|(site, _)| *site == at) && set_pc(tid, at).is_ok()
}

fn is_hardware_trap(tid: Tid) -> bool {
    /// TRAP_HWBKPT of siginfo.h.
    const HARDWARE: i32 = 4;
    fetch::<libc::siginfo_t>("siginfo", libc::PTRACE_GETSIGINFO, tid).is_ok_and(|info| info.si_code == HARDWARE)
}
