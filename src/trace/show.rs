//! Values, histograms and maps as text, the way bpftrace prints them.

use std::fmt::Write;
use std::sync::Arc;

use super::map::{mean, Cell};
use super::names::Names;
use super::record::{FormatTime, MapRows};
use super::value::Value;
use crate::lang::script::number::narrow;
use crate::lang::script::types::{Aggregate, Sign, StackMode, Ty};
use crate::lang::script::Program;

/// What values are shown with.
pub struct Shower {
    /// Types and maps.
    pub program: Arc<Program>,
    /// Names of frames.
    pub names: Names,
    /// The calendar.
    pub format_time: FormatTime,
    /// Names of users, as /etc/passwd has them.
    pub users: Vec<(u32, String)>,
}

/// A histogram's intervals.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Intervals {
    /// The lower end of the first one; none: it has no lower end.
    pub lower: Option<Label>,
    /// The upper end of each; the last may have none.
    pub upper: Vec<Label>,
    /// How many values are in each.
    pub counts: Vec<u64>,
}

/// An end of an interval.
#[derive(Clone, PartialEq, Debug)]
pub struct Label {
    /// Its value.
    pub value: i64,
    /// As it is written, where that is not the number: `16M`.
    pub written: Option<String>,
}

/// How wide a histogram's bar may be, letters.
const BAR: f32 = 52.0;

impl Label {
    fn plain(value: i64) -> Label {
        Label { value, written: None }
    }

    fn text(&self) -> String {
        self.written.clone().unwrap_or_else(|| self.value.to_string())
    }
}

impl Shower {
    /// A value as text.
    pub fn value(&mut self, ty: &Ty, value: &Value) -> String {
        match (ty, value) {
            (Ty::Tuple(types), value) => {
                let parts: Vec<String> =
                    types.iter().enumerate().map(|(at, ty)| self.value(ty, &value.part(at))).collect();
                format!("({})", parts.join(", "))
            }
            (Ty::Record(_) | Ty::Array(..), value) => self.object(ty, value.bytes()),
            (Ty::Stack(mode), Value::Stack(stack)) => self.names.stack(stack, *mode),
            (_, Value::Stack(stack)) => self.names.stack(stack, StackMode::Bpftrace),
            (Ty::KernelStack, _) => "\n".into(),
            (_, Value::Symbol(stack)) => self.names.symbol(stack),
            (_, Value::Text(text)) => String::from_utf8_lossy(text.bytes()).into_owned(),
            (_, Value::Bytes(bytes)) => escape_bytes(bytes),
            (_, Value::Address(address)) => address.to_string(),
            (_, Value::Hardware(bytes)) => {
                let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                parts.join(":")
            }
            (_, Value::User(user)) => self.user(*user),
            (_, Value::Time(nanoseconds, format)) => (self.format_time)(format, *nanoseconds),
            (Ty::Text | Ty::Buffer | Ty::Stack(_) | Ty::Symbol | Ty::User | Ty::Time, Value::None) => String::new(),
            (Ty::Inet, Value::None) => "0.0.0.0".into(),
            (ty, value) => self.number(ty, value.number()),
        }
    }

    fn user(&self, user: u32) -> String {
        let known = self.users.iter().find(|(id, _)| *id == user);
        known.map_or_else(|| user.to_string(), |(_, name)| name.clone())
    }

    fn number(&self, ty: &Ty, number: u64) -> String {
        match ty {
            Ty::Bool => (number != 0).to_string(),
            Ty::Pointer(_) => format!("{number:#x}"),
            Ty::Enum(id) => {
                let values = &self.program.types.enumeration(*id).values;
                let named = values.iter().find(|(_, value)| *value == number);
                named.map_or_else(|| number.to_string(), |(name, _)| name.clone())
            }
            other => match other.sign() {
                Sign::Signed => (number as i64).to_string(),
                Sign::Unsigned => number.to_string(),
            },
        }
    }

