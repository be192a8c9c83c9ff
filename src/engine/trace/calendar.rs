//! The time of day of a trace's calls. Their order and durations are told by the clock that runs since boot; the time of
//! day is that clock's, moved by the difference of both, so that no call seems to end after the next one began.

use crate::os::{clock_nanoseconds, Clock};

/// How often the difference is measured anew, nanoseconds.
const PERIOD: u64 = 1_000_000_000;
/// So far the two clocks may drift apart before the difference is changed, nanoseconds: somebody has set the clock, or it
/// is slewed.
const DRIFT: u64 = 50_000_000;

/// The difference of the clocks.
pub(super) struct Calendar {
    /// The time of day at boot, nanoseconds since 1970.
    boot: u64,
    measured: u64,
}

impl Calendar {
    pub(super) fn new() -> Calendar {
        let (boot, measured) = measure();
        Calendar { boot, measured }
    }

    /// When a moment was that the boot clock tells, nanoseconds since 1970.
    pub(super) fn time_of_day(&mut self, moment: u64) -> u64 {
        if moment.saturating_sub(self.measured) > PERIOD {
            let (boot, measured) = measure();
            self.measured = measured;
            if boot.abs_diff(self.boot) > DRIFT {
                self.boot = boot;
            }
        }
        self.boot + moment
    }
}

/// The time of day at boot, and when that was measured.
fn measure() -> (u64, u64) {
    let now = clock_nanoseconds(Clock::Boot);
    (clock_nanoseconds(Clock::Real).saturating_sub(now), now)
}
