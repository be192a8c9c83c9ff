//! print, x, set, registers, disassemble, and the tables of `info`.

pub(super) mod described_names;
mod displays;
mod elements;
pub(super) mod expressions;
mod formatted;
mod frame_detail;
mod frame_scope;
pub(super) mod inlined;
pub(super) mod memory;
mod printing;
mod registers;
mod returned;
mod scoped_names;
pub(in crate::engine) mod session_values;
pub(super) mod source;
pub(super) mod stack;
mod variables;

use super::breakpoints::Breakpoint;
use super::names::{describe_names, hex};
use super::state::{Engine, Space};
use crate::api::{
    self, ApiError, BreakpointRow, InferiorRow, InstructionRow, LocationRow, ModuleFilter, ModuleRow, Reply, SignalRow,
    SymbolRow, ThreadRow, Toggle,
};
use crate::base::{Inferior, MappingSource, Pid, ReadMem, Signal, Tid, VirtAddr};
use crate::binary::dwarf::NamedType;
use crate::binary::symbols::demangle;
use crate::binary::{Matches, Module, NamePattern};
use crate::lang::{self, ExamineFormat, ExamineKind, Format, Value};
use crate::target::breakpoint::CleanMemory;
use crate::target::task::{Origin, Role, RunState, StopKind};
use memory::RawMemory;
use stack::{innermost_row, place};

/// The longest instruction, bytes.
const LONGEST_INSTRUCTION: u64 = 15;
/// A string of `x/s` is cut there, bytes.
const STRING_LIMIT: usize = 4096;
/// Less is completed by the beginning of a name only.
const LEAST_WITHIN: usize = 3;
/// `x` shows no more units than this at once.
const EXAMINE_LIMIT: u32 = 65_536;

impl<I: Inferior> Engine<I> {
    /// Writes the program's memory; under a site the byte that the site stands for changes.
    pub(super) fn write_through_sites(&mut self, pid: Pid, at: VirtAddr, bytes: &[u8]) -> Result<(), ApiError> {
        let space = self.processes.get(&pid).map(|one| one.space);
        let sites = space.and_then(|id| self.spaces.get_mut(&id)).map(|one| &mut one.sites);
        let mut patched = bytes.to_vec();
        if let Some(sites) = sites {
            for (i, byte) in patched.iter_mut().enumerate() {
                if let Some(site) = sites.find_mut(at.offset(i as u64)) {
                    site.original = *byte;
                    *byte = crate::target::breakpoint::INT3;
                }
            }
        }
        self.inferior.write_mem(pid, at, &patched).map_err(|error| ApiError::target(error.to_string()))
    }

    /// `x/FMT EXPR`.
    pub(super) fn examine(&mut self, spec: &str, expression: Option<&str>) -> Result<Reply, ApiError> {
        let format =
            ExamineFormat::parse(spec, ExamineFormat::default()).map_err(|error| expressions::explain(&error, spec))?;
        if format.count > EXAMINE_LIMIT {
            return Err(ApiError::user(format!("{} units are too many; at most {EXAMINE_LIMIT}", format.count)));
        }
        let at = match expression {
            Some(text) => self.evaluate_address(text)?,
            None => self.examine_next.ok_or_else(|| ApiError::user("x needs an address the first time"))?,
        };
        match format.kind {
            ExamineKind::Instructions => {
                let rows = self.instructions(at, format.count)?;
                self.examine_next = rows.last().map(|row| row.place.addr.offset(row.bytes.len() as u64));
                Ok(Reply::Disassembly { rows })
            }
            ExamineKind::Strings => self.examine_strings(at, format.count),
            ExamineKind::Values(letter) => self.examine_values(at, format, letter),
        }
    }

    fn examine_strings(&mut self, mut at: VirtAddr, count: u32) -> Result<Reply, ApiError> {
        let mut text = String::new();
        for _ in 0..count {
            let found = self.with_environment(|environment| lang::text::read_string(at, STRING_LIMIT, environment));
            let string = found.ok_or_else(|| ApiError::target(format!("cannot access memory at {at}")))?;
            text.push_str(&format!("{}{}:\t{}\n", at, self.suffix(at), string.quoted()));
            at = at.offset(string.bytes.len() as u64 + 1);
        }
        self.examine_next = Some(at);
        Ok(Reply::Text { text: text.trim_end().to_string() })
    }

