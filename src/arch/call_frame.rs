//! What a stopped thread's stack and registers have to be for it to call a function and come back.
//!
//! The function returns to the C library's trampoline of rt_sigreturn(2), and behind the return address stands the frame
//! of a signal with all that the thread had when it was stopped. So the kernel puts it back when the function returns,
//! also where the debugger is gone by then.

use super::{place_arguments, ArchError, ArgumentPlace, FloatWidth, IntegerRegister, ParameterClass, SseRegister};
use crate::base::{Component, ExtendedRegs, Regs, VirtAddr};

/// What leaf functions may use below the stack pointer, bytes (psABI, 3.2.2).
const RED_ZONE: u64 = 128;
/// XSAVE areas are aligned so.
const XSAVE_ALIGNMENT: u64 = 64;
/// Where the image of FXSAVE has xmm0, and how far apart they are (Intel SDM vol. 1, 10.5.1).
const XMM_AT: usize = 160;
const XMM_SIZE: usize = 16;
/// The least that an XSAVE image has: FXSAVE's part and the header.
const XSAVE_LEAST: usize = 576;
/// `struct _fpx_sw_bytes` of asm/sigcontext.h; ptrace's image has the mask of what is saved at its beginning.
const SW_RESERVED_AT: usize = 464;
const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
/// What a task's signal frame has room for where it never asked for more: all but the data of AMX's tiles, which come last.
const XSAVE_MOST: usize = 2816;
const XFEATURE_TILE_DATA: u64 = 1 << 18;
/// `struct ucontext` of asm/ucontext.h, its flags, and where it has what.
const UCONTEXT_SIZE: usize = 304;
const UC_FLAGS: u64 = 1 | 2 | 4;
const UC_STACK_FLAGS_AT: usize = 24;
const UC_REGISTERS_AT: usize = 40;
const UC_FPSTATE_AT: usize = 224;
const UC_SIGMASK_AT: usize = 296;
/// Flags of an alternate stack that sigaltstack(2) refuses: the kernel then leaves the one that there is.
const NO_STACK_CHANGE: u32 = 0x7fff_ffff;
/// The words of the ucontext that arguments on the stack may take: its flags, its link and the alternate stack's address.
const STACK_WORDS: usize = 3;
/// A larger result is not had on the stack, bytes.
const LARGEST_RESULT: u64 = 1 << 20;
/// Direction, trap and resume flags.
const FLAGS_CLEARED: u64 = 1 << 10 | 1 << 8 | 1 << 16;
/// restart_syscall(2).
const SYS_RESTART: u64 = 219;

/// One argument of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallOperand {
    /// The value itself.
    Value {
        /// How the psABI passes it.
        class: ParameterClass,
        /// Little-endian, as it is in memory.
        bytes: Vec<u8>,
    },
    /// The address of these bytes, for which there is room on the stack.
    AddressOf(Vec<u8>),
}

/// What a thread had when it was stopped.
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// Its general registers.
    pub regs: Regs,
    /// All others.
    pub extended: ExtendedRegs,
    /// The signals that it blocks.
    pub blocked: u64,
    /// The system call that the stop has made fail with EINTR, by its number, if it is to be made again.
    pub broken: Option<u64>,
}

/// What is to be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallSpec {
    /// The function's first instruction.
    pub function: VirtAddr,
    /// The trampoline of rt_sigreturn.
    pub trampoline: VirtAddr,
    /// Its arguments, the hidden first one left out.
    pub operands: Vec<CallOperand>,
    /// The size of a result that the function writes to memory, bytes.
    pub result_size: Option<u64>,
    /// Nothing is written at or above this address but below the thread's stack pointer.
    pub below: VirtAddr,
}

/// How the thread is to be set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallFrame {
    /// Its general registers.
    pub regs: Regs,
    /// All others.
    pub extended: ExtendedRegs,
    /// Where the bytes of the stack go; the return address is the first of them.
    pub at: VirtAddr,
    /// What goes there.
    pub stack: Vec<u8>,
    /// Where the function writes its result.
    pub result_at: Option<VirtAddr>,
}

impl CallFrame {
    /// The stack pointer right after the function's return.
    pub fn returned_sp(&self) -> VirtAddr {
        self.at.offset(8)
    }
}

