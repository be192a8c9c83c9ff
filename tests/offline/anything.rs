//! A frame in which every question has an answer, for debug information that may say anything: the damaged programs of the tests
//! and the fuzzer's.

use rdbg::base::{MemError, ReadMem, VirtAddr};
use rdbg::binary::dwarf::{FrameState, TypeId, Types};
use rdbg::lang::typed::{Held, Inspector, Style, TypedValue};
use rdbg::lang::NoLabels;

/// A frame and memory full of small numbers, some of which are addresses that can be read.
pub struct Anything;

impl ReadMem for Anything {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        if at.0 > 1 << 20 {
            return Err(MemError::Unmapped(at));
        }
        buf.iter_mut().zip(at.0..).for_each(|(byte, at)| *byte = if at % 8 == 0 { (at / 8 % 251) as u8 } else { 0 });
        Ok(buf.len())
    }
}

impl FrameState for Anything {
    fn register(&self, number: u16) -> Option<u64> {
        Some(u64::from(number) * 64)
    }

    fn cfa(&self) -> Option<u64> {
        Some(0x1000)
    }

    fn bias(&self) -> u64 {
        0
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Option<()> {
        self.read_exact(VirtAddr(at), into).ok()
    }

    fn thread_local(&self, offset: u64) -> Result<u64, String> {
        Ok(offset)
    }

    fn entry_register(&self, number: u16) -> Option<u64> {
        Some(u64::from(number))
    }
}

/// Asks all that can be asked of a type, and for what lies in memory as one of it.
pub fn look_at_type(types: &Types<'_>, id: TypeId) {
    let inspector = Inspector::new(types, &Anything, &NoLabels, Style::default());
    let _ = (types.name(id), types.declaration(id, "it"), types.keyword(id), types.enumerators(id));
    let _ = (types.template_arguments(id), types.variants(id), types.definition(id));
    let _ = inspector.show(&TypedValue { ty: id, place: Held::Memory(VirtAddr(0x400)) });
}
