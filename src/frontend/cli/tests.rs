use std::ffi::OsString;

use super::*;
use crate::api::{
    BreakpointAction, CacheRequest, Command, FollowFork, ModuleFilter, NamesQuestion, TargetSelector, Toggle, Where,
};
use crate::base::Pid;

fn parse(line: &str) -> Result<(Plan, Options), clap::Error> {
    let words = crate::frontend::repl::words::split_words(line).unwrap();
    parse_args(std::iter::once("rdbg".to_owned()).chain(words).map(OsString::from))
}

fn session(line: &str) -> SessionPlan {
    match parse(line) {
        Ok((Plan::Session(plan), _)) => plan,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn targets_of_attach_and_run() {
    assert_eq!(session("attach envoy").target, TargetSelector::Name { name: "envoy".into() });
    assert_eq!(session("attach --pid 12").target, TargetSelector::Pid { pid: Pid(12) });
    let waited = session("attach --waitfor envoy --include-existing --wait-method scan");
    let expected =
        TargetSelector::WaitFor { name: "envoy".into(), include_existing: Toggle::On, method: Some("scan".into()) };
    assert_eq!(waited.target, expected);
    let followed = session("attach pilot-agent --follow child --until-exec envoy");
    assert_eq!(followed.until_exec.as_deref(), Some("envoy"));
    assert_eq!(followed.session_name(), "envoy");
    let run = session("run --until-exec envoy -- pilot-agent --ex a -x");
    let args = ["--ex", "a", "-x"].map(OsString::from).to_vec();
    assert_eq!(run.target, TargetSelector::Launch { program: "pilot-agent".into(), args });
    assert_eq!(run.at_entry, AtEntry::GoOn);
    assert_eq!(session("run --stop-at-entry ls -l").at_entry, AtEntry::Stay);
}

#[test]
fn breakpoints_with_and_without_a_target() {
    let plan = session("break --regex '.*OsSysCallsImpl.*' --module envoy --log --count 3 --pid 4");
    let spec = plan.breakpoint.unwrap();
    assert_eq!(spec.location, Where::Regex(".*OsSysCallsImpl.*".into()));
    assert_eq!(spec.module, ModuleFilter::Named("envoy".into()));
    assert_eq!(spec.action, BreakpointAction::Log { count: Some(3) });
    assert!(matches!(session("break --name main -- ls -l").target, TargetSelector::Launch { .. }));
    assert!(matches!(session("break --name main --waitfor x").target, TargetSelector::WaitFor { .. }));
    assert!(matches!(parse("break --basename main").unwrap().0, Plan::RemoteBreak { session: None, .. }));
    assert!(matches!(parse("break --name main --session 5").unwrap().0, Plan::RemoteBreak { session: Some(_), .. }));
}

#[test]
fn common_options_keep_their_order() {
    let (_, options) = parse("run --ex 'b main' -x file --ex bt --batch --json --follow both -- ls").unwrap();
    assert_eq!(
        options.scripts,
        [Scripted::Line("b main".into()), Scripted::File("file".into()), Scripted::Line("bt".into())]
    );
    assert_eq!(options.batch, Batch::Leave);
    assert_eq!(options.output, OutputKind::Json);
    assert_eq!(options.follow, Some(FollowFork::Both));
    let (_, options) = parse("--ex bt attach x").unwrap();
    assert_eq!(options.scripts, [Scripted::Line("bt".into())]);
}

#[test]
fn the_other_verbs() {
    let (plan, _) = parse("ctl --session envoy break --regex 'a b'").unwrap();
    let Plan::Control { session, command: Command::Break { spec }, .. } = plan else { panic!("{plan:?}") };
    assert_eq!(session.as_deref(), Some("envoy"));
    assert_eq!(spec.location, Where::Regex("a b".into()));
    for line in ["ctl print '6 * 7'", "ctl 'print 6 * 7'", "ctl p 6 '*' 7"] {
        let Plan::Control { command: Command::Print { expression, .. }, .. } = parse(line).unwrap().0 else { panic!() };
        assert_eq!(expression, "6 * 7", "{line}");
    }
    let condition = Some("arg0 == 3".to_owned());
    let (plan, _) = parse("ctl condition 2 'arg0 == 3'").unwrap();
    assert!(matches!(plan, Plan::Control { command, .. } if command == Command::Condition { id: 2, condition }));
    assert!(matches!(parse("ctl 'info threads'").unwrap().0, Plan::Control { command: Command::ListThreads, .. }));
    let question = |line: &str| match parse(line).unwrap().0 {
        Plan::Names(request) => request.question,
        plan => panic!("{plan:?}"),
    };
    assert!(matches!(question("symbols f --regex a"), NamesQuestion::Functions { limit: None, .. }));
    assert!(matches!(question("symbols --pid 4"), NamesQuestion::SourcesOf { pid: Pid(4) }));
    assert_eq!(question("cache --limit 5"), NamesQuestion::Cache(CacheRequest::Limit(5_000_000)));
    assert!(parse("symbols").is_err() && parse("symbols f --pid 4").is_err() && parse("index").is_err());
    assert_eq!(parse("ps --match a").unwrap().0, Plan::Processes { matching: Some("a".into()) });
}

#[test]
fn bad_usage_is_refused_with_status_2() {
    for line in [
        "",
        "attach",
        "attach a --pid 3",
        "attach --pid 0",
        "attach --pid x",
        "attach x --include-existing",
        "attach --waitfor ''",
        "attach --waitfor /bin/",
        "run",
        "break",
        "break --regex a --name b --pid 3",
        "break --name a --count 3 --pid 3",
        "break --name a --pid 3 -- ls",
        "break --name a --until-exec b",
        "break --regex '' --pid 3",
        "ctl",
        "ctl nonsense",
        "ctl help",
        "trace",
        "attach x --follow nobody",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    assert_eq!(parse("--version").unwrap_err().exit_code(), 0);
    assert_eq!(parse("break --help").unwrap_err().exit_code(), 0);
}
