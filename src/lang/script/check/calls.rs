//! Builtins and functions that have a value.

use super::super::super::Span;
use super::super::ast::{Expr, ExprKind};
use super::super::error::Diagnostic;
use super::super::point::{Point, Side};
use super::super::program::{Builtin, Clock, Code, Function};
use super::super::types::{Sign, StackMode, Ty};
use super::operand::{Operand, Place};
use super::Checker;
use crate::arch::Register;
use crate::lang::operator::BinaryOp;

/// How many frames a stack has when no limit is given, as bpftrace has it.
const STACK_DEPTH: u64 = 127;

/// Refuses a call with too few or too many arguments.
pub(super) fn check_count(
    function: &str,
    given: usize,
    least: usize,
    most: usize,
    span: Span,
) -> Result<(), Diagnostic> {
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let text = match () {
        _ if given < least && least == most => format!("{function}() requires {}, {given} provided", told(least)),
        _ if given < least => format!("{function}() requires at least {least} {} ({given} provided)", plural(least)),
        _ if given > most && least == most => format!("{function}() requires {}, {given} provided", told(most)),
        _ if given > most => format!("{function}() takes up to {most} {} ({given} provided)", plural(most)),
        _ => return Ok(()),
    };
    Err(Diagnostic::error(span, text))
}

fn told(count: usize) -> String {
    match count {
        0 => "no arguments".into(),
        1 => "one argument".into(),
        more => format!("{more} arguments"),
    }
}

