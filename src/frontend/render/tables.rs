//! Tables.

use crate::api::{
    BreakpointAction, BreakpointRow, InferiorRow, InstructionRow, LocationRow, ModuleRow, ProcessRow, RegisterRow,
    RegisterValue, SignalRow, ThreadRow, Toggle, VariableRow, VariableSet, Where,
};

use super::places::{full_address, place_text};
use super::reply::where_text;
use super::style::Style;

/// Columns padded to their widest cell; the last one is not padded.
fn align(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', 1 + width - cell.chars().count()));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

fn yes_no(toggle: Toggle) -> &'static str {
    match toggle {
        Toggle::On => "y",
        Toggle::Off => "n",
    }
}

fn star(toggle: Toggle) -> String {
    if toggle == Toggle::On { "*" } else { "" }.to_owned()
}

/// `name = value`, a line each.
pub fn variables(set: VariableSet, rows: &[VariableRow]) -> String {
    if rows.is_empty() {
        return match set {
            VariableSet::Arguments => "No arguments.",
            VariableSet::Locals => "No locals.",
        }
        .to_owned();
    }
    rows.iter().map(|row| format!("{} = {}", row.name, row.value)).collect::<Vec<_>>().join("\n")
}

/// `1.1 0x00007f.. epoll_ctl+0 libc.so.6`.
pub fn location(id: u32, row: &LocationRow, style: Style) -> String {
    let address = style.address(&full_address(row.place.addr));
    let aliases = if row.aliases.is_empty() { String::new() } else { format!(" (also {})", row.aliases.join(", ")) };
    let hot = row.too_hot.map_or_else(String::new, |rate| format!(" (disarmed: {rate} hits a second; `enable {id}`)"));
    let unfit = row.unfit.as_ref();
    let unfit = unfit.map_or_else(String::new, |why| format!(" (disabled: the condition means nothing here: {why})"));
    format!("{id}.{} {address} {}{aliases}{hot}{unfit}", row.number, place_text(&row.place, style))
}

/// `info breakpoints`.
pub fn breakpoints(rows: &[BreakpointRow], style: Style) -> String {
    if rows.is_empty() {
        return "No breakpoints.".to_owned();
    }
    let mut lines = vec![format!("{:<4}{:<6}{:<4}{:<8}{}", "Num", "Type", "Enb", "Hits", "What")];
    for row in rows {
        let kind = match (row.action, row.temporary) {
            (BreakpointAction::Log { .. }, _) => "log",
            (BreakpointAction::Count, _) => "count",
            (BreakpointAction::Trace, _) => "trace",
            (BreakpointAction::Stop, Toggle::On) => "once",
            (BreakpointAction::Stop, Toggle::Off) => "stop",
        };
        let mut what = where_text(&row.location);
        if let Some(module) = &row.module {
            what.push_str(&format!(" in {module}"));
        }
        if row.locations.is_empty() && !matches!(row.location, Where::Syscalls(_)) {
            what.push_str(" (pending)");
        }
        lines.push(format!("{:<4}{kind:<6}{:<4}{:<8}{what}", row.id, yes_no(row.enabled), row.hits));
        if let Some(condition) = &row.condition {
            lines.push(format!("    if {condition}"));
        }
        if row.ignore > 0 {
            lines.push(format!("    the next {} hits pass", row.ignore));
        }
        if let Some(note) = &row.note {
            lines.push(format!("    {note}"));
        }
        for row_location in &row.locations {
            lines.push(format!("    {}", location(row.id, row_location, style)));
        }
    }
    lines.join("\n")
}

/// `info threads`.
pub fn threads(rows: &[ThreadRow], style: Style) -> String {
    if rows.is_empty() {
        return "No threads.".to_owned();
    }
    let rows = rows
        .iter()
        .map(|row| {
            let place = row.frame.as_ref().map(|frame| {
                let address = full_address(frame.pc);
                format!("{} {}", style.address(&address), place_text(&frame.place, style))
            });
            vec![
                star(row.selected),
                row.thread.number.to_string(),
                row.thread.tid.to_string(),
                format!("\"{}\"", row.thread.name),
                row.state.clone(),
                place.unwrap_or_default(),
            ]
        })
        .collect();
    align(&["", "Num", "Tid", "Name", "State", "Where"], rows)
}

