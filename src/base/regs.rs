//! Register storage, in the kernel's own layout.

use super::VirtAddr;

/// The general registers of a stopped task: `struct user_regs_struct` of <sys/user.h>, field by field.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Regs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// The system call's number at a syscall-stop, or in an interrupted call; all ones otherwise.
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub eflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

impl Regs {
    /// The program counter.
    pub fn pc(&self) -> VirtAddr {
        VirtAddr(self.rip)
    }

    /// The stack pointer.
    pub fn sp(&self) -> VirtAddr {
        VirtAddr(self.rsp)
    }
}

/// The SSE registers of a stopped task, xmm0 to xmm15, and the top of the x87 stack: little-endian, lowest byte first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VectorRegs {
    /// xmm0 to xmm15.
    pub xmm: [[u8; 16]; 16],
    /// st(0): 80 bits, and zeroes.
    pub st0: [u8; 16],
}
