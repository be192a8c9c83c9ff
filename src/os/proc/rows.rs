//! The list of processes, and finding one by its name.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::Pid;

use super::{group_of, read_cmdline, read_comm, read_exe, read_pids, read_status, Status};

/// One process, as far as rdbg may look at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessRow {
    /// In rdbg's pid namespace.
    pub pid: Pid,
    /// In its own, when that is another one.
    pub ns_pid: Option<i32>,
    /// Its name, at most 15 bytes.
    pub comm: String,
    /// Its executable in its mount namespace, when rdbg may read that.
    pub exe: Option<PathBuf>,
    /// Its arguments.
    pub cmdline: Vec<OsString>,
    /// Its effective user.
    pub uid: u32,
    /// Who traces it.
    pub tracer: Option<Pid>,
    /// Its parent.
    pub parent: Pid,
    /// The container's id, from its control group.
    pub container: Option<String>,
    /// The host name of its UTS namespace, when that is another one and /etc/hostname there tells.
    pub host_name: Option<String>,
    /// A kernel thread: nothing to debug.
    pub kernel_thread: bool,
}

/// Every process that /proc shows, kernel threads too. One that ends meanwhile is left out.
pub fn list_processes() -> io::Result<Vec<ProcessRow>> {
    let own_uts = std::fs::read_link("/proc/self/ns/uts").ok();
    Ok(read_pids()?.into_iter().filter_map(|pid| read_row(pid, own_uts.as_deref())).collect())
}

fn read_row(pid: Pid, own_uts: Option<&Path>) -> Option<ProcessRow> {
    let status = read_status(pid.leader()).ok().filter(|status| status.tgid == pid)?;
    let comm = read_comm(pid, pid.leader()).unwrap_or_else(|_| status.name.clone());
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let exe = read_exe(pid).ok();
    let uts = std::fs::read_link(format!("/proc/{pid}/ns/uts")).ok();
    let elsewhere = uts.is_some() && uts.as_deref() != own_uts;
    let host_name = elsewhere
        .then(|| std::fs::read_to_string(format!("/proc/{pid}/root/etc/hostname")).ok())
        .flatten()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty());
    Some(ProcessRow {
        pid,
        ns_pid: status.ns_pids.last().copied().filter(|_| status.ns_pids.len() > 1),
        comm,
        cmdline: read_cmdline(pid).unwrap_or_default(),
        uid: status.uids[1],
        tracer: status.tracer.map(group_of),
        parent: status.parent,
        container: parse_container(&cgroup),
        host_name,
        kernel_thread: is_kernel_thread(&status, exe.is_some()),
        exe,
    })
}

/// Kernel threads have no memory; since Linux 6.9 the status says what they are.
fn is_kernel_thread(status: &Status, has_exe: bool) -> bool {
    status.kernel_thread || (!status.has_memory && !has_exe && !matches!(status.state, 'Z' | 'X'))
}

/// The container's id in the text of /proc/PID/cgroup: the last run of 64 hexadecimal digits, as docker, containerd,
/// CRI-O and podman name their groups.
pub fn parse_container(cgroup: &str) -> Option<String> {
    cgroup.split(|c: char| !c.is_ascii_hexdigit()).rfind(|word| word.len() == 64).map(str::to_owned)
}

/// Whether a process is called `name`: its comm, the base name or the whole path of its executable, or the base name of
/// its first argument.
pub fn matches_name(name: &str, comm: &str, exe: Option<&Path>, cmdline: &[OsString]) -> bool {
    let exe_matches = exe.is_some_and(|exe| exe == Path::new(name) || exe.file_name().is_some_and(|base| base == name));
    let first_matches =
        || cmdline.first().and_then(|first| Path::new(first).file_name()).is_some_and(|base| base == name);
    comm == name || exe_matches || first_matches()
}

/// The processes called `name`, see [`matches_name`], but neither rdbg itself nor kernel threads nor zombies.
pub fn find_by_name(name: &str) -> Vec<Pid> {
    let own = Pid(std::process::id() as i32);
    let Ok(pids) = read_pids() else { return Vec::new() };
    pids.into_iter().filter(|pid| *pid != own && is_called(*pid, name)).collect()
}

fn is_called(pid: Pid, name: &str) -> bool {
    let Ok(comm) = read_comm(pid, pid.leader()) else { return false };
    let exe = read_exe(pid).ok();
    let cmdline = read_cmdline(pid).unwrap_or_default();
    if !matches_name(name, &comm, exe.as_deref(), &cmdline) {
        return false;
    }
    read_status(pid.leader()).is_ok_and(|status| {
        status.tgid == pid && !is_kernel_thread(&status, exe.is_some()) && !matches!(status.state, 'Z' | 'X')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_id_of_a_container() {
        let id = "0123456789abcdef".repeat(4);
        let v2 = format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope\n");
        assert_eq!(parse_container(&v2), Some(id.clone()));
        assert_eq!(parse_container(&format!("12:cpu:/docker/{id}\n")), Some(id));
        assert_eq!(parse_container("0::/user.slice/user-0.slice\n"), None);
    }

    #[test]
    fn names() {
        let exe = Path::new("/usr/local/bin/envoy");
        let args = [OsString::from("/x/proxy"), "-c".into()];
        for name in ["envoy", "/usr/local/bin/envoy", "main", "proxy"] {
            assert!(matches_name(name, "main", Some(exe), &args), "{name}");
        }
        for name in ["env", "bin/envoy", "-c", "/x/proxy"] {
            assert!(!matches_name(name, "main", Some(exe), &args), "{name}");
        }
        assert!(!matches_name("envoy", "x", None, &[]));
    }

    #[test]
    fn finds_a_real_process_and_not_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rdbg-find-me");
        crate::os::tests::copy_program("/bin/sleep", &path);
        let mut child = Command::new(&path).arg("60").spawn().unwrap();
        let pid = Pid(child.id() as i32);
        assert_eq!(find_by_name("rdbg-find-me"), [pid]);
        assert_eq!(find_by_name(path.to_str().unwrap()), [pid]);
        let row = list_processes().unwrap().into_iter().find(|row| row.pid == pid).unwrap();
        assert_eq!(row.exe.as_deref(), Some(path.as_path()));
        assert_eq!(row.parent, Pid(std::process::id() as i32));
        assert!(!row.kernel_thread);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(find_by_name("rdbg-find-me").is_empty());
        let own = std::env::current_exe().unwrap();
        assert!(!find_by_name(own.to_str().unwrap()).contains(&Pid(std::process::id() as i32)));
    }
}
