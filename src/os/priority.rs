//! How much of the CPU a thread claims.

/// The least claim there is (setpriority(2): nice values, 19 yields most).
const MOST_YIELDING: libc::c_int = 19;

/// The calling thread's work is not urgent: others, the target's threads among them, go first.
pub fn yield_to_others() {
    // SAFETY: setpriority takes numbers only. On Linux 0 means the calling thread, not its process.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, MOST_YIELDING) } != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "a thread keeps its priority");
    }
}
