//! Which system calls a user means: by name, by number, or by what they are for (the groups of strace and gdb).

use super::{find_kernel_call, kernel_calls, KernelCall};

/// A set of calls by number; `None`: all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CallSet {
    /// In ascending order; `None`: every call.
    numbers: Option<Vec<u64>>,
}

/// The groups.
pub const GROUPS: [&str; 7] = ["descriptor", "file", "ipc", "memory", "network", "process", "signal"];
/// The largest number that may be given for a call that rdbg knows no name of.
const LARGEST: u64 = 4095;

impl CallSet {
    /// The calls that these words mean: `bind`, `49`, `group:network` or `g:network`. None of them: every call. The error
    /// is the word that means none.
    pub fn parse(words: &[String]) -> Result<CallSet, String> {
        let mut numbers = Vec::new();
        for word in words {
            let group = word.strip_prefix("group:").or_else(|| word.strip_prefix("g:"));
            if let Some(group) = group {
                let before = numbers.len();
                numbers.extend(kernel_calls().filter(|call| is_in(group, call)).map(|call| u64::from(call.number)));
                if numbers.len() == before {
                    return Err(word.clone());
                }
                continue;
            }
            let number = word.parse().ok().filter(|number| *number <= LARGEST);
            let number = number.or_else(|| Some(find_kernel_call(word)?.number.into()));
            numbers.push(number.ok_or_else(|| word.clone())?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(CallSet { numbers: (!words.is_empty()).then_some(numbers) })
    }

    /// Whether it has that call.
    pub fn contains(&self, number: u64) -> bool {
        self.numbers.as_ref().is_none_or(|numbers| numbers.binary_search(&number).is_ok())
    }
}

/// Calls whose names are close to a word, the nearest first.
pub fn similar_calls(word: &str, most: usize) -> Vec<&'static str> {
    let mut near: Vec<(usize, &str)> = kernel_calls()
        .map(|call| call.name)
        .filter(|name| name.contains(word) || shared_prefix(name, word) * 2 > word.len().max(4))
        .map(|name| (name.len().abs_diff(word.len()) + word.len() - shared_prefix(name, word), name))
        .collect();
    near.sort_unstable();
    near.into_iter().take(most).map(|(_, name)| name).collect()
}

fn shared_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

fn is_in(group: &str, call: &KernelCall) -> bool {
    let parameters = || call.parameters.split(", ");
    match group {
        "descriptor" | "desc" => {
            let makes_one = ["socket", "open", "openat", "openat2", "creat", "pipe", "pipe2", "memfd_create"];
            let is_fd = |one: &str| {
                let name = one.rsplit([' ', '*']).next().unwrap_or_default();
                !one.contains('*') && (name.ends_with("fd") || name == "fildes" || name.starts_with("fd_"))
            };
            parameters().any(is_fd) || makes_one.contains(&call.name) || DESCRIPTORS.contains(&call.name)
        }
        "file" => parameters().any(|one| {
            let path = one.strip_prefix("char *").unwrap_or_default();
            ["filename", "pathname", "path", "oldname", "newname", "new_root", "put_old", "specialfile", "dir_name"]
                .contains(&path)
        }),
        "ipc" => IPC.contains(&call.name),
        "memory" => MEMORY.contains(&call.name),
        "network" => NETWORK.contains(&call.name),
        "process" => PROCESS.contains(&call.name),
        "signal" => SIGNAL.contains(&call.name),
        _ => false,
    }
}

const DESCRIPTORS: &[&str] = &[
    "epoll_create",
    "epoll_create1",
    "eventfd",
    "eventfd2",
    "inotify_init",
    "inotify_init1",
    "timerfd_create",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "pidfd_open",
    "io_uring_setup",
    "userfaultfd",
    "perf_event_open",
    "accept",
    "accept4",
];
const IPC: &[&str] = &[
    "shmget",
    "shmat",
    "shmctl",
    "shmdt",
    "semget",
    "semop",
    "semctl",
    "semtimedop",
    "msgget",
    "msgsnd",
    "msgrcv",
    "msgctl",
];
const MEMORY: &[&str] = &[
    "brk",
    "mmap",
    "mprotect",
    "munmap",
    "mremap",
    "msync",
    "mincore",
    "madvise",
    "mlock",
    "mlock2",
    "munlock",
    "mlockall",
    "munlockall",
    "shmat",
    "shmdt",
    "remap_file_pages",
    "mbind",
    "set_mempolicy",
    "get_mempolicy",
    "migrate_pages",
    "move_pages",
    "pkey_mprotect",
    "process_madvise",
    "map_shadow_stack",
    "mseal",
    "set_mempolicy_home_node",
];
const NETWORK: &[&str] = &[
    "socket",
    "socketpair",
    "bind",
    "listen",
    "accept",
    "accept4",
    "connect",
    "getsockname",
    "getpeername",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "setsockopt",
    "getsockopt",
    "shutdown",
    "sendfile64",
];
const PROCESS: &[&str] = &[
    "clone",
    "clone3",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_send_signal",
    "unshare",
];
const SIGNAL: &[&str] = &[
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "rt_sigsuspend",
    "rt_tgsigqueueinfo",
    "sigaltstack",
    "kill",
    "tkill",
    "tgkill",
    "pause",
    "signalfd",
    "signalfd4",
    "pidfd_send_signal",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> Result<CallSet, String> {
        CallSet::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_mean_calls() {
        let numbers = |words: &[&str]| set(words).unwrap().numbers.unwrap();
        assert_eq!(numbers(&["listen", "bind", "49"]), [49, 50]);
        assert_eq!(numbers(&["stat"]), [4]);
        assert_eq!(numbers(&["999"]), [999]);
        let network = numbers(&["group:network"]);
        assert!(network.contains(&49) && network.contains(&288) && !network.contains(&0));
        assert_eq!(network, numbers(&["g:network"]));
        assert_eq!(network.len(), NETWORK.len());
        let descriptors = numbers(&["group:descriptor"]);
        assert!([0, 1, 3, 49, 232, 257, 290].iter().all(|number| descriptors.contains(number)), "{descriptors:?}");
        assert!(!descriptors.contains(&39) && !descriptors.contains(&87));
        assert!(numbers(&["group:file"]).contains(&257));
    }

    #[test]
    fn what_means_none_is_said_and_nothing_means_all() {
        assert_eq!(set(&["bind", "nonsense"]), Err("nonsense".into()));
        assert_eq!(set(&["group:nonsense"]), Err("group:nonsense".into()));
        assert_eq!(set(&["99999"]), Err("99999".into()));
        let all = set(&[]).unwrap();
        assert!(all.contains(0) && all.contains(4000));
        assert!(similar_calls("accept3", 3).contains(&"accept4"));
        assert!(similar_calls("openat3", 3).contains(&"openat2"));
    }

    #[test]
    fn groups_name_calls_that_exist() {
        for list in [DESCRIPTORS, IPC, MEMORY, NETWORK, PROCESS, SIGNAL] {
            for name in list {
                assert!(kernel_calls().any(|call| call.name == *name), "{name}");
            }
        }
        for group in GROUPS {
            assert!(set(&[&format!("group:{group}")]).is_ok(), "{group}");
        }
    }
}
