//! Attach points: what a probe hangs on.

use super::ast::RawPoint;
use super::error::Diagnostic;
use super::lexer::parse_integer;
use crate::base::Signal;

/// What a probe hangs on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Point {
    /// Before everything else.
    Begin,
    /// After everything else.
    End,
    /// A function of a program or library, or an instruction of one.
    Function {
        /// The file, as it is written.
        path: String,
        /// What in it.
        place: Place,
        /// Its entry or its return.
        side: Side,
    },
    /// `usdt:PATH:PROVIDER:NAME`: a static probe point of a program.
    Usdt {
        /// The file, as it is written.
        path: String,
        /// Whose; `*` and `?` stand for any.
        provider: String,
        /// Its name, in the same way.
        name: String,
    },
    /// Every so many nanoseconds.
    Interval {
        /// How many.
        period: u64,
    },
    /// Every so many nanoseconds, in each thread that is traced.
    Profile {
        /// How many.
        period: u64,
    },
    /// A system call.
    Syscall {
        /// Its name, with `*` and `?`.
        name: String,
        /// Its entry or its return.
        side: Side,
    },
    /// Every system call.
    AnySyscall {
        /// Their entry or their return.
        side: Side,
    },
    /// `kretprobe:inet_csk_accept`: a connection was accepted. Read from the socket, since nothing of the kernel is traced.
    Accepted,
    /// `watchpoint:ADDRESS:LENGTH:MODE`: bytes are accessed.
    Watch {
        /// An address, or the name of a variable.
        expression: String,
        /// How many bytes: 1, 2, 4 or 8.
        length: u64,
        /// Which accesses.
        access: Access,
    },
    /// A signal is delivered.
    Signal {
        /// Which; any where it is `None`.
        which: Option<Signal>,
    },
    /// `self:signal:SIGUSR1`: rdbg itself is sent the signal.
    OwnSignal,
}

/// The entry or the return of a function or call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The entry.
    Entry,
    /// The return.
    Return,
}

/// Which accesses to bytes a probe is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// `r`: they are read.
    Read,
    /// `w`: they are written.
    Write,
    /// `rw`: both.
    Any,
    /// `x`: the instruction there is executed.
    Execute,
}

/// What in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Functions whose name as the linker wrote it matches, `*` and `?` standing for any; and an offset, bytes.
    Linked(String, u64),
    /// Functions whose demangled name matches.
    Demangled(String),
    /// An address as the linker wrote it.
    Address(u64),
    /// Where a line of a source file begins.
    Line {
        /// The file, as the debug information has it or its end.
        file: String,
        /// From 1.
        line: u32,
    },
}

impl Point {
    /// Whether it is hit by no task: it runs by itself, whatever is traced.
    pub fn is_of_no_task(&self) -> bool {
        matches!(self, Point::Begin | Point::End | Point::Interval { .. } | Point::OwnSignal)
    }

    /// Whether it hangs on places of a file.
    pub fn is_in_file(&self) -> bool {
        matches!(self, Point::Function { .. } | Point::Usdt { .. })
    }

    /// The kind, as `probetype` gives it.
    pub fn kind(&self) -> &'static str {
        match self {
            Point::Begin | Point::End => "special",
            Point::Function { side: Side::Entry, .. } => "uprobe",
            Point::Function { side: Side::Return, .. } => "uretprobe",
            Point::Usdt { .. } => "usdt",
            Point::Interval { .. } => "interval",
            Point::Profile { .. } => "profile",
            Point::Syscall { .. } | Point::AnySyscall { .. } => "tracepoint",
            Point::Accepted => "kretprobe",
            Point::Watch { .. } => "watchpoint",
            Point::Signal { .. } => "signal",
            Point::OwnSignal => "self",
        }
    }
}

/// The signal to rdbg that a script can have a probe on, as in bpftrace: the others end the trace.
const OWN_SIGNAL: &str = "SIGUSR1";
/// Kernel functions that are emulated.
const EMULATED: &str = "kretprobe:inet_csk_accept";

