//! A search filters the bytes of a file before it demangles a name: it must find what a search without a filter finds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use rdbg::base::FileAddr;
use rdbg::binary::symbols::demangle;
use rdbg::binary::{Module, NamePattern, SymbolKind};
use regex::Regex;

use crate::support::envoy::find_workerd_or_skip;
use crate::support::{Envoy, Fixture, Variant};

/// Patterns of which a match leaves something in the mangled name: what users write, and names in which parts are made,
/// substituted or abbreviated besides.
const FILTERED: [&str; 2 + 36] = [
    ".*OsSysCallsImpl.*",
    "Envoy::Server.*run",
    "^Envoy::Http::.*::encode(Headers|Data)\\b",
    "epoll_(create1?|wait|ctl)",
    "HttpConnectionManager|RouterFilter|kj::Promise",
    "workerd::jsg::.*::get[A-Z]\\w+",
    "^kj::.*Impl::write\\(",
    "v8::internal::Runtime_\\w+",
    "(?i)syscalls",
    "(?i)promise.*THEN",
    "(?i)^kj::",
    "SSL_read|SSL_write",
    "-> (bind|listen|accept4)\\]",
    "Envoy.*-> .*sock",
    "^(malloc|free|read|write|close)$",
    "[A-Z]{4,}Event",
    "(dispatch){1,2}Event",
    "(?x) http \\w* Header",
    "connect(ion)?.*close",
    "\\bonData\\b",
    "(foo|)Handler$",
    "std::__1::basic_string",
    "std::__1::vector<std::__1::basic_string",
    "string_view",
    "basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char> ?>",
    "::(\\w+)Impl::~",
    "String::String",
    "::Maybe\\(",
    "Promise<.*>::~?Promise",
    "\\(anonymous namespace\\)::\\w+Filter",
    "__invoke",
    "cold",
    "isra",
    "\\.llvm\\.",
    "constprop|\\.part\\.",
    "core::fmt::",
    "rustc?_",
    "alloc::vec::Vec",
];
/// Patterns of what demanglers make (operators, constructors, lambdas, thunks, clones, types, abbreviations): no filter can
/// stand before them, and a word of them that tested something would lose all that they match.
const UNFILTERED: [&str; 56] = [
    "^.{1,5}$",
    "Z",
    "std::string",
    "basic_string<char",
    "std::allocator<char>",
    "std::ostream",
    "char_traits",
    "std::(vector|map|unordered_map)<",
    "istream",
    "iostream",
    "operator",
    "operator\\(\\)",
    "operator==",
    "operator new",
    "operator delete\\[\\]",
    "operator<<",
    "operator bool",
    "operator co_await",
    "::operator[a-z ]+\\(",
    "operator\"\"",
    "::~",
    "~basic_string",
    "lambda",
    "\\{lambda\\(",
    "lambda\\(.*\\)#[0-9]+",
    "\\$_[0-9]+",
    "unnamed type",
    "anonymous namespace",
    "'lambda'",
    "closure",
    "thunk",
    "non-virtual thunk to",
    "virtual thunk to .*::on",
    "vtable for",
    "typeinfo",
    "guard variable",
    "clone",
    "construction vtable|VTT",
    "unsigned long",
    "signed char",
    "long long",
    "nullptr",
    "decltype",
    "__int128",
    "char8_t|char16_t|char32_t",
    "true>|false>",
    "ull?>",
    "1024|4096",
    "const&\\)$",
    "&&\\)",
    "\\.\\.\\.",
    "auto",
    "sizeof",
    "_Float",
    "abi:",
    "<.* as .*>::",
];

/// Patterns that stubs match too.
const STUBS: [&str; 2] = ["@plt", "^(epoll|malloc|_Z).*@plt$"];

const CLASSES: Variant = Variant { name: "search", clang: false, flags: &["-O2"], strip: false };

fn open(path: &Path) -> Module {
    Module::parse(path.to_owned(), Arc::new(std::fs::read(path).unwrap())).unwrap()
}

/// Whether a search looks at a name at all; `None` for no function.
fn is_searched(kind: SymbolKind, name: &str, pattern: &str) -> bool {
    let function = match kind {
        SymbolKind::Function | SymbolKind::IndirectFunction => true,
        SymbolKind::Plt => pattern.contains("@plt"),
        SymbolKind::Data | SymbolKind::Unwind => false,
    };
    function && !name.ends_with(".cold") && !name.contains(".cold.")
}

/// A debug build tests every twentieth name of a large file, unless it is told to test all.
fn step(names: usize) -> usize {
    let few = cfg!(debug_assertions) && names > 50_000 && std::env::var_os("RDBG_EVERY_NAME").is_none();
    if few {
        20
    } else {
        1
    }
}

