//! Where the variables of a function are at one of its addresses, before any thread is there: as registers and distances,
//! for conditions that are compiled once.

use std::cell::Cell;

use crate::arch::{ArgumentPlace, Register};
use crate::base::{FileAddr, ReadMem, VirtAddr};
use crate::binary::dwarf::{FrameState, Instance, Passed, Piece, Source, Types, Variable};
use crate::binary::CfaRule;
use crate::lang::typed::{Held, TypedValue};
use crate::lang::{DebugType, Found, RegisterId, RegisterName, Type};
use crate::target::address_space::{AddressSpace, LoadedModule};
use crate::target::thread_locals;

/// Registers are told apart in an address by numbers that no address has: they are this many bits up.
const TAG_SHIFT: u32 = 48;
/// The tag of the CFA; registers have their DWARF numbers plus one.
const CFA_TAG: u64 = 100;
/// The tag of the thread pointer.
const THREAD_TAG: u64 = 101;
/// The tag of what the pointer that a location reads points to.
const POINTER_TAG: u64 = 102;
/// DWARF's numbers of the argument registers.
pub(in crate::engine) const ARGUMENTS: [u16; 6] = [5, 4, 1, 2, 8, 9];

/// An address in a function.
pub(in crate::engine) struct SiteScope<'a> {
    pub(in crate::engine) modules: &'a AddressSpace,
    pub(in crate::engine) memory: &'a dyn ReadMem,
    pub(in crate::engine) loaded: &'a LoadedModule,
    pub(in crate::engine) at: FileAddr,
    /// The function, and what is inlined there, the innermost last.
    pub(in crate::engine) chain: Vec<Instance>,
}

impl<'a> SiteScope<'a> {
    /// Of an address that one of the modules holds.
    pub(in crate::engine) fn new(modules: &'a AddressSpace, memory: &'a dyn ReadMem, at: VirtAddr) -> Option<Self> {
        let loaded = modules.module_at(at)?;
        let at = loaded.to_file(at);
        Some(Self { modules, memory, loaded, at, chain: loaded.module.dwarf().instances_at(at) })
    }

    /// For what a module has outside of functions.
    pub(in crate::engine) fn outside_of_functions(&self, loaded: &'a LoadedModule) -> Self {
        Self { loaded, at: FileAddr(0), chain: Vec::new(), ..*self }
    }

    /// Where a variable will be, of a type that the module numbered `module` has.
    pub(in crate::engine) fn find(&self, types: &Types<'_>, module: u16, variable: &Variable) -> Found {
        let ty = DebugType { module, id: variable.ty };
        if let Some(found) = self.passed(types, variable, ty) {
            return found;
        }
        let function = self.chain.first().map(|one| one.entry);
        let asked = Asked { scope: self, pointer: Cell::new(Pointer::Unread) };
        let pieces = match self.go_passed(types, variable) {
            Some(pieces) => Ok(pieces),
            None => types.locate(variable.entry, function, self.at, &asked),
        };
        let unknown = |reason: &str| Found::Value {
            value: TypedValue { ty: variable.ty, place: Held::Unknown(reason.to_owned()) },
            module,
        };
        match pieces.as_deref() {
            Ok([Piece { source: Source::Register(number), bits: None, .. }]) => match named(*number) {
                Some(register) => Found::Register { register, ty },
                None => unknown("it is in a vector register at the breakpoint"),
            },
            Ok([Piece { source: Source::Memory(at), bits: None, .. }]) => {
                let found = self.relative(*at, asked.pointer.get(), ty);
                found.unwrap_or_else(|| unknown("no register tells where it is at the breakpoint"))
            }
            Ok([Piece { source: Source::Bytes(bytes), bits: None, .. }]) => {
                Found::Value { value: TypedValue { ty: variable.ty, place: Held::Bytes(bytes.clone()) }, module }
            }
            Ok([Piece { source: Source::Missing, .. }]) => {
                Found::Value { value: TypedValue { ty: variable.ty, place: Held::OptimisedOut }, module }
            }
            Ok(_) => unknown("it is in several pieces at the breakpoint"),
            Err(_) if asked.pointer.get() == Pointer::Beyond => {
                unknown("its place there depends on more memory than one pointer")
            }
            Err(reason) => unknown(reason),
        }
    }

    /// A Go function's argument before the frame is made.
    fn go_passed(&self, types: &Types<'_>, variable: &Variable) -> Option<Vec<Piece>> {
        let function = self.chain.first()?;
        let body = self.loaded.module.dwarf().body_of(self.at);
        let before = self.at == function.start() || body.is_some_and(|body| self.at <= body);
        let is_asked = before && self.chain.len() == 1 && types.is_go(function.entry) && types.is_fixed(variable.entry);
        is_asked.then(|| types.go_argument(function.entry, variable.entry, CFA_TAG << TAG_SHIFT))?
    }

