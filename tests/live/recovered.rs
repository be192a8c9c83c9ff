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
fn a_table_of_names_is_given_on_the_command_line() {
    let fixture = Fixture::build("classes", STRIPPED);
    let program = fixture.path().to_str().unwrap();
    let home = Home::new();
    let table = home.path().join("names");
    let with = |text: &str, arguments: &[&str]| {
        std::fs::write(&table, text).unwrap();
        let table = table.to_str().unwrap();
        home.run(["--vtable-names", table].into_iter().chain(arguments.iter().copied()), SOON)
    };
    let fits = "class calls::CallsImpl slots 4\n2 attend -> listen\n";
    let symbols = ["symbols", program, "--regex", "CallsImpl::attend"];
    let output = with(fits, &symbols).success();
    assert!(output.stdout.contains("calls::CallsImpl::attend") && output.stdout.contains("rtti"), "{output:?}");
    assert_eq!(with("class calls::CallsImpl slots 4\n2 attend -> bind\n", &symbols).code(), 1);
    let broken = with("2 attend\n", &symbols);
    assert!(broken.code() == 1 && broken.stderr.contains("line 1: a slot before the first class"), "{broken:?}");
    let arguments = ["run", "--batch", "--ex", "break CallsImpl::attend", "--ex", "continue", "--ex", "kill", program];
    let output = with(fits, &arguments);
    assert!(output.stdout.contains("Breakpoint 1, calls::CallsImpl::attend(this=0x"), "{output:?}");
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
