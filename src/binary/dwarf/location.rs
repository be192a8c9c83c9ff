//! Where a variable's value is (DWARF 5, sections 2.5 and 2.6).

use gimli::{AttributeValue, EvaluationResult, Location, UnitOffset, Value, ValueType};

use super::entry::{Descend, EntryId};
use super::sections::Slice;
use super::types::Types;
use super::unit::OpenUnit;
use crate::base::FileAddr;

/// A location expression does not do more operations than this.
const OPERATIONS: u32 = 10_000;
/// Nor does it ask back more often.
const QUESTIONS: u32 = 10_000;
/// A piece is not larger than this, bits.
const PIECE_LIMIT: u64 = 1 << 23;

/// What is known of a frame when a variable's place is worked out.
pub trait FrameState {
    /// A general register by its DWARF number; `None`: lost.
    fn register(&self, number: u16) -> Option<u64>;
    /// The canonical frame address.
    fn cfa(&self) -> Option<u64>;
    /// What is added to the file's addresses.
    fn bias(&self) -> u64;
    /// Reads the process's memory; `None`: it cannot be read.
    fn read(&self, at: u64, into: &mut [u8]) -> Option<()>;
    /// The address of a thread-local variable, by its offset in the module's block.
    ///
    /// # Errors
    /// Why it cannot be told, in a few words.
    fn thread_local(&self, offset: u64) -> Result<u64, String>;
    /// What a register held when the function was entered.
    fn entry_register(&self, number: u16) -> Option<u64>;
}

/// Who wrote the debug information: what they mean by it differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Producer {
    /// GCC. A range of its location lists ends within a call that changes the register, so that what holds at a return
    /// address less one holds during the call.
    Gnu,
    /// clang. Its ranges end behind the call.
    Clang,
    /// Another one.
    Other,
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it is.
    pub source: Source,
    /// How many bits it is; `None`: the whole value.
    pub bits: Option<u64>,
    /// Which bit of the source is its first.
    pub first: u64,
}

impl Piece {
    fn whole(source: Source) -> Self {
        Piece { source, bits: None, first: 0 }
    }
}

/// Where a part of a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In memory.
    Memory(u64),
    /// In a register, by its DWARF number.
    Register(u16),
    /// Nowhere, but it is known.
    Bytes(Vec<u8>),
    /// Nowhere.
    Missing,
    /// It would be the address of something that is nowhere.
    Synthetic,
}

