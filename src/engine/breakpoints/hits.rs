//! A thread has executed an int3 of ours. This is the hot path: no name is looked up and nothing is allocated unless the
//! hit is to be shown.

use super::Verdict;
use crate::api::{FrameExit, StopReason};
use crate::base::{Inferior, Regs, Tid, VirtAddr};
use crate::engine::state::{Engine, World};
use crate::target::breakpoint::Owner;
use crate::target::debug_register::RegisterSet;
use crate::target::task::Role;

/// The most owners of one site that are looked at in one hit without allocating.
const OWNERS: usize = 8;

impl<I: Inferior> Engine<I> {
    /// `regs` are as the kernel gave them, pc one past the site; or at it, where a debug register was hit there too, for
    /// which `stop_ids` want a stop.
    pub(in crate::engine) fn on_hit(&mut self, tid: Tid, at: VirtAddr, mut regs: Regs, mut stop_ids: Vec<u32>) {
        regs.rip = at.0;
        if self.world != World::Running {
            // Not looked at yet: the thread stands before the site and will hit it when it goes on.
            self.stand_at_site(tid, &regs);
            let Some(thread) = self.threads.get_mut(&tid) else { return };
            thread.stands_before = Some(at);
            if std::mem::take(&mut thread.left_group_stop) {
                // It was let out of a group-stop for this trap alone: when it goes on, it reports the group-stop again.
                let _ = self.inferior.interrupt(tid);
            }
            return;
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            // A handler that came before may hit the same site, below; one that has left by longjmp is never back.
            if thread.passed_at.take_if(|(site, sp)| *site == at && *sp <= regs.sp()) == Some((at, regs.sp())) {
                self.step_over_and_go_on(tid, at, regs);
                return;
            }
        }
        let role = self.process_of(tid).map(|one| one.role);
        let mut left = None;
        if role == Some(Role::Debugged) {
            let Some(space) = self.space_of(tid) else { return };
            let Some(site) = self.spaces.get(&space).and_then(|one| one.sites.find(at)) else { return };
            // A copy, since an owner can go with its hit.
            let mut few = [Owner::Rendezvous; OWNERS];
            let many;
            let owners = match few.get_mut(..site.owners.len()) {
                Some(few) => {
                    few.copy_from_slice(&site.owners);
                    &*few
                }
                None => {
                    many = site.owners.clone();
                    &many
                }
            };
            for owner in owners {
                match *owner {
                    Owner::Breakpoint { id, location } => {
                        if self.judge(id, location, tid, &regs) == Verdict::Stop {
                            stop_ids.push(id);
                        }
                    }
                    Owner::Rendezvous => {
                        self.stand_at_site(tid, &regs);
                        self.modules_changed(tid, space);
                    }
                    Owner::Return { tid: whose, cfa } if whose == tid && regs.sp() == cfa => {
                        left = Some(FrameExit::Return)
                    }
                    Owner::Escape { tid: whose } if whose == tid => left = left.or(self.escape_at(tid, &regs)),
                    Owner::Return { .. } | Owner::Escape { .. } => {}
                    Owner::Probe { site } => self.on_probe(tid, site, &regs),
                    Owner::ProbeReturn => stop_ids.extend(self.on_probe_return(tid, &regs)),
                }
            }
        }
        let traced = self.take_trace_stop();
        if stop_ids.is_empty() && left.is_none() && traced.is_none() {
            self.step_over_and_go_on(tid, at, regs);
            return;
        }
        self.stand_at_site(tid, &regs);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.reported_at = Some(at);
        }
        if let (true, None, Some(how)) = (stop_ids.is_empty(), &traced, left) {
            self.on_left(tid, &regs, how);
            return;
        }
        if left.is_some() {
            self.forget_returns_of(tid);
        }
        let ids = StopReason::Breakpoint { ids: stop_ids.clone() };
        let reason = traced.filter(|_| stop_ids.is_empty()).unwrap_or(ids);
        self.stop_for(tid, reason);
        self.after_stop_at(&stop_ids);
    }

    /// The hit is dealt with: past the site, and on. A site whose last owner went with this very hit (the last of a
    /// log's count, a module's end) has its byte back: the thread executes the instruction itself.
    fn step_over_and_go_on(&mut self, tid: Tid, at: VirtAddr, regs: Regs) {
        let passed = match self.is_site(tid, at) {
            true => self.step_over(tid, at, regs),
            false => {
                self.stand_at_site(tid, &regs);
                Ok(RegisterSet::default())
            }
        };
        match passed {
            Ok(reached) => {
                if self.judge_kept(tid, reached) == Verdict::Stop {
                    return;
                }
                let free = self.threads.get(&tid).is_some_and(|one| one.is_free());
                if self.world == World::Running && free {
                    self.resume_task(tid, crate::base::ResumeHow::Continue, None);
                }
            }
            Err(error) => self.cannot_pass(tid, at, &error),
        }
    }
}
