//! A process that outlives rdbg by a moment: when rdbg is killed, it restores what rdbg had patched.
//!
//! It waits on a robust futex that the tracer thread holds: the kernel lets go of that at the very start of the thread's
//! end, before it lets go of the tracees (Documentation/locking/robust-futex-ABI.rst of the kernel), so that the bytes
//! are back before a thread that stood can reach them.

mod mend;
mod seized;
mod table;
mod watch;

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use nix::sys::socket::{sendmsg, socketpair, AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType};
use rustc_hash::FxHashMap;

use crate::base::{Pid, VirtAddr};

use self::table::{Table, SITES, SPACES};
use super::mem::open_mem;
use super::{proc, OsError};

/// rdbg's end: what the tracer thread tells its guardian. Without one every call does nothing.
#[derive(Debug, Default)]
pub struct Guardian {
    link: Option<Link>,
}

/// An address space that the guardian looks after.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GuardedId(u16);

/// Whether the guardian knows of a patch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Covered {
    /// It restores the byte should rdbg die.
    Yes,
    /// It does not: there is no guardian, or its table is full.
    No,
}

/// How the guardian fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuardianState {
    /// It waits.
    Watching(Pid),
    /// It was started and is no more.
    Gone,
    /// It could not be started, or this rdbg has no use for one.
    Absent,
}

struct Link {
    table: &'static Table,
    pid: Pid,
    mail: OwnedFd,
    spaces: Numbers,
    sites: Numbers,
    /// Where in the table a site is.
    places: FxHashMap<(GuardedId, VirtAddr), u32>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "guardian {} of {} sites", self.pid, self.places.len())
    }
}

/// Indices to give out, the ones that came back first.
#[derive(Default)]
struct Numbers {
    back: Vec<u32>,
    next: u32,
}

impl Numbers {
    fn take(&mut self, limit: usize) -> Option<u32> {
        self.back.pop().or_else(|| {
            let next = self.next;
            ((next as usize) < limit).then(|| {
                self.next += 1;
                next
            })
        })
    }
}

