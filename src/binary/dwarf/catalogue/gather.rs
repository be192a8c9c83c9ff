//! The names of one unit: what is defined outside of functions.
//!
//! Of all entries only those are read that open a scope or define a name; the rest is passed over by its abbreviation, and what
//! it holds by its DW_AT_sibling where the compiler wrote one.

use gimli::{Abbreviation, AttributeValue, EntriesRaw, UnitOffset};

use super::write::{Collector, Found, Key};
use super::{Kind, NameHash};
use crate::binary::dwarf::scopes::{is_scope, ANONYMOUS};
use crate::binary::dwarf::sections::Slice;
use crate::binary::dwarf::types::Types;
use crate::binary::dwarf::unit::OpenUnit;
use crate::binary::dwarf::{EntryId, UnitId};

/// Both names of a scope: with its inline namespaces, and without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Named {
    full: NameHash,
    short: NameHash,
}

impl Named {
    const ROOT: Named = Named { full: NameHash::ROOT, short: NameHash::ROOT };

    fn of(name: &str) -> Named {
        let hash = NameHash::of(name);
        Named { full: hash, short: hash }
    }

    fn join(self, leaf: &[u8]) -> Named {
        let full = self.full.join(leaf);
        Named { full, short: if self.short == self.full { full } else { self.short.join(leaf) } }
    }
}

/// What is to be known of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Interest {
    Namespace,
    Record(Kind),
    Enumeration,
    /// A typedef or base type.
    Type(Kind),
    Value,
    Nothing,
}

/// An entry whose children are being read.
struct Open {
    /// `None`: nothing that it holds is wanted.
    scope: Option<Named>,
    /// Its place in [`Gathering::scopes`]; `usize::MAX`: it has none.
    place: usize,
}

/// A scope of the unit and where its entries are.
struct ScopeSpan {
    start: u64,
    end: u64,
    outer: Option<usize>,
    name: Named,
}

/// What the attributes of an entry say that matters here.
#[derive(Default)]
struct Said<'a> {
    name: Option<Slice<'a>>,
    sibling: Option<UnitOffset>,
    /// The declaration that it completes, or the type's own unit.
    completes: Option<AttributeValue<Slice<'a>>>,
    is_declared: bool,
    is_inline: bool,
    is_enum_class: bool,
    has_value: bool,
    has_place: bool,
}

struct Gathering<'g, 'a> {
    types: &'g Types<'a>,
    unit: UnitId,
    opened: &'g OpenUnit<'a>,
    collector: &'g Collector,
    scopes: Vec<ScopeSpan>,
    open: Vec<Open>,
}

/// Adds a unit's names. What is malformed ends the unit.
pub(super) fn unit(types: &Types<'_>, unit: UnitId, collector: &Collector) -> gimli::Result<()> {
    let opened = types.session.unit(unit)?;
    let (scopes, open) = (Vec::new(), Vec::new());
    Gathering { types, unit, opened: &opened, collector, scopes, open }.read()
}

fn interest(abbreviation: &Abbreviation) -> Interest {
    let has = |names: &[gimli::DwAt]| abbreviation.attributes().iter().any(|spec| names.contains(&spec.name()));
    match abbreviation.tag() {
        gimli::DW_TAG_namespace => Interest::Namespace,
        gimli::DW_TAG_class_type => Interest::Record(Kind::Class),
        gimli::DW_TAG_structure_type | gimli::DW_TAG_interface_type => Interest::Record(Kind::Struct),
        gimli::DW_TAG_union_type => Interest::Record(Kind::Union),
        gimli::DW_TAG_enumeration_type => Interest::Enumeration,
        gimli::DW_TAG_typedef => Interest::Type(Kind::Typedef),
        gimli::DW_TAG_base_type => Interest::Type(Kind::Base),
        gimli::DW_TAG_enumerator => Interest::Value,
        gimli::DW_TAG_variable if has(&[gimli::DW_AT_location, gimli::DW_AT_const_value]) => Interest::Value,
        gimli::DW_TAG_member if has(&[gimli::DW_AT_const_value]) => Interest::Value,
        _ => Interest::Nothing,
    }
}