impl Types<'_> {
    /// Where a variable's value is at an address. `function` is the function whose frame it is, which has the frame base.
    ///
    /// # Errors
    /// Why it cannot be told, in a few words.
    pub fn locate(
        &self,
        variable: EntryId,
        function: Option<EntryId>,
        at: FileAddr,
        state: &dyn FrameState,
    ) -> Result<Vec<Piece>, String> {
        let session = &self.session;
        let entry = session.entry(variable).map_err(|error| error.to_string())?;
        if let Some((_, value)) = session.inherited(&entry, gimli::DW_AT_const_value) {
            return Ok(vec![Piece::whole(Source::Bytes(constant_bytes(value)))]);
        }
        let missing = || Ok(vec![Piece::whole(Source::Missing)]);
        let Some((owner, value)) = session.inherited(&entry, gimli::DW_AT_location) else { return missing() };
        let open = session.unit(owner.unit).map_err(|error| error.to_string())?;
        let Some(expression) = expression_at(&open, value, at)? else { return missing() };
        let frame_base = || self.frame_base(function?, at, state);
        evaluate(&open, expression, state, &frame_base)
    }

    /// Whether a variable has one place all through its function, which holds nothing before the prologue's end.
    pub fn is_fixed(&self, variable: EntryId) -> bool {
        let entry = self.session.entry(variable).ok();
        let location = entry.and_then(|entry| self.session.inherited(&entry, gimli::DW_AT_location));
        matches!(location, Some((_, AttributeValue::Exprloc(_))))
    }

    /// Which compiler made the code of an entry.
    pub fn producer(&self, entry: EntryId) -> Producer {
        match self.session.producer_text(entry.unit) {
            Some(text) if text.starts_with("GNU ") => Producer::Gnu,
            Some(text) if text.contains("clang version") => Producer::Clang,
            _ => Producer::Other,
        }
    }

    /// Whether a unit was written in assembly: its functions have parameters that it tells nothing of.
    pub fn is_assembly(&self, entry: EntryId) -> bool {
        self.language(entry) == Some(gimli::DW_LANG_Mips_Assembler)
    }

    /// Whether a unit was written in Rust.
    pub fn is_rust(&self, entry: EntryId) -> bool {
        self.language(entry) == Some(gimli::DW_LANG_Rust)
    }

    /// The language of an entry's unit, by gdb's names.
    pub fn language_name(&self, entry: EntryId) -> Option<&'static str> {
        Some(match self.language(entry)? {
            gimli::DW_LANG_C | gimli::DW_LANG_C89 | gimli::DW_LANG_C99 | gimli::DW_LANG_C11 | gimli::DW_LANG_C17 => "c",
            gimli::DW_LANG_C_plus_plus
            | gimli::DW_LANG_C_plus_plus_03
            | gimli::DW_LANG_C_plus_plus_11
            | gimli::DW_LANG_C_plus_plus_14
            | gimli::DW_LANG_C_plus_plus_17
            | gimli::DW_LANG_C_plus_plus_20 => "c++",
            gimli::DW_LANG_Mips_Assembler => "asm",
            gimli::DW_LANG_Rust => "rust",
            gimli::DW_LANG_Go => "go",
            gimli::DW_LANG_D => "d",
            gimli::DW_LANG_ObjC => "objective-c",
            gimli::DW_LANG_Fortran77
            | gimli::DW_LANG_Fortran90
            | gimli::DW_LANG_Fortran95
            | gimli::DW_LANG_Fortran03
            | gimli::DW_LANG_Fortran08 => "fortran",
            gimli::DW_LANG_Ada83 | gimli::DW_LANG_Ada95 => "ada",
            _ => return None,
        })
    }

    fn language(&self, entry: EntryId) -> Option<gimli::DwLang> {
        let root = self.session.root(entry.unit).and_then(|root| self.session.entry(root)).ok()?;
        match root.get(gimli::DW_AT_language) {
            Some(gimli::AttributeValue::Language(language)) => Some(language),
            _ => None,
        }
    }

    pub(super) fn frame_base(&self, function: EntryId, at: FileAddr, state: &dyn FrameState) -> Option<u64> {
        let entry = self.session.entry(function).ok()?;
        let open = self.session.unit(function.unit).ok()?;
        let value = entry.get(gimli::DW_AT_frame_base)?;
        let expression = expression_at(&open, value, at).ok()??;
        let pieces = evaluate(&open, expression, state, &|| None).ok()?;
        match pieces.first()?.source {
            Source::Memory(address) => Some(address),
            Source::Register(number) => state.register(number),
            _ => None,
        }
    }

    /// What a register held at the entry of the function that was called with this return address, as far as the
    /// caller's description of the call says (DWARF 5, 3.4). `caller` is the caller's frame.
    pub fn value_at_call(&self, returns_to: FileAddr, register: u16, caller: &dyn FrameState) -> Option<u64> {
        let session = &self.session;
        let inside = FileAddr(returns_to.0.wrapping_sub(1));
        let unit = session.owner.units().unit_at(inside)?;
        let function = session.owner.instances_in(session, unit, inside).first()?.entry;
        let mut site = None;
        let _ = session.walk(function, &mut |entry, _| match entry.tag {
            gimli::DW_TAG_lexical_block | gimli::DW_TAG_inlined_subroutine => Descend::Yes,
            gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site => {
                let returns = entry.get(gimli::DW_AT_call_return_pc).or_else(|| entry.get(gimli::DW_AT_low_pc));
                let address = session
                    .unit(unit)
                    .ok()
                    .and_then(|open| open.dwarf.attr_address(&open.unit, returns?).ok().flatten());
                if address == Some(returns_to.0) {
                    site = Some(entry.id);
                    return Descend::Stop;
                }
                Descend::No
            }
            _ => Descend::No,
        });
        let open = session.unit(unit).ok()?;
        for parameter in session.children(site?).ok()? {
            let Some(AttributeValue::Exprloc(place)) = parameter.get(gimli::DW_AT_location) else { continue };
            if register_of(place.0.slice()) != Some(register) {
                continue;
            }
            let value = parameter.get(gimli::DW_AT_call_value);
            let value = value.or_else(|| parameter.get(gimli::DW_AT_GNU_call_site_value))?;
            let AttributeValue::Exprloc(value) = value else { return None };
            let frame_base = || self.frame_base(function, inside, caller);
            let pieces = evaluate(&open, value, caller, &frame_base).ok()?;
            return match &pieces.first()?.source {
                // A value, not a place: what would be an address is the number itself.
                Source::Memory(number) => Some(*number),
                Source::Bytes(bytes) => {
                    Some(bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
                }
                Source::Register(number) => caller.register(*number),
                Source::Missing | Source::Synthetic => None,
            };
        }
        None
    }
}

/// The N of `DW_OP_regN`.
fn register_of(expression: &[u8]) -> Option<u16> {
    let number = expression.first()?.wrapping_sub(gimli::DW_OP_reg0.0);
    (number < 32 && expression.len() == 1).then_some(u16::from(number))
}

/// The expression that is in force at an address: the attribute's own, or that of a location list's range.
pub(super) fn expression_at<'a>(
    open: &OpenUnit<'a>,
    value: AttributeValue<Slice<'a>>,
    at: FileAddr,
) -> Result<Option<gimli::Expression<Slice<'a>>>, String> {
    if let AttributeValue::Exprloc(expression) = value {
        return Ok((!expression.0.is_empty()).then_some(expression));
    }
    let list = open.dwarf.attr_locations(&open.unit, value).map_err(|error| error.to_string())?;
    let Some(mut list) = list else { return Ok(None) };
    while let Some(entry) = list.next().map_err(|error| error.to_string())? {
        if entry.range.begin <= at.0 && at.0 < entry.range.end {
            return Ok((!entry.data.0.is_empty()).then_some(entry.data));
        }
    }
    Ok(None)
}

