//! What the names in an expression mean in the target, and where its values come from.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::described_names::Kept;
use super::memory::RawMemory;
use crate::api::ApiError;
use crate::arch::Register;
use crate::base::{Inferior, MemError, Pid, ReadMem, Regs, VirtAddr};
use crate::binary::symbols::demangle_without_parameters;
use crate::binary::{FunctionMatch, NamePattern, SymbolKind};
use crate::engine::state::{Engine, Space};
use crate::lang::{Environment, Fault, LangError, Names, RegisterId, RegisterName, Type, Value};
use crate::target::breakpoint::{CleanMemory, SiteTable};

/// The argument registers of the psABI by the names that conditions use: arg0 is rdi.
const ARGUMENTS: [&str; 6] = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"];

/// So many functions that are called alike are looked at for the one that an expression means.
pub(in crate::engine) const HOMONYMS: usize = 64;

/// Names as they are in one address space.
pub(in crate::engine) struct TargetNames<'a> {
    pub(in crate::engine) space: Option<&'a Space>,
    pub(super) history: &'a [Kept],
    /// Convenience variables.
    pub(super) variables: &'a BTreeMap<String, Kept>,
    /// Whether a register was asked for: then a thread must stand still before the expression means anything.
    pub(in crate::engine) asked_register: Cell<bool>,
}

impl Names for TargetNames<'_> {
    fn register(&self, name: &str) -> Option<RegisterName> {
        let own = match name.strip_prefix("arg").and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => ARGUMENTS.get(number)?,
            None if name == "retval" => "rax",
            None => name,
        };
        let register = Register::find(own)?;
        self.asked_register.set(true);
        let id = RegisterId(register.number());
        Some(match own {
            "pc" | "rip" => RegisterName::code(id),
            "sp" | "fp" | "rsp" | "rbp" => RegisterName::pointer(id),
            _ => RegisterName::integer(id, usize::from(register.width())),
        })
    }

    fn symbol(&self, name: &str) -> Option<VirtAddr> {
        let space = self.space?;
        for loaded in space.modules.modules() {
            let symbols = loaded.module.symbols();
            if let Some(symbol) = symbols.find_exact(name) {
                return Some(loaded.bias.to_virt(symbol.address));
            }
        }
        for loaded in space.modules.modules() {
            let found = loaded.module.functions_named(&NamePattern::Plain(name.to_string()), HOMONYMS);
            let is_it = |one: &&FunctionMatch| one.kind == SymbolKind::Function && is_called(one, name);
            if let Some(function) = found.functions.iter().find(is_it) {
                return Some(loaded.bias.to_virt(function.address));
            }
            if let Some(address) = loaded.module.symbols().find_data(name) {
                return Some(loaded.bias.to_virt(address));
            }
        }
        None
    }

    fn variable(&self, name: &str) -> Option<Value> {
        match self.kept(name)? {
            Kept::Plain(value) => Some(*value),
            Kept::Described { .. } => None,
        }
    }
}

/// Whether a function is meant by a name: one without a scope is not that of another class's function.
pub(in crate::engine) fn is_called(function: &FunctionMatch, name: &str) -> bool {
    let is_plain = |mangled: &String| {
        let shown = demangle_without_parameters(mangled);
        let own = shown.strip_prefix("(anonymous namespace)::").unwrap_or(&shown);
        // A template's function has its result in front.
        let stem = own.split('<').next().unwrap_or(own);
        // An ABI tag (`[abi:cxx11]`) is no part of the name in the source.
        let untagged = |text: &str| text.split('[').next() == Some(name);
        own == name || untagged(own) || stem.rsplit(' ').next().is_some_and(untagged)
    };
    name.contains("::") || function.names.is_empty() || function.names.iter().any(is_plain)
}

