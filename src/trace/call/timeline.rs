//! Calls as a timeline for ui.perfetto.dev and chrome://tracing: Chrome's Trace Event Format, JSON object form. A thread
//! is a track with its name, a call a slice; between two waits of epoll lies a slice for the round that the first began.

use std::collections::HashMap;

use serde_json::{json, Map, Value};

use super::text::returned;
use super::{Call, CallCounts, Callee, Outcome};
use crate::base::Tid;
use crate::trace::names::Names;

/// Functions and system calls that wait for events.
const WAITS: [&str; 3] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];

/// The timeline so far.
#[derive(Default)]
pub struct Timeline {
    threads: HashMap<Tid, Track>,
    /// When the trace began, nanoseconds since 1970: times are told from there, since a double would hold those since 1970
    /// to a quarter of a microsecond only.
    origin: u64,
    /// The end of the last call, from there.
    latest: u64,
    separator: &'static str,
}

/// A thread.
#[derive(Default)]
struct Track {
    pid: i32,
    name: String,
    /// When its last wait came back with events, and with how many.
    round: Option<(u64, u64)>,
}

impl Timeline {
    /// What stands before the first event.
    pub fn begin(&mut self, time_ns: u64) -> String {
        self.origin = time_ns;
        "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[".to_owned()
    }

    /// A call, its thread's name where that is new, and the round that it ends.
    pub fn call(&mut self, call: &Call, names: &mut Names) -> String {
        let mut events = Vec::new();
        let track = self.threads.entry(call.tid).or_default();
        let name = String::from_utf8_lossy(call.thread.bytes());
        if track.name != name {
            (track.name, track.pid) = (name.clone().into_owned(), call.pid.0);
            events.push(named("thread_name", call, &name));
            if call.tid == call.pid.leader() {
                events.push(named("process_name", call, &name));
            }
        }
        let (duration, value) = match call.outcome {
            Outcome::Returned { value, duration } => (Some(duration), Some(value)),
            Outcome::Left { duration } => (Some(duration), None),
            Outcome::Entered | Outcome::Unfinished => (None, None),
        };
        let began = call.time_ns.saturating_sub(self.origin);
        let end = began + duration.unwrap_or(0);
        self.latest = self.latest.max(end);
        if WAITS.contains(&call.callee.name()) {
            if let Some((since, ready)) = track.round.take_if(|(since, _)| *since < began) {
                events.push(round(track.pid, call.tid, since, began, ready));
            }
            if let Some(ready) = value.filter(|value| (*value as i32) > 0) {
                track.round = Some((end, u64::from(ready as u32)));
            }
        }
        events.push(slice(call, began, duration, value, names));
        self.join(events)
    }

    /// The rounds that were under way, and the sums.
    pub fn end(&mut self, counts: &CallCounts) -> String {
        let latest = self.latest;
        let rounds = self.threads.iter_mut().filter_map(|(tid, track)| {
            let (began, ready) = track.round.take()?;
            (began < latest).then(|| round(track.pid, *tid, began, latest, ready))
        });
        let rounds = rounds.collect();
        let sums = json!({ "began_ns": self.origin, "hits": counts.hits, "reported": counts.reported, "held_back": counts.held_back,
            "open": counts.open, "lost": counts.lost });
        format!("{}\n],\"otherData\":{sums}}}\n", self.join(rounds))
    }

    fn join(&mut self, events: Vec<Value>) -> String {
        let mut text = String::new();
        for event in events {
            text.push_str(self.separator);
            text.push('\n');
            text.push_str(&event.to_string());
            self.separator = ",";
        }
        text
    }
}

fn named(kind: &str, call: &Call, name: &str) -> Value {
    json!({ "ph": "M", "name": kind, "pid": call.pid.0, "tid": call.tid.0, "args": { "name": name } })
}

fn round(pid: i32, tid: Tid, began: u64, ended: u64, ready: u64) -> Value {
    let name = if ready == 1 { "wake: 1 event".to_owned() } else { format!("wake: {ready} events") };
    json!({ "ph": "X", "cat": "epoll", "name": name, "pid": pid, "tid": tid.0, "ts": micros(began),
        "dur": micros(ended - began), "args": { "events": ready } })
}

fn slice(call: &Call, began: u64, duration: Option<u64>, value: Option<u64>, names: &mut Names) -> Value {
    let mut details = Map::new();
    for (at, argument) in call.arguments.iter().enumerate() {
        let name = argument.name.clone().unwrap_or_else(|| format!("argument {at}"));
        details.insert(name, argument.text.clone().into());
    }
    if let Some(value) = value {
        details.insert("= value".into(), returned(&call.callee, value).into());
    }
    if let Some(stack) = &call.stack {
        let frames: Vec<Value> =
            stack.frames.iter().map(|(pc, lookup)| Value::from(&*names.place(stack, *pc, *lookup))).collect();
        details.insert("stack".into(), frames.into());
    }
    let category = if matches!(call.callee, Callee::Kernel { .. }) { "syscall" } else { "function" };
    let mut event = json!({ "cat": category, "name": call.callee.name(), "pid": call.pid.0, "tid": call.tid.0,
        "ts": micros(began), "args": details });
    match (duration, call.outcome) {
        (Some(duration), _) => {
            event["ph"] = "X".into();
            event["dur"] = micros(duration).into();
        }
        // One that begins and does not end reaches to the end of the picture.
        (None, Outcome::Unfinished) => event["ph"] = "B".into(),
        (None, _) => {
            event["ph"] = "i".into();
            event["s"] = "t".into();
        }
    }
    event
}

/// The format's unit is the microsecond, with fractions.
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Pid;
    use crate::trace::value::Text;

    fn call(name: &str, time_ns: u64, outcome: Outcome) -> Call {
        Call {
            number: 1,
            time_ns,
            pid: Pid(7),
            tid: Tid(8),
            thread: Text::new(b"wrk:worker_0"),
            callee: Callee::Kernel { name: name.into() },
            arguments: Vec::new(),
            outcome,
            stack: None,
        }
    }

    #[test]
    fn a_round_lies_between_two_waits_and_threads_are_named_once() {
        let (mut timeline, mut names) = (Timeline::default(), Names::default());
        let mut text = timeline.begin(500);
        let waited = |value, duration| Outcome::Returned { value, duration };
        text += &timeline.call(&call("epoll_wait", 1_000, waited(2, 3_000)), &mut names);
        text += &timeline.call(&call("accept4", 5_000, waited(12, 1_000)), &mut names);
        text += &timeline.call(&call("epoll_wait", 9_000, waited(0, 1_000)), &mut names);
        text += &timeline.call(&call("epoll_wait", 11_000, Outcome::Unfinished), &mut names);
        text += &timeline.end(&CallCounts::default());
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let events = parsed["traceEvents"].as_array().unwrap();
        let named = events.iter().filter(|one| one["ph"] == "M").count();
        let rounds: Vec<&Value> = events.iter().filter(|one| one["cat"] == "epoll").collect();
        assert_eq!((named, rounds.len()), (1, 1), "{text}");
        assert_eq!((rounds[0]["ts"].as_f64(), rounds[0]["dur"].as_f64()), (Some(3.5), Some(5.0)));
        assert_eq!(events.last().unwrap()["ph"], "B");
    }
}
