//! System calls that a thread has entered and that have not returned to the program: which syscall-stops belong
//! together, and which are the kernel's or rdbg's own doing.
//!
//! A call that is broken off by a signal without a handler, or by a stop of rdbg's, is entered again. To the program it
//! is one call, so here it is too.

use super::syscalls::error_of;
use super::value::DecodedCall;
use crate::base::VirtAddr;

/// ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND and ERESTART_RESTARTBLOCK (include/linux/errno.h): the program never
/// sees them.
const RESTARTS: [u64; 4] = [512, 513, 514, 516];
/// EINTR.
const EINTR: u64 = 4;
/// restart_syscall(2): what the kernel makes of a sleep that is broken off.
const RESTART_SYSCALL: u64 = 219;
/// rt_sigreturn(2).
const SIGRETURN: u64 = 15;
/// The length of `syscall`, bytes.
const SYSCALL_LENGTH: u64 = 2;
/// Handlers amid broken-off calls can be nested so deep; of one left by longjmp the call stays here until then.
const DEPTH: usize = 16;

/// A call as the program made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MadeCall {
    /// Its number.
    pub number: u64,
    /// Its parameters.
    pub arguments: [u64; 6],
    /// The instruction behind the call.
    pub after: VirtAddr,
    /// The stack pointer.
    pub sp: VirtAddr,
}

/// A breakpoint that counts a call as its hit, and is to be told of the return.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caught {
    /// The breakpoint.
    pub id: u32,
    /// The call as it was when it was entered.
    pub decoded: DecodedCall,
}

/// A call that has been entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallUnderWay {
    /// What was called.
    pub made: MadeCall,
    /// Whose hit it is.
    pub caught: Vec<Caught>,
    /// Whether it was seen to be entered.
    pub begun: Begun,
    progress: Progress,
}

/// Whether a call was seen from its entry on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begun {
    /// It was.
    Seen,
    /// It was under way when somebody began to look.
    Unseen,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// The kernel is at it.
    InKernel,
    /// It has just come back with EINTR, amid a stop that may be why.
    JustBroken,
    /// As that, and the thread has gone on since.
    Broken,
    /// The thread's next call, from that place, is the same once more.
    Restarting,
    /// A signal's handler runs first.
    InHandler,
}

/// Why a call can have come back with EINTR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breaker {
    /// The program's own affairs.
    Program,
    /// Perhaps a stop of rdbg's, which then has the call made again.
    Stop,
}

/// What is still to be told of a thread's call: the world stood when it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallMoment {
    /// The innermost call was entered.
    Entered,
    /// A call is over, and returned this.
    Returned(Box<CallUnderWay>, u64),
}

/// The calls of one thread.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ThreadCalls {
    /// The innermost last.
    under_way: Vec<CallUnderWay>,
    /// What is to be told when the thread goes on.
    pub untold: Vec<CallMoment>,
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A call of the program's.
    New,
    /// One that was broken off goes on.
    Again,
}

impl CallUnderWay {
    fn new(made: MadeCall, begun: Begun, progress: Progress) -> CallUnderWay {
        CallUnderWay { made, caught: Vec::new(), begun, progress }
    }
}

impl ThreadCalls {
    /// A call is entered.
    pub fn enter(&mut self, made: MadeCall) -> Entry {
        let again = |last: &CallUnderWay| {
            let same = last.made.number == made.number || made.number == RESTART_SYSCALL;
            last.progress == Progress::Restarting && same && (last.made.after, last.made.sp) == (made.after, made.sp)
        };
        if let Some(last) = self.under_way.last_mut().filter(|last| again(last)) {
            last.progress = Progress::InKernel;
            return Entry::Again;
        }
        // Of one that has not returned and is not amid a handler the return was not seen.
        self.under_way.retain(|one| one.progress == Progress::InHandler);
        if self.under_way.len() >= DEPTH {
            self.under_way.remove(0);
        }
        self.under_way.push(CallUnderWay::new(made, Begun::Seen, Progress::InKernel));
        Entry::New
    }

