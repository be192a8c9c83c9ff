//! Which CPUs a task may run on (sched_setaffinity(2), cpuset(7)).

use std::io;
use std::mem::size_of;

use crate::base::{CpuMask, Tid};

/// The mask of a task; `None`: the calling thread's.
pub fn affinity(tid: Option<Tid>) -> io::Result<CpuMask> {
    let mut mask = CpuMask::default();
    // SAFETY: the kernel writes at most the given size to `mask`, which is plain words.
    let got = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, tid.map_or(0, |tid| tid.0), size_of::<CpuMask>(), &mut mask)
    };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(mask)
}

/// Sets the mask of a task; `None`: the calling thread's.
pub fn set_affinity(tid: Option<Tid>, mask: &CpuMask) -> io::Result<()> {
    // SAFETY: the kernel reads the given size from `mask`.
    let done =
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, tid.map_or(0, |tid| tid.0), size_of::<CpuMask>(), mask) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The CPU that the calling thread is on.
pub fn current_cpu() -> u32 {
    // SAFETY: sched_getcpu(3) takes nothing; it fails only on kernels without getcpu(2), with -1.
    u32::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_bound_to_one_cpu_and_freed() {
        let before = affinity(None).unwrap();
        let cpu = current_cpu();
        assert!(before.contains(cpu));
        set_affinity(None, &CpuMask::only(cpu).unwrap()).unwrap();
        assert_eq!(affinity(None).unwrap(), CpuMask::only(cpu).unwrap());
        set_affinity(None, &before).unwrap();
        assert_eq!(affinity(None).unwrap(), before);
        assert!(set_affinity(None, &CpuMask::default()).is_err());
    }
}
