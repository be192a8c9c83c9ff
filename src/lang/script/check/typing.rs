//! How types come together: in a map that is assigned several, in an operator's operands.

use super::super::super::Span;
use super::super::ast::WhenFull;
use super::super::error::Diagnostic;
use super::super::program::{MapId, Room};
use super::super::types::{Aggregate, Sign, Ty};
use super::{Checker, Phase};

impl Checker<'_> {
    /// A type that holds both; `None` if there is none.
    pub(super) fn merge(&self, have: &Ty, new: &Ty) -> Option<Ty> {
        use Ty::*;
        Some(match (have, new) {
            (Unknown, other) | (other, Unknown) => other.clone(),
            (one, other) if one == other => one.clone(),
            (Integer(a, x), Integer(b, y)) => merge_integers((*a, *x), (*b, *y)),
            (Integer(bytes, sign), Bool | Enum(_)) | (Bool | Enum(_), Integer(bytes, sign)) => {
                Integer((*bytes).max(4), *sign)
            }
            (Bool, Enum(_)) | (Enum(_), Bool | Enum(_)) => Ty::UINT,
            // A pointer that may also be a number is printed as the pointer it is.
            (Pointer(to), Pointer(_)) => Pointer(to.clone()),
            (Pointer(to), Integer(..)) | (Integer(..), Pointer(to)) => Pointer(to.clone()),
            (Tuple(a), Tuple(b)) if a.len() == b.len() => {
                let parts: Option<Vec<Ty>> = a.iter().zip(b.iter()).map(|(a, b)| self.merge(a, b)).collect();
                Tuple(parts?.into())
            }
            (Aggregate(a), Aggregate(b)) => Aggregate(merge_aggregates(*a, *b)?),
            (Array(a, count), Array(b, other)) if count == other => Array(self.merge(a, b)?.into(), *count),
            _ => return None,
        })
    }

    /// The map of that name.
    pub(super) fn map(&mut self, name: &str) -> MapId {
        if let Some(id) = self.map_ids.get(name) {
            return *id;
        }
        let id = MapId(self.maps.len() as u16);
        let room = self
            .declared
            .iter()
            .find(|one| one.name == name)
            .map(|one| Room { limit: one.limit, when_full: one.when_full });
        let room = room.unwrap_or(Room { limit: self.config.max_map_keys, when_full: WhenFull::Refuse });
        self.maps.push(super::MapInfo { name: name.to_owned(), key: Vec::new(), value: Ty::Unknown, room });
        self.assigned.push(false);
        self.key_uses.push(KeyUse::None);
        self.map_ids.insert(name.to_owned(), id);
        self.changed = true;
        id
    }

    /// Notes the types of a map's keys. Whether it has keys is decided by the first use of one of its values; `print(@x)`
    /// or a loop over it decides nothing.
    pub(super) fn use_keys(&mut self, id: MapId, keys: Vec<Ty>, span: Span) -> Result<(), Diagnostic> {
        let at = usize::from(id.0);
        let info = self.maps[at].clone();
        if std::mem::replace(&mut self.key_uses[at], KeyUse::Some) == KeyUse::None {
            self.changed = true;
            self.maps[at].key = keys;
            return Ok(());
        }
        if info.key.is_empty() != keys.is_empty() {
            let (now, before) = match keys.is_empty() {
                true => ("without an explicit key (scalar map)", "with an explicit key (non-scalar map)"),
                false => ("with an explicit key (non-scalar map)", "without an explicit key (scalar map)"),
            };
            let text = format!("{} used as a map {now}, previously used {before}", info.name);
            return Err(Diagnostic::error(span, text));
        }
        let merged: Option<Vec<Ty>> = if keys.len() == info.key.len() {
            info.key.iter().zip(&keys).map(|(have, new)| self.merge(have, new)).collect()
        } else {
            None
        };
        match merged {
            Some(merged) => {
                self.changed |= merged != info.key;
                self.maps[at].key = merged;
                Ok(())
            }
            None => {
                let text = format!(
                    "Argument mismatch for {}: trying to access with arguments: '{}' when map expects arguments: '{}'",
                    info.name,
                    self.key_name(&keys),
                    self.key_name(&info.key)
                );
                Err(Diagnostic::error(span, text))
            }
        }
    }

    fn key_name(&self, keys: &[Ty]) -> String {
        match keys {
            [one] => self.types.name(one),
            several => self.types.name(&Ty::Tuple(several.into())),
        }
    }

    /// Notes the type of a value that is put into a map.
    pub(super) fn assign_map(&mut self, id: MapId, new: &Ty, span: Span) -> Result<(), Diagnostic> {
        let at = usize::from(id.0);
        self.assigned[at] = true;
        let have = self.maps[at].value.clone();
        match self.merge(&have, new) {
            Some(merged) => {
                self.changed |= merged != have;
                self.maps[at].value = merged;
                Ok(())
            }
            None => {
                let text = format!(
                    "Type mismatch for {}: trying to assign value of type '{}' when map already has a type '{}'",
                    self.maps[at].name,
                    self.types.name(new),
                    self.types.name(&have)
                );
                Err(Diagnostic::error(span, text))
            }
        }
    }

    /// Notes the type of a value that is put into a variable, and gives its number.
    pub(super) fn assign_variable(&mut self, name: &str, new: &Ty, span: Span) -> Result<super::Slot, Diagnostic> {
        let Some(slot) = self.variable(name) else {
            self.variables.push((name.to_owned(), new.clone()));
            return Ok(super::Slot((self.variables.len() - 1) as u16));
        };
        let have = self.variables[usize::from(slot.0)].1.clone();
        match self.merge(&have, new) {
            Some(merged) => {
                self.variables[usize::from(slot.0)].1 = merged;
                Ok(slot)
            }
            None => {
                let text = format!(
                    "Type mismatch for {name}: trying to assign value of type '{}' when variable already has a type '{}'",
                    self.types.name(new),
                    self.types.name(&have)
                );
                Err(Diagnostic::error(span, text))
            }
        }
    }

    /// A map that is read: nothing may ever have been put into it.
    pub(super) fn read_map(&self, id: MapId, span: Span) -> Result<Ty, Diagnostic> {
        let info = &self.maps[usize::from(id.0)];
        if self.phase == Phase::Final && !self.assigned[usize::from(id.0)] {
            return Err(Diagnostic::error(span, format!("Undefined map: {}", info.name)));
        }
        Ok(info.value.clone())
    }
}

/// Whether one of a map's values has been used yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// None: nobody knows its keys.
    None,
    /// One.
    Some,
}

fn merge_integers(a: (u8, Sign), b: (u8, Sign)) -> Ty {
    if a.1 == b.1 {
        return Ty::Integer(a.0.max(b.0), a.1);
    }
    let (unsigned, signed) = if a.1 == Sign::Unsigned { (a.0, b.0) } else { (b.0, a.0) };
    // A signed type that holds both, or int64 where none does.
    Ty::Integer((unsigned * 2).max(signed).min(8), Sign::Signed)
}

fn merge_aggregates(a: Aggregate, b: Aggregate) -> Option<Aggregate> {
    use Aggregate::*;
    Some(match (a, b) {
        (a, b) if a == b => a,
        (Sum(_), Sum(_)) => Sum(Sign::Signed),
        (Average(_), Average(_)) => Average(Sign::Signed),
        (Min(_), Min(_)) => Min(Sign::Signed),
        (Max(_), Max(_)) => Max(Sign::Signed),
        (Stats(_), Stats(_)) => Stats(Sign::Signed),
        _ => return None,
    })
}
