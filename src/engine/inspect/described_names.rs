//! Names of expressions as debug information has them: variables in scope, globals, types, values of the history.

use std::cell::OnceCell;
use std::sync::Arc;

use super::expressions::{explain, TargetNames, ThreadEnvironment};
use super::frame_scope::{FrameScope, StaticScope};
use super::memory::RawMemory;
use crate::api::ApiError;
use crate::base::{FileAddr, Inferior, Pid, ReadMem, VirtAddr};
use crate::binary::dwarf::{Encoding, EntryId, Global, Shape, TypeId, Types, Variable};
use crate::binary::Module;
use crate::engine::breakpoints::site_scope::SiteScope;
use crate::engine::state::{Engine, Space};
use crate::lang::typed::{Held, TypedValue};
use crate::lang::{
    DebugNames, DebugType, Environment, Expression, Found, Names, RegisterId, RegisterName, Value, VectorName,
    VectorValue,
};
use crate::target::address_space::LoadedModule;
use crate::target::breakpoint::{CleanMemory, SiteTable};

/// A value of the history, or a convenience variable.
#[derive(Clone)]
pub enum Kept {
    /// A number.
    Plain(Value),
    /// A vector register's value, or a part of it.
    Vector(VectorValue),
    /// A value of a module's type.
    Described {
        /// The value.
        value: TypedValue,
        /// The module.
        module: Arc<Module>,
    },
}

/// What variables mean.
pub(super) enum InScope<'a> {
    /// In a frame of a stopped thread.
    Frame(&'a FrameScope<'a>),
    /// At an address, in whatever thread comes there.
    Site(&'a SiteScope<'a>),
    /// Outside of functions.
    Static,
}

/// From where a variable can be named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// From the file that defines it at least.
    File,
    /// From every file, as the linker has it.
    Program,
}

/// Names as they are in one address space, and in a frame of it.
pub(in crate::engine) struct DescribedNames<'a> {
    pub(in crate::engine) plain: TargetNames<'a>,
    scope: InScope<'a>,
    memory: &'a dyn ReadMem,
    fs_base: u64,
    /// One for each module, in the order of the address space.
    types: Vec<OnceCell<Types<'a>>>,
    variables: OnceCell<Vec<Variable>>,
}

impl<'a> DescribedNames<'a> {
    pub(super) fn new(plain: TargetNames<'a>, scope: InScope<'a>, memory: &'a dyn ReadMem, fs_base: u64) -> Self {
        let count = plain.space.map_or(0, |space| space.modules.modules().len());
        let types = (0..count).map(|_| OnceCell::new()).collect();
        Self { plain, scope, memory, fs_base, types, variables: OnceCell::new() }
    }

