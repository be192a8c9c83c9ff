//! A frame as the debug information sees it: which function's copy it is, and where its variables are.

use std::cell::OnceCell;

use super::inlined::ShownFrame;
use super::memory::{CachedMemory, RawMemory};
use crate::arch::{ArgumentPlace, ExtendedRegister, IntegerRegister, SseRegister};
use crate::base::{ExtendedRegs, FileAddr, Inferior, ReadMem, Regs, Tid, VectorRegs, VirtAddr};
use crate::binary::dwarf::{
    BoundsScope, FrameState, Instance, Passed, PassedArgument, Piece, Producer, Shape, Source, TypeId, Types, Variable,
};
use crate::engine::breakpoints::site_scope::ARGUMENTS;
use crate::engine::state::{Engine, Space};
use crate::lang::typed::{Held, TypedValue};
use crate::target::address_space::{AddressSpace, LoadedModule};
use crate::target::breakpoint::CleanMemory;
use crate::target::thread_locals;
use crate::target::unwind::{Frame, FrameRegs};

/// A value that is put together from parts is not larger than this, bytes.
const VALUE_LIMIT: u64 = 1 << 20;
/// DWARF's numbers of xmm0 to xmm15 (psABI, figure 3.36).
const FIRST_XMM: u16 = 17;
const XMM_COUNT: u16 = 16;

/// One frame of a stopped thread.
pub(super) struct FrameScope<'a> {
    /// The module whose code the frame executes.
    pub(super) module: StaticScope<'a>,
    /// The function, and what is inlined at the pc, the innermost last; empty without debug information.
    pub(super) chain: Vec<Instance>,
    frame: Frame,
    /// The registers of the thread, which are those of the innermost frame.
    innermost: FrameRegs,
    caller: Option<(Frame, &'a LoadedModule)>,
    vectors: &'a dyn Fn() -> Option<VectorRegs>,
    /// What is wider than those.
    extended: &'a dyn Fn() -> Option<ExtendedRegs>,
    /// Whether the frame is not set up yet: the arguments are where the caller put them.
    at_entry: bool,
    passed: OnceCell<Vec<PassedArgument>>,
}

