//! Packs: what rdbg knows of a file's names, in a file of its own that belongs to the same build.
//!
//! A pack is an ELF file without segments: the build-id note of the file that it tells of, and either a .symtab with its
//! functions and data, or, where that file is stripped, the names that were recovered (.rdbg.names, .rdbg.text). It is marked
//! in the unused bytes of e_ident, and its last four bytes are the CRC-32 of all before them. rdbg writes it for its cache
//! and for `rdbg index -o`; a debugger that reads separate debug files finds the symbols in it, too.

mod write;

use std::sync::Arc;

use super::image::Image;
use super::rtti::StoredNames;

pub(super) use write::{symbol_table, write};

/// What is in a pack's e_ident from byte 9 on: the mark and the version of the format and of the rules by which names are
/// recovered. A pack of another version is refused.
const MARK: [u8; 7] = *b"RDBGPK\x01";
const MARK_AT: usize = 9;
/// Whose names these are where there is no build-id, and by which tables of known names they were made.
const IDENTITY: &str = ".rdbg.identity";
const NAMES: &str = ".rdbg.names";
const TEXT: &str = ".rdbg.text";
/// Bytes of the CRC.
const CRC: usize = 4;

/// What a pack holds besides its symbols.
#[derive(Clone)]
pub(super) struct Contents {
    /// See [`super::NamesFile::identity`].
    pub identity: Vec<u8>,
    /// The recovered names, where it has any.
    pub stored: Option<StoredNames>,
}

/// The contents of a file that is a pack; `None` where it is none.
///
/// # Errors
/// It is of another version, or its bytes are not as they were written: says what is wrong.
pub(super) fn open(image: &Arc<Image>) -> Result<Option<Contents>, &'static str> {
    let bytes = image.bytes();
    let mark = bytes.get(MARK_AT..MARK_AT + MARK.len()).unwrap_or_default();
    if !mark.starts_with(&MARK[..MARK.len() - 1]) {
        return Ok(None);
    }
    if mark != MARK {
        return Err("a pack of another version of rdbg: make it again with `rdbg index`");
    }
    let (body, crc) = bytes.split_at(bytes.len().saturating_sub(CRC));
    if crc != crc32fast::hash(body).to_le_bytes() {
        return Err("a pack that is damaged (its checksum is wrong): make it again with `rdbg index`");
    }
    let range = |name: &str| image.section(name).map(|section| section.bytes.clone());
    let identity = range(IDENTITY).map_or_else(Vec::new, |range| image.slice(&range).to_vec());
    let stored = match (range(NAMES), range(TEXT)) {
        (Some(names), Some(text)) => {
            let stored = StoredNames::open(image, names, text);
            Some(stored.ok_or("a pack whose names are out of order: make it again with `rdbg index`")?)
        }
        _ => None,
    };
    Ok(Some(Contents { identity, stored }))
}
