//! Debug registers: what they are to wait for, and writing them into every thread.
//!
//! The kernel keeps them for each thread apart, a new thread has them disabled whatever DR7 reads (only the writing
//! arms them), and an exec clears them. So a thread is brought up to date before it goes on, wherever it comes from:
//! [`Engine::write_registers`] compares what it was given last with what has changed since.

use super::arming::ArmError;
use super::Pattern;
use crate::api::{ApiError, Event, Toggle, WatchAccess, WatchSpec, Where};
use crate::base::{DebugRegister, Inferior, InferiorError, Pid, ReadMem, Tid, VirtAddr};
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::{Engine, World};
use crate::lang::{Expression, Place};
use crate::target::breakpoint::{CleanMemory, Owner};
use crate::target::debug_register::{DebugRegisters, Region, Trigger, Watcher};
use crate::target::task::{Role, SpaceId};

/// How many bytes are watched where nothing says how many: as many as one register can.
const USUAL_LENGTH: u64 = 8;
/// What to do where the registers do not suffice.
const HOW_TO_FREE: &str = "delete or disable one of those (`info breakpoints`), or watch fewer bytes";

/// By what means a breakpoint is armed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Means {
    /// An int3 in the place of the instruction.
    Patch,
    /// Debug registers, for so many bytes from each of its places on.
    Registers { trigger: Trigger, length: u64 },
    /// Syscall-stops.
    Syscalls,
}

impl<I: Inferior> Engine<I> {
    /// Where a breakpoint is to be, and how it is to be armed.
    pub(super) fn parse_intent(&self, location: &Where) -> Result<(Pattern, Means), ApiError> {
        match location {
            Where::Hardware(place) => {
                let means = Means::Registers { trigger: Trigger::Execute, length: 1 };
                Ok((self.parse_where(place)?, means))
            }
            Where::Watch(spec) => self.parse_watch(spec),
            Where::Syscalls(spec) => Ok((crate::engine::stops::syscalls::parse_calls(spec)?, Means::Syscalls)),
            place => Ok((self.parse_where(place)?, Means::Patch)),
        }
    }

    fn parse_watch(&self, spec: &WatchSpec) -> Result<(Pattern, Means), ApiError> {
        let pid = self.selected_pid()?;
        let (at, size) = self.evaluate_region(&spec.expression)?;
        let maps = self.inferior.maps(pid).map_err(|error| ApiError::target(error.to_string()))?;
        if !maps.iter().any(|one| one.range.contains(at)) {
            return Err(ApiError::user(format!("nothing is mapped at {at}, which `{}` is", spec.expression))
                .with_hint(
                    "`info sharedlibrary` shows what is; a pointer that is not set yet has no target to watch",
                ));
        }
        let trigger = match spec.access {
            WatchAccess::Change | WatchAccess::Write => Trigger::Write,
            WatchAccess::Read | WatchAccess::Any => Trigger::Access,
        };
        let length = spec.length.or(size).unwrap_or(USUAL_LENGTH);
        Ok((self.pattern_at(at), Means::Registers { trigger, length }))
    }

    /// The first byte that an expression means, and how many where it says: those of a place in memory, or of the
    /// variable that the address is the first of.
    fn evaluate_region(&self, text: &str) -> Result<(VirtAddr, Option<u64>), ApiError> {
        let explain = |error| crate::engine::inspect::expressions::explain(&error, text);
        let place = self.with_names(|names, environment| {
            let expression = Expression::compile(text, names).map_err(explain)?;
            if names.plain.asked_register.get() {
                self.selected_tid()?;
            }
            expression.place(environment).map_err(explain)
        })?;
        match place {
            Some(Place::Memory { at, size }) => Ok((at, Some(size as u64))),
            Some(Place::Bits { at, field }) => Err(ApiError::user(format!(
                "{text} is a bit-field, and debug registers wait for whole bytes: `watch {:#x} {}` watches its word",
                at.0, field.bytes
            ))),
            _ => {
                let at = self.evaluate_address(text)?;
                Ok((at, self.size_of_data(at)))
            }
        }
    }