    fn examine_values(&mut self, at: VirtAddr, format: ExamineFormat, letter: Format) -> Result<Reply, ApiError> {
        let ty = format.unit_type().ok_or_else(|| ApiError::user("that format has no units"))?;
        let size = ty.size() as u64;
        let per_line = (16 / size).max(1);
        let mut text = String::new();
        for number in 0..u64::from(format.count) {
            let here = at.offset(number * size);
            if number % per_line == 0 {
                text.push_str(&format!("{}{}{}:", if number > 0 { "\n" } else { "" }, here, self.suffix(here)));
            }
            let shown = self.with_environment(|environment| {
                let mut word = [0; 8];
                environment.read(here, &mut word[..size as usize]).map(|()| {
                    let value = Value::from_raw(u64::from_le_bytes(word), ty);
                    lang::format_labelled(&value, letter, environment, self)
                })
            });
            match shown {
                Ok(shown) => text.push_str(&format!("\t{shown}")),
                Err(error) if number == 0 => return Err(ApiError::target(error.to_string())),
                Err(error) => {
                    text.push_str(&format!("\t{error}"));
                    break;
                }
            }
        }
        self.examine_next = Some(at.offset(u64::from(format.count) * size));
        Ok(Reply::Text { text })
    }

    /// ` <name+8>` for an address in a function.
    fn suffix(&self, at: VirtAddr) -> String {
        use crate::lang::Labels;
        self.label(at).map_or_else(String::new, |label| match label.offset {
            0 => format!(" <{}>", label.name),
            offset => format!(" <{}+{offset}>", label.name),
        })
    }

    /// `disassemble`.
    pub(super) fn disassemble(&mut self, expression: Option<&str>, count: u32) -> Result<Reply, ApiError> {
        let at = match expression {
            Some(text) => self.evaluate_address(text)?,
            None => self.selected_frame_regs().ok_or_else(|| ApiError::user("no thread stands still"))?.pc(),
        };
        Ok(Reply::Disassembly { rows: self.instructions(at, count)? })
    }

    fn instructions(&self, at: VirtAddr, count: u32) -> Result<Vec<InstructionRow>, ApiError> {
        let pid = self.selected_pid()?;
        let space = self.space_of_pid(pid)?;
        let raw = RawMemory { inferior: &self.inferior, pid };
        let memory = CleanMemory { raw: &raw, sites: &space.sites };
        let mut bytes = vec![0; (u64::from(count.min(EXAMINE_LIMIT)) * LONGEST_INSTRUCTION) as usize];
        let got = memory.read_mem(at, &mut bytes).map_err(|error| ApiError::target(error.to_string()))?;
        let name_of = |at: VirtAddr| {
            let named = space.modules.find_name(at)?;
            let name = demangle(&named.name);
            Some(if named.offset == 0 { name.into_owned() } else { format!("{name}+{}", named.offset) })
        };
        let pc = self.selected_frame_regs().map(|regs| regs.pc());
        let lines = crate::arch::disassemble(at, &bytes[..got], count, &name_of);
        let row = |line: crate::arch::DisassembledLine| InstructionRow {
            place: api::Place { line: None, ..place(line.at, line.at, space) },
            bytes: line.bytes,
            text: line.text,
            current: if pc == Some(line.at) { Toggle::On } else { Toggle::Off },
        };
        Ok(lines.into_iter().map(row).collect())
    }

    pub(super) fn space_of_pid(&self, pid: Pid) -> Result<&Space, ApiError> {
        let process = self.processes.get(&pid).ok_or_else(|| ApiError::target(format!("process {pid} has gone")))?;
        self.spaces.get(&process.space).ok_or_else(|| ApiError::internal("a process without memory"))
    }

    /// `info threads`.
    pub(super) fn list_threads(&self) -> Result<Reply, ApiError> {
        let pid = self.selected_pid()?;
        let space = self.space_of_pid(pid)?;
        let selected = self.selected_tid().ok();
        let row = |tid: Tid| {
            let thread = self.threads.get(&tid)?;
            let state = match thread.state {
                RunState::Running => "running".to_string(),
                RunState::Stopped(StopKind::Signal(signal)) if thread.owed.is_some() => signal.to_string(),
                RunState::Stopped(StopKind::Group(signal)) => format!("stopped by {signal}"),
                RunState::Stopped(_) => "stopped".to_string(),
            };
            let regs = if thread.is_stopped() { self.inferior.regs(tid).ok() } else { None };
            let frame = regs.map(|regs| innermost_row(&regs, space, self.entered_calls(tid, regs.pc())));
            let selected = if selected == Some(tid) { Toggle::On } else { Toggle::Off };
            Some(ThreadRow { thread: self.thread_ref(tid)?, selected, frame, state })
        };
        Ok(Reply::Threads { rows: self.threads_of(pid).into_iter().filter_map(row).collect() })
    }

