//! Arguments in logs and traces are those that the program passes: without debug information, and named by it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Fixture, Rdbg, Variant};

/// What the log says of each call without debug information, without the time and thread, and without the mark of a guess.
fn logged(variant: Variant, regex: &str, args: &[&str]) -> Vec<String> {
    let fixture = Fixture::build("mini_envoy", variant);
    let directory = tempfile::tempdir().unwrap();
    let program = fixture.copy_as(directory.path(), "mini_envoy");
    assert!(Command::new("strip").arg("--strip-debug").arg(&program).status().unwrap().success());
    logged_of(&program, regex, args)
}

fn logged_of(program: &Path, regex: &str, args: &[&str]) -> Vec<String> {
    let words = ["break", "--regex", regex, "--log", "--"].map(OsStr::new);
    let all = words.into_iter().chain([program.as_os_str()]).chain(args.iter().map(OsStr::new));
    let output = Rdbg::run(all, Duration::from_secs(60));
    let lines = output.stdout.lines().filter_map(|line| line.split_once("] ")).map(|(_, call)| call.replace('?', ""));
    lines.filter(|call| call.contains('(')).collect()
}

#[test]
fn each_kind_of_argument_is_what_the_program_passes_in_all_builds() {
    let expected = [
        "takesString(\"virtualInbound\")",
        "takesLongString(\"a name of more than twenty-two characters\")",
        "takesStringByValue(\"by value\")",
        "takesStdView(\"standard view\")",
        "takesAbslView(\"absl view\")",
        "takesText(\"plain text\")",
        "takesFunction(std::function at 0x",
        "takesDoubles(0.5, 0.25, 7)",
        "takesFlags(true, false, 'e', 2)",
        "takesMany(1, 2, 3, 4, 5, 6, 7, \"eighth\")",
        ": 21, @0x",
        "takesNegative(-1, -2, -3, -4)",
    ];
    for variant in Variant::ALL_ENVOY {
        let calls = logged(variant, "^Envoy::Arguments::", &["--rounds", "1", "--argument-rounds", "1"]);
        for wanted in expected {
            assert!(calls.iter().any(|call| call.contains(wanted)), "no `{wanted}` in {calls:#?}");
        }
    }
}

#[test]
fn a_virtual_method_is_certain_of_its_this() {
    let calls = logged(Variant::GCC, "OsSysCallsImpl::listen", &["--rounds", "1", "--listen", "0"]);
    assert!(calls.iter().any(|call| call.contains("OsSysCallsImpl::listen(this=0x")), "{calls:#?}");
}

/// What `fixtures/passed` passes to each of its functions; `@` stands for any address.
const PASSED: [&str; 10] = [
    "numbers(count=-7, wide=1099511627776, byte=200, is_set=true, letter='q', half=0.5, quarter=0.25)",
    "named(colour=GREEN, level=Level::LOW, flags=READ|EXECUTE, odd=WRITE|0x40)",
    "texts(text=\"a text\", none=NULL, bytes=@)",
    "records(point={x=3, y=-4}, ratio={over=1.5, under=2.5}, line={from={x=1, y=2}, to={x=3, y=4}, label=\"edge\"}, \
     bits={..}, either={..})",
    "many(a=1, b=2, c=3, d=4, e=5, f=6, seventh=7, eighth=\"eight\")",
    "nothing()",
    "called(callback=@ <doubled>, table=@)",
    "doubled(n=1)",
    "shop::Item::sell(this=@, to=\"a customer\", note=\"thanks\", change=@@: 12)",
    "shop::Item::label(by_value=\"price tag\"",
];

/// A call with `@` for each address in it: any number of more than eight hexadecimal digits.
fn without_addresses(call: &str) -> String {
    let mut parts = call.split("0x");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit());
        let is_address = part.len() - rest.len() > 8;
        text + &if is_address { format!("@{rest}") } else { format!("0x{part}") }
    })
}

#[test]
fn debug_information_names_the_arguments_of_each_kind() {
    for variant in [Variant::GCC, Variant::O0, Variant::CLANG, Variant::CLANG_O0, Variant::DWARF4] {
        let fixture = Fixture::build("passed", variant);
        let regex = "^(numbers|named|texts|records|many|nothing|called|doubled|shop::Item::(sell|label))\\b";
        let calls: Vec<String> =
            logged_of(fixture.path(), regex, &[]).iter().map(|one| without_addresses(one)).collect();
        for wanted in PASSED {
            assert!(calls.iter().any(|call| call.starts_with(wanted)), "{}: no `{wanted}` in {calls:#?}", variant.name);
        }
    }
}

#[test]
fn a_traced_call_names_its_arguments_too() {
    let fixture = Fixture::build("passed", Variant::GCC);
    let traced = ["trace", "--fn", "^(named|many)$", "--if", "arg0 == 5", "--ret", "--"];
    let output =
        Rdbg::run(traced.map(OsStr::new).into_iter().chain([fixture.path().as_os_str()]), Duration::from_secs(60));
    let calls: Vec<&str> = output.stdout.lines().filter(|line| line.contains("] ")).collect();
    assert_eq!(calls.len(), 1, "{}", output.stdout);
    assert!(
        calls[0].contains("named(colour=GREEN, level=Level::LOW,") && calls[0].contains(") = "),
        "{}",
        output.stdout
    );
}
