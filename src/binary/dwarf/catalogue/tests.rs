//! On the small programs of the fuzzer's corpus: gcc's and clang's, DWARF 4 and 5, units of types, split units.

use std::path::{Path, PathBuf};

use super::*;
use crate::binary::dwarf::{DebugFile, SplitFiles, SplitName};
use crate::binary::image::Image;
use crate::binary::proved::with_right_checksums;

const PROGRAMS: [&str; 6] = ["gcc5", "clang4", "types4", "types5", "split4", "split5"];

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/dwarf").join(name)).unwrap()
}

/// The program stands for its .dwo, whose sections it has.
struct Itself(Vec<u8>);

impl SplitFiles for Itself {
    fn packages(&self) -> Vec<(PathBuf, FileBytes)> {
        Vec::new()
    }

    fn find(&self, _: &SplitName) -> Option<(PathBuf, FileBytes)> {
        Some(("itself".into(), Arc::new(self.0.clone())))
    }

    fn common(&self, _: &str, _: &[u8]) -> Option<(PathBuf, FileBytes)> {
        None
    }

    fn refuse(&self, _: String) {}
}

fn dwarf(name: &str) -> Dwarf {
    let bytes = bytes(name);
    let image = Image::parse(name.into(), Arc::new(bytes.clone())).unwrap();
    Dwarf::new(DebugFile::new(Arc::new(image))).with_split(Arc::new(Itself(bytes)))
}

/// All names of a kind, those without their inline namespaces too.
fn names(catalogue: &Catalogue, wanted: Wanted) -> Vec<String> {
    let listing = catalogue.listing().unwrap();
    let name = |number| {
        let mut name = Vec::new();
        listing.write_name(number, &mut name).unwrap();
        String::from_utf8(name).unwrap()
    };
    (0..catalogue.names).filter(|at| catalogue.record(*at).unwrap().kind.is(wanted)).map(name).collect()
}

#[test]
fn the_catalogue_says_what_the_units_say() {
    for program in PROGRAMS {
        let dwarf = dwarf(program);
        let catalogue = dwarf.catalogue().unwrap();
        for (wanted, some) in [
            (Wanted::Type, ["depot::Store", "depot::Pair<int>", "depot::Grade", "int", "depot::Store::Inner"]),
            (Wanted::Value, ["total", "depot::Base::stores", "depot::local", "depot::Grade::Fine", "depot::hidden"]),
        ] {
            let all = names(&catalogue, wanted);
            for name in
                all.iter().map(String::as_str).chain(some).chain(["depot", "Store", "depot::", "depot::Pair", ""])
            {
                let found = dwarf.catalogued(wanted, name);
                assert_eq!(found, Some(dwarf.find_mentioned(wanted, name)), "{program}: {name}");
            }
            // The last ones not every compiler describes.
            for name in &some[..4] {
                assert!(all.iter().any(|one| one == name), "{program}: {name} of {all:?}");
            }
        }
        let listed = dwarf.types_named(&|_| true);
        // A walk of the file's own units does not see those of types in a .dwo.
        let by_units = dwarf.types_in_units(&|_| true);
        assert!(by_units.iter().all(|one| listed.contains(one)), "{program}: {by_units:?}");
        assert!(listed.len() == by_units.len() || program == "split4", "{program}: {listed:?}");
        assert!(listed.len() >= 8, "{program}: {listed:?}");
    }
}

#[test]
fn bytes_that_are_cut_or_changed_give_no_wrong_answer() {
    let dwarf = dwarf("gcc5");
    let whole = dwarf.gather(b"it").unwrap();
    let open = |bytes: Vec<u8>| Catalogue::open(Arc::new(bytes), b"it");
    let right = open(whole.clone()).unwrap();
    assert!(Catalogue::open(Arc::new(whole.clone()), b"another").is_none());
    assert!((0..whole.len()).all(|len| open(whole[..len].to_vec()).is_none()));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let Some(catalogue) = open(changed) else { continue };
        for name in ["depot::Store", "total", "none"] {
            let found = catalogue.entries(Wanted::Type, name);
            assert!(found.is_none() || found == right.entries(Wanted::Type, name), "{at}: {name}");
        }
        let listed = catalogue.types(&|_| true);
        assert!(listed.is_none() || listed == right.types(&|_| true), "{at}");
    }
}

/// What is damaged is made anew, and what leads elsewhere is not believed.
#[test]
fn a_wrong_catalogue_costs_no_answer() {
    let dwarf = dwarf("gcc5");
    let whole = dwarf.gather(b"it").unwrap();
    let use_it = |bytes: Vec<u8>| {
        let Some(catalogue) = Catalogue::open(Arc::new(bytes), b"it") else { return false };
        *dwarf.catalogue.catalogue.lock().unwrap() = Some(Arc::new(catalogue));
        true
    };
    let right = dwarf.find_mentioned(Wanted::Type, "depot::Store");
    assert!(right.is_some());
    let body = whole.len() - names_len(&whole);
    let mut damaged = whole.clone();
    damaged[body] ^= 1;
    assert!(use_it(damaged));
    assert_eq!(dwarf.catalogued(Wanted::Type, "depot::Store"), Some(right));
    // Right checksums over wrong places: all records are of other entries.
    let names = body + names_count(&whole) * HASH;
    for at in (names..whole.len()).step_by(3) {
        let mut changed = whole.clone();
        changed[at] ^= 0x15;
        assert!(use_it(with_right_checksums(changed).unwrap()));
        *dwarf.definitions.lock().unwrap() = Default::default();
        let found = dwarf.definition_of("depot::Store");
        assert!(found == right, "{at}");
        let _ = dwarf.types_named(&|_| true);
    }
}

fn names_count(bytes: &[u8]) -> usize {
    Catalogue::open(Arc::new(bytes.to_vec()), b"it").unwrap().names
}

fn names_len(bytes: &[u8]) -> usize {
    let catalogue = Catalogue::open(Arc::new(bytes.to_vec()), b"it").unwrap();
    catalogue.names * (HASH + RECORD) + catalogue.bytes.count(2) as usize
}
