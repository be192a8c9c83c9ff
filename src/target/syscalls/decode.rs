//! One argument of a C function as text.

use super::constant::{any_of, one_of};
use super::signature::Kind;
use super::structure::{self, Buffers};
use super::{constant, option, sockaddr};
use crate::base::{ReadMem, VirtAddr};

/// What the rendering of an argument may look at.
pub struct CallMemory<'a> {
    /// The process's memory.
    pub mem: &'a dyn ReadMem,
    /// The name of the function at an address.
    pub function_name: &'a dyn Fn(VirtAddr) -> Option<String>,
}

/// The argument at `index` of `values` as text. `values` are the call's arguments, whole registers.
pub fn decode(kind: Kind, index: usize, values: &[u64], memory: &CallMemory<'_>) -> String {
    let value = values.get(index).copied().unwrap_or_default();
    number(kind, value, values).or_else(|| pointee(kind, value, values, memory)).unwrap_or_else(|| pointer(value))
}

/// A pointer's value.
pub fn pointer(value: u64) -> String {
    if value == 0 {
        "NULL".to_owned()
    } else {
        format!("{value:#x}")
    }
}

fn other(values: &[u64], index: u8) -> u64 {
    values.get(usize::from(index)).copied().unwrap_or_default()
}

/// The lower half: what the callee sees of an `int`, whatever the caller left above it.
fn low(value: u64) -> u64 {
    value & 0xffff_ffff
}

fn number(kind: Kind, value: u64, values: &[u64]) -> Option<String> {
    let text = match kind {
        Kind::Int => (value as i32).to_string(),
        Kind::Uint => (value as u32).to_string(),
        Kind::Long => (value as i64).to_string(),
        Kind::Size => value.to_string(),
        Kind::Mode => octal(value),
        Kind::DirFd if value as i32 == -100 => "AT_FDCWD".to_owned(),
        Kind::DirFd => (value as i32).to_string(),
        Kind::OneOf(names) => signed_one_of(value, names),
        Kind::AnyOf(names) => any_of(low(value), names),
        Kind::OpenFlags => open_flags(value),
        Kind::CreateMode(flags) if has_mode(other(values, flags)) => octal(value),
        Kind::CreateMode(_) => "-".to_owned(),
        Kind::SocketType => socket_type(value),
        Kind::Protocol(domain) => protocol(low(other(values, domain)), value),
        Kind::OptionName(level) => option::option_name(low(other(values, level)), low(value)),
        Kind::Signal => signed_one_of(value, constant::SIGNALS),
        Kind::CloneFlags => clone_flags(value),
        Kind::FutexOp => futex_op(value),
        Kind::FutexTimeout(op) => return futex_number(other(values, op), value),
        Kind::FcntlArgument(command) => fcntl_argument(low(other(values, command)), value),
        _ => return None,
    };
    Some(text)
}

fn pointee(kind: Kind, value: u64, values: &[u64], memory: &CallMemory<'_>) -> Option<String> {
    if value == 0 {
        return None;
    }
    let (mem, at) = (memory.mem, VirtAddr(value));
    match kind {
        Kind::Function => (memory.function_name)(at).map(|name| format!("{value:#x} <{name}>")),
        Kind::Text => structure::c_text(mem, at),
        Kind::Bytes(length) => structure::buffer(mem, at, other(values, length)),
        Kind::Texts => structure::texts(mem, at),
        Kind::OptionValue(length) => option::option_value(mem, at, low(other(values, length))),
        Kind::Sockaddr(length) => sockaddr::sockaddr(mem, at, low(other(values, length))),
        Kind::LengthAt => {
            let mut word = [0; 4];
            mem.read_exact(at, &mut word).ok()?;
            Some(format!("[{}]", u32::from_le_bytes(word)))
        }
        Kind::EpollEvent => structure::epoll_event(mem, at),
        Kind::Iovecs(count) => structure::iovecs(mem, at, low(other(values, count)), Buffers::Filled),
        Kind::EmptyIovecs(count) => structure::iovecs(mem, at, low(other(values, count)), Buffers::Empty),
        Kind::Message => structure::message(mem, at),
        Kind::PollFds(count) => structure::poll_fds(mem, at, other(values, count)),
        Kind::CloneArgs => structure::clone_args(mem, at),
        Kind::Timespec | Kind::FutexTimeout(_) => structure::time(mem, at, "tv_nsec"),
        Kind::Timeval => structure::time(mem, at, "tv_usec"),
        Kind::TimerSpec => structure::timer(mem, at),
        Kind::PrctlArgument(option) if low(other(values, option)) == PR_SET_NAME => structure::c_text(mem, at),
        _ => None,
    }
}

