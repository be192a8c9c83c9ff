//! Threads that hit the sites of a trace, and signals and samples.

use std::sync::Arc;

use super::task::TracedTask;
use super::{At, Called, PendingReturn, Tracing};
use crate::api::StopReason;
use crate::base::{Inferior, ReadMem, Regs, Signal, Tid, VirtAddr};
use crate::engine::breakpoints::Verdict;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;
use crate::lang::script::point::Side;
use crate::target::breakpoint::Owner;
use crate::trace::call::Outcome;
use crate::trace::{Machine, StopWish};

/// Calls of one thread that have not returned are kept up to this depth.
const DEPTH: usize = 4096;

impl<I: Inferior> Engine<I> {
    /// A thread is at a place with probes; `regs` have pc at the site.
    pub(in crate::engine) fn on_probe(&mut self, tid: Tid, number: u32, regs: &Regs) {
        let Some(mut tracing) = self.trace.take() else { return };
        self.probe_entry(&mut tracing, tid, number, regs);
        self.after_hit(tracing, tid);
    }

    fn probe_entry(&mut self, tracing: &mut Tracing, tid: Tid, number: u32, regs: &Regs) {
        let Some(site) = tracing.sites.get(number as usize) else { return };
        let (entries, wants_return) = (site.entry.len(), !site.returns.is_empty());
        for at in 0..entries {
            let probe = tracing.sites[number as usize].entry[at].0;
            self.run_at_site(tracing, tid, probe, Here { number, at, side: Side::Entry, duration: 0 }, regs);
        }
        if wants_return {
            let began = crate::os::clock_nanoseconds(crate::os::Clock::Boot);
            self.expect_return(tracing, tid, Called::Site(number), regs, began);
        }
    }

    /// Notes that the call at whose entry a thread stands, and which began then, is to be seen returning.
    pub(super) fn expect_return(&mut self, tracing: &mut Tracing, tid: Tid, called: Called, regs: &Regs, began: u64) {
        let Some((pid, space)) = self.process_of(tid).map(|one| (one.pid, one.space)) else { return };
        let mut word = [0; 8];
        let memory = RawMemory { inferior: &self.inferior, pid };
        if memory.read_exact(regs.sp(), &mut word).is_err() {
            return;
        }
        let at = VirtAddr(u64::from_le_bytes(word));
        if !tracing.return_sites.contains(&(space, at)) {
            if let Err(error) = self.arm(pid, space, at, Owner::ProbeReturn) {
                tracing.tell_once(format!("a return to {at} is not traced: {error}"));
                return;
            }
            tracing.return_sites.insert((space, at));
        }
        let thread = tracing.threads.entry(tid).or_default();
        if thread.calls.len() < DEPTH {
            thread.calls.push(PendingReturn { cfa: regs.sp().offset(8), called, began });
        }
    }

    /// A thread is where a traced call may have returned to. The breakpoints of `--fn` for which it is to stop.
    pub(in crate::engine) fn on_probe_return(&mut self, tid: Tid, regs: &Regs) -> Vec<u32> {
        let mut stops = Vec::new();
        let Some(mut tracing) = self.trace.take() else { return stops };
        let now = crate::os::clock_nanoseconds(crate::os::Clock::Boot);
        // Calls whose frames lie below have been left by longjmp or an exception.
        while let Some(pending) = tracing.pop_returned(tid, regs.sp()) {
            let duration = now.saturating_sub(pending.began);
            let has_returned = pending.cfa == regs.sp();
            match pending.called {
                Called::Site(number) if has_returned => {
                    let returns = tracing.sites.get(number as usize).map_or(0, |site| site.returns.len());
                    for at in 0..returns {
                        let probe = tracing.sites[number as usize].returns[at].0;
                        self.run_at_site(
                            &mut tracing,
                            tid,
                            probe,
                            Here { number, at, side: Side::Return, duration },
                            regs,
                        );
                    }
                }
                Called::Site(_) => {}
                Called::Function { call, id, entry } if has_returned => {
                    let verdict = self.traced_call_returned(&mut tracing, tid, call, &entry, duration, regs.rax);
                    if verdict == Verdict::Stop {
                        stops.push(id);
                    }
                }
                Called::Function { mut call, .. } => {
                    call.outcome = Outcome::Left { duration };
                    tracing.report(call);
                }
            }
        }
        self.after_hit(tracing, tid);
        stops
    }

