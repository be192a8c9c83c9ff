//! Events as text.

use std::time::Duration;

use crate::api::{
    CaughtAt, Event, FrameExit, FrameRow, FunctionCall, InferiorRow, PauseOver, ReturnedValue, StopReason, ThreadRef,
    Toggle,
};
use crate::base::{show_span, Pid, Signal};

use super::clock::time_of_day;
use super::displays::display_text;
use super::places::{call_text, framed_text, place_text, thread_text};
use super::source::with_source;
use super::style::Style;
use super::syscalls::{caught_calls_text, returned_text};
use super::watch::watch_hits_text;

/// An event; empty where there is nothing to say.
pub fn event_text(event: &Event, style: Style) -> String {
    match event {
        Event::WaitMethod { chosen, rejected, note } => wait_text(chosen, rejected, note.as_deref()),
        Event::Caught { process, at } => caught_text(process, at, style),
        Event::Stopped { reason, thread, frame, call, source, displays, .. } => {
            let text = stop_text(reason, thread, frame.as_ref(), call.as_ref(), style);
            let shown = with_source(text, source.as_deref(), style);
            [shown]
                .into_iter()
                .chain(displays.iter().map(|row| display_text(row, style)))
                .collect::<Vec<_>>()
                .join("\n")
        }
        Event::Hit { time_ns, thread, call, returned, .. } => {
            let who = style.thread(&format!("{}[{}]", thread.name, thread.tid));
            format!("{} {who} {}{}", time_of_day(*time_ns), call_text(call, style), returned_text(returned.as_deref()))
        }
        Event::Lost { count } => format!("({count} hits not shown: the output could not keep up)"),
        Event::LogDone { breakpoint, hits, .. } => format!("Breakpoint {breakpoint} is done after {hits} hits"),
        Event::TooHot { breakpoint, location, name, per_second, limit } => {
            too_hot_text(*breakpoint, *location, name.as_deref(), *per_second, *limit)
        }
        Event::Resolved { breakpoint, locations, module } => {
            format!("Breakpoint {breakpoint}: {locations} more locations in {module}")
        }
        Event::SignalNoted { thread, signal } => format!("Signal {signal} to {}", thread_text(thread, style)),
        Event::Executed { pid, exe } => format!("Process {pid} executes {}", exe.display()),
        Event::Forked { parent, child, followed } => {
            let what = if *followed == Toggle::On { "followed" } else { "let go" };
            format!("Process {parent} forked {child} ({what})")
        }
        Event::Exited { pid, status, signal, .. } => exit_text(*pid, *status, *signal),
        Event::Detached { pid } => format!("Detached from process {pid}"),
        Event::WaitEnded { reason } => format!("The wait has ended: {reason}"),
        Event::PauseOver(pause) => pause_over_text(pause, style),
        Event::Notice { text } => text.clone(),
        Event::TraceOutput { text, .. } => text.trim_end_matches('\n').to_owned(),
        Event::TraceEnded { .. } | Event::Ended => String::new(),
    }
}

fn too_hot_text(id: u32, location: Option<u32>, name: Option<&str>, per_second: u64, limit: u64) -> String {
    let what = match (location, name) {
        (Some(location), Some(name)) => format!("Breakpoint {id} is disarmed at {id}.{location} {name}"),
        (Some(location), None) => format!("Breakpoint {id} is disarmed at {id}.{location}"),
        (None, _) => format!("Breakpoint {id} is disabled"),
    };
    format!(
        "{what}: {per_second} hits a second, {limit} are allowed\n  `enable {id}` arms it again; `set max-rate off`, or \
         --max-rate off when it is set, lifts the limit"
    )
}

