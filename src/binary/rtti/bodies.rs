//! What the code of virtual functions tells: destructors, thunks, and calls of other files' functions.

use std::collections::HashMap;

use super::super::FunctionRange;
use super::owners::Owner;
use super::vtables::Vtable;
use super::{Forward, Recovered};
use crate::arch::{read_body, Body, CallKind, CallTarget, Extent};
use crate::base::FileAddr;

/// Of how many classes the destructors are looked at to find `operator delete`.
const SAMPLE: usize = 1024;
/// A function is a form of `operator delete` if so many of them, in the thousand, end in it.
const DELETES_PER_MILLE: usize = 50;
/// Longer functions do more than to hand a call on (bytes).
const MAX_FORWARD: u64 = 512;
/// What many functions call besides what they are for: errno, memory, the compiler's own.
const COMMON: [&str; 22] = [
    "__errno_location",
    "__stack_chk_fail",
    "__cxa_atexit",
    "__assert_fail",
    "_Unwind_Resume",
    "abort",
    "free",
    "malloc",
    "calloc",
    "realloc",
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "strlen",
    "strcmp",
    "_ZdlPv",
    "_ZdlPvm",
    "_Znwm",
    "_ZSt9terminatev",
    "__gxx_personality_v0",
];

/// What a destructor's symbol would say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Destructor {
    /// D1: ends the object.
    Complete,
    /// D0: ends the object and frees its memory.
    Deleting,
}

impl Recovered {
    pub(super) fn body(&self, function: FunctionRange) -> Body {
        read_body(self.code(function), function.start)
    }

    /// The one function of another file that a function calls, where it calls no other function of this one.
    pub(super) fn forward(&self, function: FunctionRange) -> Option<Forward> {
        if function.end.since(function.start) > MAX_FORWARD {
            return None;
        }
        let body = self.body(function);
        let mut found: Option<Forward> = None;
        for call in &body.calls {
            let name = self.import_name(call.target)?;
            if COMMON.contains(&name) || name.starts_with("__cxa_") {
                continue;
            }
            match &found {
                Some(known) if known.function != name => return None,
                Some(_) => {}
                None => found = Some(Forward { function: name.to_owned(), arguments: call.arguments }),
            }
        }
        found.filter(|_| body.extent == Extent::Whole)
    }

    /// Whether the code of a function that could hand a call on may refer to one of these addresses (in order): by any four
    /// bytes that are the distance to it.
    pub(super) fn refers_to(&self, function: FileAddr, targets: &[FileAddr]) -> bool {
        let (Some(first), Some(last)) = (targets.first(), targets.last()) else { return false };
        let Some(range) = self.unwind.find_function(function) else { return false };
        let near = range.end.since(range.start) <= MAX_FORWARD;
        let mut behind = range.start.offset(4);
        near && self.code(range).windows(4).any(|window| {
            let distance = i32::from_le_bytes([window[0], window[1], window[2], window[3]]);
            let target = FileAddr(behind.0.wrapping_add_signed(distance.into()));
            behind = behind.offset(1);
            (*first..=*last).contains(&target) && targets.binary_search(&target).is_ok()
        })
    }

    /// Whether a function calls a function of another file.
    pub(super) fn calls_import(&self, function: FileAddr, name: &str) -> bool {
        let Some(range) = self.unwind.find_function(function) else { return false };
        self.body(range).calls.iter().any(|call| self.import_name(call.target) == Some(name))
    }

    /// Where a thunk jumps to, having moved `this` to the start of the object (Itanium C++ ABI, 2.5.2).
    pub(super) fn thunk_target(&self, function: FunctionRange) -> Option<FileAddr> {
        let code = self.code(function);
        let adjusts = matches!(code, [0x48, 0x83 | 0x81, 0xc7 | 0xef, ..]);
        let [call] = &self.body(function).calls[..] else { return None };
        match call.target {
            CallTarget::Code(target) if adjusts && call.kind == CallKind::Jump && code.len() <= 16 => Some(target),
            _ => None,
        }
    }

    /// The kind of destructor in a slot: a pair of slots of which the second ends the object as the first does, and then
    /// frees it (Itanium C++ ABI, 2.5.1).
    pub(super) fn destructor(&self, owner: Owner) -> Option<Destructor> {
        let table = self.vtables.at_offset(owner.class, i64::from(owner.offset)).first()?;
        let slot = owner.slot as usize;
        // A class has one pair.
        if slot > 1 && self.is_pair(table, 0) {
            return None;
        }
        if slot > 0 && self.is_pair(table, slot - 1) {
            return Some(Destructor::Deleting);
        }
        self.is_pair(table, slot).then_some(Destructor::Complete)
    }

    fn is_pair(&self, table: &Vtable, slot: usize) -> bool {
        let [Some(complete), Some(deleting)] = self.vtables.functions(table).get(slot..slot + 2).unwrap_or_default()
        else {
            return false;
        };
        let (Some(ends), Some(frees)) = (self.targets(*complete), self.targets(*deleting)) else { return false };
        let Some((CallTarget::Code(last), before)) = frees.split_last() else { return false };
        // It calls the first, or does what the first does.
        self.deletes().contains(last) && (before == ends || before.contains(&CallTarget::Code(*complete)))
    }

    /// Whom a function calls, in order; `None` where it could not be read to its end.
    fn targets(&self, start: FileAddr) -> Option<Vec<CallTarget>> {
        let body = self.body(self.unwind.find_function(start).filter(|function| function.start == start)?);
        (body.extent == Extent::Whole).then(|| body.calls.iter().map(|call| call.target).collect())
    }

    /// The forms of `operator delete`: what other files call so, and the functions to which the second functions of many
    /// classes jump at their end.
    fn deletes(&self) -> &[FileAddr] {
        self.deletes.get_or_init(|| {
            let primary = self.vtables.all().iter().filter(|table| table.offset == 0);
            let seconds: Vec<FileAddr> = primary.filter_map(|table| *self.vtables.functions(table).get(1)?).collect();
            let step = (seconds.len() / SAMPLE).max(1);
            let mut counts: HashMap<FileAddr, usize> = HashMap::new();
            let mut looked_at = 0;
            for second in seconds.into_iter().step_by(step) {
                looked_at += 1;
                let Some(function) = self.unwind.find_function(second) else { continue };
                let body = self.body(function);
                let last = body.calls.last().filter(|call| call.kind == CallKind::Jump && body.extent == Extent::Whole);
                if let Some(CallTarget::Code(target)) = last.map(|call| call.target) {
                    *counts.entry(target).or_default() += 1;
                }
            }
            let named = self.stubs.iter().filter(|(_, name)| name.starts_with("_ZdlPv")).map(|(at, _)| *at);
            let least = (looked_at * DELETES_PER_MILLE / 1000).max(4);
            let counted = counts.into_iter().filter(|(_, count)| *count >= least).map(|(at, _)| at);
            named.chain(counted).collect()
        })
    }

    fn import_name(&self, target: CallTarget) -> Option<&str> {
        match target {
            CallTarget::Code(at) => {
                let found = self.stubs.binary_search_by_key(&at, |(stub, _)| *stub).ok()?;
                Some(&self.stubs[found].1)
            }
            CallTarget::Slot(slot) => {
                let symbol = self.pointers.import(slot)?.symbol;
                let found = self.imports.binary_search_by_key(&symbol, |(number, _)| *number).ok()?;
                Some(&self.imports[found].1)
            }
            CallTarget::Unknown => None,
        }
    }
}
