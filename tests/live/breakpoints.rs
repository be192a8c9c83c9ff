//! Breakpoints by name, regex, base name and address.

use std::time::Duration;

use crate::support::{Fixture, Rdbg};

#[test]
fn a_breakpoint_by_name_stops_at_the_function_and_the_stack_is_there() {
    let fixture = Fixture::get("stack");
    let args = ["run", "--batch", "--ex", "break main", "--ex", "continue", "--ex", "bt", "--"];
    let output =
        Rdbg::run(args.iter().map(std::ffi::OsStr::new).chain([fixture.path().as_os_str()]), Duration::from_secs(30));
    assert!(output.stdout.contains("Breakpoint 1, main"), "{output:?}");
}
