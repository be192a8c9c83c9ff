//! The live process: every ptrace request, and the one wait.

use std::ffi::OsString;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::ptr;

use libc::{c_int, c_uint, c_void};

use crate::base::{
    DebugRegister, Inferior, InferiorError, Mapping, MemError, PendingScope, Pid, PtraceEvent, Regs, Resume, ResumeHow,
    RunRecord, SigInfo, Signal, SignalMasks, SyscallStop, Tid, TraceOptions, TrapOrder, VectorRegs, VirtAddr,
    WaitStatus, Witness,
};

use super::error::{errno_text, last_errno};
use super::mem::{load, store, MemFiles};
use super::{proc, refusal, Doorbell};

/// Calls of 64-bit code (include/uapi/linux/audit.h, AUDIT_ARCH_X86_64).
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

/// Tracing through ptrace(2). Requests are obeyed only from the thread that seized, hence it cannot leave its thread.
#[derive(Debug)]
pub struct LiveInferior {
    doorbell: Doorbell,
    mem: MemFiles,
    order: TrapOrder,
    /// The task whose SIGTRAP has been reported and not collected.
    owed: Option<Tid>,
    /// What was found instead when one was to be collected: the task has been killed.
    instead: Option<(Tid, WaitStatus)>,
    witness: Witness,
    not_send: PhantomData<*const ()>,
}

impl LiveInferior {
    /// The tracer of the calling thread, whose bell `doorbell` is ([`Doorbell::for_this_thread`]).
    pub fn new(doorbell: &Doorbell) -> LiveInferior {
        let (mem, order) = (MemFiles::default(), TrapOrder::default());
        let witness = Witness::default();
        LiveInferior {
            doorbell: doorbell.clone(),
            mem,
            order,
            owed: None,
            instead: None,
            witness,
            not_send: PhantomData,
        }
    }

    /// One PTRACE_PEEKTEXT / POKETEXT round: the word at `at`.
    fn peek(tid: Tid, at: VirtAddr) -> Result<u64, c_int> {
        let mut word = 0u64;
        // The raw system call, unlike glibc's wrapper, stores the word through `data`.
        // SAFETY: the kernel writes 8 bytes to `word`; the address is read in the tracee and checked there.
        let got = unsafe { libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKTEXT, tid.0, at.0, &mut word) };
        if got < 0 {
            return Err(last_errno());
        }
        Ok(word)
    }

    /// waitpid(2) of one task, or with -1 of any; `None` when none has reported, or the doorbell was rung.
    fn wait_pid(&mut self, pid: c_int, flags: c_int) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        let flags = flags | libc::__WALL | libc::__WNOTHREAD;
        loop {
            let mut status = 0;
            // SAFETY: the kernel writes an int to `status`.
            let got = unsafe { libc::waitpid(pid, &mut status, flags) };
            match got {
                0 => return Ok(None),
                -1 => match last_errno() {
                    libc::EINTR if flags & libc::WNOHANG == 0 => {
                        self.doorbell.take();
                        return Ok(None);
                    }
                    libc::EINTR => {}
                    libc::ECHILD => return Err(InferiorError::NothingTraced),
                    errno => return Err(failed("wait", Tid(pid), errno)),
                },
                tid => {
                    let tid = Tid(tid);
                    let Some(decoded) = parse_wait_status(status) else {
                        tracing::warn!(%tid, status, "a wait status that rdbg does not know");
                        continue;
                    };
                    if matches!(
                        decoded,
                        WaitStatus::Exited { .. } | WaitStatus::Signaled { .. } | WaitStatus::Event(PtraceEvent::Exec)
                    ) {
                        self.forget(tid.as_leader_of());
                    }
                    return Ok(Some((tid, decoded)));
                }
            }
        }
    }

    /// A wait for any task that leaves a SIGTRAP's stop to be collected.
    fn wait_owing(&mut self, flags: c_int) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        loop {
            // SAFETY: the kernel fills a siginfo that lives over the call, for which zeroes are valid. The members that are
            // read are those that it sets for a child (waitid(2)).
            let (answer, pid, code, status) = unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                let how = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | libc::__WALL | libc::__WNOTHREAD | flags;
                let answer = libc::waitid(libc::P_ALL, 0, &mut info, how);
                (answer, info.si_pid(), info.si_code, info.si_status())
            };
            match answer {
                0 if pid == 0 => return Ok(None),
                0 if code == libc::CLD_TRAPPED && status == libc::SIGTRAP => {
                    self.owed = Some(Tid(pid));
                    return Ok(Some((Tid(pid), WaitStatus::SignalDelivery(Signal::TRAP))));
                }
                0 => {
                    // Nothing else is owed. Between the two calls it can have been killed.
                    if let Some(report) = self.wait_pid(pid, libc::WNOHANG)? {
                        return Ok(Some(report));
                    }
                }
                _ => match last_errno() {
                    libc::EINTR if flags & libc::WNOHANG == 0 => {
                        self.doorbell.take();
                        return Ok(None);
                    }
                    libc::EINTR => {}
                    libc::ECHILD => return Err(InferiorError::NothingTraced),
                    errno => return Err(failed("wait", Tid(-1), errno)),
                },
            }
        }
    }

    /// Collects the stop that is owed, if any: a wait would report it again.
    fn collect_owed(&mut self) {
        let Some(tid) = self.owed.take() else { return };
        match self.wait_pid(tid.0, libc::WNOHANG) {
            Ok(Some((_, WaitStatus::SignalDelivery(Signal::TRAP)))) | Ok(None) | Err(_) => {}
            Ok(other) => self.instead = other,
        }
    }

    /// It goes on: the kernel forgets its signal with that (ptrace_resume), collected or not.
    fn no_more_owed(&mut self, tid: Tid) {
        self.owed.take_if(|owed| *owed == tid);
    }

    /// Writes through PTRACE_POKETEXT, for kernels that refuse writes to /proc/PID/mem (proc_mem.force_override=never).
    fn poke(&self, tid: Tid, at: VirtAddr, bytes: &[u8]) -> Result<(), c_int> {
        let first = at.0 & !7;
        let end = at.0.wrapping_add(bytes.len() as u64);
        let mut word_at = first;
        while word_at < end {
            let mut word = Self::peek(tid, VirtAddr(word_at))?.to_le_bytes();
            for (index, slot) in word.iter_mut().enumerate() {
                let byte_at = word_at + index as u64;
                if (at.0..end).contains(&byte_at) {
                    *slot = bytes[(byte_at - at.0) as usize];
                }
            }
            let value = u64::from_le_bytes(word);
            request(libc::PTRACE_POKETEXT, tid, word_at as *mut c_void, value as *mut c_void)?;
            word_at += 8;
        }
        Ok(())
    }
}

