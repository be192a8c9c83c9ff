//! /tmp/perf-PID.map, in which a JIT says what it has made: one line for each function, `START SIZE name`, the numbers in
//! hexadecimal (Linux, tools/perf/Documentation/jit-interface.txt).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use super::proc::{read_status, root_of};
use crate::base::Pid;

/// Of a larger map the first bytes are read. Node's take some MB.
const LIMIT: u64 = 64 << 20;

/// A map that lies there.
pub struct PerfMap {
    /// As the process itself would name it.
    pub path: PathBuf,
    /// What changes when the map does.
    pub mark: PerfMapMark,
    file: File,
}

/// The size and times of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PerfMapMark {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl PerfMap {
    /// Opens the map of a process: in its mount namespace, under its number in its own pid namespace. `None` where it has
    /// none, or where what lies there is another user's or no regular file.
    pub fn open(pid: Pid) -> Option<PerfMap> {
        let status = read_status(pid.leader()).ok()?;
        let path = PathBuf::from(format!("tmp/perf-{}.map", status.ns_pids.last()?));
        let mut options = File::options();
        // A pipe that somebody put there must not keep the tracer waiting.
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
        let file = options.open(root_of(pid).join(&path)).ok()?;
        let metadata = file.metadata().ok()?;
        // Anybody may write to /tmp: another user's map could give any name to any place.
        let is_its_own = metadata.uid() == 0 || status.uids.contains(&metadata.uid());
        if !metadata.is_file() || !is_its_own {
            return None;
        }
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        let mark = PerfMapMark { inode: metadata.ino(), size: metadata.size(), changed };
        Some(PerfMap { path: PathBuf::from("/").join(path), mark, file })
    }

    /// Its bytes, as far as they are read.
    pub fn read(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.take(LIMIT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_map_of_its_own_number() {
        let own = std::process::id();
        let path = format!("/tmp/perf-{own}.map");
        let pid = Pid(own as i32);
        assert!(PerfMap::open(pid).is_none());
        std::fs::write(&path, "10 4 f\n").unwrap();
        let (first, second) = (PerfMap::open(pid), PerfMap::open(pid));
        std::fs::write(&path, "10 4 f\n20 4 g\n").unwrap();
        let third = PerfMap::open(pid);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        let link = PerfMap::open(pid);
        std::fs::remove_file(&path).unwrap();
        let (first, third) = (first.unwrap(), third.unwrap());
        assert!(first.mark == second.unwrap().mark && first.mark != third.mark && link.is_none());
        assert_eq!(third.path.to_str(), Some(path.as_str()));
        assert_eq!(third.read().unwrap(), b"10 4 f\n20 4 g\n");
    }
}
