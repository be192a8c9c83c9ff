//! The functions.

use super::constant as c;
use super::option::LEVELS;
use super::signature::{
    Kind::{self, *},
    Parameter, Signature,
};

macro_rules! signatures {
    ($($name:ident($($parameter:ident: $kind:expr),*);)*) => {
        &[$(Signature {
            name: stringify!($name),
            parameters: &[$(Parameter { name: stringify!($parameter), kind: $kind }),*],
        }),*]
    };
}

const FD: Kind = Int;
const OP: Kind = OneOf(c::EPOLL_OPS);
const CLOCK: Kind = OneOf(c::CLOCKS);
const FLAGS: Kind = AnyOf(c::MESSAGE_FLAGS);
const AT: Kind = AnyOf(c::AT_FLAGS);

static SIGNATURES: &[&[Signature]] = &[EVENTS, SOCKETS, FILES, MEMORY, PROCESSES, TIME, TEXTS];

const EVENTS: &[Signature] = signatures! {
    epoll_create(size: Int);
    epoll_create1(flags: AnyOf(c::EPOLL_FLAGS));
    epoll_ctl(epfd: FD, op: OP, fd: FD, event: EpollEvent);
    epoll_wait(epfd: FD, events: Pointer, maxevents: Int, timeout: Int);
    epoll_pwait(epfd: FD, events: Pointer, maxevents: Int, timeout: Int, sigmask: Pointer);
    epoll_pwait2(epfd: FD, events: Pointer, maxevents: Int, timeout: Timespec, sigmask: Pointer);
    poll(fds: PollFds(1), nfds: Size, timeout: Int);
    ppoll(fds: PollFds(1), nfds: Size, tmo_p: Timespec, sigmask: Pointer);
    select(nfds: Int, readfds: Pointer, writefds: Pointer, exceptfds: Pointer, timeout: Timeval);
    pselect(nfds: Int, readfds: Pointer, writefds: Pointer, exceptfds: Pointer, timeout: Timespec, sigmask: Pointer);
    eventfd(initval: Uint, flags: AnyOf(c::EVENTFD_FLAGS));
    timerfd_create(clockid: CLOCK, flags: AnyOf(c::TIMERFD_FLAGS));
    timerfd_settime(fd: FD, flags: AnyOf(c::TIMERFD_SET), new_value: TimerSpec, old_value: Pointer);
    timerfd_gettime(fd: FD, curr_value: Pointer);
    signalfd(fd: FD, mask: Pointer, flags: AnyOf(c::SIGNALFD_FLAGS));
    inotify_init1(flags: AnyOf(c::PIPE_FLAGS));
    inotify_add_watch(fd: FD, pathname: Text, mask: Pointer);
};

const SOCKETS: &[Signature] = signatures! {
    socket(domain: OneOf(c::DOMAINS), type: SocketType, protocol: Protocol(0));
    socketpair(domain: OneOf(c::DOMAINS), type: SocketType, protocol: Protocol(0), sv: Pointer);
    bind(fd: FD, addr: Sockaddr(2), addrlen: Uint);
    listen(fd: FD, backlog: Int);
    accept(fd: FD, addr: Pointer, addrlen: LengthAt);
    accept4(fd: FD, addr: Pointer, addrlen: LengthAt, flags: AnyOf(c::SOCKET_FLAGS));
    connect(fd: FD, addr: Sockaddr(2), addrlen: Uint);
    setsockopt(fd: FD, level: OneOf(LEVELS), optname: OptionName(1), optval: OptionValue(4), optlen: Uint);
    getsockopt(fd: FD, level: OneOf(LEVELS), optname: OptionName(1), optval: Pointer, optlen: LengthAt);
    getsockname(fd: FD, addr: Pointer, addrlen: LengthAt);
    getpeername(fd: FD, addr: Pointer, addrlen: LengthAt);
    shutdown(fd: FD, how: OneOf(c::SHUTDOWN));
    recv(fd: FD, buf: Pointer, len: Size, flags: FLAGS);
    send(fd: FD, buf: Bytes(2), len: Size, flags: FLAGS);
    recvfrom(fd: FD, buf: Pointer, len: Size, flags: FLAGS, addr: Pointer, addrlen: LengthAt);
    sendto(fd: FD, buf: Bytes(2), len: Size, flags: FLAGS, addr: Sockaddr(5), addrlen: Uint);
    recvmsg(fd: FD, msg: Pointer, flags: FLAGS);
    sendmsg(fd: FD, msg: Message, flags: FLAGS);
    recvmmsg(fd: FD, msgvec: Pointer, vlen: Uint, flags: FLAGS, timeout: Timespec);
    sendmmsg(fd: FD, msgvec: Pointer, vlen: Uint, flags: FLAGS);
    getaddrinfo(node: Text, service: Text, hints: Pointer, res: Pointer);
    freeaddrinfo(res: Pointer);
    gethostbyname(name: Text);
    if_nametoindex(ifname: Text);
};

