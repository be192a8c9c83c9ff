//! Entries (DIEs) by their place, and a session in which units that were opened stay open.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use gimli::{AttributeValue, DwAt, DwTag, SectionId, UnitOffset};

use super::sections::Slice;
use super::unit::{entry_ranges, header_at, open_unit, OpenUnit, Sections};
use super::{Dwarf, UnitId, UnitKind};
use crate::base::FileAddr;

/// Where an entry is: its unit, and the offset in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId {
    /// Which unit.
    pub(super) unit: UnitId,
    /// Bytes from the unit's start.
    pub(super) offset: u64,
}

/// One entry with its attributes.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub id: EntryId,
    pub tag: DwTag,
    attributes: Vec<(DwAt, AttributeValue<Slice<'a>>)>,
}

/// Children of one entry beyond this are not read: a malformed file must not take all memory.
const CHILDREN_LIMIT: usize = 1 << 20;
/// How deep entries that refer to each other are followed.
const REFERENCE_DEPTH: u32 = 16;

/// A look into the DWARF of one file. Made for one question; what it opens is kept until it is dropped.
pub(super) struct Session<'a> {
    pub owner: &'a Dwarf,
    /// The file's own sections.
    pub dwarf: Sections<'a>,
    units: RefCell<HashMap<UnitId, Rc<OpenUnit<'a>>>>,
    /// How deep a look at types of types has come.
    pub nesting: Cell<u32>,
}

impl<'a> Entry<'a> {
    pub fn get(&self, name: DwAt) -> Option<AttributeValue<Slice<'a>>> {
        self.attributes.iter().find(|(one, _)| *one == name).map(|(_, value)| *value)
    }

    pub fn unsigned(&self, name: DwAt) -> Option<u64> {
        self.get(name)?.udata_value()
    }

    pub fn signed(&self, name: DwAt) -> Option<i64> {
        let value = self.get(name)?;
        value.sdata_value().or_else(|| value.udata_value().map(|value| value as i64))
    }

    pub fn flag(&self, name: DwAt) -> bool {
        matches!(self.get(name), Some(AttributeValue::Flag(true)))
    }
}

impl<'a> Session<'a> {
    pub fn new(owner: &'a Dwarf) -> Self {
        Self { owner, dwarf: owner.sections(), units: RefCell::new(HashMap::new()), nesting: Cell::new(0) }
    }

