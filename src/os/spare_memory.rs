//! How much memory this process may still take before something has to be killed for it.

use std::path::Path;

/// The files of a control group's memory in its folder: the limit, what is used, and the key in memory.stat of what could
/// be thrown out of that (the kernel's cgroup-v2.rst, "Memory Interface Files", and cgroup-v1/memory.rst).
struct Interface {
    /// The folder below /sys/fs/cgroup in which the groups lie.
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    cached: &'static str,
}

const VERSION_2: Interface =
    Interface { mount: "", limit: "memory.max", used: "memory.current", cached: "inactive_file" };
const VERSION_1: Interface = Interface {
    mount: "memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};

/// Bytes: the least of what the machine has available and what is left to each control group that this process is in; 0
/// where the machine does not say.
pub fn spare_memory() -> u64 {
    spare_below(Path::new("/"))
}

fn spare_below(root: &Path) -> u64 {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    // In kB (proc_meminfo(5)).
    let available = value_of(&read("proc/meminfo"), "MemAvailable:").unwrap_or(0).saturating_mul(1024);
    let groups = read("proc/self/cgroup");
    // HIERARCHY:CONTROLLERS:PATH (cgroups(7)).
    let left = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let interface = match controllers {
            "" => VERSION_2,
            _ if controllers.split(',').any(|one| one == "memory") => VERSION_1,
            _ => return None,
        };
        left_to(&root.join("sys/fs/cgroup").join(interface.mount), path, &interface)
    });
    left.chain([available]).min().unwrap_or(0)
}

/// What is left to a group and to those that it is in. Without a namespace of its own a container sees its group's folder
/// where the path would have the root's: limits are found there too.
fn left_to(mount: &Path, path: &str, interface: &Interface) -> Option<u64> {
    let group = mount.join(path.trim_start_matches('/'));
    let folders = group.ancestors().take_while(|folder| folder.starts_with(mount));
    let left = folders.filter_map(|folder| {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        // "max" is no number.
        let limit: u64 = read(interface.limit).trim().parse().ok()?;
        let used: u64 = read(interface.used).trim().parse().ok()?;
        let cached = value_of(&read("memory.stat"), interface.cached).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    });
    left.min()
}

/// The number behind a key at the beginning of a line.
fn value_of(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| (words.next() == Some(key)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 8 MB available, and these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [("proc/meminfo", "MemTotal: 16000 kB\nMemAvailable:    8000 kB\n")].iter().chain(files) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_tightest_group_decides() {
        assert_eq!(spare_below(machine(&[]).path()), 8_192_000);
        let pod = machine(&[
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("sys/fs/cgroup/pod/memory.max", "5000000\n"),
            ("sys/fs/cgroup/pod/memory.current", "4000000\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 300000\n"),
            ("sys/fs/cgroup/pod/container/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/container/memory.current", "7\n"),
        ]);
        assert_eq!(spare_below(pod.path()), 1_300_000);
    }

    #[test]
    fn groups_of_the_first_version_and_of_a_container_without_its_own_namespace_count() {
        let old = machine(&[
            ("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/abc\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "900000"),
        ]);
        assert_eq!(spare_below(old.path()), 100_000);
    }

    #[test]
    fn what_is_used_beyond_a_limit_leaves_nothing() {
        let over = machine(&[
            ("proc/self/cgroup", "0::/"),
            ("sys/fs/cgroup/memory.max", "1000"),
            ("sys/fs/cgroup/memory.current", "2000"),
        ]);
        assert_eq!(spare_below(over.path()), 0);
        assert!(spare_memory() > 0, "this machine says what it has");
    }
}
