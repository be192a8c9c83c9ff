//! A sound and cheap test to run before demangling: identifiers stand verbatim in a mangled name.

use memchr::memmem::Finder;
use regex_syntax::hir::{Hir, HirKind};

use super::text::{is_identifier, split_parts, split_scope, without_template_arguments};

/// Shorter identifiers select too little.
const MIN_LENGTH: usize = 3;
const MAX_ALTERNATIVES: usize = 32;

/// Words that a demangler writes without their standing in the mangled name. A literal that lies in one of them tests
/// nothing.
const MADE_WORDS: &str = "std string ostream istream iostream allocator basic_string basic_ostream basic_istream \
    basic_iostream char_traits signed unsigned char short int long float double bool void wchar_t char8_t char16_t \
    char32_t __int128 __float128 half auto decltype nullptr nullptr_t true false const volatile restrict complex \
    imaginary _Complex _Imaginary operator new delete throw noexcept sizeof alignof typeid typeinfo fn name vtable VTT \
    construction guard variable for virtual non thunk to covariant return reference temporary initializer init \
    initialization function TLS wrapper transaction clone global constructors destructors keyed lambda unnamed type block \
    invocation in abi default arg anonymous namespace class enum union struct java resource dynamic_cast static_cast \
    const_cast reinterpret_cast this override decimal32 decimal64 decimal128 literal instance __vector co_await plt \
    closure shim impl dyn as mut str usize isize u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 unsafe extern where";

/// Every name that can match contains at least one of these.
pub(super) struct Literals(Vec<Finder<'static>>);

impl Literals {
    /// What a demangled name (or its end) must leave in the mangled one; `None` when that cannot be said.
    pub fn of_name(name: &str) -> Option<Literals> {
        if name.contains("operator") {
            return None;
        }
        let component = split_scope(split_parts(name).name).1;
        let word = longest_word(without_template_arguments(component).as_bytes())?;
        Some(Literals::new(vec![word]))
    }

    /// What every match of a regular expression must leave in the mangled name.
    pub fn of_regex(pattern: &str) -> Option<Literals> {
        let hir = regex_syntax::parse(pattern).ok()?;
        required(&hir).map(Literals::new)
    }

    /// All identifiers of a text, each of which must be there; an empty list when none tests anything.
    pub fn all_of(text: &str) -> Vec<Literals> {
        let words = text.as_bytes().split(|byte| !is_identifier(*byte)).filter(|word| is_test(word));
        words.take(MAX_ALTERNATIVES).map(|word| Literals::new(vec![word.to_vec()])).collect()
    }

    /// Whether a mangled name can match.
    pub fn admit(&self, mangled: &[u8]) -> bool {
        self.0.iter().any(|finder| finder.find(mangled).is_some())
    }

    fn new(words: Vec<Vec<u8>>) -> Literals {
        Literals(words.iter().map(|word| Finder::new(word).into_owned()).collect())
    }
}

/// Literals of which each match contains at least one.
fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => longest_word(&literal.0).map(|word| vec![word]),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(|words| shortest(words)),
        HirKind::Alternation(parts) => {
            let all = parts.iter().map(required).collect::<Option<Vec<_>>>()?.concat();
            (all.len() <= MAX_ALTERNATIVES).then_some(all)
        }
        _ => None,
    }
}

fn shortest(words: &[Vec<u8>]) -> usize {
    words.iter().map(Vec::len).min().unwrap_or(0)
}

fn longest_word(text: &[u8]) -> Option<Vec<u8>> {
    let words = text.split(|byte| !is_identifier(*byte)).filter(|word| is_test(word));
    words.max_by_key(|word| word.len()).map(<[u8]>::to_vec)
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

    fn words(pattern: &str) -> Option<Vec<String>> {
        let found = required(&regex_syntax::parse(pattern).unwrap())?;
        Some(found.into_iter().map(|word| String::from_utf8(word).unwrap()).collect())
    }

    #[test]
    fn every_match_contains_one_of_the_words() {
        assert_eq!(words(".*OsSysCallsImpl.*"), Some(vec!["OsSysCallsImpl".into()]));
        assert_eq!(words("Envoy::Server::run"), Some(vec!["Server".into()]));
        assert_eq!(
            words("epoll_create.*|epoll_wait|epoll_ctl"),
            Some(vec!["epoll_create".into(), "epoll_wait".into(), "epoll_ctl".into()])
        );
        assert_eq!(words("(foobar)?"), None);
        assert_eq!(words("foobar|.*"), None);
        assert_eq!(words("alloc"), None);
        assert_eq!(words("(?i)foobar"), None);
        assert_eq!(words("12345"), None);
    }

    #[test]
    fn names_are_tested_by_their_last_component() {
        let literals = Literals::of_name("A::run<int>(long)").unwrap();
        assert!(literals.admit(b"_ZN1A3runIiEEvl") && !literals.admit(b"_ZN1A3rumIiEEvl"));
        assert!(Literals::of_name("A::operator()").is_none());
    }
}
