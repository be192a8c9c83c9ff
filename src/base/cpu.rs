//! Sets of CPUs.

/// CPUs are numbered below this.
const CPUS: u32 = 1024;

/// A set of CPUs, as sched_setaffinity(2) takes it: bit N % 64 of word N / 64 for CPU N.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct CpuMask([u64; CPUS as usize / 64]);

impl CpuMask {
    /// That CPU alone; `None` for a number that no mask has (1024 and more).
    pub fn only(cpu: u32) -> Option<CpuMask> {
        let mut mask = CpuMask::default();
        *mask.0.get_mut(cpu as usize / 64)? = 1 << (cpu % 64);
        Some(mask)
    }

    /// Whether it has that CPU.
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.get(cpu as usize / 64).is_some_and(|word| word >> (cpu % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cpu() {
        let mask = CpuMask::only(65).unwrap();
        assert!(mask.contains(65) && !mask.contains(1) && !mask.contains(64) && !mask.contains(5000));
        assert_eq!(CpuMask::only(1024), None);
    }
}
