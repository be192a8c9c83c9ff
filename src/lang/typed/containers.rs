//! The C++ libraries' types, shown by what they hold. Written over their members' names, of libstdc++ and of libc++, so
//! that a change of layout does not matter; what is not as expected is shown by its members.

use crate::base::VirtAddr;
use crate::binary::dwarf::{Shape, TypeId, TypeView};

use super::keyed::OfValue;
use super::show::VISITED;
use super::{Held, Inspector, TypedValue};
use crate::lang::containers::{alignment, Sequence};

impl Inspector<'_, '_> {
    /// The text of a library's type; `None`: it is none that is known, or is not as expected.
    pub(super) fn show_container(&self, value: &TypedValue, view: &TypeView, depth: u32) -> Option<String> {
        let name = view.name.as_deref()?;
        let template = name.split('<').next().unwrap_or(name);
        match template {
            "basic_string" => self.show_string(value),
            "basic_string_view" => self.show_string_view(value),
            "&str" | "String" | "string" if self.is_top(view) => self.show_foreign_text(value, template),
            "vector" if name.starts_with("vector<bool") => self.show_bits(value),
            "vector" => self.show_vector(value, depth),
            "deque" => self.show_deque(value, depth),
            "list" | "forward_list" => self.show_list(value, view, template, depth),
            "map" | "multimap" | "set" | "multiset" | "unordered_map" | "unordered_multimap" | "unordered_set"
            | "unordered_multiset" => self.show_keyed(value, "std", template, depth),
            "array" => {
                let elements = self.dig(value, "_M_elems").or_else(|| self.dig(value, "__elems_"))?;
                Some(self.show_within(&elements, depth + 1))
            }
            "span" => self.show_span(value, depth),
            "initializer_list" => self.show_initializer_list(value, depth),
            "optional" | "_Optional_base" => self.show_optional(value, view, depth),
            "variant" => self.show_variant(value, view, depth),
            "any" => self.show_any(value, depth),
            "unique_ptr" => self.show_unique(value, view),
            "shared_ptr" | "weak_ptr" => self.show_shared(value, view, template),
            "pair" => {
                let (first, second) = (self.member(value, "first")?, self.member(value, "second")?);
                let texts = (self.show_within(&first, depth + 1), self.show_within(&second, depth + 1));
                Some(format!("{{first = {}, second = {}}}", texts.0, texts.1))
            }
            "tuple" => self.show_tuple(value, depth),
            "atomic" => self.show_atomic(value, view, depth),
            "duration" => self.show_duration(value, view),
            "function" => self.show_function(value, view),
            _ => (self.show_rust(value, name, depth))
                .or_else(|| self.show_go(value, name, depth))
                .or_else(|| self.show_abseil(value, view, template, depth)),
        }
    }

    /// `std::NAME of length N = {..}` of elements one behind the other.
    pub(super) fn show_run(&self, title: &str, of: TypeId, start: u64, count: u64, depth: u32) -> Option<String> {
        if count == 0 {
            return Some(title.to_owned());
        }
        let size = self.types.size(of).max(1);
        let elements = (0..count).map(|index| TypedValue {
            ty: of,
            place: Held::Memory(VirtAddr(start.wrapping_add(index.wrapping_mul(size)))),
        });
        Some(format!("{title} = {}", self.listed(elements.take(VISITED as usize), count, depth)))
    }

    fn show_vector(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let first = self.pointer_at(value, "_M_start").or_else(|| self.pointer_at(value, "__begin_"))?;
        let end = self.dig_number(value, "_M_finish").or_else(|| self.dig_number(value, "__end_"))?;
        let limit = self.dig_number(value, "_M_end_of_storage");
        let limit = limit.or_else(|| self.dig_number(&self.dig(value, "__end_cap_")?, "__value_"));
        let limit = limit.or_else(|| self.dig_number(value, "__cap_")).unwrap_or(end);
        let Shape::Pointer(of) = self.view(&first).shape else { return None };
        let size = self.types.size(of).max(1);
        let start = self.scalar(&first)? as u64;
        let (count, capacity) = (end.checked_sub(start)? / size, limit.checked_sub(start)? / size);
        self.show_run(&format!("std::vector of length {count}, capacity {capacity}"), of, start, count, depth)
    }

    fn show_bits(&self, value: &TypedValue) -> Option<String> {
        let (start, count) = match (self.dig(value, "_M_start"), self.dig(value, "_M_finish")) {
            (Some(start), Some(finish)) => {
                let (at, end) = (self.dig_number(&start, "_M_p")?, self.dig_number(&finish, "_M_p")?);
                (at, end.checked_sub(at)?.checked_mul(8)?.checked_add(self.dig_number(&finish, "_M_offset")?)?)
            }
            _ => (self.dig_number(value, "__begin_")?, self.dig_number(value, "__size_")?),
        };
        let shown = count.min(self.style.elements);
        let bytes = self.read(VirtAddr(start), shown.div_ceil(8)).ok()?;
        let bit = |index: u64| (bytes[index as usize / 8] >> (index % 8) & 1 == 1).to_string();
        let texts: Vec<String> = (0..shown.min(bytes.len() as u64 * 8)).map(bit).collect();
        let more = if count > shown { "..." } else { "" };
        let limit = self.dig_number(value, "_M_end_of_storage");
        let capacity =
            limit.and_then(|limit| limit.checked_sub(start)).map(|bytes| format!(", capacity {}", bytes * 8));
        let capacity = capacity.unwrap_or_default();
        Some(format!("std::vector<bool> of length {count}{capacity} = {{{}{more}}}", texts.join(", ")))
    }

