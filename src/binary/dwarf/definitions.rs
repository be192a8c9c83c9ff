//! What is defined under a qualified name: types, variables, enumerators, in whichever unit of the file.
//!
//! The units that mention the name are read, and of those only the parts that hold a mention. Nothing is kept but the
//! answers.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use gimli::{AttributeValue, DwTag};
use rayon::prelude::*;

use super::entry::{Entry, EntryId};
use super::mentions::{Mentions, Places};
use super::scopes::{is_scope, ANONYMOUS};
use super::types::Types;
use super::{Dwarf, UnitId};
use crate::binary::symbols::file_name;
use crate::binary::symbols::text::split_scope;

/// Answers that are kept.
const KEPT: usize = 256;
/// Declarations of one name whose completion is looked for in other units.
const DECLARATIONS: usize = 256;
/// Names whose mentions are kept: one name is looked for in scope after scope.
const MENTIONS_KEPT: usize = 4;

/// What a name is looked for as.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Wanted {
    /// A class, union, enumeration, typedef or base type.
    Type,
    /// A variable with a place or a value, an enumerator.
    Value,
}

impl Wanted {
    /// Whether an entry of the tag can define or declare one.
    fn can_be(self, tag: DwTag) -> bool {
        match self {
            Wanted::Type => {
                let others = [gimli::DW_TAG_enumeration_type, gimli::DW_TAG_typedef, gimli::DW_TAG_base_type];
                is_scope(tag) && tag != gimli::DW_TAG_namespace || others.contains(&tag)
            }
            Wanted::Value => {
                matches!(tag, gimli::DW_TAG_enumerator | gimli::DW_TAG_variable | gimli::DW_TAG_member)
            }
        }
    }
}

/// Answers that were given.
#[derive(Default)]
pub(super) struct Definitions {
    /// The oldest first.
    answers: Vec<(Wanted, String, Option<EntryId>)>,
    mentions: Vec<(String, Arc<Mentions>)>,
}

impl Dwarf {
    /// The entry that defines a type of this qualified name, in whichever unit: the first one's.
    pub(super) fn definition_of(&self, name: &str) -> Option<EntryId> {
        self.find_definition(Wanted::Type, name)
    }

    /// The entry that defines a variable or an enumerator of this qualified name.
    pub(super) fn value_named(&self, name: &str) -> Option<EntryId> {
        self.find_definition(Wanted::Value, name)
    }

    fn find_definition(&self, wanted: Wanted, name: &str) -> Option<EntryId> {
        let lock = || self.definitions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, _, known)) = lock().answers.iter().find(|one| (one.0, one.1.as_str()) == (wanted, name)) {
            return *known;
        }
        let begun = Instant::now();
        let indexed = if self.has_catalogue() { None } else { self.find_indexed(wanted, name) };
        let found = match indexed {
            Some(entry) => Some(entry),
            None => self.catalogued(wanted, name).unwrap_or_else(|| self.find_mentioned(wanted, name)),
        };
        tracing::debug!(name, ?found, elapsed = ?begun.elapsed(), "a definition");
        if self.progress.is_cancelled() {
            return None;
        }
        let mut kept = lock();
        if kept.answers.len() >= KEPT {
            kept.answers.remove(0);
        }
        kept.answers.push((wanted, name.to_owned(), found));
        found
    }

    /// By the units that an index in the file names.
    pub(super) fn find_indexed(&self, wanted: Wanted, name: &str) -> Option<EntryId> {
        let search = Search::new(wanted, name);
        self.indexed_units(wanted, name).into_iter().find_map(|unit| {
            match search.in_unit(&self.types(), unit, &Places::Anywhere) {
                Ok(Judged::Defined(entry)) => Some(entry),
                _ => None,
            }
        })
    }

    /// What the catalogue leads to; `None`: there is none, or the entries are not what it says.
    pub(super) fn catalogued(&self, wanted: Wanted, name: &str) -> Option<Option<EntryId>> {
        let entries = self.ask_catalogue(|catalogue| catalogue.entries(wanted, name))?;
        if entries.is_empty() {
            return Some(None);
        }
        let search = Search::new(wanted, name);
        let proved = entries.into_iter().find(|entry| search.proves(&self.types(), *entry).is_ok_and(|is_it| is_it));
        proved.map(Some)
    }

    /// By the units that mention the name.
    pub(super) fn find_mentioned(&self, wanted: Wanted, name: &str) -> Option<EntryId> {
        let lock = || self.definitions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let search = Search::new(wanted, name);
        let leaf = search.leaf;
        let known = lock().mentions.iter().find(|(of, _)| of == leaf).map(|(_, mentions)| mentions.clone());
        let mentions = known.unwrap_or_else(|| {
            let found = Arc::new(self.mentions(leaf));
            if self.progress.is_cancelled() {
                return found;
            }
            let mut kept = lock();
            if kept.mentions.len() >= MENTIONS_KEPT {
                kept.mentions.remove(0);
            }
            kept.mentions.push((leaf.to_owned(), found.clone()));
            found
        });
        let stage = format!("looking for {name} in {}", file_name(self.file.path()));
        self.progress.stage(&stage, mentions.units().len() as u64);
        self.find_in_units(search, &mentions)
    }

    /// In the units that mention it, else in those that complete what these declare: link-time optimisation leaves
    /// variables' places in a unit of its own, which names nothing.
    fn find_in_units(&self, search: Search<'_>, mentions: &Mentions) -> Option<EntryId> {
        let declared = Mutex::new(Vec::new());
        let find = |search: &Search<'_>, mentions: &Mentions| {
            mentions.units().into_par_iter().find_map_first(|(unit, places)| {
                if self.progress.is_cancelled() {
                    return None;
                }
                self.progress.advance(1);
                let found = search.in_unit(&self.types(), unit, places);
                match found.inspect_err(|error| tracing::debug!(%error, "bad entries in a unit")).ok()? {
                    Judged::Defined(entry) => Some(entry),
                    Judged::Declared(entries) => {
                        declared.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).extend(entries);
                        None
                    }
                }
            })
        };
        if let Some(found) = find(&search, mentions) {
            return Some(found);
        }
        let mut elsewhere = std::mem::take(&mut *declared.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        elsewhere.truncate(DECLARATIONS);
        if elsewhere.is_empty() || search.wanted == Wanted::Type || self.progress.is_cancelled() {
            return None;
        }
        let references = self.references(&elsewhere);
        find(&Search { elsewhere, ..search }, &references)
    }
}

