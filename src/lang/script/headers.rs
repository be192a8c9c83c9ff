//! What the system's headers would give a script: structures and constants of sockets, files and system calls, as the
//! x86-64 kernel lays them out. They need no headers to be installed, and are there whether or not a script includes them.

use super::ctypes::CParser;
use super::types::Types;

/// Structures and enumerations of the kernel's interface to programs (include/uapi/linux/*.h).
const STRUCTURES: &str = "
struct in_addr { __be32 s_addr; };
struct in6_addr { union { __u8 u6_addr8[16]; __be16 u6_addr16[8]; __be32 u6_addr32[4]; } in6_u; };
struct sockaddr { sa_family_t sa_family; char sa_data[14]; };
struct sockaddr_in { sa_family_t sin_family; __be16 sin_port; struct in_addr sin_addr; unsigned char __pad[8]; };
struct sockaddr_in6 { unsigned short sin6_family; __be16 sin6_port; __be32 sin6_flowinfo; struct in6_addr sin6_addr; __u32 sin6_scope_id; };
struct sockaddr_un { sa_family_t sun_family; char sun_path[108]; };
struct sockaddr_nl { sa_family_t nl_family; unsigned short nl_pad; __u32 nl_pid; __u32 nl_groups; };
struct sockaddr_storage { sa_family_t ss_family; char __data[126]; };
struct iovec { void *iov_base; size_t iov_len; };
struct msghdr { void *msg_name; int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen; void *msg_control; size_t msg_controllen; unsigned int msg_flags; };
struct user_msghdr { void *msg_name; int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen; void *msg_control; size_t msg_controllen; unsigned int msg_flags; };
struct mmsghdr { struct user_msghdr msg_hdr; unsigned int msg_len; };
struct linger { int l_onoff; int l_linger; };
struct timespec { long tv_sec; long tv_nsec; };
struct __kernel_timespec { long long tv_sec; long long tv_nsec; };
struct timeval { long tv_sec; long tv_usec; };
struct itimerspec { struct timespec it_interval; struct timespec it_value; };
struct pollfd { int fd; short events; short revents; };
struct epoll_event { __u32 events; __u64 data; } __attribute__((packed));
struct clone_args { __u64 flags; __u64 pidfd; __u64 child_tid; __u64 parent_tid; __u64 exit_signal; __u64 stack; __u64 stack_size; __u64 tls; __u64 set_tid; __u64 set_tid_size; __u64 cgroup; };
struct open_how { __u64 flags; __u64 mode; __u64 resolve; };
struct rlimit { unsigned long rlim_cur; unsigned long rlim_max; };
struct sock_common {
  union { __u64 skc_addrpair; struct { __be32 skc_daddr; __be32 skc_rcv_saddr; }; };
  unsigned int skc_hash;
  union { __u32 skc_portpair; struct { __be16 skc_dport; __u16 skc_num; }; };
  unsigned short skc_family;
  unsigned char skc_state;
  unsigned char skc_reuse : 4;
  int skc_bound_dev_if;
  struct in6_addr skc_v6_daddr;
  struct in6_addr skc_v6_rcv_saddr;
};
struct sock {
  struct sock_common __sk_common;
  __u32 sk_ack_backlog;
  __u32 sk_max_ack_backlog;
  __u16 sk_type;
  __u16 sk_protocol;
};
enum { SOCK_STREAM = 1, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET };
enum { IPPROTO_IP = 0, IPPROTO_ICMP = 1, IPPROTO_TCP = 6, IPPROTO_UDP = 17, IPPROTO_IPV6 = 41, IPPROTO_ICMPV6 = 58, IPPROTO_RAW = 255 };
enum { TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING };
";

