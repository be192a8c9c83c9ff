//! The SSE2 instructions that the C library's string functions, and compilers that copy and clear structures, use: for
//! the interpreter.

use iced_x86::{Instruction, Mnemonic, OpKind};

use crate::base::{MemError, Memory, Regs};

use super::lower::{address, place};
use super::ArchError;

/// xmm0 to xmm15.
#[derive(Clone, Debug, Default)]
pub(super) struct VectorFile {
    xmm: [u128; 16],
}

const LOW: u128 = u64::MAX as u128;

impl VectorFile {
    /// Carries the instruction out, rip apart; `None` if it is not one of these.
    pub(super) fn run(
        &mut self,
        instruction: &Instruction,
        regs: &mut Regs,
        mem: &mut dyn Memory,
    ) -> Result<Option<()>, ArchError> {
        match instruction.mnemonic() {
            Mnemonic::Movaps | Mnemonic::Movups | Mnemonic::Movapd | Mnemonic::Movupd => {
                self.copy(instruction, regs, mem)
            }
            Mnemonic::Movdqa | Mnemonic::Movdqu => self.copy(instruction, regs, mem),
            Mnemonic::Movq | Mnemonic::Movd => self.copy_scalar(instruction, regs, mem),
            Mnemonic::Movlps | Mnemonic::Movlpd => self.copy_half(instruction, regs, mem, 0),
            Mnemonic::Movhps | Mnemonic::Movhpd => self.copy_half(instruction, regs, mem, 64),
            Mnemonic::Pmovmskb => self.sign_mask(instruction, regs, mem),
            Mnemonic::Pslldq | Mnemonic::Psrldq => Ok(self.shift_bytes(instruction)),
            mnemonic => match combination(mnemonic) {
                Some(combine) => self.combine(instruction, regs, mem, combine),
                None => Ok(None),
            },
        }
    }

    /// The index of an operand that is an xmm register.
    fn index(instruction: &Instruction, operand: u32) -> Option<usize> {
        let register = instruction.op_register(operand);
        let is_xmm = instruction.op_kind(operand) == OpKind::Register && register.is_xmm();
        (is_xmm && register.number() < 16).then(|| register.number())
    }

    fn read(&self, instruction: &Instruction, regs: &Regs, mem: &dyn Memory) -> Result<Option<u128>, MemError> {
        if let Some(index) = Self::index(instruction, 1) {
            return Ok(Some(self.xmm[index]));
        }
        match (instruction.op1_kind(), address(instruction)) {
            (OpKind::Memory, Some(at)) => {
                let mut bytes = [0; 16];
                mem.read_exact(at.resolve(regs), &mut bytes)?;
                Ok(Some(u128::from_le_bytes(bytes)))
            }
            _ => Ok(None),
        }
    }

    fn copy(&mut self, instruction: &Instruction, regs: &Regs, mem: &mut dyn Memory) -> Result<Option<()>, ArchError> {
        let Some(value) = self.read(instruction, regs, mem)? else { return Ok(None) };
        match (Self::index(instruction, 0), address(instruction)) {
            (Some(to), _) => self.xmm[to] = value,
            (None, Some(at)) => mem.write_mem(at.resolve(regs), &value.to_le_bytes())?,
            (None, None) => return Ok(None),
        }
        Ok(Some(()))
    }

    /// movd and movq: the low 4 or 8 bytes; an xmm destination's rest is cleared.
    fn copy_scalar(
        &mut self,
        instruction: &Instruction,
        regs: &mut Regs,
        mem: &mut dyn Memory,
    ) -> Result<Option<()>, ArchError> {
        match (Self::index(instruction, 0), Self::index(instruction, 1)) {
            (Some(to), Some(from)) => self.xmm[to] = self.xmm[from] & LOW,
            (Some(to), None) => {
                let Some(from) = place(instruction, 1) else { return Ok(None) };
                self.xmm[to] = u128::from(from.read(regs, mem)?);
            }
            (None, Some(from)) => {
                let Some(to) = place(instruction, 0) else { return Ok(None) };
                to.write(regs, mem, self.xmm[from] as u64)?;
            }
            (None, None) => return Ok(None),
        }
        Ok(Some(()))
    }

