//! Probe points that programs bring along: their arguments, their counters of who listens, and how they are left.

use super::survival::{gone, guardian};
use crate::support::{Fixture, Guard, Rdbg, Target, Variant, LONG, SOON};

fn trace(script: &str, program: &Fixture, args: &str) -> crate::support::Output {
    let path = program.path().display().to_string();
    let command = format!("{path} {args}");
    Rdbg::run(["trace", "-e", &script.replace("PROGRAM", &path), "-c", &command], LONG)
}

#[test]
fn arguments_are_read_from_wherever_the_compiler_has_them() {
    for variant in [Variant::GCC, Variant::O0, Variant::NO_PIE, Variant::CLANG] {
        let fixture = Fixture::build("probes", variant);
        let script = "usdt:PROGRAM:fixture:round { printf(\"%d %d %d %d %s|\\n\", arg0, arg1, arg2, arg3, str(arg4)); }
            usdt:PROGRAM:rest { @rest[probe] = count(); }";
        let output = trace(script, &fixture, "--rounds 4").success();
        let lines: Vec<&str> = output.stdout.lines().filter_map(|line| line.strip_suffix('|')).collect();
        let expected = ["0 0 77 100 even", "1 -1 77 101 odd", "2 -2 77 102 even", "3 -3 77 103 odd"];
        assert_eq!(lines, expected, "{}: {}{}", variant.name, output.stdout, output.stderr);
        assert!(output.stdout.contains(":fixture:rest]: 4\n"), "{}", output.stdout);
        // The program saw all the time that somebody listened.
        assert_eq!((output.count("heard"), output.count("listening")), (4, 1), "{}", variant.name);
    }
}

#[test]
fn the_counter_is_as_it_was_when_the_process_is_left() {
    let fixture = Fixture::build("probes", Variant::GCC);
    let mut target = Target::start(&fixture, ["--wait-stdin", "--rounds", "3", "--hold"]);
    let pid = target.pid().to_string();
    let script = format!("usdt:{}:round {{ @ = count(); }}", fixture.path().display());
    let output = Rdbg::run(["trace", "-e", &script, "-p", &pid, "--duration", "100ms"], SOON).success();
    assert!(output.stderr.contains("Attached 1 probe"), "{}", output.stderr);
    Guard::check(target.pid());
    // Nobody listens to the rounds that begin now.
    target.release();
    target.wait_done(SOON);
    assert_eq!((target.count("heard"), target.count("listening")), (0, 0));
}

#[test]
fn the_counter_is_as_it_was_when_rdbg_is_killed() {
    let fixture = Fixture::build("probes", Variant::GCC);
    let mut target = Target::start(&fixture, ["--wait-stdin", "--rounds", "3", "--hold"]);
    let script = format!("usdt:{}:round {{ @ = count(); }}", fixture.path().display());
    let mut rdbg = Rdbg::start(["trace", "-e", &script, "-p", &target.pid().to_string()]);
    rdbg.expect_line("Attached 1 probe", SOON);
    let guardian = guardian(&rdbg);
    rdbg.signal("KILL");
    rdbg.wait(SOON);
    gone(guardian);
    Guard::check(target.pid());
    target.release();
    target.wait_done(SOON);
    assert_eq!((target.count("heard"), target.count("listening")), (0, 0));
}

#[test]
fn probe_points_are_listed_and_what_is_not_there_is_an_error() {
    let fixture = Fixture::build("probes", Variant::GCC);
    let path = fixture.path().display().to_string();
    let listed = Rdbg::run(["trace", "-l", &format!("usdt:{path}:*")], LONG).success();
    let expected = [format!("usdt:{path}:fixture:rest"), format!("usdt:{path}:fixture:round")];
    assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), expected);
    let wrong = [
        ("usdt:PROGRAM:fixture:nothing { }", "ERROR: No matches for usdt"),
        ("usdt:PROGRAM:other:round { }", "ERROR: No matches for usdt"),
        ("usdt:PROGRAM:round { print(arg5); }", "ERROR: Couldn't get argument 5 for usdt probe fixture:round"),
        ("usdt:PROGRAM:rest { print(arg0); }", "ERROR: Couldn't get argument 0 for usdt probe fixture:rest"),
        ("usdt:PROGRAM { }", "ERROR: usdt probe type requires 2 or 3 arguments, found 1"),
        ("usdt:PROGRAM:round { print(retval); }", "The retval builtin can not be used with 'usdt' probes"),
    ];
    for (script, message) in wrong {
        let output = trace(script, &fixture, "");
        assert!(!output.status.success() && output.stderr.contains(message), "{script}: {}", output.stderr);
    }
}
