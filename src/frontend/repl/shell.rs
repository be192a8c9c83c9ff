//! One front end's side of a session: sends commands, shows what comes back, and knows whether the target runs.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{never, Receiver};

use super::console::Console;
use super::manual::help_text;
use super::parse::{parse_line, Detail, Local, Parsed};
use crate::api::{ApiError, Command, Event, Leave, Outcome, Reply, Session, Toggle};
use crate::base::parse_span;
use crate::frontend::render::{Format, Renderer, Style};
use crate::frontend::surroundings::Interruption;
use crate::frontend::working::wait_for;

/// How deep files of commands may name each other.
const SOURCE_DEPTH: u32 = 16;
/// How long the end of a session may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

/// Whether the target runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// There is none.
    Nothing,
    /// It does.
    Running,
    /// It is held.
    Stopped,
}

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The target stands, or is gone.
    Stopped,
    /// The time was up.
    TimeUp,
    /// The user broke it off; the session has been left.
    BrokenOff,
    /// The session ended.
    Ended,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// The next stop, or a process to come; Ctrl-C interrupts the target, or gives the wait up.
    Stop,
    /// A process to come, for whose sake rdbg was started; Ctrl-C leaves.
    Catch,
    /// The last hit of a log breakpoint; Ctrl-C leaves.
    LogDone,
}

/// A session as a front end sees it.
pub struct Shell {
    /// The queues.
    pub session: Session,
    /// How things are shown.
    pub renderer: Renderer,
    /// Where.
    pub console: Console,
    /// Signals to rdbg.
    pub interrupts: Receiver<Interruption>,
    /// Whether the target runs.
    pub motion: Motion,
    /// Since when the target stands, as far as is known here.
    stands_since: Option<Instant>,
    /// `set pause-budget`, where it was said here.
    budget: Option<Duration>,
    /// `set confirm`.
    pub confirm: Toggle,
    /// How long a command that resumes waits for the stop; `None`: as long as it takes.
    pub patience: Option<Duration>,
    /// How a wait for a process is broken off: at the start Ctrl-C leaves, later it only gives the wait up.
    pub catching: WaitFor,
    /// The lines that were typed.
    pub typed: Vec<String>,
    /// The session is over, or nobody reads what it prints.
    pub ended: bool,
    /// A command failed.
    pub failed: bool,
    /// The status of the launched program, once it has ended by itself.
    pub launched_status: Option<i32>,
    /// Why nothing can be printed any more.
    pub mute: Option<io::ErrorKind>,
    log_done: bool,
    leaving: bool,
    depth: u32,
    style: Style,
}

impl Shell {
    /// A session before its first command.
    pub fn new(session: Session, renderer: Renderer, console: Console, interrupts: Receiver<Interruption>) -> Self {
        let style = match renderer.format {
            Format::Text(style) => style,
            Format::Json => Style::Plain,
        };
        Self {
            session,
            renderer,
            console,
            interrupts,
            motion: Motion::Nothing,
            stands_since: None,
            budget: None,
            confirm: Toggle::On,
            patience: None,
            catching: WaitFor::Catch,
            typed: Vec::new(),
            ended: false,
            failed: false,
            launched_status: None,
            mute: None,
            log_done: false,
            leaving: false,
            depth: 0,
            style,
        }
    }

    /// Prints a line; when nobody reads any more the session ends.
    pub fn say(&mut self, text: &str) {
        if let Err(error) = self.console.print(text) {
            self.cannot_print(&error);
        }
    }

    /// Prints a text of the prompt's own.
    pub fn note(&mut self, text: &str) {
        let text = self.renderer.note(text);
        self.say(&text);
    }

    /// Prints a failure.
    pub fn complain(&mut self, error: &ApiError) {
        self.failed = true;
        let text = self.renderer.error(error);
        let printed = match self.renderer.format {
            Format::Json => self.console.print(&text),
            Format::Text(_) => self.console.complain(&text),
        };
        if let Err(error) = printed {
            self.cannot_print(&error);
        }
    }

    /// Nobody reads any more, or the disk is full: the session ends, and what was attached runs on.
    fn cannot_print(&mut self, error: &io::Error) {
        if self.mute.replace(error.kind()).is_some() {
            return;
        }
        if !self.leaving && !self.ended {
            // Standard error may have gone the same way: then nobody is left to be told.
            let _ = writeln!(io::stderr(), "rdbg: standard output: {error}; the session ends");
        }
        self.failed = true;
        self.leave(Leave::Default);
    }

    /// Does a line.
    pub fn do_line(&mut self, line: &str) {
        match parse_line(line) {
            Ok(Parsed::Engine { command, detail }) => {
                self.do_command(command, detail);
            }
            Ok(Parsed::Local(local)) => self.do_local(local),
            Ok(Parsed::Nothing) => {}
            Err(error) => self.complain(&ApiError::user(error.to_string())),
        }
    }

