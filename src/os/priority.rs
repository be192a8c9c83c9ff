//! How much of the CPU a thread claims.

/// The least claim there is (setpriority(2): nice values, 19 yields most).
const MOST_YIELDING: libc::c_int = 19;

/// The calling thread's work is not urgent: others, the target's threads among them, go first. A nice value alone lets it
/// finish its slice of some milliseconds when somebody wakes up; SCHED_IDLE (sched(7)) gives way at once.
pub fn yield_to_others() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: `none` lives through the call, which reads it. 0 means the calling thread.
    let is_idle = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &none) } == 0;
    // SAFETY: setpriority takes numbers only. On Linux 0 means the calling thread, not its process.
    let is_nice = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, MOST_YIELDING) } == 0;
    if !is_idle || !is_nice {
        tracing::debug!(is_idle, is_nice, error = %std::io::Error::last_os_error(), "a thread keeps its claim");
    }
}
