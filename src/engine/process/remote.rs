//! Making a stopped thread of the target execute a system call.

use crate::base::{
    AddrRange, Inferior, InferiorError, MemError, PtraceEvent, ReadMem, Regs, Resume, ResumeHow, Signal, Tid, VirtAddr,
    WaitStatus,
};
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;

/// The bytes of `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// The most bytes of one mapping that are searched for a `syscall` instruction.
const SEARCH_LIMIT: u64 = 8 << 20;
/// How much is read at once: a thread stands still meanwhile, and most mappings have one near their start.
const SEARCH_STEP: u64 = 64 << 10;
/// SIGTRAP, by which a step is reported: the kernel takes the handler of a blocked one away.
const OF_THE_STEP: u64 = 1 << (Signal::TRAP.0 - 1);
/// How many stops may come between before the step's own.
const PATIENCE: u32 = 64;

/// Whether a wait returns at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Wait {
    /// Until something is reported.
    Block,
    /// Only what is there.
    Poll,
}

impl<I: Inferior> Engine<I> {
    /// Has the thread make the call, by stepping over a `syscall` instruction of the program, and returns what it
    /// returned. The registers are put back; with orig_rax put back too the kernel restarts a call that the stop had
    /// interrupted, when the thread goes on. The program's signals wait meanwhile, each with its siginfo. A thread whose
    /// calls are filtered makes none that is not its own.
    pub(in crate::engine) fn remote_syscall(
        &mut self,
        tid: Tid,
        number: u64,
        args: [u64; 6],
    ) -> Result<u64, InferiorError> {
        if self.inferior.filters_syscalls(tid, self.own_filters(tid)) {
            let reason =
                "its system calls are filtered (seccomp), and the filter could kill it for one more".to_string();
            return Err(InferiorError::Os { what: "a remote system call", tid, reason });
        }
        let saved = self.inferior.regs(tid)?;
        let at = self.find_syscall_instruction(tid)?;
        let [rdi, rsi, rdx, r10, r8, r9] = args;
        let call = Regs { rax: number, rdi, rsi, rdx, r10, r8, r9, rip: at.0, orig_rax: u64::MAX, ..saved };
        let blocked = self.inferior.blocked_signals(tid)?;
        self.inferior.block_signals(tid, !OF_THE_STEP)?;
        let outcome = self.inferior.set_regs(tid, &call).and_then(|()| self.step_until_past(tid, at));
        if matches!(outcome, Err(InferiorError::Gone(_))) {
            return outcome;
        }
        self.inferior.set_regs(tid, &saved)?;
        self.inferior.block_signals(tid, blocked)?;
        outcome
    }

    /// Steps a thread until it has executed the instruction at `at`; what is in rax then.
    fn step_until_past(&mut self, tid: Tid, at: VirtAddr) -> Result<u64, InferiorError> {
        let mut stopped = None;
        let mut group_stopped = false;
        for _ in 0..PATIENCE {
            self.inferior.resume(tid, Resume { how: ResumeHow::Step, signal: None })?;
            let status = self.wait_for(tid)?;
            match status {
                WaitStatus::Event(PtraceEvent::Exec) => {
                    // Another thread has executed a program; its task has this tid now, and none of this call is left.
                    self.backlog.push_front((tid, status));
                    return Err(InferiorError::Gone(tid));
                }
                WaitStatus::SignalDelivery(Signal::TRAP) => {
                    let regs = self.inferior.regs(tid)?;
                    if regs.pc() == at {
                        continue;
                    }
                    if let (Some(signal), Some(pid)) = (stopped, self.threads.get(&tid).map(|one| one.pid)) {
                        // It was taken from the program: sent again.
                        self.inferior.tkill(pid, tid, signal)?;
                    }
                    if group_stopped {
                        // The group stands, and this thread is to stand with it: when it goes on, it reports that anew.
                        self.inferior.interrupt(tid)?;
                    }
                    return Ok(regs.rax);
                }
                // SIGSTOP, which cannot be blocked.
                WaitStatus::SignalDelivery(signal) => stopped = Some(signal),
                WaitStatus::GroupStop(_) => group_stopped = true,
                // The answer to an interrupt: the thread stands again when the call is done.
                _ => {}
            }
        }
        Err(InferiorError::Os { what: "a remote system call", tid, reason: "it did not come back".to_string() })
    }

