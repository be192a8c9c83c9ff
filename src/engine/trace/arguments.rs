//! `args.NAME` and `args.N` of a function: by its debug information where there is some, else by the table of libc's
//! functions, a C++ name's parameters, or the registers.

use std::collections::HashMap;
use std::rc::Rc;

use super::whole_arguments::structure;
use crate::arch::ArgumentPlace;
use crate::base::{FileAddr, Regs, VectorRegs, VirtAddr};
use crate::binary::symbols::parse_signature;
use crate::binary::Module;
use crate::target::breakpoint::CleanMemory;
use crate::target::syscalls::{c_text, find_signature};
use crate::target::task::SpaceId;
use crate::target::value::{ArgumentReader, CallPlan, Certainty};
use crate::target::AddressSpace;
use crate::trace::{FunctionArgument, Text};

/// How the arguments of one function are found, decided at its first hit.
pub(super) struct SiteArguments {
    plan: CallPlan,
    /// The parameters that the debug information names, in order.
    described: Vec<(String, ArgumentPlace)>,
}

/// What is known of functions' arguments, by where they are.
pub(super) type KnownArguments = HashMap<(SpaceId, VirtAddr), Option<Rc<SiteArguments>>>;

impl SiteArguments {
    pub(super) fn of(space: &AddressSpace, at: VirtAddr, symbol: &str) -> Option<SiteArguments> {
        let loaded = space.module_at(at)?;
        let described = described(&loaded.module, loaded.to_file(at));
        Some(SiteArguments { plan: CallPlan::at(symbol, loaded, at), described })
    }

    /// All arguments as one text; one without a name by its number, as `args` has it.
    pub(super) fn whole(&self, task: &Standing<'_>) -> Text {
        let reader = ArgumentReader::new(task.space, task.memory, task.regs, task.vectors);
        structure(self.plan.read(&reader).into_iter().enumerate().map(|(at, one)| {
            let mark = if one.certainty == Certainty::Guess { "?" } else { "" };
            (one.name.unwrap_or_else(|| at.to_string()), one.text + mark)
        }))
    }

    /// The argument of that name, or that number.
    pub(super) fn read(&self, wanted: &str, task: &Standing<'_>) -> Option<FunctionArgument> {
        let reader = ArgumentReader::new(task.space, task.memory, task.regs, task.vectors);
        let planned = self.plan.read(&reader);
        let places = self.plan.places(&reader);
        let number = wanted.parse::<usize>().ok();
        let described = match number {
            Some(at) => self.described.get(at),
            None => self.described.iter().find(|(name, _)| name == wanted),
        };
        // Where the debug information names the place, the plan's text is the one for the same place.
        let at = match (described, number) {
            (Some((_, place)), _) => places.iter().position(|one| *one == Some(*place)),
            (None, Some(at)) => Some(at),
            (None, None) => planned.iter().position(|one| one.name.as_deref() == Some(wanted)),
        };
        let place = described.map(|(_, place)| *place).or_else(|| *places.get(at?)?)?;
        let word = reader.word(place).unwrap_or(0);
        let shown = at.and_then(|at| planned.get(at)).map_or("", |one| &one.text);
        let text = match shown.strip_prefix('"') {
            Some(rest) => rest.rsplit_once('"').map_or(rest, |(text, _)| text).to_owned(),
            None => c_text(task.memory, VirtAddr(word)).unwrap_or_default().trim_matches('"').to_owned(),
        };
        Some(FunctionArgument { word, text: Text::new(text.as_bytes()) })
    }
}

/// A thread at a function's first instruction.
pub(super) struct Standing<'a> {
    pub(super) space: &'a AddressSpace,
    pub(super) memory: &'a CleanMemory<'a>,
    pub(super) regs: &'a Regs,
    pub(super) vectors: &'a dyn Fn() -> Option<VectorRegs>,
}

/// The named parameters of the function at an address, by its debug information.
fn described(module: &Module, at: FileAddr) -> Vec<(String, ArgumentPlace)> {
    let dwarf = module.dwarf();
    let chain = dwarf.instances_at(at);
    let Some(function) = chain.first().filter(|one| one.start() == at) else { return Vec::new() };
    let types = dwarf.types();
    let variables = types.arguments(function);
    let named = |entry| variables.iter().find(|one| one.entry == entry).map(|one| one.name.clone());
    let passed = types.arguments_at_entry(function.entry);
    passed.into_iter().filter_map(|one| Some((named(one.entry)?.to_string(), one.place))).collect()
}

/// The names by which a function's arguments can be meant, besides their numbers.
pub(super) fn names_of(module: &Module, at: FileAddr, symbol: &str) -> Vec<String> {
    let described = described(module, at);
    if !described.is_empty() {
        return described.into_iter().map(|(name, _)| name).collect();
    }
    if parse_signature(symbol).is_some() {
        return vec!["this".to_owned()];
    }
    let known = find_signature(symbol).map(|one| one.parameters).unwrap_or_default();
    known.iter().map(|one| one.name.to_owned()).collect()
}
