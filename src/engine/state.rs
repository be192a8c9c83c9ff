//! All that the engine holds, and its loop.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender};
use rustc_hash::FxHashMap;

use super::breakpoints::Breakpoint;
use super::calls::{Asked, Calling};
use super::settings::Settings;
use crate::api::{ApiError, ClientId, DisplayRow, Event, Request, StopReason, Subscription};
use crate::base::{Inferior, InferiorError, Pid, Progress, Signal, TaskUid, Tid, VirtAddr, WaitStatus};
use crate::engine::process::remote::Wait;
use crate::engine::process::waiting::Awaited;
use crate::engine::stops::stepping::StepGoal;
use crate::os::waitfor::WatchEvent;
use crate::target::address_space::AddressSpace;
use crate::target::breakpoint::SiteTable;
use crate::target::debug_register::DebugRegisters;
use crate::target::task::{Process, Role, RunState, SpaceId, Thread};

/// How many events a front end may be behind before it loses some. The queue grows as it fills: one of fixed size would
/// take all its memory at once.
const EVENT_QUEUE: usize = 65_536;
/// The most reports that are handled before the next request is, so that neither keeps the other waiting.
const REPORTS_BETWEEN_REQUESTS: u32 = 64;

/// What reaches the engine besides its tracees and its front ends.
pub enum Input {
    /// From the watch for an exec.
    Watch(WatchEvent),
    /// rdbg was told to end.
    Terminate(Signal),
    /// A probe by time of the trace is due.
    Tick(super::trace::Tick),
    /// rdbg was sent the signal that a trace can have a probe on.
    OwnSignal,
    /// The trace is to end.
    TraceDone,
    /// Somebody may have stood for as long as `set pause-budget` says.
    PauseOver,
    /// A debuginfod server has answered.
    Fetched,
    /// A call of the program's function takes its time.
    CallTick(super::calls::CallTick),
}

/// Whether threads run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum World {
    /// Threads run as they like; those that are held stand still.
    Running,
    /// All are being stopped; what they report on the way is kept for when they go on.
    Stopping,
    /// All stand still.
    Stopped,
}

/// One address space: what is mapped, and what rdbg has patched.
pub struct Space {
    /// Modules and symbols.
    pub modules: AddressSpace,
    /// Patched bytes.
    pub sites: SiteTable,
    /// Sites that have the program's own byte while everything stands.
    pub(super) bared: Vec<VirtAddr>,
    /// Where the dynamic loader reports.
    pub rendezvous: Option<VirtAddr>,
    /// A `syscall` instruction of the program, once one has been looked for.
    pub syscall_at: Option<VirtAddr>,
    /// Where a signal's handler returns to, once that has been looked for.
    pub(in crate::engine) trampoline_at: Option<VirtAddr>,
    /// Debug registers in use.
    pub registers: DebugRegisters,
    /// Pages for displaced instructions: the next free slot and the end, per page run.
    pub slots: Vec<(VirtAddr, VirtAddr)>,
    /// As the guardian knows it, once something is patched in it.
    pub guarded: Option<crate::os::GuardedId>,
    /// The safety net.
    pub(in crate::engine) net: crate::engine::process::net::Net,
    /// The map of its JIT.
    pub(in crate::engine) jit: crate::engine::names::jit::JitSeen,
}

/// What the user's commands refer to when they name nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// The process.
    pub pid: Option<Pid>,
    /// The thread.
    pub tid: Option<Tid>,
    /// The frame; 0 is the innermost.
    pub frame: u32,
}

