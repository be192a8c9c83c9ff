//! A script that has been checked: what runs at a hit. Names are resolved to numbers, types decided, formats read.

use std::sync::Arc;

use super::ast::{Step, StepOrder, WhenFull};
use super::format::Format;
use super::point::{Point, Side};
use super::types::{Aggregate, Sign, StackMode, Ty, Types};
use crate::lang::operator::{BinaryOp, Logical};

/// A script ready to run.
#[derive(Debug)]
pub struct Program {
    /// Its probes, in order; a block with several attach points is there once for each.
    pub probes: Vec<Probe>,
    /// Its maps, in the order of their first use.
    pub maps: Vec<MapInfo>,
    /// The structures that its values refer to.
    pub types: Types,
    /// Its `config`.
    pub config: Config,
}

impl Program {
    /// Whether a hit can be a stop.
    pub fn can_stop(&self) -> bool {
        self.probes.iter().any(|probe| probe.body.iter().any(Action::can_stop))
    }
}

impl Action {
    fn can_stop(&self) -> bool {
        let any = |actions: &[Action]| actions.iter().any(Action::can_stop);
        match self {
            Action::Stop => true,
            Action::If(_, then, otherwise) => any(then) || any(otherwise),
            Action::While(_, body) | Action::ForMap(_, _, body) | Action::ForRange(_, _, _, body) => any(body),
            _ => false,
        }
    }
}

/// One attach point and what it does.
#[derive(Debug)]
pub struct Probe {
    /// What it hangs on.
    pub point: Point,
    /// As it is written, variables of the environment filled in.
    pub text: String,
    /// Where it stands in the script.
    pub span: super::super::Span,
    /// It runs only where this holds.
    pub predicate: Option<Code>,
    /// What it does.
    pub body: Arc<[Action]>,
    /// How many variables it has.
    pub variables: usize,
    /// The arguments of functions that it names.
    pub named: Vec<(Arc<str>, super::super::Span)>,
}

/// A map.
#[derive(Clone, PartialEq, Debug)]
pub struct MapInfo {
    /// With its `@`.
    pub name: String,
    /// The types of its keys; none for a scalar.
    pub key: Vec<Ty>,
    /// The type of its values.
    pub value: Ty,
    /// How many keys it takes.
    pub room: Room,
}

/// How many keys a map takes, and what becomes of one more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// How many.
    pub limit: usize,
    /// What becomes of one more.
    pub when_full: WhenFull,
}

/// A map of [`Program::maps`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MapId(pub u16);

/// A variable of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot(pub u16);

/// `config = { .. }`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The longest text that `str` and `buf` give, bytes.
    pub max_strlen: usize,
    /// The most keys of a map.
    pub max_map_keys: usize,
    /// The most functions that a pattern may match.
    pub max_probes: usize,
    /// The most bytes that `cat` shows.
    pub max_cat_bytes: usize,
    /// Whether maps are printed at the end.
    pub print_maps_on_exit: PrintMaps,
    /// How stacks are written.
    pub stack_mode: StackMode,
    /// What stands behind a text that was cut.
    pub str_trunc_trailer: String,
    /// What is done with a probe that matches nothing.
    pub missing_probes: Missing,
}

/// Whether maps are printed at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrintMaps {
    /// They are.
    AtExit,
    /// They are not.
    Never,
}

/// What is done with a probe that matches nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The script does not run.
    Error,
    /// It runs, and the user is told.
    Warn,
    /// It runs.
    Ignore,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_strlen: 1024,
            max_map_keys: 4096,
            max_probes: 1024,
            max_cat_bytes: 10240,
            print_maps_on_exit: PrintMaps::AtExit,
            stack_mode: StackMode::Bpftrace,
            str_trunc_trailer: "..".into(),
            missing_probes: Missing::Error,
        }
    }
}

