//! Completion and "did you mean".

use super::SymbolIndex;

impl SymbolIndex {
    /// The `n` function base names nearest to `name` by edit distance, nearest first; none that is further than a third
    /// of its length.
    pub fn nearest_names(&self, name: &str, n: usize) -> Vec<String> {
        let _ = (name, n);
        Vec::new()
    }

    /// The demangled function names, without parameters, that start with `prefix`; sorted, at most `limit`.
    pub fn complete(&self, prefix: &str, limit: usize) -> Vec<String> {
        let _ = (prefix, limit);
        Vec::new()
    }
}