/// The tracer thread's state.
pub struct Engine<I: Inferior> {
    pub(super) inferior: I,
    pub(super) requests: Receiver<Request>,
    pub(super) inputs: Receiver<Input>,
    /// Where a watch thread puts its events: the sending end of `inputs`.
    pub(super) input_sender: Sender<Input>,
    pub(super) doorbell: crate::os::Doorbell,
    pub(super) guardian: crate::os::Guardian,
    pub(super) subscribers: Vec<Subscriber>,
    /// What is told when the report in hand has been dealt with: see `emit`.
    outbox: Vec<Event>,
    pub(super) threads: FxHashMap<Tid, Thread>,
    /// Whether a space has any [`Space::bared`].
    pub(super) any_bared: bool,
    pub(super) processes: BTreeMap<Pid, Process>,
    pub(super) spaces: FxHashMap<SpaceId, Space>,
    /// First stops, and ends, of tasks whose creation has not been reported yet.
    pub(super) early: FxHashMap<Tid, WaitStatus>,
    /// Threads that did not stop when their process was left, and whether they wait for a vfork child: they are let go
    /// when they report.
    pub(super) late: FxHashMap<Tid, bool>,
    /// What was patched in processes that have gone, the last one first.
    pub(in crate::engine) departed: Vec<crate::engine::process::strays::Departed>,
    /// Reports that were taken while another task's was awaited.
    pub(super) backlog: VecDeque<(Tid, WaitStatus)>,
    pub(super) breakpoints: BTreeMap<u32, Breakpoint>,
    pub(super) settings: Settings,
    pub(super) world: World,
    pub(super) selection: Selection,
    pub(super) stop: Option<StopReason>,
    pub(super) epoch: u64,
    pub(in crate::engine) line_step: Option<crate::engine::stops::line_step::LineStep>,
    /// Of the inlined calls that begin where a thread stands, so many are entered: the pc and their number.
    pub(super) entered: FxHashMap<Tid, (VirtAddr, usize)>,
    pub(in crate::engine) skips: crate::engine::stops::skips::Skips,
    /// What threads are to do before they stop again.
    pub(super) steps: FxHashMap<Tid, StepGoal>,
    pub(super) awaited: Option<Awaited>,
    /// What the scheduler kept of threads before they were last told to stop.
    pub(super) asleep: FxHashMap<Tid, crate::base::RunRecord>,
    /// Where threads come to when a frame that is waited for is left without a return.
    pub(in crate::engine) escapes: FxHashMap<Tid, Vec<crate::engine::stops::finishing::Escape>>,
    /// Return sites that are armed.
    pub(super) returns: Vec<(SpaceId, VirtAddr, crate::target::breakpoint::Owner)>,
    /// How often what debug registers are to hold has changed, in any space.
    pub(super) registers_changes: u64,
    /// Files that have been parsed, by device and inode.
    pub(super) files: FxHashMap<(u64, u64), std::sync::Arc<crate::binary::Module>>,
    pub(super) pinned: Option<super::pinning::Pinned>,
    pub(in crate::engine) sources: crate::engine::inspect::source::Sources,
    pub(super) launched: Option<(PathBuf, Vec<std::ffi::OsString>)>,
    pub(in crate::engine) history: Vec<crate::engine::inspect::described_names::Kept>,
    /// Convenience variables, by name without the `$`.
    pub(in crate::engine) kept: std::collections::BTreeMap<String, crate::engine::inspect::described_names::Kept>,
    pub(super) examine_next: Option<VirtAddr>,
    /// What is shown at every stop.
    pub(super) displays: Vec<DisplayRow>,
    pub(super) next: Counters,
    pub(super) ended: bool,
    pub(in crate::engine) pause: crate::engine::stops::pause::Pause,
    /// System calls that breakpoints wait for.
    pub(in crate::engine) wanted_calls: crate::engine::stops::syscalls::WantedCalls,
    /// What commands that take their time tell.
    pub(super) progress: Progress,
    pub(in crate::engine) filtered: crate::engine::process::call_filter::FilteredProcesses,
    /// The watch over all processes.
    pub(in crate::engine) everywhere: Option<crate::engine::process::everywhere::Everywhere>,
    /// Indexes of names that are being made.
    pub(in crate::engine) indexing: crate::engine::names::indexing::Indexing,
    /// Debug information that is being fetched.
    pub(in crate::engine) fetching: crate::engine::names::debuginfod::Fetching,
    /// The trace script that runs.
    pub(super) trace: Option<Box<super::trace::Tracing>>,
    /// Writes what the last trace had to tell.
    pub(super) trace_printer: Option<std::thread::JoinHandle<()>>,
    pub(super) trace_valve: std::sync::Arc<super::trace::Valve>,
    /// Calls of the program's functions.
    pub(in crate::engine) calling: Calling,
}