    /// An argument of unoptimised code before the prologue's end.
    fn passed(&self, types: &Types<'_>, variable: &Variable, ty: DebugType) -> Option<Found> {
        let function = self.chain.first()?;
        let body = self.loaded.module.dwarf().body_of(self.at);
        let before = self.at == function.start() || body.is_some_and(|body| self.at < body);
        if !before || self.chain.len() != 1 || !types.is_fixed(variable.entry) {
            return None;
        }
        let all = types.arguments_at_entry(function.entry);
        let argument = all.iter().find(|one| one.entry == variable.entry)?;
        match (argument.place, argument.means) {
            (ArgumentPlace::Integer(index), means) => {
                let register = named(*ARGUMENTS.get(usize::from(index.0))?)?;
                Some(match means {
                    Passed::ByValue => Found::Register { register, ty },
                    Passed::ByReference => Found::Relative { register, offset: 0, ty },
                })
            }
            (ArgumentPlace::Stack { offset }, means) => {
                // As at the first instruction, where rsp is eight below the CFA.
                let (register, cfa) = self.cfa_register()?;
                let offset = cfa.checked_sub(8)?.checked_add_unsigned(offset)?;
                Some(match means {
                    Passed::ByValue => Found::Relative { register, offset, ty },
                    Passed::ByReference => Found::Pointed { register, offset, distance: 0, ty },
                })
            }
            _ => None,
        }
    }

    /// From a tagged address to what it is told by when a thread is there.
    fn relative(&self, at: u64, pointer: Pointer, ty: DebugType) -> Option<Found> {
        let (tag, distance) = untagged(at);
        match (tag, pointer) {
            (0, _) => Some(Found::Value {
                value: TypedValue { ty: ty.id, place: Held::Memory(VirtAddr(at)) },
                module: ty.module,
            }),
            (POINTER_TAG, Pointer::Read(from)) => {
                let (tag, offset) = untagged(from);
                let (register, offset) = self.register_of(tag, offset)?;
                Some(Found::Pointed { register, offset, distance, ty })
            }
            _ => {
                let (register, offset) = self.register_of(tag, distance)?;
                Some(Found::Relative { register, offset, ty })
            }
        }
    }

    /// The register of a tag, and how far from what it holds a place is, bytes.
    fn register_of(&self, tag: u64, distance: i64) -> Option<(RegisterName, i64)> {
        match tag {
            THREAD_TAG => {
                let id = RegisterId(Register::find("fs_base")?.number());
                Some((RegisterName { id, ty: Type::ULONG }, distance))
            }
            CFA_TAG => {
                let (register, offset) = self.cfa_register()?;
                Some((register, distance.checked_add(offset)?))
            }
            _ => Some((named(u16::try_from(tag.checked_sub(1)?).ok()?)?, distance)),
        }
    }

    /// The register that tells the CFA at the address, and how far below the CFA it is.
    fn cfa_register(&self) -> Option<(RegisterName, i64)> {
        let row = self.loaded.module.unwind().row_at(self.at).ok()??;
        let CfaRule::RegisterOffset { register, offset } = row.cfa else { return None };
        Some((named(register)?, offset))
    }
}

/// The tag of an address, 0 for one that is known, and its distance from what the tag stands for.
fn untagged(at: u64) -> (u64, i64) {
    let tag = at.wrapping_add(1 << (TAG_SHIFT - 1)) >> TAG_SHIFT;
    (tag, at.wrapping_sub(tag << TAG_SHIFT) as i64)
}

/// A general register as expressions read it.
pub(in crate::engine) fn named(dwarf: u16) -> Option<RegisterName> {
    let register = Register::from_dwarf(dwarf)?;
    Some(RegisterName { id: RegisterId(register.number()), ty: Type::ULONG })
}

/// Which pointer a location reads on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pointer {
    /// None so far.
    Unread,
    /// The one at this tagged address.
    Read(u64),
    /// What no single pointer tells.
    Beyond,
}

/// One question for a place, which notes the pointer that the answer goes through.
struct Asked<'s, 'a> {
    scope: &'s SiteScope<'a>,
    pointer: Cell<Pointer>,
}

impl FrameState for Asked<'_, '_> {
    fn register(&self, number: u16) -> Option<u64> {
        (number < 16).then(|| (u64::from(number) + 1) << TAG_SHIFT)
    }

    fn cfa(&self) -> Option<u64> {
        Some(CFA_TAG << TAG_SHIFT)
    }

    fn bias(&self) -> u64 {
        self.scope.loaded.to_virt(FileAddr(0)).0
    }

    /// What is read is known when a thread is there: a tag stands for it.
    fn read(&self, at: u64, into: &mut [u8]) -> Option<()> {
        let is_tagged = !matches!(untagged(at).0, 0 | POINTER_TAG);
        let (Pointer::Unread, true, Ok(word)) = (self.pointer.get(), is_tagged, <&mut [u8; 8]>::try_from(into)) else {
            self.pointer.set(Pointer::Beyond);
            return None;
        };
        self.pointer.set(Pointer::Read(at));
        *word = (POINTER_TAG << TAG_SHIFT).to_le_bytes();
        Some(())
    }

    fn thread_local(&self, offset: u64) -> Result<u64, String> {
        let below = thread_locals::below_thread_pointer(self.scope.modules, self.scope.loaded, self.scope.memory);
        let below = below.map_err(|reason| reason.to_string())?.ok_or_else(|| {
            let name = self.scope.loaded.name();
            format!("{name} is loaded late, so each thread has its thread-local variables elsewhere")
        })?;
        Ok((THREAD_TAG << TAG_SHIFT).wrapping_sub(below).wrapping_add(offset))
    }

    fn entry_register(&self, number: u16) -> Option<u64> {
        let start = self.scope.chain.first().map(Instance::start);
        if start == Some(self.scope.at) {
            return self.register(number);
        }
        None
    }
}
