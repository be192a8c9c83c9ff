//! A system call as text: by libc's signature where the kernel takes the same parameters, else by the kernel's own
//! declaration.

use super::errno::{errno_name, error_of};
use super::signature::{Kind, Signature};
use super::table::find_kernel_signature;
use super::{decode, find_signature, kernel_call, pointer, CallMemory, KernelCall};
use crate::target::value::{Certainty, DecodedArgument, DecodedCall};

/// Calls whose parameters are those of a function of libc with another name.
const SAME_AS: [(&str, &str); 10] = [
    ("exit_group", "_exit"),
    ("pread64", "pread"),
    ("pwrite64", "pwrite"),
    ("newfstatat", "fstatat"),
    ("sendfile64", "sendfile"),
    ("rt_sigaction", "sigaction"),
    ("rt_sigprocmask", "sigprocmask"),
    ("eventfd2", "eventfd"),
    ("pselect6", "pselect"),
    ("prlimit64", "prlimit"),
];
/// Calls whose parameters are not those of the function of libc with their name.
const NOT_AS: [&str; 2] = ["signalfd", "signalfd4"];
/// Calls that return an address.
const RETURN_ADDRESS: [u64; 4] = [9, 12, 25, 30];
/// Parameters by which the kernel is given a NUL-terminated text.
const TEXTS: [&str; 18] = [
    "filename",
    "pathname",
    "path",
    "name",
    "oldname",
    "newname",
    "uname",
    "dev_name",
    "dir_name",
    "type",
    "new_root",
    "put_old",
    "specialfile",
    "from_pathname",
    "to_pathname",
    "_fs_name",
    "_key",
    "library",
];

/// The name of a call as programs have it; its number where it has none.
pub fn call_name(number: u64) -> String {
    kernel_call(number).map_or_else(|| format!("syscall_{number}"), |call| program_name(&call).to_owned())
}

/// `newstat` is stat(2) to everyone else.
fn program_name(call: &KernelCall) -> &'static str {
    match call.name {
        "newfstatat" => "newfstatat",
        "sendfile64" => "sendfile",
        "umount" => "umount2",
        name => name.strip_prefix("new").unwrap_or(name),
    }
}

/// A call with its arguments, as they are when it is about to be made.
pub fn decode_call(number: u64, arguments: &[u64; 6], memory: &CallMemory<'_>) -> DecodedCall {
    let call = kernel_call(number);
    let arguments = match &call {
        Some(call) => declared(call, arguments, memory),
        None => {
            let hex = |value: &u64| argument(None, format!("{value:#x}"));
            arguments.iter().map(hex).collect()
        }
    };
    DecodedCall { function: call_name(number), arguments }
}

fn argument(name: Option<&str>, text: String) -> DecodedArgument {
    DecodedArgument { name: name.map(str::to_owned), text, certainty: Certainty::Certain }
}

fn declared(call: &KernelCall, values: &[u64; 6], memory: &CallMemory<'_>) -> Vec<DecodedArgument> {
    let declarations: Vec<&str> = call.parameters.split(", ").filter(|one| !one.is_empty()).collect();
    if let Some(signature) = signature_of(call) {
        let parameters = signature.parameters.iter().take(declarations.len()).enumerate();
        let of = |(index, one): (usize, &super::Parameter)| {
            argument(Some(one.name), decode(one.kind, index, values, memory))
        };
        return parameters.map(of).collect();
    }
    let of = |(index, declaration): (usize, &&str)| {
        let (ty, name) = declaration.rsplit_once([' ', '*']).unwrap_or(("", declaration));
        let is_pointer = declaration.contains('*');
        let text = match kind_of(ty, name, is_pointer) {
            Some(kind) => decode(kind, index, values, memory),
            None if is_pointer => pointer(values[index]),
            None => format!("{:#x}", values[index]),
        };
        argument(Some(name), text)
    };
    declarations.iter().take(values.len()).enumerate().map(of).collect()
}

fn signature_of(call: &KernelCall) -> Option<&'static Signature> {
    let name = program_name(call);
    if let Some(own) = find_kernel_signature(name) {
        return Some(own);
    }
    let alias = SAME_AS.iter().find(|(own, _)| *own == call.name).map(|(_, alias)| *alias);
    find_signature(alias.unwrap_or(name)).filter(|_| !NOT_AS.contains(&name))
}

/// What a parameter of the kernel holds; `None`: bits or an address, of which no more is known.
fn kind_of(ty: &str, name: &str, is_pointer: bool) -> Option<Kind> {
    Some(match (ty.trim_end_matches(['*', ' ']), name) {
        ("char", "argv") => Kind::Texts,
        ("char", name) if TEXTS.contains(&name) => Kind::Text,
        _ if is_pointer => return None,
        (_, "sig") => Kind::Signal,
        (_, "dfd" | "olddfd" | "newdfd") => Kind::DirFd,
        (_, "flags") => return None,
        (_, "fd" | "fildes" | "oldfd" | "newfd" | "max_fd") => Kind::Int,
        ("int" | "pid_t" | "key_t" | "clockid_t" | "timer_t", _) => Kind::Int,
        ("unsigned int" | "unsigned" | "u32" | "uid_t" | "gid_t" | "qid_t", _) => Kind::Uint,
        ("size_t", _) => Kind::Size,
        ("umode_t", _) => Kind::Mode,
        ("long" | "loff_t" | "off_t", _) => Kind::Long,
        _ => return None,
    })
}

