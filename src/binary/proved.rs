//! Bytes that were made beforehand and kept in a file, mapped and looked at where they lie.
//!
//! They begin with a head: a mark of the format (8 bytes), the head's length, the CRC-32 of what follows in it, some counts (the
//! first is the identity's length), the identity of what they were made of, and a CRC-32 for each [`BLOCK`] of the body. All
//! numbers are little-endian and have 32 bits. A block is looked at only when its checksum is right.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use rayon::prelude::*;

use super::FileBytes;

/// How much of the body is proved at once, bytes.
pub(super) const BLOCK: usize = 16 << 10;
/// A longer identity is none of ours, bytes.
const MAX_IDENTITY: usize = 4096;
/// Where the counts begin: behind the mark, the length and the checksum.
const COUNTS: usize = 16;

/// What is known of a block.
const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

/// Bytes whose head is right.
pub(super) struct Proved {
    bytes: FileBytes,
    counts: Vec<u32>,
    body: Range<usize>,
    checksums: Range<usize>,
    blocks: Vec<AtomicU8>,
}

impl Proved {
    /// Proves the head; reads nothing of the body. `body_len` says from the counts how long that is. `None` where the bytes
    /// are of another format, of another identity, cut or damaged.
    pub fn open(
        bytes: FileBytes,
        mark: &[u8; 8],
        counts: usize,
        identity: &[u8],
        body_len: impl Fn(&[u32]) -> Option<usize>,
    ) -> Option<Proved> {
        let all: &[u8] = (*bytes).as_ref();
        if !all.starts_with(mark) {
            return None;
        }
        let fixed = COUNTS + counts * 4;
        let head_len = word_at(all, 2)? as usize;
        let head = all.get(..head_len).filter(|head| head.len() >= fixed)?;
        if crc32fast::hash(&head[COUNTS..]) != word_at(head, 3)? {
            return None;
        }
        let counts: Vec<u32> = (0..counts).map(|number| word_at(&head[COUNTS..], number)).collect::<Option<_>>()?;
        let identity_len = counts.first().map(|len| *len as usize).filter(|len| *len <= MAX_IDENTITY)?;
        let checksums = fixed + identity_len..head_len;
        let body = head_len..head_len.checked_add(body_len(&counts)?)?;
        let blocks = body.len().div_ceil(BLOCK);
        let fits = body.end == all.len() && checksums.len() == blocks * 4 && head[fixed..].starts_with(identity);
        if !fits || identity_len != identity.len() {
            return None;
        }
        let blocks = (0..blocks).map(|_| AtomicU8::new(UNKNOWN)).collect();
        Some(Proved { bytes, counts, body, checksums, blocks })
    }

    /// The bytes of a body with its head; `None` for an identity that is too long. `counts` are those behind its length.
    pub fn make(mark: &[u8; 8], counts: &[u32], identity: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        Self::make_with(mark, counts, identity, body.len(), |bytes| bytes.extend(body))
    }

    /// The same of a body that is written behind the head, so that a large one is there once.
    pub fn make_with(
        mark: &[u8; 8],
        counts: &[u32],
        identity: &[u8],
        body_len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Vec<u8>> {
        let identity_len = u32::try_from(identity.len()).ok().filter(|len| *len as usize <= MAX_IDENTITY)?;
        let mut head: Vec<u8> = [&[identity_len], counts].concat().iter().flat_map(|one| one.to_le_bytes()).collect();
        head.extend(identity);
        let checksums = head.len();
        head.resize(checksums + body_len.div_ceil(BLOCK) * 4, 0);
        let mut bytes = Vec::with_capacity(COUNTS + head.len() + body_len);
        bytes.extend(mark);
        bytes.extend(u32::try_from(COUNTS + head.len()).ok()?.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&head);
        write(&mut bytes);
        let (front, body) = bytes.split_at_mut(COUNTS + head.len());
        debug_assert_eq!(body.len(), body_len);
        let places = front[COUNTS + checksums..].chunks_exact_mut(4);
        for (place, block) in places.zip(body.chunks(BLOCK)) {
            place.copy_from_slice(&crc32fast::hash(block).to_le_bytes());
        }
        let head_checksum = crc32fast::hash(&front[COUNTS..]);
        front[12..COUNTS].copy_from_slice(&head_checksum.to_le_bytes());
        Some(bytes)
    }

    /// A count; 0 where there is no such one. That of number 0 is the identity's length.
    pub fn count(&self, number: usize) -> u32 {
        self.counts.get(number).copied().unwrap_or_default()
    }

    /// A part of the body; `None` where it is damaged or not there.
    pub fn part(&self, part: Range<usize>) -> Option<&[u8]> {
        let body = (*self.bytes).as_ref().get(self.body.clone())?;
        let wanted = body.get(part.clone())?;
        let mut blocks = part.start / BLOCK..part.end.div_ceil(BLOCK);
        blocks.all(|block| self.is_good(body, block)).then_some(wanted)
    }

    /// All of the body; `None` where any of it is damaged. It is proved on all processors.
    pub fn whole(&self) -> Option<&[u8]> {
        let body = (*self.bytes).as_ref().get(self.body.clone())?;
        (0..self.blocks.len()).into_par_iter().all(|block| self.is_good(body, block)).then_some(body)
    }

    /// The number at a place of the body; `None` where that is damaged.
    pub fn word(&self, at: usize) -> Option<u32> {
        word_at(self.part(at..at.checked_add(4)?)?, 0)
    }

    fn is_good(&self, body: &[u8], block: usize) -> bool {
        let Some(state) = self.blocks.get(block) else { return false };
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
pub(super) fn word_at(bytes: &[u8], number: usize) -> Option<u32> {
    let start = number.checked_mul(4)?;
    let raw = bytes.get(start..start.checked_add(4)?)?;
    Some(u32::from_le_bytes(raw.try_into().ok()?))
}

/// Right checksums over a body and head that were changed, for tests of what is done with hostile ones.
#[cfg(test)]
pub(super) fn with_right_checksums(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let head = word_at(&bytes, 2)? as usize;
    let blocks: Vec<u8> = bytes.get(head..)?.chunks(BLOCK).flat_map(|one| crc32fast::hash(one).to_le_bytes()).collect();
    bytes.get_mut(head.checked_sub(blocks.len())?..head)?.copy_from_slice(&blocks);
    let crc = crc32fast::hash(bytes.get(COUNTS..head)?).to_le_bytes();
    bytes[12..COUNTS].copy_from_slice(&crc);
    Some(bytes)
}