/// prctl(2).
const PR_SET_NAME: u64 = 15;

fn octal(value: u64) -> String {
    format!("0{:o}", low(value))
}

fn signed_one_of(value: u64, names: super::signature::Names) -> String {
    if (value as i32) < 0 {
        return (value as i32).to_string();
    }
    one_of(low(value), names)
}

fn open_flags(value: u64) -> String {
    let (mode, flags) = (low(value) & 3, low(value) & !3);
    let mode = one_of(mode, constant::ACCESS_MODES);
    if flags == 0 {
        mode
    } else {
        format!("{mode}|{}", any_of(flags, constant::OPEN_FLAGS))
    }
}

fn has_mode(flags: u64) -> bool {
    flags & 0x40 != 0 || flags & 0x41_0000 == 0x41_0000
}

fn socket_type(value: u64) -> String {
    let (kind, flags) = (low(value) & 0xf, low(value) & !0xf);
    let kind = one_of(kind, constant::SOCKET_TYPES);
    if flags == 0 {
        kind
    } else {
        format!("{kind}|{}", any_of(flags, constant::SOCKET_FLAGS))
    }
}

/// The signal of the end is where strace puts it: behind the flags.
fn clone_flags(value: u64) -> String {
    let (flags, signal) = (low(value) & !0xff, low(value) & 0xff);
    match (flags, signal) {
        (_, 0) => any_of(flags, constant::CLONE_FLAGS),
        (0, signal) => one_of(signal, constant::SIGNALS),
        _ => format!("{}|{}", any_of(flags, constant::CLONE_FLAGS), one_of(signal, constant::SIGNALS)),
    }
}

fn futex_op(value: u64) -> String {
    let (op, flags) = (low(value) & 0x7f, low(value) & !0x7f);
    let op = one_of(op, constant::FUTEX_OPS);
    if flags == 0 {
        op
    } else {
        format!("{op}|{}", any_of(flags, constant::FUTEX_FLAGS))
    }
}

/// futex(2): the requeueing operations and FUTEX_WAKE_OP have a number in place of the time, those that wait on nothing have
/// neither. `None` where it is a time.
fn futex_number(op: u64, value: u64) -> Option<String> {
    match low(op) & 0x7f {
        0 | 6 | 9 | 11 | 13 => None,
        3 | 4 | 5 | 12 => Some((value as u32).to_string()),
        _ => Some("-".to_owned()),
    }
}

fn protocol(domain: u64, value: u64) -> String {
    match domain {
        2 | 10 => signed_one_of(value, constant::IP_PROTOCOLS),
        16 => signed_one_of(value, constant::NETLINK_PROTOCOLS),
        _ => (value as i32).to_string(),
    }
}

