//! Calls that are reported without a script: of functions and of the kernel, with arguments as text. The tracer thread
//! makes a [`Call`]; a [`Writer`] on the printer's thread names its stack and writes it.

mod error_number;
mod flame;
mod folded;
mod json;
mod paint;
mod sockets;
mod text;
mod timeline;

use std::sync::Arc;

pub use paint::Paint;
pub use sockets::CALLS as SOCKET_CALLS;

use super::names::Names;
use super::printer::Stream;
use super::record::FormatTime;
use super::value::{StackValue, Text};
use crate::base::{Pid, Tid};

/// One call of a traced function, or one system call.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// Its place among the calls that were reported, from 1, in the order of the reports. One that is lost has one too.
    pub number: u64,
    /// When it began, nanoseconds since 1970.
    pub time_ns: u64,
    /// The process.
    pub pid: Pid,
    /// The thread.
    pub tid: Tid,
    /// The thread's name then.
    pub thread: Text,
    /// What was called.
    pub callee: Callee,
    /// In order.
    pub arguments: Vec<CallArgument>,
    /// What became of it.
    pub outcome: Outcome,
    /// The stack at its entry, the caller first; none if it was not asked for.
    pub stack: Option<Arc<StackValue>>,
}

/// What was called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Callee {
    /// A function of the program or of a library.
    Function {
        /// Demangled, without parameters.
        name: String,
        /// The module's file name.
        module: Option<String>,
    },
    /// The kernel.
    Kernel {
        /// The system call, by the kernel's name.
        name: String,
    },
}

/// An argument, decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallArgument {
    /// The parameter's name, where it is known.
    pub name: Option<String>,
    /// Its value.
    pub text: String,
    /// Whether the type is known.
    pub certainty: Certainty,
}

/// Whether what is shown is known to be so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Certainty {
    /// It is.
    Known,
    /// It is a guess, and marked as one.
    Guessed,
}

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its entry is reported; nobody waits for its return.
    Entered,
    /// It has returned.
    Returned {
        /// rax.
        value: u64,
        /// Nanoseconds from its entry.
        duration: u64,
    },
    /// It was left by an exception, by longjmp, or by a function that it ended in (which returned for it).
    Left {
        /// Nanoseconds from its entry until that was seen.
        duration: u64,
    },
    /// Its thread or the trace ended before it returned.
    Unfinished,
}

/// How many calls there were, and what became of them: `hits = reported + held_back + open`, and of the reported ones
/// `lost` were not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CallCounts {
    /// Calls that the condition let through.
    pub hits: u64,
    /// Given to the writer, or lost on the way.
    pub reported: u64,
    /// Not reported, as there were more than the greatest rate in that second.
    pub held_back: u64,
    /// Not returned when the trace ended at its count.
    pub open: u64,
    /// Dropped since the writer could not keep up.
    pub lost: u64,
}

/// How calls are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Not at all: a script runs.
    None,
    /// A line for each, for people.
    Lines(Paint),
    /// An object for each, one a line (docs/trace-format.md).
    Json,
    /// A timeline for ui.perfetto.dev.
    Timeline,
    /// A line for each stack, with its number of calls.
    Folded,
    /// The stacks as a picture.
    Flame,
    /// A table of the sockets.
    Sockets,
}

/// Writes calls.
pub enum Writer {
    /// See [`Layout::None`].
    None,
    /// See [`Layout::Lines`].
    Lines(Paint),
    /// See [`Layout::Json`].
    Json,
    /// See [`Layout::Timeline`].
    Timeline(timeline::Timeline),
    /// See [`Layout::Folded`].
    Folded(folded::Folded),
    /// See [`Layout::Flame`].
    Flame(folded::Folded),
    /// See [`Layout::Sockets`].
    Sockets(sockets::Sockets),
}

impl Call {
    /// How much memory it holds, bytes.
    pub(super) fn weight(&self) -> usize {
        let arguments = self.arguments.iter();
        let texts: usize = arguments.map(|one| one.text.len() + one.name.as_ref().map_or(0, String::len)).sum();
        let stack = self.stack.as_ref().map_or(0, |stack| stack.weight());
        std::mem::size_of::<Call>()
            + self.callee.name().len()
            + self.arguments.len() * std::mem::size_of::<CallArgument>()
            + texts
            + stack
    }
}

impl Callee {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Callee::Function { name, .. } | Callee::Kernel { name } => name,
        }
    }
}

impl Writer {
    /// One that has written nothing yet.
    pub fn new(layout: Layout) -> Writer {
        match layout {
            Layout::None => Writer::None,
            Layout::Lines(paint) => Writer::Lines(paint),
            Layout::Json => Writer::Json,
            Layout::Timeline => Writer::Timeline(Default::default()),
            Layout::Folded => Writer::Folded(Default::default()),
            Layout::Flame => Writer::Flame(Default::default()),
            Layout::Sockets => Writer::Sockets(Default::default()),
        }
    }

    /// Whether it writes no calls: a script runs.
    pub fn is_for_scripts(&self) -> bool {
        matches!(self, Writer::None)
    }

    /// What stands before the first call.
    pub fn begin(&mut self, time_ns: u64) -> String {
        match self {
            Writer::Json => json::begin(time_ns),
            Writer::Timeline(timeline) => timeline.begin(time_ns),
            _ => String::new(),
        }
    }

    /// One call.
    pub fn call(&mut self, call: &Call, names: &mut Names, format_time: &FormatTime) -> String {
        match self {
            Writer::None => {}
            Writer::Lines(paint) => return text::call(call, names, format_time, *paint),
            Writer::Json => return json::call(call, names),
            Writer::Timeline(timeline) => return timeline.call(call, names),
            Writer::Folded(folded) | Writer::Flame(folded) => folded.add(call, names),
            Writer::Sockets(sockets) => sockets.add(call),
        }
        String::new()
    }

    /// What stands behind the last one, and what is told of losses where the output does not say it.
    pub fn end(&mut self, counts: &CallCounts) -> [(Stream, String); 2] {
        let last = match self {
            Writer::None | Writer::Lines(_) => String::new(),
            Writer::Json => json::end(counts),
            Writer::Timeline(timeline) => timeline.end(counts),
            Writer::Folded(folded) => folded.lines(),
            Writer::Flame(folded) => flame::draw(folded),
            Writer::Sockets(sockets) => sockets.table(),
        };
        let told = match self {
            Writer::None | Writer::Json => None,
            _ => text::account(counts),
        };
        [(Stream::Out, last), (Stream::Err, told.unwrap_or_default())]
    }

    /// So many were lost here; `None` where that is told as of a script's records.
    pub fn lost(&self, count: u64) -> Option<(Stream, String)> {
        match self {
            Writer::None => None,
            Writer::Json => Some((Stream::Out, json::lost(count))),
            _ => Some((Stream::Err, format!("({count} calls not shown: the output could not keep up)\n"))),
        }
    }

    /// So many were held back here.
    pub fn held_back(&self, count: u64) -> (Stream, String) {
        match self {
            Writer::Json => (Stream::Out, json::held_back(count)),
            _ => (Stream::Err, format!("({count} calls not shown: more than --max-rate)\n")),
        }
    }
}
