//! The names of one unit: what is defined outside of functions.
//!
//! Of all entries only those are read that open a scope or define a name; the rest is passed over by its abbreviation's plan, and
//! what it holds by its DW_AT_sibling where the compiler wrote one.

use gimli::{AttributeSpecification, AttributeValue, ReaderOffsetId, Section, UnitOffset, UnitSectionOffset};

use super::lately::{Inline, Lately, Question, ScopeId, Text};
use super::plan::{Flags, Interest, Plan, Plans, Step};
use super::write::{Collector, Found, Key};
use super::{Kind, NameHash};
use crate::binary::dwarf::scopes::ANONYMOUS;
use crate::binary::dwarf::sections::Slice;
use crate::binary::dwarf::types::Types;
use crate::binary::dwarf::unit::OpenUnit;
use crate::binary::dwarf::{EntryId, UnitId};

/// Both names of a scope: with its inline namespaces, and without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Named {
    full: NameHash,
    short: NameHash,
}

impl Named {
    pub const ROOT: Named = Named { full: NameHash::ROOT, short: NameHash::ROOT };

    pub fn of(name: &str) -> Named {
        let hash = NameHash::of(name);
        Named { full: hash, short: hash }
    }

    fn join(self, leaf: &[u8]) -> Named {
        let full = self.full.join(leaf);
        Named { full, short: if self.short == self.full { full } else { self.short.join(leaf) } }
    }
}

/// An entry whose children are being read.
struct Open {
    /// `None`: nothing that it holds is wanted.
    scope: Option<ScopeId>,
    /// Its place in [`Gathering::scopes`]; `usize::MAX`: it has none.
    place: usize,
}

/// A scope of the unit and where its entries are.
struct ScopeSpan {
    start: u64,
    end: u64,
    outer: Option<usize>,
    scope: ScopeId,
}

/// What the attributes of an entry say that matters here.
struct Said<'a> {
    name: Option<Text<'a>>,
    /// Offset in the unit.
    sibling: Option<usize>,
    /// The declaration that it completes, or the type's own unit.
    completes: Option<AttributeValue<Slice<'a>>>,
    flags: Flags,
}

/// What one worker keeps from unit to unit. It is given them in their order.
pub(super) struct Worker {
    plans: Plans,
    lately: Lately,
}

impl Worker {
    /// For units of so much debug information together, bytes.
    pub fn new(size: usize) -> Worker {
        Worker { plans: Plans::default(), lately: Lately::new(size) }
    }
}

/// The entries of a unit, as bytes.
struct Entries<'a> {
    /// The unit's, its header too.
    bytes: &'a [u8],
    /// Offset in the unit.
    at: usize,
}

impl<'a> Entries<'a> {
    fn of(opened: &OpenUnit<'a>) -> Option<Entries<'a>> {
        let header = &opened.unit.header;
        let (section, start) = match header.offset() {
            UnitSectionOffset::DebugInfoOffset(at) => (opened.dwarf.debug_info.reader(), at.0),
            UnitSectionOffset::DebugTypesOffset(at) => (opened.dwarf.debug_types.reader(), at.0),
        };
        let bytes = section.slice().get(start..start.checked_add(header.length_including_self())?)?;
        Some(Entries { bytes, at: header.size_of_header() })
    }

    fn pass(&mut self, len: usize) -> gimli::Result<()> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        self.at = end.ok_or_else(|| self.cut())?;
        Ok(())
    }

    fn cut(&self) -> gimli::Error {
        gimli::Error::UnexpectedEof(ReaderOffsetId(self.at as u64))
    }

    /// A number in LEB128; bits past the 64th are dropped.
    fn number(&mut self) -> gimli::Result<u64> {
        let mut value = 0;
        let mut shift = 0u32;
        loop {
            let byte = *self.bytes.get(self.at).ok_or_else(|| self.cut())?;
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }

    /// A number of 32 bits.
    fn word(&mut self) -> gimli::Result<usize> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>()).ok_or_else(|| self.cut())?;
        self.at += 4;
        Ok(u32::from_le_bytes(*bytes) as usize)
    }

    /// Text up to its NUL, which is passed over too.
    fn text(&mut self) -> gimli::Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = memchr::memchr(0, rest).ok_or_else(|| self.cut())?;
        self.at += len + 1;
        Ok(&rest[..len])
    }
}

struct Gathering<'g, 'a> {
    types: &'g Types<'a>,
    unit: UnitId,
    opened: &'g OpenUnit<'a>,
    collector: &'g Collector,
    lately: &'g mut Lately,
    scopes: Vec<ScopeSpan>,
    open: Vec<Open>,
}

/// Adds a unit's names. What is malformed ends the unit.
pub(super) fn unit(types: &Types<'_>, unit: UnitId, collector: &Collector, worker: &mut Worker) -> gimli::Result<()> {
    let opened = types.session.unit(unit)?;
    let entries = Entries::of(&opened).ok_or(gimli::Error::OffsetOutOfBounds)?;
    let Worker { plans, lately } = worker;
    plans.begin(&opened.unit);
    lately.begin();
    let (scopes, open) = (Vec::new(), Vec::new());
    Gathering { types, unit, opened: &opened, collector, lately, scopes, open }.read(entries, plans)
}

