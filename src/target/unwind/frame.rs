//! One frame of a stack.

use crate::base::{Regs, VirtAddr};

/// DWARF's number of rbp.
pub const RBP: u16 = 6;
/// DWARF's number of rsp.
pub const RSP: u16 = 7;
/// DWARF's number of the return address.
pub const RETURN_ADDRESS: u16 = 16;
/// DWARF's numbers of the registers that a callee must leave as they were, rsp apart (psABI, 3.2.1).
const CALLEE_SAVED: [u16; 6] = [3, 6, 12, 13, 14, 15];

/// How a frame was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HowFound {
    /// The registers of the task.
    Registers,
    /// Its callee stands at its entry: the return address is at [rsp].
    Entry,
    /// By .eh_frame or .debug_frame.
    Cfi,
    /// By the chain of frame pointers.
    FramePointer,
    /// A signal struck it.
    Signal,
    /// Its callee is a PLT stub.
    Plt,
}

/// What a frame's pc means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameAddress {
    /// The instruction that is executed next.
    InstructionPointer(VirtAddr),
    /// Where a call will return to, perhaps in another function than the call was in.
    ReturnAddress(VirtAddr),
}

impl FrameAddress {
    /// The pc.
    pub fn pc(self) -> VirtAddr {
        match self {
            FrameAddress::InstructionPointer(pc) | FrameAddress::ReturnAddress(pc) => pc,
        }
    }

    /// An address in the function that is executed: in the call instruction for a return address.
    pub fn address_for_lookup(self) -> VirtAddr {
        match self {
            FrameAddress::InstructionPointer(pc) => pc,
            FrameAddress::ReturnAddress(pc) => VirtAddr(pc.0.wrapping_sub(1)),
        }
    }
}

/// The general registers of a frame, as far as they are known, by their DWARF numbers (psABI, figure 3.36).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FrameRegs {
    known: [Option<u64>; 16],
    /// The pc.
    pub pc: VirtAddr,
}

impl FrameRegs {
    /// A register's value. None: its number is not a general register's, or the value is lost.
    pub fn get(&self, dwarf: u16) -> Option<u64> {
        if dwarf == RETURN_ADDRESS {
            return Some(self.pc.0);
        }
        self.known.get(usize::from(dwarf)).copied().flatten()
    }

    /// Sets a register; numbers beyond the general registers are passed over.
    pub fn set(&mut self, dwarf: u16, value: Option<u64>) {
        if let Some(slot) = self.known.get_mut(usize::from(dwarf)) {
            *slot = value;
        }
    }

    /// rsp.
    pub fn sp(&self) -> Option<VirtAddr> {
        self.get(RSP).map(VirtAddr)
    }

    /// rbp.
    pub fn fp(&self) -> Option<VirtAddr> {
        self.get(RBP).map(VirtAddr)
    }

    /// What a caller's registers are when nothing more is said: those are kept that a callee must restore.
    pub fn kept_by_callee(&self) -> FrameRegs {
        let mut caller = FrameRegs::default();
        for register in CALLEE_SAVED {
            caller.set(register, self.get(register));
        }
        caller
    }
}

impl From<&Regs> for FrameRegs {
    fn from(regs: &Regs) -> Self {
        let order = [
            regs.rax, regs.rdx, regs.rcx, regs.rbx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8, regs.r9, regs.r10,
            regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
        ];
        FrameRegs { known: order.map(Some), pc: regs.pc() }
    }
}

/// One frame of a stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its pc.
    pub pc: VirtAddr,
    /// What the pc means.
    pub address: FrameAddress,
    /// rsp before the call that made the frame. None: the caller was not found.
    pub cfa: Option<VirtAddr>,
    /// Its registers.
    pub regs: FrameRegs,
    /// How it was found.
    pub how: HowFound,
}

impl Frame {
    /// A frame of these registers.
    pub fn new(address: FrameAddress, regs: FrameRegs, how: HowFound) -> Self {
        Frame { pc: address.pc(), address, cfa: None, regs, how }
    }
}
