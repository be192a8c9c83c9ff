use std::path::PathBuf;

use super::*;
use crate::api::*;
use crate::base::{FileAddr, Pid, Signal, Tid, VirtAddr};

fn thread() -> ThreadRef {
    ThreadRef { number: 3, tid: Tid(1234), pid: Pid(1230), name: "wrk:worker_0".into() }
}

fn place() -> Place {
    Place {
        addr: VirtAddr(0x7f12_3456_7890),
        file_addr: Some(FileAddr(0x10_7890)),
        module: Some("libc.so.6".into()),
        function: Some("epoll_ctl".into()),
        inlined_into: None,
        offset: 0,
        line: None,
    }
}

fn frame(number: u32, how: HowFound) -> FrameRow {
    FrameRow { number, pc: place().addr, cfa: None, place: place(), how, arguments: None }
}

fn argument(name: &str, text: &str, certain: Toggle) -> Argument {
    Argument { name: Some(name.into()), text: text.into(), certain }
}

fn call() -> FunctionCall {
    let arguments = vec![argument("epfd", "5", Toggle::On), argument("op", "EPOLL_CTL_ADD", Toggle::Off)];
    FunctionCall { function: "epoll_ctl".into(), module: Some("libc.so.6".into()), arguments }
}

fn inferior() -> InferiorRow {
    let exe = PathBuf::from("/usr/bin/envoy");
    InferiorRow { number: 1, pid: Pid(123), exe, threads: 2, selected: Toggle::On, launched: Toggle::Off }
}

fn stop(reason: StopReason, call: Option<FunctionCall>) -> Event {
    Event::Stopped {
        epoch: 1,
        reason,
        thread: thread(),
        frame: Some(frame(0, HowFound::Registers)),
        call,
        source: None,
        displays: Vec::new(),
    }
}

fn event(event: &Event) -> String {
    Renderer::PLAIN.event(event).unwrap_or_default()
}

fn reply(reply: &Reply) -> String {
    Renderer::PLAIN.reply(reply, Detail::Plain).unwrap_or_default()
}

#[test]
fn stops() {
    assert_eq!(
        event(&stop(StopReason::Breakpoint { ids: vec![1] }, Some(call()))),
        "Breakpoint 1, epoll_ctl(epfd=5, op=EPOLL_CTL_ADD?) at epoll_ctl+0 libc.so.6\n  \
         thread 3 \"wrk:worker_0\" [1234] of process 1230"
    );
    for (reason, text) in [
        (StopReason::Interrupt, "Stopped by interrupt at epoll_ctl+0 libc.so.6"),
        (StopReason::Signal { signal: Signal::SEGV }, "Signal SIGSEGV at epoll_ctl+0 libc.so.6"),
        (StopReason::Step, "Step at epoll_ctl+0 libc.so.6"),
        (
            StopReason::Finished { value: 5, returned: ReturnedValue::Untyped },
            "Finished, returned 0x5 (5) at epoll_ctl+0 libc.so.6",
        ),
        (
            StopReason::Exec { exe: "/path/envoy".into() },
            "Held at the first instruction of /path/envoy (pid 1230) at epoll_ctl+0 libc.so.6",
        ),
    ] {
        assert_eq!(event(&stop(reason, None)).lines().next(), Some(text));
    }
}

#[test]
fn hits_catches_waits_and_ends() {
    let hit = Event::Hit {
        breakpoint: 1,
        client: ClientId(0),
        count: 1,
        time_ns: 45_296_789_012_345,
        thread: thread(),
        call: call(),
        returned: None,
    };
    assert_eq!(event(&hit), "12:34:56.789012 wrk:worker_0[1234] epoll_ctl(epfd=5, op=EPOLL_CTL_ADD?)");
    let caught = |at| event(&Event::Caught { process: inferior(), at });
    assert_eq!(caught(CaughtAt::FirstInstruction), "Caught envoy (pid 123) at its first instruction");
    assert_eq!(
        caught(CaughtAt::Loader { place: place() }),
        "Caught envoy (pid 123) in the dynamic loader, at epoll_ctl+0 libc.so.6"
    );
    assert_eq!(caught(CaughtAt::Later { place: place() }), "Caught envoy (pid 123) late, at epoll_ctl+0 libc.so.6");
    let wait = Event::WaitMethod {
        chosen: "envoy by inotify (after its first instructions)".into(),
        rejected: vec![("fanotify".into(), "CAP_SYS_ADMIN is missing".into())],
        note: None,
    };
    assert_eq!(
        event(&wait),
        "Waiting for envoy by inotify (after its first instructions)\n  not by fanotify: CAP_SYS_ADMIN is missing"
    );
    let exit = |status, signal| event(&Event::Exited { pid: Pid(123), status, signal, launched: Toggle::On });
    assert_eq!(exit(0, None), "Process 123 exited with status 0");
    assert_eq!(exit(0, Some(Signal::KILL)), "Process 123 was killed by SIGKILL");
}

fn breakpoint(total: u32) -> BreakpointRow {
    let location = |number| LocationRow {
        number,
        pid: Pid(1),
        place: place(),
        aliases: vec![],
        hits: 0,
        too_hot: None,
        unfit: None,
    };
    BreakpointRow {
        id: 1,
        location: Where::Regex("epoll_.*".into()),
        module: None,
        enabled: Toggle::On,
        temporary: Toggle::Off,
        action: BreakpointAction::Stop,
        condition: None,
        hits: 4,
        ignore: 0,
        locations: (1..=total).take(LISTED_LOCATIONS).map(location).collect(),
        total,
        note: None,
    }
}

