//! The live process: every ptrace request on it.

use std::ffi::OsString;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::ptr;

use libc::{c_uint, c_void};

use crate::base::{
    DebugRegister, ExtendedRegs, Inferior, InferiorError, Mapping, MemError, PendingScope, Pid, PtraceEvent, Regs,
    Resume, ResumeHow, RunRecord, SigInfo, Signal, SignalMasks, SyscallStop, Tid, TraceOptions, TrapOrder, VectorRegs,
    VirtAddr, WaitStatus, Witness,
};

use super::error::last_errno;
use super::mem::{load, store, MemFiles};
use super::reports::Reports;
use super::request::{debug_register_offset, failed, fetch, poke, request, set_pc};
use super::{extended, proc, refusal, Doorbell};

/// Calls of 64-bit code (include/uapi/linux/audit.h, AUDIT_ARCH_X86_64).
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

/// Tracing through ptrace(2). Requests are obeyed only from the thread that seized, hence it cannot leave its thread.
#[derive(Debug)]
pub struct LiveInferior {
    reports: Reports,
    mem: MemFiles,
    witness: Witness,
    not_send: PhantomData<*const ()>,
}

impl LiveInferior {
    /// The tracer of the calling thread, whose bell `doorbell` is ([`Doorbell::for_this_thread`]).
    pub fn new(doorbell: &Doorbell) -> LiveInferior {
        LiveInferior {
            reports: Reports::new(doorbell),
            mem: MemFiles::default(),
            witness: Witness::default(),
            not_send: PhantomData,
        }
    }

    /// A process that has ended, or executes a program, has another memory than before.
    fn forget_what_ended(&mut self, tid: Tid, status: WaitStatus) {
        if matches!(
            status,
            WaitStatus::Exited { .. } | WaitStatus::Signaled { .. } | WaitStatus::Event(PtraceEvent::Exec)
        ) {
            self.mem.forget(tid.as_leader_of());
        }
    }
}

fn proc_error(path: impl Into<PathBuf>, tid: Tid) -> impl FnOnce(io::Error) -> InferiorError {
    let path = path.into();
    move |error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => InferiorError::Gone(tid),
        _ => InferiorError::Proc { path, reason: error.to_string() },
    }
}

