//! Call frame information: which function covers an address, and how its caller's registers are recovered there.

use std::sync::{Arc, OnceLock};

use gimli::{
    BaseAddresses, CieOrFde, DebugFrame, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian, Register,
    UnwindContext, UnwindSection,
};

use super::image::{Image, Located};
use super::BinaryError;
use crate::base::FileAddr;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Fde<'a> = FrameDescriptionEntry<Slice<'a>>;

/// The addresses `start..end` that one FDE covers: a function, or a part of one (`.cold`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FunctionRange {
    /// The first byte.
    pub start: FileAddr,
    /// One past the last byte.
    pub end: FileAddr,
}

impl FunctionRange {
    /// Whether `at` lies in the range.
    pub fn contains(&self, at: FileAddr) -> bool {
        self.start <= at && at < self.end
    }
}

/// How the canonical frame address is computed (DWARF 5, 6.4.1). Registers are DWARF numbers (7 is rsp).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CfaRule {
    /// The register's value plus an offset in bytes.
    RegisterOffset {
        /// DWARF number.
        register: u16,
        /// Bytes.
        offset: i64,
    },
    /// A DWARF expression, as bytes of x86-64 (8-byte addresses, little endian).
    Expression(Vec<u8>),
}

/// How the caller's value of a register is found (DWARF 5, 6.4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegisterRule {
    /// It cannot be; for the return address: this is the outermost frame.
    Undefined,
    /// It is unchanged.
    SameValue,
    /// It is stored at CFA + offset bytes.
    Offset(i64),
    /// It is CFA + offset bytes.
    ValOffset(i64),
    /// It is in another register (DWARF number).
    Register(u16),
    /// It is stored where the expression, started with the CFA on its stack, says.
    Expression(Vec<u8>),
    /// It is the value of the expression, started with the CFA on its stack.
    ValExpression(Vec<u8>),
}

/// Whether a frame is a signal trampoline's (CIE augmentation 'S').
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// Its caller's pc is a return address, one past the call.
    Normal,
    /// Its caller's pc is where the signal struck, and must not be moved back before it is looked up.
    Signal,
}

/// The unwind rules that hold at one address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnwindRow {
    /// The CFA.
    pub cfa: CfaRule,
    /// The rules that were given, in order of DWARF register numbers; a register without one is unspecified
    /// (callee-saved registers then keep their value, by the ABI). The return address always has one; it is
    /// [`RegisterRule::Undefined`] in the outermost frame.
    pub registers: Vec<(u16, RegisterRule)>,
    /// The column that holds the return address: 16 on x86-64.
    pub return_address_register: u16,
    /// A signal trampoline's frame or not.
    pub is_signal_frame: FrameKind,
}

/// The FDEs of a module: .eh_frame through the sorted table of .eh_frame_hdr, else through an index that is built at
/// the first question, else .debug_frame.
pub struct UnwindTables {
    image: Arc<Image>,
    frames: Option<Frames>,
    header: Option<HeaderTable>,
    index: OnceLock<Vec<IndexEntry>>,
}

/// Where the frames are.
struct Frames {
    format: FrameFormat,
    located: Located,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FrameFormat {
    EhFrame,
    DebugFrame,
}

/// The binary search table of .eh_frame_hdr in its one common encoding: pairs of 32-bit offsets from the header
/// (LSB, "The .eh_frame_hdr section").
struct HeaderTable {
    located: Located,
    count: usize,
}

#[derive(Clone, Copy)]
struct IndexEntry {
    range: FunctionRange,
    offset: usize,
}

impl UnwindTables {
    pub(super) fn new(image: Arc<Image>) -> UnwindTables {
        let (from_header, header) = parse_header(&image).unzip();
        let frames = find_frames(&image, from_header);
        let usable = frames.as_ref().is_some_and(|frames| frames.format == FrameFormat::EhFrame);
        UnwindTables { image, frames, header: header.flatten().filter(|_| usable), index: OnceLock::new() }
    }

