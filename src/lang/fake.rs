//! A scripted task to evaluate expressions in.

use std::cell::Cell;

use crate::base::{MemError, VirtAddr};

use super::{Environment, Names, RegisterId, RegisterName, Type, Value};

pub(super) const BASE: u64 = 0x1000;

/// rdi 7, rsi BASE, rax -1, rdx a NULL pointer, xmm0 1.5; symbols main, A::B::f, T<int>::g(char), main.main; $1 = 42.
pub(super) struct Fake {
    pub(super) memory: Vec<u8>,
    pub(super) reads: Cell<usize>,
}

impl Fake {
    pub(super) fn new() -> Fake {
        let mut memory = vec![0; 0x1000];
        memory[..8].copy_from_slice(&0xffff_fff6_u64.to_le_bytes());
        memory[8..16].copy_from_slice(&(BASE + 0x40).to_le_bytes());
        memory[0x10..0x18].copy_from_slice(&2.5f64.to_le_bytes());
        memory[0x40..0x46].copy_from_slice(b"hello\0");
        memory[0x100..0x1c8].fill(b'x');
        memory[0x1c8..0x1cd].copy_from_slice(b"more\0");
        let len = memory.len();
        memory[len - 3..].copy_from_slice(b"ab\0");
        Fake { memory, reads: Cell::new(0) }
    }
}

impl Names for Fake {
    fn register(&self, name: &str) -> Option<RegisterName> {
        Some(match name {
            "rdi" | "arg0" => RegisterName::integer(RegisterId(0), 8),
            "rsi" | "arg1" => RegisterName::integer(RegisterId(1), 8),
            "rax" | "retval" => RegisterName::integer(RegisterId(2), 8),
            "eax" => RegisterName::integer(RegisterId(2), 4),
            "al" => RegisterName::integer(RegisterId(2), 1),
            "rdx" => RegisterName::integer(RegisterId(3), 8),
            "pc" => RegisterName::code(RegisterId(4)),
            "sp" => RegisterName::pointer(RegisterId(1)),
            "xmm0" => RegisterName { id: RegisterId(5), ty: Type::DOUBLE },
            _ => return None,
        })
    }

    fn symbol(&self, name: &str) -> Option<VirtAddr> {
        Some(VirtAddr(match name {
            "main" => 0x401000,
            "A::B::f" => 0x402000,
            "A::B::f(int)" => 0x402100,
            "T<int>::g(char)" => 0x403000,
            "main.main" => 0x404000,
            "malloc@plt" => 0x405000,
            "B::~B" => 0x406000,
            "argue" => 0x407000,
            _ => return None,
        }))
    }

    fn variable(&self, name: &str) -> Option<Value> {
        match name {
            "1" | "" => Some(Value::int(42)),
            "mine" => Some(Value::double(0.5)),
            _ => None,
        }
    }
}

impl Environment for Fake {
    fn register(&self, id: RegisterId) -> u64 {
        match id.0 {
            0 => 7,
            1 => BASE,
            2 => u64::MAX,
            4 => 0x401004,
            5 => 1.5f64.to_bits(),
            _ => 0,
        }
    }

    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), MemError> {
        self.reads.set(self.reads.get() + 1);
        let start = at.0.checked_sub(BASE).ok_or(MemError::Unmapped(at))? as usize;
        let part = self.memory.get(start..start.saturating_add(buf.len())).ok_or(MemError::Unmapped(at))?;
        buf.copy_from_slice(part);
        Ok(())
    }
}
