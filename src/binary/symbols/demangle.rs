//! Demangling: Itanium C++ and Rust.

use std::borrow::Cow;
use std::fmt;

use cpp_demangle::{BorrowedSymbol, DemangleOptions, ParseOptions};

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
    demangle_with(name, DemangleOptions::new().no_params().no_return_type())
}

/// `f`: the last component of a name, without scope, parameters and template arguments.
pub fn base_name(name: &str) -> Cow<'_, str> {
    demangle_without_parameters(name)
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

pub(super) fn demangle_cpp(name: &str, options: DemangleOptions) -> Option<String> {
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
