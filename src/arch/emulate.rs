//! An instruction carried out on a task's registers and memory, instead of by the CPU.

use crate::base::{Memory, Regs, VirtAddr};

use super::alu::{sign_extend, Binary, BitChange, Condition, Shift, Unary};
use super::operand::{read_word, write_word, Address, Place, Value};
use super::register::{Slot, View};
use super::ArchError;

/// What carrying out an instruction changes: what the engine has to write back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Effect {
    /// rip alone.
    ProgramCounter,
    /// Registers, and no memory is read or written.
    Registers,
    /// Memory is read or written too.
    Memory,
}

/// An instruction, decoded once, that can be carried out any number of times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Emulation {
    pub(super) next: VirtAddr,
    pub(super) operation: Operation,
}

/// Whether a branch is taken when its condition holds, or when it does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Test {
    pub(super) condition: Condition,
    pub(super) expected: bool,
}

impl Test {
    #[inline]
    fn passes(self, regs: &Regs) -> bool {
        self.condition.holds(regs.eflags) == self.expected
    }
}

/// How a narrow value becomes a wide one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extension {
    Zero,
    Sign,
}

/// Where control goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Direct(VirtAddr),
    Indirect(Place),
}

/// What an instruction does, its operands decoded. The first four are most functions' first instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Nothing,
    PushRegister(Slot),
    MoveRegister {
        to: Slot,
        from: Slot,
    },
    Lea {
        to: View,
        address: Address,
    },
    Push {
        value: Value,
        width: u8,
    },
    Pop(Place),
    Move {
        to: Place,
        from: Value,
    },
    Extend {
        to: View,
        from: Place,
        extension: Extension,
    },
    Binary {
        operation: Binary,
        to: Place,
        from: Value,
    },
    Unary {
        operation: Unary,
        to: Place,
    },
    Shift {
        operation: Shift,
        to: Place,
        count: Value,
    },
    Bit {
        change: BitChange,
        to: Place,
        index: Value,
    },
    Jump(Target),
    JumpIf {
        test: Test,
        target: VirtAddr,
    },
    JumpIfZero {
        counter: View,
        target: VirtAddr,
    },
    Loop {
        counter: View,
        test: Option<Test>,
        target: VirtAddr,
    },
    Call(Target),
    Return {
        release: u64,
    },
    Leave,
    SetIf {
        test: Test,
        to: Place,
    },
    MoveIf {
        test: Test,
        to: View,
        from: Place,
    },
    Exchange {
        a: View,
        b: View,
    },
    SwapBytes(View),
    /// cbw, cwde, cdqe: rax from its lower half.
    WidenAccumulator {
        width: u8,
    },
    /// cwd, cdq, cqo: rdx from the sign of rax.
    SignIntoData {
        width: u8,
    },
}

impl Emulation {
    /// Carries the instruction out: as it stood at its site, whatever rip is now. On an error nothing has changed, except
    /// that the memory may have been written in part.
    pub fn run(&self, regs: &mut Regs, mem: &mut dyn Memory) -> Result<(), ArchError> {
        let next = match &self.operation {
            Operation::Nothing => self.next,
            Operation::PushRegister(slot) => {
                push(regs, mem, slot.get(regs), 8)?;
                self.next
            }
            Operation::MoveRegister { to, from } => {
                to.set(regs, from.get(regs));
                self.next
            }
            Operation::Lea { to, address } => {
                to.write(regs, address.offset(regs));
                self.next
            }
            Operation::Jump(_)
            | Operation::JumpIf { .. }
            | Operation::JumpIfZero { .. }
            | Operation::Loop { .. }
            | Operation::Call(_)
            | Operation::Return { .. } => self.transfer(regs, mem)?,
            _ => {
                self.compute(regs, mem)?;
                self.next
            }
        };
        regs.rip = next.0;
        Ok(())
    }

    /// The instruction after the emulated one.
    pub fn next(&self) -> VirtAddr {
        self.next
    }