    /// Does a command and shows its answer; one that lets the target go waits for the stop, as `patience` says.
    pub fn do_command(&mut self, command: Command, detail: Detail) -> Option<Reply> {
        if let Command::Quit { leave } = command {
            self.leave(leave);
            return None;
        }
        self.drain_events();
        let reply = match self.ask(command.clone()) {
            Ok(reply) => reply,
            Err(error) => {
                self.drain_events();
                self.complain(&error);
                return None;
            }
        };
        let quiet = reply == Reply::Resumed && !matches!(command, Command::Continue | Command::Run { .. });
        if !quiet {
            if let Some(text) = self.renderer.reply(&reply, detail) {
                self.say(&text);
            }
        }
        self.follow_up(&command, &reply);
        Some(reply)
    }

    /// Asks the engine; Ctrl-C breaks off what takes its time.
    fn ask(&mut self, command: Command) -> Outcome {
        let (answer, ticket) = self.session.begin(command);
        let awaited = wait_for(&answer, (&self.session.progress, ticket), &self.interrupts);
        let outcome = awaited.answer.unwrap_or_else(|| Err(ApiError::internal("the session has ended")));
        match awaited.signal {
            // What it was meant to break off was done already, and the target runs.
            Some(Interruption::Interrupt) if outcome == Ok(Reply::Resumed) => {
                self.session.request(Command::Interrupt).and(outcome)
            }
            Some(Interruption::Terminate) => {
                self.leave(Leave::DetachAll);
                outcome
            }
            _ => outcome,
        }
    }

    /// How long the target has stood, and how long it may.
    pub fn standing(&self) -> Option<(Duration, Option<Duration>)> {
        let since = self.stands_since.filter(|_| self.motion == Motion::Stopped)?;
        Some((since.elapsed(), self.budget))
    }

    /// A process has gone while the target stood: nothing stands any more if it was the last.
    pub fn settle_when_gone(&mut self) {
        if self.motion == Motion::Stopped {
            self.is_settled();
        }
    }

    fn follow_up(&mut self, command: &Command, reply: &Reply) {
        match (reply, command) {
            (Reply::Done, Command::Set { name, value }) if name == "pause-budget" => {
                self.budget = parse_span(value);
            }
            (Reply::Resumed, _) => {
                self.motion = Motion::Running;
                self.wait(WaitFor::Stop, self.patience);
            }
            (Reply::Waiting, _) => {
                self.motion = Motion::Running;
                self.wait(self.catching, self.patience);
            }
            (Reply::Attached { stopped, .. }, _) => {
                self.motion = if *stopped == Toggle::On { Motion::Stopped } else { Motion::Running };
                self.stands_since = Some(Instant::now());
                self.drain_events();
            }
            (_, Command::Interrupt) if self.motion == Motion::Running => {
                self.wait(WaitFor::Stop, self.patience);
            }
            (_, Command::Kill | Command::Detach) => {
                if self.is_settled() == Toggle::Off {
                    self.wait(WaitFor::Stop, Some(Duration::from_secs(2)));
                }
            }
            _ => {
                self.drain_events();
            }
        }
    }

    fn do_local(&mut self, local: Local) {
        match local {
            Local::Help(topic) => match help_text(topic.as_deref()) {
                Some(text) => self.note(&text),
                None => self.complain(&ApiError::user("no command is called so; `help` lists all")),
            },
            Local::Source(path) => self.do_file(&path),
            Local::History(count) => {
                let skip = count.map_or(0, |count| self.typed.len().saturating_sub(count as usize));
                let lines: Vec<String> = self
                    .typed
                    .iter()
                    .enumerate()
                    .skip(skip)
                    .map(|(at, line)| format!("{:>5}  {line}", at + 1))
                    .collect();
                self.note(&lines.join("\n"));
            }
            Local::Echo(text) => self.note(text.trim_end_matches('\n')),
            Local::Confirm(toggle) => self.confirm = toggle,
            Local::Json(Toggle::On) => self.renderer.format = Format::Json,
            Local::Json(Toggle::Off) => self.renderer.format = Format::Text(self.style),
        }
    }