/// Compares every pattern's search with a test of each demangled name; returns how many names matched in all.
fn compare(path: &Path, patterns: &[&str]) -> usize {
    let module = open(path);
    let all = module.symbols().iter();
    let names: Vec<_> = all.step_by(step(module.symbols().len())).collect();
    let demangled: Vec<_> = names.par_iter().map(|symbol| demangle(&symbol.name)).collect();
    let known = names.iter().map(|one| (one.address, one.name.as_ref()));
    let known: BTreeSet<(FileAddr, &str)> = known.collect();
    let mut matched = 0;
    for pattern in patterns {
        let regex = Regex::new(pattern).unwrap();
        let all = names.par_iter().zip(&demangled);
        let wanted =
            all.filter(|(symbol, text)| is_searched(symbol.kind, &symbol.name, pattern) && regex.is_match(text));
        let wanted: BTreeSet<(FileAddr, &str)> =
            wanted.map(|(symbol, _)| (symbol.address, symbol.name.as_ref())).collect();
        let found = module.symbols().functions_named(&NamePattern::parse_regex(pattern).unwrap(), usize::MAX);
        let found = found.functions.iter().flat_map(|one| one.names.iter().map(|name| (one.address, name.as_str())));
        let found: BTreeSet<(FileAddr, &str)> = found.filter(|one| known.contains(one)).collect();
        let lost: Vec<_> = wanted.symmetric_difference(&found).take(5).collect();
        assert!(lost.is_empty(), "`{pattern}` in {}: {lost:?}", path.display());
        matched += found.len();
    }
    matched
}

#[test]
fn a_filtered_search_finds_what_a_full_one_does() {
    let own = std::env::current_exe().unwrap();
    let libraries = ["/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/lib/x86_64-linux-gnu/libc.so.6"];
    let fixture = Fixture::build("classes", CLASSES);
    let envoy = Envoy::find_or_skip().map(|envoy| envoy.path().to_owned());
    let mut matched = 0;
    let files = libraries.map(PathBuf::from).into_iter().chain([own, fixture.path().to_owned()]).chain(envoy);
    for path in files.filter(|path| path.exists()) {
        matched += compare(&path, &FILTERED) + compare(&path, &UNFILTERED) + compare(&path, &STUBS);
    }
    assert!(matched > 10_000, "{matched}");
}

#[test]
fn a_filtered_search_of_workerds_names_finds_what_a_full_one_does() {
    let Some(path) = find_workerd_or_skip() else { return };
    let few = FILTERED.into_iter().step_by(if step(usize::MAX) > 1 { 3 } else { 1 });
    let matched = compare(&path, &few.collect::<Vec<_>>());
    assert!(matched > 100, "{matched}");
}

/// A function that was folded from more is found by no pattern.
const MAX_FOLDED: usize = 4;

#[test]
fn a_filtered_search_of_recovered_names_finds_what_a_full_one_does() {
    let Some(envoy) = Envoy::find_or_skip() else { return };
    let module = open(envoy.path());
    let recovered = module.recovered().unwrap();
    let functions: Vec<FileAddr> = recovered.named_functions().collect();
    let named = functions.par_iter().filter_map(|at| {
        let name = recovered.name_at(*at).filter(|name| name.function.start == *at)?;
        let candidates = recovered.candidates(*at);
        (candidates.len() <= MAX_FOLDED).then(|| (*at, name.text.trim_end_matches('?').to_owned(), candidates))
    });
    let named: Vec<(FileAddr, String, Vec<String>)> = named.collect();
    for pattern in FILTERED {
        let regex = Regex::new(pattern).unwrap();
        let accepts = |text: &str| {
            (!text.starts_with("thunk to ") || pattern.contains("thunk")) && regex.is_match(text.trim_end_matches('?'))
        };
        let matching = |(_, text, candidates): &&(FileAddr, String, Vec<String>)| {
            accepts(text) || candidates.len() > 1 && candidates.iter().any(|one| accepts(one))
        };
        let wanted: Vec<FileAddr> = named.par_iter().filter(matching).map(|(at, ..)| *at).collect();
        let parsed = NamePattern::parse_regex(pattern).unwrap();
        let found = recovered.functions_named(&parsed, usize::MAX);
        let found: Vec<FileAddr> = found.functions.iter().map(|one| one.address).collect();
        let (all, one): (BTreeSet<_>, BTreeSet<_>) = (wanted.iter().collect(), found.iter().collect());
        let lost: Vec<_> = all.symmetric_difference(&one).take(5).map(|at| recovered.name_at(**at)).collect();
        assert!(lost.is_empty(), "`{pattern}`: {lost:?}");
        // The test of the file's bytes as a whole, which comes before everything else, loses nothing either.
        if module.symbols().functions_named(&parsed, 0).total == 0 && !found.is_empty() {
            assert_eq!(module.functions_named(&parsed, 0).total, found.len(), "{pattern}");
        }
    }
    for plain in ["recv", "OsSysCallsImpl::bind", "main"] {
        let accepts = |text: &str| {
            let before = text.strip_suffix(plain).filter(|_| !text.starts_with("thunk to "));
            before.is_some_and(|before| before.is_empty() || before.ends_with("::"))
        };
        let matching = |(_, text, candidates): &&(FileAddr, String, Vec<String>)| {
            accepts(text) || candidates.len() > 1 && candidates.iter().any(|one| accepts(one))
        };
        let wanted: BTreeSet<FileAddr> = named.iter().filter(matching).map(|(at, ..)| *at).collect();
        let found = recovered.functions_named(&NamePattern::Plain(plain.to_owned()), usize::MAX);
        let found: BTreeSet<FileAddr> = found.functions.iter().map(|one| one.address).collect();
        assert!(!found.is_empty() && found == wanted, "`{plain}`: {found:?}, not {wanted:?}");
    }
}
