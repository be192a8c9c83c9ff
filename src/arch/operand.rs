//! Operands of emulated instructions, decoded once.

use crate::base::{MemError, Memory, Regs, VirtAddr};

use super::register::{mask, Slot, View};

/// What is added to every address of an operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SegmentBase {
    Flat,
    Fs,
    Gs,
}

/// How many bits the address computation has: 32 with an address-size prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AddressSize {
    Bits32,
    Bits64,
}

/// A memory operand's address: base + index * scale + displacement. A rip-relative one is a displacement alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) base: Option<Slot>,
    pub(super) index: Option<Slot>,
    pub(super) scale: u8,
    pub(super) segment: SegmentBase,
    pub(super) size: AddressSize,
    pub(super) displacement: u64,
}

impl Address {
    /// The offset within the segment, as lea gives it.
    #[inline]
    pub(super) fn offset(&self, regs: &Regs) -> u64 {
        let base = self.base.map_or(0, |slot| slot.get(regs));
        let index = self.index.map_or(0, |slot| slot.get(regs).wrapping_mul(u64::from(self.scale)));
        let sum = base.wrapping_add(index).wrapping_add(self.displacement);
        match self.size {
            AddressSize::Bits32 => sum & 0xffff_ffff,
            AddressSize::Bits64 => sum,
        }
    }

    #[inline]
    pub(super) fn resolve(&self, regs: &Regs) -> VirtAddr {
        let base = match self.segment {
            SegmentBase::Flat => 0,
            SegmentBase::Fs => regs.fs_base,
            SegmentBase::Gs => regs.gs_base,
        };
        VirtAddr(self.offset(regs).wrapping_add(base))
    }
}

/// What can be read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Register(View),
    Memory { at: Address, width: u8 },
}

/// What can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Place(Place),
    Immediate(u64),
}

impl Place {
    #[inline]
    pub(super) fn width(&self) -> u8 {
        match self {
            Place::Register(view) => view.width,
            Place::Memory { width, .. } => *width,
        }
    }

    #[inline]
    pub(super) fn read(&self, regs: &Regs, mem: &dyn Memory) -> Result<u64, MemError> {
        match self {
            Place::Register(view) => Ok(view.read(regs)),
            Place::Memory { at, width } => read_word(mem, at.resolve(regs), *width),
        }
    }

    #[inline]
    pub(super) fn write(&self, regs: &mut Regs, mem: &mut dyn Memory, value: u64) -> Result<(), MemError> {
        match self {
            Place::Register(view) => {
                view.write(regs, value);
                Ok(())
            }
            Place::Memory { at, width } => write_word(mem, at.resolve(regs), *width, value),
        }
    }
}

impl Value {
    #[inline]
    pub(super) fn read(&self, regs: &Regs, mem: &dyn Memory) -> Result<u64, MemError> {
        match self {
            Value::Place(place) => place.read(regs, mem),
            Value::Immediate(value) => Ok(*value),
        }
    }

    pub(super) fn is_memory(&self) -> bool {
        matches!(self, Value::Place(Place::Memory { .. }))
    }
}

/// A little-endian word of 1 to 8 bytes.
pub(super) fn read_word(mem: &dyn Memory, at: VirtAddr, width: u8) -> Result<u64, MemError> {
    let mut word = [0u8; 8];
    mem.read_exact(at, &mut word[..usize::from(width)])?;
    Ok(u64::from_le_bytes(word) & mask(width))
}

/// The low `width` bytes of `value`, little-endian.
pub(super) fn write_word(mem: &mut dyn Memory, at: VirtAddr, width: u8, value: u64) -> Result<(), MemError> {
    mem.write_mem(at, &value.to_le_bytes()[..usize::from(width)])
}
