//! Library types that hold one value, or one of several: optional, variant, pointers, tuple, atomic, function, duration.

use crate::base::VirtAddr;
use crate::binary::dwarf::{Shape, TypeId, TypeView};

use super::{Held, Inspector, TypedValue};

/// Bases in bases of a tuple: one an element.
const TUPLE_DEPTH: u32 = 64;

impl Inspector<'_, '_> {
    /// `std::optional<int>`: a template with its arguments as they are called at the top.
    fn title(&self, view: &TypeView, template: &str) -> String {
        let arguments = self.types.template_arguments(view.id);
        let names: Vec<String> = arguments.iter().flatten().map(|one| self.types.name(*one)).collect();
        format!("std::{template}<{}>", names.join(", "))
    }

    fn first_argument(&self, view: &TypeView) -> Option<TypeId> {
        *self.types.template_arguments(view.id).first()?
    }

    pub(super) fn show_optional(&self, value: &TypedValue, view: &TypeView, depth: u32) -> Option<String> {
        let title = format!("std::optional<{}>", self.types.name(self.first_argument(view)?));
        let engaged = self.dig_number(value, "_M_engaged").or_else(|| self.dig_number(value, "__engaged_"))?;
        if engaged == 0 {
            return Some(format!("{title} [no contained value]"));
        }
        let inner = self.dig(value, "_M_value").or_else(|| self.dig(value, "__val_"))?;
        Some(format!("{title} = {{[contained value] = {}}}", self.show_within(&inner, depth + 1)))
    }

    pub(super) fn show_variant(&self, value: &TypedValue, view: &TypeView, depth: u32) -> Option<String> {
        let title = self.title(view, "variant");
        let index = self.dig(value, "_M_index").or_else(|| self.dig(value, "__index"))?;
        let none = u64::MAX >> (64 - 8 * self.view(&index).size.clamp(1, 8));
        let number = self.scalar(&index)? as u64 & none;
        if number == none {
            return Some(format!("{title} [no contained value]"));
        }
        let held = (*self.types.template_arguments(view.id).get(usize::try_from(number).ok()?)?)?;
        let storage = self.dig(value, "_M_u").or_else(|| self.dig(value, "__data"))?;
        let inner = TypedValue { ty: held, place: storage.place };
        Some(format!("{title} [index {number}] = {{{}}}", self.show_within(&inner, depth + 1)))
    }

    /// std::any: which type it holds is told by the function that manages it.
    pub(super) fn show_any(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let manager = self.dig_number(value, "_M_manager")?;
        if manager == 0 {
            return Some("std::any [no contained value]".to_owned());
        }
        let label = self.labels.label(VirtAddr(manager))?;
        let (place, rest) = label.name.split_once("std::any::_Manager_").and_then(|(_, rest)| rest.split_once('<'))?;
        let name = rest.split(">::_S_manage").next()?.trim();
        let Held::Memory(at) = self.dig(value, "_M_storage")?.place else { return None };
        let shown = self.types.find_type(name).and_then(|ty| {
            let at = if place == "external" { self.word(at.0)? } else { at.0 };
            Some(self.show_within(&TypedValue { ty, place: Held::Memory(VirtAddr(at)) }, depth + 1))
        });
        let shown = shown.map_or_else(String::new, |text| format!(" = {{[contained value] = {text}}}"));
        Some(format!("std::any containing {name}{shown}"))
    }

    pub(super) fn show_unique(&self, value: &TypedValue, view: &TypeView) -> Option<String> {
        let pointer = self.pointer_at(value, "_M_head_impl").or_else(|| self.pointer_at(value, "__value_"));
        let pointer = pointer.or_else(|| self.pointer_at(value, "__ptr_"))?;
        let title = format!("std::unique_ptr<{}>", self.types.name(self.first_argument(view)?));
        Some(format!("{title} = {{get() = {}}}", self.show_held(&pointer)))
    }

