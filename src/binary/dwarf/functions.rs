//! Functions of a unit by their addresses, and the calls that were inlined into them.

use gimli::{AttributeValue, UnitOffset};

use super::entry::{Descend, Entry, EntryId, Session};
use super::lines::SourceFile;
use super::{Dwarf, UnitId};
use crate::base::FileAddr;
use crate::binary::symbols::demangle;

/// A range of code and the function that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct FunctionSpan {
    pub start: FileAddr,
    pub end: FileAddr,
    pub entry: EntryId,
}

/// A function's code, or one inlined copy of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// Its entry: a DW_TAG_subprogram or a DW_TAG_inlined_subroutine.
    pub entry: EntryId,
    /// Its code; the first range begins where it is entered.
    pub ranges: Vec<(FileAddr, FileAddr)>,
    /// From where it was called; `None` for a function's own code.
    pub call: Option<CallSite>,
}

/// Where an inlined call is in its caller's source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallSite {
    /// Index of the unit's line table's files.
    pub(super) file: u32,
    /// From 1.
    pub line: u32,
    /// From 1; 0: not known.
    pub column: u32,
}

impl Instance {
    /// Whether an address is in its code.
    pub fn contains(&self, at: FileAddr) -> bool {
        self.ranges.iter().any(|(start, end)| *start <= at && at < *end)
    }

    /// Whether it is an inlined call that is entered at an address: one of its ranges begins there, and none goes on.
    pub fn is_call_begun_at(&self, at: FileAddr) -> bool {
        let before = FileAddr(at.0.wrapping_sub(1));
        self.call.is_some() && self.ranges.iter().any(|(start, _)| *start == at) && !self.contains(before)
    }

    /// Where it is entered.
    pub fn start(&self) -> FileAddr {
        self.ranges.first().map_or(FileAddr(0), |(start, _)| *start)
    }
}

/// One frame of the source: where a function, or a call that was inlined into it, stands.
#[derive(Clone, Debug)]
pub struct SourceFrame {
    /// The function's code or the inlined copy of it.
    pub instance: Instance,
    /// The file, where it is known.
    pub file: Option<SourceFile>,
    /// From 1; 0: not known.
    pub line: u32,
    /// From 1; 0: not known.
    pub column: u32,
}

/// The functions of a unit in address order.
pub(super) fn functions_of_unit(session: &Session<'_>, unit: UnitId) -> gimli::Result<Vec<FunctionSpan>> {
    let open = session.unit(unit)?;
    let mut raw = open.unit.header.entries_raw(&open.unit.abbreviations, None)?;
    let mut found = Vec::new();
    while !raw.is_empty() {
        let UnitOffset(offset) = raw.next_offset();
        let Some(abbreviation) = raw.read_abbreviation()? else { continue };
        let has_code = |name| abbreviation.attributes().iter().any(|spec| spec.name() == name);
        if abbreviation.tag() != gimli::DW_TAG_subprogram
            || !(has_code(gimli::DW_AT_low_pc) || has_code(gimli::DW_AT_ranges))
        {
            raw.skip_attributes(abbreviation.attributes())?;
            continue;
        }
        let (mut low, mut high, mut ranges) = (None, None, None);
        for spec in abbreviation.attributes() {
            let attribute = raw.read_attribute(*spec)?;
            match attribute.name() {
                gimli::DW_AT_low_pc => low = Some(attribute.value()),
                gimli::DW_AT_high_pc => high = Some(attribute.value()),
                gimli::DW_AT_ranges => ranges = Some(attribute.value()),
                _ => {}
            }
        }
        let low = low.and_then(|value: AttributeValue<_>| open.dwarf.attr_address(&open.unit, value).ok().flatten());
        let entry = EntryId { unit, offset: offset as u64 };
        let spans = super::unit::entry_ranges(&open.dwarf, &open.unit, low, high, ranges).unwrap_or_default();
        found.extend(spans.into_iter().map(|(start, end)| FunctionSpan {
            start: FileAddr(start),
            end: FileAddr(end),
            entry,
        }));
    }
    found.sort_unstable_by_key(|one| one.start);
    Ok(found)
}