/// What a call returned: `3`, `0x7f..`, `-1 ENOENT`.
pub fn result_text(number: u64, returned: u64) -> String {
    match error_of(returned) {
        Some(error) => match errno_name(error) {
            Some(name) => format!("-1 {name}"),
            None => format!("-1 (errno {error})"),
        },
        None if RETURN_ADDRESS.contains(&number) => format!("{returned:#x}"),
        None => (returned as i64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::VirtAddr;
    use crate::target::fake_memory::FakeMemory;
    use crate::target::syscalls::kernel_calls;

    fn call(number: u64, values: &[u64], mem: &FakeMemory) -> String {
        let mut arguments = [0; 6];
        arguments[..values.len()].copy_from_slice(values);
        let memory = CallMemory { mem, function_name: &|_: VirtAddr| None };
        let call = decode_call(number, &arguments, &memory);
        let one = |one: &DecodedArgument| match &one.name {
            Some(name) => format!("{name}={}", one.text),
            None => one.text.clone(),
        };
        format!("{}({})", call.function, call.arguments.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn calls_are_shown_as_libc_or_the_kernel_declares_them() {
        let mem = FakeMemory::default()
            .with(0x7000, b"/etc/hosts\0")
            .with(0x8000, &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let bind = call(49, &[3, 0x8000, 16], &mem);
        assert!(bind.starts_with("bind(fd=3, addr={sa_family=AF_INET, "), "{bind}");
        assert_eq!(call(4, &[0x7000, 0x10], &mem), r#"stat(pathname="/etc/hosts", statbuf=0x10)"#);
        assert_eq!(call(231, &[7], &mem), "exit_group(status=7)");
        // The kernel's faccessat has no flags; libc's has.
        assert_eq!(call(269, &[(-100i64) as u64, 0x7000, 0, 99], &mem).matches(", ").count(), 2);
        assert_eq!(call(161, &[0x7000], &mem), r#"chroot(filename="/etc/hosts")"#);
        assert_eq!(call(425, &[8, 0x20], &mem), "io_uring_setup(entries=8, params=0x20)");
        assert_eq!(
            call(56, &[0x11, 0, 0, 0, 0], &mem),
            "clone(flags=SIGCHLD, newsp=NULL, parent_tid=NULL, child_tid=NULL, tls=NULL)"
        );
        assert_eq!(
            call(61, &[u64::MAX, 0, 0x4000_0001, 0], &mem),
            "wait4(pid=-1, wstatus=NULL, options=WNOHANG|__WALL, rusage=NULL)"
        );
        assert_eq!(call(39, &[1, 2], &mem), "getpid()");
        assert_eq!(call(4000, &[1], &mem), "syscall_4000(0x1, 0x0, 0x0, 0x0, 0x0, 0x0)");
    }

    #[test]
    fn threads_and_their_locks_read_as_strace_shows_them() {
        let mem = FakeMemory::default()
            .with_words(0x7000, &[0x3d0f00, 0, 0x10, 0x20, 0, 0x3000, 0x8000, 0x40])
            .with_words(0x8000, &[3, 500]);
        assert_eq!(
            call(435, &[0x7000, 88], &mem),
            "clone3(cl_args={flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|\
             CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, child_tid=0x10, parent_tid=0x20, exit_signal=0, stack=0x3000, \
             stack_size=32768, tls=0x40}, size=88)"
        );
        assert_eq!(
            call(202, &[0x9000, 0x80, 2, 0x8000, 0, 0], &mem),
            "futex(uaddr=0x9000, futex_op=FUTEX_WAIT|FUTEX_PRIVATE_FLAG, val=2, timeout={tv_sec=3, tv_nsec=500}, \
             uaddr2=NULL, val3=0)"
        );
        assert!(call(202, &[0x9000, 0x81, 1, 0x8000, 0, 0], &mem)
            .contains("FUTEX_WAKE|FUTEX_PRIVATE_FLAG, val=1, timeout=-,"));
        assert!(call(202, &[0x9000, 3, 1, 7, 0, 0], &mem).contains("FUTEX_REQUEUE, val=1, timeout=7,"));
    }

    #[test]
    fn every_call_is_decoded_from_any_registers() {
        let mem = FakeMemory::default();
        for one in kernel_calls() {
            for value in [0, 1, u64::MAX, 0x7fff_0000_0000] {
                let text = call(one.number.into(), &[value; 6], &mem);
                let declared = one.parameters.split(", ").filter(|one| !one.is_empty()).count();
                assert!(text.matches('=').count() <= declared + text.matches("{").count() * 8, "{text}");
            }
        }
    }

    #[test]
    fn results_are_numbers_addresses_or_errors() {
        assert_eq!(result_text(49, (-98i64) as u64), "-1 EADDRINUSE");
        assert_eq!(result_text(49, 0), "0");
        assert_eq!(result_text(9, 0x7f00_0000_0000), "0x7f0000000000");
        assert_eq!(result_text(9, (-12i64) as u64), "-1 ENOMEM");
        assert_eq!(result_text(0, (-600i64) as u64), "-1 (errno 600)");
    }
}