    /// `info sharedlibrary`.
    pub(super) fn list_modules(&self) -> Result<Reply, ApiError> {
        let pid = self.selected_pid()?;
        let space = self.space_of_pid(pid)?;
        // Asked now: a file can be deleted long after it was mapped.
        let maps = self.inferior.maps(pid).unwrap_or_default();
        let is_deleted = |start: VirtAddr| {
            let mapping = maps.iter().find(|one| one.range.start == start);
            matches!(mapping.map(|one| &one.source), Some(MappingSource::File { deleted: true, .. }))
        };
        let rows = space.modules.modules().iter().map(|one| ModuleRow {
            path: one.path.clone(),
            deleted: if is_deleted(one.range.start) { Toggle::On } else { Toggle::Off },
            start: one.range.start,
            end: one.range.end,
            build_id: one.module.build_id().map(hex),
            symbols: describe_names(&one.module),
        });
        Ok(Reply::Modules { rows: rows.collect() })
    }

    /// `info inferiors`.
    pub(super) fn inferior_rows(&self) -> Vec<InferiorRow> {
        self.debugged().into_iter().filter_map(|pid| self.inferior_row(pid)).collect()
    }

    pub(super) fn inferior_row(&self, pid: Pid) -> Option<InferiorRow> {
        let process = self.processes.get(&pid)?;
        let on = |yes| if yes { Toggle::On } else { Toggle::Off };
        Some(InferiorRow {
            number: process.number,
            pid,
            exe: process.exe.clone(),
            threads: self.threads_of(pid).len() as u32,
            selected: on(self.selected_pid().ok() == Some(pid)),
            launched: on(process.origin == Origin::Launched),
        })
    }

    /// `info signals`.
    pub(super) fn list_signals(&self, of: &[Signal]) -> Reply {
        let row = |signal| SignalRow { signal, policy: self.settings.signal_policy(signal) };
        Reply::Signals { rows: Signal::all().filter(|one| of.is_empty() || of.contains(one)).map(row).collect() }
    }

    /// A breakpoint with at most `limit` of its locations.
    pub(super) fn breakpoint_row(&self, breakpoint: &Breakpoint, limit: usize) -> BreakpointRow {
        let module = match &breakpoint.spec.module {
            ModuleFilter::Any => None,
            ModuleFilter::Named(name) => Some(name.clone()),
        };
        let mut locations = Vec::new();
        for (index, location) in breakpoint.live().take(limit) {
            let Some(space) = location.spaces.first() else { continue };
            let (Some(pid), Some(one)) = (self.pid_of_space(*space), self.spaces.get(space)) else { continue };
            let mut place = place(location.addr, location.addr, one);
            if let Some(name) = location.names.first() {
                place.function = Some(demangle(name).into_owned());
            }
            let aliases = location.names.iter().skip(1).map(|name| demangle(name).into_owned()).collect();
            let (hits, too_hot, unfit) = (location.hits, location.too_hot, location.unfit.clone());
            locations.push(LocationRow { number: index + 1, pid, place, aliases, hits, too_hot, unfit });
        }
        BreakpointRow {
            id: breakpoint.id,
            location: breakpoint.spec.location.clone(),
            module,
            enabled: breakpoint.enabled,
            temporary: breakpoint.spec.temporary,
            action: breakpoint.spec.action,
            condition: breakpoint.spec.condition.clone(),
            hits: breakpoint.hits,
            ignore: breakpoint.ignore,
            locations,
            total: breakpoint.live().count() as u32,
            note: breakpoint.note.clone(),
        }
    }

    /// `info functions RE`.
    pub(super) fn functions(&self, regex: &str, limit: u32) -> Result<Reply, ApiError> {
        self.symbols_like(regex, limit, Module::functions_named)
    }

    /// `info variables RE`.
    pub(super) fn data_symbols(&self, regex: &str, limit: u32) -> Result<Reply, ApiError> {
        self.symbols_like(regex, limit, |module, pattern, limit| module.symbols().data_named(pattern, limit))
    }

    /// `info types RE`.
    pub(super) fn type_names(&self, regex: &str, limit: u32) -> Result<Reply, ApiError> {
        let pattern = regex::Regex::new(regex).map_err(|error| ApiError::user(error.to_string()))?;
        let space = self.space_of_pid(self.selected_pid()?)?;
        let modules = space.modules.modules().iter();
        let found: Vec<_> =
            modules.flat_map(|one| one.module.dwarf().types_named(&|name| pattern.is_match(name))).collect();
        let text = |one: &NamedType| format!("{} {}", one.keyword, one.name).trim_start().to_owned();
        let rows = found.iter().take(limit as usize).map(text).collect();
        Ok(Reply::Types { rows, total: found.len() as u64 })
    }