    /// Between memory and the half from bit `shift` on.
    fn copy_half(
        &mut self,
        instruction: &Instruction,
        regs: &mut Regs,
        mem: &mut dyn Memory,
        shift: u32,
    ) -> Result<Option<()>, ArchError> {
        if let (Some(to), Some(from)) = (Self::index(instruction, 0), place(instruction, 1)) {
            let half = u128::from(from.read(regs, mem)?);
            self.xmm[to] = (self.xmm[to] & !(LOW << shift)) | (half << shift);
        } else if let (Some(to), Some(from)) = (place(instruction, 0), Self::index(instruction, 1)) {
            to.write(regs, mem, (self.xmm[from] >> shift) as u64)?;
        } else {
            return Ok(None);
        }
        Ok(Some(()))
    }

    fn sign_mask(
        &mut self,
        instruction: &Instruction,
        regs: &mut Regs,
        mem: &mut dyn Memory,
    ) -> Result<Option<()>, ArchError> {
        let (Some(to), Some(from)) = (place(instruction, 0), Self::index(instruction, 1)) else { return Ok(None) };
        let bytes = self.xmm[from].to_le_bytes();
        let mask = bytes.iter().rev().fold(0, |mask, byte| (mask << 1) | u64::from(byte >> 7));
        to.write(regs, mem, mask)?;
        Ok(Some(()))
    }

    fn shift_bytes(&mut self, instruction: &Instruction) -> Option<()> {
        let to = Self::index(instruction, 0)?;
        let count = 8 * u32::from(instruction.immediate8());
        let shifted = match instruction.mnemonic() {
            Mnemonic::Pslldq => self.xmm[to].checked_shl(count),
            _ => self.xmm[to].checked_shr(count),
        };
        self.xmm[to] = shifted.unwrap_or(0);
        Some(())
    }

    fn combine(
        &mut self,
        instruction: &Instruction,
        regs: &Regs,
        mem: &dyn Memory,
        combine: fn(u128, u128) -> u128,
    ) -> Result<Option<()>, ArchError> {
        let (Some(to), Some(b)) = (Self::index(instruction, 0), self.read(instruction, regs, mem)?) else {
            return Ok(None);
        };
        self.xmm[to] = combine(self.xmm[to], b);
        Ok(Some(()))
    }
}

/// The instructions that put a function of both operands into the first.
fn combination(mnemonic: Mnemonic) -> Option<fn(u128, u128) -> u128> {
    Some(match mnemonic {
        Mnemonic::Pxor | Mnemonic::Xorps | Mnemonic::Xorpd => |a, b| a ^ b,
        Mnemonic::Por | Mnemonic::Orps | Mnemonic::Orpd => |a, b| a | b,
        Mnemonic::Pand | Mnemonic::Andps | Mnemonic::Andpd => |a, b| a & b,
        Mnemonic::Pandn | Mnemonic::Andnps | Mnemonic::Andnpd => |a, b| !a & b,
        Mnemonic::Punpcklqdq | Mnemonic::Movlhps => |a, b| (a & LOW) | (b << 64),
        Mnemonic::Pcmpeqb => |a, b| bytewise(a, b, |a, b| if a == b { 0xff } else { 0 }),
        Mnemonic::Psubb => |a, b| bytewise(a, b, u8::wrapping_sub),
        Mnemonic::Pminub => |a, b| bytewise(a, b, u8::min),
        _ => return None,
    })
}

fn bytewise(a: u128, b: u128, combine: fn(u8, u8) -> u8) -> u128 {
    let mut result = a.to_le_bytes();
    for (to, from) in result.iter_mut().zip(b.to_le_bytes()) {
        *to = combine(*to, from);
    }
    u128::from_le_bytes(result)
}
