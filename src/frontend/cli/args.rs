//! The arguments as they are typed.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::api::CacheRequest;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

/// A native debugger and breakpoint tracer for Linux x86-64.
#[derive(Debug, Parser)]
#[command(name = "rdbg", version, about, max_term_width = 110)]
pub struct Cli {
    /// What applies everywhere.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that every subcommand takes.
#[derive(Debug, Args)]
pub struct Common {
    /// Do a command once the target is held (repeatable)
    #[arg(long = "ex", value_name = "CMD", global = true)]
    pub ex: Vec<String>,
    /// Do the commands of a file once the target is held (repeatable)
    #[arg(short = 'x', value_name = "FILE", global = true)]
    pub command_file: Vec<PathBuf>,
    /// No prompt: leave after the last --ex; what was attached is detached, what was launched is ended
    #[arg(long, global = true)]
    pub batch: bool,
    /// Which process to stay with at a fork
    #[arg(long, value_name = "MODE", global = true)]
    pub follow: Option<Follow>,
    /// Keep rdbg's tracer thread and the target on one CPU while it is debugged: on an idle machine hits cost an eighth
    #[arg(long, value_name = "CPU", num_args = 0..=1, default_missing_value = "on", require_equals = true, global = true)]
    pub pin: Option<String>,
    /// Source files whose path begins with FROM are looked for under TO (repeatable)
    #[arg(long, value_name = "FROM=TO", global = true)]
    pub source_map: Vec<String>,
    /// Take names and debug information from FILE: an unstripped twin or .debug file of the same build-id, a .dwp, or a
    /// directory of .dwo files (repeatable)
    #[arg(long, value_name = "FILE", global = true)]
    pub symbols_from: Vec<PathBuf>,
    /// Use the file of --symbols-from though its build-id is another
    #[arg(long, global = true)]
    pub force: bool,
    /// Ask the servers of DEBUGINFOD_URLS for debug information that is not here
    #[arg(long, global = true)]
    pub debuginfod: bool,
    /// Let expressions call functions of the program (`print size(x)`), which changes it
    #[arg(long, global = true)]
    pub allow_calls: bool,
    /// A table of which method stands in which slot of a class, for programs that are stripped
    #[arg(long, value_name = "FILE", global = true)]
    pub vtable_names: Option<PathBuf>,
    /// Print answers and events as JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Whether names have colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: Colours,
    /// What rdbg logs about itself on stderr, e.g. debug or rdbg::engine=trace (else RDBG_LOG)
    #[arg(long, value_name = "FILTER", global = true)]
    pub log_filter: Option<String>,
}

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colours {
    /// Where standard output is a terminal
    Auto,
    /// Also into a pipe or file
    Always,
    /// Nowhere
    Never,
}

/// `--follow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Follow {
    /// Stay with the parent
    Parent,
    /// Go with the child
    Child,
    /// Keep both
    Both,
}

/// `--wait-method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitMethod {
    /// The exec is held by the kernel
    Fanotify,
    /// The file's opening is noticed
    Inotify,
    /// /proc is looked at
    Scan,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Attach to a running process, or to the next one that executes a program
    Attach(Attach),
    /// Start a program under rdbg
    Run(Run),
    /// Stop at, or log, functions
    Break(Box<Break>),
    /// Report calls of functions and system calls, or run a script in bpftrace's language
    Trace(Box<Trace>),
    /// What is known of a file's functions, or where the names of a process's modules come from
    Symbols(Symbols),
    /// Write what can be known of a file's names to a pack, so that it need not be found out again
    Index(Index),
    /// The packs that are kept
    Cache(Cache),
    /// Send a command to a live session
    Ctl(Ctl),
    /// The processes that could be attached to
    Ps(Ps),
}

/// How to wait for a process.
#[derive(Debug, Args)]
pub struct Waiting {
    /// Hold the next process that executes NAME at its first instruction
    #[arg(long, value_name = "NAME")]
    pub waitfor: Option<String>,
    /// Take a process that already runs, too
    #[arg(long)]
    pub include_existing: bool,
    /// Wait in this way only
    #[arg(long, value_name = "METHOD", hide = true)]
    pub wait_method: Option<WaitMethod>,
}

/// `rdbg attach`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").required(true).args(["name", "pid", "waitfor"]))]
pub struct Attach {
    /// A running process by comm, basename or path of its executable
    pub name: Option<String>,
    /// A running process by id
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
    /// Or one to come.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Follow forks and execs until a process executes NAME, and stop there
    #[arg(long, value_name = "NAME")]
    pub until_exec: Option<String>,
}

