//! Whether the value of a register is still wanted by the code that comes next.

use iced_x86::{Code, FlowControl, InstructionInfoFactory, OpAccess};

use super::step_over::decode_one;
use super::IntegerRegister;
use crate::base::{ReadMem, VirtAddr};

/// The longest instruction, bytes.
const LONGEST_INSTRUCTION: usize = 15;
/// How many instructions are looked at.
const LIMIT: usize = 256;

/// Whether no path from `pc` to the end of its function reads the argument register `argument` of a system call before
/// it is written.
///
/// A system call keeps its argument registers, and code that holds one inline may rely on that; a function that wraps
/// one may not hand rdx, r10, .. to its caller (psABI, "Registers", figure 3.4). A called function is taken to keep the
/// register, as compilers assume of callees that they know. What cannot be followed (an indirect jump, a jump out of
/// what can be read, more than some hundred instructions) counts as a reader.
pub fn is_dead_after(memory: &dyn ReadMem, pc: VirtAddr, argument: IntegerRegister) -> bool {
    let register = match argument.0 {
        0 => iced_x86::Register::RDI,
        1 => iced_x86::Register::RSI,
        2 => iced_x86::Register::RDX,
        3 => iced_x86::Register::R10,
        4 => iced_x86::Register::R8,
        _ => return false,
    };
    let mut factory = InstructionInfoFactory::new();
    let mut open = vec![pc];
    let mut seen = Vec::new();
    while let Some(at) = open.pop() {
        if seen.contains(&at) {
            continue;
        }
        if seen.len() == LIMIT {
            return false;
        }
        seen.push(at);
        let mut bytes = [0; LONGEST_INSTRUCTION];
        let Ok(got) = memory.read_mem(at, &mut bytes) else { return false };
        let Ok(instruction) = decode_one(at, &bytes[..got]) else { return false };
        if instruction.code() == Code::Syscall {
            return false;
        }
        let mut written = false;
        for used in factory.info(&instruction).used_registers() {
            if used.register().full_register() != register {
                continue;
            }
            match used.access() {
                // A write of 32 bits clears the others; one of 8 or 16 keeps them.
                OpAccess::Write if used.register().size() >= 4 => written = true,
                _ => return false,
            }
        }
        if written {
            continue;
        }
        let next = VirtAddr(instruction.next_ip());
        match instruction.flow_control() {
            FlowControl::Return => {}
            FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => open.push(next),
            FlowControl::ConditionalBranch => open.extend([next, VirtAddr(instruction.near_branch_target())]),
            FlowControl::UnconditionalBranch => open.push(VirtAddr(instruction.near_branch_target())),
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MemError;

    const R10: IntegerRegister = IntegerRegister(3);
    const RDX: IntegerRegister = IntegerRegister(2);

    struct Code(&'static [u8]);
    impl ReadMem for Code {
        fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
            let rest = self.0.get(at.0 as usize..).filter(|rest| !rest.is_empty()).ok_or(MemError::Unmapped(at))?;
            let got = rest.len().min(buf.len());
            buf[..got].copy_from_slice(&rest[..got]);
            Ok(got)
        }
    }

    #[test]
    fn a_wrapper_that_returns_has_no_use_for_the_argument() {
        // cmp rax, -4095; jae +1; ret; neg eax; mov fs:[rdx], eax; or rax, -1; ret
        let wrapper = b"\x48\x3d\x01\xf0\xff\xff\x73\x01\xc3\xf7\xd8\x64\x89\x02\x48\x83\xc8\xff\xc3";
        assert!(is_dead_after(&Code(wrapper), VirtAddr(0), R10));
        assert!(!is_dead_after(&Code(wrapper), VirtAddr(0), RDX));
    }

    #[test]
    fn a_loop_that_relies_on_the_kernel_keeping_it_does_use_it() {
        // mov eax, 232; syscall; test eax, eax; je back to the mov
        let spin = b"\xb8\xe8\x00\x00\x00\x0f\x05\x85\xc0\x74\xf5\xc3";
        assert!(!is_dead_after(&Code(spin), VirtAddr(7), R10));
        // The same, but r10d is loaded anew: mov r10d, 50 first.
        let anew = b"\x41\xba\x32\x00\x00\x00\xb8\xe8\x00\x00\x00\x0f\x05\x85\xc0\x74\xef\xc3";
        assert!(is_dead_after(&Code(anew), VirtAddr(13), R10));
    }

    #[test]
    fn what_cannot_be_followed_counts_as_a_reader() {
        assert!(!is_dead_after(&Code(b"\xff\xe0"), VirtAddr(0), R10), "jmp rax");
        assert!(!is_dead_after(&Code(b"\x90"), VirtAddr(0), R10), "the end of what can be read");
        assert!(is_dead_after(&Code(b"\xeb\xfe"), VirtAddr(0), R10), "a loop of its own reads nothing");
        assert!(!is_dead_after(&Code(b"\x41\xb2\x01\xc3"), VirtAddr(0), R10), "mov r10b, 1 keeps the rest");
    }
}
