//! /proc (proc(5)): parsers of its texts, which touch no file, and the readers that use them.

pub mod maps;
pub mod rows;
pub mod sched;
pub mod status;

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::{Mapping, MappingSource, Pid, RunRecord, Tid};

pub use maps::parse_maps;
pub use rows::{find_by_name, list_processes, matches_name, ProcessRow};
pub use sched::parse_sched;
pub use status::{parse_stat, parse_status, Stat, Status};

/// The first read of a file of /proc takes as much as this, bytes: most are shorter.
const FIRST_READ: usize = 4096;

/// /proc/TID/status.
pub fn read_status(tid: Tid) -> io::Result<Status> {
    Ok(parse_status(&read_text(&format!("/proc/{tid}/status"))?))
}

/// /proc/TID/sched.
pub fn read_sched(tid: Tid) -> Option<RunRecord> {
    parse_sched(&read_text(&format!("/proc/{tid}/sched")).ok()?)
}

/// Whether a process executes a 32-bit ELF file (EI_CLASS of the gABI, "ELF Identification").
pub fn is_32_bit(pid: Pid) -> bool {
    let mut ident = [0; 5];
    let read = std::fs::File::open(format!("/proc/{pid}/exe")).and_then(|mut file| file.read_exact(&mut ident));
    read.is_ok() && ident == *b"\x7fELF\x01"
}

/// The group of a task; the task's own number when it has gone.
pub fn group_of(tid: Tid) -> Pid {
    read_status(tid).map_or(tid.as_leader_of(), |status| status.tgid)
}

/// /proc/TID/stat.
pub fn read_stat(tid: Tid) -> io::Result<Stat> {
    let path = format!("/proc/{tid}/stat");
    parse_stat(&read_text(&path)?).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, path))
}

/// /proc/PID/maps; empty for a kernel thread and for a process whose leader has exited.
pub fn read_maps(pid: Pid) -> io::Result<Vec<Mapping>> {
    let text = read_bytes(format!("/proc/{pid}/maps"))?;
    if text.is_empty() {
        // The leader may have exited before its threads, which still have the memory.
        let threads = read_threads(pid)?.into_iter().filter(|tid| *tid != pid.leader());
        for tid in threads {
            match read_bytes(format!("/proc/{pid}/task/{tid}/maps")) {
                Ok(text) if !text.is_empty() => return Ok(parse_maps(&text)),
                _ => {}
            }
        }
    }
    Ok(parse_maps(&text))
}

/// The directory that shows what the tasks of a group have in common: memory, files, root. It is /proc/PID, but where
/// the leader has exited before its threads, whose directories alone still show it.
pub fn group_dir(pid: Pid) -> PathBuf {
    let own = PathBuf::from(format!("/proc/{pid}"));
    let is_dead = |tid| !read_status(tid).is_ok_and(|status| !matches!(status.state, 'Z' | 'X'));
    if !is_dead(pid.leader()) {
        return own;
    }
    let alive = read_threads(pid).unwrap_or_default().into_iter().find(|tid| !is_dead(*tid));
    alive.map_or(own, |tid| PathBuf::from(format!("/proc/{pid}/task/{tid}")))
}

/// The root directory of a process, as files of its mount namespace are reached (proc(5), /proc/PID/root); `/` where it is our
/// own.
pub fn root_of(pid: Pid) -> PathBuf {
    let directory = group_dir(pid);
    let identity = |path: PathBuf| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let is_ours = |name: &str| {
        let own = identity(Path::new("/proc/self").join(name));
        own.is_some() && own == identity(directory.join(name))
    };
    // Under one and the same directory two mount namespaces can have different files.
    if is_ours("ns/mnt") && is_ours("root") {
        return PathBuf::from("/");
    }
    directory.join("root")
}

/// A path by which a mapped file can be opened: through the process's root, or the very file that is mapped where another
/// one has its name by now.
pub fn openable_path(pid: Pid, mapping: &Mapping) -> Option<PathBuf> {
    let MappingSource::File { path, deleted } = &mapping.source else { return None };
    let through_root = path.strip_prefix("/").ok().map(|rest| group_dir(pid).join("root").join(rest));
    let found = through_root.as_ref().filter(|_| !deleted).and_then(|path| std::fs::metadata(path).ok());
    if found.as_ref().is_some_and(|file| (file.dev(), file.ino()) == mapping.file_id) {
        return through_root;
    }
    // Also for a file that was deleted or replaced; the link is followed only with CAP_SYS_ADMIN or
    // CAP_CHECKPOINT_RESTORE (proc(5)).
    let range = mapping.range;
    let by_range = PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", range.start.0, range.end.0));
    if std::fs::metadata(&by_range).is_ok() {
        return Some(by_range);
    }
    if read_exe(pid).ok().as_ref() == Some(path) {
        return Some(group_dir(pid).join("exe"));
    }
    // On overlayfs the numbers in maps are the lower layer's on some kernels: another device says nothing.
    found.filter(|file| file.dev() != mapping.file_id.0).and(through_root)
}

