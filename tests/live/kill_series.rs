//! rdbg is killed at random moments while its breakpoint is hit all the time, by several threads and by forked children.
//!
//!     RDBG_BIN=RELEASE_BUILD cargo test --test live kill_series -- --ignored --nocapture --test-threads=1
//!
//! RDBG_KILLS says how often (200). What is printed is how many kills the target survived, for each protection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::survival::{gone, guardian, paced_with};
use crate::support::{process, Guard, Rdbg, Target, SOON};

const THREADS: &str = "4";
/// Calls that each thread makes in a second.
const RATE: &str = "6000";
const FORKS: &str = "50";
/// The latest moment of a kill after the target was let go.
const LATEST: Duration = Duration::from_millis(40);
/// How long a target must work on before a kill counts as survived: some hundred calls.
const WATCHED: Duration = Duration::from_millis(20);

/// What protects the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protection {
    Nothing,
    Guardian,
    SafetyNet,
    Both,
}

impl Protection {
    fn has_guardian(self) -> bool {
        matches!(self, Protection::Guardian | Protection::Both)
    }

    fn has_net(self) -> bool {
        matches!(self, Protection::SafetyNet | Protection::Both)
    }
}

/// A loss, in words.
type Loss = String;

/// Numbers that look random (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn start() -> Target {
    paced_with(&["--threads", THREADS, "--rate", RATE, "--forks", FORKS])
}

/// rdbg with its breakpoint hit all the time, protected as asked.
#[track_caller]
fn tracing(target: &Target, protection: Protection) -> Rdbg {
    let mut rdbg = Rdbg::start(["attach", "--pid", &target.pid().to_string()]);
    rdbg.watch(target.pid());
    if protection.has_net() {
        rdbg.send("set safety-net on");
        rdbg.expect_line("safety net at", SOON);
    }
    rdbg.send("break paced_call");
    rdbg.send("ignore 1 1000000000");
    rdbg.expect_line("Breakpoint 1", SOON);
    if !protection.has_guardian() {
        let guardian = guardian(&rdbg);
        process::signal(guardian, "KILL");
        gone(guardian);
    }
    rdbg.send("continue");
    rdbg.expect_line("Continuing", SOON);
    rdbg
}

/// Kills rdbg after a while; how the target fared.
#[track_caller]
fn kill_at(target: &mut Target, protection: Protection, moment: Duration) -> Result<(), Loss> {
    let mut rdbg = tracing(target, protection);
    std::thread::park_timeout(moment);
    let watcher = protection.has_guardian().then(|| guardian(&rdbg));
    rdbg.signal("KILL");
    rdbg.wait(SOON);
    watcher.into_iter().for_each(gone);
    let end = Instant::now() + WATCHED;
    while Instant::now() < end && target.process.is_running() {
        std::thread::park_timeout(Duration::from_millis(2));
    }
    if !target.process.is_running() {
        return Err(format!("the target ended: {}", target.process.wait(SOON).status));
    }
    match target.process.lines().iter().find(|line| line.text.contains("ended with status")) {
        Some(line) => Err(line.text.split_once(' ').map_or("", |(_, rest)| rest).replace(char::is_numeric, "#")),
        None if !protection.has_guardian() => Ok(()),
        None => Guard::problems(target.pid()).first().map_or(Ok(()), |problem| Err(problem.clone())),
    }
}

/// So many kills; each that the target did not survive. One target takes them all, as long as it lives.
#[track_caller]
fn series(protection: Protection, kills: u32) -> Vec<Loss> {
    let seed = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_nanos() as u64 | 1);
    let mut random = Random(seed);
    let mut losses = Vec::new();
    let mut target = None;
    for _ in 0..kills {
        let one = target.get_or_insert_with(start);
        let moment = Duration::from_micros(random.below(LATEST.as_micros() as u64));
        let outcome = kill_at(one, protection, moment);
        // Without a guardian what was not hit stays patched.
        if outcome.is_err() || !protection.has_guardian() {
            if outcome.is_ok() {
                ends_well(target.take());
            }
            target = None;
        }
        losses.extend(outcome.err());
    }
    ends_well(target);
    losses
}

/// The target's own word that its work is right.
#[track_caller]
fn ends_well(target: Option<Target>) {
    let Some(mut target) = target else { return };
    target.process.send_bytes(b"\n");
    let output = target.wait(SOON).success();
    assert_eq!((output.count("wrong"), output.count("died")), (0, 0), "{output:?}");
}

/// How often a breakpoint is hit in a second.
#[track_caller]
fn hits_a_second() -> f64 {
    let target = start();
    let mut rdbg = tracing(&target, Protection::Guardian);
    let begun = Instant::now();
    std::thread::park_timeout(Duration::from_secs(1));
    rdbg.signal("INT");
    rdbg.expect_line("Stopped by interrupt", SOON);
    let taken = begun.elapsed();
    rdbg.send("info breakpoints");
    rdbg.send("quit");
    let output = rdbg.wait(SOON).success();
    output.hits(1) as f64 / taken.as_secs_f64()
}

fn tally(losses: &[Loss]) -> String {
    let mut counts = BTreeMap::new();
    losses.iter().for_each(|loss| *counts.entry(loss.as_str()).or_insert(0) += 1);
    counts.into_iter().map(|(loss, count)| format!("\n    {count:>4} {loss}")).collect()
}

#[test]
fn twenty_kills_under_load_harm_nobody_with_the_safety_net() {
    let losses = series(Protection::Both, 20);
    assert!(losses.is_empty(), "lost {} of 20:{}", losses.len(), tally(&losses));
}

#[test]
#[ignore = "takes minutes, and is meant for a release build"]
fn kills_at_ten_thousand_hits_a_second() {
    let kills = std::env::var("RDBG_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let (rate, mut lost_with_net) = (hits_a_second(), 0);
    eprintln!("{rate:.0} hits a second");
    for protection in [Protection::Nothing, Protection::Guardian, Protection::SafetyNet, Protection::Both] {
        let losses = series(protection, kills);
        eprintln!("{protection:?}: survived {} of {kills}{}", kills as usize - losses.len(), tally(&losses));
        lost_with_net += if protection.has_net() { losses.len() } else { 0 };
    }
    assert_eq!(lost_with_net, 0, "with the safety net none is to be lost");
    assert!(rate > 10_000.0, "the figures are not those of a hot breakpoint");
}
