//! The beginning of a trace: the script is compiled, its files are searched, the printer starts, BEGIN runs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::arguments::names_of;
use super::quick::empty_program;
use super::timers::Timers;
use super::valve::UNREAD;
use super::{files, usdt, Caches, Target, TracedCalls, TracedFile, TracedPlace, Tracing};
use crate::api::{ApiError, ClientId, Event, Outcome, Reply, Toggle, TraceFormat, TraceScope, TraceSpec, TraceStream};
use crate::base::{Inferior, Pid, Signal};
use crate::binary::Module;
use crate::engine::state::Engine;
use crate::lang::script::point::{Place, Point, Side};
use crate::lang::script::program::{Clock, Missing, Probe, Program};
use crate::lang::script::{compile, CompileOptions, Diagnostic, Safety, Source};
use crate::target::syscalls::find_kernel_call;
use crate::target::task::Origin;
use crate::trace::call::{Layout, Paint};
use crate::trace::printer::OutputFormat;
use crate::trace::{run_printer, Machine, Machinery, NoTask, Printed, PrinterOptions, Record, Stream};

/// Clocks and processors, by os.
struct System;

/// A script that has been read.
pub(super) struct Script {
    pub(super) program: Arc<Program>,
    pub(super) files: Vec<TracedFile>,
    warnings: Vec<String>,
}

/// What to do where the linker's names are gone.
const STRIPPED: &str = "the file is stripped; PATH:cpp:*A::f* matches names that rdbg recovers, as --fn does";

impl Machinery for System {
    fn clock(&self, clock: Clock) -> u64 {
        crate::os::clock_nanoseconds(match clock {
            Clock::Boot => crate::os::Clock::Boot,
            Clock::Monotonic => crate::os::Clock::Monotonic,
            Clock::Tai => crate::os::Clock::Tai,
            Clock::Real => crate::os::Clock::Real,
        })
    }

    fn processors(&self) -> u32 {
        std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
    }
}

impl<I: Inferior> Engine<I> {
    /// `rdbg trace`: compiles and begins. Processes come afterwards, by `Target`, or are there already.
    pub(in crate::engine) fn begin_trace(&mut self, client: ClientId, spec: TraceSpec) -> Outcome {
        if self.trace.is_some() {
            return Err(ApiError::user("a trace is under way already").with_hint("end it first"));
        }
        let Script { program, files, warnings } = match &spec.quick {
            Some(_) => Script { program: Arc::new(empty_program()), files: Vec::new(), warnings: Vec::new() },
            None => self.read_script(&spec)?,
        };
        let probes = count_probes(&program, &files);
        let scope = scope_of(&program, spec.pid);
        let quick = spec.quick.as_ref().map(|quick| self.begin_quick(client, quick).map(Box::new)).transpose()?;
        let mut tracing = self.start(client, &program, files, &spec)?;
        tracing.quick = quick;
        for signal in Signal::all() {
            let pass =
                crate::api::SignalPolicy { stop: Some(Toggle::Off), print: Some(Toggle::Off), pass: Some(Toggle::On) };
            self.settings.handle(signal, pass);
        }
        let now = crate::os::clock_nanoseconds(crate::os::Clock::Real);
        let output = tracing.machine.output();
        match spec.quick {
            Some(_) => output.send_surely(Record::CallsBegin(now)),
            None => {
                output.send_surely(Record::Begin(now));
                output.send_surely(Record::Attached(probes));
            }
        }
        for (at, probe) in program.probes.iter().enumerate() {
            if probe.point == Point::Begin {
                tracing.machine.run(at, &NoTask { probe: "BEGIN".into(), child: 0 });
            }
        }
        let done = tracing.machine.exit().is_some();
        self.trace = Some(Box::new(tracing));
        if !self.debugged().is_empty() {
            self.note_traced_process();
            self.place_probes_everywhere();
        }
        if done {
            self.end_trace_soon();
        }
        Ok(Reply::Tracing { probes, scope, warnings })
    }

