//! The names of all types that a file describes.

use std::collections::BTreeSet;
use std::sync::Mutex;

use gimli::SectionId;
use rayon::prelude::*;

use super::entry::{Descend, Entry};
use super::scopes::{is_scope, ANONYMOUS};
use super::{Dwarf, UnitId};
use crate::binary::symbols::file_name;

/// A type of the program's own text, by its qualified name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NamedType {
    /// With its namespaces and classes.
    pub name: String,
    /// `class`, `struct`, `union`, `enum`, `typedef`; nothing for a base type.
    pub keyword: &'static str,
}

/// What a tag declares, where it declares a type with a name.
fn keyword(entry: &Entry<'_>) -> Option<&'static str> {
    Some(match entry.tag {
        gimli::DW_TAG_class_type => "class",
        gimli::DW_TAG_structure_type | gimli::DW_TAG_interface_type => "struct",
        gimli::DW_TAG_union_type => "union",
        gimli::DW_TAG_enumeration_type => "enum",
        gimli::DW_TAG_typedef => "typedef",
        gimli::DW_TAG_base_type => "",
        _ => return None,
    })
}

impl Dwarf {
    /// Types whose qualified name `wanted` accepts, in the order of their names, each once: those that units define
    /// outside of functions.
    pub fn types_named(&self, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Vec<NamedType> {
        let known = self.ask_catalogue(|catalogue| catalogue.types(wanted));
        known.unwrap_or_else(|| self.types_in_units(wanted))
    }

    /// Reads every unit.
    pub(super) fn types_in_units(&self, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Vec<NamedType> {
        let units = self.units().len();
        self.progress.stage(&format!("reading the types of {}", file_name(self.file.path())), units as u64);
        let found = Mutex::new(BTreeSet::new());
        (0..units).into_par_iter().for_each(|unit| {
            if self.progress.is_cancelled() {
                return;
            }
            let names = self.types_of_unit(UnitId::own(unit), wanted);
            let names = names.inspect_err(|error| tracing::debug!(%error, "bad entries in a unit")).unwrap_or_default();
            found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).extend(names);
            self.progress.advance(1);
            if let Some((section, part)) = self.units().span(unit) {
                self.file.release(section, part);
            }
        });
        self.file.release(SectionId::DebugStr, 0..usize::MAX);
        found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).into_iter().collect()
    }

    fn types_of_unit(&self, unit: UnitId, wanted: &(dyn Fn(&str) -> bool + Sync)) -> gimli::Result<Vec<NamedType>> {
        let types = self.types();
        let session = &types.session;
        let mut found = Vec::new();
        // The name of each open scope with `::` behind it, and the depth of what it holds.
        let mut scopes: Vec<(u32, String)> = Vec::new();
        session.walk(session.root(unit)?, &mut |entry, depth| {
            scopes.truncate(scopes.partition_point(|(inside, _)| *inside <= depth));
            let keyword = keyword(entry);
            if keyword.is_none() && entry.tag != gimli::DW_TAG_namespace {
                return Descend::No;
            }
            let own = session.name(entry);
            let outer = || scopes.last().map_or("", |(_, name)| name);
            let name = match entry.get(gimli::DW_AT_specification) {
                // Declared in another scope than it is defined in.
                Some(_) => types.qualified_name(entry.id),
                None => format!("{}{}", outer(), own.as_deref().unwrap_or_default()),
            };
            // What stands for a type with a unit of its own is listed there.
            let is_elsewhere = entry.flag(gimli::DW_AT_declaration) || entry.get(gimli::DW_AT_signature).is_some();
            if let Some(keyword) = keyword.filter(|_| own.is_some() && !is_elsewhere) {
                if wanted(&name) {
                    found.push(NamedType { name: name.clone(), keyword });
                }
            }
            if !is_scope(entry.tag) {
                return Descend::No;
            }
            let inner = match (own.is_some(), entry.tag) {
                (true, _) => name + "::",
                (false, gimli::DW_TAG_namespace) => format!("{}{ANONYMOUS}::", outer()),
                (false, _) => name,
            };
            scopes.push((depth + 1, inner));
            Descend::Yes
        })?;
        Ok(found)
    }
}
