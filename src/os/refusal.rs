//! Why an attach was refused, in words that say what to do (ptrace(2), "Ptrace access mode checking").

use crate::base::{InferiorError, Pid, Tid};

use super::error::errno_text;
use super::proc::{self, Status};

/// CAP_SYS_PTRACE of <linux/capability.h>.
const CAP_SYS_PTRACE: u32 = 19;

/// The error of a PTRACE_SEIZE that failed with `errno`.
pub fn explain_seize(tid: Tid, errno: i32) -> InferiorError {
    let Ok(target) = proc::read_status(tid) else { return InferiorError::Gone(tid) };
    let tracer = target.tracer.map(proc::group_of);
    // A zombie is gone to a debugger, whatever errno says of it (EPERM).
    if errno == libc::ESRCH && !matches!(target.state, 'Z' | 'X') {
        return InferiorError::Gone(tid);
    }
    let own = proc::read_status(Tid(std::process::id() as i32)).unwrap_or_default();
    let facts = Facts {
        errno,
        own_pid: Pid(std::process::id() as i32),
        tracer_name: tracer.and_then(|pid| proc::read_comm(pid, pid.leader()).ok()),
        yama: read_yama(),
        // Readable without CAP_SYS_PTRACE for a process of the same user only when it is dumpable: the file's owner.
        owned_by_root: proc_owner(tid) == Some(0),
        // Of a process that may not be looked at it cannot be read.
        same_user_namespace: user_namespace(&tid.to_string()).is_none_or(|one| Some(one) == user_namespace("self")),
        own,
        target,
        tracer,
    };
    InferiorError::Refused { tid, reason: facts.reason() }
}

/// What the reason is made of, so that it can be tested without the processes.
struct Facts {
    errno: i32,
    own_pid: Pid,
    own: Status,
    target: Status,
    tracer: Option<Pid>,
    tracer_name: Option<String>,
    yama: Option<u32>,
    owned_by_root: bool,
    same_user_namespace: bool,
}

impl Facts {
    fn reason(&self) -> String {
        let target = &self.target;
        if matches!(target.state, 'Z' | 'X') {
            return "it has exited and waits only for its parent to collect its status (a zombie)".to_owned();
        }
        if target.kernel_thread || (!target.has_memory && target.tgid != Pid(0)) {
            return "it is a kernel thread; there is no program in it to debug".to_owned();
        }
        if let Some(tracer) = self.tracer {
            return self.traced_by(tracer);
        }
        if target.tgid == self.own_pid {
            return "it is rdbg itself".to_owned();
        }
        if self.errno != libc::EPERM && self.errno != libc::EACCES {
            return errno_text(self.errno);
        }
        let privileged = self.own.effective_caps >> CAP_SYS_PTRACE & 1 == 1;
        if privileged {
            return self.refused_although_privileged();
        }
        self.refused_without_capability()
    }

    fn traced_by(&self, tracer: Pid) -> String {
        if tracer == self.own_pid {
            return "this rdbg traces it already".to_owned();
        }
        let name = self.tracer_name.as_deref().unwrap_or("a process that cannot be seen");
        format!(
            "process {tracer} ({name}) traces it already, and a process has one tracer; end that one or detach there"
        )
    }

    fn refused_although_privileged(&self) -> String {
        if self.own.seccomp != 0 {
            return format!(
                "a seccomp filter of rdbg's own container refuses ptrace (Seccomp: {}); start the container with \
                 --security-opt seccomp=unconfined, or use `kubectl debug --profile=sysadmin`",
                self.own.seccomp
            );
        }
        if !self.same_user_namespace {
            return "it lives in another user namespace, where rdbg's CAP_SYS_PTRACE does not count; run rdbg as root of \
                    the host"
                .to_owned();
        }
        match self.yama {
            Some(3) => yama_reason(3),
            _ => "a security module (AppArmor, SELinux) refuses although rdbg has CAP_SYS_PTRACE; look at `dmesg` or the \
                  audit log"
                .to_owned(),
        }
    }

