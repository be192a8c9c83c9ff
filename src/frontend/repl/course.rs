//! The course of a session: target, breakpoint, scripts, then the prompt or the end.

use std::io;
use std::path::Path;

use super::parse::Detail;
use super::shell::{Motion, Shell, WaitFor, Waited};
use crate::api::{
    BreakpointAction, Command, FollowFork, Leave, Reply, SignalPolicy, SourceQuery, TargetSelector, Toggle,
};
use crate::base::Signal;
use crate::frontend::cli::{AtEntry, Batch, Options, Scripted, SessionPlan};

/// Signals that mostly end a program: a log tells of them.
const FATAL: [Signal; 6] = [Signal::ILL, Signal::ABRT, Signal::BUS, Signal::FPE, Signal::SEGV, Signal::TERM];

/// What comes after the scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The prompt.
    Converse,
    /// Nothing; the session has been left.
    Done,
    /// Nothing; the target or the breakpoint could not be had.
    Failed,
}

/// Does what the command line asks for, up to the prompt.
pub fn start(shell: &mut Shell, plan: &SessionPlan, options: &Options, rc_file: Option<&Path>) -> Next {
    if plan.breakpoint.as_ref().is_some_and(|spec| matches!(spec.action, BreakpointAction::Log { .. })) {
        pass_signals(shell);
    }
    prepare(shell, options, rc_file);
    if shell.ended || take_target(shell, plan).is_none() {
        shell.leave(Leave::Default);
        return Next::Failed;
    }
    let logs = match &plan.breakpoint {
        Some(spec) => {
            if shell.do_command(Command::Break { spec: spec.clone() }, Detail::Plain).is_none() {
                shell.leave(Leave::Default);
                return Next::Failed;
            }
            matches!(spec.action, BreakpointAction::Log { .. })
        }
        None => false,
    };
    if logs {
        run_scripts(shell, options);
        follow_log(shell);
        return Next::Done;
    }
    if plan.breakpoint.is_some() {
        go_on(shell, WaitFor::Stop);
    } else if !options.scripts.is_empty() {
        hold(shell);
    }
    run_scripts(shell, options);
    let is_launch = matches!(plan.target, TargetSelector::Launch { .. });
    let untouched = options.scripts.is_empty() && plan.breakpoint.is_none() && plan.until_exec.is_none();
    if !shell.ended && is_launch && untouched && plan.at_entry == AtEntry::GoOn {
        go_on(shell, WaitFor::Stop);
    }
    let target_is_gone = shell.motion == Motion::Nothing;
    if !shell.ended && (options.batch == Batch::Leave || (target_is_gone && plan.breakpoint.is_some())) {
        shell.leave(Leave::Default);
    }
    if shell.ended {
        Next::Done
    } else {
        Next::Converse
    }
}

/// The exit status at the end of a session.
pub fn exit_status(shell: &Shell, next: Next, plan: &SessionPlan, options: &Options) -> i32 {
    let launches = matches!(plan.target, TargetSelector::Launch { .. });
    match options.batch {
        _ if next == Next::Failed => 1,
        // `| head` has what it wanted; a full disk has not.
        _ if shell.mute.is_some_and(|why| why != io::ErrorKind::BrokenPipe) => 1,
        Batch::Leave if shell.failed => 1,
        Batch::Leave if launches => shell.launched_status.unwrap_or(0),
        Batch::Leave => 0,
        Batch::Prompt => 0,
    }
}