    /// A structure or array out of its bytes.
    fn object(&mut self, ty: &Ty, bytes: &[u8]) -> String {
        let program = Arc::clone(&self.program);
        match ty {
            Ty::Record(id) => {
                let mut parts = Vec::new();
                for field in &program.types.record(*id).fields {
                    let tail = bytes.get(field.offset as usize..).unwrap_or_default();
                    parts.push(format!(".{} = {}", field.name, self.object(&field.ty, tail)));
                }
                if parts.is_empty() {
                    "{}".into()
                } else {
                    format!("{{ {} }}", parts.join(", "))
                }
            }
            Ty::Array(of, _) if **of == Ty::CHAR => {
                let length = (program.types.size(ty) as usize).min(bytes.len());
                let end = bytes[..length].iter().position(|byte| *byte == 0).unwrap_or(length);
                String::from_utf8_lossy(&bytes[..end]).into_owned()
            }
            Ty::Array(of, count) => {
                let size = program.types.size(of) as usize;
                let element = |at: u64| bytes.get(at as usize * size..).unwrap_or_default();
                let parts: Vec<String> = (0..*count).map(|at| self.object(of, element(at))).collect();
                format!("[{}]", parts.join(","))
            }
            plain => {
                let size = program.types.size(plain).min(8) as usize;
                let raw = super::value::little_endian(bytes.get(..size).unwrap_or(bytes));
                self.number(plain, narrow(raw, size as u8, plain.sign()))
            }
        }
    }

    /// A key as it stands between brackets.
    pub fn key(&mut self, types: &[Ty], key: &Value) -> String {
        match types {
            [one] => self.value(one, key),
            several => {
                let parts: Vec<String> =
                    several.iter().enumerate().map(|(at, ty)| self.value(ty, &key.part(at))).collect();
                parts.join(", ")
            }
        }
    }

    /// A map's lines.
    pub fn map(&mut self, rows: &MapRows) -> String {
        let program = Arc::clone(&self.program);
        let info = &program.maps[usize::from(rows.map.0)];
        let mut text = String::new();
        for (key, cell) in self.sorted(rows) {
            let head = if info.key.is_empty() {
                info.name.clone()
            } else {
                format!("{}[{}]", info.name, self.key(&info.key, &key))
            };
            match (&cell, &info.value) {
                (Cell::Series(values), Ty::Aggregate(Aggregate::Series(series))) => {
                    let drawn = values.draw(series, rows.last_interval(), &self.format_time);
                    let _ = writeln!(text, "{head}:\n{drawn}");
                }
                (Cell::Buckets(_), Ty::Aggregate(aggregate)) => {
                    let _ = writeln!(text, "{head}:\n{}", histogram(&intervals(&cell, *aggregate, rows.divide)));
                }
                _ => {
                    let _ = writeln!(text, "{head}: {}", self.cell(&info.value, &cell, rows.divide));
                }
            }
        }
        if rows.rows.is_empty() && info.key.is_empty() {
            // A scalar that was never set is printed as nothing would be.
            let zero = self.value(&info.value, &Value::None);
            let _ = writeln!(text, "{}: {zero}", info.name);
        }
        text
    }

    /// What a cell holds as text.
    pub fn cell(&mut self, ty: &Ty, cell: &Cell, divide: u64) -> String {
        let sign = ty.sign();
        let divided = |number: u64| match sign {
            Sign::Signed => (number as i64 / divide.max(1) as i64).to_string(),
            Sign::Unsigned => (number / divide.max(1)).to_string(),
        };
        match (cell, ty) {
            (Cell::Value(value), Ty::Integer(..)) if divide > 1 => divided(value.number()),
            (Cell::Value(value), _) => self.value(ty, value),
            (Cell::Number(number), _) => divided(*number),
            (Cell::Mean(count, total), Ty::Aggregate(Aggregate::Stats(_))) => {
                let average = divided(mean(*count, *total, sign));
                let total = if sign == Sign::Signed { (*total as i64).to_string() } else { total.to_string() };
                format!("{{ .count = {count}, .average = {average}, .total = {total} }}")
            }
            (Cell::Mean(count, total), _) => divided(mean(*count, *total, sign)),
            (Cell::Buckets(buckets), _) => buckets.iter().sum::<u64>().to_string(),
            (Cell::Series(_), _) => String::new(),
        }
    }

    /// Rows in the order in which they are printed: by value, or by key where values have no order; the greatest only.
    pub fn sorted(&mut self, rows: &MapRows) -> Vec<(Value, Cell)> {
        let program = Arc::clone(&self.program);
        let info = &program.maps[usize::from(rows.map.0)];
        let mut sorted: Vec<(Vec<Rank>, Value, Cell)> =
            rows.rows.iter().map(|(key, cell)| (self.rank(&info.key, key), key.clone(), cell.clone())).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let by_value = matches!(info.value, Ty::Integer(..) | Ty::Aggregate(_));
        if by_value {
            let sign = info.value.sign();
            let rank = |cell: &Cell| match (cell.number(sign), sign) {
                (number, Sign::Signed) => i128::from(number as i64),
                (number, Sign::Unsigned) => i128::from(number),
            };
            sorted.sort_by_key(|(_, _, cell)| rank(cell));
        }
        let skipped = rows.top.map_or(0, |top| sorted.len().saturating_sub(top));
        sorted.into_iter().skip(skipped).map(|(_, key, cell)| (key, cell)).collect()
    }

