//! The seam between the engine and what it debugs: a live process, a core file, or a scripted fake.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{
    AddrRange, ExtendedRegs, MemError, Pid, Regs, RunRecord, Signal, Tid, VectorRegs, VirtAddr, WaitStatus, Witness,
};

/// Why an operation on a task failed.
#[derive(Debug, thiserror::Error)]
pub enum InferiorError {
    /// The task died, or left its ptrace-stop by SIGKILL. An answer, not a failure: a task can die between any two calls.
    #[error("task {0} has gone")]
    Gone(Tid),
    /// No task is traced (ECHILD).
    #[error("nothing is traced")]
    NothingTraced,
    /// A task could not be seized; the reason names the rule that refused and what to do.
    #[error("cannot attach to {tid}: {reason}")]
    Refused {
        /// Which task.
        tid: Tid,
        /// The rule, and what to do.
        reason: String,
    },
    /// Its memory.
    #[error(transparent)]
    Memory(#[from] MemError),
    /// Any other refusal of the kernel.
    #[error("{what} of task {tid} failed: {reason}")]
    Os {
        /// The request.
        what: &'static str,
        /// On which task.
        tid: Tid,
        /// The errno's text.
        reason: String,
    },
    /// A file under /proc.
    #[error("cannot read {path}: {reason}")]
    Proc {
        /// Which file.
        path: PathBuf,
        /// The errno's text.
        reason: String,
    },
}

impl InferiorError {
    /// What debugs without a CPU has none.
    pub(crate) fn no_debug_registers(tid: Tid) -> Self {
        InferiorError::Os { what: "debug registers", tid, reason: "there are none".to_string() }
    }
}

/// A debug register of x86.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DebugRegister {
    /// DR0 to DR3: an address.
    Address(u8),
    /// DR6: which of them were hit.
    Status,
    /// DR7: which are enabled, for what.
    Control,
}

/// How a stopped task goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// Until when.
    pub how: ResumeHow,
    /// The signal to deliver; only from a signal-delivery-stop does the kernel obey.
    pub signal: Option<Signal>,
}

impl Resume {
    /// On, with no signal.
    pub const CONTINUE: Resume = Resume { how: ResumeHow::Continue, signal: None };
}

/// The ptrace requests that resume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResumeHow {
    /// PTRACE_CONT.
    Continue,
    /// PTRACE_SINGLESTEP: one instruction.
    Step,
    /// PTRACE_SYSCALL: to the next entry or exit of a system call.
    Syscall,
    /// PTRACE_LISTEN: stay in group-stop, but report what happens.
    Listen,
}

/// What a syscall-stop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyscallStop {
    /// The call is about to be made.
    Entry {
        /// Its number.
        number: u64,
        /// Its parameters.
        arguments: [u64; 6],
        /// Where the thread stands: behind the instruction that makes the call.
        pc: VirtAddr,
        /// Its stack pointer.
        sp: VirtAddr,
    },
    /// It has been made.
    Return {
        /// What it returns; a negative number up to -4095 is an errno.
        value: u64,
        /// Where the thread stands.
        pc: VirtAddr,
        /// Its stack pointer.
        sp: VirtAddr,
    },
    /// The task stands in no syscall-stop, the call is one of 32-bit code, or the kernel does not say.
    Other,
}

/// When the stop of a SIGTRAP is collected (waitpid). Until then the kernel delivers the signal should the tracer die; after
/// that it forgets it, and the task goes on from where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TrapOrder {
    /// When it is reported.
    #[default]
    Collect,
    /// When the task goes on, or something else is waited for: for a target that has a handler which knows what to do.
    Owe,
}

/// Which events a seized task reports. EXEC, CLONE and SYSGOOD are always on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TraceOptions {
    /// PTRACE_O_EXITKILL: the task dies with rdbg. For what rdbg launched, never for what it attached to.
    pub kill_on_exit: bool,
    /// PTRACE_O_TRACEEXIT: stop at each task's exit.
    pub report_exit: bool,
    /// PTRACE_O_TRACESECCOMP: stop at each call that a filter of rdbg's own is to report.
    pub report_filtered: bool,
}

