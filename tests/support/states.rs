//! Registers and memory for one instruction: random, with the values at which arithmetic turns, and with every address
//! that it uses where the test wants it.

use ::rdbg::base::{Regs, VirtAddr};
use iced_x86::{Decoder, DecoderOptions, FlowControl, InstructionInfoFactory, Mnemonic, OpKind, Register as Iced};

use super::forms::Sample;
use super::sandbox::{Sandbox, Setup, EDGE, OPERANDS, PAGE, SITE, STACK, WINDOW};

/// xorshift64*: the same states on every run.
pub struct Random(u64);

impl Random {
    pub fn seeded_by(bytes: &[u8]) -> Random {
        Random(
            bytes
                .iter()
                .fold(0x9e37_79b9_7f4a_7c15, |seed, byte| (seed ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
                | 1,
        )
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    /// A word at which carries, signs or widths turn, or any.
    fn word(&mut self) -> u64 {
        const TURNS: [u64; 16] = [
            0,
            1,
            u64::MAX,
            0x7f,
            0x80,
            0xff,
            0x7fff,
            0x8000,
            0xffff,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            i64::MAX as u64,
            i64::MIN as u64,
            0xffff_ffff_8000_0000,
            0x0101_0101_0101_0101,
        ];
        match self.below(3) {
            0 => TURNS[self.below(16) as usize],
            _ => self.next(),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.word().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Where the memory operand lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operands {
    /// In memory that can be used, mostly aligned.
    Usable,
    /// In a page with no access.
    Forbidden,
    /// In a page that may be read only.
    ReadOnly,
    /// Across the end of a page that may be written.
    Crossing,
    /// Where nothing is mapped.
    Unmapped,
}

impl Operands {
    pub fn of_state(number: u64) -> Operands {
        match number % 12 {
            8 => Operands::Forbidden,
            9 => Operands::ReadOnly,
            10 => Operands::Crossing,
            11 => Operands::Unmapped,
            _ => Operands::Usable,
        }
    }

    fn address(self, random: &mut Random) -> u64 {
        match self {
            Operands::Usable => {
                let at = OPERANDS.0 + 0x800 + 64 * random.below(16);
                if random.below(4) == 0 {
                    at + random.below(64)
                } else {
                    at
                }
            }
            Operands::Forbidden => EDGE.0 + PAGE + 64 * random.below(32),
            Operands::ReadOnly => EDGE.0 + 2 * PAGE + 64 * random.below(32),
            Operands::Crossing => EDGE.0 + PAGE - 1,
            Operands::Unmapped => 0x2000_0000 + 64 * random.below(32),
        }
    }
}

const STATUS: u64 = 0x8d5;
const DIRECTION: u64 = 1 << 10;

/// The sample, its displacement changed where that alone makes the address, and a state for it. `None` where the state
/// makes no sense for the form, as an operand in forbidden memory for one that has none.
pub fn prepare_state(
    sample: &Sample,
    sandbox: &Sandbox,
    kind: Operands,
    random: &mut Random,
) -> Option<(Sample, Setup)> {
    let mut sample = sample.clone();
    let has_operand = (0..sample.instruction.op_count()).any(|at| sample.instruction.op_kind(at) == OpKind::Memory);
    if kind != Operands::Usable && !has_operand && !uses_stack(&sample) {
        return None;
    }
    let mut regs = random_regs(sandbox, random);
    let (mut operands, mut stack) = (vec![0; WINDOW], vec![0; WINDOW]);
    random.fill(&mut operands);
    random.fill(&mut stack);
    regs.rsp = match kind {
        Operands::Usable => STACK.0 + 0x800,
        // An explicit operand is what faults; else it is the stack.
        _ if has_operand => STACK.0 + 0x800,
        other => other.address(random) + 8 * u64::from(pushes(&sample)),
    };
    if matches!(sample.instruction.mnemonic(), Mnemonic::Leave | Mnemonic::Enter) {
        regs.rbp = regs.rsp + 64 * random.below(4);
    }
    set_implicit(&sample, &mut regs, random);
    if has_operand {
        place_operand(&mut sample, &mut regs, kind.address(random), random)?;
    }
    point_branches(&sample, &mut regs, &mut operands, &mut stack, random);
    check_addresses(&sample, &regs, kind)?;
    let vectors = needs_vectors(&sample).then(|| {
        let mut halves = [[0; 256]; 2];
        halves.iter_mut().for_each(|half| random.fill(half));
        halves
    });
    Some((sample, Setup { regs, operands, stack, vectors }))
}

fn random_regs(sandbox: &Sandbox, random: &mut Random) -> Regs {
    let mut regs = sandbox.blank;
    for field in [
        &mut regs.rax,
        &mut regs.rbx,
        &mut regs.rcx,
        &mut regs.rdx,
        &mut regs.rsi,
        &mut regs.rdi,
        &mut regs.rbp,
        &mut regs.r8,
        &mut regs.r9,
        &mut regs.r10,
        &mut regs.r11,
        &mut regs.r12,
        &mut regs.r13,
        &mut regs.r14,
        &mut regs.r15,
    ] {
        *field = random.word();
    }
    regs.orig_rax = u64::MAX;
    regs.eflags = 0x202 | (random.next() & STATUS);
    if random.below(4) == 0 {
        regs.eflags |= DIRECTION;
    }
    regs
}

fn uses_stack(sample: &Sample) -> bool {
    sample.instruction.is_stack_instruction()
}

fn pushes(sample: &Sample) -> bool {
    sample.instruction.stack_pointer_increment() < 0
}

/// Whether a vector, x87 or mask register has a part in it, or all of them may have.
fn needs_vectors(sample: &Sample) -> bool {
    let one = &sample.instruction;
    let in_operand = |at| {
        let register = one.op_register(at);
        one.op_kind(at) == OpKind::Register && !register.is_gpr() && register != Iced::None
    };
    (0..one.op_count()).any(in_operand) || one.is_save_restore_instruction() || {
        let features = one.cpuid_features().iter().map(|feature| format!("{feature:?}")).collect::<String>();
        ["SSE", "AVX", "FPU", "MMX", "FXSR"].iter().any(|name| features.contains(name))
    }
}

/// Registers that an instruction uses without naming them.
fn set_implicit(sample: &Sample, regs: &mut Regs, random: &mut Random) {
    let one = &sample.instruction;
    let inside = |random: &mut Random| OPERANDS.0 + 0x800 + random.below(256);
    if one.is_string_instruction() {
        (regs.rsi, regs.rdi) = (inside(random), inside(random));
        regs.rcx = random.below(24);
    }
    match one.mnemonic() {
        // getpid, as any other call might end the sandbox.
        Mnemonic::Syscall => regs.rax = 39,
        Mnemonic::Xgetbv => regs.rcx = 0,
        Mnemonic::Xlatb => regs.rbx = inside(random),
        Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu | Mnemonic::Maskmovq => regs.rdi = inside(random),
        Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne | Mnemonic::Jrcxz | Mnemonic::Jecxz => {
            regs.rcx = [0, 1, 2, 1 << 32, u64::MAX][random.below(5) as usize];
        }
        _ => {}
    }
}

fn field(regs: &mut Regs, register: Iced) -> &mut u64 {
    match register.full_register() {
        Iced::RAX => &mut regs.rax,
        Iced::RCX => &mut regs.rcx,
        Iced::RDX => &mut regs.rdx,
        Iced::RBX => &mut regs.rbx,
        Iced::RSP => &mut regs.rsp,
        Iced::RBP => &mut regs.rbp,
        Iced::RSI => &mut regs.rsi,
        Iced::RDI => &mut regs.rdi,
        Iced::R8 => &mut regs.r8,
        Iced::R9 => &mut regs.r9,
        Iced::R10 => &mut regs.r10,
        Iced::R11 => &mut regs.r11,
        Iced::R12 => &mut regs.r12,
        Iced::R13 => &mut regs.r13,
        Iced::R14 => &mut regs.r14,
        Iced::R15 => &mut regs.r15,
        other => panic!("{other:?} in an address"),
    }
}

/// Makes the explicit memory operand lie at `target`, by its registers, the segment's base, or its displacement.
fn place_operand(sample: &mut Sample, regs: &mut Regs, target: u64, random: &mut Random) -> Option<()> {
    let one = sample.instruction;
    let (base, index) = (one.memory_base(), one.memory_index());
    if index.is_vector_register() {
        return None;
    }
    let wide = |value: u64, register: Iced, random: &mut Random| match register.is_gpr32() {
        true => (value & 0xffff_ffff) | random.next() << 32,
        false => value,
    };
    let mut rest = target;
    let segment = match one.memory_segment() {
        Iced::FS => Some(&mut regs.fs_base),
        Iced::GS => Some(&mut regs.gs_base),
        _ => None,
    };
    let alone = base == Iced::None && index == Iced::None;
    if let Some(segment_base) = segment {
        *segment_base = if alone { target.wrapping_sub(one.memory_displacement64()) } else { 16 * random.below(64) };
        rest = target.wrapping_sub(*segment_base);
    } else if alone || one.is_ip_rel_memory_operand() {
        return patch_displacement(sample, target);
    }
    if alone {
        return Some(());
    }
    let scale = u64::from(one.memory_index_scale());
    let displacement = one.memory_displacement64();
    let rest = rest.wrapping_sub(displacement);
    if base == Iced::None || base.full_register() == index.full_register() {
        let scale = if base == Iced::None { scale } else { scale + 1 };
        let value = (rest as i64 / scale as i64) as u64;
        *field(regs, index) = wide(value, index, random);
        return Some(());
    }
    let offset = if index == Iced::None { 0 } else { random.below(16) };
    if index != Iced::None {
        *field(regs, index) = wide(offset, index, random);
    }
    // An operand of the stack's own is left there, where what is pushed and popped is.
    let near = base == Iced::RSP && (displacement as i64).unsigned_abs() < 0x700;
    if !(near && uses_stack(sample)) {
        *field(regs, base) = wide(rest.wrapping_sub(offset * scale), base, random);
    }
    Some(())
}

fn patch_displacement(sample: &mut Sample, target: u64) -> Option<()> {
    let mut decoder = Decoder::with_ip(64, &sample.bytes, SITE.0, DecoderOptions::AMD);
    let one = decoder.decode();
    let offsets = decoder.get_constant_offsets(&one);
    let (at, size) = (offsets.displacement_offset(), offsets.displacement_size());
    let value = if one.is_ip_rel_memory_operand() { target.wrapping_sub(one.next_ip()) } else { target };
    sample.bytes.get_mut(at..at + size)?.copy_from_slice(&value.to_le_bytes()[..size]);
    *sample = Sample::decode(&sample.bytes)?;
    Some(())
}

/// What a branch takes its target from holds an address of code.
fn point_branches(sample: &Sample, regs: &mut Regs, operands: &mut [u8], stack: &mut [u8], random: &mut Random) {
    let one = &sample.instruction;
    // Now and then an address that is none: the CPU raises the exception at the branch itself.
    let mut target = || match random.below(8) {
        0 => 1 << 60 | random.next() >> 8,
        _ => SITE.0 + 0x1000 + random.below(0x1000),
    };
    match one.flow_control() {
        // A jump into the stack is one like any other, as nothing is executed there.
        FlowControl::IndirectBranch | FlowControl::IndirectCall if one.op0_register() == Iced::RSP => {}
        FlowControl::IndirectBranch | FlowControl::IndirectCall if one.op0_kind() == OpKind::Register => {
            *field(regs, one.op0_register()) = target();
        }
        FlowControl::IndirectBranch | FlowControl::IndirectCall | FlowControl::Return => {
            // Wherever it is read from: the same word again and again, for any alignment of eight.
            let word = target();
            for area in [operands, stack] {
                area.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&word.to_le_bytes()));
            }
        }
        _ => {}
    }
}

/// Fails where the instruction would use memory that no one has prepared: the state is not what it is taken for.
fn check_addresses(sample: &Sample, regs: &Regs, kind: Operands) -> Option<()> {
    if kind != Operands::Usable || sample.instruction.mnemonic() == Mnemonic::Nop {
        return Some(());
    }
    let mut factory = InstructionInfoFactory::new();
    let mut regs = *regs;
    for used in factory.info(&sample.instruction).used_memory().to_vec() {
        let address = used.virtual_address(0, |register, _, _| {
            Some(match register {
                Iced::FS => regs.fs_base,
                Iced::GS => regs.gs_base,
                register if register.is_segment_register() => 0,
                Iced::RIP | Iced::EIP => 0,
                register if register.is_gpr32() => *field(&mut regs, register) & 0xffff_ffff,
                register => *field(&mut regs, register),
            })
        })?;
        let inside = |start: VirtAddr| (start.0..start.0 + WINDOW as u64 - 64).contains(&address);
        // lea computes an address and uses none.
        if !inside(OPERANDS) && !inside(STACK) && sample.instruction.mnemonic() != Mnemonic::Lea {
            panic!("{} ({}) would use {address:#x}, {regs:x?}", sample.text(), sample.hex());
        }
    }
    Some(())
}
