//! Replies as text.

use std::time::Duration;

use crate::api::{
    BreakpointRow, CatchSpec, FrameRow, InferiorRow, Reply, Stack, StopReason, SymbolRow, ThreadRef, Toggle, Where,
};
use crate::base::{show_span, Pid};

use super::super::repl::Detail;
use super::event::reason_text;
use super::places::{frame_text, how_text, place_text, thread_text};
use super::source::{source_text, with_source};
use super::style::Style;
use super::syscalls::syscalls_text;
use super::tables;
use super::watch::watch_text;

/// A reply; empty where there is nothing to say.
pub fn reply_text(reply: &Reply, detail: Detail, style: Style) -> String {
    match reply {
        Reply::Done => String::new(),
        Reply::TraceProgress { hits, lost } => format!("{hits} hits, {lost} lost"),
        Reply::Tracing { warnings, .. } => warnings.join("\n"),
        Reply::Text { text } => text.trim_end_matches('\n').to_owned(),
        Reply::Displays { rows } => super::displays::displays_text(rows, style),
        Reply::Resumed => "Continuing.".to_owned(),
        Reply::Attached { process, stopped } => attached_text(process, *stopped),
        Reply::Waiting => String::new(),
        Reply::Breakpoint { row } => breakpoint_text(row, style),
        Reply::Breakpoints { rows } => tables::breakpoints(rows, style),
        Reply::Threads { rows } => tables::threads(rows, style),
        Reply::Stacks { stacks } => stacks_text(stacks, detail, style),
        Reply::Frame { thread, frame, source } => {
            with_source(selected_text(thread, frame, style), source.as_deref(), style)
        }
        Reply::FrameDetail { detail } => super::frame_detail::frame_detail(detail),
        Reply::Source { source } => source_text(source, style),
        Reply::Modules { rows } => tables::modules(rows),
        Reply::NameSources { rows } => super::names::name_sources(rows),
        Reply::Inferiors { rows } => tables::inferiors(rows),
        Reply::Signals { rows } => tables::signals(rows),
        Reply::Registers { rows } => tables::registers(rows),
        Reply::Variables { set, rows } => tables::variables(*set, rows),
        Reply::Disassembly { rows } => tables::disassembly(rows, style),
        Reply::Settings { rows } => {
            rows.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join("\n")
        }
        Reply::Symbols { rows, total } => symbols_text(rows, *total),
        Reply::Types { rows, total } => types_text(rows, *total),
        Reply::Completions { names } => names.join("\n"),
        Reply::Processes { rows } => tables::processes(rows),
        Reply::Kept { thread, age_ms, reply } => {
            let age = show_span(Duration::from_millis(*age_ms));
            let marked = format!("[kept from the stop of {}, {age} ago; it runs now]", thread_text(thread, style));
            format!("{}\n{}", style.marker(&marked), reply_text(reply, detail, style))
        }
        Reply::Status { stopped, inferiors } => status_text(stopped.as_ref(), inferiors, style),
    }
}

fn attached_text(process: &InferiorRow, stopped: Toggle) -> String {
    let verb = if process.launched == Toggle::On { "Launched" } else { "Attached to" };
    let state = if stopped == Toggle::On { "stopped" } else { "running" };
    let threads = if process.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", process.threads) };
    format!("{verb} {} (pid {}), {threads}, {state}", process.exe.display(), process.pid)
}