    fn rank(&mut self, types: &[Ty], key: &Value) -> Vec<Rank> {
        let single = types.len() == 1;
        types
            .iter()
            .enumerate()
            .map(|(at, ty)| {
                let part = if single { key.clone() } else { key.part(at) };
                match (&part, ty) {
                    (Value::Number(number), _) => Rank::Number(*number as i64),
                    (other, ty) => Rank::Text(self.value(ty, other)),
                }
            })
            .collect()
    }
}

/// The place of a key among others.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(i64),
    Text(String),
}

/// Bytes as text: those that are no ASCII letters as `\xNN`.
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            32..=126 => text.push(char::from(*byte)),
            other => {
                let _ = write!(text, "\\x{other:02x}");
            }
        }
    }
    text
}

/// The intervals of a histogram that hold something, and those between them.
pub fn intervals(cell: &Cell, aggregate: Aggregate, divide: u64) -> Intervals {
    let Cell::Buckets(buckets) = cell else { return Intervals::default() };
    let used = |bucket: &u64| *bucket > 0;
    let (Some(first), Some(last)) = (buckets.iter().position(used), buckets.iter().rposition(used)) else {
        return Intervals::default();
    };
    let mut found = Intervals::default();
    match aggregate {
        Aggregate::Linear { min, max, step } => {
            let end = |at: usize| linear_label(min + at as i64 * step, step);
            found.lower = first.checked_sub(1).map(end);
            for (at, count) in buckets.iter().enumerate().take(last + 1).skip(first) {
                if min + at as i64 * step <= max {
                    found.upper.push(end(at));
                }
                found.counts.push(*count);
            }
        }
        Aggregate::Histogram(bits) => {
            let end = |at: usize| power_label(at, bits);
            found.lower = first.checked_sub(1).map(end);
            for (at, count) in buckets.iter().enumerate().take(last + 1).skip(first) {
                found.upper.push(end(at));
                found.counts.push(*count / divide.max(1));
            }
        }
        _ => {}
    }
    found
}

/// The upper end of an interval over powers of two.
fn power_label(at: usize, bits: u8) -> Label {
    if at <= 2 << bits {
        return Label::plain(at as i64);
    }
    let parts = 1u64 << bits;
    let part = at as u64 & (parts - 1);
    let power = (at >> bits) as u32 - 1;
    let value = 1u64.checked_shl(power).unwrap_or(0).wrapping_mul(parts + part);
    let (decade, rest) = (power / 10, power % 10);
    let suffix = ["", "K", "M", "G", "T", "P", "E"].get(decade as usize).copied().unwrap_or("");
    Label { value: value as i64, written: Some(format!("{}{suffix}", (1u64 << rest) * (parts + part))) }
}

fn linear_label(value: i64, step: i64) -> Label {
    const KILO: i64 = 1024;
    const MEGA: i64 = 1024 * 1024;
    let written = match value {
        _ if step % KILO != 0 => return Label::plain(value),
        0 => "0".into(),
        value if value % MEGA == 0 => format!("{}M", value / MEGA),
        value if value % KILO == 0 => format!("{}K", value / KILO),
        value => value.to_string(),
    };
    Label { value, written: Some(written) }
}

/// A histogram's lines.
pub fn histogram(shown: &Intervals) -> String {
    let most = shown.counts.iter().copied().max().unwrap_or(0).max(1);
    let mut text = String::new();
    for (at, count) in shown.counts.iter().enumerate() {
        let lower = if at == 0 { shown.lower.as_ref() } else { shown.upper.get(at - 1) };
        let head = match (lower, shown.upper.get(at)) {
            (None, Some(upper)) => format!("(..., {})", upper.text()),
            (Some(lower), None) => format!("[{}, ...)", lower.text()),
            (Some(lower), Some(upper)) if is_single(lower, upper) => format!("[{}]", lower.text()),
            (Some(lower), Some(upper)) => format!("[{}, {})", lower.text(), upper.text()),
            (None, None) => String::new(),
        };
        let bar = "@".repeat((*count as f32 / most as f32 * BAR) as usize);
        let _ = writeln!(text, "{head:<16}{count:>8} |{bar:<52}|");
    }
    text
}

fn is_single(lower: &Label, upper: &Label) -> bool {
    lower.written.is_none() && upper.written.is_none() && lower.value + 1 == upper.value
}