/// Constants that are macros in the headers.
const CONSTANTS: &[(&str, u64)] = &[
    ("AF_UNSPEC", 0),
    ("AF_UNIX", 1),
    ("AF_LOCAL", 1),
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("AF_PACKET", 17),
    ("AF_VSOCK", 40),
    ("SOL_SOCKET", 1),
    ("SOL_TCP", 6),
    ("SO_DEBUG", 1),
    ("SO_REUSEADDR", 2),
    ("SO_TYPE", 3),
    ("SO_ERROR", 4),
    ("SO_DONTROUTE", 5),
    ("SO_BROADCAST", 6),
    ("SO_SNDBUF", 7),
    ("SO_RCVBUF", 8),
    ("SO_KEEPALIVE", 9),
    ("SO_LINGER", 13),
    ("SO_REUSEPORT", 15),
    ("SO_RCVTIMEO", 20),
    ("SO_SNDTIMEO", 21),
    ("SO_ORIGINAL_DST", 80),
    ("TCP_NODELAY", 1),
    ("TCP_MAXSEG", 2),
    ("TCP_CORK", 3),
    ("TCP_KEEPIDLE", 4),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 6),
    ("TCP_DEFER_ACCEPT", 9),
    ("TCP_INFO", 11),
    ("TCP_QUICKACK", 12),
    ("TCP_CONGESTION", 13),
    ("TCP_USER_TIMEOUT", 18),
    ("TCP_FASTOPEN", 23),
    ("EPOLL_CTL_ADD", 1),
    ("EPOLL_CTL_DEL", 2),
    ("EPOLL_CTL_MOD", 3),
    ("EPOLLIN", 1),
    ("EPOLLPRI", 2),
    ("EPOLLOUT", 4),
    ("EPOLLERR", 8),
    ("EPOLLHUP", 0x10),
    ("EPOLLRDHUP", 0x2000),
    ("EPOLLET", 1 << 31),
    ("POLLIN", 1),
    ("POLLOUT", 4),
    ("O_RDONLY", 0),
    ("O_WRONLY", 1),
    ("O_RDWR", 2),
    ("O_ACCMODE", 3),
    ("O_CREAT", 0o100),
    ("O_EXCL", 0o200),
    ("O_TRUNC", 0o1000),
    ("O_APPEND", 0o2000),
    ("O_NONBLOCK", 0o4000),
    ("O_DIRECTORY", 0o200_000),
    ("O_CLOEXEC", 0o2_000_000),
    ("AT_FDCWD", (-100i64) as u64),
    ("PROT_READ", 1),
    ("PROT_WRITE", 2),
    ("PROT_EXEC", 4),
    ("MAP_SHARED", 1),
    ("MAP_PRIVATE", 2),
    ("MAP_ANONYMOUS", 0x20),
    ("CLONE_VM", 0x100),
    ("CLONE_THREAD", 0x10000),
    ("CLONE_VFORK", 0x4000),
    ("F_DUPFD", 0),
    ("F_GETFD", 1),
    ("F_SETFD", 2),
    ("F_GETFL", 3),
    ("F_SETFL", 4),
    ("FUTEX_WAIT", 0),
    ("FUTEX_WAKE", 1),
    ("ENOENT", 2),
    ("EINTR", 4),
    ("EAGAIN", 11),
    ("EACCES", 13),
    ("EINVAL", 22),
    ("EINPROGRESS", 115),
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGCHLD", 17),
    ("SIGCONT", 18),
    ("SIGSTOP", 19),
];

/// The types and constants of the headers.
pub(super) fn types() -> Types {
    let mut types = Types::default();
    let parsed = CParser::new(STRUCTURES, 0, &mut types).all();
    debug_assert!(parsed.is_ok(), "{parsed:?}");
    for (name, value) in CONSTANTS {
        types.add_constant(name, *value);
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_long_as_the_kernels() {
        let types = types();
        let size = |tag: &str| types.record(types.find_record(tag).unwrap()).size;
        let sizes =
            ["sockaddr", "sockaddr_in", "sockaddr_in6", "sockaddr_un", "msghdr", "epoll_event", "timespec"].map(size);
        assert_eq!(sizes, [16, 16, 28, 110, 56, 12, 16]);
    }

    #[test]
    fn the_fields_that_connections_are_read_by_are_there() {
        let types = types();
        let sock = types.find_record("sock").unwrap();
        let common = types.find_field(sock, "__sk_common").unwrap();
        let super::super::types::Ty::Record(inner) = common.ty else { panic!("{common:?}") };
        // struct sock_common's beginning is the kernel's own (include/net/sock.h).
        let offset = |name: &str| types.find_field(inner, name).unwrap().offset;
        let offsets = ["skc_daddr", "skc_rcv_saddr", "skc_dport", "skc_num", "skc_family"].map(offset);
        assert_eq!(offsets, [0, 4, 12, 14, 16]);
        assert!(types.find_field(sock, "sk_max_ack_backlog").is_some());
    }
}
