//! An [`Inferior`] that a test scripts: tasks that report in the order that the test wants, with memory and registers of
//! their own, and every call written down. It refuses what the kernel refuses: nothing is done to a task that runs.

mod order_tests;
mod scene;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::path::PathBuf;

use crate::base::{
    AddrRange, ComponentPlaces, DebugRegister, ExtendedRegs, Inferior, InferiorError, Mapping, MappingSource, MemError,
    PendingScope, Pid, PtraceEvent, Regs, Resume, ResumeHow, SigInfo, Signal, Tid, TraceOptions, VectorRegs, VirtAddr,
    WaitStatus, Witness,
};

/// Where every scripted process has its code: 4 KiB, `push rbp` throughout.
pub(super) const TEXT: VirtAddr = VirtAddr(0x40_0000);
/// Where it has its stack, 4 KiB.
const STACK: VirtAddr = VirtAddr(0x7000_0000);
const SIZE: u64 = 4096;
const PUSH_RBP: u8 = 0x55;
/// SI_KERNEL: what int3 gives.
const SI_KERNEL: i32 = 0x80;

/// What was asked of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Seize(Tid),
    Interrupt(Tid),
    Resume(Tid, ResumeHow, Option<Signal>),
    Detach(Tid, Option<Signal>),
    Kill(Pid, Signal),
}

/// The operations that a script can have fail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Operation {
    Interrupt,
    Resume,
    Detach,
    Regs,
    SetRegs,
    SetPc,
    SigInfo,
    EventMessage,
    ReadMem,
    WriteMem,
    Load,
    Store,
    ThreadGroup,
    Maps,
}

/// What the next wait gives, and what the task is like from then on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) tid: Tid,
    pub(super) status: WaitStatus,
    pc: Option<VirtAddr>,
    code: i32,
    message: u64,
}

impl Report {
    pub(super) fn new(tid: Tid, status: WaitStatus) -> Report {
        Report { tid, status, pc: None, code: 0, message: 0 }
    }

    /// The SIGTRAP of an int3 at `at`.
    pub(super) fn trap(tid: Tid, at: VirtAddr) -> Report {
        let status = WaitStatus::SignalDelivery(Signal::TRAP);
        Report { pc: Some(at.offset(1)), code: SI_KERNEL, ..Report::new(tid, status) }
    }

    pub(super) fn stop(tid: Tid) -> Report {
        Report::new(tid, WaitStatus::Event(PtraceEvent::Stop))
    }

    /// An event whose message names a task.
    pub(super) fn event(tid: Tid, event: PtraceEvent, other: Tid) -> Report {
        Report { message: other.0 as u64, ..Report::new(tid, WaitStatus::Event(event)) }
    }

    pub(super) fn at(self, pc: VirtAddr) -> Report {
        Report { pc: Some(pc), ..self }
    }
}

struct Task {
    pid: Pid,
    memory: usize,
    regs: Regs,
    is_stopped: bool,
    is_dead: bool,
    code: i32,
    signal: Signal,
    message: u64,
    pending: u64,
}

/// The scripted kernel.
pub(super) struct Scripted {
    tasks: BTreeMap<Tid, Task>,
    memories: Vec<HashMap<u64, u8>>,
    reports: VecDeque<Report>,
    /// What a task answers to an interrupt instead of an event-stop.
    pub(super) answers: HashMap<Tid, VecDeque<Report>>,
    /// Tasks that do not answer an interrupt: they wait in the kernel.
    pub(super) silent: HashSet<Tid>,
    /// DR6 of the tasks that have debug registers.
    pub(super) debug_status: HashMap<Tid, u64>,
    /// What a task reports after it was let go on.
    pub(super) after_resume: HashMap<Tid, VecDeque<Report>>,
    pub(super) calls: Vec<Call>,
    /// Operations that answer "gone".
    pub(super) gone: HashSet<(Operation, Tid)>,
    /// Which operations were asked of which task.
    pub(super) asked: RefCell<HashSet<(Operation, Tid)>>,
    pub(super) parents: HashMap<Pid, Pid>,
    /// An operation that panics the next time: a fault of the engine's own.
    pub(super) fault: Cell<Option<Operation>>,
    witness: Witness,
}