/// A front end that listens, and how many events it was too slow for.
pub(super) struct Subscriber {
    pub(super) to: Subscription,
    pub(super) lost: u64,
}

/// The next numbers to give out.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) task: u64,
    pub(super) thread: u32,
    pub(super) process: u32,
    pub(super) space: u32,
    pub(super) breakpoint: u32,
    pub(super) display: u32,
}

impl<I: Inferior> Engine<I> {
    /// An engine that debugs nothing yet.
    pub fn new(
        inferior: I,
        requests: Receiver<Request>,
        inputs: (Sender<Input>, Receiver<Input>),
        doorbell: crate::os::Doorbell,
    ) -> Self {
        Self {
            inferior,
            requests,
            inputs: inputs.1,
            input_sender: inputs.0,
            doorbell,
            guardian: crate::os::Guardian::default(),
            subscribers: Vec::new(),
            outbox: Vec::new(),
            threads: FxHashMap::default(),
            any_bared: false,
            processes: BTreeMap::new(),
            spaces: FxHashMap::default(),
            early: FxHashMap::default(),
            late: FxHashMap::default(),
            departed: Vec::new(),
            backlog: VecDeque::new(),
            breakpoints: BTreeMap::new(),
            settings: Settings::default(),
            world: World::Running,
            selection: Selection::default(),
            stop: None,
            epoch: 0,
            line_step: None,
            entered: FxHashMap::default(),
            skips: Default::default(),
            steps: FxHashMap::default(),
            awaited: None,
            asleep: FxHashMap::default(),
            escapes: FxHashMap::default(),
            returns: Vec::new(),
            registers_changes: 0,
            files: FxHashMap::default(),
            pinned: None,
            sources: Default::default(),
            launched: None,
            history: Vec::new(),
            kept: std::collections::BTreeMap::new(),
            examine_next: None,
            displays: Vec::new(),
            next: Counters::default(),
            ended: false,
            pause: Default::default(),
            wanted_calls: Default::default(),
            progress: Progress::default(),
            filtered: Default::default(),
            everywhere: None,
            indexing: Default::default(),
            fetching: Default::default(),
            trace: None,
            trace_printer: None,
            trace_valve: std::sync::Arc::default(),
            calling: Calling::default(),
        }
    }

