//! Told of the open that precedes the exec, then searching the newest processes.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use crate::base::Pid;
use crate::os::error::{errno_text, last_errno};
use crate::os::proc;

use super::files::Files;
use super::stop::{Stop, Woken};
use super::{Ended, WatchEvent, WatchSink};

/// Between two searches. Never zero: a searcher that spins on the target's CPU keeps the exec from happening.
const PAUSE: Duration = Duration::from_micros(30);
/// How long after an open the exec is expected. Anyone may open the file without executing it.
const SEARCH: Duration = Duration::from_millis(60);
/// A busy machine may let the task wait between the two: so long it is looked for, less often.
const LATE: Duration = Duration::from_secs(2);
const LATE_PAUSE: Duration = Duration::from_millis(2);
/// How many of the newest pids are looked at each time.
const NEWEST: i32 = 64;
/// How often all processes are: the one that executes need not be new.
const FULL_EVERY: u32 = 64;

pub(super) struct Watch {
    fd: OwnedFd,
    matcher: Files,
    known: HashSet<Pid>,
}

impl Watch {
    pub(super) fn arm(files: &Files) -> Result<Watch, String> {
        if files.paths.is_empty() {
            return Err(format!("no file called {} was found to watch", files.name()));
        }
        // SAFETY: inotify_init1(2) takes a number only.
        let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        if fd < 0 {
            return Err(errno_text(last_errno()));
        }
        // SAFETY: just opened, and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut watched = 0;
        let mut last = 0;
        for path in &files.paths {
            let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { continue };
            // SAFETY: the path is NUL-terminated and lives over the call.
            if unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), libc::IN_OPEN) } >= 0 {
                watched += 1;
            } else {
                last = last_errno();
            }
        }
        if watched == 0 {
            return Err(format!("watching the file: {}", errno_text(last)));
        }
        // After the watch is set, so that no exec falls between the two.
        let known = files.running();
        Ok(Watch { fd, matcher: files.to_matcher(), known })
    }

    pub(super) fn note(&self) -> Option<String> {
        Some("the process runs for a few hundred microseconds before rdbg stops it".to_owned())
    }

    pub(super) fn run(mut self, stop: &Stop, sink: &WatchSink) -> Ended {
        let mut search: Option<Search> = None;
        loop {
            match stop.wait(Some(self.fd.as_raw_fd()), search.as_ref().map(Search::pause)) {
                Woken::Stopped => return Ended::Stopped,
                Woken::TimedOut => {}
                Woken::Readable => {
                    let mut buf = [0u64; 512];
                    // SAFETY: reads at most the buffer's size into it. What was opened does not matter.
                    unsafe { libc::read(self.fd.as_raw_fd(), buf.as_mut_ptr().cast(), size_of_val(&buf)) };
                    // A pid is given out again once its process has ended.
                    self.known.retain(|pid| self.matcher.is_run_by(*pid));
                    search = Some(Search { begun: Instant::now(), round: 0 });
                }
            }
            if let Some(under_way) = &mut search {
                self.look(under_way, sink);
                search = search.filter(|one| one.begun.elapsed() < LATE);
            }
        }
    }

    fn look(&mut self, search: &mut Search, sink: &WatchSink) {
        let last = proc::read_last_pid().unwrap_or(0);
        let newest = ((last - NEWEST).max(1)..=last).rev().map(Pid);
        report(&self.matcher, &mut self.known, newest, sink);
        search.round += 1;
        if search.round % FULL_EVERY == 0 {
            report(&self.matcher, &mut self.known, proc::read_pids().unwrap_or_default(), sink);
        }
    }
}

/// What an open has set off. Several opens can have been told at once, so it goes on when one process is found.
struct Search {
    begun: Instant,
    round: u32,
}

impl Search {
    fn pause(&self) -> Duration {
        if self.begun.elapsed() < SEARCH {
            PAUSE
        } else {
            LATE_PAUSE
        }
    }
}

/// Reports those of `pids` that execute the program and are not known.
pub(super) fn report(matcher: &Files, known: &mut HashSet<Pid>, pids: impl IntoIterator<Item = Pid>, sink: &WatchSink) {
    for pid in pids {
        // A thread's number has a directory in /proc too, which shows the process's executable.
        if matcher.is_run_by(pid)
            && !known.contains(&pid)
            && proc::read_status(pid.leader()).is_ok_and(|status| status.tgid == pid)
        {
            known.insert(pid);
            sink(WatchEvent::Candidate { pid });
        }
    }
}
