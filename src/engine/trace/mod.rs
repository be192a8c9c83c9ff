//! Trace scripts on live processes: probes are sites and system call stops, and a hit runs the script's program.
//!
//! **A probe's hit never stops the thread for longer than its program runs**: what it prints goes to the printer's queue.
//! **Nothing of a program runs while the world stands**: a hit that comes then is judged when the thread goes on.

mod arguments;
mod begin;
mod broken;
mod calendar;
mod calls;
mod condition;
mod end;
mod files;
mod filter;
mod hits;
mod list;
mod place;
mod quick;
mod scope;
mod task;
mod timers;
mod usdt;
mod valve;
mod watches;
mod whole_arguments;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use crate::base::{FileAddr, Pid, Regs, Signal, Tid, VirtAddr};
use crate::binary::{Module, UsdtProbe};
use crate::lang::script::point::Side;
use crate::target::task::SpaceId;
use crate::target::AddressSpace;
use crate::trace::call::Call;
use crate::trace::{Machine, SyscallHit};

pub(super) use filter::{Filter, ScanClock};
pub(super) use timers::Tick;
pub(super) use valve::Valve;

/// A trace under way.
pub(super) struct Tracing {
    machine: Machine,
    /// What is traced without a script.
    quick: Option<Box<quick::Quick>>,
    /// The functions of files that are traced.
    files: Vec<TracedFile>,
    /// What each site runs, by the number in its owner.
    sites: Vec<TracedSite>,
    /// Where a site's number is known already, by file and place.
    site_numbers: HashMap<(usize, FileAddr), u32>,
    calls: TracedCalls,
    /// The breakpoints that watch bytes, and the probe of each.
    watches: HashMap<u32, u32>,
    /// Probes of signals: the signal, or any, and the probe.
    signals: Vec<(Option<Signal>, u32)>,
    /// Probes by time: the probe, and whether it samples threads.
    samples: Vec<u32>,
    /// Threads that are being stopped for a sample.
    sampled: HashSet<Tid>,
    /// Return addresses that are sites.
    return_sites: HashSet<(SpaceId, VirtAddr)>,
    threads: HashMap<Tid, TracedThread>,
    semaphores: usdt::Semaphores,
    caches: Caches,
    /// Dropped to end the timers' thread.
    _timers: Option<timers::Timers>,
    /// The trace ends with the last process.
    target: Target,
    child: Option<Pid>,
    hits: u64,
    /// The probe at which the script has called `stop()`, until the thread has been stopped.
    stop: Option<String>,
    told: HashSet<String>,
}

/// Whether the trace has had a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    /// Not yet.
    Awaited,
    /// It has.
    Seen,
}

/// A file with functions that are traced.
struct TracedFile {
    module: Arc<Module>,
    places: Vec<TracedPlace>,
}

/// A place of a file, and the probes on it.
struct TracedPlace {
    at: FileAddr,
    /// As the linker wrote the function's name.
    name: Arc<str>,
    entry: Vec<u32>,
    returns: Vec<u32>,
    /// The program's own probe point there.
    usdt: Option<Arc<UsdtProbe>>,
}

/// What a site runs.
struct TracedSite {
    name: Arc<str>,
    /// The probe and its name, spelled out.
    entry: Vec<(u32, Arc<str>)>,
    returns: Vec<(u32, Arc<str>)>,
    usdt: Option<Arc<UsdtProbe>>,
}

/// The probes on system calls, by number.
#[derive(Default)]
struct TracedCalls {
    entry: HashMap<u64, Vec<u32>>,
    exit: HashMap<u64, Vec<u32>>,
    any_entry: Vec<u32>,
    any_exit: Vec<u32>,
    accepted: Vec<u32>,
    execve: Vec<u32>,
}

/// What is known of a thread.
#[derive(Default)]
struct TracedThread {
    /// Traced calls that have not returned, the outermost first.
    calls: Vec<PendingReturn>,
    /// The system call it is in.
    syscall: Option<(SyscallHit, u64)>,
    /// The same call, where it is to be reported when it has returned.
    quick: Option<Box<Call>>,
    /// Whether a stop has broken that call off.
    broken: Option<broken::Broken>,
}