    pub(super) fn types(&self, module: u16) -> Option<&Types<'a>> {
        let loaded = self.plain.space?.modules.modules().get(usize::from(module))?;
        Some(self.types.get(usize::from(module))?.get_or_init(|| loaded.module.dwarf().types()))
    }

    /// The module of the scope, and the address in it.
    fn here(&self) -> Option<(u16, FileAddr)> {
        let (loaded, at) = match self.scope {
            InScope::Frame(scope) => (scope.module.loaded, scope.lookup()),
            InScope::Site(scope) => (scope.loaded, scope.at),
            InScope::Static => return None,
        };
        let modules = self.plain.space?.modules.modules();
        let index = modules.iter().position(|one| one.range.start == loaded.range.start)?;
        Some((u16::try_from(index).ok()?, at))
    }

    pub(super) fn in_frame(&self, name: &str) -> Option<Found> {
        let (module, at) = self.here()?;
        let types = self.types(module)?;
        let chain = match self.scope {
            InScope::Frame(scope) => &scope.chain,
            InScope::Site(scope) => &scope.chain,
            InScope::Static => return None,
        };
        let variables =
            self.variables.get_or_init(|| chain.last().map(|copy| types.variables(copy, at)).unwrap_or_default());
        let made_with;
        let variable = match variables.iter().find(|one| one.name == name) {
            Some(variable) => variable,
            None => {
                made_with = types.template_value(chain.last()?.entry, name)?;
                &made_with
            }
        };
        match self.scope {
            InScope::Frame(scope) => {
                let value = scope.value(types, variable);
                let number =
                    matches!(value.place, Held::Bytes(_)).then(|| scope.register_of(types, variable)).flatten();
                let ty = DebugType { module, id: variable.ty };
                Some(
                    match number
                        .filter(|_| is_number(types, ty.id))
                        .and_then(crate::engine::breakpoints::site_scope::named)
                    {
                        Some(register) => Found::Register { register, ty },
                        None => Found::Value { value, module },
                    },
                )
            }
            InScope::Site(scope) => Some(scope.find(types, module, variable)),
            InScope::Static => None,
        }
    }

    /// A variable or enumerator outside of functions: of the scope's unit and its namespaces, then what its module shares
    /// with others, then the program's. What a library keeps to one of its files comes last: while a thread sleeps in
    /// libc, `state` is hardly libc's own.
    fn global(&self, name: &str) -> Option<Found> {
        let here = self.here();
        if let Some((module, at)) = here {
            let types = self.types(module)?;
            let mut scope = self.enclosing(types);
            while !scope.is_empty() {
                if let Some(found) = self.global_in(module, &format!("{scope}{name}"), Some(at), Reach::File) {
                    return Some(found);
                }
                scope = outer_scope(&scope).to_owned();
            }
            if let Some(found) = self.global_in(module, name, Some(at), Reach::Program) {
                return Some(found);
            }
            let meanings = self.meanings(types, name);
            if let Some(found) = meanings.iter().find_map(|one| self.global_in(module, one, Some(at), Reach::File)) {
                return Some(found);
            }
        }
        let modules = self.plain.space?.modules.modules();
        let find = |index: u16, reach| {
            let loaded = modules.get(usize::from(index)).filter(|one| !one.module.dwarf().is_empty());
            loaded.and_then(|_| self.global_in(index, name, None, reach))
        };
        // The kernel maps the program below its libraries.
        let own = here.map(|(module, _)| module);
        let first = find(0, Reach::File).or_else(|| find(own?, Reach::File));
        let others = || (1..modules.len() as u16).filter(|index| own != Some(*index));
        let shared = || others().find_map(|index| find(index, Reach::Program));
        first.or_else(shared).or_else(|| others().find_map(|index| find(index, Reach::File)))
    }

    /// The function of the scope, the innermost that is inlined there.
    fn function(&self) -> Option<EntryId> {
        let chain = match self.scope {
            InScope::Frame(scope) => &scope.chain,
            InScope::Site(scope) => &scope.chain,
            InScope::Static => return None,
        };
        chain.last().map(|one| one.entry)
    }

    /// The namespaces and class of the scope's function.
    fn enclosing(&self, types: &Types<'_>) -> String {
        self.function().map(|one| types.enclosing_scope(one)).unwrap_or_default()
    }

    /// What else a name may mean there.
    fn meanings(&self, types: &Types<'_>, name: &str) -> Vec<String> {
        let meanings = |function| types.meanings(function, &types.enclosing_scope(function), name);
        self.function().map(meanings).unwrap_or_default()
    }

    /// Of one module; of the unit that covers `near` whatever its reach.
    fn global_in(&self, module: u16, name: &str, near: Option<FileAddr>, least: Reach) -> Option<Found> {
        let types = self.types(module)?;
        let loaded = self.plain.space?.modules.modules().get(usize::from(module))?;
        let global = types.global(name, near)?;
        if least == Reach::Program && !types.is_within_reach(&global, near) {
            return None;
        }
        match global {
            Global::Enumerator(id, number) => Some(Found::Constant { ty: DebugType { module, id }, number }),
            Global::Variable(variable) => self.static_value(loaded, module, &variable),
        }
    }

    /// Of one module; what the code at an address can name.
    pub(super) fn global_near(&self, module: u16, name: &str, near: FileAddr) -> Option<Found> {
        self.global_in(module, name, Some(near), Reach::Program)
    }

    /// A variable of a module that needs no frame.
    pub(super) fn static_value(&self, loaded: &'a LoadedModule, module: u16, variable: &Variable) -> Option<Found> {
        let types = self.types(module)?;
        if let InScope::Site(scope) = self.scope {
            return Some(scope.outside_of_functions(loaded).find(types, module, variable));
        }
        let modules = &self.plain.space?.modules;
        let scope = StaticScope { modules, loaded, memory: self.memory, fs_base: self.fs_base };
        Some(Found::Value { value: scope.value(types, variable), module })
    }

    /// Whether a function of a module is that of the scope, or what is inlined there.
    pub(super) fn is_of_frame(&self, module: u16, function: EntryId) -> bool {
        let is_here = self.here().is_some_and(|(here, _)| here == module);
        is_here && self.function() == Some(function)
    }
}