    /// The same engine, telling there how far it is.
    pub(super) fn reporting_to(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// Serves until the session ends.
    pub fn run(&mut self) {
        while !self.ended {
            self.tell_of_split_files();
            self.empty_outbox();
            self.doorbell.take();
            self.mind_indexes();
            if self.take_queued() {
                self.take_reports_that_came();
                continue;
            }
            if self.threads.is_empty() && self.late.is_empty() {
                self.await_orphans();
                // Reports of tasks that are no longer ours; their numbers may come back.
                self.backlog.clear();
                self.early.clear();
                self.sleep();
                continue;
            }
            match self.next_report(Wait::Block) {
                Ok(Some((tid, status))) => self.handle(tid, status),
                Ok(None) => {}
                Err(InferiorError::NothingTraced) => self.all_gone(),
                Err(error) => self.emit(Event::Notice { text: format!("waiting failed: {error}") }),
            }
        }
        self.empty_outbox();
        self.end_indexing();
    }

    /// Handles one request or input, if one is queued.
    fn take_queued(&mut self) -> bool {
        if let Ok(input) = self.inputs.try_recv() {
            self.take_input(input);
        } else if let Ok(request) = self.requests.try_recv() {
            self.take_request(request);
        } else {
            return false;
        }
        self.mind_pause();
        true
    }

    /// Handles reports that have come already: clients that ask without end must not keep the tasks waiting.
    fn take_reports_that_came(&mut self) {
        for _ in 0..REPORTS_BETWEEN_REQUESTS {
            if self.ended || self.threads.is_empty() {
                return;
            }
            let Ok(Some((tid, status))) = self.next_report(Wait::Poll) else { return };
            self.handle(tid, status);
        }
    }

    /// Waits for a request or an input while nothing is traced.
    fn sleep(&mut self) {
        crossbeam_channel::select! {
            recv(self.inputs) -> input => if let Ok(input) = input { self.take_input(input) },
            recv(self.requests) -> request => match request {
                Ok(request) => self.take_request(request),
                Err(_) => self.ended = true,
            },
        }
    }

    fn take_input(&mut self, input: Input) {
        match input {
            Input::Watch(event) => self.on_watch(event),
            Input::Tick(tick) => self.on_tick(tick),
            Input::OwnSignal => self.on_own_signal(),
            Input::TraceDone => self.finish_trace(),
            Input::PauseOver => self.on_pause_over(),
            Input::Fetched => self.take_fetched(),
            Input::CallTick(tick) => self.on_call_tick(tick),
            Input::Terminate(_) => {
                self.leave_all(crate::api::Leave::Default);
                self.end();
            }
        }
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::Command { client, command, answer, ticket } => {
                self.make_way_for(&command);
                self.progress.begin(ticket);
                self.carry_out(Asked { client, command, answer, ticket });
            }
            Request::Subscribe(to) => self.subscribers.push(Subscriber { to, lost: 0 }),
            Request::Gone(client) => self.client_gone(client),
        }
    }

    fn client_gone(&mut self, client: ClientId) {
        self.subscribers.retain(|one| one.to.client != client);
        let logs: Vec<u32> = self.breakpoints.values().filter(|one| one.is_log_of(client)).map(|one| one.id).collect();
        for id in logs {
            self.delete_breakpoint(id);
        }
    }

    /// Ends the session; the loop returns. What a trace has printed is told first, its maps too.
    pub(super) fn end(&mut self) {
        self.finish_trace();
        self.trace_valve.open();
        if let Some(printer) = self.trace_printer.take() {
            // One that panicked has nothing more to tell.
            let _ = printer.join();
        }
        self.emit(Event::Ended);
        self.ended = true;
    }

    /// Tells every front end, in order. A logged hit, and what follows it, is told when its thread has been resumed: the
    /// thread does not stand while front ends are woken, and who has read of the hit knows that it is over.
    pub(super) fn emit(&mut self, event: Event) {
        match self.outbox.is_empty() && !matches!(event, Event::Hit { .. }) {
            true => self.tell(event),
            false => self.outbox.push(event),
        }
    }

    pub(super) fn empty_outbox(&mut self) {
        let mut events = std::mem::take(&mut self.outbox);
        events.drain(..).for_each(|event| self.tell(event));
        self.outbox = events;
    }

    /// One whose queue is full loses the event, and is told how many it has lost when there is room again: the tracees
    /// never wait for a reader.
    fn tell(&mut self, event: Event) {
        self.subscribers.retain_mut(|one| {
            if one.to.events.len() >= EVENT_QUEUE {
                one.lost += 1;
                return true;
            }
            let lost = std::mem::take(&mut one.lost);
            if lost > 0 {
                // That nobody listens any more the next line finds.
                let _ = one.to.events.send(Event::Lost { count: lost });
            }
            one.to.events.send(event.clone()).is_ok()
        });
    }

    /// A new thread of a process that is known.
    pub(super) fn add_thread(&mut self, tid: Tid, pid: Pid, state: RunState) {
        self.next.task += 1;
        self.next.thread += 1;
        let thread = Thread {
            uid: TaskUid { tid, serial: self.next.task },
            number: self.next.thread,
            pid,
            state,
            owed: None,
            reported_at: None,
            stands_before: None,
            passed_at: None,
            resumed: crate::base::ResumeHow::Continue,
            held: false,
            locked: false,
            given: None,
            queued: None,
            untold: None,
            in_vfork: false,
            left_group_stop: false,
            early: None,
            broken: None,
            redone: None,
            registers_seen: 0,
            reached: Vec::new(),
            calls: Default::default(),
        };
        self.threads.insert(tid, thread);
    }

