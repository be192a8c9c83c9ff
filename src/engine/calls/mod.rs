//! Calls of the program's functions, with `set allow-calls on`: what an expression asks for, and the thread that does it.
//!
//! A command whose expression calls something is done several times: each time as far as the first call that is not
//! made yet. That is made, and the command done anew with its result, until nothing is left to call. Only then it is
//! answered.

mod choice;
mod conversion;
mod course;

pub use course::CallTick;
pub(in crate::engine) use course::{Asked, CallUnderWay};

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::arch::CallOperand;
use crate::base::{AddrRange, VirtAddr};
use crate::binary::dwarf::{ReturnPlace, TypeId};
use crate::binary::Module;
use crate::engine::inspect::described_names::Kept;

/// What expressions may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::engine) enum CallMode {
    /// They call nothing.
    #[default]
    Refused,
    /// A call gives any value of its type: only the type is wanted.
    TypesOnly,
    /// They call.
    Made,
}

/// The calls of the command that is being done.
#[derive(Default)]
pub(in crate::engine) struct CallBook {
    mode: Cell<CallMode>,
    /// What those that are made have returned, in the order of the text.
    results: RefCell<Vec<Kept>>,
    /// How many the text has asked for.
    asked: Cell<usize>,
    /// What conditions that calls depend on have come to, in the order of the text.
    decisions: RefCell<Vec<bool>>,
    /// How many the text has come by.
    decided: Cell<usize>,
    /// Whether nothing may be called that is not made yet: the command has changed something.
    is_sealed: Cell<bool>,
    /// The first that is not made.
    pending: RefCell<Option<PlannedCall>>,
    /// What calls of this command have used of the stack, below what the thread uses itself. It lasts as long as the command,
    /// since nothing runs there before the next call does, and that stays below.
    scratch: Cell<Option<AddrRange>>,
}

/// All about the calls of commands.
#[derive(Default)]
pub(in crate::engine) struct Calling {
    /// What the command asks for.
    pub(in crate::engine) book: CallBook,
    /// The thread that makes a call.
    pub(in crate::engine) under_way: Option<Box<CallUnderWay>>,
    /// How many calls were made.
    serial: u64,
}

/// A call that is to be made.
#[derive(Clone)]
pub(in crate::engine) struct PlannedCall {
    /// What the user calls it.
    name: String,
    /// The first instruction.
    function: VirtAddr,
    operands: Vec<CallOperand>,
    result: PlannedResult,
}

/// What a call is to give.
#[derive(Clone)]
enum PlannedResult {
    /// Nothing is known of it: what is in rax.
    Untyped,
    /// A value of a type.
    Typed { ty: TypeId, module: Arc<Module>, place: ReturnPlace, size: u64 },
}

impl PlannedResult {
    /// The size of what is written to memory that the caller gives.
    fn memory_size(&self) -> Option<u64> {
        match self {
            PlannedResult::Typed { place: ReturnPlace::AtRax, size, .. } => Some(*size),
            _ => None,
        }
    }
}

impl CallBook {
    /// What the command that begins may do.
    pub(in crate::engine) fn open(&self, mode: CallMode) {
        self.mode.set(mode);
        self.is_sealed.set(false);
        self.go_back((0, 0));
    }

    /// The command changes something now: it cannot be done anew for another call.
    pub(in crate::engine) fn seal(&self) {
        self.is_sealed.set(true);
    }

    /// How far the text has come.
    pub(in crate::engine) fn place(&self) -> (usize, usize) {
        (self.asked.get(), self.decided.get())
    }

    /// What follows a place of the text is compiled once more.
    pub(in crate::engine) fn go_back(&self, (asked, decided): (usize, usize)) {
        self.asked.set(asked);
        self.decided.set(decided);
    }

    /// Whether expressions may name calls.
    pub(in crate::engine) fn is_open(&self) -> bool {
        self.mode.get() != CallMode::Refused
    }

    /// The command is done.
    pub(in crate::engine) fn close(&self) {
        self.mode.set(CallMode::Refused);
        self.results.borrow_mut().clear();
        self.decisions.borrow_mut().clear();
        self.go_back((0, 0));
        self.pending.borrow_mut().take();
        self.scratch.set(None);
    }

    /// Whether an address is in what calls have left on the stack, which does not last.
    pub(in crate::engine) fn holds(&self, at: VirtAddr) -> bool {
        self.scratch.get().is_some_and(|one| one.contains(at))
    }

    /// The stack below what is used there, where a call begins for a thread with this stack pointer.
    fn below(&self, sp: VirtAddr) -> VirtAddr {
        self.scratch.get().map_or(sp, |one| one.start)
    }

    /// The stack is used down to `low`, by calls of a thread with this stack pointer.
    fn use_down_to(&self, low: VirtAddr, sp: VirtAddr) {
        let end = self.scratch.get().map_or(sp, |one| one.end);
        self.scratch.set(Some(AddrRange { start: low, end }));
    }

    /// The same text is compiled once more.
    pub(in crate::engine) fn read_again(&self) {
        self.go_back((0, 0));
    }
}
