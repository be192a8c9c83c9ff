//! Each command to what carries it out.

use super::settings::SchedulerLocking;
use super::state::Engine;
use crate::api::{ApiError, ClientId, Command, Event, Outcome, Reply, TargetSelector, Toggle, LISTED_LOCATIONS};
use crate::base::Inferior;
use crate::engine::stops::stepping::Others;
use crate::target::task::{Process, Role};

impl<I: Inferior> Engine<I> {
    /// Carries out one command.
    pub(super) fn obey(&mut self, client: ClientId, command: Command) -> Outcome {
        match command {
            Command::Target { selector, until_exec, hold } => {
                let reply = self.target(selector, until_exec, hold)?;
                self.check_trace_conditions().map(|()| reply)
            }
            Command::Run { args } => self.run_again(args),
            Command::Break { spec } => {
                self.refresh_jit();
                self.await_names();
                self.still_wanted()?;
                let id = self.add_breakpoint(client, spec)?;
                let row = self.breakpoints.get(&id).map(|one| self.breakpoint_row(one, LISTED_LOCATIONS));
                row.map(|row| Reply::Breakpoint { row }).ok_or_else(|| ApiError::internal("the breakpoint has gone"))
            }
            Command::Delete { ids } => self.for_breakpoints(ids, |engine, id| engine.delete_breakpoint(id)),
            Command::Enable { ids, state } => {
                self.for_breakpoints(ids, |engine, id| engine.enable_breakpoint(id, state))
            }
            Command::Ignore { id, count } => {
                self.breakpoint_mut(id)?.ignore = count;
                Ok(Reply::Done)
            }
            Command::Condition { id, condition } => self.set_condition(id, condition),
            Command::Continue => self.go(),
            Command::StepInstruction { kind, count } => self.step_instructions(kind, count),
            Command::Step { kind, count } => self.step_lines(kind, count),
            Command::Advance { place } => self.advance(&place),
            Command::Skip { change } => self.change_skips(change),
            Command::Finish => self.finish(),
            Command::Signal { signal } => self.go_with_signal(signal),
            Command::QueueSignal { signal } => self.queue_signal(signal),
            Command::Interrupt => self.interrupt_or_cancel(),
            Command::Detach => self.detach(),
            Command::Kill => self.kill(),
            Command::Trace { spec } => self.begin_trace(client, *spec),
            Command::TraceProbes { of, fields } => self.list_probes(&of, fields),
            Command::TraceProgress => self.trace_progress(),
            Command::TraceEnd => self.end_trace_now(),
            Command::Quit { leave } => {
                self.leave_all(leave);
                self.end();
                Ok(Reply::Done)
            }
            other => {
                self.refresh_jit();
                if let Some(answer) = self.look_back(&other) {
                    return answer;
                }
                self.note_what_is_seen();
                let answer = self.look(other);
                self.tell_of_split_files();
                self.inferior.witness().rest();
                self.still_wanted().and(answer)
            }
        }
    }

    /// An error where the user no longer waits for what is being done: what was found by then is not all there is.
    pub(super) fn still_wanted(&self) -> Result<(), ApiError> {
        if self.progress.is_cancelled() {
            return Err(ApiError::user("broken off"));
        }
        Ok(())
    }

