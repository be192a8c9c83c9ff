//! One ptrace(2) request: what it takes and gives.

use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, c_uint, c_void};

use crate::base::{DebugRegister, InferiorError, Tid, VirtAddr};

use super::error::{errno_text, last_errno};

/// One ptrace request that answers 0.
pub(super) fn request(what: c_uint, tid: Tid, addr: *mut c_void, data: *mut c_void) -> Result<(), c_int> {
    // SAFETY: each caller passes what its request asks for: numbers, or a pointer to a live local of the size that the
    // request reads or writes. The tracee's own addresses are checked by the kernel.
    match unsafe { libc::ptrace(what, tid.0, addr, data) } {
        -1 => Err(last_errno()),
        _ => Ok(()),
    }
}

/// ESRCH says that the task is gone, or was killed out of its stop: an answer.
pub(super) fn failed(what: &'static str, tid: Tid, errno: c_int) -> InferiorError {
    match errno {
        libc::ESRCH => InferiorError::Gone(tid),
        _ => InferiorError::Os { what, tid, reason: errno_text(errno) },
    }
}

/// A request whose data is a struct that the kernel fills.
pub(super) fn fetch<T>(name: &'static str, what: c_uint, tid: Tid) -> Result<T, InferiorError> {
    let mut value = MaybeUninit::<T>::zeroed();
    request(what, tid, ptr::null_mut(), value.as_mut_ptr().cast()).map_err(|errno| failed(name, tid, errno))?;
    // SAFETY: callers choose T to be the request's plain-data struct, for which zeroes and any bytes are valid.
    Ok(unsafe { value.assume_init() })
}

/// Where PTRACE_PEEKUSER and PTRACE_POKEUSER have a debug register.
pub(super) fn debug_register_offset(register: DebugRegister) -> usize {
    let number = match register {
        DebugRegister::Address(number) => usize::from(number & 3),
        DebugRegister::Status => 6,
        DebugRegister::Control => 7,
    };
    std::mem::offset_of!(libc::user, u_debugreg) + number * size_of::<u64>()
}

/// Sets the program counter alone.
pub(super) fn set_pc(tid: Tid, pc: VirtAddr) -> Result<(), c_int> {
    let rip = std::mem::offset_of!(libc::user, regs) + std::mem::offset_of!(libc::user_regs_struct, rip);
    request(libc::PTRACE_POKEUSER, tid, rip as *mut c_void, pc.0 as *mut c_void)
}

/// One PTRACE_PEEKTEXT / POKETEXT round: the word at `at`.
pub(super) fn peek(tid: Tid, at: VirtAddr) -> Result<u64, c_int> {
    let mut word = 0u64;
    // The raw system call, unlike glibc's wrapper, stores the word through `data`.
    // SAFETY: the kernel writes 8 bytes to `word`; the address is read in the tracee and checked there.
    let got = unsafe { libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKTEXT, tid.0, at.0, &mut word) };
    if got < 0 {
        return Err(last_errno());
    }
    Ok(word)
}

/// Writes through PTRACE_POKETEXT, for kernels that refuse writes to /proc/PID/mem (proc_mem.force_override=never).
pub(super) fn poke(tid: Tid, at: VirtAddr, bytes: &[u8]) -> Result<(), c_int> {
    let first = at.0 & !7;
    let end = at.0.wrapping_add(bytes.len() as u64);
    let mut word_at = first;
    while word_at < end {
        let mut word = peek(tid, VirtAddr(word_at))?.to_le_bytes();
        for (index, slot) in word.iter_mut().enumerate() {
            let byte_at = word_at + index as u64;
            if (at.0..end).contains(&byte_at) {
                *slot = bytes[(byte_at - at.0) as usize];
            }
        }
        let value = u64::from_le_bytes(word);
        request(libc::PTRACE_POKETEXT, tid, word_at as *mut c_void, value as *mut c_void)?;
        word_at += 8;
    }
    Ok(())
}
