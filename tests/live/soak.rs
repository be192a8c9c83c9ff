//! Outside of the ordinary run, as it takes ten minutes: rdbg comes, arms a thousand functions, is hit, and goes, over
//! and over, while the target's threads compute, fork, start threads and send signals. The target checks its own work.
//!
//!     RDBG_SOAK_SECONDS=600 cargo test --test live soak -- --ignored --nocapture

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{procfs, Fixture, Guard, Home, Process, LONG, SOON};

const ALL: &str = "--regex ^soak_ --limit 1100";

/// One visit by each of the ways to come and go; what it must print.
fn visits(pid: &str) -> Vec<(Vec<String>, &'static str)> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let log = |count: &str| words(&format!("break {ALL} --log --count {count} --pid {pid}"));
    let session = |follow: &str, commands: &[&str]| {
        let mut args = words(&format!("attach --batch --follow {follow} --pid {pid}"));
        for command in commands {
            args.extend(["--ex".to_owned(), (*command).to_owned()]);
        }
        args
    };
    let every = format!("break {ALL}");
    vec![
        (log("500"), "is done after 500 hits"),
        (session("parent", &[&every, "ignore 1 20000", "continue", "bt", "info threads"]), "Breakpoint 1, soak_"),
        (
            session("parent", &[&every, "continue", "continue", "stepi", "nexti", "finish", "continue"]),
            "Breakpoint 1, soak_",
        ),
        (session("both", &[&every, "ignore 1 3000", "continue", "info inferiors"]), "Breakpoint 1, soak_"),
        (log("1"), "is done after 1 hits"),
        (
            session("parent", &[&format!("{every} if $rdi == 12345"), "break soak_leaf_11", "ignore 2 50", "continue"]),
            "Breakpoint 2, soak_",
        ),
        (session("parent", &[&every, "delete", "tbreak soak_tail_8f", "continue"]), "soak_tail_8f"),
    ]
}

#[test]
#[ignore = "takes ten minutes"]
fn a_load_of_threads_forks_and_signals_is_unharmed_by_visits() {
    let seconds = std::env::var("RDBG_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let mut target = Process::spawn(Command::new(Fixture::get("soak").path()));
    target.expect_line("running", SOON);
    let pid = target.pid();
    let home = Home::new();
    let (begun, mut rounds) = (Instant::now(), 0u32);
    while begun.elapsed() < Duration::from_secs(seconds) {
        for (args, expected) in visits(&pid.to_string()) {
            let output = home.run(&args, LONG);
            let all = format!("{}{}", output.stdout, output.stderr);
            assert!(target.is_running(), "the target ended in round {rounds}, {args:?}: {all}");
            assert!(output.code() == 0 && all.contains(expected), "round {rounds}, {args:?}: {all}");
            assert!(!all.contains("cannot pass") && !all.contains("fault in"), "round {rounds}, {args:?}: {all}");
            // Children that were let go must work as well: they fail the target's own check else.
            Guard::check(pid);
        }
        rounds += 1;
        if rounds % 10 == 0 {
            eprintln!("{rounds} rounds in {:.0?}, {} tasks", begun.elapsed(), procfs::tasks(pid).len());
        }
    }
    target.send_bytes(b"\n");
    let output = target.wait(LONG);
    assert!(output.code() == 0 && output.count("wrong") == 0, "after {rounds} rounds: {output:?}");
    eprintln!("{rounds} rounds of 7 visits in {:.0?}: {}", begun.elapsed(), output.stdout.trim());
}
