//! A hundred threads hit each kind of displaced instruction a hundred times: counted, logged, or passed over, each hit
//! is seen once, and the program's own answers do not change.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Fixture, Output, Process, Rdbg, LONG};

const NEVER: &str = "1000000000";
const CROWD: [&str; 4] = ["--threads", "100", "--calls", "100"];
const EACH: u64 = 100 * 100;

/// The names of the fixture's functions, and its checksum without rdbg.
fn alone(program: &Path, args: &[&str]) -> (Vec<String>, String) {
    let mut command = std::process::Command::new(program);
    command.args(args);
    let text = Process::spawn(command).finish(LONG).success().stdout;
    let names = text.split_whitespace().filter_map(|word| word.split_once('='));
    let names = names.map(|(name, _)| name.to_owned()).filter(|name| name.starts_with("hits_")).collect();
    (names, checksum(&text))
}

fn checksum(text: &str) -> String {
    text.split_whitespace().find(|word| word.starts_with("checksum=")).expect("a checksum").to_owned()
}

/// `run --batch` with the commands in a file.
fn run_script(commands: &[String], program: &Path, args: &[&str]) -> Output {
    let script = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(script.path(), commands.join("\n") + "\n").expect("a script of ours");
    let (script, program) = (script.path().to_string_lossy(), program.to_string_lossy());
    let mut words = vec!["run", "--batch", "-x", &script, "--", &program];
    words.extend(args);
    Rdbg::run(words, 3 * LONG)
}

/// The hits that the last `info breakpoints` told, by number.
fn hits_told(stdout: &str) -> BTreeMap<u64, u64> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        matches!(fields.get(1), Some(&("stop" | "log" | "once"))).then_some(())?;
        Some((fields.first()?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    stdout.lines().filter_map(row).collect()
}

/// How often each name is in what follows `mark` on a line.
fn lines_by_name(stdout: &str, mark: &str) -> BTreeMap<String, u64> {
    let mut count = BTreeMap::new();
    for line in stdout.lines() {
        let Some((_, rest)) = line.split_once(mark) else { continue };
        let name: String = rest.chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect();
        *count.entry(name).or_insert(0) += 1;
    }
    count
}

#[test]
fn each_hit_of_each_kind_is_counted_once_beside_a_condition_that_is_false() {
    let fixture = Fixture::get("hits");
    let (names, expected) = alone(fixture.path(), &CROWD);
    assert!(names.len() > 40, "{names:?}");
    let mut commands = Vec::new();
    for (at, name) in names.iter().enumerate() {
        // Two breakpoints on each site: the odd ones count, the even ones are never true.
        let count = 2 * at + 1;
        commands.extend([
            format!("break {name}"),
            format!("ignore {count} {NEVER}"),
            format!("break {name} if $rsp == 1"),
        ]);
    }
    commands.extend(["tbreak _exit", "continue", "info breakpoints", "continue"].map(str::to_owned));
    let output = run_script(&commands, fixture.path(), &CROWD).success();
    let told = hits_told(&output.stdout);
    for (at, name) in names.iter().enumerate() {
        let number = 2 * at as u64 + 1;
        assert_eq!((told[&number], told[&(number + 1)]), (EACH, 0), "{name}");
        assert_eq!(output.count(name), EACH, "{name}");
    }
    assert_eq!((output.count("wrong"), checksum(&output.stdout)), (0, expected));
}

/// Runs the fixture under a log of these functions, each of which must show `each` times.
fn assert_logged(names: &[String], args: &[&str], each: u64, expected: &str) {
    let fixture = Fixture::get("hits");
    // By name, as the functions that lead to some of them, `hits_jcc_entry`, are none of the program's counts.
    let regex = format!("^({})$", names.join("|"));
    let program = fixture.path().to_string_lossy();
    let mut words = vec!["break", "--log", "--max-rate", "off", "--regex", &regex, "--", &program];
    words.extend(args);
    let output = Rdbg::run(words, LONG).success();
    let logged = lines_by_name(&output.stdout, "] ");
    for name in names {
        assert_eq!(logged.get(name), Some(&each), "{name}: {}", output.stderr);
    }
    assert_eq!((output.count("wrong"), checksum(&output.stdout).as_str()), (0, expected));
}

#[test]
fn each_hit_of_each_kind_is_logged_once() {
    // A line a hit takes time: every kind a thousand times, and ten thousand times one of each way past a site.
    let (names, expected) = alone(Fixture::get("hits").path(), &["--threads", "100", "--calls", "10"]);
    assert_logged(&names, &["--threads", "100", "--calls", "10"], 1000, &expected);
    for kind in ["push_rbp", "addsd_rip", "call_mem", "ret"] {
        let args = [&CROWD[..], &["--only", kind]].concat();
        let (names, expected) = alone(Fixture::get("hits").path(), &args);
        assert_logged(&names, &args, EACH, &expected);
    }
}

#[test]
fn each_hit_of_each_kind_stops_the_world_once() {
    const FEW: [&str; 4] = ["--threads", "20", "--calls", "4"];
    let fixture = Fixture::get("hits");
    let (names, expected) = alone(fixture.path(), &FEW);
    let mut commands: Vec<String> = names.iter().map(|name| format!("break {name}")).collect();
    commands.extend((0..=names.len() * 80).map(|_| "continue".to_owned()));
    let output = run_script(&commands, fixture.path(), &FEW).success();
    let mut stopped = BTreeMap::new();
    for line in output.stdout.lines().filter(|line| line.starts_with("Breakpoint ")) {
        let Some((_, rest)) = line.split_once(", ") else { continue };
        let name: String = rest.chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect();
        *stopped.entry(name).or_insert(0u64) += 1;
    }
    for name in &names {
        assert_eq!(stopped.get(name), Some(&80), "{name}");
    }
    assert_eq!((output.count("wrong"), checksum(&output.stdout)), (0, expected));
}