/// The parts of `siginfo_t` that rdbg uses (sigaction(2)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SigInfo {
    /// si_signo.
    pub signal: Signal,
    /// si_code: SI_KERNEL 0x80 and TRAP_BRKPT 1 for int3, TRAP_TRACE 2 for a step, TRAP_HWBKPT 4, SI_USER 0, SI_TKILL -6.
    pub code: i32,
    /// si_addr, where the code gives it.
    pub addr: VirtAddr,
    /// si_pid, where the code gives it.
    pub sender: Pid,
    /// si_uid, where the code gives it.
    pub user: u32,
    /// si_status of SIGCHLD: an exit status or a signal.
    pub status: i32,
}

/// One line of /proc/PID/maps (proc(5)).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Where.
    pub range: AddrRange,
    /// PROT_READ.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// PROT_EXEC.
    pub exec: bool,
    /// The offset into the file, bytes.
    pub file_offset: u64,
    /// The device and inode of the file; 0, 0 for none.
    pub file_id: (u64, u64),
    /// What is mapped.
    pub source: MappingSource,
}

/// What a mapping shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MappingSource {
    /// No file and no name.
    Anonymous,
    /// A file, as its path in the process's mount namespace.
    File {
        /// The path, without the kernel's " (deleted)".
        path: PathBuf,
        /// The file has been unlinked.
        deleted: bool,
    },
    /// A name in brackets: `[stack]`, `[vdso]`, `[heap]`.
    Special(String),
}

/// Everything the engine asks of what it debugs. Calls on tasks need the task in a ptrace-stop, unless said otherwise.
pub trait Inferior {
    /// The next task that changed state. With `block` false `None` means that none has; with `block` true `None` means
    /// that the wait was ended from outside (a doorbell, a signal to rdbg).
    fn wait(&mut self, block: bool) -> Result<Option<(Tid, WaitStatus)>, InferiorError>;

    /// When stops by SIGTRAP are collected from now on.
    fn order_traps(&mut self, _order: TrapOrder) {}

    /// Collects the stop of a SIGTRAP that is owed still.
    fn collect_trap(&mut self, _tid: Tid) {}

    /// What this task alone has to report, without waiting. A wait for any task takes the kernel a look at each that is
    /// traced; this one does not.
    fn wait_for_task(&mut self, tid: Tid) -> Result<Option<WaitStatus>, InferiorError>;

    /// PTRACE_SEIZE with fork, vfork, clone, exec, vfork-done and sysgood events. The task runs on.
    fn seize(&mut self, tid: Tid, options: TraceOptions) -> Result<(), InferiorError>;

    /// PTRACE_INTERRUPT: a running task reports [`super::PtraceEvent::Stop`] soon.
    fn interrupt(&mut self, tid: Tid) -> Result<(), InferiorError>;

    /// Lets a stopped task go on.
    fn resume(&mut self, tid: Tid, resume: Resume) -> Result<(), InferiorError>;

    /// PTRACE_DETACH: the stopped task goes on untraced, with the signal if one is given.
    fn detach(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), InferiorError>;

    /// The general registers.
    fn regs(&self, tid: Tid) -> Result<Regs, InferiorError>;

    /// Writes the general registers.
    fn set_regs(&mut self, tid: Tid, regs: &Regs) -> Result<(), InferiorError>;

    /// Writes rip alone (PTRACE_POKEUSER).
    fn set_pc(&mut self, tid: Tid, pc: VirtAddr) -> Result<(), InferiorError>;

    /// The SSE registers.
    fn vector_regs(&self, tid: Tid) -> Result<VectorRegs, InferiorError>;

    /// All registers beyond the general ones (PTRACE_GETREGSET): some kilobytes, so only when they are asked for.
    fn extended_regs(&self, tid: Tid) -> Result<ExtendedRegs, InferiorError>;

    /// Writes them.
    fn set_extended_regs(&mut self, tid: Tid, regs: &ExtendedRegs) -> Result<(), InferiorError>;

    /// What the task's syscall-stop is (PTRACE_GET_SYSCALL_INFO). What makes no system calls stands in none.
    fn syscall_stop(&self, _tid: Tid) -> Result<SyscallStop, InferiorError> {
        Ok(SyscallStop::Other)
    }