/// One look for a name.
struct Search<'a> {
    wanted: Wanted,
    /// Without `::` at its end; empty: the program's own.
    scope: &'a str,
    leaf: &'a str,
    /// Declarations in other units.
    elsewhere: Vec<EntryId>,
}

/// What a unit has of a name.
enum Judged {
    /// The definition.
    Defined(EntryId),
    /// Declarations, and what completes them without a place.
    Declared(Vec<EntryId>),
}

/// Declarations in a unit and the definitions that complete them, in whichever order.
#[derive(Default)]
struct Completed {
    /// Those that declare what is looked for.
    declared: Vec<EntryId>,
    /// Any declaration, and what completes it.
    by: Vec<(EntryId, EntryId)>,
}

/// A namespace, class or enumeration that is being read.
struct Open {
    offset: u64,
    /// Whether a name in it is one of this scope, not one of a function's.
    is_scope: bool,
}

impl<'n> Search<'n> {
    fn new(wanted: Wanted, name: &'n str) -> Self {
        let (scope, leaf) = split_scope(name);
        Search { wanted, scope: scope.unwrap_or_default(), leaf, elsewhere: Vec::new() }
    }

    /// Whether an entry is the definition, read as if the catalogue's word were a mention.
    fn proves(&self, types: &Types<'_>, id: EntryId) -> gimli::Result<bool> {
        let session = &types.session;
        let declaration = session.completed(&session.entry(id)?).map(|one| one.id);
        let mut elsewhere = Vec::new();
        let mut at = vec![id.offset];
        match declaration {
            Some(one) if one.unit == id.unit => at.push(one.offset),
            Some(one) => match self.in_unit(types, one.unit, &Places::At(vec![one.offset]))? {
                Judged::Declared(entries) => elsewhere = entries,
                Judged::Defined(_) => return Ok(false),
            },
            None => {}
        }
        at.sort_unstable();
        let search = Search { elsewhere, ..*self };
        let judged = search.in_unit(types, id.unit, &Places::At(at))?;
        Ok(matches!(judged, Judged::Defined(found) if found == id))
    }