/// `rdbg run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Stay at the first instruction
    #[arg(long)]
    pub stop_at_entry: bool,
    /// Follow forks and execs until a process executes NAME, and stop there
    #[arg(long, value_name = "NAME")]
    pub until_exec: Option<String>,
    /// The program and its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub program: Vec<OsString>,
}

/// `rdbg break`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true).args(["regex", "name", "basename", "at", "address", "syscall"]))]
#[command(group = ArgGroup::new("target").args(["pid", "attach", "waitfor", "program", "session"]))]
pub struct Break {
    /// Functions whose demangled name, with parameters, matches
    #[arg(long, value_name = "RE", allow_hyphen_values = true)]
    pub regex: Option<String>,
    /// A function: plain, qualified, with parameters, or mangled
    #[arg(long, value_name = "FUNCTION")]
    pub name: Option<String>,
    /// Functions whose last name component is this
    #[arg(long, value_name = "FUNCTION")]
    pub basename: Option<String>,
    /// A line of a source file; the last parts of its path are enough
    #[arg(long, value_name = "FILE:LINE")]
    pub at: Option<String>,
    /// An expression that gives an address
    #[arg(long, value_name = "EXPR")]
    pub address: Option<String>,
    /// System calls: names, numbers and groups (group:network), with commas between them
    #[arg(long, value_name = "CALLS")]
    pub syscall: Option<String>,
    /// Only in this module, e.g. libc.so.6
    #[arg(long, value_name = "LIB")]
    pub module: Option<String>,
    /// Print each hit and go on
    #[arg(long)]
    pub log: bool,
    /// End after so many hits
    #[arg(long, value_name = "N", requires = "log", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Disarm a place that is hit more often than so many times a second, e.g. 500/s; `off`: never
    #[arg(long, value_name = "N/s", requires = "log")]
    pub max_rate: Option<crate::api::MaxRate>,
    /// How many functions a pattern may match
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// A hit counts only where this is true
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub condition: Option<String>,
    /// Target: a running process by id
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
    /// Target: a running process by name
    #[arg(long, value_name = "NAME")]
    pub attach: Option<String>,
    /// Target: a process to come.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Follow forks and execs until a process executes NAME
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    pub until_exec: Option<String>,
    /// No target: which live session, by name or pid
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// Target: a program to start
    #[arg(value_name = "PROGRAM", last = true)]
    pub program: Vec<OsString>,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceOutput {
    /// As bpftrace prints it
    Text,
    /// One JSON object a line
    Json,
    /// A timeline for ui.perfetto.dev (with --fn or --syscall; implies --ret)
    Perfetto,
    /// Stacks, a line each, with their number of calls (implies --stack)
    Folded,
    /// A flame graph of the stacks, SVG (implies --stack)
    Flame,
}

/// `--summary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Summary {
    /// File descriptors with their addresses, listeners, copies and options
    Sockets,
}

/// `rdbg trace` without a script.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("quick").args(["functions", "syscalls", "summary"]).multiple(true))]
pub struct Quick {
    /// No script: report calls of functions whose demangled name matches (repeatable)
    #[arg(long = "fn", value_name = "RE", allow_hyphen_values = true)]
    pub functions: Vec<String>,
    /// No script: report these system calls; `all` for every one
    #[arg(long = "syscall", value_name = "NAMES", value_delimiter = ',')]
    pub syscalls: Vec<String>,
    /// No script: no lines, but a table at the end
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["format", "functions", "syscalls"])]
    pub summary: Option<Summary>,
    /// Report a call when it has returned, with its value and how long it took
    #[arg(long = "ret", requires = "quick")]
    pub returns: bool,
    /// Report the stack, at most N frames of it
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "16", require_equals = true, requires = "quick",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub stack: Option<u32>,
    /// Only calls for which this is true, e.g. 'arg0 == 7'; of retval: when it has returned
    #[arg(long = "if", value_name = "EXPR", allow_hyphen_values = true, requires = "quick")]
    pub condition: Option<String>,
    /// Stop at the call for which this is true, and open the prompt there
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, requires = "quick")]
    pub stop_if: Option<String>,
    /// Report at most N calls in a second; the others are counted
    #[arg(long, value_name = "N", requires = "quick", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_rate: Option<u64>,
    /// End after N reports
    #[arg(long, value_name = "N", requires = "quick", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Only functions of this module, e.g. libc.so.6
    #[arg(long, value_name = "LIB", requires = "functions")]
    pub module: Option<String>,
    /// How many functions a regex may match
    #[arg(long, value_name = "N", requires = "functions", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// `rdbg trace`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").args(["pid", "command", "attach", "waitfor", "program"]))]
