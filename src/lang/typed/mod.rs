//! Values by their types in the debug information: reading them, looking into them, and showing them.

mod abseil;
mod containers;
mod describe;
mod go;
mod keyed;
mod layout;
mod member_pointer;
pub(in crate::lang) mod numbers;
mod objects;
mod rust;
mod show;
mod smart;
mod strings;

pub use describe::{describe_with, Functions};
pub use layout::layout;

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use crate::base::{ReadMem, VirtAddr};
use crate::binary::dwarf::{Bits, Member, MemberKind, Shape, TypeId, TypeView, Types};

use super::{Format, Labels};

/// A value is not read beyond this many bytes.
const VALUE_LIMIT: u64 = 1 << 20;
/// How deep a member is looked for in bases and members of members.
const DIG_DEPTH: u32 = 7;
/// One `print` looks at no more values than this: corrupt memory can nest without end.
const WORK_LIMIT: u32 = 100_000;

/// A value and its type.
#[derive(Clone, Debug)]
pub struct TypedValue {
    /// Its type.
    pub ty: TypeId,
    /// Where its bytes are.
    pub place: Held,
}

/// Where a value's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// In memory.
    Memory(VirtAddr),
    /// Here: from registers, or worked out.
    Bytes(Vec<u8>),
    /// A bit-field in memory, in the record that starts there.
    Bits(VirtAddr, Bits),
    /// Here, but the compiler kept these parts of it nowhere.
    Torn(Vec<u8>, Vec<Range<u64>>),
    /// The compiler kept it nowhere.
    OptimisedOut,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// How values are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// Of numbers.
    pub format: Format,
    /// How many elements, and characters of a string.
    pub elements: u64,
    /// Library types by what they mean, or by their members.
    pub printers: Printers,
    /// Whether a pointer to a base of a larger object is shown by the object's own class.
    pub objects: Objects,
    /// Whether aggregates are shown.
    pub extent: Extent,
}

/// See [`Style`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Extent {
    /// With all that they hold.
    #[default]
    Whole,
    /// As `...`, but for text: what fits on the line of a frame.
    Brief,
}

/// See [`Style`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Printers {
    /// By what they mean.
    #[default]
    Used,
    /// By their members.
    Raw,
}

/// See [`Style`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Objects {
    /// By the class that the virtual table tells.
    #[default]
    Dynamic,
    /// By the class that is declared.
    Declared,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            format: Format::Natural,
            elements: 200,
            printers: Printers::Used,
            objects: Objects::Dynamic,
            extent: Extent::Whole,
        }
    }
}

/// Reads values of one module's types from one process.
pub struct Inspector<'a, 't> {
    /// The module's types.
    pub types: &'t Types<'a>,
    /// The process's memory.
    pub memory: &'t dyn ReadMem,
    /// What is at an address of code or data.
    pub labels: &'t dyn Labels,
    /// How values are shown.
    pub style: Style,
    work: Cell<u32>,
}

impl<'a, 't> Inspector<'a, 't> {
    /// Of these types and that memory.
    pub fn new(types: &'t Types<'a>, memory: &'t dyn ReadMem, labels: &'t dyn Labels, style: Style) -> Self {
        Self { types, memory, labels, style, work: Cell::new(0) }
    }

    /// Whether one more value may be looked at.
    fn may_go_on(&self) -> bool {
        self.work.set(self.work.get() + 1);
        self.work.get() < WORK_LIMIT
    }

    fn view(&self, value: &TypedValue) -> Rc<TypeView> {
        self.types.view(value.ty)
    }