/// Whether a value of the type fits a general register as it is.
fn is_number(types: &Types<'_>, id: TypeId) -> bool {
    let view = types.view(id);
    let float = matches!(view.shape, Shape::Base(Encoding::Float | Encoding::Complex));
    view.size <= 8 && !float && !matches!(view.shape, Shape::Record | Shape::Union | Shape::Array(..))
}

/// `a::b::` to `a::`.
fn outer_scope(scope: &str) -> &str {
    let inner = scope.trim_end_matches(':');
    let mut depth = 0;
    for (at, byte) in inner.bytes().enumerate().rev() {
        match byte {
            b'>' | b')' => depth += 1,
            b'<' | b'(' => depth -= 1,
            b':' if depth == 0 => return &scope[..=at],
            _ => {}
        }
    }
    ""
}

impl Names for DescribedNames<'_> {
    fn register(&self, name: &str) -> Option<RegisterName> {
        self.plain.register(name)
    }

    fn symbol(&self, name: &str) -> Option<VirtAddr> {
        self.plain.symbol(name)
    }

    fn debug(&self) -> Option<&dyn DebugNames> {
        let space = self.plain.space?;
        let described = space.modules.modules().iter().any(|one| !one.module.dwarf().is_empty());
        described.then_some(self)
    }

    fn vector(&self, name: &str) -> Option<VectorName> {
        self.plain.vector(name)
    }

    fn vector_value(&self, name: &str) -> Option<VectorValue> {
        self.plain.vector_value(name)
    }

    fn is_lost(&self, id: RegisterId) -> bool {
        self.plain.is_lost(id)
    }

    fn variable(&self, name: &str) -> Option<Value> {
        self.plain.variable(name)
    }
}

impl DebugNames for DescribedNames<'_> {
    fn look(&self, module: u16, use_it: &mut dyn FnMut(&Types<'_>)) {
        if let Some(types) = self.types(module) {
            use_it(types);
        }
    }

    fn memory(&self) -> &dyn ReadMem {
        self.memory
    }

    fn local(&self, name: &str) -> Option<Found> {
        self.in_frame(name)
    }

    fn variable(&self, name: &str) -> Option<Found> {
        if let Some(found) = self.in_frame(name) {
            return Some(found);
        }
        if name == "this" {
            return None;
        }
        let name = &spaced(name);
        // What is a function's name is not looked for in all units.
        let is_function = !name.contains("::") && self.plain.is_function(name);
        if is_function {
            return None;
        }
        self.global(name).or_else(|| self.variable_of_function(name))
    }

    fn in_file(&self, file: &str, name: &str) -> Option<Found> {
        self.variable_of_file(file, name)
    }

    fn kept(&self, name: &str) -> Option<Found> {
        let Kept::Described { value, module } = self.plain.kept(name)? else { return None };
        let modules = self.plain.space?.modules.modules();
        let index = modules.iter().position(|one| Arc::ptr_eq(&one.module, module))?;
        Some(Found::Value { value: value.clone(), module: u16::try_from(index).ok()? })
    }

    fn function_type(&self, at: VirtAddr) -> Option<DebugType> {
        let modules = self.plain.space?.modules.modules();
        let index = modules.iter().position(|one| one.range.contains(at))?;
        let loaded = &modules[index];
        let at = loaded.to_file(at);
        let function = loaded.module.dwarf().instances_at(at).into_iter().find(|one| one.start() == at)?;
        let module = u16::try_from(index).ok()?;
        Some(DebugType { module, id: self.types(module)?.function_type(function.entry) })
    }

    fn find_type(&self, name: &str) -> Option<DebugType> {
        let name = &spaced(name);
        let here = self.here().map(|(module, _)| module);
        let modules = self.plain.space?.modules.modules();
        let find = |module: u16| {
            let types = self.types(module)?;
            let is_here = Some(module) == here;
            if let Some(id) = self.function().filter(|_| is_here).and_then(|one| types.type_in_function(one, name)) {
                return Some(DebugType { module, id });
            }
            let mut scope = if is_here { self.enclosing(types) } else { String::new() };
            loop {
                if let Some(id) = types.find_type(&format!("{scope}{name}")) {
                    return Some(DebugType { module, id });
                }
                if scope.is_empty() {
                    let meanings = if is_here { self.meanings(types, name) } else { Vec::new() };
                    let found = meanings.iter().find_map(|one| types.find_type(one));
                    return found.map(|id| DebugType { module, id });
                }
                scope = outer_scope(&scope).to_owned();
            }
        };
        if let Some(found) = here.and_then(find) {
            return Some(found);
        }
        let others = (0..modules.len() as u16).filter(|index| Some(*index) != here);
        others.filter(|index| !modules[usize::from(*index)].module.dwarf().is_empty()).find_map(find)
    }
}