/// Evaluates a location expression.
pub(super) fn evaluate<'a>(
    open: &OpenUnit<'a>,
    expression: gimli::Expression<Slice<'a>>,
    state: &dyn FrameState,
    frame_base: &dyn Fn() -> Option<u64>,
) -> Result<Vec<Piece>, String> {
    let mut evaluation = expression.evaluation(open.unit.encoding());
    evaluation.set_max_iterations(OPERATIONS);
    let say = |error: gimli::Error| format!("its location is malformed: {error}");
    let missing = || Ok(vec![Piece::whole(Source::Missing)]);
    let mut step = evaluation.evaluate().map_err(say)?;
    for _ in 0..QUESTIONS {
        step = match step {
            EvaluationResult::Complete => {
                return Ok(evaluation.as_result().iter().map(piece).collect());
            }
            EvaluationResult::RequiresRegister { register, .. } => match state.register(register.0) {
                Some(value) => evaluation.resume_with_register(Value::Generic(value)),
                // The register belongs to a caller that did not save it: gdb, too, calls that optimised out.
                None => return missing(),
            },
            EvaluationResult::RequiresFrameBase => {
                evaluation.resume_with_frame_base(frame_base().ok_or("the frame's base is not known")?)
            }
            EvaluationResult::RequiresCallFrameCfa => {
                evaluation.resume_with_call_frame_cfa(state.cfa().ok_or("the frame's address is not known")?)
            }
            EvaluationResult::RequiresMemory { address, size, .. } => {
                let mut word = [0; 8];
                let size = usize::from(size).min(8);
                let read = state.read(address, &mut word[..size]);
                read.ok_or_else(|| format!("cannot access memory at {address:#x}"))?;
                evaluation.resume_with_memory(Value::Generic(u64::from_le_bytes(word)))
            }
            EvaluationResult::RequiresRelocatedAddress(address) => {
                evaluation.resume_with_relocated_address(address.wrapping_add(state.bias()))
            }
            EvaluationResult::RequiresIndexedAddress { index, relocate } => {
                let address = open.dwarf.address(&open.unit, index).map_err(say)?;
                let bias = if relocate { state.bias() } else { 0 };
                evaluation.resume_with_indexed_address(address.wrapping_add(bias))
            }
            EvaluationResult::RequiresBaseType(offset) => {
                evaluation.resume_with_base_type(base_type(open, offset).unwrap_or(ValueType::Generic))
            }
            EvaluationResult::RequiresTls(offset) => evaluation.resume_with_tls(state.thread_local(offset)?),
            EvaluationResult::RequiresEntryValue(inner) => {
                match register_of(inner.0.slice()).and_then(|number| state.entry_register(number)) {
                    Some(value) => evaluation.resume_with_entry_value(Value::Generic(value)),
                    None => return missing(),
                }
            }
            EvaluationResult::RequiresParameterRef(_) => return missing(),
            EvaluationResult::RequiresAtLocation(_) => return Err("its location calls another".to_owned()),
        }
        .map_err(say)?;
    }
    Err("its location asks for too much".to_owned())
}

fn piece(piece: &gimli::Piece<Slice<'_>>) -> Piece {
    Piece {
        source: match piece.location {
            Location::Empty => Source::Missing,
            Location::ImplicitPointer { .. } => Source::Synthetic,
            Location::Register { register } => Source::Register(register.0),
            Location::Address { address } => Source::Memory(address),
            Location::Value { value } => Source::Bytes(value_bytes(value)),
            Location::Bytes { value } => Source::Bytes(value.slice().to_vec()),
        },
        bits: piece.size_in_bits.map(|bits| bits.min(PIECE_LIMIT)),
        first: piece.bit_offset.unwrap_or(0).min(PIECE_LIMIT),
    }
}

fn base_type(open: &OpenUnit<'_>, offset: UnitOffset) -> Option<ValueType> {
    let entry = open.unit.entry(offset).ok()?;
    ValueType::from_entry(&entry).ok().flatten()
}

fn value_bytes(value: Value) -> Vec<u8> {
    match value {
        Value::F32(value) => value.to_le_bytes().to_vec(),
        Value::F64(value) => value.to_le_bytes().to_vec(),
        value => value.to_u64(u64::MAX).unwrap_or(0).to_le_bytes().to_vec(),
    }
}

fn constant_bytes(value: AttributeValue<Slice<'_>>) -> Vec<u8> {
    match value {
        AttributeValue::Block(bytes) => bytes.slice().to_vec(),
        AttributeValue::String(text) => text.slice().to_vec(),
        value => {
            let number = value.sdata_value().map(|one| one as u64).or_else(|| value.udata_value());
            number.unwrap_or(0).to_le_bytes().to_vec()
        }
    }
}