    pub(super) fn read_script(&mut self, spec: &TraceSpec) -> Result<Script, ApiError> {
        let source = Source { name: spec.name.clone(), text: spec.text.clone() };
        let environment = |name: &str| spec.environment.get(name).cloned();
        let safety = if spec.unsafe_functions == Toggle::On { Safety::Unsafe } else { Safety::Safe };
        let options = CompileOptions { parameters: &spec.parameters, environment: &environment, safety };
        let compiled = compile(&source, &options).map_err(|errors| {
            let told: Vec<String> = errors.iter().map(|error| source.explain(error)).collect();
            ApiError::user(told.join("\n"))
        })?;
        let mut warnings: Vec<String> = compiled.warnings.iter().map(|one| source.explain(one)).collect();
        let program = Arc::new(compiled.program);
        let files = self.find_files(&program, &source, &mut warnings)?;
        Ok(Script { program, files, warnings })
    }

    fn start(
        &mut self,
        client: ClientId,
        program: &Arc<Program>,
        files: Vec<TracedFile>,
        spec: &TraceSpec,
    ) -> Result<Tracing, ApiError> {
        let internal = |error: std::io::Error| ApiError::internal(format!("a thread of the trace: {error}"));
        let (output, records) = crate::trace::record::queue();
        let machine = Machine::new(Arc::clone(program), output, Box::new(System));
        let options = PrinterOptions {
            program: Arc::clone(program),
            format: if spec.format == TraceFormat::Json { OutputFormat::Json } else { OutputFormat::Text },
            layout: layout(spec),
            format_time: Box::new(crate::os::format_time),
        };
        let events = self.subscribers.iter().find(|one| one.to.client == client).map(|one| one.to.events.clone());
        let valve = Arc::clone(&self.trace_valve);
        let print = move |printed: Printed| {
            let event = match printed {
                Printed::Text(stream, text) => {
                    let stream = if stream == Stream::Out { TraceStream::Out } else { TraceStream::Err };
                    Event::TraceOutput { stream, text: String::from_utf8_lossy(&text).into_owned() }
                }
                Printed::End(status) => Event::TraceEnded { status },
            };
            if let Some(events) = &events {
                valve.wait(|| events.len() < UNREAD);
                // A front end that has ended reads no more.
                let _ = events.send(event);
            }
        };
        let printer = std::thread::Builder::new().name("rdbg-trace".into());
        let printer = printer.spawn(move || run_printer(&records, options, print)).map_err(internal)?;
        self.trace_printer = Some(printer);
        let (timed, samples) = timed_probes(program);
        let timers = Timers::start(&timed, self.input_sender.clone(), self.doorbell.clone()).map_err(internal)?;
        Ok(Tracing {
            machine,
            quick: None,
            files,
            sites: Vec::new(),
            site_numbers: HashMap::new(),
            calls: traced_calls(program),
            watches: HashMap::new(),
            signals: traced_signals(program),
            samples,
            sampled: HashSet::new(),
            return_sites: HashSet::new(),
            threads: HashMap::new(),
            semaphores: usdt::Semaphores::default(),
            caches: Caches::default(),
            _timers: timers,
            target: Target::Awaited,
            child: None,
            hits: 0,
            stop: None,
            told: HashSet::new(),
        })
    }

    /// A process has come to the session.
    pub(in crate::engine) fn note_traced_process(&mut self) {
        let launched = self.processes.values().find(|one| one.origin == Origin::Launched).map(|one| one.pid);
        if let Some(tracing) = &mut self.trace {
            tracing.target = Target::Seen;
            tracing.child = tracing.child.or(launched);
        }
    }

