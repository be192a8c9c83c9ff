//! A displaced instruction's copy, made to run at another address.

use iced_x86::{Decoder, DecoderOptions, Instruction, Register as IcedRegister};

use crate::base::VirtAddr;

use super::ArchError;

/// How many bytes a scratch slot has, at a multiple of so many: the longest instruction (15), the jump (6), and where to.
pub const SLOT_SIZE: u64 = 32;

const LONGEST_INSTRUCTION: usize = 15;
/// What stands where nobody goes.
const INT3: u8 = 0xcc;

/// `jmp qword [rip+..]`, without the displacement.
const JUMP_BACK: [u8; 2] = [0xff, 0x25];
const JUMP_LENGTH: usize = 6;
/// Where in the slot the jump finds its target. Aligned: a program can have set AC, and unaligned reads fault then.
const BACK_AT: usize = 24;

/// What stands at the displacement of the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Displacement {
    /// Nothing that depends on where the instruction is.
    Fixed,
    /// Four bytes, `offset` bytes into the instruction, that count from its end to `operand`.
    Relative { offset: usize, operand: VirtAddr, wrap: Wrap },
}

/// The size of the rip-relative computation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrap {
    /// With an address-size prefix every operand is within reach.
    Bits32,
    Bits64,
}

/// An instruction that is run out of line, in a scratch slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfLine {
    /// The length of the original instruction in bytes.
    pub length: u8,
    site: VirtAddr,
    bytes: [u8; LONGEST_INSTRUCTION],
    displacement: Displacement,
}

impl OutOfLine {
    /// `instruction` was decoded from the start of `bytes`.
    pub(super) fn of(site: VirtAddr, bytes: &[u8], instruction: &Instruction) -> Option<OutOfLine> {
        let original = bytes.get(..instruction.len())?;
        let mut copy = [0; LONGEST_INSTRUCTION];
        copy.get_mut(..original.len())?.copy_from_slice(original);
        let displacement = if instruction.is_ip_rel_memory_operand() {
            // The decoder tells offsets of the instruction that it decoded last.
            let mut decoder = Decoder::with_ip(64, original, site.0, DecoderOptions::AMD);
            let again = decoder.decode();
            let offsets = decoder.get_constant_offsets(&again);
            if offsets.displacement_size() != 4 || offsets.displacement_offset() + 4 > original.len() {
                return None;
            }
            let wrap = if instruction.memory_base() == IcedRegister::EIP { Wrap::Bits32 } else { Wrap::Bits64 };
            let operand = VirtAddr(instruction.ip_rel_memory_address());
            Displacement::Relative { offset: offsets.displacement_offset(), operand, wrap }
        } else {
            Displacement::Fixed
        };
        Some(OutOfLine { length: u8::try_from(original.len()).ok()?, site, bytes: copy, displacement })
    }

    /// The [`SLOT_SIZE`] bytes to write to a slot: the instruction, then a jump to the one after the original.
    pub fn code_at(&self, slot: VirtAddr) -> Result<Vec<u8>, ArchError> {
        let length = usize::from(self.length);
        let mut code = self.bytes[..length].to_vec();
        if let Displacement::Relative { offset, operand, wrap } = self.displacement {
            let distance = operand.since(slot.offset(u64::from(self.length))) as i64;
            let reached = match wrap {
                Wrap::Bits64 => i32::try_from(distance).map_err(|_| ArchError::TooFar { slot, operand })?,
                Wrap::Bits32 => distance as i32,
            };
            code[offset..offset + 4].copy_from_slice(&reached.to_le_bytes());
        }
        code.extend_from_slice(&JUMP_BACK);
        code.extend_from_slice(&((BACK_AT - length - JUMP_LENGTH) as u32).to_le_bytes());
        code.resize(BACK_AT, INT3);
        code.extend_from_slice(&self.next().0.to_le_bytes());
        Ok(code)
    }

    /// The length of the copy in the slot. A thread whose pc is less than that past the slot's start has not executed
    /// it yet (or is in the middle of a repeated string instruction, or faulted there) and belongs at the site; one
    /// whose pc is there or beyond has, and belongs at [`OutOfLine::next`].
    pub fn copied_length(&self) -> u8 {
        self.length
    }

    /// Where the original stands.
    pub fn site(&self) -> VirtAddr {
        self.site
    }

    /// The instruction after the original.
    pub fn next(&self) -> VirtAddr {
        self.site.offset(u64::from(self.length))
    }

    /// What a rip-relative operand refers to, within 2 GiB of which the slot must be; `None` if any slot will do.
    pub fn operand(&self) -> Option<VirtAddr> {
        match self.displacement {
            Displacement::Relative { operand, wrap: Wrap::Bits64, .. } => Some(operand),
            Displacement::Relative { wrap: Wrap::Bits32, .. } | Displacement::Fixed => None,
        }
    }

    /// Where a thread belongs whose pc is `pc`, in a slot that holds this copy; `None` if it is not in the slot.
    pub fn original_pc(&self, slot: VirtAddr, pc: VirtAddr) -> Option<VirtAddr> {
        match pc.since(slot) {
            0 => Some(self.site),
            past if past < u64::from(self.length) => Some(self.site),
            past if past < SLOT_SIZE => Some(self.next()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::step_over::{decode_one, plan_out_of_line};
    use super::*;

    const SITE: VirtAddr = VirtAddr(0x7f00_0000_1000);

    #[test]
    fn the_copy_of_a_rip_relative_load_reaches_the_same_operand() {
        // cmp dword [rip+0x100], 5: the displacement is not last.
        let bytes = [0x83, 0x3d, 0x00, 0x01, 0x00, 0x00, 0x05];
        let plan = plan_out_of_line(SITE, &bytes).unwrap();
        assert_eq!(plan.operand(), Some(VirtAddr(0x7f00_0000_1107)));
        for slot in [SITE.offset(0x1_0000), VirtAddr(SITE.0 - 0x7000_0000)] {
            let code = plan.code_at(slot).unwrap();
            let moved = decode_one(slot, &code).unwrap();
            assert_eq!(moved.ip_rel_memory_address(), 0x7f00_0000_1107);
            assert_eq!((moved.len(), moved.immediate8to32()), (7, 5));
            assert_eq!(code[7..13], [0xff, 0x25, 11, 0, 0, 0]);
            assert_eq!(code[24..], 0x7f00_0000_1007u64.to_le_bytes());
        }
        let far = VirtAddr(SITE.0 - 0x1_0000_0000);
        assert_eq!(plan.code_at(far), Err(ArchError::TooFar { slot: far, operand: VirtAddr(0x7f00_0000_1107) }));
    }

    #[test]
    fn other_instructions_are_copied_as_they_are_and_fit_a_slot() {
        let bytes = [0xf3, 0x48, 0xa5, 0x90];
        let plan = plan_out_of_line(SITE, &bytes).unwrap();
        let code = plan.code_at(VirtAddr(0x10_0000)).unwrap();
        assert_eq!((&code[..3], code.len()), (&bytes[..3], SLOT_SIZE as usize));
        assert_eq!((plan.length, plan.copied_length()), (3, 3));
        let slot = VirtAddr(0x10_0000);
        assert_eq!(plan.original_pc(slot, slot.offset(0)), Some(SITE));
        assert_eq!(plan.original_pc(slot, slot.offset(3)), Some(SITE.offset(3)));
        assert_eq!(plan.original_pc(slot, slot.offset(SLOT_SIZE)), None);
        assert!(LONGEST_INSTRUCTION + JUMP_LENGTH <= BACK_AT && BACK_AT + 8 == SLOT_SIZE as usize);
    }
}
