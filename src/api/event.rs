//! Events: what happens without being asked for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::displays::DisplayRow;
use super::reply::{FrameRow, FunctionCall, InferiorRow, Place, ThreadRef};
use super::session::ClientId;
use super::source::SourceText;
use super::syscalls::CaughtCall;
use super::trace::TraceStream;
use super::watch::WatchHit;
use crate::base::{Pid, Signal};

/// Something that happened to the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// How a wait for a process is done, and why not better.
    WaitMethod { chosen: String, rejected: Vec<(String, String)>, note: Option<String> },
    /// The awaited process is held.
    Caught { process: InferiorRow, at: CaughtAt },
    /// The target stopped; `epoch` counts stops.
    Stopped {
        epoch: u64,
        reason: StopReason,
        thread: ThreadRef,
        frame: Option<FrameRow>,
        call: Option<FunctionCall>,
        source: Option<Box<SourceText>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        displays: Vec<DisplayRow>,
    },
    /// A breakpoint in log mode was hit. `client` set the breakpoint; `time_ns` is CLOCK_REALTIME; `returned` is what a
    /// system call returned.
    Hit {
        breakpoint: u32,
        client: ClientId,
        count: u64,
        time_ns: u64,
        thread: ThreadRef,
        call: FunctionCall,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        returned: Option<String>,
    },
    /// Hits that were counted but not shown since the queue was full.
    Lost { count: u64 },
    /// A breakpoint in log mode has reached its count; it is disabled.
    LogDone { breakpoint: u32, client: ClientId, hits: u64 },
    /// A place of a breakpoint was hit more often than it may: it is disarmed. Without a place the whole breakpoint is
    /// disabled. Rates are in hits a second.
    TooHot { breakpoint: u32, location: Option<u32>, name: Option<String>, per_second: u64, limit: u64 },
    /// A pending breakpoint found places.
    Resolved { breakpoint: u32, locations: u32, module: String },
    /// A signal arrived that is printed but does not stop.
    SignalNoted { thread: ThreadRef, signal: Signal },
    /// A process of the session executed another program.
    Executed { pid: Pid, exe: PathBuf },
    /// A process forked; `followed` tells whether the child stays in the session.
    Forked { parent: Pid, child: Pid, followed: super::command::Toggle },
    /// A process ended.
    Exited { pid: Pid, status: i32, signal: Option<Signal>, launched: super::command::Toggle },
    /// A process was let go.
    Detached { pid: Pid },
    /// The wait for a process was given up.
    WaitEnded { reason: String },
    /// A pause budget is over.
    PauseOver(Box<PauseOver>),
    /// Something the user should know.
    Notice { text: String },
    /// What a trace script printed.
    TraceOutput { stream: TraceStream, text: String },
    /// The trace has ended, and all that it printed has been handed on.
    TraceEnded { status: i32 },
    /// The session ends; no event follows.
    Ended,
}

/// Why the target stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum StopReason {
    /// One or more breakpoints.
    Breakpoint { ids: Vec<u32> },
    /// One or more watchpoints.
    Watch { hits: Vec<WatchHit> },
    /// One or more breakpoints on system calls; none: a trace was to stop at the call. The thread stands at its entry, or its
    /// return.
    Syscall { hits: Vec<CaughtCall> },
    /// A step ended.
    Step,
    /// A `finish` came back; `value` is rax.
    Finished {
        value: u64,
        #[serde(default)]
        returned: ReturnedValue,
    },
    /// The frame that a `finish` or `nexti` waited for was left without a return.
    FrameLeft { how: FrameExit },
    /// The user asked.
    Interrupt,
    /// A signal whose policy is to stop.
    Signal { signal: Signal },
    /// A program was executed; held at its first instruction.
    Exec { exe: PathBuf },
    /// A trace script called `stop()` at a probe.
    Probe { name: String },
    /// Launched or attached.
    Start,
}

/// What a function gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnedValue {
    /// Its type is not known: rax is all that there is to say.
    #[default]
    Untyped,
    /// Nothing.
    Void,
    /// A value of its type.
    Typed {
        /// As it is shown.
        text: String,
        /// Which value of the history it is: `$1`.
        number: u32,
    },
}

/// A target that stood for longer than `set pause-budget` allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseOver {
    /// The selected thread, if it stood, else the first that did.
    pub thread: ThreadRef,
    /// How long it has stood, milliseconds.
    pub stood_ms: u64,
    /// How long it may, milliseconds.
    pub budget_ms: u64,
    /// The signal that would be its end if it went on, so that it stays; `None`: it goes on.
    pub stays: Option<Signal>,
    /// The breakpoints that had stopped it: disabled, or the next hit would make it stand for as long again.
    pub disabled: Vec<u32>,
}

/// How a frame was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameExit {
    /// It returned.
    Return,
    /// An exception was thrown through it, or the thread is being cancelled.
    Exception,
    /// By longjmp, or it was noticed only when a frame further out returned.
    Jump,
}

/// How far a process had run when it was caught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "where", rename_all = "snake_case")]
pub enum CaughtAt {
    /// Nothing had run.
    FirstInstruction,
    /// In the dynamic loader, before any constructor of the program.
    Loader { place: Place },
    /// Later than that.
    Later { place: Place },
}
