//! `tseries`: values over time, one for each interval, and how they are drawn.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::map::mean;
use super::record::FormatTime;
use crate::lang::script::types::{Series, SeriesValue, Sign};

/// The values of the latest intervals.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Values {
    /// By the interval's number since 1970: how many values it had, and what became of them (their sum, for a mean).
    intervals: BTreeMap<u64, (u64, u64)>,
}

/// How wide a line of the graph is, letters.
const WIDTH: usize = 53;
/// How wide the left half of its scale is.
const LEFT: usize = 21;

impl Values {
    /// Takes a value in, at a time in nanoseconds since 1970.
    pub(super) fn add(&mut self, series: &Series, value: u64, now: u64) {
        let interval = now / series.interval.max(1);
        let slot = self.intervals.entry(interval).or_insert((0, value));
        let less = |a: u64, b: u64| match series.sign {
            Sign::Signed => (a as i64) < (b as i64),
            Sign::Unsigned => a < b,
        };
        slot.1 = match (series.value, slot.0) {
            (SeriesValue::Last, _) | (_, 0) => value,
            (SeriesValue::Sum | SeriesValue::Mean, _) => slot.1.wrapping_add(value),
            (SeriesValue::Least, _) if less(slot.1, value) => slot.1,
            (SeriesValue::Greatest, _) if less(value, slot.1) => slot.1,
            (SeriesValue::Least | SeriesValue::Greatest, _) => value,
        };
        slot.0 += 1;
        while self.intervals.len() > usize::from(series.count) {
            self.intervals.pop_first();
        }
    }

    /// The last interval that has a value.
    pub(super) fn last(&self) -> Option<u64> {
        self.intervals.keys().next_back().copied()
    }

    /// How much memory they hold, bytes.
    pub(super) fn weight(&self) -> usize {
        self.intervals.len() * 3 * std::mem::size_of::<u64>()
    }

    /// Empties every interval.
    pub(super) fn zero(&mut self) {
        self.intervals.clear();
    }

    /// From the first interval that has a value to the map's last: when each began, nanoseconds since 1970, and its value.
    fn rows(&self, series: &Series, last: u64) -> Vec<(u64, Option<i128>)> {
        let oldest = last.saturating_sub(u64::from(series.count) - 1);
        let Some(first) = self.intervals.keys().copied().find(|one| *one >= oldest) else { return Vec::new() };
        let shown = |(count, value): &(u64, u64)| {
            let value = if series.value == SeriesValue::Mean { mean(*count, *value, series.sign) } else { *value };
            match series.sign {
                Sign::Signed => i128::from(value as i64),
                Sign::Unsigned => i128::from(value),
            }
        };
        (first..=last).map(|one| (one * series.interval, self.intervals.get(&one).map(shown))).collect()
    }

    /// As bpftrace draws it: a line for each interval, the value's place on it marked.
    pub fn draw(&self, series: &Series, last: u64, format_time: &FormatTime) -> String {
        let rows = self.rows(series, last);
        let values = || rows.iter().filter_map(|(_, value)| *value);
        let (Some(mut least), Some(mut greatest)) = (values().min(), values().max()) else {
            return "<no data>\n".into();
        };
        if least == greatest {
            (least, greatest) = (least - 1, greatest + 1);
        }
        let (unit, digits) = unit(series.interval);
        let margin = "hh:mm:ss".len() + if digits > 0 { digits + 1 } else { 0 };
        let head = format!("{:margin$}", format!("hh:mm:ss{unit}"));
        let scale = format!("{:margin$} {least:<LEFT$}{greatest:>rest$}\n", "", rest = WIDTH - LEFT);
        let place = |value: i128, width: usize| {
            ((width as f32 * (value - least) as f32 / (greatest - least) as f32) as usize).min(WIDTH - 1)
        };
        let line = "_".repeat(WIDTH - 2);
        let mut text = format!("{scale}{head} |{line}|\n");
        for (began, value) in &rows {
            let mut graph = vec![' '; WIDTH];
            (graph[0], graph[WIDTH - 1]) = ('|', '|');
            if least < 0 && greatest > 0 && place(0, WIDTH) > 0 {
                graph[place(0, WIDTH)] = '.';
            }
            if let Some(value) = value {
                graph[place(*value, WIDTH - 1)] = '*';
            }
            let graph: String = graph.into_iter().collect();
            let shown = value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            let _ = writeln!(text, "{} {graph} {shown}", time(*began, digits, format_time));
        }
        let _ = write!(text, "{:margin$} v{line}v\n{scale}", "");
        text
    }

