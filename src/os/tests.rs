//! The room against real children.

use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::base::{
    Inferior, InferiorError, MappingSource, MemError, Pid, PtraceEvent, Resume, ResumeHow, Signal, Tid, TraceOptions,
    VirtAddr, WaitStatus,
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A child that ends with its test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeper() -> (Guard, Pid) {
    let child = Command::new("/bin/sleep")
        .arg("1000")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid(child.id() as i32);
    // spawn returns when the exec gives the parent's memory back, before its end: a seize then would see the exec.
    let deadline = Instant::now() + PATIENCE;
    while !proc::read_stat(pid.leader()).is_ok_and(|stat| stat.state == 'S' && stat.comm == "sleep") {
        assert!(Instant::now() < deadline, "sleep does not sleep");
        std::thread::yield_now();
    }
    (Guard(child), pid)
}

fn tracer() -> LiveInferior {
    LiveInferior::new(&Doorbell::for_this_thread())
}

/// The next stop of any tracee, with a deadline.
pub(super) fn next(live: &mut LiveInferior) -> (Tid, WaitStatus) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = live.wait(false).unwrap() {
            return found;
        }
        assert!(Instant::now() < deadline, "no tracee reported");
        std::thread::yield_now();
    }
}

/// Copies a program, by cp(1): what this process itself has open for writing while another test forks cannot be executed
/// (ETXTBSY).
pub(super) fn copy_program(from: &str, to: &std::path::Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

fn stop(live: &mut LiveInferior, tid: Tid) {
    live.interrupt(tid).unwrap();
    assert_eq!(next(live), (tid, WaitStatus::Event(PtraceEvent::Stop)));
}

fn launch_spec(program: &str, args: &[&str]) -> LaunchSpec {
    let mut spec = LaunchSpec::new(program);
    spec.args = args.iter().map(Into::into).collect();
    spec.stdio = Stdio::Null;
    spec
}

/// Launches and stops at the first instruction.
fn launched(live: &mut LiveInferior, spec: &LaunchSpec) -> Pid {
    let mut child = launch(spec).unwrap();
    let options = TraceOptions { kill_on_exit: true, ..TraceOptions::default() };
    live.seize(child.pid.leader(), options).unwrap();
    child.release().unwrap();
    assert_eq!(next(live), (child.pid.leader(), WaitStatus::Event(PtraceEvent::Exec)));
    child.pid
}

fn end(live: &mut LiveInferior, pid: Pid) {
    live.kill(pid, Signal::KILL).unwrap();
    loop {
        if let (_, WaitStatus::Signaled { signal: Signal::KILL }) = next(live) {
            break;
        }
    }
    assert!(matches!(live.wait(true), Err(InferiorError::NothingTraced)));
}

#[test]
fn statuses_decode() {
    let stopped = |signal: i32, event: i32| reports::parse_wait_status(event << 16 | signal << 8 | 0x7f);
    assert_eq!(reports::parse_wait_status(3 << 8), Some(WaitStatus::Exited { code: 3 }));
    assert_eq!(reports::parse_wait_status(9), Some(WaitStatus::Signaled { signal: Signal::KILL }));
    assert_eq!(reports::parse_wait_status(0x80 | 11), Some(WaitStatus::Signaled { signal: Signal::SEGV }));
    assert_eq!(stopped(5, 0), Some(WaitStatus::SignalDelivery(Signal::TRAP)));
    assert_eq!(stopped(19, 0), Some(WaitStatus::SignalDelivery(Signal::STOP)));
    assert_eq!(stopped(5 | 0x80, 0), Some(WaitStatus::SyscallStop));
    assert_eq!(stopped(5, 128), Some(WaitStatus::Event(PtraceEvent::Stop)));
    for signal in [19, 20, 21, 22] {
        assert_eq!(stopped(signal, 128), Some(WaitStatus::GroupStop(Signal(signal))));
    }
    assert_eq!(stopped(5, 4), Some(WaitStatus::Event(PtraceEvent::Exec)));
    assert_eq!(reports::parse_wait_status(0xffff), None);
}

#[test]
fn launch_stops_at_the_first_instruction() {
    let mut live = tracer();
    let mut spec = launch_spec("sleep", &["1000"]);
    spec.aslr = Aslr::Disable;
    spec.env = vec![("RDBG_TEST".into(), "yes".into())];
    spec.cwd = Some("/".into());
    let pid = launched(&mut live, &spec);
    let tid = pid.leader();
    let regs = live.regs(tid).unwrap();
    let maps = live.maps(pid).unwrap();
    let here = maps.iter().find(|map| map.range.contains(regs.pc())).unwrap();
    let MappingSource::File { path, .. } = &here.source else { panic!("{here:?}") };
    assert!(path.to_str().unwrap().contains("ld-linux") || path.to_str().unwrap().contains("ld-2"), "{path:?}");
    assert!(std::fs::File::open(live.openable_path(pid, here).unwrap()).is_ok());
    assert!(live.auxv(pid).unwrap().iter().any(|(kind, _)| *kind == libc::AT_PHDR));
    assert_eq!(live.cmdline(pid).unwrap(), ["sleep", "1000"]);
    assert_eq!(live.comm(pid, tid).unwrap(), "sleep");
    assert_eq!(live.threads(pid).unwrap(), [tid]);
    assert_eq!(live.thread_group(tid).unwrap(), pid);
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(environ.split(|byte| *byte == 0).any(|line| line == b"RDBG_TEST=yes"));
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), std::path::Path::new("/"));
    let status = proc::read_status(tid).unwrap();
    assert_eq!((status.blocked, status.ignored >> (libc::SIGPIPE - 1) & 1), (0, 0));
    let personality = std::fs::read_to_string(format!("/proc/{pid}/personality")).unwrap();
    assert_eq!(personality.trim(), "00040000");
    // The exec event is reported inside execve: the first step ends at the call's exit, with no instruction executed and
    // with TRAP_BRKPT (1), as if for an int3. Only the next one is a step, TRAP_TRACE (2).
    for (code, moved) in [(1, false), (2, true)] {
        live.resume(tid, Resume { how: ResumeHow::Step, signal: None }).unwrap();
        assert_eq!(next(&mut live), (tid, WaitStatus::SignalDelivery(Signal::TRAP)));
        assert_eq!(live.siginfo(tid).unwrap().code, code);
        assert_eq!(live.regs(tid).unwrap().rip != regs.rip, moved);
    }
    live.set_pc(tid, regs.pc()).unwrap();
    assert_eq!(live.regs(tid).unwrap().pc(), regs.pc());
    live.set_regs(tid, &regs).unwrap();
    assert_eq!(live.regs(tid).unwrap(), regs);
    live.vector_regs(tid).unwrap();
    end(&mut live, pid);
    assert!(matches!(live.regs(tid), Err(InferiorError::Gone(_))));
    assert!(matches!(live.maps(pid), Err(InferiorError::Gone(_))));
}