    /// The places of the script's function probes, file by file.
    fn find_files(
        &mut self,
        program: &Program,
        source: &Source,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<TracedFile>, ApiError> {
        let mut found: BTreeMap<PathBuf, TracedFile> = BTreeMap::new();
        let mut missing = Vec::new();
        let mut total = 0;
        for (number, probe) in program.probes.iter().enumerate() {
            let (path, side) = match &probe.point {
                Point::Function { path, side, .. } => (path, *side),
                Point::Usdt { path, .. } => (path, Side::Entry),
                _ => continue,
            };
            let paths = files::find(path);
            let mut matched = 0;
            let mut reason = match paths.is_empty() {
                true => format!("uprobe target file '{path}' does not exist or is not executable"),
                false => format!("No matches for {}.", probe.text.replacen(':', " ", 1)),
            };
            let mut is_stripped = false;
            for path in paths {
                let file = match found.entry(path.clone()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => match files::open(&path) {
                        Ok(module) => entry.insert(TracedFile { module, places: Vec::new() }),
                        Err(error) => {
                            reason = error;
                            continue;
                        }
                    },
                };
                is_stripped |= file.module.is_stripped();
                match places_of(&file.module, &probe.point) {
                    Ok(places) => {
                        check_named(&file.module, &places, probe, source)?;
                        matched += places.len();
                        add_places(file, places, number as u32, side);
                    }
                    Err(error) => reason = error,
                }
            }
            total += matched;
            if matched == 0 {
                let mut error = Diagnostic::error(probe.span, reason);
                if is_stripped && matches!(&probe.point, Point::Function { place: Place::Linked(..), .. }) {
                    error = error.with_hint(STRIPPED);
                }
                match program.config.missing_probes {
                    Missing::Error => missing.push(source.explain(&error)),
                    Missing::Warn => warnings.push(source.explain(&error).replace("ERROR:", "WARNING:")),
                    Missing::Ignore => {}
                }
            }
        }
        let limit = program.config.max_probes;
        if !missing.is_empty() {
            return Err(ApiError::user(missing.join("\n"))
                .with_hint("`rdbg trace -l 'uprobe:PATH:*'` lists the functions of a file, `-l 'usdt:PATH:*'` its probe points; config = { missing_probes = \"warn\" } goes on without"));
        }
        if total > limit {
            return Err(ApiError::user(format!(
                "Can't attach to {total} probes because it exceeds the current limit of {limit} probes."
            ))
            .with_hint(format!(
                "narrow the pattern, or put config = {{ max_probes = {total} }} at the top of the script"
            )));
        }
        Ok(found.into_values().collect())
    }
}

fn places_of(module: &Module, point: &Point) -> Result<Vec<TracedPlace>, String> {
    match point {
        Point::Function { place, .. } => files::places(module, place),
        Point::Usdt { provider, name, .. } => Ok(usdt::places(module, provider, name)),
        _ => Ok(Vec::new()),
    }
}

/// An argument of a probe point must be one that each place has.
fn check_offered(places: &[TracedPlace], probe: &Probe, source: &Source) -> Result<(), ApiError> {
    for (name, span) in &probe.named {
        let number = name.strip_prefix("arg").and_then(|number| number.parse::<usize>().ok()).unwrap_or(usize::MAX);
        let lacks = |place: &&TracedPlace| {
            place.usdt.as_ref().is_some_and(|one| one.arguments.get(number).is_none_or(Option::is_none))
        };
        if let Some(place) = places.iter().find(lacks) {
            let count = place.usdt.as_ref().map_or(0, |one| one.arguments.len());
            let error =
                Diagnostic::error(*span, format!("Couldn't get argument {number} for usdt probe {}", place.name));
            let error = error.with_hint(format!("it has {count}, and one in a vector register cannot be read"));
            return Err(ApiError::user(source.explain(&error)));
        }
    }
    Ok(())
}

/// An argument that a script names must be one of a function that its probe matches.
fn check_named(module: &Module, places: &[TracedPlace], probe: &Probe, source: &Source) -> Result<(), ApiError> {
    if let Point::Usdt { .. } = probe.point {
        return check_offered(places, probe, source);
    }
    for (name, span) in &probe.named {
        let is_number = name.bytes().all(|digit| digit.is_ascii_digit());
        let mut known = places.iter().map(|place| names_of(module, place.at, &place.name));
        if is_number || places.is_empty() || known.any(|names| names.iter().any(|one| **one == **name)) {
            continue;
        }
        let names = names_of(module, places[0].at, &places[0].name).join(", ");
        let hint = match names.as_str() {
            "" => "nothing names its arguments: args.0, args.1, .. are they".to_owned(),
            names => format!("it has {names}; by number they are args.0, args.1, .."),
        };
        let error = Diagnostic::error(*span, format!("Can't find function parameter {name}")).with_hint(hint);
        return Err(ApiError::user(source.explain(&error)));
    }
    Ok(())
}

fn add_places(file: &mut TracedFile, places: Vec<TracedPlace>, probe: u32, side: Side) {
    for place in places {
        let at = match file.places.iter().position(|one| one.at == place.at) {
            Some(at) => {
                let known = &mut file.places[at];
                known.usdt = known.usdt.take().or(place.usdt);
                at
            }
            None => {
                file.places.push(place);
                file.places.len() - 1
            }
        };
        match side {
            Side::Entry => file.places[at].entry.push(probe),
            Side::Return => file.places[at].returns.push(probe),
        }
    }
}

fn layout(spec: &TraceSpec) -> Layout {
    match spec.format {
        _ if spec.quick.is_none() => Layout::None,
        TraceFormat::Text => Layout::Lines(match &spec.quick {
            Some(quick) if quick.colours == Toggle::On => Paint::Colour,
            _ => Paint::Plain,
        }),
        TraceFormat::Json => Layout::Json,
        TraceFormat::Perfetto => Layout::Timeline,
        TraceFormat::Folded => Layout::Folded,
        TraceFormat::Flame => Layout::Flame,
        TraceFormat::Sockets => Layout::Sockets,
    }
}

fn count_probes(program: &Program, files: &[TracedFile]) -> u64 {
    let functions: usize =
        files.iter().flat_map(|file| &file.places).map(|place| place.entry.len() + place.returns.len()).sum();
    let others = program.probes.iter().filter(|one| !one.point.is_in_file()).count();
    (functions + others) as u64
}

fn timed_probes(program: &Program) -> (Vec<(u32, u64)>, Vec<u32>) {
    let (mut timed, mut samples) = (Vec::new(), Vec::new());
    for (number, probe) in program.probes.iter().enumerate() {
        match probe.point {
            Point::Interval { period } => timed.push((number as u32, period)),
            Point::Profile { period } => {
                timed.push((number as u32, period));
                samples.push(number as u32);
            }
            _ => {}
        }
    }
    (timed, samples)
}

fn traced_signals(program: &Program) -> Vec<(Option<Signal>, u32)> {
    let wanted = |(number, probe): (usize, &crate::lang::script::program::Probe)| match &probe.point {
        Point::Signal { which } => Some((*which, number as u32)),
        _ => None,
    };
    program.probes.iter().enumerate().filter_map(wanted).collect()
}

fn traced_calls(program: &Program) -> TracedCalls {
    let mut calls = TracedCalls::default();
    for (number, probe) in program.probes.iter().enumerate() {
        let number = number as u32;
        match &probe.point {
            Point::Syscall { name, side } => {
                let Some(call) = find_kernel_call(name) else { continue };
                let table = if *side == Side::Entry { &mut calls.entry } else { &mut calls.exit };
                table.entry(u64::from(call.number)).or_default().push(number);
                if name == "execve" && *side == Side::Entry {
                    calls.execve.push(number);
                }
            }
            Point::AnySyscall { side: Side::Entry } => calls.any_entry.push(number),
            Point::AnySyscall { side: Side::Return } => calls.any_exit.push(number),
            Point::Accepted => calls.accepted.push(number),
            _ => {}
        }
    }
    calls
}

/// Which processes a script can concern, where the user names none.
fn scope_of(program: &Program, given: Option<Pid>) -> TraceScope {
    use super::scope;
    if let Some(pid) = given {
        return TraceScope::Process { pid };
    }
    if program.probes.iter().all(|one| one.point.is_of_no_task()) {
        return TraceScope::Nothing;
    }
    if let Some(pid) = scope::filtered_pid(program) {
        return TraceScope::Process { pid };
    }
    if let Some(name) = scope::awaited_program(program) {
        return TraceScope::Program { name };
    }
    scope::probed_file(program).map_or(TraceScope::Everything, |name| TraceScope::Program { name })
}