    /// A debug register of the task (Intel SDM vol. 3, 18.2), as the kernel keeps it for the task alone.
    fn debug_register(&self, tid: Tid, _register: DebugRegister) -> Result<u64, InferiorError> {
        Err(InferiorError::no_debug_registers(tid))
    }

    /// Writes a debug register of the task. The kernel refuses addresses of its own and what the CPU cannot watch.
    fn set_debug_register(&mut self, tid: Tid, _register: DebugRegister, _value: u64) -> Result<(), InferiorError> {
        Err(InferiorError::no_debug_registers(tid))
    }

    /// The siginfo of the stop.
    fn siginfo(&self, tid: Tid) -> Result<SigInfo, InferiorError>;

    /// PTRACE_GETEVENTMSG: the new task at a fork or clone, the old tid at an exec, the status at an exit.
    fn event_message(&self, tid: Tid) -> Result<u64, InferiorError>;

    /// Reads memory as the process sees it, rdbg's own patches included; the process need not be stopped. Returns how
    /// many bytes were read, see [`super::ReadMem::read_mem`].
    fn read_mem(&self, pid: Pid, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError>;

    /// Writes memory whatever its protection; the process need not be stopped, but where the kernel refuses /proc/PID/mem
    /// for code: then one of its threads has to stand.
    fn write_mem(&mut self, pid: Pid, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError>;

    /// Reads all of `buf` as an instruction of the task would: where the page may not be read it fails.
    fn load(&self, tid: Tid, at: VirtAddr, buf: &mut [u8]) -> Result<(), MemError>;

    /// Writes all of `bytes` as an instruction of the task would: where the page may not be written it fails, and then
    /// nothing is written. Bytes on two pages are refused, since the kernel could write those on the first alone.
    fn store(&mut self, tid: Tid, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError>;

    /// Sends a signal to one task, which need not be stopped.
    fn tkill(&mut self, pid: Pid, tid: Tid, signal: Signal) -> Result<(), InferiorError>;

    /// Sends a signal to the thread group.
    fn kill(&mut self, pid: Pid, signal: Signal) -> Result<(), InferiorError>;

    /// The tasks of a group, from /proc/PID/task.
    fn threads(&self, pid: Pid) -> Result<Vec<Tid>, InferiorError>;

    /// The group that a task belongs to (Tgid of /proc/TID/status).
    fn thread_group(&self, tid: Tid) -> Result<Pid, InferiorError>;

    /// The group that a group was started by, or init where that has ended (PPid of /proc/PID/status).
    fn parent(&self, pid: Pid) -> Result<Pid, InferiorError>;

    /// The task's name, at most 15 bytes.
    fn comm(&self, pid: Pid, tid: Tid) -> Result<String, InferiorError>;

    /// The path that /proc/PID/exe names, in the process's mount namespace.
    fn exe(&self, pid: Pid) -> Result<PathBuf, InferiorError>;

    /// The arguments.
    fn cmdline(&self, pid: Pid) -> Result<Vec<OsString>, InferiorError>;

    /// The mappings, in address order.
    fn maps(&self, pid: Pid) -> Result<Vec<Mapping>, InferiorError>;

    /// The auxiliary vector as (type, value) pairs (getauxval(3)).
    fn auxv(&self, pid: Pid) -> Result<Vec<(u64, u64)>, InferiorError>;

    /// A path on rdbg's side through which the file of a mapping can be opened, also when it was deleted or lies in
    /// another mount namespace: /proc/PID/map_files/.., /proc/PID/root/..
    fn openable_path(&self, pid: Pid, mapping: &Mapping) -> Option<PathBuf>;

    /// The signals that wait for this task and are not blocked: bit N-1 for signal N (SigPnd, ShdPnd, SigBlk of
    /// /proc/PID/task/TID/status).
    fn pending_signals(&self, pid: Pid, tid: Tid, scope: PendingScope) -> Result<u64, InferiorError>;

    /// The signals that the task blocks, or will when the call that it is in has ended (PTRACE_GETSIGMASK): bit N-1 for
    /// signal N.
    fn blocked_signals(&self, _tid: Tid) -> Result<u64, InferiorError> {
        Ok(0)
    }

    /// Sets the signals that the task blocks (PTRACE_SETSIGMASK).
    fn block_signals(&mut self, _tid: Tid, _mask: u64) -> Result<(), InferiorError> {
        Ok(())
    }

    /// Which signals wait for the task, and what it does with each; the task need not be stopped.
    fn signal_masks(&self, _tid: Tid) -> Option<SignalMasks> {
        None
    }

    /// What the scheduler keeps of the task, which need not be stopped; `None` where the kernel does not tell.
    fn run_record(&self, _tid: Tid) -> Option<RunRecord> {
        None
    }

    /// Whether the task is a zombie or gone: a leader that exits first stays so until the group ends, and reports
    /// nothing before.
    fn is_dead(&self, pid: Pid, tid: Tid) -> bool;

    /// Whether system calls of the task are filtered by more than `own` filters, or it is not known (seccomp(2)): one that
    /// rdbg has it make could be its end.
    fn filters_syscalls(&self, tid: Tid, own: u32) -> bool;

    /// Whether two tasks share their memory (kcmp(2), KCMP_VM); `None` where the kernel does not say.
    fn shares_memory(&self, one: Tid, other: Tid) -> Option<bool>;

    /// Who looks on at `regs`, `vector_regs`, `extended_regs` and `read_mem`, and can answer in their place.
    fn witness(&mut self) -> &mut Witness;

    /// Drops what is cached of a process's memory: after an exec, and when it is gone.
    fn forget(&mut self, pid: Pid);
}

/// Whose pending signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PendingScope {
    /// The task's own.
    Task,
    /// The task's own and its group's.
    Group,
}

/// Sets of signals: bit N-1 for signal N (SigPnd, ShdPnd, SigBlk, SigIgn, SigCgt of /proc/TID/status).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SignalMasks {
    /// They wait for the task or its group, and are not blocked.
    pub pending: u64,
    /// SIG_IGN.
    pub ignored: u64,
    /// They have a handler.
    pub caught: u64,
}

impl SignalMasks {
    /// The signals that do nothing to a program that has not asked for them: SIGCHLD, SIGCONT, SIGURG, SIGWINCH
    /// (signal(7), "Standard signals").
    const HARMLESS: u64 = 1 << 16 | 1 << 17 | 1 << 22 | 1 << 27;

