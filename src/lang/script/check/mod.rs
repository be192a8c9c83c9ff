//! Checks a script and compiles it: names are resolved, types inferred, formats read.
//!
//! A map may be read in a probe that stands before the one that fills it, so types are inferred over the whole script
//! until nothing changes; only then are errors told.

mod calls;
mod casts;
mod library;
mod operand;
mod outputs;
mod statements;
mod typing;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Span;
use super::ast::{Block, MapDeclaration, Script};
use super::ctypes::CParser;
use super::error::{Diagnostic, Source};
use super::parser;
use super::point::{self, Point, Side};
use super::program::{Config, MapId, MapInfo, Missing, PrintMaps, Probe, Program, Slot};
use super::types::{StackMode, Ty, Types};
use crate::target::syscalls::{find_kernel_call, kernel_calls};

/// What a script is compiled with.
pub struct CompileOptions<'a> {
    /// `$1`, `$2`..
    pub parameters: &'a [String],
    /// What `${NAME}` in an attach point stands for.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Whether functions that change something may be called.
    pub safety: Safety,
}

/// Whether functions that change something may be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Safety {
    /// They may not.
    Safe,
    /// `--unsafe`: they may.
    Unsafe,
}

/// A script that compiled, and what its author should know.
#[derive(Debug)]
pub struct Compiled {
    /// What runs.
    pub program: Program,
    /// What may not be meant so.
    pub warnings: Vec<Diagnostic>,
}

/// Passes over the script in which types are inferred; each can only widen them.
const PASSES: u32 = 16;
/// How often a block is compiled anew because its variables were widened.
const WIDENINGS: u32 = 4;
/// The most probes that a script's wildcards over system calls make.
const SYSCALL_LIMIT: usize = 1024;

/// Compiles a script, or says everything that is wrong with it.
pub fn compile(source: &Source, options: &CompileOptions<'_>) -> Result<Compiled, Vec<Diagnostic>> {
    let environment = |name: &str| match name.parse::<usize>() {
        Ok(number) => options.parameters.get(number.wrapping_sub(1)).cloned(),
        Err(_) => (options.environment)(name),
    };
    let parsed = parser::parse(&source.text, &environment).map_err(|error| vec![error])?;
    let mut warnings = parsed.warnings;
    let config = read_config(&parsed.script, &mut warnings)?;
    let points = expand_points(&parsed.script)?;
    let mut checker = Checker {
        options,
        types: parsed.types,
        config,
        maps: Vec::new(),
        declared: &parsed.script.maps,
        map_ids: HashMap::new(),
        assigned: Vec::new(),
        key_uses: Vec::new(),
        phase: Phase::Infer,
        changed: false,
        errors: Vec::new(),
        warnings: Vec::new(),
        variables: Vec::new(),
        source,
        value_blocks: 0,
        context: Context { point: Point::Begin, fields: Vec::new(), named: Vec::new() },
        loops: 0,
    };
    for _ in 0..PASSES {
        checker.changed = false;
        checker.pass(&parsed.script, &points);
        if !checker.changed {
            break;
        }
    }
    checker.phase = Phase::Final;
    checker.errors.clear();
    checker.warnings.clear();
    let probes = checker.pass(&parsed.script, &points);
    if !checker.errors.is_empty() {
        return Err(checker.errors);
    }
    warnings.append(&mut checker.warnings);
    warnings.dedup();
    let program = Program { probes, maps: checker.maps, types: checker.types, config: checker.config };
    Ok(Compiled { program, warnings })
}

/// Types are being inferred, or the script is compiled with what was inferred.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Infer,
    Final,
}

/// What is known of the probe that is being checked.
struct Context {
    point: Point,
    /// The fields of `args`, by position.
    fields: Vec<(String, Ty)>,
    /// The arguments of the function that are named.
    named: Vec<(Arc<str>, Span)>,
}

