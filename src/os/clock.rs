//! Clocks, and times as text.

use std::ffi::CString;

/// The longest text of a time, bytes.
const TIME_TEXT: usize = 256;

/// A clock of clock_gettime(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// Since the machine started, sleep included.
    Boot,
    /// Since the machine started, sleep left out.
    Monotonic,
    /// International atomic time.
    Tai,
    /// Since 1970.
    Real,
}

/// A clock's time, nanoseconds.
pub fn clock_nanoseconds(clock: Clock) -> u64 {
    let id = match clock {
        Clock::Boot => libc::CLOCK_BOOTTIME,
        Clock::Monotonic => libc::CLOCK_MONOTONIC,
        Clock::Tai => libc::CLOCK_TAI,
        Clock::Real => libc::CLOCK_REALTIME,
    };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) stores into the local that the pointer names.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A time of the local calendar, by strftime(3), and `%f` for microseconds as bpftrace has it.
pub fn format_time(format: &str, nanoseconds: u64) -> String {
    let micros = format!("{:06}", nanoseconds % 1_000_000_000 / 1000);
    let Ok(format) = CString::new(format.replace("%f", &micros)) else { return String::new() };
    let seconds = (nanoseconds / 1_000_000_000) as libc::time_t;
    let mut text = [0u8; TIME_TEXT];
    // SAFETY: a `tm` of zeros is valid (its pointer may be null); localtime_r(3) fills it, and strftime(3) writes at most
    // the length that it is given and says how much that was.
    let length = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut parts);
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &parts)
    };
    String::from_utf8_lossy(&text[..length.min(TIME_TEXT)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_on_and_times_have_their_parts() {
        let before = clock_nanoseconds(Clock::Boot);
        assert!(clock_nanoseconds(Clock::Boot) >= before && before > 0);
        assert_eq!(format_time("%Y.%f", 86_400_000_001_000 * 200), "1970.000200");
        assert_eq!(format_time("", 0), "");
    }
}
