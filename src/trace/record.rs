//! What a program's run leaves for the printer: a record for each thing it prints, on a bounded queue.
//!
//! **The task never waits for it**: a record that finds the queue full is dropped and counted.

use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError};

use super::call::{Call, CallCounts};
use super::map::Cell;
use super::value::{Text, Value};
use crate::lang::script::format::Format;
use crate::lang::script::program::MapId;
use crate::lang::script::types::Ty;

/// Writes a time: a strftime(3) format and nanoseconds since the epoch.
pub type FormatTime = Box<dyn Fn(&str, u64) -> String + Send>;

/// How many records the printer may be behind.
pub const QUEUE: usize = 32_768;

/// One thing to print.
#[derive(Clone, Debug)]
pub enum Record {
    /// So many probes are in place.
    Attached(u64),
    /// `printf`.
    Printf(Arc<Format>, Vec<Value>),
    /// `errorf`, `warnf`: what stands before it, and the text.
    Told(Arc<str>, Arc<Format>, Vec<Value>),
    /// `print` of a value.
    Value(Ty, Value),
    /// `print` of a map, or a map at the end.
    Map(MapRows),
    /// `time`: the format, and nanoseconds since the epoch.
    Time(Arc<str>, u64),
    /// `cat`: the file's name.
    Cat(Arc<Format>, Vec<Value>),
    /// `system`: the command.
    System(Arc<Format>, Vec<Value>),
    /// `join`.
    Join(Vec<Text>, Arc<str>),
    /// So many records were dropped.
    Lost(u64),
    /// Calls are reported from now on: nanoseconds since 1970.
    CallsBegin(u64),
    /// A call.
    Call(Box<Call>),
    /// So many calls were not reported, by the greatest rate.
    HeldBack(u64),
    /// No call follows.
    CallsEnd(CallCounts),
    /// Something the user should know.
    Warning(String),
    /// The two blank lines between what the script printed and its maps.
    Gap,
    /// Nothing follows; the script's exit code.
    End(i32),
}

/// A map's contents at one moment.
#[derive(Clone, Debug)]
pub struct MapRows {
    /// Which.
    pub map: MapId,
    /// Keys and what they lead to, in no order.
    pub rows: Vec<(Value, Cell)>,
    /// Only so many, the greatest.
    pub top: Option<usize>,
    /// Values are divided by this.
    pub divide: u64,
}

impl MapRows {
    /// The last interval of all the map's time series.
    pub fn last_interval(&self) -> u64 {
        let last = |(_, cell): &(Value, Cell)| match cell {
            Cell::Series(values) => values.last(),
            _ => None,
        };
        self.rows.iter().filter_map(last).max().unwrap_or(0)
    }
}

/// The writing end of the queue.
#[derive(Debug)]
pub struct Output {
    queue: Sender<Record>,
    /// Dropped since the printer was last told.
    untold: u64,
    /// Dropped in all.
    lost: u64,
    /// Queued in all.
    sent: u64,
}

impl Output {
    /// An output to this queue.
    pub fn new(queue: Sender<Record>) -> Output {
        Output { queue, untold: 0, lost: 0, sent: 0 }
    }

    /// Queues a record, or counts it as lost.
    pub fn send(&mut self, record: Record) {
        if self.untold > 0 && self.queue.try_send(Record::Lost(self.untold)).is_ok() {
            self.untold = 0;
        }
        match self.queue.try_send(record) {
            Ok(()) => self.sent += 1,
            Err(TrySendError::Full(_)) => {
                self.untold += 1;
                self.lost += 1;
            }
            // A printer that has ended prints no more.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Queues what must not be lost, with nothing running that could be held up.
    pub fn send_surely(&mut self, record: Record) {
        if self.untold > 0 && self.queue.send(Record::Lost(self.untold)).is_ok() {
            self.untold = 0;
        }
        if self.queue.send(record).is_ok() {
            self.sent += 1;
        }
    }

    /// How many records were queued, and how many dropped.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent, self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_told_when_there_is_room() {
        let (queue, records) = crossbeam_channel::bounded(2);
        let mut output = Output::new(queue);
        for _ in 0..5 {
            output.send(Record::Gap);
        }
        assert_eq!(output.counts(), (2, 3));
        assert_eq!(records.try_iter().count(), 2);
        output.send(Record::Gap);
        assert!(matches!(records.try_recv(), Ok(Record::Lost(3))));
        assert!(matches!(records.try_recv(), Ok(Record::Gap)));
    }
}
