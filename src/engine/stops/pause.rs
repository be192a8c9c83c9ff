//! `set pause-budget`: a target that has stood for so long goes on by itself, and what was seen of it is kept.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{unbounded, Receiver, Sender};
use rustc_hash::FxHashMap;

use crate::api::{Command, Event, Outcome, PauseOver, Reply, StopReason, Toggle, VariableSet};
use crate::base::{AddrRange, Inferior, Pid, Recollection, Signal, Tid, VirtAddr};
use crate::engine::state::{Engine, Input, World};
use crate::os::Doorbell;
use crate::target::task::Role;

/// How much of the selected thread's stack is kept from its stack pointer on, and of the other threads' each, bytes.
const STACK_KEPT: u64 = 256 << 10;
const OTHER_STACK_KEPT: u64 = 32 << 10;
/// Below the stack pointer a function may use so much (psABI, 3.2.2), bytes.
const RED_ZONE: u64 = 128;
/// Threads whose stacks are kept.
const STACKS_KEPT: usize = 256;
/// Frames that are looked at so that what their variables point to is kept too.
const FRAMES_SEEN: u32 = 16;
/// Stops that are kept.
const STOPS_KEPT: usize = 8;
/// How long looking for that may take: the target stands meanwhile.
const LOOKING: Duration = Duration::from_millis(200);

/// How long who has stood, and what is kept of the last stop that went on by itself.
#[derive(Default)]
pub(in crate::engine) struct Pause {
    /// The budget that the times below are counted for, and since when it is so much.
    budget: Option<(Duration, Instant)>,
    /// Threads that stand for the user, and since when.
    since: FxHashMap<Tid, Instant>,
    /// The breakpoints that stopped them.
    stopped_by: FxHashMap<Tid, Vec<u32>>,
    timer: Option<PauseTimer>,
    /// The newest last; with non-stop each thread may have its own.
    kept: Vec<KeptStop>,
    /// A command is being answered from what is kept.
    recalling: bool,
}

/// A stop that is over.
struct KeptStop {
    recollection: Arc<Recollection>,
    entered: FxHashMap<Tid, (VirtAddr, usize)>,
    at: Instant,
}

impl<I: Inferior> Engine<I> {
    /// After what can have made threads stand or go on: sees to it that the timer knows when the first one's time is up.
    pub(in crate::engine) fn mind_pause(&mut self) {
        let Some(budget) = self.settings.pause_budget else {
            self.pause.budget = None;
            self.pause.timer = None;
            self.pause.since.clear();
            return;
        };
        let now = Instant::now();
        if self.pause.budget.is_none_or(|(known, _)| known != budget) {
            self.pause.budget = Some((budget, now));
        }
        let stand = self.threads.keys().filter(|tid| self.stands_for_user(**tid));
        let since = |tid: &Tid| (*tid, self.pause.since.get(tid).copied().unwrap_or(now));
        self.pause.since = stand.map(since).collect();
        if let Some(due) = self.first_due() {
            self.time_pause(due);
        }
    }

    /// A stop begins: of one thread, with non-stop, or of all.
    pub(super) fn pause_begins(&mut self, tid: Tid, reason: &StopReason) {
        match self.settings.non_stop {
            Toggle::On => {
                self.pause.since.remove(&tid);
                self.pause.stopped_by.remove(&tid);
                for kept in &mut self.pause.kept {
                    Arc::make_mut(&mut kept.recollection).forget(tid);
                }
                self.pause.kept.retain(|kept| !kept.recollection.is_empty());
            }
            Toggle::Off => {
                self.pause.since.clear();
                self.pause.stopped_by.clear();
                self.pause.kept.clear();
            }
        }
        self.pause.stopped_by.insert(tid, breakpoints_of(reason));
        self.mind_pause();
    }

    /// What was kept of a process is no use any more: it executes another program.
    pub(in crate::engine) fn forget_pause_of(&mut self, pid: Pid) {
        if !self.pause.kept.is_empty() {
            for tid in self.threads_of(pid) {
                self.pause.since.remove(&tid);
            }
            self.pause.kept.clear();
        }
    }

    fn stands_for_user(&self, tid: Tid) -> bool {
        let Some(thread) = self.threads.get(&tid).filter(|one| one.is_stopped()) else { return false };
        let debugged = self.processes.get(&thread.pid).is_some_and(|one| one.role == Role::Debugged);
        debugged && (self.world == World::Stopped || thread.held || thread.locked)
    }