impl<'a> Gathering<'_, 'a> {
    fn read(mut self) -> gimli::Result<()> {
        let header = &self.opened.unit.header;
        let mut raw = header.entries_raw(&self.opened.unit.abbreviations, None)?;
        while !raw.is_empty() {
            let at = raw.next_offset().0 as u64;
            let Some(abbreviation) = raw.read_abbreviation()? else {
                self.close(raw.next_offset().0 as u64);
                if self.open.is_empty() {
                    break;
                }
                continue;
            };
            let Some(outer) = self.open.last() else {
                raw.skip_attributes(abbreviation.attributes())?;
                if !abbreviation.has_children() {
                    break;
                }
                self.open.push(Open { scope: Some(Named::ROOT), place: usize::MAX });
                continue;
            };
            let scope = outer.scope;
            let interest = scope.map_or(Interest::Nothing, |_| interest(abbreviation));
            let said = self.attributes(&mut raw, abbreviation, interest)?;
            let inner = match scope {
                Some(scope) => self.judge(interest, scope, &said, at),
                None => None,
            };
            if !abbreviation.has_children() {
                continue;
            }
            let next = said.sibling.filter(|next| inner.is_none() && next.0 > raw.next_offset().0);
            match next {
                Some(next) => raw = header.entries_raw(&self.opened.unit.abbreviations, Some(next))?,
                None => self.enter(inner, is_scope(abbreviation.tag()), at),
            }
        }
        Ok(())
    }

    fn enter(&mut self, scope: Option<Named>, has_span: bool, at: u64) {
        let mut place = usize::MAX;
        if let Some(name) = scope.filter(|_| has_span) {
            let outer = self.open.iter().rev().map(|one| one.place).find(|place| *place != usize::MAX);
            place = self.scopes.len();
            self.scopes.push(ScopeSpan { start: at, end: u64::MAX, outer, name });
        }
        self.open.push(Open { scope, place });
    }

    fn close(&mut self, at: u64) {
        if let Some(span) = self.open.pop().and_then(|one| self.scopes.get_mut(one.place)) {
            span.end = at;
        }
    }

    /// Reads the attributes that matter.
    fn attributes(
        &self,
        raw: &mut EntriesRaw<'_, '_, Slice<'a>>,
        abbreviation: &Abbreviation,
        interest: Interest,
    ) -> gimli::Result<Said<'a>> {
        let mut said = Said::default();
        let specs = abbreviation.attributes();
        let has_sibling =
            || abbreviation.has_children() && specs.iter().any(|spec| spec.name() == gimli::DW_AT_sibling);
        if interest == Interest::Nothing && !has_sibling() {
            raw.skip_attributes(specs)?;
            return Ok(said);
        }
        for spec in specs {
            let value = raw.read_attribute(*spec)?.value();
            match (spec.name(), value) {
                (gimli::DW_AT_name, value) if interest != Interest::Nothing => {
                    said.name = self.opened.dwarf.attr_string(&self.opened.unit, value).ok();
                }
                (gimli::DW_AT_sibling, AttributeValue::UnitRef(next)) => said.sibling = Some(next),
                (gimli::DW_AT_specification | gimli::DW_AT_abstract_origin | gimli::DW_AT_signature, value) => {
                    said.completes = Some(value);
                }
                (gimli::DW_AT_declaration, AttributeValue::Flag(true)) => said.is_declared = true,
                (gimli::DW_AT_export_symbols, AttributeValue::Flag(true)) => said.is_inline = true,
                (gimli::DW_AT_enum_class, AttributeValue::Flag(true)) => said.is_enum_class = true,
                (gimli::DW_AT_const_value, _) => said.has_value = true,
                (gimli::DW_AT_location, _) => said.has_place = true,
                _ => {}
            }
        }
        Ok(said)
    }

    /// Adds what an entry defines; the scope that it opens.
    fn judge(&self, interest: Interest, outer: Named, said: &Said<'a>, at: u64) -> Option<Named> {
        if interest == Interest::Nothing {
            return None;
        }
        let entry = EntryId { unit: self.unit, offset: at };
        let inherited;
        let (outer, leaf) = match (said.completes, said.name) {
            (Some(value), name) => {
                let (scope, leaf) = self.completed(entry, value, outer)?;
                inherited = leaf;
                (scope, name.map(|name| name.slice()).or(Some(inherited.as_bytes())))
            }
            (None, Some(name)) => (outer, Some(name.slice())),
            (None, None) => (outer, None),
        };
        let leaf = leaf.filter(|leaf| !leaf.is_empty());
        let add = |kind: Kind, leaf: &[u8]| self.add(kind, outer, leaf, entry);
        match (interest, leaf) {
            (Interest::Namespace, leaf) => {
                let leaf = leaf.unwrap_or(ANONYMOUS.as_bytes());
                let mut named = add(Kind::Scope, leaf);
                if said.is_inline {
                    named.short = outer.short;
                }
                Some(named)
            }
            (Interest::Record(kind), Some(leaf)) => Some(add(if said.is_declared { Kind::Scope } else { kind }, leaf)),
            (Interest::Enumeration, Some(leaf)) => {
                let kind = if said.is_declared { Kind::Scope } else { Kind::Enum };
                let named = add(kind, leaf);
                Some(if said.is_enum_class { named } else { outer })
            }
            // What they hold is their outer scope's.
            (Interest::Record(_) | Interest::Enumeration, None) => Some(outer),
            (Interest::Type(kind), Some(leaf)) => {
                add(kind, leaf);
                None
            }
            (Interest::Value, Some(leaf)) => {
                if said.has_value || said.has_place {
                    add(Kind::Value, leaf);
                }
                None
            }
            (Interest::Type(_) | Interest::Value | Interest::Nothing, _) => None,
        }
    }

    fn add(&self, kind: Kind, outer: Named, leaf: &[u8], entry: EntryId) -> Named {
        let named = outer.join(leaf);
        let key = Key { hash: named.full, kind, is_short: false };
        self.collector.add(&Found { key, entry, scope: outer.full, leaf });
        if named.short != named.full && kind != Kind::Scope {
            let key = Key { hash: named.short, kind, is_short: true };
            self.collector.add(&Found { key, entry, scope: outer.full, leaf });
        }
        named
    }

    /// The scope and name of what an entry completes: a declaration, or the type's own unit.
    fn completed(&self, entry: EntryId, value: AttributeValue<Slice<'a>>, outer: Named) -> Option<(Named, String)> {
        let session = &self.types.session;
        let target = session.entry(session.target(entry, value)?).ok()?;
        let leaf = session.name(&target).unwrap_or_default();
        // A skeleton of a type that has a unit of its own stands in the type's scope.
        if matches!(value, AttributeValue::DebugTypesRef(_)) {
            return Some((outer, leaf));
        }
        let is_declaration = session.completed(&target).is_none();
        if target.id.unit == self.unit && target.id.offset < entry.offset && is_declaration {
            return Some((self.scope_at(target.id.offset), leaf));
        }
        let scope = self.types.scope_of(target.id);
        Some((Named::of(scope.strip_suffix("::").unwrap_or_default()), leaf))
    }

    /// The scope that an earlier entry is in.
    fn scope_at(&self, offset: u64) -> Named {
        let last = self.scopes.partition_point(|one| one.start < offset).checked_sub(1);
        let outwards = std::iter::successors(last, |at| self.scopes[*at].outer);
        let around = outwards.map(|at| &self.scopes[at]).find(|one| offset < one.end);
        around.map_or(Named::ROOT, |one| one.name)
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