impl<'a> Gathering<'_, 'a> {
    fn read(mut self, mut entries: Entries<'a>, plans: &mut Plans) -> gimli::Result<()> {
        while entries.at < entries.bytes.len() {
            let at = entries.at as u64;
            let code = entries.number()?;
            if code == 0 {
                self.close(entries.at as u64);
                if self.open.is_empty() {
                    break;
                }
                continue;
            }
            let plan = plans.of(code, &self.opened.unit)?;
            let is_wanted = self.open.last().is_some_and(|outer| outer.scope.is_some());
            let steps = if is_wanted { &plan.steps } else { &plan.over };
            let said = self.attributes(&mut entries, steps, plan.flags)?;
            let Some(outer) = self.open.last() else {
                if !plan.has_children {
                    break;
                }
                self.open.push(Open { scope: Some(ScopeId::ROOT), place: usize::MAX });
                continue;
            };
            let inner = outer.scope.and_then(|outer| self.judge(plan, outer, &said, at));
            if !plan.has_children {
                continue;
            }
            match said.sibling.filter(|next| inner.is_none() && *next > entries.at) {
                Some(next) if next <= entries.bytes.len() => entries.at = next,
                Some(_) => return Err(gimli::Error::OffsetOutOfBounds),
                None => self.enter(inner, plan, at),
            }
        }
        Ok(())
    }

    fn enter(&mut self, scope: Option<ScopeId>, plan: &Plan, at: u64) {
        let mut place = usize::MAX;
        if let Some(scope) = scope.filter(|_| plan.is_scope) {
            let outer = self.open.iter().rev().map(|one| one.place).find(|place| *place != usize::MAX);
            place = self.scopes.len();
            self.scopes.push(ScopeSpan { start: at, end: u64::MAX, outer, scope });
        }
        self.open.push(Open { scope, place });
    }

    fn close(&mut self, at: u64) {
        if let Some(span) = self.open.pop().and_then(|one| self.scopes.get_mut(one.place)) {
            span.end = at;
        }
    }

    /// Reads the attributes that matter, and passes over the others.
    fn attributes(&self, entries: &mut Entries<'a>, steps: &[Step], flags: Flags) -> gimli::Result<Said<'a>> {
        let mut said = Said { name: None, sibling: None, completes: None, flags };
        for step in steps {
            match *step {
                Step::Bytes(len) => entries.pass(len)?,
                Step::Number => {
                    entries.number()?;
                }
                Step::Block => {
                    let len = entries.number()?;
                    entries.pass(usize::try_from(len).unwrap_or(usize::MAX))?;
                }
                Step::Text => {
                    entries.text()?;
                }
                Step::NameAt => said.name = self.text_at(entries.word()?),
                Step::NameHere => said.name = Some(Text::Own(entries.text()?)),
                Step::Sibling => said.sibling = Some(entries.word()?),
                Step::Other(spec) => {
                    self.read_one(entries, spec)?;
                }
                Step::Said(spec) => {
                    let value = self.read_one(entries, spec)?;
                    self.note(&mut said, spec, value);
                }
            }
        }
        Ok(said)
    }

    /// Reads one attribute as its form has it.
    fn read_one(
        &self,
        entries: &mut Entries<'a>,
        spec: AttributeSpecification,
    ) -> gimli::Result<AttributeValue<Slice<'a>>> {
        let unit = &self.opened.unit;
        let mut raw = unit.header.entries_raw(&unit.abbreviations, Some(UnitOffset(entries.at)))?;
        let value = raw.read_attribute(spec)?.value();
        entries.at = raw.next_offset().0;
        Ok(value)
    }

    /// The text that begins at an offset of .debug_str.
    fn text_at(&self, at: usize) -> Option<Text<'a>> {
        self.opened.dwarf.debug_str.reader().slice().get(at..).map(Text::From)
    }

    fn note(&self, said: &mut Said<'a>, spec: AttributeSpecification, value: AttributeValue<Slice<'a>>) {
        match (spec.name(), value) {
            (gimli::DW_AT_name, AttributeValue::DebugStrRef(at)) => said.name = self.text_at(at.0),
            (gimli::DW_AT_name, AttributeValue::DebugStrOffsetsIndex(index)) => {
                let (unit, offsets) = (&self.opened.unit, &self.opened.dwarf.debug_str_offsets);
                let at = offsets.get_str_offset(unit.header.format(), unit.str_offsets_base, index).ok();
                said.name = at.and_then(|at| self.text_at(at.0));
            }
            (gimli::DW_AT_name, value) => {
                let text = self.opened.dwarf.attr_string(&self.opened.unit, value).ok();
                said.name = text.map(|text| Text::Shared(text.slice()));
            }
            (gimli::DW_AT_sibling, AttributeValue::UnitRef(next)) => said.sibling = Some(next.0),
            (gimli::DW_AT_specification | gimli::DW_AT_abstract_origin | gimli::DW_AT_signature, value) => {
                said.completes = Some(value);
            }
            (name, AttributeValue::Flag(true)) => said.flags.set(name),
            _ => {}
        }
    }

    /// Adds what an entry defines; the scope that it opens.
    fn judge(&mut self, plan: &Plan, outer: ScopeId, said: &Said<'a>, at: u64) -> Option<ScopeId> {
        if plan.interest == Interest::Nothing {
            return None;
        }
        let entry = EntryId { unit: self.unit, offset: at };
        let (outer, name) = match said.completes {
            // GCC refers to a type with a unit of its own by an entry that has nothing but its signature, in no scope.
            Some(AttributeValue::DebugTypesRef(_)) if said.name.is_none() && !plan.has_children => return None,
            Some(value) => {
                let (scope, name) = self.completed(entry, value, outer)?;
                (scope, said.name.or(name))
            }
            None => (outer, said.name),
        };
        let is_declared = said.flags.is_declared;
        let inline = if said.flags.is_inline { Inline::Yes } else { Inline::No };
        let mut add = |kind: Kind, inline| name.and_then(|name| self.add(kind, inline, outer, name, entry));
        match plan.interest {
            Interest::Namespace => {
                let named = add(Kind::Scope, inline);
                named.or_else(|| self.add(Kind::Scope, inline, outer, Text::Shared(ANONYMOUS.as_bytes()), entry))
            }
            // What one without a name holds is its outer scope's.
            Interest::Record(kind) => {
                Some(add(if is_declared { Kind::Scope } else { kind }, Inline::No).unwrap_or(outer))
            }
            Interest::Enumeration => {
                let named = add(if is_declared { Kind::Scope } else { Kind::Enum }, Inline::No);
                Some(named.filter(|_| said.flags.is_enum_class).unwrap_or(outer))
            }
            Interest::Type(kind) => {
                add(kind, Inline::No);
                None
            }
            Interest::Value => {
                if plan.has_place {
                    add(Kind::Value, Inline::No);
                }
                None
            }
            Interest::Nothing => None,
        }
    }

    /// Adds a name; the scope of that name. `None` where the text is none.
    fn add(&mut self, kind: Kind, inline: Inline, outer: ScopeId, text: Text<'a>, entry: EntryId) -> Option<ScopeId> {
        let question = Question::new(outer, text, kind, inline);
        if let Some(known) = question.and_then(|question| self.lately.get(question)) {
            return Some(known);
        }
        let leaf = text.bytes()?;
        let outer = self.lately.named(outer);
        let mut named = outer.join(leaf);
        let key = Key { hash: named.full, kind, is_short: false };
        self.collector.add(&Found { key, entry, scope: outer.full, leaf });
        if named.short != named.full && kind != Kind::Scope {
            let key = Key { hash: named.short, kind, is_short: true };
            self.collector.add(&Found { key, entry, scope: outer.full, leaf });
        }
        if inline == Inline::Yes {
            named.short = outer.short;
        }
        let holds_names = !matches!(kind, Kind::Typedef | Kind::Base | Kind::Value);
        let scope = if holds_names { self.lately.scope(named) } else { ScopeId::ROOT };
        if let Some(question) = question {
            self.lately.keep(question, scope);
        }
        Some(scope)
    }

    /// The scope and name of what an entry completes: a declaration, or the type's own unit.
    fn completed(
        &mut self,
        entry: EntryId,
        value: AttributeValue<Slice<'a>>,
        outer: ScopeId,
    ) -> Option<(ScopeId, Option<Text<'a>>)> {
        let session = &self.types.session;
        let target = session.entry(session.target(entry, value)?).ok()?;
        let leaf = session.name_bytes(&target).map(|name| Text::Shared(name.slice()));
        // A skeleton of a type that has a unit of its own stands in the type's scope.
        if matches!(value, AttributeValue::DebugTypesRef(_)) {
            return Some((outer, leaf));
        }
        let is_declaration = session.completed(&target).is_none();
        if target.id.unit == self.unit && target.id.offset < entry.offset && is_declaration {
            return Some((self.scope_at(target.id.offset), leaf));
        }
        let scope = self.types.scope_of(target.id);
        let named = Named::of(scope.strip_suffix("::").unwrap_or_default());
        Some((self.lately.scope(named), leaf))
    }

    /// The scope that an earlier entry is in.
    fn scope_at(&self, offset: u64) -> ScopeId {
        let last = self.scopes.partition_point(|one| one.start < offset).checked_sub(1);
        let outwards = std::iter::successors(last, |at| self.scopes[*at].outer);
        let around = outwards.map(|at| &self.scopes[at]).find(|one| offset < one.end);
        around.map_or(ScopeId::ROOT, |one| one.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_within_inline_namespaces_has_two_hashes() {
        let outer = Named::ROOT.join(b"std");
        let inline = Named { short: outer.short, ..outer.join(b"__cxx11") };
        let both = inline.join(b"basic_string<char>");
        assert_eq!(both.full, NameHash::of("std::__cxx11::basic_string<char>"));
        assert_eq!(both.short, NameHash::of("std::basic_string<char>"));
        assert_eq!(outer.join(b"pair"), Named::of("std::pair"));
    }
}
