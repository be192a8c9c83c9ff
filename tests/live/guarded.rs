//! A displaced instruction is refused what the program's own would be: guard pages, write barriers and safepoints of a
//! runtime work as before.

use crate::support::{Fixture, Output, Rdbg, LONG};

const NEVER: &str = "1000000000";
const NAMES: [&str; 5] = ["store", "load", "poll", "vector", "push"];

fn run_counting(rounds: &str) -> Output {
    let fixture = Fixture::get("guarded");
    let mut args = vec!["run".to_owned(), "--batch".to_owned()];
    let mut commands = Vec::new();
    for (at, name) in NAMES.iter().enumerate() {
        commands.extend([format!("break guarded_{name}"), format!("ignore {} {NEVER}", at + 1)]);
    }
    // The faults are the program's own business.
    let more = ["handle SIGSEGV nostop noprint pass", "tbreak _exit", "continue", "info breakpoints", "continue"];
    commands.extend(more.map(str::to_owned));
    for command in commands {
        args.extend(["--ex".to_owned(), command]);
    }
    args.extend(["--", &fixture.path().to_string_lossy(), "--rounds", rounds].map(str::to_owned));
    Rdbg::run(args, LONG)
}

#[test]
fn a_displaced_instruction_faults_where_the_programs_own_would() {
    // Fewer than it takes for a copy to be made of a site that is hit often, and more.
    for rounds in ["20", "600"] {
        let output = run_counting(rounds).success();
        assert_eq!(output.count("wrong"), 0, "{output:?}");
        let rounds: u64 = rounds.parse().expect("a number");
        assert_eq!(output.count("faults"), rounds * NAMES.len() as u64);
        for (at, name) in NAMES.iter().enumerate() {
            assert_eq!(output.hits(at + 1), rounds, "{name}: {}", output.stdout);
        }
        assert!(!output.stdout.contains("cannot pass"), "{}", output.stdout);
    }
}
