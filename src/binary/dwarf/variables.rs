//! Variables that are in scope at an address, and those of a name.

use gimli::AttributeValue;

use super::entry::{Descend, Entry, EntryId};
use super::types::{integer, TypeId, Types};
use super::{Instance, UnitId};
use crate::base::FileAddr;

/// A variable or parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeId,
    /// What it is.
    pub kind: VariableKind,
    /// Its entry.
    pub entry: EntryId,
}

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableKind {
    /// A parameter.
    Argument,
    /// A variable of the function or of a block in it.
    Local,
    /// Of the whole program or one unit.
    Global,
}

/// What a name outside of functions means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Global {
    /// A variable.
    Variable(Variable),
    /// An enumerator: its enumeration and value.
    Enumerator(TypeId, i128),
}

impl<'a> Types<'a> {
    /// The parameters and variables of a function's copy that are in scope at an address: the innermost block's first.
    pub fn variables(&self, copy: &Instance, at: FileAddr) -> Vec<Variable> {
        let session = &self.session;
        let mut found: Vec<(u32, Variable)> = Vec::new();
        let mut origins: Vec<EntryId> = Vec::new();
        let walked = session.walk(copy.entry, &mut |entry, depth| {
            if entry.tag == gimli::DW_TAG_lexical_block {
                let ranges = session.ranges(entry);
                let holds = ranges.is_empty() || ranges.iter().any(|(start, end)| *start <= at && at < *end);
                return if holds { Descend::Yes } else { Descend::No };
            }
            origins.extend(entry.get(gimli::DW_AT_abstract_origin).and_then(|value| session.target(entry.id, value)));
            found.extend(self.variable(entry).map(|variable| (depth, variable)));
            Descend::No
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "bad entries of a scope");
        }
        self.add_vanished(copy.entry, &origins, &mut found);
        found.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
        found.into_iter().map(|(_, variable)| variable).collect()
    }

    /// The parameters of a function's copy, in order.
    pub fn arguments(&self, copy: &Instance) -> Vec<Variable> {
        let mut found = self.variables(copy, copy.start());
        found.retain(|one| one.kind == VariableKind::Argument);
        found
    }

    /// Of an inlined or cloned function: what its abstract entry has and this copy does not mention was optimised away.
    fn add_vanished(&self, copy: EntryId, origins: &[EntryId], found: &mut Vec<(u32, Variable)>) {
        let session = &self.session;
        let origin = session.entry(copy).ok().and_then(|entry| session.follow(&entry, gimli::DW_AT_abstract_origin));
        let Some(origin) = origin else { return };
        let walked = session.walk(origin.id, &mut |entry, _| {
            if !origins.contains(&entry.id) {
                found.extend(self.variable(entry).map(|variable| (1, variable)));
            }
            Descend::No
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "bad entries of an abstract function");
        }
    }

    fn variable(&self, entry: &Entry<'a>) -> Option<Variable> {
        let kind = match entry.tag {
            gimli::DW_TAG_formal_parameter => VariableKind::Argument,
            gimli::DW_TAG_variable if !entry.flag(gimli::DW_AT_declaration) => VariableKind::Local,
            _ => return None,
        };
        Some(Variable { name: self.session.name(entry)?, ty: self.type_of(entry), kind, entry: entry.id })
    }

    /// The variable or enumerator of a qualified name: of several the one in the unit that covers `near`.
    pub fn global(&self, name: &str, near: Option<FileAddr>) -> Option<Global> {
        let session = &self.session;
        let unit = near.and_then(|at| session.owner.units().unit_at(at));
        // The unit at hand answers without a pass over all of them.
        let own = unit.and_then(|unit| self.global_in(unit, name));
        let entry = own.or_else(|| session.owner.value_named(name))?;
        let entry = session.entry(entry).ok()?;
        if entry.tag == gimli::DW_TAG_enumerator {
            let value = entry.get(gimli::DW_AT_const_value).and_then(integer)?;
            return Some(Global::Enumerator(self.enumeration_of(entry.id)?, value));
        }
        let ty = self.type_of(&entry);
        Some(Global::Variable(Variable { name: name.to_owned(), ty, kind: VariableKind::Global, entry: entry.id }))
    }

    /// Whether code at `near` can name it: it is of the unit there, or the linker joins it with what other files name
    /// (`DW_AT_external`; DWARF 5, 4.1).
    pub fn is_within_reach(&self, global: &Global, near: Option<FileAddr>) -> bool {
        let session = &self.session;
        let of_unit = |entry: EntryId| near.and_then(|at| session.owner.units().unit_at(at)) == Some(entry.unit);
        match global {
            // An enumeration of one file is as good as that of another: headers bring them.
            Global::Enumerator(..) => true,
            Global::Variable(variable) => {
                let entry = session.entry(variable.entry);
                let flag = entry.ok().and_then(|entry| session.inherited(&entry, gimli::DW_AT_external));
                of_unit(variable.entry) || matches!(flag, Some((_, AttributeValue::Flag(true))))
            }
        }
    }

    /// Of the top entries of one unit.
    fn global_in(&self, unit: UnitId, name: &str) -> Option<EntryId> {
        if name.contains("::") {
            return None;
        }
        let session = &self.session;
        let mut found = None;
        let _ = session.walk(session.root(unit).ok()?, &mut |entry, _| {
            let descend = match entry.tag {
                gimli::DW_TAG_enumeration_type if !entry.flag(gimli::DW_AT_enum_class) => Descend::Yes,
                _ => Descend::No,
            };
            let value = match entry.tag {
                gimli::DW_TAG_enumerator => true,
                gimli::DW_TAG_variable => {
                    entry.get(gimli::DW_AT_location).is_some() || entry.get(gimli::DW_AT_const_value).is_some()
                }
                _ => false,
            };
            if value && session.name(entry).as_deref() == Some(name) && self.scope_of(entry.id).is_empty() {
                found = Some(entry.id);
                return Descend::Stop;
            }
            descend
        });
        found
    }

    /// The enumeration that an enumerator stands in.
    fn enumeration_of(&self, enumerator: EntryId) -> Option<TypeId> {
        let mut last = None;
        let session = &self.session;
        let _ = session.walk(session.root(enumerator.unit).ok()?, &mut |entry, _| {
            if entry.id.offset >= enumerator.offset {
                return Descend::Stop;
            }
            if entry.tag == gimli::DW_TAG_enumeration_type {
                last = Some(entry.id);
            }
            match entry.tag {
                gimli::DW_TAG_namespace
                | gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type
                | gimli::DW_TAG_subprogram
                | gimli::DW_TAG_lexical_block => Descend::Yes,
                _ => Descend::No,
            }
        });
        last.map(|entry| TypeId::of(Some(entry)))
    }

    /// The type of a qualified name: a class, enumeration, typedef or base type, in whichever unit.
    pub fn find_type(&self, name: &str) -> Option<TypeId> {
        self.session.owner.definition_of(name).map(|entry| TypeId::of(Some(entry)))
    }

    /// The class whose member function an entry is, and so what names in it can be members of.
    pub fn enclosing_scope(&self, function: EntryId) -> String {
        self.scope_of(function)
    }
}
