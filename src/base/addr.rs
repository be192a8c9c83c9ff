//! Addresses, one type for each space they live in, so that they cannot be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An address in a running process (bytes).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VirtAddr(pub u64);

/// An address as the linker wrote it into a file: a `p_vaddr` or `st_value`, never an offset into the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileAddr(pub u64);

/// What a module's file addresses are shifted by in one process (0 for a program that is not position independent).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct LoadBias(pub u64);

impl LoadBias {
    /// The one conversion from a file's address space into a process's. Wraps as the CPU does.
    pub fn to_virt(self, at: FileAddr) -> VirtAddr {
        VirtAddr(at.0.wrapping_add(self.0))
    }

    /// The inverse of [`LoadBias::to_virt`]; the caller knows that `at` lies in the module.
    pub fn to_file(self, at: VirtAddr) -> FileAddr {
        FileAddr(at.0.wrapping_sub(self.0))
    }
}

/// A half-open range `start..end` of process addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct AddrRange {
    /// The first byte.
    pub start: VirtAddr,
    /// One past the last byte.
    pub end: VirtAddr,
}

impl AddrRange {
    /// Whether `at` lies in the range.
    pub fn contains(&self, at: VirtAddr) -> bool {
        self.start <= at && at < self.end
    }

    /// The length in bytes; 0 for a range that ends before it starts.
    pub fn len(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether the range holds no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! address {
    ($name:ident) => {
        impl $name {
            /// The address `bytes` further on, wrapping as the CPU does.
            pub fn offset(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }

            /// How many bytes this address lies past `base` (wrapping).
            pub fn since(self, base: Self) -> u64 {
                self.0.wrapping_sub(base.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
    };
}

address!(VirtAddr);
address!(FileAddr);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bias_converts_both_ways_and_wraps() {
        let bias = LoadBias(0x5555_5555_4000);
        assert_eq!(bias.to_virt(FileAddr(0x1040)), VirtAddr(0x5555_5555_5040));
        assert_eq!(bias.to_file(VirtAddr(0x5555_5555_5040)), FileAddr(0x1040));
        let down = LoadBias(0u64.wrapping_sub(0x1000));
        assert_eq!(down.to_virt(FileAddr(0x40_1000)), VirtAddr(0x40_0000));
    }
}
