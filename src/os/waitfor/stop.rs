//! Ends a thread that sleeps in poll(2).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::os::error::last_errno;
use crate::os::OsError;

/// A flag that also wakes.
#[derive(Debug)]
pub(super) struct Stop {
    flag: AtomicBool,
    event: OwnedFd,
}

/// What [`Stop::wait`] saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Woken {
    Stopped,
    Readable,
    TimedOut,
}

impl Stop {
    pub(super) fn new() -> Result<Stop, OsError> {
        // SAFETY: eventfd(2) takes numbers only.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(OsError::last("eventfd"));
        }
        // SAFETY: just opened, and nothing else owns it.
        Ok(Stop { flag: AtomicBool::new(false), event: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    pub(super) fn set(&self) {
        self.flag.store(true, Ordering::SeqCst);
        let one = 1u64;
        // SAFETY: writes the 8 bytes of a live local. It never blocks, and once set the descriptor stays readable.
        unsafe { libc::write(self.event.as_raw_fd(), std::ptr::from_ref(&one).cast(), 8) };
    }

    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Sleeps until the stop, until `fd` can be read, or for `patience` (for ever without).
    pub(super) fn wait(&self, fd: Option<RawFd>, patience: Option<Duration>) -> Woken {
        // A negative descriptor is passed over by poll(2).
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds = [entry(self.event.as_raw_fd()), entry(fd.unwrap_or(-1))];
        let time = patience.map(|patience| libc::timespec {
            tv_sec: patience.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(patience.subsec_nanos()),
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: two pollfds and the timespec, if any, live over the call.
        let got = unsafe { libc::ppoll(fds.as_mut_ptr(), 2, time, std::ptr::null()) };
        if self.is_set() {
            return Woken::Stopped;
        }
        match got {
            -1 if last_errno() != libc::EINTR => Woken::Stopped,
            _ if got > 0 && fds[1].revents != 0 => Woken::Readable,
            _ => Woken::TimedOut,
        }
    }
}
