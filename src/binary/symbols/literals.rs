//! A sound and cheap test to run before demangling: identifiers stand verbatim in a mangled name.

use memchr::memmem::Finder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::ready::is_whole_name;
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
    closure shim impl dyn as mut str usize isize u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 unsafe extern where invalid \
    syntax recursion limit reached size bfloat16_t _Float16 _Float32 _Float64 _Float128 _Float32x _Float64x _BitInt _Accum _Fract \
    _Sat";

/// Every name that can match contains at least one literal of each of these sets.
#[derive(Clone)]
pub(in crate::binary) struct Literals {
    /// The set that selects most is the first.
    sets: Vec<Vec<Search>>,
    coded: Coded,
}

/// What is done about names in which identifiers are coded, so that a literal need not stand in them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coded {
    /// They are always admitted.
    Admit,
    /// None can be: the literal is what the table holds, not what a demangler makes of it; or it is an identifier as a whole, in
    /// ASCII letters (Punycode has others, and a constant is an argument).
    NeverCoded,
}

/// A literal made ready to be looked for.
#[derive(Clone)]
enum Search {
    Exact(Box<Finder<'static>>),
    /// An identifier that is no part of a longer one.
    Whole(Box<Whole>),
    /// In any case. A name that is not ASCII is taken for a hit: other letters fold to ASCII ones.
    Folded(regex::bytes::Regex),
}

impl Search {
    fn new(word: &Word) -> Option<Search> {
        match word.case {
            Case::Exact => Some(Search::exact(&word.text)),
            Case::Folded => {
                let text = std::str::from_utf8(&word.text).ok()?;
                regex::bytes::Regex::new(&format!(r"(?i-u){text}|[\x80-\xff]")).ok().map(Search::Folded)
            }
        }
    }

    fn exact(text: &[u8]) -> Search {
        Search::Exact(Box::new(Finder::new(text).into_owned()))
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Search::Exact(finder) => finder.find(bytes),
            Search::Whole(whole) => whole.find(bytes),
            Search::Folded(regex) => regex.find(bytes).map(|found| found.start()),
        }
    }
}

/// An identifier as a component of a name.
#[derive(Clone)]
struct Whole {
    finder: Finder<'static>,
    /// Its length in decimal digits.
    length: Vec<u8>,
}

impl Whole {
    fn new(identifier: &[u8]) -> Whole {
        Whole { finder: Finder::new(identifier).into_owned(), length: identifier.len().to_string().into_bytes() }
    }

    /// Where it stands as a whole: in a mangled name behind its length (Itanium C++ ABI, "source-name"; rustc book, "v0 Symbol
    /// Format", where a `_` follows the length of what begins with one), in Rust's older ones behind a length that counts the
    /// arguments of a generic too (`103drop_in_place$LT$..`), in any other at the end, which a clone's mark or a version can
    /// follow. One may be the end of another in a string table, so its beginning tells nothing.
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        let word = self.finder.needle();
        let is_whole = |at: &usize| {
            let before = &bytes[..*at];
            let parted = if word[0] == b'_' { before.strip_suffix(b"_") } else { None };
            let is_counted = |before: &[u8]| before.ends_with(&self.length);
            let next = bytes.get(at + word.len());
            let is_last = next.is_none_or(|next| matches!(next, 0 | b'.' | b'@'));
            let is_generic = next == Some(&b'$') && before.last().is_some_and(u8::is_ascii_digit);
            is_last || is_generic || is_counted(before) || parted.is_some_and(is_counted)
        };
        // Hits can overlap only where the word repeats itself; the next one is looked for behind the first byte of each.
        let mut from = 0;
        while let Some(hit) = self.finder.find(&bytes[from..]).map(|hit| from + hit) {
            if is_whole(&hit) {
                return Some(hit);
            }
            from = hit + 1;
        }
        None
    }
}

impl Literals {
    /// What the names of a symbol table must hold that a plain pattern matches: as [`Literals::of_name`], and where its last
    /// component is an identifier, that as a whole.
    pub fn of_plain(name: &str) -> Option<Literals> {
        let component = without_template_arguments(split_scope(split_parts(name).name).1);
        let identifier = component.strip_prefix('~').unwrap_or(component).as_bytes();
        let is_mangled = name.starts_with("_Z") || name.starts_with("_R");
        if is_mangled || !identifier.iter().all(|byte| is_identifier(*byte)) || !is_test(identifier, Case::Exact) {
            return Literals::of_name(name);
        }
        let whole = Search::Whole(Box::new(Whole::new(identifier)));
        Some(Literals { sets: vec![vec![whole]], coded: Coded::NeverCoded })
    }

