//! Real execs, caught.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::*;
use crate::base::{Inferior, PtraceEvent, Resume, Signal, TraceOptions, VirtAddr, WaitStatus};
use crate::os::tests::{copy_program, next};
use crate::os::{Doorbell, LiveInferior};

const PATIENCE: Duration = Duration::from_secs(20);

/// A program of a name that nothing else has, tests of another run neither.
struct Program {
    _directory: tempfile::TempDir,
    path: PathBuf,
    name: String,
}

fn own_name(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn program(name: &str) -> Program {
    let name = &own_name(name);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    copy_program("/bin/sleep", &path);
    Program { _directory: directory, path, name: name.to_owned() }
}

/// Spawns on another thread, as spawn returns only after the exec that is being held.
fn spawn(path: &Path) -> Receiver<Child> {
    let (send, receive) = mpsc::channel();
    let path = path.to_owned();
    std::thread::spawn(move || {
        send.send(
            Command::new(path)
                .arg("1000")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    });
    receive
}

fn end(child: &Receiver<Child>) {
    let mut child = child.recv_timeout(PATIENCE).unwrap();
    child.kill().unwrap();
    // A tracer in this process may have collected it.
    let _ = child.wait();
}

/// A watch by one method, and its events after the first. `None`, loudly, without the privilege.
fn watch(name: &str, method: WatchMethod) -> Option<(ExecWatch, Receiver<WatchEvent>)> {
    let (send, receive) = mpsc::channel();
    let spec = WatchSpec { name: name.to_owned(), methods: Some(vec![method]) };
    let sink: WatchSink = Box::new(move |event| send.send(event).unwrap_or(()));
    match ExecWatch::start(spec, sink) {
        Ok(watch) => {
            let first = receive.recv_timeout(PATIENCE).unwrap();
            assert!(matches!(first, WatchEvent::Method { chosen, .. } if chosen == method), "{first:?}");
            Some((watch, receive))
        }
        Err(error) => {
            eprintln!("SKIPPED, NOT TESTED: {method} does not work here: {error}");
            None
        }
    }
}

fn exec_of(events: &Receiver<WatchEvent>) -> (Tid, ExecAnswer) {
    match events.recv_timeout(PATIENCE).unwrap() {
        WatchEvent::Exec { tid, answer } => (tid, answer),
        other => panic!("{other:?}"),
    }
}

/// The entry point of the ELF interpreter: where a dynamic program's first instruction is.
fn interpreter_entry(live: &LiveInferior, pid: Pid) -> VirtAddr {
    let auxv = live.auxv(pid).unwrap();
    let base = auxv.iter().find(|(kind, _)| *kind == libc::AT_BASE).unwrap().1;
    let mut entry = [0; 8];
    live.read_mem(pid, VirtAddr(base + 24), &mut entry).unwrap();
    VirtAddr(base + u64::from_le_bytes(entry))
}

#[test]
fn fanotify_catches_each_of_20_at_the_first_instruction() {
    let program = program("rdbg-wait-fan");
    let Some((_watch, events)) = watch(program.path.to_str().unwrap(), WatchMethod::Fanotify) else { return };
    let mut live = LiveInferior::new(&Doorbell::for_this_thread());
    let mut times = Vec::new();
    for _ in 0..20 {
        let child = spawn(&program.path);
        let (tid, answer) = exec_of(&events);
        let asked = Instant::now();
        live.seize(tid, TraceOptions { kill_on_exit: true, ..TraceOptions::default() }).unwrap();
        answer.allow();
        let stop = next(&mut live);
        times.push(asked.elapsed());
        if answer.was_stopped() {
            eprintln!("a run was too slow for the tracer and had to be stopped: {stop:?}");
            live.detach(tid, None).unwrap();
            live.kill(tid.as_leader_of(), Signal::CONT).unwrap();
        } else {
            assert_eq!(stop, (tid, WaitStatus::Event(PtraceEvent::Exec)));
            assert_eq!(live.regs(tid).unwrap().pc(), interpreter_entry(&live, tid.as_leader_of()));
            live.detach(tid, None).unwrap();
        }
        end(&child);
        // The tempdir's next exec is another process, perhaps of the same number.
        assert!(events.try_recv().is_err());
    }
    times.sort();
    eprintln!("fanotify: told to exec stop {:?} (median), {:?} (slowest)", times[10], times[19]);
}

#[test]
fn fanotify_stops_the_task_of_a_silent_tracer() {
    let program = program("rdbg-wait-old");
    let Some((_watch, events)) = watch(program.path.to_str().unwrap(), WatchMethod::Fanotify) else { return };
    let child = spawn(&program.path);
    let (tid, answer) = exec_of(&events);
    let deadline = Instant::now() + PATIENCE;
    while !answer.was_stopped() {
        assert!(Instant::now() < deadline, "held for ever");
        std::thread::yield_now();
    }
    let mut live = LiveInferior::new(&Doorbell::for_this_thread());
    live.seize(tid, TraceOptions::default()).unwrap();
    let stopped = |status| {
        matches!(
            status,
            WaitStatus::SignalDelivery(Signal::STOP)
                | WaitStatus::GroupStop(Signal::STOP)
                | WaitStatus::Event(PtraceEvent::Exec)
        )
    };
    let (who, status) = next(&mut live);
    assert!(who == tid && stopped(status), "{status:?}");
    assert_eq!(live.exe(tid.as_leader_of()).unwrap(), program.path);
    assert_eq!(live.regs(tid).unwrap().pc(), interpreter_entry(&live, tid.as_leader_of()));
    eprintln!("fanotify, silent tracer: {status:?} at the first instruction");
    live.kill(tid.as_leader_of(), Signal::CONT).unwrap();
    live.resume(tid, Resume::CONTINUE).unwrap();
    live.kill(tid.as_leader_of(), Signal::KILL).unwrap();
    end(&child);
}

#[test]
fn an_unanswered_exec_goes_on_when_the_watch_or_the_answer_ends() {
    let program = program("rdbg-wait-drop");
    let Some((watch, events)) = watch(program.path.to_str().unwrap(), WatchMethod::Fanotify) else { return };
    let first = spawn(&program.path);
    drop(exec_of(&events));
    end(&first);
    let second = spawn(&program.path);
    let (_tid, answer) = exec_of(&events);
    watch.stop();
    let child = second.recv_timeout(PATIENCE).unwrap();
    // The spawn has returned, hence the exec went on.
    answer.allow();
    let (send, receive) = mpsc::channel();
    send.send(child).unwrap();
    end(&receive);
    // Nothing is marked any more.
    let third = spawn(&program.path);
    end(&third);
    assert!(events.try_recv().is_err());
}

/// Each held child has a copy of the group's descriptor, so that the end of the watch does not close the group.
#[test]
fn everybody_who_waits_goes_on_at_the_end_of_the_watch() {
    let program = program("rdbg-wait-many");
    for _ in 0..10 {
        let Some((watch, events)) = watch(program.path.to_str().unwrap(), WatchMethod::Fanotify) else { return };
        let children: Vec<_> = (0..4).map(|_| spawn(&program.path)).collect();
        let (_tid, _answer) = exec_of(&events);
        watch.stop();
        children.iter().for_each(end);
    }
}

#[test]
fn fanotify_catches_a_name_that_is_no_file_yet() {
    let name = "rdbg-wait-late";
    let Some((_watch, events)) = watch(&own_name(name), WatchMethod::Fanotify) else { return };
    let program = program(name);
    let child = spawn(&program.path);
    let (tid, answer) = exec_of(&events);
    answer.allow();
    let child = child.recv_timeout(PATIENCE).unwrap();
    assert_eq!(tid, Tid(child.id() as i32));
    let (send, receive) = mpsc::channel();
    send.send(child).unwrap();
    end(&receive);
}

#[test]
fn inotify_and_polling_find_new_processes_only() {
    for (name, method) in [("rdbg-wait-ino", WatchMethod::Inotify), ("rdbg-wait-poll", WatchMethod::Poll)] {
        let program = program(name);
        let running = spawn(&program.path).recv_timeout(PATIENCE).unwrap();
        // By its bare name: the file is known from the running process alone.
        let Some((_watch, events)) = watch(&program.name, method) else { continue };
        for _ in 0..5 {
            let begun = Instant::now();
            let child = spawn(&program.path).recv_timeout(PATIENCE).unwrap();
            let WatchEvent::Candidate { pid } = events.recv_timeout(PATIENCE).unwrap() else { panic!() };
            eprintln!("{method}: found {:?} after the spawn was asked for", begun.elapsed());
            assert_eq!(pid, Pid(child.id() as i32));
            let (send, receive) = mpsc::channel();
            send.send(child).unwrap();
            end(&receive);
        }
        let (send, receive) = mpsc::channel();
        send.send(running).unwrap();
        end(&receive);
        assert!(events.try_recv().is_err());
    }
}

#[test]
fn the_rejected_methods_are_named() {
    let (send, receive) = mpsc::channel();
    let spec =
        WatchSpec { name: "rdbg-nowhere".to_owned(), methods: Some(vec![WatchMethod::Inotify, WatchMethod::Poll]) };
    let watch = ExecWatch::start(spec, Box::new(move |event| send.send(event).unwrap_or(()))).unwrap();
    match receive.recv_timeout(PATIENCE).unwrap() {
        WatchEvent::Method { chosen: WatchMethod::Poll, rejected, note: Some(_) } => {
            assert_eq!(rejected[0].0, WatchMethod::Inotify);
            assert!(rejected[0].1.contains("rdbg-nowhere"));
        }
        other => panic!("{other:?}"),
    }
    let begun = Instant::now();
    watch.stop();
    assert!(begun.elapsed() < Duration::from_secs(5));
}