/// What computes a value.
#[derive(Clone, PartialEq, Debug)]
pub enum Code {
    /// A number.
    Integer(u64),
    /// A text.
    Text(Arc<[u8]>),
    /// A variable.
    Variable(Slot),
    /// A map's value; nothing where the key is not there.
    Map(MapId, Key),
    /// What the hit gives.
    Builtin(Builtin),
    /// A number of so many bytes in memory; 0 where it cannot be read.
    Load { at: Box<Code>, bytes: u8, sign: Sign, bits: Option<(u8, u8)> },
    /// So many bytes of memory.
    LoadBytes { at: Box<Code>, size: u32 },
    /// A number within bytes.
    Part { of: Box<Code>, offset: u32, bytes: u8, sign: Sign, bits: Option<(u8, u8)> },
    /// Bytes within bytes.
    PartBytes { of: Box<Code>, offset: u32, size: u32 },
    /// A text of bytes, up to a NUL.
    TextOf(Box<Code>),
    /// `-x`.
    Negate(Box<Code>),
    /// `!x`.
    Not(Box<Code>),
    /// `~x`.
    Invert(Box<Code>),
    /// Numbers; the sign decides how they are compared, divided and shifted.
    Binary(BinaryOp, Sign, Box<Code>, Box<Code>),
    /// Truths.
    Logical(Logical, Box<Code>, Box<Code>),
    /// Whether two values that are not numbers are the same.
    Same(Box<Code>, Box<Code>),
    /// `c ? a : b`.
    Conditional(Box<Code>, Box<Code>, Box<Code>),
    /// A number cut to so many bytes.
    Narrow(Box<Code>, u8, Sign),
    /// Whether a value is something.
    Truth(Box<Code>),
    /// So many bytes of a number or a text, zeros behind its end.
    BytesOf(Box<Code>, u32),
    /// Several values.
    Tuple(Vec<Code>),
    /// One of several values.
    TuplePart(Box<Code>, u8),
    /// `++` and `--` of a variable; pointers move by their target's size.
    StepVariable { slot: Slot, by: Step, order: StepOrder, size: u64 },
    /// `++` and `--` of a map.
    StepMap { map: MapId, key: Key, by: Step, order: StepOrder, size: u64 },
    /// A function.
    Call(Function, Vec<Code>),
    /// What a block does, and then its value.
    Block(Vec<Action>, Box<Code>),
}

/// A map's key: none for a scalar, a tuple for several.
pub type Key = Option<Box<Code>>;

/// What a hit gives by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Builtin {
    /// The process.
    Pid,
    /// The thread.
    Tid,
    /// Its user.
    Uid,
    /// Its group.
    Gid,
    /// The thread's name.
    Comm,
    /// Nanoseconds since the machine started.
    Nanoseconds,
    /// Nanoseconds since the script started.
    Elapsed,
    /// The processor.
    Cpu,
    /// How many processors there are.
    Cpus,
    /// A random number.
    Random,
    /// An argument of the function.
    Argument(u8),
    /// What it returned.
    ReturnValue,
    /// A register, by the number that arch gives it.
    Register(u16),
    /// A parameter of the system call.
    SyscallArgument(u8),
    /// The number of the system call.
    SyscallNumber,
    /// Where the parameters of the system call lie.
    SyscallArguments,
    /// The traced function.
    Function,
    /// The probe's name.
    Probe,
    /// The probe's kind.
    ProbeType,
    /// The user's name.
    UserName,
    /// The version 2 control group.
    ControlGroup,
    /// The parent process.
    ParentPid,
    /// The launched program.
    ChildPid,
    /// The wall clock.
    Jiffies,
    /// Nanoseconds that the function took, in a return probe.
    Duration,
    /// The signal, in a signal probe.
    Signal,
}

