//! Which function a call means, and what is passed to it.

use std::sync::Arc;

use super::conversion::{convert_plain, word, Distance, Fit};
use super::{CallMode, PlannedCall, PlannedResult};
use crate::arch::CallOperand;
use crate::base::VirtAddr;
use crate::binary::dwarf::{CallSignature, Convention, EntryId, Method, ReturnPlace, Shape, TypeId, Types};
use crate::binary::{FunctionMatch, NamePattern, SymbolKind};
use crate::engine::inspect::described_names::{DescribedNames, Kept};
use crate::engine::inspect::expressions::{is_called, HOMONYMS};
use crate::lang::typed::{Held, TypedValue};
use crate::lang::{
    CallArgument, CallPurpose, CallResult, Callee, Calls, DebugNames, DebugType, Environment, Fault, Type, Value,
};

/// How deep a method is looked for in bases.
const DEPTH: u32 = 16;
/// How many candidates an error lists.
const LISTED: usize = 8;

/// A function that may be meant.
struct Candidate {
    name: String,
    place: CodeAt,
    /// What it takes, and the module of the types; `None`: it is not described.
    described: Option<(u16, CallSignature)>,
    /// The object that it is called for.
    object: Option<VirtAddr>,
}

impl Candidate {
    /// One of which nothing but the address is known.
    fn nameless(at: VirtAddr, name: String) -> Candidate {
        Candidate { name, place: CodeAt::Known(at), described: None, object: None }
    }
}

/// Where a candidate's code is.
enum CodeAt {
    /// There.
    Known(VirtAddr),
    /// Where the function there says (STT_GNU_IFUNC), which is to be called for it.
    Resolved(VirtAddr),
    /// In a slot of the virtual table of an object.
    Slot { object: VirtAddr, slot: u64 },
    /// Nowhere: it is only declared, or was inlined everywhere.
    Nowhere,
}

impl Calls for DescribedNames<'_> {
    fn environment(&self) -> &dyn Environment {
        self.environment
    }

    fn decide(&self, now: bool) -> bool {
        let index = self.book.decided.get();
        self.book.decided.set(index + 1);
        let mut decisions = self.book.decisions.borrow_mut();
        decisions.get(index).copied().unwrap_or_else(|| {
            decisions.push(now);
            now
        })
    }

    fn call(&self, callee: &Callee, arguments: &[CallArgument], purpose: CallPurpose) -> Result<CallResult, Fault> {
        let (candidate, operands) = self.choose(callee, arguments).map_err(Fault::CallRefused)?;
        let result = self.planned_result(&candidate);
        if purpose == CallPurpose::Type || self.book.mode.get() == CallMode::TypesOnly {
            return Ok(self.any_value(&result));
        }
        let function = match candidate.place {
            CodeAt::Resolved(resolver) => self.resolved(&candidate.name, resolver)?,
            _ => self.code_of(&candidate).map_err(Fault::CallRefused)?,
        };
        let object = candidate.object.map(|at| word(at.0));
        let operands: Vec<CallOperand> = object.into_iter().chain(operands).collect();
        let made = self.made(PlannedCall { name: candidate.name, function, operands, result })?;
        self.known(&made)
    }
}

