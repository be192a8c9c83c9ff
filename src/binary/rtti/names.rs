//! The text of recovered names.

use super::super::{FunctionRange, NameSource};
use super::bodies::Destructor;
use super::classes::{base_of, template_of};
use super::owners::{Owner, Proof, Virtual};
use super::slots::KnownMethod;
use super::types::{ClassId, Place};
use super::{Recovered, RecoveredName, Sureness};
use crate::base::FileAddr;

/// Of a function that was folded from more, so many are listed.
pub(super) const MAX_LISTED: usize = 8;
/// A function of so many bytes does nothing, or returns a constant: its base's may be the same.
const TRIVIAL: u64 = 8;

impl Recovered {
    /// The name of a function whose place is known.
    pub(super) fn name_of(&self, function: FunctionRange) -> Option<RecoveredName> {
        if let Some(startup) = self.startup_at(function.start) {
            let text = startup.text();
            return Some(RecoveredName { text, function, sureness: Sureness::Certain, source: NameSource::Startup });
        }
        let found = self.virtual_at(function.start)?;
        let (text, sureness) = self.virtual_text(found, function);
        Some(RecoveredName { text, function, sureness, source: NameSource::Rtti })
    }

    fn virtual_text(&self, found: &Virtual, function: FunctionRange) -> (String, Sureness) {
        let (first, proof) = found.owners[0];
        let text = self.owner_text(first, function);
        if found.owners.len() > 1 && !self.all_alike(found, function, &text) {
            let others = found.owners.len() - 1;
            let text = match others {
                1 => format!("{text} or {}", self.owner_text(found.owners[1].0, function)),
                _ => format!("{text} or {others} others"),
            };
            return (text, Sureness::Ambiguous);
        }
        match self.sureness(first, proof, function) {
            Sureness::Certain => (text, Sureness::Certain),
            _ => (text + "?", Sureness::Likely),
        }
    }

    /// Whether the owners differ only in what their names do not show: copies of a class in several units.
    fn all_alike(&self, found: &Virtual, function: FunctionRange, text: &str) -> bool {
        found.owners.len() <= MAX_LISTED
            && found.owners[1..].iter().all(|(one, _)| self.owner_text(*one, function) == text)
    }

    fn sureness(&self, owner: Owner, proof: Proof, function: FunctionRange) -> Sureness {
        let certain = match proof {
            Proof::Certain => true,
            Proof::Overridden => function.end.since(function.start) > TRIVIAL,
            Proof::MaybeBase => self.known_method(owner).is_some(),
        };
        // A class never inherits the destructor that frees its objects.
        if certain || self.destructor(owner) == Some(Destructor::Deleting) {
            Sureness::Certain
        } else {
            Sureness::Likely
        }
    }

    /// `A::B::[virtual 2 -> bind]`, `A::B::~B`, `thunk to A::B::[virtual 3]`.
    pub(super) fn owner_text(&self, owner: Owner, function: FunctionRange) -> String {
        if let Some(text) = self.thunk_text(owner, function) {
            return text;
        }
        let class = self.class_text(owner.class);
        format!("{class}::{}", self.method_text(owner, class, function))
    }

    pub(super) fn class_text(&self, class: ClassId) -> &str {
        self.classes.text(&self.image, &self.types, class)
    }

    fn thunk_text(&self, owner: Owner, function: FunctionRange) -> Option<String> {
        if owner.offset == 0 {
            return None;
        }
        let target = self.thunk_target(function)?;
        let range = self.unwind.find_function(target).filter(|range| range.start == target)?;
        let named = self.virtual_at(target).filter(|one| one.owners.iter().all(|(owner, _)| owner.offset == 0));
        let text = named.map_or_else(|| format!("sub_{:x}", target.0), |one| self.virtual_text(one, range).0);
        Some(format!("thunk to {text}"))
    }

    fn method_text(&self, owner: Owner, class: &str, function: FunctionRange) -> String {
        if let Some(known) = self.known_method(owner) {
            return known.name.clone();
        }
        match self.destructor(owner) {
            Some(Destructor::Complete) => return format!("~{}", base_of(class)),
            Some(Destructor::Deleting) => return format!("~{} [deleting]", base_of(class)),
            None => {}
        }
        let slot = owner.slot;
        let part = match (owner.offset, self.base_at(owner)) {
            (0, _) => String::new(),
            (_, Some(base)) => format!(" of {}", self.class_text(base)),
            (offset, None) => format!(" at +{offset}"),
        };
        match self.forward(function) {
            Some(forward) => format!("[virtual {slot}{part} -> {}]", forward.function),
            None => format!("[virtual {slot}{part}]"),
        }
    }

    /// The direct base that begins where a secondary table's subobject does.
    pub(super) fn base_at(&self, owner: Owner) -> Option<ClassId> {
        let place = Place::At(i64::from(owner.offset));
        self.types.bases(owner.class).iter().find(|base| base.place == place).map(|base| base.class)
    }

    /// What a table of known names says of a slot, where it fits the class.
    fn known_method(&self, owner: Owner) -> Option<&KnownMethod> {
        let table = self.vtables.at_offset(owner.class, 0).first().filter(|_| owner.offset == 0)?;
        let functions = self.vtables.functions(table);
        let name = template_of(self.class_text(owner.class));
        let fits = |slot: u16, method: &KnownMethod| match (&method.calls, functions.get(slot as usize)) {
            (Some(import), Some(Some(function))) => self.calls_import(*function, import),
            _ => true,
        };
        let mut known = self.known.of_class(name, functions.len());
        let class = known.find(|class| class.methods.iter().all(|(slot, method)| fits(*slot, method)))?;
        class.methods.get(&owner.slot)
    }

    /// The name of a function of which only its code tells something.
    pub(super) fn hinted_name(&self, function: FunctionRange) -> Option<RecoveredName> {
        let text = unnamed(function.start, &self.hint(function)?);
        Some(RecoveredName { text, function, sureness: Sureness::Hint, source: NameSource::Hint })
    }
}

/// `sub_1234 {hint}`.
pub(super) fn unnamed(start: FileAddr, hint: &str) -> String {
    format!("sub_{:x} {{{hint}}}", start.0)
}