impl<'a> TargetNames<'a> {
    /// A value of the history, or a convenience variable.
    pub(super) fn kept(&self, name: &str) -> Option<&'a Kept> {
        let from_end = match name {
            "" => 0,
            "$" => 1,
            _ => {
                let Ok(number) = name.parse::<usize>() else { return self.variables.get(name) };
                return self.history.get(number.checked_sub(1)?);
            }
        };
        self.history.iter().rev().nth(from_end)
    }

    /// Whether a symbol of exactly this name is a function.
    pub(super) fn is_function(&self, name: &str) -> bool {
        let modules = self.space.map(|space| space.modules.modules()).unwrap_or_default();
        modules.iter().any(|one| {
            let symbols = one.module.symbols();
            symbols.find_exact(name).is_some_and(|symbol| symbol.kind == SymbolKind::Function)
        })
    }
}

/// Values of a stopped thread.
pub(in crate::engine) struct ThreadEnvironment<'a> {
    pub(in crate::engine) regs: &'a Regs,
    pub(in crate::engine) memory: &'a dyn ReadMem,
    pub(in crate::engine) sites: &'a SiteTable,
}

impl Environment for ThreadEnvironment<'_> {
    fn register(&self, id: RegisterId) -> u64 {
        Register::from_number(id.0).map_or(0, |register| register.read(self.regs))
    }

    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), MemError> {
        CleanMemory { raw: self.memory, sites: self.sites }.read_exact(at, buf)
    }
}

/// An expression's error, with the text it is about.
pub(in crate::engine) fn explain(error: &LangError, text: &str) -> ApiError {
    let part = error.span.of(text);
    if part.is_empty() || part == text {
        return ApiError::user(format!("{error} in `{text}`"));
    }
    ApiError::user(format!("{error}: `{part}` in `{text}`"))
}

impl<I: Inferior> Engine<I> {
    /// Says what is wrong with an expression of the user's; without a process no name means anything.
    pub(super) fn explain_here(&self, error: &LangError, text: &str) -> ApiError {
        match (&error.fault, self.selected_pid()) {
            (Fault::NoSymbol(name), Err(no_process)) => {
                ApiError { message: format!("`{name}` means nothing: {}", no_process.message), ..no_process }
            }
            _ => explain(error, text),
        }
    }

    /// The names of a process's address space.
    pub(in crate::engine) fn names_of(&self, pid: Option<Pid>) -> TargetNames<'_> {
        let space = pid.and_then(|pid| self.processes.get(&pid)).and_then(|one| self.spaces.get(&one.space));
        TargetNames { space, history: &self.history, variables: &self.kept, asked_register: Cell::new(false) }
    }

    /// Registers of the selected frame's thread, or zeros where no thread stands still: an address needs none.
    pub(super) fn evaluate(&self, text: &str) -> Result<Value, ApiError> {
        self.with_names(|names, environment| {
            let expression =
                crate::lang::Expression::compile(text, names).map_err(|error| self.explain_here(&error, text))?;
            if names.plain.asked_register.get() {
                self.selected_tid()?;
            }
            expression.evaluate(environment).map_err(|error| explain(&error, text))
        })
    }

    /// Calls `use_it` with the environment of the selected frame.
    pub(super) fn with_environment<T>(&self, use_it: impl FnOnce(&dyn Environment) -> T) -> T {
        let pid = self.selected_pid().unwrap_or(Pid(0));
        let regs = self.selected_frame_regs().unwrap_or_default();
        let none = SiteTable::default();
        let space = self.processes.get(&pid).and_then(|one| self.spaces.get(&one.space));
        let sites = space.map_or(&none, |one| &one.sites);
        let memory = RawMemory { inferior: &self.inferior, pid };
        use_it(&ThreadEnvironment { regs: &regs, memory: &memory, sites })
    }

    /// The address that an expression gives.
    pub(in crate::engine) fn evaluate_address(&self, text: &str) -> Result<VirtAddr, ApiError> {
        let value = self.evaluate(text)?;
        if value.ty().is_float() || value.ty() == Type::VOID {
            return Err(ApiError::user(format!("`{text}` is no address")));
        }
        Ok(value.as_addr())
    }
}
