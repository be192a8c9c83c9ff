//! Names that are recovered from a stripped program: they stop it, and they stand in its stacks.

use std::process::Command;

use crate::support::{unique_id, Envoy, EnvoyConfig, Fixture, Guard, Home, Process, Variant, LONG, SOON};

const STRIPPED: Variant = Variant { name: "recovered", clang: true, flags: &["-O2"], strip: true };

#[test]
fn a_virtual_function_of_a_stripped_program_stops_it_and_its_stack_has_names() {
    let fixture = Fixture::build("classes", STRIPPED);
    let program = fixture.path().to_str().unwrap();
    let home = Home::new();
    let commands = ["break calls::CallsImpl::[virtual 2 -> listen]?", "continue", "bt", "info breakpoints"];
    let mut arguments = vec!["run", "--batch"];
    arguments.extend(commands.iter().flat_map(|command| ["--ex", command]));
    arguments.extend(["--", program]);
    let output = home.run(arguments, SOON);
    // It hands its arguments on, so they are listen's.
    let call = "Breakpoint 1, calls::CallsImpl::[virtual 2 -> listen]?(this=0x";
    let stopped = output.stdout.lines().find(|line| line.starts_with(call)).unwrap_or_else(|| panic!("{output:?}"));
    assert!(stopped.contains("fd=-1, backlog=1)"), "{stopped}");
    let frame = |number: &str, name: &str| {
        let line = output.stdout.lines().find(|line| line.starts_with(number)).unwrap_or_default();
        assert!(line.contains(name), "{number} {name}: {output:?}");
    };
    frame("#0 ", "calls::CallsImpl::[virtual 2 -> listen]?+0 classes");
    frame("#1 ", "main+");
    assert!(output.stdout.lines().any(|line| line.starts_with('#') && line.contains("_start+")), "{output:?}");
}

#[test]
fn envoys_start_is_stopped_in_bind_by_the_name_of_its_class() {
    let home = Home::new();
    let Some(envoy) = Envoy::find_or_skip() else { return };
    let envoy = envoy.copy_as(home.path(), &format!("envoy{}-{}", std::process::id() % 10_000, unique_id()));
    let path = envoy.path().to_str().unwrap();
    let config = EnvoyConfig::new();
    let mut rdbg = home.start([
        "break",
        "--regex",
        ".*OsSysCallsImpl.*",
        "--waitfor",
        path,
        "--batch",
        "--ex",
        "bt",
        "--ex",
        "detach",
    ]);
    rdbg.expect_line("Waiting for", SOON);
    let mut command = Command::new(path);
    command.args(config.args());
    let mut process = Process::spawn(command);
    let stop = rdbg.expect_line("Breakpoint 1, Envoy::Api::OsSysCallsImpl::bind(", LONG).text;
    assert!(stop.contains("(this=0x") && stop.contains(", fd="), "{stop}");
    assert!(stop.contains("addr={sa_family=AF_UNIX, sun_path=@\"envoy_domain_socket_"), "{stop}");
    let output = rdbg.wait(LONG).success();
    assert!(output.stdout.lines().any(|line| line.contains(" main+")), "{}", output.stdout);
    config.wait_ready(&process, LONG);
    Guard::check(process.pid());
    process.signal("TERM");
    process.wait(LONG).success();
}
