//! Where on the stack the registers are that a frame's caller will get back.

use std::collections::BTreeMap;

use super::expression;
use super::frame::{Frame, HowFound, RBP, RETURN_ADDRESS};
use super::walk::find_row;
use crate::base::{ReadMem, VirtAddr};
use crate::binary::{CfaRule, RegisterRule, UnwindRow};
use crate::target::AddressSpace;

/// The addresses, by DWARF numbers (psABI, figure 3.36; 16 is rip), at which a frame has saved its caller's registers; what
/// it has left alone is not among them. `caller` says how its caller was found; empty where none was.
pub fn saved_registers(
    space: &AddressSpace,
    mem: &dyn ReadMem,
    frame: &Frame,
    caller: Option<HowFound>,
) -> BTreeMap<u16, VirtAddr> {
    let (Some(cfa), Some(how)) = (frame.cfa, caller) else { return BTreeMap::new() };
    let below = |bytes: u64| VirtAddr(cfa.0.wrapping_sub(bytes));
    match (how, find_row(space, frame.address)) {
        // What else such a function saved is not known.
        (HowFound::FramePointer, _) => BTreeMap::from([(RBP, below(16)), (RETURN_ADDRESS, below(8))]),
        (_, Ok(Some(row))) => by_rules(&row, frame, mem),
        (HowFound::Signal, _) => BTreeMap::new(),
        _ => BTreeMap::from([(RETURN_ADDRESS, below(8))]),
    }
}

fn by_rules(row: &UnwindRow, frame: &Frame, mem: &dyn ReadMem) -> BTreeMap<u16, VirtAddr> {
    let cfa = match &row.cfa {
        CfaRule::RegisterOffset { register, offset } => {
            frame.regs.get(*register).map(|base| base.wrapping_add_signed(*offset))
        }
        CfaRule::Expression(bytes) => expression::evaluate(bytes, None, &frame.regs, mem).ok(),
    };
    let Some(cfa) = cfa else { return BTreeMap::new() };
    let place = |(register, rule): &(u16, RegisterRule)| {
        let at = match rule {
            RegisterRule::Offset(offset) => cfa.wrapping_add_signed(*offset),
            RegisterRule::Expression(bytes) => expression::evaluate(bytes, Some(cfa), &frame.regs, mem).ok()?,
            _ => return None,
        };
        Some((*register, VirtAddr(at)))
    };
    row.registers.iter().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Regs;
    use crate::binary::FrameKind;
    use crate::target::fake_memory::FakeMemory;
    use crate::target::unwind::FrameAddress;

    #[test]
    fn rules_say_where_registers_lie() {
        let regs = Regs { rsp: 0x7000, ..Regs::default() };
        let frame = Frame::new(FrameAddress::InstructionPointer(VirtAddr(0)), (&regs).into(), HowFound::Registers);
        let registers = vec![
            (3, RegisterRule::Offset(-24)),
            (6, RegisterRule::Undefined),
            (12, RegisterRule::SameValue),
            (16, RegisterRule::Offset(-8)),
        ];
        let row = UnwindRow {
            cfa: CfaRule::RegisterOffset { register: 7, offset: 16 },
            registers,
            return_address_register: 16,
            is_signal_frame: FrameKind::Normal,
        };
        let saved = by_rules(&row, &frame, &FakeMemory::default());
        assert_eq!(saved, BTreeMap::from([(3, VirtAddr(0x6ff8)), (16, VirtAddr(0x7008))]));
        let lost = UnwindRow { cfa: CfaRule::RegisterOffset { register: 99, offset: 0 }, ..row };
        assert!(by_rules(&lost, &frame, &FakeMemory::default()).is_empty());
    }

    #[test]
    fn without_rules_the_frame_pointers_chain_says_where() {
        let regs = Regs { rip: 0x1000, rsp: 0x6ff0, rbp: 0x7000, ..Regs::default() };
        let at = FrameAddress::InstructionPointer(VirtAddr(0x1000));
        let mut frame = Frame::new(at, (&regs).into(), HowFound::Registers);
        let (space, mem) = (AddressSpace::new(), FakeMemory::default());
        assert!(saved_registers(&space, &mem, &frame, Some(HowFound::Entry)).is_empty());
        frame.cfa = Some(VirtAddr(0x7010));
        assert!(saved_registers(&space, &mem, &frame, None).is_empty());
        let saved = saved_registers(&space, &mem, &frame, Some(HowFound::FramePointer));
        assert_eq!(saved, BTreeMap::from([(6, VirtAddr(0x7000)), (16, VirtAddr(0x7008))]));
        let saved = saved_registers(&space, &mem, &frame, Some(HowFound::Entry));
        assert_eq!(saved, BTreeMap::from([(16, VirtAddr(0x7008))]));
    }
}
