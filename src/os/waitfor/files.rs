//! Which files a name can stand for.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::Pid;
use crate::os::launch::is_executable;
use crate::os::proc;

/// Where programs lie, whatever PATH says.
const USUAL: [&str; 6] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Where container engines unpack the layers of their images, on the node itself: a mark there is seen through every
/// overlay above it, also of containers that do not exist yet (Linux 6.5 and later; before, it does nothing).
const LAYERS: [(&str, &str); 4] = [
    ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots", "fs"),
    ("/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots", "fs"),
    ("/var/lib/docker/overlay2", "diff"),
    ("/var/lib/containers/storage/overlay", "diff"),
];

/// How many mount namespaces, and how many layers, are looked into.
const MOST: usize = 512;

/// The files that a name stands for, and which executables it fits.
#[derive(Debug)]
pub(super) struct Files {
    name: String,
    /// Each file once, by a path that rdbg can open.
    pub(super) paths: Vec<PathBuf>,
    /// The base names of the files behind symbolic links, and the name itself.
    base_names: HashSet<OsString>,
    /// For a name with a slash: the path as given, and as it resolves.
    full_paths: HashSet<PathBuf>,
    by_path: bool,
}

impl Files {
    pub(super) fn find(name: &str) -> Files {
        let mut files = Files {
            name: name.to_owned(),
            paths: Vec::new(),
            base_names: HashSet::new(),
            full_paths: HashSet::new(),
            by_path: name.contains('/'),
        };
        let mut places: Vec<PathBuf> = Vec::new();
        if files.by_path {
            let path = std::path::absolute(name).unwrap_or_else(|_| PathBuf::from(name));
            files.full_paths.insert(path.clone());
            places.push(path);
        } else {
            files.base_names.insert(OsString::from(name));
            let search = std::env::var_os("PATH").unwrap_or_default();
            let directories = std::env::split_paths(&search).chain(USUAL.iter().map(PathBuf::from));
            places.extend(directories.chain(std::env::current_dir()).map(|directory| directory.join(name)));
        }
        let mut seen = HashSet::new();
        for place in &places {
            files.add(place, place, &mut seen);
        }
        files.add_from_processes(&places, &mut seen);
        files.add_from_layers(&places, &mut seen);
        files
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes `path` if it is an executable file, which its users know as `known_as`.
    fn add(&mut self, path: &Path, known_as: &Path, seen: &mut HashSet<(u64, u64)>) {
        if !is_executable(path) {
            return;
        }
        let Ok(found) = std::fs::metadata(path) else { return };
        // The name's own symbolic link leads to the file that is executed, and whose name the kernel tells.
        if let Ok(real) = std::fs::canonicalize(path) {
            self.base_names.extend(real.file_name().map(OsStr::to_owned).filter(|_| !self.by_path));
            if self.by_path && path == known_as {
                self.full_paths.insert(real);
            }
        }
        if seen.insert((found.dev(), found.ino())) {
            self.paths.push(path.to_owned());
        }
    }

    /// The executables of running processes, and the usual places in the mount namespaces of others.
    fn add_from_processes(&mut self, places: &[PathBuf], seen: &mut HashSet<(u64, u64)>) {
        let own = std::fs::read_link("/proc/self/ns/mnt").ok();
        let mut namespaces: HashSet<PathBuf> = own.into_iter().collect();
        for pid in proc::read_pids().unwrap_or_default() {
            if proc::read_exe(pid).is_ok_and(|exe| self.matches(&exe)) {
                let link = PathBuf::from(format!("/proc/{pid}/exe"));
                self.add(&link, &link, seen);
            }
            let Ok(namespace) = std::fs::read_link(format!("/proc/{pid}/ns/mnt")) else { continue };
            if namespaces.len() < MOST && namespaces.insert(namespace) {
                for place in places {
                    self.add(&inside(&format!("/proc/{pid}/root"), place), place, seen);
                }
            }
        }
    }

    fn add_from_layers(&mut self, places: &[PathBuf], seen: &mut HashSet<(u64, u64)>) {
        for (store, content) in LAYERS {
            let Ok(layers) = std::fs::read_dir(store) else { continue };
            for layer in layers.flatten().take(MOST) {
                let root = layer.path().join(content);
                for place in places {
                    self.add(&inside(&root.to_string_lossy(), place), place, seen);
                }
            }
        }
    }

    /// Whether an executable of this path, in whatever mount namespace, is meant.
    pub(super) fn matches(&self, exe: &Path) -> bool {
        if self.by_path {
            self.full_paths.contains(exe)
        } else {
            exe.file_name().is_some_and(|base| self.base_names.contains(base))
        }
    }

    /// Whether this process executes the program now. What is executed through a symbolic link is told from the other
    /// names of the same file (busybox) by comm and the first argument.
    pub(super) fn is_run_by(&self, pid: Pid) -> bool {
        let Ok(exe) = proc::read_exe(pid) else { return false };
        if !self.matches(&exe) {
            return false;
        }
        if self.by_path || exe.file_name().is_some_and(|base| base == self.name.as_str()) {
            return true;
        }
        let comm = proc::read_comm(pid, pid.leader()).unwrap_or_default();
        // The kernel keeps 15 bytes.
        let cut = self.name.as_bytes().get(..15).unwrap_or(self.name.as_bytes());
        let first = proc::read_cmdline(pid).unwrap_or_default();
        comm.as_bytes() == cut || proc::matches_name(&self.name, "", None, &first)
    }

    /// The processes that execute the program already.
    pub(super) fn running(&self) -> HashSet<Pid> {
        proc::read_pids().unwrap_or_default().into_iter().filter(|pid| self.is_run_by(*pid)).collect()
    }

    pub(super) fn to_matcher(&self) -> Files {
        Files {
            name: self.name.clone(),
            paths: Vec::new(),
            base_names: self.base_names.clone(),
            full_paths: self.full_paths.clone(),
            by_path: self.by_path,
        }
    }
}

fn inside(root: &str, place: &Path) -> PathBuf {
    Path::new(root).join(place.strip_prefix("/").unwrap_or(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_found_in_path_and_matches_its_base_name() {
        let files = Files::find("sleep");
        assert!(!files.paths.is_empty());
        assert!(files.matches(Path::new("/container/bin/sleep")));
        assert!(!files.matches(Path::new("/bin/sleepy")));
        assert!(Files::find("rdbg-no-such-program").paths.is_empty());
    }

    #[test]
    fn a_link_stands_for_the_file_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        std::fs::copy("/bin/true", &real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let files = Files::find(link.to_str().unwrap());
        assert_eq!(files.paths.len(), 1);
        assert!(files.matches(&real) && files.matches(&link));
        assert!(!files.matches(Path::new("/bin/real")));
    }
}
