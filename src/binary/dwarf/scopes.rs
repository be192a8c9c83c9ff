//! Which namespaces and classes an entry is in, and what is defined under a qualified name.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rayon::prelude::*;

use super::entry::{Descend, Entry, EntryId, Session};
use super::types::Types;
use super::{Dwarf, UnitId};
use crate::binary::symbols::file_name;

/// Definitions of one name that are kept: several units can have a static variable of it.
const SAME_NAME: usize = 8;
/// Namespaces in namespaces; deeper ones are not written.
const DEPTH: usize = 64;

/// The namespaces and classes of a unit, by where their entries begin.
#[derive(Default)]
pub(super) struct ScopeTable {
    scopes: Vec<Scope>,
}

struct Scope {
    start: u64,
    end: u64,
    parent: Option<u32>,
    name: Option<String>,
}

/// What the units of a file define, by a hash of the qualified name.
#[derive(Default)]
pub(super) struct Definitions {
    types: HashMap<u64, EntryId>,
    values: HashMap<u64, Vec<EntryId>>,
}

fn is_scope(entry: &Entry<'_>) -> bool {
    matches!(
        entry.tag,
        gimli::DW_TAG_namespace
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_interface_type
    )
}

impl ScopeTable {
    fn read(session: &Session<'_>, unit: UnitId) -> gimli::Result<Self> {
        let mut table = ScopeTable::default();
        let mut open: Vec<(u32, u32)> = Vec::new();
        let root = session.root(unit)?;
        session.walk(root, &mut |entry, depth| {
            while let Some((_, index)) = open.last().copied().filter(|(at, _)| *at >= depth) {
                open.pop();
                table.scopes[index as usize].end = entry.id.offset;
            }
            if !is_scope(entry) {
                return Descend::No;
            }
            let index = table.scopes.len() as u32;
            let mut name = session.name(entry);
            if name.is_none() && entry.tag == gimli::DW_TAG_namespace {
                name = Some("(anonymous namespace)".to_owned());
            }
            let parent = open.last().map(|(_, index)| *index);
            table.scopes.push(Scope { start: entry.id.offset, end: u64::MAX, parent, name });
            open.push((depth, index));
            Descend::Yes
        })?;
        Ok(table)
    }

    /// `a::b::` of an entry in those; empty at the unit's top.
    fn prefix(&self, offset: u64) -> String {
        let mut at = self.scopes.partition_point(|one| one.start < offset).checked_sub(1);
        while let Some(index) = at.filter(|index| self.scopes[*index].end <= offset) {
            at = self.scopes[index].parent.map(|index| index as usize);
        }
        let mut names = Vec::new();
        while let Some(scope) = at.map(|index| &self.scopes[index]).filter(|_| names.len() < DEPTH) {
            // What an anonymous union holds is its outer scope's.
            names.extend(scope.name.as_deref());
            at = scope.parent.map(|index| index as usize);
        }
        names.iter().rev().flat_map(|name| [*name, "::"]).collect()
    }
}

fn hash_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Dwarf {
    /// A unit's scopes, read once.
    fn scopes(&self, session: &Session<'_>, unit: UnitId) -> Arc<ScopeTable> {
        let lock = || self.scopes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = lock().get(&unit) {
            return known.clone();
        }
        let table = ScopeTable::read(session, unit);
        let table = table.inspect_err(|error| tracing::debug!(%error, "bad entries in a unit")).unwrap_or_default();
        let table = Arc::new(table);
        lock().insert(unit, table.clone());
        table
    }

    /// The entry that defines a type of this qualified name, in whichever unit.
    pub(super) fn definition_of(&self, name: &str) -> Option<EntryId> {
        self.definitions()?.types.get(&hash_of(name)).copied()
    }

    /// The entries that define a variable or an enumerator of this qualified name.
    pub(super) fn values_named(&self, name: &str) -> &[EntryId] {
        self.definitions().and_then(|all| all.values.get(&hash_of(name))).map_or(&[], Vec::as_slice)
    }

    /// One pass over what stands at the units' tops, in namespaces and in classes; made when a name is first asked for
    /// that its own unit does not define. `None` where it was broken off.
    fn definitions(&self) -> Option<&Definitions> {
        if let Some(known) = self.definitions.get() {
            return Some(known);
        }
        let units: Vec<UnitId> = (0..self.units().units.len()).map(|index| UnitId(index as u32)).collect();
        self.progress.stage(&format!("reading the types of {}", file_name(self.file.path())), units.len() as u64);
        let read = |mut all: Definitions, unit: &UnitId| {
            if self.progress.is_cancelled() {
                return all;
            }
            if let Err(error) = all.read_unit(&self.types(), *unit) {
                tracing::debug!(%error, "bad entries in a unit");
            }
            self.progress.advance(1);
            all
        };
        let all = units.par_iter().fold(Definitions::default, read).reduce(Definitions::default, Definitions::merged);
        (!self.progress.is_cancelled()).then(|| self.definitions.get_or_init(|| all))
    }
}

