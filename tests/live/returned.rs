//! What `finish` shows as the function's value, compared with what gdb shows.

use std::fmt::Write as _;
use std::process::Command;

use regex::Regex;

use crate::support::{Fixture, Home, Variant, LONG};

/// The fixture's functions, in the order that they are called in.
const FUNCTIONS: [&str; 27] = [
    "nothing",
    "int",
    "byte",
    "short",
    "long",
    "bool",
    "char",
    "enum",
    "float",
    "double",
    "extended",
    "wide",
    "complex",
    "pointer",
    "reference",
    "pair",
    "point",
    "small",
    "mixed",
    "turned",
    "merged",
    "large",
    "bytes",
    "wrapped",
    "owner",
    "either",
    "string",
];

fn script(begin: &str) -> String {
    let mut script = String::new();
    for name in FUNCTIONS {
        let _ = writeln!(script, "tbreak give_{name}");
    }
    script.push_str(begin);
    script.push_str(&"finish\ncontinue\n".repeat(FUNCTIONS.len()));
    script
}

/// Values with addresses made alike, and an integer without its hexadecimal form.
fn alike(text: &str) -> String {
    let address = Regex::new("0x[0-9a-f]{9,}").expect("a constant");
    let both = Regex::new(r"^0x[0-9a-f]+ \((-?\d+)\)$").expect("a constant");
    let text = both.replace(text, "$1");
    address.replace_all(&text, "0xN").into_owned()
}

fn of_gdb(fixture: &Fixture, home: &Home) -> Vec<String> {
    let path = home.path().join("gdb-commands");
    std::fs::write(&path, script("set width 0\nset debuginfod enabled off\nrun\n")).expect("a file of ours");
    let output = Command::new("gdb").args(["-nx", "-q", "-batch", "-x"]).arg(path).arg(fixture.path()).output();
    let text = String::from_utf8_lossy(&output.expect("gdb runs").stdout).into_owned();
    let value = |line: &str| Some(alike(line.strip_prefix("Value returned is $")?.split_once(" = ")?.1));
    text.lines().filter_map(value).collect()
}

/// Of rdbg, void among them.
fn of_rdbg(fixture: &Fixture, home: &Home) -> Vec<String> {
    let path = home.path().join("rdbg-commands");
    std::fs::write(&path, script("continue\n")).expect("a file of ours");
    let (path, program) = (path.display().to_string(), fixture.path().display().to_string());
    let output = home.run(["run", "--batch", "-x", &path, "--", &program], LONG).success();
    let value = |line: &str| {
        let shown = line.strip_prefix("Finished")?.split(" at main+").next()?;
        Some(alike(shown.strip_prefix(", returned ").unwrap_or(shown)))
    };
    output.stdout.lines().filter_map(value).collect()
}

#[test]
fn a_value_of_every_class_is_shown_as_gdb_shows_it() {
    let home = Home::new();
    for variant in [Variant::GCC, Variant::CLANG, Variant::O0] {
        let fixture = Fixture::build("returns", variant);
        let (mut ours, theirs) = (of_rdbg(&fixture, &home), of_gdb(&fixture, &home));
        assert_eq!(ours.len(), FUNCTIONS.len(), "{ours:?}");
        assert_eq!(ours.remove(0), "", "a function that gives nothing back");
        for ((name, ours), theirs) in FUNCTIONS[1..].iter().zip(&ours).zip(&theirs) {
            match *name {
                // gdb 13 shows 0.
                "wide" => assert_eq!(ours, "92233720368547758089"),
                // gdb has no printer for libc++'s.
                "string" if variant.clang => assert!(ours.starts_with("\"a string that is too long"), "{ours}"),
                _ => assert_eq!(ours, theirs, "{name}, {}: rdbg's and gdb's", variant.name),
            }
        }
        assert_eq!(theirs.len(), FUNCTIONS.len() - 1);
    }
}
