//! `rdbg trace`: gives the engine a script and a target, hands on what the script prints, and lets everybody go at the
//! end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use crossbeam_channel::{never, Receiver, RecvError};

use super::cli::{Batch, Options, TracePlan, TraceScript};
use super::front::converse;
use super::progress::Progress;
use super::render::{Format, Renderer, Style};
use super::repl::console::Console;
use super::repl::course;
use super::repl::shell::Shell;
use super::surroundings::{Interruption, Surroundings};
use super::writer::{Rest, Writer};
use crate::api::{
    ApiError, ClientId, Command, Event, FollowFork, Leave, ProbeList, QuickSpec, Reply, Session, StopReason,
    TargetSelector, Toggle, TraceScope, TraceSpec, TraceStream, Where,
};

/// Where things are told.
struct Teller {
    writer: Writer,
    out_name: String,
    renderer: Renderer,
    quiet: Toggle,
    /// Whether what is printed goes to the terminal.
    on_screen: Toggle,
    progress: Progress,
}

/// What `--info` tells.
const INFO: &str = concat!(
    "rdbg ",
    env!("CARGO_PKG_VERSION"),
    ", x86-64: scripts in bpftrace's language, on processes that you may ptrace

Probes
  uprobe, uretprobe, usdt: yes, by breakpoints
  tracepoint:syscalls, tracepoint:raw_syscalls: yes, by the system call stops of ptrace
  watchpoint: yes, 4 of them, by debug registers
  signal: yes, by the signal stops of ptrace
  BEGIN, END, interval, self:signal:SIGUSR1: yes
  profile: emulated, by stopping the threads that run
  kretprobe:inet_csk_accept: emulated, by asking the socket
  kprobe, fentry, rawtracepoint, software, hardware, iter: no

Needed: the right to ptrace. Not needed: eBPF, BTF, tracefs, kernel headers, root
`rdbg trace -l` lists all probes, `rdbg trace -l 'uprobe:PATH:*'` those of a file
"
);

/// The exit status of what was interrupted, as a shell has it.
const INTERRUPTED: i32 = 130;

/// How long the trace lasts, and from when on.
#[derive(Clone, Copy)]
struct Clock {
    limit: Option<Duration>,
    start: Start,
}

/// When a trace's time begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Now.
    Now,
    /// When there is a process, and the probes are in it.
    AtProcess,
}

/// Whether texts are taken from the engine before there is room to write them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// They wait, and what does not fit into the queue is counted as lost.
    Held,
    /// They are taken: the trace is ending, and its last word is behind them.
    Free,
}

/// Whether the trace goes on.
#[derive(Clone, PartialEq)]
enum Course {
    On,
    Done(i32),
    /// A call was to be a stop: the event that tells it.
    Stopped(Box<Event>),
}

/// Runs a script to its end; the exit status.
pub fn run_trace(plan: TracePlan, options: &Options, surroundings: Surroundings, renderer: Renderer) -> i32 {
    if plan.script == TraceScript::Info {
        // Nobody who reads it is no failure: `| head`.
        let _ = io::stdout().write_all(INFO.as_bytes());
        return 0;
    }
    let out: Box<dyn Write + Send> = match &plan.output {
        None => Box::new(io::stdout()),
        Some(path) => match File::create(path) {
            Ok(file) => Box::new(file),
            Err(error) => {
                eprintln!("error: cannot write {}: {error}", path.display());
                return 1;
            }
        },
    };
    let writer = match Writer::new(out) {
        Ok(writer) => writer,
        Err(error) => {
            eprintln!("error: a thread for the output: {error}");
            return 1;
        }
    };
    let out_name = plan.output.as_ref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let (quiet, progress) = (plan.quiet, Progress::new(plan.quiet));
    let on_screen = match plan.output {
        None if io::stdout().is_terminal() => Toggle::On,
        _ => Toggle::Off,
    };
    let mut teller = Teller { writer, out_name, renderer, quiet, on_screen, progress };
    let history = surroundings.history_file();
    let Surroundings { start_engine, interrupts, restore_terminal, .. } = surroundings;
    let session = start_engine().connect(ClientId(0));
    let done = conduct(&plan, options, &session, &interrupts, &mut teller);
    if let Ok(Course::Stopped(stop)) = done {
        teller.writer.finish(&interrupts, || ());
        let mut shell = Shell::new(session, renderer, Console::Stdio, interrupts);
        shell.take_event(&stop);
        course::run_scripts(&mut shell, options);
        match options.batch {
            Batch::Leave => shell.leave(Leave::Default),
            Batch::Prompt => converse(&mut shell, history, &restore_terminal),
        }
        return i32::from(options.batch == Batch::Leave && shell.failed);
    }
    // An engine that has ended has left everybody. Nobody waits for whoever reads the output.
    let _ = session.request(Command::Quit { leave: Leave::Default });
    let rest = match done {
        Ok(Course::Done(INTERRUPTED)) => Course::Done(INTERRUPTED),
        _ => teller.finish(&interrupts),
    };
    match done {
        Ok(Course::Done(status)) => match rest {
            Course::Done(failure) if status == 0 => failure,
            _ => status,
        },
        Ok(_) => 0,
        Err(error) => {
            teller.fail(&error);
            1
        }
    }
}

