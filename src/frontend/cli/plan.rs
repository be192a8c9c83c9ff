//! What is to be done, checked.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use super::args::{Attach, Break, Cli, Colours, Common, Ctl, Follow, Run, Symbols, Verb, WaitMethod, Waiting};
use crate::api::{
    BreakpointAction, BreakpointSpec, Command, FollowFork, ModuleFilter, NamesQuestion, NamesRequest, QuickSpec,
    TargetSelector, Toggle, TraceFormat, Where,
};
use crate::base::Pid;
use crate::frontend::repl::parse::find_spec;
use crate::frontend::repl::table::Group;
use crate::frontend::repl::{calls_place, line_place, parse_line, plain_spec, Detail, Parsed, DEFAULT_LIMIT};

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// A session of our own.
    Session(SessionPlan),
    /// A breakpoint in a live session.
    RemoteBreak {
        /// Which session.
        session: Option<String>,
        /// What.
        spec: BreakpointSpec,
    },
    /// A command to a live session.
    Control {
        /// Which session.
        session: Option<String>,
        /// What.
        command: Command,
        /// How its answer is shown.
        detail: Detail,
    },
    /// A trace script.
    Trace(TracePlan),
    /// A question about the names of files.
    Names(NamesRequest),
    /// The processes of the machine.
    Processes {
        /// Only these.
        matching: Option<String>,
    },
}

/// A session with a target.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionPlan {
    /// Which process.
    pub target: TargetSelector,
    /// Go on until a process executes this.
    pub until_exec: Option<String>,
    /// Set first, then the target goes on.
    pub breakpoint: Option<BreakpointSpec>,
    /// What a launched program does at its entry.
    pub at_entry: AtEntry,
}

/// `rdbg trace`.
#[derive(Clone, Debug, PartialEq)]
pub struct TracePlan {
    /// What to run.
    pub script: TraceScript,
    /// `-l`: its probes are listed instead; whether each with its fields.
    pub listed: Option<Toggle>,
    /// `$1`, `$2`..
    pub parameters: Vec<String>,
    /// Which process, where the user says.
    pub target: Option<TargetSelector>,
    /// How what it prints is written.
    pub format: TraceFormat,
    /// Where to; standard output if not given.
    pub output: Option<PathBuf>,
    /// Whether nothing is told of the run.
    pub quiet: Toggle,
    /// `--unsafe`.
    pub unsafe_functions: Toggle,
    /// The trace ends after so long.
    pub duration: Option<Duration>,
}

/// What `rdbg trace` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceScript {
    /// A file; `-` for standard input.
    File(PathBuf),
    /// `-e`.
    Text(String),
    /// `-l`: nothing; probes that match are listed, with `-v` each with its fields.
    List { glob: String, fields: Toggle },
    /// `--info`: nothing; what there is is told.
    Info,
    /// No script: `--fn` and `--syscall`.
    Quick(QuickSpec),
}

/// `--stop-at-entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEntry {
    /// It stays there.
    Stay,
    /// It goes on.
    GoOn,
}

/// What applies everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The --ex and -x, in the order they were given.
    pub scripts: Vec<Scripted>,
    /// Whether a prompt opens.
    pub batch: Batch,
    /// `--follow`.
    pub follow: Option<FollowFork>,
    /// `--pin`: `on`, or a CPU.
    pub pin: Option<String>,
    /// `--source-map`: from, to.
    pub source_maps: Vec<(String, String)>,
    /// `--symbols-from`.
    pub symbols_from: Vec<PathBuf>,
    /// `--force`.
    pub force: Toggle,
    /// `--debuginfod`.
    pub debuginfod: Toggle,
    /// `--allow-calls`.
    pub allow_calls: Toggle,
    /// `--vtable-names`.
    pub vtable_names: Option<PathBuf>,
    /// Text or JSON.
    pub output: OutputKind,
    /// `--color`.
    pub colours: Colours,
    /// `--log-filter`.
    pub log_filter: Option<String>,
}

/// A --ex or a -x.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scripted {
    /// A command.
    Line(String),
    /// A file of commands.
    File(PathBuf),
}

/// `--batch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Leave after the last command.
    Leave,
    /// Open the prompt.
    Prompt,
}

/// `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl SessionPlan {
    /// A name for the session's socket.
    pub fn session_name(&self) -> String {
        let full = match (&self.until_exec, &self.target) {
            (Some(name), _) => name.clone(),
            (None, TargetSelector::Pid { pid }) => pid.to_string(),
            (None, TargetSelector::Name { name } | TargetSelector::WaitFor { name, .. }) => name.clone(),
            (None, TargetSelector::Launch { program, .. }) => program.display().to_string(),
            (None, TargetSelector::Everything) => "everything".to_owned(),
        };
        full.rsplit('/').next().unwrap_or_default().to_owned()
    }
}

