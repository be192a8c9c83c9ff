//! The guardian itself: what runs in the process that waits for rdbg's end.

use std::fs::File;
use std::io::{IoSliceMut, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use nix::sys::socket::{recvmsg, ControlMessageOwned, MsgFlags};

use super::mend;
use super::table::{Table, SPACES};

/// As `ps` shows it. Not by rdbg's name: whoever kills rdbg by its name must not hit this one too.
const NAME: &[u8] = b"guardian\0";
/// How often it looks whether rdbg lives, should the kernel not tell it.
const LOOK: libc::timespec = libc::timespec { tv_sec: 10, tv_nsec: 0 };

/// The memory files that were handed over: the space's index, its generation, the file.
pub(super) type Files = Vec<(u32, u32, File)>;

/// The terminal that rdbg's standard error leads to, if it is one.
pub(super) fn terminal_of_stderr() -> Option<PathBuf> {
    // SAFETY: isatty takes a number.
    let is_terminal = unsafe { libc::isatty(2) } == 1;
    is_terminal.then(|| std::fs::read_link("/proc/self/fd/2").ok()).flatten()
}

/// Waits for rdbg's end, mends what it left, and ends.
pub(super) fn watch(table: &'static Table, mail: OwnedFd, terminal: Option<PathBuf>) -> ! {
    // SAFETY: getppid takes nothing.
    let rdbg = unsafe { libc::getppid() };
    detach_from_rdbg(mail.as_raw_fd());
    let mut files = Files::new();
    if wait_for_end(table, &mail, rdbg, &mut files) == Ending::Died {
        let said = mend::mend_all(table, &files, rdbg);
        if let Some(mut to) = terminal.and_then(|path| File::options().write(true).open(path).ok()) {
            for line in said {
                // A terminal that has gone hears nothing.
                let _ = writeln!(to, "\r{line}\r");
            }
        }
    }
    // SAFETY: ends this process without the destructors of what it has in common with rdbg.
    unsafe { libc::_exit(0) }
}

/// How rdbg ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    InOrder,
    Died,
}

fn wait_for_end(table: &Table, mail: &OwnedFd, rdbg: i32, files: &mut Files) -> Ending {
    loop {
        let before = table.owner.word.fetch_or(libc::FUTEX_WAITERS, Ordering::SeqCst);
        if table.dismissed.load(Ordering::SeqCst) != 0 {
            return Ending::InOrder;
        }
        receive(mail, files);
        // SAFETY: getppid takes nothing.
        let orphan = unsafe { libc::getppid() } != rdbg;
        if before & libc::FUTEX_OWNER_DIED != 0 || orphan {
            return Ending::Died;
        }
        files.retain(|(index, generation, _)| {
            table.space(*index as usize).is_some_and(|space| space.generation == *generation)
        });
        // SAFETY: waits on a word that stays mapped, for as long as LOOK at most.
        unsafe {
            let expected = before | libc::FUTEX_WAITERS;
            libc::syscall(libc::SYS_futex, table.owner.word.as_ptr(), libc::FUTEX_WAIT, expected, &LOOK);
        }
    }
}

/// Takes what was handed over.
fn receive(mail: &OwnedFd, files: &mut Files) {
    let mut text = [0; 8];
    let mut room = nix::cmsg_space!([RawFd; 1]);
    loop {
        let mut parts = [IoSliceMut::new(&mut text)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let Ok(message) = recvmsg::<()>(mail.as_raw_fd(), &mut parts, Some(&mut room), flags) else { return };
        if message.bytes == 0 {
            return;
        }
        let fds: Vec<RawFd> = message
            .cmsgs()
            .into_iter()
            .flatten()
            .flat_map(|one| if let ControlMessageOwned::ScmRights(fds) = one { fds } else { Vec::new() })
            .collect();
        let word = |at: usize| u32::from_ne_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]);
        for fd in fds {
            // SAFETY: the kernel has just made this descriptor for this process.
            let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
            if (word(0) as usize) < SPACES {
                files.push((word(0), word(4), file));
            }
        }
    }
}

/// Gives up all that the process has in common with rdbg: its session, its terminal, its files, its name, the signals
/// that are sent to it.
fn detach_from_rdbg(mail: RawFd) {
    rename();
    // SAFETY: async-signal-safe calls with numbers and pointers to live values. Each may fail, and none is needed for
    // the guardian to do its work: they keep it out of the way.
    unsafe {
        libc::setsid();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        // Told when rdbg's first thread ends, should the futex not tell; the handler only interrupts the wait.
        let wake = libc::SIGRTMIN() + 4;
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(wake, &action, std::ptr::null_mut());
        libc::prctl(libc::PR_SET_PDEATHSIG, wake);
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for fd in 0..3 {
            libc::dup2(null, fd);
        }
        libc::syscall(libc::SYS_close_range, 3, mail - 1, 0);
        libc::syscall(libc::SYS_close_range, mail + 1, libc::c_uint::MAX, 0);
        libc::chdir(c"/".as_ptr());
        // It sleeps until it is needed, and then must come before the threads that are about to hit an int3.
        let first = libc::sched_param { sched_priority: 1 };
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &first);
    }
    // Where memory is short, rdbg goes first.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// Changes the name and the command line that /proc shows. The latter lies between arg_start and arg_end, fields 48 and
/// 49 of /proc/self/stat (proc(5)).
fn rename() {
    // SAFETY: the name is a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, NAME.as_ptr()) };
    let Ok(text) = std::fs::read("/proc/self/stat") else { return };
    let text = String::from_utf8_lossy(&text);
    let Some((_, fields)) = text.rsplit_once(") ") else { return };
    let mut fields = fields.split_ascii_whitespace().skip(48 - 3).map(|field| field.parse::<usize>().unwrap_or(0));
    let (Some(start), Some(end)) = (fields.next(), fields.next()) else { return };
    if start == 0 || end <= start {
        return;
    }
    // SAFETY: the kernel says that the arguments lie there, in this process's own copy of the stack; they have been
    // read already, as owned strings, and nothing refers to them any more.
    let line = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, end - start) };
    line.fill(0);
    let length = NAME.len().min(line.len() - 1);
    line[..length].copy_from_slice(&NAME[..length]);
}