    /// What a demangled name (or its end) must leave in the mangled one; `None` when that cannot be said.
    pub fn of_name(name: &str) -> Option<Literals> {
        if name.contains("operator") {
            return None;
        }
        let component = split_scope(split_parts(name).name).1;
        let words = words(without_template_arguments(component).as_bytes(), Case::Exact);
        Literals::new(vec![vec![words.max_by_key(|word| word.text.len())?]])
    }

    /// What every match of a regular expression must leave in the mangled name.
    pub fn of_regex(pattern: &str) -> Option<Literals> {
        Literals::new(required(&regex_syntax::parse(pattern).ok()?))
    }

    /// All identifiers of a text, each of which must be there; `None` when none tests anything.
    pub fn all_of(text: &str) -> Option<Literals> {
        Literals::new(words(text.as_bytes(), Case::Exact).take(MAX_SETS).map(|word| vec![word]).collect())
    }

    /// These very bytes, in the name as the table has it.
    pub fn exact(name: &[u8]) -> Literals {
        Literals { sets: vec![vec![Search::exact(name)]], coded: Coded::NeverCoded }
    }

    /// Whether a mangled name can match.
    pub fn admit(&self, mangled: &[u8]) -> bool {
        self.have_all(mangled) || self.coded == Coded::Admit && mangled.starts_with(RUST_V0) && is_coded(mangled)
    }

    /// Whether a string of a table can be, or end in, a mangled name that can match.
    pub fn admit_string(&self, string: &[u8]) -> bool {
        let coded = || memchr::memmem::find(string, RUST_V0).is_some_and(|at| is_coded(&string[at..]));
        self.have_all(string) || self.coded == Coded::Admit && coded()
    }

    fn have_all(&self, text: &[u8]) -> bool {
        self.sets.iter().all(|set| set.iter().any(|search| search.find(text).is_some()))
    }

    /// What is left to be looked for in names of which every one may hold one of these texts besides.
    pub fn beyond<'a>(&self, texts: impl Iterator<Item = &'a [u8]> + Clone) -> Literals {
        let mut left = self.clone();
        left.sets.retain(|set| !texts.clone().any(|text| set.iter().any(|search| search.find(text).is_some())));
        left
    }

    /// The identifier that every wanted name has as a whole component, or is; `None` where it takes more to say what they hold.
    pub fn word(&self) -> Option<&[u8]> {
        match (&self.sets[..], self.coded) {
            ([set], Coded::NeverCoded) => match &set[..] {
                [Search::Whole(whole)] => Some(whole.finder.needle()),
                [Search::Exact(name)] => Some(name.needle()).filter(|name| is_whole_name(name)),
                _ => None,
            },
            _ => None,
        }
    }

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether a text holds a literal of any set.
    pub fn touch(&self, text: &[u8]) -> bool {
        self.sets.iter().flatten().any(|search| search.find(text).is_some())
    }

    /// Whether a name that is made of these parts can match, or a file of these parts hold one: each set has a literal in
    /// one of them.
    pub fn admit_in<'a>(&self, parts: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
        let has = |search: &Search| parts.clone().any(|part| search.find(part).is_some());
        self.sets.iter().all(|set| set.iter().any(has))
    }

    /// Calls `visit` with the offset of something in each name of a string table that may be admitted; it returns where
    /// to go on from. In no order, and more than once perhaps.
    pub fn for_each_hit(&self, bytes: &[u8], mut visit: impl FnMut(usize) -> usize) {
        let coded = (self.coded == Coded::Admit).then(|| Search::exact(RUST_V0));
        for search in self.sets.iter().take(1).flatten().chain(&coded) {
            let mut at = 0;
            while let Some(hit) = search.find(&bytes[at..]).map(|hit| at + hit) {
                at = visit(hit).clamp(hit + 1, bytes.len());
            }
        }
    }

    fn new(mut sets: Vec<Set>) -> Option<Literals> {
        sets.sort_by_key(|set| std::cmp::Reverse(selectivity(set)));
        let prepare = |set: &Set| set.iter().map(Search::new).collect::<Option<Vec<_>>>();
        let sets: Vec<_> = sets.iter().filter_map(prepare).collect();
        (!sets.is_empty()).then_some(Literals { sets, coded: Coded::Admit })
    }
}