impl Guardian {
    /// Forks the guardian. To be called before any thread is started: what the child may do is not limited then, and
    /// it is small.
    pub fn start() -> Result<Guardian, OsError> {
        let table = Table::map()?;
        let (mail, its_end) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|errno| OsError::Call { what: "socketpair", source: errno.into() })?;
        let terminal = watch::terminal_of_stderr();
        // SAFETY: this process has one thread, so that its child may do whatever it could.
        match unsafe { libc::fork() } {
            -1 => Err(OsError::last("fork")),
            0 => {
                drop(mail);
                watch::watch(table, its_end, terminal)
            }
            pid => {
                let pid = Pid(pid);
                let (spaces, sites) = (Numbers::default(), Numbers::default());
                Ok(Guardian { link: Some(Link { table, pid, mail, spaces, sites, places: FxHashMap::default() }) })
            }
        }
    }

    /// Makes the calling thread the one whose end the guardian waits for. Called by the tracer thread.
    pub fn hold(&self) {
        let Some(link) = &self.link else { return };
        // SAFETY: gettid takes nothing. The list replaces libc's own, which serves robust mutexes; rdbg has none. It is
        // never unmapped. The kernel reads it at the thread's end only.
        unsafe {
            let (head, length) = link.table.own(libc::gettid() as u32);
            libc::syscall(libc::SYS_set_robust_list, head, length);
        }
    }

    /// Looks after the address space of a process from now on.
    pub fn enter(&mut self, pid: Pid) -> Option<GuardedId> {
        let link = self.link.as_mut()?;
        let started = proc::read_stat(pid.leader()).ok()?.start_time;
        let file = open_mem(pid).ok()?;
        let index = link.spaces.take(SPACES)?;
        let generation = link.table.enter_space(index as usize, pid, started);
        link.send(index, generation, &file);
        Some(GuardedId(index as u16))
    }

    /// Forgets an address space and its sites.
    pub fn leave(&mut self, id: GuardedId) {
        let Some(link) = self.link.as_mut() else { return };
        link.table.leave_space(usize::from(id.0));
        let (table, sites) = (link.table, &mut link.sites);
        link.places.retain(|(whose, _), index| {
            if *whose == id {
                table.leave_site(*index as usize);
                sites.back.push(*index);
            }
            *whose != id
        });
        link.spaces.back.push(u32::from(id.0));
    }

    /// Remembers the byte at `at`. To be called before the int3 is written.
    pub fn cover(&mut self, id: Option<GuardedId>, at: VirtAddr, original: u8) -> Covered {
        let (Some(link), Some(id)) = (self.link.as_mut(), id) else { return Covered::No };
        let Some(index) = link.place(id, at) else { return Covered::No };
        link.table.enter_site(index, usize::from(id.0), at, original);
        Covered::Yes
    }

    /// Remembers that the 16-bit counter at `at` is to be lowered by one, if it is above `before`. To be called before it
    /// is raised.
    pub fn cover_counter(&mut self, id: Option<GuardedId>, at: VirtAddr, before: u16) {
        let (Some(link), Some(id)) = (self.link.as_mut(), id) else { return };
        if let Some(index) = link.place(id, at) {
            link.table.enter_counter(index, usize::from(id.0), at, before);
        }
    }

    /// Forgets a site or a counter. To be called after it was made what it had been.
    pub fn uncover(&mut self, id: Option<GuardedId>, at: VirtAddr) {
        let (Some(link), Some(id)) = (self.link.as_mut(), id) else { return };
        if let Some(index) = link.places.remove(&(id, at)) {
            link.table.leave_site(index as usize);
            link.sites.back.push(index);
        }
    }

    /// Says that threads of the process have debug registers set, which outlive rdbg and then kill: the guardian clears
    /// them in every thread.
    pub fn debug_registers_in_use(&self, id: GuardedId) {
        if let Some(link) = &self.link {
            link.table.set_debug_registers(usize::from(id.0), 1);
        }
    }

    /// Says that none has any more.
    pub fn debug_registers_cleared(&self, id: GuardedId) {
        if let Some(link) = &self.link {
            link.table.set_debug_registers(usize::from(id.0), 0);
        }
    }

    /// How many bytes it would restore.
    pub fn covered(&self) -> usize {
        let Some(link) = &self.link else { return 0 };
        link.places.values().filter(|index| link.table.is_site(**index as usize)).count()
    }

    /// Whether it still waits.
    pub fn state(&self) -> GuardianState {
        let Some(link) = &self.link else { return GuardianState::Absent };
        // SAFETY: waitid writes to a siginfo that lives over the call; with WNOWAIT the child stays to be collected.
        let ended = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let asked = libc::waitid(libc::P_PID, link.pid.0 as libc::id_t, &mut info, flags);
            asked != 0 || info.si_pid() != 0
        };
        if ended {
            GuardianState::Gone
        } else {
            GuardianState::Watching(link.pid)
        }
    }

    /// rdbg has left in order: the guardian ends.
    pub fn dismiss(&mut self) {
        let Some(link) = self.link.take() else { return };
        link.table.dismissed.store(1, Ordering::SeqCst);
        link.wake();
        // SAFETY: collects the one child that this process forked for itself; the status is not asked for.
        unsafe { libc::waitpid(link.pid.0, std::ptr::null_mut(), 0) };
    }
}

impl Link {
    /// The record of what is at `at`, a new one if there is none yet and the table has room.
    fn place(&mut self, id: GuardedId, at: VirtAddr) -> Option<usize> {
        let known = self.places.get(&(id, at)).copied();
        let index = known.or_else(|| self.sites.take(SITES))?;
        self.places.insert((id, at), index);
        Some(index as usize)
    }

    /// Hands over the open memory: it stays that of this address space, whatever the process executes. A guardian that
    /// does not get it opens the file itself when it needs it.
    fn send(&self, index: u32, generation: u32, file: &File) {
        let mut text = [0; 8];
        text[..4].copy_from_slice(&index.to_ne_bytes());
        text[4..].copy_from_slice(&generation.to_ne_bytes());
        let fds = [file.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        if let Err(error) = sendmsg::<()>(self.mail.as_raw_fd(), &[IoSlice::new(&text)], &rights, flags, None) {
            tracing::debug!(%error, "the guardian was not given a memory file");
        }
        self.wake();
    }

    fn wake(&self) {
        // SAFETY: wakes waiters on a word that stays mapped; the other arguments are not read.
        unsafe { libc::syscall(libc::SYS_futex, self.table.owner.word.as_ptr(), libc::FUTEX_WAKE, 1) };
    }
}

#[cfg(test)]
mod tests;
