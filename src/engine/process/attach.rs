//! Attaching to what runs, and starting what does not.

use std::ffi::OsString;
use std::path::PathBuf;

use super::remote::Wait;
use super::waiting::Awaited;
use crate::api::{ApiError, Outcome, ProcessRow, Reply, StopReason, Toggle};
use crate::base::{Inferior, InferiorError, Pid, PtraceEvent, Tid, TraceOptions, WaitStatus};
use crate::engine::state::{Engine, World};
use crate::os::LaunchSpec;
use crate::target::task::{Origin, Process, Role, RunState, StopKind};

/// Passes over /proc/PID/task: each finds the threads that were started during the one before, unless those that are
/// seized already start them, which the kernel then seizes itself.
const SEIZE_PASSES: u32 = 64;
/// Command lines and names are cut there in a list, characters.
const SHOWN: usize = 120;

impl<I: Inferior> Engine<I> {
    /// `attach PID`.
    pub(in crate::engine) fn attach(&mut self, pid: Pid, until_exec: Option<String>, hold: Toggle) -> Outcome {
        if self.processes.contains_key(&pid) {
            return Err(ApiError::user(format!("process {pid} is attached already")));
        }
        if until_exec.is_none() && crate::os::is_32_bit(pid) {
            return Err(only_64_bit(pid));
        }
        if let Some(name) = until_exec {
            self.seize_process(pid, Origin::Attached, Role::Scouted)?;
            self.awaited = Some(Awaited::by_descent(name));
            return Ok(Reply::Waiting);
        }
        let row = self.attach_debugged(pid)?;
        if hold == Toggle::Off {
            return Ok(Reply::Attached { process: row, stopped: Toggle::Off });
        }
        self.hold_all(pid);
        Ok(Reply::Attached { process: row, stopped: Toggle::On })
    }

    /// Seizes a process that runs, and places breakpoints in it; it runs on.
    pub(super) fn attach_debugged(&mut self, pid: Pid) -> Result<crate::api::InferiorRow, ApiError> {
        self.seize_process(pid, Origin::Attached, Role::Debugged)?;
        self.note_traced_process();
        self.selection.pid = Some(pid);
        self.selection.tid = self.threads_of(pid).first().copied();
        if let Some(tid) = self.selection.tid {
            self.begin_space(tid);
        }
        self.pin_process(pid);
        self.place_watches();
        self.begin_seeing_calls(pid);
        self.inferior_row(pid).ok_or_else(|| ApiError::target(format!("process {pid} has gone")))
    }

    /// Stops all threads for the user to look, without an event: the reply says it.
    pub(super) fn hold_all(&mut self, pid: Pid) {
        self.note_sleepers(pid);
        self.stop_world();
        self.epoch += 1;
        self.stop = Some(StopReason::Start);
        self.selection.pid = Some(pid);
        self.selection.frame = 0;
    }

