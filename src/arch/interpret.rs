//! A small function of the process carried out without the process: what an IFUNC's resolver would choose.

use std::collections::HashMap;

use iced_x86::Instruction;

use crate::base::{MemError, Memory, ReadMem, Regs, VirtAddr};

use super::disassemble::format_instruction;
use super::step_over::{decode_one, emulation_of};
use super::ArchError;

/// Where the interpreted function returns to: no canonical address, so that nothing real can be there.
const RETURN: VirtAddr = VirtAddr(0xdead_0000_0000_0000);

/// What the psABI leaves to a function below its stack pointer (3.2.2).
const RED_ZONE: u64 = 128;

/// Runs the function at `entry`, as if called with `regs` (rsp is a thread's own stack pointer, or any address), until it
/// returns, and gives its result, rax. The memory is only read: what the function writes goes to a private overlay. An
/// instruction whose answer only the CPU knows (cpuid, xgetbv), or that is not emulated, is an error.
pub fn interpret_function(
    entry: VirtAddr,
    regs: Regs,
    mem: &dyn ReadMem,
    max_instructions: u32,
) -> Result<u64, ArchError> {
    let mut regs = regs;
    let mut overlay = Overlay { below: mem, written: HashMap::new() };
    // At a function's entry rsp + 8 is a multiple of 16.
    regs.rsp = (regs.rsp.wrapping_sub(RED_ZONE) & !0xf).wrapping_sub(8);
    overlay.write_mem(regs.sp(), &RETURN.0.to_le_bytes())?;
    regs.rip = entry.0;
    for _ in 0..max_instructions {
        let at = regs.pc();
        let instruction = fetch(&overlay, at)?;
        let emulation = emulation_of(&instruction)
            .ok_or_else(|| ArchError::NotInterpretable { at, text: format_instruction(&instruction) })?;
        emulation.run(&mut regs, &mut overlay)?;
        if regs.pc() == RETURN {
            return Ok(regs.rax);
        }
    }
    Err(ArchError::TooLong { entry, limit: max_instructions })
}

fn fetch(mem: &dyn ReadMem, at: VirtAddr) -> Result<Instruction, ArchError> {
    let mut bytes = [0; 15];
    let got = mem.read_mem(at, &mut bytes)?;
    decode_one(at, bytes.get(..got).unwrap_or_default())
}

/// Memory whose writes stay here.
struct Overlay<'a> {
    below: &'a dyn ReadMem,
    written: HashMap<VirtAddr, u8>,
}

impl ReadMem for Overlay<'_> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        let below = self.below.read_mem(at, buf);
        let mut known = below.unwrap_or(0);
        for (index, byte) in buf.iter_mut().enumerate() {
            match self.written.get(&at.offset(index as u64)) {
                Some(written) => {
                    *byte = *written;
                    known = known.max(index + 1);
                }
                None if index >= known => break,
                None => {}
            }
        }
        if known == 0 {
            below
        } else {
            Ok(known)
        }
    }
}

impl Memory for Overlay<'_> {
    fn write_mem(&mut self, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        self.written.extend((0u64..).zip(bytes).map(|(index, byte)| (at.offset(index), *byte)));
        Ok(())
    }
}