    /// The range of the FDE that covers an address. O(log n).
    pub fn find_function(&self, at: FileAddr) -> Option<FunctionRange> {
        let offset = self.find_offset(at)?;
        let bases = self.bases();
        let fde = self.parse_fde(offset, &bases).ok()?;
        let range = range_of(&fde);
        range.contains(at).then_some(range)
    }

    /// The first FDE's address after `at`: where whatever stands at `at` must have ended. O(log n).
    pub fn find_next_start(&self, at: FileAddr) -> Option<FileAddr> {
        match &self.header {
            Some(table) => {
                let next = self.header_partition(table, at);
                (next < table.count).then(|| self.header_entry(table, next).0)
            }
            None => {
                let index = self.index();
                index.get(index.partition_point(|entry| entry.range.start <= at)).map(|entry| entry.range.start)
            }
        }
    }

    /// The unwind rules at an address (.eh_frame or .debug_frame, DWARF 5, 6.4). `Ok(None)` when no FDE covers it.
    ///
    /// # Errors
    /// The frame information is malformed.
    pub fn row_at(&self, at: FileAddr) -> Result<Option<UnwindRow>, BinaryError> {
        let Some(offset) = self.find_offset(at) else { return Ok(None) };
        let bad = |error: gimli::Error| BinaryError::BadUnwind {
            path: self.image.path.clone(),
            address: at.0,
            reason: error.to_string(),
        };
        let bases = self.bases();
        let fde = self.parse_fde(offset, &bases).map_err(bad)?;
        if !range_of(&fde).contains(at) {
            return Ok(None);
        }
        match self.format() {
            FrameFormat::EhFrame => evaluate(&self.eh_frame(), &bases, &fde, at),
            FrameFormat::DebugFrame => evaluate(&self.debug_frame(), &bases, &fde, at),
        }
        .map(Some)
        .map_err(bad)
    }

    /// The start of the function at an address and where its table for exceptions is (LSDA).
    pub(super) fn language_data(&self, at: FileAddr) -> Option<(FileAddr, gimli::Pointer)> {
        let fde = self.parse_fde(self.find_offset(at)?, &self.bases()).ok()?;
        let table = fde.lsda()?;
        range_of(&fde).contains(at).then_some((FileAddr(fde.initial_address()), table))
    }

    /// The bytes of the file from an address on, `most` of them at most.
    pub(super) fn bytes_from(&self, at: FileAddr, most: u64) -> Option<&[u8]> {
        let bytes = self.image.slice(&self.image.file_range_from(at)?);
        Some(&bytes[..bytes.len().min(most as usize)])
    }

    /// The ranges of all FDEs in address order: the functions of a stripped file.
    pub fn function_starts(&self) -> Vec<FunctionRange> {
        self.index().iter().map(|entry| entry.range).collect()
    }

    fn format(&self) -> FrameFormat {
        self.frames.as_ref().map_or(FrameFormat::EhFrame, |frames| frames.format)
    }

    fn frame_bytes(&self) -> &[u8] {
        self.frames.as_ref().map_or(&[], |frames| self.image.slice(&frames.located.bytes))
    }

    fn eh_frame(&self) -> EhFrame<Slice<'_>> {
        let mut section = EhFrame::new(self.frame_bytes(), LittleEndian);
        section.set_address_size(8);
        section
    }