    fn symbols_like(
        &self,
        regex: &str,
        limit: u32,
        find: impl Fn(&Module, &NamePattern, usize) -> Matches,
    ) -> Result<Reply, ApiError> {
        let pattern = NamePattern::parse_regex(regex).map_err(|error| ApiError::user(error.to_string()))?;
        let space = self.space_of_pid(self.selected_pid()?)?;
        let (mut rows, mut total) = (Vec::new(), 0);
        for loaded in space.modules.modules() {
            let matches = find(&loaded.module, &pattern, limit as usize);
            total += matches.total as u64;
            for function in matches.functions {
                if rows.len() < limit as usize {
                    rows.push(symbol_row(&function, &loaded.module.name()));
                }
            }
        }
        Ok(Reply::Symbols { rows, total })
    }

    /// `info symbol EXPR`.
    pub(super) fn info_symbol(&self, expression: &str) -> Result<Reply, ApiError> {
        let at = self.evaluate_address(expression)?;
        let space = self.space_of_pid(self.selected_pid()?)?;
        let Some(named) = space.modules.find_name(at) else {
            return Err(ApiError::user(format!("no symbol is known at {at}")));
        };
        let module = &named.module.module;
        let mut text = format!("{}+{} {}", demangle(&named.name), named.offset, module.name());
        for candidate in module.candidates_of(&named.name, named.module.to_file(named.start)) {
            text.push_str("\n  or ");
            text.push_str(&candidate);
        }
        Ok(Reply::Text { text })
    }

    /// Completions of a function's name: by its beginning, else by that of a component further in.
    pub(super) fn complete(&self, prefix: &str, limit: u32) -> Reply {
        let limit = limit as usize;
        let mut names = self.completions(&|module| module.complete(prefix, limit));
        if names.is_empty() && prefix.len() >= LEAST_WITHIN {
            names = self.completions(&|module| module.complete_within(prefix, limit));
        }
        names.truncate(limit);
        Reply::Completions { names }
    }

    fn completions(&self, of: &dyn Fn(&Module) -> Vec<String>) -> Vec<String> {
        let Ok(space) = self.selected_pid().and_then(|pid| self.space_of_pid(pid)) else { return Vec::new() };
        let mut names: Vec<String> = space.modules.modules().iter().flat_map(|loaded| of(&loaded.module)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// `thread N`.
    pub(super) fn select_thread(&mut self, number: Option<u32>) -> Result<Reply, ApiError> {
        if let Some(number) = number {
            let found = self.threads.iter().find(|(_, one)| one.number == number).map(|(tid, one)| (*tid, one.pid));
            let (tid, pid) = found.ok_or_else(|| {
                ApiError::user(format!("there is no thread {number}")).with_hint("`info threads` lists them")
            })?;
            self.selection.pid = Some(pid);
            self.selection.tid = Some(tid);
            self.selection.frame = 0;
        }
        self.select_frame(&crate::api::FrameMove::Current)
    }

    /// `inferior N`.
    pub(super) fn select_inferior(&mut self, number: u32) -> Result<Reply, ApiError> {
        let found = self.processes.values().find(|one| one.number == number && one.role == Role::Debugged);
        let pid = found.map(|one| one.pid).ok_or_else(|| {
            ApiError::user(format!("there is no inferior {number}")).with_hint("`info inferiors` lists them")
        })?;
        self.selection.pid = Some(pid);
        self.selection.tid = None;
        self.selection.frame = 0;
        Ok(Reply::Inferiors { rows: self.inferior_rows() })
    }
}

impl<I: Inferior> lang::Labels for Engine<I> {
    fn label(&self, at: VirtAddr) -> Option<lang::Label> {
        let space = self.selected_pid().ok().and_then(|pid| self.space_of_pid(pid).ok())?;
        let named = space.modules.find_name(at)?;
        Some(lang::Label { name: demangle(&named.name).into_owned(), offset: named.offset })
    }
}

pub(super) fn parse_format(letter: Option<char>) -> Result<Format, ApiError> {
    let Some(letter) = letter else { return Ok(Format::Natural) };
    Format::from_letter(letter).map_err(|error| ApiError::user(error.to_string()))
}

/// A function that a pattern matched, as a row.
pub fn symbol_row(function: &crate::binary::FunctionMatch, module: &str) -> SymbolRow {
    let mangled = function.names.first().cloned().unwrap_or_default();
    let name = demangle(&mangled).into_owned();
    let differs = (name != mangled).then_some(mangled);
    SymbolRow {
        address: function.address,
        size: function.size,
        name,
        mangled: differs,
        module: module.to_string(),
        source: function.source.word().to_string(),
    }
}
