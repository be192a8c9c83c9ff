//! /proc/TID/status and /proc/TID/stat.

use crate::base::{Pid, Signal, Tid};

/// What rdbg uses of /proc/TID/status. A field that the kernel does not print stays at its default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Name: comm, with the kernel's escapes for newline and backslash.
    pub name: String,
    /// State: R, S, D, T (stopped), t (traced), Z (zombie), X (dead), I (idle kernel thread).
    pub state: char,
    /// Tgid, in rdbg's pid namespace.
    pub tgid: Pid,
    /// PPid; 0 for none that rdbg can see.
    pub parent: Pid,
    /// TracerPid, if a task that rdbg can see traces it: the number of the tracing *thread*, despite its name.
    pub tracer: Option<Tid>,
    /// Uid: real, effective, saved, file system.
    pub uids: [u32; 4],
    /// NSpid: the pid in each nested namespace, outermost first.
    pub ns_pids: Vec<i32>,
    /// CapEff.
    pub effective_caps: u64,
    /// CapPrm.
    pub permitted_caps: u64,
    /// SigCgt: bit n-1 for signal n.
    pub caught: u64,
    /// SigBlk.
    pub blocked: u64,
    /// SigPnd: signals that wait for the task itself.
    pub pending: u64,
    /// ShdPnd: signals that wait for any task of the group.
    pub group_pending: u64,
    /// SigIgn.
    pub ignored: u64,
    /// Seccomp: 0 none, 1 strict, 2 filter.
    pub seccomp: u32,
    /// Seccomp_filters: how many there are (since Linux 5.9).
    pub seccomp_filters: Option<u32>,
    /// VmSize is printed: the task has user memory. Kernel threads and zombies have none.
    pub has_memory: bool,
    /// Kthread: 1 (since Linux 6.9).
    pub kernel_thread: bool,
}

impl Default for Status {
    fn default() -> Status {
        Status {
            name: String::new(),
            state: '?',
            tgid: Pid(0),
            parent: Pid(0),
            tracer: None,
            uids: [0; 4],
            ns_pids: Vec::new(),
            effective_caps: 0,
            permitted_caps: 0,
            caught: 0,
            blocked: 0,
            pending: 0,
            group_pending: 0,
            ignored: 0,
            seccomp: 0,
            seccomp_filters: None,
            has_memory: false,
            kernel_thread: false,
        }
    }
}

impl Status {
    /// Whether the task has a handler for `signal`.
    pub fn catches(&self, signal: Signal) -> bool {
        (1..=64).contains(&signal.0) && self.caught >> (signal.0 - 1) & 1 == 1
    }
}

/// Decodes /proc/TID/status.
pub fn parse_status(text: &str) -> Status {
    let mut status = Status::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let number = || value.parse::<i32>().unwrap_or(0);
        let hex = || u64::from_str_radix(value, 16).unwrap_or(0);
        match key {
            "Name" => status.name = value.to_owned(),
            "State" => status.state = value.chars().next().unwrap_or('?'),
            "Tgid" => status.tgid = Pid(number()),
            "PPid" => status.parent = Pid(number()),
            "TracerPid" => status.tracer = Some(Tid(number())).filter(|tid| tid.0 != 0),
            "Uid" => {
                let uids = value.split_whitespace().filter_map(|field| field.parse().ok());
                status.uids.iter_mut().zip(uids).for_each(|(slot, uid)| *slot = uid);
            }
            "NSpid" => status.ns_pids = value.split_whitespace().filter_map(|field| field.parse().ok()).collect(),
            "CapEff" => status.effective_caps = hex(),
            "CapPrm" => status.permitted_caps = hex(),
            "SigCgt" => status.caught = hex(),
            "SigBlk" => status.blocked = hex(),
            "SigPnd" => status.pending = hex(),
            "ShdPnd" => status.group_pending = hex(),
            "SigIgn" => status.ignored = hex(),
            "Seccomp" => status.seccomp = number() as u32,
            "Seccomp_filters" => status.seccomp_filters = value.parse().ok(),
            "VmSize" => status.has_memory = true,
            "Kthread" => status.kernel_thread = value == "1",
            _ => {}
        }
    }
    status
}

/// What rdbg uses of /proc/TID/stat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// The task.
    pub tid: Tid,
    /// comm, as it is: it may hold spaces and parentheses.
    pub comm: String,
    /// As in [`Status::state`].
    pub state: char,
    /// The parent's group.
    pub parent: Pid,
    /// Its process group.
    pub group: i32,
    /// Its controlling terminal; 0: none.
    pub terminal: i32,
    /// When it started, in clock ticks since boot: tells a reused pid from the old one.
    pub start_time: u64,
    /// PF_KTHREAD of the flags.
    pub kernel_thread: bool,
    /// The CPU it ran on last.
    pub cpu: u32,
}

/// PF_KTHREAD of <linux/sched.h>.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Decodes /proc/TID/stat. `None` for a text that is cut short.
pub fn parse_stat(text: &str) -> Option<Stat> {
    // comm may hold anything but NUL, so that it ends at the *last* parenthesis.
    let (head, tail) = text.rsplit_once(')')?;
    let (tid, comm) = head.split_once('(')?;
    // The first of these fields is number 3 of proc(5).
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        tid: Tid(tid.trim().parse().ok()?),
        comm: comm.to_owned(),
        state: field(3)?.chars().next()?,
        parent: Pid(field(4)?.parse().ok()?),
        group: field(5)?.parse().ok()?,
        terminal: field(7)?.parse().ok()?,
        start_time: field(22)?.parse().ok()?,
        kernel_thread: field(9)?.parse::<u64>().ok()? & PF_KTHREAD != 0,
        cpu: field(39)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tenvoy\nUmask:\t0022\nState:\tt (tracing stop)\nTgid:\t4242\nNgid:\t0\nPid:\t4250\n\
        PPid:\t7\nTracerPid:\t99\nUid:\t1337\t1337\t0\t1337\nNSpid:\t4242\t17\t1\nVmSize:\t  100 kB\nKthread:\t0\n\
        SigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t00000001000046eb\nCapPrm:\t0000000000080000\n\
        CapEff:\t000001ffffffffff\nSeccomp:\t2\n";

    #[test]
    fn status_of_a_traced_container_process() {
        let status = parse_status(STATUS);
        assert_eq!((status.state, status.tgid, status.parent), ('t', Pid(4242), Pid(7)));
        assert_eq!(status.tracer, Some(Tid(99)));
        assert_eq!(status.uids, [1337, 1337, 0, 1337]);
        assert_eq!(status.ns_pids, [4242, 17, 1]);
        assert_eq!(status.effective_caps, 0x1ff_ffff_ffff);
        assert_eq!(status.permitted_caps, 1 << 19);
        assert_eq!(status.seccomp, 2);
        assert!(status.has_memory && !status.kernel_thread);
        assert!(status.catches(Signal::SEGV) && !status.catches(Signal::TRAP));
    }

    #[test]
    fn untraced_and_truncated_status() {
        assert_eq!(parse_status("TracerPid:\t0\n").tracer, None);
        assert_eq!(parse_status("Na").state, '?');
    }

    #[test]
    fn a_comm_with_parentheses() {
        let text = "12 (a) R (b) S 3 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8931 100 200 \
                    18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.tid, stat.comm.as_str(), stat.state), (Tid(12), "a) R (b", 'S'));
        assert_eq!((stat.parent, stat.start_time, stat.cpu), (Pid(3), 8931, 1));
        assert!(!stat.kernel_thread);
        assert_eq!(parse_stat("12 (a) S 3"), None);
    }
}
