//! `catch`: stops at the functions by which the C++ runtime libraries throw and catch, and by which Rust panics.
//!
//! The type of a C++ exception comes from the runtime's own records, so that stripped programs are served too: at a throw
//! it is an argument (Itanium C++ ABI: Exception Handling, 2.4.3), at a handler's begin it stands before the unwinder's
//! header of the exception (2.2.1). libstdc++ and libc++abi agree in where.

use regex::Regex;

use crate::api::{self, ApiError, CatchEvent, CatchSpec, Toggle, Where};
use crate::base::{Inferior, ReadMem, Regs, Tid, VirtAddr};
use crate::binary::symbols::demangle;
use crate::binary::NamePattern;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;

/// From the exception's unwinder header back to its record's `exceptionType`, bytes.
const TYPE_BEFORE_HEADER: u64 = 80;
/// `GNUCC++\0` and `CLNGC++\0`: whose exception it is, in the header's first word. The last byte is 1 where the record is of
/// another one's exception (std::rethrow_exception), and its type is not there.
const CLASSES: [u64; 2] = [u64::from_be_bytes(*b"GNUCC++\0"), u64::from_be_bytes(*b"CLNGC++\0")];
/// A type's name is not longer, bytes.
const NAME_LIMIT: u64 = 4096;

/// A breakpoint's event, and which types of exceptions it is for.
pub(in crate::engine) struct Catching {
    event: CatchEvent,
    types: Option<Regex>,
}

/// What an event's function is called.
pub(in crate::engine) fn pattern_of(event: CatchEvent) -> Result<NamePattern, ApiError> {
    Ok(match event {
        CatchEvent::Throw => NamePattern::Plain("__cxa_throw".to_owned()),
        CatchEvent::Rethrow => NamePattern::Plain("__cxa_rethrow".to_owned()),
        CatchEvent::Catch => NamePattern::Plain("__cxa_begin_catch".to_owned()),
        // Newer compilers give it a crate's mangled name.
        CatchEvent::Panic => {
            NamePattern::parse_regex("(^|::)rust_panic$").map_err(|error| ApiError::internal(error.to_string()))?
        }
    })
}

impl Catching {
    /// Reads a breakpoint's intent.
    pub(in crate::engine) fn parse(location: &Where) -> Result<Option<Self>, ApiError> {
        let Where::Catch(CatchSpec { event, types }) = location else { return Ok(None) };
        let bad = |error: regex::Error| ApiError::user(format!("a bad regex: {error}"));
        let types = types.as_deref().map(|text| Regex::new(text).map_err(bad)).transpose()?;
        match (types.is_some(), event) {
            (true, CatchEvent::Panic) => Err(ApiError::user("a panic has no type to match")),
            (true, CatchEvent::Rethrow) => Err(ApiError::user("the type of what is rethrown is not known there")
                .with_hint("catch throw TYPE, or catch catch TYPE, sees it")),
            _ => Ok(Some(Catching { event: *event, types })),
        }
    }

    /// Whether a thread at the event's function is one that it is for. What has no type matches no regex.
    pub(in crate::engine) fn wants(&self, regs: &Regs, memory: &dyn ReadMem) -> bool {
        let Some(types) = &self.types else { return true };
        exception_type(self.event, regs, memory).is_some_and(|name| types.is_match(&name))
    }
}

/// The type of the exception, at the first instruction of an event's function.
fn exception_type(event: CatchEvent, regs: &Regs, memory: &dyn ReadMem) -> Option<String> {
    let type_info = match event {
        CatchEvent::Throw => regs.rsi,
        CatchEvent::Catch => {
            let class = memory.read_u64(VirtAddr(regs.rdi)).ok()?;
            if !CLASSES.contains(&class) {
                return None;
            }
            memory.read_u64(VirtAddr(regs.rdi.checked_sub(TYPE_BEFORE_HEADER)?)).ok()?
        }
        CatchEvent::Rethrow | CatchEvent::Panic => return None,
    };
    let name = VirtAddr(memory.read_u64(VirtAddr(type_info.checked_add(8)?)).ok()?);
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < NAME_LIMIT {
        let mut chunk = [0; 64];
        let got = memory.read_mem(name.offset(bytes.len() as u64), &mut chunk).ok()?;
        let end = memchr::memchr(0, &chunk[..got]);
        bytes.extend_from_slice(&chunk[..end.unwrap_or(got)]);
        if end.is_some() || got == 0 {
            break;
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    // A `*` marks types that are the same only by address.
    let name = name.strip_prefix('*').unwrap_or(&name);
    let full = format!("_ZTS{name}");
    let shown = demangle(&full);
    Some(shown.strip_prefix("typeinfo name for ").unwrap_or(name).to_owned())
}

impl<I: Inferior> Engine<I> {
    /// Arguments of the runtime's functions as they are worth seeing; `None` for other functions.
    pub(in crate::engine) fn exception_arguments(
        &self,
        tid: Tid,
        regs: &Regs,
        name: &str,
    ) -> Option<Vec<api::Argument>> {
        let event = match name {
            "__cxa_throw" => CatchEvent::Throw,
            "__cxa_begin_catch" => CatchEvent::Catch,
            _ => return None,
        };
        let process = self.process_of(tid)?;
        let memory = RawMemory { inferior: &self.inferior, pid: process.pid };
        let ty = exception_type(event, regs, &memory)?;
        let argument = |name: &str, text| api::Argument { name: Some(name.to_owned()), text, certain: Toggle::On };
        let object = match event {
            CatchEvent::Throw => Some(argument("object", format!("{:#x}", regs.rdi))),
            _ => None,
        };
        Some(std::iter::once(argument("type", ty)).chain(object).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::fake_memory::FakeMemory;

    fn thrown(name: &[u8]) -> FakeMemory {
        FakeMemory::default()
            .with_words(0x1000, &[0, 0x2000])
            .with(0x2000, name)
            .with(0x2000 + name.len() as u64, &[0; 80])
    }

    #[test]
    fn the_type_is_read_from_type_information() {
        let regs = Regs { rdi: 0x9000, rsi: 0x1000, ..Regs::default() };
        let of = |memory: &FakeMemory| exception_type(CatchEvent::Throw, &regs, memory);
        assert_eq!(of(&thrown(b"St13runtime_error")).as_deref(), Some("std::runtime_error"));
        assert_eq!(of(&thrown(b"*N12_GLOBAL__N_15LocalE")).as_deref(), Some("(anonymous namespace)::Local"));
        assert_eq!(of(&thrown(b"i")).as_deref(), Some("int"));
        assert_eq!(of(&FakeMemory::default()), None);
    }

    #[test]
    fn a_handlers_exception_is_known_by_its_class() {
        let memory = thrown(b"i").with_words(0x3000 - 80, &[0x1000]).with_words(0x3000, &[CLASSES[0]]);
        let regs = Regs { rdi: 0x3000, ..Regs::default() };
        assert_eq!(exception_type(CatchEvent::Catch, &regs, &memory).as_deref(), Some("int"));
        let foreign = thrown(b"i").with_words(0x3000 - 80, &[0x1000]).with_words(0x3000, &[7]);
        assert_eq!(exception_type(CatchEvent::Catch, &regs, &foreign), None);
    }
}