pub struct Trace {
    /// No script.
    #[command(flatten)]
    pub quick: Quick,
    /// End after so long: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Run this program text
    #[arg(short = 'e', value_name = "PROGRAM", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// List the probes that match a pattern, or those of a script, and end
    #[arg(short = 'l')]
    pub list: bool,
    /// Tell which probes there are here and what they rest on, and end
    #[arg(long)]
    pub info: bool,
    /// How what the script prints is written
    #[arg(short = 'f', long = "format", value_name = "FORMAT", default_value = "text")]
    pub format: TraceOutput,
    /// Write what the script prints there
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Tell nothing of the run
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// With -l: each probe with the fields of its args
    #[arg(short = 'v', action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Taken as bpftrace takes it: lines are handed on as they come, whole
    #[arg(short = 'B', value_name = "MODE", value_parser = ["line", "full", "none"], hide = true)]
    pub buffering: Option<String>,
    /// Taken as bpftrace takes it: what fails at a hit is told anyway
    #[arg(short = 'k', action = clap::ArgAction::Count, hide = true)]
    pub helper_errors: u8,
    /// Allow system() and signal()
    #[arg(long = "unsafe")]
    pub allow_unsafe: bool,
    /// Target: a running process by id
    #[arg(short = 'p', long, value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
    /// Target: a command to start
    #[arg(short = 'c', value_name = "COMMAND")]
    pub command: Option<String>,
    /// Target: a running process by name
    #[arg(long, value_name = "NAME")]
    pub attach: Option<String>,
    /// Target: a process to come.
    #[command(flatten)]
    pub waiting: Waiting,
    /// The script (- for standard input) and its parameters; with -e the parameters; with --fn and --syscall a process, by
    /// id or name; with -l a script or a pattern
    #[arg(value_name = "SCRIPT")]
    pub args: Vec<String>,
    /// Target: a program to start
    #[arg(value_name = "PROGRAM", last = true)]
    pub program: Vec<OsString>,
}

/// `rdbg symbols`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["file", "pid"]))]
pub struct Symbols {
    /// An ELF file
    pub file: Option<PathBuf>,
    /// Where the names of each module of a process come from; it is not attached to
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..), conflicts_with_all = ["regex", "limit"])]
    pub pid: Option<i32>,
    /// Where the names come from, how many, and what is missing and why, instead of the names
    #[arg(long, conflicts_with_all = ["regex", "limit"])]
    pub sources: bool,
    /// Only names that match
    #[arg(long, value_name = "RE", allow_hyphen_values = true)]
    pub regex: Option<String>,
    /// How many to list; 0 lists all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub limit: u32,
}

/// `rdbg index`.
#[derive(Debug, Args)]
pub struct Index {
    /// An ELF file; an unstripped one, with -o, for its stripped copies
    pub file: PathBuf,
    /// The pack to write, for --symbols-from; without it the cache gets a pack of a stripped file, or an index of a large one
    #[arg(short = 'o', value_name = "PACK")]
    pub output: Option<PathBuf>,
}

/// `rdbg cache`.
#[derive(Debug, Args)]
pub struct Cache {
    /// Remove every pack and index
    #[arg(long)]
    pub clear: bool,
    /// Keep no more than so many MB, from now on
    #[arg(long, value_name = "MB", conflicts_with = "clear")]
    pub limit: Option<u32>,
}

impl Cache {
    /// What is to be done.
    pub fn request(&self) -> CacheRequest {
        match self.limit {
            Some(megabytes) => CacheRequest::Limit(u64::from(megabytes) * 1_000_000),
            None if self.clear => CacheRequest::Clear,
            None => CacheRequest::Show,
        }
    }
}

/// `rdbg ctl`.
#[derive(Debug, Args)]
pub struct Ctl {
    /// Which live session, by name or pid
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// The command, as at the prompt
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `rdbg ps`.
#[derive(Debug, Args)]
pub struct Ps {
    /// Only processes that match
    #[arg(long = "match", value_name = "RE")]
    pub matching: Option<String>,
}
