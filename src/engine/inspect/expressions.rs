//! What the names in an expression mean in the target, and where its values come from.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;

use super::described_names::Kept;
use super::memory::RawMemory;
use super::registers::{is_lost, read_part};
use super::session_values::{session_name, siginfo_member, Who};
use crate::api::ApiError;
use crate::arch::{ExtendedKind, ExtendedRegister, Register};
use crate::base::{ExtendedRegs, Inferior, MemError, Pid, ReadMem, Regs, SigInfo, VirtAddr};
use crate::binary::symbols::demangle_without_parameters;
use crate::binary::{FunctionMatch, NamePattern, SymbolKind};
use crate::engine::state::{Engine, Space};
use crate::lang::vector::Shape;
use crate::lang::{
    Environment, Fault, FlagSet, LangError, Names, RegisterId, RegisterName, Type, Value, VectorName, VectorValue,
};
use crate::target::breakpoint::{CleanMemory, SiteTable};
use crate::target::unwind::FrameRegs;

/// The argument registers of the psABI by the names that conditions use: arg0 is rdi.
const ARGUMENTS: [&str; 6] = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"];

/// So many functions that are called alike are looked at for the one that an expression means.
const HOMONYMS: usize = 64;

/// Names as they are in one address space.
pub(in crate::engine) struct TargetNames<'a> {
    pub(in crate::engine) space: Option<&'a Space>,
    pub(super) history: &'a [Kept],
    /// Convenience variables.
    pub(super) variables: &'a BTreeMap<String, Kept>,
    /// Whether a register was asked for: then a thread must stand still before the expression means anything.
    pub(in crate::engine) asked_register: Cell<bool>,
    /// The signal that the thread stands with; `None` where no thread is meant yet.
    pub(super) signal: Option<&'a dyn Fn() -> Option<SigInfo>>,
    /// What is known of the registers of an outer frame, where one is looked at.
    pub(super) outer: Option<FrameRegs>,
}

impl Names for TargetNames<'_> {
    fn register(&self, name: &str) -> Option<RegisterName> {
        let own = match name.strip_prefix("arg").and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => ARGUMENTS.get(number)?,
            None if name == "retval" => "rax",
            None => name,
        };
        let found = Register::find(own).map(register_name).or_else(|| control_name(own));
        let found = found.or_else(|| session_name(own))?;
        self.asked_register.set(true);
        Some(found)
    }

    fn vector(&self, name: &str) -> Option<VectorName> {
        let register = ExtendedRegister::find(&name.to_ascii_lowercase()).filter(|one| one.exists())?;
        let shape = match register.kind() {
            ExtendedKind::Vector(bytes) => Shape::Union(bytes),
            ExtendedKind::Float => Shape::Float,
            ExtendedKind::Integer(_) | ExtendedKind::ControlFlags => return None,
        };
        self.asked_register.set(true);
        let (id, double) = (RegisterId(register.number()), RegisterId(register.double_number()));
        Some(VectorName { id, double, shape })
    }

    fn vector_value(&self, name: &str) -> Option<VectorValue> {
        match self.kept(name)? {
            Kept::Vector(value) => Some(value.clone()),
            Kept::Plain(_) | Kept::Described { .. } => None,
        }
    }

    fn is_lost(&self, id: RegisterId) -> bool {
        self.outer.is_some_and(|frame| is_lost(&frame, id))
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
        if let Some(member) = name.strip_prefix("_siginfo.") {
            return siginfo_member(&self.signal.and_then(|signal| signal())?, member);
        }
        match self.kept(name)? {
            Kept::Plain(value) => Some(*value),
            Kept::Described { .. } | Kept::Vector(_) => None,
        }
    }
}

/// A general register, with gdb's types.
pub(super) fn register_name(register: Register) -> RegisterName {
    let id = RegisterId(register.number());
    match register.name() {
        "rip" => RegisterName::code(id),
        "rsp" | "rbp" => RegisterName::pointer(id),
        "eflags" => RegisterName::flags(id, FlagSet::Status),
        _ => RegisterName::integer(id, usize::from(register.width())),
    }
}

/// Control words, and the masks of AVX-512.
fn control_name(name: &str) -> Option<RegisterName> {
    let register = ExtendedRegister::find(&name.to_ascii_lowercase()).filter(|one| one.exists())?;
    let id = RegisterId(register.number());
    match register.kind() {
        ExtendedKind::Integer(bytes) => Some(RegisterName::integer(id, bytes.into())),
        ExtendedKind::ControlFlags => Some(RegisterName::flags(id, FlagSet::Vector)),
        ExtendedKind::Vector(_) | ExtendedKind::Float => None,
    }
}

/// Whether a function is meant by a name: one without a scope is not that of another class's function.
fn is_called(function: &FunctionMatch, name: &str) -> bool {
    let is_plain = |mangled: &String| {
        let shown = demangle_without_parameters(mangled);
        let own = shown.strip_prefix("(anonymous namespace)::").unwrap_or(&shown);
        // A template's function has its result in front.
        let stem = own.split('<').next().unwrap_or(own);
        own == name || stem.rsplit(' ').next() == Some(name)
    };
    name.contains("::") || name.contains('(') || function.names.is_empty() || function.names.iter().any(is_plain)
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
    regs: &'a Regs,
    memory: &'a dyn ReadMem,
    sites: &'a SiteTable,
    /// How the registers beyond the general ones are had: by a system call, when the first is asked for.
    extended: &'a dyn Fn() -> Option<ExtendedRegs>,
    fetched: OnceCell<Option<ExtendedRegs>>,
    who: Who,
}

impl<'a> ThreadEnvironment<'a> {
    pub(in crate::engine) fn new(
        regs: &'a Regs,
        memory: &'a dyn ReadMem,
        sites: &'a SiteTable,
        extended: &'a dyn Fn() -> Option<ExtendedRegs>,
        who: Who,
    ) -> Self {
        Self { regs, memory, sites, extended, fetched: OnceCell::new(), who }
    }
}

impl Environment for ThreadEnvironment<'_> {
    fn register(&self, id: RegisterId) -> u64 {
        if let Some(register) = Register::from_number(id.0) {
            return register.read(self.regs);
        }
        if let Some(value) = self.who.value(id) {
            return value;
        }
        let Some((register, part)) = ExtendedRegister::at_number(id.0) else { return 0 };
        let regs = self.fetched.get_or_init(|| (self.extended)());
        regs.as_ref().map_or(0, |regs| read_part(regs, register, part))
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
        TargetNames {
            space,
            history: &self.history,
            variables: &self.kept,
            asked_register: Cell::new(false),
            signal: None,
            outer: None,
        }
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

    /// The vector registers of the selected thread.
    pub(super) fn extended_regs_here(&self) -> Option<ExtendedRegs> {
        self.inferior.extended_regs(self.selected_tid().ok()?).ok()
    }

    /// Calls `use_it` with the environment of the selected frame.
    pub(super) fn with_environment<T>(&self, use_it: impl FnOnce(&dyn Environment) -> T) -> T {
        let pid = self.selected_pid().unwrap_or(Pid(0));
        let regs = self.selected_frame_regs().unwrap_or_default();
        let none = SiteTable::default();
        let space = self.processes.get(&pid).and_then(|one| self.spaces.get(&one.space));
        let sites = space.map_or(&none, |one| &one.sites);
        let memory = RawMemory { inferior: &self.inferior, pid };
        let extended = || self.extended_regs_here();
        use_it(&ThreadEnvironment::new(&regs, &memory, sites, &extended, self.who_here()))
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
