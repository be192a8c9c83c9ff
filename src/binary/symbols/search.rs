//! Finding functions by a pattern.

use cpp_demangle::DemangleOptions;

use super::demangle::{demangle, demangle_cpp};
use super::index::Stubs;
use super::literals::Literals;
use super::text::{
    is_identifier, split_parts, split_scope, without_c_clones, without_clones, without_template_arguments,
};
use super::{FunctionMatch, Matches, NamePattern, Symbol, SymbolIndex, SymbolKind};

impl SymbolIndex {
    /// The functions whose name matches, in address order, at most `limit` of them; aliases of one address are one
    /// match. PLT stubs match only a pattern that contains `@plt`; data and `.cold` clones never do.
    pub fn functions_named(&self, pattern: &NamePattern, limit: usize) -> Matches {
        self.named_like(Matcher::new(pattern, Sought::Functions), limit)
    }

    /// The same of global and static data.
    pub fn data_named(&self, pattern: &NamePattern, limit: usize) -> Matches {
        self.named_like(Matcher::new(pattern, Sought::Data), limit)
    }

    fn named_like(&self, matcher: Matcher<'_>, limit: usize) -> Matches {
        let pattern = matcher.pattern;
        if matcher.plain.is_empty() && !matches!(pattern, NamePattern::Regex(_)) {
            return Matches::default();
        }
        let stubs = if matcher.stubs { Stubs::Seen } else { Stubs::PassedOver };
        let mut matching = self.select(matcher.literals.as_ref(), stubs, |kind, raw| matcher.accepts(kind, raw));
        self.in_order(&mut matching);
        let mut matches = Matches::default();
        for aliases in matching.chunk_by(|a, b| a.address == b.address) {
            matches.total += 1;
            if matches.functions.len() >= limit {
                continue;
            }
            let first = self.symbol(&aliases[0]);
            let names = aliases.iter().map(|entry| self.symbol(entry).name.into_owned()).collect();
            matches.functions.push(FunctionMatch {
                address: first.address,
                names,
                kind: first.kind,
                size: first.size,
                source: first.source,
            });
        }
        matches
    }
}

impl SymbolIndex {
    /// The functions whose name, as the linker wrote it, `accepts` takes, aliases too, in no useful order; no parts that the
    /// compiler thinks unlikely. Asked only of names that can hold every identifier of `text`, be it demangled or not.
    pub fn functions_where(&self, text: &str, accepts: impl Fn(&str) -> bool + Sync) -> Vec<Symbol<'_>> {
        let literals = Literals::all_of(text);
        let found = self.select(literals.as_ref(), Stubs::PassedOver, |kind, raw| {
            let admitted = literals.as_ref().is_none_or(|literals| literals.admit(raw));
            kind == SymbolKind::Function && admitted && !is_cold(raw) && std::str::from_utf8(raw).is_ok_and(&accepts)
        });
        found.iter().map(|entry| self.symbol(entry)).collect()
    }
}

/// What names are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sought {
    Functions,
    Data,
}

/// A pattern made ready to test many names.
struct Matcher<'a> {
    pattern: &'a NamePattern,
    sought: Sought,
    literals: Option<Literals>,
    stubs: bool,
    /// The text of a plain pattern without spaces and leading `::`.
    plain: String,
}