const FILES: &[Signature] = signatures! {
    close(fd: FD);
    read(fd: FD, buf: Pointer, count: Size);
    write(fd: FD, buf: Bytes(2), count: Size);
    pread(fd: FD, buf: Pointer, count: Size, offset: Long);
    pwrite(fd: FD, buf: Bytes(2), count: Size, offset: Long);
    readv(fd: FD, iov: EmptyIovecs(2), iovcnt: Int);
    writev(fd: FD, iov: Iovecs(2), iovcnt: Int);
    preadv(fd: FD, iov: EmptyIovecs(2), iovcnt: Int, offset: Long);
    pwritev(fd: FD, iov: Iovecs(2), iovcnt: Int, offset: Long);
    sendfile(out_fd: FD, in_fd: FD, offset: Pointer, count: Size);
    open(pathname: Text, flags: OpenFlags, mode: CreateMode(1));
    openat(dirfd: DirFd, pathname: Text, flags: OpenFlags, mode: CreateMode(2));
    creat(pathname: Text, mode: Mode);
    fopen(pathname: Text, mode: Text);
    fclose(stream: Pointer);
    lseek(fd: FD, offset: Long, whence: OneOf(c::SEEK));
    dup(oldfd: FD);
    dup2(oldfd: FD, newfd: FD);
    dup3(oldfd: FD, newfd: FD, flags: AnyOf(c::PIPE_FLAGS));
    pipe(pipefd: Pointer);
    pipe2(pipefd: Pointer, flags: AnyOf(c::PIPE_FLAGS));
    fcntl(fd: FD, cmd: OneOf(c::FCNTL), arg: FcntlArgument(1));
    ioctl(fd: FD, request: OneOf(c::IOCTLS), argp: Pointer);
    unlink(pathname: Text);
    unlinkat(dirfd: DirFd, pathname: Text, flags: AT);
    rename(oldpath: Text, newpath: Text);
    mkdir(pathname: Text, mode: Mode);
    rmdir(pathname: Text);
    chdir(path: Text);
    access(pathname: Text, mode: AnyOf(c::ACCESS));
    faccessat(dirfd: DirFd, pathname: Text, mode: AnyOf(c::ACCESS), flags: AT);
    chmod(pathname: Text, mode: Mode);
    fchmod(fd: FD, mode: Mode);
    stat(pathname: Text, statbuf: Pointer);
    lstat(pathname: Text, statbuf: Pointer);
    fstat(fd: FD, statbuf: Pointer);
    fstatat(dirfd: DirFd, pathname: Text, statbuf: Pointer, flags: AT);
    statx(dirfd: DirFd, pathname: Text, flags: AT, mask: AnyOf(c::STATX_MASK), statxbuf: Pointer);
    readlink(pathname: Text, buf: Pointer, bufsiz: Size);
    readlinkat(dirfd: DirFd, pathname: Text, buf: Pointer, bufsiz: Size);
    realpath(path: Text, resolved_path: Pointer);
    opendir(name: Text);
    ftruncate(fd: FD, length: Long);
    fsync(fd: FD);
    puts(s: Text);
    printf(format: Text);
};

