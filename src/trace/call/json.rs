//! Calls as JSON, one object a line. docs/trace-format.md is the schema.

use serde_json::{json, Value};

use super::{Call, CallCounts, Callee, Certainty, Outcome};
use crate::trace::names::Names;

/// The schema's version: a reader must refuse a greater one.
const FORMAT: u32 = 1;

/// `{"type":"begin", ..}`.
pub fn begin(time_ns: u64) -> String {
    line(&json!({ "type": "begin", "format": FORMAT, "time_ns": time_ns }))
}

/// `{"type":"hit", ..}`.
pub fn call(call: &Call, names: &mut Names) -> String {
    let (kind, module) = match &call.callee {
        Callee::Function { module, .. } => ("function", module.as_deref()),
        Callee::Kernel { .. } => ("syscall", None),
    };
    let arguments: Vec<Value> = call
        .arguments
        .iter()
        .map(|one| json!({ "name": one.name, "text": one.text, "certain": one.certainty == Certainty::Known }))
        .collect();
    let (outcome, value, duration) = match call.outcome {
        Outcome::Entered => ("entered", None, None),
        Outcome::Returned { value, duration } => ("returned", Some(format!("{value:#x}")), Some(duration)),
        Outcome::Left { duration } => ("left", None, Some(duration)),
        Outcome::Unfinished => ("unfinished", None, None),
    };
    let stack: Option<Vec<Value>> = call.stack.as_ref().map(|stack| {
        let frame = |(pc, lookup): &(crate::base::VirtAddr, crate::base::VirtAddr)| {
            let module = stack.space.module_at(*lookup).map(|one| one.module.name());
            json!({ "pc": format!("{:#x}", pc.0), "place": &*names.place(stack, *pc, *lookup), "module": module })
        };
        stack.frames.iter().map(frame).collect()
    });
    line(&json!({
        "type": "hit",
        "number": call.number,
        "time_ns": call.time_ns,
        "pid": call.pid.0,
        "tid": call.tid.0,
        "thread": String::from_utf8_lossy(call.thread.bytes()),
        "kind": kind,
        "function": call.callee.name(),
        "module": module,
        "arguments": arguments,
        "outcome": outcome,
        "value": value,
        "duration_ns": duration,
        "stack": stack,
    }))
}

/// `{"type":"lost", ..}`: so many that the writer could not keep up with, before the next line.
pub fn lost(count: u64) -> String {
    line(&json!({ "type": "lost", "count": count }))
}

/// `{"type":"held_back", ..}`.
pub fn held_back(count: u64) -> String {
    line(&json!({ "type": "held_back", "count": count }))
}

/// `{"type":"end", ..}`.
pub fn end(counts: &CallCounts) -> String {
    line(&json!({
        "type": "end",
        "hits": counts.hits,
        "reported": counts.reported,
        "held_back": counts.held_back,
        "open": counts.open,
        "lost": counts.lost,
    }))
}

fn line(value: &Value) -> String {
    value.to_string() + "\n"
}
