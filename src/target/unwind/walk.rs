//! The walk from the innermost frame outwards.

use super::cfi::{self, Caller};
use super::code::{self, Moment};
use super::frame::{Frame, FrameAddress, FrameRegs, HowFound, RBP, RSP};
use super::{frame_pointer, signal_frame};
use crate::base::{ReadMem, Regs, VirtAddr};
use crate::binary::{FrameKind, SymbolKind, UnwindRow};
use crate::target::AddressSpace;

/// No walk is longer, whatever limit is asked for: hostile memory can hold a chain of any length.
const HARD_LIMIT: u32 = 100_000;

/// A stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackWalk {
    /// Innermost first; never empty.
    pub frames: Vec<Frame>,
    /// Why it ends there.
    pub end: WalkEnd,
}

/// Why a walk ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WalkEnd {
    /// At the bottom of the stack.
    Outermost,
    /// At the limit that was asked for; there are more frames.
    Limit,
    /// It could not go on; why, with addresses.
    Truncated(String),
}

/// What is outside of a frame: its caller, or the code that a signal struck.
struct Outer {
    address: FrameAddress,
    regs: FrameRegs,
    /// The CFA of the frame that was left; None where the kernel made the step, to whatever stack it was on before.
    cfa: Option<VirtAddr>,
    how: HowFound,
}

/// `Ok(None)` at the bottom; an error, with addresses, where nothing could be found.
type Step = Result<Option<Outer>, String>;

/// The stack of a stopped task, at most `limit` frames.
pub fn walk(space: &AddressSpace, mem: &dyn ReadMem, regs: &Regs, limit: u32) -> StackWalk {
    let limit = limit.clamp(1, HARD_LIMIT) as usize;
    let innermost = FrameAddress::InstructionPointer(regs.pc());
    let mut frames = Vec::new();
    let mut frame = Frame::new(innermost, FrameRegs::from(regs), HowFound::Registers);
    let mut floor: Option<VirtAddr> = None;
    loop {
        let step = step(space, mem, &frame);
        let (address, regs, how) = match step {
            Ok(None) => return finish(frames, frame, WalkEnd::Outermost),
            Err(reason) => return finish(frames, frame, WalkEnd::Truncated(reason)),
            Ok(Some(Outer { address, regs, cfa, how })) => {
                if let (Some(cfa), Some(floor)) = (cfa, floor.filter(|floor| cfa.is_some_and(|cfa| cfa <= *floor))) {
                    let reason = format!("the stack of the frame at {} goes back from {floor} to {cfa}", frame.pc);
                    return finish(frames, frame, WalkEnd::Truncated(reason));
                }
                floor = cfa;
                frame.cfa = cfa.or(frame.regs.sp());
                (address, regs, how)
            }
        };
        if address.pc().0 == 0 {
            return finish(frames, frame, WalkEnd::Outermost);
        }
        frames.push(frame);
        if frames.len() == limit {
            return StackWalk { frames, end: WalkEnd::Limit };
        }
        frame = Frame::new(address, regs, how);
    }
}

fn finish(mut frames: Vec<Frame>, last: Frame, end: WalkEnd) -> StackWalk {
    frames.push(last);
    StackWalk { frames, end }
}

/// From one frame to the next. Frame information first; where there is none, or it fails: what a few bytes of code say,
/// then the frame pointer.
fn step(space: &AddressSpace, mem: &dyn ReadMem, frame: &Frame) -> Step {
    let row = match find_row(space, frame.address) {
        Ok(row) => row,
        Err(reason) => return without_cfi(space, mem, frame, Some(reason)),
    };
    let is_signal = row.as_ref().is_some_and(|row| row.is_signal_frame == FrameKind::Signal);
    if !is_signal && code::is_sigreturn(mem, frame.pc) {
        return through_signal(mem, frame);
    }
    let Some(row) = row else { return without_cfi(space, mem, frame, None) };
    match cfi::apply(&row, &frame.regs, mem) {
        Ok(None) => Ok(None),
        Ok(Some(Caller { regs, .. })) if is_signal => {
            let address = FrameAddress::InstructionPointer(regs.pc);
            Ok(Some(Outer { address, regs, cfa: None, how: HowFound::Signal }))
        }
        Ok(Some(Caller { regs, cfa })) => {
            let address = FrameAddress::ReturnAddress(regs.pc);
            if regs.pc.0 != 0 && !is_plausible(space, mem, regs.pc) {
                let reason = format!("the return address {} at {cfa}-8 is not mapped", regs.pc);
                return if starts_program(space, frame) { Ok(None) } else { Err(reason) };
            }
            Ok(Some(Outer { address, regs, cfa: Some(cfa), how: how_left(space, frame) }))
        }
        Err(_) if is_signal => through_signal(mem, frame),
        Err(reason) => without_cfi(space, mem, frame, Some(reason)),
    }
}