/// The auxiliary vector, up to AT_NULL (getauxval(3)), as (type, value) pairs.
pub fn read_auxv(pid: Pid) -> io::Result<Vec<(u64, u64)>> {
    Ok(parse_auxv(&read_bytes(group_dir(pid).join("auxv"))?))
}

/// Decodes /proc/PID/auxv of a 64-bit process.
pub fn parse_auxv(bytes: &[u8]) -> Vec<(u64, u64)> {
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    bytes
        .chunks_exact(16)
        .map(|pair| (word(&pair[..8]), word(&pair[8..])))
        .take_while(|(kind, _)| *kind != libc::AT_NULL)
        .collect()
}

/// A task's name, at most 15 bytes.
pub fn read_comm(pid: Pid, tid: Tid) -> io::Result<String> {
    let bytes = read_bytes(format!("/proc/{pid}/task/{tid}/comm"))?;
    Ok(String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes)).into_owned())
}

/// What /proc/PID/exe names, in the process's mount namespace, without the kernel's " (deleted)".
pub fn read_exe(pid: Pid) -> io::Result<PathBuf> {
    let link = std::fs::read_link(group_dir(pid).join("exe"))?.into_os_string().into_vec();
    let path = link.strip_suffix(b" (deleted)").unwrap_or(&link);
    Ok(PathBuf::from(OsString::from_vec(path.to_vec())))
}

/// The arguments; empty for a kernel thread and a zombie.
pub fn read_cmdline(pid: Pid) -> io::Result<Vec<OsString>> {
    Ok(parse_cmdline(&read_bytes(format!("/proc/{pid}/cmdline"))?))
}

/// Decodes /proc/PID/cmdline: each argument ends with a NUL (unless the program has overwritten them).
pub fn parse_cmdline(bytes: &[u8]) -> Vec<OsString> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

/// The tasks of a group, in the order of their numbers.
pub fn read_threads(pid: Pid) -> io::Result<Vec<Tid>> {
    Ok(read_numbers(&format!("/proc/{pid}/task"))?.into_iter().map(Tid).collect())
}

/// Every thread group that /proc shows, in the order of their numbers.
pub fn read_pids() -> io::Result<Vec<Pid>> {
    Ok(read_numbers("/proc")?.into_iter().map(Pid).collect())
}

/// The pid that was given out last in rdbg's pid namespace: the last field of /proc/loadavg. Thread ids count as well.
pub fn read_last_pid() -> io::Result<i32> {
    let text = read_text("/proc/loadavg")?;
    let last = text.split_whitespace().last().and_then(|field| field.parse().ok());
    last.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/loadavg"))
}

fn read_numbers(directory: &str) -> io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        // A task that ends while the directory is read ends no listing.
        let Ok(entry) = entry else { break };
        if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A text of /proc; names in it need not be UTF-8.
fn read_text(path: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

/// A file of /proc. Its size says nothing, so that [`std::fs::read`] would begin with many reads of a few bytes.
fn read_bytes(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(FIRST_READ);
    // But for `take` it would ask for the size first.
    std::fs::File::open(path)?.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auxv_ends_at_null() {
        let words: [u64; 8] = [33, 0x7fff_0000, 9, 0x40_1000, 0, 0, 7, 7];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(parse_auxv(&bytes), [(33, 0x7fff_0000), (9, 0x40_1000)]);
        assert_eq!(parse_auxv(&bytes[..12]), []);
    }

    #[test]
    fn arguments_may_be_empty() {
        assert_eq!(parse_cmdline(b"envoy\0\0-c\0"), ["envoy", "", "-c"]);
        assert!(parse_cmdline(b"").is_empty());
        assert_eq!(parse_cmdline(b"title without end"), ["title without end"]);
    }

    #[test]
    fn rdbg_can_read_itself() {
        let pid = Pid(std::process::id() as i32);
        assert!(read_pids().unwrap().contains(&pid));
        assert!(read_threads(pid).unwrap().contains(&pid.leader()));
        assert!(read_auxv(pid).unwrap().iter().any(|(kind, _)| *kind == libc::AT_ENTRY));
        assert_eq!(read_exe(pid).unwrap(), std::env::current_exe().unwrap());
        let exe = read_exe(pid).unwrap();
        let maps = read_maps(pid).unwrap();
        assert!(maps.iter().any(
            |map| map.exec && matches!(&map.source, crate::base::MappingSource::File { path, .. } if *path == exe)
        ));
        assert_eq!(read_status(pid.leader()).unwrap().tgid, pid);
        assert!(read_last_pid().unwrap() > 0);
    }
}
