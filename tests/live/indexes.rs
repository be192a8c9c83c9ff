//! Indexes of large files' names, and packs of recovered ones: a session makes one while its target runs, the next one uses it,
//! and neither depends on it.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Fixture, Guard, Home, Rdbg, Target, Variant, SOON};

/// The thread that makes an index yields to whatever else the machine does.
const SLOWLY: Duration = Duration::from_secs(180);
const LOGGED: [&str; 2] = ["--log-filter", "rdbg=debug"];

/// The indexes in a home's cache.
fn indexes(home: &Home) -> Vec<PathBuf> {
    cached(home, "index")
}

fn cached(home: &Home, kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.path().join("cache/rdbg")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == kind)).collect()
}

/// Attaches, looks for a name, and says where the program's names come from.
fn look(home: &Home, target: &Target) -> String {
    let pid = target.pid().to_string();
    let commands = ["--ex", "break many_777", "--ex", "info sharedlibrary", "--ex", "detach"];
    let output = home.run([&["attach", "--batch", "--pid", &pid][..], &commands].concat(), SOON);
    assert_eq!(output.code(), 0, "{}", output.stderr);
    assert!(output.stdout.contains("many_777"), "{}", output.stdout);
    Guard::check(target.pid());
    output.stdout
}

fn attach(home: &Home, target: &Target) -> Rdbg {
    let pid = target.pid().to_string();
    let mut rdbg = home.start([&["attach", "--pid", &pid][..], &LOGGED].concat());
    rdbg.send("break many_12345");
    rdbg.expect_line("Breakpoint 1", SOON);
    rdbg
}

#[test]
fn an_index_is_made_while_the_target_runs_and_used_by_the_next_session() {
    let home = Home::new();
    let target = Target::start(&Fixture::get("many"), ["--hold"]);
    let mut rdbg = attach(&home, &target);
    assert!(indexes(&home).is_empty());
    rdbg.send("continue");
    rdbg.expect_line("an index is in the cache", SLOWLY);
    rdbg.signal("INT");
    rdbg.send("quit");
    assert_eq!(rdbg.wait(SOON).code(), 0);
    let [index] = &indexes(&home)[..] else { panic!("{:?}", indexes(&home)) };
    assert!(look(&home, &target).contains(", indexed"));

    let whole = std::fs::read(index).unwrap();
    std::fs::write(index, &whole[..whole.len() - 1]).unwrap();
    assert!(!look(&home, &target).contains(", indexed"));
    assert!(indexes(&home).is_empty());

    // The body of one that is damaged is found out where it is looked at.
    let mut damaged = whole;
    let body = damaged.len() / 4..;
    damaged[body].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(index, damaged).unwrap();
    look(&home, &target);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let home = Home::new();
    std::fs::write(home.path().join("cache/rdbg"), "in the way").unwrap();
    let target = Target::start(&Fixture::get("many"), ["--hold"]);
    let mut rdbg = attach(&home, &target);
    rdbg.send("continue");
    rdbg.expect_line("an index is not kept", SLOWLY);
    rdbg.signal("INT");
    rdbg.send("quit");
    let output = rdbg.wait(SOON);
    let told: Vec<&str> = output.stderr.lines().filter(|line| !line.contains("DEBUG")).collect();
    assert!(output.code() == 0 && told.is_empty(), "{told:?}");
    Guard::check(target.pid());
}

#[test]
fn an_index_can_be_made_beforehand_and_is_cleared_with_the_packs() {
    let home = Home::new();
    let fixture = Fixture::get("many");
    let index = home.run(["index".as_ref(), fixture.path().as_os_str()], SOON);
    assert!(index.code() == 0 && index.stdout.contains("an index of the names of"), "{}{}", index.stdout, index.stderr);
    assert!(look(&home, &Target::start(&fixture, ["--hold"])).contains(", indexed"));
    let shown = home.run(["cache"], SOON).success().stdout;
    assert!(shown.contains(".index"), "{shown}");
    home.run(["cache", "--clear"], SOON).success();
    assert!(indexes(&home).is_empty());
}

#[test]
fn recovered_names_are_packed_while_the_target_runs_and_used_by_the_next_session() {
    let home = Home::new();
    let target = Target::start(&Fixture::build("virtuals", Variant::STRIPPED), ["--hold"]);
    let pid = target.pid().to_string();
    let breaks = "break --regex ^Virtual<77>::";
    let mut rdbg = home.start([&["attach", "--pid", &pid][..], &LOGGED].concat());
    rdbg.send(breaks);
    rdbg.expect_line("Breakpoint 1: 10 locations", SOON);
    assert!(cached(&home, "pack").is_empty());
    rdbg.send("continue");
    rdbg.expect_line("a pack is in the cache", SLOWLY);
    rdbg.signal("INT");
    rdbg.send("quit");
    assert_eq!(rdbg.wait(SOON).code(), 0);
    let look = || {
        let commands = ["--ex", breaks, "--ex", "info sharedlibrary", "--ex", "detach"];
        let output = home.run([&["attach", "--batch", "--pid", &pid][..], &commands].concat(), SOON);
        assert!(output.code() == 0 && output.stdout.contains("Breakpoint 1: 10 locations"), "{output:?}");
        Guard::check(target.pid());
        output.stdout
    };
    let [pack] = &cached(&home, "pack")[..] else { panic!("{:?}", cached(&home, "pack")) };
    assert!(look().contains("recovered names from"));

    let whole = std::fs::read(pack).unwrap();
    std::fs::write(pack, &whole[..whole.len() / 2]).unwrap();
    assert!(!look().contains("recovered names from"));
    assert!(cached(&home, "pack").is_empty());
}