/// The mark of a Rust v0 name.
const RUST_V0: &[u8] = b"_R";

/// Whether a Rust v0 name holds a constant (whose text is in hexadecimal) or a Punycode identifier (rustc book, "v0
/// Symbol Format").
fn is_coded(mangled: &[u8]) -> bool {
    let coded = |pair: &[u8]| matches!(pair, [b'K', b'R' | b'Q' | b'A' | b'T' | b'V' | b'e'] | [b'u', b'0'..=b'9']);
    mangled.windows(2).any(coded)
}

/// An identifier, or a part of one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Word {
    text: Vec<u8>,
    case: Case,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Case {
    Exact,
    Folded,
}

/// Alternatives, one of which must be there.
type Set = Vec<Word>;

/// Sets of literals; each match contains at least one of each.
fn required(hir: &Hir) -> Vec<Set> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => run_words(std::slice::from_ref(hir)),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => {
            let is_text = |part: &Hir| matches!(part.kind(), HirKind::Literal(_)) || folded_letter(part).is_some();
            let runs = parts.chunk_by(|a, b| is_text(a) && is_text(b));
            let found = runs.flat_map(|run| if is_text(&run[0]) { run_words(run) } else { required(&run[0]) });
            found.take(MAX_SETS).collect()
        }
        HirKind::Alternation(parts) => {
            let best = |part: &Hir| required(part).into_iter().max_by_key(selectivity);
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

/// The words of literals and of letters in either case that follow each other.
fn run_words(run: &[Hir]) -> Vec<Set> {
    let (mut text, mut case) = (Vec::new(), Case::Exact);
    for part in run {
        match (part.kind(), folded_letter(part)) {
            (HirKind::Literal(literal), _) => text.extend_from_slice(&literal.0),
            (_, Some(letter)) => {
                text.push(letter);
                case = Case::Folded;
            }
            _ => {}
        }
    }
    words(&text, case).take(MAX_SETS).map(|word| vec![word]).collect()
}

/// The letter of a class that `(?i)` has made of one: both its cases, and what else folds to it.
fn folded_letter(hir: &Hir) -> Option<u8> {
    let HirKind::Class(class) = hir.kind() else { return None };
    let letters: Vec<u32> = match class {
        Class::Unicode(class) => {
            class.iter().flat_map(|range| range.start() as u32..=range.end() as u32).take(4).collect()
        }
        Class::Bytes(class) => {
            class.iter().flat_map(|range| range.start().into()..=range.end().into()).take(4).collect()
        }
    };
    let letter = u8::try_from(*letters.iter().max_by_key(|letter| **letter < 0x80 && **letter >= 0x61)?).ok()?;
    let folds = |one: &u32| u8::try_from(*one).map_or(true, |one| one >= 0x80 || one.eq_ignore_ascii_case(&letter));
    (letters.len() <= 3 && letter.is_ascii_lowercase() && letters.iter().all(folds)).then_some(letter)
}

/// The length of a set's shortest word.
fn selectivity(set: &Set) -> usize {
    set.iter().map(|word| word.text.len()).min().unwrap_or(0)
}

/// The identifiers of a text that test something.
fn words(text: &[u8], case: Case) -> impl Iterator<Item = Word> + '_ {
    let words = text.split(|byte| !is_identifier(*byte)).filter(move |word| is_test(word, case));
    words.map(move |word| Word { text: word.to_vec(), case })
}

