//! A caller by call frame information.

use super::expression;
use super::frame::{FrameRegs, RSP};
use crate::base::{ReadMem, VirtAddr};
use crate::binary::{CfaRule, FrameKind, RegisterRule, UnwindRow};

/// What the rules of one address make of one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// There is none: the return address is undefined.
    None,
    /// A caller, and the CFA of the frame that it called.
    Found {
        /// Its registers.
        regs: FrameRegs,
        /// The callee's CFA.
        cfa: VirtAddr,
    },
}

/// Applies a row to a frame's registers.
///
/// # Errors
/// Memory that cannot be read, a register that is lost, or a rule that cannot be followed; which, as text.
pub fn apply(row: &UnwindRow, regs: &FrameRegs, mem: &dyn ReadMem) -> Result<Caller, String> {
    let cfa = match &row.cfa {
        CfaRule::RegisterOffset { register, offset } => {
            let base = regs.get(*register).ok_or_else(|| format!("the CFA's register {register} is lost"))?;
            base.wrapping_add_signed(*offset)
        }
        CfaRule::Expression(bytes) => expression::evaluate(bytes, None, regs, mem)?,
    };
    // A signal interrupts anywhere: what the rules do not name is as it was only where nothing could change it.
    let mut caller = regs.kept_by_callee();
    caller.set(RSP, Some(cfa));
    let mut return_address = None;
    for (register, rule) in &row.registers {
        let is_return = *register == row.return_address_register;
        let value = match recover(rule, *register, cfa, regs, mem) {
            Ok(value) => value,
            // One register that is lost does not end a walk; the return address does.
            Err(reason) if is_return => return Err(reason),
            Err(_) => None,
        };
        if is_return {
            match value {
                None if *rule == RegisterRule::Undefined => return Ok(Caller::None),
                None => return Err(format!("the return address of the frame at {cfa:#x} is lost")),
                Some(_) => return_address = value,
            }
        } else {
            caller.set(*register, value);
        }
    }
    let Some(pc) = return_address else {
        return match row.is_signal_frame {
            FrameKind::Normal => Err(format!("no rule for the return address at CFA {cfa:#x}")),
            FrameKind::Signal => Err(format!("the signal frame at {cfa:#x} does not say where the signal struck")),
        };
    };
    caller.pc = VirtAddr(pc);
    Ok(Caller::Found { regs: caller, cfa: VirtAddr(cfa) })
}

/// The caller's value of one register; None: it is lost.
fn recover(
    rule: &RegisterRule,
    register: u16,
    cfa: u64,
    regs: &FrameRegs,
    mem: &dyn ReadMem,
) -> Result<Option<u64>, String> {
    let read = |at: u64| mem.read_u64(VirtAddr(at)).map(Some).map_err(|error| error.to_string());
    match rule {
        RegisterRule::Undefined => Ok(None),
        RegisterRule::SameValue => Ok(regs.get(register)),
        RegisterRule::Offset(offset) => read(cfa.wrapping_add_signed(*offset)),
        RegisterRule::ValOffset(offset) => Ok(Some(cfa.wrapping_add_signed(*offset))),
        RegisterRule::Register(other) => Ok(regs.get(*other)),
        RegisterRule::Expression(bytes) => read(expression::evaluate(bytes, Some(cfa), regs, mem)?),
        RegisterRule::ValExpression(bytes) => expression::evaluate(bytes, Some(cfa), regs, mem).map(Some),
    }
}
