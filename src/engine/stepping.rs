//! stepi, nexti and finish.

use super::state::{Engine, World};
use crate::api::{ApiError, Reply, StepKind, StopReason};
use crate::base::{Inferior, ReadMem, Regs, ResumeHow, Tid, VirtAddr};
use crate::engine::memory::RawMemory;
use crate::target::breakpoint::{CleanMemory, Owner};
use crate::target::task::{RunState, StopKind};

/// The longest instruction, bytes.
const LONGEST_INSTRUCTION: usize = 15;

/// What one thread is to do before the target stops again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StepGoal {
    /// So many instructions more.
    Instructions { tid: Tid, kind: StepKind, left: u32 },
    /// A step by source lines, whose state is the engine's `line_step`.
    Lines { tid: Tid },
    /// Return from a frame.
    Return { tid: Tid, then: AfterReturn },
}

/// What a return is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AfterReturn {
    /// `finish`: stop and show the value.
    Finish,
    /// `advance`: stop.
    Advance,
    /// `nexti` over a call: go on stepping.
    NextInstruction { left: u32 },
}

impl StepGoal {
    /// Whose goal it is.
    pub(super) fn tid(&self) -> Tid {
        match self {
            StepGoal::Instructions { tid, .. } | StepGoal::Lines { tid } | StepGoal::Return { tid, .. } => *tid,
        }
    }
}

impl<I: Inferior> Engine<I> {
    /// `stepi N`, `nexti N`. The other threads stand still while one instruction is executed; they run while a call is
    /// stepped over, since the call may wait for them.
    pub(super) fn step_instructions(&mut self, kind: StepKind, count: u32) -> Result<Reply, ApiError> {
        let tid = self.selected_tid()?;
        if count == 0 {
            return Ok(Reply::Done);
        }
        self.step = Some(StepGoal::Instructions { tid, kind, left: count });
        self.stop = None;
        self.step_once(tid, kind, count);
        Ok(Reply::Resumed)
    }

    /// Executes one instruction of a thread that stands.
    fn step_once(&mut self, tid: Tid, kind: StepKind, left: u32) {
        let Ok(regs) = self.inferior.regs(tid) else { return };
        if let (StepKind::Over, Some(next)) = (kind, self.call_target(tid, &regs)) {
            self.step = Some(StepGoal::Return { tid, then: AfterReturn::NextInstruction { left } });
            if self.arm_return(tid, next, regs.sp()) {
                self.resume_world_from(tid, regs.pc());
                return;
            }
        }
        if self.is_site(tid, regs.pc()) {
            match self.step_over(tid, regs.pc(), regs) {
                Ok(()) => self.after_step_over(tid),
                Err(error) => self.cannot_pass(tid, regs.pc(), &error),
            }
            return;
        }
        self.world = World::Running;
        let owed = self.threads.get(&tid).and_then(|one| one.owed);
        self.resume_task(tid, ResumeHow::Step, owed);
        self.world = World::Stopped;
    }

    /// The displaced instruction has been emulated, or stands in its slot to be stepped there.
    pub(super) fn after_step_over(&mut self, tid: Tid) {
        let Ok(regs) = self.inferior.regs(tid) else { return };
        let slots = self.space_of(tid).and_then(|id| self.spaces.get(&id)).map(|one| &one.sites);
        let in_slot = slots.is_some_and(|sites| sites.find_slot(regs.pc()).is_some());
        if in_slot {
            self.resume_task(tid, ResumeHow::Step, None);
            return;
        }
        self.on_step_done(tid);
    }