/// `info sharedlibrary`.
pub fn modules(rows: &[ModuleRow]) -> String {
    if rows.is_empty() {
        return "No modules.".to_owned();
    }
    let rows = rows
        .iter()
        .map(|row| {
            vec![
                full_address(row.start),
                full_address(row.end),
                format!("{}{}", row.path.display(), if row.deleted == Toggle::On { " (deleted)" } else { "" }),
                row.build_id.clone().unwrap_or_else(|| "-".to_owned()),
                row.symbols.clone(),
            ]
        })
        .collect();
    align(&["From", "To", "File", "Build-id", "Symbols"], rows)
}

/// `info inferiors`.
pub fn inferiors(rows: &[InferiorRow]) -> String {
    if rows.is_empty() {
        return "No process.".to_owned();
    }
    let rows = rows
        .iter()
        .map(|row| {
            vec![
                star(row.selected),
                row.number.to_string(),
                row.pid.to_string(),
                row.threads.to_string(),
                if row.launched == Toggle::On { "launched" } else { "attached" }.to_owned(),
                row.exe.display().to_string(),
            ]
        })
        .collect();
    align(&["", "Num", "Pid", "Threads", "How", "Executable"], rows)
}

/// `info signals`.
pub fn signals(rows: &[SignalRow]) -> String {
    let yes = |toggle: Option<Toggle>| if toggle == Some(Toggle::On) { "Yes" } else { "No" }.to_owned();
    let rows = rows
        .iter()
        .map(|row| {
            let policy = row.policy;
            vec![row.signal.to_string(), yes(policy.stop), yes(policy.print), yes(policy.pass)]
        })
        .collect();
    align(&["Signal", "Stop", "Print", "Pass"], rows)
}

/// `info registers`, as gdb shows them.
pub fn registers(rows: &[RegisterRow]) -> String {
    let one = |RegisterRow { name, value }: &RegisterRow| {
        let shown = match value {
            RegisterValue::Word { value, shown, .. } => format!("{:<19} {shown}", format!("{value:#x}")),
            RegisterValue::Wide { shown, .. } => shown.clone(),
            RegisterValue::Float { bytes, shown } => {
                let raw: String = bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
                format!("{shown:<19} (raw 0x{raw})")
            }
            RegisterValue::NotSaved => "<not saved>".to_owned(),
        };
        format!("{name:<14} {shown}")
    };
    rows.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// `disassemble`.
pub fn disassembly(rows: &[InstructionRow], style: Style) -> String {
    let widest = rows.iter().map(|row| row.bytes.len() * 3).max().unwrap_or(0);
    let one = |row: &InstructionRow| {
        let arrow = if row.current == Toggle::On { "=>" } else { "  " };
        let bytes = row.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let name = match &row.place.function {
            Some(function) => format!(" <{}+{}>", style.function(function), row.place.offset),
            None => String::new(),
        };
        let address = style.address(&full_address(row.place.addr));
        format!("{arrow} {address}{name}  {bytes:<widest$} {}", row.text)
    };
    rows.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// `ps`.
pub fn processes(rows: &[ProcessRow]) -> String {
    if rows.is_empty() {
        return "No process matches.".to_owned();
    }
    let dash = || "-".to_owned();
    let rows = rows
        .iter()
        .map(|row| {
            vec![
                row.pid.to_string(),
                row.namespace_pid.map_or_else(dash, |pid| pid.to_string()),
                row.comm.clone(),
                row.container.clone().unwrap_or_else(dash),
                row.tracer.map_or_else(dash, |pid| pid.to_string()),
                row.exe.as_ref().map_or_else(dash, |exe| exe.display().to_string()),
                row.command.clone(),
            ]
        })
        .collect();
    align(&["PID", "NSPID", "COMM", "CONTAINER", "TRACER", "EXE", "COMMAND"], rows)
}
