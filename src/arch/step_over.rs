//! How a thread gets past the instruction under a breakpoint while the breakpoint stays armed for all others.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};

use crate::base::VirtAddr;

use super::disassemble::format_instruction;
use super::emulate::Emulation;
use super::lower::lower;
use super::register::Register;
use super::relocate::OutOfLine;
use super::ArchError;

/// The way past one instruction.
#[derive(Clone, Debug)]
pub enum StepOver {
    /// The debugger does what the instruction does.
    Emulate(Emulation),
    /// The thread runs a copy of it.
    OutOfLine(OutOfLine),
}

/// Plans how to step over the instruction that `bytes` start with (as they are without the breakpoint; 15 bytes
/// suffice, and fewer do at the end of the code). Emulation wins where both would do.
pub fn plan_step_over(site: VirtAddr, bytes: &[u8]) -> Result<StepOver, ArchError> {
    let instruction = decode_one(site, bytes)?;
    refuse_unsteppable(site, &instruction)?;
    match emulation_of(&instruction) {
        Some(emulation) => Ok(StepOver::Emulate(emulation)),
        None => movable(site, bytes, &instruction).map(StepOver::OutOfLine),
    }
}

/// As [`plan_step_over`], but never by emulation: for instructions that read memory a copy costs less, and a store by
/// the CPU is atomic where one by the debugger need not be.
pub fn plan_out_of_line(site: VirtAddr, bytes: &[u8]) -> Result<OutOfLine, ArchError> {
    let instruction = decode_one(site, bytes)?;
    refuse_unsteppable(site, &instruction)?;
    movable(site, bytes, &instruction)
}

/// The instruction at the start of `bytes`. A near branch with an operand-size prefix and no REX.W is 16 bits wide to
/// AMD's CPUs, and 64 to Intel's; decoded as AMD's it is none of those that are emulated, and so is refused on either.
pub(super) fn decode_one(site: VirtAddr, bytes: &[u8]) -> Result<Instruction, ArchError> {
    let mut decoder = Decoder::with_ip(64, bytes, site.0, DecoderOptions::AMD);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        Err(ArchError::Invalid(site))
    } else {
        Ok(instruction)
    }
}

pub(super) fn emulation_of(instruction: &Instruction) -> Option<Emulation> {
    lower(instruction).map(|operation| Emulation { next: VirtAddr(instruction.next_ip()), operation })
}

fn refuse_unsteppable(site: VirtAddr, instruction: &Instruction) -> Result<(), ArchError> {
    if matches!(instruction.code(), Code::Int3 | Code::Int1) {
        return Err(ArchError::Trap(site));
    }
    if instruction.is_privileged() {
        return Err(ArchError::Privileged { at: site, text: format_instruction(instruction) });
    }
    Ok(())
}

/// A copy does the same anywhere if control leaves it at its end only: what branches, calls or returns far does not,
/// nor does a transaction, which comes back to its start.
fn movable(site: VirtAddr, bytes: &[u8], instruction: &Instruction) -> Result<OutOfLine, ArchError> {
    let falls_through = match instruction.flow_control() {
        FlowControl::Next | FlowControl::Exception => true,
        FlowControl::Call => matches!(instruction.code(), Code::Syscall),
        FlowControl::Interrupt => matches!(instruction.code(), Code::Int_imm8),
        FlowControl::UnconditionalBranch
        | FlowControl::IndirectBranch
        | FlowControl::ConditionalBranch
        | FlowControl::Return
        | FlowControl::IndirectCall
        | FlowControl::XbeginXabortXend => false,
    };
    if !falls_through {
        return Err(ArchError::NotMovable { at: site, text: format_instruction(instruction) });
    }
    OutOfLine::of(site, bytes, instruction).ok_or(ArchError::Invalid(site))
}

/// What tells of a thread whose pc is one past an instruction's start whether it has executed that instruction, or an
/// `int3` in the place of its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PastFirstByte {
    /// The pc is amid the instruction: the `int3`.
    Amid,
    /// The instruction pushes this register: executed, its value is on top of the stack.
    Push(Register),
    /// Nothing, but to execute it once more changes nothing either.
    Nop,
    /// Nothing.
    Unknown,
}

/// See [`PastFirstByte`]; `bytes` as for [`plan_step_over`].
pub fn past_first_byte(site: VirtAddr, bytes: &[u8]) -> PastFirstByte {
    /// What may be jumped over, as a `lock` is on a machine with one processor (Intel SDM vol. 2, 2.1.1).
    const PREFIXES: [u8; 11] = [0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x66, 0x67];
    /// As opcodes 50+r number them (Intel SDM vol. 2, table 3-1).
    const PUSHED: [&str; 8] = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
    let Ok(instruction) = decode_one(site, bytes) else { return PastFirstByte::Unknown };
    match (instruction.len(), bytes[0]) {
        (1, first @ 0x50..=0x57) => match Register::find(PUSHED[usize::from(first & 7)]) {
            // Whose value the push itself changes.
            Some(register) if first != 0x54 => PastFirstByte::Push(register),
            _ => PastFirstByte::Unknown,
        },
        (1, 0x90) => PastFirstByte::Nop,
        (1, _) => PastFirstByte::Unknown,
        _ if instruction.code() == Code::Endbr64 => PastFirstByte::Amid,
        (_, first) if PREFIXES.contains(&first) => PastFirstByte::Unknown,
        _ => PastFirstByte::Amid,
    }
}

