//! The catalogue of a large file's names in the cache: made by the first session that asks for a name of another unit, used by
//! the next, and never needed.

use std::path::{Path, PathBuf};

use crate::support::{Fixture, Home, Variant, SOON};

/// Both are called the same build; the second has other debug information.
const FIRST: Variant =
    Variant { name: "o0-one-id", clang: false, flags: &["-O0", "-g", "-Wl,--build-id=0x7264626701"], strip: false };
const SECOND: Variant = Variant {
    name: "o0-one-id-larger",
    clang: false,
    flags: &["-O0", "-g", "-Wl,--build-id=0x7264626701", "-DLARGER"],
    strip: false,
};
/// What the log says of the pass over all units.
const MADE: &str = "a catalogue of names";

fn catalogues(home: &Home) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.path().join("cache/rdbg")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|one| one == "catalogue")).collect()
}

/// Asks at the first instruction for what another unit defines. How many bytes the class has, and how often units were read.
fn look(home: &Home, program: &Path) -> (String, usize) {
    let questions =
        ["print sizeof(depot::Store)", "whatis depot::Crate", "print depot::Store::stores", "info types ^depot::"];
    let mut args = ["run", "--batch", "--stop-at-entry", "--log-filter", "rdbg=debug"].map(String::from).to_vec();
    args.extend(questions.iter().chain(&["kill"]).flat_map(|one| ["--ex".to_owned(), (*one).to_owned()]));
    args.extend(["--".to_owned(), program.display().to_string()]);
    let output = home.run(args, SOON);
    for said in ["depot::newer::Crate", "$2 = 3", "depot::Alias", "depot::Store::Grade"] {
        assert!(output.stdout.contains(said), "no {said} in {}", output.stdout);
    }
    let size = output.stdout.lines().find_map(|line| line.strip_prefix("$1 = ")).unwrap_or_default().to_owned();
    let is_made = |line: &&str| line.contains(MADE) && line.contains("file=\"catalogued\"");
    (size, output.stderr.lines().filter(is_made).count())
}

#[test]
fn a_catalogue_that_was_kept_is_used_and_a_bad_one_is_made_anew() {
    let home = Home::new();
    let program = Fixture::build("catalogued", FIRST);
    let looked = |what: &str, made: usize| {
        assert_eq!(look(&home, program.path()), ("4".to_owned(), made), "{what}");
        let [one] = &catalogues(&home)[..] else { panic!("{what}: {:?}", catalogues(&home)) };
        one.clone()
    };
    let path = looked("the first time", 1);
    looked("the second time", 0);

    let whole = std::fs::read(&path).unwrap();
    let bad = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    let bodies: Vec<usize> = (whole.len() / 4..whole.len()).collect();
    for (what, bytes) in [
        ("truncated", bad(&|bytes| bytes.truncate(bytes.len() - 1))),
        ("half", bad(&|bytes| bytes.truncate(bytes.len() / 2))),
        ("empty", Vec::new()),
        ("of another format", bad(&|bytes| bytes[7] ^= 0x40)),
        ("its head damaged", bad(&|bytes| bytes[20] ^= 1)),
        ("its body damaged", bad(&|bytes| bodies.iter().for_each(|at| bytes[*at] ^= 0x55))),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(looked(what, 1), path);
        looked(&format!("after {what}"), 0);
    }
    assert_eq!(std::fs::read(&path).unwrap().len(), whole.len());
}

#[test]
fn a_catalogue_of_other_debug_information_is_not_used() {
    let home = Home::new();
    let (first, second) = (Fixture::build("catalogued", FIRST), Fixture::build("catalogued", SECOND));
    assert_eq!(look(&home, first.path()), ("4".to_owned(), 1));
    // Under the second one's name: a user has moved it, or two builds have one identity.
    let of_first = catalogues(&home).pop().expect("one was kept");
    assert_eq!(look(&home, second.path()), ("8".to_owned(), 1));
    let of_second = catalogues(&home).into_iter().find(|path| *path != of_first).expect("another was kept");
    std::fs::copy(&of_first, &of_second).unwrap();
    assert_eq!(look(&home, second.path()), ("8".to_owned(), 1));
    assert_eq!(look(&home, second.path()), ("8".to_owned(), 0));
}
