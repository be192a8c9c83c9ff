//! Spans of time as people write them.

use std::time::Duration;

/// `10s`, `500ms`, `1.5m`, `1h`; a bare number is seconds. `None` for anything else, zero and what no clock holds.
pub fn parse_span(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "" | "s" => number,
        "ms" => number / 1e3,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}

/// The same, to be read: `500ms`, `3.2s`, `5s`, `2m`, `1m 30s`.
pub fn show_span(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0..=999 => format!("{millis}ms"),
        1000..=59_999 if millis % 1000 < 100 => format!("{}s", millis / 1000),
        1000..=59_999 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        _ if millis / 1000 % 60 == 0 => format!("{}m", millis / 60_000),
        _ => format!("{}m {}s", millis / 60_000, millis / 1000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_nonsense_is_refused() {
        assert_eq!(parse_span("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_span("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_span("1.5m"), Some(Duration::from_secs(90)));
        assert_eq!(parse_span("3"), Some(Duration::from_secs(3)));
        for bad in ["", "s", "0", "-1s", "1x", "1e400s", "99999999999999999999999h"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }

    #[test]
    fn spans_are_shown_short() {
        for (millis, text) in
            [(7, "7ms"), (3250, "3.2s"), (5000, "5s"), (59_990, "59.9s"), (90_000, "1m 30s"), (120_000, "2m")]
        {
            assert_eq!(show_span(Duration::from_millis(millis)), text);
        }
    }
}