struct Checker<'a> {
    options: &'a CompileOptions<'a>,
    types: Types,
    config: Config,
    maps: Vec<MapInfo>,
    declared: &'a [MapDeclaration],
    map_ids: HashMap<String, MapId>,
    /// Whether anything is ever put into a map, by its number.
    assigned: Vec<bool>,
    /// Whether one of its values is ever used, by its number.
    key_uses: Vec<typing::KeyUse>,
    phase: Phase,
    changed: bool,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The variables of the probe.
    variables: Vec<(String, Ty)>,
    context: Context,
    loops: u32,
    /// How many blocks with a value the statement is in.
    value_blocks: u32,
    source: &'a Source,
}

/// An attach point of a block, wildcards over system calls spelled out.
struct Placed {
    block: usize,
    point: Point,
    text: String,
    span: Span,
}

impl Checker<'_> {
    /// Checks every block for each of its attach points.
    fn pass(&mut self, script: &Script, points: &[Placed]) -> Vec<Probe> {
        let mut probes: Vec<Probe> = Vec::new();
        let mut last: Option<(usize, Vec<(String, Ty)>)> = None;
        for placed in points {
            let block = &script.blocks[placed.block];
            self.context =
                Context { point: placed.point.clone(), fields: self.fields_of(&placed.point), named: Vec::new() };
            // A wildcard's calls mostly share their code: it differs only where `args` does.
            let same = last.as_ref().is_some_and(|(at, fields)| *at == placed.block && *fields == self.context.fields);
            last = Some((placed.block, self.context.fields.clone()));
            let (predicate, body, variables) = match (same, probes.last()) {
                (true, Some(probe)) => (probe.predicate.clone(), probe.body.clone(), probe.variables),
                _ => self.block(block),
            };
            let (point, text) = (placed.point.clone(), placed.text.clone());
            let mut named = std::mem::take(&mut self.context.named);
            named.dedup();
            if let (true, Some(probe)) = (same, probes.last()) {
                named.clone_from(&probe.named);
            }
            probes.push(Probe { point, text, span: placed.span, predicate, body, variables, named });
        }
        probes
    }

    fn block(&mut self, block: &Block) -> (Option<super::program::Code>, Arc<[super::program::Action]>, usize) {
        self.variables.clear();
        let mut predicate = None;
        if let Some(condition) = &block.predicate {
            match self.condition(condition) {
                Ok(code) => predicate = Some(code),
                Err(error) => self.errors.push(error),
            }
        }
        // A variable may be widened after it was used: what was compiled before that is compiled again.
        let errors = self.errors.len();
        let mut body = Vec::new();
        for _ in 0..WIDENINGS {
            let known = self.variables.clone();
            self.errors.truncate(errors);
            body = self.statements(&block.body);
            if known == self.variables {
                break;
            }
        }
        (predicate, body.into(), self.variables.len())
    }

    /// The fields of `args` at an attach point, as the kernel names them.
    fn fields_of(&mut self, point: &Point) -> Vec<(String, Ty)> {
        let number = ("__syscall_nr".to_owned(), Ty::INT);
        match point {
            Point::Syscall { side: Side::Return, .. } => vec![("ret".into(), Ty::LONG), number],
            Point::Syscall { name, side: Side::Entry } => {
                let call = find_kernel_call(name);
                let declared = call.map(|one| one.parameters).unwrap_or_default();
                let mut fields: Vec<(String, Ty)> = declared
                    .split(", ")
                    .filter(|one| !one.is_empty())
                    .map(|one| CParser::parameter(one, &mut self.types))
                    .collect();
                fields.push(number);
                fields
            }
            Point::AnySyscall { side: Side::Entry } => {
                vec![("id".into(), Ty::LONG), ("args".into(), Ty::Array(Arc::new(Ty::ULONG), 6))]
            }
            Point::AnySyscall { side: Side::Return } => vec![("ret".into(), Ty::LONG), ("id".into(), Ty::LONG)],
            _ => Vec::new(),
        }
    }

    fn warn(&mut self, span: Span, message: impl Into<String>) {
        if self.phase == Phase::Final {
            self.warnings.push(Diagnostic::warning(span, message));
        }
    }

    /// The variable of that name, made where the text first assigns it.
    fn variable(&mut self, name: &str) -> Option<Slot> {
        self.variables.iter().position(|(one, _)| one == name).map(|at| Slot(at as u16))
    }
}

