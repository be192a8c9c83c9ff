//! Watching for the exec of a program by its name, before anyone knows its pid.
//!
//! Three ways, best first: fanotify holds the task inside its execve until the tracer has seized it; inotify tells of the
//! open that precedes the exec; polling /proc sees the process soon after. None of them looks at what runs already.

mod answer;
mod fanotify;
mod files;
mod inotify;
mod poll;
mod stop;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::base::{Pid, Tid};

use super::OsError;

pub use answer::ExecAnswer;
use files::Files;
use stop::Stop;

/// A way to learn of an exec.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatchMethod {
    /// FAN_OPEN_EXEC_PERM (fanotify(7)): race-free, at the first instruction.
    Fanotify,
    /// IN_OPEN (inotify(7)) on the file, then a search of the newest processes.
    Inotify,
    /// The newest pid of /proc/loadavg, looked at each millisecond or so.
    Poll,
}

impl WatchMethod {
    /// Best first.
    pub const ALL: [WatchMethod; 3] = [WatchMethod::Fanotify, WatchMethod::Inotify, WatchMethod::Poll];
}

impl fmt::Display for WatchMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WatchMethod::Fanotify => "fanotify",
            WatchMethod::Inotify => "inotify",
            WatchMethod::Poll => "polling /proc",
        })
    }
}

/// What to wait for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchSpec {
    /// A path (when it holds a slash) or the base name of the executable.
    pub name: String,
    /// The methods to try, in order; all of them when not given.
    pub methods: Option<Vec<WatchMethod>>,
}

impl WatchSpec {
    /// `name` by whatever method works.
    pub fn new(name: impl Into<String>) -> WatchSpec {
        WatchSpec { name: name.into(), methods: None }
    }
}

/// What a watch tells.
#[derive(Debug)]
pub enum WatchEvent {
    /// How it waits from now on; comes first, and again when it had to change.
    Method {
        /// The way in use.
        chosen: WatchMethod,
        /// The better ones, and why they do not work.
        rejected: Vec<(WatchMethod, String)>,
        /// What the user should know of the chosen one: its cost, its limits.
        note: Option<String>,
    },
    /// A task is inside its execve of the program and waits for the answer: seize it, then [`ExecAnswer::allow`]. Its
    /// exec event follows, under the group's pid. A program found through a symbolic link may be executed by another
    /// name: at the exec event, comm tells which name it was.
    Exec {
        /// The executing task; not always the leader of its group.
        tid: Tid,
        /// To be given once it is seized.
        answer: ExecAnswer,
    },
    /// A process executes the program, and runs on.
    Candidate {
        /// Which one.
        pid: Pid,
    },
    /// The watch has ended by itself.
    Failed(String),
}

/// Where the events go; called on the watch's thread. It must not block for long nor drop the watch.
pub type WatchSink = Box<dyn Fn(WatchEvent) + Send>;

/// A watch under way. Dropping it ends it at once, and nothing stays marked: whoever waits in an execve goes on.
#[derive(Debug)]
pub struct ExecWatch {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// A method that is ready: an exec from now on is not missed.
enum Armed {
    Fanotify(fanotify::Watch),
    Inotify(inotify::Watch),
    Poll(poll::Watch),
}

/// Why a method's loop came back.
enum Ended {
    Stopped,
    /// It cannot go on, for this reason; another one may.
    Unusable(String),
}

impl ExecWatch {
    /// Arms the best method that works and reports on a thread of its own. What execs after this has returned is seen.
    pub fn start(spec: WatchSpec, sink: WatchSink) -> Result<ExecWatch, OsError> {
        let stop = Arc::new(Stop::new()?);
        let mut left = spec.methods.clone().unwrap_or_else(|| WatchMethod::ALL.to_vec());
        let mut rejected = Vec::new();
        let files = Files::find(&spec.name);
        let armed = arm(&mut left, &mut rejected, &files)?;
        let own = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("rdbg-waitfor".to_owned())
            .spawn(move || run(&own, armed, left, rejected, &files, &sink))
            .map_err(|source| OsError::Call { what: "a thread for waitfor", source })?;
        Ok(ExecWatch { stop, thread: Some(thread) })
    }

    /// Ends the watch; the same as dropping it.
    pub fn stop(self) {}
}

impl Drop for ExecWatch {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes methods from `left` until one works.
fn arm(
    left: &mut Vec<WatchMethod>,
    rejected: &mut Vec<(WatchMethod, String)>,
    files: &Files,
) -> Result<Armed, OsError> {
    while !left.is_empty() {
        let method = left.remove(0);
        let armed = match method {
            WatchMethod::Fanotify => fanotify::Watch::arm(files).map(Armed::Fanotify),
            WatchMethod::Inotify => inotify::Watch::arm(files).map(Armed::Inotify),
            WatchMethod::Poll => poll::Watch::arm(files).map(Armed::Poll),
        };
        match armed {
            Ok(armed) => return Ok(armed),
            Err(reason) => rejected.push((method, reason)),
        }
    }
    let reasons: Vec<String> = rejected.iter().map(|(method, reason)| format!("{method}: {reason}")).collect();
    Err(OsError::NoWaitMethod(reasons.join("; ")))
}

fn run(
    stop: &Stop,
    mut armed: Armed,
    mut left: Vec<WatchMethod>,
    mut rejected: Vec<(WatchMethod, String)>,
    files: &Files,
    sink: &WatchSink,
) {
    loop {
        let (chosen, note) = match &armed {
            Armed::Fanotify(watch) => (WatchMethod::Fanotify, watch.note()),
            Armed::Inotify(watch) => (WatchMethod::Inotify, watch.note()),
            Armed::Poll(watch) => (WatchMethod::Poll, watch.note()),
        };
        sink(WatchEvent::Method { chosen, rejected: rejected.clone(), note });
        let ended = match armed {
            Armed::Fanotify(watch) => watch.run(stop, sink),
            Armed::Inotify(watch) => watch.run(stop, sink),
            Armed::Poll(watch) => watch.run(stop, sink),
        };
        match ended {
            Ended::Stopped => return,
            Ended::Unusable(reason) => rejected.push((chosen, reason)),
        }
        match arm(&mut left, &mut rejected, files) {
            Ok(next) => armed = next,
            Err(error) => return sink(WatchEvent::Failed(error.to_string())),
        }
    }
}