    /// The size of the variable at an address, where it is one that a register can watch.
    fn size_of_data(&self, at: VirtAddr) -> Option<u64> {
        let space = self.spaces.get(&self.processes.get(&self.selected_pid().ok()?)?.space)?;
        let loaded =
            space.modules.modules().iter().find(|one| one.module.symbols().find_at(one.to_file(at)).is_some())?;
        let (symbol, offset) = loaded.module.symbols().find_at(loaded.to_file(at))?;
        Some(symbol.size).filter(|size| offset == 0 && [1, 2, 4, 8].contains(size))
    }

    /// Arms places of a breakpoint by its means; returns those that could not be, with the reason.
    pub(super) fn arm_places(
        &mut self,
        id: u32,
        pid: Pid,
        space: SpaceId,
        places: &[(VirtAddr, Owner)],
    ) -> Vec<(VirtAddr, ArmError)> {
        let Some(means) = self.breakpoints.get(&id).map(|one| one.means) else { return Vec::new() };
        let Means::Registers { trigger, length } = means else { return self.arm_all(pid, space, places) };
        let mut failed = Vec::new();
        for (at, owner) in places {
            let Owner::Breakpoint { id, location } = *owner else { continue };
            let last = self.read_watched(pid, space, *at, length).filter(|_| trigger != Trigger::Execute);
            let Some(one) = self.spaces.get_mut(&space) else { continue };
            let watcher = Watcher { id, location };
            if let Err(error) = one.registers.add(Region { watcher, at: *at, length, trigger, last }) {
                failed.push((*at, error.into()));
            }
        }
        if let Err(error) = self.registers_changed(space) {
            let own = |region: &Region| region.watcher.id == id;
            let added = self.spaces.get_mut(&space).map_or(0, |one| one.registers.remove(own));
            // What was there before is written again; the kernel had taken that.
            let _ = self.registers_changed(space);
            let reason = error.to_string();
            failed.extend(places.iter().take(added).map(|(at, _)| (*at, ArmError::Refused(reason.clone()))));
        }
        failed
    }

    /// Refuses what takes more registers than are free, before any is written.
    pub(super) fn check_registers(&self, id: u32, space: SpaceId, places: &[VirtAddr]) -> Result<(), ApiError> {
        let Some(Means::Registers { trigger, length }) = self.breakpoints.get(&id).map(|one| one.means) else {
            return Ok(());
        };
        let Some(one) = self.spaces.get(&space) else { return Ok(()) };
        let regions: Vec<_> = places.iter().map(|at| (*at, length, trigger)).collect();
        one.registers.check_room(&regions).map_err(|error| ApiError::user(error.to_string()).with_hint(HOW_TO_FREE))
    }

    /// Takes a breakpoint's registers away, in every space.
    pub(super) fn free_registers(&mut self, id: u32) {
        self.free_registers_where(|_, region| region.watcher.id == id);
    }

    /// Takes the registers of regions away for which `goes` holds, and of no others.
    pub(in crate::engine) fn free_registers_where(&mut self, goes: impl Fn(SpaceId, &Region) -> bool) {
        let spaces: Vec<SpaceId> = self.spaces.keys().copied().collect();
        for space in spaces {
            let Some(one) = self.spaces.get_mut(&space) else { continue };
            if one.registers.remove(|region| goes(space, region)) > 0 {
                // Writing fewer is refused by no kernel; a thread that has gone has none.
                let _ = self.registers_changed(space);
            }
        }
    }

