//! Strings of the C++ libraries, of Rust and of Go.

use crate::base::VirtAddr;
use crate::binary::dwarf::{Shape, TypeId, TypeView};

use super::{Held, Inspector, TypedValue};
use crate::lang::text;

/// A string that says it is longer is corrupt, elements.
const LENGTH_LIMIT: u64 = 1 << 40;
/// libstdc++'s std::string: the text's address, its length, and 16 bytes for a short text (its ABI since GCC 5).
const STRING_SIZE: u64 = 32;

impl Inspector<'_, '_> {
    /// `length` characters of a type at an address.
    fn show_text(&self, at: u64, length: u64, of: TypeId) -> Option<String> {
        let element = self.types.view(of);
        let size = element.size.clamp(1, 4);
        if length > LENGTH_LIMIT {
            return None;
        }
        let shown = length.min(self.style.elements);
        let bytes = match self.read(VirtAddr(at), shown * size) {
            Ok(bytes) => bytes,
            Err(_) if length == 0 => Vec::new(),
            Err(reason) => return Some(reason),
        };
        let cut = length > shown;
        if size > 1 {
            return Some(self.wide_text(&bytes, &element, cut));
        }
        Some(format!("{}{}", text::quote(&bytes), if cut { "..." } else { "" }))
    }

    /// Of the library's types only those that are text.
    pub(super) fn brief_text(&self, value: &TypedValue, name: &str) -> Option<String> {
        match name.split('<').next().unwrap_or(name) {
            "basic_string" => self.show_string(value),
            "basic_string_view" => self.show_string_view(value),
            "&str" | "String" | "string" => self.show_foreign_text(value, name),
            _ => None,
        }
    }

    fn character_of(&self, pointer: &TypedValue) -> TypeId {
        match self.view(pointer).shape {
            Shape::Pointer(of) => of,
            _ => TypeId::VOID,
        }
    }

    pub(super) fn show_string(&self, value: &TypedValue) -> Option<String> {
        if let (Some(at), Some(length)) = (self.pointer_at(value, "_M_p"), self.dig_number(value, "_M_string_length")) {
            return self.show_text(self.scalar(&at)? as u64, length, self.character_of(&at));
        }
        // libc++: one bit tells the long form from the short one, whose text is in place. It is the lowest of the first
        // byte, or of the alternate layout the highest of the last.
        let (long, short) = (self.dig(value, "__l")?, self.dig(value, "__s")?);
        let pointer = self.pointer_at(&long, "__data_")?;
        let of = self.character_of(&pointer);
        let text = self.dig(&short, "__data_")?;
        let (Held::Memory(start), Held::Memory(text)) = (&value.place, &text.place) else { return None };
        let alternate = text == start;
        let flag = if alternate { start.offset(self.view(value).size.checked_sub(1)?) } else { *start };
        let byte = *self.read(flag, 1).ok()?.first()?;
        if byte & (if alternate { 0x80 } else { 1 }) != 0 {
            return self.show_text(self.scalar(&pointer)? as u64, self.dig_number(&long, "__size_")?, of);
        }
        self.show_text(text.0, u64::from(if alternate { byte } else { byte >> 1 }), of)
    }

    pub(super) fn show_string_view(&self, value: &TypedValue) -> Option<String> {
        let names = [("_M_str", "_M_len"), ("__data", "__size"), ("__data_", "__size_"), ("ptr_", "length_")];
        let found = |(at, length)| Some((self.pointer_at(value, at)?, self.dig_number(value, length)?));
        let (at, length) = names.into_iter().find_map(found)?;
        self.show_text(self.scalar(&at)? as u64, length, self.character_of(&at))
    }

    /// Rust's `&str` and `String`, Go's `string`.
    pub(super) fn show_foreign_text(&self, value: &TypedValue, name: &str) -> Option<String> {
        let (at, length) = match name {
            "string" => (self.pointer_at(value, "str")?, self.dig_number(value, "len")?),
            "String" => {
                let bytes = self.member(value, "vec")?;
                (self.rust_pointer(&bytes)?, self.dig_number(&bytes, "len")?)
            }
            _ => (self.pointer_at(value, "data_ptr")?, self.dig_number(value, "length")?),
        };
        self.show_text(self.scalar(&at)? as u64, length, TypeId::VOID)
    }

    /// The pointer in a Rust vector's buffer, whose wrappers change from release to release.
    pub(super) fn rust_pointer(&self, value: &TypedValue) -> Option<TypedValue> {
        self.pointer_at(&self.dig(value, "ptr")?, "pointer").or_else(|| self.pointer_at(value, "pointer"))
    }

    /// What is only declared here, but is known without its description: clang leaves out std::string's where the
    /// library has it.
    pub(super) fn show_opaque(&self, value: &TypedValue, view: &TypeView) -> Option<String> {
        let name = self.types.name(view.id);
        if !name.starts_with("std::__cxx11::basic_string<char,") {
            return None;
        }
        let Held::Memory(at) = value.place else { return None };
        let bytes = self.read(at, STRING_SIZE).ok()?;
        let word =
            |from: usize| bytes[from..from + 8].iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        let (data, length) = (word(0), word(8));
        let in_place = data == at.0 + 16;
        if (in_place && length > 15) || self.memory.read_u64(at).is_err() {
            return None;
        }
        self.show_text(data, length, TypeId::VOID)
    }
}