/// Reads an attach point.
pub(super) fn parse(raw: &RawPoint) -> Result<Point, Diagnostic> {
    let parts: Vec<&str> = raw.text.split(':').collect();
    let provider = parts[0];
    let arguments = &parts[1..];
    let wrong = |wanted: &str| {
        let count = arguments.len();
        Diagnostic::error(raw.span, format!("{provider} probe type requires {wanted} arguments, found {count}"))
    };
    match provider {
        "BEGIN" | "begin" if arguments.is_empty() => Ok(Point::Begin),
        "END" | "end" if arguments.is_empty() => Ok(Point::End),
        "BEGIN" | "begin" | "END" | "end" => Err(wrong("0")),
        "uprobe" | "u" => function(raw, arguments, Side::Entry).ok_or_else(|| wrong("2 or 3"))?,
        "uretprobe" | "ur" => function(raw, arguments, Side::Return).ok_or_else(|| wrong("2 or 3"))?,
        "interval" | "i" => Ok(Point::Interval { period: period(raw, "interval", arguments)? }),
        "profile" | "p" => Ok(Point::Profile { period: period(raw, "profile", arguments)? }),
        "tracepoint" | "t" => match arguments {
            [group, event] => tracepoint(raw, group, event),
            _ => Err(wrong("2")),
        },
        "watchpoint" | "w" | "asyncwatchpoint" | "aw" => match arguments {
            [expression, length, mode] => watch(raw, expression, length, mode),
            _ => Err(wrong("3")),
        },
        "usdt" | "U" => match arguments {
            [path, name] => Ok(Point::Usdt { path: (*path).into(), provider: "*".into(), name: (*name).into() }),
            [path, provider, name] => {
                Ok(Point::Usdt { path: (*path).into(), provider: (*provider).into(), name: (*name).into() })
            }
            _ => Err(wrong("2 or 3")),
        },
        "signal" => match arguments {
            ["*"] => Ok(Point::Signal { which: None }),
            [name] => signal(raw, name).map(|one| Point::Signal { which: Some(one) }),
            _ => Err(wrong("1")),
        },
        "self" => match arguments {
            ["signal", OWN_SIGNAL] => Ok(Point::OwnSignal),
            ["signal", name] => Err(Diagnostic::error(raw.span, format!("{name} is not a supported signal"))
                .with_hint(format!("{OWN_SIGNAL} is, sent to rdbg; signal:NAME is for signals to the program"))),
            [other, _] => Err(Diagnostic::error(raw.span, format!("{other} is not a supported trigger"))),
            _ => Err(wrong("2")),
        },
        "kretprobe" | "kr" if arguments == ["inet_csk_accept"] => Ok(Point::Accepted),
        _ => Err(refuse(raw, provider)),
    }
}

fn refuse(raw: &RawPoint, provider: &str) -> Diagnostic {
    let instead = match provider {
        "kprobe" | "k" | "kretprobe" | "kr" | "fentry" | "fexit" | "kfunc" | "kretfunc" | "f" | "fr" => format!(
            "rdbg traces programs, not the kernel: use tracepoint:syscalls:sys_enter_NAME or sys_exit_NAME; {EMULATED} is emulated"
        ),
        "rawtracepoint" | "rt" => "use tracepoint:raw_syscalls:sys_enter or tracepoint:syscalls:sys_enter_NAME".into(),
        "software" | "s" | "hardware" | "h" => "use interval:ms:N, or profile:hz:N for samples of the program".into(),
        "iter" | "it" => "`rdbg ps` lists processes".into(),
        "bench" | "test" => "BEGIN runs once".into(),
        _ => {
            let kinds = "BEGIN, END, uprobe, uretprobe, usdt, tracepoint:syscalls, watchpoint, interval, profile, signal, self";
            return Diagnostic::error(raw.span, format!("Invalid probe type: {provider}"))
                .with_hint(format!("there are {kinds}"));
        }
    };
    Diagnostic::error(raw.span, format!("probe type {provider} is not supported without the kernel's help"))
        .with_hint(instead)
}

/// A signal by its name or number.
fn signal(raw: &RawPoint, name: &str) -> Result<Signal, Diagnostic> {
    match Signal::find_by_name(name) {
        Some(Signal::KILL) => Err(Diagnostic::error(raw.span, "no tracer sees SIGKILL before it is delivered")
            .with_hint("tracepoint:syscalls:sys_enter_kill shows who sends it")),
        Some(signal) => Ok(signal),
        None => Err(Diagnostic::error(raw.span, format!("{name} is not a valid signal"))
            .with_hint("SIGTERM, TERM, 15 and SIGRTMIN+1 are; * is any")),
    }
}

/// `PATH@FILE:LINE`: the path, and the place in it.
fn source_line(path: &str, rest: &[&str]) -> Option<(String, Place)> {
    let (path, file) = path.rsplit_once('@')?;
    let [line] = rest else { return None };
    let line = line.parse().ok().filter(|line| *line > 0)?;
    Some((path.to_owned(), Place::Line { file: file.to_owned(), line }))
}

