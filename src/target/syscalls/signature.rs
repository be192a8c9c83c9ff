//! What a parameter of a C function holds.

/// Names for values; for flags, for bits or groups of bits.
pub type Names = &'static [(u64, &'static str)];

/// A C function.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Its name, without version and internal prefixes.
    pub name: &'static str,
    /// In order. Variable arguments that are always read the same way are listed too.
    pub parameters: &'static [Parameter],
}

/// A parameter of a C function.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As the manual page names it.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a parameter holds. Numbers in a kind are the positions of other parameters that it depends on.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `int`.
    Int,
    /// `unsigned int`, `socklen_t`.
    Uint,
    /// `long`, `ssize_t`, `off_t`.
    Long,
    /// `size_t`.
    Size,
    /// A mode, in octal.
    Mode,
    /// A file descriptor to which `AT_FDCWD` is one too.
    DirFd,
    /// A pointer, or a value about which no more is known.
    Pointer,
    /// A pointer to a function.
    Function,
    /// A NUL-terminated text.
    Text,
    /// Bytes, as many as the parameter at this position says.
    Bytes(u8),
    /// A NULL-terminated array of texts.
    Texts,
    /// One of these values (32 bits).
    OneOf(Names),
    /// A set of these bits (32 bits); 0 by its own name where the list has one.
    AnyOf(Names),
    /// `open`'s flags.
    OpenFlags,
    /// A mode that is there only when the flags at this position hold O_CREAT or O_TMPFILE.
    CreateMode(u8),
    /// A socket's type and its flags.
    SocketType,
    /// A protocol, of the domain at this position.
    Protocol(u8),
    /// A socket option, of the level at this position.
    OptionName(u8),
    /// An option's value, of the length at this position.
    OptionValue(u8),
    /// A `sockaddr`, of the length at this position.
    Sockaddr(u8),
    /// A pointer to a `socklen_t` that the caller filled.
    LengthAt,
    /// One `struct epoll_event`.
    EpollEvent,
    /// `struct iovec`s, as many as the parameter at this position says.
    Iovecs(u8),
    /// `struct iovec`s that the call fills: only their lengths are worth reading.
    EmptyIovecs(u8),
    /// A `struct msghdr` to send.
    Message,
    /// `struct pollfd`s, as many as the parameter at this position says.
    PollFds(u8),
    /// A `struct timespec`.
    Timespec,
    /// A `struct timeval`.
    Timeval,
    /// A `struct itimerspec`.
    TimerSpec,
    /// A signal's number.
    Signal,
    /// clone(2)'s flags, whose low byte is the signal that tells of the end.
    CloneFlags,
    /// clone3(2)'s `struct clone_args`.
    CloneArgs,
    /// futex(2)'s operation and its flags.
    FutexOp,
    /// futex(2)'s fourth argument, of the operation at this position: a time, a number, or nothing.
    FutexTimeout(u8),
    /// `fcntl`'s third argument, of the command at this position.
    FcntlArgument(u8),
    /// `prctl`'s second argument, of the option at this position.
    PrctlArgument(u8),
}