    pub(super) fn show_shared(&self, value: &TypedValue, view: &TypeView, template: &str) -> Option<String> {
        let pointer = self.pointer_at(value, "_M_ptr").or_else(|| self.pointer_at(value, "__ptr_"))?;
        let control = self.dig(value, "_M_pi").or_else(|| self.dig(value, "__cntrl_"))?;
        let title = format!("std::{template}<{}>", self.types.name(self.first_argument(view)?));
        let counts = match self.scalar(&control)? {
            0 => "empty".to_owned(),
            _ => {
                let block = self.target(&control)?;
                match (self.dig_number(&block, "_M_use_count"), self.dig_number(&block, "_M_weak_count")) {
                    (Some(uses), Some(weak)) => {
                        let state = if uses as i32 > 0 { "use" } else { "expired, use" };
                        // All owners together hold one of the weak ones.
                        format!(
                            "{state} count {}, weak count {}",
                            uses as i32,
                            (weak as i32).wrapping_sub(i32::from(uses as i32 > 0))
                        )
                    }
                    // libc++ counts owners from 0.
                    _ => {
                        let owners = self.dig_number(&block, "__shared_owners_")? as i64;
                        let weak = self.dig_number(&block, "__shared_weak_owners_")? as i64;
                        format!("use count {}, weak count {weak}", owners.wrapping_add(1))
                    }
                }
            }
        };
        Some(format!("{title} ({counts}) = {{get() = {}}}", self.show_held(&pointer)))
    }

    /// What a smart pointer holds: its class where the object tells another than is declared.
    fn show_held(&self, pointer: &TypedValue) -> String {
        let Shape::Pointer(to) = self.view(pointer).shape else { return self.show(pointer) };
        let at = match self.scalar(pointer) {
            Some(at) => VirtAddr(at as u64),
            None => return self.show(pointer),
        };
        match self.dynamic_class(to, at) {
            Some(class) => format!("({class} *) {at}"),
            None => self.labelled(at),
        }
    }

    /// Each element is in a base of its own, and the rest of the tuple in another.
    pub(super) fn show_tuple(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let mut elements = Vec::new();
        self.tuple_elements(value, &mut elements, TUPLE_DEPTH);
        if elements.is_empty() {
            return None;
        }
        let show =
            |(index, one): (usize, &TypedValue)| format!("[{}] = {}", index + 1, self.show_within(one, depth + 1));
        let texts: Vec<String> = elements.iter().enumerate().map(show).collect();
        Some(format!("std::tuple containing = {{{}}}", texts.join(", ")))
    }

