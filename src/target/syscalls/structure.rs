//! Bytes, texts and small structures in memory, as text.

use super::constant::{any_of, one_of, CLONE_FLAGS, EPOLL_EVENTS, POLL_EVENTS, SIGNALS};
use super::decode::pointer;
use super::sockaddr::sockaddr;
use crate::base::{ReadMem, VirtAddr};

/// How many bytes of a text are shown.
pub const TEXT_LIMIT: usize = 64;
/// How many elements of an array are shown.
const ELEMENTS: u64 = 4;
/// How many bytes of each buffer of an array are shown.
const VECTOR_TEXT: u64 = 32;

/// Whether bytes are all there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// They are.
    Complete,
    /// There are more, which is shown by dots.
    More,
}

/// Bytes in quotes: UTF-8 as it is, what cannot be printed escaped, at most [`TEXT_LIMIT`] bytes.
pub fn quote(bytes: &[u8], rest: Rest) -> String {
    let cut = bytes.len() > TEXT_LIMIT;
    let mut shown = &bytes[..bytes.len().min(TEXT_LIMIT)];
    let mut text = String::from("\"");
    while !shown.is_empty() {
        let valid = match std::str::from_utf8(shown) {
            Ok(valid) => valid,
            Err(error) => std::str::from_utf8(&shown[..error.valid_up_to()]).unwrap_or_default(),
        };
        valid.chars().for_each(|character| escape(&mut text, character));
        shown = &shown[valid.len()..];
        if let Some((byte, after)) = shown.split_first() {
            text.push_str(&format!("\\x{byte:02x}"));
            shown = after;
        }
    }
    text.push('"');
    if cut || rest == Rest::More {
        text.push_str("...");
    }
    text
}

fn escape(text: &mut String, character: char) {
    match character {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        control if control.is_control() && (control as u32) < 0x100 => {
            text.push_str(&format!("\\x{:02x}", control as u32));
        }
        control if control.is_control() => text.push_str(&control.escape_unicode().to_string()),
        other => text.push(other),
    }
}

/// The NUL-terminated text at `at`.
pub fn c_text(mem: &dyn ReadMem, at: VirtAddr) -> Option<String> {
    let bytes = mem.read_c_string(at, TEXT_LIMIT + 1).ok()?;
    Some(quote(&bytes, Rest::Complete))
}

/// `length` bytes at `at`, of which the first are read.
pub fn buffer(mem: &dyn ReadMem, at: VirtAddr, length: u64) -> Option<String> {
    buffer_to(mem, at, length, TEXT_LIMIT as u64)
}

fn buffer_to(mem: &dyn ReadMem, at: VirtAddr, length: u64, limit: u64) -> Option<String> {
    let wanted = usize::try_from(length.min(limit)).ok()?;
    if wanted == 0 {
        return Some("\"\"".to_owned());
    }
    let mut bytes = vec![0; wanted];
    let got = mem.read_mem(at, &mut bytes).ok()?;
    bytes.truncate(got);
    let rest = if got as u64 == length { Rest::Complete } else { Rest::More };
    Some(quote(&bytes, rest))
}

/// A list in brackets; dots for the elements beyond the first few, and for those that cannot be read.
fn list(count: u64, element: impl Fn(u64) -> Option<String>) -> String {
    let mut parts = Vec::new();
    for index in 0..count.min(ELEMENTS) {
        match element(index) {
            Some(text) => parts.push(text),
            None => break,
        }
    }
    if (parts.len() as u64) < count {
        parts.push("...".to_owned());
    }
    format!("[{}]", parts.join(", "))
}

/// A NULL-terminated array of texts.
pub fn texts(mem: &dyn ReadMem, at: VirtAddr) -> Option<String> {
    mem.read_u64(at).ok()?;
    let word = |index: u64| mem.read_u64(at.offset(index * 8)).unwrap_or(0);
    let count = (0..=ELEMENTS).take_while(|index| word(*index) != 0).count() as u64;
    Some(list(count, |index| c_text(mem, VirtAddr(word(index)))))
}

/// Whether an array's buffers hold anything yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffers {
    /// Their bytes are shown.
    Filled,
    /// Only their lengths are.
    Empty,
}

/// `count` of `struct iovec { void *iov_base; size_t iov_len; }`.
pub fn iovecs(mem: &dyn ReadMem, at: VirtAddr, count: u64, buffers: Buffers) -> Option<String> {
    if count > 0 {
        mem.read_u64(at).ok()?;
    }
    Some(list(count, |index| {
        let entry = at.offset(index * 16);
        let (base, length) = (mem.read_u64(entry).ok()?, mem.read_u64(entry.offset(8)).ok()?);
        let shown = match buffers {
            Buffers::Filled => buffer_to(mem, VirtAddr(base), length, VECTOR_TEXT),
            Buffers::Empty => None,
        };
        Some(format!("{{iov_base={}, iov_len={length}}}", shown.unwrap_or_else(|| format!("{base:#x}"))))
    }))
}

