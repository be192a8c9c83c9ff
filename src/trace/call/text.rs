//! Calls as lines for people.

use std::fmt::Write;

use super::error_number::error_name;
use super::{Call, CallArgument, CallCounts, Callee, Certainty, Outcome, Paint};
use crate::trace::names::Names;
use crate::trace::record::FormatTime;
use crate::trace::value::StackValue;

/// `12:34:56.789012 wrk:worker_0[1234] listen(fd=12, backlog=4096) = 0 <31.2us>`, and its stack below.
pub fn call(call: &Call, names: &mut Names, format_time: &FormatTime, paint: Paint) -> String {
    let mut text = format_time("%H:%M:%S.%f", call.time_ns);
    let (thread, function) = (safe(&String::from_utf8_lossy(call.thread.bytes())), safe(call.callee.name()));
    let (thread, function) = (paint.thread(&thread), paint.function(&function));
    let _ = write!(text, " {thread}[{}] {function}({})", call.tid, arguments(&call.arguments));
    text.push_str(&outcome(&call.callee, call.outcome, paint));
    text.push('\n');
    if let Some(stack) = &call.stack {
        text.push_str(&frames(stack, names, paint));
    }
    text
}

/// `fd=12, backlog=4096`: a guess is marked.
pub fn arguments(arguments: &[CallArgument]) -> String {
    let one = |argument: &CallArgument| {
        let mark = if argument.certainty == Certainty::Known { "" } else { "?" };
        match &argument.name {
            Some(name) => format!("{name}={}{mark}", safe(&argument.text)),
            None => format!("{}{mark}", safe(&argument.text)),
        }
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn outcome(callee: &Callee, outcome: Outcome, paint: Paint) -> String {
    match outcome {
        Outcome::Entered => String::new(),
        Outcome::Returned { value, duration } => {
            let value = returned(callee, value);
            let value = if value.starts_with("-1 ") { paint.error(&value) } else { value.as_str().into() };
            format!(" = {value} <{}>", time(duration))
        }
        Outcome::Left { duration } => format!(" = ? (left without a return) <{}>", time(duration)),
        Outcome::Unfinished => " = ? (has not returned)".to_owned(),
    }
}

/// A returned value, whose type is not known: numbers of a usual size as numbers, all else as an address would be.
pub fn returned(callee: &Callee, value: u64) -> String {
    let signed = value as i64;
    match callee {
        // The kernel's convention: -4095 to -1 is an error (syscall(2)).
        Callee::Kernel { .. } if (-4095..0).contains(&signed) => match error_name(-signed) {
            Some(name) => format!("-1 {name}"),
            None => format!("{signed}"),
        },
        // Envoy's SysCallResult<int>: rc, and in the upper half errno as it was then.
        Callee::Function { name, .. } if name.contains("SysCallsImpl::") && error_name(signed >> 32).is_some() => {
            match value as i32 {
                -1 => format!("-1 {}", error_name(signed >> 32).unwrap_or_default()),
                result => format!("{result}"),
            }
        }
        _ if signed.unsigned_abs() <= u64::from(u32::MAX) >> 1 => format!("{signed}"),
        // An `int` leaves the upper half of the register as it is, mostly zeros.
        _ if value >> 32 == 0 && (-4095..0).contains(&i64::from(value as i32)) => {
            format!("{value:#x} ({})", value as i32)
        }
        _ => format!("{value:#x}"),
    }
}

/// `31.2us`.
pub fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{:.1}us", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.2}s", nanoseconds as f64 / 1e9),
    }
}

fn frames(stack: &StackValue, names: &mut Names, paint: Paint) -> String {
    let mut text = String::new();
    for (pc, lookup) in &stack.frames {
        let module = stack.space.module_at(*lookup).map(|one| one.module.name()).unwrap_or_default();
        let place = names.place(stack, *pc, *lookup);
        let _ = writeln!(text, "        {} {}", paint.function(&place), safe(&module));
    }
    text
}

/// What is told at the end where not every call was shown.
pub fn account(counts: &CallCounts) -> Option<String> {
    let mut parts = Vec::new();
    if counts.held_back > 0 {
        parts.push(format!("{} held back by --max-rate", counts.held_back));
    }
    if counts.lost > 0 {
        parts.push(format!("{} lost: the output could not keep up", counts.lost));
    }
    if counts.open > 0 {
        parts.push(format!("{} have not returned", counts.open));
    }
    (!parts.is_empty()).then(|| format!("{} calls: {}\n", counts.hits, parts.join(", ")))
}

/// What comes from the target cannot drive the terminal.
fn safe(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let one = |letter: char| match letter {
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returned_values_read_as_numbers_errors_or_addresses() {
        let kernel = Callee::Kernel { name: "bind".into() };
        let function = Callee::Function { name: "f".into(), module: None };
        assert_eq!(returned(&kernel, -98i64 as u64), "-1 EADDRINUSE");
        assert_eq!(returned(&kernel, -512i64 as u64), "-1 ERESTARTSYS");
        assert_eq!(returned(&function, 0xffff_ffff), "0xffffffff (-1)");
        assert_eq!(returned(&function, -1i64 as u64), "-1");
        assert_eq!(returned(&function, 12), "12");
        let envoy = Callee::Function { name: "Envoy::Api::OsSysCallsImpl::accept".into(), module: None };
        assert_eq!(returned(&envoy, 0xb_ffff_ffff), "-1 EAGAIN");
        assert_eq!(returned(&envoy, 0x2_0000_0009), "9");
        assert_eq!(returned(&function, 0x7f12_3456_7890), "0x7f1234567890");
    }

    #[test]
    fn times_have_a_unit_and_losses_are_told() {
        assert_eq!(
            [time(999), time(31_200), time(2_000_000), time(3_500_000_000)],
            ["999ns", "31.2us", "2.0ms", "3.50s"]
        );
        let counts = CallCounts { hits: 9, reported: 4, held_back: 5, ..CallCounts::default() };
        assert_eq!(account(&counts).as_deref(), Some("9 calls: 5 held back by --max-rate\n"));
        assert_eq!(account(&CallCounts { hits: 4, reported: 4, ..CallCounts::default() }), None);
    }

    #[test]
    fn a_name_from_the_target_cannot_drive_the_terminal() {
        assert_eq!(safe("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }
}
