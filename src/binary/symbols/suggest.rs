//! Completion and "did you mean".

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::demangle::{base_name, demangle_without_parameters};
use super::index::Stubs;
use super::literals::Literals;
use super::text::{split_parts, split_scope, without_template_arguments};
use super::{SymbolIndex, SymbolKind};

/// Longer names are not compared: the cost grows with the square.
const MAX_COMPARED: usize = 80;
/// Longer mangled names, those of templates of templates, are no hints; demangling them is what would take the time.
const MAX_DEMANGLED_FOR_HINT: usize = 120;

impl SymbolIndex {
    /// The `n` function base names nearest to `name` by edit distance, case ignored, nearest first; none that is further
    /// than a third of its length. Looks at every function: for an error message, not for every key.
    pub fn nearest_names(&self, name: &str, n: usize) -> Vec<String> {
        let wanted = without_template_arguments(split_scope(split_parts(name).name).1).to_ascii_lowercase();
        if wanted.is_empty() || wanted.len() > MAX_COMPARED {
            return Vec::new();
        }
        let limit = (wanted.len() / 3).max(1);
        let near = Mutex::new(BTreeSet::new());
        self.select(None, Stubs::PassedOver, |kind, raw| {
            if let Some(found) = is_function(kind).then(|| distance_to(raw, &wanted, limit)).flatten() {
                let mut near = near.lock().unwrap_or_else(PoisonError::into_inner);
                near.insert(found);
                if near.len() > n {
                    near.pop_last();
                }
            }
            false
        });
        let near = near.into_inner().unwrap_or_else(PoisonError::into_inner);
        near.into_iter().take(n).map(|(_, base)| base).collect()
    }

    /// The demangled function names, without parameters, that start with `prefix`; sorted, at most `limit`. When there
    /// are more, which of them is left open.
    pub fn complete(&self, prefix: &str, limit: usize) -> Vec<String> {
        let literals = Literals::all_of(prefix);
        let found = Mutex::new(BTreeSet::new());
        let is_full = AtomicBool::new(false);
        self.select(literals.as_ref(), Stubs::PassedOver, |kind, raw| {
            let admitted = || literals.as_ref().is_none_or(|literals| literals.admit(raw));
            if !is_function(kind) || is_full.load(Ordering::Relaxed) || !admitted() {
                return false;
            }
            let Ok(name) = std::str::from_utf8(raw) else { return false };
            let name = demangle_without_parameters(name);
            if name.starts_with(prefix) {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(name.into_owned());
                is_full.store(found.len() > limit, Ordering::Relaxed);
            }
            false
        });
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.into_iter().take(limit).collect()
    }
}

fn is_function(kind: SymbolKind) -> bool {
    matches!(kind, SymbolKind::Function | SymbolKind::IndirectFunction)
}

/// How far a function's base name is from `wanted`, and the base name; `None` beyond `limit`.
fn distance_to(raw: &[u8], wanted: &str, limit: usize) -> Option<(usize, String)> {
    let name = std::str::from_utf8(raw).ok()?;
    let base = match quick_base_name(name) {
        Some(base) => Cow::Borrowed(base),
        None if name.len() <= MAX_DEMANGLED_FOR_HINT => base_name(name),
        None => return None,
    };
    let distance = edit_distance(wanted, &base.to_ascii_lowercase(), limit)?;
    Some((distance, base.into_owned()))
}

/// The base name of `_ZN1A1B1fEv` without demangling; `None` for all but the simplest nested names.
fn quick_base_name(name: &str) -> Option<&str> {
    let Some(mut rest) = name.strip_prefix("_ZN") else { return (!name.starts_with('_')).then_some(name) };
    rest = rest.strip_prefix('K').unwrap_or(rest);
    let mut last = None;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return if rest.starts_with('E') && !name.contains("17h") { last } else { None };
        }
        let length: usize = rest[..digits].parse().ok()?;
        last = Some(rest.get(digits..digits.checked_add(length)?)?);
        rest = &rest[digits + length..];
    }
}

/// The Levenshtein distance of two texts in bytes, when it is at most `limit`.
fn edit_distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
        if row.iter().min().is_some_and(|least| *least > limit) {
            return None;
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_bounded() {
        assert_eq!(edit_distance("epoll_wiat", "epoll_wait", 3), Some(2));
        assert_eq!(edit_distance("abc", "abd", 1), Some(1));
        assert_eq!(edit_distance("abc", "xyz", 2), None);
    }

    #[test]
    fn quick_names_agree_with_the_demangler() {
        assert_eq!(quick_base_name("_ZN1A1B1fEv"), Some("f"));
        assert_eq!(quick_base_name("_ZNK1A3fooEi"), Some("foo"));
        assert_eq!(quick_base_name("_ZN1A3fooIiEEvv"), None);
        assert_eq!(quick_base_name("read"), Some("read"));
    }
}