#[test]
fn a_failed_launch_tells_why_and_leaves_nothing() {
    assert!(matches!(launch(&launch_spec("no-such-rdbg-program", &[])), Err(OsError::NoSuchProgram { .. })));
    let mut live = tracer();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("not-a-program");
    std::fs::write(&path, "garbage").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for report_exit in [false, true] {
        let mut child = launch(&launch_spec(path.to_str().unwrap(), &[])).unwrap();
        live.seize(child.pid.leader(), TraceOptions { kill_on_exit: true, report_exit, ..TraceOptions::default() })
            .unwrap();
        let Err(OsError::Exec { source, .. }) = child.release() else { panic!("it ran") };
        assert_eq!(source.raw_os_error(), Some(libc::ENOEXEC));
        assert!(matches!(live.wait(true), Err(InferiorError::NothingTraced)));
    }
    drop(launch(&launch_spec("sleep", &["1000"])).unwrap());
    assert!(matches!(live.wait(true), Err(InferiorError::NothingTraced)));
}

#[test]
fn interrupt_memory_and_detach() {
    let mut live = tracer();
    let (_guard, pid) = sleeper();
    let tid = pid.leader();
    live.seize(tid, TraceOptions::default()).unwrap();
    let again = live.seize(tid, TraceOptions::default()).unwrap_err();
    assert!(again.to_string().contains("this rdbg traces it already"), "{again}");
    stop(&mut live, tid);
    let text = live.maps(pid).unwrap().into_iter().find(|map| map.exec).unwrap();
    let at = text.range.start.offset(4090);
    let mut before = [0; 16];
    assert_eq!(live.read_mem(pid, at, &mut before).unwrap(), 16);
    let patch: Vec<u8> = before.iter().map(|byte| !byte).collect();
    // Into text that may not be written, over a page's end; once through the file, once through ptrace.
    live.write_mem(pid, at, &patch).unwrap();
    let mut now = [0; 16];
    live.read_mem(pid, at, &mut now).unwrap();
    assert_eq!(now[..], patch[..]);
    live.write_mem(pid, at, &before).unwrap();
    // The end of what is mapped cuts a read short.
    let end = VirtAddr(
        live.maps(pid)
            .unwrap()
            .iter()
            .rfind(|map| map.source == MappingSource::Special("[stack]".into()))
            .unwrap()
            .range
            .end
            .0,
    );
    let mut buf = [0; 64];
    assert_eq!(live.read_mem(pid, VirtAddr(end.0 - 24), &mut buf).unwrap(), 24);
    assert_eq!(live.read_mem(pid, VirtAddr(8), &mut buf), Err(MemError::Unmapped(VirtAddr(8))));
    assert_eq!(live.write_mem(pid, VirtAddr(8), &buf), Err(MemError::Unmapped(VirtAddr(8))));
    // A group-stop, listened to, ends with SIGCONT.
    live.resume(tid, Resume::CONTINUE).unwrap();
    live.tkill(pid, tid, Signal::STOP).unwrap();
    assert_eq!(next(&mut live), (tid, WaitStatus::SignalDelivery(Signal::STOP)));
    let info = live.siginfo(tid).unwrap();
    assert_eq!((info.signal, info.code, info.sender), (Signal::STOP, -6, Pid(std::process::id() as i32)));
    live.resume(tid, Resume { how: ResumeHow::Continue, signal: Some(Signal::STOP) }).unwrap();
    assert_eq!(next(&mut live), (tid, WaitStatus::GroupStop(Signal::STOP)));
    live.resume(tid, Resume { how: ResumeHow::Listen, signal: None }).unwrap();
    live.kill(pid, Signal::CONT).unwrap();
    assert_eq!(next(&mut live), (tid, WaitStatus::Event(PtraceEvent::Stop)));
    live.detach(tid, None).unwrap();
    // The child of this thread is not traced any more, yet waited for.
    assert_eq!(live.wait(false).unwrap(), None);
    // Memory needs no attachment.
    assert_eq!(live.read_mem(pid, at, &mut buf).unwrap(), 64);
    live.write_mem(pid, at, &before).unwrap();
}

