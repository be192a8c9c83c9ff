//! The signals to rdbg itself, taken by a thread of their own: so that it can let go of the debuggee before it ends.

use crate::base::Signal;

use super::OsError;

/// What asks rdbg to interrupt or to end, and the signal on which a trace can have a probe.
const TAKEN: [libc::c_int; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1];

fn taken_set() -> libc::sigset_t {
    // SAFETY: a signal set is plain data, initialised by sigemptyset.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in TAKEN {
            // SIGHUP under nohup(1) is ignored: it stays so, as a blocked one would still be collected by sigwait.
            if !is_ignored(signal) {
                libc::sigaddset(&mut set, signal);
            }
        }
        set
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: sigaction is plain data; with no new action the call only reads the old one into it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Blocks INT, TERM, HUP, QUIT and USR1 for this thread and those it will spawn, and ignores SIGPIPE (a write to a closed
/// pipe then fails). To be called before any thread is spawned. What was ignored already stays ignored.
pub fn block_signals() -> Result<(), OsError> {
    let set = taken_set();
    // SAFETY: the set is initialised; SIG_IGN is no handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        match libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) {
            0 => Ok(()),
            errno => Err(OsError::Call {
                what: "blocking the signals to rdbg",
                source: std::io::Error::from_raw_os_error(errno),
            }),
        }
    }
}

/// Calls `f` on a thread of its own for each of the signals that [`block_signals`] has blocked (sigwait(3)).
pub fn spawn_signal_thread(mut f: impl FnMut(Signal) + Send + 'static) -> Result<(), OsError> {
    let set = taken_set();
    let wait = move || loop {
        let mut signal = 0;
        // SAFETY: the set is initialised, and `signal` lives over the call.
        match unsafe { libc::sigwait(&set, &mut signal) } {
            0 => f(Signal(signal)),
            libc::EINTR => {}
            _ => return,
        }
    };
    std::thread::Builder::new()
        .name("rdbg-signals".to_owned())
        .spawn(wait)
        .map(|_| ())
        .map_err(|source| OsError::Call { what: "a thread for signals", source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_blocked_signal_reaches_the_thread() {
        // Only this test's thread and its child block; the signal is sent to the child alone, so the process lives.
        let (send, receive) = mpsc::channel();
        block_signals().unwrap();
        spawn_signal_thread(move |signal| send.send(signal).unwrap()).unwrap();
        // SAFETY: tgkill takes numbers. To this thread the signal stays blocked and pending; sigwait of the other
        // does not see it, hence take the number of the signal thread from /proc.
        let own = std::process::id() as i32;
        let find = || {
            std::fs::read_dir("/proc/self/task").unwrap().find_map(|task| {
                let path = task.unwrap().path();
                let comm = std::fs::read_to_string(path.join("comm")).ok()?;
                (comm.trim() == "rdbg-signals").then(|| path.file_name()?.to_str()?.parse::<i32>().ok()).flatten()
            })
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let tid = loop {
            match find() {
                Some(tid) => break tid,
                None => assert!(std::time::Instant::now() < deadline, "no signal thread"),
            }
        };
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_tgkill, own, tid, signal) };
            assert_eq!(receive.recv_timeout(Duration::from_secs(10)).unwrap(), Signal(signal));
        }
    }
}