const MEMORY: &[Signature] = signatures! {
    mmap(addr: Pointer, length: Size, prot: AnyOf(c::PROTECTION), flags: AnyOf(c::MAP_FLAGS), fd: FD, offset: Pointer);
    munmap(addr: Pointer, length: Size);
    mprotect(addr: Pointer, len: Size, prot: AnyOf(c::PROTECTION));
    madvise(addr: Pointer, length: Size, advice: OneOf(c::ADVICE));
    malloc(size: Size);
    calloc(nmemb: Size, size: Size);
    realloc(ptr: Pointer, size: Size);
    memalign(alignment: Size, size: Size);
    aligned_alloc(alignment: Size, size: Size);
    posix_memalign(memptr: Pointer, alignment: Size, size: Size);
    free(ptr: Pointer);
    memcpy(dest: Pointer, src: Bytes(2), n: Size);
    memmove(dest: Pointer, src: Bytes(2), n: Size);
    memset(s: Pointer, c: Int, n: Size);
    memcmp(s1: Bytes(2), s2: Bytes(2), n: Size);
    memchr(s: Bytes(2), c: Int, n: Size);
};

const PROCESSES: &[Signature] = signatures! {
    main(argc: Int, argv: Texts, envp: Pointer);
    fork();
    vfork();
    execve(pathname: Text, argv: Texts, envp: Pointer);
    execv(pathname: Text, argv: Texts);
    execvp(file: Text, argv: Texts);
    execvpe(file: Text, argv: Texts, envp: Pointer);
    posix_spawn(pid: Pointer, path: Text, file_actions: Pointer, attrp: Pointer, argv: Texts, envp: Pointer);
    posix_spawnp(pid: Pointer, file: Text, file_actions: Pointer, attrp: Pointer, argv: Texts, envp: Pointer);
    system(command: Text);
    waitpid(pid: Int, wstatus: Pointer, options: AnyOf(c::WAIT_OPTIONS));
    wait4(pid: Int, wstatus: Pointer, options: AnyOf(c::WAIT_OPTIONS), rusage: Pointer);
    waitid(idtype: OneOf(c::WAIT_KINDS), id: Uint, infop: Pointer, options: AnyOf(c::WAIT_OPTIONS));
    getrlimit(resource: OneOf(c::RESOURCES), rlim: Pointer);
    setrlimit(resource: OneOf(c::RESOURCES), rlim: Pointer);
    prlimit(pid: Int, resource: OneOf(c::RESOURCES), new_limit: Pointer, old_limit: Pointer);
    getrandom(buf: Pointer, buflen: Size, flags: AnyOf(c::RANDOM_FLAGS));
    kill(pid: Int, sig: Signal);
    raise(sig: Signal);
    tgkill(tgid: Int, tid: Int, sig: Signal);
    pthread_kill(thread: Pointer, sig: Signal);
    sigaction(signum: Signal, act: Pointer, oldact: Pointer);
    signal(signum: Signal, handler: Function);
    sigprocmask(how: OneOf(c::SIGMASK_HOW), set: Pointer, oldset: Pointer);
    pthread_sigmask(how: OneOf(c::SIGMASK_HOW), set: Pointer, oldset: Pointer);
    prctl(option: OneOf(c::PRCTL), arg2: PrctlArgument(0));
    pthread_create(thread: Pointer, attr: Pointer, start_routine: Function, arg: Pointer);
    pthread_join(thread: Pointer, retval: Pointer);
    pthread_setname_np(thread: Pointer, name: Text);
    pthread_mutex_init(mutex: Pointer, attr: Pointer);
    pthread_mutex_lock(mutex: Pointer);
    pthread_mutex_trylock(mutex: Pointer);
    pthread_mutex_unlock(mutex: Pointer);
    pthread_cond_wait(cond: Pointer, mutex: Pointer);
    pthread_cond_signal(cond: Pointer);
    pthread_cond_broadcast(cond: Pointer);
    pthread_once(once_control: Pointer, init_routine: Function);
    exit(status: Int);
    _exit(status: Int);
    _Exit(status: Int);
    abort();
    atexit(function: Function);
    dlopen(filename: Text, flags: AnyOf(c::DLOPEN));
    dlsym(handle: Pointer, symbol: Text);
    dlclose(handle: Pointer);
    setuid(uid: Uint);
    setgid(gid: Uint);
    getpid();
    getppid();
    gettid();
};

