//! The loop of the prompt.

use std::time::Duration;

use crossbeam_channel::never;

use super::parse::{parse_line, Detail, Parsed};
use super::reader::{Line, LineReader};
use super::shell::{Motion, Shell};
use super::table::Repeat;
use crate::api::{Command, Event, Leave, Toggle};
use crate::base::show_span;
use crate::frontend::surroundings::Interruption;

/// How long the prompt stays away after a command that resumes: a step's stop then comes before it.
const PROMPT_PATIENCE: Duration = Duration::from_millis(150);
const PROMPT: &str = "(rdbg) ";

/// A stop is worth showing in the prompt from then on.
const LONG_STOP: Duration = Duration::from_secs(1);

/// The prompt; before it how long the target has stood, and how long it may.
fn prompt(standing: Option<(Duration, Option<Duration>)>) -> String {
    match standing {
        Some((stood, Some(budget))) => format!("[{:.1}s of {}] {PROMPT}", stood.as_secs_f64(), show_span(budget)),
        Some((stood, None)) if stood >= LONG_STOP => format!("[{:.1}s] {PROMPT}", stood.as_secs_f64()),
        _ => PROMPT.to_owned(),
    }
}

/// Who types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A person at a terminal: there is a prompt, questions are asked, events may come at any time.
    Terminal,
    /// A pipe or a file: a command that resumes waits for the stop; the end of the input ends the session.
    Piped,
}

/// A conversation.
pub struct Conversation<'a> {
    shell: &'a mut Shell,
    reader: &'a LineReader,
    manner: Manner,
    repeated: Option<(Command, Detail)>,
    interrupted: bool,
    prompt_is_up: bool,
}

impl<'a> Conversation<'a> {
    /// Before the first line.
    pub fn new(shell: &'a mut Shell, reader: &'a LineReader, manner: Manner) -> Self {
        shell.patience = match manner {
            Manner::Terminal => Some(PROMPT_PATIENCE),
            Manner::Piped => None,
        };
        Self { shell, reader, manner, repeated: None, interrupted: false, prompt_is_up: false }
    }

    /// Reads and does lines until the session ends. `On`: the prompt was up at the end.
    pub fn run(mut self) -> Toggle {
        while !self.shell.ended {
            if !self.prompt_is_up {
                self.reader.ask(&prompt(self.shell.standing()));
                self.prompt_is_up = true;
            }
            crossbeam_channel::select! {
                recv(self.reader.lines) -> line => {
                    self.prompt_is_up = false;
                    self.take_line(line.unwrap_or(Line::End));
                }
                recv(self.shell.session.events) -> event => match event {
                    Ok(event) => {
                        self.shell.take_event(&event);
                        if matches!(event, Event::Exited { .. } | Event::Detached { .. }) {
                            self.shell.settle_when_gone();
                        }
                        if self.shell.motion != Motion::Running {
                            self.interrupted = false;
                        }
                    }
                    Err(_) => self.shell.ended = true,
                },
                recv(self.shell.interrupts) -> signal => match signal {
                    Ok(Interruption::Interrupt) => self.take_interrupt(),
                    Ok(Interruption::Terminate) => self.shell.leave(Leave::DetachAll),
                    Err(_) => self.shell.interrupts = never(),
                },
            }
        }
        if self.prompt_is_up && self.manner == Manner::Terminal {
            Toggle::On
        } else {
            Toggle::Off
        }
    }

    fn take_line(&mut self, line: Line) {
        match (line, self.manner) {
            (Line::Text(text), _) => self.take_text(text.trim()),
            (Line::Interrupted, _) => self.take_interrupt(),
            (Line::End, Manner::Piped) => self.shell.leave(Leave::Default),
            (Line::End, Manner::Terminal) => {
                let question = match self.shell.has_launched() {
                    Toggle::On => "Kill what was launched and quit? (y or n) ",
                    Toggle::Off => "Detach and quit? (y or n) ",
                };
                if self.ask(question) == Toggle::On {
                    self.shell.leave(Leave::Default);
                }
            }
        }
    }

    /// Ctrl-C never kills: it stops what runs; asked again before it has stopped, it leaves, letting all run on.
    fn take_interrupt(&mut self) {
        match (self.shell.motion, self.interrupted) {
            (Motion::Running, false) => {
                self.interrupted = true;
                self.shell.do_command(Command::Interrupt, Detail::Plain);
                self.interrupted = self.shell.motion == Motion::Running;
            }
            (Motion::Running, true) => self.shell.leave(Leave::DetachAll),
            (Motion::Stopped | Motion::Nothing, _) => {
                self.shell.note("(nothing runs; `quit` or Ctrl-D leaves)");
            }
        }
    }

    fn take_text(&mut self, text: &str) {
        if text.is_empty() {
            if let (Manner::Terminal, Some((command, detail))) = (self.manner, self.repeated.clone()) {
                self.shell.do_command(command, detail);
            }
            return;
        }
        self.shell.typed.push(text.to_owned());
        self.repeated = match (parse_line(text), super::parse::find_spec(text).map(|spec| spec.repeat)) {
            (Ok(Parsed::Engine { command: Command::Examine { spec, .. }, detail }), Some(Repeat::Yes)) => {
                Some((Command::Examine { spec, expression: None }, detail))
            }
            (Ok(Parsed::Engine { command, detail }), Some(Repeat::Yes)) => Some((command, detail)),
            _ => None,
        };
        let quits =
            matches!(parse_line(text), Ok(Parsed::Engine { command: Command::Quit { leave: Leave::Default }, .. }));
        if quits
            && self.manner == Manner::Terminal
            && self.shell.confirm == Toggle::On
            && self.shell.has_launched() == Toggle::On
            && self.ask("Kill what was launched and quit? (y or n) ") == Toggle::Off
        {
            return;
        }
        self.shell.do_line(text);
    }

    /// A question; anything but yes is no, and a second Ctrl-D is yes.
    fn ask(&mut self, question: &str) -> Toggle {
        self.reader.ask(question);
        let answer = crossbeam_channel::select! {
            recv(self.reader.lines) -> line => line,
            recv(self.shell.interrupts) -> signal => {
                match signal {
                    Ok(Interruption::Interrupt) => {}
                    Ok(Interruption::Terminate) => {
                        self.prompt_is_up = true;
                        self.shell.leave(Leave::DetachAll);
                        return Toggle::Off;
                    }
                    Err(_) => self.shell.interrupts = never(),
                }
                self.reader.lines.recv()
            }
        };
        match answer {
            Ok(Line::Text(answer)) if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) => Toggle::On,
            Ok(Line::End) | Err(_) => Toggle::On,
            Ok(_) => Toggle::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_says_how_long_the_target_stands_and_ends_as_ever() {
        let seconds = |seconds| Duration::from_secs_f64(seconds);
        assert_eq!(prompt(None), "(rdbg) ");
        assert_eq!(prompt(Some((seconds(0.3), None))), "(rdbg) ");
        assert_eq!(prompt(Some((seconds(3.21), None))), "[3.2s] (rdbg) ");
        assert_eq!(prompt(Some((seconds(0.3), Some(seconds(5.0))))), "[0.3s of 5s] (rdbg) ");
    }
}
