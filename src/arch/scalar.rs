//! Integer instructions whose undefined flags differ between CPUs: the interpreter knows them, no thread's instruction
//! is emulated by them. Only the flags that the manual defines are set.

use iced_x86::{Instruction, Mnemonic};

use crate::base::{Memory, Regs, VirtAddr};

use super::alu::{sign_extend, CF, OF, ZF};
use super::lower::{place, value};
use super::operand::{write_word, Place};
use super::register::{mask, Slot, View};
use super::ArchError;

/// Carries the instruction out, rip apart; `None` if it is not one of these.
pub(super) fn run_scalar(
    instruction: &Instruction,
    regs: &mut Regs,
    mem: &mut dyn Memory,
) -> Result<Option<()>, ArchError> {
    match instruction.mnemonic() {
        Mnemonic::Imul if instruction.op_count() >= 2 => multiply_signed(instruction, regs, mem),
        Mnemonic::Mul => with_operand(instruction, regs, mem, multiply),
        Mnemonic::Div => with_operand(instruction, regs, mem, divide),
        Mnemonic::Bsf | Mnemonic::Bsr | Mnemonic::Tzcnt => scan(instruction, regs, mem),
        Mnemonic::Stosb | Mnemonic::Stosd | Mnemonic::Stosq => store_string(instruction, regs, mem),
        _ => Ok(None),
    }
}

fn part(slot: Slot, width: u8) -> View {
    View { slot, width, shift: 0 }
}

fn set(regs: &mut Regs, flags: u64, on: u64) {
    regs.eflags = (regs.eflags & !flags) | (flags * on);
}

fn multiply_signed(instruction: &Instruction, regs: &mut Regs, mem: &mut dyn Memory) -> Result<Option<()>, ArchError> {
    let Some(to @ Place::Register(_)) = place(instruction, 0) else { return Ok(None) };
    let width = to.width();
    let first = instruction.op_count() - 2;
    let (Some(a), Some(b)) = (value(instruction, first, width), value(instruction, first + 1, width)) else {
        return Ok(None);
    };
    let signed = |value: u64| i128::from(sign_extend(value, width) as i64);
    let product = signed(a.read(regs, mem)?) * signed(b.read(regs, mem)?);
    let kept = product as u64 & mask(width);
    set(regs, CF | OF, u64::from(signed(kept) != product));
    to.write(regs, mem, kept)?;
    Ok(Some(()))
}

/// The two instructions whose other operands are rax and rdx. The 8-bit forms, which use ah, are not known.
fn with_operand(
    instruction: &Instruction,
    regs: &mut Regs,
    mem: &mut dyn Memory,
    operation: fn(&mut Regs, u64, u8) -> Option<()>,
) -> Result<Option<()>, ArchError> {
    match place(instruction, 0) {
        Some(from) if from.width() > 1 => {
            let operand = from.read(regs, mem)?;
            Ok(operation(regs, operand, from.width()))
        }
        _ => Ok(None),
    }
}

fn multiply(regs: &mut Regs, operand: u64, width: u8) -> Option<()> {
    let product = u128::from(part(Slot::Rax, width).read(regs)) * u128::from(operand);
    let high = (product >> (8 * u32::from(width))) as u64;
    part(Slot::Rax, width).write(regs, product as u64);
    part(Slot::Rdx, width).write(regs, high);
    set(regs, CF | OF, u64::from(high != 0));
    Some(())
}

/// Where the CPU would raise an exception, the instruction is one that is not known.
fn divide(regs: &mut Regs, operand: u64, width: u8) -> Option<()> {
    let (low, high) = (part(Slot::Rax, width), part(Slot::Rdx, width));
    let dividend = (u128::from(high.read(regs)) << (8 * u32::from(width))) | u128::from(low.read(regs));
    let quotient = u64::try_from(dividend.checked_div(u128::from(operand))?).ok().filter(|q| *q <= mask(width))?;
    low.write(regs, quotient);
    high.write(regs, (dividend % u128::from(operand)) as u64);
    Some(())
}

fn scan(instruction: &Instruction, regs: &mut Regs, mem: &mut dyn Memory) -> Result<Option<()>, ArchError> {
    let (Some(Place::Register(to)), Some(from)) = (place(instruction, 0), place(instruction, 1)) else {
        return Ok(None);
    };
    let operand = from.read(regs, mem)?;
    let is_zero = u64::from(operand == 0);
    match instruction.mnemonic() {
        Mnemonic::Tzcnt => {
            let count = u64::from(operand.trailing_zeros().min(8 * u32::from(to.width)));
            set(regs, CF, is_zero);
            set(regs, ZF, u64::from(count == 0));
            to.write(regs, count);
        }
        mnemonic => {
            set(regs, ZF, is_zero);
            if operand != 0 {
                let reversed = mnemonic == Mnemonic::Bsr;
                let at = if reversed { 63 - operand.leading_zeros() } else { operand.trailing_zeros() };
                to.write(regs, u64::from(at));
            }
        }
    }
    Ok(Some(()))
}

/// How many elements one `rep stos` may write; more is no pure function's work.
const LONGEST_STRING: u64 = 4096;

fn store_string(instruction: &Instruction, regs: &mut Regs, mem: &mut dyn Memory) -> Result<Option<()>, ArchError> {
    const DIRECTION: u64 = 1 << 10;
    let width: u8 = match instruction.mnemonic() {
        Mnemonic::Stosb => 1,
        Mnemonic::Stosd => 4,
        _ => 8,
    };
    let count = if instruction.has_rep_prefix() { regs.rcx } else { 1 };
    if count > LONGEST_STRING || regs.eflags & DIRECTION != 0 {
        return Ok(None);
    }
    for _ in 0..count {
        write_word(mem, VirtAddr(regs.rdi), width, regs.rax)?;
        regs.rdi = regs.rdi.wrapping_add(u64::from(width));
    }
    if instruction.has_rep_prefix() {
        regs.rcx = 0;
    }
    Ok(Some(()))
}
