//! What the test tiers share: fixtures compiled on demand, processes with deadlines, rdbg under test, and the check
//! that a target was left as it was found.
//!
//! A test never sleeps and never waits without a deadline. What it started is ended when it goes out of scope.
#![allow(dead_code, unused_imports)] // each tier uses its own part

pub mod envoy;
pub mod fixture;
pub mod forms;
pub mod guard;
pub mod ports;
pub mod process;
pub mod procfs;
pub mod rdbg;
pub mod sandbox;
pub mod states;

pub use envoy::{Envoy, EnvoyConfig, PilotAgent};
pub use fixture::{Fixture, Variant};
pub use guard::Guard;
pub use ports::{free_port, unique_id};
pub use process::{Line, Output, Process, Stream, Target};
pub use rdbg::{Home, Rdbg};

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The deadline of a step that takes a moment: long, as tests share their processors with others.
pub const SOON: Duration = Duration::from_secs(20);
/// The deadline of a whole run.
pub const LONG: Duration = Duration::from_secs(120);

/// `target/` of this package, for what is built or fetched once.
pub fn target_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target")
}

/// Says that a test did not run, past the capture of the test harness. Where RDBG_REQUIRE_ALL is set, as it is in
/// test.sh, a test that cannot run fails.
pub fn skip(reason: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    if std::env::var_os("RDBG_REQUIRE_ALL").is_some() {
        panic!("{name} cannot run here, and RDBG_REQUIRE_ALL is set: {reason}");
    }
    say_skipped(&name, reason);
}

/// The same of what no set-up brings: files that a developer has to have.
pub fn skip_without(file: &Path, whose: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    say_skipped(&name, &format!("no {} ({whose})", file.display()));
}

fn say_skipped(name: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {reason}");
}

/// The name of the running test, fit for a file or a process.
pub fn test_name() -> String {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Copies a program. By cp(1): a file that this process itself has open for writing while another thread forks cannot
/// be executed ("text file busy").
#[track_caller]
pub fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--").arg(from).arg(to).status();
    assert!(status.is_ok_and(|s| s.success()), "cp {} {}", from.display(), to.display());
}