/// The length of the instruction at `site`, bytes, if it is a call.
pub fn call_length(site: VirtAddr, bytes: &[u8]) -> Option<u8> {
    let instruction = decode_one(site, bytes).ok()?;
    let calls = matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
    (calls && instruction.code() != Code::Syscall).then(|| instruction.len() as u8)
}

/// Where a direct call or jump goes.
pub fn direct_target(site: VirtAddr, bytes: &[u8]) -> Option<VirtAddr> {
    let instruction = decode_one(site, bytes).ok()?;
    match instruction.near_branch_target() {
        0 => None,
        target => Some(VirtAddr(target)),
    }
}

/// Whether the instruction only leads on to a function, as stubs and thunks do: a jump, a landing mark (ENDBR64), or a
/// change of `this` before the jump.
pub fn leads_on(site: VirtAddr, bytes: &[u8]) -> bool {
    let Ok(instruction) = decode_one(site, bytes) else { return false };
    let jumps = matches!(instruction.flow_control(), FlowControl::UnconditionalBranch | FlowControl::IndirectBranch);
    let adjusts = matches!(instruction.mnemonic(), Mnemonic::Add | Mnemonic::Sub)
        && instruction.op0_register() == iced_x86::Register::RDI;
    jumps || adjusts || instruction.code() == Code::Endbr64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: VirtAddr = VirtAddr(0x40_1000);

    fn plan(bytes: &[u8]) -> Result<StepOver, ArchError> {
        plan_step_over(SITE, bytes)
    }

    #[test]
    fn what_can_be_neither_emulated_nor_moved_is_refused() {
        assert_eq!(plan(&[0xcc]).err(), Some(ArchError::Trap(SITE)));
        assert_eq!(plan(&[0xf1]).err(), Some(ArchError::Trap(SITE)));
        assert_eq!(plan(&[0x06]).err(), Some(ArchError::Invalid(SITE)));
        assert_eq!(plan(&[0x48, 0x8b]).err(), Some(ArchError::Invalid(SITE)));
        assert_eq!(plan(&[]).err(), Some(ArchError::Invalid(SITE)));
        assert!(matches!(plan(&[0xf4]), Err(ArchError::Privileged { .. })), "hlt");
        assert!(matches!(plan(&[0xcb]), Err(ArchError::NotMovable { .. })), "far return");
        assert!(matches!(plan(&[0x66, 0x7d, 0x3d]), Err(ArchError::NotMovable { .. })), "16-bit branch");
        assert!(matches!(plan(&[0x66, 0xc3]), Err(ArchError::NotMovable { .. })), "16-bit return");
        assert!(matches!(plan(&[0xc7, 0xf8, 0, 0, 0, 0]), Err(ArchError::NotMovable { .. })), "xbegin");
    }

    #[test]
    fn a_pc_past_the_first_byte_tells_of_what_was_executed() {
        let rows = [
            (&[0x55][..], PastFirstByte::Push(Register::find("rbp").unwrap())),
            (&[0x53], PastFirstByte::Push(Register::find("rbx").unwrap())),
            (&[0x54], PastFirstByte::Unknown),
            (&[0x90], PastFirstByte::Nop),
            (&[0xc3], PastFirstByte::Unknown),
            (&[0x41, 0x57], PastFirstByte::Amid),
            (&[0x48, 0x8d, 0x47, 0x01], PastFirstByte::Amid),
            (&[0xf0, 0xff, 0x07], PastFirstByte::Unknown),
            (&[0xf3, 0x0f, 0x1e, 0xfa], PastFirstByte::Amid),
            (&[0x06], PastFirstByte::Unknown),
            (&[], PastFirstByte::Unknown),
        ];
        for (bytes, expected) in rows {
            assert_eq!(past_first_byte(SITE, bytes), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn prologues_are_emulated_and_the_rest_is_moved() {
        // The third is the call to __tls_get_addr as linkers pad it.
        for bytes in [
            &[0x55][..],
            &[0xf3, 0x0f, 0x1e, 0xfa],
            &[0x66, 0x66, 0x48, 0xe8, 0, 0, 0, 0],
            &[0x48, 0x89, 0xe5],
            &[0x48, 0x83, 0xec, 0x18],
        ] {
            assert!(matches!(plan(bytes), Ok(StepOver::Emulate(_))), "{bytes:x?}");
        }
        for bytes in
            [&[0x0f, 0x05][..], &[0xf3, 0xa4], &[0x0f, 0xa2], &[0xf0, 0x01, 0x07], &[0x0f, 0x0b], &[0xcd, 0x80]]
        {
            assert!(matches!(plan(bytes), Ok(StepOver::OutOfLine(_))), "{bytes:x?}");
        }
        assert!(plan_out_of_line(SITE, &[0x48, 0x8b, 0x05, 0, 0, 0, 0]).is_ok());
        assert!(plan_out_of_line(SITE, &[0xe8, 0, 0, 0, 0]).is_err());
    }
}