impl Scripted {
    pub(super) fn new() -> Scripted {
        Scripted {
            tasks: BTreeMap::new(),
            memories: Vec::new(),
            reports: VecDeque::new(),
            answers: HashMap::new(),
            silent: HashSet::new(),
            debug_status: HashMap::new(),
            after_resume: HashMap::new(),
            calls: Vec::new(),
            gone: HashSet::new(),
            asked: RefCell::default(),
            parents: HashMap::new(),
            fault: Cell::new(None),
            witness: Default::default(),
        }
    }

    /// A process of one task that runs.
    pub(super) fn add_process(&mut self, pid: Pid) {
        let text = (0..SIZE).map(|at| (TEXT.0 + at, PUSH_RBP));
        let stack = (0..SIZE).map(|at| (STACK.0 + at, 0));
        self.memories.push(text.chain(stack).collect());
        self.add_task(pid.leader(), pid, self.memories.len() - 1);
    }

    /// Another thread of a process.
    pub(super) fn add_thread(&mut self, tid: Tid, pid: Pid) {
        let memory = self.memory_of(pid);
        self.add_task(tid, pid, memory);
    }

    /// A child with a copy of the memory.
    pub(super) fn add_fork(&mut self, child: Pid, parent: Pid) {
        let copy = self.memories[self.memory_of(parent)].clone();
        self.memories.push(copy);
        self.add_task(child.leader(), child, self.memories.len() - 1);
        self.parents.insert(child, parent);
    }

    /// A child in the parent's memory.
    pub(super) fn add_vfork(&mut self, child: Pid, parent: Pid) {
        let memory = self.memory_of(parent);
        self.add_task(child.leader(), child, memory);
        self.parents.insert(child, parent);
    }

    /// A fresh memory, as an exec makes it, and no thread but the leader.
    pub(super) fn execute(&mut self, pid: Pid) {
        self.tasks.retain(|tid, task| task.pid != pid || *tid == pid.leader());
        self.tasks.remove(&pid.leader());
        self.add_process(pid);
    }

    fn add_task(&mut self, tid: Tid, pid: Pid, memory: usize) {
        let regs = Regs { rip: TEXT.0, rsp: STACK.0 + SIZE / 2, ..Regs::default() };
        let (code, signal, message, pending) = (0, Signal::TRAP, 0, 0);
        let task = Task { pid, memory, regs, is_stopped: false, is_dead: false, code, signal, message, pending };
        self.tasks.insert(tid, task);
    }

    fn memory_of(&self, pid: Pid) -> usize {
        self.tasks.values().find(|task| task.pid == pid).expect("a process of the script").memory
    }

    /// What the next waits give.
    pub(super) fn script(&mut self, reports: impl IntoIterator<Item = Report>) {
        self.reports.extend(reports);
    }

    pub(super) fn set_pending(&mut self, tid: Tid, signals: &[Signal]) {
        let task = self.tasks.get_mut(&tid).expect("a task of the script");
        task.pending = signals.iter().fold(0, |mask, signal| mask | 1 << (signal.0 - 1));
    }

    pub(super) fn byte(&self, pid: Pid, at: VirtAddr) -> u8 {
        self.memories[self.memory_of(pid)][&at.0]
    }

    pub(super) fn poke(&mut self, pid: Pid, at: VirtAddr, byte: u8) {
        let memory = self.memory_of(pid);
        self.memories[memory].insert(at.0, byte);
    }

    /// The lowest byte of the word on top of a task's stack.
    pub(super) fn set_stack_top(&mut self, tid: Tid, byte: u8) {
        let task = &self.tasks[&tid];
        let (pid, top) = (task.pid, VirtAddr(task.regs.rsp));
        self.poke(pid, top, byte);
    }

    /// Unmaps the text.
    pub(super) fn unmap_text(&mut self, pid: Pid) {
        let memory = self.memory_of(pid);
        self.memories[memory].retain(|at, _| *at >= STACK.0);
    }

