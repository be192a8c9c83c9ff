//! `std::string` of each standard library, read from memory.

use crate::base::{ReadMem, VirtAddr};
use crate::target::syscalls::{quote, Rest, TEXT_LIMIT};

/// No string is believed to be longer: what says so is no string.
const LONGEST: u64 = 1 << 40;

/// How a `std::string` is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextLayout {
    /// libstdc++ since GCC 5: {data, size, 16 bytes of local buffer or capacity}.
    Cxx11,
    /// libstdc++ before: {data}, with {size, capacity, references} before the data.
    CopyOnWrite,
    /// libc++: a bit says whether the 24 bytes hold the text. Both of its layouts are tried.
    Libcxx,
    /// The name says only `std::string`: libstdc++'s.
    Either,
}

/// Where a text's bytes are.
struct Bytes {
    data: VirtAddr,
    size: u64,
}

impl TextLayout {
    /// The layout for a type that is written `std::string`, or `std::__1::string`.
    pub fn of_short_name(text: &str) -> TextLayout {
        match text {
            "std::__cxx11::string" => TextLayout::Cxx11,
            "std::string" => TextLayout::Either,
            _ => TextLayout::Libcxx,
        }
    }

    /// The text of the string object at `at`, quoted. None: no string is there.
    pub fn read(self, mem: &dyn ReadMem, at: VirtAddr) -> Option<String> {
        let bytes = match self {
            TextLayout::Cxx11 => cxx11(mem, at),
            TextLayout::CopyOnWrite => copy_on_write(mem, at),
            TextLayout::Either => cxx11(mem, at).or_else(|| copy_on_write(mem, at)),
            TextLayout::Libcxx => libcxx(mem, at),
        }?;
        read_text(mem, bytes.data, bytes.size)
    }
}

/// `size` bytes of text at `data`, quoted. None: they cannot be there.
pub fn read_text(mem: &dyn ReadMem, data: VirtAddr, size: u64) -> Option<String> {
    if size == 0 {
        return Some("\"\"".to_owned());
    }
    if size > LONGEST {
        return None;
    }
    let wanted = usize::try_from(size.min(TEXT_LIMIT as u64)).ok()?;
    let mut bytes = vec![0; wanted];
    mem.read_exact(data, &mut bytes).ok()?;
    let rest = if wanted as u64 == size { Rest::Complete } else { Rest::More };
    Some(quote(&bytes, rest))
}

fn cxx11(mem: &dyn ReadMem, at: VirtAddr) -> Option<Bytes> {
    let (data, size) = (mem.read_u64(at).ok()?, mem.read_u64(at.offset(8)).ok()?);
    let capacity = if data == at.offset(16).0 { 15 } else { mem.read_u64(at.offset(16)).ok()? };
    (size <= capacity && capacity < LONGEST && ends(mem, data, size)).then_some(Bytes { data: VirtAddr(data), size })
}

fn copy_on_write(mem: &dyn ReadMem, at: VirtAddr) -> Option<Bytes> {
    let data = mem.read_u64(at).ok()?;
    let header = VirtAddr(data.wrapping_sub(24));
    let (size, capacity) = (mem.read_u64(header).ok()?, mem.read_u64(header.offset(8)).ok()?);
    (size <= capacity && capacity < LONGEST && ends(mem, data, size)).then_some(Bytes { data: VirtAddr(data), size })
}

/// A string keeps a NUL behind its text.
fn ends(mem: &dyn ReadMem, data: u64, size: u64) -> bool {
    let mut end = [1];
    mem.read_exact(VirtAddr(data.wrapping_add(size)), &mut end).is_ok() && end == [0]
}