    /// The definition in one unit. Parts without a mention are passed over where the compiler says where they end.
    fn in_unit(&self, types: &Types<'_>, unit: UnitId, places: &Places) -> gimli::Result<Judged> {
        let session = &types.session;
        let opened = session.unit(unit)?;
        let header = &opened.unit.header;
        let mut raw = header.entries_raw(&opened.unit.abbreviations, None)?;
        let mut open: Vec<Open> = Vec::new();
        let mut completed = Completed { declared: self.elsewhere.clone(), by: Vec::new() };
        while !raw.is_empty() {
            let at = raw.next_offset().0 as u64;
            let Some(abbreviation) = raw.read_abbreviation()? else {
                open.pop();
                if open.is_empty() {
                    break;
                }
                continue;
            };
            let specs = abbreviation.attributes();
            let is_root = open.is_empty();
            let has = |name| specs.iter().any(|spec| spec.name() == name);
            let mut sibling = None;
            if abbreviation.has_children() && !is_root && has(gimli::DW_AT_sibling) {
                for spec in specs {
                    let attribute = raw.read_attribute(*spec)?;
                    if let (gimli::DW_AT_sibling, AttributeValue::UnitRef(next)) = (spec.name(), attribute.value()) {
                        sibling = Some(next);
                    }
                }
            } else {
                raw.skip_attributes(specs)?;
            }
            let after = raw.next_offset().0 as u64;
            let in_scope = !is_root && open.iter().all(|one| one.is_scope);
            let can_be = in_scope && self.wanted.can_be(abbreviation.tag());
            let completes = can_be && (has(gimli::DW_AT_specification) || has(gimli::DW_AT_abstract_origin));
            if completes || can_be && places.any_in(at..after) {
                let entry = session.entry(EntryId { unit, offset: at })?;
                if let Some(found) = self.judge(types, &entry, &open, &mut completed) {
                    return Ok(Judged::Defined(found));
                }
            }
            if completed.declared.is_empty() && !places.any_in(after..u64::MAX) {
                break;
            }
            if !abbreviation.has_children() {
                continue;
            }
            let is_scope =
                is_root || is_scope(abbreviation.tag()) || abbreviation.tag() == gimli::DW_TAG_enumeration_type;
            let next = sibling.filter(|next| next.0 as u64 > after);
            match next.filter(|next| !is_scope || !places.any_in(after..next.0 as u64)) {
                Some(next) => raw = header.entries_raw(&opened.unit.abbreviations, Some(next))?,
                None => open.push(Open { offset: at, is_scope }),
            }
        }
        Ok(Judged::Declared(completed.declared))
    }

    /// The definition, where an entry is that, or tells which earlier one is.
    fn judge<'a>(
        &self,
        types: &Types<'a>,
        entry: &Entry<'a>,
        open: &[Open],
        completed: &mut Completed,
    ) -> Option<EntryId> {
        let session = &types.session;
        let declaration = session.completed(entry);
        let is_it = match &declaration {
            Some(one) => completed.declared.contains(&one.id),
            None => session.name(entry).as_deref() == Some(self.leaf) && self.is_scope(types, entry.id.unit, open),
        };
        let is_definition = self.is_definition(entry);
        if is_it && is_definition {
            return Some(entry.id);
        }
        if let Some(declaration) = declaration.filter(|_| is_definition) {
            completed.by.push((declaration.id, entry.id));
        } else if is_it {
            completed.declared.push(entry.id);
            return completed.by.iter().find(|(declared, _)| *declared == entry.id).map(|(_, by)| *by);
        }
        None
    }

    fn is_definition(&self, entry: &Entry<'_>) -> bool {
        let is_declared = entry.flag(gimli::DW_AT_declaration);
        let has = |name| entry.get(name).is_some();
        match (self.wanted, entry.tag) {
            (Wanted::Type, gimli::DW_TAG_typedef | gimli::DW_TAG_base_type) => true,
            (Wanted::Type, _) => !is_declared,
            (Wanted::Value, gimli::DW_TAG_enumerator) => true,
            (Wanted::Value, gimli::DW_TAG_variable) => has(gimli::DW_AT_location) || has(gimli::DW_AT_const_value),
            (Wanted::Value, gimli::DW_TAG_member) => is_declared && has(gimli::DW_AT_const_value),
            (Wanted::Value, _) => false,
        }
    }

    /// Whether the open entries are the scope that is looked for.
    fn is_scope(&self, types: &Types<'_>, unit: UnitId, open: &[Open]) -> bool {
        let (mut names, mut visible): (Vec<String>, Vec<String>) = Default::default();
        for one in open.iter().skip(1) {
            let Ok(entry) = types.session.entry(EntryId { unit, offset: one.offset }) else { return false };
            if entry.get(gimli::DW_AT_specification).is_some() {
                // A class that was declared in another one and is defined outside of it.
                names = types
                    .session
                    .follow(&entry, gimli::DW_AT_specification)
                    .map(|one| types.qualified_name(one.id))
                    .into_iter()
                    .collect();
                visible.clone_from(&names);
                continue;
            }
            // What an anonymous record or an unscoped enumeration holds is its outer scope's.
            if entry.tag == gimli::DW_TAG_enumeration_type && !entry.flag(gimli::DW_AT_enum_class) {
                continue;
            }
            let anonymous = (entry.tag == gimli::DW_TAG_namespace).then(|| ANONYMOUS.to_owned());
            let name = types.session.name(&entry).or(anonymous);
            // An inline namespace may be left out.
            if !entry.flag(gimli::DW_AT_export_symbols) {
                visible.extend(name.clone());
            }
            names.extend(name);
        }
        names.join("::") == self.scope || visible.join("::") == self.scope
    }
}