    fn run_at_site(&mut self, tracing: &mut Tracing, tid: Tid, probe: u32, here: Here, regs: &Regs) {
        let Tracing { machine, sites, caches, child, hits, stop, .. } = tracing;
        let site = &sites[here.number as usize];
        let named = if here.side == Side::Entry { &site.entry } else { &site.returns };
        let name = named.get(here.at).map_or("", |(_, name)| name);
        *hits += 1;
        let at = At::Function { regs, site, side: here.side, duration: here.duration };
        let Some(task) = self.traced_task(tid, caches, at) else { return };
        run_program(machine, probe, &TracedTask { probe: name, child: *child, ..task }, stop);
    }

    /// Runs a probe that hangs on no site.
    pub(super) fn run_probe(&mut self, tracing: &mut Tracing, tid: Tid, probe: u32, at: At<'_>) {
        let Tracing { machine, caches, child, hits, stop, .. } = tracing;
        *hits += 1;
        let program = Arc::clone(machine.program());
        let name = program.probes.get(probe as usize).map_or("", |one| &one.text);
        let Some(task) = self.traced_task(tid, caches, at) else { return };
        run_program(machine, probe, &TracedTask { probe: name, child: *child, ..task }, stop);
    }

    /// The stop that the script wants of the hit that has just been dealt with.
    pub(in crate::engine) fn take_trace_stop(&mut self) -> Option<StopReason> {
        let name = self.trace.as_mut()?.stop.take()?;
        Some(StopReason::Probe { name })
    }

    /// What a hit's programs asked for besides printing.
    pub(super) fn after_hit(&mut self, mut tracing: Box<Tracing>, tid: Tid) {
        for number in tracing.machine.take_signals() {
            if let Some(pid) = self.threads.get(&tid).map(|one| one.pid) {
                let _ = self.inferior.kill(pid, Signal(number as i32));
            }
        }
        if tracing.is_done() {
            self.end_trace_soon();
        }
        self.trace = Some(tracing);
    }

    /// A signal is about to be delivered.
    pub(in crate::engine) fn on_traced_signal(&mut self, tid: Tid, signal: Signal) {
        let Some(mut tracing) = self.trace.take() else { return };
        for at in 0..tracing.signals.len() {
            let (wanted, probe) = tracing.signals[at];
            if wanted.is_none_or(|one| one == signal) {
                self.run_probe(&mut tracing, tid, probe, At::Signal(signal.0 as u64));
            }
        }
        self.after_hit(tracing, tid);
    }

    /// A thread stands in an event-stop: it may have been stopped for a sample.
    pub(in crate::engine) fn on_traced_stop(&mut self, tid: Tid) {
        if !self.trace.as_mut().is_some_and(|one| one.sampled.remove(&tid)) {
            return;
        }
        let Some(mut tracing) = self.trace.take() else { return };
        for at in 0..tracing.samples.len() {
            let probe = tracing.samples[at];
            self.run_probe(&mut tracing, tid, probe, At::Sample);
        }
        self.after_hit(tracing, tid);
    }
}

/// Where a function probe was hit.
#[derive(Clone, Copy)]
struct Here {
    /// The site.
    number: u32,
    /// Which of its probes.
    at: usize,
    side: Side,
    duration: u64,
}

impl Tracing {
    /// The innermost call of a thread, if its frame lies at or below this stack pointer.
    fn pop_returned(&mut self, tid: Tid, sp: VirtAddr) -> Option<PendingReturn> {
        let calls = &mut self.threads.get_mut(&tid)?.calls;
        if calls.last()?.cfa <= sp {
            calls.pop()
        } else {
            None
        }
    }

    /// Says something once.
    pub(super) fn tell_once(&mut self, text: String) {
        if self.told.insert(text.clone()) {
            self.machine.output().send_surely(crate::trace::Record::Warning(text));
        }
    }
}

/// Runs one probe's program; the stop that it may want is its name.
fn run_program<I: Inferior>(machine: &mut Machine, probe: u32, task: &TracedTask<'_, I>, stop: &mut Option<String>) {
    machine.run(probe as usize, task);
    if machine.take_stop() == StopWish::Stop {
        *stop = Some(task.probe.to_owned());
    }
}
