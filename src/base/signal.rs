//! Signals by number and name (signal(7), x86-64 numbering).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A signal number, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(pub i32);

/// The standard signals, by number from 1.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

impl Signal {
    /// Trace/breakpoint trap.
    pub const TRAP: Signal = Signal(5);
    /// Kill, which cannot be caught.
    pub const KILL: Signal = Signal(9);
    /// For programs' own use.
    pub const USR1: Signal = Signal(10);
    /// Invalid memory reference.
    pub const SEGV: Signal = Signal(11);
    /// Termination.
    pub const TERM: Signal = Signal(15);
    /// A child changed state.
    pub const CHLD: Signal = Signal(17);
    /// Continue if stopped.
    pub const CONT: Signal = Signal(18);
    /// Stop, which cannot be caught.
    pub const STOP: Signal = Signal(19);
    /// Interrupt from the keyboard.
    pub const INT: Signal = Signal(2);
    /// Urgent data; Go's preemption.
    pub const URG: Signal = Signal(23);
    /// Illegal instruction.
    pub const ILL: Signal = Signal(4);
    /// Abort.
    pub const ABRT: Signal = Signal(6);
    /// Bus error.
    pub const BUS: Signal = Signal(7);
    /// Arithmetic error.
    pub const FPE: Signal = Signal(8);

    /// Every signal, the real-time ones (32 to 64) too.
    pub fn all() -> impl Iterator<Item = Signal> {
        (1..=64).map(Signal)
    }

    /// The signal of that name (`SIGHUP`, `HUP`, `sighup`) or number (`1`).
    pub fn find_by_name(text: &str) -> Option<Signal> {
        if let Ok(number) = text.parse::<i32>() {
            return (1..=64).contains(&number).then_some(Signal(number));
        }
        let upper = text.to_ascii_uppercase();
        let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
        if let Some(number) = find_real_time(&full) {
            return Some(Signal(number));
        }
        if let Some(real_time) = full.strip_prefix("SIGRT") {
            let number = real_time.parse::<i32>().ok()?;
            return (32..=64).contains(&number).then_some(Signal(number));
        }
        NAMES.iter().position(|name| *name == full).map(|at| Signal(at as i32 + 1))
    }
}

/// `SIGRTMIN+1`, `SIGRTMAX-2` as glibc counts (32 and 33 it keeps to itself), and gdb's `SIG34`.
fn find_real_time(name: &str) -> Option<i32> {
    let offset = |text: &str, sign: char| match text {
        "" => Some(0),
        text => text.strip_prefix(sign)?.parse::<i32>().ok().filter(|one| (0..=30).contains(one)),
    };
    if let Some(rest) = name.strip_prefix("SIGRTMIN") {
        return offset(rest, '+').map(|one| 34 + one);
    }
    if let Some(rest) = name.strip_prefix("SIGRTMAX") {
        return offset(rest, '-').map(|one| 64 - one);
    }
    name.strip_prefix("SIG")?.parse().ok().filter(|one| (32..=64).contains(one))
}

impl fmt::Display for Signal {
    /// `SIGHUP`; a real-time signal by its kernel number, `SIGRT34`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get((self.0 - 1).max(0) as usize) {
            Some(name) if self.0 >= 1 => f.write_str(name),
            _ => write!(f, "SIGRT{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_for_all_signals() {
        for signal in Signal::all() {
            assert_eq!(Signal::find_by_name(&signal.to_string()), Some(signal));
        }
        assert_eq!(Signal::find_by_name("hup"), Some(Signal(1)));
        assert_eq!(Signal::find_by_name("23"), Some(Signal::URG));
        assert_eq!(Signal::find_by_name("SIGRTMIN"), Some(Signal(34)));
        assert_eq!(Signal::find_by_name("rtmin+3"), Some(Signal(37)));
        assert_eq!(Signal::find_by_name("SIGRTMAX-1"), Some(Signal(63)));
        assert_eq!(Signal::find_by_name("SIG35"), Some(Signal(35)));
        assert_eq!(Signal::find_by_name("SIGRTMIN+31"), None);
        assert_eq!(Signal::find_by_name("SIG7"), None);
        assert_eq!(Signal::find_by_name("0"), None);
        assert_eq!(Signal::find_by_name("SIGFOO"), None);
    }
}