fn conduct(
    plan: &TracePlan,
    options: &Options,
    session: &Session,
    interrupts: &Receiver<Interruption>,
    teller: &mut Teller,
) -> Result<Course, ApiError> {
    if let TraceScript::List { glob, fields } = &plan.script {
        return list(ProbeList::Matching { glob: glob.clone() }, *fields, session, teller);
    }
    let spec = Box::new(spec_of(plan, teller.renderer)?);
    if let Some(fields) = plan.listed {
        return list(ProbeList::Script { spec }, fields, session, teller);
    }
    let follow = match options.follow.unwrap_or(FollowFork::Both) {
        FollowFork::Parent => "parent",
        FollowFork::Child => "child",
        FollowFork::Both => "both",
    };
    session.request(Command::Set { name: "follow-fork-mode".into(), value: follow.into() })?;
    let Reply::Tracing { scope, warnings, .. } = session.request(Command::Trace { spec })? else {
        return Err(ApiError::internal("the trace did not begin"));
    };
    warnings.iter().for_each(|warning| teller.tell(warning));
    let targets = targets(plan, scope, teller)?;
    // A script that concerns no process has begun already.
    let duration =
        Clock { limit: plan.duration, start: if targets.is_empty() { Start::Now } else { Start::AtProcess } };
    for selector in targets {
        // One that is launched stands anyway; nobody else needs to be held.
        match session.request(Command::Target { selector, until_exec: None, hold: Toggle::Off })? {
            Reply::Waiting => {}
            reply => {
                count_functions(session, teller)?;
                session.request(Command::Continue)?;
                if let Reply::Attached { process, .. } = reply {
                    teller.tell(&format!("Tracing process {} ({})", process.pid, process.exe.display()));
                }
            }
        }
    }
    Ok(watch(session, interrupts.clone(), duration, teller))
}

/// What the engine is to run.
fn spec_of(plan: &TracePlan, renderer: Renderer) -> Result<TraceSpec, ApiError> {
    let (name, text) = match &plan.script {
        TraceScript::Text(text) => ("stdin".to_owned(), text.clone()),
        TraceScript::File(path) => (path.display().to_string(), read_script(path)?),
        _ => (String::new(), String::new()),
    };
    Ok(TraceSpec {
        environment: variables(&text),
        name,
        text,
        parameters: plan.parameters.clone(),
        format: plan.format,
        unsafe_functions: plan.unsafe_functions,
        pid: match &plan.target {
            Some(TargetSelector::Pid { pid }) => Some(*pid),
            _ => None,
        },
        quick: match &plan.script {
            TraceScript::Quick(quick) => Some(QuickSpec { colours: colours(plan, renderer), ..quick.clone() }),
            _ => None,
        },
    })
}

/// Whether calls are written in colours: where they go to the terminal that the user has for colours.
fn colours(plan: &TracePlan, renderer: Renderer) -> Toggle {
    match renderer.format {
        Format::Text(Style::Colour) if plan.output.is_none() => Toggle::On,
        _ => Toggle::Off,
    }
}

