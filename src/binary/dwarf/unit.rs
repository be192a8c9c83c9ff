//! Opening one unit: its header and the attributes of its root entry, without its line program.

use std::sync::Arc;

use gimli::{
    Abbreviations, AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugAddrBase, DebugLineOffset, DebugLocListsBase,
    DebugRngListsBase, DebugStrOffsetsBase, DebugTypes, Dwarf, LittleEndian, Reader, Section, Unit, UnitHeader,
    UnitSectionOffset, UnitType,
};

use super::sections::Slice;

/// The sections that a unit is in.
pub(super) type Sections<'a> = Arc<Dwarf<Slice<'a>>>;

/// A unit and what its root entry says besides.
pub(super) struct OpenUnit<'a> {
    /// Its header, and what its attributes are read with.
    pub unit: Unit<Slice<'a>>,
    /// What else its root entry says.
    pub root: Root<'a>,
    /// Its sections.
    pub dwarf: Sections<'a>,
}

/// Attributes of the root entry that a [`Unit`] has no place for.
#[derive(Default)]
pub(super) struct Root<'a> {
    /// DW_AT_stmt_list: where its line program is.
    pub lines: Option<DebugLineOffset>,
    /// DW_AT_str_offsets_base.
    pub strings: Option<DebugStrOffsetsBase>,
    /// DW_AT_high_pc.
    pub high_pc: Option<AttributeValue<Slice<'a>>>,
    /// DW_AT_ranges.
    pub ranges: Option<AttributeValue<Slice<'a>>>,
    /// DW_AT_language.
    pub language: Option<gimli::DwLang>,
    /// Whether there was a DW_AT_low_pc.
    pub has_low_pc: bool,
    /// Of a skeleton (DWARF 5, 3.1.2): what identifies the unit that has the rest.
    pub split: Option<u64>,
    /// DW_AT_dwo_name: the file that unit is in.
    pub split_name: Option<Slice<'a>>,
}

/// Opens a unit so far as its root entry is concerned. Others cannot be read with it: of the unit's abbreviations, which are
/// nine tenths of what a pass over all units would read, it has the first only where that is the root entry's.
pub(super) fn open_root<'a>(dwarf: &Sections<'a>, header: UnitHeader<Slice<'a>>) -> gimli::Result<OpenUnit<'a>> {
    let first = first_abbreviation(dwarf, &header);
    let root =
        first.filter(|first| header.entries_raw(first, None).is_ok_and(|mut raw| is_known(raw.read_abbreviation())));
    let abbreviations = root.map_or_else(|| header.abbreviations(&dwarf.debug_abbrev), Ok)?;
    open_unit(dwarf, header, Arc::new(abbreviations))
}

fn is_known<T>(abbreviation: gimli::Result<Option<T>>) -> bool {
    abbreviation.is_ok_and(|one| one.is_some())
}

/// The first abbreviation of a unit (DWARF 5, section 7.5.3) as a table of its own; `None` where it is malformed.
fn first_abbreviation<'a>(dwarf: &Dwarf<Slice<'a>>, header: &UnitHeader<Slice<'a>>) -> Option<Abbreviations> {
    let mut rest = *dwarf.debug_abbrev.reader();
    rest.skip(header.debug_abbrev_offset().0).ok()?;
    let all = rest;
    // Its code, its tag, and whether it has children.
    rest.read_uleb128().ok()?;
    rest.read_uleb128().ok()?;
    rest.read_u8().ok()?;
    loop {
        let (name, form) = (rest.read_uleb128().ok()?, rest.read_uleb128().ok()?);
        if form == u64::from(gimli::DW_FORM_implicit_const.0) {
            rest.read_sleb128().ok()?;
        }
        if (name, form) == (0, 0) {
            break;
        }
    }
    // No abbreviation has the code 0: it ends a table.
    let table = [all.slice().get(..all.len() - rest.len())?, &[0]].concat();
    DebugAbbrev::new(&table, LittleEndian).abbreviations(DebugAbbrevOffset(0)).ok()
}