impl DescribedNames<'_> {
    /// What a call has returned, if it is made already.
    fn made(&self, planned: PlannedCall) -> Result<Kept, Fault> {
        let index = self.book.asked.get();
        self.book.asked.set(index + 1);
        let made = self.book.results.borrow().get(index).cloned();
        made.ok_or_else(|| {
            if self.book.is_sealed.get() {
                let why = "this would call a function after the command has changed something: nothing more was called";
                return Fault::CallRefused(why.to_owned());
            }
            *self.book.pending.borrow_mut() = Some(planned);
            Fault::CallPending
        })
    }

    /// Which function the resolver chooses for this CPU.
    fn resolved(&self, name: &str, resolver: VirtAddr) -> Result<VirtAddr, Fault> {
        let (name, result) = (format!("the resolver of {name}"), PlannedResult::Untyped);
        match self.made(PlannedCall { name, function: resolver, operands: Vec::new(), result })? {
            Kept::Plain(value) => Ok(value.as_addr()),
            _ => Err(Fault::BadCode),
        }
    }

    fn known(&self, kept: &Kept) -> Result<CallResult, Fault> {
        match kept {
            Kept::Vector(_) => Err(Fault::BadCode),
            Kept::Plain(value) => Ok(CallResult::Plain(*value)),
            Kept::Described { value, module } => {
                let modules = self.plain.space.map(|space| space.modules.modules()).unwrap_or_default();
                let index = modules.iter().position(|one| Arc::ptr_eq(&one.module, module));
                let module = index.and_then(|index| u16::try_from(index).ok());
                let gone = || Fault::CallRefused("the call has unloaded the module of its result".to_owned());
                Ok(CallResult::Described { value: value.clone(), module: module.ok_or_else(gone)? })
            }
        }
    }

    fn any_value(&self, result: &PlannedResult) -> CallResult {
        match result {
            PlannedResult::Untyped => CallResult::Plain(Value::long(0)),
            PlannedResult::Typed { place: ReturnPlace::Nothing, ty, .. } if *ty == TypeId::VOID => {
                CallResult::Plain(Value::from_raw(0, Type::VOID))
            }
            PlannedResult::Typed { ty, module, size, .. } => {
                let value = TypedValue { ty: *ty, place: Held::Bytes(vec![0; (*size).clamp(8, 4096) as usize]) };
                self.known(&Kept::Described { value, module: Arc::clone(module) })
                    .unwrap_or(CallResult::Plain(Value::long(0)))
            }
        }
    }

    fn planned_result(&self, candidate: &Candidate) -> PlannedResult {
        let Some((module, signature)) = &candidate.described else { return PlannedResult::Untyped };
        let modules = self.plain.space.map(|space| space.modules.modules()).unwrap_or_default();
        let Some(loaded) = modules.get(usize::from(*module)) else { return PlannedResult::Untyped };
        let size = self.types(*module).map_or(0, |types| types.size(signature.result));
        let (ty, place, module) = (signature.result, signature.place, Arc::clone(&loaded.module));
        PlannedResult::Typed { ty, module, place, size }
    }

    /// The candidate that the arguments fit best, and what is passed to it.
    fn choose(&self, callee: &Callee, arguments: &[CallArgument]) -> Result<(Candidate, Vec<CallOperand>), String> {
        let candidates = self.candidates(callee);
        let mut best: Option<(Distance, usize, Vec<CallOperand>)> = None;
        let mut reasons = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            match self.fit(candidate, arguments) {
                Ok((distance, operands)) if best.as_ref().is_none_or(|(least, ..)| distance < *least) => {
                    best = Some((distance, index, operands));
                }
                Ok(_) => {}
                Err(reason) => reasons.push(format!("{}: {reason}", candidate.name)),
            }
        }
        let mut candidates = candidates;
        match best {
            Some((_, index, operands)) => Ok((candidates.swap_remove(index), operands)),
            None if reasons.is_empty() => Err("there is no such function to call".to_owned()),
            None => {
                let more = reasons.len().saturating_sub(LISTED);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                reasons.truncate(LISTED);
                Err(format!("the arguments do not fit {}{more}", reasons.join("; ")))
            }
        }
    }

    fn fit(&self, candidate: &Candidate, arguments: &[CallArgument]) -> Result<(Distance, Vec<CallOperand>), String> {
        let Some((module, signature)) = &candidate.described else {
            let operands = arguments.iter().map(convert_plain).collect::<Result<_, _>>()?;
            return Ok((Distance::default(), operands));
        };
        if signature.object.is_some() && candidate.object.is_none() {
            return Err("it is called for an object: write object.function(..)".to_owned());
        }
        let (wanted, given) = (signature.parameters.len(), arguments.len());
        if given < wanted || given > wanted && !signature.is_variadic {
            let least = if signature.is_variadic { "at least " } else { "" };
            return Err(format!("it takes {least}{wanted} and gets {given}"));
        }
        let types = self.types(*module).ok_or("its types cannot be read")?;
        let is_record = |ty: TypeId| matches!(types.view(ty).shape, Shape::Record | Shape::Union);
        let mut passed = signature.parameters.iter().map(|one| one.ty).chain([signature.result]);
        if signature.convention == Convention::Rust && passed.any(is_record) {
            return Err("Rust passes and returns its records in a way of its own".to_owned());
        }
        let mut total = Distance::default();
        let mut operands = Vec::new();
        for (parameter, argument) in signature.parameters.iter().zip(arguments) {
            let argument_types = match argument {
                CallArgument::Object { module, .. } => self.types(*module),
                CallArgument::Number { ty, .. } => ty.and_then(|ty| self.types(ty.module)),
                CallArgument::Text(_) => None,
            };
            let fit = Fit { types, argument_types, memory: self.memory() };
            let (distance, operand) = fit.convert(parameter, argument)?;
            total = Distance(total.0 + distance.0);
            operands.extend(operand);
        }
        for argument in arguments.iter().skip(wanted) {
            operands.push(convert_plain(argument)?);
        }
        Ok((total, operands))
    }

    fn candidates(&self, callee: &Callee) -> Vec<Candidate> {
        match callee {
            Callee::Named { name, at } => self.named(name, *at),
            Callee::Pointed { at, ty } => {
                let ty = ty.or_else(|| self.function_type(*at));
                let entry = ty.and_then(|ty| {
                    let function = self.types(ty.module)?.unqualified(ty.id);
                    Some((ty.module, function.described_by()?))
                });
                let described = entry.and_then(|(module, entry)| self.described(module, entry));
                let name = format!("the function at {at}");
                vec![Candidate { described, ..Candidate::nameless(*at, name) }]
            }
            Callee::Method { name, class, object } => self.methods_named(name, *class, *object),
        }
    }

    fn described(&self, module: u16, entry: EntryId) -> Option<(u16, CallSignature)> {
        Some((module, self.types(module)?.call_signature(entry)?))
    }

    /// All functions of a name. A name that a symbol has as it is, as C's are, means that one alone.
    fn named(&self, name: &str, at: VirtAddr) -> Vec<Candidate> {
        let modules = self.plain.space.map(|space| space.modules.modules()).unwrap_or_default();
        let mut found = Vec::new();
        let exact = modules.iter().any(|one| one.module.symbols().find_exact(name).is_some());
        for (index, loaded) in modules.iter().enumerate().filter(|_| !exact) {
            let matches = loaded.module.functions_named(&NamePattern::Plain(name.to_owned()), HOMONYMS);
            let wanted = |one: &&FunctionMatch| one.kind == SymbolKind::Function && is_called(one, name);
            for function in matches.functions.iter().filter(wanted) {
                found.extend(
                    u16::try_from(index).ok().map(|module| self.candidate(module, loaded.to_virt(function.address))),
                );
            }
        }
        let symbol = modules.iter().find_map(|one| one.module.symbols().find_exact(name));
        if symbol.is_some_and(|symbol| symbol.kind == SymbolKind::IndirectFunction) {
            found.push(Candidate { place: CodeAt::Resolved(at), ..Candidate::nameless(at, name.to_owned()) });
        }
        if found.is_empty() {
            let index = modules.iter().position(|one| one.range.contains(at));
            match index.and_then(|index| u16::try_from(index).ok()) {
                Some(module) => found.push(self.candidate(module, at)),
                None => found.push(Candidate::nameless(at, name.to_owned())),
            }
        }
        found
    }

    fn candidate(&self, module: u16, at: VirtAddr) -> Candidate {
        let loaded = self.plain.space.and_then(|space| space.modules.modules().get(usize::from(module)));
        let entry = loaded.and_then(|loaded| {
            let file = loaded.to_file(at);
            let dwarf = loaded.module.dwarf();
            let own = dwarf.instances_at(file).into_iter().next().filter(|one| one.start() == file)?;
            Some((own.entry, dwarf.function_name(own.entry)))
        });
        let described = entry.as_ref().and_then(|(entry, _)| self.described(module, *entry));
        let name = entry.and_then(|(_, name)| name).unwrap_or_else(|| format!("the function at {at}"));
        Candidate { described, ..Candidate::nameless(at, name) }
    }

    fn methods_named(&self, name: &str, class: DebugType, object: VirtAddr) -> Vec<Candidate> {
        let Some(types) = self.types(class.module) else { return Vec::new() };
        let mut found = Vec::new();
        collect_methods(types, class.id, name, 0, DEPTH, &mut found);
        let candidates = found.into_iter().filter_map(|(owner, offset, method)| {
            let entry = method.ty.described_by()?;
            let signature = types.call_signature(entry)?;
            let object = object.offset(offset);
            let place = match method.slot.filter(|_| method.is_virtual) {
                Some(slot) => CodeAt::Slot { object, slot },
                None => self.code_of_method(class.module, owner, entry, name),
            };
            let shown = format!("{}::{name}", types.name(types.unqualified(owner)));
            let object = (!method.is_static).then_some(object);
            Some(Candidate { name: shown, place, described: Some((class.module, signature)), object })
        });
        candidates.collect()
    }

    /// A member function's code, by the symbol that its declaration names.
    fn code_of_method(&self, module: u16, owner: TypeId, entry: EntryId, name: &str) -> CodeAt {
        let modules = self.plain.space.map(|space| space.modules.modules()).unwrap_or_default();
        let symbol = modules.get(usize::from(module)).and_then(|one| one.module.dwarf().function_symbol(entry));
        let by_symbol = symbol.and_then(|symbol| {
            modules.iter().find_map(|one| Some(one.to_virt(one.module.symbols().find_exact(&symbol)?.address)))
        });
        let by_name = || {
            let types = self.types(module)?;
            let qualified = format!("{}::{name}", types.name(types.unqualified(owner)));
            crate::lang::Names::symbol(self, &qualified)
        };
        by_symbol.or_else(by_name).map_or(CodeAt::Nowhere, CodeAt::Known)
    }

    fn code_of(&self, candidate: &Candidate) -> Result<VirtAddr, String> {
        match candidate.place {
            CodeAt::Known(at) | CodeAt::Resolved(at) => Ok(at),
            CodeAt::Nowhere => Err(format!(
                "{} has no code of its own: it is inlined wherever it is called, or not in the program",
                candidate.name
            )),
            CodeAt::Slot { object, slot } => {
                let word = |at: VirtAddr| self.memory().read_u64(at).map_err(|error| error.to_string());
                let table = word(object)?;
                word(VirtAddr(table.wrapping_add(slot.wrapping_mul(8)))).map(VirtAddr)
            }
        }
    }
}

/// The functions of a name that a class declares, or else its bases: the class that does, how far into the object that is,
/// and the function.
fn collect_methods(
    types: &Types<'_>,
    class: TypeId,
    name: &str,
    offset: u64,
    depth: u32,
    found: &mut Vec<(TypeId, u64, Method)>,
) {
    let class = types.definition(class).unwrap_or(class);
    let own = types.methods(class).into_iter().filter(|one| one.name == name);
    let before = found.len();
    found.extend(own.map(|method| (class, offset, method)));
    // A name of the class itself hides those of its bases.
    if found.len() > before || depth == 0 || types.view(class).shape != Shape::Record {
        return;
    }
    for base in types.members(class).iter().filter(|one| one.kind == crate::binary::dwarf::MemberKind::Base) {
        collect_methods(types, base.ty, name, offset + base.offset, depth - 1, found);
    }
}