impl FrameScope<'_> {
    /// The frame's pc, or of an outer one an address in its call, in the file.
    pub(super) fn lookup(&self) -> FileAddr {
        self.module.loaded.to_file(self.frame.address.address_for_lookup())
    }

    /// The variables that are in scope: of the innermost inlined copy.
    pub(super) fn variables(&self, types: &Types<'_>) -> Vec<Variable> {
        self.chain.last().map(|copy| types.variables(copy, self.lookup())).unwrap_or_default()
    }

    /// A variable's value.
    pub(super) fn value(&self, types: &Types<'_>, variable: &Variable) -> TypedValue {
        let place = match self.passed(types, variable) {
            Some(place) => place,
            None => {
                let function = self.chain.first().map(|one| one.entry);
                types.settle_bounds(variable.ty, BoundsScope { function, at: self.lookup(), state: self });
                let located = match self.go_passed(types, variable) {
                    Some(pieces) => Ok(pieces),
                    None => types.locate(variable.entry, function, self.lookup(), self),
                };
                match located {
                    Ok(pieces) => self.held(types, &pieces, variable.ty),
                    Err(reason) => Held::Unknown(reason),
                }
            }
        };
        TypedValue { ty: variable.ty, place }
    }

    /// The general register that holds a variable in the innermost frame, by its DWARF number.
    pub(super) fn register_of(&self, types: &Types<'_>, variable: &Variable) -> Option<u16> {
        if !self.is_innermost() {
            return None;
        }
        if self.passed(types, variable).is_some() {
            let argument = self.passed.get()?.iter().find(|one| one.entry == variable.entry)?;
            return match (argument.place, argument.means) {
                (ArgumentPlace::Integer(index), Passed::ByValue) => ARGUMENTS.get(usize::from(index.0)).copied(),
                _ => None,
            };
        }
        let function = self.chain.first().map(|one| one.entry);
        match types.locate(variable.entry, function, self.lookup(), self).ok()?.as_slice() {
            [Piece { source: Source::Register(number), bits: None, .. }] => Some(*number).filter(|one| *one < 16),
            _ => None,
        }
    }

    /// The same of a Go function's.
    fn go_passed(&self, types: &Types<'_>, variable: &Variable) -> Option<Vec<Piece>> {
        let function = self.chain.first()?.entry;
        let is_asked =
            self.at_entry && self.chain.len() == 1 && types.is_go(function) && types.is_fixed(variable.entry);
        types.go_argument(function, variable.entry, self.cfa().filter(|_| is_asked)?)
    }

    /// An argument where the caller put it: the slot that unoptimised code gives it holds nothing before the prologue's
    /// end.
    fn passed(&self, types: &Types<'_>, variable: &Variable) -> Option<Held> {
        if !self.at_entry || self.chain.len() != 1 || !types.is_fixed(variable.entry) {
            return None;
        }
        let function = self.chain.first()?.entry;
        let passed = self.passed.get_or_init(|| types.arguments_at_entry(function));
        let argument = passed.iter().find(|one| one.entry == variable.entry)?;
        let integer = |index: IntegerRegister| {
            let number = ARGUMENTS.get(usize::from(index.0)).copied()?;
            self.frame.regs.get(number).map(u64::to_le_bytes)
        };
        let size = types.size(variable.ty);
        let sse = |index: SseRegister| Some((self.vectors)()?.xmm[usize::from(index.0) % 16]);
        let joined = |low: [u8; 8], high: [u8; 8]| [low, high].concat();
        let half = |whole: [u8; 16]| -> [u8; 8] { [0, 1, 2, 3, 4, 5, 6, 7].map(|index| whole[index]) };
        let held = match argument.place {
            ArgumentPlace::Integer(register) => Held::Bytes(integer(register)?.to_vec()),
            ArgumentPlace::Sse(register) if size > 16 && argument.means == Passed::ByValue => {
                Held::Bytes(self.wide_register(register.0, size)?)
            }
            ArgumentPlace::Sse(register) => Held::Bytes(sse(register)?.to_vec()),
            ArgumentPlace::IntegerPair(low, high) => Held::Bytes(joined(integer(low)?, integer(high)?)),
            ArgumentPlace::SsePair(low, high) => Held::Bytes(joined(half(sse(low)?), half(sse(high)?))),
            ArgumentPlace::IntegerThenSse(low, high) => Held::Bytes(joined(integer(low)?, half(sse(high)?))),
            ArgumentPlace::SseThenInteger(low, high) => Held::Bytes(joined(half(sse(low)?), integer(high)?)),
            ArgumentPlace::Stack { offset } => {
                // A slot above the CFA is the caller's own.
                let located = types.locate(variable.entry, Some(function), self.lookup(), self).ok()?;
                let (cfa, is_gnu) = (self.cfa()?, types.producer(function) == Producer::Gnu);
                match located.as_slice() {
                    [Piece { source: Source::Memory(at), bits: None, .. }] if is_gnu && *at >= cfa => return None,
                    // rsp as it was at the entry: the return address lies below the CFA.
                    _ => Held::Memory(VirtAddr(cfa.wrapping_sub(8)).offset(offset)),
                }
            }
        };
        if argument.means == Passed::ByValue {
            return Some(held);
        }
        let address = match held {
            Held::Bytes(bytes) => u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            Held::Memory(at) => self.module.memory.read_u64(at).ok()?,
            _ => return None,
        };
        Some(Held::Memory(VirtAddr(address)))
    }

    /// A vector register as a whole, for a value of so many bytes.
    fn wide_register(&self, index: u8, size: u64) -> Option<Vec<u8>> {
        let name = format!("{}mm{index}", if size > 32 { 'z' } else { 'y' });
        Some(ExtendedRegister::find(&name)?.read(&(self.extended)()?))
    }

    /// The bytes of a register by its DWARF number, at least as many as a value has that is wholly in one.
    fn register_bytes(&self, number: u16, size: u64) -> Option<Vec<u8>> {
        if (FIRST_XMM..FIRST_XMM + XMM_COUNT).contains(&number) {
            let kept = self.is_innermost() || self.keeps_registers();
            if size > 16 && kept {
                return self.wide_register((number - FIRST_XMM) as u8, size);
            }
            return Some((self.vectors)().filter(|_| kept)?.xmm[usize::from(number - FIRST_XMM)].to_vec());
        }
        self.register(number).map(|value| value.to_le_bytes().to_vec())
    }

    fn held(&self, types: &Types<'_>, pieces: &[Piece], ty: TypeId) -> Held {
        let view = types.view(ty);
        let found = held(pieces, view.size, self.module.memory, &|number| {
            let whole = matches!(pieces, [Piece { bits: None, .. }]);
            self.register_bytes(number, if whole { view.size } else { 0 })
        });
        match (found, &view.shape) {
            // A value that was worked out has 8 bytes; a wider one goes on with its sign.
            (Held::Bytes(mut bytes), Shape::Base(encoding)) if encoding.is_signed() && bytes.len() == 8 => {
                let sign = if bytes[7] & 0x80 == 0 { 0 } else { 0xff };
                bytes.resize((view.size as usize).clamp(8, 16), sign);
                Held::Bytes(bytes)
            }
            (found, _) => found,
        }
    }

    fn is_innermost(&self) -> bool {
        self.frame.regs == self.innermost
    }

    /// Whether what the debug information says to be in a register at a call is there during the call.
    fn keeps_registers(&self) -> bool {
        let types = self.module.loaded.module.dwarf().types();
        self.chain.first().is_some_and(|one| types.producer(one.entry) == Producer::Gnu)
    }
}