/// Whether a word, if it stands in the demangled name, must stand in the mangled one too: it is no part of a made word,
/// and no number.
fn is_test(word: &[u8], case: Case) -> bool {
    let within = |made: &[u8]| match case {
        Case::Exact => memchr::memmem::find(made, word).is_some(),
        Case::Folded => made.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)),
    };
    let in_made = || MADE_WORDS.split(' ').any(|made| within(made.as_bytes()));
    word.len() >= MIN_LENGTH && !word[0].is_ascii_digit() && !in_made()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(pattern: &str) -> Vec<Vec<String>> {
        let text = |word: Word| String::from_utf8(word.text).unwrap();
        let found = required(&regex_syntax::parse(pattern).unwrap());
        found.into_iter().map(|set| set.into_iter().map(text).collect()).collect()
    }

    #[test]
    fn every_match_contains_one_word_of_each_set() {
        let none = Vec::<Vec<String>>::new();
        assert_eq!(sets(".*OsSysCallsImpl.*"), [["OsSysCallsImpl"]]);
        assert_eq!(sets("Envoy::Server.*run"), [["Envoy"], ["Server"], ["run"]]);
        assert_eq!(sets("epoll_create.*|epoll_wait|epoll_ctl"), [["epoll_create", "epoll_wait", "epoll_ctl"]]);
        assert_eq!(sets("(?i)SysCalls::run"), [["syscalls"], ["run"]]);
        for pattern in ["(foobar)?", "foobar|.*", "alloc", "(?i)alloc", "[abc]", "12345", ""] {
            assert_eq!(sets(pattern), none, "{pattern}");
        }
    }

    /// What the filter rests on: a word of a demangled name that tests something stands in the mangled name.
    fn check_words(mangled: &str) -> Result<(), String> {
        let text = super::super::demangle(mangled);
        let stands = |word: &[u8]| memchr::memmem::find(mangled.as_bytes(), word).is_some();
        let words = text.as_bytes().split(|byte| !is_identifier(*byte)).filter(|word| !stands(word));
        let words = words.filter(|word| !MADE_WORDS.split(' ').any(|made| made.as_bytes() == *word));
        for word in words.filter(|_| !(mangled.starts_with("_R") && is_coded(mangled.as_bytes()))) {
            let parts = (MIN_LENGTH..=word.len()).flat_map(|length| word.windows(length));
            if let Some(part) = parts.into_iter().find(|part| is_test(part, Case::Exact) && !stands(part)) {
                let part = String::from_utf8_lossy(part);
                return Err(format!("`{part}` of {text} does not stand in {mangled}"));
            }
        }
        Ok(())
    }

    #[test]
    fn what_demanglers_make_is_no_test() {
        for mangled in [
            "_ZNSsC1ERKSs",
            "_ZNSt6vectorIiSaIiEE9push_backERKi",
            "_ZN1AcvbEv",
            "_ZN1AnwEm",
            "_ZThn8_N1A1fEv",
            "_ZTv0_n24_N1A1fEv",
            "_ZTVN1A1BE",
            "_ZGVZ1fvE1x",
            "_ZZN1A3lamEvENKUlicE_clEic",
            "_Z3foov.cold",
            "_ZlsRSoRK3Foo",
            "_ZN12_GLOBAL__N_13fooEv",
            "_Z1fIXszT_EEvv",
            "_ZN1AC2ISsEET_",
            "_RNvXs_C3fooNtB2_3BarNtNtC4core3fmt5Debug3fmt",
            "_RNvC3foo9gr_e_3jda",
            "_RINvC3foo3barKRe616263_E",
            "_ZN43_$LT$foo..Bar$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
        ] {
            assert_eq!(check_words(mangled), Ok(()));
        }
    }

    /// Every name of the real files that are at hand.
    #[test]
    fn every_word_of_every_real_name_stands_in_it() {
        use rayon::prelude::*;
        let files =
            ["target/real/workerd", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/lib/x86_64-linux-gnu/libc.so.6"];
        let own = std::env::current_exe().unwrap();
        let mut seen = 0;
        for path in files.iter().map(std::path::PathBuf::from).chain([own]) {
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let module = crate::binary::Module::parse(path, std::sync::Arc::new(bytes)).unwrap();
            let mut names: Vec<String> = module.symbols().iter().map(|symbol| symbol.name.into_owned()).collect();
            // A debug build looks at every tenth name of a large file; the words repeat.
            if cfg!(debug_assertions) && names.len() > 50_000 {
                names = names.into_iter().step_by(10).collect();
            }
            seen += names.len();
            let failed: Vec<String> = names.par_iter().filter_map(|name| check_words(name).err()).collect();
            assert!(failed.is_empty(), "{} of {}: {:#?}", failed.len(), names.len(), &failed[..failed.len().min(20)]);
        }
        assert!(seen > 1000);
    }

    #[test]
    fn names_are_tested_by_their_last_component() {
        let literals = Literals::of_name("A::run<int>(long)").unwrap();
        assert!(literals.admit(b"_ZN1A3runIiEEvl") && !literals.admit(b"_ZN1A3rumIiEEvl"));
        assert!(Literals::of_name("A::operator()").is_none());
    }
}