/// Reads the root entry (DWARF 5, section 3.1.1). gimli's own `Unit::new` parses the line program's header too, which
/// costs a hundred times more and is rarely wanted.
pub(super) fn open_unit<'a>(
    dwarf: &Sections<'a>,
    header: UnitHeader<Slice<'a>>,
    abbreviations: Arc<Abbreviations>,
) -> gimli::Result<OpenUnit<'a>> {
    let encoding = header.encoding();
    let mut unit = Unit {
        abbreviations,
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(encoding, dwarf.file_type),
        addr_base: DebugAddrBase(0),
        loclists_base: DebugLocListsBase::default_for_encoding_and_file(encoding, dwarf.file_type),
        rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, dwarf.file_type),
        line_program: None,
        dwo_id: None,
        header,
    };
    let mut root = Root::default();
    if let UnitType::Skeleton(id) | UnitType::SplitCompilation(id) = unit.header.type_() {
        root.split = Some(id.0);
    }
    let (mut name, mut comp_dir, mut low_pc, mut split_name) = (None, None, None, None);
    {
        let mut entries = unit.header.entries_raw(&unit.abbreviations, None)?;
        let abbreviation = entries.read_abbreviation()?.ok_or(gimli::Error::MissingUnitDie)?;
        for spec in abbreviation.attributes() {
            let value = entries.read_attribute(*spec)?.value();
            match (spec.name(), value) {
                (gimli::DW_AT_name, value) => name = Some(value),
                (gimli::DW_AT_comp_dir, value) => comp_dir = Some(value),
                (gimli::DW_AT_low_pc, value) => low_pc = Some(value),
                (gimli::DW_AT_high_pc, value) => root.high_pc = Some(value),
                (gimli::DW_AT_ranges, value) => root.ranges = Some(value),
                (gimli::DW_AT_language, AttributeValue::Language(language)) => root.language = Some(language),
                (gimli::DW_AT_dwo_name | gimli::DW_AT_GNU_dwo_name, value) => split_name = Some(value),
                (_, AttributeValue::DwoId(id)) => root.split = Some(id.0),
                (gimli::DW_AT_stmt_list, AttributeValue::DebugLineRef(offset)) => root.lines = Some(offset),
                (_, AttributeValue::DebugStrOffsetsBase(base)) => {
                    unit.str_offsets_base = base;
                    root.strings = Some(base);
                }
                (_, AttributeValue::DebugAddrBase(base)) => unit.addr_base = base,
                (_, AttributeValue::DebugLocListsBase(base)) => unit.loclists_base = base,
                (_, AttributeValue::DebugRngListsBase(base)) => unit.rnglists_base = base,
                _ => {}
            }
        }
    }
    unit.name = name.and_then(|value| dwarf.attr_string(&unit, value).ok());
    unit.comp_dir = comp_dir.and_then(|value| dwarf.attr_string(&unit, value).ok());
    root.split_name = split_name.and_then(|value| dwarf.attr_string(&unit, value).ok());
    if let Some(address) = low_pc.and_then(|value| dwarf.attr_address(&unit, value).ok().flatten()) {
        unit.low_pc = address;
        root.has_low_pc = true;
    }
    Ok(OpenUnit { unit, root, dwarf: dwarf.clone() })
}

impl<'a> OpenUnit<'a> {
    /// The address ranges that the unit covers.
    pub fn ranges(&self) -> gimli::Result<Vec<(u64, u64)>> {
        let low_pc = self.root.has_low_pc.then_some(self.unit.low_pc);
        entry_ranges(&self.dwarf, &self.unit, low_pc, self.root.high_pc, self.root.ranges)
    }
}

/// The address ranges of an entry (DWARF 5, section 2.17): DW_AT_ranges, or DW_AT_low_pc with DW_AT_high_pc. Empty ones
/// are left out.
pub(super) fn entry_ranges<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    low_pc: Option<u64>,
    high_pc: Option<AttributeValue<Slice<'a>>>,
    ranges: Option<AttributeValue<Slice<'a>>>,
) -> gimli::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    if let Some(value) = ranges {
        let Some(offset) = dwarf.attr_ranges_offset(unit, value)? else { return Ok(found) };
        let mut iter = dwarf.ranges(unit, offset)?;
        while let Some(range) = iter.next()? {
            if range.begin < range.end {
                found.push((range.begin, range.end));
            }
        }
    } else if let (Some(low), Some(high)) = (low_pc, high_pc) {
        let end = match high {
            AttributeValue::Udata(length) => low.checked_add(length),
            value => dwarf.attr_address(unit, value)?,
        };
        found.extend(end.filter(|end| low < *end).map(|end| (low, end)));
    }
    Ok(found)
}

/// The unit that begins there.
pub(super) fn header_at<'a>(dwarf: &Dwarf<Slice<'a>>, at: UnitSectionOffset) -> gimli::Result<UnitHeader<Slice<'a>>> {
    match at {
        UnitSectionOffset::DebugInfoOffset(at) => dwarf.debug_info.header_from_offset(at),
        UnitSectionOffset::DebugTypesOffset(at) => {
            let mut rest = *dwarf.debug_types.reader();
            rest.skip(at.0)?;
            let all = rest;
            let header = DebugTypes::from(rest).units().next()?.ok_or(gimli::Error::NoEntryAtGivenOffset)?;
            // gimli has it begin where the bytes do that it was given.
            let mut entries = all;
            entries.truncate(header.length_including_self())?;
            entries.skip(header.size_of_header())?;
            let (encoding, length) = (header.encoding(), header.unit_length());
            let (kind, abbreviations) = (header.type_(), header.debug_abbrev_offset());
            Ok(UnitHeader::new(encoding, length, kind, abbreviations, UnitSectionOffset::DebugTypesOffset(at), entries))
        }
    }
}