    /// A single-step is done.
    pub(super) fn on_step_done(&mut self, tid: Tid) {
        self.leave_slot(tid);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = RunState::Stopped(StopKind::Event);
            thread.reported_at = None;
        }
        match self.step {
            Some(StepGoal::Lines { tid: whose }) if whose == tid => self.line_stepped(tid),
            Some(StepGoal::Instructions { tid: whose, kind, left }) if whose == tid => {
                if left > 1 {
                    self.step = Some(StepGoal::Instructions { tid, kind, left: left - 1 });
                    self.step_once(tid, kind, left - 1);
                    return;
                }
                self.finish_step(tid, StopReason::Step);
            }
            _ => self.go_on(tid),
        }
    }

    pub(super) fn finish_step(&mut self, tid: Tid, reason: StopReason) {
        self.step = None;
        if let (Ok(regs), Some(thread)) = (self.inferior.regs(tid), self.threads.get_mut(&tid)) {
            thread.reported_at = Some(regs.pc());
        }
        self.stop_for(tid, reason);
    }

    /// The address behind the instruction at pc, if that is a call.
    pub(super) fn call_target(&self, tid: Tid, regs: &Regs) -> Option<VirtAddr> {
        let process = self.process_of(tid)?;
        let sites = &self.spaces.get(&process.space)?.sites;
        let memory = CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid: process.pid }, sites };
        let mut bytes = [0; LONGEST_INSTRUCTION];
        let got = memory.read_mem(regs.pc(), &mut bytes).ok()?;
        crate::arch::call_length(regs.pc(), &bytes[..got]).map(|length| regs.pc().offset(u64::from(length)))
    }

    /// `finish`: runs until the selected frame has returned to its caller.
    pub(super) fn finish(&mut self) -> Result<Reply, ApiError> {
        let tid = self.selected_tid()?;
        let number = self.selection.frame;
        let frames = self.frames_of(tid, number + 2);
        let frame = frames.get(number as usize).ok_or_else(|| ApiError::user("there is no such frame"))?;
        let caller = frames
            .get(number as usize + 1)
            .ok_or_else(|| ApiError::user("this is the outermost frame: it has no caller to return to"))?;
        let cfa =
            frame.cfa.ok_or_else(|| ApiError::target("the frame's address is not known, so its return cannot be"))?;
        let pc = self.inferior.regs(tid).map_err(|error| ApiError::target(error.to_string()))?.pc();
        if !self.arm_return(tid, caller.address.pc(), cfa) {
            return Err(ApiError::target(format!(
                "cannot set a breakpoint at the return address {}",
                caller.address.pc()
            )));
        }
        self.step = Some(StepGoal::Return { tid, then: AfterReturn::Finish });
        self.resume_world_from(tid, pc);
        Ok(Reply::Resumed)
    }

    pub(super) fn arm_return(&mut self, tid: Tid, at: VirtAddr, cfa: VirtAddr) -> bool {
        let Some((pid, space)) = self.process_of(tid).map(|one| (one.pid, one.space)) else { return false };
        let owner = Owner::Return { tid, cfa };
        let armed = self.arm(pid, space, at, owner).is_ok();
        if armed {
            self.returns.push((space, at, owner));
        }
        armed
    }

    /// All threads go on; the one that stands at `pc` by the user's knowledge does not hit a site there.
    pub(super) fn resume_world_from(&mut self, tid: Tid, pc: VirtAddr) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.reported_at = Some(pc);
        }
        self.resume_world();
    }

    /// Takes away the return sites of a thread.
    pub(super) fn forget_returns_of(&mut self, tid: Tid) {
        let (own, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.returns)
            .into_iter()
            .partition(|(_, _, owner)| matches!(owner, Owner::Return { tid: whose, .. } if *whose == tid));
        self.returns = others;
        for (space, at, owner) in own {
            self.disarm(space, at, owner);
        }
    }

    /// Takes away every return site.
    pub(super) fn forget_all_returns(&mut self) {
        for (space, at, owner) in std::mem::take(&mut self.returns) {
            self.disarm(space, at, owner);
        }
    }

    /// A frame has returned: what was that for.
    pub(super) fn on_returned(&mut self, tid: Tid, regs: &Regs) {
        if self.step == Some(StepGoal::Lines { tid }) {
            return self.line_returned(tid, *regs);
        }
        self.forget_returns_of(tid);
        match self.step.take() {
            Some(StepGoal::Return { then: AfterReturn::Advance, .. }) => self.finish_step(tid, StopReason::Step),
            Some(StepGoal::Return { then: AfterReturn::NextInstruction { left }, .. }) if left > 1 => {
                self.stop_world();
                let kind = StepKind::Over;
                self.step = Some(StepGoal::Instructions { tid, kind, left: left - 1 });
                self.step_once(tid, kind, left - 1);
            }
            Some(StepGoal::Return { then: AfterReturn::NextInstruction { .. }, .. }) => {
                self.finish_step(tid, StopReason::Step);
            }
            _ => self.finish_step(tid, StopReason::Finished { value: regs.rax }),
        }
    }
}
