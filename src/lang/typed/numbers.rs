//! Numbers, characters, enumerations and pointers as text, the way gdb writes them.

use std::fmt::Write;

use crate::base::VirtAddr;
use crate::binary::dwarf::{Encoding, Shape, TypeId, TypeView};

use super::{Inspector, TypedValue};
use crate::lang::{float, text, Format, Label, Type, Value};

impl Inspector<'_, '_> {
    pub(super) fn show_number(&self, value: &TypedValue, encoding: Encoding, view: &TypeView) -> String {
        let bytes = match self.bytes(value) {
            Ok(bytes) => bytes,
            Err(reason) => return reason,
        };
        if self.style.format != Format::Natural {
            return self.formatted(value, &bytes, encoding);
        }
        match encoding {
            Encoding::Float => {
                return float_text(&bytes, view.name.as_deref())
                    .unwrap_or_else(|| "<float of an unknown size>".to_owned())
            }
            Encoding::Complex => {
                let (real, imaginary) = bytes.split_at(bytes.len() / 2);
                let parts = (float_text(real, None), float_text(imaginary, None));
                return format!("{} + {}i", parts.0.unwrap_or_default(), parts.1.unwrap_or_default());
            }
            _ => {}
        }
        let Some(number) = self.scalar(value) else { return "?".to_owned() };
        let wide = matches!(view.name.as_deref(), Some("wchar_t" | "char16_t" | "char32_t"));
        match encoding {
            Encoding::Boolean if (0..=1).contains(&number) => (number == 1).to_string(),
            Encoding::Char | Encoding::UnsignedChar | Encoding::Utf if bytes.len() == 1 => {
                format!("{number} {}", text::quote_char(number as u8))
            }
            _ if wide || encoding == Encoding::Utf => {
                let prefix = wide_prefix(view);
                match u32::try_from(number).ok().and_then(char::from_u32).filter(|c| !c.is_control()) {
                    Some(c) => format!("{number} {prefix}'{c}'"),
                    None => format!("{number} {prefix}'\\{number:03o}'"),
                }
            }
            _ if number < 0 && !encoding.is_signed() => (number as u128).to_string(),
            _ => number.to_string(),
        }
    }

    /// By a format letter. Values of more than 8 bytes only have the plain ones.
    fn formatted(&self, value: &TypedValue, bytes: &[u8], encoding: Encoding) -> String {
        let number = self.scalar(value).unwrap_or(0);
        if bytes.len() > 8 {
            let word = bytes.iter().take(16).rev().fold(0u128, |word, byte| word << 8 | u128::from(*byte));
            return match self.style.format {
                Format::Decimal => (word as i128).to_string(),
                Format::Unsigned => word.to_string(),
                Format::Octal => format!("0{word:o}"),
                Format::Binary => format!("{word:b}"),
                Format::Float => float_text(bytes, None).unwrap_or_else(|| word.to_string()),
                _ => format!("{word:#x}"),
            };
        }
        let ty = match (encoding, bytes.len()) {
            (Encoding::Float, 4) => Type::FLOAT,
            (Encoding::Float, 8) => Type::DOUBLE,
            (Encoding::Boolean, 1) => Type::BOOL,
            (Encoding::Char, 1) => Type::CHAR,
            (one, size) if one.is_signed() => Type::signed(size),
            (_, size) => Type::unsigned(size),
        };
        let raw = match encoding {
            Encoding::Float => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
            _ => number as u64,
        };
        // Of a float the other letters show the bits, as gdb has it.
        let ty = match self.style.format {
            Format::Float | Format::Natural | Format::Text => ty,
            _ if ty.is_float() => Type::signed(ty.size()),
            _ => ty,
        };
        let value = Value::from_raw(raw, ty);
        crate::lang::format::format_plain(&value, self.style.format, self.labels)
    }

    pub(super) fn show_enumeration(&self, value: &TypedValue, view: &TypeView, encoding: Encoding) -> String {
        let bytes = match self.bytes(value) {
            Ok(bytes) => bytes,
            Err(reason) => return reason,
        };
        if !matches!(self.style.format, Format::Natural | Format::Text) {
            return self.formatted(value, &bytes, encoding);
        }
        let Some(number) = self.scalar(value) else { return "?".to_owned() };
        let named = self.types.enumerators(view.id);
        let scope = self.types.enumerator_scope(view.id);
        if let Some((one, _)) = named.iter().find(|(_, other)| *other == number) {
            return format!("{scope}{one}");
        }
        // A set of flags: every enumerator is one bit, or none.
        let is_flag = |flag: i128| flag >= 0 && flag & flag.wrapping_sub(1) == 0;
        if number <= 0 || !named.iter().all(|(_, flag)| is_flag(*flag)) {
            return number.to_string();
        }
        let set: Vec<&(String, i128)> = named.iter().filter(|(_, flag)| number & flag != 0).collect();
        let rest = set.iter().fold(number, |rest, (_, flag)| rest & !flag);
        let mut names: Vec<String> = set.iter().map(|(name, _)| format!("{scope}{name}")).collect();
        if rest != 0 {
            names.push(format!("unknown: {rest:#x}"));
        }
        format!("({})", names.join(" | "))
    }

