//! A name index made ready beforehand: which rows of a file's symbol tables hold a word, and their order by address, as bytes
//! that are mapped and looked at where they lie.
//!
//! A row is a symbol's number, counted through all tables of the file, with those behind them that are made (PLT stubs). The
//! bytes begin with a head: [`MAGIC`], its length, the CRC-32 of what follows in it, [`Counts`], the identity of the tables,
//! and a CRC-32 for each [`BLOCK`] of the body. The body has the rows in the order of their addresses; the hashes of all words
//! in order, each with where its groups begin; and the groups: runs of rows in which a name holds the word.
//!
//! None of it is trusted. A block is looked at only when its checksum is right; rows that do not exist are passed over; and
//! each name that is found is tested again. So bytes that are damaged cost time and no answer.

mod words;
mod write;

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use super::super::FileBytes;

pub(super) use words::is_whole_name;
pub(super) use write::Builder;

/// The format, and the rules by which words are taken from names. What has another is made anew.
const MAGIC: [u8; 8] = *b"RDBGIX\0\x01";
/// How much of the body is proved at once, bytes.
const BLOCK: usize = 16 << 10;
/// Bytes of the head before the identity: the mark, its length and checksum, six counts.
const FIXED: usize = 8 + 4 + 4 + 6 * 4;
/// A longer identity is none of ours, bytes.
const MAX_IDENTITY: usize = 4096;
/// A group's number has 16 bits.
const MAX_GROUPS: u32 = 1 << 16;
/// A group has at least so many rows, as a power of two.
const LEAST_SHIFT: u32 = 5;

/// How many of what the body holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counts {
    identity: u32,
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
    bytes: FileBytes,
    counts: Counts,
    body: Range<usize>,
    checksums: Range<usize>,
    /// What is known of each block.
    proved: Vec<AtomicU8>,
}

/// What is known of a block.
const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

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

    fn to_bytes(self) -> Vec<u8> {
        let all = [self.identity, self.rows, self.shift, self.ordered, self.words, self.groups];
        all.iter().flat_map(|one| one.to_le_bytes()).collect()
    }

    fn parse(bytes: &[u8]) -> Option<Counts> {
        let word = |number: usize| word_at(bytes, number);
        let counts = Counts {
            identity: word(0)?,
            rows: word(1)?,
            shift: word(2)?,
            ordered: word(3)?,
            words: word(4)?,
            groups: word(5)?,
        };
        (counts.identity as usize <= MAX_IDENTITY && (LEAST_SHIFT..32).contains(&counts.shift)).then_some(counts)
    }
}

impl Ready {
    /// Proves the head; reads nothing of the body. `None` where the bytes are of another format, of other tables, cut or
    /// damaged.
    pub fn open(bytes: FileBytes, identity: &[u8]) -> Option<Ready> {
        let all: &[u8] = (*bytes).as_ref();
        if !all.starts_with(&MAGIC) {
            return None;
        }
        let head_len = word_at(all, 2)? as usize;
        let head = all.get(..head_len).filter(|head| head.len() >= FIXED)?;
        if crc32fast::hash(&head[16..]) != word_at(head, 3)? {
            return None;
        }
        let counts = Counts::parse(&head[16..FIXED])?;
        let checksums = FIXED + counts.identity as usize..head_len;
        let body = head_len..head_len.checked_add(counts.body_len()?)?;
        let blocks = body.len().div_ceil(BLOCK);
        let fits = body.end == all.len() && checksums.len() == blocks * 4 && head[FIXED..].starts_with(identity);
        if !fits || counts.identity as usize != identity.len() {
            return None;
        }
        let proved = (0..blocks).map(|_| AtomicU8::new(UNKNOWN)).collect();
        Some(Ready { bytes, counts, body, checksums, proved })
    }

    /// How many rows stand in the order by address.
    pub fn ordered(&self) -> usize {
        self.counts.ordered as usize
    }

    /// The row at a place of the order; `None` where that is damaged.
    pub fn row(&self, place: usize) -> Option<u32> {
        let start = (place < self.ordered()).then_some(place * 4)?;
        word_at(self.part(start..start + 4)?, 0)
    }

    /// Where names hold a word (see [`words`]); `None` where that part is damaged.
    pub fn holders(&self, word: &[u8]) -> Option<Holders> {
        let count = self.counts.words as usize;
        let hashes = self.ordered() * 4;
        let starts = hashes + count * 4;
        let read = |base: usize, at: usize| word_at(self.part(base + at * 4..base + at * 4 + 4)?, 0);
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
        let listed = self.part(groups.checked_add(start as usize * 2)?..groups.checked_add(end as usize * 2)?)?;
        let listed = listed.chunks_exact(2).map(|raw| u32::from(u16::from_le_bytes([raw[0], raw[1]])));
        Some(Holders::Rows(listed.filter_map(|group| self.rows_of(group)).collect()))
    }

    fn rows_of(&self, group: u32) -> Option<Range<u32>> {
        let start = group.checked_shl(self.counts.shift)?;
        let end = start.saturating_add(1 << self.counts.shift).min(self.counts.rows);
        (start < end).then_some(start..end)
    }

    /// A part of the body, proved.
    fn part(&self, part: Range<usize>) -> Option<&[u8]> {
        let body = (*self.bytes).as_ref().get(self.body.clone())?;
        let wanted = body.get(part.clone())?;
        let blocks = part.start / BLOCK..part.end.div_ceil(BLOCK);
        blocks.clone().all(|block| self.is_good(body, block)).then_some(wanted)
    }

    fn is_good(&self, body: &[u8], block: usize) -> bool {
        let Some(state) = self.proved.get(block) else { return false };
        match state.load(Ordering::Relaxed) {
            GOOD => return true,
            BAD => return false,
            _ => {}
        }
        let all: &[u8] = (*self.bytes).as_ref();
        let bytes = body.chunks(BLOCK).nth(block).unwrap_or_default();
        let good = word_at(&all[self.checksums.clone()], block) == Some(crc32fast::hash(bytes));
        state.store(if good { GOOD } else { BAD }, Ordering::Relaxed);
        good
    }
}

/// The 32-bit word of a number.
fn word_at(bytes: &[u8], number: usize) -> Option<u32> {
    let start = number.checked_mul(4)?;
    let raw = bytes.get(start..start.checked_add(4)?)?;
    Some(u32::from_le_bytes(raw.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        let head = word_at(&whole, 2).unwrap() as usize;
        for at in (16..FIXED).chain(head..whole.len()) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let blocks: Vec<u8> =
                    changed[head..].chunks(BLOCK).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect();
                changed[head - blocks.len()..head].copy_from_slice(&blocks);
                let crc = crc32fast::hash(&changed[16..head]).to_le_bytes();
                changed[12..16].copy_from_slice(&crc);
                let Some(ready) = open(changed) else { continue };
                for place in 0..=100 {
                    let _ = ready.row(place);
                }
                let _ = ["main", "name33", "none", "ns_"].map(|word| ready.holders(word.as_bytes()));
            }
        }
    }
}
