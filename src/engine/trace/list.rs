//! `rdbg trace -l`: the probes there are.

use super::begin::Script;
use super::files;
use super::place::spelled_out;
use crate::api::{ApiError, Outcome, ProbeList, Reply, Toggle, TraceSpec};
use crate::base::Inferior;
use crate::engine::state::Engine;
use crate::lang::script::point::{glob, Place};
use crate::target::syscalls::{find_kernel_call, kernel_calls};

/// Probes that need no file.
const KINDS: [&str; 9] = [
    "BEGIN",
    "END",
    "interval:hz:",
    "interval:ms:",
    "interval:s:",
    "profile:hz:",
    "self:signal:SIGUSR1",
    "signal:",
    "kretprobe:inet_csk_accept",
];

impl<I: Inferior> Engine<I> {
    /// The probes that a script has or whose names match a pattern, one a line.
    pub(in crate::engine) fn list_probes(&mut self, of: &ProbeList, fields: Toggle) -> Outcome {
        let mut names = match of {
            ProbeList::Matching { glob } => matching(glob)?,
            ProbeList::Script { spec } => self.probes_of(spec)?,
        };
        if fields == Toggle::On {
            names = names.into_iter().flat_map(with_fields).collect();
        }
        names.push(String::new());
        Ok(Reply::Text { text: names.join("\n") })
    }

    /// Each place that a script's probes hang on, in the script's order.
    fn probes_of(&mut self, spec: &TraceSpec) -> Result<Vec<String>, ApiError> {
        let Script { program, files, .. } = self.read_script(spec)?;
        let places: Vec<_> = files.iter().flat_map(|file| &file.places).collect();
        let mut names = Vec::new();
        for (number, probe) in program.probes.iter().enumerate() {
            if !probe.point.is_in_file() {
                names.push(probe.text.clone());
                continue;
            }
            let number = number as u32;
            let ours = places.iter().filter(|one| one.entry.contains(&number) || one.returns.contains(&number));
            names.extend(ours.map(|place| spelled_out(&probe.point, &place.name)));
        }
        Ok(names)
    }
}

fn matching(pattern: &str) -> Result<Vec<String>, ApiError> {
    let mut names = Vec::new();
    let long = pattern.strip_prefix("t:").map(|rest| format!("tracepoint:{rest}"));
    let pattern = long.as_deref().unwrap_or(pattern);
    let parts: Vec<&str> = pattern.splitn(3, ':').collect();
    if let [provider @ ("uprobe" | "u" | "uretprobe" | "ur"), path, function] = parts.as_slice() {
        let kind = if provider.contains('r') && *provider != "uprobe" { "uretprobe" } else { "uprobe" };
        for file in files::find(path) {
            let module = files::open(&file).map_err(ApiError::user)?;
            let place = match function.strip_prefix("cpp:") {
                Some(demangled) => Place::Demangled(demangled.to_owned()),
                None => Place::Linked((*function).to_owned(), 0),
            };
            let found = files::places(&module, &place).map_err(ApiError::user)?;
            names.extend(found.iter().map(|one| format!("{kind}:{}:{}", file.display(), one.name)));
        }
    } else if let ["usdt" | "U", path, wanted] = parts.as_slice() {
        let (provider, name) = wanted.split_once(':').unwrap_or(("*", wanted));
        for file in files::find(path) {
            let module = files::open(&file).map_err(ApiError::user)?;
            let found = super::usdt::places(&module, provider, name);
            names.extend(found.iter().map(|one| format!("usdt:{}:{}", file.display(), one.name)));
        }
        names.sort();
        names.dedup();
    } else {
        let calls = kernel_calls()
            .flat_map(|call| ["enter", "exit"].map(|side| format!("tracepoint:syscalls:sys_{side}_{}", call.name)));
        let raw = ["sys_enter", "sys_exit"].map(|side| format!("tracepoint:raw_syscalls:{side}"));
        let all = KINDS.iter().map(|one| (*one).to_owned()).chain(calls).chain(raw);
        names.extend(all.filter(|name| glob(pattern, name)));
    }
    Ok(names)
}

/// A probe, and below it what `args` has there, as in a C declaration.
fn with_fields(name: String) -> Vec<String> {
    let call = |side: &str| name.strip_prefix("tracepoint:syscalls:")?.strip_prefix(side).and_then(find_kernel_call);
    let fields: Vec<String> = match (call("sys_enter_"), call("sys_exit_")) {
        (Some(call), _) => call.parameters.split(", ").filter(|one| !one.is_empty()).map(str::to_owned).collect(),
        (_, Some(_)) => vec!["long ret".into()],
        _ => Vec::new(),
    };
    let fields = fields.into_iter().map(|field| format!("    {field}"));
    std::iter::once(name).chain(fields).collect()
}
