//! Views of one process's memory.

use std::cell::RefCell;

use crate::base::{Inferior, MemError, Memory, Pid, ReadMem, Tid, VirtAddr};

/// Memory to read, with rdbg's patches in it.
pub(in crate::engine) struct RawMemory<'a, I: Inferior> {
    pub(in crate::engine) inferior: &'a I,
    pub(in crate::engine) pid: Pid,
}

impl<I: Inferior> ReadMem for RawMemory<'_, I> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        self.inferior.read_mem(self.pid, at, buf)
    }
}

/// Memory as a thread's own instructions reach it: what is protected from the program is protected here too.
pub(in crate::engine) struct ThreadMemory<'a, I: Inferior> {
    pub(in crate::engine) inferior: &'a mut I,
    pub(in crate::engine) tid: Tid,
}

impl<I: Inferior> ReadMem for ThreadMemory<'_, I> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        self.inferior.load(self.tid, at, buf).map(|()| buf.len())
    }
}

impl<I: Inferior> Memory for ThreadMemory<'_, I> {
    fn write_mem(&mut self, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        self.inferior.store(self.tid, at, bytes)
    }
}

/// Memory read page by page and kept: a stack walk reads many words of few pages. Only for a task that stands still.
pub(in crate::engine) struct CachedMemory<'a> {
    raw: &'a dyn ReadMem,
    pages: RefCell<Vec<(u64, Vec<u8>)>>,
}

/// The size of what is read at once, bytes.
const PAGE: u64 = 4096;
/// How many pages are kept.
const KEPT: usize = 64;

impl<'a> CachedMemory<'a> {
    /// Nothing read yet.
    pub(in crate::engine) fn new(raw: &'a dyn ReadMem) -> Self {
        Self { raw, pages: RefCell::new(Vec::new()) }
    }

    /// The readable start of a page.
    fn with_page<T>(&self, page: u64, use_it: impl FnOnce(&[u8]) -> T) -> Result<T, MemError> {
        let mut pages = self.pages.borrow_mut();
        if let Some((_, bytes)) = pages.iter().find(|(start, _)| *start == page) {
            return Ok(use_it(bytes));
        }
        let mut bytes = vec![0; PAGE as usize];
        let got = self.raw.read_mem(VirtAddr(page), &mut bytes)?;
        bytes.truncate(got);
        let answer = use_it(&bytes);
        if pages.len() >= KEPT {
            pages.remove(0);
        }
        pages.push((page, bytes));
        Ok(answer)
    }
}

impl ReadMem for CachedMemory<'_> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        let mut done = 0;
        while done < buf.len() {
            let from = at.offset(done as u64);
            let (page, skip) = (from.0 & !(PAGE - 1), (from.0 & (PAGE - 1)) as usize);
            let copied = self.with_page(page, |bytes| {
                let part = bytes.get(skip..).unwrap_or_default();
                let length = part.len().min(buf.len() - done);
                buf[done..done + length].copy_from_slice(&part[..length]);
                length
            });
            match copied {
                Ok(0) => break,
                Ok(length) => done += length,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if done == 0 && !buf.is_empty() {
            Err(MemError::Unmapped(at))
        } else {
            Ok(done)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mapped up to 0x3000; each byte is the low byte of its address.
    struct Ramp;

    impl ReadMem for Ramp {
        fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
            let length = (0x3000u64.saturating_sub(at.0) as usize).min(buf.len());
            for (i, byte) in buf[..length].iter_mut().enumerate() {
                *byte = (at.0 + i as u64) as u8;
            }
            if length == 0 {
                Err(MemError::Unmapped(at))
            } else {
                Ok(length)
            }
        }
    }

    #[test]
    fn kept_pages_read_like_the_memory_itself_across_their_edges_and_at_the_end() {
        let cached = CachedMemory::new(&Ramp);
        let mut buf = [0; 16];
        assert_eq!(cached.read_mem(VirtAddr(0x1ff8), &mut buf), Ok(16));
        assert_eq!(buf[..4], [0xf8, 0xf9, 0xfa, 0xfb]);
        assert_eq!(cached.read_mem(VirtAddr(0x2ffc), &mut buf), Ok(4));
        assert_eq!(cached.read_mem(VirtAddr(0x3000), &mut buf), Err(MemError::Unmapped(VirtAddr(0x3000))));
    }
}
