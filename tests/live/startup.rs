//! Attached to at any instruction of its start, and left there, a program ends as it would have.

use std::path::Path;

use ::rdbg::base::{Inferior, PtraceEvent, Resume, ResumeHow, Signal, TraceOptions, WaitStatus};
use ::rdbg::os::{launch, Doorbell, LaunchSpec, LiveInferior, Stdio};

use crate::support::{process, procfs, Fixture, Rdbg, LONG, SOON};

/// How many instructions after the exec: the loader's first ones, its relocations, constructors, and main itself.
const SPREAD: [u32; 16] = [0, 1, 2, 3, 7, 20, 55, 148, 403, 1_097, 2_981, 8_103, 22_026, 40_000, 59_874, 90_000];

/// The program, stopped by SIGSTOP after so many instructions and traced by nobody; its output goes to `stdout`.
fn stopped_after(instructions: u32, program: &Path, stdout: &Path) -> u32 {
    let mut live = LiveInferior::new(&Doorbell::for_this_thread());
    let mut spec = LaunchSpec::new(program);
    spec.args = ["--threads", "2", "--calls", "20"].map(Into::into).to_vec();
    spec.stdio = Stdio::Files { stdin: None, stdout: Some(stdout.to_path_buf()), stderr: None };
    let mut child = launch(&spec).expect("the fixture starts");
    let tid = child.pid.leader();
    live.seize(tid, TraceOptions::default()).expect("a child can be seized");
    child.release().expect("the fixture executes");
    let wait = |live: &mut LiveInferior| live.wait(true).expect("a wait").expect("no bell rings here").1;
    assert_eq!(wait(&mut live), WaitStatus::Event(PtraceEvent::Exec));
    // The first step ends the execve and executes nothing.
    for _ in 0..=instructions {
        live.resume(tid, Resume { how: ResumeHow::Step, signal: None }).expect("a stopped task resumes");
        assert_eq!(wait(&mut live), WaitStatus::SignalDelivery(Signal::TRAP));
    }
    live.detach(tid, Some(Signal::STOP)).expect("a stopped task is let go");
    child.pid.0 as u32
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !holds() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_program_that_is_attached_to_at_any_instruction_of_its_start_ends_as_it_would() {
    let fixture = Fixture::get("hits");
    let directory = tempfile::tempdir().expect("a temporary directory");
    for instructions in SPREAD {
        let stdout = directory.path().join(instructions.to_string());
        let pid = stopped_after(instructions, fixture.path(), &stdout);
        let state = || procfs::stat(pid).map(|(state, ..)| state);
        wait_for("it does not stop", || state() == Some('T'));
        let words = ["attach", "--batch", "--pid", &pid.to_string(), "--ex", "break hits_push_rbp", "--ex", "bt"];
        let output = Rdbg::run(words, LONG);
        assert_eq!(output.code(), 0, "after {instructions}: {output:?}");
        assert_eq!(state(), Some('T'), "after {instructions}: a stopped program stays so");
        process::signal(pid, "CONT");
        wait_for("it does not end", || matches!(state(), Some('Z') | None));
        let text = std::fs::read_to_string(&stdout).expect("its output");
        assert!(text.contains("hits_push_rbp=40 ") && text.contains("wrong=0"), "after {instructions}: {text}");
        let exit = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid as i32), None).expect("our child");
        assert!(matches!(exit, nix::sys::wait::WaitStatus::Exited(_, 0)), "after {instructions}: {exit:?}");
    }
}
