//! What a few bytes of code say about a frame where nothing else does.

use crate::base::{ReadMem, VirtAddr};

/// `mov $15,%rax; syscall`: rt_sigreturn, as glibc, musl and Go return from a handler.
const SIGRETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];
/// `endbr64`.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// `mov %rsp,%rbp` in its two encodings.
const SET_FRAME_POINTER: [[u8; 3]; 2] = [[0x48, 0x89, 0xe5], [0x48, 0x8b, 0xec]];
/// The opcode and ModRM byte of `sub $imm8,%rsp`; with imm32 the opcode is 0x81, and rarely so early.
const SUB_RSP: [u8; 2] = [0x83, 0xec];
/// A prologue is not looked for beyond this.
const LONGEST_PROLOGUE: usize = 128;
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
    start.and_then(|start| prologue(mem, start, pc)).unwrap_or(Moment::Unknown)
}

fn follows_push_index(mem: &dyn ReadMem, pc: VirtAddr) -> bool {
    let mut code = [0; 11];
    let start = VirtAddr(pc.0.wrapping_sub(11));
    mem.read_exact(start, &mut code).is_ok() && code[..2] == [0xff, 0x25] && code[6] == 0x68
}

/// How far a function has come that has not made rbp its frame pointer yet. None: it has, or one cannot tell.
fn prologue(mem: &dyn ReadMem, start: VirtAddr, pc: VirtAddr) -> Option<Moment> {
    let length = usize::try_from(pc.since(start)).ok().filter(|length| (1..=LONGEST_PROLOGUE).contains(length))?;
    let mut code = vec![0; length];
    mem.read_exact(start, &mut code).ok()?;
    if code.windows(3).any(|window| SET_FRAME_POINTER.contains(&[window[0], window[1], window[2]])) {
        return None;
    }
    let body = code.strip_prefix(&ENDBR64).unwrap_or(&code);
    let moves_stack = |code: &[u8]| {
        code.iter().any(|byte| (0x50..=0x5f).contains(byte)) || code.windows(2).any(|window| window == SUB_RSP)
    };
    match body.split_first() {
        Some((0x55, rest)) if !moves_stack(rest) => Some(Moment::FramePointerPushed),
        _ if !moves_stack(body) => Some(Moment::Entered),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::fake_memory::FakeMemory;

    const START: VirtAddr = VirtAddr(0x40_1000);

    fn moment_at(offset: u64, code: &[u8]) -> Moment {
        let mem = FakeMemory::default().with(START.0, code);
        moment(&mem, START.offset(offset), Some(START))
    }

    #[test]
    fn a_prologue_is_followed_until_it_sets_the_frame_pointer() {
        let code = [0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x31, 0xc0, 0x48, 0x89, 0xe5, 0x31, 0xc0, 0x5d, 0xc3];
        assert_eq!(moment_at(4, &code), Moment::Entered);
        assert_eq!(moment_at(5, &code), Moment::FramePointerPushed);
        assert_eq!(moment_at(7, &code), Moment::FramePointerPushed);
        assert_eq!(moment_at(10, &code), Moment::Unknown);
        assert_eq!(moment_at(13, &code), Moment::Entered, "the ret");
    }

    #[test]
    fn plt_stubs_are_known_by_their_jumps() {
        let lazy = [0xff, 0x25, 0, 0, 0, 0, 0x68, 1, 0, 0, 0, 0xe9, 0, 0, 0, 0];
        assert_eq!(moment_at(0, &lazy), Moment::Entered);
        assert_eq!(moment_at(6, &lazy), Moment::Entered);
        assert_eq!(moment_at(11, &lazy), Moment::IndexPushed);
    }

    #[test]
    fn calls_are_recognised_by_what_ends_before_the_address() {
        let after = |code: &[u8]| {
            let mut bytes = vec![0x90; 8];
            bytes.extend_from_slice(code);
            let end = START.offset(bytes.len() as u64);
            follows_call(&FakeMemory::default().with(START.0, &bytes), end)
        };
        assert!(after(&[0xe8, 1, 2, 3, 4]));
        assert!(after(&[0xff, 0xd0]));
        assert!(after(&[0xff, 0x15, 1, 2, 3, 4]));
        assert!(after(&[0x41, 0xff, 0x54, 0x24, 0x08]));
        assert!(!after(&[0xff, 0x25, 1, 2, 3, 4]));
        assert!(!after(&[]));
    }
}
