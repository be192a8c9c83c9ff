//! Keys of containers, and how they compare with what lies in memory.

use std::cmp::Ordering;

use super::Source;
use crate::base::VirtAddr;
use crate::binary::dwarf::{Encoding, Shape, TypeId, Types};
use crate::lang::code::{InPlaceLayout, TextForm};
use crate::lang::Fault;

/// Bytes of a text that are compared at a time: nothing is allocated where a condition is judged.
const PIECE: usize = 64;

/// What kind of keys a container has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::lang) enum KeyKind {
    /// Integers, enumerators and pointers.
    Number {
        /// 1, 2, 4 or 8 bytes.
        size: u8,
        /// Whether the highest bit is a sign.
        is_signed: bool,
    },
    /// Strings and their views.
    Text(TextForm),
}

/// A key that is looked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::lang) enum Key<'t> {
    /// See [`KeyKind::Number`]; the bits above the size do not count.
    Number {
        /// The number.
        bits: u64,
        /// 1, 2, 4 or 8 bytes.
        size: u8,
        /// Whether the highest bit is a sign.
        is_signed: bool,
    },
    /// See [`KeyKind::Text`].
    Text {
        /// The text.
        text: &'t [u8],
        /// Where a string object has its own.
        form: TextForm,
    },
}

impl KeyKind {
    /// Of numbers; `None`: the type is another.
    pub(in crate::lang) fn of_number(types: &Types<'_>, id: TypeId) -> Option<KeyKind> {
        let view = types.view(id);
        let is_signed = match view.shape {
            Shape::Base(Encoding::Float | Encoding::Complex) => return None,
            Shape::Base(encoding) | Shape::Enumeration(encoding) => encoding.is_signed(),
            Shape::Pointer(_) => false,
            _ => return None,
        };
        matches!(view.size, 1 | 2 | 4 | 8).then_some(KeyKind::Number { size: view.size as u8, is_signed })
    }
}

impl Key<'_> {
    /// How this key compares with one in memory.
    pub(in crate::lang) fn compare(&self, at: VirtAddr, source: &dyn Source) -> Result<Ordering, Fault> {
        match *self {
            Key::Number { bits, size, is_signed } => {
                let mut word = [0; 8];
                source.read(at, word.get_mut(..size.into()).ok_or(Fault::BadCode)?)?;
                let unused = 64 - 8 * u32::from(size);
                let (own, other) = (bits << unused, u64::from_le_bytes(word) << unused);
                Ok(if is_signed { (own as i64).cmp(&(other as i64)) } else { own.cmp(&other) })
            }
            Key::Text { text, form } => {
                let (start, length) = form.place(at, source)?;
                let mut piece = [0; PIECE];
                let common = text.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(text);
                for (index, own) in common.chunks(PIECE).enumerate() {
                    let piece = &mut piece[..own.len()];
                    source.read(start.offset((index * PIECE) as u64), piece)?;
                    let order = own.cmp(piece);
                    if order.is_ne() {
                        return Ok(order);
                    }
                }
                Ok((text.len() as u64).cmp(&length))
            }
        }
    }
}

impl TextForm {
    /// Where the text of the object at an address is, and how many bytes it has.
    pub(in crate::lang) fn place(self, at: VirtAddr, source: &dyn Source) -> Result<(VirtAddr, u64), Fault> {
        let word = |distance: u16| source.word(at.offset(distance.into()));
        match self {
            TextForm::Pair { data, length } => Ok((VirtAddr(word(data)?), word(length)?)),
            TextForm::InPlace { data, length, text, flag, layout } => {
                let mut byte = [0];
                source.read(at.offset(flag.into()), &mut byte)?;
                let (is_long, in_place) = match layout {
                    InPlaceLayout::Usual => (byte[0] & 1 != 0, byte[0] >> 1),
                    InPlaceLayout::Alternate => (byte[0] & 0x80 != 0, byte[0]),
                };
                match is_long {
                    true => Ok((VirtAddr(word(data)?), word(length)?)),
                    false => Ok((at.offset(text.into()), in_place.into())),
                }
            }
        }
    }
}
