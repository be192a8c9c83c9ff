//! Traces of the real Envoy, which is stripped: calls by their recovered names with stacks, a script with wildcards, and a
//! process that serves on afterwards.

use crate::support::{Envoy, EnvoyConfig, Guard, Process, Rdbg, LONG};

/// A running Envoy, traced with these options until so many requests have been answered; what was printed.
fn traced(options: &[&str]) -> Option<String> {
    let envoy = Envoy::find_or_skip()?;
    let config = EnvoyConfig::new();
    let mut server: Process = envoy.start(&config);
    config.wait_ready(&server, LONG);
    let guard = Guard::take(server.pid());
    let pid = server.pid().to_string();
    let options = options.iter().map(|one| one.replace("PROGRAM", &format!("/proc/{pid}/exe")));
    let mut tracer = Rdbg::start(["trace", "-p", &pid].map(str::to_owned).into_iter().chain(options));
    tracer.expect_line(&format!("Tracing process {pid}"), LONG);
    for _ in 0..3 {
        assert!(config.request().is_ok_and(|body| body.contains("hello from envoy")));
    }
    tracer.signal("INT");
    let output = tracer.process.wait(LONG).success();
    guard.check_after();
    assert!(config.request().is_ok(), "it serves no more");
    server.signal("TERM");
    server.wait(LONG);
    Some(output.stdout)
}

#[test]
fn who_accepts_is_told_with_its_stack_and_its_value() {
    let Some(shown) = traced(&["--syscall", "bind,listen,accept4", "--ret", "--stack=8"]) else { return };
    let accepted = shown.lines().filter(|line| line.contains(" wrk:worker_") && line.contains("sin_port="));
    assert!(accepted.filter(|line| line.contains("accept4(fd=")).count() >= 3, "{shown}");
    // Each accepts until there is no more, by the wrapper whose name no symbol table has.
    assert!(shown.contains(" = -1 EAGAIN <") && shown.contains("Envoy::Api::OsSysCallsImpl::accept+"), "{shown}");
}

#[test]
fn a_function_is_traced_by_its_recovered_name_and_by_wildcards() {
    let Some(shown) = traced(&["--fn", "OsSysCallsImpl::accept$", "--ret"]) else { return };
    let calls =
        shown.lines().filter(|line| line.contains("Envoy::Api::OsSysCallsImpl::accept(") && line.contains(" = "));
    assert!(calls.count() >= 3, "{shown}");
    let Some(shown) = traced(&["-e", "uprobe:PROGRAM:cpp:*OsSysCallsImpl::acc?pt { @[func] = count(); }"]) else {
        return;
    };
    assert!(shown.contains("@[Envoy::Api::OsSysCallsImpl::accept]: "), "{shown}");
    let script = "uprobe:libc:accep*, uprobe:libc:epoll_ct? { @[probe, comm] = count(); }";
    let Some(shown) = traced(&["-e", script]) else { return };
    assert!(shown.contains(":accept4, wrk:worker_") && shown.contains(":epoll_ctl, wrk:worker_"), "{shown}");
}