impl<'a> Matcher<'a> {
    fn new(pattern: &'a NamePattern, sought: Sought) -> Matcher<'a> {
        let literals = match pattern {
            NamePattern::Regex(regex) => Literals::of_regex(regex.as_str()),
            NamePattern::Plain(name) | NamePattern::BaseName(name) => Literals::of_plain(name),
        };
        let text = pattern.text().trim();
        let stubs = text.contains("@plt");
        Matcher { pattern, sought, literals, stubs, plain: without_spaces(text.strip_prefix("::").unwrap_or(text)) }
    }

    fn accepts(&self, kind: SymbolKind, raw: &[u8]) -> bool {
        match (kind, self.sought) {
            (SymbolKind::Function | SymbolKind::IndirectFunction, Sought::Functions) => {}
            (SymbolKind::Plt, Sought::Functions) if self.stubs => {}
            (SymbolKind::Data, Sought::Data) => {}
            _ => return false,
        }
        if self.literals.as_ref().is_some_and(|literals| !literals.admit(raw)) || is_cold(raw) {
            return false;
        }
        let Ok(name) = std::str::from_utf8(raw) else { return false };
        match self.pattern {
            NamePattern::Regex(regex) => regex.is_match(&demangle(name)),
            NamePattern::Plain(text) => name == text || self.accepts_plain(name),
            NamePattern::BaseName(_) => self.accepts_base(name),
        }
    }

    fn accepts_plain(&self, name: &str) -> bool {
        let Some(text) = demangled(name) else { return without_c_clones(name) == self.plain };
        let parts = split_parts(&text);
        let matches = |candidate: &str| ends_with_components(&without_spaces(candidate), &self.plain);
        let template_free = || {
            let component = split_scope(parts.name).1;
            let shorter = without_template_arguments(component);
            &parts.name[..parts.name.len() - component.len() + shorter.len()]
        };
        matches(parts.name) || matches(&text) || matches(template_free())
    }

    fn accepts_base(&self, name: &str) -> bool {
        let Some(text) = demangled(name) else { return without_c_clones(name) == self.plain };
        let component = split_scope(split_parts(&text).name).1;
        without_spaces(component) == self.plain || without_spaces(without_template_arguments(component)) == self.plain
    }
}

/// The demangled text that plain patterns are held against: no return type, no clone suffix. `None` for C. Thunks keep
/// their mangled name: who names a method does not mean them.
fn demangled(name: &str) -> Option<String> {
    let stem = name.strip_suffix("@plt");
    let mangled = stem.unwrap_or(name);
    if mangled.starts_with("_ZT") || mangled.starts_with("_ZG") {
        return None;
    }
    let is_rust = mangled.starts_with("_R") || mangled.contains("17h");
    let text = if is_rust {
        demangle(mangled).into_owned()
    } else if mangled.starts_with("_Z") {
        demangle_cpp(mangled, DemangleOptions::new().no_return_type())?
    } else {
        return None;
    };
    let text = without_clones(&text).to_string();
    Some(if stem.is_some() { text + "@plt" } else { text })
}

/// Whether `name` is `end`, or ends with it behind a `::`.
fn ends_with_components(name: &str, end: &str) -> bool {
    name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with("::"))
}

/// Removes the spaces that do not separate two words: `A<B<C> >(int, char)` and `A<B<C>>(int,char)` become the same.
fn without_spaces(text: &str) -> String {
    let bytes = text.as_bytes();
    let needed = |at: usize| {
        let around = |at: usize| bytes.get(at).is_some_and(|byte| is_identifier(*byte));
        at > 0 && around(at - 1) && around(at + 1)
    };
    text.char_indices().filter(|(at, letter)| *letter != ' ' || needed(*at)).map(|(_, letter)| letter).collect()
}