/// Reads and checks a command line. The error is clap's: it knows its text and exit status (0 for --help and
/// --version, 2 for bad usage).
pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<(Plan, Options), clap::Error> {
    let matches = Cli::command().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let plan = match cli.verb {
        Verb::Attach(attach) => Plan::Session(attach_plan(attach)?),
        Verb::Run(run) => Plan::Session(run_plan(run)?),
        Verb::Break(args) => break_plan(*args)?,
        Verb::Trace(args) => Plan::Trace(super::trace_plan::trace_plan(*args)?),
        Verb::Symbols(args) => {
            check_regex(args.regex.as_deref())?;
            Plan::Names(names_request(symbols_question(args), &cli.common))
        }
        Verb::Index(args) => {
            Plan::Names(names_request(NamesQuestion::Index { file: args.file, output: args.output }, &cli.common))
        }
        Verb::Cache(args) => Plan::Names(names_request(NamesQuestion::Cache(args.request()), &cli.common)),
        Verb::Ctl(ctl) => control_plan(ctl)?,
        Verb::Ps(ps) => Plan::Processes { matching: ps.matching },
    };
    Ok((plan, options(cli.common, &matches)?))
}

fn names_request(question: NamesQuestion, common: &Common) -> NamesRequest {
    let (symbols_from, force) = (common.symbols_from.clone(), on(common.force));
    NamesRequest { question, symbols_from, force, vtable_names: common.vtable_names.clone() }
}

fn symbols_question(args: Symbols) -> NamesQuestion {
    match (args.file, args.pid) {
        (Some(file), _) if args.sources => NamesQuestion::Sources { file },
        (Some(file), _) => {
            let limit = Some(args.limit).filter(|limit| *limit > 0);
            NamesQuestion::Functions { file, regex: args.regex, limit }
        }
        (None, pid) => NamesQuestion::SourcesOf { pid: Pid(pid.unwrap_or_default()) },
    }
}

pub(super) fn wrong(message: impl std::fmt::Display) -> clap::Error {
    Cli::command().error(ErrorKind::ValueValidation, message)
}

pub(super) fn check_regex(regex: Option<&str>) -> Result<(), clap::Error> {
    match regex {
        Some("") => Err(wrong("the regex is empty; `.*` matches everything")),
        // Before a program is started, or waited for, in vain.
        Some(regex) => regex::Regex::new(regex).map(|_| ()).map_err(|error| wrong(error.to_string())),
        None => Ok(()),
    }
}

fn check_name(option: &str, name: &str) -> Result<(), clap::Error> {
    match name {
        "" => Err(wrong(format!("{option}: the name is empty"))),
        name if name.ends_with('/') => Err(wrong(format!("{option}: `{name}` names a directory"))),
        _ => Ok(()),
    }
}

pub(super) fn on(flag: bool) -> Toggle {
    if flag {
        Toggle::On
    } else {
        Toggle::Off
    }
}

pub(super) fn wait_selector(waiting: Waiting) -> Result<Option<TargetSelector>, clap::Error> {
    let Some(name) = waiting.waitfor else {
        if waiting.include_existing || waiting.wait_method.is_some() {
            return Err(wrong("--include-existing and --wait-method go with --waitfor"));
        }
        return Ok(None);
    };
    check_name("--waitfor", &name)?;
    let method = waiting.wait_method.map(|method| match method {
        WaitMethod::Fanotify => "fanotify".to_owned(),
        WaitMethod::Inotify => "inotify".to_owned(),
        WaitMethod::Scan => "scan".to_owned(),
    });
    Ok(Some(TargetSelector::WaitFor { name, include_existing: on(waiting.include_existing), method }))
}

pub(super) fn launch_selector(mut program: Vec<OsString>) -> Result<Option<TargetSelector>, clap::Error> {
    if program.is_empty() {
        return Ok(None);
    }
    let args = program.split_off(1);
    let program = program.pop().map(PathBuf::from).unwrap_or_default();
    if program.as_os_str().is_empty() {
        return Err(wrong("the program's name is empty"));
    }
    Ok(Some(TargetSelector::Launch { program, args }))
}

fn session_plan(
    target: TargetSelector,
    until_exec: Option<String>,
    breakpoint: Option<BreakpointSpec>,
    at_entry: AtEntry,
) -> Result<SessionPlan, clap::Error> {
    if let Some(name) = &until_exec {
        check_name("--until-exec", name)?;
    }
    Ok(SessionPlan { target, until_exec, breakpoint, at_entry })
}

fn attach_plan(attach: Attach) -> Result<SessionPlan, clap::Error> {
    let target = match (attach.name, attach.pid, wait_selector(attach.waiting)?) {
        (Some(name), _, _) => {
            check_name("attach", &name)?;
            TargetSelector::Name { name }
        }
        (None, Some(pid), _) => TargetSelector::Pid { pid: Pid(pid) },
        (None, None, Some(selector)) => selector,
        (None, None, None) => return Err(wrong("name a process: NAME, --pid PID or --waitfor NAME")),
    };
    session_plan(target, attach.until_exec, None, AtEntry::Stay)
}

fn run_plan(run: Run) -> Result<SessionPlan, clap::Error> {
    let target = launch_selector(run.program)?.ok_or_else(|| wrong("name a program to run"))?;
    let at_entry = if run.stop_at_entry { AtEntry::Stay } else { AtEntry::GoOn };
    session_plan(target, run.until_exec, None, at_entry)
}

