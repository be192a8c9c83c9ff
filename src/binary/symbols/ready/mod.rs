//! A name index made ready beforehand: which rows of a file's symbol tables hold a word, and their order by address, as bytes
//! that are mapped and looked at where they lie.
//!
//! A row is a symbol's number, counted through all tables of the file, with those behind them that are made (PLT stubs). The
//! bytes are [`Proved`], with the identity of the tables. The body has the rows in the order of their addresses; the hashes of all
//! words in order, each with where its groups begin; and the groups: runs of rows in which a name holds the word.
//!
//! None of it is trusted. What is damaged is not looked at; rows that do not exist are passed over; and each name that is found is tested again. So bytes that are damaged cost time and no answer.

mod words;
mod write;

use std::ops::Range;

use super::super::proved::Proved;
use super::super::FileBytes;

pub(super) use words::is_whole_name;
pub(super) use write::Builder;

/// The format, and the rules by which words are taken from names. What has another is made anew.
const MAGIC: [u8; 8] = *b"RDBGIX\0\x01";
/// A group's number has 16 bits.
const MAX_GROUPS: u32 = 1 << 16;
/// A group has at least so many rows, as a power of two.
const LEAST_SHIFT: u32 = 5;

/// How many of what the body holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counts {
    /// Rows of all tables.
    rows: u32,
    /// A group is `1 << shift` rows.
    shift: u32,
    /// Rows in order of their addresses.
    ordered: u32,
    words: u32,
    groups: u32,
}

/// An index that was made ready.
pub(super) struct Ready {
    bytes: Proved,
    counts: Counts,
}

/// Where the rows are that may hold a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Holders {
    /// In these runs of rows, in order.
    Rows(Vec<Range<u32>>),
    /// In so many places that all rows are to be looked at.
    Everywhere,
}

impl Counts {
    /// The bytes of the body; `None` where no file has so many.
    fn body_len(self) -> Option<usize> {
        let len = u64::from(self.ordered) * 4 + u64::from(self.words) * 8 + u64::from(self.groups) * 2;
        usize::try_from(len).ok()
    }

    fn words(self) -> [u32; Counts::WORDS - 1] {
        [self.rows, self.shift, self.ordered, self.words, self.groups]
    }

    /// How many there are, with the length of the identity before them.
    const WORDS: usize = 6;

    fn parse(words: &[u32]) -> Option<Counts> {
        let &[_, rows, shift, ordered, words, groups] = words else { return None };
        let counts = Counts { rows, shift, ordered, words, groups };
        (LEAST_SHIFT..32).contains(&shift).then_some(counts)
    }
}

impl Ready {
    /// Proves the head; reads nothing of the body. `None` where the bytes are of another format, of other tables, cut or
    /// damaged.
    pub fn open(bytes: FileBytes, identity: &[u8]) -> Option<Ready> {
        let body_len = |words: &[u32]| Counts::parse(words)?.body_len();
        let bytes = Proved::open(bytes, &MAGIC, Counts::WORDS, identity, body_len)?;
        let counts: Vec<u32> = (0..Counts::WORDS).map(|number| bytes.count(number)).collect();
        Some(Ready { counts: Counts::parse(&counts)?, bytes })
    }

    /// How many rows stand in the order by address.
    pub fn ordered(&self) -> usize {
        self.counts.ordered as usize
    }

    /// The row at a place of the order; `None` where that is damaged.
    pub fn row(&self, place: usize) -> Option<u32> {
        self.bytes.word((place < self.ordered()).then_some(place * 4)?)
    }

    /// Where names hold a word (see [`words`]); `None` where that part is damaged.
    pub fn holders(&self, word: &[u8]) -> Option<Holders> {
        let count = self.counts.words as usize;
        let hashes = self.ordered() * 4;
        let starts = hashes + count * 4;
        let read = |base: usize, at: usize| self.bytes.word(base + at * 4);
        let wanted = words::hash(word);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if read(hashes, middle)? < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low == count || read(hashes, low)? != wanted {
            return Some(Holders::Rows(Vec::new()));
        }
        let start = read(starts, low)?;
        let end = if low + 1 == count { self.counts.groups } else { read(starts, low + 1)? };
        if start == end {
            return Some(Holders::Everywhere);
        }
        let groups = starts + count * 4;
        let listed = self.bytes.part(groups.checked_add(start as usize * 2)?..groups.checked_add(end as usize * 2)?)?;
        let listed = listed.chunks_exact(2).map(|raw| u32::from(u16::from_le_bytes([raw[0], raw[1]])));
        Some(Holders::Rows(listed.filter_map(|group| self.rows_of(group)).collect()))
    }

    fn rows_of(&self, group: u32) -> Option<Range<u32>> {
        let start = group.checked_shl(self.counts.shift)?;
        let end = start.saturating_add(1 << self.counts.shift).min(self.counts.rows);
        (start < end).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::proved::with_right_checksums;
    use super::*;

    /// 100 rows in falling order of their addresses; the name of row N is `_ZN3ns_4nameNNEv`, that of row 7 `main`.
    fn bytes() -> Vec<u8> {
        let mut builder = Builder::new(100);
        for row in 0..100u32 {
            let name = if row == 7 { "main".to_owned() } else { format!("_ZN3ns_6name{row:02}Ev") };
            builder.add(row, u64::from(100 - row), name.as_bytes());
        }
        builder.finish(b"the tables").unwrap()
    }

    fn open(bytes: Vec<u8>) -> Option<Ready> {
        Ready::open(Arc::new(bytes), b"the tables")
    }

    #[test]
    fn what_was_made_ready_comes_back() {
        let ready = open(bytes()).unwrap();
        assert_eq!(ready.ordered(), 100);
        assert_eq!((ready.row(0), ready.row(99), ready.row(100)), (Some(99), Some(0), None));
        let rows = |run: Range<u32>| Some(Holders::Rows(Vec::from([run])));
        assert_eq!(ready.holders(b"main"), rows(0..32));
        assert_eq!(ready.holders(b"name33"), rows(32..64));
        assert_eq!(ready.holders(b"name99"), rows(96..100));
        assert_eq!(ready.holders(b"none"), Some(Holders::Rows(Vec::new())));
        assert_eq!(ready.holders(b"ns_"), Some(Holders::Everywhere));
        assert!(Ready::open(Arc::new(bytes()), b"other tables").is_none());
    }

    #[test]
    fn bytes_that_are_cut_or_changed_are_not_used() {
        let whole = bytes();
        let right = open(whole.clone()).unwrap();
        for len in 0..whole.len() {
            assert!(open(whole[..len].to_vec()).is_none(), "{len}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            let Some(ready) = open(changed) else { continue };
            for place in 0..100 {
                assert!(ready.row(place).is_none_or(|row| Some(row) == right.row(place)), "{at}");
            }
            for word in ["main", "name33", "none", "ns_"] {
                let found = ready.holders(word.as_bytes());
                assert!(found.is_none() || found == right.holders(word.as_bytes()), "{at}: {word}");
            }
        }
    }

    /// Right checksums over wrong content: any answer will do, as long as it ends and is one.
    #[test]
    fn hostile_bytes_are_survived() {
        let whole = bytes();
        for at in 16..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let Some(ready) = with_right_checksums(changed).and_then(open) else { continue };
                for place in 0..=100 {
                    let _ = ready.row(place);
                }
                let _ = ["main", "name33", "none", "ns_"].map(|word| ready.holders(word.as_bytes()));
            }
        }
    }
}
