//! Probes by time: a thread that rings when one is due.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, Sender};

use crate::engine::state::Input;
use crate::os::Doorbell;

/// The thread of the timers; dropping it ends it.
pub(in crate::engine) struct Timers {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A probe by time.
struct Timer {
    probe: u32,
    period: Duration,
    due: Instant,
    /// Set until the engine has taken the last one: a tick that finds the engine busy is left out.
    waiting: Arc<AtomicBool>,
}

/// A tick that has not been taken yet.
#[derive(Clone, Debug)]
pub struct Tick {
    /// Which probe is due.
    pub probe: u32,
    waiting: Arc<AtomicBool>,
}

impl Tick {
    /// The engine has seen it: the next one may come.
    pub fn take(self) -> u32 {
        self.waiting.store(false, Ordering::Release);
        self.probe
    }
}

impl Timers {
    /// Starts the thread, for probes and their periods in nanoseconds.
    pub(super) fn start(
        probes: &[(u32, u64)],
        inputs: Sender<Input>,
        doorbell: Doorbell,
    ) -> std::io::Result<Option<Timers>> {
        if probes.is_empty() {
            return Ok(None);
        }
        let now = Instant::now();
        let mut timers: Vec<Timer> = probes
            .iter()
            .map(|(probe, period)| {
                let period = Duration::from_nanos(*period);
                Timer { probe: *probe, period, due: now + period, waiting: Arc::default() }
            })
            .collect();
        let (stop, stopped) = bounded::<()>(0);
        let thread = std::thread::Builder::new().name("rdbg-timers".into()).spawn(move || {
            while let Some(next) = timers.iter_mut().min_by_key(|one| one.due) {
                if stopped.recv_deadline(next.due) != Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                    return;
                }
                next.due += next.period;
                // After a long halt of the machine the ticks that were missed do not all come at once.
                next.due = next.due.max(Instant::now());
                if !next.waiting.swap(true, Ordering::AcqRel) {
                    let tick = Tick { probe: next.probe, waiting: Arc::clone(&next.waiting) };
                    if inputs.send(Input::Tick(tick)).is_err() {
                        return;
                    }
                    doorbell.ring();
                }
            }
        })?;
        Ok(Some(Timers { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
