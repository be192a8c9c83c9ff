//! The functions of scripts that have a value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::hit::{control_group_at, Hit};
use super::machine::{Frame, Machine};
use super::value::{Text, Value};
use crate::base::Signal;
use crate::lang::script::program::{Clock, Code, Function};
use crate::target::syscalls::call_name;

/// Where the parameters of a system call seem to lie: no program has memory there.
pub(super) const SYSCALL_ARGUMENTS: u64 = 0xffff_ff00_0000_0000;
/// `struct sockaddr_in` and `sockaddr_in6` begin with these families.
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_UNIX: u64 = 1;
/// The most texts that `join` takes, and the longest list of them.
const JOINED: u64 = 64;

pub(super) fn call(machine: &mut Machine, function: &Function, arguments: &[Code], frame: &mut Frame<'_>) -> Value {
    let limit = machine.program().config.max_strlen;
    let mut argument = |machine: &mut Machine, at: usize| match arguments.get(at) {
        Some(code) => machine.eval(code, frame),
        None => Value::None,
    };
    let first = argument(machine, 0);
    match function {
        Function::Str => {
            let length = match arguments.len() {
                1 => limit,
                _ => (argument(machine, 1).number() as usize).min(limit),
            };
            match &first {
                Value::Text(text) => Value::text(at_most(text.bytes(), length)),
                at => text_at(frame.hit, at.number(), length, arguments.len() == 1, machine),
            }
        }
        Function::NamedArgument(name) => {
            Value::Number(frame.hit.named_argument(name).map_or(0, |argument| argument.word))
        }
        Function::ArgumentText(name) => {
            let text = frame.hit.named_argument(name).unwrap_or_default().text;
            Value::text(at_most(text.bytes(), limit))
        }
        Function::WholeArguments(side) => Value::Text(frame.hit.whole_arguments(*side)),
        Function::Buf => {
            let length = (argument(machine, 1).number() as usize).min(limit);
            Value::Bytes(match &first {
                Value::Bytes(_) | Value::Text(_) => at_most(first.bytes(), length).into(),
                at => bytes_at(frame.hit, at.number(), length).into(),
            })
        }
        Function::Ntop => {
            let address = argument(machine, 1);
            internet_address(first.number(), &address)
        }
        Function::MacAddress => Value::Hardware(hardware_address(&first)),
        Function::Stack(_) => frame.hit.stack(first.number().min(1024) as u32).map_or(Value::None, Value::Stack),
        Function::KernelStack => Value::None,
        Function::Symbol => frame.hit.symbol(first.number()).map_or(Value::None, Value::Symbol),
        Function::SymbolAddress => Value::Number(frame.hit.symbol_address(&String::from_utf8_lossy(first.bytes()))),
        Function::FormatTime(format) => Value::Time(time_of_day(machine, first.number()), format.clone()),
        Function::CompareTexts => {
            let (second, count) = (argument(machine, 1), argument(machine, 2).number() as usize);
            Value::Number(compare(first.bytes(), second.bytes(), count) as u64)
        }
        Function::Contains => {
            let found = memchr::memmem::find(first.bytes(), argument(machine, 1).bytes());
            Value::Number(u64::from(found.is_some()))
        }
        Function::Length => Value::Number(match &first {
            Value::Stack(stack) => stack.frames.len() as u64,
            other => other.bytes().len() as u64,
        }),
        Function::MapLength(map) => Value::Number(machine.maps[usize::from(map.0)].len() as u64),
        Function::HasKey(map) => Value::Number(u64::from(machine.maps[usize::from(map.0)].find(&first).is_some())),
        Function::Delete(map) => Value::Number(u64::from(machine.maps[usize::from(map.0)].delete(&first))),
        Function::ByteSwap(bytes) => {
            let unused = 64 - 8 * u32::from((*bytes).clamp(1, 8));
            Value::Number(first.number().swap_bytes() >> unused)
        }
        Function::Clock(clock) => Value::Number(machine.clock(*clock)),
        Function::CommandLine => Value::Text(frame.hit.command_line(first.number())),
        Function::SocketAddress => Value::text(socket_address(frame.hit, first.number()).as_bytes()),
        Function::Peer => Value::Text(frame.hit.peer(first.number())),
        Function::CommOf => Value::Text(frame.hit.comm_of(first.number())),
        Function::Find(map, slot) => {
            let sign = machine.program().maps[usize::from(map.0)].value.sign();
            let found = machine.maps[usize::from(map.0)].find(&first).map(|cell| cell.value(sign));
            let is_there = u64::from(found.is_some());
            found.into_iter().for_each(|value| machine.set_variable(frame, slot.0, value));
            Value::Number(is_there)
        }
        Function::PositionOf => {
            let found = memchr::memmem::find(first.bytes(), argument(machine, 1).bytes());
            Value::Number(found.map_or(u64::MAX, |at| at as u64))
        }
        Function::Joined => {
            let mut text = first.bytes().to_vec();
            text.extend(argument(machine, 1).bytes());
            Value::text(at_most(&text, limit))
        }
        Function::CompareBytes => {
            let (second, count) = (argument(machine, 1), argument(machine, 2).number() as usize);
            Value::Number(at_most(first.bytes(), count).cmp(at_most(second.bytes(), count)) as i64 as u64)
        }
        Function::ErrorText => Value::text(error_text(first.number()).as_bytes()),
        Function::SignalName => Value::text(Signal(first.number() as i32).to_string().as_bytes()),
        Function::CallName => Value::text(call_name(first.number()).as_bytes()),
        Function::ControlGroupOf => Value::Number(control_group_at(&String::from_utf8_lossy(first.bytes()))),
        Function::StdString => std_string(frame.hit, first.number(), limit),
    }
}