    fn first_due(&self) -> Option<Instant> {
        let (budget, set_at) = self.pause.budget?;
        let first = self.pause.since.values().min()?;
        (*first).max(set_at).checked_add(budget)
    }

    fn time_pause(&mut self, due: Instant) {
        if self.pause.timer.is_none() {
            match PauseTimer::start(self.input_sender.clone(), self.doorbell.clone()) {
                Ok(timer) => self.pause.timer = Some(timer),
                Err(error) => {
                    self.settings.pause_budget = None;
                    let text = format!("the pause budget is off: its timer cannot be started: {error}");
                    self.emit(Event::Notice { text });
                    return;
                }
            }
        }
        if let Some(timer) = &self.pause.timer {
            timer.ring_at(due);
        }
    }

    /// The timer has rung: who has stood too long goes on.
    pub(in crate::engine) fn on_pause_over(&mut self) {
        let now = Instant::now();
        let Some((budget, set_at)) = self.pause.budget else { return };
        let is_over = |since: &Instant| (*since).max(set_at).checked_add(budget).is_some_and(|due| due <= now);
        let mut over: Vec<Tid> =
            self.pause.since.iter().filter(|(_, since)| is_over(since)).map(|(tid, _)| *tid).collect();
        if over.is_empty() {
            return;
        }
        self.break_off_call("the pause budget is over");
        if self.world == World::Stopped {
            over = self.threads.keys().copied().filter(|tid| self.stands_for_user(*tid)).collect();
        }
        over.sort_unstable();
        let first = self.selection.tid.filter(|tid| over.contains(tid)).or_else(|| over.first().copied());
        let (Some(first), Some(thread)) = (first, first.and_then(|tid| self.thread_ref(tid))) else { return };
        let stood = over.iter().filter_map(|tid| self.pause.since.get(tid)).min().map_or(budget, |since| now - *since);
        let mut told =
            PauseOver { thread, stood_ms: millis(stood), budget_ms: millis(budget), stays: None, disabled: vec![] };
        if let Some((tid, signal)) = over.iter().find_map(|tid| Some((*tid, self.deadly_signal(*tid)?))) {
            // It stands until the user decides; told once.
            self.pause.since.values_mut().for_each(|since| *since = now + Duration::from_secs(1 << 30));
            told.thread = self.thread_ref(tid).unwrap_or(told.thread);
            told.stays = Some(signal);
            self.emit(Event::PauseOver(Box::new(told)));
            return;
        }
        self.keep_stop(first, &over);
        told.disabled = self.disable_what_stopped(&over);
        self.emit(Event::PauseOver(Box::new(told)));
        if self.world == World::Stopped {
            self.steps.clear();
            self.resume_world();
            return self.mind_pause();
        }
        for tid in over {
            self.pause.since.remove(&tid);
            let Some(thread) = self.threads.get_mut(&tid) else { continue };
            (thread.held, thread.locked) = (false, false);
            self.release(tid);
        }
        if !self.threads.keys().any(|tid| self.stands_for_user(*tid)) {
            self.stop = None;
        }
        self.mind_pause();
    }

