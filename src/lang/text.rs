//! Characters and strings as gdb prints them.

use std::fmt::Write;

use crate::base::VirtAddr;

use super::Environment;

/// How many bytes of a string are shown.
pub const SHOWN_LIMIT: usize = 200;

/// Runs of more bytes than this are shown as `'a' <repeats 11 times>`.
const REPEATS: usize = 10;

/// A string read from memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CString {
    /// The bytes before the NUL.
    pub bytes: Vec<u8>,
    /// Whether the limit came before the NUL.
    pub cut: bool,
}

/// Reads a string of at most `limit` bytes; `None` if its first byte cannot be read. Where memory ends, it ends.
pub fn read_string(at: VirtAddr, limit: usize, env: &dyn Environment) -> Option<CString> {
    const CHUNK: u64 = 64;
    let mut bytes = Vec::new();
    let mut buf = [0; CHUNK as usize];
    while bytes.len() < limit {
        let here = at.offset(bytes.len() as u64);
        // To the end of an aligned chunk, which never reaches into a page that the string does not.
        let want = ((CHUNK - here.0 % CHUNK) as usize).min(limit - bytes.len());
        let part = &mut buf[..want];
        if env.read(here, part).is_err() {
            return (!bytes.is_empty()).then_some(CString { bytes, cut: true });
        }
        if let Some(end) = part.iter().position(|byte| *byte == 0) {
            bytes.extend_from_slice(&part[..end]);
            return Some(CString { bytes, cut: false });
        }
        bytes.extend_from_slice(part);
    }
    Some(CString { bytes, cut: true })
}

impl CString {
    /// In quotes, with escapes, repeats, and `...` if it was cut.
    pub fn quoted(&self) -> String {
        format!("{}{}", quote(&self.bytes), if self.cut { "..." } else { "" })
    }
}

/// One character in single quotes: `'a'`, `'\n'`, `'\377'`.
pub fn quote_char(byte: u8) -> String {
    let mut out = String::from("'");
    match byte {
        b'\'' => out.push_str("\\'"),
        b'"' => out.push('"'),
        _ => push_byte(&mut out, byte),
    }
    out.push('\'');
    out
}

/// A string in double quotes; long runs of one byte stand outside of them.
pub fn quote(bytes: &[u8]) -> String {
    let mut pieces: Vec<String> = Vec::new();
    let mut open = String::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        if run > REPEATS {
            if !open.is_empty() {
                pieces.push(format!("\"{}\"", std::mem::take(&mut open)));
            }
            pieces.push(format!("{} <repeats {run} times>", quote_char(*first)));
            rest = &rest[run..];
        } else {
            let used = push_char(&mut open, rest);
            rest = &rest[used..];
        }
    }
    if !open.is_empty() || pieces.is_empty() {
        pieces.push(format!("\"{open}\""));
    }
    pieces.join(", ")
}

/// Appends the character that `rest` starts with, and gives its length: UTF-8 as it is, other bytes as escapes.
fn push_char(out: &mut String, rest: &[u8]) -> usize {
    let first = rest.first().copied().unwrap_or(0);
    let len = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let text = rest.get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match text.and_then(|text| text.chars().next()) {
        Some(c) if len > 1 && !c.is_control() => {
            out.push(c);
            return len;
        }
        _ if first == b'\'' => out.push('\''),
        _ => push_byte(out, first),
    }
    1
}

/// Appends one byte, escaped as in a string where it is no printable ASCII.
fn push_byte(out: &mut String, byte: u8) {
    let escape = match byte {
        7 => "\\a",
        8 => "\\b",
        9 => "\\t",
        10 => "\\n",
        11 => "\\v",
        12 => "\\f",
        13 => "\\r",
        b'\\' => "\\\\",
        b'"' => "\\\"",
        0x20..=0x7e => {
            out.push(char::from(byte));
            return;
        }
        _ => {
            // Writing to a String does not fail.
            let _ = write!(out, "\\{byte:03o}");
            return;
        }
    };
    out.push_str(escape);
}
