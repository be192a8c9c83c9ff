//! Names that a unit has from other namespaces, and names in a function (DWARF 5, 3.2.3, 3.2.4 and 2.23).

use super::entry::{Descend, Entry, EntryId};
use super::scopes::ANONYMOUS;
use super::types::{TypeId, Types, ALIAS_DEPTH};
use super::variables::{Variable, VariableKind};

/// Meanings of one name that are looked for.
const MEANINGS: usize = 16;

impl<'a> Types<'a> {
    /// What a name may stand for in the unit of a function besides what it says, which is in the scope `enclosing`
    /// (`a::b::`): in anonymous namespaces, by using-directives and -declarations, by an alias of a namespace.
    pub fn meanings(&self, function: EntryId, enclosing: &str, name: &str) -> Vec<String> {
        let mut found = vec![format!("{ANONYMOUS}::{name}")];
        if !enclosing.is_empty() {
            found.push(format!("{enclosing}{ANONYMOUS}::{name}"));
        }
        let (first, rest) = name.split_once("::").map_or((name, ""), |(first, _)| (first, &name[first.len()..]));
        let table = self.session.owner.scopes(&self.session, function.unit);
        for offset in table.imports() {
            if found.len() >= MEANINGS {
                break;
            }
            let Ok(entry) = self.session.entry(EntryId { unit: function.unit, offset }) else { continue };
            found.extend(self.meaning(&entry, name, first, rest).filter(|one| !found.contains(one)));
        }
        found
    }

    fn meaning(&self, import: &Entry<'a>, name: &str, first: &str, rest: &str) -> Option<String> {
        let of = self.session.follow(import, gimli::DW_AT_import)?;
        if import.tag == gimli::DW_TAG_imported_module {
            let own = self.session.name(&of).unwrap_or_else(|| ANONYMOUS.to_owned());
            return Some(format!("{}{own}::{name}", self.scope_of(of.id)));
        }
        let alias = import.get(gimli::DW_AT_name).and_then(|value| self.session.text(import.id.unit, value));
        let called = alias.or_else(|| self.session.name(&of))?;
        (called == first).then(|| self.qualified_name(of.id) + rest)
    }

    /// A type that is declared in a function, or that its template was made with.
    pub fn type_in_function(&self, function: EntryId, name: &str) -> Option<TypeId> {
        self.in_function(function, name, |entry| match entry.tag {
            gimli::DW_TAG_template_type_parameter => Some(TypeId::of(self.target(entry))),
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type => Some(TypeId::of(Some(entry.id))),
            _ => None,
        })
    }

    /// A value that a function's template was made with.
    pub fn template_value(&self, function: EntryId, name: &str) -> Option<Variable> {
        self.in_function(function, name, |entry| {
            (entry.tag == gimli::DW_TAG_template_value_parameter).then(|| Variable {
                name: name.to_owned(),
                ty: self.type_of(entry),
                kind: VariableKind::Local,
                entry: entry.id,
            })
        })
    }

    /// The function itself: what its address is the value of.
    pub fn function_type(&self, function: EntryId) -> TypeId {
        TypeId::of(Some(function))
    }

    /// Looks for an entry of that name in a function, its blocks, and what it completes.
    fn in_function<T>(&self, function: EntryId, name: &str, fits: impl Fn(&Entry<'a>) -> Option<T>) -> Option<T> {
        let mut at = self.session.entry(function).ok();
        for _ in 0..ALIAS_DEPTH {
            let entry = at?;
            let mut found = None;
            let walked = self.session.walk(entry.id, &mut |entry, _| {
                if entry.tag == gimli::DW_TAG_lexical_block {
                    return Descend::Yes;
                }
                found = fits(entry).filter(|_| self.session.name(entry).as_deref() == Some(name));
                if found.is_some() {
                    return Descend::Stop;
                }
                Descend::No
            });
            if let Err(error) = walked {
                tracing::debug!(%error, "bad entries of a function");
            }
            if found.is_some() {
                return found;
            }
            at = self.session.completed(&entry);
        }
        None
    }
}
