//! What the guardian does once rdbg has died.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::table::{GuardedSpace, Table, SPACES};
use super::watch::Files;
use crate::base::{Pid, Tid, VirtAddr};
use crate::os::mem::open_mem;
use crate::os::proc;

/// The one-byte breakpoint instruction.
const INT3: u8 = 0xcc;
/// Sites of one such span are read together.
const SPAN: u64 = 4096;
/// From so many bytes in a span on, one write of the span costs less than one for each.
const FEW: usize = 8;
/// How long a tracee is waited for whose tracer is still on its way out.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts at it, microseconds: a register can be hit meanwhile.
const SEIZE_AGAIN: libc::useconds_t = 20;

/// Restores every byte of every process that runs still; what to tell of it.
pub(super) fn mend_all(table: &Table, files: &Files, rdbg: i32) -> Vec<String> {
    let mut said = Vec::new();
    let spaces: Vec<(usize, GuardedSpace)> =
        (0..SPACES).filter_map(|index| Some((index, table.space(index)?))).collect();
    for (index, space) in &spaces {
        let sites = table.sites_of(*index);
        let handed = files.iter().find(|(at, age, _)| *at as usize == *index && *age == space.generation);
        let opened = handed.is_none().then(|| open_again(space)).flatten();
        let Some(file) = handed.map(|(_, _, file)| file).or(opened.as_ref()) else { continue };
        let mut restored = restore(file, &sites);
        for child in children(space.pid) {
            if spaces.iter().all(|(_, known)| known.pid != child) && same_program(space.pid, child) {
                restored += open_mem(child).map_or(0, |file| restore(&file, &sites));
            }
        }
        if restored > 0 {
            let name = proc::read_comm(space.pid, space.pid.leader()).unwrap_or_default();
            said.push(format!(
                "rdbg {rdbg} was killed: {restored} patched byte{} of process {} ({name}) restored",
                if restored == 1 { "" } else { "s" },
                space.pid
            ));
        }
    }
    for (_, space) in spaces.iter().filter(|(_, space)| space.debug_registers) {
        let cleared = clear_debug_registers(space.pid);
        said.push(format!("rdbg {rdbg} was killed: debug registers of {cleared} threads of {} cleared", space.pid));
    }
    said
}

/// The memory of a process whose file was not handed over, if the pid is still that process's.
fn open_again(space: &GuardedSpace) -> Option<File> {
    let same = proc::read_stat(space.pid.leader()).is_ok_and(|stat| stat.start_time == space.started);
    same.then(|| open_mem(space.pid).ok()).flatten()
}

/// Writes back every byte that is an int3 still; how many.
fn restore(file: &File, sites: &[(VirtAddr, u8)]) -> usize {
    let mut restored = 0;
    let mut code = Vec::new();
    for group in sites.chunk_by(|(a, _), (b, _)| a.0 / SPAN == b.0 / SPAN) {
        let first = group[0].0;
        code.resize(group[group.len() - 1].0.since(first) as usize + 1, 0);
        // Not mapped any more: there is nothing to restore.
        if file.read_exact_at(&mut code, first.0).is_err() {
            continue;
        }
        let patched: Vec<(usize, u8)> = group
            .iter()
            .map(|(at, original)| (at.since(first) as usize, *original))
            .filter(|(offset, _)| code[*offset] == INT3)
            .collect();
        for (offset, original) in &patched {
            code[*offset] = *original;
        }
        let (Some((from, _)), Some((to, _))) = (patched.first(), patched.last()) else { continue };
        let write = |from: usize, to: usize| file.write_all_at(&code[from..=to], first.0 + from as u64).is_ok();
        restored += match patched.len() {
            0..=FEW => patched.iter().filter(|(offset, _)| write(*offset, *offset)).count(),
            many if write(*from, *to) => many,
            _ => 0,
        };
    }
    restored
}

/// The children of a process, as far as the kernel tells (/proc/PID/task/TID/children).
fn children(pid: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    for tid in proc::read_threads(pid).unwrap_or_default() {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
        found.extend(text.split_ascii_whitespace().filter_map(|one| one.parse().ok()).map(Pid));
    }
    found
}

/// Whether a child still executes its parent's file: forked, perhaps when rdbg had not seen it yet, with the int3s.
fn same_program(parent: Pid, child: Pid) -> bool {
    let identity = |pid| fs::metadata(format!("/proc/{pid}/exe")).map(|file| (file.dev(), file.ino())).ok();
    identity(child).is_some_and(|one| Some(one) == identity(parent))
}

/// Clears DR7 in every thread of a process; in how many. All are seized before the first is cleared: what a seized thread
/// runs into no longer kills it.
pub(super) fn clear_debug_registers(pid: Pid) -> usize {
    let threads = proc::read_threads(pid).unwrap_or_default();
    let seized: Vec<Tid> = threads.into_iter().filter(|tid| seize(*tid).is_some()).collect();
    seized.into_iter().filter(|tid| clear_in_thread(*tid).is_some()).count()
}

/// Until rdbg's tracer thread has ended the task is still its.
fn seize(tid: Tid) -> Option<()> {
    let end = Instant::now() + PATIENCE;
    // SAFETY: ptrace and usleep get numbers; the kernel checks the task.
    unsafe {
        while libc::ptrace(libc::PTRACE_SEIZE, tid.0, 0, 0) != 0 {
            if Errno::last() != Errno::EPERM || Instant::now() > end {
                return None;
            }
            libc::usleep(SEIZE_AGAIN);
        }
    }
    Some(())
}

fn clear_in_thread(tid: Tid) -> Option<()> {
    let control = std::mem::offset_of!(libc::user, u_debugreg) + 7 * size_of::<u64>();
    // SAFETY: ptrace and waitpid get numbers and pointers to live values; the kernel checks the task.
    unsafe {
        libc::ptrace(libc::PTRACE_INTERRUPT, tid.0, 0, 0);
        let status = wait_for(tid)?;
        if !libc::WIFSTOPPED(status) {
            return None;
        }
        let cleared = libc::ptrace(libc::PTRACE_POKEUSER, tid.0, control, 0) == 0;
        // A signal that came before the interrupt is the program's, but a trap of the very registers is not.
        let signal = if status >> 16 == 0 { libc::WSTOPSIG(status) } else { 0 };
        let owed = if signal == libc::SIGTRAP && is_hardware_trap(tid) { 0 } else { signal };
        libc::ptrace(libc::PTRACE_DETACH, tid.0, 0, owed);
        cleared.then_some(())
    }
}

/// The next report of a tracee. rdbg's end is told by a signal as well (PR_SET_PDEATHSIG), at any time up to the end of
/// rdbg's last thread: it interrupts a wait, and a tracee that is given up then keeps its registers.
fn wait_for(tid: Tid) -> Option<libc::c_int> {
    let mut status = 0;
    loop {
        // SAFETY: waitpid gets a number and a pointer to a live value.
        match unsafe { libc::waitpid(tid.0, &mut status, libc::__WALL) } {
            got if got == tid.0 => return Some(status),
            -1 if Errno::last() == Errno::EINTR => {}
            _ => return None,
        }
    }
}

fn is_hardware_trap(tid: Tid) -> bool {
    /// TRAP_HWBKPT of siginfo.h.
    const HARDWARE: i32 = 4;
    // SAFETY: the kernel fills a siginfo that lives over the call.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::ptrace(libc::PTRACE_GETSIGINFO, tid.0, 0, &mut info) == 0 && info.si_code == HARDWARE
    }
}
