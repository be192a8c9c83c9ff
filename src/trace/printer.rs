//! The printer: takes records off the queue, names and formats them, and hands on text.

use std::sync::Arc;

use super::call::{Layout, Writer};
use super::json;
use super::names::Names;
use super::printf;
use super::record::{FormatTime, Record, Records};
use super::show::Shower;
use crate::lang::script::Program;

/// What a printer is made with.
pub struct PrinterOptions {
    /// The program whose records they are.
    pub program: Arc<Program>,
    /// How they are written.
    pub format: OutputFormat,
    /// How calls are written that are traced without a script.
    pub layout: Layout,
    /// The calendar.
    pub format_time: FormatTime,
}

/// How records are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputFormat {
    /// As people read it.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where a text belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// What the script printed.
    Out,
    /// What rdbg tells of the run.
    Err,
}

/// What the printer hands on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Printed {
    /// Text.
    Text(Stream, Vec<u8>),
    /// Nothing follows; the script's exit code.
    End(i32),
}

/// Texts of so many bytes are handed on without waiting for more.
const CHUNK: usize = 1 << 16;

/// Prints records until the last one. `sink` may block: the tasks that are traced do not wait for it.
pub fn run_printer(records: &Records, options: PrinterOptions, mut sink: impl FnMut(Printed)) {
    let format = options.format;
    let mut shower = Shower {
        program: options.program,
        names: Names::default(),
        format_time: options.format_time,
        users: read_users(),
    };
    let mut writer = Writer::new(options.layout);
    let mut pending = Vec::new();
    loop {
        let record = match records.next_now() {
            Some(record) => record,
            None => {
                hand_on(&mut pending, &mut sink);
                match records.next() {
                    Some(record) => record,
                    // The machine has gone without a last word: a fault that its owner tells of.
                    None => return sink(Printed::End(1)),
                }
            }
        };
        if let Record::End(code) = record {
            hand_on(&mut pending, &mut sink);
            return sink(Printed::End(code));
        }
        let printed = match write_call(&record, &mut writer, &mut shower) {
            Some(printed) => printed,
            None => {
                let (stream, text) = print(&record, format, &mut shower);
                match as_object(&record, format, &text).filter(|_| writer.is_for_scripts()) {
                    Some(line) => vec![(stream, text), (Stream::Out, line)],
                    None => vec![(stream, text)],
                }
            }
        };
        for (stream, text) in printed {
            match stream {
                Stream::Out => pending.extend(text),
                Stream::Err if text.is_empty() => {}
                Stream::Err => {
                    hand_on(&mut pending, &mut sink);
                    sink(Printed::Text(Stream::Err, text));
                }
            }
        }
        if pending.len() >= CHUNK {
            hand_on(&mut pending, &mut sink);
        }
    }
}

/// What is told on standard error is a line of the JSON, too: each record of a script is one.
fn as_object(record: &Record, format: OutputFormat, told: &[u8]) -> Option<Vec<u8>> {
    if format == OutputFormat::Text {
        return None;
    }
    let kind = match record {
        Record::Warning(_) => "warning",
        Record::Told(..) => "told",
        // A file that cannot be read.
        Record::Cat(..) if !told.starts_with(b"{") => "cat_error",
        _ => return None,
    };
    Some(json::text(kind, String::from_utf8_lossy(told).trim_end()).into_bytes())
}

fn hand_on(pending: &mut Vec<u8>, sink: &mut impl FnMut(Printed)) {
    if !pending.is_empty() {
        sink(Printed::Text(Stream::Out, std::mem::take(pending)));
    }
}

/// The text of a record that has to do with calls; `None` for a script's.
fn write_call(record: &Record, writer: &mut Writer, shower: &mut Shower) -> Option<Vec<(Stream, Vec<u8>)>> {
    let one = |printed: (Stream, String)| vec![(printed.0, printed.1.into_bytes())];
    Some(match record {
        Record::CallsBegin(time_ns) => one((Stream::Out, writer.begin(*time_ns))),
        Record::Call(call) => one((Stream::Out, writer.call(call, &mut shower.names, &shower.format_time))),
        Record::HeldBack(count) => one(writer.held_back(*count)),
        Record::Lost(count) => one(writer.lost(*count)?),
        Record::CallsEnd(counts) => writer.end(counts).into_iter().flat_map(one).collect(),
        _ => return None,
    })
}

/// A record's text.
fn print(record: &Record, format: OutputFormat, shower: &mut Shower) -> (Stream, Vec<u8>) {
    let json = format == OutputFormat::Json;
    let out = |text: String| (Stream::Out, text.into_bytes());
    let err = |text: String| (Stream::Err, text.into_bytes());
    match record {
        Record::Begin(time_ns) if json => out(json::begin(*time_ns)),
        Record::ScriptEnd(counts) if json => out(json::end(counts)),
        Record::Begin(_) | Record::ScriptEnd(_) => out(String::new()),
        Record::Attached(count) if json => out(json::count("attached_probes", "probes", *count)),
        Record::Attached(1) => err("Attached 1 probe\n".into()),
        Record::Attached(count) => err(format!("Attached {count} probes\n")),
        Record::Printf(format, values) => {
            let text = printf::format(format, values, shower);
            if json {
                out(json::text("printf", &String::from_utf8_lossy(&text)))
            } else {
                (Stream::Out, text)
            }
        }
        Record::Told(place, format, values) => {
            let text = printf::format(format, values, shower);
            err(format!("{place}{}\n", String::from_utf8_lossy(&text)))
        }
        Record::Value(ty, value) if json => out(json::value(shower, ty, value)),
        Record::Value(ty, value) => out(shower.value(ty, value) + "\n"),
        Record::Map(rows) if json => out(json::map(shower, rows)),
        Record::Map(rows) => out(shower.map(rows)),
        Record::Time(format, at) => {
            let text = (shower.format_time)(format, *at);
            out(if json { json::text("time", &text) } else { text })
        }
        Record::Cat(format, values) => {
            let name = String::from_utf8_lossy(&printf::format(format, values, shower)).into_owned();
            match cat(&name, shower.program.config.max_cat_bytes) {
                Ok(text) if json => out(json::text("cat", &text)),
                Ok(text) => out(text),
                Err(error) => err(format!("failed to open file '{name}': {error}\n")),
            }
        }
        Record::System(format, values) => {
            let command = String::from_utf8_lossy(&printf::format(format, values, shower)).into_owned();
            let text = run(&command);
            out(if json { json::text("syscall", &text) } else { text })
        }
        Record::Join(parts, separator) => {
            let parts: Vec<String> =
                parts.iter().map(|part| String::from_utf8_lossy(part.bytes()).into_owned()).collect();
            let text = parts.join(separator);
            out(if json { json::text("join", &text) } else { text + "\n" })
        }
        Record::Lost(count) if json => out(json::count("lost_events", "events", *count)),
        Record::Lost(count) => err(format!("Lost {count} events\n")),
        Record::Warning(text) => err(format!("WARNING: {text}\n")),
        Record::Gap if json => out(String::new()),
        Record::Gap => out("\n\n".into()),
        Record::End(_) | Record::CallsBegin(_) | Record::Call(_) | Record::HeldBack(_) | Record::CallsEnd(_) => {
            out(String::new())
        }
    }
}

fn cat(name: &str, limit: usize) -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(name)?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `system`: what the command prints.
fn run(command: &str) -> String {
    match std::process::Command::new("/bin/sh").args(["-c", command]).stdin(std::process::Stdio::null()).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        Err(error) => format!("{command}: {error}\n"),
    }
}

fn read_users() -> Vec<(u32, String)> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(user).collect()
}
