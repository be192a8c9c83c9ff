//! What a program's run leaves for the printer: a record for each thing it prints, on a bounded queue.
//!
//! **Neither the task nor the tracer waits for it**: a record that finds the queue full is dropped and counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

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
/// How much memory they may hold, bytes.
pub const QUEUE_BYTES: usize = 64 << 20;

/// One thing to print.
#[derive(Clone, Debug)]
pub enum Record {
    /// A script begins: nanoseconds since 1970.
    Begin(u64),
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
    /// A script has ended.
    ScriptEnd(ScriptCounts),
    /// Nothing follows; the script's exit code.
    End(i32),
}

/// What a script has done, by which a reader can prove that it has everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptCounts {
    /// How often its probes were hit.
    pub hits: u64,
    /// What it has printed, and warnings: each is one line of JSON, or lost.
    pub records: u64,
    /// How many of them were dropped.
    pub lost: u64,
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

impl Record {
    /// Whether it is something that a script has made: in JSON each of these is one line.
    fn is_counted(&self) -> bool {
        match self {
            Record::Printf(..)
            | Record::Told(..)
            | Record::Value(..)
            | Record::Map(_)
            | Record::Time(..)
            | Record::Cat(..)
            | Record::System(..)
            | Record::Join(..)
            | Record::Warning(_) => true,
            Record::Begin(_)
            | Record::Attached(_)
            | Record::Lost(_)
            | Record::CallsBegin(_)
            | Record::Call(_)
            | Record::HeldBack(_)
            | Record::CallsEnd(_)
            | Record::Gap
            | Record::ScriptEnd(_)
            | Record::End(_) => false,
        }
    }

    /// How much memory it holds, bytes.
    fn weight(&self) -> usize {
        let own = std::mem::size_of::<Record>();
        own + match self {
            Record::Printf(_, values) | Record::Told(_, _, values) | Record::Cat(_, values) => weight_of(values),
            Record::System(_, values) => weight_of(values),
            Record::Value(_, value) => value.weight(),
            Record::Map(rows) => rows.rows.iter().map(|(key, cell)| key.weight() + cell.weight()).sum(),
            Record::Join(texts, _) => texts.iter().map(|text| text.bytes().len()).sum(),
            Record::Call(call) => call.weight(),
            Record::Warning(text) => text.len(),
            _ => 0,
        }
    }
}

fn weight_of(values: &[Value]) -> usize {
    values.iter().map(Value::weight).sum()
}

/// What is on the queue.
#[derive(Debug, Default)]
struct Load {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

/// The writing end of the queue.
#[derive(Debug)]
pub struct Output {
    queue: Sender<Record>,
    load: Arc<Load>,
    /// Dropped since the printer was last told.
    untold: u64,
    /// Dropped in all.
    lost: u64,
    /// What the script has made, the dropped ones too.
    made: u64,
}

/// The reading end of the queue.
#[derive(Debug)]
pub struct Records {
    queue: Receiver<Record>,
    load: Arc<Load>,
}

/// A queue of records. It has no bound of its own: [`Output::send`] keeps it to [`QUEUE`] and [`QUEUE_BYTES`].
pub fn queue() -> (Output, Records) {
    let (queue, records) = crossbeam_channel::unbounded();
    let load = Arc::new(Load::default());
    (Output { queue, load: Arc::clone(&load), untold: 0, lost: 0, made: 0 }, Records { queue: records, load })
}

impl Output {
    /// Queues a record, or counts it as lost where the printer is too far behind.
    pub fn send(&mut self, record: Record) {
        let weight = record.weight();
        let queued = self.load.bytes.load(Ordering::Relaxed);
        let is_full =
            self.load.records.load(Ordering::Relaxed) >= QUEUE || (queued > 0 && queued + weight > QUEUE_BYTES);
        if is_full {
            self.made += u64::from(record.is_counted());
            self.untold += 1;
            self.lost += 1;
            return;
        }
        self.put(record, weight);
    }

    /// Queues what must not be lost: what a trace says once, and its end.
    pub fn send_surely(&mut self, record: Record) {
        let weight = record.weight();
        self.put(record, weight);
    }

    fn put(&mut self, record: Record, weight: usize) {
        if self.untold > 0 {
            let lost = Record::Lost(std::mem::take(&mut self.untold));
            let weight = lost.weight();
            self.queue_up(lost, weight);
        }
        self.made += u64::from(record.is_counted());
        self.queue_up(record, weight);
    }

    fn queue_up(&mut self, record: Record, weight: usize) {
        self.load.records.fetch_add(1, Ordering::Relaxed);
        self.load.bytes.fetch_add(weight, Ordering::Relaxed);
        // A printer that has ended prints no more.
        let _ = self.queue.send(record);
    }

    /// How many records were dropped.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many the script has made, those that were dropped among them.
    pub fn made(&self) -> u64 {
        self.made
    }
}

impl Records {
    /// The next record, if there is one.
    pub fn next_now(&self) -> Option<Record> {
        self.queue.try_recv().ok().map(|record| self.taken(record))
    }

    /// The next record; `None` when there is nobody who could send one.
    pub fn next(&self) -> Option<Record> {
        self.queue.recv().ok().map(|record| self.taken(record))
    }

    fn taken(&self, record: Record) -> Record {
        self.load.records.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(record.weight(), Ordering::Relaxed);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_told_when_there_is_room() {
        let (mut output, records) = queue();
        for number in 0..QUEUE as u64 + 3 {
            output.send(Record::Value(Ty::LONG, Value::Number(number)));
        }
        assert_eq!((output.made(), output.lost()), (QUEUE as u64 + 3, 3));
        for _ in 0..QUEUE {
            assert!(matches!(records.next_now(), Some(Record::Value(..))));
        }
        assert!(records.next_now().is_none());
        output.send(Record::Gap);
        assert!(matches!(records.next_now(), Some(Record::Lost(3))));
        assert!(matches!(records.next_now(), Some(Record::Gap)));
        assert_eq!(records.load.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn large_records_are_bounded_by_their_memory_and_the_end_is_never_lost() {
        let (mut output, records) = queue();
        for _ in 0..100 {
            output.send(Record::Value(Ty::Text, Value::text(&vec![b'a'; 4 << 20])));
        }
        output.send_surely(Record::End(7));
        assert!(output.lost() > 80, "{}", output.lost());
        let mut taken = std::iter::from_fn(|| records.next_now()).collect::<Vec<_>>();
        assert!(matches!(taken.pop(), Some(Record::End(7))) && matches!(taken.pop(), Some(Record::Lost(_))));
        assert_eq!(taken.len() as u64 + output.lost(), 100);
    }
}
