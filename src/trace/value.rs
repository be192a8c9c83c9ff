//! Values of a running script.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::{Pid, VirtAddr};
use crate::target::AddressSpace;

/// The longest text that a value holds itself, bytes: a thread's name has 15.
const INLINE: usize = 22;

/// A value.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Value {
    /// Nothing: a key that is not in its map. It is 0, and empty.
    #[default]
    None,
    /// A number's 64 bits.
    Number(u64),
    /// A text.
    Text(Text),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// An internet address.
    Address(IpAddr),
    /// A hardware address.
    Hardware([u8; 6]),
    /// A user.
    User(u32),
    /// A time, in nanoseconds since the epoch, and how it is written.
    Time(u64, Arc<str>),
    /// A stack.
    Stack(Arc<StackValue>),
    /// A place in the program.
    Symbol(Arc<StackValue>),
    /// Several values.
    Tuple(Arc<[Value]>),
}

/// A text; short ones take no memory of their own.
#[derive(Clone)]
pub enum Text {
    /// So many of these bytes.
    Inline(u8, [u8; INLINE]),
    /// Longer.
    Shared(Arc<[u8]>),
}

/// A stack as it was walked, named when it is printed.
#[derive(Clone, Debug)]
pub struct StackValue {
    /// Whose.
    pub pid: Pid,
    /// The pc of each frame, and the address by which it is looked up; innermost first.
    pub frames: Vec<(VirtAddr, VirtAddr)>,
    /// The modules then.
    pub space: Arc<AddressSpace>,
}

impl StackValue {
    /// How much memory it holds, bytes; the modules are shared.
    pub(super) fn weight(&self) -> usize {
        self.frames.len() * std::mem::size_of::<(VirtAddr, VirtAddr)>() + std::mem::size_of::<StackValue>()
    }
}

impl PartialEq for StackValue {
    fn eq(&self, other: &Self) -> bool {
        self.pid == other.pid && self.frames == other.frames
    }
}

impl Eq for StackValue {}

impl Hash for StackValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pid.hash(state);
        self.frames.hash(state);
    }
}

impl Text {
    /// A copy of these bytes.
    pub fn new(bytes: &[u8]) -> Text {
        let mut inline = [0; INLINE];
        match inline.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Text::Inline(bytes.len() as u8, inline)
            }
            None => Text::Shared(bytes.into()),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Text::Inline(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Text::Shared(bytes) => bytes,
        }
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::Inline(0, [0; INLINE])
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.bytes()))
    }
}

impl Value {
    /// A text.
    pub fn text(bytes: &[u8]) -> Value {
        Value::Text(Text::new(bytes))
    }

    /// The number it is; of bytes the first eight; 0 for nothing.
    pub fn number(&self) -> u64 {
        match self {
            Value::Number(number) => *number,
            Value::User(user) => u64::from(*user),
            Value::Time(nanoseconds, _) => *nanoseconds,
            Value::Bytes(bytes) => little_endian(bytes),
            Value::Address(IpAddr::V4(four)) => u64::from(u32::from_le_bytes(four.octets())),
            _ => 0,
        }
    }

    /// Whether it is something.
    pub fn is_true(&self) -> bool {
        match self {
            Value::None => false,
            Value::Number(number) => *number != 0,
            Value::Text(text) => !text.bytes().is_empty(),
            _ => true,
        }
    }

    /// Its bytes, if it is text or bytes; nothing has none.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Text(text) => text.bytes(),
            Value::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// How much memory it holds besides itself, bytes.
    pub(super) fn weight(&self) -> usize {
        let inner = match self {
            Value::Text(Text::Shared(bytes)) | Value::Bytes(bytes) => bytes.len(),
            Value::Stack(stack) | Value::Symbol(stack) => stack.weight(),
            Value::Tuple(parts) => parts.iter().map(Value::weight).sum(),
            _ => 0,
        };
        inner + std::mem::size_of::<Value>()
    }

    /// The part of a tuple.
    pub fn part(&self, at: usize) -> Value {
        match self {
            Value::Tuple(parts) => parts.get(at).cloned().unwrap_or_default(),
            _ => Value::None,
        }
    }
}

/// Up to eight bytes as a number.
pub(super) fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_however_they_are_held() {
        let bytes: Arc<[u8]> = b"envoy".as_slice().into();
        assert_eq!(Text::new(b"envoy"), Text::Shared(bytes));
        assert_eq!(Text::new(&[b'a'; 100]).bytes().len(), 100);
        assert!(!Value::text(b"").is_true() && Value::text(b"a").is_true());
    }

    #[test]
    fn nothing_is_zero_and_empty_in_every_form() {
        assert_eq!((Value::None.number(), Value::None.bytes(), Value::None.part(3)), (0, &b""[..], Value::None));
        assert_eq!(Value::Bytes([1, 2].as_slice().into()).number(), 0x201);
    }
}