    fn refused_without_capability(&self) -> String {
        const RAISE: &str =
            "run rdbg with sudo; in a container give it CAP_SYS_PTRACE (docker run --cap-add SYS_PTRACE, \
                             kubectl debug --profile=general or sysadmin)";
        if self.yama == Some(3) {
            return yama_reason(3);
        }
        let own_uid = self.own.uids[1];
        let uids = self.target.uids;
        if uids[..3].iter().any(|uid| *uid != own_uid) {
            return format!(
                "it belongs to user {} (real {}, saved {}), rdbg runs as user {own_uid} and lacks CAP_SYS_PTRACE; {RAISE}",
                uids[1], uids[0], uids[2]
            );
        }
        if self.target.permitted_caps & !self.own.permitted_caps != 0 {
            return format!(
                "it has capabilities that rdbg lacks (CapPrm {:#x} against {:#x}); {RAISE}",
                self.target.permitted_caps, self.own.permitted_caps
            );
        }
        if self.owned_by_root && own_uid != 0 {
            return format!(
                "it is not dumpable: it was set-uid, or its file cannot be read, or it called \
                 prctl(PR_SET_DUMPABLE, 0); {RAISE}"
            );
        }
        match self.yama {
            Some(scope @ 1..) => yama_reason(scope),
            _ if self.own.seccomp != 0 => format!(
                "a seccomp filter of rdbg's own container may refuse ptrace (Seccomp: {}); start the container with \
                 --security-opt seccomp=unconfined",
                self.own.seccomp
            ),
            _ if !self.same_user_namespace => format!("it lives in another user namespace; {RAISE}"),
            _ => format!("the kernel refused ({}), and rdbg lacks CAP_SYS_PTRACE; {RAISE}", errno_text(self.errno)),
        }
    }
}

/// What Yama's setting means (Documentation/admin-guide/LSM/Yama.rst).
fn yama_reason(scope: u32) -> String {
    let (rule, cure) = match scope {
        1 => (
            "only descendants may be traced",
            "sudo sysctl kernel.yama.ptrace_scope=0, or run rdbg with sudo, or start the program with `rdbg run`",
        ),
        2 => ("only CAP_SYS_PTRACE may trace", "run rdbg with sudo (--cap-add SYS_PTRACE in a container)"),
        _ => ("nobody may trace, and that holds until the next boot", "remove the setting and reboot"),
    };
    format!("Yama forbids it, kernel.yama.ptrace_scope is {scope}: {rule}; {cure}")
}

fn read_yama() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?.trim().parse().ok()
}

/// The owner of /proc/TID/status: root when the process is not dumpable. The directory itself keeps its owner
/// (fs/proc/base.c, task_dump_owner).
fn proc_owner(tid: Tid) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(format!("/proc/{tid}/status")).ok().map(|file| file.uid())
}

fn user_namespace(who: &str) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{who}/ns/user")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Facts {
        let target = Status { tgid: Pid(50), uids: [1000; 4], state: 'S', has_memory: true, ..Status::default() };
        let own = Status { uids: [1000; 4], ..Status::default() };
        Facts {
            errno: libc::EPERM,
            own_pid: Pid(9),
            own,
            target,
            tracer: None,
            tracer_name: None,
            yama: None,
            owned_by_root: false,
            same_user_namespace: true,
        }
    }

    #[test]
    fn each_rule_is_named() {
        let mut traced = plain();
        traced.tracer = Some(Pid(77));
        traced.tracer_name = Some("gdb".to_owned());
        assert!(traced.reason().contains("process 77 (gdb)"));
        let mut zombie = plain();
        zombie.target.state = 'Z';
        assert!(zombie.reason().contains("zombie"));
        let mut kernel = plain();
        kernel.target.has_memory = false;
        assert!(kernel.reason().contains("kernel thread"));
        let mut other = plain();
        other.target.uids = [0; 4];
        assert!(other.reason().contains("user 0") && other.reason().contains("--cap-add SYS_PTRACE"));
        let mut not_dumpable = plain();
        not_dumpable.owned_by_root = true;
        assert!(not_dumpable.reason().contains("not dumpable"));
        let mut yama = plain();
        yama.yama = Some(1);
        assert!(yama.reason().contains("kernel.yama.ptrace_scope=0"));
        let mut seccomp = plain();
        seccomp.own.effective_caps = 1 << CAP_SYS_PTRACE;
        seccomp.own.seccomp = 2;
        assert!(seccomp.reason().contains("seccomp"));
        let mut itself = plain();
        itself.target.tgid = Pid(9);
        assert!(itself.reason().contains("rdbg itself"));
    }
}