    /// Seizes every thread of a process. No thread is stopped by it.
    pub(super) fn seize_process(&mut self, pid: Pid, origin: Origin, role: Role) -> Result<(), ApiError> {
        let options = TraceOptions {
            kill_on_exit: origin == Origin::Launched,
            report_exit: false,
            report_filtered: self.reports_filtered(origin),
        };
        let refused = |error: InferiorError| match error {
            InferiorError::Gone(_) => {
                ApiError::target(format!("there is no process {pid}")).with_hint("`rdbg ps` lists processes")
            }
            InferiorError::Refused { reason, .. } => {
                ApiError::target(format!("cannot attach to process {pid}: {reason}"))
            }
            other => ApiError::target(format!("cannot attach to process {pid}: {other}")),
        };
        let group = self.inferior.thread_group(pid.leader()).map_err(|_| refused(InferiorError::Gone(pid.leader())))?;
        if group != pid {
            return Err(
                ApiError::user(format!("{pid} is a thread of process {group}")).with_hint(format!("attach to {group}"))
            );
        }
        let leader = self.seize_task(pid.leader(), pid, options);
        // A leader that has exited before its threads stays as a zombie; the threads are the process.
        let headless = leader.is_err()
            && self.inferior.is_dead(pid, pid.leader())
            && self.inferior.threads(pid).is_ok_and(|tids| tids.len() > 1);
        match leader {
            Err(error) if !headless => return Err(refused(error)),
            _ => {}
        }
        let space = self.add_space();
        self.next.process += 1;
        let exe = self.inferior.exe(pid).unwrap_or_default();
        self.processes.insert(pid, Process { pid, number: self.next.process, space, exe, origin, role });
        let mut last_error = InferiorError::Gone(pid.leader());
        for _ in 0..SEIZE_PASSES {
            let tids = self.inferior.threads(pid).unwrap_or_default();
            let is_known = |tid: &Tid| self.threads.contains_key(tid) || headless && *tid == pid.leader();
            let new: Vec<Tid> = tids.into_iter().filter(|tid| !is_known(tid)).collect();
            if new.is_empty() {
                break;
            }
            for tid in new {
                // Gone, or seized by the kernel because a seized thread started it: then its first stop reports it.
                match self.seize_task(tid, pid, options) {
                    Ok(()) => {
                        if let Some(first) = self.early.remove(&tid) {
                            self.handle(tid, first);
                        }
                    }
                    Err(error) => {
                        last_error = error;
                        self.drain_once();
                    }
                }
            }
        }
        if headless && self.threads_of(pid).is_empty() {
            self.forget_process(pid);
            return Err(refused(last_error));
        }
        Ok(())
    }

    /// Seizes one task. One that was too late when its process was left is traced still.
    fn seize_task(&mut self, tid: Tid, pid: Pid, options: TraceOptions) -> Result<(), InferiorError> {
        let late = self.late.remove(&tid);
        if late.is_none() {
            self.inferior.seize(tid, options)?;
        }
        self.add_thread(tid, pid, RunState::Running);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.in_vfork = late == Some(true);
        }
        Ok(())
    }

    /// Handles one report if one is there: a clone event tells of a thread that could not be seized.
    fn drain_once(&mut self) {
        if let Ok(Some((tid, status))) = self.next_report(Wait::Poll) {
            self.handle(tid, status);
        }
    }

    /// `run`: starts a program; it is held at its first instruction.
    pub(in crate::engine) fn launch(
        &mut self,
        program: PathBuf,
        args: Vec<OsString>,
        until_exec: Option<String>,
    ) -> Outcome {
        self.launched = Some((program.clone(), args.clone()));
        let mut spec = LaunchSpec::new(program);
        spec.args = args;
        spec.reported_calls = self.calls_to_filter();
        let mut child = crate::os::launch(&spec).map_err(|error| ApiError::user(error.to_string()))?;
        let pid = child.pid;
        let role = if until_exec.is_some() { Role::Scouted } else { Role::Debugged };
        self.seize_process(pid, Origin::Launched, role)?;
        if let Err(error) = child.release() {
            self.forget_process(pid);
            return Err(ApiError::user(error.to_string()));
        }
        loop {
            match self.wait_for(pid.leader()) {
                Ok(WaitStatus::Event(PtraceEvent::Exec)) => break,
                Ok(WaitStatus::SignalDelivery(signal)) => {
                    self.resume_task(pid.leader(), crate::base::ResumeHow::Continue, Some(signal));
                }
                Ok(_) => self.resume_task(pid.leader(), crate::base::ResumeHow::Continue, None),
                Err(error) => {
                    self.forget_process(pid);
                    return Err(ApiError::target(format!("the program ended before it began: {error}")));
                }
            }
        }
        if let Some(thread) = self.threads.get_mut(&pid.leader()) {
            thread.state = RunState::Stopped(StopKind::Event);
        }
        self.note_filter(pid, &spec.reported_calls);
        if let Some(name) = until_exec {
            self.awaited = Some(Awaited::by_descent(name));
            self.on_exec(pid.leader());
            return Ok(Reply::Waiting);
        }
        self.begin_launched(pid)
    }

    fn begin_launched(&mut self, pid: Pid) -> Outcome {
        if crate::os::is_32_bit(pid) {
            self.kill_process(pid);
            return Err(only_64_bit(pid));
        }
        let exe = self.inferior.exe(pid).unwrap_or_default();
        let space = self.add_space();
        if let Some(process) = self.processes.get_mut(&pid) {
            process.exe = exe;
            process.space = space;
        }
        self.inferior.forget(pid);
        self.drop_unused_spaces();
        self.selection.pid = Some(pid);
        self.selection.tid = Some(pid.leader());
        self.note_traced_process();
        self.begin_space(pid.leader());
        self.on_watched_exec(pid.leader());
        self.pin_process(pid);
        self.world = World::Stopped;
        self.epoch += 1;
        self.stop = Some(StopReason::Start);
        let process = self.inferior_row(pid).ok_or_else(|| ApiError::target("the process has gone"))?;
        Ok(Reply::Attached { process, stopped: Toggle::On })
    }

    fn forget_process(&mut self, pid: Pid) {
        for tid in self.threads_of(pid) {
            self.threads.remove(&tid);
        }
        self.processes.remove(&pid);
        self.drop_unused_spaces();
    }

    /// `run`, again.
    pub(in crate::engine) fn run_again(&mut self, args: Option<Vec<OsString>>) -> Outcome {
        let (program, last) = self.launched.clone().ok_or_else(|| {
            ApiError::user("no program was started yet").with_hint("start rdbg as: rdbg run PROGRAM ARGS")
        })?;
        let old: Vec<Pid> =
            self.processes.values().filter(|one| one.origin == Origin::Launched).map(|one| one.pid).collect();
        for pid in old {
            self.kill_process(pid);
        }
        self.launch(program, args.unwrap_or(last), None)
    }
}