    /// The innermost call comes back with `value`, the thread at `pc` with `sp`. Returns what is over by that: the call,
    /// with what it returned; and, when a handler returns into a call that it has broken off for good, that one. A call
    /// whose entry was not seen is `unseen`.
    pub fn leave(
        &mut self,
        value: u64,
        (pc, sp): (VirtAddr, VirtAddr),
        breaker: Breaker,
        unseen: impl FnOnce() -> Option<MadeCall>,
    ) -> Vec<(CallUnderWay, u64)> {
        if self.under_way.last().is_none_or(|last| last.progress != Progress::InKernel) {
            let Some(made) = unseen() else { return Vec::new() };
            self.under_way.push(CallUnderWay::new(made, Begun::Unseen, Progress::InKernel));
        }
        let Some(mut call) = self.under_way.pop() else { return Vec::new() };
        if call.made.number == SIGRETURN {
            // What it "returns" is the rax of where the handler came between.
            let broken = self.back_from_handler(pc, sp, value);
            return [(call, value)].into_iter().chain(broken.map(|one| (one, value))).collect();
        }
        let restarts = error_of(value).is_some_and(|error| RESTARTS.contains(&error));
        let broken = error_of(value) == Some(EINTR) && breaker == Breaker::Stop;
        if !restarts && !broken {
            return vec![(call, value)];
        }
        call.progress = if restarts { Progress::Restarting } else { Progress::JustBroken };
        self.under_way.push(call);
        Vec::new()
    }

    fn back_from_handler(&mut self, pc: VirtAddr, sp: VirtAddr, rax: u64) -> Option<CallUnderWay> {
        let last = self.under_way.last_mut()?;
        if last.progress != Progress::InHandler || last.made.sp != sp {
            return None;
        }
        if pc.offset(SYSCALL_LENGTH) == last.made.after {
            last.progress = Progress::Restarting;
            return None;
        }
        (pc == last.made.after && error_of(rax) == Some(EINTR)).then(|| self.under_way.pop()).flatten()
    }

    /// The kernel will make a call again that was entered before anyone looked.
    pub fn note_restart(&mut self, made: MadeCall) {
        if self.under_way.is_empty() {
            self.under_way.push(CallUnderWay::new(made, Begun::Unseen, Progress::Restarting));
        }
    }

    /// rdbg has set the thread back, so that it makes the call again.
    pub fn made_again(&mut self, made: MadeCall) {
        match self.under_way.last_mut() {
            Some(last) if matches!(last.progress, Progress::JustBroken | Progress::Broken) => {
                last.progress = Progress::Restarting;
            }
            _ => self.note_restart(made),
        }
    }

    /// A call that was to be made again is not: the program sees its EINTR.
    pub fn not_made_again(&mut self) -> Option<CallUnderWay> {
        if self.is_restarting() {
            self.under_way.pop()
        } else {
            None
        }
    }

    /// The thread goes on. Returns a call that has come back with EINTR and was not made again.
    pub fn goes_on(&mut self) -> Option<CallUnderWay> {
        let last = self.under_way.last_mut()?;
        match last.progress {
            Progress::JustBroken => {
                last.progress = Progress::Broken;
                None
            }
            Progress::Broken => self.under_way.pop(),
            _ => None,
        }
    }

    /// A handler runs before a broken-off call goes on.
    pub fn handler_begins(&mut self) {
        if let Some(last) = self.under_way.last_mut().filter(|last| last.progress == Progress::Restarting) {
            last.progress = Progress::InHandler;
        }
    }

    /// The innermost call, if the thread has entered it and not come back.
    pub fn in_kernel(&mut self) -> Option<&mut CallUnderWay> {
        self.under_way.last_mut().filter(|last| last.progress == Progress::InKernel)
    }

    /// Whether the next thing that the thread does is to enter a call, or to come back from one.
    pub fn is_amid_call(&self) -> bool {
        self.under_way.last().is_some_and(|last| matches!(last.progress, Progress::InKernel | Progress::Restarting))
    }

    /// Whether a call waits to be made again.
    pub fn is_restarting(&self) -> bool {
        self.under_way.last().is_some_and(|last| last.progress == Progress::Restarting)
    }
}

