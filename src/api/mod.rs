//! What front ends and the engine say to each other: plain data, no closures, no locks. The same types, as JSON, are
//! the session socket's wire format (docs/session-protocol.md).

pub mod catching;
mod command;
pub mod displays;
pub mod event;
pub mod frames;
pub mod names;
pub mod rate;
pub mod reply;
pub mod session;
pub mod source;
pub mod stepping;
pub mod syscalls;
pub mod trace;
pub mod watch;

pub use catching::{CatchEvent, CatchSpec};
pub use command::{
    BreakpointAction, BreakpointSpec, Command, FollowFork, FrameMove, Leave, ModuleFilter, RegisterSet, SignalPolicy,
    StepKind, TargetSelector, Toggle, TypeDetail, VariableSet, Where,
};
pub use displays::{DisplayChange, DisplayRow};
pub use event::{CaughtAt, Event, FrameExit, PauseOver, ReturnedValue, StopReason};
pub use frames::{Caller, FrameDetail};
pub use names::{CacheRequest, NameSourceRow, NameSourcesRow, NamesQuestion, NamesRequest};
pub use rate::MaxRate;
pub use reply::{
    ApiError, Argument, BreakpointRow, ErrorKind, FrameRow, FunctionCall, HowFound, InferiorRow, InstructionRow,
    LocationRow, ModuleRow, Place, ProcessRow, RegisterRow, RegisterValue, Reply, SignalRow, Stack, SymbolRow,
    ThreadRef, ThreadRow, VariableRow, LISTED_LOCATIONS,
};
pub use session::{ClientId, Outcome, Request, Session, Subscription};
pub use source::{SourceLine, SourceQuery, SourceText};
pub use stepping::{LineStepKind, SkipChange, SkipRule};
pub use syscalls::{CaughtCall, SyscallSide, SyscallSpec};
pub use trace::{ProbeList, QuickSpec, TraceFormat, TraceScope, TraceSpec, TraceStream};
pub use watch::{WatchAccess, WatchHit, WatchSpec};
