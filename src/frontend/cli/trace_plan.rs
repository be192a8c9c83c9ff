//! `rdbg trace`: from its arguments to a plan.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::args::{Quick, Summary, Trace, TraceOutput};
use super::plan::{check_regex, launch_selector, on, wait_selector, wrong, TracePlan, TraceScript};
use crate::api::{QuickSpec, TargetSelector, Toggle, TraceFormat};
use crate::base::Pid;
use crate::frontend::repl::DEFAULT_LIMIT;

/// How many frames a stack has that is folded.
const WHOLE_STACK: u32 = 128;

/// What `rdbg trace` is to do.
pub(super) fn trace_plan(mut args: Trace) -> Result<TracePlan, clap::Error> {
    let (mut named, mut summary) = (None, None);
    let listed = args.list.then(|| on(args.verbose > 0));
    let script = match (listed, args.text) {
        _ if args.info => TraceScript::Info,
        (Some(fields), None) => listed_probes(&mut args.args, fields)?,
        (_, text) if is_quick(&args.quick) => {
            if text.is_some() || args.args.len() > 1 {
                return Err(wrong("--fn and --syscall take a process to trace, and no script"));
            }
            named = args.args.pop().map(|word| process_named(&word));
            summary = args.quick.summary;
            TraceScript::Quick(quick_spec(args.quick, args.format)?)
        }
        (_, Some(text)) => TraceScript::Text(text),
        (None, None) if args.args.is_empty() => {
            return Err(wrong("say what to trace: --fn RE, --syscall NAMES, a script, or a program with -e"));
        }
        (None, None) => TraceScript::File(PathBuf::from(args.args.remove(0))),
    };
    let command = args.command.map(|text| split_command(&text)).transpose()?.unwrap_or_default();
    let launched = launch_selector(command)?.map_or_else(|| launch_selector(args.program), |one| Ok(Some(one)))?;
    let target = match (args.pid, args.attach, wait_selector(args.waiting)?, launched) {
        (Some(pid), ..) => Some(TargetSelector::Pid { pid: Pid(pid) }),
        (_, Some(name), ..) => Some(TargetSelector::Name { name }),
        (_, _, Some(selector), _) | (_, _, _, Some(selector)) => Some(selector),
        _ => None,
    };
    let target = match (target, named) {
        (Some(_), Some(_)) => return Err(wrong("one process to trace, not two")),
        (target, named) => target.or(named),
    };
    if listed.is_some() && matches!(script, TraceScript::Quick(_)) {
        return Err(wrong("-l lists the probes of scripts; `rdbg symbols FILE RE` lists functions"));
    }
    if target.is_none() && matches!(script, TraceScript::Quick(_)) {
        return Err(wrong("name a process: NAME, PID, --waitfor NAME, or -- PROGRAM ARGS"));
    }
    let format = match (args.format, summary) {
        (_, Some(Summary::Sockets)) => TraceFormat::Sockets,
        (TraceOutput::Text, _) => TraceFormat::Text,
        (TraceOutput::Json, _) => TraceFormat::Json,
        (TraceOutput::Perfetto, _) => TraceFormat::Perfetto,
        (TraceOutput::Folded, _) => TraceFormat::Folded,
        (TraceOutput::Flame, _) => TraceFormat::Flame,
    };
    if !matches!(format, TraceFormat::Text | TraceFormat::Json) && !matches!(script, TraceScript::Quick(_)) {
        return Err(wrong("-f perfetto, folded and flame go with --fn and --syscall; a script writes text or json"));
    }
    Ok(TracePlan {
        script,
        listed,
        parameters: args.args,
        target,
        format,
        output: args.output,
        quiet: on(args.quiet),
        unsafe_functions: on(args.allow_unsafe),
        duration: args.duration.as_deref().map(parse_duration).transpose()?,
    })
}

/// What `-l` is asked for: a script that is there, else a pattern, as bpftrace decides it.
fn listed_probes(words: &mut Vec<String>, fields: Toggle) -> Result<TraceScript, clap::Error> {
    let Some(word) = words.first() else {
        return Ok(TraceScript::List { glob: "*".to_owned(), fields });
    };
    if PathBuf::from(word).is_file() {
        return Ok(TraceScript::File(PathBuf::from(words.remove(0))));
    }
    match words.as_slice() {
        [glob] => Ok(TraceScript::List { glob: glob.clone(), fields }),
        _ => Err(wrong("-l takes one pattern; quote it, so that the shell leaves it whole")),
    }
}

/// A process by its id or name.
fn process_named(word: &str) -> TargetSelector {
    match word.parse() {
        Ok(pid) if pid > 0 => TargetSelector::Pid { pid: Pid(pid) },
        _ => TargetSelector::Name { name: word.to_owned() },
    }
}

fn is_quick(args: &Quick) -> bool {
    !args.functions.is_empty() || !args.syscalls.is_empty() || args.summary.is_some()
}

fn quick_spec(args: Quick, format: TraceOutput) -> Result<QuickSpec, clap::Error> {
    let by_stack = matches!(format, TraceOutput::Folded | TraceOutput::Flame);
    if by_stack && args.returns {
        return Err(wrong("-f folded and flame count calls at their entry: they take no --ret"));
    }
    args.functions.iter().try_for_each(|regex| check_regex(Some(regex)))?;
    Ok(QuickSpec {
        functions: args.functions,
        module: args.module,
        limit: args.limit.unwrap_or(DEFAULT_LIMIT),
        calls: args.syscalls.iter().map(|name| name.trim().to_owned()).collect(),
        returns: on(args.returns || format == TraceOutput::Perfetto || args.summary.is_some()),
        sockets: on(args.summary.is_some()),
        stack: args.stack.unwrap_or(if by_stack { WHOLE_STACK } else { 0 }),
        condition: args.condition,
        stop_if: args.stop_if,
        max_rate: args.max_rate,
        count: args.count,
        colours: Toggle::Off,
    })
}

fn parse_duration(text: &str) -> Result<Duration, clap::Error> {
    crate::base::parse_span(text)
        .ok_or_else(|| wrong(format!("--duration: `{text}` is no time; 10s, 500ms, 2m and 1h are")))
}

/// The words of a command, as a shell splits them.
fn split_command(text: &str) -> Result<Vec<OsString>, clap::Error> {
    let words = crate::frontend::repl::split_words(text).map_err(|error| wrong(format!("-c: {error}")))?;
    Ok(words.into_iter().map(OsString::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_nonsense_is_refused() {
        assert_eq!(parse_duration("10s").unwrap(), Duration::from_secs(10));
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("1.5m").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("3").unwrap(), Duration::from_secs(3));
        for bad in ["", "s", "0", "-1s", "1x", "1e400s", "99999999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
