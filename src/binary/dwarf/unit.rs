//! Opening one unit: its header and the attributes of its root entry, without its line program.

use std::sync::Arc;

use gimli::{
    Abbreviations, AttributeValue, DebugAddrBase, DebugLineOffset, DebugLocListsBase, DebugRngListsBase,
    DebugStrOffsetsBase, Dwarf, Unit, UnitHeader,
};

use super::sections::Slice;

/// A unit and what its root entry says besides.
pub(super) struct OpenUnit<'a> {
    pub unit: Unit<Slice<'a>>,
    pub root: Root<'a>,
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
}

/// Reads the root entry (DWARF 5, section 3.1.1). gimli's own `Unit::new` parses the line program's header too, which
/// costs a hundred times more and is rarely wanted.
pub(super) fn open_unit<'a>(
    dwarf: &Dwarf<Slice<'a>>,
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
    let (mut name, mut comp_dir, mut low_pc) = (None, None, None);
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
    if let Some(address) = low_pc.and_then(|value| dwarf.attr_address(&unit, value).ok().flatten()) {
        unit.low_pc = address;
        root.has_low_pc = true;
    }
    Ok(OpenUnit { unit, root })
}

impl<'a> OpenUnit<'a> {
    /// The address ranges that the unit covers.
    pub fn ranges(&self, dwarf: &Dwarf<Slice<'a>>) -> gimli::Result<Vec<(u64, u64)>> {
        let low_pc = self.root.has_low_pc.then_some(self.unit.low_pc);
        entry_ranges(dwarf, &self.unit, low_pc, self.root.high_pc, self.root.ranges)
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
