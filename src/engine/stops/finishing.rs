//! `finish`, and all else that waits for a frame to be left: by its return, by an exception, or by a jump. The return
//! address on the stack is never changed; sites stand where the thread can come to, each for one thread and one value of
//! its stack pointer, so that a deeper call of the same function is not taken for it.

use super::stepping::{AfterReturn, Others, StepGoal};
use crate::api::{ApiError, FrameExit, Reply, ReturnedValue, StopReason};
use crate::base::{Inferior, ReadMem, Regs, Tid, VirtAddr};
use crate::engine::inspect::memory::RawMemory;
use crate::engine::settings::SchedulerLocking;
use crate::engine::state::Engine;
use crate::target::breakpoint::Owner;
use crate::target::Frame;

/// How far out an exception or a jump is looked for, frames.
const OUTWARDS: u32 = 128;
/// The functions of glibc and musl that jump to where setjmp was called.
const LONGJMPS: [&str; 4] = ["longjmp", "_longjmp", "siglongjmp", "__longjmp_chk"];

/// A place where a thread comes to when a frame is left without a return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) struct Escape {
    at: VirtAddr,
    kind: EscapeKind,
}

/// What it means to come there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum EscapeKind {
    /// With this stack pointer: the frame has been left so.
    Left { sp: VirtAddr, how: FrameExit },
    /// With any stack pointer: the thread has come where it was to come.
    Anywhere,
    /// The first instruction of longjmp: where it jumps to decides. Frames from `cfa` to `outermost` are further out.
    Longjmp { cfa: VirtAddr, outermost: VirtAddr },
}

impl<I: Inferior> Engine<I> {
    /// `finish`: runs until the selected frame has returned to its caller, or was left otherwise.
    pub(in crate::engine) fn finish(&mut self) -> Result<Reply, ApiError> {
        let (tid, shown) = self.selected_frame()?;
        let number = shown.physical;
        let frames = self.frames_of(tid, (number as u32).saturating_add(OUTWARDS));
        let frame = frames.get(number).ok_or_else(|| ApiError::user("there is no such frame"))?;
        if shown.inlined.is_some() {
            let around = shown.chain[..shown.chain.len() - 1].to_vec();
            let inner = number.checked_sub(1).and_then(|inner| Some((frame.pc, frames[inner].cfa?)));
            return self.finish_inlined(tid, around, inner);
        }
        let outer = &frames[number + 1..];
        let caller = outer
            .first()
            .ok_or_else(|| ApiError::user("this is the outermost frame: it has no caller to return to"))?;
        let cfa =
            frame.cfa.ok_or_else(|| ApiError::target("the frame's address is not known, so its return cannot be"))?;
        let pc = self.inferior.regs(tid).map_err(|error| ApiError::target(error.to_string()))?.pc();
        if !self.arm_return(tid, caller.address.pc(), cfa) {
            let at = caller.address.pc();
            return Err(ApiError::target(format!("cannot set a breakpoint at the return address {at}")));
        }
        let of = frame.address.address_for_lookup();
        self.arm_escapes(tid, outer, cfa);
        self.steps.insert(tid, StepGoal::Return { then: AfterReturn::Finish { of } });
        // All threads go on; this one does not hit a site where the user knows it to stand.
        self.note_told(tid, pc);
        let others = match self.settings.scheduler_locking {
            SchedulerLocking::On => Others::Stand,
            SchedulerLocking::Off | SchedulerLocking::Step => Others::Run,
        };
        self.go_with(tid, others);
        Ok(Reply::Resumed)
    }

    /// The thread is to stop where it comes to `at` with its stack pointer at `cfa`. Whether that can be.
    pub(in crate::engine) fn arm_return(&mut self, tid: Tid, at: VirtAddr, cfa: VirtAddr) -> bool {
        self.arm_for_thread(at, Owner::Return { tid, cfa }, tid)
    }

