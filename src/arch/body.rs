//! What a short function does with its arguments: whom it calls, and what it hands on.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register,
};

use crate::base::FileAddr;

/// Longer functions are read no further.
const MAX_INSTRUCTIONS: usize = 192;
/// The registers of integer arguments in order (SysV psABI, 3.2.3).
const ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];

/// The calls of one function, in the order of its code.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Body {
    /// Its calls, and the jumps that leave it.
    pub calls: Vec<Call>,
    /// It was read to its end.
    pub extent: Extent,
}

/// How much of a function was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Not all: it is too long, or does not decode.
    #[default]
    Start,
}

/// A call, or a jump out of the function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Where it goes.
    pub target: CallTarget,
    /// For each of the callee's integer arguments, which of the caller's it is (0 for the first), where that is known. It
    /// is known only before the first branch.
    pub arguments: [Option<u8>; 6],
    /// A call, or a jump.
    pub kind: CallKind,
}

/// Where a call goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallTarget {
    /// To this address.
    Code(FileAddr),
    /// To the address that is stored here.
    Slot(FileAddr),
    /// To what a register or an object says.
    Unknown,
}

/// Whether the function goes on behind a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallKind {
    /// It does.
    Call,
    /// The callee returns to the caller's caller.
    Jump,
}

/// Reads the code of a function that lies at `at`.
pub fn read_body(code: &[u8], at: FileAddr) -> Body {
    let mut decoder = Decoder::with_ip(64, code, at.0, DecoderOptions::NONE);
    let end = at.offset(code.len() as u64);
    let mut origins = Origins::at_entry();
    let mut body = Body::default();
    let mut factory = InstructionInfoFactory::new();
    for _ in 0..MAX_INSTRUCTIONS {
        if !decoder.can_decode() {
            body.extent = Extent::Whole;
            break;
        }
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            break;
        }
        let flow = instruction.flow_control();
        if let Some((target, kind)) = leaves(&instruction, flow, at, end) {
            body.calls.push(Call { target, arguments: origins.arguments(), kind });
        }
        match flow {
            FlowControl::Next => origins.follow(&instruction, &mut factory),
            // Behind a call the argument registers hold anything; behind a branch, other paths may join.
            FlowControl::Call | FlowControl::IndirectCall => origins.forget_volatile(),
            _ => origins = Origins::unknown(),
        }
    }
    body
}

/// Where an instruction calls or jumps to, if not to its own function.
fn leaves(one: &Instruction, flow: FlowControl, start: FileAddr, end: FileAddr) -> Option<(CallTarget, CallKind)> {
    let direct = |kind| {
        let target = FileAddr(one.near_branch_target());
        let inside = kind == CallKind::Jump && start <= target && target < end;
        (!inside).then_some((CallTarget::Code(target), kind))
    };
    let indirect = || match one.op0_kind() {
        OpKind::Memory if one.is_ip_rel_memory_operand() => CallTarget::Slot(FileAddr(one.ip_rel_memory_address())),
        _ => CallTarget::Unknown,
    };
    match flow {
        FlowControl::Call => direct(CallKind::Call),
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => direct(CallKind::Jump),
        FlowControl::IndirectCall => Some((indirect(), CallKind::Call)),
        FlowControl::IndirectBranch => Some((indirect(), CallKind::Jump)),
        _ => None,
    }
}

/// For each general register, which of the function's arguments it holds.
struct Origins([Option<u8>; 16]);

impl Origins {
    fn at_entry() -> Origins {
        let mut origins = Origins::unknown();
        for (number, register) in ARGUMENTS.into_iter().enumerate() {
            origins.0[register.number()] = Some(number as u8);
        }
        origins
    }

    fn unknown() -> Origins {
        Origins([None; 16])
    }

    fn arguments(&self) -> [Option<u8>; 6] {
        ARGUMENTS.map(|register| self.0[register.number()])
    }

    fn forget_volatile(&mut self) {
        let kept = [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];
        for number in (0..16).filter(|number| !kept.iter().any(|one| one.number() == *number)) {
            self.0[number] = None;
        }
    }

    /// A copy from register to register carries an argument on; any other write ends what the register held.
    fn follow(&mut self, one: &Instruction, factory: &mut InstructionInfoFactory) {
        let copies =
            matches!(one.code(), Code::Mov_r64_rm64 | Code::Mov_rm64_r64 | Code::Mov_r32_rm32 | Code::Mov_rm32_r32);
        if copies && one.op0_kind() == OpKind::Register && one.op1_kind() == OpKind::Register {
            self.0[one.op0_register().number()] = self.0[one.op1_register().number()];
            return;
        }
        for used in factory.info(one).used_registers() {
            let writes =
                !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None | OpAccess::NoMemAccess);
            if writes && used.register().is_gpr() {
                self.0[used.register().number() & 15] = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_hands_its_arguments_on_is_seen_to() {
        // mov %esi,%edi; mov %rdx,%rsi; mov %ecx,%edx; jmp 0x2000
        let code = [0x89, 0xf7, 0x48, 0x89, 0xd6, 0x89, 0xca, 0xe9, 0xf4, 0x0f, 0x00, 0x00];
        let body = read_body(&code, FileAddr(0x1000));
        assert_eq!(body.extent, Extent::Whole);
        let [call] = &body.calls[..] else { panic!("{body:?}") };
        assert_eq!((call.target, call.kind), (CallTarget::Code(FileAddr(0x2000)), CallKind::Jump));
        assert_eq!(call.arguments[..3], [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn behind_a_call_and_a_branch_nothing_is_known() {
        // mov %rdi,%rbx; call 0x2000; mov %rbx,%rdi; call 0x2000; je +0; call *0x10(%rip)
        let code = [
            0x48, 0x89, 0xfb, 0xe8, 0xf8, 0x0f, 0, 0, 0x48, 0x89, 0xdf, 0xe8, 0xf0, 0x0f, 0, 0, 0x74, 0, 0xff, 0x15,
            0x10, 0, 0, 0,
        ];
        let body = read_body(&code, FileAddr(0x1000));
        let arguments: Vec<_> = body.calls.iter().map(|call| call.arguments[..2].to_vec()).collect();
        assert_eq!(arguments, [[Some(0), Some(1)], [Some(0), None], [None, None]]);
        assert_eq!(body.calls[2].target, CallTarget::Slot(FileAddr(0x1028)));
    }

    #[test]
    fn any_bytes_are_read_in_bounds() {
        let mut seed = 7u64;
        for len in 0..200 {
            let code: Vec<u8> = (0..len)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (seed >> 56) as u8
                })
                .collect();
            assert!(read_body(&code, FileAddr(u64::MAX - 100)).calls.len() <= MAX_INSTRUCTIONS);
        }
    }
}