    /// Commands that change nothing in the target's course.
    pub(super) fn look(&mut self, command: Command) -> Outcome {
        match command {
            Command::Backtrace { limit, all_threads } => self.backtrace(limit, all_threads),
            Command::Frame { select } => self.select_frame(&select),
            Command::DescribeFrame { number } => self.describe_frame(number),
            Command::Thread { number } => self.select_thread(number),
            Command::Inferior { number } => self.select_inferior(number),
            Command::ListBreakpoints => {
                let rows = self.breakpoints.values().map(|one| self.breakpoint_row(one, usize::MAX));
                Ok(Reply::Breakpoints { rows: rows.collect() })
            }
            Command::Source { query } => self.source_query(query),
            Command::ListThreads => self.list_threads(),
            Command::ListModules => self.list_modules(),
            Command::ListNameSources => self.list_name_sources(),
            Command::ListInferiors => Ok(Reply::Inferiors { rows: self.inferior_rows() }),
            Command::ListSignals => Ok(self.list_signals(&[])),
            Command::Registers { set } => self.registers(&set),
            Command::Variables { set } => self.list_variables(set),
            Command::TypeOf { expression, detail } => self.type_of(&expression, detail),
            Command::Print { expression, format } => self.print(&expression, format),
            Command::Displays { change } => self.change_displays(change),
            Command::PrintFormatted { text } => self.print_formatted(&text),
            Command::Assign { assignment } => self.assign(&assignment),
            Command::Examine { spec, expression } => self.examine(&spec, expression.as_deref()),
            Command::Disassemble { expression, count } => self.disassemble(expression.as_deref(), count),
            Command::Handle { signals, policy } => {
                for signal in &signals {
                    self.settings.handle(*signal, policy);
                }
                Ok(self.list_signals(&signals))
            }
            Command::Set { name, value } if name == "pin" => self.set_pin(&value).map(|()| Reply::Done),
            Command::Set { name, value } => self.change_setting(&name, &value),
            Command::Show { name } => Ok(Reply::Settings { rows: self.show_settings(name.as_deref())? }),
            Command::Functions { regex, limit } => self.functions(&regex, limit),
            Command::DataSymbols { regex, limit } => self.data_symbols(&regex, limit),
            Command::TypeNames { regex, limit } => self.type_names(&regex, limit),
            Command::InfoSymbol { expression } => self.info_symbol(&expression),
            Command::Complete { prefix, limit } => Ok(self.complete(&prefix, limit)),
            Command::Processes { matching } => crate::engine::process::attach::list_processes(matching.as_deref()),
            Command::Safety => Ok(Reply::Text { text: self.describe_safety()? }),
            Command::Status => Ok(Reply::Status { stopped: self.stop_reason(), inferiors: self.inferior_rows() }),
            other => Err(ApiError::internal(format!("no one carries out {other:?}"))),
        }
    }

    fn target(&mut self, selector: TargetSelector, until_exec: Option<String>, hold: Toggle) -> Outcome {
        match selector {
            TargetSelector::Pid { pid } => self.attach(pid, until_exec, hold),
            TargetSelector::Name { name } => {
                let pid = crate::engine::process::attach::find_one(&name)?;
                self.attach(pid, until_exec, hold)
            }
            TargetSelector::WaitFor { name, include_existing, method } => {
                self.wait_for_exec(name, include_existing, method, hold)
            }
            TargetSelector::Everything => self.trace_everywhere(),
            TargetSelector::Launch { program, args } => self.launch(program, args, until_exec),
        }
    }

    fn for_breakpoints(&mut self, ids: Vec<u32>, act: impl Fn(&mut Self, u32)) -> Outcome {
        let ids = if ids.is_empty() { self.breakpoints.keys().copied().collect() } else { ids };
        for id in &ids {
            self.breakpoint_mut(*id)?;
        }
        for id in ids {
            act(self, id);
        }
        Ok(Reply::Done)
    }

    fn set_condition(&mut self, id: u32, condition: Option<String>) -> Outcome {
        self.change_condition(id, condition)?;
        Ok(Reply::Done)
    }

    /// `continue`; of a target that runs already it is no error.
    pub(super) fn go(&mut self) -> Outcome {
        self.selected_pid()?;
        self.steps.clear();
        match (self.settings.scheduler_locking, self.selected_tid()) {
            (SchedulerLocking::On, Ok(tid)) => self.go_with(tid, Others::Stand),
            _ => self.resume_world(),
        }
        Ok(Reply::Resumed)
    }

    fn interrupt_or_cancel(&mut self) -> Outcome {
        if self.cancel_wait() {
            return Ok(Reply::Done);
        }
        self.selected_pid()?;
        self.interrupt();
        Ok(Reply::Done)
    }

    fn detach(&mut self) -> Outcome {
        let pid = self.selected_pid()?;
        self.detach_process(pid);
        let debugged = |one: &&Process| one.role == Role::Debugged;
        let rest: Vec<String> = self.processes.values().filter(debugged).map(|one| one.pid.to_string()).collect();
        if !rest.is_empty() {
            let text = format!("still debugged: {} (`detach` again, or `inferior N`)", rest.join(", "));
            self.emit(Event::Notice { text });
        }
        Ok(Reply::Done)
    }

    fn kill(&mut self) -> Outcome {
        let pid = self.selected_pid()?;
        self.kill_process(pid);
        Ok(Reply::Done)
    }
}
