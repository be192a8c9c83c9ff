//! Holds the printer back while its reader is behind: not the tasks, and not the tracer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many texts a front end may have before it: each is up to 64 KiB.
pub(super) const UNREAD: usize = 64;
/// How often the printer looks whether its reader has come on.
const PAUSE: Duration = Duration::from_millis(5);

/// Closed while a trace runs; open when the session ends, as nobody may read on then.
#[derive(Debug, Default)]
pub(in crate::engine) struct Valve {
    open: AtomicBool,
}

impl Valve {
    /// Lets everything through from now on.
    pub(in crate::engine) fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Waits until there is room, or the valve is open.
    pub(super) fn wait(&self, has_room: impl Fn() -> bool) {
        while !has_room() && !self.open.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_valve_holds_nobody_back() {
        let valve = Valve::default();
        valve.wait(|| true);
        valve.open();
        valve.wait(|| false);
    }
}
