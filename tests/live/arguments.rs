//! Arguments, read out of registers without debug info, are those that the program passes.

use std::ffi::OsStr;
use std::time::Duration;

use crate::support::{Fixture, Rdbg, Variant};

/// What the log says of each call, without the time and thread, and without the mark of a guess.
fn logged(variant: Variant, regex: &str, args: &[&str]) -> Vec<String> {
    let fixture = Fixture::build("mini_envoy", variant);
    let words = ["break", "--regex", regex, "--log", "--"].map(OsStr::new);
    let all = words.into_iter().chain([fixture.path().as_os_str()]).chain(args.iter().map(OsStr::new));
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
