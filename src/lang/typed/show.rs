//! Values as text, as gdb writes them.

use crate::base::VirtAddr;
use crate::binary::dwarf::{Encoding, MemberKind, Shape, TypeId, TypeView};

use super::{Extent, Held, Inspector, Printers, TypedValue};
use crate::lang::{text, Format};

/// No array or container is looked at further than this many elements.
pub(super) const VISITED: u64 = 100_000;
/// How deep values in values are shown.
const DEPTH: u32 = 20;
/// Runs of more equal elements than this are shown as `0 <repeats 11 times>`.
const REPEATS: usize = 10;

impl Inspector<'_, '_> {
    /// The value as a member or variable is listed; what cannot be read says why.
    pub fn show(&self, value: &TypedValue) -> String {
        self.show_within(value, 0)
    }

    /// The value as `print` shows it: pointers and references with their type in front.
    pub fn show_alone(&self, value: &TypedValue) -> String {
        let view = self.view(value);
        let is_text = |to: TypeId| {
            let target = self.types.view(to);
            target.size == 1
                && matches!(target.shape, Shape::Base(one) if one != Encoding::Boolean && one != Encoding::Signed && one != Encoding::Unsigned)
        };
        let natural = self.style.format == Format::Natural;
        let known = !matches!(value.place, Held::OptimisedOut | Held::Unknown(_));
        match view.shape {
            Shape::Pointer(to) if natural && known && !is_text(to) => self.pointer_alone(value, to),
            Shape::Reference(_) if known => {
                let text = self.show(value);
                match text.starts_with('@') {
                    true => format!("({}) {text}", self.types.name(value.ty)),
                    false => text,
                }
            }
            Shape::Function => match value.place {
                Held::Memory(at) if !natural => {
                    crate::lang::format::format_plain(&crate::lang::Value::code(at), self.style.format, self.labels)
                }
                Held::Memory(at) => format!("{{{}}} {}", self.types.name(value.ty), self.labelled(at)),
                _ => self.show(value),
            },
            _ => self.show(value),
        }
    }

    /// A pointer to an object with a virtual table is shown by the object's own class.
    fn pointer_alone(&self, value: &TypedValue, to: TypeId) -> String {
        if let Some(map) = self.show_go_map(value, to, 0) {
            return map;
        }
        let at = VirtAddr(self.scalar(value).unwrap_or(0) as u64);
        let declared = self.types.name(value.ty);
        let name = match self.dynamic_class(to, at) {
            Some(class) => {
                let base = self.types.name(self.types.view(to).id);
                declared.replacen(&base, &class, 1)
            }
            None => declared,
        };
        format!("({name}) {}", self.show(value))
    }

    pub(super) fn show_within(&self, value: &TypedValue, depth: u32) -> String {
        if depth > DEPTH || !self.may_go_on() {
            return "{...}".to_owned();
        }
        match &value.place {
            Held::OptimisedOut => return "<optimized out>".to_owned(),
            Held::Unknown(reason) => return format!("<{reason}>"),
            _ => {}
        }
        let view = self.view(value);
        if matches!(value.place, Held::Torn(..))
            && !matches!(view.shape, Shape::Record | Shape::Union | Shape::Array(..))
        {
            return "<optimized out>".to_owned();
        }
        match view.shape {
            Shape::Void => "void".to_owned(),
            Shape::Incomplete => self.show_incomplete(value, &view, depth),
            Shape::Base(encoding) => self.show_number(value, encoding, &view),
            Shape::Enumeration(encoding) => self.show_enumeration(value, &view, encoding),
            Shape::Pointer(to) => self.show_go_map(value, to, depth).unwrap_or_else(|| self.show_pointer(value, to)),
            Shape::Reference(_) => self.show_reference(value, depth),
            Shape::Array(of, count) => self.show_array(value, of, count.unwrap_or(0), depth),
            Shape::Record | Shape::Union => self.show_record(value, &view, depth),
            Shape::MemberPointer(class) => self.show_member_pointer(value, &view, class),
            Shape::Function | Shape::Other => match &value.place {
                Held::Memory(at) => self.labelled(*at),
                _ => "{...}".to_owned(),
            },
        }
    }

    fn show_incomplete(&self, value: &TypedValue, view: &TypeView, depth: u32) -> String {
        if let Some(text) = self.show_opaque(value, view) {
            return text;
        }
        if self.style.extent == Extent::Brief {
            // Its definition may stand in any unit: not worth reading them all for one word.
            return "...".to_owned();
        }
        match self.types.definition(value.ty) {
            Some(ty) => self.show_within(&TypedValue { ty, place: value.place.clone() }, depth + 1),
            None => "<incomplete type>".to_owned(),
        }
    }

    fn show_reference(&self, value: &TypedValue, depth: u32) -> String {
        let Some(target) = self.target(value) else { return self.bytes(value).err().unwrap_or_else(|| "?".to_owned()) };
        let at = match target.place {
            Held::Memory(at) => at,
            _ => VirtAddr(0),
        };
        let view = self.view(&target);
        if view.shape == Shape::Record && self.style.printers == Printers::Used {
            // What has a text of its own is not an object to look at.
            if let Some(text) = self.show_container(&target, &view, depth + 1) {
                return text;
            }
        }
        // In another value only where it is: what refers to itself would have no end.
        if depth > 0 {
            return format!("@{at}");
        }
        format!("@{at}: {}", self.show_within(&target, depth + 1))
    }