/// `A<int,char>` as compilers write it: `A<int, char>`.
fn spaced(name: &str) -> String {
    let tight = name.replace(", ", ",");
    if name.contains('<') {
        tight.replace(',', ", ")
    } else {
        name.to_owned()
    }
}

impl<I: Inferior> Engine<I> {
    /// Calls `use_it` with the names of the selected frame, or of the selected process where no thread stands still, and
    /// with what they are evaluated in.
    pub(in crate::engine) fn with_names<T>(
        &self,
        use_it: impl FnOnce(&DescribedNames<'_>, &dyn Environment) -> T,
    ) -> T {
        let pid = self.selected_pid().unwrap_or(Pid(0));
        let regs = self.selected_frame_regs().unwrap_or_default();
        let none = SiteTable::default();
        let outer = self.outer_frame_regs();
        let signal = || self.siginfo_here();
        let plain = || TargetNames { outer, signal: Some(&signal), ..self.names_of(Some(pid)) };
        let space: Option<&Space> = plain().space;
        let sites = space.map_or(&none, |one| &one.sites);
        let raw = RawMemory { inferior: &self.inferior, pid };
        let extended = || self.extended_regs_here();
        let environment = ThreadEnvironment::new(&regs, &raw, sites, &extended, self.who_here());
        let mut use_it = Some(use_it);
        if let Ok((tid, shown)) = self.selected_frame() {
            let done = self.with_scope(tid, &shown, |scope| {
                let names = DescribedNames::new(plain(), InScope::Frame(scope), scope.module.memory, regs.fs_base);
                use_it.take().map(|use_it| use_it(&names, &environment))
            });
            if let Some(Some(done)) = done {
                return done;
            }
        }
        let memory = CleanMemory { raw: &raw, sites };
        let names = DescribedNames::new(plain(), InScope::Static, &memory, regs.fs_base);
        let use_it = use_it.take().unwrap_or_else(|| unreachable!("a scope that was not used leaves it"));
        use_it(&names, &environment)
    }

    /// A condition for one place, over the variables that are in scope there; where no code is, over those outside of
    /// functions.
    pub(in crate::engine) fn compile_condition_at(
        &self,
        text: &str,
        pid: Pid,
        at: VirtAddr,
    ) -> Result<Expression, ApiError> {
        let plain = self.names_of(Some(pid));
        let raw = RawMemory { inferior: &self.inferior, pid };
        let scope = plain.space.and_then(|space| SiteScope::new(&space.modules, &raw, at));
        let scope = scope.as_ref().map_or(InScope::Static, InScope::Site);
        let names = DescribedNames::new(plain, scope, &raw, 0);
        let compiled = Expression::compile(text, &names).map_err(|error| explain(&error, text))?;
        if let Some(shape) = compiled.vector_shape().filter(|_| !compiled.is_assignable()) {
            return Err(ApiError::user(format!(
                "`{text}` cannot be a condition: a value of type `{}` is not a number",
                shape.type_name()
            )));
        }
        match compiled.is_known_later() {
            true => Ok(compiled),
            false => Err(ApiError::user(format!("`{text}` cannot be a condition there: its value is not in memory"))),
        }
    }
}
