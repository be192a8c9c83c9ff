use std::ffi::OsString;
use std::path::PathBuf;

use super::*;
use crate::api::{
    BreakpointAction, BreakpointSpec, Command, FrameMove, Leave, ModuleFilter, RegisterSet, SignalPolicy, StepKind,
    TargetSelector, Toggle, TypeDetail, Where,
};
use crate::base::{Pid, Signal};

fn command(line: &str) -> Command {
    match parse_line(line) {
        Ok(Parsed::Engine { command, .. }) => command,
        other => panic!("{line}: {other:?}"),
    }
}

fn at(location: Where) -> BreakpointSpec {
    plain_spec(location)
}

fn in_module(location: Where, module: &str) -> Command {
    Command::Break { spec: BreakpointSpec { module: ModuleFilter::Named(module.into()), ..at(location) } }
}

fn waitfor(name: &str) -> Command {
    let selector = TargetSelector::WaitFor { name: name.into(), include_existing: Toggle::Off, method: None };
    Command::Target { selector, until_exec: None, hold: Toggle::On }
}

#[test]
fn the_lldb_lines_of_the_seeds_are_accepted_as_written() {
    let libc = "libc.so.6";
    for (line, expected) in [
        (
            "breakpoint set --func-regex .*OsSysCallsImpl.*",
            Command::Break { spec: at(Where::Regex(".*OsSysCallsImpl.*".into())) },
        ),
        (
            "breakpoint set --shlib libc.so.6 --func-regex 'epoll_create.*|epoll_wait|epoll_ctl'",
            in_module(Where::Regex("epoll_create.*|epoll_wait|epoll_ctl".into()), libc),
        ),
        (
            "breakpoint set --shlib libc.so.6 --basename 'epoll_create1'",
            in_module(Where::BaseName("epoll_create1".into()), libc),
        ),
        ("process attach --name pilot-agent --waitfor", waitfor("pilot-agent")),
        ("(lldb) process attach --name /usr/local/bin/envoy --waitfor", waitfor("/usr/local/bin/envoy")),
        ("(lldb) platform process attach --name envoy --waitfor", waitfor("envoy")),
        ("platform process list", Command::Processes { matching: None }),
        (
            "settings set target.process.follow-fork-mode child",
            Command::Set { name: "follow-fork-mode".into(), value: "child".into() },
        ),
        ("(gdb) set follow-fork-mode child", Command::Set { name: "follow-fork-mode".into(), value: "child".into() }),
    ] {
        assert_eq!(command(line), expected, "{line}");
    }
}

#[test]
fn breakpoints_in_gdbs_words() {
    let name = |name: &str| Command::Break { spec: at(Where::Name(name.into())) };
    assert_eq!(command("b main"), name("main"));
    assert_eq!(command("br foo::bar(int, char const*)"), name("foo::bar(int, char const*)"));
    assert_eq!(command("break *0x401000"), Command::Break { spec: at(Where::Address("0x401000".into())) });
    assert_eq!(command("b * main + 4"), Command::Break { spec: at(Where::Address("main + 4".into())) });
    assert_eq!(command("b"), Command::Break { spec: at(Where::Address("$pc".into())) });
    assert_eq!(command("b libc.so.6`epoll_ctl"), in_module(Where::Name("epoll_ctl".into()), "libc.so.6"));
    assert_eq!(command("rbreak ^epoll_.*"), Command::Break { spec: at(Where::Regex("^epoll_.*".into())) });
    let conditional = BreakpointSpec { condition: Some("$rdi == 5".into()), ..at(Where::Name("bind".into())) };
    assert_eq!(command("b bind if $rdi == 5"), Command::Break { spec: conditional.clone() });
    assert_eq!(command("b bind if($rdi == 5)"), {
        Command::Break { spec: BreakpointSpec { condition: Some("($rdi == 5)".into()), ..conditional.clone() } }
    });
    let once = BreakpointSpec { temporary: Toggle::On, ..conditional };
    assert_eq!(command("tbreak bind if $rdi == 5"), Command::Break { spec: once });
    let logged = BreakpointSpec {
        action: BreakpointAction::Log { count: Some(3) },
        limit: 7,
        module: ModuleFilter::Named("libc".into()),
        ..at(Where::Regex("epoll_.*".into()))
    };
    assert_eq!(command("b --regex epoll_.* --module libc --log --count 3 --limit 7"), Command::Break { spec: logged });
    assert!(matches!(parse_line("b --regex"), Err(ParseError::Usage { .. })));
    assert!(matches!(parse_line("b --nonsense x"), Err(ParseError::Usage { .. })));
    assert!(matches!(parse_line("b --name a --regex b"), Err(ParseError::Usage { .. })));
    assert!(matches!(parse_line("b --count 3 x"), Err(ParseError::Usage { .. })));
    assert_eq!(parse_line("b 'x"), Err(ParseError::OpenQuote('\'')));
}