#[test]
fn breakpoints() {
    let set = |locations| reply(&Reply::Breakpoint { row: breakpoint(locations) });
    assert_eq!(set(0), "Breakpoint 1 (pending): no module loaded so far has it");
    assert_eq!(set(1), "Breakpoint 1: epoll_ctl+0 libc.so.6, 0x7f1234567890");
    let many = set(51);
    assert_eq!(many.lines().next(), Some("Breakpoint 1: 51 locations"));
    assert_eq!(many.lines().count(), 12);
    assert_eq!(many.lines().nth(1), Some("  1.1 0x00007f1234567890 epoll_ctl+0 libc.so.6"));
    assert_eq!(
        reply(&Reply::Breakpoints { rows: vec![breakpoint(1)] }),
        "Num Type  Enb Hits    What\n1   stop  y   4       regex epoll_.*\n    1.1 0x00007f1234567890 epoll_ctl+0 libc.so.6"
    );
}

#[test]
fn stacks() {
    let stack = Stack {
        thread: thread(),
        frames: vec![frame(0, HowFound::Registers), frame(12, HowFound::Cfi)],
        truncated: Some("no unwind rule at 0x10".into()),
        more: Toggle::Off,
    };
    let all = Reply::Stacks { stacks: vec![stack.clone()] };
    assert_eq!(
        reply(&all),
        "#0  0x00007f1234567890 epoll_ctl+0 libc.so.6\n#12 0x00007f1234567890 epoll_ctl+0 libc.so.6\n\
         (walk ended: no unwind rule at 0x10)"
    );
    let how = Renderer::PLAIN.reply(&all, Detail::How).unwrap();
    assert!(how.contains("libc.so.6  [cfi]"), "{how}");
    let more = Reply::Stacks { stacks: vec![Stack { more: Toggle::On, truncated: None, ..stack }] };
    assert!(reply(&more).ends_with("(stack continues)"));
}

#[test]
fn registers_instructions_and_symbols() {
    let row = |name: &str, value| RegisterRow { name: name.to_owned(), value };
    let rows = vec![
        row("rax", RegisterValue::Word { value: u64::MAX, width: 8, shown: "-1".to_owned() }),
        row("eflags", RegisterValue::Word { value: 0x246, width: 8, shown: "[ PF ZF IF ]".to_owned() }),
        row("st0", RegisterValue::Float { bytes: vec![0, 0x80, 0xff, 0x3f], shown: "1".to_owned() }),
        row("xmm0", RegisterValue::Wide { bytes: vec![0], shown: "{v4_float = {0x0}}".to_owned() }),
        row("rdi", RegisterValue::NotSaved),
    ];
    assert_eq!(
        reply(&Reply::Registers { rows }),
        "rax            0xffffffffffffffff  -1\n\
         eflags         0x246               [ PF ZF IF ]\n\
         st0            1                   (raw 0x3fff8000)\n\
         xmm0           {v4_float = {0x0}}\n\
         rdi            <not saved>"
    );
    let row = InstructionRow { place: place(), bytes: vec![0xf3, 0x0f], text: "endbr64".into(), current: Toggle::On };
    assert_eq!(reply(&Reply::Disassembly { rows: vec![row] }), "=> 0x00007f1234567890 <epoll_ctl+0>  f3 0f  endbr64");
    let row = SymbolRow {
        address: FileAddr(0x10),
        size: 5,
        name: "main".into(),
        mangled: None,
        module: "a".into(),
        source: "symtab".into(),
    };
    assert_eq!(
        reply(&Reply::Symbols { rows: vec![row], total: 2 }),
        "0x0000000000000010       5 symtab   main\n(1 of 2; --limit shows more)"
    );
}

#[test]
fn lists() {
    assert_eq!(
        reply(&Reply::Inferiors { rows: vec![inferior()] }),
        "  Num Pid Threads How      Executable\n* 1   123 2       attached /usr/bin/envoy"
    );
    let row = ThreadRow { thread: thread(), selected: Toggle::Off, frame: None, state: "running".into() };
    assert_eq!(
        reply(&Reply::Threads { rows: vec![row] }),
        " Num Tid  Name           State   Where\n 3   1234 \"wrk:worker_0\" running"
    );
    let attached = Reply::Attached { process: inferior(), stopped: Toggle::Off };
    assert_eq!(reply(&attached), "Attached to /usr/bin/envoy (pid 123), 2 threads, running");
}

#[test]
fn json_lines_come_back_as_they_were() {
    let json = Renderer { format: Format::Json };
    let value: serde_json::Value =
        serde_json::from_str(&json.event(&stop(StopReason::Step, Some(call()))).unwrap()).unwrap();
    assert_eq!(value["type"], "event");
    let back: Event = serde_json::from_value(value["data"].clone()).unwrap();
    assert_eq!(back, stop(StopReason::Step, Some(call())));
    for one in [
        Reply::Done,
        Reply::Breakpoint { row: breakpoint(2) },
        Reply::Status {
            stopped: Some(StopReason::Finished { value: 1, returned: ReturnedValue::Void }),
            inferiors: vec![inferior()],
        },
        Reply::Registers {
            rows: vec![RegisterRow {
                name: "rax".into(),
                value: RegisterValue::Word { value: u64::MAX, width: 8, shown: "-1".into() },
            }],
        },
        Reply::Attached { process: inferior(), stopped: Toggle::On },
    ] {
        let line = json.reply(&one, Detail::Plain).unwrap();
        assert!(!line.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::from_value::<Reply>(value["data"].clone()).unwrap(), one);
    }
    assert!(json.error(&ApiError::user("no").with_hint("try")).contains("\"hint\":\"try\""));
    assert_eq!(Renderer::PLAIN.error(&ApiError::user("no").with_hint("try")), "error: no\n  try");
}