    fn show_deque(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let sequence = Sequence::of(self.types, value.ty)?;
        let source = OfValue { inspector: self, value };
        let count = sequence.count(&source).ok()?;
        let elements = (0..count).map_while(|index| {
            let at = sequence.place(index, &source).ok()?;
            Some(TypedValue { ty: sequence.of, place: Held::Memory(at) })
        });
        Some(self.titled("std::deque", count, elements, depth))
    }

    fn titled(&self, title: &str, count: u64, elements: impl Iterator<Item = TypedValue>, depth: u32) -> String {
        match count {
            0 => format!("{title} with 0 elements"),
            _ => format!("{title} with {} = {}", counted(count), self.listed(elements, count, depth)),
        }
    }

    fn show_span(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let pointer = self.pointer_at(value, "_M_ptr").or_else(|| self.pointer_at(value, "__data_"))?;
        let Shape::Pointer(of) = self.view(&pointer).shape else { return None };
        let stored = self.dig_number(value, "_M_extent_value").or_else(|| self.dig_number(value, "__size_"));
        // A span of a fixed size has it in its name only.
        let fixed = || {
            self.view(value).name.as_deref()?.rsplit_once(", ")?.1.trim_end_matches(['>', ' ', 'u', 'l']).parse().ok()
        };
        let count = stored.or_else(fixed)?;
        self.show_run(&format!("std::span of length {count}"), of, self.scalar(&pointer)? as u64, count, depth)
    }

    fn show_initializer_list(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let pointer = self.pointer_at(value, "_M_array").or_else(|| self.pointer_at(value, "__begin_"))?;
        let Shape::Pointer(of) = self.view(&pointer).shape else { return None };
        let count = self.dig_number(value, "_M_len").or_else(|| self.dig_number(value, "__size_"))?;
        self.show_run(
            &format!("std::initializer_list of length {count}"),
            of,
            self.scalar(&pointer)? as u64,
            count,
            depth,
        )
    }

    fn show_list(&self, value: &TypedValue, view: &TypeView, template: &str, depth: u32) -> Option<String> {
        let of = (*self.types.template_arguments(view.id).first()?)?;
        // The links come first in every node; libstdc++'s and libc++'s single ones have one, the others two.
        let double = template == "list";
        let links: u64 = if double { 16 } else { 8 };
        let (end, mut node) = match (self.dig(value, "_M_node"), self.dig(value, "_M_head"), self.dig(value, "__end_"))
        {
            (Some(header), _, _) => match header.place {
                Held::Memory(at) => (at.0, self.dig_number(&header, "_M_next")?),
                _ => return None,
            },
            (_, Some(head), _) => (0, self.dig_number(&head, "_M_next")?),
            (_, _, Some(header)) => match header.place {
                Held::Memory(at) => (at.0, self.dig_number(&header, "__next_")?),
                _ => return None,
            },
            _ => (0, self.dig_number(&self.dig(value, "__before_begin_")?, "__next_")?),
        };
        // libc++'s link forwards comes behind the one backwards.
        let next = if double && self.dig(value, "__end_").is_some() { 8 } else { 0 };
        let align = alignment(self.types, of).max(1);
        let skip = links.next_multiple_of(align);
        let mut elements = Vec::new();
        while node != end && node != 0 && (elements.len() as u64) <= self.style.elements {
            elements.push(TypedValue { ty: of, place: Held::Memory(VirtAddr(node.wrapping_add(skip))) });
            node = self.memory.read_u64(VirtAddr(node.wrapping_add(next))).ok()?;
        }
        let more = node != end && node != 0;
        Some(self.show_indexed(&format!("std::{template}"), elements, more, depth))
    }

    /// `title = {[0] = a, [1] = b}`, or `empty title`.
    pub(super) fn show_indexed(&self, title: &str, mut elements: Vec<TypedValue>, more: bool, depth: u32) -> String {
        if elements.is_empty() {
            return format!("empty {title}");
        }
        let limit = usize::try_from(self.style.elements).unwrap_or(usize::MAX);
        let cut = more || elements.len() > limit;
        elements.truncate(limit);
        let show = |(index, one): (usize, &TypedValue)| format!("[{index}] = {}", self.show_within(one, depth + 1));
        let texts: Vec<String> = elements.iter().enumerate().map(show).collect();
        format!("{title} = {{{}{}}}", texts.join(", "), if cut { "..." } else { "" })
    }

    /// Elements as a map's or a set's, behind a title.
    pub(super) fn show_titled_elements(
        &self,
        title: &str,
        elements: &[TypedValue],
        template: &str,
        count: u64,
        depth: u32,
    ) -> String {
        let show = |(index, one): (usize, &TypedValue)| {
            let text = |one: &TypedValue| self.show_within(one, depth + 1);
            if !template.ends_with("map") {
                return format!("[{index}] = {}", text(one));
            }
            match (self.dig(one, "first"), self.dig(one, "second")) {
                (Some(key), Some(mapped)) => format!("[{}] = {}", text(&key), text(&mapped)),
                _ => text(one),
            }
        };
        let texts: Vec<String> = elements.iter().enumerate().map(show).collect();
        if count == 0 {
            return title.to_owned();
        }
        let more = if count > texts.len() as u64 { "..." } else { "" };
        format!("{title} = {{{}{more}}}", texts.join(", "))
    }

    fn is_top(&self, view: &TypeView) -> bool {
        !self.types.name(view.id).starts_with("std::__cxx")
    }
}

/// `1 element`, `3 elements`.
pub(super) fn counted(count: u64) -> String {
    if count == 1 {
        return "1 element".to_owned();
    }
    format!("{count} elements")
}