    /// The next report: one that was kept back, else a new one.
    pub(in crate::engine) fn next_report(&mut self, wait: Wait) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        match self.backlog.pop_front() {
            Some(kept) => Ok(Some(kept)),
            None => self.inferior.wait(wait == Wait::Block),
        }
    }

    /// What this task has to report, if anything.
    pub(in crate::engine) fn report_of(&mut self, tid: Tid) -> Option<WaitStatus> {
        match self.backlog.iter().position(|(who, _)| *who == tid) {
            Some(at) => self.backlog.remove(at).map(|(_, status)| status),
            // Gone is an answer.
            None => self.inferior.wait_for_task(tid).ok().flatten(),
        }
    }

    /// The next report of this task; other tasks' reports are kept for the loop.
    pub(in crate::engine) fn wait_for(&mut self, tid: Tid) -> Result<WaitStatus, InferiorError> {
        if let Some(at) = self.backlog.iter().position(|(who, _)| *who == tid) {
            match self.backlog.get(at) {
                // Its end stays for the loop, which does what is to be done then.
                Some((_, WaitStatus::Exited { .. } | WaitStatus::Signaled { .. })) | None => {
                    return Err(InferiorError::Gone(tid));
                }
                Some((_, status)) => {
                    let status = *status;
                    self.backlog.remove(at);
                    return Ok(status);
                }
            }
        }
        loop {
            match self.inferior.wait(true)? {
                Some((who, status)) if who == tid => {
                    if let WaitStatus::Exited { .. } | WaitStatus::Signaled { .. } = status {
                        self.backlog.push_back((who, status));
                        return Err(InferiorError::Gone(tid));
                    }
                    return Ok(status);
                }
                Some((other, status)) => self.keep_report(other, status),
                None => {}
            }
        }
    }

    /// A `syscall` instruction in the thread's executable mappings, looked for once per address space.
    fn find_syscall_instruction(&mut self, tid: Tid) -> Result<VirtAddr, InferiorError> {
        let (pid, space) = match self.process_of(tid) {
            Some(process) => (process.pid, process.space),
            None => return Err(InferiorError::Gone(tid)),
        };
        if let Some(at) = self.spaces.get(&space).and_then(|one| one.syscall_at) {
            return Ok(at);
        }
        let memory = RawMemory { inferior: &self.inferior, pid };
        for mapping in self.inferior.maps(pid)?.iter().filter(|one| one.exec) {
            if let Some(at) = find_bytes(&memory, mapping.range, &SYSCALL) {
                if let Some(one) = self.spaces.get_mut(&space) {
                    one.syscall_at = Some(at);
                }
                return Ok(at);
            }
        }
        Err(MemError::Unmapped(VirtAddr(0)).into())
    }
}

/// The first place of `pattern` in the readable start of a range.
pub(in crate::engine) fn find_bytes(memory: &dyn ReadMem, range: AddrRange, pattern: &[u8]) -> Option<VirtAddr> {
    let end = range.start.offset(range.len().min(SEARCH_LIMIT));
    let mut at = range.start;
    let mut bytes = vec![0; SEARCH_STEP as usize + pattern.len() - 1];
    while at < end {
        let wanted = (end.since(at) as usize).min(bytes.len());
        let got = memory.read_mem(at, &mut bytes[..wanted]).ok()?;
        if let Some(offset) = memchr::memmem::find(&bytes[..got], pattern) {
            return Some(at.offset(offset as u64));
        }
        if got < wanted {
            return None;
        }
        at = at.offset(SEARCH_STEP);
    }
    None
}