    pub(super) fn show_pointer(&self, value: &TypedValue, to: TypeId) -> String {
        let bytes = match self.bytes(value) {
            Ok(bytes) => bytes,
            Err(reason) => return reason,
        };
        let at = VirtAddr(self.scalar(value).unwrap_or(0) as u64);
        let target = self.types.view(to);
        match self.style.format {
            Format::Natural | Format::Text => {}
            Format::Address => return self.labelled(at),
            _ => return self.formatted(value, &bytes, Encoding::Unsigned),
        }
        match &target.shape {
            Shape::Base(Encoding::Char | Encoding::UnsignedChar) if target.size == 1 && at.0 != 0 => {
                format!("{} {}", self.labelled(at), self.text_at(at))
            }
            Shape::Base(Encoding::Utf) if target.size == 1 && at.0 != 0 => {
                format!("{} {}{}", self.labelled(at), wide_prefix(&target), self.text_at(at))
            }
            _ => self.labelled(at),
        }
    }

    /// `0x401136 <main+4>`.
    pub(super) fn labelled(&self, at: VirtAddr) -> String {
        match self.labels.label(at) {
            Some(Label { name, offset: 0 }) => format!("{at} <{name}>"),
            Some(Label { name, offset }) => format!("{at} <{name}+{offset}>"),
            None => at.to_string(),
        }
    }

    /// The C string at an address.
    fn text_at(&self, at: VirtAddr) -> String {
        let limit = self.style.elements as usize;
        match self.memory.read_c_string(at, limit.saturating_add(1)) {
            Ok(bytes) => {
                let cut = bytes.len() > limit;
                format!("{}{}", text::quote(&bytes[..bytes.len().min(limit)]), if cut { "..." } else { "" })
            }
            Err(_) => format!("<error: Cannot access memory at address {at}>"),
        }
    }

    /// Elements of 2 or 4 bytes as a string: `L"text"`.
    pub(super) fn wide_text(&self, bytes: &[u8], view: &TypeView, cut: bool) -> String {
        let mut shown = String::new();
        let units = bytes.chunks_exact(view.size.clamp(1, 4) as usize);
        let units = units.map(|unit| unit.iter().rev().fold(0u32, |word, byte| word << 8 | u32::from(*byte)));
        let units: Vec<u32> = units.collect();
        let text: String = match view.size {
            2 => char::decode_utf16(units.iter().map(|unit| *unit as u16)).map(|c| c.unwrap_or('\u{fffd}')).collect(),
            _ => units.iter().map(|unit| char::from_u32(*unit).unwrap_or('\u{fffd}')).collect(),
        };
        for c in text.chars() {
            match c {
                '"' | '\\' => {
                    shown.push('\\');
                    shown.push(c);
                }
                c if c.is_control() => {
                    // Writing to a String does not fail.
                    let _ = write!(shown, "\\{:03o}", c as u32);
                }
                c => shown.push(c),
            }
        }
        format!("{}\"{shown}\"{}", wide_prefix(view), if cut { "..." } else { "" })
    }
}

/// How C marks a literal of that character type.
pub(super) fn wide_prefix(view: &TypeView) -> &'static str {
    match view.name.as_deref() {
        Some("wchar_t") => "L",
        Some("char16_t") => "u",
        Some("char32_t") => "U",
        Some("char8_t") => "u8",
        // Rust's char.
        _ => "",
    }
}

/// IEEE 754 numbers of 4, 8 and 16 bytes, and x87's of 10 in 16.
pub(in crate::lang) fn float_text(bytes: &[u8], name: Option<&str>) -> Option<String> {
    match bytes.len() {
        2 => {
            let raw = u16::from_le_bytes(bytes.try_into().ok()?);
            let is_brain = name.is_some_and(|name| name.contains("bf"));
            Some(if is_brain { float::small(raw, 7, 4) } else { float::small(raw, 10, 5) })
        }
        4 => Some(float::text(Value::from_raw(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)), Type::FLOAT))),
        8 => Some(float::text(Value::from_raw(u64::from_le_bytes(bytes.try_into().ok()?), Type::DOUBLE))),
        16 => {
            let word = u128::from_le_bytes(bytes.try_into().ok()?);
            // A quad has no integer bit in memory; x87's extended format has.
            let is_quad = name.is_some_and(|name| matches!(name, "_Float128" | "__float128" | "f128"));
            let (bits, high) = if is_quad { (112, (word >> 112) as u16) } else { (64, (word >> 64) as u16) };
            let fraction = word & (u128::MAX >> (128 - bits));
            let exponent = i32::from(high & 0x7fff);
            let sign = if high & 0x8000 != 0 { "-" } else { "" };
            let size = match (exponent, is_quad) {
                (0x7fff, true) if fraction == 0 => "inf".to_owned(),
                (0x7fff, false) if fraction << 65 == 0 => "inf".to_owned(),
                (0x7fff, _) => format!("nan({fraction:#x})"),
                (0, true) => float::wide(fraction, 1 - 16383 - 112, 36),
                (_, true) => float::wide(fraction | 1 << 112, exponent - 16383 - 112, 36),
                (_, false) => float::wide(fraction, exponent.max(1) - 16383 - 63, 21),
            };
            Some(format!("{sign}{size}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_floats_are_read() {
        let one = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f, 0, 0, 0, 0, 0, 0];
        assert_eq!(float_text(&one, None).unwrap(), "1");
        let mut minus_half = one;
        (minus_half[8], minus_half[9]) = (0xfe, 0xbf);
        assert_eq!(float_text(&minus_half, None).unwrap(), "-0.5");
        assert_eq!(float_text(&1.5f32.to_le_bytes(), None).unwrap(), "1.5");
    }
}
