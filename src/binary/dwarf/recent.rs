//! What was made last, as long as it is not too much together.

use std::sync::{Mutex, MutexGuard};

/// Values by key; the one that was used longest ago goes first when they get too large.
pub(super) struct Recent<K, V> {
    limit: usize,
    /// Key, value and size; the one used last at the end.
    kept: Mutex<Vec<(K, V, usize)>>,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    /// Keeps so much, in whatever unit sizes are given; one value is kept however large it is.
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// The value of a key. Two that ask for it at once may both make it.
    pub fn get_or_make(&self, key: K, size: impl FnOnce(&V) -> usize, make: impl FnOnce() -> V) -> V {
        if let Some(known) = self.get(&key) {
            return known;
        }
        let value = make();
        let mut kept = self.lock();
        kept.push((key, value.clone(), size(&value)));
        let mut total: usize = kept.iter().map(|(_, _, size)| size).sum();
        while total > self.limit && kept.len() > 1 {
            total -= kept.remove(0).2;
        }
        value
    }

    fn get(&self, key: &K) -> Option<V> {
        let mut kept = self.lock();
        let at = kept.iter().rposition(|(one, _, _)| one == key)?;
        let known = kept.remove(at);
        let value = known.1.clone();
        kept.push(known);
        Some(value)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(K, V, usize)>> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_is_made_again() {
        let recent = Recent::new(25);
        let made = std::cell::Cell::new(0);
        let get = |key: u32| {
            let make = || {
                made.set(made.get() + 1);
                key * 2
            };
            recent.get_or_make(key, |_| 10, make)
        };
        assert_eq!((get(1), get(2), get(1), made.get()), (2, 4, 2, 2));
        assert_eq!((get(3), get(1), made.get()), (6, 2, 3));
        assert_eq!((get(2), made.get()), (4, 4));
    }
}
