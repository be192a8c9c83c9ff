//! Rust's enumerations, slices, collections, tuples and shared pointers.

use crate::base::VirtAddr;
use crate::binary::dwarf::Shape;

use super::{Held, Inspector, TypedValue};
use crate::lang::text;

impl Inspector<'_, '_> {
    /// An enumeration with data: the variant that its tag stands for.
    pub(super) fn show_variants(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let (tag, variants) = self.types.variants(value.ty)?;
        let tag = tag.and_then(|tag| {
            let width = 8 * self.types.size(tag.ty).clamp(1, 16);
            Some((self.scalar(&self.member_value(value, &tag)?)?, width as u32))
        });
        // Which sign a value is written with does not tell the sign of the tag's type.
        let is_it = |wanted: i128, (found, width): (i128, u32)| (wanted ^ found) << (128 - width) == 0;
        let exact = variants.iter().find(|one| one.tag.zip(tag).is_some_and(|(wanted, found)| is_it(wanted, found)));
        let held = exact.or_else(|| variants.iter().find(|one| one.tag.is_none()))?;
        let inner = self.member_value(value, &held.member)?;
        let name = self.view(value).name.clone().unwrap_or_default();
        let variant = held.member.name.as_deref().unwrap_or("?");
        let members = self.types.members(inner.ty);
        if members.is_empty() {
            return Some(format!("{name}::{variant}"));
        }
        let fields: Vec<TypedValue> = members.iter().filter_map(|one| self.member_value(&inner, one)).collect();
        // Members of tuples are called __0, __1 and so on.
        let positional = members.iter().all(|one| one.name.as_deref().is_some_and(|name| name.starts_with("__")));
        if positional {
            let texts: Vec<String> = fields.iter().map(|one| self.show_within(one, depth + 1)).collect();
            return Some(format!("{name}::{variant}({})", texts.join(", ")));
        }
        Some(format!("{name}::{variant}{}", self.show_within(&inner, depth + 1)))
    }

    /// The types of Rust's library that are known by their template's name.
    pub(super) fn show_rust(&self, value: &TypedValue, name: &str, depth: u32) -> Option<String> {
        let template = name.split('<').next().unwrap_or(name);
        match template {
            _ if name.starts_with("&[") => self.show_rust_list(value, name, depth),
            _ if name.starts_with('(') => self.show_rust_tuple(value, depth),
            "Vec" => self.show_rust_list(value, name, depth),
            "VecDeque" => self.show_ring(value, depth),
            "HashMap" | "HashSet" => self.show_rust_hash(value, template, depth),
            "Rc" | "Arc" => self.show_counted(value, template, depth),
            _ => None,
        }
    }

    fn show_rust_tuple(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let members = self.types.members(value.ty);
        let elements: Option<Vec<String>> = members
            .iter()
            .map(|one| {
                one.name.as_deref().filter(|name| name.starts_with("__"))?;
                Some(self.show_within(&self.member_value(value, one)?, depth + 1))
            })
            .collect();
        Some(format!("({})", elements?.join(", ")))
    }

    /// A ring buffer.
    fn show_ring(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let of = (*self.types.template_arguments(value.ty).first()?)?;
        let (head, count) = (self.dig_number(value, "head")?, self.dig_number(value, "len")?);
        let buffer = self.dig(value, "buf")?;
        let start = self.scalar(&self.rust_pointer(&buffer)?)? as u64;
        let capacity =
            self.dig_number(&buffer, "cap").or_else(|| self.dig_number(&self.dig(&buffer, "cap")?, "__0"))?;
        let size = self.types.size(of);
        let elements = (0..count.min(capacity).min(super::show::VISITED)).map(|index| {
            let at = head.wrapping_add(index) % capacity;
            TypedValue { ty: of, place: Held::Memory(VirtAddr(start.wrapping_add(at.wrapping_mul(size)))) }
        });
        Some(format!("VecDeque(size={count}) = {}", self.listed(elements, count, depth)))
    }

