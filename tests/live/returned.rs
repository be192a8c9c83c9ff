//! What `finish` shows as the function's value, compared with what gdb shows.

use std::fmt::Write as _;
use std::process::Command;

use regex::Regex;

use crate::support::{Fixture, Home, Variant, LONG};

/// The fixture's functions, in the order that they are called in.
const FUNCTIONS: [&str; 34] = [
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
    "complex_float",
    "complex_extended",
    "four",
    "two",
    "holder",
    "mover",
    "virtual",
];

/// Vectors that gdb 13 takes from the general registers, with what they are.
const VECTORS: [(&str, &str); 2] = [("four", "{1, -2, 3, 8}"), ("holder", "{lanes = {9, 8, 7, -6}}")];

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
        Some(alike(
            shown.split_once(" = ").filter(|(before, _)| before.starts_with(", returned $")).map_or(shown, |one| one.1),
        ))
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
                _ if VECTORS.iter().any(|(own, _)| own == name) => {
                    let value = VECTORS.iter().find(|(own, _)| own == name).map(|one| one.1);
                    assert_eq!(Some(ours.as_str()), value, "{name}, {}", variant.name);
                }
                _ => assert_eq!(ours, theirs, "{name}, {}: rdbg's and gdb's", variant.name),
            }
        }
        assert_eq!(theirs.len(), FUNCTIONS.len() - 1);
    }
}

#[test]
fn a_value_is_kept_in_the_history_and_a_wide_vector_is_read_as_a_whole() {
    let home = Home::new();
    let avx = std::fs::read_to_string("/proc/cpuinfo").expect("/proc").split_whitespace().any(|word| word == "avx");
    for variant in [Variant::GCC, Variant::CLANG_O0] {
        let fixture = Fixture::build("returns", variant);
        let program = fixture.path().display().to_string();
        let mut args = vec!["run", "--batch"];
        let commands = [
            "tbreak give_point",
            "tbreak give_nothing",
            "continue",
            "finish",
            "continue",
            "finish",
            "print $1.y",
            "print $$2",
            "tbreak give_eight",
            "continue",
            "finish",
        ];
        args.extend(commands.iter().flat_map(|one| ["--ex", one]));
        args.extend(["--", &program]);
        let output = home.run(args, LONG);
        for text in ["Finished at main+", "Finished, returned $1 = {x = 0.5, y = -1.5} at main+", "$2 = -1.5\n"] {
            assert!(output.stdout.contains(text), "no `{text}` in\n{}\n{}", output.stdout, output.stderr);
        }
        let wide = "= {1, 2, 3, 4, 5, 6, 7, -8} at ";
        assert!(!avx || output.stdout.contains(wide), "{}\n{}", output.stdout, output.stderr);
    }
}
