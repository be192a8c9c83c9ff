//! A caller by the chain of frame pointers.

use super::code;
use super::frame::{FrameRegs, RBP, RSP};
use crate::base::{ReadMem, VirtAddr};
use crate::target::AddressSpace;

/// The caller of a frame whose function keeps rbp as its frame pointer: [rbp] is the caller's rbp, [rbp + 8] the return
/// address, rbp + 16 the CFA.
///
/// # Errors
/// rbp cannot be a frame pointer; why, with addresses.
pub fn step(space: &AddressSpace, regs: &FrameRegs, mem: &dyn ReadMem) -> Result<(FrameRegs, VirtAddr), String> {
    let fp = regs.fp().ok_or("rbp is lost")?;
    if fp.0 % 8 != 0 {
        return Err(format!("rbp {fp} is not aligned"));
    }
    if let Some(sp) = regs.sp().filter(|sp| fp < *sp) {
        return Err(format!("rbp {fp} lies below rsp {sp}"));
    }
    let saved = mem.read_u64(fp).map_err(|error| format!("no frame at rbp: {error}"))?;
    let pc = mem.read_u64(fp.offset(8)).map_err(|error| format!("no frame at rbp: {error}"))?;
    let cfa = fp.offset(16);
    // What the function saved of the other registers is not known without rules, so all others are lost. The saved rbp
    // may be any number: a caller with frame information may keep what it likes in it.
    let mut caller = FrameRegs::default();
    caller.set(RBP, Some(saved));
    caller.set(RSP, Some(cfa.0));
    caller.pc = VirtAddr(pc);
    check_return_address(space, mem, caller.pc, fp.offset(8))?;
    Ok((caller, cfa))
}

/// Whether a word can be a return address: in code, behind a call or at the start of a function (where makecontext and
/// its like begin).
///
/// # Errors
/// It cannot; why.
pub fn check_return_address(
    space: &AddressSpace,
    mem: &dyn ReadMem,
    pc: VirtAddr,
    found_at: VirtAddr,
) -> Result<(), String> {
    if pc.0 == 0 || code::follows_call(mem, pc) {
        return match space.module_at(pc) {
            Some(module) if !module.is_executable(pc) => {
                Err(format!("the word {pc} at {found_at} points into data of {}", module.name()))
            }
            _ => Ok(()),
        };
    }
    match space.find_symbol(pc) {
        Some(named) if named.offset <= 1 && space.is_executable(pc) => Ok(()),
        _ => Err(format!("the word {pc} at {found_at} is not a return address: no call is before it")),
    }
}