impl Inferior for LiveInferior {
    /// One waitpid(2). A blocking wait answers `None` when the doorbell was rung, which it takes.
    ///
    /// Only this thread's tracees and children are waited for (__WNOTHREAD), so that a process which another thread of
    /// rdbg has spawned is left to that thread. The tracer thread must have no children but those it launched to trace.
    fn wait(&mut self, block: bool) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        let report = self.reports.next(block)?;
        if let Some((tid, status)) = report {
            self.forget_what_ended(tid, status);
        }
        Ok(report)
    }

    fn order_traps(&mut self, order: TrapOrder) {
        self.reports.order(order);
    }

    fn collect_trap(&mut self, tid: Tid) {
        self.reports.collect(tid);
    }

    fn wait_for_task(&mut self, tid: Tid) -> Result<Option<WaitStatus>, InferiorError> {
        let report = self.reports.of_task(tid)?;
        if let Some(status) = report {
            self.forget_what_ended(tid, status);
        }
        Ok(report)
    }

    fn seize(&mut self, tid: Tid, options: TraceOptions) -> Result<(), InferiorError> {
        let mut flags = libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_TRACEVFORKDONE;
        if options.kill_on_exit {
            flags |= libc::PTRACE_O_EXITKILL;
        }
        if options.report_exit {
            flags |= libc::PTRACE_O_TRACEEXIT;
        }
        if options.report_filtered {
            flags |= libc::PTRACE_O_TRACESECCOMP;
        }
        match request(libc::PTRACE_SEIZE, tid, ptr::null_mut(), flags as usize as *mut c_void) {
            Ok(()) => Ok(()),
            Err(errno) => Err(refusal::explain_seize(tid, errno)),
        }
    }

    fn interrupt(&mut self, tid: Tid) -> Result<(), InferiorError> {
        request(libc::PTRACE_INTERRUPT, tid, ptr::null_mut(), ptr::null_mut())
            .map_err(|errno| failed("interrupt", tid, errno))
    }

    fn resume(&mut self, tid: Tid, resume: Resume) -> Result<(), InferiorError> {
        let what = match resume.how {
            ResumeHow::Continue => libc::PTRACE_CONT,
            ResumeHow::Step => libc::PTRACE_SINGLESTEP,
            ResumeHow::Syscall => libc::PTRACE_SYSCALL,
            ResumeHow::Listen => libc::PTRACE_LISTEN,
        };
        self.reports.goes_on(tid);
        let signal = resume.signal.map_or(0, |signal| signal.0 as usize);
        request(what, tid, ptr::null_mut(), signal as *mut c_void).map_err(|errno| failed("resume", tid, errno))
    }

    fn detach(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), InferiorError> {
        self.reports.goes_on(tid);
        let signal = signal.map_or(0, |signal| signal.0 as usize);
        request(libc::PTRACE_DETACH, tid, ptr::null_mut(), signal as *mut c_void)
            .map_err(|errno| failed("detach", tid, errno))
    }

    fn regs(&self, tid: Tid) -> Result<Regs, InferiorError> {
        if let Some(regs) = self.witness.regs(tid) {
            return Ok(regs);
        }
        // Regs has the layout of user_regs_struct (checked below), which PTRACE_GETREGS fills.
        fetch("registers", libc::PTRACE_GETREGS, tid)
    }

    fn set_regs(&mut self, tid: Tid, regs: &Regs) -> Result<(), InferiorError> {
        let data = ptr::from_ref(regs).cast_mut().cast();
        request(libc::PTRACE_SETREGS, tid, ptr::null_mut(), data)
            .map_err(|errno| failed("setting the registers", tid, errno))
    }

    fn set_pc(&mut self, tid: Tid, pc: VirtAddr) -> Result<(), InferiorError> {
        set_pc(tid, pc).map_err(|errno| failed("setting the program counter", tid, errno))
    }

    fn vector_regs(&self, tid: Tid) -> Result<VectorRegs, InferiorError> {
        if let Some(regs) = self.witness.vector_regs(tid) {
            return Ok(regs);
        }
        let state: libc::user_fpregs_struct = fetch("SSE registers", libc::PTRACE_GETFPREGS, tid)?;
        let mut regs = VectorRegs::default();
        for (xmm, words) in regs.xmm.iter_mut().zip(state.xmm_space.chunks_exact(4)) {
            for (slot, word) in xmm.chunks_exact_mut(4).zip(words) {
                slot.copy_from_slice(&word.to_le_bytes());
            }
        }
        for (slot, word) in regs.st0.chunks_exact_mut(4).zip(&state.st_space[..4]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Ok(regs)
    }

    fn extended_regs(&self, tid: Tid) -> Result<ExtendedRegs, InferiorError> {
        self.witness.extended_regs(tid).map_or_else(|| extended::fetch(tid), Ok)
    }

    fn set_extended_regs(&mut self, tid: Tid, regs: &ExtendedRegs) -> Result<(), InferiorError> {
        extended::store(tid, regs)
    }

    fn debug_register(&self, tid: Tid, register: DebugRegister) -> Result<u64, InferiorError> {
        let mut word = 0u64;
        // SAFETY: the raw system call stores the word through `data`, 8 bytes of a live local; the offset is one into
        // `struct user`, which the kernel checks.
        let got = unsafe {
            libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKUSER, tid.0, debug_register_offset(register), &mut word)
        };
        match got {
            0.. => Ok(word),
            _ => Err(failed("reading a debug register", tid, last_errno())),
        }
    }

    fn set_debug_register(&mut self, tid: Tid, register: DebugRegister, value: u64) -> Result<(), InferiorError> {
        let offset = debug_register_offset(register);
        request(libc::PTRACE_POKEUSER, tid, offset as *mut c_void, value as *mut c_void)
            .map_err(|errno| failed("setting a debug register", tid, errno))
    }

    fn syscall_stop(&self, tid: Tid) -> Result<SyscallStop, InferiorError> {
        // SAFETY: the structure is plain data, for which zeros are valid; the kernel stores at most the size that it is
        // given. `op` says which member of the union it has filled.
        unsafe {
            let mut info: libc::ptrace_syscall_info = std::mem::zeroed();
            let size = size_of_val(&info) as *mut c_void;
            let got = libc::syscall(libc::SYS_ptrace, libc::PTRACE_GET_SYSCALL_INFO, tid.0, size, &mut info);
            if got < 0 {
                return Err(failed("the system call", tid, last_errno()));
            }
            let (pc, sp) = (VirtAddr(info.instruction_pointer), VirtAddr(info.stack_pointer));
            Ok(match info.op {
                _ if info.arch != AUDIT_ARCH_X86_64 => SyscallStop::Other,
                libc::PTRACE_SYSCALL_INFO_ENTRY => {
                    SyscallStop::Entry { number: info.u.entry.nr, arguments: info.u.entry.args, pc, sp }
                }
                libc::PTRACE_SYSCALL_INFO_SECCOMP => {
                    SyscallStop::Entry { number: info.u.seccomp.nr, arguments: info.u.seccomp.args, pc, sp }
                }
                libc::PTRACE_SYSCALL_INFO_EXIT => SyscallStop::Return { value: info.u.exit.sval as u64, pc, sp },
                _ => SyscallStop::Other,
            })
        }
    }

    fn siginfo(&self, tid: Tid) -> Result<SigInfo, InferiorError> {
        let raw: libc::siginfo_t = fetch("siginfo", libc::PTRACE_GETSIGINFO, tid)?;
        let signal = Signal(raw.si_signo);
        // Codes up to 0 come from a process; above 0 the kernel sends, with a sender for SIGCHLD only.
        let from_process = raw.si_code <= 0 || signal == Signal::CHLD;
        // SAFETY: siginfo_t is 128 bytes of plain data; all members exist in the union, a wrong one is but a number.
        let (sender, user, status, addr) = unsafe { (raw.si_pid(), raw.si_uid(), raw.si_status(), raw.si_addr()) };
        Ok(SigInfo {
            signal,
            code: raw.si_code,
            addr: if from_process { VirtAddr(0) } else { VirtAddr(addr as u64) },
            sender: if from_process { Pid(sender) } else { Pid(0) },
            user: if from_process { user } else { 0 },
            status: if signal == Signal::CHLD { status } else { 0 },
        })
    }

    fn event_message(&self, tid: Tid) -> Result<u64, InferiorError> {
        fetch("event message", libc::PTRACE_GETEVENTMSG, tid)
    }

    fn read_mem(&self, pid: Pid, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        self.witness.read(pid, at, buf).unwrap_or_else(|| self.mem.read(pid, at, buf))
    }

    fn write_mem(&mut self, pid: Pid, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        let refused = match self.mem.write(pid, at, bytes) {
            Ok(()) => return Ok(()),
            Err(MemError::Gone) => return Err(MemError::Gone),
            Err(refused) => refused,
        };
        // Which task is stopped the kernel knows best: the others answer ESRCH.
        let threads = proc::read_threads(pid).unwrap_or_default();
        if threads.iter().any(|tid| poke(*tid, at, bytes).is_ok()) {
            return Ok(());
        }
        Err(refused)
    }

    fn load(&self, tid: Tid, at: VirtAddr, buf: &mut [u8]) -> Result<(), MemError> {
        load(tid, at, buf)
    }

    fn store(&mut self, tid: Tid, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        store(tid, at, bytes)
    }

    fn tkill(&mut self, pid: Pid, tid: Tid, signal: Signal) -> Result<(), InferiorError> {
        // SAFETY: tgkill(2) takes numbers only.
        match unsafe { libc::syscall(libc::SYS_tgkill, pid.0, tid.0, signal.0) } {
            0 => Ok(()),
            _ => Err(failed("tgkill", tid, last_errno())),
        }
    }

    fn kill(&mut self, pid: Pid, signal: Signal) -> Result<(), InferiorError> {
        // kill(2) gives 0, -1 and other negative numbers the meaning of groups and of everybody.
        if pid.0 <= 0 {
            return Err(failed("kill", pid.leader(), libc::EINVAL));
        }
        // SAFETY: kill(2) takes numbers only.
        match unsafe { libc::kill(pid.0, signal.0) } {
            0 => Ok(()),
            _ => Err(failed("kill", pid.leader(), last_errno())),
        }
    }

    fn threads(&self, pid: Pid) -> Result<Vec<Tid>, InferiorError> {
        proc::read_threads(pid).map_err(proc_error(format!("/proc/{pid}/task"), pid.leader()))
    }

    fn thread_group(&self, tid: Tid) -> Result<Pid, InferiorError> {
        proc::read_status(tid).map(|status| status.tgid).map_err(proc_error(format!("/proc/{tid}/status"), tid))
    }

    fn parent(&self, pid: Pid) -> Result<Pid, InferiorError> {
        let tid = pid.leader();
        proc::read_status(tid).map(|status| status.parent).map_err(proc_error(format!("/proc/{pid}/status"), tid))
    }

    fn comm(&self, pid: Pid, tid: Tid) -> Result<String, InferiorError> {
        proc::read_comm(pid, tid).map_err(proc_error(format!("/proc/{pid}/task/{tid}/comm"), tid))
    }

    fn exe(&self, pid: Pid) -> Result<PathBuf, InferiorError> {
        proc::read_exe(pid).map_err(proc_error(format!("/proc/{pid}/exe"), pid.leader()))
    }

    fn cmdline(&self, pid: Pid) -> Result<Vec<OsString>, InferiorError> {
        proc::read_cmdline(pid).map_err(proc_error(format!("/proc/{pid}/cmdline"), pid.leader()))
    }

    fn maps(&self, pid: Pid) -> Result<Vec<Mapping>, InferiorError> {
        proc::read_maps(pid).map_err(proc_error(format!("/proc/{pid}/maps"), pid.leader()))
    }

    fn auxv(&self, pid: Pid) -> Result<Vec<(u64, u64)>, InferiorError> {
        proc::read_auxv(pid).map_err(proc_error(format!("/proc/{pid}/auxv"), pid.leader()))
    }

    fn openable_path(&self, pid: Pid, mapping: &Mapping) -> Option<PathBuf> {
        proc::openable_path(pid, mapping)
    }

    fn pending_signals(&self, _pid: Pid, tid: Tid, scope: PendingScope) -> Result<u64, InferiorError> {
        let status = proc::read_status(tid).map_err(proc_error(format!("/proc/{tid}/status"), tid))?;
        let waiting = match scope {
            PendingScope::Task => status.pending,
            PendingScope::Group => status.pending | status.group_pending,
        };
        Ok(waiting & !status.blocked)
    }

    fn blocked_signals(&self, tid: Tid) -> Result<u64, InferiorError> {
        let mut mask = 0u64;
        // The address is the size of the kernel's sigset_t.
        let size = size_of::<u64>() as *mut c_void;
        request(libc::PTRACE_GETSIGMASK as c_uint, tid, size, (&raw mut mask).cast())
            .map_err(|errno| failed("the signal mask", tid, errno))?;
        Ok(mask)
    }

    fn block_signals(&mut self, tid: Tid, mask: u64) -> Result<(), InferiorError> {
        let size = size_of::<u64>() as *mut c_void;
        request(libc::PTRACE_SETSIGMASK as c_uint, tid, size, (&raw const mask).cast_mut().cast())
            .map_err(|errno| failed("setting the signal mask", tid, errno))
    }

    fn signal_masks(&self, tid: Tid) -> Option<SignalMasks> {
        let status = proc::read_status(tid).ok()?;
        let pending = (status.pending | status.group_pending) & !status.blocked;
        Some(SignalMasks { pending, ignored: status.ignored, caught: status.caught })
    }

    fn run_record(&self, tid: Tid) -> Option<RunRecord> {
        proc::read_sched(tid)
    }

    fn is_dead(&self, _pid: Pid, tid: Tid) -> bool {
        !proc::read_status(tid).is_ok_and(|status| !matches!(status.state, 'Z' | 'X'))
    }

    fn filters_syscalls(&self, tid: Tid, own: u32) -> bool {
        !proc::read_status(tid)
            .is_ok_and(|status| status.seccomp == 0 || own > 0 && status.seccomp_filters == Some(own))
    }

    fn shares_memory(&self, one: Tid, other: Tid) -> Option<bool> {
        /// KCMP_VM of <linux/kcmp.h>.
        const KCMP_VM: i32 = 1;
        // SAFETY: kcmp(2) takes numbers only.
        match unsafe { libc::syscall(libc::SYS_kcmp, one.0, other.0, KCMP_VM, 0, 0) } {
            0 => Some(true),
            1.. => Some(false),
            _ => None,
        }
    }

    fn witness(&mut self) -> &mut Witness {
        &mut self.witness
    }

    fn forget(&mut self, pid: Pid) {
        self.mem.forget(pid);
    }
}

// PTRACE_GETREGS writes a user_regs_struct into Regs.
const _: () = assert!(size_of::<Regs>() == size_of::<libc::user_regs_struct>());
const _: () = assert!(std::mem::offset_of!(Regs, rip) == std::mem::offset_of!(libc::user_regs_struct, rip));
const _: () = assert!(std::mem::offset_of!(Regs, gs) == std::mem::offset_of!(libc::user_regs_struct, gs));