/// The part of a function that the compiler thinks unlikely: it is entered from within the function only.
fn is_cold(raw: &[u8]) -> bool {
    let after = memchr::memmem::find(raw, b".cold").map(|at| &raw[at + ".cold".len()..]);
    after.is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, mangled: &str) -> bool {
        let pattern = NamePattern::Plain(text.to_string());
        Matcher::new(&pattern, Sought::Functions).accepts(SymbolKind::Function, mangled.as_bytes())
    }

    #[test]
    fn plain_names_match_at_component_boundaries() {
        for pattern in ["f", "B::f", "A::B::f", "::A::B::f", "A::B::f(int, char)", "f(int,char)", "_ZN1A1B1fEic"] {
            assert!(plain(pattern, "_ZN1A1B1fEic"), "{pattern}");
        }
        for pattern in ["ff", "A", "A::f", "::B::fx", "f(int)", "g"] {
            assert!(!plain(pattern, "_ZN1A1B1fEic"), "{pattern}");
        }
        assert!(plain("A::handle", "_ZN1A6handleIiEEvT_") && plain("A::handle<int>", "_ZN1A6handleIiEEvT_"));
        assert!(plain("operator()", "_ZNK1A1BclEii") && plain("B::operator<", "_ZNK1A1BltERKS0_"));
        assert!(plain("handle", "handle") && plain("handle", "handle.isra.0") && !plain("handle", "handle2"));
    }

    #[test]
    fn stubs_and_cold_parts_match_only_when_named() {
        let regex = |text: &str| NamePattern::parse_regex(text).unwrap();
        let accepts = |pattern: &NamePattern, kind, raw: &str| {
            Matcher::new(pattern, Sought::Functions).accepts(kind, raw.as_bytes())
        };
        assert!(!accepts(&regex("epoll_.*"), SymbolKind::Plt, "epoll_wait@plt"));
        assert!(accepts(&regex("epoll_.*@plt"), SymbolKind::Plt, "epoll_wait@plt"));
        assert!(!accepts(&regex("epoll_.*"), SymbolKind::Data, "epoll_table"));
        assert!(!accepts(&regex(".*"), SymbolKind::Function, "_Z3foov.cold"));
        assert!(accepts(&regex(r"foo\(int\)"), SymbolKind::Function, "_Z3fooi"));
        assert!(accepts(&regex("std::string"), SymbolKind::Function, "_ZN1A1fESs"));
        assert!(NamePattern::parse_regex("(").is_err());
    }

    /// Every name of real files is found by its own base name, filter or no.
    #[test]
    fn the_filter_of_a_plain_name_passes_over_nothing_that_matches() {
        use rayon::prelude::*;
        let files =
            ["target/real/workerd", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/lib/x86_64-linux-gnu/libc.so.6"];
        let own = std::env::current_exe().unwrap();
        for path in files.iter().map(std::path::PathBuf::from).chain([own]) {
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let module = crate::binary::Module::parse(path, std::sync::Arc::new(bytes)).unwrap();
            let names: Vec<String> = module.symbols().iter().map(|symbol| symbol.name.into_owned()).collect();
            // A debug build looks at some names of a large file; the kinds of names repeat.
            let step = if cfg!(debug_assertions) { names.len() / 10_000 + 1 } else { 1 };
            let lost = |name: &String| {
                let base = crate::binary::symbols::base_name(name).into_owned();
                let pattern = NamePattern::Plain(base.clone());
                let full = Matcher { literals: None, ..Matcher::new(&pattern, Sought::Functions) };
                let matches = |matcher: &Matcher| matcher.accepts(SymbolKind::Function, name.as_bytes());
                (matches(&full) && !matches(&Matcher::new(&pattern, Sought::Functions)))
                    .then(|| format!("`{base}` of {name}"))
            };
            let lost: Vec<String> = names.par_iter().step_by(step).filter_map(lost).collect();
            assert!(lost.is_empty(), "{} names: {:#?}", lost.len(), &lost[..lost.len().min(20)]);
        }
    }

    #[test]
    fn a_part_of_an_identifier_is_not_looked_at() {
        let literals = Literals::of_plain("main").unwrap();
        for name in ["main", "main.cold", "_ZN1A4mainEv", "_Z4mainv", "_RNvC1a4main", "domain"] {
            assert!(literals.admit(name.as_bytes()), "{name}");
        }
        for name in ["_ZN6Domain1fEv", "_Z9remainingv", "_ZN5main21fEv", "main2"] {
            assert!(!literals.admit(name.as_bytes()), "{name}");
        }
        assert!(Literals::of_plain("A::_main").unwrap().admit(b"_RNvC1a5__main"));
    }

    #[test]
    fn a_base_name_is_the_last_component() {
        let pattern = NamePattern::BaseName("handle".to_string());
        let accepts =
            |raw: &str| Matcher::new(&pattern, Sought::Functions).accepts(SymbolKind::Function, raw.as_bytes());
        assert!(accepts("_ZN1A6handleIiEEvT_") && accepts("handle") && !accepts("_ZN6handle1fEv"));
    }
}
