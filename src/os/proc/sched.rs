//! /proc/TID/sched.

use std::time::Duration;

use crate::base::RunRecord;

/// Decodes /proc/TID/sched (kernel/sched/debug.c). `None` where a field is missing: the file's form is not fixed.
pub fn parse_sched(text: &str) -> Option<RunRecord> {
    let value = |name: &str| {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let time = |name: &str| parse_milliseconds(value(name)?);
    let count = |name: &str| value(name)?.parse().ok();
    Some(RunRecord {
        last_ran: time("se.exec_start")?,
        ran: time("se.sum_exec_runtime")?,
        migrations: count("se.nr_migrations")?,
        voluntary: count("nr_voluntary_switches")?,
        involuntary: count("nr_involuntary_switches")?,
    })
}

/// Milliseconds with six decimals, as the kernel writes nanoseconds there.
fn parse_milliseconds(text: &str) -> Option<Duration> {
    let (whole, decimals) = text.split_once('.')?;
    let nanos: u32 = decimals.parse().ok().filter(|_| decimals.len() == 6)?;
    Some(Duration::from_millis(whole.parse().ok()?) + Duration::from_nanos(u64::from(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_by_name_and_a_missing_one_is_no_record() {
        let text = "envoy (7, #threads: 9)\n-----\n\
            se.exec_start                                :       1854559.825640\n\
            se.sum_exec_runtime                          :            12.000321\n\
            se.nr_migrations                             :                    2\n\
            nr_switches                                  :                   15\n\
            nr_voluntary_switches                        :                   11\n\
            nr_involuntary_switches                      :                    4\n";
        let record = parse_sched(text).unwrap();
        assert_eq!(record.last_ran, Duration::from_nanos(1_854_559_825_640));
        assert_eq!(record.ran, Duration::from_nanos(12_000_321));
        assert_eq!((record.migrations, record.voluntary, record.involuntary), (2, 11, 4));
        assert_eq!(parse_sched(&text.replace("nr_inv", "xx_inv")), None);
        assert_eq!(parse_sched(""), None);
    }
}
