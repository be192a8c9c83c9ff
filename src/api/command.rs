//! Commands: what a front end asks of the engine.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::catching::CatchSpec;
use super::displays::DisplayChange;
use super::rate::MaxRate;
use super::source::SourceQuery;
use super::stepping::{LineStepKind, SkipChange};
use super::syscalls::SyscallSpec;
use super::trace::{ProbeList, TraceSpec};
use super::watch::WatchSpec;
use crate::base::{Pid, Signal};

/// One request. Every command is answered by exactly one [`super::Reply`] or [`super::ApiError`]; `Continue` and the
/// steps are answered "resumed" at once, and the stop comes as an [`super::Event`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Attach to a running process, or start or await one.
    ///
    /// `hold` decides whether a process that already runs is stopped.
    Target { selector: TargetSelector, until_exec: Option<String>, hold: Toggle },
    /// Start the program of the last `Target::Launch` again, with other arguments if any are given.
    Run { args: Option<Vec<OsString>> },
    /// Set a breakpoint.
    Break { spec: BreakpointSpec },
    /// Delete these breakpoints; all of them when the list is empty.
    Delete { ids: Vec<u32> },
    /// Enable or disable these breakpoints; all of them when the list is empty.
    Enable { ids: Vec<u32>, state: Toggle },
    /// Let the next `count` hits pass.
    Ignore { id: u32, count: u64 },
    /// Replace a breakpoint's condition; `None` removes it.
    Condition { id: u32, condition: Option<String> },
    /// Begin a trace script; the answer says which processes it can concern.
    Trace { spec: Box<TraceSpec> },
    /// Which probes there are.
    TraceProbes {
        /// Of which they are told.
        of: ProbeList,
        /// Whether each is followed by the fields of its `args`.
        fields: Toggle,
    },
    /// How far the trace has come.
    TraceProgress,
    /// End the trace: its END runs and its maps are printed.
    TraceEnd,
    /// Let the target go on.
    Continue,
    /// Execute `count` instructions of the selected thread.
    StepInstruction { kind: StepKind, count: u32 },
    /// Execute `count` source lines of the selected thread.
    Step { kind: LineStepKind, count: u32 },
    /// Run to a place, or until the selected frame has returned.
    Advance { place: String },
    /// What `step` does not enter.
    Skip { change: SkipChange },
    /// Run until the selected frame has returned.
    Finish,
    /// Let the target go on and give the selected thread a signal; `None` takes the one away that it stopped with.
    Signal { signal: Option<Signal> },
    /// Give the selected thread a signal when it goes on; `None` takes it back.
    QueueSignal { signal: Option<Signal> },
    /// Stop the target.
    Interrupt,
    /// The stack of the selected thread, or of all.
    Backtrace { limit: Option<u32>, all_threads: Toggle },
    /// Select a frame, and describe it.
    Frame { select: FrameMove },
    /// Tell all of the selected frame, or of another.
    DescribeFrame { number: Option<u32> },
    /// Select a thread by its number, or describe the selected one.
    Thread { number: Option<u32> },
    /// Select a process by its number.
    Inferior { number: u32 },
    /// Source lines.
    Source { query: SourceQuery },
    /// `info breakpoints`.
    ListBreakpoints,
    /// `info threads`.
    ListThreads,
    /// `info sharedlibrary`.
    ListModules,
    /// `info symbols-source`.
    ListNameSources,
    /// `info inferiors`.
    ListInferiors,
    /// `info signals`.
    ListSignals,
    /// The registers of the selected thread.
    Registers { set: RegisterSet },
    /// `info locals`, `info args`: of the selected frame.
    Variables { set: VariableSet },
    /// `whatis`, `ptype`: the type of an expression, or of a type's name.
    TypeOf { expression: String, detail: TypeDetail },
    /// Evaluate and format an expression; the format is gdb's letter.
    Print { expression: String, format: Option<char> },
    /// What is shown at every stop.
    Displays { change: DisplayChange },
    /// `printf "FORMAT", EXPR, ..`, whole.
    PrintFormatted { text: String },
    /// `set EXPR = EXPR`.
    Assign { assignment: String },
    /// gdb's `x/FMT EXPR`; `spec` is FMT without the slash, e.g. `4xg`.
    Examine { spec: String, expression: Option<String> },
    /// Disassemble at an expression, or around the pc.
    Disassemble { expression: Option<String>, count: u32 },
    /// `handle SIGNAL ..`: `None` leaves a policy as it is.
    Handle { signals: Vec<Signal>, policy: SignalPolicy },
    /// `set NAME VALUE`.
    Set { name: String, value: String },
    /// `show NAME`.
    Show { name: Option<String> },
    /// Functions of the loaded modules that match a regex (`info functions`).
    Functions { regex: String, limit: u32 },
    /// Global and static data of the loaded modules that matches a regex (`info variables`).
    DataSymbols { regex: String, limit: u32 },
    /// Types of the loaded modules that match a regex (`info types`).
    TypeNames { regex: String, limit: u32 },
    /// What address or symbol an expression is (`info symbol`).
    InfoSymbol { expression: String },
    /// Names that begin with `prefix`.
    Complete { prefix: String, limit: u32 },
    /// Processes that could be attached to.
    Processes { matching: Option<String> },
    /// Where the session stands: processes, stopped or not.
    Status,
    /// What protects the target should rdbg be killed.
    Safety,
    /// Leave one or all processes running and untraced.
    Detach,
    /// Kill the selected process.
    Kill,
    /// End the session.
    Quit { leave: Leave },
}