/// The row that covers a frame.
pub(super) fn find_row(space: &AddressSpace, address: FrameAddress) -> Result<Option<UnwindRow>, String> {
    let at = address.address_for_lookup();
    match space.module_at(at) {
        Some(module) => module.unwind_row_at(at).map_err(|error| error.to_string()),
        None => Ok(None),
    }
}

/// How the caller of a frame is found when frame information finds it.
fn how_left(space: &AddressSpace, frame: &Frame) -> HowFound {
    match space.find_symbol(frame.address.address_for_lookup()) {
        Some(named) if named.kind == SymbolKind::Plt => HowFound::Plt,
        Some(named) if named.offset == 0 && is_exact(frame) => HowFound::Entry,
        _ => HowFound::Cfi,
    }
}

fn is_exact(frame: &Frame) -> bool {
    matches!(frame.address, FrameAddress::InstructionPointer(_))
}

/// Whether something is mapped there.
fn is_plausible(space: &AddressSpace, mem: &dyn ReadMem, pc: VirtAddr) -> bool {
    space.is_executable(pc) || mem.read_mem(pc, &mut [0]).is_ok_and(|count| count == 1)
}

/// Whether a frame stands where the kernel starts a program: there is no caller, and argc is at [rsp].
fn starts_program(space: &AddressSpace, frame: &Frame) -> bool {
    let at = frame.address.address_for_lookup();
    let Some(module) = space.module_at(at) else { return false };
    let entry = module.to_virt(module.module.entry());
    let named = module.find_symbol(at);
    named.as_ref().is_some_and(|named| named.name == "_start" || named.start == entry) || at == entry
}

fn through_signal(mem: &dyn ReadMem, frame: &Frame) -> Step {
    let Some(sp) = frame.regs.sp() else { return Err("rsp is lost in a signal's frame".to_owned()) };
    match signal_frame::read_interrupted(mem, sp) {
        Ok(regs) => {
            let address = FrameAddress::InstructionPointer(regs.pc);
            Ok(Some(Outer { address, regs, cfa: None, how: HowFound::Signal }))
        }
        Err(error) => Err(format!("the signal's frame at {sp} cannot be read: {error}")),
    }
}

/// A caller where no frame information helps.
fn without_cfi(space: &AddressSpace, mem: &dyn ReadMem, frame: &Frame, why: Option<String>) -> Step {
    if starts_program(space, frame) {
        return Ok(None);
    }
    if is_exact(frame) {
        if let Some(step) = at_known_moment(space, mem, frame) {
            return step;
        }
    }
    if frame.regs.fp() == Some(VirtAddr(0)) {
        return match why {
            None => Ok(None),
            Some(reason) => Err(reason),
        };
    }
    match frame_pointer::step(space, &frame.regs, mem) {
        Ok((regs, cfa)) => {
            let address = FrameAddress::ReturnAddress(regs.pc);
            Ok(Some(Outer { address, regs, cfa: Some(cfa), how: HowFound::FramePointer }))
        }
        Err(reason) => {
            let first = why.unwrap_or_else(|| "no frame information covers it".to_owned());
            Err(format!("at {}: {first}; {reason}", frame.pc))
        }
    }
}

