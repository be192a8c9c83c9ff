//! What a user gives to name functions.

use regex::Regex;

use super::super::BinaryError;

/// A way to select functions by name. PLT stubs are selected only by a pattern that contains `@plt`; data and `.cold`
/// clones never are.
#[derive(Clone, Debug)]
pub enum NamePattern {
    /// The mangled name; or the demangled one with or without parameters; or its end from a `::` on (`f` and `B::f` both
    /// name `A::B::f`). Trailing template arguments may be left out.
    Plain(String),
    /// Searched, unanchored, in the demangled name with its parameters; for C in the plain name.
    Regex(Regex),
    /// The last component alone, without scope and parameters; trailing template arguments may be left out.
    BaseName(String),
}

impl NamePattern {
    /// Compiles a regular expression (regex crate syntax, unanchored).
    ///
    /// # Errors
    /// It does not compile, or compiles to more than 10 MB.
    pub fn parse_regex(pattern: &str) -> Result<NamePattern, BinaryError> {
        let bad =
            |error: regex::Error| BinaryError::BadPattern { pattern: pattern.to_string(), reason: error.to_string() };
        Regex::new(pattern).map(NamePattern::Regex).map_err(bad)
    }

    /// The pattern as the user wrote it.
    pub fn text(&self) -> &str {
        match self {
            NamePattern::Plain(text) | NamePattern::BaseName(text) => text,
            NamePattern::Regex(regex) => regex.as_str(),
        }
    }
}