    fn debug_frame(&self) -> DebugFrame<Slice<'_>> {
        let mut section = DebugFrame::new(self.frame_bytes(), LittleEndian);
        section.set_address_size(8);
        section
    }

    fn bases(&self) -> BaseAddresses {
        let mut bases = BaseAddresses::default();
        if let Some(frames) = &self.frames {
            bases = bases.set_eh_frame(frames.located.addr.0);
        }
        if let Some(header) = &self.image.eh_frame_hdr {
            bases = bases.set_eh_frame_hdr(header.addr.0);
        }
        let addr_of = |name: &str| self.image.section(name).map(|section| section.addr.0);
        if let Some(text) = addr_of(".text") {
            bases = bases.set_text(text);
        }
        if let Some(got) = addr_of(".got") {
            bases = bases.set_got(got);
        }
        bases
    }

    fn parse_fde<'a>(&'a self, offset: usize, bases: &BaseAddresses) -> gimli::Result<Fde<'a>> {
        match self.format() {
            FrameFormat::EhFrame => self
                .eh_frame()
                .fde_from_offset(bases, offset.into(), |section, bases, at| section.cie_from_offset(bases, at)),
            FrameFormat::DebugFrame => {
                self.debug_frame()
                    .fde_from_offset(bases, offset.into(), |section, bases, at| section.cie_from_offset(bases, at))
            }
        }
    }

    /// The offset of the last FDE that starts at or before `at`.
    fn find_offset(&self, at: FileAddr) -> Option<usize> {
        let frames = self.frames.as_ref()?;
        match &self.header {
            Some(table) => {
                let last = self.header_partition(table, at).checked_sub(1)?;
                let fde = self.header_entry(table, last).1;
                usize::try_from(fde.0.checked_sub(frames.located.addr.0)?).ok()
            }
            None => {
                let index = self.index();
                let last = index.partition_point(|entry| entry.range.start <= at).checked_sub(1)?;
                Some(index[last].offset)
            }
        }
    }

    /// How many entries of the header's table start at or before `at`.
    fn header_partition(&self, table: &HeaderTable, at: FileAddr) -> usize {
        let (mut low, mut high) = (0, table.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.header_entry(table, middle).0 <= at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The start address and the FDE's address of one entry of the header's table.
    fn header_entry(&self, table: &HeaderTable, index: usize) -> (FileAddr, FileAddr) {
        let bytes = self.image.slice(&table.located.bytes);
        let field = |at: usize| {
            let raw = bytes.get(at..at + 4).and_then(|raw| raw.try_into().ok()).map_or(0, i32::from_le_bytes);
            FileAddr(table.located.addr.0.wrapping_add_signed(raw.into()))
        };
        let at = HEADER_SIZE + index * HEADER_ENTRY;
        (field(at), field(at + 4))
    }

    fn index(&self) -> &[IndexEntry] {
        self.index.get_or_init(|| {
            let bases = self.bases();
            let mut entries = match self.format() {
                FrameFormat::EhFrame => collect(&self.eh_frame(), &bases),
                FrameFormat::DebugFrame => collect(&self.debug_frame(), &bases),
            };
            entries.sort_by_key(|entry| entry.range);
            entries
        })
    }
}

const HEADER_SIZE: usize = 12;
const HEADER_ENTRY: usize = 8;
/// version 1, eh_frame_ptr pcrel|sdata4, fde_count udata4, table datarel|sdata4.
const COMMON_HEADER: [u8; 4] = [1, 0x1b, 0x03, 0x3b];

/// Where .eh_frame_hdr says that .eh_frame is, and its table when it has the common encoding.
fn parse_header(image: &Image) -> Option<(FileAddr, Option<HeaderTable>)> {
    let located = image.eh_frame_hdr.clone()?;
    let bytes = image.slice(&located.bytes);
    let bases = BaseAddresses::default().set_eh_frame_hdr(located.addr.0);
    let parsed = gimli::EhFrameHdr::new(bytes, LittleEndian).parse(&bases, 8).ok()?;
    let frames = FileAddr(parsed.eh_frame_ptr().direct().ok()?);
    if !bytes.starts_with(&COMMON_HEADER) {
        return Some((frames, None));
    }
    let count = bytes.get(8..12).and_then(|raw| raw.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
    let fits = bytes.len().saturating_sub(HEADER_SIZE) / HEADER_ENTRY;
    let table = (count > 0 && count <= fits).then_some(HeaderTable { located, count });
    Some((frames, table))
}

fn find_frames(image: &Image, from_header: Option<FileAddr>) -> Option<Frames> {
    let section = |name: &str, format: FrameFormat| {
        let section = image.section(name).filter(|section| !section.bytes.is_empty() && !section.compressed)?;
        Some(Frames { format, located: Located { addr: section.addr, bytes: section.bytes.clone() } })
    };
    let eh_frame = section(".eh_frame", FrameFormat::EhFrame);
    let Some(addr) = from_header else {
        return eh_frame.or_else(|| section(".debug_frame", FrameFormat::DebugFrame));
    };
    if let Some(frames) = eh_frame.filter(|frames| frames.located.addr == addr) {
        return Some(frames);
    }
    let bytes = image.file_range_from(addr)?;
    Some(Frames { format: FrameFormat::EhFrame, located: Located { addr, bytes } })
}

fn range_of(fde: &Fde<'_>) -> FunctionRange {
    let start = fde.initial_address();
    FunctionRange { start: FileAddr(start), end: FileAddr(start.saturating_add(fde.len())) }
}

/// All FDEs of a section; stops at the first malformed one. Bounded by the section's size.
fn collect<'a, S: UnwindSection<Slice<'a>>>(section: &S, bases: &BaseAddresses) -> Vec<IndexEntry>
where
    S::Offset: gimli::UnwindOffset<usize>,
{
    let mut found = Vec::new();
    let mut cies = std::collections::HashMap::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let parsed = partial.parse(|section, bases, at| {
            let key: usize = gimli::UnwindOffset::into(at);
            if let Some(cie) = cies.get(&key) {
                return Ok(gimli::CommonInformationEntry::clone(cie));
            }
            let cie = section.cie_from_offset(bases, at)?;
            cies.insert(key, cie.clone());
            Ok(cie)
        });
        let Ok(fde) = parsed else { continue };
        if fde.len() > 0 && fde.initial_address() != 0 {
            found.push(IndexEntry { range: range_of(&fde), offset: fde.offset() });
        }
    }
    found
}

fn evaluate<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    fde: &Fde<'a>,
    at: FileAddr,
) -> gimli::Result<UnwindRow> {
    let mut context = UnwindContext::new();
    let row = fde.unwind_info_for_address(section, bases, &mut context, at.0)?;
    let bytes = |expression: &gimli::UnwindExpression<usize>| -> gimli::Result<Vec<u8>> {
        Ok(expression.get(section)?.0.slice().to_vec())
    };
    let cfa = match row.cfa() {
        gimli::CfaRule::RegisterAndOffset { register, offset } => {
            CfaRule::RegisterOffset { register: register.0, offset: *offset }
        }
        gimli::CfaRule::Expression(expression) => CfaRule::Expression(bytes(expression)?),
    };
    let convert = |(register, rule): &(Register, gimli::RegisterRule<usize>)| -> gimli::Result<(u16, RegisterRule)> {
        let rule = match rule {
            gimli::RegisterRule::SameValue => RegisterRule::SameValue,
            gimli::RegisterRule::Offset(offset) => RegisterRule::Offset(*offset),
            gimli::RegisterRule::ValOffset(offset) => RegisterRule::ValOffset(*offset),
            gimli::RegisterRule::Register(other) => RegisterRule::Register(other.0),
            gimli::RegisterRule::Expression(expression) => RegisterRule::Expression(bytes(expression)?),
            gimli::RegisterRule::ValExpression(expression) => RegisterRule::ValExpression(bytes(expression)?),
            _ => RegisterRule::Undefined,
        };
        Ok((register.0, rule))
    };
    let mut registers = row.registers().map(convert).collect::<gimli::Result<Vec<_>>>()?;
    registers.sort_by_key(|(register, _)| *register);
    // gimli drops a rule that is made undefined; for the return address that is how the outermost frame is marked.
    let return_address_register = fde.cie().return_address_register().0;
    if let Err(place) = registers.binary_search_by_key(&return_address_register, |(register, _)| *register) {
        registers.insert(place, (return_address_register, RegisterRule::Undefined));
    }
    Ok(UnwindRow {
        cfa,
        registers,
        return_address_register,
        is_signal_frame: if fde.is_signal_trampoline() { FrameKind::Signal } else { FrameKind::Normal },
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Module;
    use super::*;

    fn module(path: &str) -> Module {
        Module::parse(PathBuf::from(path), Arc::new(std::fs::read(path).unwrap())).unwrap()
    }

    #[test]
    fn the_table_and_the_index_agree_on_every_function() {
        let module = module("/proc/self/exe");
        let tables = module.unwind();
        assert!(tables.header.is_some());
        let functions = tables.function_starts();
        assert!(functions.len() > 100);
        for range in &functions {
            assert_eq!(tables.find_function(range.start), Some(*range));
            assert_eq!(tables.find_function(FileAddr(range.end.0 - 1)), Some(*range));
            assert!(tables.row_at(range.start).unwrap().is_some());
        }
        for pair in functions.windows(2) {
            assert_eq!(tables.find_next_start(pair[0].start), Some(pair[1].start));
        }
    }

    #[test]
    fn without_its_header_the_section_is_indexed() {
        let path = "/lib/x86_64-linux-gnu/libc.so.6";
        let mut bytes = std::fs::read(path).unwrap();
        let count = usize::from(bytes[56]);
        for header in (0..count).map(|index| 64 + index * 56) {
            if bytes[header..header + 4] == 0x6474_e550u32.to_le_bytes() {
                bytes[header..header + 4].fill(0);
            }
        }
        let bare = Module::parse(PathBuf::from(path), Arc::new(bytes)).unwrap();
        let whole = module(path);
        assert!(bare.unwind().header.is_none() && whole.unwind().header.is_some());
        assert_eq!(bare.unwind().function_starts(), whole.unwind().function_starts());
        for range in whole.unwind().function_starts().iter().step_by(7) {
            assert_eq!(bare.unwind().find_function(range.start), whole.unwind().find_function(range.start));
            assert_eq!(bare.unwind().row_at(range.start), whole.unwind().row_at(range.start));
        }
    }

    #[test]
    fn a_function_starts_with_the_cfa_above_its_return_address() {
        let libc = module("/lib/x86_64-linux-gnu/libc.so.6");
        let read = libc.symbols().find_exact("read").unwrap().address;
        let row = libc.unwind().row_at(read).unwrap().unwrap();
        assert_eq!(row.cfa, CfaRule::RegisterOffset { register: 7, offset: 8 });
        assert!(row.registers.contains(&(16, RegisterRule::Offset(-8))));
        assert_eq!((row.return_address_register, row.is_signal_frame), (16, FrameKind::Normal));
        assert_eq!(libc.unwind().row_at(FileAddr(0)).unwrap(), None);
        assert_eq!(libc.unwind().row_at(FileAddr(u64::MAX)).unwrap(), None);
    }

    #[test]
    fn the_entry_is_the_outermost_frame() {
        let module = module("/proc/self/exe");
        let row = module.unwind().row_at(module.entry().offset(6)).unwrap().unwrap();
        assert!(row.registers.contains(&(16, RegisterRule::Undefined)));
    }

    #[test]
    fn the_signal_trampoline_is_marked() {
        let libc = module("/lib/x86_64-linux-gnu/libc.so.6");
        let is_signal = |range: &FunctionRange| matches!(libc.unwind().row_at(range.start), Ok(Some(row)) if row.is_signal_frame == FrameKind::Signal);
        assert!(libc.unwind().function_starts().iter().any(is_signal));
    }
}
