//! Waiting for an answer that takes its time: a line on the terminal that says how far it is, and Ctrl-C.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crossbeam_channel::{after, never, tick, Receiver};

use super::render::safe::make_safe;
use super::render::Style;
use super::surroundings::Interruption;
use crate::base::progress::{Progress, Stage, Ticket};

/// What is answered sooner is not spoken of.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the line is written anew.
const PERIOD: Duration = Duration::from_millis(200);
/// To the line's beginning, and clear it (ECMA-48, CR and EL).
const CLEAR: &str = "\r\x1b[K";

/// What a wait came to.
pub struct Awaited<T> {
    /// The answer; `None` where nobody is left to give it.
    pub answer: Option<T>,
    /// The signal that came meanwhile, if one did: the work was cancelled.
    pub signal: Option<Interruption>,
}

/// Waits for the answer to work that `progress` tells of. From half a second on, if the work names itself, a line on standard
/// error says how far it is, where that is a terminal; and a signal cancels it. Signals that come before stay in their queue.
pub fn wait_for<T>(
    answer: &Receiver<T>,
    (progress, ticket): (&Progress, Ticket),
    interrupts: &Receiver<Interruption>,
) -> Awaited<T> {
    let mut awaited = Awaited { answer: None, signal: None };
    let mut line = Line { is_up: false, is_wanted: io::stderr().is_terminal() };
    let (mut ticks, mut signals) = (after(PATIENCE), never());
    loop {
        crossbeam_channel::select! {
            recv(answer) -> one => {
                awaited.answer = one.ok();
                line.clear();
                return awaited;
            }
            recv(ticks) -> _ => {
                ticks = tick(PERIOD);
                if let Some(stage) = progress.look(ticket) {
                    line.write(&text_of(&stage));
                    if awaited.signal.is_none() {
                        signals = interrupts.clone();
                    }
                }
            }
            recv(signals) -> signal => {
                signals = never();
                if let Ok(signal) = signal {
                    progress.cancel(ticket);
                    awaited.signal = Some(signal);
                }
            }
        }
    }
}

struct Line {
    is_up: bool,
    is_wanted: bool,
}

impl Line {
    fn write(&mut self, text: &str) {
        if self.is_wanted {
            self.is_up = true;
            let mut out = io::stderr().lock();
            // A terminal that cannot be written to is no reason to give the work up.
            let _ = write!(out, "{CLEAR}{text}");
            let _ = out.flush();
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_up) {
            self.write("");
        }
    }
}

/// `recovering names of envoy: 43 %  (Ctrl-C breaks it off)`
fn text_of(stage: &Stage) -> String {
    let share = stage.done.min(stage.total).saturating_mul(100).checked_div(stage.total);
    let share = share.map_or_else(String::new, |share| format!(": {share} %"));
    format!("{}{share}  (Ctrl-C breaks it off)", make_safe(&stage.what, Style::Plain))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crossbeam_channel::{bounded, unbounded};

    use super::*;

    #[test]
    fn a_signal_cancels_work_that_has_named_itself() {
        let progress = Progress::default();
        let (ticket, worker) = (progress.ticket(), progress.clone());
        let (done, answer) = bounded(1);
        let (sender, interrupts) = unbounded();
        sender.send(Interruption::Interrupt).unwrap();
        let thread = std::thread::spawn(move || {
            worker.begin(ticket);
            worker.stage("counting", 0);
            let end = Instant::now() + Duration::from_secs(20);
            while !worker.is_cancelled() && Instant::now() < end {
                std::thread::yield_now();
            }
            done.send(worker.is_cancelled()).unwrap();
        });
        let awaited = wait_for(&answer, (&progress, ticket), &interrupts);
        assert_eq!((awaited.answer, awaited.signal), (Some(true), Some(Interruption::Interrupt)));
        thread.join().unwrap();
    }

    #[test]
    fn what_is_answered_at_once_leaves_signals_to_others() {
        let progress = Progress::default();
        let (done, answer) = bounded(1);
        let (sender, interrupts) = unbounded();
        sender.send(Interruption::Interrupt).unwrap();
        done.send(1).unwrap();
        let awaited = wait_for(&answer, (&progress, progress.ticket()), &interrupts);
        assert_eq!((awaited.answer, awaited.signal), (Some(1), None));
        assert_eq!(interrupts.try_recv(), Ok(Interruption::Interrupt));
    }

    #[test]
    fn a_stage_reads_as_a_line() {
        let stage = |done, total| Stage { what: "reading x".to_owned(), done, total };
        assert_eq!(text_of(&stage(1, 4)), "reading x: 25 %  (Ctrl-C breaks it off)");
        assert_eq!(text_of(&stage(9, 0)), "reading x  (Ctrl-C breaks it off)");
    }
}