/// A caller of a frame that has not been set up yet, or is gone already.
fn at_known_moment(space: &AddressSpace, mem: &dyn ReadMem, frame: &Frame) -> Option<Step> {
    let named = space.find_symbol(frame.pc);
    let function = space.module_at(frame.pc).and_then(|module| module.find_function(frame.pc));
    let start = function.map(|range| range.start).or(named.as_ref().map(|named| named.start));
    let moment = if start == Some(frame.pc) { Moment::Entered } else { code::moment(mem, frame.pc, start) };
    let sp = frame.regs.sp()?;
    let pushed = match moment {
        Moment::Entered => 0,
        Moment::FramePointerPushed | Moment::IndexPushed => 8,
        Moment::Unknown => return None,
    };
    let slot = sp.offset(pushed);
    let mut regs = frame.regs.kept_by_callee();
    regs.pc = VirtAddr(mem.read_u64(slot).ok()?);
    frame_pointer::check_return_address(space, mem, regs.pc, slot).ok()?;
    if moment == Moment::FramePointerPushed {
        regs.set(RBP, Some(mem.read_u64(sp).ok()?));
    }
    let cfa = slot.offset(8);
    regs.set(RSP, Some(cfa.0));
    let is_stub = named.is_some_and(|named| named.kind == SymbolKind::Plt) || moment == Moment::IndexPushed;
    let how = if is_stub { HowFound::Plt } else { HowFound::Entry };
    Some(Ok(Some(Outer { address: FrameAddress::ReturnAddress(regs.pc), regs, cfa: Some(cfa), how })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::fake_memory::FakeMemory;

    const CALL: [u8; 8] = [0x90, 0x90, 0x90, 0xe8, 0, 0, 0, 0];

    /// Code without any module: what a JIT compiler makes. A call ends at each of these addresses.
    fn code(mem: FakeMemory, returns: &[u64]) -> FakeMemory {
        returns.iter().fold(mem, |mem, at| mem.with(at - 8, &CALL).with(*at, &[0x90; 32]))
    }

    fn walk_from(mem: &FakeMemory, regs: Regs, limit: u32) -> (Vec<u64>, WalkEnd) {
        let walk = walk(&AddressSpace::new(), mem, &regs, limit);
        (walk.frames.iter().map(|frame| frame.pc.0).collect(), walk.end)
    }

    #[test]
    fn a_chain_of_frame_pointers_ends_at_a_return_address_of_zero() {
        let mem = code(FakeMemory::default(), &[0x1100, 0x1200]);
        let mem = mem.with_words(0x7000, &[0x7020, 0x1100, 0, 0, 0x7040, 0x1200, 0, 0, 0, 0]).with(0x1000, &[0x90; 32]);
        let regs = Regs { rip: 0x1000, rsp: 0x6ff0, rbp: 0x7000, ..Regs::default() };
        assert_eq!(walk_from(&mem, regs, 50), (vec![0x1000, 0x1100, 0x1200], WalkEnd::Outermost));
        assert_eq!(walk_from(&mem, regs, 2), (vec![0x1000, 0x1100], WalkEnd::Limit));
    }

    #[test]
    fn a_chain_that_leads_back_ends_with_a_reason() {
        let mem =
            code(FakeMemory::default(), &[0x1100]).with_words(0x7000, &[0x7000, 0x1100]).with(0x1000, &[0x90; 32]);
        let regs = Regs { rip: 0x1000, rsp: 0x6ff0, rbp: 0x7000, ..Regs::default() };
        let (frames, end) = walk_from(&mem, regs, 50);
        assert_eq!(frames, [0x1000, 0x1100]);
        assert!(matches!(&end, WalkEnd::Truncated(reason) if reason.contains("0x7000")), "{end:?}");
    }

    #[test]
    fn a_signals_frame_is_known_by_its_code_and_gives_all_registers_back() {
        let mut context = vec![0u64; 5];
        context.extend((0..16).map(|index| 100 + index));
        let (rbp, rsp, rip) = (5 + 10, 5 + 15, 5 + 16);
        context.push(0x1200);
        context[rbp] = 0;
        context[rsp] = 0x9000;
        assert_eq!(context.len(), rip + 1);
        let sigreturn = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
        let mem = FakeMemory::default().with(0x1100, &sigreturn).with_words(0x7000, &context).with(0x1200, &[0x90; 32]);
        let regs = Regs { rip: 0x1100, rsp: 0x7000, ..Regs::default() };
        let walk = walk(&AddressSpace::new(), &mem, &regs, 50);
        let last = walk.frames.last().expect("never empty");
        assert_eq!((last.how, last.address), (HowFound::Signal, FrameAddress::InstructionPointer(VirtAddr(0x1200))));
        assert_eq!(
            (last.regs.get(8), last.regs.get(3), last.regs.sp()),
            (Some(100), Some(111), Some(VirtAddr(0x9000)))
        );
        assert_eq!(walk.end, WalkEnd::Outermost);
    }

    #[test]
    fn frames_of_signals_that_lead_to_each_other_end_at_the_limit() {
        let sigreturn = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
        let mut context = vec![0u64; 22];
        context[5 + 15] = 0x7000;
        context[5 + 16] = 0x1100;
        let mem = FakeMemory::default().with(0x1100, &sigreturn).with_words(0x7000, &context);
        let regs = Regs { rip: 0x1100, rsp: 0x7000, ..Regs::default() };
        assert_eq!(walk_from(&mem, regs, 100).1, WalkEnd::Limit);
    }

    #[test]
    fn nothing_readable_is_one_frame_and_a_reason() {
        let regs = Regs { rip: 0xdead_0000, rsp: 8, rbp: 0x10, ..Regs::default() };
        let (frames, end) = walk_from(&FakeMemory::default(), regs, 50);
        assert_eq!(frames, [0xdead_0000]);
        assert!(matches!(end, WalkEnd::Truncated(_)));
    }
}
