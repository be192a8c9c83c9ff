//! The frame that the kernel makes for a signal handler.

use super::frame::{FrameRegs, RSP};
use crate::base::{MemError, ReadMem, VirtAddr};

/// Where `uc_mcontext` begins in `struct ucontext` (asm/ucontext.h: flags, link, and a stack_t of 24 bytes).
const CONTEXT: u64 = 40;
/// The words of `struct sigcontext` (asm/sigcontext.h) in order, as DWARF numbers; rip follows.
const ORDER: [u16; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, RSP];

/// The registers as they were when the signal struck. `sp` is rsp in the code that returns from the handler, where the
/// `struct ucontext` of `struct rt_sigframe` stands.
///
/// # Errors
/// The frame cannot be read.
pub fn read_interrupted(mem: &dyn ReadMem, sp: VirtAddr) -> Result<FrameRegs, MemError> {
    let mut words = [0; 17 * 8];
    mem.read_exact(sp.offset(CONTEXT), &mut words)?;
    let mut values =
        words.chunks_exact(8).map(|word| word.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte)));
    let mut regs = FrameRegs::default();
    for register in ORDER {
        regs.set(register, values.next());
    }
    regs.pc = VirtAddr(values.next().unwrap_or_default());
    Ok(regs)
}