impl Checker<'_> {
    /// A bare name: a builtin, a constant, or a function that needs no argument.
    pub(super) fn named(&mut self, name: &str, span: Span) -> Result<Operand, Diagnostic> {
        if let Some(operand) = self.builtin(name, span)? {
            return Ok(operand);
        }
        if let Some((value, of)) = self.types.find_constant(name) {
            let ty = of.filter(|id| !self.types.enumeration(*id).name.is_empty()).map_or(Ty::LONG, Ty::Enum);
            return Ok(Operand::value(Code::Integer(value), ty));
        }
        match name {
            "args" => {
                let (Point::Function { side: side @ Side::Entry, .. }
                | Point::Syscall { side, .. }
                | Point::AnySyscall { side }) = self.context.point
                else {
                    return Err(wrong_probe("args", &self.context.point, span));
                };
                Ok(Operand::value(Code::Call(Function::WholeArguments(side), Vec::new()), Ty::Text))
            }
            _ if is_function(name) => self.call(name, &[], span),
            _ => Err(Diagnostic::error(span, format!("Unknown identifier: '{name}'"))),
        }
    }

    fn builtin(&mut self, name: &str, span: Span) -> Result<Option<Operand>, Diagnostic> {
        let plain = |builtin, ty| Ok(Some(Operand::value(Code::Builtin(builtin), ty)));
        if let Some(number) = name.strip_prefix("arg").and_then(|rest| rest.parse::<u8>().ok()) {
            return self.argument(name, number, span).map(Some);
        }
        match name {
            "pid" => plain(Builtin::Pid, Ty::UINT),
            "tid" => plain(Builtin::Tid, Ty::UINT),
            "ppid" => plain(Builtin::ParentPid, Ty::UINT),
            "cpid" => plain(Builtin::ChildPid, Ty::ULONG),
            "uid" => plain(Builtin::Uid, Ty::ULONG),
            "gid" => plain(Builtin::Gid, Ty::ULONG),
            "comm" => plain(Builtin::Comm, Ty::Text),
            "nsecs" => plain(Builtin::Nanoseconds, Ty::ULONG),
            "elapsed" => plain(Builtin::Elapsed, Ty::ULONG),
            "cpu" => plain(Builtin::Cpu, Ty::UINT),
            "ncpus" => plain(Builtin::Cpus, Ty::ULONG),
            "rand" => plain(Builtin::Random, Ty::UINT),
            "jiffies" => plain(Builtin::Jiffies, Ty::ULONG),
            "cgroup" => plain(Builtin::ControlGroup, Ty::ULONG),
            "username" => plain(Builtin::UserName, Ty::User),
            "probe" => plain(Builtin::Probe, Ty::Text),
            "probetype" => plain(Builtin::ProbeType, Ty::Text),
            "func" => match self.context.point {
                Point::Function { .. } => plain(Builtin::Function, Ty::Text),
                _ => Err(wrong_probe("func", &self.context.point, span)),
            },
            "duration" => match self.context.point {
                Point::Function { side: Side::Return, .. } | Point::Syscall { side: Side::Return, .. } => {
                    plain(Builtin::Duration, Ty::ULONG)
                }
                _ => Err(wrong_probe("duration", &self.context.point, span)),
            },
            "signal_number" => plain(Builtin::Signal, Ty::INT),
            "retval" => match &self.context.point {
                Point::Function { side: Side::Return, .. } => plain(Builtin::ReturnValue, Ty::ULONG),
                Point::Accepted => plain(Builtin::ReturnValue, Ty::ULONG),
                other => Err(wrong_probe("retval", other, span)),
            },
            "ustack" | "backtrace" => self.stack(&[], span).map(Some),
            "kstack" => {
                self.warn(span, "kstack is empty: rdbg traces programs and does not see the kernel's stacks");
                Ok(Some(Operand::value(Code::Call(Function::KernelStack, Vec::new()), Ty::KernelStack)))
            }
            _ => Ok(None),
        }
    }

    fn argument(&mut self, name: &str, number: u8, span: Span) -> Result<Operand, Diagnostic> {
        match &self.context.point {
            Point::Function { side: Side::Entry, .. } if number < 32 => {
                Ok(Operand::value(Code::Builtin(Builtin::Argument(number)), Ty::LONG))
            }
            Point::Usdt { .. } if number < 16 => {
                self.context.named.push((name.into(), span));
                Ok(Operand::value(Code::Builtin(Builtin::Argument(number)), Ty::LONG))
            }
            Point::Function { side: Side::Entry, .. } | Point::Usdt { .. } => {
                Err(Diagnostic::error(span, format!("x86_64 doesn't support {name}")))
            }
            other => Err(wrong_probe(name, other, span)),
        }
    }

    /// A function's value.
    pub(super) fn call(&mut self, function: &str, arguments: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        if let Some(operand) = self.library(function, arguments, span)? {
            return Ok(operand);
        }
        let count = |least, most| check_count(function, arguments.len(), least, most, span);
        match function {
            "str" => {
                count(1, 2)?;
                self.text(arguments, span)
            }
            "buf" => {
                count(1, 2)?;
                self.buffer(arguments, span)
            }
            "ntop" => {
                count(1, 2)?;
                self.address_text(arguments, span)
            }
            "pton" => {
                count(1, 1)?;
                self.address_bytes(&arguments[0])
            }
            "ustack" | "dw_ustack" | "backtrace" => self.stack(arguments, span),
            "kstack" => self.named("kstack", span),
            "reg" => {
                count(1, 1)?;
                self.register(&arguments[0])
            }
            "has_key" | "delete" => self.key_call(function, arguments, span),
            "len" => {
                count(1, 1)?;
                self.length(&arguments[0])
            }
            "nsecs" => {
                count(0, 1)?;
                self.clock(arguments)
            }
            "sizeof" => {
                count(1, 1)?;
                let operand = self.operand(&arguments[0])?;
                Ok(Operand::value(Code::Integer(self.types.size(&operand.ty)), Ty::ULONG))
            }
            "strncmp" | "strcontains" | "bswap" | "macaddr" | "usym" | "uaddr" | "strftime" | "comm" | "argv"
            | "sockaddr" | "peer" | "std_string" => self.plain_call(function, arguments, span),
            "pid" | "tid" if arguments.len() <= 1 => self.named(function, span),
            "count" | "sum" | "avg" | "min" | "max" | "stats" | "hist" | "lhist" | "tseries" => {
                Err(Diagnostic::error(span, format!("{function}() must be assigned directly to a map")))
            }
            _ if arguments.is_empty() && self.builtin(function, span)?.is_some() => self.named(function, span),
            _ if super::outputs::is_statement(function) => {
                Err(Diagnostic::error(span, format!("{function}() has no value: it can only be a statement")))
            }
            _ => Err(Diagnostic::error(span, format!("Unknown function: '{function}'"))),
        }
    }

    /// Functions that take plain values.
    fn plain_call(&mut self, function: &str, arguments: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        let wanted = match function {
            "strncmp" => 3,
            "strcontains" | "strftime" => 2,
            _ => 1,
        };
        if function == "comm" && arguments.is_empty() {
            return self.named("comm", span);
        }
        check_count(function, arguments.len(), wanted, wanted, span)?;
        if function == "strftime" {
            let format = self.literal_text(&arguments[0])?;
            let value = self.value(&arguments[1])?;
            let name = String::from_utf8_lossy(&format).into_owned();
            return Ok(Operand::value(Code::Call(Function::FormatTime(name.into()), vec![value.code]), Ty::Time));
        }
        let values: Vec<Operand> = arguments.iter().map(|one| self.value(one)).collect::<Result<_, _>>()?;
        let first = values[0].ty.clone();
        let (name, ty) = match function {
            "strncmp" => (Function::CompareTexts, Ty::LONG),
            "strcontains" => (Function::Contains, Ty::Bool),
            "bswap" => match first {
                Ty::Integer(bytes, _) => (Function::ByteSwap(bytes), Ty::Integer(bytes, Sign::Unsigned)),
                other => {
                    let text =
                        format!("bswap() only supports integer arguments ({} provided)", self.types.name(&other));
                    return Err(Diagnostic::error(span, text));
                }
            },
            "macaddr" => (Function::MacAddress, Ty::Mac),
            "usym" => (Function::Symbol, Ty::Symbol),
            "uaddr" => (Function::SymbolAddress, Ty::ULONG),
            "comm" => (Function::CommOf, Ty::Text),
            "argv" => (Function::CommandLine, Ty::Text),
            "sockaddr" => (Function::SocketAddress, Ty::Text),
            "peer" => (Function::Peer, Ty::Text),
            _ => (Function::StdString, Ty::Text),
        };
        let texts = matches!(name, Function::CompareTexts | Function::Contains);
        if texts && values.iter().take(2).any(|one| !matches!(one.ty, Ty::Text | Ty::Buffer | Ty::Unknown)) {
            return Err(Diagnostic::error(span, format!("{function}() only supports string arguments")));
        }
        Ok(Operand::value(Code::Call(name, values.into_iter().map(|one| one.code).collect()), ty))
    }

    /// `str(pointer)`, `str(array)`, `str($1)`.
    pub(super) fn text(&mut self, arguments: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        if let (Some(name), [argument]) = (self.named_function_argument(&arguments[0]), arguments) {
            self.operand(argument)?;
            return Ok(Operand::value(Code::Call(Function::ArgumentText(name.into()), Vec::new()), Ty::Text));
        }
        if let (Some(text), [_]) = (self.end_of_parameter(&arguments[0]), arguments) {
            return Ok(Operand::value(Code::Text(text.into()), Ty::Text));
        }
        let operand = self.operand(&arguments[0])?;
        let mut codes = Vec::new();
        let is_text = operand.ty == Ty::Text;
        let pointer = match (&operand.ty, operand.place) {
            (Ty::Array(..), Place::Memory(_)) => operand.code,
            (Ty::Text, _) => self.load(operand, span)?.code,
            (Ty::Array(..), Place::Value) => Code::TextOf(Box::new(operand.code)),
            _ => {
                let value = self.load(operand, span)?;
                if !matches!(value.ty, Ty::Integer(..) | Ty::Pointer(_) | Ty::Unknown) {
                    let text = format!(
                        "str() expects a string, integer or a pointer type as first argument ({} provided)",
                        self.types.name(&value.ty)
                    );
                    return Err(Diagnostic::error(arguments[0].span, text));
                }
                // A parameter that was not given is an empty text.
                if let ExprKind::Parameter(number) = arguments[0].kind {
                    let given = self.options.parameters.get(number - 1).map_or("", String::as_str);
                    return Ok(Operand::value(Code::Text(given.as_bytes().into()), Ty::Text));
                }
                value.code
            }
        };
        if is_text && arguments.len() == 1 {
            return Ok(Operand::value(pointer, Ty::Text));
        }
        codes.push(pointer);
        if let Some(length) = arguments.get(1) {
            codes.push(self.value(length)?.code);
        }
        Ok(Operand::value(Code::Call(Function::Str, codes), Ty::Text))
    }

    /// `$1 + 2`: the parameter's text from its third letter on.
    fn end_of_parameter(&self, expression: &Expr) -> Option<Vec<u8>> {
        let ExprKind::Binary(BinaryOp::Add, parameter, skipped) = &expression.kind else { return None };
        let (ExprKind::Parameter(number), ExprKind::Integer(skipped)) = (&parameter.kind, &skipped.kind) else {
            return None;
        };
        let text = self.options.parameters.get(number - 1)?.as_bytes();
        Some(text.get(*skipped as usize..).unwrap_or_default().to_vec())
    }

    /// `buf(pointer, length)`, `buf(array)`.
    fn buffer(&mut self, arguments: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        let operand = self.operand(&arguments[0])?;
        let known = match &operand.ty {
            Ty::Array(..) => Some(self.types.size(&operand.ty)),
            _ => None,
        };
        let at = match operand.place {
            Place::Memory(_) if known.is_some() => operand.code,
            _ => self.load(operand, span)?.code,
        };
        let length = match (arguments.get(1), known) {
            (Some(length), _) => self.value(length)?.code,
            (None, Some(length)) => Code::Integer(length),
            (None, None) => {
                return Err(Diagnostic::error(span, "buf() expects a length argument for non-array type"));
            }
        };
        Ok(Operand::value(Code::Call(Function::Buf, vec![at, length]), Ty::Buffer))
    }

    /// `ntop(address)`, `ntop(family, address)`.
    fn address_text(&mut self, arguments: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        let (family, address) = match arguments {
            [address] => (Code::Integer(0), address),
            [family, address] => (self.value(family)?.code, address),
            _ => return Err(Diagnostic::error(span, "ntop() takes one or two arguments")),
        };
        let value = self.value(address)?;
        let fits = match &value.ty {
            Ty::Integer(..) | Ty::Unknown | Ty::Buffer => true,
            Ty::Array(of, count) => self.types.size(of) * count == 4 || self.types.size(of) * count == 16,
            Ty::Record(_) => matches!(self.types.size(&value.ty), 4 | 16),
            _ => false,
        };
        if !fits {
            let text = format!("ntop() expects an integer or array argument, got {}", self.types.name(&value.ty));
            return Err(Diagnostic::error(address.span, text));
        }
        Ok(Operand::value(Code::Call(Function::Ntop, vec![family, value.code]), Ty::Inet))
    }

    fn address_bytes(&mut self, argument: &Expr) -> Result<Operand, Diagnostic> {
        let text = String::from_utf8_lossy(&self.literal_text(argument)?).into_owned();
        let bytes: Vec<u8> = match text.parse() {
            Ok(std::net::IpAddr::V4(four)) => four.octets().to_vec(),
            Ok(std::net::IpAddr::V6(six)) => six.octets().to_vec(),
            Err(_) => {
                let text = format!("pton() expects a string argument of an IPv4 or IPv6 address, got {text}");
                return Err(Diagnostic::error(argument.span, text));
            }
        };
        let ty = Ty::Array(Ty::Integer(1, Sign::Unsigned).into(), bytes.len() as u64);
        Ok(Operand::value(Code::Text(bytes.into()), ty))
    }

    /// `ustack`, `ustack(3)`, `ustack(perf)`, `ustack(perf, 3)`.
    fn stack(&mut self, arguments: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        check_count("ustack", arguments.len(), 0, 2, span)?;
        let mut mode = self.config.stack_mode;
        let mut limit = Code::Integer(STACK_DEPTH);
        for argument in arguments {
            mode = match &argument.kind {
                ExprKind::Name(name) if name == "bpftrace" => StackMode::Bpftrace,
                ExprKind::Name(name) if name == "perf" => StackMode::Perf,
                ExprKind::Name(name) if name == "raw" || name == "build_id" => StackMode::Raw,
                _ => {
                    limit = Code::Integer(self.constant(argument)?);
                    continue;
                }
            };
        }
        Ok(Operand::value(Code::Call(Function::Stack(mode), vec![limit]), Ty::Stack(mode)))
    }

    fn register(&mut self, argument: &Expr) -> Result<Operand, Diagnostic> {
        let name = String::from_utf8_lossy(&self.literal_text(argument)?).into_owned();
        if !matches!(self.context.point, Point::Function { .. } | Point::Usdt { .. }) {
            return Err(wrong_probe("reg", &self.context.point, argument.span));
        }
        // The kernel's pt_regs has `di` for rdi, `ip` for rip.
        let long = match name.as_str() {
            "ax" | "bx" | "cx" | "dx" | "si" | "di" | "bp" | "sp" | "ip" => format!("r{name}"),
            "flags" => "eflags".to_owned(),
            other => other.to_owned(),
        };
        let register = Register::find(&long).ok_or_else(|| {
            Diagnostic::error(argument.span, format!("'{name}' is not a valid register on this architecture (x86_64)"))
        })?;
        Ok(Operand::value(Code::Builtin(Builtin::Register(register.number())), Ty::ULONG))
    }

    /// `has_key(@x, key)`, `delete(@x, key)`, `delete(@x[key])`, `delete(@x)`.
    fn key_call(&mut self, function: &str, arguments: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        check_count(function, arguments.len(), 1, 2, span)?;
        let ExprKind::Map(name, keys) = &arguments[0].kind else {
            let text = format!("{function}() expects a map argument");
            return Err(Diagnostic::error(arguments[0].span, text));
        };
        let keys: Vec<Expr> = match (arguments.get(1), keys.is_empty()) {
            (Some(key), true) => vec![key.clone()],
            (None, _) => keys.clone(),
            (Some(_), false) => {
                return Err(Diagnostic::error(span, format!("{function}() takes the map and the key apart")));
            }
        };
        let (map, key) = self.map_key(name, &keys, span)?;
        let name = if function == "delete" { Function::Delete(map) } else { Function::HasKey(map) };
        Ok(Operand::value(Code::Call(name, key.into_iter().map(|one| *one).collect()), Ty::Bool))
    }

    fn length(&mut self, argument: &Expr) -> Result<Operand, Diagnostic> {
        if let ExprKind::Map(name, keys) = &argument.kind {
            if keys.is_empty() {
                let map = self.map(name);
                self.read_map(map, argument.span)?;
                return Ok(Operand::value(Code::Call(Function::MapLength(map), Vec::new()), Ty::ULONG));
            }
        }
        let value = self.value(argument)?;
        match value.ty {
            Ty::Text | Ty::Buffer | Ty::Stack(_) | Ty::KernelStack | Ty::Array(..) | Ty::Unknown => {
                Ok(Operand::value(Code::Call(Function::Length, vec![value.code]), Ty::ULONG))
            }
            other => {
                let text =
                    format!("len() expects a map, stack or string argument ({} provided)", self.types.name(&other));
                Err(Diagnostic::error(argument.span, text))
            }
        }
    }

    fn clock(&mut self, arguments: &[Expr]) -> Result<Operand, Diagnostic> {
        let clock = match arguments.first().map(|one| (&one.kind, one.span)) {
            None => Clock::Boot,
            Some((ExprKind::Name(name), span)) => match name.as_str() {
                "boot" => Clock::Boot,
                "monotonic" => Clock::Monotonic,
                "tai" | "sw_tai" => Clock::Tai,
                "realtime" => Clock::Real,
                _ => return Err(Diagnostic::error(span, format!("Invalid timestamp mode: {name}"))),
            },
            Some((_, span)) => return Err(Diagnostic::error(span, "Invalid timestamp mode")),
        };
        Ok(Operand::value(Code::Call(Function::Clock(clock), Vec::new()), Ty::ULONG))
    }

    /// A text that is written out.
    pub(super) fn literal_text(&mut self, expression: &Expr) -> Result<Vec<u8>, Diagnostic> {
        match self.operand(expression)?.code {
            Code::Text(bytes) => Ok(bytes.to_vec()),
            _ => Err(Diagnostic::error(expression.span, "expected a string literal")),
        }
    }
}

fn is_function(name: &str) -> bool {
    matches!(name, "nsecs" | "ustack" | "kstack") || super::outputs::is_statement(name) || super::library::is_bare(name)
}

fn wrong_probe(what: &str, point: &Point, span: Span) -> Diagnostic {
    Diagnostic::error(span, format!("The {what} builtin can not be used with '{}' probes", point.kind()))
}
