//! `ptype/o` and its other flags: line by line as gdb has them.

use std::process::Command;

use super::source::batch;
use crate::support::{Fixture, Variant};

const MARK: &str = "echo @@\\n";

/// What stands between the marks.
fn parts(text: &str) -> Vec<String> {
    text.split("@@\n").skip(1).map(str::to_owned).collect()
}

fn of_gdb(fixture: &Fixture, commands: &[String]) -> Vec<String> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    for one in ["break main".to_owned(), "run".to_owned()].iter().chain(commands) {
        gdb.args(["-ex", one]);
    }
    let output = gdb.arg(fixture.path()).output().expect("gdb runs");
    parts(&String::from_utf8_lossy(&output.stdout))
}

#[test]
fn offsets_sizes_and_holes_are_as_gdb_writes_them() {
    let names = [
        "Derived",
        "Bits",
        "Either",
        "Nested",
        "Virtual",
        "HasEmpty",
        "Access",
        "Pointers",
        "Aligned",
        "Open",
        "Inner",
        "Base",
        "Empty",
        "int",
        "Inner *",
        "derived.several",
        "bits",
        "&nested",
        "struct Other",
    ];
    for variant in [Variant::O0, Variant::DWARF4, Variant::CLANG_O0] {
        let fixture = Fixture::build("layouts", variant);
        let asked = names.iter().flat_map(|name| [MARK.to_owned(), format!("ptype/o {name}")]);
        let asked: Vec<String> = asked.chain([MARK.to_owned()]).collect();
        let commands: Vec<&str> =
            ["break main", "continue"].into_iter().chain(asked.iter().map(String::as_str)).collect();
        let output = batch(&fixture, &[], &commands);
        let (ours, theirs) = (parts(&output.stdout), of_gdb(&fixture, &asked));
        assert_eq!(ours.len(), names.len() + 1, "{output:?}");
        for (name, (own, other)) in names.iter().zip(ours.iter().zip(&theirs)) {
            assert_eq!(own, other, "{}: {name}\n{own}\n{other}", variant.name);
        }
    }
}

#[test]
fn functions_can_be_left_out() {
    let fixture = Fixture::build("layouts", Variant::O0);
    let output = batch(&fixture, &[], &["break main", "continue", MARK, "ptype/m Access", MARK, "ptype/x Access"]);
    let shown = &parts(&output.stdout)[0];
    assert!(shown.contains("    long c;\n") && !shown.contains("get"), "{output:?}");
    assert!(output.stderr.contains("ptype has no `/x`"), "{output:?}");
}
