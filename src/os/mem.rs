//! Memory of other processes: `process_vm_readv` and /proc/PID/mem.

use std::cell::RefCell;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use crate::base::{MemError, Pid, Tid, VirtAddr};

use rustc_hash::FxHashMap;

use super::proc;

/// The size of a page, bytes.
const PAGE: u64 = 4096;

/// The open /proc/PID/mem files. Such a file refers to the address space that the process had when it was opened.
#[derive(Debug, Default)]
pub struct MemFiles {
    files: RefCell<FxHashMap<Pid, Rc<File>>>,
}

impl MemFiles {
    /// Drops the file of `pid`: after an exec or at its end. After a vfork child's exec this is vital, as its old file
    /// goes on showing the *parent's* memory.
    pub fn forget(&self, pid: Pid) {
        self.files.borrow_mut().remove(&pid);
    }

    /// Reads as [`crate::base::ReadMem::read_mem`] does.
    pub fn read(&self, pid: Pid, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        if buf.is_empty() {
            return Ok(0);
        }
        let got = match process_vm_readv(pid, at, buf) {
            Ok(got) if got == buf.len() => return Ok(got),
            Ok(got) => got,
            // EFAULT: not readable (PROT_NONE, which FOLL_FORCE of /proc/PID/mem can read) or not mapped. ESRCH: gone, or
            // the leader has exited before its threads, whose memory an open file still reaches. EPERM, ENOSYS: seccomp.
            Err(_) => 0,
        };
        match self.read_file(pid, at.offset(got as u64), &mut buf[got..]) {
            Ok(more) => Ok(got + more),
            Err(_) if got > 0 => Ok(got),
            Err(error) => Err(error),
        }
    }

