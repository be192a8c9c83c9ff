//! The saved image of the registers beyond the general ones, by PTRACE_GETREGSET.

use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

use libc::{c_uint, c_void, iovec};

use crate::base::extended::LEGACY_SIZE;
use crate::base::{Component, ComponentPlaces, ExtendedRegs, InferiorError, Tid};

use super::request::{failed, request};

/// Register sets by the names of their notes in a core file (include/uapi/linux/elf.h).
const NT_PRFPREG: usize = 2;
const NT_X86_XSTATE: usize = 0x202;

/// More than any CPU's image with AMX's tiles (8 KiB) has.
const IMAGE_LIMIT: usize = 16 << 10;

/// The registers of a stopped task. A CPU or kernel without xsave has fxsave's part.
pub(super) fn fetch(tid: Tid) -> Result<ExtendedRegs, InferiorError> {
    let mut image = vec![0; IMAGE_LIMIT];
    let length = transfer(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, &mut image).or_else(|_| {
        transfer(libc::PTRACE_GETREGSET, tid, NT_PRFPREG, &mut image[..LEGACY_SIZE])
            .map_err(|errno| failed("vector registers", tid, errno))
    })?;
    image.truncate(length);
    Ok(ExtendedRegs::new(image, places()))
}

/// Writes them: an image of [`fetch`], whose size the kernel insists on.
pub(super) fn store(tid: Tid, regs: &ExtendedRegs) -> Result<(), InferiorError> {
    let mut image = regs.image().to_vec();
    let set = if image.len() > LEGACY_SIZE { NT_X86_XSTATE } else { NT_PRFPREG };
    let done = transfer(libc::PTRACE_SETREGSET, tid, set, &mut image);
    done.map(|_| ()).map_err(|errno| failed("setting the vector registers", tid, errno))
}

/// Gives how many bytes the kernel has read or written.
fn transfer(what: c_uint, tid: Tid, set: usize, image: &mut [u8]) -> Result<usize, i32> {
    // The kernel reads or fills at most `iov_len` bytes of `image`, which outlives the call, and writes the length back.
    let mut part = iovec { iov_base: image.as_mut_ptr().cast(), iov_len: image.len() };
    request(what, tid, set as *mut c_void, (&raw mut part).cast())?;
    Ok(part.iov_len)
}

/// CPUID's leaf 13 has a sub-leaf for each component: size in EAX, place in EBX (Intel SDM, volume 1, 13.2).
fn places() -> ComponentPlaces {
    static PLACES: OnceLock<ComponentPlaces> = OnceLock::new();
    *PLACES.get_or_init(|| {
        // The highest leaf is leaf 0's EAX.
        if __cpuid_count(0, 0).eax < 13 {
            return ComponentPlaces::default();
        }
        ComponentPlaces::new(|component: Component| {
            let place = __cpuid_count(13, component as u32);
            (place.eax > 0).then_some(place.ebx as usize)
        })
    })
}