    pub(super) fn pc(&self, tid: Tid) -> VirtAddr {
        self.tasks[&tid].regs.pc()
    }

    pub(super) fn is_stopped(&self, tid: Tid) -> bool {
        self.tasks[&tid].is_stopped
    }

    /// How a task was let go on, in order.
    pub(super) fn resumes_of(&self, tid: Tid) -> Vec<(ResumeHow, Option<Signal>)> {
        let of = |call: &Call| match call {
            Call::Resume(whose, how, signal) if *whose == tid => Some((*how, *signal)),
            _ => None,
        };
        self.calls.iter().filter_map(of).collect()
    }

    /// ESRCH where the script says so, where the task has gone, and where it runs.
    fn stopped(&self, operation: Operation, tid: Tid) -> Result<&Task, InferiorError> {
        self.alive(operation, tid)?;
        self.tasks.get(&tid).filter(|task| task.is_stopped).ok_or(InferiorError::Gone(tid))
    }

    fn alive(&self, operation: Operation, tid: Tid) -> Result<(), InferiorError> {
        self.asked.borrow_mut().insert((operation, tid));
        if self.fault.get() == Some(operation) {
            self.fault.set(None);
            panic!("a fault that the script wants");
        }
        let is_alive = self.tasks.get(&tid).is_some_and(|task| !task.is_dead);
        if is_alive && !self.gone.contains(&(operation, tid)) {
            Ok(())
        } else {
            Err(InferiorError::Gone(tid))
        }
    }

    fn stopped_mut(&mut self, operation: Operation, tid: Tid) -> Result<&mut Task, InferiorError> {
        self.stopped(operation, tid)?;
        self.tasks.get_mut(&tid).ok_or(InferiorError::Gone(tid))
    }

    fn memory(&self, operation: Operation, tid: Tid) -> Result<usize, MemError> {
        self.alive(operation, tid).map_err(|_| MemError::Gone)?;
        self.tasks.get(&tid).map(|task| task.memory).ok_or(MemError::Gone)
    }

    fn read_from(&self, memory: usize, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        for (index, byte) in buf.iter_mut().enumerate() {
            match self.memories[memory].get(&(at.0 + index as u64)) {
                Some(known) => *byte = *known,
                None if index == 0 => return Err(MemError::Unmapped(at)),
                None => return Ok(index),
            }
        }
        Ok(buf.len())
    }

    fn write_to(&mut self, memory: usize, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        for (index, byte) in bytes.iter().enumerate() {
            let slot = self.memories[memory].get_mut(&(at.0 + index as u64)).ok_or(MemError::Unmapped(at))?;
            *slot = *byte;
        }
        Ok(())
    }

    fn apply(&mut self, report: &Report) {
        let Some(task) = self.tasks.get_mut(&report.tid) else { return };
        if let Some(pc) = report.pc {
            task.regs.rip = pc.0;
        }
        (task.code, task.message) = (report.code, report.message);
        match report.status {
            WaitStatus::Exited { .. } | WaitStatus::Signaled { .. } => task.is_dead = true,
            WaitStatus::SignalDelivery(signal) => {
                (task.signal, task.is_stopped) = (signal, true);
                task.pending &= !(1 << (signal.0 - 1));
            }
            _ => task.is_stopped = true,
        }
    }
}

impl Inferior for Scripted {
    fn wait(&mut self, block: bool) -> Result<Option<(Tid, WaitStatus)>, InferiorError> {
        let Some(report) = self.reports.pop_front() else {
            // A blocking wait with nothing to come is a script that does not end, or an engine that hangs.
            assert!(!block, "waits for ever; so far: {:?}", self.calls);
            return Ok(None);
        };
        self.apply(&report);
        Ok(Some((report.tid, report.status)))
    }

    fn wait_for_task(&mut self, tid: Tid) -> Result<Option<WaitStatus>, InferiorError> {
        let Some(at) = self.reports.iter().position(|report| report.tid == tid) else { return Ok(None) };
        let Some(report) = self.reports.remove(at) else { return Ok(None) };
        self.apply(&report);
        Ok(Some(report.status))
    }