    /// After a change: writes the registers of every thread of a space. Those that run are stopped for it, and go on;
    /// one that cannot be stopped now is written when it wakes.
    fn registers_changed(&mut self, space: SpaceId) -> Result<(), InferiorError> {
        self.registers_changes += 1;
        let pids: Vec<Pid> = self.processes.values().filter(|one| one.space == space).map(|one| one.pid).collect();
        let stood: Vec<Tid> = self.stopped_threads();
        let world = std::mem::replace(&mut self.world, World::Stopping);
        let mut outcome = Ok(());
        for pid in &pids {
            self.guard_registers(*pid, space);
        }
        for pid in pids {
            self.note_sleepers(pid);
            self.stop_process(pid);
            for tid in self.threads_of(pid) {
                if self.threads.get(&tid).is_some_and(|one| one.is_stopped()) {
                    match self.write_registers(tid) {
                        Ok(()) | Err(InferiorError::Gone(_)) => {}
                        Err(error) => outcome = Err(error),
                    }
                }
            }
        }
        if outcome.is_ok() {
            self.registers_written(space);
        }
        self.world = world;
        for tid in self.stopped_threads() {
            if !stood.contains(&tid) {
                self.go_on(tid);
            }
        }
        outcome
    }

    pub(in crate::engine) fn stopped_threads(&self) -> Vec<Tid> {
        let mut tids: Vec<Tid> = self.threads.iter().filter(|(_, one)| one.is_stopped()).map(|(tid, _)| *tid).collect();
        tids.sort_unstable();
        tids
    }

    /// Writes the registers of a thread that stands, where they have changed since it was given them.
    pub(in crate::engine) fn write_registers(&mut self, tid: Tid) -> Result<(), InferiorError> {
        // Most sessions use none, and every hit passes here.
        if self.registers_changes == 0 {
            return Ok(());
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return Ok(()) };
        if std::mem::replace(&mut thread.registers_seen, self.registers_changes) == self.registers_changes {
            return Ok(());
        }
        let none = DebugRegisters::default();
        let process = self.processes.get(&thread.pid);
        // A passenger is let go as it is; what it does to the memory that it shares is not looked at.
        let debugged = process.filter(|one| one.role == Role::Debugged);
        let space = debugged.and_then(|one| self.spaces.get(&one.space));
        let registers = space.map_or(&none, |one| &one.registers);
        // Disabled first: the kernel checks each address against the length that the register has at that moment.
        self.inferior.set_debug_register(tid, DebugRegister::Control, 0)?;
        for (number, at) in registers.addresses() {
            self.inferior.set_debug_register(tid, DebugRegister::Address(number), at.0)?;
        }
        match registers.control() {
            0 => Ok(()),
            control => self.inferior.set_debug_register(tid, DebugRegister::Control, control),
        }
    }

    /// Before a thread is let go: the registers would outlive the tracing, and the first hit would be the program's end.
    pub(in crate::engine) fn clear_registers(&mut self, tid: Tid) {
        if self.registers_changes == 0 {
            return;
        }
        match self.inferior.set_debug_register(tid, DebugRegister::Control, 0) {
            Ok(()) | Err(InferiorError::Gone(_)) => {}
            Err(error) => {
                let text = format!("thread {tid} keeps its watchpoints, and the next hit will kill it: {error}");
                self.emit(Event::Notice { text });
            }
        }
    }

    /// The bytes of a region as the program has them.
    pub(super) fn read_watched(&self, pid: Pid, space: SpaceId, at: VirtAddr, length: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).ok().filter(|length| *length <= 32)?];
        let sites = &self.spaces.get(&space)?.sites;
        let memory = CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid }, sites };
        memory.read_exact(at, &mut bytes).ok().map(|()| bytes)
    }

    /// After `enable` has failed: a breakpoint without its registers is not enabled.
    pub(super) fn stays_disabled(&mut self, id: u32) {
        if let Some(one) = self.breakpoints.get_mut(&id).filter(|one| one.means != Means::Patch) {
            one.enabled = Toggle::Off;
            self.free_registers(id);
        }
    }
}
