//! What the guardian does once rdbg has died.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::seized::{repair, Repair, Repaired};
use super::table::{GuardedSpace, Table, SPACES};
use super::watch::Files;
use crate::base::{Pid, VirtAddr};
use crate::os::mem::open_mem;
use crate::os::proc;

/// The one-byte breakpoint instruction.
pub(super) const INT3: u8 = 0xcc;
/// Sites of one such span are read together.
const SPAN: u64 = 4096;
/// From so many bytes in a span on, one write of the span costs less than one for each.
const FEW: usize = 8;

/// Restores every byte of every process that runs still; what to tell of it. What can be written through files comes
/// first, everywhere: it takes microseconds.
pub(super) fn mend_all(table: &Table, files: &Files, rdbg: i32) -> Vec<String> {
    let spaces: Vec<(usize, GuardedSpace)> =
        (0..SPACES).filter_map(|index| Some((index, table.space(index)?))).collect();
    let mut work = Vec::new();
    for (index, space) in &spaces {
        let (sites, counters) = (table.sites_of(*index), table.counters_of(*index));
        let handed = files.iter().find(|(at, age, _)| *at as usize == *index && *age == space.generation);
        let opened = handed.is_none().then(|| open_again(space)).flatten();
        let mut one = Work::of(space.pid);
        one.left.registers = space.debug_registers && is_still(space);
        if let Some(file) = handed.map(|(_, _, file)| file).or(opened.as_ref()) {
            one.restore(file, &sites);
            lower(file, &counters);
            for child in children(space.pid) {
                if spaces.iter().all(|(_, known)| known.pid != child) && same_program(space.pid, child) {
                    let mut copy = Work::of(child);
                    if let Ok(file) = open_mem(child) {
                        copy.restore(&file, &sites);
                        lower(&file, &counters);
                    }
                    work.push(copy);
                }
            }
        }
        work.push(one);
    }
    work.into_iter().flat_map(|one| one.finish(rdbg)).collect()
}

/// What was done to a process, and what is left to do.
struct Work {
    pid: Pid,
    restored: usize,
    left: Repair,
}

impl Work {
    fn of(pid: Pid) -> Self {
        Self { pid, restored: 0, left: Repair::default() }
    }

    /// Writes back every byte that is an int3 still.
    fn restore(&mut self, file: &File, sites: &[(VirtAddr, u8)]) {
        let mut code = Vec::new();
        for group in sites.chunk_by(|(a, _), (b, _)| a.0 / SPAN == b.0 / SPAN) {
            let first = group[0].0;
            code.resize(group[group.len() - 1].0.since(first) as usize + 1, 0);
            // Not mapped any more: there is nothing to restore.
            if file.read_exact_at(&mut code, first.0).is_err() {
                continue;
            }
            let offset = |at: VirtAddr| at.since(first) as usize;
            let patched: Vec<(VirtAddr, u8)> =
                group.iter().copied().filter(|(at, _)| code[offset(*at)] == INT3).collect();
            for (at, original) in &patched {
                code[offset(*at)] = *original;
            }
            let (Some((from, _)), Some((to, _))) = (patched.first(), patched.last()) else { continue };
            let write =
                |from: VirtAddr, to: VirtAddr| file.write_all_at(&code[offset(from)..=offset(to)], from.0).is_ok();
            if patched.len() > FEW && write(*from, *to) {
                self.restored += patched.len();
                continue;
            }
            let (done, refused): (Vec<_>, Vec<_>) = patched.into_iter().partition(|(at, _)| write(*at, *at));
            self.restored += done.len();
            self.left.bytes.extend(refused);
        }
    }

    /// Does what is left; what to tell of the process.
    fn finish(self, rdbg: i32) -> Vec<String> {
        let Work { pid, restored, left } = self;
        let repaired = if left.is_empty() { Repaired::default() } else { repair(pid, &left) };
        let mut said = Vec::new();
        let bytes = restored + repaired.bytes;
        if bytes > 0 {
            let name = proc::read_comm(pid, pid.leader()).unwrap_or_default();
            let plural = if bytes == 1 { "" } else { "s" };
            said.push(format!(
                "rdbg {rdbg} was killed: {bytes} patched byte{plural} of process {pid} ({name}) restored"
            ));
        }
        if left.registers {
            let threads = repaired.threads;
            said.push(format!("rdbg {rdbg} was killed: debug registers of {threads} threads of {pid} cleared"));
        }
        said
    }
}

/// Takes rdbg out of the counters of who listens. Others may have raised them as well; one that is not above what it was
/// before had not been raised yet.
fn lower(file: &File, counters: &[(VirtAddr, u16)]) {
    for (at, before) in counters {
        let mut now = [0; 2];
        if file.read_exact_at(&mut now, at.0).is_ok() && u16::from_le_bytes(now) > *before {
            // Not mapped any more, or the process has gone.
            let _ = file.write_all_at(&(u16::from_le_bytes(now) - 1).to_le_bytes(), at.0);
        }
    }
}

/// The memory of a process whose file was not handed over, if the pid is still that process's.
fn open_again(space: &GuardedSpace) -> Option<File> {
    is_still(space).then(|| open_mem(space.pid).ok()).flatten()
}

fn is_still(space: &GuardedSpace) -> bool {
    proc::read_stat(space.pid.leader()).is_ok_and(|stat| stat.start_time == space.started)
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