/// `PATH:FUNCTION`, `PATH:FUNCTION+OFFSET`, `PATH:ADDRESS`, `PATH:cpp:FUNCTION`, `PATH@FILE:LINE`; `None` for too few
/// parts.
fn function(raw: &RawPoint, arguments: &[&str], side: Side) -> Option<Result<Point, Diagnostic>> {
    let (path, rest) = arguments.split_first()?;
    if rest.is_empty() {
        return None;
    }
    if let Some((path, place)) = source_line(path, rest) {
        return Some(match side {
            Side::Entry => Ok(Point::Function { path, place, side }),
            Side::Return => Err(Diagnostic::error(raw.span, "a line does not return: uprobe is for lines")),
        });
    }
    let path = (*path).to_owned();
    if rest.len() > 1 && rest[0] == "cpp" {
        let place = Place::Demangled(rest[1..].join(":"));
        return Some(Ok(Point::Function { path, place, side }));
    }
    let name = rest.join(":");
    let place = if name.starts_with(|first: char| first.is_ascii_digit()) {
        match parse_integer(&name) {
            Some(address) => Place::Address(address),
            None => {
                let text = format!("Invalid function/address argument: invalid integer: {name}");
                return Some(Err(Diagnostic::error(raw.span, text)));
            }
        }
    } else if name.contains("::") {
        Place::Demangled(name)
    } else {
        match name.rsplit_once('+') {
            Some((function, offset)) if side == Side::Entry => match parse_integer(offset) {
                Some(offset) => Place::Linked(function.to_owned(), offset),
                None => {
                    return Some(Err(Diagnostic::error(raw.span, format!("Invalid offset: invalid integer: {offset}"))))
                }
            },
            Some(_) => return Some(Err(Diagnostic::error(raw.span, "Offset not allowed"))),
            None => Place::Linked(name, 0),
        }
    };
    Some(Ok(Point::Function { path, place, side }))
}

fn watch(raw: &RawPoint, expression: &str, length: &str, mode: &str) -> Result<Point, Diagnostic> {
    let bad = |text: String| Err(Diagnostic::error(raw.span, text));
    let length = match parse_integer(length) {
        Some(length @ (1 | 2 | 4 | 8)) => length,
        _ => return bad(format!("Invalid length of watchpoint: {length}; 1, 2, 4 and 8 are")),
    };
    let access = match mode {
        "r" => Access::Read,
        "w" => Access::Write,
        "rw" | "wr" => Access::Any,
        "x" => Access::Execute,
        _ => return bad(format!("invalid watchpoint mode: {mode}; r, w, rw and x are")),
    };
    if expression.is_empty() {
        return bad("watchpoint needs an address, or the name of a variable".to_owned());
    }
    Ok(Point::Watch { expression: expression.to_owned(), length, access })
}

fn tracepoint(raw: &RawPoint, group: &str, event: &str) -> Result<Point, Diagnostic> {
    match (group, event) {
        ("raw_syscalls", "sys_enter") => return Ok(Point::AnySyscall { side: Side::Entry }),
        ("raw_syscalls", "sys_exit") => return Ok(Point::AnySyscall { side: Side::Return }),
        _ => {}
    }
    let named = event.strip_prefix("sys_enter_").map(|name| (name, Side::Entry));
    let named = named.or_else(|| event.strip_prefix("sys_exit_").map(|name| (name, Side::Return)));
    match named {
        Some((name, side)) if group == "syscalls" && !name.is_empty() => {
            Ok(Point::Syscall { name: name.to_owned(), side })
        }
        _ => Err(Diagnostic::error(raw.span, format!("No matches for tracepoint {group}:{event}."))
            .with_hint("there are tracepoint:syscalls:sys_enter_NAME and sys_exit_NAME, and tracepoint:raw_syscalls:sys_enter and sys_exit")),
    }
}