fn fcntl_argument(command: u64, value: u64) -> String {
    match command {
        0 | 1030 | 8 | 1031 => (value as i32).to_string(),
        2 => any_of(low(value), constant::FD_FLAGS),
        4 => open_flags(value),
        10 => signed_one_of(value, constant::SIGNALS),
        1 | 3 | 9 | 11 | 1025 | 1032 | 1034 => "-".to_owned(),
        _ => format!("{value:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::fake_memory::FakeMemory;
    use crate::target::syscalls::find_signature;

    fn call(name: &str, values: &[u64], mem: &FakeMemory) -> String {
        let signature = find_signature(name).expect("in the table");
        let function_name = |at: VirtAddr| (at == VirtAddr(0x40_1000)).then(|| "start".to_owned());
        let memory = CallMemory { mem, function_name: &function_name };
        let arguments = signature.parameters.iter().enumerate();
        let arguments = arguments.map(|(at, one)| format!("{}={}", one.name, decode(one.kind, at, values, &memory)));
        format!("{}({})", signature.name, arguments.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn an_epoll_event_is_packed() {
        let mem = FakeMemory::default().with(0x7000, &[1, 0, 0, 0x80, 12, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            call("epoll_ctl", &[5, 1, 12, 0x7000], &mem),
            "epoll_ctl(epfd=5, op=EPOLL_CTL_ADD, fd=12, event={events=EPOLLIN|EPOLLET, data=12})"
        );
        assert_eq!(call("epoll_ctl", &[5, 2, 12, 0], &mem), "epoll_ctl(epfd=5, op=EPOLL_CTL_DEL, fd=12, event=NULL)");
        assert!(call("epoll_ctl", &[5, 9, 12, 0x9000], &mem).ends_with("op=9, fd=12, event=0x9000)"));
    }

    #[test]
    fn socket_calls_read_as_strace_shows_them() {
        let address = [2, 0, 0x3a, 0x99, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let mem = FakeMemory::default().with(0x7000, &address).with(0x8000, &[1, 0, 0, 0]);
        assert_eq!(
            call("bind", &[7, 0x7000, 16], &mem),
            "bind(fd=7, addr={sa_family=AF_INET, sin_port=15001, sin_addr=127.0.0.1}, addrlen=16)"
        );
        assert_eq!(
            call("setsockopt", &[7, 1, 15, 0x8000, 4], &mem),
            "setsockopt(fd=7, level=SOL_SOCKET, optname=SO_REUSEPORT, optval=[1], optlen=4)"
        );
        assert_eq!(
            call("socket", &[2, 0x801, 0], &mem),
            "socket(domain=AF_INET, type=SOCK_STREAM|SOCK_NONBLOCK, protocol=IPPROTO_IP)"
        );
        assert_eq!(
            call("accept4", &[7, 0, 0, 0x800], &mem),
            "accept4(fd=7, addr=NULL, addrlen=NULL, flags=SOCK_NONBLOCK)"
        );
    }

    #[test]
    fn the_upper_half_of_an_int_is_not_looked_at() {
        let mem = FakeMemory::default();
        assert_eq!(call("close", &[0xdead_beef_0000_0003], &mem), "close(fd=3)");
        assert_eq!(call("listen", &[3, 0xffff_ffff], &mem), "listen(fd=3, backlog=-1)");
    }

    #[test]
    fn files_and_buffers() {
        let mem = FakeMemory::default()
            .with(0x7000, b"/etc/hosts\0")
            .with(0x8000, b"GET / HTTP/1.1\r\n")
            .with_words(0x9000, &[0x8000, 3, 0x8004, 5]);
        let at_cwd = (-100i32) as u32 as u64;
        assert_eq!(
            call("openat64", &[at_cwd, 0x7000, 0x8_0000, 0o777], &mem),
            r#"openat(dirfd=AT_FDCWD, pathname="/etc/hosts", flags=O_RDONLY|O_CLOEXEC, mode=-)"#
        );
        assert_eq!(
            call("open", &[0x7000, 0x241, 0o644], &mem),
            r#"open(pathname="/etc/hosts", flags=O_WRONLY|O_CREAT|O_TRUNC, mode=0644)"#
        );
        assert_eq!(call("write", &[1, 0x8000, 3], &mem), r#"write(fd=1, buf="GET", count=3)"#);
        assert_eq!(
            call("writev", &[1, 0x9000, 2], &mem),
            r#"writev(fd=1, iov=[{iov_base="GET", iov_len=3}, {iov_base="/ HTT"..., iov_len=5}], iovcnt=2)"#
                .replace("\"/ HTT\"...", "\"/ HTT\"")
        );
        let huge = call("writev", &[1, 0x9000, 0x7fff_ffff], &mem);
        assert!(huge.contains(", ...], iovcnt=2147483647"), "{huge}");
    }

    #[test]
    fn functions_are_named() {
        let mem = FakeMemory::default();
        assert_eq!(
            call("pthread_create", &[0x10, 0, 0x40_1000, 0x20], &mem),
            "pthread_create(thread=0x10, attr=NULL, start_routine=0x401000 <start>, arg=0x20)"
        );
    }
}