    /// The value's bytes.
    ///
    /// # Errors
    /// Why there are none, in a few words and pointed brackets.
    pub fn bytes(&self, value: &TypedValue) -> Result<Vec<u8>, String> {
        let size = self.view(value).size.min(VALUE_LIMIT);
        match &value.place {
            Held::OptimisedOut | Held::Torn(..) => Err("<optimized out>".to_owned()),
            Held::Unknown(reason) => Err(format!("<{reason}>")),
            Held::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                bytes.resize(size as usize, 0);
                Ok(bytes)
            }
            Held::Memory(at) => self.read(*at, size),
            Held::Bits(start, bits) => {
                let first = start.offset(bits.first / 8);
                let raw = self.read(first, (bits.first % 8 + u64::from(bits.count)).div_ceil(8).min(17))?;
                let mut bytes = cut_bits(&raw, (bits.first % 8) as u32, bits.count).to_le_bytes().to_vec();
                bytes.truncate(size.max(1) as usize);
                Ok(bytes)
            }
        }
    }

    fn read(&self, at: VirtAddr, size: u64) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; size.min(VALUE_LIMIT) as usize];
        self.memory.read_exact(at, &mut bytes).map_err(|_| format!("<error: Cannot access memory at address {at}>"))?;
        Ok(bytes)
    }

    /// A number's, pointer's or enumeration's bits, extended by its sign.
    pub fn scalar(&self, value: &TypedValue) -> Option<i128> {
        let view = self.view(value);
        let signed = match &view.shape {
            Shape::Base(encoding) | Shape::Enumeration(encoding) => encoding.is_signed(),
            Shape::Pointer(_) | Shape::Reference(_) => false,
            _ => return None,
        };
        let bytes = self.bytes(value).ok()?;
        let word = bytes.iter().take(16).rev().fold(0u128, |word, byte| word << 8 | u128::from(*byte));
        let bits = match value.place {
            Held::Bits(_, bits) => bits.count.clamp(1, 128),
            _ => (bytes.len() as u32 * 8).clamp(1, 128),
        };
        let shift = 128 - bits;
        Some(if signed { ((word << shift) as i128) >> shift } else { word as i128 })
    }

    /// What a pointer points at, or a reference means.
    pub fn target(&self, value: &TypedValue) -> Option<TypedValue> {
        let view = self.view(value);
        let (Shape::Pointer(to) | Shape::Reference(to)) = view.shape else { return None };
        Some(TypedValue { ty: to, place: Held::Memory(VirtAddr(self.scalar(value)? as u64)) })
    }

    fn pointer_at(&self, value: &TypedValue, name: &str) -> Option<TypedValue> {
        self.dig_within(value, name, DIG_DEPTH, &|one| matches!(self.view(one).shape, Shape::Pointer(_)))
    }

    fn part(&self, value: &TypedValue, offset: u64, size: u64) -> Option<Held> {
        match &value.place {
            Held::Memory(at) => Some(Held::Memory(at.offset(offset))),
            Held::Bytes(bytes) => {
                let start = usize::try_from(offset).ok()?;
                let end = start.checked_add(usize::try_from(size).ok()?)?;
                Some(Held::Bytes(bytes.get(start..end.min(bytes.len()))?.to_vec()))
            }
            Held::Torn(bytes, missing) => {
                let start = usize::try_from(offset).ok()?;
                let end = start.checked_add(usize::try_from(size).ok()?)?.min(bytes.len());
                let part = bytes.get(start.min(end)..end)?.to_vec();
                let holes = missing.iter().filter(|hole| hole.start < offset + size && offset < hole.end);
                let holes: Vec<Range<u64>> =
                    holes.map(|hole| hole.start.saturating_sub(offset)..hole.end - offset).collect();
                Some(match holes.is_empty() {
                    true => Held::Bytes(part),
                    false => Held::Torn(part, holes),
                })
            }
            Held::Bits(..) => None,
            other => Some(other.clone()),
        }
    }

    fn members(&self, value: &TypedValue) -> Rc<Vec<Member>> {
        self.types.members(value.ty)
    }

    /// A member of a value; `None` for a static one.
    pub fn member_value(&self, value: &TypedValue, member: &Member) -> Option<TypedValue> {
        let size = self.types.size(member.ty);
        let place = match (member.kind, member.bits, &value.place) {
            (MemberKind::Static, ..) => return None,
            (MemberKind::VirtualBase { before }, _, Held::Memory(at)) => {
                let table = self.memory.read_u64(*at).ok()?;
                let offset = self.memory.read_u64(VirtAddr(table.wrapping_sub(before))).ok()?;
                Held::Memory(VirtAddr(at.0.wrapping_add(offset)))
            }
            (MemberKind::VirtualBase { .. }, ..) => return None,
            (_, Some(bits), Held::Memory(at)) => Held::Bits(*at, bits),
            (_, Some(bits), Held::Torn(_, missing))
                if missing
                    .iter()
                    .any(|hole| hole.start * 8 < bits.first + u64::from(bits.count) && bits.first < hole.end * 8) =>
            {
                Held::OptimisedOut
            }
            (_, Some(bits), Held::Bytes(bytes) | Held::Torn(bytes, _)) => {
                let raw = bytes.get(usize::try_from(bits.first / 8).ok()?..)?;
                let field = cut_bits(raw, (bits.first % 8) as u32, bits.count);
                let shift = 128 - bits.count;
                let signed = matches!(self.types.view(member.ty).shape, Shape::Base(one) if one.is_signed());
                let word = if signed { ((field << shift) as i128 >> shift) as u128 } else { field };
                Held::Bytes(word.to_le_bytes()[..size.min(16) as usize].to_vec())
            }
            _ => self.part(value, member.offset, size)?,
        };
        Some(TypedValue { ty: member.ty, place })
    }

    /// A member by name: of the value itself, of an anonymous member, or of a base.
    pub fn member(&self, value: &TypedValue, name: &str) -> Option<TypedValue> {
        self.member_within(value, name, DIG_DEPTH)
    }

    fn member_within(&self, value: &TypedValue, name: &str, depth: u32) -> Option<TypedValue> {
        let members = self.members(value);
        let is_named = |one: &&Member| one.kind == MemberKind::Field && one.name.as_deref() == Some(name);
        if let Some(own) = members.iter().find(is_named) {
            return self.member_value(value, own);
        }
        let depth = depth.checked_sub(1)?;
        let hidden = members.iter().filter(|one| one.kind != MemberKind::Static && one.name.is_none());
        let mut hidden = hidden.filter_map(|one| self.member_value(value, one));
        hidden.find_map(|inner| self.member_within(&inner, name, depth))
    }

    /// A member by name wherever it is inside the value: the C++ libraries put their members into bases and members of
    /// members, differently from version to version.
    fn dig(&self, value: &TypedValue, name: &str) -> Option<TypedValue> {
        self.dig_within(value, name, DIG_DEPTH, &|_| true)
    }

    fn dig_within(
        &self,
        value: &TypedValue,
        name: &str,
        depth: u32,
        wanted: &dyn Fn(&TypedValue) -> bool,
    ) -> Option<TypedValue> {
        if let Some(found) = self.member(value, name).filter(|one| wanted(one)) {
            return Some(found);
        }
        let depth = depth.checked_sub(1)?;
        let members = self.members(value);
        let mut inner = members.iter().filter_map(|one| self.member_value(value, one));
        inner.find_map(|inner| match self.view(&inner).shape {
            Shape::Record | Shape::Union => self.dig_within(&inner, name, depth, wanted),
            _ => None,
        })
    }

    /// A number wherever it is inside the value.
    fn dig_number(&self, value: &TypedValue, name: &str) -> Option<u64> {
        self.scalar(&self.dig(value, name)?).map(|number| number as u64)
    }
}

/// `count` bits from the one numbered `first` on.
fn cut_bits(raw: &[u8], first: u32, count: u32) -> u128 {
    let low = raw.iter().take(16).rev().fold(0u128, |word, byte| word << 8 | u128::from(*byte)) >> first;
    let high = raw.get(16).map_or(0, |byte| u128::from(*byte)).checked_shl(128 - first).unwrap_or(0);
    (low | high) & (u128::MAX >> (128 - count.clamp(1, 128)))
}