/// A value of `size` bytes from its parts. What the parts do not cover is missing.
pub(super) fn held(
    pieces: &[Piece],
    size: u64,
    memory: &dyn ReadMem,
    register: &dyn Fn(u16) -> Option<Vec<u8>>,
) -> Held {
    if let [Piece { source, bits: None, .. }] = pieces {
        return match source {
            Source::Memory(at) => Held::Memory(VirtAddr(*at)),
            Source::Register(number) => register(*number).map_or(Held::OptimisedOut, Held::Bytes),
            Source::Bytes(bytes) => Held::Bytes(bytes.clone()),
            Source::Missing => Held::OptimisedOut,
            Source::Synthetic => Held::Unknown("synthetic pointer".to_owned()),
        };
    }
    let size = size.min(VALUE_LIMIT);
    let (mut bytes, mut missing) = (vec![0; size as usize], Vec::new());
    let mut at = 0;
    for piece in pieces {
        let count = piece.bits.unwrap_or(size * 8).min((size * 8).saturating_sub(at));
        let wanted = (piece.first + count).div_ceil(8) as usize;
        let part = match &piece.source {
            Source::Memory(at) => {
                let mut part = vec![0; wanted];
                memory.read_exact(VirtAddr(*at), &mut part).ok().map(|()| part)
            }
            Source::Register(number) => register(*number),
            Source::Bytes(part) => Some(part.clone()),
            Source::Missing | Source::Synthetic => None,
        };
        match part {
            Some(part) => copy_bits(&part, piece.first, &mut bytes, at, count),
            // What is missing of a byte cannot be told from what is there.
            None => missing.push(at.div_ceil(8)..(at + count) / 8),
        }
        at += count;
    }
    if at < size * 8 {
        missing.push(at.div_ceil(8)..size);
    }
    missing.retain(|hole| hole.start < hole.end);
    if missing.iter().map(|hole| hole.end - hole.start).sum::<u64>() >= size {
        return Held::OptimisedOut;
    }
    match missing.is_empty() {
        true => Held::Bytes(bytes),
        false => Held::Torn(bytes, missing),
    }
}

/// Copies `count` bits from the one numbered `first` of `from` to the one numbered `at` of `to`.
fn copy_bits(from: &[u8], first: u64, to: &mut [u8], at: u64, count: u64) {
    if first % 8 == 0 && at % 8 == 0 && count % 8 == 0 {
        let source = from.get((first / 8) as usize..).unwrap_or_default();
        let target = to.get_mut((at / 8) as usize..).unwrap_or_default();
        let length = ((count / 8) as usize).min(source.len()).min(target.len());
        target[..length].copy_from_slice(&source[..length]);
        return;
    }
    for bit in 0..count {
        let (source, target) = (first + bit, at + bit);
        let set = from.get((source / 8) as usize).is_some_and(|byte| byte >> (source % 8) & 1 == 1);
        if let Some(byte) = to.get_mut((target / 8) as usize).filter(|_| set) {
            *byte |= 1 << (target % 8);
        }
    }
}