/// libc++'s usual layout has the bit in the first byte, its alternative one (ABI version 2) in the last.
fn libcxx(mem: &dyn ReadMem, at: VirtAddr) -> Option<Bytes> {
    let mut object = [0; 24];
    mem.read_exact(at, &mut object).ok()?;
    let word = |index: usize| {
        object[index * 8..index * 8 + 8].iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let long = |data: u64, size: u64, capacity: u64| {
        let fits = size < capacity && capacity < LONGEST && ends(mem, data, size);
        fits.then_some(Bytes { data: VirtAddr(data), size })
    };
    let short = |size: u8, data: usize| {
        let end = data + usize::from(size);
        let is_text = size <= 22 && object[end] == 0;
        is_text.then_some(Bytes { data: at.offset(data as u64), size: size.into() })
    };
    let usual = match object[0] & 1 {
        1 => long(word(2), word(1), word(0) & !1),
        _ => short(object[0] >> 1, 1),
    };
    usual.or_else(|| match object[23] & 0x80 {
        0 => short(object[23], 0),
        _ => long(word(0), word(1), word(2) & !(1 << 63)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::fake_memory::FakeMemory;

    const AT: u64 = 0x7000;

    fn read(layout: TextLayout, mem: &FakeMemory) -> Option<String> {
        layout.read(mem, VirtAddr(AT))
    }

    #[test]
    fn libstdcxx_strings_short_and_long() {
        let short = FakeMemory::default().with_words(AT, &[AT + 16, 5, 0x6f_6c6c_6568, 0]);
        assert_eq!(read(TextLayout::Cxx11, &short).as_deref(), Some("\"hello\""));
        let long = FakeMemory::default().with_words(AT, &[0x8000, 20, 30, 0]).with(0x8000, b"twenty bytes of text\0");
        assert_eq!(read(TextLayout::Cxx11, &long).as_deref(), Some("\"twenty bytes of text\""));
        assert_eq!(read(TextLayout::Either, &long).as_deref(), Some("\"twenty bytes of text\""));
        let absurd = FakeMemory::default().with_words(AT, &[0x8000, u64::MAX, u64::MAX, 0]).with(0x8000, b"x");
        assert_eq!(read(TextLayout::Cxx11, &absurd), None);
    }

    #[test]
    fn a_copy_on_write_string_has_its_size_before_its_text() {
        let mut piece: Vec<u8> = [5u64, 5, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
        piece.extend_from_slice(b"hello\0");
        let mem = FakeMemory::default().with_words(AT, &[0x8018]).with(0x8000, &piece);
        assert_eq!(read(TextLayout::CopyOnWrite, &mem).as_deref(), Some("\"hello\""));
        assert_eq!(read(TextLayout::Either, &mem).as_deref(), Some("\"hello\""));
    }

    #[test]
    fn libcxx_strings_in_both_layouts() {
        let mut short = [0u8; 24];
        short[0] = 5 << 1;
        short[1..6].copy_from_slice(b"hello");
        let mem = FakeMemory::default().with(AT, &short);
        assert_eq!(read(TextLayout::Libcxx, &mem).as_deref(), Some("\"hello\""));
        let text = b"a text that is longer than 22 bytes\0";
        let long = FakeMemory::default().with_words(AT, &[49, 35, 0x8000]).with(0x8000, text);
        assert_eq!(read(TextLayout::Libcxx, &long).as_deref(), Some("\"a text that is longer than 22 bytes\""));
        let mut short = [0u8; 24];
        short[..5].copy_from_slice(b"hello");
        short[23] = 5;
        let mem = FakeMemory::default().with(AT, &short);
        assert_eq!(read(TextLayout::Libcxx, &mem).as_deref(), Some("\"hello\""));
        let long = FakeMemory::default().with_words(AT, &[0x8000, 35, 48 | 1 << 63]).with(0x8000, text);
        assert_eq!(read(TextLayout::Libcxx, &long).as_deref(), Some("\"a text that is longer than 22 bytes\""));
    }

    #[test]
    fn a_long_text_is_cut_and_a_null_view_is_empty() {
        let mem = FakeMemory::default().with(0x8000, &[b'a'; 100]);
        assert_eq!(read_text(&mem, VirtAddr(0x8000), 100), Some(format!("\"{}\"...", "a".repeat(64))));
        assert_eq!(read_text(&mem, VirtAddr(0), 0).as_deref(), Some("\"\""));
    }
}
