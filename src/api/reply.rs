//! Replies: what the engine answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::command::{BreakpointAction, SignalPolicy, Toggle, VariableSet, Where};
use super::displays::DisplayRow;
use super::event::StopReason;
use super::frames::FrameDetail;
use super::names::NameSourcesRow;
use super::source::{SourceLine, SourceText};
use super::trace::TraceScope;
use crate::base::{FileAddr, Pid, Signal, Tid, VirtAddr};

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// Done; nothing to show.
    Done,
    /// How many hits the trace under way has had, and how many of its records were lost.
    TraceProgress { hits: u64, lost: u64 },
    /// A trace has begun: its probes, the processes that it can concern, and what its author should know.
    Tracing { probes: u64, scope: TraceScope, warnings: Vec<String> },
    /// Text to show as it is.
    Text { text: String },
    /// What is shown at every stop.
    Displays { rows: Vec<DisplayRow> },
    /// The target goes on.
    Resumed,
    /// A process is attached or launched and its state is this.
    Attached { process: InferiorRow, stopped: Toggle },
    /// The wait for a process has begun; [`super::Event::Caught`] will follow.
    Waiting,
    /// A breakpoint was set.
    Breakpoint { row: BreakpointRow },
    /// All breakpoints.
    Breakpoints { rows: Vec<BreakpointRow> },
    /// All threads of the selected process.
    Threads { rows: Vec<ThreadRow> },
    /// Stacks, one a thread.
    Stacks { stacks: Vec<Stack> },
    /// The selected frame.
    Frame { thread: ThreadRef, frame: FrameRow, source: Option<Box<SourceText>> },
    /// All of a frame.
    FrameDetail { detail: Box<FrameDetail> },
    /// Source lines.
    Source { source: SourceText },
    /// All modules of the selected process.
    Modules { rows: Vec<ModuleRow> },
    /// Where the names of modules come from.
    NameSources { rows: Vec<NameSourcesRow> },
    /// All processes of the session.
    Inferiors { rows: Vec<InferiorRow> },
    /// Signal policies.
    Signals { rows: Vec<SignalRow> },
    /// Registers.
    Registers { rows: Vec<RegisterRow> },
    /// Variables of the selected frame.
    Variables { set: VariableSet, rows: Vec<VariableRow> },
    /// Lines of disassembly.
    Disassembly { rows: Vec<InstructionRow> },
    /// Settings.
    Settings { rows: Vec<(String, String)> },
    /// Functions or symbols.
    Symbols { rows: Vec<SymbolRow>, total: u64 },
    /// Types, by the words that declare them.
    Types { rows: Vec<String>, total: u64 },
    /// Completions.
    Completions { names: Vec<String> },
    /// Processes of the machine.
    Processes { rows: Vec<ProcessRow> },
    /// What was kept of a stop that is over: the thread runs again, for so many milliseconds.
    Kept { thread: ThreadRef, age_ms: u64, reply: Box<Reply> },
    /// The session's state.
    Status { stopped: Option<StopReason>, inferiors: Vec<InferiorRow> },
}

/// A register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisterRow {
    /// Its name, without a prefix.
    pub name: String,
    /// What it holds.
    pub value: RegisterValue,
}

/// What a register holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RegisterValue {
    /// A number of 1 to 8 bytes, and the number as its type shows it: with a sign, flags, or a symbol.
    Word { value: u64, width: u8, shown: String },
    /// A vector: its bytes, the lowest first, and its members in hexadecimal.
    Wide { bytes: Vec<u8>, shown: String },
    /// An 80-bit float: its bytes, the lowest first, and the number.
    Float { bytes: Vec<u8>, shown: String },
    /// Nobody saved it for this frame.
    NotSaved,
}

/// One thread's stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// Whose.
    pub thread: ThreadRef,
    /// Innermost first.
    pub frames: Vec<FrameRow>,
    /// Why the walk ended where it did, unless it reached the bottom of the stack.
    pub truncated: Option<String>,
    /// More frames than were asked for.
    pub more: Toggle,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameRow {
    /// 0 is the innermost.
    pub number: u32,
    /// Its pc; a return address in all but the innermost and interrupted frames.
    pub pc: VirtAddr,
    /// Its canonical frame address.
    pub cfa: Option<VirtAddr>,
    /// Where that is.
    pub place: Place,
    /// How the frame was found.
    pub how: HowFound,
    /// Arguments, where the pc stands at a function's entry.
    pub arguments: Option<Vec<Argument>>,
}

/// How a frame was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HowFound {
    /// The registers of the task.
    Registers,
    /// At a function's entry: the caller is at [rsp].
    Entry,
    /// By .eh_frame or .debug_frame.
    Cfi,
    /// By the chain of frame pointers.
    FramePointer,
    /// Through a signal's frame.
    Signal,
    /// In a PLT stub.
    Plt,
}

/// An address, named.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Place {
    /// In the process.
    pub addr: VirtAddr,
    /// In the file, where a module holds it.
    pub file_addr: Option<FileAddr>,
    /// The module's file name.
    pub module: Option<String>,
    /// The demangled function name, or `sub_..`: with parameters, unless the frame's arguments are shown. Of an inlined call
    /// its own function's.
    pub function: Option<String>,
    /// The function whose code this is, where `function` was inlined into it.
    #[serde(default)]
    pub inlined_into: Option<String>,
    /// Bytes past the start of the function whose code this is.
    pub offset: u64,
    /// The source line, where it is known.
    pub line: Option<SourceLine>,
}