/// Room on the stack, given out downwards.
struct Room {
    top: u64,
    low: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Room {
    fn take(&mut self, bytes: Vec<u8>, alignment: u64) -> Result<VirtAddr, ArchError> {
        let at = self.low.checked_sub(bytes.len() as u64).ok_or(ArchError::NotCanonical(VirtAddr(self.top)))?;
        self.low = at & !(alignment - 1);
        self.pieces.push((self.low, bytes));
        Ok(VirtAddr(self.low))
    }
}

/// Lays the stack and the registers out. Arguments for more than three words of the stack are refused.
pub fn lay_out_call(spec: &CallSpec, interrupted: &Interrupted) -> Result<CallFrame, ArchError> {
    let image = interrupted.extended.image();
    if image.len() < XSAVE_LEAST {
        return Err(ArchError::NoExtendedState(image.len()));
    }
    if let Some(size) = spec.result_size.filter(|size| *size > LARGEST_RESULT) {
        return Err(ArchError::ResultTooLarge(size));
    }
    let top = (interrupted.regs.rsp.wrapping_sub(RED_ZONE)).min(spec.below.0) & !15;
    let mut room = Room { top, low: top, pieces: Vec::new() };
    let mut passed: Vec<(ParameterClass, Vec<u8>)> = Vec::new();
    let mut result_at = None;
    if let Some(size) = spec.result_size {
        let at = room.take(vec![0; size as usize], XSAVE_ALIGNMENT)?;
        passed.push((ParameterClass::Integer, at.0.to_le_bytes().to_vec()));
        result_at = Some(at);
    }
    for operand in &spec.operands {
        passed.push(match operand {
            CallOperand::Value { class, bytes } => (*class, bytes.clone()),
            CallOperand::AddressOf(bytes) => {
                let at = room.take(bytes.clone(), 16)?;
                (ParameterClass::Integer, at.0.to_le_bytes().to_vec())
            }
        });
    }
    let fpstate = room.take(signal_image(image), XSAVE_ALIGNMENT)?;
    let mut context = ucontext(interrupted, fpstate);
    let mut regs = Regs {
        rip: spec.function.0,
        orig_rax: u64::MAX,
        eflags: interrupted.regs.eflags & !FLAGS_CLEARED,
        ..interrupted.regs
    };
    let mut extended = interrupted.extended.clone();
    let classes: Vec<ParameterClass> = passed.iter().map(|(class, _)| *class).collect();
    let mut vectors = 0u64;
    for (place, (class, bytes)) in place_arguments(&classes).into_iter().zip(&passed) {
        let mut put = Put { regs: &mut regs, extended: &mut extended, words: &mut context, vectors: &mut vectors };
        put.argument(place, *class, bytes)?;
    }
    // A function of a variable number of arguments is told in al how many vector registers have some (psABI, 3.5.7).
    regs.rax = vectors;
    let low = room.low.wrapping_sub(context.len() as u64 + 8);
    // At the first instruction rsp + 8 is a multiple of 16 (psABI, 3.2.2).
    let at = (low & !15).wrapping_sub(8);
    regs.rsp = at;
    let mut stack = vec![0; top.wrapping_sub(at) as usize];
    let frame: Vec<u8> = spec.trampoline.0.to_le_bytes().into_iter().chain(context).collect();
    room.pieces.push((at, frame));
    for (start, bytes) in &room.pieces {
        let start = start.wrapping_sub(at) as usize;
        if let Some(slot) = stack.get_mut(start..start + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
    }
    Ok(CallFrame { regs, extended, at: VirtAddr(at), stack, result_at })
}

/// Where arguments are put.
struct Put<'a> {
    regs: &'a mut Regs,
    extended: &'a mut ExtendedRegs,
    /// What follows the return address.
    words: &'a mut [u8],
    vectors: &'a mut u64,
}

impl Put<'_> {
    fn argument(&mut self, place: ArgumentPlace, class: ParameterClass, bytes: &[u8]) -> Result<(), ArchError> {
        let half = |index: usize| bytes.get(8 * index..).unwrap_or_default();
        match place {
            ArgumentPlace::Integer(register) => self.integer(register, bytes),
            ArgumentPlace::IntegerPair(low, high) => {
                self.integer(low, half(0));
                self.integer(high, half(1));
            }
            ArgumentPlace::Sse(register) => {
                let size = match class {
                    ParameterClass::Sse { width: FloatWidth::Single } => 4,
                    ParameterClass::Sse { width: FloatWidth::Quad } => 16,
                    _ => 8,
                };
                self.vector(register, bytes.get(..size).unwrap_or(bytes));
            }
            ArgumentPlace::SsePair(low, high) => {
                self.vector(low, bytes.get(..8).unwrap_or(bytes));
                self.vector(high, half(1));
            }
            ArgumentPlace::IntegerThenSse(low, high) => {
                self.integer(low, half(0));
                self.vector(high, half(1));
            }
            ArgumentPlace::SseThenInteger(low, high) => {
                self.vector(low, bytes.get(..8).unwrap_or(bytes));
                self.integer(high, half(1));
            }
            ArgumentPlace::Stack { offset } => {
                let start = (offset - 8) as usize;
                let end = start + bytes.len();
                if end > 8 * STACK_WORDS {
                    return Err(ArchError::TooManyArguments { bytes: end, room: 8 * STACK_WORDS });
                }
                self.words[start..end].copy_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn integer(&mut self, register: IntegerRegister, bytes: &[u8]) {
        let mut word = [0; 8];
        let count = bytes.len().min(8);
        word[..count].copy_from_slice(&bytes[..count]);
        let value = u64::from_le_bytes(word);
        let slot = match register.0 {
            0 => &mut self.regs.rdi,
            1 => &mut self.regs.rsi,
            2 => &mut self.regs.rdx,
            3 => &mut self.regs.rcx,
            4 => &mut self.regs.r8,
            _ => &mut self.regs.r9,
        };
        *slot = value;
    }

    fn vector(&mut self, register: SseRegister, bytes: &[u8]) {
        *self.vectors += 1;
        let start = XMM_AT + usize::from(register.0) * XMM_SIZE;
        let mut whole = [0; XMM_SIZE];
        let count = bytes.len().min(XMM_SIZE);
        whole[..count].copy_from_slice(&bytes[..count]);
        // Every image has these.
        let _ = self.extended.write(Component::Sse, start, &whole);
    }
}

/// The image as a signal's frame has it (arch/x86/kernel/fpu/signal.c): it says itself how long it is, and ends with a
/// magic number.
fn signal_image(extended: &[u8]) -> Vec<u8> {
    let mut image = extended[..extended.len().min(XSAVE_MOST)].to_vec();
    let mut features = [0; 8];
    features.copy_from_slice(&image[SW_RESERVED_AT..SW_RESERVED_AT + 8]);
    let features = u64::from_le_bytes(features) & !XFEATURE_TILE_DATA;
    let size = image.len() as u32;
    let words = [
        &FP_XSTATE_MAGIC1.to_le_bytes()[..],
        &(size + 4).to_le_bytes(),
        &features.to_le_bytes(),
        &size.to_le_bytes(),
        &[0; 28],
    ];
    image[SW_RESERVED_AT..SW_RESERVED_AT + 48].copy_from_slice(&words.concat());
    image.extend(FP_XSTATE_MAGIC2.to_le_bytes());
    image
}

fn ucontext(interrupted: &Interrupted, fpstate: VirtAddr) -> Vec<u8> {
    let regs = restarted(&interrupted.regs, interrupted.broken);
    let mut bytes = vec![0; UCONTEXT_SIZE];
    let mut put = |at: usize, word: u64| bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    put(0, UC_FLAGS);
    put(UC_STACK_FLAGS_AT, u64::from(NO_STACK_CHANGE));
    let segments = regs.cs & 0xffff | (regs.ss & 0xffff) << 48;
    let registers = [
        regs.r8,
        regs.r9,
        regs.r10,
        regs.r11,
        regs.r12,
        regs.r13,
        regs.r14,
        regs.r15,
        regs.rdi,
        regs.rsi,
        regs.rbp,
        regs.rbx,
        regs.rdx,
        regs.rax,
        regs.rcx,
        regs.rsp,
        regs.rip,
        regs.eflags,
        segments,
    ];
    for (index, register) in registers.into_iter().enumerate() {
        put(UC_REGISTERS_AT + 8 * index, register);
    }
    put(UC_FPSTATE_AT, fpstate.0);
    put(UC_SIGMASK_AT, interrupted.blocked);
    bytes
}

/// Registers with which a system call that the stop has interrupted is made again: the kernel does that only for a thread
/// that goes on from the stop itself (arch/x86/kernel/signal.c, arch_do_signal_or_restart).
fn restarted(regs: &Regs, broken: Option<u64>) -> Regs {
    let again = |number| Regs { rip: regs.rip.wrapping_sub(2), rax: number, ..*regs };
    match (regs.orig_rax as i64, regs.rax as i64) {
        (0.., -4) if broken == Some(regs.orig_rax) => again(regs.orig_rax),
        (0.., -514..=-512) => again(regs.orig_rax),
        (0.., -516) => again(SYS_RESTART),
        _ => *regs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ComponentPlaces;

    fn interrupted() -> Interrupted {
        let regs =
            Regs { rsp: 0x7fff_0000_1008, rip: 0x1000, rbx: 7, eflags: 0x646, cs: 0x33, ss: 0x2b, ..Regs::default() };
        let mut extended = vec![0; 832];
        extended[SW_RESERVED_AT] = 7;
        let extended = ExtendedRegs::new(extended, ComponentPlaces::new(|_| None));
        Interrupted { regs: Regs { orig_rax: u64::MAX, ..regs }, extended, blocked: 0x55, broken: None }
    }

    fn spec(operands: Vec<CallOperand>) -> CallSpec {
        CallSpec {
            function: VirtAddr(0x2000),
            trampoline: VirtAddr(0x3000),
            operands,
            result_size: None,
            below: VirtAddr(u64::MAX),
        }
    }

    fn integer(value: u64) -> CallOperand {
        CallOperand::Value { class: ParameterClass::Integer, bytes: value.to_le_bytes().to_vec() }
    }

    fn word(frame: &CallFrame, at: u64) -> u64 {
        let start = at.wrapping_sub(frame.at.0) as usize;
        u64::from_le_bytes(frame.stack[start..start + 8].try_into().unwrap())
    }

    #[test]
    fn the_frame_is_aligned_below_the_red_zone_and_says_what_was() {
        let frame = lay_out_call(&spec(vec![integer(1), integer(2)]), &interrupted()).unwrap();
        assert_eq!((frame.regs.rdi, frame.regs.rsi, frame.regs.rip, frame.regs.rax), (1, 2, 0x2000, 0));
        assert_eq!((frame.regs.rsp + 8) % 16, 0);
        assert!(frame.at.0 + frame.stack.len() as u64 <= 0x7fff_0000_1008 - 128);
        assert_eq!(frame.regs.eflags & 0x400, 0, "the direction flag is clear in a call");
        let context = frame.at.0 + 8;
        assert_eq!(word(&frame, frame.at.0), 0x3000);
        assert_eq!(word(&frame, context + UC_REGISTERS_AT as u64 + 8 * 15), 0x7fff_0000_1008);
        assert_eq!(word(&frame, context + UC_REGISTERS_AT as u64 + 8 * 16), 0x1000);
        assert_eq!(word(&frame, context + UC_SIGMASK_AT as u64), 0x55);
        let fpstate = word(&frame, context + UC_FPSTATE_AT as u64);
        assert_eq!(fpstate % 64, 0);
        assert_eq!(word(&frame, fpstate + 832) as u32, FP_XSTATE_MAGIC2);
        assert_eq!(word(&frame, fpstate + SW_RESERVED_AT as u64) as u32, FP_XSTATE_MAGIC1);
    }

    #[test]
    fn what_is_passed_by_address_lies_apart() {
        let operands = vec![CallOperand::AddressOf(b"one\0".to_vec()), CallOperand::AddressOf(b"two\0".to_vec())];
        let frame = lay_out_call(&spec(operands), &interrupted()).unwrap();
        let text = |at: u64| frame.stack[at.wrapping_sub(frame.at.0) as usize..][..4].to_vec();
        assert_eq!((text(frame.regs.rdi), text(frame.regs.rsi)), (b"one\0".to_vec(), b"two\0".to_vec()));
    }

    #[test]
    fn floats_go_to_vector_registers_and_are_counted() {
        let double = |value: f64| CallOperand::Value {
            class: ParameterClass::Sse { width: FloatWidth::Double },
            bytes: value.to_le_bytes().to_vec(),
        };
        let frame = lay_out_call(&spec(vec![double(1.5), integer(3), double(2.5)]), &interrupted()).unwrap();
        assert_eq!((frame.regs.rax, frame.regs.rdi), (2, 3));
        let image = frame.extended.image();
        assert_eq!(image[XMM_AT..XMM_AT + 8], 1.5f64.to_le_bytes());
        assert_eq!(image[XMM_AT + 16..XMM_AT + 24], 2.5f64.to_le_bytes());
        assert_eq!(image[512] & 2, 2, "they are not in their initial state");
    }

    #[test]
    fn a_result_in_memory_comes_first_and_nine_integers_fit() {
        let wanted = CallSpec { result_size: Some(40), ..spec((1..9).map(integer).collect()) };
        let frame = lay_out_call(&wanted, &interrupted()).unwrap();
        assert_eq!((Some(VirtAddr(frame.regs.rdi)), frame.regs.rsi, frame.regs.r9), (frame.result_at, 1, 5));
        assert_eq!([8, 16, 24].map(|offset| word(&frame, frame.at.0 + offset)), [6, 7, 8]);
        let too_many = lay_out_call(&spec((0..10).map(integer).collect()), &interrupted());
        assert!(matches!(too_many, Err(ArchError::TooManyArguments { .. })), "{too_many:?}");
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        let asleep = Regs { rip: 0x102, orig_rax: 7, rax: (-514i64) as u64, ..Regs::default() };
        assert_eq!((restarted(&asleep, None).rip, restarted(&asleep, None).rax), (0x100, 7));
        let timed = Regs { rax: (-516i64) as u64, ..asleep };
        assert_eq!(restarted(&timed, None).rax, SYS_RESTART);
        let broken = Regs { rax: (-4i64) as u64, ..asleep };
        assert_eq!([None, Some(7)].map(|number| restarted(&broken, number).rip), [0x102, 0x100]);
        let plain = Regs { orig_rax: u64::MAX, ..asleep };
        assert_eq!(restarted(&plain, None), plain);
    }
}