#[test]
fn a_syscall_stop_and_memory_across_an_exec() {
    let mut live = tracer();
    let pid = launched(&mut live, &launch_spec("/bin/sh", &["-c", "exec /bin/sleep 1000"]));
    let tid = pid.leader();
    live.resume(tid, Resume { how: ResumeHow::Syscall, signal: None }).unwrap();
    assert_eq!(next(&mut live), (tid, WaitStatus::SyscallStop));
    // Fills the cache with the shell's memory.
    let text = live.maps(pid).unwrap().into_iter().find(|map| map.exec).unwrap();
    let mut byte = [0];
    live.read_mem(pid, text.range.start, &mut byte).unwrap();
    live.write_mem(pid, text.range.start, &byte).unwrap();
    live.resume(tid, Resume::CONTINUE).unwrap();
    assert_eq!(next(&mut live), (tid, WaitStatus::Event(PtraceEvent::Exec)));
    let text = live.maps(pid).unwrap().into_iter().find(|map| map.exec).unwrap();
    live.read_mem(pid, text.range.start, &mut byte).unwrap();
    live.write_mem(pid, text.range.start, &byte).unwrap();
    end(&mut live, pid);
    assert_eq!(live.write_mem(pid, text.range.start, &byte), Err(MemError::Gone));
    assert_eq!(live.read_mem(pid, text.range.start, &mut byte), Err(MemError::Gone));
}

