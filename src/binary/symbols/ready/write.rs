//! Making an index ready.

use super::super::super::proved::Proved;
use super::{words, Counts, LEAST_SHIFT, MAGIC, MAX_GROUPS};

/// A word that is in more than one of so many groups selects too little to be kept.
const COMMON: usize = 8;

/// What is gathered of a file's names, row after row.
pub(in super::super) struct Builder {
    rows: u32,
    shift: u32,
    by_address: Vec<(u64, u32)>,
    /// Hashes with their groups: `hash << 32 | group`.
    held: Vec<u64>,
    group: u32,
    /// The hashes of the group at hand.
    in_group: Vec<u32>,
}

impl Builder {
    /// For so many rows.
    pub fn new(rows: u32) -> Builder {
        let mut shift = LEAST_SHIFT;
        while (rows >> shift) >= MAX_GROUPS {
            shift += 1;
        }
        Builder { rows, shift, by_address: Vec::new(), held: Vec::new(), group: 0, in_group: Vec::new() }
    }

    /// A name of a function or of data. Rows come in rising order.
    pub fn add(&mut self, row: u32, address: u64, name: &[u8]) {
        if row >> self.shift != self.group {
            self.end_group();
            self.group = row >> self.shift;
        }
        self.by_address.push((address, row));
        words::for_each(name, |word| self.in_group.push(words::hash(word)));
    }

    /// A row whose name is looked at by every search anyway.
    pub fn add_made(&mut self, row: u32, address: u64) {
        self.by_address.push((address, row));
    }

    fn end_group(&mut self) {
        self.in_group.sort_unstable();
        self.in_group.dedup();
        let group = u64::from(self.group);
        self.held.extend(self.in_group.drain(..).map(|hash| u64::from(hash) << 32 | group));
    }

    /// The bytes; `None` where there are more names than the format can count.
    pub fn finish(mut self, identity: &[u8]) -> Option<Vec<u8>> {
        self.end_group();
        self.by_address.sort_unstable();
        self.held.sort_unstable();
        let mut body: Vec<u8> = self.by_address.iter().flat_map(|(_, row)| row.to_le_bytes()).collect();
        let ordered = u32::try_from(self.by_address.len()).ok()?;
        self.by_address = Vec::new();
        let (mut hashes, mut starts, mut groups) = (Vec::new(), Vec::new(), Vec::<u8>::new());
        let common = ((self.rows >> self.shift) as usize / COMMON).max(1);
        for word in self.held.chunk_by(|a, b| a >> 32 == b >> 32) {
            hashes.extend(((word[0] >> 32) as u32).to_le_bytes());
            starts.extend(u32::try_from(groups.len() / 2).ok()?.to_le_bytes());
            if word.len() <= common {
                groups.extend(word.iter().flat_map(|one| (*one as u16).to_le_bytes()));
            }
        }
        let counts = Counts {
            rows: self.rows,
            shift: self.shift,
            ordered,
            words: u32::try_from(hashes.len() / 4).ok()?,
            groups: u32::try_from(groups.len() / 2).ok()?,
        };
        self.held = Vec::new();
        [hashes, starts, groups].iter().for_each(|part| body.extend(part));
        Proved::make(&MAGIC, &counts.words(), identity, &body)
    }
}