    fn seize(&mut self, tid: Tid, _: TraceOptions) -> Result<(), InferiorError> {
        self.calls.push(Call::Seize(tid));
        match self.tasks.get(&tid) {
            Some(task) if !task.is_dead => Ok(()),
            _ => Err(InferiorError::Gone(tid)),
        }
    }

    fn interrupt(&mut self, tid: Tid) -> Result<(), InferiorError> {
        self.calls.push(Call::Interrupt(tid));
        self.alive(Operation::Interrupt, tid)?;
        if self.silent.contains(&tid) {
            return Ok(());
        }
        match self.answers.get_mut(&tid).and_then(VecDeque::pop_front) {
            Some(answer) => self.reports.push_back(answer),
            None => self.reports.push_back(Report::stop(tid)),
        }
        Ok(())
    }

    fn resume(&mut self, tid: Tid, resume: Resume) -> Result<(), InferiorError> {
        self.calls.push(Call::Resume(tid, resume.how, resume.signal));
        self.stopped_mut(Operation::Resume, tid)?.is_stopped = false;
        let next = self.after_resume.get_mut(&tid).and_then(VecDeque::pop_front);
        self.reports.extend(next);
        Ok(())
    }

    fn detach(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), InferiorError> {
        self.calls.push(Call::Detach(tid, signal));
        self.stopped_mut(Operation::Detach, tid)?.is_stopped = false;
        Ok(())
    }

    fn regs(&self, tid: Tid) -> Result<Regs, InferiorError> {
        self.witness.regs(tid).map_or_else(|| self.stopped(Operation::Regs, tid).map(|task| task.regs), Ok)
    }

    fn set_regs(&mut self, tid: Tid, regs: &Regs) -> Result<(), InferiorError> {
        self.stopped_mut(Operation::SetRegs, tid)?.regs = *regs;
        Ok(())
    }

    fn set_pc(&mut self, tid: Tid, pc: VirtAddr) -> Result<(), InferiorError> {
        self.stopped_mut(Operation::SetPc, tid)?.regs.rip = pc.0;
        Ok(())
    }

    fn vector_regs(&self, _: Tid) -> Result<VectorRegs, InferiorError> {
        Ok(VectorRegs::default())
    }

    fn extended_regs(&self, _: Tid) -> Result<ExtendedRegs, InferiorError> {
        Ok(ExtendedRegs::new(Vec::new(), ComponentPlaces::default()))
    }

    fn set_extended_regs(&mut self, tid: Tid, _: &ExtendedRegs) -> Result<(), InferiorError> {
        self.stopped_mut(Operation::SetRegs, tid).map(|_| ())
    }

    fn siginfo(&self, tid: Tid) -> Result<SigInfo, InferiorError> {
        let task = self.stopped(Operation::SigInfo, tid)?;
        Ok(SigInfo { signal: task.signal, code: task.code, addr: VirtAddr(0), sender: Pid(0), user: 0, status: 0 })
    }

    fn event_message(&self, tid: Tid) -> Result<u64, InferiorError> {
        self.stopped(Operation::EventMessage, tid).map(|task| task.message)
    }

    fn read_mem(&self, pid: Pid, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        if let Some(answer) = self.witness.read(pid, at, buf) {
            return answer;
        }
        let tid = self.tasks.iter().find(|(_, task)| task.pid == pid && !task.is_dead).map(|(tid, _)| *tid);
        let memory = self.memory(Operation::ReadMem, tid.ok_or(MemError::Gone)?)?;
        self.read_from(memory, at, buf)
    }

    fn write_mem(&mut self, pid: Pid, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        let tid = self.tasks.iter().find(|(_, task)| task.pid == pid && !task.is_dead).map(|(tid, _)| *tid);
        let memory = self.memory(Operation::WriteMem, tid.ok_or(MemError::Gone)?)?;
        self.write_to(memory, at, bytes)
    }

    fn load(&self, tid: Tid, at: VirtAddr, buf: &mut [u8]) -> Result<(), MemError> {
        let memory = self.memory(Operation::Load, tid)?;
        self.read_from(memory, at, buf).map(drop)
    }

