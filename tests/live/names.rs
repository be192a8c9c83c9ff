//! Names from files beside a stripped one: they are found, proved to be of its build, and used.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Fixture, Home, Rdbg, Variant, SOON};

fn do_objcopy(args: &[&str], files: &[&Path]) {
    let status = Command::new("objcopy").args(args).args(files).status().unwrap();
    assert!(status.success());
}

/// A stripped copy of the fixture, with .gnu_debuglink to what was stripped from it.
fn split(home: &Home) -> (PathBuf, PathBuf) {
    let whole = Fixture::get("hits");
    let (stripped, debug) = (home.path().join("stripped"), home.path().join("hits.debug"));
    do_objcopy(&["--only-keep-debug"], &[whole.path(), &debug]);
    let link = format!("--add-gnu-debuglink={}", debug.display());
    do_objcopy(&["--strip-all", &link], &[whole.path(), &stripped]);
    (stripped, debug)
}

fn symbols(args: &[&str]) -> (i32, String) {
    let output = Rdbg::run([&["symbols", "--regex", "hits_push_rbp"], args].concat(), SOON);
    (output.code(), format!("{}{}", output.stdout, output.stderr))
}

#[test]
fn a_debuglink_is_followed_and_names_a_breakpoint() {
    let home = Home::new();
    let (stripped, debug) = split(&home);
    let path = stripped.to_str().unwrap();
    let (code, text) = symbols(&[path]);
    assert!(code == 0 && text.contains("debug file") && text.contains("hits_push_rbp"), "{text}");
    let run = ["run", "--batch", "--ex", "break main", "--ex", "continue", "--ex", "info sharedlibrary", "--", path];
    let output = Rdbg::run(run, SOON);
    assert!(output.stdout.contains("main(") && output.stdout.contains("hits.debug ("), "{}", output.stdout);
    std::fs::remove_file(debug).unwrap();
    let (code, text) = symbols(&[path]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn a_file_of_another_build_is_refused_with_both_ids_unless_it_is_forced() {
    let home = Home::new();
    let (stripped, debug) = split(&home);
    std::fs::remove_file(debug).unwrap();
    let path = stripped.to_str().unwrap();
    let twin = Fixture::get("hits");
    let (code, text) = symbols(&[path, "--symbols-from", twin.path().to_str().unwrap()]);
    assert!(code == 0 && text.contains("debug file"), "{text}");
    let other = Fixture::build("hits", Variant::O0);
    let other = other.path().to_str().unwrap();
    let (code, text) = symbols(&[path, "--symbols-from", other]);
    assert!(code == 1 && text.contains("is of another build") && text.contains("--force"), "{text}");
    let (code, text) = symbols(&[path, "--symbols-from", other, "--force"]);
    assert!(code == 0 && text.contains("hits_push_rbp"), "{text}");
}

#[test]
fn a_debuglink_without_build_ids_is_believed_by_its_crc_only() {
    let home = Home::new();
    let (_, debug) = split(&home);
    let bare = home.path().join("bare");
    let link = format!("--add-gnu-debuglink={}", debug.display());
    let remove = "--remove-section=.note.gnu.build-id";
    do_objcopy(&["--strip-all", remove, &link], &[Fixture::get("hits").path(), &bare]);
    let path = bare.to_str().unwrap();
    let (code, text) = symbols(&[path]);
    assert!(code == 0 && text.contains("debug file"), "{text}");
    let mut bytes = std::fs::read(&debug).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&debug, bytes).unwrap();
    let (code, text) = symbols(&[path]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn mini_debug_information_is_unpacked() {
    let home = Home::new();
    let whole = Fixture::get("hits");
    let (mini, packed) = (home.path().join("mini"), home.path().join("packed"));
    do_objcopy(&["--strip-debug"], &[whole.path(), &mini]);
    if !Command::new("xz").arg(&mini).status().is_ok_and(|status| status.success()) {
        return crate::support::skip("no xz here");
    }
    let section = format!("--add-section=.gnu_debugdata={}", home.path().join("mini.xz").display());
    do_objcopy(&["--strip-all", &section], &[whole.path(), &packed]);
    let (code, text) = symbols(&[packed.to_str().unwrap()]);
    assert!(code == 0 && text.contains("debug file"), "{text}");
    // A hostile one costs its names and nothing else.
    let mut bytes = std::fs::read(&packed).unwrap();
    let at = bytes.windows(6).position(|six| six == b"\xfd7zXZ\0").unwrap();
    bytes[at + 40..at + 60].fill(0xff);
    std::fs::write(&packed, bytes).unwrap();
    let (code, text) = symbols(&[packed.to_str().unwrap()]);
    assert_eq!(code, 1, "{text}");
}
