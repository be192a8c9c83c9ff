//! A sound and cheap test to run before demangling: identifiers stand verbatim in a mangled name.

use memchr::memmem::Finder;
use regex_syntax::hir::{Hir, HirKind};

use super::text::{is_identifier, split_parts, split_scope, without_template_arguments};

/// Shorter identifiers select too little.
const MIN_LENGTH: usize = 3;
const MAX_ALTERNATIVES: usize = 32;
const MAX_SETS: usize = 8;

/// Words that a demangler writes without their standing in the mangled name. A literal that lies in one of them tests
/// nothing.
const MADE_WORDS: &str = "offset parm std string ostream istream iostream allocator basic_string basic_ostream basic_istream \
    basic_iostream char_traits signed unsigned char short int long float double bool void wchar_t char8_t char16_t \
    char32_t __int128 __float128 half auto decltype nullptr nullptr_t true false const volatile restrict complex \
    imaginary _Complex _Imaginary operator new delete throw noexcept sizeof alignof typeid typeinfo fn name vtable VTT \
    construction guard variable for virtual non thunk to covariant return reference temporary initializer init \
    initialization function TLS wrapper transaction clone global constructors destructors keyed lambda unnamed type block \
    invocation in abi default arg anonymous namespace class enum union struct java resource dynamic_cast static_cast \
    const_cast reinterpret_cast this override decimal32 decimal64 decimal128 literal instance __vector co_await plt \
    closure shim impl dyn as mut str usize isize u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 unsafe extern where";

/// Every name that can match contains at least one literal of each of these sets.
pub(in crate::binary) struct Literals(Vec<Vec<Finder<'static>>>);

impl Literals {
    /// What a demangled name (or its end) must leave in the mangled one; `None` when that cannot be said.
    pub fn of_name(name: &str) -> Option<Literals> {
        if name.contains("operator") {
            return None;
        }
        let component = split_scope(split_parts(name).name).1;
        let word = longest_word(without_template_arguments(component).as_bytes())?;
        Some(Literals::new(vec![vec![word]]))
    }

    /// What every match of a regular expression must leave in the mangled name.
    pub fn of_regex(pattern: &str) -> Option<Literals> {
        let hir = regex_syntax::parse(pattern).ok()?;
        let sets = required(&hir);
        (!sets.is_empty()).then(|| Literals::new(sets))
    }

    /// All identifiers of a text, each of which must be there; `None` when none tests anything.
    pub fn all_of(text: &str) -> Option<Literals> {
        let words: Vec<_> = words(text.as_bytes()).take(MAX_SETS).map(|word| vec![word.to_vec()]).collect();
        (!words.is_empty()).then(|| Literals::new(words))
    }

    /// Whether a mangled name can match.
    pub fn admit(&self, mangled: &[u8]) -> bool {
        self.0.iter().all(|set| set.iter().any(|finder| finder.find(mangled).is_some()))
    }

    /// Whether a name that is made of two parts can match: each set has a literal in one of them.
    pub fn admit_either(&self, one: &[u8], other: &[u8]) -> bool {
        let has = |finder: &Finder<'_>| finder.find(one).is_some() || finder.find(other).is_some();
        self.0.iter().all(|set| set.iter().any(has))
    }

    /// Whether parts of a file can hold a name that matches: each set has a literal in one of them.
    pub fn admit_in<'a>(&self, parts: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
        self.0.iter().all(|set| set.iter().any(|finder| parts.clone().any(|part| finder.find(part).is_some())))
    }

    fn new(sets: Vec<Set>) -> Literals {
        let find = |word: &Vec<u8>| Finder::new(word).into_owned();
        Literals(sets.iter().map(|set| set.iter().map(find).collect()).collect())
    }
}

/// Alternatives, one of which must be there.
type Set = Vec<Vec<u8>>;

/// Sets of literals; each match contains at least one of each.
fn required(hir: &Hir) -> Vec<Set> {
    match hir.kind() {
        HirKind::Literal(literal) => words(&literal.0).take(MAX_SETS).map(|word| vec![word.to_vec()]).collect(),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(required).take(MAX_SETS).collect(),
        HirKind::Alternation(parts) => {
            let best = |part: &Hir| required(part).into_iter().max_by_key(shortest);
            let all = parts.iter().map(best).collect::<Option<Vec<_>>>().unwrap_or_default().concat();
            let few = !all.is_empty() && all.len() <= MAX_ALTERNATIVES;
            if few {
                vec![all]
            } else {
                Vec::new()
            }
        }
        _ => Vec::new(),
    }
}

fn shortest(set: &Set) -> usize {
    set.iter().map(Vec::len).min().unwrap_or(0)
}

/// The identifiers of a text that test something.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !is_identifier(*byte)).filter(|word| is_test(word))
}

fn longest_word(text: &[u8]) -> Option<Vec<u8>> {
    words(text).max_by_key(|word| word.len()).map(<[u8]>::to_vec)
}

/// Whether a word, if it stands in the demangled name, must stand in the mangled one too: it is no part of a made word,
/// and no number.
fn is_test(word: &[u8]) -> bool {
    let in_made = || MADE_WORDS.split(' ').any(|made| memchr::memmem::find(made.as_bytes(), word).is_some());
    word.len() >= MIN_LENGTH && !word[0].is_ascii_digit() && !in_made()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(pattern: &str) -> Vec<Vec<String>> {
        let text = |word: Vec<u8>| String::from_utf8(word).unwrap();
        let found = required(&regex_syntax::parse(pattern).unwrap());
        found.into_iter().map(|set| set.into_iter().map(text).collect()).collect()
    }

    #[test]
    fn every_match_contains_one_word_of_each_set() {
        let none = Vec::<Vec<String>>::new();
        assert_eq!(sets(".*OsSysCallsImpl.*"), [["OsSysCallsImpl"]]);
        assert_eq!(sets("Envoy::Server.*run"), [["Envoy"], ["Server"], ["run"]]);
        assert_eq!(sets("epoll_create.*|epoll_wait|epoll_ctl"), [["epoll_create", "epoll_wait", "epoll_ctl"]]);
        for pattern in ["(foobar)?", "foobar|.*", "alloc", "(?i)foobar", "12345", ""] {
            assert_eq!(sets(pattern), none, "{pattern}");
        }
    }

    #[test]
    fn names_are_tested_by_their_last_component() {
        let literals = Literals::of_name("A::run<int>(long)").unwrap();
        assert!(literals.admit(b"_ZN1A3runIiEEvl") && !literals.admit(b"_ZN1A3rumIiEEvl"));
        assert!(Literals::of_name("A::operator()").is_none());
    }
}