    /// Whether the signal, delivered, ends a program that has not asked for it otherwise (signal(7)).
    pub fn is_deadly(&self, signal: Signal) -> bool {
        /// SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU.
        const STOPPING: u64 = 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21;
        1u64 << (signal.0 - 1).clamp(0, 63) & !(self.ignored | self.caught | Self::HARMLESS | STOPPING) != 0
    }

    /// Whether the signal, delivered, has an effect on the program. Untraced the others never reach a task: the kernel
    /// drops them when they are sent, but keeps them where a tracer is to see them.
    pub fn has_effect(&self, signal: Signal) -> bool {
        self.have_effect(1u64 << (signal.0 - 1).clamp(0, 63))
    }

    /// Whether one of those that wait has an effect on the program.
    pub fn pending_has_effect(&self) -> bool {
        self.have_effect(self.pending)
    }

    fn have_effect(&self, signals: u64) -> bool {
        signals & !(self.ignored | Self::HARMLESS & !self.caught) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_nobody_wants_has_no_effect() {
        let chld = 1u64 << (Signal::CHLD.0 - 1);
        let quiet = SignalMasks { pending: chld, ..SignalMasks::default() };
        assert!(!quiet.pending_has_effect() && quiet.has_effect(Signal::TERM));
        assert!(SignalMasks { caught: chld, ..quiet }.pending_has_effect());
        assert!(!SignalMasks { ignored: u64::MAX, ..quiet }.has_effect(Signal::TERM));
        assert!(!SignalMasks::default().has_effect(Signal::URG));
        assert!(SignalMasks::default().has_effect(Signal(64)));
    }

    #[test]
    fn a_signal_is_deadly_unless_something_is_done_about_it() {
        let masks = SignalMasks { caught: 1 << (Signal::SEGV.0 - 1), ..SignalMasks::default() };
        assert!(masks.is_deadly(Signal::TERM) && SignalMasks::default().is_deadly(Signal::SEGV));
        assert!(!masks.is_deadly(Signal::SEGV) && !masks.is_deadly(Signal::STOP) && !masks.is_deadly(Signal::URG));
    }
}