/// How much of a type is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeDetail {
    /// Its name.
    Name,
    /// Its members.
    Definition,
    /// Its members without functions.
    Data,
    /// Its members with offsets, sizes and holes.
    Layout,
}

/// Which variables of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableSet {
    /// Its parameters.
    Arguments,
    /// What its function and the blocks around the pc declare.
    Locals,
}

/// Which process to debug.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum TargetSelector {
    /// A running process by id.
    Pid { pid: Pid },
    /// A running process by comm, basename or path of its executable.
    Name { name: String },
    /// The next process that executes NAME.
    WaitFor { name: String, include_existing: Toggle, method: Option<String> },
    /// Every process that rdbg may trace and that the trace under way can be for, and those to come.
    Everything,
    /// Start a program; it is held at its first instruction.
    Launch { program: PathBuf, args: Vec<OsString> },
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toggle {
    /// On, enabled, yes.
    On,
    /// Off, disabled, no.
    Off,
}

/// A breakpoint as the user means it; it survives restarts, execs and modules that come and go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BreakpointSpec {
    /// Where.
    pub location: Where,
    /// Only in modules of this name.
    pub module: ModuleFilter,
    /// An expression; the hit counts only where it is true.
    pub condition: Option<String>,
    /// Deleted at its first stop.
    pub temporary: Toggle,
    /// What a hit does.
    pub action: BreakpointAction,
    /// Let this many hits pass first.
    pub ignore: u64,
    /// The most functions that a pattern may match.
    pub limit: u32,
    /// How often a place may be hit before it is disarmed.
    #[serde(default)]
    pub max_rate: MaxRate,
}

/// Places by intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", content = "at", rename_all = "snake_case")]
pub enum Where {
    /// A function's name: plain, qualified, with parameters, or mangled.
    Name(String),
    /// A regex over demangled names with their parameters.
    Regex(String),
    /// The last component of a qualified name.
    BaseName(String),
    /// An expression that gives an address.
    Address(String),
    /// A line of a source file, by the last parts of its path; `None`: the selected frame's file.
    Line { file: Option<String>, line: u32 },
    /// A place by a debug register of the CPU: no byte of the program is changed.
    Hardware(Box<Where>),
    /// Where exceptions are thrown or caught, or panics begin.
    Catch(CatchSpec),
    /// No place in the code but bytes: their accesses, by debug registers of the CPU.
    Watch(WatchSpec),
    /// No place in the code but system calls.
    Syscalls(SyscallSpec),
}

impl Where {
    /// Whether debug registers wait there.
    pub fn has_registers(&self) -> bool {
        matches!(self, Where::Hardware(_) | Where::Watch(_))
    }
}

/// Which modules a breakpoint looks in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleFilter {
    /// All.
    Any,
    /// The ones with this file name, or whose file name begins with it followed by `.so` or `-`.
    Named(String),
}

/// What happens at a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum BreakpointAction {
    /// Stop and tell.
    Stop,
    /// Report the hit and go on; after `count` hits the breakpoint is disabled.
    Log { count: Option<u64> },
    /// Count and go on.
    Count,
    /// Report to the trace under way, which decides whether it stops.
    Trace,
}

/// Whether a step enters calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// stepi.
    Into,
    /// nexti.
    Over,
}

/// Which frame to select.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "move", content = "n", rename_all = "snake_case")]
pub enum FrameMove {
    /// The one that is selected.
    Current,
    /// By number; 0 is the innermost.
    To(u32),
    /// Towards the caller.
    Up(u32),
    /// Towards the innermost.
    Down(u32),
    /// The innermost one of a function, by its name with or without its scope.
    Function(String),
}

/// Which registers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterSet {
    /// The general ones.
    General,
    /// Those, x87, vector registers in each of their widths, and control words.
    All,
    /// The vector registers in their full width, and mxcsr.
    Vectors,
    /// The x87 registers and control words.
    Floats,
    /// These.
    Named(Vec<String>),
}

/// What is done with a signal; `None` changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SignalPolicy {
    /// Stop when it arrives.
    pub stop: Option<Toggle>,
    /// Say so when it arrives.
    pub print: Option<Toggle>,
    /// Deliver it to the program.
    pub pass: Option<Toggle>,
}

/// How the session leaves what it debugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// Detach from what was attached, kill what was launched.
    Default,
    /// Detach from everything.
    DetachAll,
}

/// `set follow-fork-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowFork {
    /// Stay with the parent; children are let go clean.
    Parent,
    /// Go with the child; the parent is let go.
    Child,
    /// Keep both.
    Both,
}
