//! Functions that `step` does not enter.

use regex::Regex;

use crate::api::{ApiError, Reply, SkipChange, SkipRule};
use crate::base::Inferior;
use crate::binary::dwarf::SourceName;
use crate::engine::state::Engine;

/// Namespaces of the C++ library, whose functions are of no interest unless asked for (`set skip-std off`).
const LIBRARY: [&str; 4] = ["std::", "__gnu_cxx::", "__cxxabiv1::", "core::"];

/// The rules, numbered from 1.
#[derive(Default)]
pub(in crate::engine) struct Skips {
    rules: Vec<(u32, SkipRule, Matcher)>,
    last: u32,
}

enum Matcher {
    Name(String),
    File(SourceName),
    Regex(Regex),
}

impl Skips {
    fn add(&mut self, rule: SkipRule) -> Result<u32, ApiError> {
        let matcher = match &rule {
            SkipRule::Function(name) => Matcher::Name(name.clone()),
            SkipRule::File(name) => Matcher::File(SourceName::new(name)),
            SkipRule::Regex(regex) => {
                let bad = |error: regex::Error| ApiError::user(format!("bad regular expression: {error}"));
                Matcher::Regex(Regex::new(regex).map_err(bad)?)
            }
        };
        self.last += 1;
        self.rules.push((self.last, rule, matcher));
        Ok(self.last)
    }

    /// Whether a function, by its demangled name with parameters, is passed over.
    pub(super) fn covers(&self, function: &str, file: &str) -> bool {
        self.rules.iter().any(|(_, _, matcher)| match matcher {
            Matcher::Name(name) => is_named(function, name),
            Matcher::File(name) => name.is(file),
            Matcher::Regex(regex) => regex.is_match(function),
        })
    }
}

/// Whether a demangled name is that of the C++ or Rust library. A return type that stands before it is passed over.
pub(super) fn is_library(function: &str) -> bool {
    let name = name_of(function);
    LIBRARY.iter().any(|space| name.starts_with(space))
}

/// The qualified name in a demangled one: without return type and parameters.
fn name_of(function: &str) -> &str {
    let (mut depth, mut start) = (0i32, 0);
    for (at, c) in function.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            // `(anonymous namespace)::f` begins with a parenthesis that is none of a parameter list.
            '(' if depth == 0 && !function[at..].starts_with("(anonymous namespace)") => return &function[start..at],
            ' ' if depth == 0 && !function[at..].starts_with(" namespace)") => start = at + 1,
            _ => {}
        }
    }
    &function[start..]
}

fn is_named(function: &str, wanted: &str) -> bool {
    let name = name_of(function);
    name == wanted || function == wanted || name.strip_suffix(wanted).is_some_and(|before| before.ends_with("::"))
}

impl<I: Inferior> Engine<I> {
    /// `skip`.
    pub(in crate::engine) fn change_skips(&mut self, change: SkipChange) -> Result<Reply, ApiError> {
        match change {
            SkipChange::Add { rule } => {
                let rule = match rule {
                    Some(rule) => rule,
                    None => SkipRule::Function(self.selected_function()?),
                };
                let text = format!("step passes over {}", describe(&rule));
                let number = self.skips.add(rule)?;
                Ok(Reply::Text { text: format!("Skip {number}: {text}") })
            }
            SkipChange::Delete { number: None } => {
                self.skips.rules.clear();
                Ok(Reply::Done)
            }
            SkipChange::Delete { number: Some(number) } => {
                let before = self.skips.rules.len();
                self.skips.rules.retain(|(one, ..)| *one != number);
                match self.skips.rules.len() == before {
                    true => {
                        Err(ApiError::user(format!("there is no skip {number}")).with_hint("`info skip` lists them"))
                    }
                    false => Ok(Reply::Done),
                }
            }
            SkipChange::List => {
                let rows = self.skips.rules.iter().map(|(number, rule, _)| format!("{number:<4}{}", describe(rule)));
                let text = rows.collect::<Vec<_>>().join("\n");
                Ok(Reply::Text {
                    text: if text.is_empty() { "Nothing is skipped by a rule.".to_owned() } else { text },
                })
            }
        }
    }

    fn selected_function(&self) -> Result<String, ApiError> {
        self.selected_tid()?;
        let space = self.space_of_pid(self.selected_pid()?)?;
        let name = self.selected_frame().ok().and_then(|(_, shown)| match shown.inlined {
            Some(call) => Some(crate::binary::symbols::demangle(&call.symbol).into_owned()),
            None => {
                let named = space.modules.find_symbol(shown.frame.address.address_for_lookup())?;
                Some(crate::binary::symbols::demangle(&named.name).into_owned())
            }
        });
        let name = name.ok_or_else(|| ApiError::user("the selected frame's function has no name"))?;
        Ok(name_of(&name).to_owned())
    }
}

fn describe(rule: &SkipRule) -> String {
    match rule {
        SkipRule::Function(name) => format!("function {name}"),
        SkipRule::File(name) => format!("file {name}"),
        SkipRule::Regex(regex) => format!("functions that match {regex}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_demangled_text() {
        assert_eq!(name_of("int geometry::twice<std::pair<int, int> >(int)"), "geometry::twice<std::pair<int, int> >");
        assert_eq!(name_of("(anonymous namespace)::values(int, std::string const&)"), "(anonymous namespace)::values");
        assert!(is_library("std::string::size() const") && is_library("void std::sort<int*>(int*, int*)"));
        assert!(!is_library("mine::f(std::string)") && !is_library("std_like()"));
    }

    #[test]
    fn rules_cover_by_name_file_and_regex() {
        let mut skips = Skips::default();
        skips.add(SkipRule::Function("Shape::name".into())).unwrap();
        skips.add(SkipRule::File("a/b.h".into())).unwrap();
        skips.add(SkipRule::Regex("^x::".into())).unwrap();
        assert!(skips.covers("geometry::Shape::name() const", "") && !skips.covers("geometry::Shape::rename()", ""));
        assert!(skips.covers("f()", "/src/a/b.h") && skips.covers("x::f()", "") && !skips.covers("y::f()", ""));
        assert!(skips.add(SkipRule::Regex("(".into())).is_err());
    }
}