    /// A new address space, empty.
    pub(super) fn add_space(&mut self) -> SpaceId {
        self.next.space += 1;
        let id = SpaceId(self.next.space);
        let space = Space {
            modules: AddressSpace::default(),
            sites: SiteTable::default(),
            bared: Vec::new(),
            rendezvous: None,
            syscall_at: None,
            trampoline_at: None,
            registers: DebugRegisters::default(),
            slots: Vec::new(),
            guarded: None,
            net: Default::default(),
            jit: Default::default(),
        };
        self.spaces.insert(id, space);
        id
    }

    /// Forgets address spaces that no process has.
    pub(super) fn drop_unused_spaces(&mut self) {
        let used: Vec<SpaceId> = self.processes.values().map(|one| one.space).collect();
        self.spaces.retain(|id, one| {
            let kept = used.contains(id);
            if let Some(guarded) = one.guarded.filter(|_| !kept) {
                self.guardian.leave(guarded);
            }
            kept
        });
        for breakpoint in self.breakpoints.values_mut() {
            breakpoint.forget_spaces(&used);
        }
    }

    /// The threads of a process.
    pub(super) fn threads_of(&self, pid: Pid) -> Vec<Tid> {
        let mut tids: Vec<Tid> = self.threads.iter().filter(|(_, one)| one.pid == pid).map(|(tid, _)| *tid).collect();
        tids.sort_unstable();
        tids
    }

    /// The process that a thread belongs to.
    pub(super) fn process_of(&self, tid: Tid) -> Option<&Process> {
        self.processes.get(&self.threads.get(&tid)?.pid)
    }

    /// The address space that a thread runs in.
    pub(super) fn space_of(&self, tid: Tid) -> Option<SpaceId> {
        Some(self.process_of(tid)?.space)
    }

    /// The processes that are debugged, not only looked after.
    pub(super) fn debugged(&self) -> Vec<Pid> {
        self.processes.values().filter(|one| one.role == Role::Debugged).map(|one| one.pid).collect()
    }

    /// The selected process, or what to tell the user.
    pub(super) fn selected_pid(&self) -> Result<Pid, ApiError> {
        let chosen = self.selection.pid.filter(|pid| self.processes.contains_key(pid));
        chosen.or_else(|| self.debugged().first().copied()).ok_or_else(|| {
            ApiError::user("there is no process").with_hint("attach PID|NAME, attach --waitfor NAME, or run PROGRAM")
        })
    }

    /// The selected thread, which must be stopped.
    pub(super) fn selected_tid(&self) -> Result<Tid, ApiError> {
        let pid = self.selected_pid()?;
        let tid = self.selected_task().ok_or_else(|| ApiError::target(format!("process {pid} has no thread left")))?;
        if self.stands(tid) {
            return Ok(tid);
        }
        let why = if self.is_kept(tid) { " (its pause budget was over)" } else { "" };
        Err(ApiError::user(format!("thread {tid} is running{why}"))
            .with_hint("interrupt it first (Ctrl-C, or `interrupt`)"))
    }

    /// The selected thread, whether it stands or runs.
    pub(super) fn selected_task(&self) -> Option<Tid> {
        let pid = self.selected_pid().ok()?;
        let of_pid = |tid: &Tid| self.threads.get(tid).is_some_and(|one| one.pid == pid);
        self.selection.tid.filter(of_pid).or_else(|| self.threads_of(pid).first().copied())
    }

    /// Whether a thread can be looked at: it is in a stop, or its last one is being recalled.
    pub(super) fn stands(&self, tid: Tid) -> bool {
        self.threads.get(&tid).is_some_and(|one| one.is_stopped()) || self.is_recalled(tid)
    }
}