/// A call as it is shown at a function's entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// The function's name without parameters.
    pub function: String,
    /// The module's file name.
    pub module: Option<String>,
    /// In order; `this` first.
    pub arguments: Vec<Argument>,
}

/// One argument, decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Argument {
    /// The parameter's name, or `this`, or a register's where nothing is known.
    pub name: Option<String>,
    /// The value as text: `7`, `"0.0.0.0_8080"`, `EPOLLIN|EPOLLET`, `{sa_family=AF_INET, ..}`, `0x7ffc..`.
    pub text: String,
    /// Whether the type is known; a guess is shown marked.
    pub certain: Toggle,
}

/// How many of its locations `break` answers with: naming thousands takes longer than patching them.
pub const LISTED_LOCATIONS: usize = 10;

/// A breakpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BreakpointRow {
    /// Its number.
    pub id: u32,
    /// Intent.
    pub location: Where,
    /// The module it is limited to.
    pub module: Option<String>,
    /// On or off.
    pub enabled: Toggle,
    /// Deleted at its first stop.
    pub temporary: Toggle,
    /// What a hit does.
    pub action: BreakpointAction,
    /// Its condition.
    pub condition: Option<String>,
    /// How often it was hit with its condition true.
    pub hits: u64,
    /// How many hits will still pass.
    pub ignore: u64,
    /// Where it stands; `break` answers with the first [`LISTED_LOCATIONS`] only.
    pub locations: Vec<LocationRow>,
    /// In how many places it stands. 0: pending.
    pub total: u32,
    /// What the user should know: why it is pending, what was left out.
    pub note: Option<String>,
}

/// One place of a breakpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocationRow {
    /// Its number in the breakpoint, from 1.
    pub number: u32,
    /// The process.
    pub pid: Pid,
    /// Where.
    pub place: Place,
    /// Other names at this address.
    pub aliases: Vec<String>,
    /// Hits here.
    pub hits: u64,
    /// It is disarmed, since it was hit so often in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_hot: Option<u64>,
    /// It is disarmed, since the breakpoint's condition means nothing here: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
}

/// A thread, named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRef {
    /// rdbg's number for it, from 1, never used twice in a session.
    pub number: u32,
    /// The kernel's.
    pub tid: Tid,
    /// The process.
    pub pid: Pid,
    /// Its comm.
    pub name: String,
}

/// A row of `info threads`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadRow {
    /// Which.
    pub thread: ThreadRef,
    /// Selected.
    pub selected: Toggle,
    /// Where it stands; `None` while it runs.
    pub frame: Option<FrameRow>,
    /// `running`, `stopped`, `breakpoint 2`, `SIGSEGV`.
    pub state: String,
}

/// A row of `info sharedlibrary`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleRow {
    /// The file.
    pub path: PathBuf,
    /// On: the file has no name any more, or another one has taken it; what is mapped is the old one.
    pub deleted: Toggle,
    /// The lowest and one past the highest address.
    pub start: VirtAddr,
    /// See `start`.
    pub end: VirtAddr,
    /// Hex.
    pub build_id: Option<String>,
    /// Where the names come from: `.symtab (283,000)`, `.dynsym (3,000)`, or why there are none.
    pub symbols: String,
}

/// A row of `info inferiors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferiorRow {
    /// rdbg's number for it, from 1.
    pub number: u32,
    /// The kernel's.
    pub pid: Pid,
    /// What it executes.
    pub exe: PathBuf,
    /// How many threads.
    pub threads: u32,
    /// Selected.
    pub selected: Toggle,
    /// rdbg started it.
    pub launched: Toggle,
}

/// A row of `info signals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalRow {
    /// Which.
    pub signal: Signal,
    /// All three are set.
    pub policy: SignalPolicy,
}

/// A variable of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Its type, as C and C++ write it.
    pub ty: String,
    /// Its value as text.
    pub value: String,
}

/// A line of disassembly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstructionRow {
    /// Where.
    pub place: Place,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Intel syntax.
    pub text: String,
    /// The pc stands here.
    pub current: Toggle,
}

/// A symbol of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SymbolRow {
    /// As the linker wrote it.
    pub address: FileAddr,
    /// Bytes; 0 where the file does not say.
    pub size: u64,
    /// Demangled.
    pub name: String,
    /// As in the file, where it differs.
    pub mangled: Option<String>,
    /// The module's file name.
    pub module: String,
    /// `symtab`, `dynsym`, `plt`, `eh_frame`.
    pub source: String,
}

/// A process of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// In rdbg's pid namespace.
    pub pid: Pid,
    /// In its own.
    pub namespace_pid: Option<Pid>,
    /// Its comm.
    pub comm: String,
    /// What it executes.
    pub exe: Option<PathBuf>,
    /// The command line, shortened.
    pub command: String,
    /// The container's short id, from the cgroup.
    pub container: Option<String>,
    /// Who traces it.
    pub tracer: Option<Pid>,
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{}", .hint.as_ref().map(|hint| format!("\n  {hint}")).unwrap_or_default())]
pub struct ApiError {
    /// Whose fault.
    pub kind: ErrorKind,
    /// What failed, on what, why.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The command cannot be done as it was given.
    User,
    /// The target went away or refused.
    Target,
    /// A fault of rdbg's.
    Internal,
}

impl ApiError {
    /// The user's: a command that cannot be done as given.
    pub fn user(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::User, message: message.into(), hint: None }
    }

    /// The target's.
    pub fn target(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Target, message: message.into(), hint: None }
    }

    /// rdbg's own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Internal, message: message.into(), hint: None }
    }

    /// With what to do next.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