/// Says how many functions each `--fn` has found. None at all, in a process that has its libraries, is a failure.
fn count_functions(session: &Session, teller: &Teller) -> Result<(), ApiError> {
    let Reply::Breakpoints { rows } = session.request(Command::ListBreakpoints)? else { return Ok(()) };
    for row in &rows {
        let Where::Regex(regex) = &row.location else { continue };
        match (row.total, &row.note) {
            (0, Some(note)) => teller.tell(&format!("No function matches {regex} yet: {note}")),
            (0, None) => {
                teller.tell(&format!("No function matches {regex} yet; libraries to come are looked through, too."))
            }
            (1, _) => teller.tell(&format!("Tracing 1 function that matches {regex}")),
            (total, None) => teller.tell(&format!("Tracing {total} functions that match {regex}")),
            (total, Some(note)) => teller.tell(&format!("Tracing {total} functions that match {regex} ({note})")),
        }
    }
    Ok(())
}

/// The processes to trace: what the user names, else what the script can concern.
fn targets(plan: &TracePlan, scope: TraceScope, teller: &mut Teller) -> Result<Vec<TargetSelector>, ApiError> {
    if let Some(target) = &plan.target {
        return Ok(vec![target.clone()]);
    }
    match scope {
        TraceScope::Nothing => Ok(Vec::new()),
        TraceScope::Process { pid } => Ok(vec![TargetSelector::Pid { pid }]),
        TraceScope::Program { name } => {
            let name = match name.contains('/') {
                true => std::fs::canonicalize(&name).map_or(name, |path| path.display().to_string()),
                false => name,
            };
            teller.tell(&format!("The script can concern processes that execute {name}: no other is touched."));
            Ok(vec![TargetSelector::WaitFor { name, include_existing: Toggle::On, method: None }])
        }
        TraceScope::Everything => Ok(vec![TargetSelector::Everything]),
    }
}

fn read_script(path: &std::path::Path) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().read_to_end(&mut bytes),
        _ => File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|error| ApiError::user(format!("cannot read {}: {error}", path.display())))?;
    String::from_utf8(bytes).map_err(|_| ApiError::user(format!("{} is no UTF-8 text", path.display())))
}