#[test]
fn numbers_of_breakpoints() {
    assert_eq!(command("d 1 3-5"), Command::Delete { ids: vec![1, 3, 4, 5] });
    assert_eq!(command("delete"), Command::Delete { ids: vec![] });
    assert_eq!(command("breakpoint delete 2"), Command::Delete { ids: vec![2] });
    assert_eq!(command("enable 1"), Command::Enable { ids: vec![1], state: Toggle::On });
    assert_eq!(command("breakpoint disable"), Command::Enable { ids: vec![], state: Toggle::Off });
    assert_eq!(command("ignore 1 20"), Command::Ignore { id: 1, count: 20 });
    assert_eq!(command("condition 1 $rdi > 3"), Command::Condition { id: 1, condition: Some("$rdi > 3".into()) });
    assert_eq!(command("condition 1"), Command::Condition { id: 1, condition: None });
    assert!(parse_line("d x").is_err());
    assert!(parse_line("d 5-1").is_err());
}

#[test]
fn short_names_and_prefixes() {
    for (line, expected) in [
        ("c", Command::Continue),
        ("cont", Command::Continue),
        ("process continue", Command::Continue),
        ("si", Command::StepInstruction { kind: StepKind::Into, count: 1 }),
        ("stepi 5", Command::StepInstruction { kind: StepKind::Into, count: 5 }),
        ("ni", Command::StepInstruction { kind: StepKind::Over, count: 1 }),
        ("thread step-inst", Command::StepInstruction { kind: StepKind::Into, count: 1 }),
        ("thread step-inst-over", Command::StepInstruction { kind: StepKind::Over, count: 1 }),
        ("fin", Command::Finish),
        ("thread step-out", Command::Finish),
        ("interrupt", Command::Interrupt),
        ("process interrupt", Command::Interrupt),
        ("bt", Command::Backtrace { limit: None, all_threads: Toggle::Off }),
        ("where 5", Command::Backtrace { limit: Some(5), all_threads: Toggle::Off }),
        ("bt all", Command::Backtrace { limit: None, all_threads: Toggle::On }),
        ("thread apply all bt 3", Command::Backtrace { limit: Some(3), all_threads: Toggle::On }),
        ("thread backtrace", Command::Backtrace { limit: None, all_threads: Toggle::Off }),
        ("f 2", Command::Frame { select: FrameMove::To(2) }),
        ("frame select 2", Command::Frame { select: FrameMove::To(2) }),
        ("up", Command::Frame { select: FrameMove::Up(1) }),
        ("down 2", Command::Frame { select: FrameMove::Down(2) }),
        ("thread 4", Command::Thread { number: Some(4) }),
        ("t", Command::Thread { number: None }),
        ("thread select 4", Command::Thread { number: Some(4) }),
        ("thread list", Command::ListThreads),
        ("i th", Command::ListThreads),
        ("info b", Command::ListBreakpoints),
        ("breakpoint list", Command::ListBreakpoints),
        ("info r", Command::Registers { set: RegisterSet::General }),
        ("i r $rax rip", Command::Registers { set: RegisterSet::Named(vec!["rax".into(), "rip".into()]) }),
        ("register read", Command::Registers { set: RegisterSet::General }),
        ("info sharedlibrary", Command::ListModules),
        ("image list", Command::ListModules),
        ("info inferiors", Command::ListInferiors),
        ("target list", Command::ListInferiors),
        ("info signals", Command::ListSignals),
        ("info functions epoll", Command::Functions { regex: "epoll".into(), limit: 500 }),
        ("info symbol 0x401000", Command::InfoSymbol { expression: "0x401000".into() }),
        ("inferior 2", Command::Inferior { number: 2 }),
        ("detach", Command::Detach),
        ("process detach", Command::Detach),
        ("kill", Command::Kill),
        ("process kill", Command::Kill),
        ("q", Command::Quit { leave: Leave::Default }),
        ("exit", Command::Quit { leave: Leave::Default }),
        ("show follow-fork-mode", Command::Show { name: Some("follow-fork-mode".into()) }),
        ("run", Command::Run { args: None }),
        ("r a 'b c'", Command::Run { args: Some(vec![OsString::from("a"), OsString::from("b c")]) }),
        ("attach --waitfor envoy", waitfor("envoy")),
        ("process attach --waitfor -n envoy", waitfor("envoy")),
    ] {
        assert_eq!(command(line), expected, "{line}");
    }
}

