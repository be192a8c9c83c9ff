//! Class names as text.

use std::sync::OnceLock;

use super::super::image::Image;
use super::super::symbols::demangle;
use super::super::symbols::text::{for_each_top_level, split_scope, without_template_arguments};
use super::types::{ClassId, Types};

/// Class templates of the standard library that wrap what a user wrote: only their first argument tells something.
const WRAPPERS: [&str; 5] = [
    "std::__1::__function::__func",
    "std::__1::__shared_ptr_emplace",
    "std::__1::__shared_ptr_pointer",
    "std::_Sp_counted_ptr_inplace",
    "std::_Sp_counted_ptr",
];

/// The names of all classes, each demangled when it is first asked for.
pub(super) struct ClassNames(Vec<OnceLock<Box<str>>>);

impl ClassNames {
    pub fn new(types: &Types) -> ClassNames {
        ClassNames((0..types.len()).map(|_| OnceLock::new()).collect())
    }

    /// A class as C++ writes it; one that no demangler understands as it stands in the file, in braces.
    pub fn text<'a>(&'a self, image: &Image, types: &Types, id: ClassId) -> &'a str {
        self.0[id.0 as usize].get_or_init(|| {
            let raw = String::from_utf8_lossy(image.slice(&types.get(id).name)).into_owned();
            let text = demangle(&format!("_ZTS{raw}")).into_owned();
            let text = text.strip_prefix("typeinfo name for ").map_or_else(|| format!("{{{raw}}}"), str::to_owned);
            shortened(&text).unwrap_or(text).into_boxed_str()
        })
    }
}

/// A wrapper with its first argument alone: `std::__1::__function::__func<f()::$_0>`.
fn shortened(text: &str) -> Option<String> {
    let template =
        WRAPPERS.iter().find(|wrapper| text.strip_prefix(**wrapper).is_some_and(|rest| rest.starts_with('<')))?;
    let arguments = text[template.len()..].strip_prefix('<')?.strip_suffix('>')?;
    let mut end = arguments.len();
    for_each_top_level(arguments, |at| {
        if arguments.as_bytes()[at] == b',' {
            end = end.min(at);
        }
    });
    Some(format!("{template}<{}>", &arguments[..end]))
}

/// `C` of `A::B::C<int>`: what a constructor or destructor is called.
pub(super) fn base_of(class: &str) -> &str {
    without_template_arguments(split_scope(class).1)
}

/// `A::B::C` of `A::B::C<int>`.
pub(super) fn template_of(class: &str) -> &str {
    let base = split_scope(class).1;
    &class[..class.len() - base.len() + without_template_arguments(base).len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_show_what_they_wrap() {
        let text = "std::__1::__function::__func<a::f(int, char)::$_0, std::__1::allocator<int>, void (int)>";
        assert_eq!(shortened(text).unwrap(), "std::__1::__function::__func<a::f(int, char)::$_0>");
        assert_eq!(shortened("A<int, B>"), None);
        assert_eq!((base_of("A::B<int>"), template_of("A::B<int>")), ("B", "A::B"));
    }
}