    /// As bpftrace's JSON has it: the intervals that have a value.
    pub fn json(&self, series: &Series, last: u64, format_time: &FormatTime) -> String {
        let (_, digits) = unit(series.interval);
        let one = |(began, value): (u64, Option<i128>)| {
            let began = super::json::quoted(&time(began, digits, format_time));
            value.map(|value| format!("{{\"interval_start\":{began},\"value\":{value}}}"))
        };
        let parts: Vec<String> = self.rows(series, last).into_iter().filter_map(one).collect();
        format!("[{}]", parts.join(","))
    }
}

/// What stands behind the seconds in the head of a graph, and how many digits of a second are written.
fn unit(interval: u64) -> (&'static str, usize) {
    match interval {
        1_000_000_000.. => ("", 0),
        1_000_000.. => (".ms", 3),
        1_000.. => (".us", 6),
        _ => (".ns", 9),
    }
}

fn time(at: u64, digits: usize, format_time: &FormatTime) -> String {
    let seconds = format_time("%H:%M:%S", at);
    match digits {
        0 => seconds,
        digits => format!("{seconds}.{}", &format!("{:09}", at % 1_000_000_000)[..digits]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(value: SeriesValue) -> Series {
        Series { interval: 100_000_000, count: 4, value, sign: Sign::Signed }
    }

    fn gathered(value: SeriesValue) -> Values {
        let mut values = Values::default();
        for (number, tenth) in [(4, 0), (-2i64, 0), (8, 2), (3, 2), (1, 3)] {
            values.add(&series(value), number as u64, 5_000_000_000 + tenth * 100_000_000 + 7);
        }
        values
    }

    #[test]
    fn each_interval_has_the_value_that_was_asked_for() {
        let of =
            |value: SeriesValue| gathered(value).rows(&series(value), 53).iter().map(|one| one.1).collect::<Vec<_>>();
        assert_eq!(of(SeriesValue::Last), [Some(-2), None, Some(3), Some(1)]);
        assert_eq!(of(SeriesValue::Sum), [Some(2), None, Some(11), Some(1)]);
        assert_eq!(of(SeriesValue::Mean), [Some(1), None, Some(5), Some(1)]);
        assert_eq!(of(SeriesValue::Least), [Some(-2), None, Some(3), Some(1)]);
        assert_eq!(of(SeriesValue::Greatest), [Some(4), None, Some(8), Some(1)]);
    }

    #[test]
    fn the_oldest_intervals_go() {
        let mut values = gathered(SeriesValue::Last);
        values.add(&series(SeriesValue::Last), 9, 5_500_000_000);
        assert_eq!(values.rows(&series(SeriesValue::Last), 55).len(), 4);
        assert_eq!(values.last(), Some(55));
    }

    #[test]
    fn a_graph_marks_each_value_between_the_least_and_the_greatest() {
        let format_time: FormatTime = Box::new(|_, at| format!("00:00:{:02}", at / 1_000_000_000));
        let drawn = gathered(SeriesValue::Greatest).draw(&series(SeriesValue::Greatest), 53, &format_time);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), 8);
        assert_eq!(lines[0], format!("             1{}8", " ".repeat(51)));
        assert_eq!(lines[1], format!("hh:mm:ss.ms  |{}|", "_".repeat(51)));
        assert_eq!(lines[2], format!("00:00:05.000 |{}*{}| 4", " ".repeat(21), " ".repeat(29)));
        assert_eq!(lines[3], format!("00:00:05.100 |{}| -", " ".repeat(51)));
        assert_eq!(lines[4], format!("00:00:05.200 |{}* 8", " ".repeat(51)));
        assert_eq!(lines[5], format!("00:00:05.300 *{}| 1", " ".repeat(51)));
        assert_eq!(lines[6], format!("             v{}v", "_".repeat(51)));
    }
}
