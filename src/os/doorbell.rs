//! Wakes the tracer thread out of a blocking `waitpid`.
//!
//! A signal that arrives between the tracer's look at its queue and its `waitpid` would be lost, and `waitpid` takes no
//! signal mask. So the bell is a flag, and the signal is sent again until the tracer has taken the flag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::OsError;

/// How soon a ring is repeated at first.
const FIRST_REPEAT: Duration = Duration::from_millis(1);
/// How far the repeats back off while the tracer is busy.
const SLOWEST_REPEAT: Duration = Duration::from_millis(50);

/// The bell of one thread. Cheap to clone and to send.
#[derive(Clone, Debug)]
pub struct Doorbell {
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    pending: AtomicBool,
    tgid: i32,
    tid: i32,
}

/// The one thread that repeats rings, so that no caller of [`Doorbell::ring`] waits for a busy tracer.
#[derive(Default)]
struct Repeater {
    rung: Mutex<Vec<Arc<Bell>>>,
    more: Condvar,
}

static REPEATER: OnceLock<Arc<Repeater>> = OnceLock::new();
static INSTALLING: Mutex<()> = Mutex::new(());

extern "C" fn no_op(_signal: libc::c_int) {}

/// The real-time signal of the bell: not one that glibc, Go or a shell uses.
fn bell_signal() -> libc::c_int {
    libc::SIGRTMIN() + 3
}

impl Doorbell {
    /// Installs the bell's handler and starts the repeating thread; once per process, later calls do nothing. To be
    /// called after [`super::signals::block_signals`].
    pub fn install() -> Result<(), OsError> {
        let _once = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        if REPEATER.get().is_some() {
            return Ok(());
        }
        // SAFETY: sigaction is plain data; all zeroes is a valid value (no flags, empty mask).
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // Without SA_RESTART, or waitpid(2) would go on sleeping after the handler has run.
        action.sa_flags = 0;
        action.sa_sigaction = no_op as extern "C" fn(libc::c_int) as usize;
        // SAFETY: the handler does nothing, hence is async-signal-safe; `action` lives over the call.
        if unsafe { libc::sigaction(bell_signal(), &action, std::ptr::null_mut()) } != 0 {
            return Err(OsError::last("sigaction for the doorbell"));
        }
        let repeater = Arc::new(Repeater::default());
        let own = Arc::clone(&repeater);
        std::thread::Builder::new()
            .name("rdbg-bell".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || own.run())
            .map_err(|source| OsError::Call { what: "a thread for the doorbell", source })?;
        // The lock is held and the cell was empty, so that this cannot fail.
        let _ = REPEATER.set(repeater);
        Ok(())
    }

    /// The bell of the calling thread, which [`Doorbell::take`]s it. Installs the handler if nobody has; should that
    /// fail, a ring is sent once and may be late by as much as the next event of a tracee.
    pub fn for_this_thread() -> Doorbell {
        if let Err(error) = Doorbell::install() {
            tracing::warn!(%error, "rings of the doorbell are not repeated");
        }
        // SAFETY: a signal set is plain data that sigemptyset initialises; the calls touch this thread's mask only.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, bell_signal());
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        }
        // SAFETY: neither call takes an argument or can fail.
        let (tgid, tid) = unsafe { (libc::getpid(), libc::gettid()) };
        Doorbell { bell: Arc::new(Bell { pending: AtomicBool::new(false), tgid, tid }) }
    }

    /// Wakes the thread, now or when it next waits. Does not block.
    pub fn ring(&self) {
        let was_pending = self.bell.pending.swap(true, Ordering::SeqCst);
        self.bell.send();
        if was_pending {
            return;
        }
        if let Some(repeater) = REPEATER.get() {
            repeater.lock().push(Arc::clone(&self.bell));
            repeater.more.notify_one();
        }
    }

    /// Whether the bell was rung since the last take. The thread calls this before it looks at its queue;
    /// [`super::LiveInferior`] does so in each blocking wait.
    pub fn take(&self) -> bool {
        self.bell.pending.swap(false, Ordering::SeqCst)
    }
}

impl Bell {
    fn send(&self) {
        // SAFETY: tgkill(2) takes numbers only. ESRCH (the thread has ended) is fine: nobody is left to be woken.
        unsafe { libc::syscall(libc::SYS_tgkill, self.tgid, self.tid, bell_signal()) };
    }
}

impl Repeater {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Bell>>> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut pause = FIRST_REPEAT;
        let mut rung = self.lock();
        loop {
            if rung.is_empty() {
                rung = self.more.wait(rung).unwrap_or_else(PoisonError::into_inner);
                pause = FIRST_REPEAT;
            }
            let known = rung.len();
            rung = self.more.wait_timeout(rung, pause).unwrap_or_else(PoisonError::into_inner).0;
            // A bell that has just been rung is repeated soon, whatever another one has come to.
            pause = if rung.len() > known { FIRST_REPEAT } else { (pause * 2).min(SLOWEST_REPEAT) };
            // The last clone elsewhere dropped: its thread has no more use for it.
            rung.retain(|bell| bell.pending.load(Ordering::SeqCst) && Arc::strong_count(bell) > 1);
            for bell in rung.iter() {
                bell.send();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_ring_is_taken_once() {
        let bell = Doorbell::for_this_thread();
        assert!(!bell.take());
        bell.ring();
        bell.ring();
        assert!(bell.take());
        assert!(!bell.take());
    }

    #[test]
    fn a_ring_before_the_sleep_is_not_lost() {
        let (send, receive) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let bell = Doorbell::for_this_thread();
            send.send(bell.clone()).unwrap();
            // pause(2) has the same race as waitpid: the first signal may come before it.
            for _ in 0..200 {
                while !bell.take() {
                    // SAFETY: pause takes no argument.
                    unsafe { libc::pause() };
                }
                send.send(bell.clone()).unwrap();
            }
        });
        let bell = receive.recv().unwrap();
        for _ in 0..200 {
            bell.ring();
            receive.recv_timeout(Duration::from_secs(10)).expect("the ring was lost");
        }
        thread.join().unwrap();
    }
}
