//! Which namespaces and classes an entry is in.

use std::sync::Arc;

use gimli::DwTag;

use super::entry::{Descend, Entry, EntryId, Session};
use super::types::Types;
use super::{Dwarf, UnitId};

/// Namespaces in namespaces; deeper ones are not written.
const DEPTH: usize = 64;
/// What a namespace without a name is called.
pub(super) const ANONYMOUS: &str = "(anonymous namespace)";

/// The namespaces and classes of a unit, by where their entries begin.
#[derive(Default)]
pub(super) struct ScopeTable {
    scopes: Vec<Scope>,
    /// Using-directives, using-declarations and aliases of namespaces.
    imports: Vec<u32>,
}

/// Offsets in the unit.
struct Scope {
    start: u32,
    end: u32,
    /// Its index; `NONE`: the unit itself.
    parent: u32,
}

const NONE: u32 = u32::MAX;

/// Whether what an entry of the tag holds is called by its name and `::`.
pub(super) fn is_scope(tag: DwTag) -> bool {
    matches!(
        tag,
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
        session.walk(session.root(unit)?, &mut |entry, depth| {
            let offset = u32::try_from(entry.id.offset).unwrap_or(NONE);
            while let Some((_, index)) = open.last().copied().filter(|(at, _)| *at >= depth) {
                open.pop();
                table.scopes[index as usize].end = offset;
            }
            if matches!(entry.tag, gimli::DW_TAG_imported_module | gimli::DW_TAG_imported_declaration) {
                table.imports.push(offset);
            }
            if !is_scope(entry.tag) {
                return Descend::No;
            }
            let index = table.scopes.len() as u32;
            let parent = open.last().map_or(NONE, |(_, index)| *index);
            table.scopes.push(Scope { start: offset, end: NONE, parent });
            open.push((depth, index));
            Descend::Yes
        })?;
        table.scopes.shrink_to_fit();
        table.imports.shrink_to_fit();
        Ok(table)
    }

    /// The scopes that an entry is in, the innermost first, by the offsets of their entries.
    fn around(&self, offset: u64) -> Vec<u64> {
        let offset = u32::try_from(offset).unwrap_or(NONE);
        let parent = |index: usize| usize::try_from(self.scopes[index].parent).ok().filter(|at| *at < index);
        let mut at = self.scopes.partition_point(|one| one.start < offset).checked_sub(1);
        while let Some(index) = at.filter(|index| self.scopes[*index].end <= offset) {
            at = parent(index);
        }
        std::iter::successors(at, |index| parent(*index)).map(|index| u64::from(self.scopes[index].start)).collect()
    }

    /// The entries that make names of one namespace known in another.
    pub(super) fn imports(&self) -> impl Iterator<Item = u64> + '_ {
        self.imports.iter().map(|offset| u64::from(*offset))
    }

    fn size(&self) -> usize {
        self.scopes.len() * size_of::<Scope>() + self.imports.len() * size_of::<u32>()
    }
}

impl Dwarf {
    /// A unit's scopes.
    pub(super) fn scopes(&self, session: &Session<'_>, unit: UnitId) -> Arc<ScopeTable> {
        let read = || {
            let table = ScopeTable::read(session, unit);
            Arc::new(table.inspect_err(|error| tracing::debug!(%error, "bad entries in a unit")).unwrap_or_default())
        };
        self.scopes.get_or_make(unit, |table| table.size(), read)
    }
}

impl<'a> Types<'a> {
    /// An entry's name with the namespaces and classes that it is in; empty where it has no name.
    pub(super) fn qualified_name(&self, id: EntryId) -> String {
        let name = self.session.entry(id).ok().and_then(|entry| self.session.name(&entry));
        name.map_or_else(String::new, |name| self.scope_of(id) + &name)
    }

    /// `a::b::` of an entry in those. What completes a declaration is where that is.
    pub(super) fn scope_of(&self, id: EntryId) -> String {
        let mut names = Vec::new();
        let mut at = id;
        'outwards: for _ in 0..DEPTH {
            at = self.declaration_of(at);
            let table = self.session.owner.scopes(&self.session, at.unit);
            for offset in table.around(at.offset) {
                let scope = EntryId { unit: at.unit, offset };
                if names.len() >= DEPTH {
                    break 'outwards;
                }
                let Ok(entry) = self.session.entry(scope) else { break 'outwards };
                // What an anonymous union holds is its outer scope's.
                let anonymous = (entry.tag == gimli::DW_TAG_namespace).then(|| ANONYMOUS.to_owned());
                names.extend(self.session.name(&entry).or(anonymous));
                if self.declaration_of(scope) != scope {
                    at = scope;
                    continue 'outwards;
                }
            }
            break;
        }
        names.iter().rev().flat_map(|name| [name.as_str(), "::"]).collect()
    }

    /// What says in which scope an entry is: the declaration that it completes. GCC refers to a type with a unit of its own by
    /// an entry that has nothing but its signature, and stands in no scope.
    fn declaration_of(&self, id: EntryId) -> EntryId {
        let first = self.session.entry(id).ok();
        let signed = |entry: &Entry<'a>| {
            let is_bare = entry.get(gimli::DW_AT_name).is_none();
            is_bare.then(|| self.session.follow(entry, gimli::DW_AT_signature)).flatten()
        };
        let declared = |entry: &Entry<'a>| self.session.completed(entry).or_else(|| signed(entry));
        std::iter::successors(first, |entry| declared(entry)).take(DEPTH).last().map_or(id, |entry| entry.id)
    }
}
