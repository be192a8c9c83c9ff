//! The end of a trace: END, the maps, the last record. Probes that no task hits, too: by time, and by a signal to rdbg.

use super::timers::Tick;
use crate::api::{ApiError, Outcome, Reply};
use crate::base::{Inferior, Tid};
use crate::engine::state::{Engine, Input, World};
use crate::lang::script::point::Point;
use crate::lang::script::program::PrintMaps;
use crate::target::task::Role;
use crate::trace::record::ScriptCounts;
use crate::trace::{NoTask, Record};

impl<I: Inferior> Engine<I> {
    /// How far the trace has come.
    pub(in crate::engine) fn trace_progress(&mut self) -> Outcome {
        let tracing = self.trace.as_mut().ok_or_else(|| ApiError::user("nothing is traced"))?;
        let lost = tracing.machine.output().lost();
        Ok(Reply::TraceProgress { hits: tracing.hits, lost })
    }

    /// `trace end`.
    pub(in crate::engine) fn end_trace_now(&mut self) -> Outcome {
        if self.trace.is_none() {
            return Err(ApiError::user("nothing is traced"));
        }
        self.finish_trace();
        Ok(Reply::Done)
    }

    /// The trace ends when what is being done now is done.
    pub(super) fn end_trace_soon(&mut self) {
        // An engine that has ended has ended the trace.
        let _ = self.input_sender.send(Input::TraceDone);
        self.doorbell.ring();
    }

    /// Runs END, prints the maps, and tells the printer that nothing follows. Probes stay in place until their process
    /// is left, and do nothing.
    pub(in crate::engine) fn finish_trace(&mut self) {
        self.everywhere = None;
        self.lower_all_semaphores();
        let Some(mut tracing) = self.trace.take() else { return };
        let program = std::sync::Arc::clone(tracing.machine.program());
        let child = tracing.child.map_or(0, |pid| pid.0 as u64);
        for (at, probe) in program.probes.iter().enumerate() {
            if probe.point == Point::End {
                tracing.machine.run_always(at, &NoTask { probe: "END".into(), child });
            }
        }
        self.drop_watches(&mut tracing);
        if tracing.quick.is_some() {
            self.finish_quick(&mut tracing);
        } else {
            tracing.machine.output().send_surely(Record::Gap);
        }
        if program.config.print_maps_on_exit == PrintMaps::AtExit {
            tracing.machine.print_maps();
        }
        let hits = tracing.hits;
        if tracing.quick.is_none() {
            let output = tracing.machine.output();
            let counts = ScriptCounts { hits, records: output.made(), lost: output.lost() };
            output.send_surely(Record::ScriptEnd(counts));
        }
        let code = tracing.machine.exit().unwrap_or(0);
        tracing.machine.output().send_surely(Record::End(code));
    }

    /// A probe by time is due.
    pub(in crate::engine) fn on_tick(&mut self, tick: Tick) {
        let probe = tick.take();
        if probe == super::filter::SCAN {
            return self.look_everywhere();
        }
        let Some(tracing) = &self.trace else { return };
        match tracing.machine.program().probes.get(probe as usize).map(|one| &one.point) {
            Some(Point::Profile { .. }) => self.sample_threads(),
            _ => self.run_without_task(probe as usize),
        }
    }

    /// rdbg was sent the signal that scripts can have a probe on.
    pub(in crate::engine) fn on_own_signal(&mut self) {
        let Some(tracing) = &self.trace else { return };
        let program = std::sync::Arc::clone(tracing.machine.program());
        for (at, probe) in program.probes.iter().enumerate() {
            if probe.point == Point::OwnSignal {
                self.run_without_task(at);
            }
        }
    }

    /// Runs a probe that no task has hit.
    fn run_without_task(&mut self, probe: usize) {
        let Some(tracing) = &mut self.trace else { return };
        let program = std::sync::Arc::clone(tracing.machine.program());
        let Some(known) = program.probes.get(probe) else { return };
        let child = tracing.child.map_or(0, |pid| pid.0 as u64);
        tracing.machine.run(probe, &NoTask { probe: known.text.clone(), child });
        if tracing.machine.exit().is_some() {
            self.end_trace_soon();
        }
    }

    /// Stops for a moment each thread that is on a processor, or waits for one.
    fn sample_threads(&mut self) {
        if self.world != World::Running {
            return;
        }
        let running: Vec<Tid> = self
            .threads
            .iter()
            .filter(|(tid, one)| !one.is_stopped() && is_runnable(one.pid, **tid))
            .map(|(tid, _)| *tid)
            .collect();
        for tid in running {
            let debugged = self.process_of(tid).is_some_and(|one| one.role == Role::Debugged);
            if debugged && self.inferior.interrupt(tid).is_ok() {
                if let Some(tracing) = &mut self.trace {
                    tracing.sampled.insert(tid);
                }
            }
        }
    }
}

/// Whether a thread is in state R (proc(5), /proc/PID/stat).
fn is_runnable(pid: crate::base::Pid, tid: Tid) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
    text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'))
}