const TIME: &[Signature] = signatures! {
    nanosleep(duration: Timespec, rem: Pointer);
    clock_nanosleep(clockid: CLOCK, flags: AnyOf(c::TIMER_FLAGS), t: Timespec, remain: Pointer);
    clock_gettime(clockid: CLOCK, tp: Pointer);
    gettimeofday(tv: Pointer, tz: Pointer);
    usleep(usec: Uint);
    sleep(seconds: Uint);
    alarm(seconds: Uint);
};

const TEXTS: &[Signature] = signatures! {
    strlen(s: Text);
    strcmp(s1: Text, s2: Text);
    strncmp(s1: Text, s2: Text, n: Size);
    strcasecmp(s1: Text, s2: Text);
    strcpy(dest: Pointer, src: Text);
    strncpy(dest: Pointer, src: Text, n: Size);
    strcat(dest: Text, src: Text);
    strdup(s: Text);
    strchr(s: Text, c: Int);
    strrchr(s: Text, c: Int);
    strstr(haystack: Text, needle: Text);
    atoi(nptr: Text);
    strtol(nptr: Text, endptr: Pointer, base: Int);
    strtoul(nptr: Text, endptr: Pointer, base: Int);
    getenv(name: Text);
    secure_getenv(name: Text);
    setenv(name: Text, value: Text, overwrite: Int);
    unsetenv(name: Text);
    putenv(string: Text);
    perror(s: Text);
};

/// Calls of the kernel that libc has under no name, or declares otherwise.
const KERNEL: &[Signature] = signatures! {
    clone(flags: CloneFlags, newsp: Pointer, parent_tid: Pointer, child_tid: Pointer, tls: Pointer);
    clone3(cl_args: CloneArgs, size: Size);
    futex(uaddr: Pointer, futex_op: FutexOp, val: Uint, timeout: FutexTimeout(1), uaddr2: Pointer, val3: Uint);
};

/// The signature of one of the kernel's calls that is no function of libc.
pub fn find_kernel_signature(name: &str) -> Option<&'static Signature> {
    KERNEL.iter().find(|signature| signature.name == name)
}

/// The signature of a function of libc, whatever internal prefix or version its symbol has.
pub fn find_signature(symbol: &str) -> Option<&'static Signature> {
    let name = symbol.split('@').next().unwrap_or(symbol);
    exact(name).or_else(|| {
        let bare = ["__GI_", "__libc_", "__new_", "__old_"].iter().find_map(|prefix| name.strip_prefix(prefix));
        let bare = bare.unwrap_or(name).trim_start_matches("__");
        let bare = bare.strip_prefix("libc_").unwrap_or(bare);
        exact(bare).or_else(|| exact(bare.strip_suffix("64")?)).or_else(|| exact(bare.strip_suffix("_nocancel")?))
    })
}

fn exact(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().flat_map(|group| group.iter()).find(|signature| signature.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_names_and_versions_lead_to_the_same_function() {
        for symbol in ["bind", "bind@@GLIBC_2.2.5", "__bind", "__GI___bind", "__libc_bind"] {
            assert_eq!(find_signature(symbol).map(|found| found.name), Some("bind"), "{symbol}");
        }
        assert_eq!(find_signature("open64").map(|found| found.name), Some("open"));
        assert_eq!(find_signature("__write_nocancel").map(|found| found.name), Some("write"));
        assert_eq!(find_signature("_exit").map(|found| found.name), Some("_exit"));
        assert!(find_signature("bindtextdomain").is_none());
        assert!(find_signature("").is_none());
    }

    #[test]
    fn a_parameter_depends_only_on_one_that_exists() {
        for signature in SIGNATURES.iter().flat_map(|group| group.iter()).chain(KERNEL) {
            for parameter in signature.parameters {
                let on = match parameter.kind {
                    Bytes(on) | CreateMode(on) | Protocol(on) | OptionName(on) | OptionValue(on) | Sockaddr(on) => on,
                    Iovecs(on) | EmptyIovecs(on) | PollFds(on) | FcntlArgument(on) | PrctlArgument(on) => on,
                    FutexTimeout(on) => on,
                    _ => 0,
                };
                let count = signature.parameters.len();
                assert!(usize::from(on) < count, "{}({})", signature.name, parameter.name);
            }
            assert!(signature.parameters.len() <= 6, "{}", signature.name);
        }
    }
}