/// `struct epoll_event`: packed on x86-64, a u32 and a u64 right after it.
pub fn epoll_event(mem: &dyn ReadMem, at: VirtAddr) -> Option<String> {
    let mut bytes = [0; 12];
    mem.read_exact(at, &mut bytes).ok()?;
    let (events, data) = bytes.split_first_chunk::<4>()?;
    let events = any_of(u32::from_le_bytes(*events).into(), EPOLL_EVENTS);
    let data = u64::from_le_bytes(*data.first_chunk()?);
    Some(format!("{{events={events}, data={data}}}"))
}

/// `count` of `struct pollfd { int fd; short events, revents; }`.
pub fn poll_fds(mem: &dyn ReadMem, at: VirtAddr, count: u64) -> Option<String> {
    Some(list(count, |index| {
        let word = mem.read_u64(at.offset(index * 8)).ok()?;
        Some(format!("{{fd={}, events={}}}", word as i32, any_of((word >> 32) & 0xffff, POLL_EVENTS)))
    }))
}

/// `struct timespec` or `timeval`, whose fractions have this name.
pub fn time(mem: &dyn ReadMem, at: VirtAddr, fraction: &str) -> Option<String> {
    let (seconds, part) = (mem.read_u64(at).ok()? as i64, mem.read_u64(at.offset(8)).ok()? as i64);
    Some(format!("{{tv_sec={seconds}, {fraction}={part}}}"))
}

/// `struct itimerspec`.
pub fn timer(mem: &dyn ReadMem, at: VirtAddr) -> Option<String> {
    let (interval, value) = (time(mem, at, "tv_nsec")?, time(mem, at.offset(16), "tv_nsec")?);
    Some(format!("{{it_interval={interval}, it_value={value}}}"))
}

/// `struct clone_args` of clone3(2), of its first version: 64 bytes.
pub fn clone_args(mem: &dyn ReadMem, at: VirtAddr) -> Option<String> {
    let mut words = [0; 8];
    for (index, word) in words.iter_mut().enumerate() {
        *word = mem.read_u64(at.offset(index as u64 * 8)).ok()?;
    }
    let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls] = words;
    let pidfd = if flags & 0x1000 != 0 { format!("pidfd={pidfd:#x}, ") } else { String::new() };
    Some(format!(
        "{{flags={}, {pidfd}child_tid={}, parent_tid={}, exit_signal={}, stack={}, stack_size={stack_size}, tls={}}}",
        any_of(flags, CLONE_FLAGS),
        pointer(child_tid),
        pointer(parent_tid),
        one_of(exit_signal, SIGNALS),
        pointer(stack),
        pointer(tls)
    ))
}

/// `struct msghdr` of sendmsg(2): the name's length is an `int` with a gap after it.
pub fn message(mem: &dyn ReadMem, at: VirtAddr) -> Option<String> {
    let word = |index: u64| mem.read_u64(at.offset(index * 8)).ok();
    let (name, name_length) = (word(0)?, word(1)? & 0xffff_ffff);
    let (vectors, count, control_length) = (word(2)?, word(3)?, word(5)?);
    let name = match name {
        0 => "NULL".to_owned(),
        at => sockaddr(mem, VirtAddr(at), name_length).unwrap_or_else(|| format!("{at:#x}")),
    };
    let vectors = iovecs(mem, VirtAddr(vectors), count, Buffers::Filled).unwrap_or_else(|| format!("{vectors:#x}"));
    Some(format!(
        "{{msg_name={name}, msg_namelen={name_length}, msg_iov={vectors}, msg_iovlen={count}, \
         msg_controllen={control_length}}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_quoted_escaped_and_cut() {
        assert_eq!(quote(b"GET \"/\"\r\n\0", Rest::Complete), r#""GET \"/\"\r\n\x00""#);
        assert_eq!(quote("\u{e4}\u{20ac}".as_bytes(), Rest::Complete), "\"\u{e4}\u{20ac}\"");
        assert_eq!(quote(b"\xff\xfea", Rest::More), r#""\xff\xfea"..."#);
        assert_eq!(quote(&[b'a'; 65], Rest::Complete), format!("\"{}\"...", "a".repeat(64)));
        assert_eq!(quote(b"", Rest::Complete), "\"\"");
    }
}