fn prepare(shell: &mut Shell, options: &Options, rc_file: Option<&Path>) {
    if let Some(path) = rc_file.filter(|path| path.is_file()) {
        shell.do_file(path);
        shell.failed = false;
    }
    for (from, to) in &options.source_maps {
        let query = SourceQuery::Map { from: Some(from.clone()), to: Some(to.clone()) };
        shell.do_command(Command::Source { query }, Detail::Plain);
    }
    let force = (options.force == Toggle::On).then(|| ("symbols-force", "on".to_owned()));
    let files = options.symbols_from.iter().map(|file| ("symbols-from", file.to_string_lossy().into_owned()));
    for (name, value) in force.into_iter().chain(files) {
        shell.do_command(Command::Set { name: name.to_owned(), value }, Detail::Plain);
    }
    for (name, wanted) in [("debuginfod", options.debuginfod), ("allow-calls", options.allow_calls)] {
        if wanted == Toggle::On {
            shell.do_command(Command::Set { name: name.to_owned(), value: "on".to_owned() }, Detail::Plain);
        }
    }
    if let Some(file) = &options.vtable_names {
        let name = "vtable-names".to_owned();
        shell.do_command(Command::Set { name, value: file.display().to_string() }, Detail::Plain);
    }
    if let Some(follow) = options.follow {
        let value = match follow {
            FollowFork::Parent => "parent",
            FollowFork::Child => "child",
            FollowFork::Both => "both",
        };
        let name = "follow-fork-mode".to_owned();
        shell.do_command(Command::Set { name, value: value.to_owned() }, Detail::Plain);
    }
    if let Some(value) = options.pin.clone() {
        shell.do_command(Command::Set { name: "pin".to_owned(), value }, Detail::Plain);
    }
}

/// Nobody sits at a prompt while hits are logged: signals reach the program without a stop, as without rdbg. What
/// ~/.rdbgrc says of a signal comes after this and holds.
fn pass_signals(shell: &mut Shell) {
    let (fatal, ordinary): (Vec<Signal>, Vec<Signal>) = Signal::all().partition(|one| FATAL.contains(one));
    for (signals, print) in [(fatal, Toggle::On), (ordinary, Toggle::Off)] {
        let policy = SignalPolicy { stop: Some(Toggle::Off), print: Some(print), pass: Some(Toggle::On) };
        // Nobody has asked for the table that answers it.
        if let Err(error) = shell.session.request(Command::Handle { signals, policy }) {
            shell.complain(&error);
        }
    }
}

/// The process, held or running; `None` when it could not be had.
fn take_target(shell: &mut Shell, plan: &SessionPlan) -> Option<()> {
    // A breakpoint is set while the process runs; to look at it, it has to stand.
    let runs_already = matches!(plan.target, TargetSelector::Pid { .. } | TargetSelector::Name { .. });
    let hold = if runs_already && plan.breakpoint.is_some() { Toggle::Off } else { Toggle::On };
    let command = Command::Target { selector: plan.target.clone(), until_exec: plan.until_exec.clone(), hold };
    let reply = shell.do_command(command, Detail::Plain)?;
    if shell.ended {
        return None;
    }
    shell.catching = WaitFor::Stop;
    if plan.until_exec.is_some() && reply != Reply::Waiting {
        let waited = go_on(shell, WaitFor::Catch);
        if waited != Some(Waited::Stopped) {
            return None;
        }
    }
    Some(())
}

/// Lets a held target go, and waits.
fn go_on(shell: &mut Shell, what: WaitFor) -> Option<Waited> {
    if shell.motion == Motion::Running {
        return Some(shell.wait(what, None));
    }
    shell.drain_events();
    match shell.session.request(Command::Continue) {
        Ok(_) => {
            shell.motion = Motion::Running;
            Some(shell.wait(what, None))
        }
        Err(error) => {
            shell.complain(&error);
            None
        }
    }
}

/// Scripts find the target held.
fn hold(shell: &mut Shell) {
    if shell.motion == Motion::Running {
        shell.do_command(Command::Interrupt, Detail::Plain);
    }
}

/// Does the --ex and -x.
pub fn run_scripts(shell: &mut Shell, options: &Options) {
    for script in &options.scripts {
        if shell.ended {
            break;
        }
        match script {
            Scripted::Line(line) => shell.do_line(line),
            Scripted::File(path) => shell.do_file(path),
        }
    }
}

/// Shows hits until the last one, the end of the target, or Ctrl-C.
fn follow_log(shell: &mut Shell) {
    if shell.ended {
        return;
    }
    loop {
        match go_on(shell, WaitFor::LogDone) {
            // A stop for another reason, a signal say, must not end the log: the target goes on.
            Some(Waited::Stopped) if shell.motion == Motion::Stopped && !shell.log_is_done() => {}
            _ => break,
        }
    }
    if !shell.ended {
        shell.leave(Leave::Default);
    }
}
