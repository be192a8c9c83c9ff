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

const CLASSES: Variant = Variant { name: "recovered", clang: true, flags: &["-O2"], strip: true };

#[test]
fn a_pack_of_an_unstripped_twin_names_the_stripped_one() {
    let home = Home::new();
    let (stripped, debug) = split(&home);
    std::fs::remove_file(debug).unwrap();
    let (stripped, pack) = (stripped.to_str().unwrap(), home.path().join("hits.pack"));
    let pack_path = pack.to_str().unwrap();
    let index = |file: &Path| home.run(["index", file.to_str().unwrap(), "-o", pack_path], SOON).success();
    assert!(index(Fixture::get("hits").path()).stdout.contains("build-id "));
    let (code, text) = symbols(&[stripped, "--symbols-from", pack_path]);
    assert!(code == 0 && text.contains("debug file"), "{text}");
    let commands = ["--ex", "break hits_push_rbp", "--ex", "continue", "--ex", "info symbols-source"];
    let run = [["run", "--batch", "--symbols-from", pack_path].as_slice(), &commands, &["--", stripped]].concat();
    let output = home.run(run, SOON);
    assert!(output.stdout.contains("Breakpoint 1, hits_push_rbp("), "{output:?}");
    assert!(output.stdout.contains(&format!("from {pack_path}")), "{output:?}");
    // gdb's tools read it, too.
    let nm = Command::new("nm").arg(&pack).output().unwrap();
    assert!(String::from_utf8_lossy(&nm.stdout).contains(" A hits_push_rbp"), "{nm:?}");
    index(Fixture::build("hits", Variant::O0).path());
    let (code, text) = symbols(&[stripped, "--symbols-from", pack_path]);
    assert!(code == 1 && text.matches("build-id").count() >= 1 && text.contains("--force"), "{text}");
    assert_eq!(symbols(&[stripped, "--symbols-from", pack_path, "--force"]).0, 0);
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[4000] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let (code, text) = symbols(&[stripped, "--symbols-from", pack_path]);
    assert!(code == 1 && text.contains("damaged"), "{text}");
}

#[test]
fn what_was_recovered_once_is_read_from_the_cache() {
    let fixture = Fixture::build("classes", CLASSES);
    let program = fixture.path().to_str().unwrap();
    let home = Home::new();
    let live = home.run(["symbols", program, "--regex", "calls|shapes"], SOON).success().stdout;
    home.run(["index", program], SOON).success();
    let listed = home.run(["cache"], SOON).success().stdout;
    assert!(listed.contains("1000.0 MB") && listed.matches("used 0 h ago").count() == 1, "{listed}");
    let packed = home.run(["symbols", program, "--regex", "calls|shapes"], SOON).success().stdout;
    assert_eq!(live, packed);
    let commands = ["break calls::CallsImpl::[virtual 2 -> listen]?", "continue", "bt", "info symbols-source"];
    let mut arguments = vec!["run", "--batch"];
    arguments.extend(commands.iter().flat_map(|command| ["--ex", command]));
    arguments.extend(["--", program]);
    let output = home.run(arguments, SOON);
    // What its arguments are was stored with its name.
    let call = "Breakpoint 1, calls::CallsImpl::[virtual 2 -> listen]?(this=0x";
    let stopped = output.stdout.lines().find(|line| line.starts_with(call)).unwrap_or_else(|| panic!("{output:?}"));
    assert!(stopped.contains("fd=-1, backlog=1)"), "{stopped}");
    let source = output.stdout.lines().find(|line| line.starts_with("  rtti ")).unwrap_or_default();
    assert!(source.contains("/cache/rdbg/") && source.ends_with(".pack"), "{output:?}");
    home.run(["cache", "--clear"], SOON).success();
    assert!(home.run(["cache"], SOON).success().stdout.contains(": 0.0 MB of"));
}

#[test]
fn it_is_said_where_names_come_from_and_what_is_missing() {
    let home = Home::new();
    let (stripped, debug) = split(&home);
    let sources = |file: &Path| home.run(["symbols", "--sources", file.to_str().unwrap()], SOON).success().stdout;
    let text = sources(&stripped);
    assert!(text.contains("debug file") && text.contains(&format!("from {}", debug.display())), "{text}");
    std::fs::remove_file(&debug).unwrap();
    let text = sources(&stripped);
    for wanted in ["symbol table: stripped", "/usr/lib/debug/.build-id/", "no such file", ".gnu_debugdata: not there"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(text.contains(&format!("{}: no such file", debug.display())), "{text}");
    assert!(!sources(Fixture::get("hits").path()).contains("symbol table"), "{text}");
    // Of a process that is not attached to.
    let mut command = Command::new("sleep");
    command.arg("100");
    let mut process = crate::support::Process::spawn(command);
    let pid = process.pid().to_string();
    let text = home.run(["symbols", "--pid", &pid], SOON).success().stdout;
    assert!(text.contains("libc.so.6  build-id") && text.contains("dynsym"), "{text}");
    process.signal("KILL");
    process.wait(SOON);
}