/// The registers and system calls of i386 are others.
fn only_64_bit(pid: Pid) -> ApiError {
    ApiError::user(format!("process {pid} executes a 32-bit program; rdbg debugs 64-bit x86 programs only"))
}

/// The one process of that name.
pub(in crate::engine) fn find_one(name: &str) -> Result<Pid, ApiError> {
    let found = crate::os::find_by_name(name);
    match found.as_slice() {
        [] => Err(ApiError::user(format!("no process is called {name}"))
            .with_hint(format!("`rdbg attach --waitfor {name}` waits for one to start; `rdbg ps` lists what runs"))),
        [one] => Ok(*one),
        several => {
            let rows = crate::os::list_processes().unwrap_or_default();
            let mut message = format!("{} processes are called {name}:", several.len());
            for row in rows.iter().filter(|row| several.contains(&row.pid)) {
                let command: Vec<String> = row.cmdline.iter().map(|one| one.to_string_lossy().into_owned()).collect();
                message.push_str(&format!("\n  {:>8}  {}", row.pid, shorten(&command.join(" "))));
            }
            Err(ApiError::user(message).with_hint("say which: --pid PID"))
        }
    }
}

/// `platform process list`, `rdbg ps`.
pub(in crate::engine) fn list_processes(matching: Option<&str>) -> Outcome {
    let pattern = matching.map(regex::Regex::new).transpose().map_err(|error| ApiError::user(error.to_string()))?;
    let rows = crate::os::list_processes().map_err(|error| ApiError::target(format!("cannot read /proc: {error}")))?;
    let rows = rows.into_iter().filter_map(|row| {
        let words: Vec<String> = row.cmdline.iter().map(|one| one.to_string_lossy().into_owned()).collect();
        let command = words.join(" ");
        let exe = row.exe.clone().unwrap_or_default();
        let wanted = pattern.as_ref().is_none_or(|one| {
            one.is_match(&row.comm) || one.is_match(&command) || one.is_match(&exe.to_string_lossy())
        });
        wanted.then(|| ProcessRow {
            pid: row.pid,
            namespace_pid: row.ns_pid.map(Pid),
            comm: row.comm,
            exe: row.exe,
            command: shorten(&command),
            container: row.container,
            tracer: row.tracer,
        })
    });
    Ok(Reply::Processes { rows: rows.collect() })
}

/// A command line or a name as a list shows it.
pub(in crate::engine) fn shorten(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(SHOWN).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