    /// hashbrown's table: its entries lie before its control bytes, backwards; one is used where that is not negative.
    fn show_rust_hash(&self, value: &TypedValue, template: &str, depth: u32) -> Option<String> {
        let count = self.dig_number(value, "items")?;
        let buckets = self.dig_number(value, "bucket_mask")?.checked_add(1)?;
        let of = (*self.types.template_arguments(self.raw_table(value)?.ty).first()?)?;
        let control = self.scalar(&self.pointer_at(&self.dig(value, "ctrl")?, "pointer")?)? as u64;
        let used = self.read(VirtAddr(control), buckets.min(super::show::VISITED)).ok()?;
        let size = self.types.size(of);
        let full = (1u64..).zip(&used).filter(|(_, byte)| **byte < 0x80).map(|(index, _)| index);
        let texts: Vec<String> = full
            .take(usize::try_from(self.style.elements.min(count)).unwrap_or(usize::MAX))
            .filter_map(|index| {
                let at = control.wrapping_sub(index.wrapping_mul(size));
                let entry = TypedValue { ty: of, place: Held::Memory(VirtAddr(at)) };
                let key = self.show_within(&self.member(&entry, "__0")?, depth + 1);
                match template {
                    "HashSet" => Some(key),
                    _ => Some(format!("[{key}] = {}", self.show_within(&self.member(&entry, "__1")?, depth + 1))),
                }
            })
            .collect();
        let more = if count > texts.len() as u64 { "..." } else { "" };
        Some(format!("{template}(size={count}) = {{{}{more}}}", texts.join(", ")))
    }

    /// `RawTable<(K, V)>`, somewhere inside: each wrapper calls it `table` or `base` or `map`.
    fn raw_table(&self, value: &TypedValue) -> Option<TypedValue> {
        let is_it = |one: &TypedValue| self.view(one).name.as_deref().is_some_and(|name| name.starts_with("RawTable<"));
        self.dig_within(value, "table", super::DIG_DEPTH, &is_it)
    }

    /// `Rc` and `Arc`: two counts, then the value.
    fn show_counted(&self, value: &TypedValue, template: &str, depth: u32) -> Option<String> {
        let block = self.target(&self.rust_pointer(value)?)?;
        let held = self.member(&block, "value").or_else(|| self.member(&block, "data"))?;
        let count = |name| match self.member(&block, name)?.place {
            Held::Memory(at) => self.word(at.0),
            _ => None,
        };
        // All the strong ones together hold one of the weak ones.
        let (strong, weak) = (count("strong")?, count("weak")?.saturating_sub(1));
        Some(format!("{template}(strong={strong}, weak={weak}) = {}", self.show_within(&held, depth + 1)))
    }

    /// `&[T]` and `Vec<T>`.
    pub(super) fn show_rust_list(&self, value: &TypedValue, name: &str, depth: u32) -> Option<String> {
        let slice = self.pointer_at(value, "data_ptr").zip(self.dig_number(value, "length"));
        let (pointer, count, title) = match slice {
            Some((pointer, count)) => (pointer, count, format!("{name}(size={count})")),
            None => {
                let count = self.dig_number(value, "len")?;
                (self.rust_pointer(value)?, count, format!("Vec(size={count})"))
            }
        };
        let Shape::Pointer(declared) = self.view(&pointer).shape else { return None };
        // A vector's buffer is typed by bytes; its element is the vector's argument.
        let arguments = self.types.template_arguments(value.ty);
        let of = arguments.first().copied().flatten().unwrap_or(declared);
        let (start, size) = (self.scalar(&pointer)? as u64, self.types.size(of));
        if name == "&[u8]" {
            let bytes = self.read(VirtAddr(start), count.min(self.style.elements)).ok()?;
            let more = if count > bytes.len() as u64 { "..." } else { "" };
            return Some(format!("{title} = b{}{more}", text::quote(&bytes)));
        }
        let elements = (0..count.min(super::show::VISITED)).map(|index| TypedValue {
            ty: of,
            place: Held::Memory(VirtAddr(start.wrapping_add(index.wrapping_mul(size)))),
        });
        Some(format!("{title} = {}", self.listed(elements, count, depth)))
    }
}