fn pause_over_text(pause: &PauseOver, style: Style) -> String {
    let span = |millis| show_span(Duration::from_millis(millis));
    let (stood, budget, pid) = (span(pause.stood_ms), span(pause.budget_ms), pause.thread.pid);
    let who = thread_text(&pause.thread, style);
    match pause.stays {
        Some(signal) => format!(
            "{}: process {pid} has stood for {stood} (pause-budget {budget}), but stays: {signal}, which {who} \
             stopped with, would be its end\n  `continue` lets it go on; `signal 0` without the signal",
            style.headline("Pause budget over")
        ),
        None => {
            let headline = style.headline("Pause budget over");
            let mut text = format!(
                "{headline}: process {pid} has stood for {stood} (pause-budget {budget}) and goes on\n  \
                 kept of {who}: bt, frame, info registers, info args, info locals, list, print and x still answer \
                 from that stop"
            );
            for id in &pause.disabled {
                text.push_str(&format!("\n  breakpoint {id} is disabled, or it would stop again; `enable {id}`"));
            }
            text
        }
    }
}

fn wait_text(chosen: &str, rejected: &[(String, String)], note: Option<&str>) -> String {
    let mut text = format!("Waiting for {chosen}");
    for (method, reason) in rejected {
        text.push_str(&format!("\n  not by {method}: {reason}"));
    }
    if let Some(note) = note {
        text.push_str(&format!("\n  {note}"));
    }
    text
}

fn caught_text(process: &InferiorRow, at: &CaughtAt, style: Style) -> String {
    let name = process.exe.file_name().map_or_else(|| "a process".into(), |name| name.to_string_lossy());
    let how_far = match at {
        CaughtAt::FirstInstruction => "at its first instruction".to_owned(),
        CaughtAt::Loader { place } => format!("in the dynamic loader, at {}", place_text(place, style)),
        CaughtAt::Later { place } => format!("late, at {}", place_text(place, style)),
    };
    format!("{} (pid {}) {how_far}", style.headline(&format!("Caught {name}")), process.pid)
}

/// The reason in a few words.
pub fn reason_text(reason: &StopReason, pid: Pid, style: Style) -> String {
    let text = match reason {
        StopReason::Breakpoint { ids } => {
            let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
            format!("Breakpoint {}", ids.join(", "))
        }
        StopReason::Watch { hits } => watch_hits_text(hits),
        StopReason::Syscall { hits } if hits.is_empty() => "Stopped in a system call that is traced".to_owned(),
        StopReason::Syscall { hits } => caught_calls_text(hits, style),
        StopReason::Step => "Step".to_owned(),
        StopReason::Finished { value, returned } => match returned {
            ReturnedValue::Untyped => format!("Finished, returned {value:#x} ({})", *value as i64),
            ReturnedValue::Void => "Finished".to_owned(),
            ReturnedValue::Typed { text, number } => format!("Finished, returned ${number} = {text}"),
        },
        StopReason::FrameLeft { how } => match how {
            FrameExit::Return => "The frame has returned".to_owned(),
            FrameExit::Exception => "The frame was left by an exception, not by a return: landed".to_owned(),
            FrameExit::Jump => "The frame was left by a jump (longjmp), not by a return: landed".to_owned(),
        },
        StopReason::Interrupt => "Stopped by interrupt".to_owned(),
        StopReason::Signal { signal } => format!("Signal {signal}"),
        StopReason::Exec { exe } => format!("Held at the first instruction of {} (pid {pid})", exe.display()),
        StopReason::Probe { name } => format!("Stopped by the script, at {}", name),
        StopReason::Start => "Stopped".to_owned(),
    };
    style.headline(&text)
}

fn stop_text(
    reason: &StopReason,
    thread: &ThreadRef,
    frame: Option<&FrameRow>,
    call: Option<&FunctionCall>,
    style: Style,
) -> String {
    let mut text = reason_text(reason, thread.pid, style);
    match (call, frame) {
        (Some(call), Some(frame)) => {
            text.push_str(&format!(", {} at {}", call_text(call, style), place_text(&frame.place, style)));
        }
        (Some(call), None) => text.push_str(&format!(", {}", call_text(call, style))),
        (None, Some(frame)) => text.push_str(&format!(" at {}", framed_text(frame, style))),
        (None, None) => {}
    }
    text.push_str(&format!("\n  {}", thread_text(thread, style)));
    text
}

/// `Process 123 exited with status 0`.
pub fn exit_text(pid: Pid, status: i32, signal: Option<Signal>) -> String {
    match signal {
        Some(signal) => format!("Process {pid} was killed by {signal}"),
        None => format!("Process {pid} exited with status {status}"),
    }
}