    /// What carrying it out changes.
    pub fn effect(&self) -> Effect {
        match &self.operation {
            Operation::Nothing | Operation::JumpIf { .. } | Operation::JumpIfZero { .. } => Effect::ProgramCounter,
            Operation::Jump(Target::Direct(_)) | Operation::Jump(Target::Indirect(Place::Register(_))) => {
                Effect::ProgramCounter
            }
            _ if self.needs_memory() => Effect::Memory,
            _ => Effect::Registers,
        }
    }

    /// Whether memory is read or written.
    pub fn needs_memory(&self) -> bool {
        let place = |place: &Place| matches!(place, Place::Memory { .. });
        match &self.operation {
            Operation::PushRegister(_)
            | Operation::Push { .. }
            | Operation::Pop(_)
            | Operation::Call(_)
            | Operation::Return { .. }
            | Operation::Leave => true,
            Operation::Jump(Target::Indirect(from)) => place(from),
            Operation::Move { to, from } | Operation::Binary { to, from, .. } => place(to) || from.is_memory(),
            Operation::Extend { from, .. } | Operation::MoveIf { from, .. } => place(from),
            Operation::Unary { to, .. }
            | Operation::Shift { to, .. }
            | Operation::Bit { to, .. }
            | Operation::SetIf { to, .. } => place(to),
            Operation::Nothing
            | Operation::MoveRegister { .. }
            | Operation::Lea { .. }
            | Operation::Jump(Target::Direct(_))
            | Operation::JumpIf { .. }
            | Operation::JumpIfZero { .. }
            | Operation::Loop { .. }
            | Operation::Exchange { .. }
            | Operation::SwapBytes(_)
            | Operation::WidenAccumulator { .. }
            | Operation::SignIntoData { .. } => false,
        }
    }

    /// The operations that decide where control goes: the answer.
    fn transfer(&self, regs: &mut Regs, mem: &mut dyn Memory) -> Result<VirtAddr, ArchError> {
        let taken = |taken: bool, target: VirtAddr| if taken { target } else { self.next };
        Ok(match &self.operation {
            Operation::Jump(target) => target.find(regs, mem)?,
            Operation::JumpIf { test, target } => taken(test.passes(regs), *target),
            Operation::JumpIfZero { counter, target } => taken(counter.read(regs) == 0, *target),
            Operation::Loop { counter, test, target } => {
                counter.write(regs, counter.read(regs).wrapping_sub(1));
                taken(counter.read(regs) != 0 && test.is_none_or(|test| test.passes(regs)), *target)
            }
            Operation::Call(target) => {
                let target = target.find(regs, mem)?;
                push(regs, mem, self.next.0, 8)?;
                target
            }
            Operation::Return { release } => {
                let target = read_word(mem, regs.sp(), 8)?;
                regs.rsp = regs.rsp.wrapping_add(8).wrapping_add(*release);
                VirtAddr(target)
            }
            _ => self.next,
        })
    }