fn at_most(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

/// The six bytes of a link-layer address: a number's lowest, or the first of what was read.
fn hardware_address(value: &Value) -> [u8; 6] {
    let mut address = [0; 6];
    let number;
    let bytes = match value {
        Value::Number(of) => {
            number = of.to_le_bytes();
            &number[..]
        }
        _ => value.bytes(),
    };
    address.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    address
}

/// Nanoseconds since 1970 at a time that is given in nanoseconds since boot, as `nsecs` gives it.
fn time_of_day(machine: &mut Machine, since_boot: u64) -> u64 {
    machine.clock(Clock::Real).wrapping_sub(machine.clock(Clock::Boot)).wrapping_add(since_boot)
}

/// What the system calls an error.
fn error_text(number: u64) -> String {
    let text = std::io::Error::from_raw_os_error(number as i32).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Whether two values are the same; texts and bytes by what is in them, nothing with zero and the empty text.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Text(_) | Value::Bytes(_), _) | (_, Value::Text(_) | Value::Bytes(_)) => a.bytes() == b.bytes(),
        (Value::None, _) | (_, Value::None) => !a.is_true() && !b.is_true(),
        (Value::Tuple(a), Value::Tuple(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

/// Memory of the task, or the parameters of the system call.
pub(super) fn read_at(hit: &dyn Hit, at: u64, buf: &mut [u8]) -> usize {
    if !(SYSCALL_ARGUMENTS..SYSCALL_ARGUMENTS + 48).contains(&at) {
        return hit.read(at, buf);
    }
    let mut whole = [0; 48];
    for (place, argument) in whole.chunks_exact_mut(8).zip(hit.syscall().arguments) {
        place.copy_from_slice(&argument.to_le_bytes());
    }
    let tail = &whole[(at - SYSCALL_ARGUMENTS) as usize..];
    let length = tail.len().min(buf.len());
    buf[..length].copy_from_slice(&tail[..length]);
    length
}

/// So many bytes; zeros where they cannot be read.
pub(super) fn bytes_at(hit: &dyn Hit, at: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    read_at(hit, at, &mut bytes);
    bytes
}

/// The text at an address; one that is cut off gets the trailer.
fn text_at(hit: &dyn Hit, at: u64, length: usize, whole: bool, machine: &Machine) -> Value {
    let mut short = [0; 64];
    let first = read_at(hit, at, &mut short[..length.min(64)]);
    if let Some(end) = short[..first].iter().position(|byte| *byte == 0) {
        return Value::text(&short[..end]);
    }
    if first < length.min(64) || length <= 64 {
        return Value::text(&short[..first]);
    }
    let mut bytes = vec![0; length];
    let got = read_at(hit, at, &mut bytes);
    bytes.truncate(got);
    match bytes.iter().position(|byte| *byte == 0) {
        Some(end) => bytes.truncate(end),
        None if whole && got == length => bytes.extend(machine.program().config.str_trunc_trailer.bytes()),
        None => {}
    }
    Value::text(&bytes)
}

/// `join`'s array: pointers to texts, the last one NULL.
pub(super) fn texts_at(hit: &dyn Hit, at: u64, limit: usize) -> Vec<Text> {
    let mut texts = Vec::new();
    for index in 0..JOINED {
        let mut pointer = [0; 8];
        if read_at(hit, at.wrapping_add(index * 8), &mut pointer) < 8 || pointer == [0; 8] {
            break;
        }
        let mut bytes = bytes_at(hit, u64::from_le_bytes(pointer), limit.min(256));
        bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
        texts.push(Text::new(&bytes));
    }
    texts
}

fn compare(a: &[u8], b: &[u8], count: usize) -> i64 {
    for at in 0..count {
        let (x, y) = (a.get(at).copied().unwrap_or(0), b.get(at).copied().unwrap_or(0));
        if x != y {
            return i64::from(x) - i64::from(y);
        }
        if x == 0 {
            break;
        }
    }
    0
}

/// The address that `ntop` shows: of a number, or of 4 or 16 bytes.
fn internet_address(family: u64, address: &Value) -> Value {
    let bytes = address.bytes();
    let six = || <[u8; 16]>::try_from(bytes).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    let four = || {
        let octets = <[u8; 4]>::try_from(bytes).unwrap_or((address.number() as u32).to_le_bytes());
        IpAddr::V4(Ipv4Addr::from(octets))
    };
    Value::Address(match family {
        AF_INET => four(),
        _ => six().unwrap_or_else(four),
    })
}

/// A `struct sockaddr` as text.
fn socket_address(hit: &dyn Hit, at: u64) -> String {
    let bytes = bytes_at(hit, at, 110);
    describe_address(&bytes)
}

/// An address of any family that is common, as text.
pub fn describe_address(bytes: &[u8]) -> String {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let port = u16::from_be_bytes([byte(2), byte(3)]);
    match u64::from(u16::from_le_bytes([byte(0), byte(1)])) {
        AF_INET => format!("{}:{port}", Ipv4Addr::new(byte(4), byte(5), byte(6), byte(7))),
        AF_INET6 => {
            let mut octets = [0; 16];
            octets.iter_mut().enumerate().for_each(|(at, octet)| *octet = byte(8 + at));
            format!("[{}]:{port}", Ipv6Addr::from(octets))
        }
        AF_UNIX => {
            let path = bytes.get(2..).unwrap_or_default();
            let (mark, path) = if path.first() == Some(&0) { ("@", &path[1..]) } else { ("", path) };
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            format!("unix:{mark}{}", String::from_utf8_lossy(&path[..end]))
        }
        0 => String::new(),
        family => format!("family {family}"),
    }
}

/// A `std::string` or `std::string_view`'s text, by what its first words look like.
fn std_string(hit: &dyn Hit, at: u64, limit: usize) -> Value {
    struct Memory<'a>(&'a dyn Hit);
    impl crate::base::ReadMem for Memory<'_> {
        fn read_mem(&self, at: crate::base::VirtAddr, buf: &mut [u8]) -> Result<usize, crate::base::MemError> {
            match self.0.read(at.0, buf) {
                0 => Err(crate::base::MemError::Unmapped(at)),
                got => Ok(got),
            }
        }
    }
    let (memory, at) = (Memory(hit), crate::base::VirtAddr(at));
    let layouts = [crate::target::value::TextLayout::Either, crate::target::value::TextLayout::Libcxx];
    let found = layouts.iter().find_map(|layout| layout.read(&memory, at)).unwrap_or_default();
    let plain = found.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&found);
    Value::text(&plain.as_bytes()[..plain.len().min(limit)])
}