impl Definitions {
    fn read_unit(&mut self, types: &Types<'_>, unit: UnitId) -> gimli::Result<()> {
        let session = &types.session;
        let mut open: Vec<(u32, usize)> = Vec::new();
        let mut prefix = String::new();
        session.walk(session.root(unit)?, &mut |entry, depth| {
            while let Some((_, length)) = open.last().copied().filter(|(at, _)| *at >= depth) {
                open.pop();
                prefix.truncate(length);
            }
            self.note(types, entry, &prefix);
            let enumeration = entry.tag == gimli::DW_TAG_enumeration_type;
            if enumeration && !entry.flag(gimli::DW_AT_enum_class) {
                return Descend::Yes;
            }
            if !is_scope(entry) && !enumeration {
                return Descend::No;
            }
            open.push((depth, prefix.len()));
            match session.name(entry) {
                Some(name) => {
                    prefix.push_str(&name);
                    prefix.push_str("::");
                }
                None if entry.tag == gimli::DW_TAG_namespace => prefix.push_str("(anonymous namespace)::"),
                None => {}
            }
            Descend::Yes
        })
    }

    fn note<'a>(&mut self, types: &Types<'a>, entry: &Entry<'a>, prefix: &str) {
        let session = &types.session;
        let is_type = is_scope(entry) && entry.tag != gimli::DW_TAG_namespace
            || matches!(entry.tag, gimli::DW_TAG_enumeration_type | gimli::DW_TAG_typedef | gimli::DW_TAG_base_type);
        let declared = entry.flag(gimli::DW_AT_declaration);
        if is_type && !declared {
            if let Some(name) = session.name(entry) {
                self.types.entry(hash_of(&format!("{prefix}{name}"))).or_insert(entry.id);
            }
            return;
        }
        let has = |name| entry.get(name).is_some();
        let is_value = match entry.tag {
            gimli::DW_TAG_enumerator => true,
            gimli::DW_TAG_variable => has(gimli::DW_AT_location) || has(gimli::DW_AT_const_value),
            gimli::DW_TAG_member => declared && has(gimli::DW_AT_const_value),
            _ => false,
        };
        if !is_value {
            return;
        }
        let name = match session.follow(entry, gimli::DW_AT_specification) {
            Some(declaration) => Some(types.qualified_name(declaration.id)),
            None => session.name(entry).map(|name| format!("{prefix}{name}")),
        };
        if let Some(name) = name {
            let known = self.values.entry(hash_of(&name)).or_default();
            if known.len() < SAME_NAME {
                known.push(entry.id);
            }
        }
    }

    fn merged(mut self, other: Definitions) -> Definitions {
        for (name, entry) in other.types {
            self.types.entry(name).or_insert(entry);
        }
        for (name, entries) in other.values {
            let known = self.values.entry(name).or_default();
            known.extend(entries);
            known.truncate(SAME_NAME);
        }
        self
    }
}

impl Types<'_> {
    /// An entry's name with the namespaces and classes that it is in; empty where it has no name.
    pub(super) fn qualified_name(&self, id: EntryId) -> String {
        let name = self.session.entry(id).ok().and_then(|entry| self.session.name(&entry));
        name.map_or_else(String::new, |name| self.scope_of(id) + &name)
    }

    /// `a::b::` of an entry in those.
    pub(super) fn scope_of(&self, id: EntryId) -> String {
        self.session.owner.scopes(&self.session, id.unit).prefix(id.offset)
    }
}