/// One ptrace request that answers 0.
fn request(what: c_uint, tid: Tid, addr: *mut c_void, data: *mut c_void) -> Result<(), c_int> {
    // SAFETY: each caller passes what its request asks for: numbers, or a pointer to a live local of the size that the
    // request reads or writes. The tracee's own addresses are checked by the kernel.
    match unsafe { libc::ptrace(what, tid.0, addr, data) } {
        -1 => Err(last_errno()),
        _ => Ok(()),
    }
}

/// ESRCH says that the task is gone, or was killed out of its stop: an answer.
fn failed(what: &'static str, tid: Tid, errno: c_int) -> InferiorError {
    match errno {
        libc::ESRCH => InferiorError::Gone(tid),
        _ => InferiorError::Os { what, tid, reason: errno_text(errno) },
    }
}

/// A request whose data is a struct that the kernel fills.
fn fetch<T>(name: &'static str, what: c_uint, tid: Tid) -> Result<T, InferiorError> {
    let mut value = MaybeUninit::<T>::zeroed();
    request(what, tid, ptr::null_mut(), value.as_mut_ptr().cast()).map_err(|errno| failed(name, tid, errno))?;
    // SAFETY: callers choose T to be the request's plain-data struct, for which zeroes and any bytes are valid.
    Ok(unsafe { value.assume_init() })
}

/// Where PTRACE_PEEKUSER and PTRACE_POKEUSER have a debug register.
fn debug_register_offset(register: DebugRegister) -> usize {
    let number = match register {
        DebugRegister::Address(number) => usize::from(number & 3),
        DebugRegister::Status => 6,
        DebugRegister::Control => 7,
    };
    std::mem::offset_of!(libc::user, u_debugreg) + number * size_of::<u64>()
}

fn proc_error(path: impl Into<PathBuf>, tid: Tid) -> impl FnOnce(io::Error) -> InferiorError {
    let path = path.into();
    move |error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => InferiorError::Gone(tid),
        _ => InferiorError::Proc { path, reason: error.to_string() },
    }
}

