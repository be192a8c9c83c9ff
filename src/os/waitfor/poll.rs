//! Looking for new processes again and again: needs nothing, costs some CPU.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::base::Pid;
use crate::os::proc;

use super::files::Files;
use super::inotify::report;
use super::stop::{Stop, Woken};
use super::{Ended, WatchEvent, WatchSink};

/// Between two looks, while processes start.
const FASTEST: Duration = Duration::from_millis(1);
/// Between two looks when nothing has started for a while: still early enough for a program that takes 50 ms to come up.
const SLOWEST: Duration = Duration::from_millis(5);
/// After which quiet time the looks get rarer.
const QUIET: Duration = Duration::from_secs(2);
/// How long a new process is looked at each time: it may exec a while after its fork.
const YOUNG: Duration = Duration::from_millis(500);
/// How often all processes are looked at: an old one may exec too.
const FULL: Duration = Duration::from_millis(100);

pub(super) struct Watch {
    matcher: Files,
    known: HashSet<Pid>,
    last: i32,
    young: Vec<(Pid, Instant)>,
}

impl Watch {
    pub(super) fn arm(files: &Files) -> Result<Watch, String> {
        let last = proc::read_last_pid().map_err(|error| format!("/proc/loadavg: {error}"))?;
        Ok(Watch { matcher: files.to_matcher(), known: files.running(), last, young: Vec::new() })
    }

    pub(super) fn note(&self) -> Option<String> {
        Some(
            "rdbg looks for the process each 1 to 5 ms (0.5 to 3 % of one CPU); it runs as long before it stops".into(),
        )
    }

    pub(super) fn run(mut self, stop: &Stop, sink: &WatchSink) -> Ended {
        let mut changed = Instant::now();
        let mut full = Instant::now();
        loop {
            let pause = if changed.elapsed() > QUIET { SLOWEST } else { FASTEST };
            if stop.wait(None, Some(pause)) == Woken::Stopped {
                return Ended::Stopped;
            }
            let last = match proc::read_last_pid() {
                Ok(last) => last,
                Err(error) => {
                    sink(WatchEvent::Failed(format!("/proc/loadavg: {error}")));
                    return Ended::Stopped;
                }
            };
            let now = Instant::now();
            if last != self.last {
                changed = now;
                // A smaller number: they have wrapped around, and the full look below sees the rest.
                let first = if last > self.last { self.last + 1 } else { 1 };
                self.young.extend((first.max(last - 4096)..=last).map(|pid| (Pid(pid), now)));
                self.last = last;
            }
            self.young.retain(|(_, since)| since.elapsed() < YOUNG);
            report(&self.matcher, &mut self.known, self.young.iter().map(|(pid, _)| *pid), sink);
            if full.elapsed() >= FULL {
                full = now;
                let pids = proc::read_pids().unwrap_or_default();
                // A pid is given out again once its process has ended.
                self.known.retain(|pid| pids.binary_search(pid).is_ok());
                report(&self.matcher, &mut self.known, pids, sink);
            }
        }
    }
}
