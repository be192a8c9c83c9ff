//! A caller by call frame information.

use super::expression;
use super::frame::{FrameRegs, RSP};
use crate::base::{ReadMem, VirtAddr};
use crate::binary::{CfaRule, FrameKind, RegisterRule, UnwindRow};

/// A frame's caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Its registers.
    pub regs: FrameRegs,
    /// The CFA of the frame that it called.
    pub cfa: VirtAddr,
}

/// Applies a row to a frame's registers. `Ok(None)`: there is no caller, the return address is undefined.
///
/// # Errors
/// Memory that cannot be read, a register that is lost, or a rule that cannot be followed; which, as text.
pub fn apply(row: &UnwindRow, regs: &FrameRegs, mem: &dyn ReadMem) -> Result<Option<Caller>, String> {
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
                None if *rule == RegisterRule::Undefined => return Ok(None),
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
    Ok(Some(Caller { regs: caller, cfa: VirtAddr(cfa) }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Regs;
    use crate::target::fake_memory::FakeMemory;

    fn row(cfa: CfaRule, registers: Vec<(u16, RegisterRule)>) -> UnwindRow {
        UnwindRow { cfa, registers, return_address_register: 16, is_signal_frame: FrameKind::Normal }
    }

    fn regs() -> FrameRegs {
        FrameRegs::from(&Regs { rsp: 0x7000, rbp: 0xb, rbx: 3, rdi: 5, rip: 0x40_1000, ..Regs::default() })
    }

    #[test]
    fn callee_saved_registers_come_back_and_the_others_are_lost() {
        let mem = FakeMemory::default().with_words(0x7000, &[0xbbb, 0x40_2000]);
        let rules = vec![(6, RegisterRule::Offset(-16)), (16, RegisterRule::Offset(-8))];
        let found = apply(&row(CfaRule::RegisterOffset { register: 7, offset: 16 }, rules), &regs(), &mem);
        let Ok(Some(Caller { regs, cfa })) = found else { panic!("{found:?}") };
        assert_eq!((cfa, regs.pc, regs.get(7)), (VirtAddr(0x7010), VirtAddr(0x40_2000), Some(0x7010)));
        assert_eq!((regs.get(6), regs.get(3), regs.get(5)), (Some(0xbbb), Some(3), None));
    }

    #[test]
    fn the_plts_expression_tells_whether_the_index_is_pushed() {
        // DW_OP_breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus: as every linker writes it for .plt.
        let expression = vec![0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        let row = row(CfaRule::Expression(expression), vec![(16, RegisterRule::Offset(-8))]);
        let mem = FakeMemory::default().with_words(0x7000, &[0x40_2000, 0x40_3000]);
        let at = |low: u64| {
            let mut regs = regs();
            regs.pc = VirtAddr(0x40_1000 + low);
            apply(&row, &regs, &mem).map(|caller| caller.map(|caller| (caller.cfa.0, caller.regs.pc.0)))
        };
        assert_eq!(at(0), Ok(Some((0x7008, 0x40_2000))));
        assert_eq!(at(11), Ok(Some((0x7010, 0x40_3000))));
    }

    #[test]
    fn an_undefined_return_address_is_the_bottom_and_an_unreadable_one_an_error() {
        let cfa = || CfaRule::RegisterOffset { register: 7, offset: 8 };
        let mem = FakeMemory::default();
        assert_eq!(apply(&row(cfa(), vec![(16, RegisterRule::Undefined)]), &regs(), &mem), Ok(None));
        assert!(apply(&row(cfa(), vec![(16, RegisterRule::Offset(-8))]), &regs(), &mem).is_err());
        assert!(apply(&row(cfa(), Vec::new()), &regs(), &mem).is_err());
    }

    #[test]
    fn an_expression_that_never_ends_is_given_up() {
        // DW_OP_skip -3, for ever.
        let row = row(CfaRule::Expression(vec![0x2f, 0xfd, 0xff]), Vec::new());
        assert!(apply(&row, &regs(), &FakeMemory::default()).is_err());
    }
}
