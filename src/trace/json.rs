//! What is printed, as bpftrace's JSON: one object a line, `{"type": .., "data": ..}`.

use std::fmt::Write;
use std::sync::Arc;

use super::map::{mean, Cell};
use super::record::{MapRows, ScriptCounts};
use super::show::{intervals, Intervals, Shower};
use super::value::Value;
use crate::lang::script::types::{Aggregate, Sign, Ty};

/// The version of what is beyond bpftrace's JSON: `begin` and `end`.
const FORMAT: u32 = 1;

/// `{"type": "begin", "data": {..}}`: the first line.
pub fn begin(time_ns: u64) -> String {
    format!("{{\"type\": \"begin\", \"data\": {{\"format\": {FORMAT}, \"time_ns\": {time_ns}}}}}\n")
}

/// `{"type": "end", "data": {..}}`: the last line.
pub fn end(counts: &ScriptCounts) -> String {
    let ScriptCounts { hits, records, lost } = counts;
    format!("{{\"type\": \"end\", \"data\": {{\"hits\": {hits}, \"records\": {records}, \"lost\": {lost}}}}}\n")
}

/// `{"type": "printf", "data": "text"}`.
pub fn text(kind: &str, text: &str) -> String {
    format!("{{\"type\": \"{kind}\", \"data\": {}}}\n", quoted(text))
}

/// `{"type": "attached_probes", "count": 1, "data": {"probes": 1}}`, and the like for lost events.
pub fn count(kind: &str, name: &str, count: u64) -> String {
    format!("{{\"type\": \"{kind}\", \"count\": {count}, \"data\": {{\"{name}\": {count}}}}}\n")
}

/// A printed value.
pub fn value(shower: &mut Shower, ty: &Ty, value: &Value) -> String {
    format!("{{\"type\": \"value\", \"data\": {}}}\n", encode(shower, ty, value))
}

/// A map.
pub fn map(shower: &mut Shower, rows: &MapRows) -> String {
    let program = Arc::clone(&shower.program);
    let info = &program.maps[usize::from(rows.map.0)];
    let kind = match info.value {
        Ty::Aggregate(Aggregate::Histogram(_) | Aggregate::Linear { .. }) => "hist",
        Ty::Aggregate(Aggregate::Stats(_) | Aggregate::Average(_)) => "stats",
        Ty::Aggregate(Aggregate::Series(_)) => "tseries",
        _ => "map",
    };
    let mut parts = Vec::new();
    for (key, shown) in shower.sorted(rows) {
        let encoded = match (&shown, &info.value) {
            (Cell::Series(values), Ty::Aggregate(Aggregate::Series(series))) => {
                values.json(series, rows.last_interval(), &shower.format_time)
            }
            _ => cell(shower, &info.value, &shown, rows.divide),
        };
        if info.key.is_empty() {
            parts.push(encoded);
        } else {
            let key: String = shower.key(&info.key, &key).chars().filter(|letter| *letter != ' ').collect();
            parts.push(format!("{}: {encoded}", quoted(&key)));
        }
    }
    let data = match info.key.is_empty() {
        true => parts.pop().unwrap_or_else(|| "0".into()),
        false => format!("{{{}}}", parts.join(", ")),
    };
    format!("{{\"type\": \"{kind}\", \"data\": {{{}: {data}}}}}\n", quoted(&info.name))
}

fn cell(shower: &mut Shower, ty: &Ty, cell: &Cell, divide: u64) -> String {
    match (cell, ty) {
        (Cell::Value(value), _) if divide <= 1 => encode(shower, ty, value),
        (Cell::Buckets(_), Ty::Aggregate(aggregate)) => histogram(&intervals(cell, *aggregate, divide)),
        (Cell::Mean(count, total), Ty::Aggregate(Aggregate::Stats(sign))) => {
            let average = integer(mean(*count, *total, *sign) / divide.max(1), *sign);
            format!("{{\"count\": {count}, \"average\": {average}, \"total\": {}}}", integer(*total, *sign))
        }
        _ => shower.cell(ty, cell, divide),
    }
}

fn histogram(shown: &Intervals) -> String {
    let mut parts = Vec::new();
    for (at, count) in shown.counts.iter().enumerate() {
        let mut part = String::new();
        let lower = if at == 0 { shown.lower.as_ref() } else { shown.upper.get(at - 1) };
        if let Some(lower) = lower {
            let _ = write!(part, "\"min\": {}, ", lower.value);
        }
        if let Some(upper) = shown.upper.get(at) {
            let _ = write!(part, "\"max\": {}, ", upper.value - 1);
        }
        parts.push(format!("{{{part}\"count\": {count}}}"));
    }
    format!("[{}]", parts.join(","))
}

fn encode(shower: &mut Shower, ty: &Ty, value: &Value) -> String {
    match ty {
        Ty::Tuple(types) => {
            let parts: Vec<String> =
                types.iter().enumerate().map(|(at, ty)| encode(shower, ty, &value.part(at))).collect();
            format!("[{}]", parts.join(","))
        }
        Ty::Integer(_, sign) => integer(value.number(), *sign),
        Ty::Pointer(_) | Ty::Enum(_) | Ty::Unknown => integer(value.number(), Sign::Unsigned),
        Ty::Bool => (value.number() != 0).to_string(),
        other => quoted(&shower.value(other, value)),
    }
}

/// A number; one that a double does not hold is a text.
fn integer(number: u64, sign: Sign) -> String {
    let (text, exact) = match sign {
        Sign::Signed => ((number as i64).to_string(), (number as i64) as f64 as i64 == number as i64),
        Sign::Unsigned => (number.to_string(), number as f64 as u64 == number),
    };
    if exact {
        text
    } else {
        quoted(&text)
    }
}

/// A JSON text.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