fn break_plan(args: Break) -> Result<Plan, clap::Error> {
    check_regex(args.regex.as_deref())?;
    let no_line = |text: &str| wrong(format!("--at: `{text}` is no FILE:LINE"));
    let line = args.at.map(|text| line_place(&text).ok_or_else(|| no_line(&text))).transpose()?;
    let calls = args.syscall.map(|list| calls_place(&list));
    let location = match (args.regex, args.name, args.basename, args.address.map(Where::Address).or(line).or(calls)) {
        (Some(regex), ..) => Where::Regex(regex),
        (_, Some(name), ..) => Where::Name(name),
        (_, _, Some(name), _) => Where::BaseName(name),
        (_, _, _, Some(place)) => place,
        _ => return Err(wrong("say where: --regex, --name, --basename, --at, --address or --syscall")),
    };
    let spec = BreakpointSpec {
        module: args.module.map_or(ModuleFilter::Any, ModuleFilter::Named),
        condition: args.condition,
        action: if args.log { BreakpointAction::Log { count: args.count } } else { BreakpointAction::Stop },
        limit: args.limit.unwrap_or(DEFAULT_LIMIT),
        max_rate: args.max_rate.unwrap_or_default(),
        ..plain_spec(location)
    };
    let target = match (args.pid, args.attach, wait_selector(args.waiting)?, launch_selector(args.program)?) {
        (Some(pid), ..) => TargetSelector::Pid { pid: Pid(pid) },
        (_, Some(name), ..) => TargetSelector::Name { name },
        (_, _, Some(selector), _) | (_, _, _, Some(selector)) => selector,
        _ if args.until_exec.is_some() => return Err(wrong("--until-exec needs a target")),
        _ => return Ok(Plan::RemoteBreak { session: args.session, spec }),
    };
    Ok(Plan::Session(session_plan(target, args.until_exec, Some(spec), AtEntry::GoOn)?))
}

fn control_plan(ctl: Ctl) -> Result<Plan, clap::Error> {
    let line = join_words(&ctl.command);
    match parse_line(&line).map_err(wrong)? {
        Parsed::Engine { command, detail } => Ok(Plan::Control { session: ctl.session, command, detail }),
        Parsed::Local(_) => Err(wrong(format!("`{line}` is a command of the prompt itself, not of a session"))),
        Parsed::Nothing => Err(wrong("the command is empty")),
    }
}

/// The line that words of the shell stand for. The shell has taken the quotes away; a word with blanks among several
/// gets them back, but where it is an expression, of which a quote would be a part.
fn join_words(words: &[String]) -> String {
    let plain = words.join(" ");
    let takes_expression = find_spec(&plain).is_some_and(|spec| spec.group == Group::Data || spec.name == "condition");
    match words {
        [_] => plain,
        _ if takes_expression => plain,
        _ => words.iter().map(|word| quote_word(word)).collect::<Vec<_>>().join(" "),
    }
}

fn quote_word(word: &str) -> String {
    match word {
        word if !word.is_empty() && !word.contains(char::is_whitespace) => word.to_owned(),
        word if !word.contains('\'') => format!("'{word}'"),
        word => word.to_owned(),
    }
}

fn options(common: Common, matches: &ArgMatches) -> Result<Options, clap::Error> {
    let mut deepest = matches;
    while let Some((_, inner)) = deepest.subcommand() {
        deepest = inner;
    }
    let places = |id: &str| deepest.indices_of(id).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let lines = places("ex").into_iter().zip(common.ex.into_iter().map(Scripted::Line));
    let files = places("command_file").into_iter().zip(common.command_file.into_iter().map(Scripted::File));
    let mut scripts: Vec<(usize, Scripted)> = lines.chain(files).collect();
    scripts.sort_by_key(|(place, _)| *place);
    let map = |text: String| match text.split_once('=') {
        Some((from, to)) if !from.is_empty() => Ok((from.to_owned(), to.to_owned())),
        _ => Err(wrong(format!("--source-map: `{text}` is no FROM=TO"))),
    };
    let source_maps = common.source_map.into_iter().map(map).collect::<Result<_, _>>()?;
    Ok(Options {
        source_maps,
        symbols_from: common.symbols_from,
        force: on(common.force),
        debuginfod: on(common.debuginfod),
        allow_calls: on(common.allow_calls),
        vtable_names: common.vtable_names,
        scripts: scripts.into_iter().map(|(_, script)| script).collect(),
        batch: if common.batch { Batch::Leave } else { Batch::Prompt },
        follow: common.follow.map(|follow| match follow {
            Follow::Parent => FollowFork::Parent,
            Follow::Child => FollowFork::Child,
            Follow::Both => FollowFork::Both,
        }),
        pin: common.pin,
        output: if common.json { OutputKind::Json } else { OutputKind::Text },
        colours: common.color,
        log_filter: common.log_filter.or_else(|| std::env::var("RDBG_LOG").ok()),
    })
}
