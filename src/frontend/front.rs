//! From a plan to an exit status.

use std::io::{self, BufReader, IsTerminal};
use std::sync::Arc;

use crossbeam_channel::never;

use super::cli::{Colours, Options, OutputKind, Plan, SessionPlan};
use super::render::{Format, Renderer, Style};
use super::repl::console::Console;
use super::repl::converse::{Conversation, Manner};
use super::repl::course::{self, Next};
use super::repl::reader::LineReader;
use super::repl::shell::Shell;
use super::repl::Detail;
use super::socket::{Client, Server, SocketError};
use super::surroundings::{Interruption, Surroundings};
use super::working::wait_for;
use crate::api::{
    ApiError, BreakpointAction, BreakpointSpec, ClientId, Command, Event, Leave, NamesRequest, Outcome, Reply, Toggle,
};
use crate::base::Progress;

/// Does what the command line asks for; the exit status.
pub fn run(plan: Plan, options: &Options, surroundings: Surroundings) -> i32 {
    let renderer = choose_renderer(options);
    match plan {
        Plan::Session(plan) => run_session(&plan, options, surroundings, renderer),
        Plan::RemoteBreak { session, spec } => remote_break(session.as_deref(), spec, &surroundings, renderer),
        Plan::Control { session, command, detail } => {
            let quits = matches!(command, Command::Quit { .. });
            let outcome = Client::connect(surroundings.host.as_ref(), session.as_deref())
                .and_then(|mut client| client.request(command));
            let outcome = match outcome {
                // A session that ends may be gone before its answer is written.
                Err(SocketError::Gone(_)) if quits => Ok(Ok(Reply::Done)),
                outcome => outcome,
            };
            show_remote(outcome, detail, renderer).map_or(1, |_| 0)
        }
        Plan::Trace(plan) => super::trace::run_trace(plan, options, surroundings, renderer),
        Plan::Names(request) => show(&answer_names(&request, &surroundings), Detail::Plain, renderer).map_or(1, |_| 0),
        Plan::Processes { matching } => {
            let session = (surroundings.start_engine)().connect(ClientId(0));
            let outcome = session.request(Command::Processes { matching });
            let status = show(&outcome, Detail::Plain, renderer).map_or(1, |_| 0);
            if let Err(error) = session.request(Command::Quit { leave: Leave::Default }) {
                tracing::debug!(%error, "the engine had ended already");
            }
            status
        }
    }
}

/// Asks for names of files, on a thread of its own: signals can break it off.
fn answer_names(request: &NamesRequest, surroundings: &Surroundings) -> Outcome {
    let progress = Progress::default();
    let ticket = progress.ticket();
    progress.begin(ticket);
    let (sender, answer) = crossbeam_channel::bounded(1);
    let (names, at_work) = (&surroundings.names, &progress);
    let awaited = std::thread::scope(|scope| {
        scope.spawn(move || {
            // The wait for it ends with the answer only.
            let _ = sender.send(names(request, at_work));
        });
        wait_for(&answer, (&progress, ticket), &surroundings.interrupts)
    });
    awaited.answer.unwrap_or_else(|| Err(ApiError::internal("there is no answer")))
}

fn choose_renderer(options: &Options) -> Renderer {
    let colour = match options.colours {
        Colours::Always => true,
        Colours::Never => false,
        Colours::Auto => {
            let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let unable = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
            io::stdout().is_terminal() && !unwanted && !unable
        }
    };
    let format = match options.output {
        OutputKind::Json => Format::Json,
        OutputKind::Text if colour => Format::Text(Style::Colour),
        OutputKind::Text => Format::Text(Style::Plain),
    };
    Renderer { format }
}

fn run_session(plan: &SessionPlan, options: &Options, surroundings: Surroundings, renderer: Renderer) -> i32 {
    let (rc_file, history) = (surroundings.rc_file(), surroundings.history_file());
    let engine = (surroundings.start_engine)();
    let session = engine.connect(ClientId(0));
    let mut shell = Shell::new(session, renderer, Console::Stdio, surroundings.interrupts);
    let server = Server::open(surroundings.host, &plan.session_name(), Arc::clone(&engine));
    // A session without a socket is a session all the same.
    let server = server.inspect_err(|error| tracing::warn!(%error, "other terminals cannot reach this session"));
    let next = course::start(&mut shell, plan, options, rc_file.as_deref());
    if next == Next::Converse {
        converse(&mut shell, history, &surroundings.restore_terminal);
    }
    drop(server);
    course::exit_status(&shell, next, plan, options)
}