    /// Disables the breakpoints that stopped these threads: the next hit would make them stand for as long again, and take
    /// the place of what is kept.
    fn disable_what_stopped(&mut self, tids: &[Tid]) -> Vec<u32> {
        let stopped_by = tids.iter().filter_map(|tid| self.pause.stopped_by.remove(tid)).flatten();
        let mut ids: Vec<u32> = stopped_by.filter(|id| self.breakpoints.contains_key(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in &ids {
            self.enable_breakpoint(*id, Toggle::Off);
        }
        ids
    }

    /// The signal that a thread is to be given when it goes on, and that would be its process's end.
    fn deadly_signal(&self, tid: Tid) -> Option<Signal> {
        let signal = self.threads.get(&tid)?.owed?;
        let masks = self.inferior.signal_masks(tid).unwrap_or_default();
        masks.is_deadly(signal).then_some(signal)
    }

    /// Keeps what can be seen of a stop: registers, stacks, what the first thread's variables hold and point to, and
    /// what the user has looked at.
    fn keep_stop(&mut self, first: Tid, tids: &[Tid]) {
        let end = Instant::now() + LOOKING;
        let mut kept = Recollection::default();
        let mut pages = self.inferior.witness().take_noted();
        let mut ranges = Vec::new();
        for tid in tids.iter().filter(|tid| **tid != first).take(STACKS_KEPT).chain([&first]) {
            let Some((uid, pid)) = self.threads.get(tid).map(|one| (one.uid, one.pid)) else { continue };
            let Ok(regs) = self.inferior.regs(*tid) else { continue };
            kept.keep_task(uid, regs, self.inferior.extended_regs(*tid).ok());
            let length = if *tid == first { STACK_KEPT } else { OTHER_STACK_KEPT };
            let start = VirtAddr(regs.sp().0.saturating_sub(RED_ZONE) & !0xfff);
            ranges.push((pid, AddrRange { start, end: start.offset(length) }));
        }
        self.inferior.witness().note();
        self.look_around(first, tids, end);
        self.inferior.witness().rest();
        pages.extend(self.inferior.witness().take_noted());
        for (pid, range) in &ranges {
            pages.extend((range.start.0..range.end.0).step_by(4096).map(|page| (*pid, VirtAddr(page))));
        }
        let mut pids: Vec<Pid> = ranges.iter().map(|(pid, _)| *pid).collect();
        pids.dedup();
        for pid in pids {
            let maps = self.inferior.maps(pid).unwrap_or_default();
            let fixed = maps.iter().filter(|one| !one.write).map(|one| one.range);
            kept.keep_fixed(pid, fixed.collect());
        }
        for (pid, page) in pages {
            let mut bytes = vec![0; 4096];
            if let Ok(got) = self.inferior.read_mem(pid, page, &mut bytes) {
                bytes.truncate(got);
                kept.keep_page(pid, page, bytes);
            }
        }
        let entered = self.entered.clone();
        if self.pause.kept.len() >= STOPS_KEPT {
            self.pause.kept.remove(0);
        }
        self.pause.kept.push(KeptStop { recollection: Arc::new(kept), entered, at: Instant::now() });
    }

    /// Looks at what a user would ask for, so that it is read; no longer than until `end`.
    fn look_around(&mut self, first: Tid, tids: &[Tid], end: Instant) {
        let selection = self.selection;
        (self.selection.pid, self.selection.tid) = (self.threads.get(&first).map(|one| one.pid), Some(first));
        for number in 0..FRAMES_SEEN {
            self.selection.frame = number;
            let in_time = Instant::now() < end;
            // Where there is no debug information, or no frame, nothing is to be kept of it.
            if !in_time || self.list_variables(VariableSet::Arguments).is_err() {
                break;
            }
            let _ = self.list_variables(VariableSet::Locals);
        }
        self.selection = selection;
        for tid in [first].iter().chain(tids).take_while(|_| Instant::now() < end) {
            let _ = self.stop_place(*tid);
            let _ = self.stack_of(*tid, 64);
        }
    }

    /// Before a command is answered that looks at a stop which the budget will end: what it reads will be kept.
    pub(in crate::engine) fn note_what_is_seen(&mut self) {
        if self.settings.pause_budget.is_some() && self.selected_tid().is_ok() {
            self.inferior.witness().note();
        }
    }

    /// The answer to a command about a thread that runs, from what was kept of its stop.
    pub(in crate::engine) fn look_back(&mut self, command: &Command) -> Option<Outcome> {
        if self.pause.recalling || !looks_at_a_stop(command) {
            return None;
        }
        let tid = match command {
            Command::Thread { number: Some(number) } => {
                *self.threads.iter().find(|(_, one)| one.number == *number).map(|(tid, _)| tid)?
            }
            _ => self.selected_task()?,
        };
        if self.threads.get(&tid)?.is_stopped() {
            return None;
        }
        let index = self.kept_stop_of(tid)?;
        let kept = self.pause.kept.get_mut(index)?;
        let (recollection, age) = (kept.recollection.clone(), kept.at.elapsed());
        let now = std::mem::replace(&mut self.entered, std::mem::take(&mut kept.entered));
        let values = self.history.len();
        self.inferior.witness().take_missed();
        self.inferior.witness().recall(recollection);
        self.pause.recalling = true;
        let answer = self.look(command.clone());
        self.pause.recalling = false;
        self.inferior.witness().rest();
        let missed = self.inferior.witness().take_missed();
        let then = std::mem::replace(&mut self.entered, now);
        if let Some(kept) = self.pause.kept.get_mut(index) {
            kept.entered = then;
        }
        // What nobody looked at then is shown as it is now, where that needs no stop.
        if answer.is_ok() && missed {
            let of_then = self.history.split_off(values);
            match self.look(command.clone()) {
                Ok(reply) => return Some(Ok(reply)),
                Err(_) => self.history.extend(of_then),
            }
        }
        let thread = self.thread_ref(tid)?;
        match answer {
            Ok(reply) => Some(Ok(Reply::Kept { thread, age_ms: millis(age), reply: Box::new(reply) })),
            Err(error) if refuses_when_running(command) => Some(Err(error)),
            // What needs no stop is answered by the target as it is now.
            Err(_) => None,
        }
    }

    /// Whether a thread's registers come from what was kept.
    pub(in crate::engine) fn is_recalled(&self, tid: Tid) -> bool {
        self.pause.recalling && self.is_kept(tid)
    }

    /// Whether its last stop is kept.
    pub(in crate::engine) fn is_kept(&self, tid: Tid) -> bool {
        self.kept_stop_of(tid).is_some()
    }

    fn kept_stop_of(&self, tid: Tid) -> Option<usize> {
        let uid = self.threads.get(&tid)?.uid;
        self.pause.kept.iter().rposition(|kept| kept.recollection.has(uid))
    }
}

/// The breakpoints for which a stop is.
fn breakpoints_of(reason: &StopReason) -> Vec<u32> {
    match reason {
        StopReason::Breakpoint { ids } => ids.clone(),
        StopReason::Watch { hits } => hits.iter().map(|hit| hit.id).collect(),
        StopReason::Syscall { hits } => hits.iter().map(|hit| hit.id).collect(),
        _ => Vec::new(),
    }
}

/// Whether a command asks for registers, frames or values, and changes nothing.
fn looks_at_a_stop(command: &Command) -> bool {
    // `print x = 5` changes the program.
    let is_look = |text: &str| crate::lang::change_in(text).is_none();
    refuses_when_running(command)
        || matches!(command, Command::Print { expression, .. } if is_look(expression))
        || matches!(
            command,
            Command::Examine { .. }
                | Command::Disassemble { .. }
                | Command::TypeOf { .. }
                | Command::InfoSymbol { .. }
                | Command::Source { .. }
        )
}

/// Whether a command can only be answered for a thread that stands.
fn refuses_when_running(command: &Command) -> bool {
    matches!(
        command,
        Command::Backtrace { .. }
            | Command::Frame { .. }
            | Command::DescribeFrame { .. }
            | Command::Thread { .. }
            | Command::Registers { .. }
            | Command::Variables { .. }
    )
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The thread of the timer; dropping it ends it.
struct PauseTimer {
    due: Option<Sender<Instant>>,
    thread: Option<JoinHandle<()>>,
}

impl PauseTimer {
    fn start(inputs: Sender<Input>, doorbell: Doorbell) -> std::io::Result<PauseTimer> {
        let (due, dues) = unbounded();
        let ring = move || {
            let heard = inputs.send(Input::PauseOver).is_ok();
            doorbell.ring();
            heard
        };
        let thread = std::thread::Builder::new().name("rdbg-pause".into()).spawn(move || run_timer(&dues, ring))?;
        Ok(PauseTimer { due: Some(due), thread: Some(thread) })
    }

    fn ring_at(&self, due: Instant) {
        // The thread lives as long as this.
        let _ = self.due.as_ref().map(|to| to.send(due));
    }
}

impl Drop for PauseTimer {
    fn drop(&mut self) {
        self.due.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Rings at the time that it was told last.
fn run_timer(dues: &Receiver<Instant>, ring: impl Fn() -> bool) {
    let mut due = None;
    loop {
        let timer = due.map_or_else(crossbeam_channel::never, crossbeam_channel::at);
        crossbeam_channel::select! {
            recv(dues) -> told => match told {
                Ok(told) => due = Some(told),
                Err(_) => return,
            },
            recv(timer) -> _ => {
                due = None;
                if !ring() {
                    return;
                }
            }
        }
    }
}
