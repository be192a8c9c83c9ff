//! Which processes a script can be for that names none: as far as its probes and predicates tell.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::timers::Timers;
use super::TracedFile;
use crate::base::{Inferior, Pid};
use crate::engine::state::Engine;
use crate::lang::operator::{BinaryOp, Logical};
use crate::lang::script::program::{Builtin, Code, Program};

/// How often new processes are looked for.
const SCAN_EVERY: Duration = Duration::from_millis(10);
/// The number of the clock's ticks: no probe has it.
pub(super) const SCAN: u32 = u32::MAX;

/// What a process must have for a probe to be hit in it.
pub(in crate::engine) struct Filter {
    /// The name that every predicate asks for.
    comm: Option<String>,
    /// The files, by device and inode, that all probes are in.
    files: Option<HashSet<(u64, u64)>>,
}

/// A thread that rings when new processes are to be looked for.
pub(in crate::engine) struct ScanClock(#[allow(dead_code)] Option<Timers>);

impl Filter {
    fn of(program: &Program, traced: &[TracedFile]) -> Filter {
        let mut probes = program.probes.iter().filter(|one| !one.point.is_of_no_task());
        let comm = probes.clone().next().and_then(|one| required_comm(one.predicate.as_ref()?));
        let all_ask = |wanted: &String| {
            probes.clone().all(|one| one.predicate.as_ref().and_then(required_comm).as_ref() == Some(wanted))
        };
        let comm = comm.filter(all_ask);
        let in_files = probes.all(|one| one.point.is_in_file());
        let files = in_files.then(|| {
            let identity =
                |file: &TracedFile| std::fs::metadata(file.module.path()).ok().map(|one| (one.dev(), one.ino()));
            traced.iter().filter_map(identity).collect()
        });
        Filter { comm, files }
    }

    /// Whether a probe can be hit in a process, as it is now.
    pub(in crate::engine) fn admits(&self, pid: Pid) -> bool {
        let named = |comm: &String| {
            let now = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            now.trim_end_matches('\n') == comm
        };
        let maps_one = |files: &HashSet<(u64, u64)>| {
            let maps = crate::os::read_maps(pid).unwrap_or_default();
            maps.iter().any(|one| files.contains(&one.file_id))
        };
        self.comm.as_ref().is_none_or(named) && self.files.as_ref().is_none_or(maps_one)
    }

    /// For the line that says what is watched.
    pub(in crate::engine) fn describe(&self) -> String {
        let named = self.comm.as_ref().map(|comm| format!(" and that is called {comm}")).unwrap_or_default();
        let mapped = if self.files.is_some() { " and that has mapped a probed file" } else { "" };
        named + mapped
    }
}

/// The name without which a condition cannot hold: `/comm == "envoy"/`.
fn required_comm(condition: &Code) -> Option<String> {
    match condition {
        Code::Logical(Logical::And, a, b) => required_comm(a).or_else(|| required_comm(b)),
        Code::Same(a, b) => match (&**a, &**b) {
            (Code::Builtin(Builtin::Comm), Code::Text(text)) | (Code::Text(text), Code::Builtin(Builtin::Comm)) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            _ => None,
        },
        Code::Binary(BinaryOp::Ne, _, one, zero) if **zero == Code::Integer(0) => required_comm(one),
        Code::Truth(of) => required_comm(of),
        _ => None,
    }
}

impl<I: Inferior> Engine<I> {
    /// What the trace's script says of the processes that it is for.
    pub(in crate::engine) fn trace_filter(&self) -> Filter {
        match &self.trace {
            Some(tracing) => Filter::of(tracing.machine.program(), &tracing.files),
            None => Filter { comm: None, files: None },
        }
    }

    /// Starts the clock by which new processes are looked for.
    pub(in crate::engine) fn scan_clock(&self) -> std::io::Result<ScanClock> {
        let period = SCAN_EVERY.as_nanos() as u64;
        Timers::start(&[(SCAN, period)], self.input_sender.clone(), self.doorbell.clone()).map(ScanClock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::script::{compile, CompileOptions, Safety, Source};

    fn filter(text: &str) -> Filter {
        let options = CompileOptions { parameters: &[], environment: &|_| None, safety: Safety::Safe };
        let source = Source { name: "stdin".into(), text: text.into() };
        let compiled = compile(&source, &options).unwrap_or_else(|errors| panic!("{}", source.explain(&errors[0])));
        Filter::of(&compiled.program, &[])
    }

    #[test]
    fn a_name_that_every_predicate_asks_for_confines_the_trace() {
        let bind = "tracepoint:syscalls:sys_enter_bind";
        let all = filter(&format!(
            "BEGIN {{}} {bind} /comm == \"envoy\"/ {{}} {bind} /@x && comm == \"envoy\"/ {{ @x = 1; }}"
        ));
        assert_eq!(all.comm.as_deref(), Some("envoy"));
        assert_eq!(filter(&format!("{bind} /comm == \"envoy\"/ {{}} {bind} {{}}")).comm, None);
        assert_eq!(filter(&format!("{bind} /comm == \"a\" || pid == 3/ {{}}")).comm, None);
        assert_eq!(filter(&format!("{bind} /comm != \"a\"/ {{}}")).comm, None);
        assert!(filter("uprobe:/bin/a:f {}").files.is_some() && filter(&format!("{bind} {{}}")).files.is_none());
    }
}