impl FrameState for FrameScope<'_> {
    fn register(&self, number: u16) -> Option<u64> {
        let known = self.frame.regs.get(number);
        known.or_else(|| self.innermost.get(number).filter(|_| self.keeps_registers()))
    }

    fn cfa(&self) -> Option<u64> {
        self.frame.cfa.map(|at| at.0)
    }

    fn bias(&self) -> u64 {
        self.module.bias()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Option<()> {
        self.module.read(at, into)
    }

    fn thread_local(&self, offset: u64) -> Result<u64, String> {
        self.module.thread_local(offset)
    }

    fn entry_register(&self, number: u16) -> Option<u64> {
        let function = self.chain.first()?;
        if self.lookup() == function.start() {
            return self.frame.regs.get(number);
        }
        let (frame, loaded) = self.caller?;
        let caller = FrameScope {
            module: StaticScope { loaded, ..self.module },
            chain: Vec::new(),
            frame,
            innermost: FrameRegs::default(),
            caller: None,
            vectors: &|| None,
            extended: &|| None,
            at_entry: false,
            passed: OnceCell::new(),
        };
        let types = loaded.module.dwarf().types();
        types.value_at_call(loaded.to_file(frame.pc), number, &caller)
    }
}

/// Where a value may be looked for: in a frame, or in the module's static memory only.
#[derive(Clone, Copy)]
pub(super) struct StaticScope<'a> {
    pub(super) modules: &'a AddressSpace,
    pub(super) loaded: &'a LoadedModule,
    pub(super) memory: &'a dyn ReadMem,
    /// The thread pointer of the selected thread; 0 where there is none.
    pub(super) fs_base: u64,
}

impl FrameState for StaticScope<'_> {
    fn register(&self, _: u16) -> Option<u64> {
        None
    }

    fn cfa(&self) -> Option<u64> {
        None
    }

    fn bias(&self) -> u64 {
        self.loaded.to_virt(FileAddr(0)).0
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Option<()> {
        self.memory.read_exact(VirtAddr(at), into).ok()
    }

    fn thread_local(&self, offset: u64) -> Result<u64, String> {
        let block = thread_locals::block(self.modules, self.loaded, self.fs_base, self.memory);
        Ok(block.map_err(|reason| reason.to_string())?.offset(offset).0)
    }

    fn entry_register(&self, _: u16) -> Option<u64> {
        None
    }
}

impl StaticScope<'_> {
    /// The value of a variable that has one place all the time.
    pub(super) fn value(&self, types: &Types<'_>, variable: &Variable) -> TypedValue {
        let place = match types.locate(variable.entry, None, FileAddr(0), self) {
            Ok(pieces) => held(&pieces, types.size(variable.ty), self.memory, &|_| None),
            Err(reason) => Held::Unknown(reason),
        };
        TypedValue { ty: variable.ty, place }
    }
}

impl<I: Inferior> Engine<I> {
    /// Calls `use_it` with a frame of a stopped thread; `None` where no module is at its pc.
    pub(super) fn with_scope<T>(
        &self,
        tid: Tid,
        shown: &ShownFrame,
        use_it: impl FnOnce(&FrameScope<'_>) -> T,
    ) -> Option<T> {
        let space: &Space = self.spaces.get(&self.space_of(tid)?)?;
        let ShownFrame { frame, caller, .. } = *shown;
        let pid = self.threads.get(&tid)?.pid;
        let raw = RawMemory { inferior: &self.inferior, pid };
        let clean = CleanMemory { raw: &raw, sites: &space.sites };
        let memory = CachedMemory::new(&clean);
        let lookup = frame.address.address_for_lookup();
        let loaded = space.modules.module_at(lookup)?;
        let regs: Regs = self.inferior.regs(tid).ok()?;
        let at = loaded.to_file(lookup);
        let dwarf = loaded.module.dwarf();
        let chain = shown.chain.clone();
        let start = chain.first().map(Instance::start);
        let innermost = frame.pc == regs.pc();
        let in_prologue =
            innermost && start.is_some_and(|start| start <= at) && dwarf.body_of(at).is_some_and(|body| at < body);
        // Go's compiler marks the row before the frame is made and the arguments are stored.
        let is_go_body = || chain.first().is_some_and(|one| dwarf.types().is_go(one.entry));
        let at_body = innermost && dwarf.body_of(at) == Some(at) && is_go_body();
        let vectors = || self.inferior.vector_regs(tid).ok();
        let extended = || self.inferior.extended_regs(tid).ok();
        let caller =
            caller.and_then(|caller| Some((caller, space.modules.module_at(caller.address.address_for_lookup())?)));
        let scope = FrameScope {
            module: StaticScope { modules: &space.modules, loaded, memory: &memory, fs_base: regs.fs_base },
            at_entry: in_prologue || at_body || (innermost && start == Some(at)),
            chain,
            frame,
            innermost: (&regs).into(),
            caller,
            vectors: &vectors,
            extended: &extended,
            passed: OnceCell::new(),
        };
        Some(use_it(&scope))
    }
}
