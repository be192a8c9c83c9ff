//! The safety net: with the user's consent (`set safety-net on`) a target gets a handler of SIGTRAP, which lets it live on
//! when rdbg has been killed and a thread runs into what rdbg left. os/safety_net has its code.
//!
//! In the target it is a mapping of its own: the code and the table of the sites, which the program can read and execute,
//! and a page that it can write, for the arguments of rt_sigaction(2).

use std::collections::BTreeMap;

use crate::api::{ApiError, Event, Outcome, Reply, Toggle};
use crate::base::{Inferior, InferiorError, MemError, Pid, Signal, SignalMasks, Tid, TrapOrder, VirtAddr};
use crate::engine::state::{Engine, World};
use crate::os::{net_action, net_code, net_entry, CodeWriters, GuardianState, NET_SITES, NET_TABLE};
use crate::target::breakpoint::{Owner, SiteTable};
use crate::target::task::{Origin, Role, RunState, SpaceId, StopKind, Thread};

const SYS_MMAP: u64 = 9;
const SYS_MPROTECT: u64 = 10;
const SYS_MUNMAP: u64 = 11;
const SYS_RT_SIGACTION: u64 = 13;
const PROT_READ_WRITE: u64 = 1 | 2;
const PROT_READ_EXEC: u64 = 1 | 4;
/// MAP_PRIVATE | MAP_ANONYMOUS.
const MAP_PRIVATE_ANONYMOUS: u64 = 0x02 | 0x20;
/// Bytes of the table's head and of each entry.
const ENTRY: u64 = 16;
/// From the mapping's start to the page for arguments.
const SCRATCH: u64 = NET_TABLE + (NET_SITES + 1) * ENTRY;
const LENGTH: u64 = SCRATCH + 4096;
/// The size of the kernel's struct sigaction, and of its sigset_t.
const ACTION: u64 = 32;
const SIGSET: u64 = 8;
const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;

/// Whether an address space has one.
#[derive(Clone, Default)]
pub(in crate::engine) enum Net {
    /// Not, or not yet.
    #[default]
    Absent,
    /// It has.
    Spread(Spread),
    /// It cannot have one, or has none any more; why.
    Refused(String),
}

/// A net that is in place.
#[derive(Clone)]
pub(in crate::engine) struct Spread {
    at: VirtAddr,
    /// Which entry of the table each site has.
    entries: BTreeMap<VirtAddr, u64>,
    used: u64,
}

