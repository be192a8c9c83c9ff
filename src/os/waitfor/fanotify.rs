//! Holding a task inside its execve with fanotify permission events.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::Tid;
use crate::os::error::{errno_text, last_errno};
use crate::os::proc;

use super::answer::{ExecAnswer, Group, Question};
use super::files::Files;
use super::stop::{Stop, Woken};
use super::{Ended, WatchEvent, WatchSink};

/// How long a task is held for the tracer. Before Linux 6.8 PTRACE_SEIZE waits for a mutex that the exec'ing task holds
/// until it is answered: a tracer that never answers is that case.
const TRACER_PATIENCE: Duration = Duration::from_millis(5);
/// An overlay's open of its lower file is a second event of the same execve.
const SAME_EXEC: Duration = Duration::from_millis(100);
/// How many mounts are marked at most.
const MOST_MOUNTS: usize = 512;
/// File systems that hold no programs.
const PSEUDO: [&str; 20] = [
    "proc",
    "sysfs",
    "devpts",
    "devtmpfs",
    "cgroup",
    "cgroup2",
    "mqueue",
    "debugfs",
    "tracefs",
    "securityfs",
    "bpf",
    "pstore",
    "configfs",
    "efivarfs",
    "hugetlbfs",
    "fusectl",
    "binfmt_misc",
    "autofs",
    "nsfs",
    "rpc_pipefs",
];

pub(super) struct Watch {
    group: Arc<Group>,
    fd: RawFd,
    matcher: Files,
    note: Option<String>,
    recent: Option<(Tid, Instant)>,
}

impl Watch {
    pub(super) fn arm(files: &Files) -> Result<Watch, String> {
        let class = libc::FAN_CLASS_CONTENT | libc::FAN_REPORT_TID | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        let file_flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE;
        // SAFETY: fanotify_init(2) takes numbers only.
        let fd = unsafe { libc::fanotify_init(class, file_flags as libc::c_uint) };
        if fd < 0 {
            return Err(match last_errno() {
                libc::EPERM => {
                    "needs CAP_SYS_ADMIN in the initial user namespace (sudo; a privileged container)".into()
                }
                libc::ENOSYS => "this kernel is built without fanotify".into(),
                libc::EINVAL => "this kernel is older than 4.20 (FAN_REPORT_TID)".into(),
                errno => errno_text(errno),
            });
        }
        // SAFETY: just opened, and nothing else owns it.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        let note = mark_all(fd, files)?;
        Ok(Watch { group: Arc::new(Group::new(owned)), fd, matcher: files.to_matcher(), note, recent: None })
    }

    pub(super) fn note(&self) -> Option<String> {
        self.note.clone()
    }

    pub(super) fn run(mut self, stop: &Stop, sink: &WatchSink) -> Ended {
        self.read_events(stop, sink)
    }

    /// Removes every mark and lets every task go on that waits.
    ///
    /// Closing the group would do both, but only with its last descriptor: a child of rdbg's that has not come to its
    /// exec yet holds a copy of it. If that child is itself held, it waits for an answer that nobody gives, and so does
    /// everybody who executes what is marked. It happened: with whole file systems marked the machine stood still.
    fn release(&self) {
        for kind in [0, libc::FAN_MARK_MOUNT, libc::FAN_MARK_FILESYSTEM] {
            let flush = libc::FAN_MARK_FLUSH | kind;
            // SAFETY: a flush takes no path (fanotify_mark(2)); the rest are numbers.
            unsafe { libc::fanotify_mark(self.fd, flush, 0, libc::AT_FDCWD, std::ptr::null()) };
        }
        let mut buf = [0u64; 512];
        // Once more after a moment, for whoever had seen the mark but not yet queued its question.
        for pause in [Duration::ZERO, Duration::from_millis(2)] {
            std::thread::sleep(pause);
            while let Some(got) = self.read(&mut buf) {
                for (event, _) in events(&buf, got) {
                    self.group.allow(&event);
                }
            }
        }
        self.group.close();
    }

    /// One read(2) that does not block; `None` with errno set when nothing came of it.
    fn read(&self, buf: &mut [u64; 512]) -> Option<usize> {
        // SAFETY: reads at most the buffer's size into it. The group is closed by this thread alone.
        let got = unsafe { libc::read(self.fd, buf.as_mut_ptr().cast(), size_of_val(buf)) };
        usize::try_from(got).ok().filter(|got| *got > 0)
    }

    fn read_events(&mut self, stop: &Stop, sink: &WatchSink) -> Ended {
        // Aligned as the kernel's records are.
        let mut buf = [0u64; 512];
        loop {
            match stop.wait(Some(self.fd), None) {
                Woken::Stopped => return Ended::Stopped,
                Woken::TimedOut => continue,
                Woken::Readable => {}
            }
            let Some(got) = self.read(&mut buf) else {
                match last_errno() {
                    libc::EINTR | libc::EAGAIN => continue,
                    // The event's file could not be opened for rdbg; the kernel has answered it.
                    libc::ENXIO | libc::EACCES | libc::EPERM | libc::ETXTBSY | libc::EMFILE | libc::ENFILE => continue,
                    errno => return Ended::Unusable(format!("read: {}", errno_text(errno))),
                }
            };
            // Each event of what was read is answered, whatever comes of the one before.
            let mut unknown = None;
            for (event, tid) in events(&buf, got) {
                if let Err(reason) = self.handle(event, tid, stop, sink) {
                    unknown = Some(reason);
                }
            }
            if let Some(reason) = unknown {
                return Ended::Unusable(reason);
            }
        }
    }