    fn tuple_elements(&self, value: &TypedValue, elements: &mut Vec<TypedValue>, depth: u32) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let mut rest = Vec::new();
        for member in self.members(value).iter() {
            let Some(inner) = self.member_value(value, member) else { continue };
            let class = self.view(&inner);
            let name = class.name.as_deref().unwrap_or("");
            match member.name.as_deref() {
                Some("_M_head_impl" | "__value_") => elements.push(inner),
                // The element's own base comes behind the rest's, which libstdc++ puts first.
                _ if name.starts_with("_Tuple_impl") || name.starts_with("__tuple_impl") => rest.push(inner),
                _ if name.starts_with("_Head_base") || name.starts_with("__tuple_leaf") => {
                    let before = elements.len();
                    self.tuple_elements(&inner, elements, depth);
                    if elements.len() == before {
                        // An empty element is a base itself.
                        elements.push(inner);
                    }
                }
                _ => {}
            }
        }
        for one in rest {
            self.tuple_elements(&one, elements, depth);
        }
    }

    pub(super) fn show_atomic(&self, value: &TypedValue, view: &TypeView, depth: u32) -> Option<String> {
        let inner = ["_M_i", "_M_p", "__a_value", "_M_fp"].into_iter().find_map(|name| self.dig(value, name))?;
        let title = self.title(view, "atomic");
        Some(format!("{title} = {{ {} }}", self.show_within(&inner, depth + 1)))
    }

    /// `15ms`. The unit is the second argument, a ratio of seconds.
    pub(super) fn show_duration(&self, value: &TypedValue, view: &TypeView) -> Option<String> {
        let count = self.dig(value, "__r").or_else(|| self.dig(value, "__rep_"))?;
        let ratio = (*self.types.template_arguments(view.id).get(1)?)?;
        let ratio = self.types.view(ratio).name.clone()?;
        let (numerator, denominator) = ratio.strip_prefix("ratio<")?.trim_end_matches(['>', ' ']).split_once(", ")?;
        let number = |text: &str| text.trim_end_matches(['l', 'L']).parse::<u64>().ok();
        let unit = match (number(numerator)?, number(denominator)?) {
            (1, 1) => "s".to_owned(),
            (1, 1_000) => "ms".to_owned(),
            (1, 1_000_000) => "us".to_owned(),
            (1, 1_000_000_000) => "ns".to_owned(),
            (60, 1) => "min".to_owned(),
            (3600, 1) => "h".to_owned(),
            (86400, 1) => "d".to_owned(),
            (numerator, 1) => format!("[{numerator}]s"),
            (numerator, denominator) => format!("[{numerator}/{denominator}]s"),
        };
        Some(format!("std::chrono::duration = {{ {}{unit} }}", self.show(&count)))
    }

    /// std::function: what it calls, as far as a name tells.
    pub(super) fn show_function(&self, value: &TypedValue, view: &TypeView) -> Option<String> {
        let title = format!("std::function<{}>", self.types.name(self.first_argument(view)?));
        let Some(invoker) = self.dig_number(value, "_M_invoker") else {
            let table = self.dig(value, "__f_")?;
            let object = self.pointer_at(&table, "__f_").and_then(|one| self.scalar(&one))? as u64;
            if object == 0 {
                return Some(format!("{title} [empty]"));
            }
            let table = VirtAddr(self.word(object)?);
            let label = self.labels.label(table);
            let functor = label.as_ref().and_then(|one| first_argument(one.name.split_once("__func<")?.1));
            let text = functor.map_or_else(|| self.labelled(table), str::to_owned);
            return Some(format!("{title} = {{{text}}}"));
        };
        if self.dig_number(value, "_M_manager")? == 0 {
            return Some(format!("{title} [empty]"));
        }
        let label = self.labels.label(VirtAddr(invoker));
        let handler = label.as_ref().and_then(|one| functor_of(&one.name)).map(str::to_owned);
        // A plain function's address is stored in place.
        let stored = self.dig_number(value, "_M_functor").or_else(|| self.dig_number(value, "_M_object"));
        let target = stored.map(VirtAddr).filter(|_| handler.as_deref().is_some_and(|name| name.contains("(*)")));
        let text = match (target, handler) {
            (Some(target), _) => self.labelled(target),
            (None, Some(handler)) => handler,
            (None, None) => self.labelled(VirtAddr(invoker)),
        };
        Some(format!("{title} = {{{text}}}"))
    }
}

/// The F of `std::_Function_handler<R (A..), F>::_M_invoke(..)`.
fn functor_of(invoker: &str) -> Option<&str> {
    let inside = invoker.strip_prefix("std::_Function_handler<")?.split(">::_M_invoke(").next()?;
    Some(inside.get(first_argument(inside)?.len() + 1..)?.trim())
}

/// What stands before the first comma that is in no brackets.
fn first_argument(text: &str) -> Option<&str> {
    let mut depth = 0i32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'<' | b'{' => depth += 1,
            b')' | b'>' | b'}' => depth -= 1,
            b',' if depth == 0 => return text.get(..at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::functor_of;

    #[test]
    fn a_functions_target_is_in_its_invokers_name() {
        let name = "std::_Function_handler<int (int, std::pair<int, int>), main::{lambda(int)#1}>::_M_invoke(int&&)";
        assert_eq!(functor_of(name), Some("main::{lambda(int)#1}"));
        assert_eq!(functor_of("f()"), None);
    }
}