/// What `break` answers.
pub fn breakpoint_text(row: &BreakpointRow, style: Style) -> String {
    let mut text = match row.locations.as_slice() {
        [one] if matches!(row.location, Where::Watch(_)) => {
            let address = style.address(&one.place.addr.to_string());
            format!("Watchpoint {}: {}, {address}", row.id, where_text(&row.location))
        }
        [] if matches!(row.location, Where::Syscalls(_)) => {
            format!("Catchpoint {}: {}", row.id, where_text(&row.location))
        }
        [] => format!("Breakpoint {} (pending): no module loaded so far has it", row.id),
        [one] => {
            let address = style.address(&one.place.addr.to_string());
            format!("Breakpoint {}: {}, {address}", row.id, place_text(&one.place, style))
        }
        many => {
            let mut text = format!("Breakpoint {}: {} locations", row.id, row.total);
            for location in many {
                text.push_str(&format!("\n  {}", tables::location(row.id, location, style)));
            }
            if row.total as usize > many.len() {
                text.push_str(&format!("\n  .. and {} more (info breakpoints)", row.total as usize - many.len()));
            }
            text
        }
    };
    if let Some(note) = &row.note {
        text.push_str(&format!("\n  {note}"));
    }
    text
}

fn stacks_text(stacks: &[Stack], detail: Detail, style: Style) -> String {
    let one = |stack: &Stack| {
        let mut lines = Vec::new();
        if stacks.len() > 1 {
            lines.push(thread_text(&stack.thread, style));
        }
        lines.extend(stack.frames.iter().map(|frame| match detail {
            Detail::Plain => frame_text(frame, style),
            Detail::How => format!("{}  [{}]", frame_text(frame, style), how_text(frame.how)),
        }));
        match (&stack.truncated, stack.more) {
            (_, Toggle::On) => lines.push("(stack continues)".to_owned()),
            (Some(reason), _) => lines.push(format!("(walk ended: {reason})")),
            (None, Toggle::Off) => {}
        }
        lines.join("\n")
    };
    stacks.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn selected_text(thread: &ThreadRef, frame: &FrameRow, style: Style) -> String {
    let mut text = frame_text(frame, style);
    text.push_str(&format!("\n  {}", thread_text(thread, style)));
    text
}

fn symbols_text(rows: &[SymbolRow], total: u64) -> String {
    if rows.is_empty() {
        return "No symbol matches.".to_owned();
    }
    let several = rows.iter().any(|row| row.module != rows[0].module);
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let module = if several { format!(" {}", row.module) } else { String::new() };
            format!("{:#018x} {:>7} {:<8} {}{module}", row.address.0, row.size, row.source, row.name)
        })
        .collect();
    if total > rows.len() as u64 {
        lines.push(format!("({} of {total}; --limit shows more)", rows.len()));
    }
    lines.join("\n")
}

fn types_text(rows: &[String], total: u64) -> String {
    let more = total.saturating_sub(rows.len() as u64);
    match (rows, more) {
        ([], _) => "No type matches.".to_owned(),
        (rows, 0) => rows.join("\n"),
        (rows, more) => format!("{}\n(and {more} more)", rows.join("\n")),
    }
}

fn status_text(stopped: Option<&StopReason>, inferiors: &[InferiorRow], style: Style) -> String {
    if inferiors.is_empty() {
        return "No process.".to_owned();
    }
    let pid = inferiors.iter().find(|row| row.selected == Toggle::On).map_or(Pid(0), |row| row.pid);
    let state = stopped.map_or("Running".to_owned(), |reason| reason_text(reason, pid, style));
    format!("{state}\n{}", tables::inferiors(inferiors))
}

/// A place as the user meant it.
pub fn where_text(location: &Where) -> String {
    match location {
        Where::Name(name) => name.clone(),
        Where::Regex(regex) => format!("regex {regex}"),
        Where::BaseName(name) => format!("basename {name}"),
        Where::Address(address) => format!("*{address}"),
        Where::Line { file: Some(file), line } => format!("{file}:{line}"),
        Where::Line { file: None, line } => format!("line {line}"),
        Where::Catch(CatchSpec { event, types }) => match types {
            Some(types) => format!("catch {} {types}", event.word()),
            None => format!("catch {}", event.word()),
        },
        Where::Hardware(place) => format!("hbreak {}", where_text(place)),
        Where::Watch(spec) => watch_text(spec),
        Where::Syscalls(spec) => syscalls_text(spec),
    }
}