/// Why a process can have no net.
#[derive(Debug, thiserror::Error)]
enum NetError {
    #[error(transparent)]
    Inferior(#[from] InferiorError),
    #[error(transparent)]
    Memory(#[from] MemError),
    #[error("the program handles SIGTRAP itself")]
    Handled,
    #[error("the program ignores SIGTRAP")]
    Ignored,
    #[error("no thread of it can be made to make the calls now")]
    NoThread,
    #[error("the kernel refuses {what} in it (errno {errno})")]
    Call { what: &'static str, errno: u64 },
}

impl Net {
    /// Before an int3 is written: enters the site. A table that is full covers no more.
    pub(in crate::engine) fn cover<I: Inferior>(&mut self, inferior: &mut I, pid: Pid, at: VirtAddr, original: u8) {
        let Net::Spread(net) = self else { return };
        let known = net.entries.get(&at).copied();
        let Some(index) = known.or(Some(net.used + 1).filter(|index| *index <= NET_SITES)) else { return };
        if net.write_entry(inferior, pid, index, net_entry(at.0, original, None)).is_ok() {
            net.entries.insert(at, index);
            if known.is_none() && net.write_used(inferior, pid, index).is_ok() {
                net.used = index;
            }
        }
    }

    /// A site has a copy of its instruction now.
    pub(in crate::engine) fn add_copy<I: Inferior>(&self, inferior: &mut I, pid: Pid, sites: &SiteTable, at: VirtAddr) {
        let (Net::Spread(net), Some(site)) = (self, sites.find(at)) else { return };
        if let Some(index) = net.entries.get(&at) {
            let entry = net_entry(at.0, site.original, site.slot.map(|slot| slot.0));
            // Without it the handler has no copy to go to, should it not be able to restore the byte.
            let _ = net.write_entry(inferior, pid, *index, entry);
        }
    }

    /// What was mapped at a site has gone: an int3 that comes to be there is not rdbg's.
    pub(in crate::engine) fn forget<I: Inferior>(&mut self, inferior: &mut I, pid: Pid, at: VirtAddr) {
        let Net::Spread(net) = self else { return };
        if let Some(index) = net.entries.remove(&at) {
            let _ = net.write_entry(inferior, pid, index, net_entry(0, 0, None));
        }
    }

    /// Makes the net of a forked copy agree with what is known of it. One that was spread after the fork is not there.
    pub(in crate::engine) fn reconcile<I: Inferior>(&mut self, inferior: &mut I, child: Pid, sites: &SiteTable) {
        let Net::Spread(net) = self else { return };
        if !is_net(inferior, child, net.at) {
            *self = Net::Absent;
            return;
        }
        for (at, index) in &net.entries {
            if let Some(site) = sites.find(*at) {
                let entry = net_entry(at.0, site.original, site.slot.map(|slot| slot.0));
                let _ = net.write_entry(inferior, child, *index, entry);
            }
        }
        let _ = net.write_used(inferior, child, net.used);
    }

    pub(super) fn is_spread(&self) -> bool {
        matches!(self, Net::Spread(_))
    }
}

impl Spread {
    fn write_entry<I: Inferior>(
        &self,
        inferior: &mut I,
        pid: Pid,
        index: u64,
        entry: [u8; 16],
    ) -> Result<(), MemError> {
        inferior.write_mem(pid, self.at.offset(NET_TABLE + index * ENTRY), &entry)
    }

    /// An entry counts only from here on, whenever rdbg dies.
    fn write_used<I: Inferior>(&self, inferior: &mut I, pid: Pid, used: u64) -> Result<(), MemError> {
        inferior.write_mem(pid, self.at.offset(NET_TABLE), &used.to_le_bytes())
    }
}

/// Whether a net's code is at an address.
fn is_net<I: Inferior>(inferior: &I, pid: Pid, at: VirtAddr) -> bool {
    let mut found = vec![0; net_code().len()];
    inferior.read_mem(pid, at, &mut found).is_ok_and(|got| got == found.len()) && found == net_code()
}

impl<I: Inferior> Engine<I> {
    /// `set safety-net`.
    pub(in crate::engine) fn set_safety_net(&mut self, value: &str) -> Outcome {
        self.settings.set("safety-net", value)?;
        let on = self.settings.safety_net;
        for pid in self.debugged() {
            let Some(space) = self.processes.get(&pid).map(|one| one.space) else { continue };
            self.while_it_stands(pid, |engine| match on {
                Toggle::On => engine.spread_net(pid, space),
                Toggle::Off => engine.lift_net(&[pid], space),
            });
        }
        match on {
            Toggle::On => Ok(Reply::Text { text: self.describe_safety()? }),
            Toggle::Off => Ok(Reply::Done),
        }
    }

    /// Before sites are armed, if the threads stand: the net is there before anything is hit, and so is room for the copies
    /// of instructions, since a thread does not outlive a call that rdbg makes in it. Where threads run both come with the
    /// first hits.
    pub(in crate::engine) fn spread_before_arming(&mut self, pid: Pid, space: SpaceId, places: &[(VirtAddr, Owner)]) {
        if self.settings.safety_net == Toggle::Off || self.threads_of(pid).into_iter().any(|tid| self.is_running(tid)) {
            return;
        }
        if self.wants_net(pid, space) {
            self.spread_net(pid, space);
        }
        let is_spread = self.spaces.get(&space).is_some_and(|one| one.net.is_spread());
        let Some(tid) = is_spread.then(|| self.thread_at_rest(&self.threads_of(pid))).flatten() else { return };
        for (at, _) in places {
            if self.map_slots_near(tid, space, *at).is_err() {
                return;
            }
        }
    }

    /// At a hit, in a space that has no net yet; whether there is one now.
    pub(in crate::engine) fn spread_at_hit(&mut self, tid: Tid) -> bool {
        if self.settings.safety_net == Toggle::Off {
            return false;
        }
        let Some((pid, space)) = self.process_of(tid).map(|one| (one.pid, one.space)) else { return false };
        if self.wants_net(pid, space) {
            let spread = self.spread_with(tid, pid, space);
            self.note_spread(space, spread);
        }
        self.spaces.get(&space).is_some_and(|one| one.net.is_spread())
    }

    fn wants_net(&self, pid: Pid, space: SpaceId) -> bool {
        let attached = self.processes.get(&pid).is_some_and(|one| one.origin == Origin::Attached);
        let absent = self.spaces.get(&space).is_some_and(|one| matches!(one.net, Net::Absent));
        self.settings.safety_net == Toggle::On && attached && absent
    }

    /// Spreads the net in a process whose threads stand, where it can have one.
    fn spread_net(&mut self, pid: Pid, space: SpaceId) {
        if let Some(one) = self.spaces.get_mut(&space).filter(|one| matches!(one.net, Net::Refused(_))) {
            one.net = Net::Absent;
        }
        if !self.wants_net(pid, space) {
            return;
        }
        let tids = self.threads_of(pid);
        let spread = match self.thread_at_rest(&tids) {
            Some(tid) => self.spread_with(tid, pid, space),
            None => Err(NetError::NoThread),
        };
        self.note_spread(space, spread);
    }

    fn note_spread(&mut self, space: SpaceId, spread: Result<Spread, NetError>) {
        let pid = self.pid_of_space(space);
        let Some(one) = self.spaces.get_mut(&space) else { return };
        one.net = match spread {
            Ok(spread) => Net::Spread(spread),
            // The first hit finds a thread that can.
            Err(NetError::NoThread) => Net::Absent,
            Err(error) => Net::Refused(error.to_string()),
        };
        if let (Net::Refused(reason), Some(pid)) = (&one.net, pid) {
            let text = format!("process {pid} has no safety net: {reason}");
            self.emit(Event::Notice { text });
        }
        self.order_traps();
    }

    fn spread_with(&mut self, tid: Tid, pid: Pid, space: SpaceId) -> Result<Spread, NetError> {
        // A step's SIGTRAP, by which rdbg makes calls, would make the kernel forget that it is ignored.
        let ignores = |masks: SignalMasks| masks.ignored & 1 << (Signal::TRAP.0 - 1) != 0;
        if self.inferior.signal_masks(tid).is_some_and(ignores) {
            return Err(NetError::Ignored);
        }
        let args = [0, LENGTH, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, u64::MAX, 0];
        let at = VirtAddr(self.call(tid, "mmap", SYS_MMAP, args)?);
        let spread = self.take_over(tid, pid, at);
        let kept = spread.as_ref().is_ok_and(|kept| *kept == at);
        if !kept {
            self.call(tid, "munmap", SYS_MUNMAP, [at.0, LENGTH, 0, 0, 0, 0])?;
        }
        let mut net = Net::Spread(Spread { at: spread?, entries: BTreeMap::new(), used: 0 });
        let sites: Vec<VirtAddr> =
            self.spaces.get(&space).map(|one| one.sites.iter().map(|(at, _)| at).collect()).unwrap_or_default();
        for at in sites {
            if self.map_slots_near(tid, space, at).is_err() {
                break;
            }
        }
        let Some(one) = self.spaces.get(&space) else { return Err(MemError::Gone.into()) };
        let all = one.sites.originals().chain(one.sites.retired());
        for (at, original) in all {
            net.cover(&mut self.inferior, pid, at, original);
            net.add_copy(&mut self.inferior, pid, &one.sites, at);
        }
        match net {
            Net::Spread(net) => Ok(net),
            _ => Err(NetError::NoThread),
        }
    }

    /// Makes the new mapping at `at` the process's handler of SIGTRAP, or finds that another rdbg's is: one that was killed
    /// has left it behind. Where the net is.
    fn take_over(&mut self, tid: Tid, pid: Pid, at: VirtAddr) -> Result<VirtAddr, NetError> {
        self.inferior.write_mem(pid, at, net_code())?;
        self.call(tid, "mprotect", SYS_MPROTECT, [at.0, SCRATCH, PROT_READ_EXEC, 0, 0, 0])?;
        let old = self.exchange_action(tid, pid, at, None)?;
        match handler_of(&old) {
            SIG_DFL => {}
            SIG_IGN => return Err(NetError::Ignored),
            left if is_net(&self.inferior, pid, VirtAddr(left)) => {
                let net = Spread { at: VirtAddr(left), entries: BTreeMap::new(), used: 0 };
                net.write_used(&mut self.inferior, pid, 0)?;
                return Ok(net.at);
            }
            _ => return Err(NetError::Handled),
        }
        let before = self.exchange_action(tid, pid, at, Some(net_action(at.0)))?;
        if handler_of(&before) != SIG_DFL {
            // Another thread of the program was quicker.
            self.exchange_action(tid, pid, at, Some(before))?;
            return Err(NetError::Handled);
        }
        Ok(at)
    }

    /// rt_sigaction(SIGTRAP) in the target: what was set before.
    fn exchange_action(
        &mut self,
        tid: Tid,
        pid: Pid,
        net: VirtAddr,
        new: Option<[u8; ACTION as usize]>,
    ) -> Result<[u8; ACTION as usize], NetError> {
        let (old_at, new_at) = (net.offset(SCRATCH), net.offset(SCRATCH + ACTION));
        if let Some(new) = new {
            self.inferior.write_mem(pid, new_at, &new)?;
        }
        let args = [Signal::TRAP.0 as u64, new.map_or(0, |_| new_at.0), old_at.0, SIGSET, 0, 0];
        self.call(tid, "sigaction", SYS_RT_SIGACTION, args)?;
        let mut old = [0; ACTION as usize];
        match self.inferior.read_mem(pid, old_at, &mut old)? {
            got if got == old.len() => Ok(old),
            _ => Err(MemError::Unmapped(old_at).into()),
        }
    }

    fn call(&mut self, tid: Tid, what: &'static str, number: u64, args: [u64; 6]) -> Result<u64, NetError> {
        match self.remote_syscall(tid, number, args)? {
            result if result > u64::MAX - 4096 => Err(NetError::Call { what, errno: result.wrapping_neg() }),
            result => Ok(result),
        }
    }

    /// Takes the net out of processes that share a space and whose threads stand. Where the program has a handler of its
    /// own by now, that stays.
    pub(super) fn lift_net(&mut self, pids: &[Pid], space: SpaceId) {
        let net = self.spaces.get_mut(&space).map(|one| std::mem::take(&mut one.net));
        let Some(Net::Spread(net)) = net else { return };
        self.order_traps();
        if let Err(error) = self.lift(pids, &net) {
            let pid = pids.first().copied().unwrap_or(Pid(0));
            let text = format!("the safety net of process {pid} stays in it, where it does no harm: {error}");
            self.emit(Event::Notice { text });
        }
    }

    fn lift(&mut self, pids: &[Pid], net: &Spread) -> Result<(), NetError> {
        let mut last = None;
        for pid in pids {
            let tids = self.threads_of(*pid);
            let tid = self.thread_at_rest(&tids).ok_or(NetError::NoThread)?;
            let now = self.exchange_action(tid, *pid, net.at, None)?;
            if handler_of(&now) == net.at.0 {
                self.exchange_action(tid, *pid, net.at, Some([0; ACTION as usize]))?;
            }
            last = Some(tid);
        }
        let all: Vec<Tid> = pids.iter().flat_map(|pid| self.threads_of(*pid)).collect();
        let is_in = |regs: crate::base::Regs| regs.pc().since(net.at) < LENGTH;
        // One that runs, or whose regs cannot be read, can be in it.
        let busy = all.into_iter().any(|tid| self.inferior.regs(tid).map_or(true, is_in));
        match last.filter(|_| !busy) {
            Some(tid) => self.call(tid, "munmap", SYS_MUNMAP, [net.at.0, LENGTH, 0, 0, 0, 0]).map(drop),
            None => Err(NetError::NoThread),
        }
    }

    /// A forked child that is let go keeps the net that it has a copy of, and the copies of instructions, until it executes
    /// something or ends. The calls that take them out are what a thread does not outlive when rdbg is killed, and with each
    /// fork of a busy program there would be such a moment.
    pub(super) fn leave_net_in(&mut self, child: Pid) {
        let space = self.processes.get(&child).and_then(|process| self.spaces.get_mut(&process.space));
        if let Some(one) = space.filter(|one| one.net.is_spread()) {
            one.net = Net::Absent;
            one.slots.clear();
        }
    }

    /// With a net a stop is better owed than collected ([`TrapOrder`]).
    fn order_traps(&mut self) {
        let any = self.spaces.values().any(|one| one.net.is_spread());
        self.inferior.order_traps(if any { TrapOrder::Owe } else { TrapOrder::Collect });
    }

    /// When the user is told of a stop: whether the program has set a handler of its own meanwhile, whose the traps are
    /// now.
    pub(in crate::engine) fn look_at_nets(&mut self) {
        if self.settings.safety_net == Toggle::Off {
            return;
        }
        for pid in self.debugged() {
            let Some(space) = self.processes.get(&pid).map(|one| one.space) else { continue };
            let Some(Net::Spread(net)) = self.spaces.get(&space).map(|one| &one.net) else { continue };
            let (at, tids) = (net.at, self.threads_of(pid));
            let at_rest = RunState::Stopped(StopKind::Event);
            let can = |one: &Thread| one.state == at_rest && one.owed.is_none() && !one.in_vfork;
            let Some(tid) = tids.into_iter().find(|tid| self.threads.get(tid).is_some_and(can)) else { continue };
            let now = self.exchange_action(tid, pid, at, None);
            if now.is_ok_and(|now| handler_of(&now) != at.0) {
                let reason = "the program has set a handler of SIGTRAP of its own since".to_owned();
                let text = format!("process {pid} has no safety net any more: {reason}");
                if let Some(one) = self.spaces.get_mut(&space) {
                    one.net = Net::Refused(reason);
                }
                self.order_traps();
                self.emit(Event::Notice { text });
            }
        }
    }

    /// `info safety`.
    pub(in crate::engine) fn describe_safety(&mut self) -> Result<String, ApiError> {
        self.look_at_nets();
        let mut lines = vec![match self.guardian.state() {
            GuardianState::Watching(pid) => {
                format!("Guardian {pid} restores {} patched bytes should rdbg be killed.", self.guardian.covered())
            }
            GuardianState::Gone => {
                "The guardian has died: nothing restores patched bytes should rdbg be killed.".into()
            }
            GuardianState::Absent => "No guardian: nothing restores patched bytes should rdbg be killed.".into(),
        }];
        let guarded = matches!(self.guardian.state(), GuardianState::Watching(_));
        if guarded && CodeWriters::of_this_kernel() == CodeWriters::TracersAtMost {
            lines.push(
                "  This kernel lets a tracer at most write code through /proc/PID/mem (proc_mem.force_override): the guardian has\n  \
                 to trace a process to restore it. What hits before, in some milliseconds, is the process's end."
                    .into(),
            );
        }
        for pid in self.debugged() {
            lines.push(format!("Process {pid}: {}", self.describe_net(pid)));
        }
        Ok(lines.join("\n"))
    }

    fn describe_net(&self, pid: Pid) -> String {
        let Some(process) = self.processes.get(&pid) else { return "gone".into() };
        let Some(one) = self.spaces.get(&process.space) else { return "gone".into() };
        if process.origin == Origin::Launched {
            return "rdbg has launched it; it is killed with rdbg.".into();
        }
        let net = match &one.net {
            Net::Absent if self.settings.safety_net == Toggle::Off => {
                return "no safety net (set safety-net on): a thread that hits when rdbg is killed is its end.".into()
            }
            Net::Absent => return "the safety net comes with the first hit.".into(),
            Net::Refused(reason) => return format!("no safety net: {reason}."),
            Net::Spread(net) => net,
        };
        let sites = one.sites.iter().count();
        let covered = one.sites.iter().filter(|(at, _)| net.entries.contains_key(at)).count();
        let mut text = format!("safety net at {}, {covered} of {sites} patched places covered.", net.at);
        let blocks = |tid: &Tid| {
            let stands = self.threads.get(tid).is_some_and(|one| one.is_stopped());
            stands && self.inferior.blocked_signals(*tid).is_ok_and(|mask| mask & 1 << (Signal::TRAP.0 - 1) != 0)
        };
        let blocking = self.threads_of(pid).iter().filter(|tid| blocks(tid)).count();
        if blocking > 0 {
            text.push_str(&format!(
                "\n  Not covered: {blocking} threads that block SIGTRAP; a hit of theirs is the end of the process."
            ));
        }
        text.push_str(
            "\n  Not covered: a system call that rdbg makes in it, and children of posix_spawn before they execute.",
        );
        text
    }

    /// Does something to a process whose threads stand meanwhile.
    pub(in crate::engine) fn while_it_stands(&mut self, pid: Pid, act: impl FnOnce(&mut Self)) {
        if self.processes.get(&pid).is_none_or(|one| one.role != Role::Debugged) {
            return;
        }
        let stood = self.stopped_threads();
        let world = std::mem::replace(&mut self.world, World::Stopping);
        self.note_sleepers(pid);
        self.stop_process(pid);
        act(self);
        self.world = world;
        for tid in self.stopped_threads().into_iter().filter(|tid| !stood.contains(tid)) {
            self.go_on(tid);
        }
    }
}

fn handler_of(action: &[u8; ACTION as usize]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&action[..8]);
    u64::from_le_bytes(word)
}