    fn store(&mut self, tid: Tid, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        let memory = self.memory(Operation::Store, tid)?;
        self.write_to(memory, at, bytes)
    }

    fn tkill(&mut self, _: Pid, _: Tid, _: Signal) -> Result<(), InferiorError> {
        Ok(())
    }

    fn kill(&mut self, pid: Pid, signal: Signal) -> Result<(), InferiorError> {
        self.calls.push(Call::Kill(pid, signal));
        Ok(())
    }

    fn threads(&self, pid: Pid) -> Result<Vec<Tid>, InferiorError> {
        let of_pid =
            self.tasks.iter().filter(|(tid, task)| task.pid == pid && (!task.is_dead || **tid == pid.leader()));
        Ok(of_pid.map(|(tid, _)| *tid).collect())
    }

    fn thread_group(&self, tid: Tid) -> Result<Pid, InferiorError> {
        self.asked.borrow_mut().insert((Operation::ThreadGroup, tid));
        let task = self.tasks.get(&tid).filter(|_| !self.gone.contains(&(Operation::ThreadGroup, tid)));
        // A leader that has exited is still to be seen while it has threads.
        let lives = |task: &&Task| !task.is_dead || self.tasks.values().any(|one| one.pid == task.pid && !one.is_dead);
        task.filter(lives).map(|task| task.pid).ok_or(InferiorError::Gone(tid))
    }

    fn parent(&self, pid: Pid) -> Result<Pid, InferiorError> {
        Ok(self.parents.get(&pid).copied().unwrap_or(Pid(1)))
    }

    fn comm(&self, _: Pid, _: Tid) -> Result<String, InferiorError> {
        Ok("scripted".to_owned())
    }

    fn exe(&self, _: Pid) -> Result<PathBuf, InferiorError> {
        Ok(PathBuf::from("/scripted"))
    }

    fn cmdline(&self, _: Pid) -> Result<Vec<OsString>, InferiorError> {
        Ok(Vec::new())
    }

    fn maps(&self, pid: Pid) -> Result<Vec<Mapping>, InferiorError> {
        self.alive(Operation::Maps, pid.leader())?;
        let map = |start: VirtAddr, exec: bool| Mapping {
            range: AddrRange { start, end: start.offset(SIZE) },
            read: true,
            write: !exec,
            exec,
            file_offset: 0,
            file_id: (0, 0),
            source: MappingSource::Anonymous,
        };
        Ok(vec![map(TEXT, true), map(STACK, false)])
    }

    fn auxv(&self, _: Pid) -> Result<Vec<(u64, u64)>, InferiorError> {
        Ok(Vec::new())
    }

    fn openable_path(&self, _: Pid, _: &Mapping) -> Option<PathBuf> {
        None
    }

    fn debug_register(&self, tid: Tid, _: DebugRegister) -> Result<u64, InferiorError> {
        self.debug_status.get(&tid).copied().ok_or_else(|| InferiorError::no_debug_registers(tid))
    }

    fn set_debug_register(&mut self, tid: Tid, register: DebugRegister, value: u64) -> Result<(), InferiorError> {
        if register == DebugRegister::Status {
            self.debug_status.insert(tid, value);
        }
        Ok(())
    }

    fn pending_signals(&self, _: Pid, tid: Tid, _: PendingScope) -> Result<u64, InferiorError> {
        self.tasks.get(&tid).map(|task| task.pending).ok_or(InferiorError::Gone(tid))
    }

    fn is_dead(&self, _: Pid, tid: Tid) -> bool {
        self.tasks.get(&tid).is_none_or(|task| task.is_dead)
    }

    /// So that no system call is made in a scripted task.
    fn filters_syscalls(&self, _: Tid, _: u32) -> bool {
        true
    }

    fn shares_memory(&self, one: Tid, other: Tid) -> Option<bool> {
        Some(self.tasks.get(&one)?.memory == self.tasks.get(&other)?.memory)
    }

    fn witness(&mut self) -> &mut Witness {
        &mut self.witness
    }

    fn forget(&mut self, _: Pid) {}
}