    /// Answers one event, after a word with the tracer if it is the awaited one.
    fn handle(&mut self, event: OwnedFd, tid: Tid, stop: &Stop, sink: &WatchSink) -> Result<(), String> {
        // Compared by name, not by inode: on an overlay the event shows the lower file's, /proc/PID/exe the overlay's.
        let path = std::fs::read_link(format!("/proc/self/fd/{}", event.as_raw_fd())).unwrap_or_default();
        let path = path.to_string_lossy();
        let awaited = self.matcher.matches(Path::new(path.strip_suffix(" (deleted)").unwrap_or(&path)));
        let again = self.recent.is_some_and(|(last, at)| last == tid && at.elapsed() < SAME_EXEC);
        if !awaited || again || stop.is_set() || tid.0 == 0 {
            self.group.allow(&event);
            return match tid.0 {
                0 if awaited => Err("the process is outside rdbg's pid namespace, its number is not told".to_owned()),
                _ => Ok(()),
            };
        }
        self.recent = Some((tid, Instant::now()));
        let question = Question::new(&self.group, event);
        sink(WatchEvent::Exec { tid, answer: ExecAnswer::new(Arc::clone(&question)) });
        question.wait_or_stop(TRACER_PATIENCE, || !stop.is_set() && stop_task(tid));
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.release();
    }
}

/// SIGSTOP for the task. To the *task*: one sent to the process is lost when another thread than the leader execs.
fn stop_task(tid: Tid) -> bool {
    let Ok(status) = proc::read_status(tid) else { return false };
    // SAFETY: tgkill(2) takes numbers only.
    unsafe { libc::syscall(libc::SYS_tgkill, status.tgid.0, tid.0, libc::SIGSTOP) == 0 }
}

/// Takes the descriptors out of what was read.
fn events(buf: &[u64], length: usize) -> Vec<(OwnedFd, Tid)> {
    let mut found = Vec::new();
    let mut at = 0;
    let header = size_of::<libc::fanotify_event_metadata>();
    while at + header <= length {
        // SAFETY: `header` bytes at `at` lie in what the kernel wrote; records are plain data, read unaligned.
        let event: libc::fanotify_event_metadata =
            unsafe { buf.as_ptr().cast::<u8>().add(at).cast::<libc::fanotify_event_metadata>().read_unaligned() };
        if event.fd >= 0 {
            // SAFETY: the kernel has opened this descriptor for the reader of the event, once.
            found.push((unsafe { OwnedFd::from_raw_fd(event.fd) }, Tid(event.pid)));
        }
        at += (event.event_len as usize).max(header);
    }
    found
}

/// Marks the files, or where there are none everything that can hold one. Returns what the user should know.
fn mark_all(group: RawFd, files: &Files) -> Result<Option<String>, String> {
    if !files.paths.is_empty() {
        let results: Vec<Result<(), i32>> = files.paths.iter().map(|path| mark(group, 0, path)).collect();
        return match results.iter().find_map(|result| result.err()) {
            Some(errno) if results.iter().all(Result::is_err) => Err(refused_mark(errno)),
            _ => Ok(None),
        };
    }
    let mut devices = HashSet::new();
    let mut marked = 0;
    let mut last = libc::ENOENT;
    for mount in mounts().into_iter().take(MOST_MOUNTS) {
        // The whole file system: that also covers its mounts in other namespaces, and those yet to be made.
        if std::fs::metadata(&mount).is_ok_and(|found| !devices.insert(found.dev())) {
            continue;
        }
        match mark(group, libc::FAN_MARK_FILESYSTEM, &mount).or_else(|_| mark(group, libc::FAN_MARK_MOUNT, &mount)) {
            Ok(()) => marked += 1,
            Err(errno) => last = errno,
        }
    }
    if marked == 0 {
        return Err(refused_mark(last));
    }
    Ok(Some(format!(
        "no file called {} was found, so that rdbg looks at every exec on {marked} file systems (each takes about 65 us \
         longer while it waits); give a path to avoid this",
        files.name()
    )))
}

fn refused_mark(errno: i32) -> String {
    match errno {
        libc::EINVAL => {
            "this kernel has no exec permission events (Linux 5.0, CONFIG_FANOTIFY_ACCESS_PERMISSIONS)".into()
        }
        errno => format!("marking the file: {}", errno_text(errno)),
    }
}

fn mark(group: RawFd, kind: libc::c_uint, path: &Path) -> Result<(), i32> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| libc::EINVAL)?;
    // SAFETY: the path is NUL-terminated and lives over the call; the rest are numbers.
    let answer = unsafe {
        libc::fanotify_mark(group, libc::FAN_MARK_ADD | kind, libc::FAN_OPEN_EXEC_PERM, libc::AT_FDCWD, path.as_ptr())
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Mount points of /proc/self/mountinfo that programs can be executed from.
fn mounts() -> Vec<PathBuf> {
    parse_mounts(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

fn parse_mounts(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            // id parent major:minor root mount-point options [optional..] - type source super-options
            let (left, right) = line.split_once(" - ")?;
            let fields: Vec<&str> = left.split(' ').collect();
            let (point, options) = (fields.get(4)?, fields.get(5)?);
            let kind = right.split(' ').next()?;
            let usable = !PSEUDO.contains(&kind) && !options.split(',').any(|option| option == "noexec");
            usable.then(|| PathBuf::from(point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_that_can_hold_programs() {
        let text = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
            23 22 0:21 / /proc rw,nosuid - proc proc rw\n\
            24 22 0:22 / /run rw,nosuid,noexec - tmpfs tmpfs rw\n\
            25 22 0:23 / /my\\040data rw - overlay overlay rw\n";
        assert_eq!(parse_mounts(text), [PathBuf::from("/"), PathBuf::from("/my data")]);
    }
}