/// The variables of the environment that a script names as `${NAME}`.
fn variables(text: &str) -> BTreeMap<String, String> {
    let names = text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
    names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

/// A signal that comes again within so long ends no trace without its maps: timeout(1) sends it to its child and to its process
/// group.
const DOUBLED: Duration = Duration::from_millis(200);

/// Hands on what is printed until the trace has ended. Ctrl-C ends it; a second one does not wait for its maps.
fn watch(session: &Session, mut interrupts: Receiver<Interruption>, duration: Clock, teller: &mut Teller) -> Course {
    let mut interrupted: Option<Instant> = None;
    // The time runs from when there is a process.
    let clock = || duration.limit.map_or_else(never, crossbeam_channel::after);
    let has_process =
        || matches!(session.request(Command::ListInferiors), Ok(Reply::Inferiors { rows }) if !rows.is_empty());
    let mut time_up = if duration.start == Start::Now || has_process() { clock() } else { never() };
    let ticks = teller.progress.ticks.clone();
    let nothing = never();
    let mut flow = Flow::Held;
    loop {
        let wants_more = flow == Flow::Free || teller.writer.has_room();
        let events = if wants_more { &session.events } else { &nothing };
        let written = teller.writer.written.clone();
        crossbeam_channel::select! {
            recv(written) -> result => match teller.wrote(result) {
                Course::On => {}
                course => return course,
            },
            recv(events) -> event => match event {
                Ok(event) => {
                    if matches!(event, Event::Caught { .. }) {
                        time_up = clock();
                    }
                    match teller.event(&event) {
                        Course::On => {}
                        course => return course,
                    }
                }
                Err(_) => return Course::Done(1),
            },
            recv(interrupts) -> interruption => match interruption {
                Ok(_) if interrupted.is_some_and(|first| first.elapsed() < DOUBLED) => {}
                Ok(_) => {
                    teller.progress.interrupted(teller.quiet);
                    flow = Flow::Free;
                    if interrupted.replace(Instant::now()).is_some() {
                        return Course::Done(INTERRUPTED);
                    }
                    // A trace that is ending by itself refuses; its maps are on the way.
                    let _ = session.request(Command::TraceEnd);
                }
                Err(_) => interrupts = never(),
            },
            recv(ticks) -> _ => teller.progress.write(session),
            // A trace that has ended by itself tells so.
            recv(time_up) -> _ => {
                let _ = session.request(Command::TraceEnd);
                flow = Flow::Free;
                time_up = never();
            }
        }
    }
}

fn list(of: ProbeList, fields: Toggle, session: &Session, teller: &mut Teller) -> Result<Course, ApiError> {
    if let Reply::Text { text } = session.request(Command::TraceProbes { of, fields })? {
        teller.writer.write(TraceStream::Out, text);
    }
    Ok(Course::Done(0))
}

impl Teller {
    /// How writing a text went; nobody may read it any more.
    fn wrote(&mut self, result: Result<io::Result<()>, RecvError>) -> Course {
        self.writer.count_written();
        match result {
            Ok(Ok(())) => Course::On,
            Ok(Err(error)) => self.failed(&error),
            Err(_) => Course::Done(1),
        }
    }

    fn failed(&self, error: &io::Error) -> Course {
        // `| head` has what it wanted.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Course::Done(0);
        }
        self.tell(&format!("rdbg: {}: {error}; the trace ends", self.out_name));
        Course::Done(1)
    }

    /// Waits for what is still to be written, or for Ctrl-C.
    fn finish(&mut self, interrupts: &Receiver<Interruption>) -> Course {
        let quiet = self.quiet;
        let waiting = || {
            if quiet == Toggle::Off {
                eprintln!(
                    "All processes have been let go. Nobody reads the output: Ctrl-C ends without the rest of it."
                );
            }
        };
        match self.writer.finish(interrupts, waiting) {
            Rest::Written => Course::On,
            Rest::Failed(error) => self.failed(&error),
            Rest::Abandoned => Course::Done(INTERRUPTED),
        }
    }

    /// Something about the run.
    fn tell(&self, text: &str) {
        if self.quiet == Toggle::Off {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    fn fail(&self, error: &ApiError) {
        // A script's errors have their form already.
        let _ = match error.message.contains(": ERROR: ") {
            true => writeln!(io::stderr().lock(), "{error}"),
            false => writeln!(io::stderr().lock(), "{}", self.renderer.error(error)),
        };
    }

    /// Whether an event brings something onto the terminal: what goes to a file leaves the line of progress where it is.
    fn shows(&self, event: &Event) -> bool {
        match event {
            Event::TraceOutput { stream: TraceStream::Out, .. } => self.on_screen == Toggle::On,
            Event::TraceOutput { stream: TraceStream::Err, .. } => self.quiet == Toggle::Off,
            Event::TraceEnded { .. } | Event::Stopped { .. } | Event::Ended | Event::WaitEnded { .. } => true,
            Event::Notice { .. } | Event::Lost { .. } | Event::WaitMethod { .. } | Event::Caught { .. } => true,
            _ => false,
        }
    }

    fn event(&mut self, event: &Event) -> Course {
        if self.shows(event) {
            self.progress.give_way();
        }
        match event {
            Event::TraceOutput { stream: TraceStream::Err, .. } if self.quiet == Toggle::On => {}
            Event::TraceOutput { stream, text } => self.writer.write(*stream, text.clone()),
            Event::TraceEnded { status } => return Course::Done(*status),
            Event::Stopped {
                reason: StopReason::Breakpoint { .. } | StopReason::Syscall { .. } | StopReason::Probe { .. },
                ..
            } => {
                return Course::Stopped(Box::new(event.clone()));
            }
            Event::Ended => return Course::Done(1),
            Event::WaitEnded { reason } => {
                self.tell(&format!("The wait has ended: {reason}"));
            }
            Event::Notice { .. } | Event::Lost { .. } | Event::WaitMethod { .. } | Event::Caught { .. } => {
                if let Some(text) = self.renderer.event(event) {
                    self.tell(&text);
                }
            }
            _ => {}
        }
        Course::On
    }
}
