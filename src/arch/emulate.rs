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
    /// Carries the instruction out: as it stood at its site, whatever rip is now. On an error nothing has changed,
    /// except that the memory may have been written in part.
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
                let target = canonical(read_word(mem, regs.sp(), 8)?)?;
                regs.rsp = regs.rsp.wrapping_add(8).wrapping_add(*release);
                target
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
        match self {
            Target::Direct(target) => Ok(*target),
            Target::Indirect(place) => canonical(place.read(regs, mem)?),
        }
    }
}

/// An address at which code can be: bits 47 to 63 are one (Intel SDM volume 1, 3.3.7.1). With the 57 bits of 5-level
/// paging more are, where no one has code; such a jump is left to the CPU too.
#[inline]
fn canonical(target: u64) -> Result<VirtAddr, ArchError> {
    if sign_extend(target, 6) == target {
        Ok(VirtAddr(target))
    } else {
        Err(ArchError::NotCanonical(VirtAddr(target)))
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

#[cfg(test)]
mod tests {
    use super::super::alu::{CF, PF, ZF};
    use super::super::step_over::{decode_one, emulation_of};
    use super::super::test_memory::TestMemory;
    use super::*;

    const SITE: VirtAddr = VirtAddr(0x40_1000);
    const STACK: u64 = 0x7000_0000;

    fn plan(bytes: &[u8]) -> Emulation {
        emulation_of(&decode_one(SITE, bytes).unwrap()).unwrap()
    }

    /// Memory around the stack pointer whose every byte is its own index.
    fn memory() -> TestMemory {
        TestMemory { base: VirtAddr(STACK - 128), bytes: (0..=255).collect() }
    }

    fn regs() -> Regs {
        Regs { rsp: STACK, rbp: STACK + 0x20, rip: SITE.0 + 1, eflags: 0x202, ..Regs::default() }
    }

    fn run(bytes: &[u8], regs: &mut Regs, mem: &mut TestMemory) {
        plan(bytes).run(regs, mem).unwrap();
    }

    #[test]
    fn prologue_and_epilogue_move_the_stack() {
        let (mut regs, mut mem) = (regs(), memory());
        run(&[0x55], &mut regs, &mut mem);
        assert_eq!((regs.rsp, regs.rip), (STACK - 8, SITE.0 + 1));
        assert_eq!(mem.read_u64_at(STACK - 8), STACK + 0x20);
        run(&[0x48, 0x89, 0xe5], &mut regs, &mut mem);
        assert_eq!((regs.rbp, regs.rip), (STACK - 8, SITE.0 + 3));
        run(&[0x48, 0x83, 0xec, 0x18], &mut regs, &mut mem);
        assert_eq!((regs.rsp, regs.rip), (STACK - 0x20, SITE.0 + 4));
        run(&[0xc9], &mut regs, &mut mem);
        assert_eq!((regs.rsp, regs.rbp), (STACK, STACK + 0x20));
        run(&[0xf3, 0x0f, 0x1e, 0xfa], &mut regs, &mut mem);
        assert_eq!(regs.rip, SITE.0 + 4);
    }

    #[test]
    fn push_and_pop_of_rsp_and_memory_count_as_the_cpu_does() {
        let (mut regs, mut mem) = (regs(), memory());
        run(&[0x54], &mut regs, &mut mem); // push rsp
        assert_eq!((regs.rsp, mem.read_u64_at(STACK - 8)), (STACK - 8, STACK));
        run(&[0x5c], &mut regs, &mut mem); // pop rsp
        assert_eq!(regs.rsp, STACK);
        run(&[0xff, 0x74, 0x24, 0x08], &mut regs, &mut mem); // push [rsp+8]
        assert_eq!(mem.read_u64_at(STACK - 8), mem.read_u64_at(STACK + 8));
        run(&[0x8f, 0x04, 0x24], &mut regs, &mut mem); // pop [rsp]
        assert_eq!((regs.rsp, mem.read_u64_at(STACK)), (STACK, mem.read_u64_at(STACK + 8)));
        run(&[0x6a, 0xff], &mut regs, &mut mem); // push -1
        assert_eq!((regs.rsp, mem.read_u64_at(STACK - 8)), (STACK - 8, u64::MAX));
        run(&[0x66, 0x58], &mut regs, &mut mem); // pop ax
        assert_eq!((regs.rsp, regs.rax), (STACK - 6, 0xffff));
        run(&[0x66, 0x68, 0x34, 0x12], &mut regs, &mut mem); // pushw 0x1234
        assert_eq!(regs.rsp, STACK - 8);
        assert_eq!(mem.read_u64_at(STACK - 8) & 0xffff, 0x1234);
    }

    #[test]
    fn calls_push_the_original_return_address() {
        let (mut regs, mut mem) = (regs(), memory());
        run(&[0xe8, 0x00, 0x01, 0x00, 0x00], &mut regs, &mut mem);
        assert_eq!((regs.rip, mem.read_u64_at(STACK - 8)), (0x40_1105, 0x40_1005));
        run(&[0xc2, 0x10, 0x00], &mut regs, &mut mem); // ret 16
        assert_eq!((regs.rip, regs.rsp), (0x40_1005, STACK + 0x10));
        regs.rsp = STACK;
        mem.write_mem(VirtAddr(STACK + 8), &0x7777_8888_9999u64.to_le_bytes()).unwrap();
        run(&[0xff, 0x54, 0x24, 0x08], &mut regs, &mut mem); // call [rsp+8]
        assert_eq!(regs.rip, 0x7777_8888_9999);
        assert_eq!(mem.read_u64_at(STACK - 8), 0x40_1004);
        regs.rax = 0x1234;
        run(&[0x3e, 0xff, 0xe0], &mut regs, &mut mem); // notrack jmp rax
        assert_eq!(regs.rip, 0x1234);
    }

    #[test]
    fn loads_extend_and_segments_and_lea_resolve() {
        let (mut regs, mut mem) = (regs(), memory());
        regs.rax = u64::MAX;
        regs.rdi = STACK;
        regs.fs_base = STACK - 0x28;
        run(&[0x8b, 0x07], &mut regs, &mut mem); // mov eax, [rdi]
        assert_eq!(regs.rax, 0x8382_8180);
        run(&[0x48, 0x0f, 0xbe, 0x07], &mut regs, &mut mem); // movsx rax, byte [rdi]
        assert_eq!(regs.rax, 0xffff_ffff_ffff_ff80);
        run(&[0x48, 0x63, 0x07], &mut regs, &mut mem); // movsxd rax, [rdi]
        assert_eq!(regs.rax, 0xffff_ffff_8382_8180);
        run(&[0x0f, 0xb7, 0x07], &mut regs, &mut mem); // movzx eax, word [rdi]
        assert_eq!(regs.rax, 0x8180);
        run(&[0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0], &mut regs, &mut mem); // mov rax, fs:[0x28]
        assert_eq!(regs.rax, mem.read_u64_at(STACK));
        run(&[0x48, 0x8d, 0x05, 0x10, 0, 0, 0], &mut regs, &mut mem); // lea rax, [rip+0x10]
        assert_eq!(regs.rax, 0x40_1017);
        regs.rcx = 3;
        run(&[0x48, 0x8d, 0x44, 0xcf, 0xf8], &mut regs, &mut mem); // lea rax, [rdi+rcx*8-8]
        assert_eq!(regs.rax, STACK + 16);
        regs.rcx = u64::MAX;
        run(&[0x67, 0x48, 0x8d, 0x04, 0x0f], &mut regs, &mut mem); // lea rax, [edi+ecx]
        assert_eq!(regs.rax, STACK - 1);
        run(&[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8], &mut regs, &mut mem); // movabs
        assert_eq!(regs.rax, 0x0807_0605_0403_0201);
        run(&[0xc6, 0x07, 0x55], &mut regs, &mut mem); // mov byte [rdi], 0x55
        run(&[0x48, 0xc7, 0x47, 0x08, 0xfe, 0xff, 0xff, 0xff], &mut regs, &mut mem); // mov qword [rdi+8], -2
        assert_eq!(mem.read_u64_at(STACK), 0x8786_8584_8382_8155);
        assert_eq!(mem.read_u64_at(STACK + 8), -2i64 as u64);
    }

    #[test]
    fn arithmetic_conditions_and_bit_tests_use_the_flags() {
        let (mut regs, mut mem) = (regs(), memory());
        run(&[0x31, 0xc0], &mut regs, &mut mem); // xor eax, eax
        assert_eq!(regs.eflags, 0x202 | PF | ZF);
        assert_eq!(next(&[0x74, 0x10], &mut regs, &mut mem), 0x40_1012);
        assert_eq!(next(&[0x0f, 0x85, 0x10, 0, 0, 0], &mut regs, &mut mem), 0x40_1006);
        run(&[0x0f, 0x94, 0xc4], &mut regs, &mut mem); // sete ah
        assert_eq!(regs.rax, 0x100);
        (regs.rax, regs.rbx) = (u64::MAX, 7);
        run(&[0x0f, 0x45, 0xc3], &mut regs, &mut mem); // cmovne eax, ebx, not taken
        assert_eq!(regs.rax, 0xffff_ffff);
        run(&[0x48, 0x83, 0xe8, 0x80], &mut regs, &mut mem); // sub rax, -128
        assert_eq!((regs.rax, regs.eflags & CF), (0x1_0000_007f, CF));
        run(&[0x48, 0x0f, 0xba, 0xe0, 0x21], &mut regs, &mut mem); // bt rax, 33
        assert_eq!(regs.eflags & CF, 0);
        regs.rax = 0x8000_0000;
        run(&[0x48, 0x98], &mut regs, &mut mem); // cdqe
        run(&[0x48, 0x99], &mut regs, &mut mem); // cqo
        assert_eq!((regs.rax, regs.rdx), (0xffff_ffff_8000_0000, u64::MAX));
        run(&[0x93], &mut regs, &mut mem); // xchg eax, ebx
        assert_eq!((regs.rax, regs.rbx), (7, 0x8000_0000));
        run(&[0x0f, 0xc8], &mut regs, &mut mem); // bswap eax
        assert_eq!(regs.rax, 0x0700_0000);
        regs.rcx = 1;
        assert_eq!(next(&[0xe2, 0xfe], &mut regs, &mut mem), 0x40_1002);
        assert_eq!((regs.rcx, next(&[0xe3, 0x10], &mut regs, &mut mem)), (0, 0x40_1012));
    }

    #[test]
    fn a_fault_leaves_the_registers_alone() {
        let (before, mut mem) = (Regs { rsp: 0x10, rbp: 0x20, ..regs() }, memory());
        // push rbp; pop rax; leave; ret; call; add [rsp], 1; pop [rsp]
        let all: [&[u8]; 7] =
            [&[0x55], &[0x58], &[0xc9], &[0xc3], &[0xe8, 0, 0, 0, 0], &[0x83, 0x04, 0x24, 1], &[0x8f, 0x04, 0x24]];
        for bytes in all {
            let mut regs = before;
            assert!(matches!(plan(bytes).run(&mut regs, &mut mem), Err(ArchError::Memory(_))), "{bytes:x?}");
            assert_eq!(regs, before, "{bytes:x?}");
        }
    }

    #[test]
    fn the_effect_tells_what_to_write_back() {
        assert_eq!(plan(&[0x0f, 0x1f, 0x44, 0, 0]).effect(), Effect::ProgramCounter);
        assert_eq!(plan(&[0x74, 0]).effect(), Effect::ProgramCounter);
        assert_eq!(plan(&[0x48, 0x89, 0xe5]).effect(), Effect::Registers);
        assert_eq!(plan(&[0x48, 0x8d, 0x07]).effect(), Effect::Registers);
        assert_eq!(plan(&[0x48, 0x3b, 0x07]).effect(), Effect::Memory);
        assert_eq!(plan(&[0x55]).effect(), Effect::Memory);
    }

    fn next(bytes: &[u8], regs: &mut Regs, mem: &mut TestMemory) -> u64 {
        run(bytes, regs, mem);
        regs.rip
    }
}
