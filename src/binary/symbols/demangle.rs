//! Demangling: Itanium C++ and Rust.

use std::borrow::Cow;
use std::fmt;

use cpp_demangle::{BorrowedSymbol, DemangleOptions, ParseOptions};

use super::text::{split_parts, split_scope, without_clones, without_template_arguments};

/// Longer mangled names are left as they are: no compiler makes them, and the time must be bounded.
const MAX_MANGLED: usize = 64 << 10;
/// Substitutions can make a short name's text exponentially long; beyond this it is left mangled.
const MAX_DEMANGLED: usize = 256 << 10;
/// Nested deeper than this, a name is left mangled.
const RECURSION: u32 = 160;

/// The name as its source language writes it, with parameters: C++ (Itanium ABI), Rust (legacy and v0); anything else
/// is returned as it is. A `@plt` suffix is kept.
pub fn demangle(name: &str) -> Cow<'_, str> {
    demangle_with(name, DemangleOptions::new())
}

/// `A::B::f<int>`: the demangled name without return type, parameters, qualifiers and clone suffix.
pub fn demangle_without_parameters(name: &str) -> Cow<'_, str> {
    match demangle_with(name, DemangleOptions::new().no_return_type()) {
        Cow::Borrowed(name) => Cow::Borrowed(name),
        Cow::Owned(text) => {
            let stub = if text.ends_with("@plt") { "@plt" } else { "" };
            let text = text.strip_suffix(stub).unwrap_or(&text);
            Cow::Owned(split_parts(without_clones(text)).name.to_string() + stub)
        }
    }
}

/// `f`: the last component of a name, without scope, parameters and template arguments.
pub fn base_name(name: &str) -> Cow<'_, str> {
    match demangle_without_parameters(name) {
        Cow::Borrowed(name) => Cow::Borrowed(name),
        Cow::Owned(text) => Cow::Owned(without_template_arguments(split_scope(&text).1).to_string()),
    }
}

fn demangle_with(name: &str, options: DemangleOptions) -> Cow<'_, str> {
    if name.len() > MAX_MANGLED {
        return Cow::Borrowed(name);
    }
    if let Some(stem) = name.strip_suffix("@plt") {
        return match demangle_with(stem, options) {
            Cow::Borrowed(_) => Cow::Borrowed(name),
            Cow::Owned(text) => Cow::Owned(text + "@plt"),
        };
    }
    if name.starts_with("_R") || (name.starts_with("_ZN") && name.contains("17h")) {
        if let Ok(rust) = rustc_demangle::try_demangle(name) {
            let mut text = Bounded(String::new());
            return match fmt::write(&mut text, format_args!("{rust:#}")) {
                Ok(()) => Cow::Owned(text.0),
                Err(_) => Cow::Borrowed(name),
            };
        }
    }
    if !name.starts_with("_Z") && !name.starts_with("___Z") {
        return Cow::Borrowed(name);
    }
    demangle_cpp(name, options).map_or(Cow::Borrowed(name), Cow::Owned)
}

/// C++ alone; `None` when it is not, or is too deep or too long.
pub(super) fn demangle_cpp(name: &str, options: DemangleOptions) -> Option<String> {
    if name.len() > MAX_MANGLED {
        return None;
    }
    if let Some((what, target)) = split_thunk(name) {
        return demangle_encoding(&format!("_Z{target}"), options).map(|text| format!("{what} thunk to {text}"));
    }
    let text = demangle_encoding(name, options)?;
    for (start, what) in [("{vtable(", "vtable for "), ("{vtt(", "VTT for ")] {
        if let Some(class) = text.strip_prefix(start).and_then(|rest| rest.strip_suffix(")}")) {
            return Some(format!("{what}{class}"));
        }
    }
    Some(text)
}

/// What `_ZThn16_N1A1fEv` adjusts `this` for, and the encoding of the method that it leads to (Itanium C++ ABI, 5.1.4.5).
pub(super) fn split_thunk(name: &str) -> Option<(&'static str, &str)> {
    let skip_number = |text: &'_ str| -> Option<usize> {
        let sign = usize::from(text.starts_with('n'));
        let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
        (text[sign + digits..].starts_with('_') && digits > 0).then_some(sign + digits + 1)
    };
    if let Some(rest) = name.strip_prefix("_ZTh") {
        return Some(("non-virtual", &rest[skip_number(rest)?..]));
    }
    let rest = name.strip_prefix("_ZTv")?;
    let rest = &rest[skip_number(rest)?..];
    Some(("virtual", &rest[skip_number(rest)?..]))
}

fn demangle_encoding(name: &str, options: DemangleOptions) -> Option<String> {
    let parse = ParseOptions::default().recursion_limit(RECURSION);
    let (symbol, tail) = BorrowedSymbol::with_tail_and_options(name.as_bytes(), &parse).ok()?;
    if !tail.is_empty() {
        return None;
    }
    let mut text = Bounded(String::with_capacity(name.len() * 2));
    symbol.structured_demangle(&mut text, &options.recursion_limit(RECURSION)).ok()?;
    Some(text.0)
}

/// Text that refuses to grow beyond [`MAX_DEMANGLED`].
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_DEMANGLED {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_three_languages_demangle() {
        assert_eq!(demangle("_ZN1A1B1fEi"), "A::B::f(int)");
        assert_eq!(demangle("_ZN1A1B1fEi@plt"), "A::B::f(int)@plt");
        assert_eq!(demangle("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE"), "core::fmt::Formatter::pad");
        assert_eq!(demangle("_RNvC6_123foo3bar"), "123foo::bar");
        assert_eq!(demangle("epoll_wait"), "epoll_wait");
        assert_eq!(demangle("_Z"), "_Z");
        assert_eq!(demangle_without_parameters("_ZN1A1BIiE1hIiEET_S3_"), "A::B<int>::h<int>");
        assert_eq!(base_name("_ZN1A1BIiE1hIiEET_S3_"), "h");
        assert_eq!(base_name("epoll_wait"), "epoll_wait");
        assert_eq!(demangle("_ZThn8_N1A1fEv"), "non-virtual thunk to A::f()");
        assert_eq!(demangle("_ZTv0_n24_N1A1fEv"), "virtual thunk to A::f()");
        assert_eq!(demangle("_ZTVN1A1BE"), "vtable for A::B");
        assert_eq!(demangle("_Z3foov.cold"), "foo() [clone .cold]");
        assert_eq!(demangle_without_parameters("_Z3foov.cold"), "foo");
    }

    #[test]
    fn a_name_that_explodes_is_left_mangled() {
        // Every S<n>_ doubles the text.
        let mut name = String::from("_Z1fSt4pairIiiE");
        for level in 0..40u32 {
            let number = char::from_digit(level % 36, 36).unwrap_or('0').to_ascii_uppercase();
            name.push_str(&format!("St4pairIS{number}_S{number}_E"));
        }
        assert!(demangle(&name).len() <= MAX_DEMANGLED);
    }
}