/// A call that never returns to the program: exit(2), exit_group(2).
pub fn never_returns(number: u64) -> bool {
    matches!(number, 60 | 231)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: u64 = 0;
    const EPOLL_WAIT: u64 = 232;
    const RESTARTSYS: u64 = (-512i64) as u64;
    const RESTARTBLOCK: u64 = (-516i64) as u64;
    const INTERRUPTED: u64 = (-4i64) as u64;

    fn call(number: u64, after: u64) -> MadeCall {
        MadeCall { number, arguments: [0; 6], after: VirtAddr(after), sp: VirtAddr(0x7000) }
    }

    fn leave(calls: &mut ThreadCalls, value: u64, pc: u64, breaker: Breaker) -> Vec<(u64, u64)> {
        let over = calls.leave(value, (VirtAddr(pc), VirtAddr(0x7000)), breaker, || None);
        over.into_iter().map(|(one, value)| (one.made.number, value)).collect()
    }

    #[test]
    fn a_call_and_its_return_are_paired() {
        let mut calls = ThreadCalls::default();
        assert_eq!(calls.enter(call(READ, 0x1002)), Entry::New);
        assert_eq!(leave(&mut calls, 5, 0x1002, Breaker::Program), [(READ, 5)]);
        assert_eq!(leave(&mut calls, 5, 0x1002, Breaker::Program), []);
        assert_eq!(calls.enter(call(READ, 0x1002)), Entry::New);
        assert_eq!(leave(&mut calls, INTERRUPTED, 0x1002, Breaker::Program), [(READ, INTERRUPTED)]);
    }

    #[test]
    fn what_the_kernel_makes_again_is_one_call() {
        for (broken, number) in [(RESTARTSYS, READ), (RESTARTBLOCK, RESTART_SYSCALL)] {
            let mut calls = ThreadCalls::default();
            calls.enter(call(READ, 0x1002));
            assert_eq!(leave(&mut calls, broken, 0x1002, Breaker::Program), []);
            assert_eq!(calls.goes_on(), None);
            assert_eq!(calls.enter(call(number, 0x1002)), Entry::Again);
            assert_eq!(leave(&mut calls, 1, 0x1002, Breaker::Program), [(READ, 1)]);
        }
    }

    #[test]
    fn a_handler_amid_a_call_leaves_it_restarted_or_interrupted() {
        for (value, pc, over) in [(RESTARTSYS, 0x1000, vec![]), (INTERRUPTED, 0x1002, vec![(READ, INTERRUPTED)])] {
            let mut calls = ThreadCalls::default();
            calls.enter(call(READ, 0x1002));
            leave(&mut calls, RESTARTSYS, 0x1002, Breaker::Program);
            calls.handler_begins();
            assert_eq!(calls.enter(call(1, 0x2002)), Entry::New);
            assert_eq!(leave(&mut calls, 1, 0x2002, Breaker::Program), [(1, 1)]);
            calls.enter(call(SIGRETURN, 0x3002));
            let told = leave(&mut calls, value, pc, Breaker::Program);
            assert_eq!(told[1..], over);
            let entry = if over.is_empty() { Entry::Again } else { Entry::New };
            assert_eq!(calls.enter(call(READ, 0x1002)), entry);
        }
    }

    #[test]
    fn a_handler_that_jumps_away_ends_the_call() {
        let mut calls = ThreadCalls::default();
        calls.enter(call(READ, 0x1002));
        leave(&mut calls, RESTARTSYS, 0x1002, Breaker::Program);
        calls.handler_begins();
        assert_eq!(calls.enter(call(READ, 0x1002)), Entry::New);
        for _ in 0..100 {
            leave(&mut calls, RESTARTSYS, 0x1002, Breaker::Program);
            calls.handler_begins();
            calls.enter(call(READ, 0x1002));
        }
        assert!(calls.under_way.len() <= DEPTH);
    }

    #[test]
    fn what_a_stop_has_broken_is_one_call_where_it_is_made_again() {
        let mut calls = ThreadCalls::default();
        calls.enter(call(EPOLL_WAIT, 0x1002));
        assert_eq!(leave(&mut calls, INTERRUPTED, 0x1002, Breaker::Stop), []);
        calls.made_again(call(EPOLL_WAIT, 0x1002));
        assert_eq!((calls.goes_on(), calls.enter(call(EPOLL_WAIT, 0x1002))), (None, Entry::Again));
        // And not: it is over, with EINTR, when the thread goes on from its next stop.
        leave(&mut calls, INTERRUPTED, 0x1002, Breaker::Stop);
        assert_eq!(calls.goes_on(), None);
        assert_eq!(calls.goes_on().map(|one| one.made.number), Some(EPOLL_WAIT));
        // A signal takes the decision back.
        calls.enter(call(EPOLL_WAIT, 0x1002));
        leave(&mut calls, INTERRUPTED, 0x1002, Breaker::Stop);
        calls.made_again(call(EPOLL_WAIT, 0x1002));
        assert_eq!(calls.not_made_again().map(|one| one.made.number), Some(EPOLL_WAIT));
    }

    #[test]
    fn a_call_whose_entry_was_not_seen_is_told_at_its_return() {
        let mut calls = ThreadCalls::default();
        calls.note_restart(call(READ, 0x1002));
        assert_eq!(calls.enter(call(READ, 0x1002)), Entry::Again);
        assert_eq!(leave(&mut calls, 1, 0x1002, Breaker::Program), [(READ, 1)]);
        let at = (VirtAddr(0x1002), VirtAddr(0x7000));
        let over = calls.leave(7, at, Breaker::Program, || Some(call(READ, 0x1002)));
        assert_eq!(over.len(), 1);
    }
}
