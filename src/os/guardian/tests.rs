use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::seized::{repair, Repair};
use super::table::Table;
use super::*;
use crate::os::proc;

#[test]
fn the_table_gives_the_sites_of_a_space_in_order_and_forgets_what_left() {
    let table = Table::map().unwrap();
    table.enter_space(3, Pid(77), 8);
    for (index, at) in [(0, 0x3000), (1, 0x1000), (2, 0x2000)] {
        table.enter_site(index, 3, VirtAddr(at), at as u8 | 0x55);
    }
    table.enter_site(3, 4, VirtAddr(0x1000), 0x90);
    table.leave_site(2);
    assert_eq!(table.sites_of(3), [(VirtAddr(0x1000), 0x55), (VirtAddr(0x3000), 0x55)]);
    table.enter_counter(4, 3, VirtAddr(0x9000), 7);
    table.enter_counter(5, 4, VirtAddr(0x9002), 8);
    assert_eq!((table.counters_of(3), table.sites_of(3).len()), (vec![(VirtAddr(0x9000), 7)], 2));
    let space = table.space(3).unwrap();
    assert_eq!((space.pid, space.generation, space.started), (Pid(77), 1, 8));
    table.leave_space(3);
    assert_eq!(table.space(3), None);
    table.enter_space(3, Pid(78), 9);
    assert_eq!(table.space(3).unwrap().generation, 2);
}

#[test]
fn numbers_come_back_and_end_at_the_limit() {
    let mut numbers = Numbers::default();
    assert_eq!((numbers.take(2), numbers.take(2), numbers.take(2)), (Some(0), Some(1), None));
    numbers.back.push(0);
    assert_eq!((numbers.take(2), numbers.take(2)), (Some(0), None));
}

#[test]
fn without_a_guardian_nothing_is_covered() {
    let mut none = Guardian::default();
    assert_eq!((none.enter(Pid(1)), none.state(), none.covered()), (None, GuardianState::Absent, 0));
    assert_eq!(none.cover(Some(GuardedId(0)), VirtAddr(1), 0), Covered::No);
}

extern "C" fn nothing(_signal: libc::c_int) {}

#[test]
fn a_signal_that_comes_amid_the_clearing_of_registers_leaves_no_thread_out() {
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = Pid(sleeper.id() as i32);
    // SAFETY: takes nothing; the handler does nothing, and interrupts what it comes into.
    let (process, this) = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(libc::SIGRTMIN() + 5, &action, std::ptr::null_mut());
        (libc::getpid(), libc::gettid())
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: takes numbers; the thread lives as long as the scope.
                unsafe { libc::syscall(libc::SYS_tgkill, process, this, libc::SIGRTMIN() + 5) };
                std::thread::park_timeout(std::time::Duration::from_micros(50));
            }
        });
        let registers = Repair { registers: true, ..Repair::default() };
        let cleared: Vec<usize> = (0..100).map(|_| repair(pid, &registers).threads).collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(cleared, [1; 100]);
    });
    assert_eq!(proc::read_status(pid.leader()).unwrap().tracer, None);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}