    fn show_array(&self, value: &TypedValue, of: TypeId, count: u64, depth: u32) -> String {
        let element = self.types.view(of);
        if self.style.extent == Extent::Brief {
            return "...".to_owned();
        }
        let character = matches!(element.shape, Shape::Base(Encoding::Char | Encoding::UnsignedChar | Encoding::Utf));
        let wide = matches!(element.name.as_deref(), Some("wchar_t" | "char16_t" | "char32_t"));
        let natural = matches!(self.style.format, Format::Natural | Format::Text);
        let torn = matches!(value.place, Held::Torn(..));
        if natural && !torn && count > 0 && (wide || (character && element.size == 1)) {
            return match self.bytes(value) {
                Ok(bytes) => self.characters(&bytes, &element),
                Err(reason) => reason,
            };
        }
        let size = element.size;
        let elements = (0..count.min(VISITED)).map_while(|index| {
            let place = self.part(value, index.saturating_mul(size), size)?;
            Some(TypedValue { ty: of, place })
        });
        self.listed(elements, count, depth)
    }

    /// What lies in memory at a value and behind it, as an array of it is shown.
    pub fn show_row(&self, first: &TypedValue, count: u64) -> String {
        let element = self.view(first);
        let character = matches!(element.shape, Shape::Base(Encoding::Char | Encoding::UnsignedChar | Encoding::Utf));
        if let (true, 1, Format::Natural | Format::Text, Held::Memory(at)) =
            (character, element.size, self.style.format, &first.place)
        {
            return match self.read(*at, count) {
                Ok(bytes) => self.characters(&bytes, &element),
                Err(reason) => reason,
            };
        }
        let size = element.size;
        let elements = (0..count).map_while(|index| {
            let place = self.part(first, index.saturating_mul(size), size)?;
            Some(TypedValue { ty: first.ty, place })
        });
        self.listed(elements, count, 0)
    }

    /// An array of characters: the last one is not shown if it is a NUL.
    fn characters(&self, bytes: &[u8], element: &TypeView) -> String {
        let size = element.size.clamp(1, 4) as usize;
        let count = bytes.len() / size;
        let limit = usize::try_from(self.style.elements).unwrap_or(usize::MAX);
        // What is zero up to the end is shown up to one limit's worth.
        let mut shown = count.min(limit);
        let is_nul = |index: usize| bytes[index * size..(index + 1) * size].iter().all(|byte| *byte == 0);
        let cut = count > limit;
        if !cut && shown > 0 && is_nul(shown - 1) {
            shown -= 1;
        }
        match size {
            1 => format!("{}{}", text::quote(&bytes[..shown]), if cut { "..." } else { "" }),
            _ => {
                while shown > 0 && is_nul(shown - 1) {
                    shown -= 1;
                }
                self.wide_text(&bytes[..shown * size], element, cut)
            }
        }
    }

    /// `{1, 2, 3, 0 <repeats 20 times>...}`.
    pub(super) fn listed(&self, elements: impl Iterator<Item = TypedValue>, count: u64, depth: u32) -> String {
        let mut texts: Vec<(String, usize)> = Vec::new();
        let mut last: Option<Vec<u8>> = None;
        let mut seen = 0;
        for one in elements {
            // A run counts as one element, as far as the limit goes.
            let shown: usize = texts.iter().map(|(_, run)| if *run > REPEATS { 1 } else { *run }).sum();
            if shown as u64 >= self.style.elements {
                break;
            }
            let bytes = self.bytes(&one).ok();
            seen += 1;
            match (&last, &bytes, texts.last_mut()) {
                (Some(before), Some(now), Some((_, run))) if before == now => *run += 1,
                _ => {
                    let text = self.show_within(&one, depth + 1);
                    match texts.last_mut().filter(|(before, _)| bytes.is_none() && *before == text) {
                        Some((_, run)) => *run += 1,
                        None => texts.push((text, 1)),
                    }
                }
            }
            last = bytes;
        }
        let mut out: Vec<String> = Vec::new();
        for (text, run) in texts {
            match run > REPEATS {
                true => out.push(format!("{text} <repeats {run} times>")),
                false => out.extend(std::iter::repeat_n(text, run)),
            }
        }
        format!("{{{}{}}}", out.join(", "), if count > seen { "..." } else { "" })
    }

    fn show_record(&self, value: &TypedValue, view: &TypeView, depth: u32) -> String {
        if self.style.extent == Extent::Brief {
            let name = view.name.as_deref().unwrap_or("");
            return self.brief_text(value, name).unwrap_or_else(|| "...".to_owned());
        }
        if self.style.printers == Printers::Used {
            if let Some(text) = self.show_variants(value, depth).or_else(|| self.show_container(value, view, depth)) {
                return text;
            }
        }
        if let (Held::Memory(_), Err(reason)) = (&value.place, self.bytes(value)) {
            return reason;
        }
        let mut texts = Vec::new();
        let mut fields = 0;
        for member in self.members(value).iter() {
            let Some(inner) = self.member_value(value, member) else { continue };
            fields += usize::from(member.kind == MemberKind::Field);
            let text = match &member.name {
                Some(name) if name.starts_with("_vptr") => {
                    format!("{name} = {}", self.labelled(VirtAddr(self.scalar(&inner).unwrap_or(0) as u64)))
                }
                Some(name) => format!("{name} = {}", self.show_within(&inner, depth + 1)),
                None if member.kind == MemberKind::Field => self.show_within(&inner, depth + 1),
                None => format!("<{}> = {}", self.types.name(member.ty), self.show_within(&inner, depth + 1)),
            };
            texts.push(text);
        }
        if fields == 0 {
            texts.push("<No data fields>".to_owned());
        }
        format!("{{{}}}", texts.join(", "))
    }
}