#[test]
fn the_doorbell_wakes_each_of_1000_waits() {
    let (send, receive) = mpsc::channel();
    let tracing = std::thread::spawn(move || {
        let bell = Doorbell::for_this_thread();
        let mut live = LiveInferior::new(&bell);
        let (_guard, pid) = sleeper();
        live.seize(pid.leader(), TraceOptions::default()).unwrap();
        send.send(bell.clone()).unwrap();
        for _ in 0..1000 {
            assert_eq!(live.wait(true).unwrap(), None);
            send.send(bell.clone()).unwrap();
        }
    });
    let bell = receive.recv().unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..1000 {
        let rung = Instant::now();
        bell.ring();
        receive.recv_timeout(PATIENCE).expect("the ring was lost");
        slowest = slowest.max(rung.elapsed());
    }
    eprintln!("doorbell: the slowest of 1000 rings took {slowest:?}");
    tracing.join().unwrap();
}

#[test]
fn a_wait_leaves_the_children_of_other_threads() {
    let mut live = tracer();
    let (_guard, pid) = sleeper();
    live.seize(pid.leader(), TraceOptions::default()).unwrap();
    let other = std::thread::spawn(|| Command::new("/bin/true").status().unwrap());
    assert!(other.join().unwrap().success());
    assert_eq!(live.wait(false).unwrap(), None);
}

#[test]
fn refusals_say_why() {
    let mut live = tracer();
    let mut child = Guard(Command::new("/bin/true").spawn().unwrap());
    let zombie = Tid(child.0.id() as i32);
    let deadline = Instant::now() + PATIENCE;
    while proc::read_status(zombie).unwrap().state != 'Z' {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert!(live.seize(zombie, TraceOptions::default()).unwrap_err().to_string().contains("zombie"));
    child.0.wait().unwrap();
    assert!(matches!(live.seize(zombie, TraceOptions::default()), Err(InferiorError::Gone(_))));
    let kernel = live.seize(Tid(2), TraceOptions::default()).unwrap_err().to_string();
    eprintln!("task 2: {kernel}");
    let own = live.seize(Tid(std::process::id() as i32), TraceOptions::default()).unwrap_err().to_string();
    assert!(own.contains("rdbg itself"), "{own}");
}

/// Has the kernel refuse pwrite64(2) to this thread, by which /proc/PID/mem is written.
fn refuse_writes_to_files() {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        // The number of the call: the first word of struct seccomp_data.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_pwrite64 as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program outlives the call, which copies it; the filter is the calling thread's alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program), 0);
    }
}

#[test]
fn where_proc_mem_may_not_be_written_a_stopped_tasks_text_is_poked() {
    let (_guard, pid) = sleeper();
    let mut live = tracer();
    live.seize(pid.leader(), TraceOptions::default()).unwrap();
    let maps = live.maps(pid).unwrap();
    let text = maps.iter().find(|one| one.exec && !one.write).unwrap().range.start;
    // Over the edge of a word, and of no whole one.
    let at = text.offset(5);
    let mut before = [0; 14];
    assert_eq!(live.read_mem(pid, text, &mut before), Ok(14));
    refuse_writes_to_files();
    // A task that runs can be written by neither.
    assert_eq!(live.write_mem(pid, at, &[0xcc; 5]), Err(MemError::Refused { at, errno: libc::EPERM }));
    stop(&mut live, pid.leader());
    live.write_mem(pid, at, &[0xcc; 5]).unwrap();
    let mut now = [0; 14];
    assert_eq!(live.read_mem(pid, text, &mut now), Ok(14));
    assert_eq!((&now[..5], &now[5..10], &now[10..]), (&before[..5], &[0xcc; 5][..], &before[10..]));
    live.write_mem(pid, at, &before[5..10]).unwrap();
    assert_eq!(live.read_mem(pid, text, &mut now), Ok(14));
    assert_eq!(now, before);
    live.detach(pid.leader(), None).unwrap();
}