/// `s:1`, `ms:10`, `hz:99`, `100ms`.
fn period(raw: &RawPoint, provider: &str, arguments: &[&str]) -> Result<u64, Diagnostic> {
    let bad = |what: String| Diagnostic::error(raw.span, format!("Invalid rate of {provider} probe{what}"));
    let number = |text: &str| parse_integer(text).ok_or_else(|| bad(format!(": invalid integer: {text}")));
    let nanoseconds = match arguments {
        [count] => number(count)?,
        ["hz", rate] => 1_000_000_000u64.checked_div(number(rate)?).ok_or_else(|| bad(". Found: 0".into()))?,
        [unit, count] => {
            let scale = match *unit {
                "s" => 1_000_000_000,
                "ms" => 1_000_000,
                "us" => 1_000,
                "ns" => 1,
                _ => return Err(Diagnostic::error(raw.span, format!("Invalid {provider} unit: {unit}"))),
            };
            number(count)?.saturating_mul(scale)
        }
        _ => {
            let count = arguments.len();
            let text = format!("{provider} probe type requires 1 or 2 arguments, found {count}");
            return Err(Diagnostic::error(raw.span, text));
        }
    };
    if nanoseconds < 1000 {
        return Err(bad(format!(". Minimum is 1000 or 1us. Found: {nanoseconds} nanoseconds")));
    }
    Ok(nanoseconds)
}

/// Whether a name matches a pattern with `*` and `?`.
pub fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut back = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match back {
                // The last star takes one letter more.
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    (p, n) = (star + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::super::super::Span;
    use super::*;

    fn point(text: &str) -> Result<Point, String> {
        parse(&RawPoint { text: text.into(), span: Span::default() }).map_err(|error| error.message)
    }

    #[test]
    fn every_form_of_an_attach_point_is_read() {
        let function = |place, side| Ok(Point::Function { path: "/bin/a".into(), place, side });
        assert_eq!(point("uprobe:/bin/a:f"), function(Place::Linked("f".into(), 0), Side::Entry));
        assert_eq!(point("ur:/bin/a:f*g"), function(Place::Linked("f*g".into(), 0), Side::Return));
        assert_eq!(point("u:/bin/a:f+0x10"), function(Place::Linked("f".into(), 16), Side::Entry));
        assert_eq!(point("u:/bin/a:0x1234"), function(Place::Address(0x1234), Side::Entry));
        assert_eq!(point("u:/bin/a:cpp:A::f"), function(Place::Demangled("A::f".into()), Side::Entry));
        let line = Place::Line { file: "src/a.c".into(), line: 12 };
        assert_eq!(point("u:/bin/a@src/a.c:12"), function(line, Side::Entry));
        assert_eq!(point("interval:hz:100"), Ok(Point::Interval { period: 10_000_000 }));
        assert_eq!(point("i:5ms"), Ok(Point::Interval { period: 5_000_000 }));
        assert_eq!(point("kretprobe:inet_csk_accept"), Ok(Point::Accepted));
        assert_eq!(point("self:signal:SIGUSR1"), Ok(Point::OwnSignal));
        assert_eq!(point("signal:TERM"), Ok(Point::Signal { which: Some(Signal::TERM) }));
        assert_eq!(point("signal:*"), Ok(Point::Signal { which: None }));
        assert_eq!(point("t:syscalls:sys_exit_dup"), Ok(Point::Syscall { name: "dup".into(), side: Side::Return }));
    }

    #[test]
    fn others_are_refused_by_name() {
        let messages = [
            ("uprobe:/bin/a", "uprobe probe type requires 2 or 3 arguments, found 1"),
            ("BEGIN:f", "BEGIN probe type requires 0 arguments, found 1"),
            ("interval:ns:100", "Invalid rate of interval probe. Minimum is 1000 or 1us. Found: 100 nanoseconds"),
            ("tracepoint:sched:wakeup", "No matches for tracepoint sched:wakeup."),
            ("kprobe:vfs_read", "probe type kprobe is not supported without the kernel's help"),
            ("nonsense:x", "Invalid probe type: nonsense"),
            ("signal:SIGFOO", "SIGFOO is not a valid signal"),
            ("signal:KILL", "no tracer sees SIGKILL before it is delivered"),
            ("self:signal:SIGTERM", "SIGTERM is not a supported signal"),
            ("self:time:1", "time is not a supported trigger"),
            ("self:signal", "self probe type requires 2 arguments, found 1"),
        ];
        for (text, message) in messages {
            assert_eq!(point(text).unwrap_err(), message, "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name) in
            [("*", ""), ("a*c", "abbc"), ("*FileEvent*assign*", "_ZN9FileEventImpl12assignEventsEv"), ("a?c", "abc")]
        {
            assert!(glob(pattern, name), "{pattern}");
        }
        for (pattern, name) in [("a", "b"), ("a*c", "ab"), ("a?c", "ac"), ("", "a")] {
            assert!(!glob(pattern, name), "{pattern}");
        }
    }
}
