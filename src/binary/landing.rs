//! Landing pads: where a thrown exception enters a function on its way up the stack.

use gimli::{EndianSlice, LittleEndian, Pointer, Reader};

use super::unwind::UnwindTables;
use crate::base::FileAddr;

/// DW_EH_PE_omit: the value is left out (LSB, "DWARF Exception Header Encoding").
const OMITTED: u8 = 0xff;
/// The most of a table that is read, bytes.
const MOST: u64 = 1 << 20;

impl UnwindTables {
    /// Where an exception that is thrown through the call at `at` (an address in the call instruction) lands in the
    /// function that made the call: a handler or a cleanup. `None`: it passes the function by, or there is no table in
    /// the form that g++ and clang write (Itanium C++ ABI, "Exception Handling Tables").
    pub fn landing_pad(&self, at: FileAddr) -> Option<FileAddr> {
        let (start, table) = self.language_data(at)?;
        let table = match table {
            Pointer::Direct(table) => FileAddr(table),
            Pointer::Indirect(_) => return None,
        };
        let bytes = self.bytes_from(table, MOST)?;
        find_pad(bytes, at.0.checked_sub(start.0)?).map(|pad| FileAddr(start.0.wrapping_add(pad)))
    }
}

/// The landing pad of the call `offset` bytes into a function, as such an offset.
fn find_pad(table: &[u8], offset: u64) -> Option<u64> {
    let mut input = EndianSlice::new(table, LittleEndian);
    if input.read_u8().ok()? != OMITTED {
        // Pads that are counted from elsewhere than the function's start.
        return None;
    }
    if input.read_u8().ok()? != OMITTED {
        input.read_uleb128().ok()?;
    }
    let encoding = input.read_u8().ok()?;
    let length = input.read_uleb128().ok()?;
    let mut calls = input.split(usize::try_from(length).ok()?).ok()?;
    while !calls.is_empty() {
        let start = read_value(&mut calls, encoding)?;
        let length = read_value(&mut calls, encoding)?;
        let pad = read_value(&mut calls, encoding)?;
        calls.read_uleb128().ok()?;
        if start > offset {
            // They are sorted.
            return None;
        }
        if offset - start < length {
            return (pad != 0).then_some(pad);
        }
    }
    None
}

/// DW_EH_PE_uleb128, udata2, udata4 and udata8, which are what compilers use there.
fn read_value(input: &mut EndianSlice<'_, LittleEndian>, encoding: u8) -> Option<u64> {
    match encoding {
        0x01 => input.read_uleb128().ok(),
        0x02 => input.read_u16().ok().map(u64::from),
        0x03 => input.read_u32().ok().map(u64::from),
        0x04 => input.read_u64().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_the_pad_of_its_range() {
        // No LPStart; a type table 16 bytes on; uleb128; 8 bytes of calls: 0x10+5 -> 0x40, 0x20+8 -> none.
        let table = [0xff, 0x9b, 0x10, 0x01, 0x08, 0x10, 0x05, 0x40, 0x01, 0x20, 0x08, 0x00, 0x00];
        assert_eq!(find_pad(&table, 0x10), Some(0x40));
        assert_eq!(find_pad(&table, 0x14), Some(0x40));
        assert_eq!(find_pad(&table, 0x15), None);
        assert_eq!(find_pad(&table, 0x22), None);
        assert_eq!(find_pad(&table, 0x0), None);
        for cut in 0..table.len() {
            assert_eq!(find_pad(&table[..cut], 0x22), None, "cut after {cut}");
        }
    }

    #[test]
    fn a_form_that_is_not_known_gives_no_pad() {
        assert_eq!(find_pad(&[0x1b, 0, 0, 0, 0, 0xff, 0x01, 0x00], 0), None);
        assert_eq!(find_pad(&[0xff, 0xff, 0x0b, 0x04, 0, 0, 0, 0], 0), None);
        assert_eq!(find_pad(&[0xff, 0xff, 0x01, 0xff, 0xff, 0xff, 0xff, 0x0f], 0), None);
    }
}