/// A traced function's call that has not returned.
struct PendingReturn {
    /// The stack pointer when it has returned.
    cfa: VirtAddr,
    called: Called,
    began: u64,
}

/// What was called.
enum Called {
    /// A function with return probes: the number of its site.
    Site(u32),
    /// A function of a trace without a script, its breakpoint, and the registers at its entry.
    Function { call: Box<Call>, id: u32, entry: Box<Regs> },
}

/// What is looked up once and kept.
#[derive(Default)]
struct Caches {
    /// The modules of each space as they are now.
    spaces: RefCell<HashMap<SpaceId, Arc<AddressSpace>>>,
    /// The files that hold the threads' names.
    comms: RefCell<HashMap<Tid, File>>,
    /// How functions' arguments are read that a script names.
    arguments: RefCell<arguments::KnownArguments>,
}

/// How a task came to its hit.
#[derive(Clone)]
enum At<'a> {
    /// At a function's entry or return, with these registers.
    Function { regs: &'a Regs, site: &'a TracedSite, side: Side, duration: u64 },
    /// In a system call.
    Syscall { call: SyscallHit, returned: u64, duration: u64 },
    /// A connection was accepted: the image of a `struct sock`.
    Accepted { image: &'a [u8] },
    /// A signal is delivered.
    Signal(u64),
    /// A sample.
    Sample,
}

impl Caches {
    /// The modules of a space have changed.
    fn forget_space(&self, space: SpaceId) {
        self.spaces.borrow_mut().remove(&space);
        self.arguments.borrow_mut().retain(|(one, _), _| *one != space);
    }
}

impl TracedThread {
    /// The calls without a script that have not returned.
    fn take_open(&mut self) -> Vec<Call> {
        let functions = self.calls.drain(..).filter_map(|one| match one.called {
            Called::Function { call, .. } => Some(*call),
            Called::Site(_) => None,
        });
        functions.chain(self.quick.take().map(|call| *call)).collect()
    }
}

impl Tracing {
    /// Whether threads have to report their system calls.
    fn wants_calls(&self) -> bool {
        self.calls.wanted() || self.quick.as_ref().is_some_and(|one| !one.calls.is_empty())
    }

    /// The system calls that alone a launched program needs to report; none where it is to report all, and where the
    /// trace can become a session at the prompt, which could let the program go.
    pub(super) fn calls_to_filter(&self) -> Vec<u32> {
        let can_stop = self.quick.as_ref().is_some_and(|one| one.can_stop()) || self.machine.program().can_stop();
        if can_stop || !self.calls.any_entry.is_empty() || !self.calls.any_exit.is_empty() {
            return Vec::new();
        }
        let accepts = if self.calls.accepted.is_empty() { &[][..] } else { &calls::ACCEPTS };
        let quick = self.quick.iter().flat_map(|one| &one.calls);
        let numbers = self.calls.entry.keys().chain(self.calls.exit.keys()).chain(accepts).chain(quick);
        let numbers: BTreeSet<u32> = numbers.filter_map(|number| u32::try_from(*number).ok()).collect();
        numbers.into_iter().collect()
    }

    /// Whether the script has called `exit`, or the trace has had all its calls.
    fn is_done(&self) -> bool {
        self.machine.exit().is_some() || self.quick.as_ref().is_some_and(|one| one.is_done())
    }
}

impl TracedCalls {
    /// Whether a call's return is to be seen.
    fn wants_return(&self, number: u64) -> bool {
        !self.any_exit.is_empty()
            || self.exit.contains_key(&number)
            || !self.accepted.is_empty() && calls::ACCEPTS.contains(&number)
    }

    /// Whether threads have to report their system calls.
    fn wanted(&self) -> bool {
        !(self.entry.is_empty()
            && self.exit.is_empty()
            && self.any_entry.is_empty()
            && self.any_exit.is_empty()
            && self.accepted.is_empty())
    }
}
