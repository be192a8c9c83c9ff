//! What a few bytes of code say about a frame where nothing else does.

use crate::base::{ReadMem, VirtAddr};

/// `mov $15,%rax; syscall`: rt_sigreturn, as glibc, musl and Go return from a handler.
const SIGRETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];
/// `endbr64`.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// The longest call that is recognised: `call *disp32(%base,%index,scale)` with a REX prefix.
const LONGEST_CALL: u64 = 8;

/// What an instruction's surroundings say of where the return address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// At [rsp]: the next instruction is `ret`, or `push %rbp` at a function's start, or a PLT stub's jump.
    Entered,
    /// At [rsp + 8]: a word has been pushed, which is the caller's rbp.
    FramePointerPushed,
    /// At [rsp + 8]: a PLT stub has pushed its index.
    IndexPushed,
    /// Nothing is known.
    Unknown,
}

/// Whether the code at `pc` returns from a signal handler.
pub fn is_sigreturn(mem: &dyn ReadMem, pc: VirtAddr) -> bool {
    let matches = |start: VirtAddr| {
        let mut code = [0; SIGRETURN.len()];
        mem.read_exact(start, &mut code).is_ok() && code == SIGRETURN
    };
    matches(pc) || matches(VirtAddr(pc.0.wrapping_sub(7)))
}

/// Whether a call instruction ends right before `at`.
pub fn follows_call(mem: &dyn ReadMem, at: VirtAddr) -> bool {
    let mut code = [0; LONGEST_CALL as usize];
    let start = VirtAddr(at.0.wrapping_sub(LONGEST_CALL));
    if mem.read_exact(start, &mut code).is_err() {
        return false;
    }
    // call rel32; else ff /2 with 0 to 5 bytes of SIB and displacement behind its ModRM byte.
    code[3] == 0xe8
        || (2..=7).any(|length| {
            let opcode = LONGEST_CALL as usize - length;
            code[opcode] == 0xff && code[opcode + 1] & 0x38 == 0x10
        })
}

/// What the code at `pc` says, in a function that starts at `start` where that is known.
pub fn moment(mem: &dyn ReadMem, pc: VirtAddr, start: Option<VirtAddr>) -> Moment {
    let mut code = [0; 16];
    let Ok(count) = mem.read_mem(pc, &mut code) else { return Moment::Unknown };
    let code = &code[..count];
    let body = code.strip_prefix(&ENDBR64).unwrap_or(code);
    match body {
        [0xc3 | 0xc2, ..] | [0xf3, 0xc3, ..] => return Moment::Entered,
        // jmp *slot(%rip), with or without bnd: a PLT stub.
        [0xff, 0x25, ..] | [0xf2, 0xff, 0x25, ..] => return Moment::Entered,
        // push index; jmp first: a lazy stub's second half.
        [0x68, _, _, _, _, 0xe9 | 0xf2, ..] => return Moment::Entered,
        [0xe9, ..] if follows_push_index(mem, pc) => return Moment::IndexPushed,
        _ => {}
    }
    if start.is_some_and(|start| is_pushed(mem, start, pc)) {
        return Moment::FramePointerPushed;
    }
    Moment::Unknown
}

fn follows_push_index(mem: &dyn ReadMem, pc: VirtAddr) -> bool {
    let mut code = [0; 11];
    let start = VirtAddr(pc.0.wrapping_sub(11));
    mem.read_exact(start, &mut code).is_ok() && code[..2] == [0xff, 0x25] && code[6] == 0x68
}

/// Whether `pc` is right behind the `push %rbp` that starts the function.
fn is_pushed(mem: &dyn ReadMem, start: VirtAddr, pc: VirtAddr) -> bool {
    let mut code = [0; 5];
    let Some(length) = usize::try_from(pc.since(start)).ok().filter(|length| matches!(length, 1 | 5)) else {
        return false;
    };
    mem.read_exact(start, &mut code[..length]).is_ok()
        && code[length - 1] == 0x55
        && (length == 1 || code[..4] == ENDBR64)
}