    /// Opens a unit.
    pub fn unit(&self, id: UnitId) -> gimli::Result<Rc<OpenUnit<'a>>> {
        if let Some(open) = self.units.borrow().get(&id) {
            return Ok(open.clone());
        }
        let open = Rc::new(self.owner.open(self, id)?);
        self.units.borrow_mut().insert(id, open.clone());
        Ok(open)
    }

    /// What the file itself has of a unit.
    pub fn skeleton(&self, id: UnitId) -> gimli::Result<OpenUnit<'a>> {
        let at = self.owner.units().place(id).ok_or(gimli::Error::MissingUnitDie)?;
        let header = header_at(&self.dwarf, at)?;
        let abbreviations = self.owner.abbreviations(None, &header, &self.dwarf)?;
        open_unit(&self.dwarf, header, abbreviations)
    }

    /// Reads one entry.
    pub fn entry(&self, id: EntryId) -> gimli::Result<Entry<'a>> {
        let open = self.unit(id.unit)?;
        let offset = UnitOffset(usize::try_from(id.offset).map_err(|_| gimli::Error::OffsetOutOfBounds)?);
        let mut raw = open.unit.header.entries_raw(&open.unit.abbreviations, Some(offset))?;
        let Some(abbreviation) = raw.read_abbreviation()? else { return Err(gimli::Error::NoEntryAtGivenOffset) };
        let mut attributes = Vec::with_capacity(abbreviation.attributes().len());
        for spec in abbreviation.attributes() {
            attributes.push((spec.name(), raw.read_attribute(*spec)?.value()));
        }
        Ok(Entry { id, tag: abbreviation.tag(), attributes })
    }

    /// The root entry of a unit.
    pub fn root(&self, unit: UnitId) -> gimli::Result<EntryId> {
        let open = self.unit(unit)?;
        Ok(EntryId { unit, offset: open.unit.header.size_of_header() as u64 })
    }

    /// The direct children of an entry; of what they hold nothing is kept.
    pub fn children(&self, parent: EntryId) -> gimli::Result<Vec<Entry<'a>>> {
        let mut found = Vec::new();
        self.walk(parent, &mut |entry, _| {
            found.push(entry.clone());
            if found.len() < CHILDREN_LIMIT {
                Descend::No
            } else {
                Descend::Stop
            }
        })?;
        Ok(found)
    }

    /// Visits what lies below an entry, depth first: a child has depth 1. What is said of an entry decides whether its own
    /// children are visited.
    pub fn walk(&self, parent: EntryId, visit: &mut dyn FnMut(&Entry<'a>, u32) -> Descend) -> gimli::Result<()> {
        let open = self.unit(parent.unit)?;
        let header = &open.unit.header;
        let offset = usize::try_from(parent.offset).map_err(|_| gimli::Error::OffsetOutOfBounds)?;
        let mut raw = header.entries_raw(&open.unit.abbreviations, Some(UnitOffset(offset)))?;
        let Some(first) = raw.read_abbreviation()? else { return Ok(()) };
        raw.skip_attributes(first.attributes())?;
        if !first.has_children() {
            return Ok(());
        }
        let mut depth = 1u32;
        // Entries deeper than this are passed over.
        let mut wanted = 1u32;
        while depth > 0 && !raw.is_empty() {
            let at = raw.next_offset();
            let Some(abbreviation) = raw.read_abbreviation()? else {
                depth -= 1;
                wanted = wanted.min(depth);
                continue;
            };
            let mut sibling = None;
            let mut descend = Descend::No;
            if depth <= wanted {
                let mut attributes = Vec::with_capacity(abbreviation.attributes().len());
                for spec in abbreviation.attributes() {
                    attributes.push((spec.name(), raw.read_attribute(*spec)?.value()));
                }
                let id = EntryId { unit: parent.unit, offset: at.0 as u64 };
                let entry = Entry { id, tag: abbreviation.tag(), attributes };
                descend = visit(&entry, depth);
                if let Some(AttributeValue::UnitRef(next)) = entry.get(gimli::DW_AT_sibling) {
                    sibling = Some(next);
                }
            } else {
                raw.skip_attributes(abbreviation.attributes())?;
            }
            match descend {
                Descend::Stop => return Ok(()),
                Descend::Yes if abbreviation.has_children() => wanted = depth + 1,
                Descend::Yes => {}
                Descend::No => wanted = wanted.min(depth),
            }
            if !abbreviation.has_children() {
                continue;
            }
            match sibling.filter(|next| descend == Descend::No && next.0 > raw.next_offset().0) {
                Some(next) => raw = header.entries_raw(&open.unit.abbreviations, Some(next))?,
                None => depth += 1,
            }
        }
        Ok(())
    }

    /// The entry that an attribute refers to.
    pub fn target(&self, from: EntryId, value: AttributeValue<Slice<'a>>) -> Option<EntryId> {
        match value {
            AttributeValue::UnitRef(offset) => Some(EntryId { unit: from.unit, offset: offset.0 as u64 }),
            AttributeValue::DebugInfoRefSup(offset) => self.owner.common_entry(offset.0),
            AttributeValue::DebugInfoRef(offset) if from.unit.index(UnitKind::Common).is_some() => {
                self.owner.common_entry(offset.0)
            }
            AttributeValue::DebugInfoRef(offset) if self.owner.is_split(from.unit) => {
                let start = self.unit(from.unit).ok()?.unit.header.offset().as_debug_info_offset()?;
                Some(EntryId { unit: from.unit, offset: offset.0.checked_sub(start.0)? as u64 })
            }
            AttributeValue::DebugInfoRef(offset) => self.owner.units().entry_at(SectionId::DebugInfo, offset.0),
            AttributeValue::DebugTypesRef(signature) => {
                let own = self.owner.units().type_signed(signature);
                own.or_else(|| self.split_type(from.unit, signature))
            }
            _ => None,
        }
    }

    /// The entry that an attribute of an entry refers to, read.
    pub fn follow(&self, entry: &Entry<'a>, name: DwAt) -> Option<Entry<'a>> {
        self.entry(self.target(entry.id, entry.get(name)?)?).ok()
    }

    /// The entry that one is a copy of, or defines.
    pub fn completed(&self, entry: &Entry<'a>) -> Option<Entry<'a>> {
        let names = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification];
        names.into_iter().find_map(|name| self.follow(entry, name))
    }

    /// An attribute of an entry, or of the one that it completes (DW_AT_abstract_origin, DW_AT_specification,
    /// DW_AT_signature).
    pub fn inherited(&self, entry: &Entry<'a>, name: DwAt) -> Option<(EntryId, AttributeValue<Slice<'a>>)> {
        let mut current = entry.clone();
        for _ in 0..REFERENCE_DEPTH {
            if let Some(value) = current.get(name) {
                return Some((current.id, value));
            }
            let signed = || self.follow(&current, gimli::DW_AT_signature);
            current = self.completed(&current).or_else(signed)?;
        }
        None
    }

    /// A string attribute, as text.
    pub fn text(&self, unit: UnitId, value: AttributeValue<Slice<'a>>) -> Option<String> {
        let open = self.unit(unit).ok()?;
        let text = open.dwarf.attr_string(&open.unit, value).ok()?;
        Some(text.to_string_lossy().into_owned())
    }

    /// DW_AT_name, its own or that of the entry it completes.
    pub fn name(&self, entry: &Entry<'a>) -> Option<String> {
        Some(self.name_bytes(entry)?.to_string_lossy().into_owned())
    }

    /// The same, as it stands in the file.
    pub fn name_bytes(&self, entry: &Entry<'a>) -> Option<Slice<'a>> {
        let (id, value) = self.inherited(entry, gimli::DW_AT_name)?;
        let open = self.unit(id.unit).ok()?;
        open.dwarf.attr_string(&open.unit, value).ok()
    }

    /// DW_AT_producer of a unit.
    pub fn producer_text(&self, unit: UnitId) -> Option<String> {
        let root = self.entry(self.root(unit).ok()?).ok()?;
        self.text(unit, root.get(gimli::DW_AT_producer)?)
    }

    /// Whether a unit's code is GCC's with an optimisation, as the switches tell that GCC records there.
    pub fn is_optimised_by_gcc(&self, unit: UnitId) -> bool {
        let text = self.producer_text(unit).filter(|text| text.starts_with("GNU ")).unwrap_or_default();
        let level = text.split_whitespace().rfind(|word| word.starts_with("-O"));
        level.is_some_and(|level| level != "-O0")
    }

    /// The address ranges of an entry.
    pub fn ranges(&self, entry: &Entry<'a>) -> Vec<(FileAddr, FileAddr)> {
        let Ok(open) = self.unit(entry.id.unit) else { return Vec::new() };
        let low = entry.get(gimli::DW_AT_low_pc);
        let low = low.and_then(|value| open.dwarf.attr_address(&open.unit, value).ok().flatten());
        let (high, ranges) = (entry.get(gimli::DW_AT_high_pc), entry.get(gimli::DW_AT_ranges));
        let found = entry_ranges(&open.dwarf, &open.unit, low, high, ranges).unwrap_or_default();
        found.into_iter().map(|(start, end)| (FileAddr(start), FileAddr(end))).collect()
    }
}

/// What a visit says of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Descend {
    /// Visit its children.
    Yes,
    /// Pass them over.
    No,
    /// It is enough.
    Stop,
}