    /// Does the commands of a file; one that fails does not keep the others from being done.
    pub fn do_file(&mut self, path: &Path) {
        if self.depth >= SOURCE_DEPTH {
            self.complain(&ApiError::user(format!("{}: files name each other too deeply", path.display())));
            return;
        }
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                self.complain(&ApiError::user(format!("cannot read {}: {error}", path.display())));
                return;
            }
        };
        self.depth += 1;
        for line in text.lines() {
            if self.ended {
                break;
            }
            self.do_line(line);
        }
        self.depth -= 1;
    }

    /// Shows the events that are there. `On`: one of them was such that a wait may be over.
    pub fn drain_events(&mut self) -> Toggle {
        let mut decisive = Toggle::Off;
        while let Ok(event) = self.session.events.try_recv() {
            if self.take_event(&event) == Toggle::On {
                decisive = Toggle::On;
            }
        }
        decisive
    }

    /// Shows an event and keeps what it tells. `On`: one after which a wait may be over.
    pub fn take_event(&mut self, event: &Event) -> Toggle {
        let mut decisive = Toggle::On;
        match event {
            Event::Stopped { .. } | Event::Caught { .. } => {
                self.motion = Motion::Stopped;
                self.stands_since = Some(Instant::now());
            }
            Event::Exited { status, signal, launched: Toggle::On, .. } if !self.leaving => {
                self.launched_status = Some(signal.map_or(*status, |signal| 128 + signal.0));
            }
            Event::PauseOver(pause) => {
                if pause.stays.is_none() {
                    self.motion = Motion::Running;
                }
                decisive = Toggle::Off;
            }
            Event::Exited { .. } | Event::Detached { .. } => {}
            Event::WaitEnded { .. } => self.failed = true,
            Event::Ended => {
                self.ended = true;
                self.motion = Motion::Nothing;
            }
            Event::LogDone { client, .. } | Event::Hit { client, .. } if *client != self.session.client => {
                return Toggle::Off;
            }
            Event::LogDone { .. } => self.log_done = true,
            _ => decisive = Toggle::Off,
        }
        if let Some(text) = self.renderer.event(event) {
            self.say(&text);
        }
        decisive
    }

    /// Asks the engine whether the target stands or is gone. Whatever it reported before is then in our queue, and
    /// is shown, so that an old stop is never taken for the answer to a later command.
    pub fn is_settled(&mut self) -> Toggle {
        loop {
            let status = self.session.request(Command::Status);
            let decisive = self.drain_events();
            match status {
                Ok(Reply::Status { stopped: Some(_), .. }) => self.motion = Motion::Stopped,
                Ok(Reply::Status { stopped: None, inferiors }) if inferiors.is_empty() => {
                    self.motion = Motion::Nothing;
                }
                // What was just shown may have happened after the answer: it is asked for again, since no other event
                // will come.
                Ok(Reply::Status { .. }) if decisive == Toggle::On && !self.ended => continue,
                Ok(Reply::Status { .. }) => {
                    self.motion = Motion::Running;
                    return Toggle::Off;
                }
                _ => {}
            }
            return Toggle::On;
        }
    }

    /// Shows events until what is waited for has come.
    pub fn wait(&mut self, what: WaitFor, limit: Option<Duration>) -> Waited {
        let end = limit.map(|limit| Instant::now() + limit);
        let mut interrupted = false;
        loop {
            if self.ended {
                return Waited::Ended;
            }
            if what == WaitFor::LogDone && self.log_done {
                return Waited::Stopped;
            }
            let timer = end.map_or_else(never, crossbeam_channel::at);
            crossbeam_channel::select! {
                recv(self.session.events) -> event => match event {
                    Ok(event) => {
                        if self.take_event(&event) == Toggle::On && !self.ended && self.is_settled() == Toggle::On {
                            return if self.ended { Waited::Ended } else { Waited::Stopped };
                        }
                    }
                    Err(_) => self.ended = true,
                },
                recv(self.interrupts) -> signal => match signal {
                    Ok(Interruption::Interrupt) if what == WaitFor::Stop && !interrupted => {
                        interrupted = true;
                        if let Err(error) = self.session.request(Command::Interrupt) {
                            self.complain(&error);
                        }
                    }
                    Ok(Interruption::Interrupt) => {
                        let leave = if what == WaitFor::Stop { Leave::DetachAll } else { Leave::Default };
                        self.leave(leave);
                        return Waited::BrokenOff;
                    }
                    Ok(Interruption::Terminate) => {
                        self.leave(Leave::DetachAll);
                        return Waited::BrokenOff;
                    }
                    Err(_) => self.interrupts = never(),
                },
                recv(timer) -> _ => return Waited::TimeUp,
            }
        }
    }

    /// Whether our log breakpoint has reached its count.
    pub fn log_is_done(&self) -> bool {
        self.log_done
    }

    /// Ends the session, and shows its last events.
    pub fn leave(&mut self, leave: Leave) {
        if self.leaving || self.ended {
            self.ended = true;
            return;
        }
        self.drain_events();
        self.leaving = true;
        if let Err(error) = self.session.request(Command::Quit { leave }) {
            if !self.ended {
                self.complain(&error);
            }
        }
        let end = crossbeam_channel::at(Instant::now() + LEAVE_PATIENCE);
        while !self.ended {
            crossbeam_channel::select! {
                recv(self.session.events) -> event => match event {
                    Ok(event) => {
                        self.take_event(&event);
                    }
                    Err(_) => self.ended = true,
                },
                recv(end) -> _ => self.ended = true,
            }
        }
        self.motion = Motion::Nothing;
    }

    /// Whether a program that rdbg started is alive.
    pub fn has_launched(&self) -> Toggle {
        let launched = |outcome: Outcome| match outcome {
            Ok(Reply::Inferiors { rows }) => rows.iter().any(|row| row.launched == Toggle::On),
            _ => false,
        };
        if launched(self.session.request(Command::ListInferiors)) {
            Toggle::On
        } else {
            Toggle::Off
        }
    }
}