    fn arm_for_thread(&mut self, at: VirtAddr, owner: Owner, tid: Tid) -> bool {
        let Some((pid, space)) = self.process_of(tid).map(|one| (one.pid, one.space)) else { return false };
        if self.returns.contains(&(space, at, owner)) {
            return true;
        }
        let armed = self.arm(pid, space, at, owner).is_ok();
        if armed {
            self.returns.push((space, at, owner));
        }
        armed
    }

    /// As [`Engine::arm_escapes`], for a call that the thread is about to make, or a handler, from where it stands.
    pub(in crate::engine) fn arm_escapes_here(&mut self, tid: Tid, sp: VirtAddr) {
        let frames = self.frames_of(tid, OUTWARDS);
        self.arm_escapes(tid, &frames, sp);
    }

    /// Sites for all ways out of a frame but its return. `outer`: the frames further out, its caller first; `cfa`: its own
    /// canonical frame address, which is the stack pointer in its caller.
    fn arm_escapes(&mut self, tid: Tid, outer: &[Frame], cfa: VirtAddr) {
        let mut ways = Vec::new();
        let mut sp = Some(cfa);
        for (index, frame) in outer.iter().enumerate() {
            // An exception lands with the stack as it was in the call.
            let pad = self.landing_pad(tid, frame.address.address_for_lookup());
            if let (Some(at), Some(sp)) = (pad, sp) {
                ways.push(Escape { at, kind: EscapeKind::Left { sp, how: FrameExit::Exception } });
            }
            if let (Some(further), Some(sp)) = (outer.get(index + 1), frame.cfa) {
                ways.push(Escape { at: further.pc, kind: EscapeKind::Left { sp, how: FrameExit::Jump } });
            }
            sp = frame.cfa;
        }
        let outermost = outer.iter().rev().find_map(|frame| frame.cfa).unwrap_or(cfa);
        let kind = EscapeKind::Longjmp { cfa, outermost };
        ways.extend(self.find_longjmps(tid).into_iter().map(|at| Escape { at, kind }));
        for way in ways {
            self.arm_escape(tid, way);
        }
    }

    fn arm_escape(&mut self, tid: Tid, way: Escape) {
        if self.arm_for_thread(way.at, Owner::Escape { tid }, tid) {
            self.escapes.entry(tid).or_default().push(way);
        }
    }

    /// The thread is to stop where it comes to `at`. Whether that can be.
    pub(in crate::engine) fn arm_anywhere(&mut self, tid: Tid, at: VirtAddr) -> bool {
        let armed = self.arm_for_thread(at, Owner::Escape { tid }, tid);
        if armed {
            self.escapes.entry(tid).or_default().push(Escape { at, kind: EscapeKind::Anywhere });
        }
        armed
    }

    fn landing_pad(&self, tid: Tid, call: VirtAddr) -> Option<VirtAddr> {
        let module = self.spaces.get(&self.space_of(tid)?)?.modules.module_at(call)?;
        module.module.unwind().landing_pad(module.to_file(call)).map(|pad| module.to_virt(pad))
    }

