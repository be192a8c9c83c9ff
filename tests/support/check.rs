//! The fixtures and the support library themselves: every fixture runs clean when nobody looks on, and the guard
//! sees what a debugger could leave behind.

use super::support::{self, *};
use std::os::unix::fs::FileExt;

#[test]
fn mini_envoy_counts_its_ticks_in_every_build() {
    for variant in Variant::ALL_ENVOY.into_iter().chain([Variant::NO_PIE, Variant::STATIC, Variant::STRIPPED]) {
        let fixture = Fixture::build("mini_envoy", variant);
        let mut target = Target::start(&fixture, ["--rounds", "640", "--workers", "2", "--listen", "0", "--hold"]);
        target.release();
        target.wait_done(SOON);
        assert_eq!((target.count("ticks"), target.count("names")), (1280, 20), "{variant:?}");
        Guard::check(target.pid());
        target.release();
        target.wait(SOON).success();
    }
}

#[test]
fn mini_envoy_names_its_workers() {
    let mut target = Target::start(
        &Fixture::get("mini_envoy"),
        ["--rounds", "64000000", "--workers", "2", "--paced", "--listen", "0"],
    );
    target.release();
    target.process.expect_line("listening=", SOON);
    let end = std::time::Instant::now() + SOON;
    while !["wrk:worker_0", "wrk:worker_1"].iter().all(|n| procfs::thread_names(target.pid()).iter().any(|t| t == n)) {
        assert!(std::time::Instant::now() < end, "{:?}", procfs::thread_names(target.pid()));
        std::thread::yield_now();
    }
}

#[test]
fn the_programs_of_threads_and_signals_run_clean() {
    let plugin = Fixture::get("plugin").path().display().to_string();
    let runs: &[(&str, &[&str], i32)] = &[
        ("hits", &["--calls", "100"], 0),
        ("forks", &["--rounds", "5", "--threads", "2"], 0),
        ("signals", &["--rounds", "50"], 0),
        ("dlopener", &[&plugin], 0),
        ("exits", &["leader", "--rounds", "10"], 0),
        ("exits", &["churn", "--rounds", "10"], 0),
        ("exits", &["race", "--rounds", "10"], 7),
        ("stack", &[], 0),
    ];
    for (name, args, code) in runs {
        for variant in [Variant::GCC, Variant::CLANG_FP, Variant::NO_PIE] {
            let mut target = Target::start(&Fixture::build(name, variant), *args);
            target.release();
            let output = target.wait(SOON);
            assert_eq!(output.code(), *code, "{name} {args:?} {variant:?}: {output:?}");
        }
    }
}

#[test]
fn eintr_ends_at_a_byte() {
    let mut command = std::process::Command::new(Fixture::get("eintr").path());
    command.args(["--seconds", "60"]);
    let mut process = Process::spawn(command);
    process.expect_line("ready ", SOON);
    process.send_bytes(b"\n");
    assert_eq!(process.wait(SOON).success().count("eintr"), 0);
}

#[test]
fn parents_hand_on_the_status() {
    let agent = Fixture::get("pilot-agent");
    let program = Fixture::get("exits");
    let mut agent = {
        let args = ["race", "--rounds", "1"].map(str::to_owned);
        assert!(agent.path().is_file());
        PilotAgent::start(&["--delay", "10ms", "--busy", "2"], program.path(), &args)
    };
    agent.child_pid(SOON);
    assert_eq!(agent.process.wait(SOON).code(), 7);
    for mode in ["--spawn", "--fork", "--vfork", "--thread"] {
        let mut command = std::process::Command::new(Fixture::get("spawner").path());
        command.args([mode, "--"]).arg(program.path()).args(["race", "--rounds", "1"]);
        assert_eq!(Process::spawn(command).wait(SOON).code(), 7, "{mode}");
    }
}

#[test]
fn the_guard_sees_a_breakpoint_and_a_stop() {
    let target = Target::start(&Fixture::get("hits"), ["--calls", "1"]);
    let pid = target.pid();
    let guard = Guard::take(pid);
    guard.check_after();

    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps of a child");
    let text = maps.lines().find(|l| l.contains("r-xp") && l.ends_with("/hits")).expect("the text of hits");
    let start = u64::from_str_radix(text.split('-').next().unwrap_or_default(), 16).expect("an address");
    let memory = std::fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/mem")).expect("memory of a child");
    memory.write_all_at(&[0xcc], start + 0x40).expect("a byte of text");
    let problems = Guard::problems(pid);
    assert!(problems.len() == 1 && problems[0].contains("became 0xcc"), "{problems:?}");

    support::process::signal(pid, "STOP");
    let end = std::time::Instant::now() + SOON;
    while !Guard::problems(pid).iter().any(|p| p.contains("is stopped")) {
        assert!(std::time::Instant::now() < end, "{:?}", Guard::problems(pid));
    }
}

#[test]
fn envoy_answers_through_both_listeners() {
    let Some(envoy) = Envoy::find_or_skip() else { return };
    let config = EnvoyConfig::new();
    let mut agent = PilotAgent::start(&["--delay", "10ms"], envoy.path(), &config.args());
    let pid = agent.child_pid(SOON);
    config.wait_ready(&agent.process, LONG);
    assert!(config.request().expect("an answer").contains("hello from envoy"));
    assert!(config.request_through().expect("an answer").contains("hello from envoy"));
    Guard::check(pid);
    assert_eq!(agent.stop(SOON).code(), 0);
}