/// Functions with a value.
#[derive(Clone, PartialEq, Debug)]
pub enum Function {
    /// `str(pointer, length)`.
    Str,
    /// `args.NAME` and `args.N` of a function.
    NamedArgument(Arc<str>),
    /// `str(args.NAME)`: the text of a pointer, a `std::string` or a view.
    ArgumentText(Arc<str>),
    /// `args` as a whole, as text.
    WholeArguments(Side),
    /// `buf(pointer, length)`.
    Buf,
    /// `ntop(family, address)`: the family may be 0, which the size of the address decides then.
    Ntop,
    /// `macaddr(bytes)`.
    MacAddress,
    /// `ustack(limit)`.
    Stack(StackMode),
    /// `kstack`.
    KernelStack,
    /// `usym(address)`.
    Symbol,
    /// `uaddr("name")`.
    SymbolAddress,
    /// `strftime(format, nanoseconds)`.
    FormatTime(Arc<str>),
    /// `strncmp(a, b, n)`.
    CompareTexts,
    /// `strcontains(haystack, needle)`.
    Contains,
    /// `len(x)` of a text, bytes or a stack.
    Length,
    /// `len(@x)`.
    MapLength(MapId),
    /// `has_key(@x, key)`.
    HasKey(MapId),
    /// `delete(@x, key)`: whether it was there.
    Delete(MapId),
    /// `bswap(x)`.
    ByteSwap(u8),
    /// `nsecs(mode)`.
    Clock(Clock),
    /// `argv(n)`: an argument of the program's command line.
    CommandLine,
    /// `sockaddr(pointer)`: an address and a port.
    SocketAddress,
    /// `peer(fd)`: the other end of a socket.
    Peer,
    /// `comm(pid)`.
    CommOf,
    /// `std_string(pointer)`: the text of a `std::string`.
    StdString,
    /// `find(@x, key, $value)`.
    Find(MapId, Slot),
    /// `strstr(haystack, needle)`.
    PositionOf,
    /// `str_concat(a, b)`.
    Joined,
    /// `memcmp(a, b, n)`.
    CompareBytes,
    /// `strerror(number)`.
    ErrorText,
    /// `signal_name(number)`.
    SignalName,
    /// `syscall_name(number)`.
    CallName,
    /// `cgroupid(path)`.
    ControlGroupOf,
}

/// A clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// CLOCK_BOOTTIME.
    Boot,
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// CLOCK_TAI.
    Tai,
    /// CLOCK_REALTIME.
    Real,
}

/// What a statement does.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Computes a value for what it does on the way.
    Evaluate(Code),
    /// `$x = value`.
    SetVariable(Slot, Code),
    /// `@x[key] = value`.
    SetMap(MapId, Key, Code),
    /// `@x[key] = count()`.
    Aggregate(MapId, Key, Aggregate, Code),
    /// `if`.
    If(Code, Vec<Action>, Vec<Action>),
    /// `while`.
    While(Code, Vec<Action>),
    /// `for ($kv : @x)`.
    ForMap(Slot, MapId, Vec<Action>),
    /// `for ($i : a..b)`.
    ForRange(Slot, Code, Code, Vec<Action>),
    /// `return`.
    Return,
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// `printf`.
    Printf(Arc<Format>, Vec<Code>),
    /// `errorf`, `warnf`: what stands before it, the place in the script.
    Tell(Arc<str>, Arc<Format>, Vec<Code>),
    /// `print(value)`.
    Print(Ty, Code),
    /// `print(@x, top, div)`.
    PrintMap { map: MapId, top: Option<Code>, divide: Option<Code> },
    /// `clear(@x)`.
    Clear(MapId),
    /// `zero(@x)`.
    Zero(MapId),
    /// `time(format)`.
    Time(Arc<str>),
    /// `cat(format, ..)`.
    Cat(Arc<Format>, Vec<Code>),
    /// `system(format, ..)`.
    System(Arc<Format>, Vec<Code>),
    /// `join(array, separator)`.
    Join(Code, Arc<str>),
    /// `exit(code)`.
    Exit(Code),
    /// `signal(number)`.
    Signal(Code),
    /// `stop()`: this hit is a stop, and the prompt opens.
    Stop,
}
