//! The time of day of a hit.

/// `12:34:56.789012` in UTC, from nanoseconds since 1970.
pub fn time_of_day(time_ns: u64) -> String {
    let micros = time_ns / 1000;
    let seconds = micros / 1_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, micros % 1_000_000)
}
