//! Finding text in a string table: one pass over its bytes at memory speed, instead of a look at each name.

use std::ops::Range;

use super::literals::Literals;
use super::pieces::map_pieces;

/// How much of a table is searched in one go, bytes. It stays in the cache while several literals are looked for.
const PIECE: usize = 256 << 10;

/// A string table (gABI, "String Table"): names that end in NUL. One may be the end of another.
#[derive(Clone, Copy)]
pub(in crate::binary) struct Strings<'a>(pub &'a [u8]);

/// Where the strings lie that can hold a wanted name, in order, apart from each other.
pub(in crate::binary) struct Candidates(Vec<Range<usize>>);

impl Strings<'_> {
    /// The strings that `literals` admit. `done` is told of each piece of the table that has been looked through.
    pub fn find(self, literals: &Literals, done: impl Fn(Range<usize>) + Sync) -> Candidates {
        let look = |piece: Range<usize>| {
            let found = self.find_in(piece.clone(), literals);
            done(piece);
            found
        };
        Candidates(map_pieces(self.pieces(), look).concat())
    }

    /// The table in pieces that cut no string.
    fn pieces(self) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < self.0.len() {
            let least = start.saturating_add(PIECE).min(self.0.len());
            let end = memchr::memchr(0, &self.0[least..]).map_or(self.0.len(), |until| least + until + 1);
            pieces.push(start..end);
            start = end;
        }
        pieces
    }

    fn find_in(self, piece: Range<usize>, literals: &Literals) -> Vec<Range<usize>> {
        let bytes = &self.0[piece.clone()];
        let mut found: Vec<Range<usize>> = Vec::new();
        literals.for_each_hit(bytes, |hit| {
            let start = memchr::memrchr(0, &bytes[..hit]).map_or(0, |before| before + 1);
            let end = memchr::memchr(0, &bytes[hit..]).map_or(bytes.len(), |until| hit + until);
            if literals.admit_string(&bytes[start..end]) {
                found.push(piece.start + start..piece.start + end);
            }
            end
        });
        found.sort_unstable_by_key(|string| string.start);
        found.dedup();
        found
    }
}

impl Candidates {
    /// Whether a name that begins at `offset` may be one.
    pub fn contains(&self, offset: usize) -> bool {
        let after = self.0.partition_point(|string| string.start <= offset);
        after > 0 && offset < self.0[after - 1].end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_and_its_ends_are_found_and_no_other() {
        let table = b"\0first_needle_x\0second\0needle\0";
        let literals = Literals::exact(b"needle");
        let found = Strings(table).find(&literals, |_| {});
        assert_eq!(found.0, [1..15, 23..29]);
        assert!(found.contains(1) && found.contains(7) && !found.contains(16) && found.contains(23));
        assert!(!found.contains(0) && !found.contains(15) && !found.contains(29) && !found.contains(99));
    }

    #[test]
    fn strings_are_found_across_pieces_and_without_a_last_nul() {
        let mut table = vec![b'a'; 3 * PIECE];
        table.extend_from_slice(b"needle\0b\0needle");
        let found = Strings(&table).find(&Literals::exact(b"needle"), |_| {});
        assert_eq!(found.0, [0..3 * PIECE + 6, 3 * PIECE + 9..3 * PIECE + 15]);
        assert!(Strings(b"").find(&Literals::exact(b"needle"), |_| {}).0.is_empty());
    }
}
