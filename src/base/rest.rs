//! How long a task has slept, by what the scheduler keeps of it.

use std::time::Duration;

/// What /proc/TID/sched says of a task (kernel/sched/debug.c, `proc_sched_show_task`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RunRecord {
    /// `se.exec_start`: when it was last seen to run, by the clock of the CPU it ran on. That clock stands still for
    /// interrupts and stolen time, so only two readings of one CPU compare, and their difference is never too long.
    pub last_ran: Duration,
    /// `se.sum_exec_runtime`: for how long it has run.
    pub ran: Duration,
    /// `se.nr_migrations`: how often it has changed its CPU.
    pub migrations: u64,
    /// `nr_voluntary_switches`: how often it went to sleep.
    pub voluntary: u64,
    /// `nr_involuntary_switches`: how often it was preempted.
    pub involuntary: u64,
}

impl RunRecord {
    /// How long a task that slept at this record had slept by the time of `stopped`, a record taken in the ptrace-stop
    /// that ended the sleep. `None` unless the stop was the only thing that it did in between: then it was the same
    /// sleep, on the same CPU.
    pub fn slept_until(&self, stopped: &RunRecord) -> Option<Duration> {
        // The stop itself is a sleep.
        let once = stopped.voluntary == self.voluntary + 1;
        if !once || stopped.involuntary != self.involuntary || stopped.migrations != self.migrations {
            return None;
        }
        let ran = stopped.ran.checked_sub(self.ran)?;
        stopped.last_ran.checked_sub(self.last_ran)?.checked_sub(ran)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(last_ran: u64, ran: u64, voluntary: u64) -> RunRecord {
        let [last_ran, ran] = [last_ran, ran].map(Duration::from_micros);
        RunRecord { last_ran, ran, migrations: 3, voluntary, involuntary: 7 }
    }

    #[test]
    fn a_sleep_is_measured_only_where_nothing_came_between() {
        let asleep = record(1_000_000, 500, 10);
        assert_eq!(asleep.slept_until(&record(1_040_020, 520, 11)), Some(Duration::from_micros(40_000)));
        assert_eq!(asleep.slept_until(&record(1_040_020, 520, 12)), None, "it slept twice");
        let elsewhere = RunRecord { migrations: 4, ..record(1_040_020, 520, 11) };
        assert_eq!(asleep.slept_until(&elsewhere), None, "another CPU has another clock");
        let preempted = RunRecord { involuntary: 8, ..record(1_040_020, 520, 11) };
        assert_eq!(asleep.slept_until(&preempted), None);
        assert_eq!(asleep.slept_until(&record(900_000, 520, 11)), None, "a clock that went back");
    }
}