/// Decodes the status of a wait for a seized tracee; `None` for what none can report (ptrace(2), "Stopped states").
pub fn parse_wait_status(status: c_int) -> Option<WaitStatus> {
    if libc::WIFEXITED(status) {
        return Some(WaitStatus::Exited { code: libc::WEXITSTATUS(status) });
    }
    if libc::WIFSIGNALED(status) {
        return Some(WaitStatus::Signaled { signal: Signal(libc::WTERMSIG(status)) });
    }
    if !libc::WIFSTOPPED(status) {
        return None;
    }
    let signal = libc::WSTOPSIG(status);
    Some(match status >> 16 {
        // PTRACE_O_TRACESYSGOOD sets bit 7, which no signal has.
        0 if signal == libc::SIGTRAP | 0x80 => WaitStatus::SyscallStop,
        0 => WaitStatus::SignalDelivery(Signal(signal)),
        libc::PTRACE_EVENT_FORK => WaitStatus::Event(PtraceEvent::Fork),
        libc::PTRACE_EVENT_VFORK => WaitStatus::Event(PtraceEvent::Vfork),
        libc::PTRACE_EVENT_CLONE => WaitStatus::Event(PtraceEvent::Clone),
        libc::PTRACE_EVENT_EXEC => WaitStatus::Event(PtraceEvent::Exec),
        libc::PTRACE_EVENT_VFORK_DONE => WaitStatus::Event(PtraceEvent::VforkDone),
        libc::PTRACE_EVENT_EXIT => WaitStatus::Event(PtraceEvent::Exit),
        libc::PTRACE_EVENT_SECCOMP => WaitStatus::Event(PtraceEvent::Seccomp),
        // EVENT_STOP with one of the four stopping signals is a group-stop, with SIGTRAP an interrupt's answer, a new
        // child's first stop or the end of a group-stop.
        libc::PTRACE_EVENT_STOP => match signal {
            libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => WaitStatus::GroupStop(Signal(signal)),
            _ => WaitStatus::Event(PtraceEvent::Stop),
        },
        _ => return None,
    })
}

impl Inferior for LiveInferior {
    /// One waitpid(2). A blocking wait answers `None` when the doorbell was rung, which it takes.
    ///
    /// Only this thread's tracees and children are waited for (__WNOTHREAD), so that a process which another thread of
    /// rdbg has spawned is left to that thread. The tracer thread must have no children but those it launched to trace.
    fn wait(&mut self, block: bool) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        // A ring before this look is taken here; one after it repeats until waitpid has been interrupted.
        if block && self.doorbell.take() {
            return Ok(None);
        }
        self.collect_owed();
        if let Some(report) = self.instead.take() {
            return Ok(Some(report));
        }
        let flags = if block { 0 } else { libc::WNOHANG };
        match self.order {
            TrapOrder::Collect => self.wait_pid(-1, flags),
            TrapOrder::Owe => self.wait_owing(flags),
        }
    }

    fn order_traps(&mut self, order: TrapOrder) {
        self.order = order;
    }

    fn collect_trap(&mut self, tid: Tid) {
        if self.owed == Some(tid) {
            self.collect_owed();
        }
    }

    fn wait_for_task(&mut self, tid: Tid) -> Result<Option<WaitStatus>, InferiorError> {
        self.collect_trap(tid);
        if let Some((_, status)) = self.instead.take_if(|(who, _)| *who == tid) {
            return Ok(Some(status));
        }
        match self.wait_pid(tid.0, libc::WNOHANG) {
            // It is not traced, or not any more.
            Err(InferiorError::NothingTraced) => Err(InferiorError::Gone(tid)),
            other => Ok(other?.map(|(_, status)| status)),
        }
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
        self.no_more_owed(tid);
        let signal = resume.signal.map_or(0, |signal| signal.0 as usize);
        request(what, tid, ptr::null_mut(), signal as *mut c_void).map_err(|errno| failed("resume", tid, errno))
    }

    fn detach(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), InferiorError> {
        self.no_more_owed(tid);
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
        let rip = std::mem::offset_of!(libc::user, regs) + std::mem::offset_of!(libc::user_regs_struct, rip);
        request(libc::PTRACE_POKEUSER, tid, rip as *mut c_void, pc.0 as *mut c_void)
            .map_err(|errno| failed("setting the program counter", tid, errno))
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
        // SAFETY: siginfo_t is 128 bytes of plain data; both members exist in the union, the wrong one is but a number.
        let (sender, addr) = unsafe { (raw.si_pid(), raw.si_addr()) };
        Ok(SigInfo {
            signal,
            code: raw.si_code,
            addr: if from_process { VirtAddr(0) } else { VirtAddr(addr as u64) },
            sender: if from_process { Pid(sender) } else { Pid(0) },
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
        if threads.iter().any(|tid| self.poke(*tid, at, bytes).is_ok()) {
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
