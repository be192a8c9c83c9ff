//! System calls that a ptrace-stop breaks off with EINTR, and what is left of their time.

use std::time::{Duration, Instant};

use crate::arch::IntegerRegister;
use crate::base::VirtAddr;

/// How a broken call says how long it waits at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeLimit {
    /// Not in its arguments: it has none, or a socket or a structure holds it. It is made again as it was.
    Elsewhere,
    /// Milliseconds in a register, an int; below 0: for ever.
    Milliseconds(IntegerRegister),
    /// The address of a `struct timespec` in a register; 0: for ever.
    Timespec(IntegerRegister),
}

/// Calls that fail with EINTR after any ptrace-stop, since the kernel does not restart them (signal(7), "Interruption
/// of system calls and library functions by signal handlers and stop signals"; for sockets with SO_RCVTIMEO or
/// SO_SNDTIMEO `sock_intr_errno` of include/net/sock.h). `None`: the kernel restarts it, or it must not be made twice.
pub fn time_limit(number: u64) -> Option<TimeLimit> {
    const RDX: IntegerRegister = IntegerRegister(2);
    const R10: IntegerRegister = IntegerRegister(3);
    Some(match number {
        // epoll_wait, epoll_pwait.
        232 | 281 => TimeLimit::Milliseconds(R10),
        // epoll_pwait2, semtimedop.
        441 | 220 => TimeLimit::Timespec(R10),
        // rt_sigtimedwait.
        128 => TimeLimit::Timespec(RDX),
        // recvfrom, recvmsg, recvmmsg, accept, accept4, connect, sendto, sendmsg, sendmmsg.
        45 | 47 | 299 | 43 | 288 | 42 | 44 | 46 | 307 => TimeLimit::Elsewhere,
        // read, readv, write, writev: of a socket.
        0 | 19 | 1 | 20 => TimeLimit::Elsewhere,
        // semop, io_getevents, io_pgetevents, io_uring_enter.
        65 | 208 | 333 | 426 => TimeLimit::Elsewhere,
        _ => return None,
    })
}

/// A call that failed with EINTR because of our stop only, seen while its thread stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BrokenCall {
    /// Its number.
    pub number: u64,
    /// The address behind its `syscall` instruction.
    pub after: VirtAddr,
    /// When its time is over, where it has a limit that is known.
    pub deadline: Option<Instant>,
}

/// A broken call that the thread was told to make again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RedoneCall {
    /// What was made again.
    pub call: BrokenCall,
    /// The limit's register as it was written, where it was.
    pub limit: Option<u64>,
}

impl RedoneCall {
    /// The deadline of a call that looks like this one: the same place, and the limit that was written. Another call
    /// from there has the program's own limit.
    pub fn deadline_of(&self, number: u64, after: VirtAddr, limit: u64) -> Option<Instant> {
        let same = self.call.number == number && self.call.after == after && self.limit == Some(limit);
        self.call.deadline.filter(|_| same)
    }
}

/// Milliseconds for what is left, rounded up: late by less than one, never early.
pub fn milliseconds_left(left: Duration) -> u64 {
    u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(i32::MAX as u64)
}

/// What a limit of `epoll_wait` means; `None`: for ever.
pub fn parse_milliseconds(register: u64) -> Option<Duration> {
    let signed = register as u32 as i32;
    u64::try_from(signed).ok().map(Duration::from_millis)
}

/// The bytes of a `struct timespec`.
pub fn timespec_bytes(left: Duration) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&left.as_secs().to_le_bytes());
    bytes[8..].copy_from_slice(&u64::from(left.subsec_nanos()).to_le_bytes());
    bytes
}

/// A `struct timespec`; `None` for one that the kernel would refuse, or that is over 68 years long.
pub fn parse_timespec(bytes: &[u8; 16]) -> Option<Duration> {
    let (seconds, nanos) = bytes.split_at(8);
    let seconds = u64::from_le_bytes(seconds.try_into().ok()?);
    let nanos = u64::from_le_bytes(nanos.try_into().ok()?);
    (seconds <= i32::MAX as u64 && nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_written_without_becoming_shorter() {
        assert_eq!(parse_milliseconds(50), Some(Duration::from_millis(50)));
        assert_eq!(parse_milliseconds(0xffff_ffff), None);
        assert_eq!(parse_milliseconds(u64::MAX), None);
        assert_eq!(milliseconds_left(Duration::from_micros(1)), 1);
        assert_eq!(milliseconds_left(Duration::from_millis(7)), 7);
        assert_eq!(milliseconds_left(Duration::ZERO), 0);
        assert_eq!(milliseconds_left(Duration::MAX), i32::MAX as u64);
        let span = Duration::new(3, 999_999_999);
        assert_eq!(parse_timespec(&timespec_bytes(span)), Some(span));
        let mut wrong = timespec_bytes(span);
        wrong[8..].copy_from_slice(&1_000_000_000u64.to_le_bytes());
        assert_eq!(parse_timespec(&wrong), None);
        assert_eq!(parse_timespec(&[0xff; 16]), None);
    }

    #[test]
    fn only_the_same_call_with_the_limit_that_was_written_keeps_its_deadline() {
        let deadline = Instant::now();
        let call = BrokenCall { number: 232, after: VirtAddr(0x1002), deadline: Some(deadline) };
        let redone = RedoneCall { call, limit: Some(41) };
        assert_eq!(redone.deadline_of(232, VirtAddr(0x1002), 41), Some(deadline));
        assert_eq!(redone.deadline_of(232, VirtAddr(0x1002), 50), None, "the program called anew");
        assert_eq!(redone.deadline_of(281, VirtAddr(0x1002), 41), None);
        assert_eq!(RedoneCall { call, limit: None }.deadline_of(232, VirtAddr(0x1002), 0), None);
    }
}