pub(super) fn converse(shell: &mut Shell, history: Option<std::path::PathBuf>, restore_terminal: &dyn Fn()) {
    let opened = if io::stdin().is_terminal() {
        LineReader::terminal(shell.session.clone(), history).map(|(reader, console)| {
            shell.console = console;
            (reader, Manner::Terminal)
        })
    } else {
        LineReader::piped(BufReader::new(io::stdin())).map(|reader| (reader, Manner::Piped))
    };
    match opened {
        Ok((reader, manner)) => {
            if Conversation::new(shell, &reader, manner).run() == Toggle::On {
                restore_terminal();
                // The shell's own prompt then starts on a line of its own.
                let _ = Console::Stdio.print("");
            }
        }
        Err(error) => {
            shell.complain(&ApiError::internal(format!("no lines can be read: {error}")));
            shell.leave(Leave::Default);
        }
    }
}

/// Prints an outcome; its reply, where there is one.
fn show(outcome: &Outcome, detail: Detail, renderer: Renderer) -> Option<Reply> {
    let mut console = Console::Stdio;
    match outcome {
        Ok(reply) => {
            if let Some(text) = renderer.reply(reply, detail) {
                console.print(&text).ok()?;
            }
            Some(reply.clone())
        }
        Err(error) => {
            complain(&mut console, &renderer.error(error), renderer);
            None
        }
    }
}

fn complain(console: &mut Console, text: &str, renderer: Renderer) {
    let _ = match renderer.format {
        Format::Json => console.print(text),
        Format::Text(_) => console.complain(text),
    };
}

fn show_remote(outcome: Result<Outcome, SocketError>, detail: Detail, renderer: Renderer) -> Option<Reply> {
    let outcome = outcome.unwrap_or_else(|error| Err(ApiError::user(error.to_string())));
    show(&outcome, detail, renderer)
}

fn remote_break(asked: Option<&str>, spec: BreakpointSpec, surroundings: &Surroundings, renderer: Renderer) -> i32 {
    let logs = matches!(spec.action, BreakpointAction::Log { .. });
    let mut client = match Client::connect(surroundings.host.as_ref(), asked) {
        Ok(client) => client,
        Err(error) => {
            complain(&mut Console::Stdio, &renderer.error(&ApiError::user(error.to_string())), renderer);
            return 1;
        }
    };
    if logs {
        if let Err(error) = client.subscribe() {
            complain(&mut Console::Stdio, &renderer.error(&ApiError::user(error.to_string())), renderer);
            return 1;
        }
    }
    let outcome = client.request(Command::Break { spec });
    match show_remote(outcome, Detail::Plain, renderer) {
        Some(Reply::Breakpoint { row }) if logs => follow_hits(&mut client, row.id, surroundings, renderer),
        Some(_) => 0,
        None => 1,
    }
}

/// Shows the hits of a breakpoint until its count, the session's end, or Ctrl-C; the session then removes it.
fn follow_hits(client: &mut Client, id: u32, surroundings: &Surroundings, renderer: Renderer) -> i32 {
    let mut console = Console::Stdio;
    let mut interrupts = surroundings.interrupts.clone();
    loop {
        let event = match client.take_kept_event() {
            Some(event) => event,
            None => crossbeam_channel::select! {
                recv(client.incoming) -> message => match message {
                    Ok(message) => match message.event {
                        Some(event) => event,
                        None => continue,
                    },
                    Err(_) => return 0,
                },
                recv(interrupts) -> signal => match signal {
                    Ok(Interruption::Interrupt | Interruption::Terminate) => return 0,
                    Err(_) => {
                        interrupts = never();
                        continue;
                    }
                },
            },
        };
        let (ours, last) = match &event {
            Event::Hit { breakpoint, .. } | Event::Resolved { breakpoint, .. } => (*breakpoint == id, false),
            Event::LogDone { breakpoint, .. } => (*breakpoint == id, *breakpoint == id),
            Event::Lost { .. } | Event::Exited { .. } => (true, false),
            Event::Ended => (false, true),
            _ => (false, false),
        };
        if ours {
            if let Some(text) = renderer.event(&event) {
                if console.print(&text).is_err() {
                    return 0;
                }
            }
        }
        if last {
            return 0;
        }
    }
}
