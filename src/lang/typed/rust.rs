//! Rust's enumerations, slices and vectors.

use crate::base::VirtAddr;
use crate::binary::dwarf::Shape;

use super::{Held, Inspector, TypedValue};

impl Inspector<'_, '_> {
    /// An enumeration with data: the variant that its tag stands for.
    pub(super) fn show_variants(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let (tag, variants) = self.types.variants(value.ty)?;
        let tag = tag.and_then(|tag| self.scalar(&self.member_value(value, &tag)?));
        let exact = variants.iter().find(|one| one.tag.is_some() && one.tag == tag);
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
        let elements = (0..count.min(super::show::VISITED)).map(|index| TypedValue {
            ty: of,
            place: Held::Memory(VirtAddr(start.wrapping_add(index.wrapping_mul(size)))),
        });
        Some(format!("{title} = {}", self.listed(elements, count, depth)))
    }
}