    fn read_file(&self, pid: Pid, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        self.with_file(pid, at, |file| {
            let mut got = 0;
            while got < buf.len() {
                match file.read_at(&mut buf[got..], at.offset(got as u64).0) {
                    Ok(0) if got == 0 => return Ok(0),
                    Ok(0) => break,
                    Ok(more) => got += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) if got > 0 => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(got)
        })
    }

    /// Writes all of `bytes`, whatever the protection is and whether the process is stopped or not.
    pub fn write(&self, pid: Pid, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let done = self.with_file(pid, at, |file| {
            let mut done = 0;
            while done < bytes.len() {
                match file.write_at(&bytes[done..], at.offset(done as u64).0) {
                    Ok(0) => break,
                    Ok(more) => done += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) if done > 0 => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        })?;
        if done == bytes.len() {
            Ok(())
        } else {
            Err(MemError::Unmapped(at.offset(done as u64)))
        }
    }

    /// Runs `access` on the process's file, and once more on a fresh one when the address space behind the cached file
    /// has ended (0 bytes) or when it fails (EIO).
    fn with_file(
        &self,
        pid: Pid,
        at: VirtAddr,
        mut access: impl FnMut(&File) -> io::Result<usize>,
    ) -> Result<usize, MemError> {
        if let Some(file) = self.cached(pid) {
            match access(&file) {
                Ok(done) if done > 0 => return Ok(done),
                _ => self.forget(pid),
            }
        }
        let file = Rc::new(open_mem(pid).map_err(|error| mem_error(&error, at))?);
        match access(&file) {
            // An address space with no users left: the process has exited (or is a zombie).
            Ok(0) => Err(MemError::Gone),
            Ok(done) => {
                self.files.borrow_mut().insert(pid, file);
                Ok(done)
            }
            Err(error) => Err(mem_error(&error, at)),
        }
    }

    fn cached(&self, pid: Pid) -> Option<Rc<File>> {
        self.files.borrow().get(&pid).cloned()
    }
}

/// Opens /proc/PID/mem. When the leader has exited before its threads it has no memory, but they do.
pub(super) fn open_mem(pid: Pid) -> io::Result<File> {
    let open = |path: String| File::options().read(true).write(true).open(path);
    let leader_lives = !matches!(proc::read_status(pid.leader()), Ok(status) if matches!(status.state, 'Z' | 'X'));
    if leader_lives {
        return open(format!("/proc/{pid}/mem"));
    }
    let threads = proc::read_threads(pid)?;
    let alive = threads.into_iter().filter(|tid| *tid != pid.leader());
    let mut last = io::Error::from_raw_os_error(libc::ESRCH);
    for tid in alive {
        match open(format!("/proc/{pid}/task/{tid}/mem")) {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Who may write to a program's code through /proc/PID/mem: everybody who may trace it, or where the kernel has
/// proc_mem.force_override=ptrace or =never (fs/proc/base.c) its tracer or nobody. Tried on a page of rdbg's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeWriters {
    /// So the guardian too.
    Everybody,
    /// It has to become the tracer first.
    TracersAtMost,
}

impl CodeWriters {
    /// What this kernel allows.
    pub fn of_this_kernel() -> CodeWriters {
        const NOTHING: i32 = -1;
        // SAFETY: a new anonymous mapping, which nothing refers to but the kernel, unmapped below.
        let page = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), PAGE as usize, libc::PROT_READ, flags, NOTHING, 0)
        };
        if page == libc::MAP_FAILED {
            return CodeWriters::Everybody;
        }
        let written =
            File::options().write(true).open("/proc/self/mem").and_then(|mem| mem.write_at(&[1], page as u64));
        // SAFETY: the mapping of above.
        unsafe { libc::munmap(page, PAGE as usize) };
        match written {
            Ok(1) => CodeWriters::Everybody,
            _ => CodeWriters::TracersAtMost,
        }
    }
}

fn mem_error(error: &io::Error, at: VirtAddr) -> MemError {
    match error.raw_os_error() {
        Some(libc::ESRCH | libc::ENOENT) => MemError::Gone,
        Some(libc::EIO | libc::EFAULT | libc::EINVAL) | None => MemError::Unmapped(at),
        Some(errno) => MemError::Refused { at, errno },
    }
}

/// See [`crate::base::Inferior::load`]. /proc/PID/mem will not do: the kernel reads and writes through it whatever the
/// protection is (FOLL_FORCE), past guard pages and the pages by which runtimes make their threads stop.
pub fn load(tid: Tid, at: VirtAddr, buf: &mut [u8]) -> Result<(), MemError> {
    match process_vm_readv(tid.as_leader_of(), at, buf) {
        Ok(got) if got == buf.len() => Ok(()),
        Ok(got) => Err(MemError::Unmapped(at.offset(got as u64))),
        Err(error) => Err(mem_error(&error, at)),
    }
}

/// See [`crate::base::Inferior::store`].
pub fn store(tid: Tid, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
    if at.0 % PAGE + bytes.len() as u64 > PAGE {
        return Err(MemError::Unmapped(at));
    }
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: at.0 as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: `local` describes `bytes`, which the kernel only reads; the remote address is used in the other process
    // and checked there.
    let put = unsafe { libc::process_vm_writev(tid.0, &local, 1, &remote, 1, 0) };
    match usize::try_from(put) {
        Ok(put) if put == bytes.len() => Ok(()),
        Ok(_) => Err(MemError::Unmapped(at)),
        Err(_) => Err(mem_error(&io::Error::last_os_error(), at)),
    }
}

/// One process_vm_readv(2). The kernel stops at the first page that it cannot read and returns what came before.
fn process_vm_readv(pid: Pid, at: VirtAddr, buf: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let remote = libc::iovec { iov_base: at.0 as *mut libc::c_void, iov_len: buf.len() };
    // SAFETY: `local` describes `buf`, which is exclusively borrowed; the remote address is only read by the kernel,
    // in the other process, and checked there.
    let got = unsafe { libc::process_vm_readv(pid.0, &local, 1, &remote, 1, 0) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}
