//! The line on a terminal that says how a trace fares while it prints nothing.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crossbeam_channel::{never, tick, Receiver};

use crate::api::{Command, Reply, Session, Toggle};

/// How often it is written anew.
const PERIOD: Duration = Duration::from_millis(500);
/// It comes when nothing was printed for so long.
const SILENCE: Duration = Duration::from_secs(1);
/// To the line's beginning, and clear it (ECMA-48, CR and EL).
const CLEAR: &str = "\r\x1b[K";
/// In between, what is longer than the terminal is wide stays on its line (xterm's and VT100's DECAWM).
const UNWRAPPED: &str = "\x1b[?7l";
const WRAPPED: &str = "\x1b[?7h";

/// The line.
pub struct Progress {
    /// When it may be written.
    pub ticks: Receiver<Instant>,
    printed: Instant,
    is_up: Toggle,
    before: Option<(Instant, u64)>,
}

impl Progress {
    /// One that is written only where standard error is a terminal, and never where the user wants quiet.
    pub fn new(quiet: Toggle) -> Progress {
        let wanted = quiet == Toggle::Off && io::stderr().is_terminal();
        let ticks = if wanted { tick(PERIOD) } else { never() };
        Progress { ticks, printed: Instant::now(), is_up: Toggle::Off, before: None }
    }

    /// Something is about to be printed: the line goes.
    pub fn give_way(&mut self) {
        self.printed = Instant::now();
        self.clear();
    }

    /// Ctrl-C: the terminal has put its `^C` behind the line, or where the next line is to begin.
    pub fn interrupted(&mut self, quiet: Toggle) {
        match self.is_up {
            Toggle::On => self.clear(),
            Toggle::Off if quiet == Toggle::Off && io::stderr().is_terminal() => {
                let _ = writeln!(io::stderr().lock());
            }
            Toggle::Off => {}
        }
    }

    fn clear(&mut self) {
        if std::mem::replace(&mut self.is_up, Toggle::Off) == Toggle::On {
            let _ = write!(io::stderr().lock(), "{CLEAR}");
        }
    }

    /// Writes the line, if nothing has been printed for a while.
    pub fn write(&mut self, session: &Session) {
        if self.printed.elapsed() < SILENCE {
            return;
        }
        let Ok(Reply::TraceProgress { hits, lost }) = session.request(Command::TraceProgress) else { return };
        let now = Instant::now();
        let rate = self.before.replace((now, hits)).map_or(0.0, |(then, had)| {
            hits.saturating_sub(had) as f64 / now.duration_since(then).as_secs_f64().max(1e-3)
        });
        let losses = if lost > 0 { format!(", {lost} lost") } else { String::new() };
        let _ = write!(
            io::stderr().lock(),
            "{CLEAR}{UNWRAPPED}{hits} hits, {rate:.0}/s{losses}  (Ctrl-C ends the trace){WRAPPED}"
        );
        let _ = io::stderr().flush();
        self.is_up = Toggle::On;
    }
}