/// Every attach point, the wildcards of system calls spelled out.
fn expand_points(script: &Script) -> Result<Vec<Placed>, Vec<Diagnostic>> {
    let (mut placed, mut errors) = (Vec::new(), Vec::new());
    for (block, one) in script.blocks.iter().enumerate() {
        for raw in &one.points {
            let point = match point::parse(raw) {
                Ok(point) => point,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            let Point::Syscall { name, side } = &point else {
                placed.push(Placed { block, point, text: raw.text.clone(), span: raw.span });
                continue;
            };
            let before = placed.len();
            for call in kernel_calls().filter(|call| point::glob(name, call.name)) {
                let side_name = if *side == Side::Entry { "enter" } else { "exit" };
                let text = format!("tracepoint:syscalls:sys_{side_name}_{}", call.name);
                let point = Point::Syscall { name: call.name.to_owned(), side: *side };
                placed.push(Placed { block, point, text, span: raw.span });
            }
            if placed.len() == before {
                let event = raw.text.split_once(':').map_or("", |(_, event)| event);
                errors.push(Diagnostic::error(raw.span, format!("No matches for tracepoint {event}.")));
            }
            if placed.len() > SYSCALL_LIMIT {
                errors.push(Diagnostic::error(raw.span, format!("the script has more than {SYSCALL_LIMIT} probes")));
                return Err(errors);
            }
        }
    }
    if errors.is_empty() {
        Ok(placed)
    } else {
        Err(errors)
    }
}

fn read_config(script: &Script, warnings: &mut Vec<Diagnostic>) -> Result<Config, Vec<Diagnostic>> {
    let mut config = Config::default();
    for (name, value, span) in &script.config {
        let plain = name.to_ascii_lowercase();
        let plain = plain.strip_prefix("bpftrace_").unwrap_or(&plain);
        let bad = || vec![Diagnostic::error(*span, format!("Invalid value for {name}: {value}"))];
        let number = || super::lexer::parse_integer(value).map(|value| value as usize).ok_or_else(bad);
        match plain {
            "max_strlen" => config.max_strlen = number()?.min(1 << 20),
            "max_map_keys" => config.max_map_keys = number()?,
            "max_probes" => config.max_probes = number()?,
            "max_cat_bytes" => config.max_cat_bytes = number()?,
            "str_trunc_trailer" => config.str_trunc_trailer = value.clone(),
            "print_maps_on_exit" => {
                let on = matches!(value.as_str(), "true" | "1");
                config.print_maps_on_exit = if on { PrintMaps::AtExit } else { PrintMaps::Never };
            }
            "stack_mode" => {
                config.stack_mode = match value.as_str() {
                    "bpftrace" => StackMode::Bpftrace,
                    "perf" => StackMode::Perf,
                    "raw" => StackMode::Raw,
                    _ => return Err(bad()),
                }
            }
            "missing_probes" => {
                config.missing_probes = match value.as_str() {
                    "error" => Missing::Error,
                    "warn" => Missing::Warn,
                    "ignore" => Missing::Ignore,
                    _ => return Err(bad()),
                }
            }
            "cache_user_symbols"
            | "cpp_demangle"
            | "lazy_symbolication"
            | "license"
            | "log_size"
            | "max_bpf_progs"
            | "on_stack_limit"
            | "perf_rb_pages"
            | "show_debug_info"
            | "max_type_res_iterations"
            | "unstable_tseries"
            | "unstable_dw_ustack" => {
                warnings.push(Diagnostic::warning(*span, format!("config variable '{name}' has no effect here")));
            }
            _ => return Err(vec![Diagnostic::error(*span, format!("Unrecognized config variable: {name}"))]),
        }
    }
    Ok(config)
}
