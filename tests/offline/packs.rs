//! The names of a pack are those that would be recovered from the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use rdbg::binary::{Module, NamePattern, NameSource, NamesFile};

use crate::support::{Envoy, Fixture, Variant};

const STRIPPED: Variant = Variant { name: "rtti-stripped", clang: true, flags: &["-O2"], strip: true };
/// Names, folded ones, thunks, imports, hints, a number, and what matches nothing.
const PATTERNS: [&str; 9] = [
    "OsSysCallsImpl|CallsImpl",
    "shapes::",
    "^Envoy::Http::.*::~",
    "thunk to .*Filter",
    "-> (bind|listen)",
    " or [0-9]+ others",
    "http_inspector",
    "makes .*Impl",
    "no_such_name",
];

fn open(path: &Path) -> Module {
    Module::parse(path.to_owned(), Arc::new(std::fs::read(path).unwrap())).unwrap()
}

#[test]
fn a_pack_says_what_the_file_says() {
    let fixture = Fixture::build("classes", STRIPPED);
    let envoy = Envoy::find_or_skip().map(|envoy| envoy.path().to_owned());
    for path in [PathBuf::from(fixture.path())].into_iter().chain(envoy) {
        let live = open(&path);
        let pack = NamesFile::parse("a pack".into(), Arc::new(live.make_pack(""))).unwrap();
        assert!(pack.is_pack() && pack.build_id() == live.build_id());
        let packed = open(&path).with_names(pack);
        assert!(packed.is_stripped() && packed.stored().is_some_and(|stored| !stored.is_empty()));
        let functions = live.unwind().function_starts();
        let step = functions.len() / 4000 + 1;
        functions.into_par_iter().step_by(step).for_each(|function| {
            let inside = function.end.offset(u64::MAX);
            assert_eq!(live.name_at(inside), packed.name_at(inside), "{inside}");
            let at = function.start;
            let Some((symbol, _)) = live.name_at(at).filter(|(symbol, _)| symbol.source > NameSource::Plt) else {
                return;
            };
            let name = symbol.name.into_owned();
            assert_eq!(live.candidates_of(&name, at), packed.candidates_of(&name, at), "{name}");
            assert_eq!(live.recovered_source(at), packed.recovered_source(at), "{name}");
            let unnamed = symbol.source == NameSource::EhFrame;
            assert!(unnamed || live.forward_of(at) == packed.forward_of(at), "{name}");
        });
        for pattern in PATTERNS {
            let parsed = NamePattern::parse_regex(pattern).unwrap();
            assert_eq!(live.functions_named(&parsed, 50), packed.functions_named(&parsed, 50), "{pattern}");
        }
        for name in ["main", "OsSysCallsImpl::bind", "calls::CallsImpl::~CallsImpl", "sub_1000"] {
            for parsed in [NamePattern::Plain(name.to_owned()), NamePattern::BaseName(name.to_owned())] {
                assert_eq!(live.functions_named(&parsed, 50), packed.functions_named(&parsed, 50), "{name}");
            }
        }
        assert_eq!(live.complete("shapes::", 20), packed.complete("shapes::", 20));
        assert!(!packed.has_recovered());
    }
}