impl Dwarf {
    /// The function whose code holds an address, and the calls inlined there: the function first, the innermost call last.
    pub fn instances_at(&self, at: FileAddr) -> Vec<Instance> {
        let Some(unit) = self.units().unit_at(at) else { return Vec::new() };
        let session = Session::new(self);
        self.instances_in(&session, unit, at)
    }

    /// The frames that the source has at an address, the innermost first: the line table says where the innermost stands,
    /// each inlined call's site where the one around it does.
    pub fn frames_at(&self, at: FileAddr) -> Vec<SourceFrame> {
        let place = self.find_line(at);
        let row = place.as_ref().map(|one| (one.file().cloned(), one.row.line, u32::from(one.row.column)));
        let mut stands = row.unwrap_or_default();
        let mut frames = Vec::new();
        for instance in self.instances_at(at).into_iter().rev() {
            let outer = instance.call.map(|call| {
                let file = place.as_ref().and_then(|one| one.file_of_call(&call).cloned());
                (file, call.line, call.column)
            });
            let (file, line, column) = std::mem::replace(&mut stands, outer.unwrap_or_default());
            frames.push(SourceFrame { instance, file, line, column });
        }
        frames
    }

    pub(super) fn instances_in(&self, session: &Session<'_>, unit: UnitId, at: FileAddr) -> Vec<Instance> {
        let functions = self.functions(session, unit);
        let after = functions.partition_point(|one| one.start <= at);
        let Some(span) = functions[..after].iter().rev().take(8).find(|one| at < one.end) else { return Vec::new() };
        let Ok(entry) = session.entry(span.entry) else { return Vec::new() };
        let mut chain = vec![Instance { entry: span.entry, ranges: session.ranges(&entry), call: None }];
        let walked = session.walk(span.entry, &mut |entry, _| visit_scope(session, entry, at, &mut chain));
        if let Err(error) = walked {
            tracing::debug!(%error, "bad entries below a function");
        }
        chain
    }

    /// What a function's or inlined call's entry calls it: demangled, with parameters where it has a linkage name.
    pub fn function_name(&self, entry: EntryId) -> Option<String> {
        Some(demangle(&self.function_symbol(entry)?).into_owned())
    }

    /// The same, mangled; where there is no linkage name the qualified name.
    pub fn function_symbol(&self, entry: EntryId) -> Option<String> {
        let types = self.types();
        let session = &types.session;
        let entry = session.entry(entry).ok()?;
        let linkage = session.inherited(&entry, gimli::DW_AT_linkage_name);
        let symbol = linkage.and_then(|(id, value)| session.text(id.unit, value));
        symbol.or_else(|| Some(types.enclosing_scope(entry.id) + &session.name(&entry)?))
    }
}

fn visit_scope<'a>(session: &Session<'a>, entry: &Entry<'a>, at: FileAddr, chain: &mut Vec<Instance>) -> Descend {
    let is_call = match entry.tag {
        gimli::DW_TAG_inlined_subroutine => true,
        gimli::DW_TAG_lexical_block | gimli::DW_TAG_try_block | gimli::DW_TAG_catch_block => false,
        _ => return Descend::No,
    };
    let ranges = session.ranges(entry);
    // A block without ranges of its own is as large as what holds it.
    if !(ranges.iter().any(|(start, end)| *start <= at && at < *end) || (!is_call && ranges.is_empty())) {
        return Descend::No;
    }
    if is_call {
        let number = |name| entry.unsigned(name).and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
        let file = match entry.get(gimli::DW_AT_call_file) {
            Some(AttributeValue::FileIndex(index)) => u32::try_from(index).unwrap_or(0),
            _ => number(gimli::DW_AT_call_file),
        };
        let call = CallSite { file, line: number(gimli::DW_AT_call_line), column: number(gimli::DW_AT_call_column) };
        chain.push(Instance { entry: entry.id, ranges, call: Some(call) });
    }
    Descend::Yes
}