    /// The operations after which control goes on. What can fail comes before what changes a register.
    fn compute(&self, regs: &mut Regs, mem: &mut dyn Memory) -> Result<(), ArchError> {
        match &self.operation {
            Operation::Push { value, width } => {
                let value = value.read(regs, mem)?;
                push(regs, mem, value, *width)?;
            }
            Operation::Pop(to) => pop(regs, mem, to)?,
            Operation::Move { to, from } => {
                let value = from.read(regs, mem)?;
                to.write(regs, mem, value)?;
            }
            Operation::Extend { to, from, extension } => {
                let value = from.read(regs, mem)?;
                let wide = match extension {
                    Extension::Zero => value,
                    Extension::Sign => sign_extend(value, from.width()),
                };
                to.write(regs, wide);
            }
            Operation::Binary { operation, to, from } => {
                let (a, b) = (to.read(regs, mem)?, from.read(regs, mem)?);
                let (result, flags) = operation.apply(a, b, to.width(), regs.eflags);
                if operation.stores() {
                    to.write(regs, mem, result)?;
                }
                regs.eflags = flags;
            }
            Operation::Unary { operation, to } => {
                let (result, flags) = operation.apply(to.read(regs, mem)?, to.width(), regs.eflags);
                to.write(regs, mem, result)?;
                regs.eflags = flags;
            }
            Operation::Shift { operation, to, count } => {
                let (a, count) = (to.read(regs, mem)?, count.read(regs, mem)?);
                let (result, flags) = operation.apply(a, count as u8, to.width(), regs.eflags);
                to.write(regs, mem, result)?;
                regs.eflags = flags;
            }
            Operation::Bit { change, to, index } => {
                let (a, index) = (to.read(regs, mem)?, index.read(regs, mem)?);
                let (result, flags) = change.apply(a, index, to.width(), regs.eflags);
                if *change != BitChange::Keep {
                    to.write(regs, mem, result)?;
                }
                regs.eflags = flags;
            }
            Operation::Leave => {
                let saved = read_word(mem, VirtAddr(regs.rbp), 8)?;
                regs.rsp = regs.rbp.wrapping_add(8);
                regs.rbp = saved;
            }
            Operation::SetIf { test, to } => {
                let value = u64::from(test.passes(regs));
                to.write(regs, mem, value)?;
            }
            Operation::MoveIf { test, to, from } => {
                // The source is read, and a 32-bit destination zero-extended, also when the condition does not hold.
                let value = from.read(regs, mem)?;
                let kept = if test.passes(regs) { value } else { to.read(regs) };
                to.write(regs, kept);
            }
            _ => self.permute(regs),
        }
        Ok(())
    }

    /// The operations that move register contents about, and cannot fail.
    fn permute(&self, regs: &mut Regs) {
        let accumulator = |width: u8| View { slot: Slot::Rax, width, shift: 0 };
        match &self.operation {
            Operation::Exchange { a, b } => {
                let (old_a, old_b) = (a.read(regs), b.read(regs));
                a.write(regs, old_b);
                b.write(regs, old_a);
            }
            Operation::SwapBytes(view) => {
                let swapped = view.read(regs).swap_bytes() >> (64 - 8 * u32::from(view.width));
                view.write(regs, swapped);
            }
            Operation::WidenAccumulator { width } => {
                let wide = sign_extend(accumulator(width / 2).read(regs), width / 2);
                accumulator(*width).write(regs, wide);
            }
            Operation::SignIntoData { width } => {
                let sign = (sign_extend(accumulator(*width).read(regs), *width) as i64) >> 63;
                View { slot: Slot::Rdx, width: *width, shift: 0 }.write(regs, sign as u64);
            }
            _ => {}
        }
    }
}

impl Target {
    #[inline]
    fn find(&self, regs: &Regs, mem: &dyn Memory) -> Result<VirtAddr, ArchError> {
        Ok(match self {
            Target::Direct(target) => *target,
            Target::Indirect(place) => VirtAddr(place.read(regs, mem)?),
        })
    }
}

#[inline]
fn push(regs: &mut Regs, mem: &mut dyn Memory, value: u64, width: u8) -> Result<(), ArchError> {
    let top = regs.rsp.wrapping_sub(u64::from(width));
    write_word(mem, VirtAddr(top), width, value)?;
    regs.rsp = top;
    Ok(())
}

/// The destination's address counts from rsp after the increment; a destination rsp gets the value popped.
fn pop(regs: &mut Regs, mem: &mut dyn Memory, to: &Place) -> Result<(), ArchError> {
    let old = regs.rsp;
    let value = read_word(mem, VirtAddr(old), to.width())?;
    regs.rsp = old.wrapping_add(u64::from(to.width()));
    to.write(regs, mem, value).inspect_err(|_| regs.rsp = old)?;
    Ok(())
}