    /// longjmp and its like, in libc or in a program that has libc within.
    fn find_longjmps(&self, tid: Tid) -> Vec<VirtAddr> {
        let Some(space) = self.space_of(tid).and_then(|id| self.spaces.get(&id)) else { return Vec::new() };
        let modules = space.modules.modules();
        let libc: Vec<_> =
            modules.iter().filter(|one| crate::engine::process::interrupted::is_libc(&one.name())).collect();
        let where_to_look = if libc.is_empty() { modules.iter().collect() } else { libc };
        let mut found: Vec<VirtAddr> = Vec::new();
        for module in where_to_look {
            let symbols = module.module.symbols();
            found.extend(LONGJMPS.iter().filter_map(|name| Some(module.to_virt(symbols.find_exact(name)?.address))));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// A thread has come to one of its escapes: whether, and how, it has left the frame.
    pub(in crate::engine) fn escape_at(&mut self, tid: Tid, regs: &Regs) -> Option<FrameExit> {
        let ways: Vec<Escape> = self.escapes.get(&tid)?.iter().filter(|one| one.at == regs.pc()).copied().collect();
        for way in ways {
            match way.kind {
                EscapeKind::Left { sp, how } if sp == regs.sp() => return Some(how),
                EscapeKind::Left { .. } => {}
                EscapeKind::Anywhere => return Some(FrameExit::Return),
                EscapeKind::Longjmp { cfa, outermost } => {
                    let (pc, sp) = self.read_jump(tid, regs)?;
                    if sp >= cfa && sp <= outermost {
                        let kind = EscapeKind::Left { sp, how: FrameExit::Jump };
                        self.arm_escape(tid, Escape { at: pc, kind });
                    }
                }
            }
        }
        None
    }

    /// Where longjmp goes to: pc and stack pointer out of the jmp_buf in rdi. Both C libraries keep rbx, rbp, r12 to r15,
    /// rsp and rip there in this order; glibc mangles rbp, rsp and rip by the thread's pointer guard
    /// (sysdeps/unix/sysv/linux/x86_64/pointer_guard.h).
    fn read_jump(&self, tid: Tid, regs: &Regs) -> Option<(VirtAddr, VirtAddr)> {
        let memory = RawMemory { inferior: &self.inferior, pid: self.threads.get(&tid)?.pid };
        let word = |at: u64| memory.read_u64(VirtAddr(at)).ok();
        let (sp, pc) = (word(regs.rdi.wrapping_add(48))?, word(regs.rdi.wrapping_add(56))?);
        let guard = word(regs.fs_base.wrapping_add(0x30))?;
        let demangle = |value: u64| VirtAddr(value.rotate_right(0x11) ^ guard);
        let is_code = |at: VirtAddr| {
            self.space_of(tid).and_then(|id| self.spaces.get(&id)).is_some_and(|one| one.modules.is_executable(at))
        };
        let plain = (VirtAddr(pc), VirtAddr(sp));
        let mangled = (demangle(pc), demangle(sp));
        [mangled, plain].into_iter().find(|(pc, _)| is_code(*pc))
    }

    /// Takes away the sites of a thread's own.
    pub(in crate::engine) fn forget_returns_of(&mut self, tid: Tid) {
        self.escapes.remove(&tid);
        if self.returns.is_empty() {
            return;
        }
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.returns).into_iter().partition(|(_, _, owner)| owner.thread() == Some(tid));
        self.returns = others;
        for (space, at, owner) in own {
            self.disarm(space, at, owner);
        }
    }

    /// Takes away the sites of every thread's own.
    pub(super) fn forget_all_returns(&mut self) {
        self.escapes.clear();
        for (space, at, owner) in std::mem::take(&mut self.returns) {
            self.disarm(space, at, owner);
        }
    }

    /// A frame has been left: what was that for.
    pub(in crate::engine) fn on_left(&mut self, tid: Tid, regs: &Regs, how: FrameExit) {
        self.forget_returns_of(tid);
        if self.is_calling(tid) {
            return self.call_left(tid, regs, how);
        }
        match (how, self.steps.remove(&tid)) {
            (how, Some(StepGoal::Return { then: AfterReturn::Lines })) => self.line_returned(tid, *regs, how),
            (FrameExit::Return, Some(StepGoal::Return { then: AfterReturn::Advance })) => {
                self.finish_step(tid, StopReason::Step);
            }
            (FrameExit::Return, Some(StepGoal::Return { then: AfterReturn::Steps { kind, left } })) => {
                self.steps_left(tid, kind, left);
            }
            (FrameExit::Return, goal) => {
                let returned = match goal {
                    Some(StepGoal::Return { then: AfterReturn::Finish { of } }) => self.returned_value(tid, of, regs),
                    _ => ReturnedValue::Untyped,
                };
                self.finish_step(tid, StopReason::Finished { value: regs.rax, returned });
            }
            (FrameExit::Exception | FrameExit::Jump, _) => self.finish_step(tid, StopReason::FrameLeft { how }),
        }
    }
}