#[test]
fn data_commands() {
    for (line, expected) in [
        ("p $rdi", Command::Print { expression: "$rdi".into(), format: None }),
        ("print/x *(int*)$rsi", Command::Print { expression: "*(int*)$rsi".into(), format: Some('x') }),
        ("p a/b", Command::Print { expression: "a/b".into(), format: None }),
        ("x/4xg $rsp", Command::Examine { spec: "4xg".into(), expression: Some("$rsp".into()) }),
        ("x", Command::Examine { spec: String::new(), expression: None }),
        ("memory read $rsp", Command::Examine { spec: "32xb".into(), expression: Some("$rsp".into()) }),
        ("memory read/4xg $rsp", Command::Examine { spec: "4xg".into(), expression: Some("$rsp".into()) }),
        ("memory read -c 2 -s 8 -f x $rsp", Command::Examine { spec: "2xg".into(), expression: Some("$rsp".into()) }),
        ("set var $rax = 1", Command::Assign { assignment: "$rax = 1".into() }),
        ("set $rax = 1", Command::Assign { assignment: "$rax = 1".into() }),
        ("set {int}0x1000 = 3", Command::Assign { assignment: "{int}0x1000 = 3".into() }),
        ("register write rax 1", Command::Assign { assignment: "$rax = 1".into() }),
        ("set args a b=c", Command::Set { name: "args".into(), value: "a b=c".into() }),
        ("disas", Command::Disassemble { expression: None, count: 10 }),
        ("disassemble main ,20", Command::Disassemble { expression: Some("main".into()), count: 20 }),
        ("disassemble --name main -c 5", Command::Disassemble { expression: Some("main".into()), count: 5 }),
    ] {
        assert_eq!(command(line), expected, "{line}");
    }
    assert!(parse_line("p").is_err());
    assert!(parse_line("p/xx 1").is_err());
    assert!(matches!(parse_line("ptype/x struct S"), Err(ParseError::Usage { .. })));
    let ptype = |line| match command(line) {
        Command::TypeOf { expression, detail } => (expression, detail),
        other => panic!("{other:?}"),
    };
    assert_eq!(ptype("ptype/om struct S"), ("struct S".to_owned(), TypeDetail::Layout));
    assert_eq!(ptype("ptype/m S"), ("S".to_owned(), TypeDetail::Data));
    assert_eq!(ptype("pt/tr S"), ("S".to_owned(), TypeDetail::Definition));
}

#[test]
fn signals_and_targets() {
    let policy = SignalPolicy { stop: Some(Toggle::Off), print: Some(Toggle::Off), pass: Some(Toggle::On) };
    let handled = Command::Handle { signals: vec![Signal::URG], policy };
    assert_eq!(command("handle SIGURG nostop noprint pass"), handled);
    assert_eq!(command("process handle SIGURG -s false -n false -p true"), handled);
    let listed = Command::Handle { signals: vec![Signal::URG, Signal(10)], policy: SignalPolicy::default() };
    assert_eq!(command("info signals SIGURG SIGUSR1"), listed);
    let Command::Handle { signals, policy } = command("handle all stop") else { panic!() };
    assert_eq!(signals.len(), 62);
    assert_eq!(policy, SignalPolicy { stop: Some(Toggle::On), print: Some(Toggle::On), pass: None });
    let selector = TargetSelector::Pid { pid: Pid(123) };
    assert_eq!(
        command("attach 123"),
        Command::Target { selector: selector.clone(), until_exec: None, hold: Toggle::On }
    );
    assert_eq!(command("process attach --pid 123"), Command::Target { selector, until_exec: None, hold: Toggle::On });
    let selector = TargetSelector::Name { name: "envoy".into() };
    assert_eq!(command("attach envoy"), Command::Target { selector, until_exec: None, hold: Toggle::On });
    assert!(parse_line("attach").is_err());
    assert!(parse_line("attach --waitfor --pid 3").is_err());
    assert!(parse_line("handle SIGFOO stop").is_err());
}

#[test]
fn what_the_prompt_does_itself() {
    for (line, expected) in [
        ("help bt", Local::Help(Some("bt".into()))),
        ("source a b", Local::Source(PathBuf::from("a b"))),
        ("set confirm off", Local::Confirm(Toggle::Off)),
        ("settings set auto-confirm true", Local::Confirm(Toggle::Off)),
        ("json on", Local::Json(Toggle::On)),
        ("echo hi there", Local::Echo("hi there".into())),
        ("history 5", Local::History(Some(5))),
    ] {
        assert_eq!(parse_line(line), Ok(Parsed::Local(expected)), "{line}");
    }
    for line in ["", "   ", "# a comment", "(lldb)"] {
        assert_eq!(parse_line(line), Ok(Parsed::Nothing), "{line}");
    }
    let how = parse_line("bt --how 3");
    assert!(matches!(how, Ok(Parsed::Engine { detail: Detail::How, .. })), "{how:?}");
}

#[test]
fn unknown_names_tell_the_nearest() {
    let nearest = |line: &str| match parse_line(line) {
        Err(ParseError::Unknown { nearest, .. }) => nearest,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(nearest("brake main").as_deref(), Some("break"));
    assert_eq!(nearest("contineu").as_deref(), Some("continue"));
    assert_eq!(nearest("info treads").as_deref(), Some("info threads"));
    assert_eq!(nearest("xyzzyplugh"), None);
    assert!(matches!(parse_line("info"), Err(ParseError::Ambiguous { .. })));
    assert!(matches!(parse_line("st"), Err(ParseError::Ambiguous { .. })), "{:?}", parse_line("st"));
}

#[test]
fn every_name_in_the_table_names_its_own_row() {
    for spec in table::all_commands() {
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            let found = parse::find_spec(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(found.name, spec.name, "{name}");
        }
    }
}
