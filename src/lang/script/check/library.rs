//! Functions of bpftrace's standard library that need nothing of the kernel's, and those that are refused.

use std::sync::Arc;

use super::super::super::Span;
use super::super::ast::{Expr, ExprKind, Stmt};
use super::super::error::Diagnostic;
use super::super::format::Format;
use super::super::program::{Action, Builtin, Code, Function};
use super::super::types::{Sign, Ty};
use super::calls::check_count;
use super::operand::{Operand, Place};
use super::Checker;
use crate::lang::operator::BinaryOp;

/// Numbers from here on are the kernel's errors when they stand for pointers.
const FIRST_ERROR: u64 = -4095i64 as u64;

/// Functions that are not there, and what to do instead.
const REFUSED: [(&str, &str); 24] = [
    ("assert_str", "is_str() tells it"),
    ("cgroup_path", "cgroup is the number, and cgroupid(\"/sys/fs/cgroup/..\") that of a path"),
    ("config", "the values are those of the script's config block"),
    ("container_of", "(struct T *)((uint64)pointer - offsetof(struct T, member)) is the same"),
    ("curtask", "pid, tid, comm and cpu tell of the task"),
    ("getopt", "$1, $2 .. are the script's parameters"),
    ("kaddr", "rdbg does not see the kernel's memory"),
    ("kfunc_allowed", "rdbg does not call the kernel's functions"),
    ("kfunc_exist", "rdbg does not call the kernel's functions"),
    ("kptr", "rdbg does not see the kernel's memory"),
    ("ksym", "rdbg does not see the kernel's memory"),
    ("numaid", "cpu is the processor"),
    ("override", "stop() opens the prompt at this hit, where `set $rax = ..` changes what is returned"),
    ("path", "rdbg does not see the kernel's memory"),
    ("percpu_kaddr", "rdbg does not see the kernel's memory"),
    ("signal_thread", "signal() sends it to the process"),
    ("skboutput", "rdbg does not see packets"),
    ("socket_cookie", "peer(fd) tells where a socket leads to"),
    ("strcap", "len() is the length of a text"),
    ("typeinfo", "print(sizeof(x)) tells the size"),
    ("unwatch", "a watchpoint stays until the trace ends"),
    ("write_user", "stop() opens the prompt at this hit, where `set var x = ..` writes"),
    ("ctx", "args has what a probe is given"),
    ("comptime", "if with a constant condition is decided when the script is read"),
];

/// Whether a name is a function of this file's that needs no argument.
pub(super) fn is_bare(name: &str) -> bool {
    let known = ["has_cpid", "leader_comm", "leader_tid", "pcomm", "usermode", "default_str_length"];
    known.contains(&name) || REFUSED.iter().any(|(refused, _)| *refused == name)
}

impl Checker<'_> {
    /// A function of the library; `None` for another.
    pub(super) fn library(
        &mut self,
        function: &str,
        arguments: &[Expr],
        span: Span,
    ) -> Result<Option<Operand>, Diagnostic> {
        if let Some((_, instead)) = REFUSED.iter().find(|(name, _)| *name == function) {
            return Err(Diagnostic::error(span, format!("{function}() is not supported")).with_hint(*instead));
        }
        let (least, most) = match function {
            "has_cpid" | "leader_comm" | "leader_tid" | "pcomm" | "usermode" | "default_str_length" => (0, 0),
            "is_str"
            | "is_integer"
            | "is_unsigned_integer"
            | "is_ptr"
            | "is_array"
            | "is_literal"
            | "is_err"
            | "uptr"
            | "cgroupid"
            | "strlen"
            | "strerror"
            | "signal_name"
            | "syscall_name" => (1, 1),
            "strstr" | "str_concat" => (2, 2),
            "memcmp" | "find" => (3, 3),
            _ => return Ok(None),
        };
        check_count(function, arguments.len(), least, most, span)?;
        let process_name = |of: Builtin| Code::Call(Function::CommOf, vec![Code::Builtin(of)]);
        let (code, ty) = match function {
            "has_cpid" => (Code::Truth(Box::new(Code::Builtin(Builtin::ChildPid))), Ty::Bool),
            "leader_comm" => (process_name(Builtin::Pid), Ty::Text),
            "leader_tid" => (Code::Builtin(Builtin::Pid), Ty::UINT),
            "pcomm" => (process_name(Builtin::ParentPid), Ty::Text),
            // A probe is hit in the program's own code, or at a system call's edge.
            "usermode" => (Code::Integer(1), Ty::Integer(1, Sign::Unsigned)),
            "default_str_length" => (Code::Integer(self.config.max_strlen as u64), Ty::ULONG),
            "is_err" => {
                let value = Box::new(self.number(function, &arguments[0])?);
                let error = Box::new(Code::Integer(FIRST_ERROR));
                (Code::Binary(BinaryOp::Ge, Sign::Unsigned, value, error), Ty::Bool)
            }
            "uptr" => return self.operand(&arguments[0]).map(Some),
            "cgroupid" => {
                let path = self.literal_text(&arguments[0])?;
                (Code::Call(Function::ControlGroupOf, vec![Code::Text(path.into())]), Ty::ULONG)
            }
            "strlen" => (Code::Call(Function::Length, vec![self.text_of(&arguments[0])?]), Ty::ULONG),
            "strerror" => (Code::Call(Function::ErrorText, vec![self.number(function, &arguments[0])?]), Ty::Text),
            "signal_name" => (Code::Call(Function::SignalName, vec![self.number(function, &arguments[0])?]), Ty::Text),
            "syscall_name" => (Code::Call(Function::CallName, vec![self.number(function, &arguments[0])?]), Ty::Text),
            "strstr" | "str_concat" => {
                let texts = vec![self.text_of(&arguments[0])?, self.text_of(&arguments[1])?];
                match function {
                    "strstr" => (Code::Call(Function::PositionOf, texts), Ty::LONG),
                    _ => (Code::Call(Function::Joined, texts), Ty::Text),
                }
            }
            "memcmp" => {
                let count = self.number(function, &arguments[2])?;
                let (left, right) = (self.bytes_of(&arguments[0], &count)?, self.bytes_of(&arguments[1], &count)?);
                (Code::Call(Function::CompareBytes, vec![left, right, count]), Ty::INT)
            }
            "find" => return self.find(arguments, span).map(Some),
            predicate => (Code::Integer(u64::from(self.type_is(predicate, &arguments[0])?)), Ty::Bool),
        };
        Ok(Some(Operand::value(code, ty)))
    }

    fn number(&mut self, function: &str, argument: &Expr) -> Result<Code, Diagnostic> {
        let value = self.value(argument)?;
        if value.ty.is_number() || value.ty == Ty::Unknown {
            return Ok(value.code);
        }
        let text = format!("{function}() only supports integer arguments ({} provided)", self.types.name(&value.ty));
        Err(Diagnostic::error(argument.span, text))
    }

    /// A text, or the one that a pointer points to.
    fn text_of(&mut self, argument: &Expr) -> Result<Code, Diagnostic> {
        Ok(self.text(std::slice::from_ref(argument), argument.span)?.code)
    }

    /// The bytes of a text or array, or so many where a pointer points to.
    fn bytes_of(&mut self, argument: &Expr, count: &Code) -> Result<Code, Diagnostic> {
        let operand = self.operand(argument)?;
        let is_address = operand.place == Place::Value && matches!(operand.ty, Ty::Pointer(_) | Ty::Integer(..));
        let value = self.load(operand, argument.span)?;
        match value.ty {
            Ty::Pointer(_) | Ty::Integer(..) if is_address => {
                Ok(Code::Call(Function::Buf, vec![value.code, count.clone()]))
            }
            Ty::Text | Ty::Buffer | Ty::Array(..) | Ty::Record(_) | Ty::Unknown => Ok(value.code),
            other => {
                let text =
                    format!("memcmp() compares texts, arrays and pointers ({} provided)", self.types.name(&other));
                Err(Diagnostic::error(argument.span, text))
            }
        }
    }

    /// What is known of a value when the script is read.
    fn type_is(&mut self, predicate: &str, argument: &Expr) -> Result<bool, Diagnostic> {
        let ty = self.operand(argument)?.ty;
        Ok(match predicate {
            "is_str" => ty == Ty::Text,
            "is_integer" => matches!(ty, Ty::Integer(..)),
            "is_unsigned_integer" => matches!(ty, Ty::Integer(_, Sign::Unsigned)),
            "is_ptr" => matches!(ty, Ty::Pointer(_)),
            "is_array" => matches!(ty, Ty::Array(..)),
            _ => matches!(argument.kind, ExprKind::Integer(_) | ExprKind::Bool(_) | ExprKind::Text(_)),
        })
    }

    /// `find(@x, key, $value)`: whether the key is there; its value is then the variable's.
    fn find(&mut self, arguments: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        let (ExprKind::Map(map, keys), ExprKind::Variable(variable)) = (&arguments[0].kind, &arguments[2].kind) else {
            return Err(Diagnostic::error(span, "find() takes a map, a key and a variable"));
        };
        if !keys.is_empty() {
            return Err(Diagnostic::error(arguments[0].span, "find() takes the map and the key apart"));
        }
        let found = self.map_value(map, std::slice::from_ref(&arguments[1]), span)?;
        let slot = self.assign_variable(variable, &found.ty, span)?;
        let Code::Map(id, Some(key)) = found.code else {
            return Err(Diagnostic::error(arguments[0].span, "find() takes a map with keys"));
        };
        Ok(Operand::value(Code::Call(Function::Find(id, slot), vec![*key]), Ty::Bool))
    }

    /// `assert`, `static_assert`, `fail`, `errorf`, `warnf`: what they do; `None` for another function.
    pub(super) fn complaint(
        &mut self,
        function: &str,
        arguments: &[Expr],
        span: Span,
    ) -> Result<Option<Action>, Diagnostic> {
        Ok(Some(match function {
            "errorf" | "warnf" => {
                let (format, values) = self.formatted(function, arguments, span)?;
                let kind = if function == "errorf" { "ERROR" } else { "WARNING" };
                Action::Tell(format!("{}: {kind}: ", self.source.place(span)).into(), format, values)
            }
            "assert" => {
                check_count(function, arguments.len(), 2, 2, span)?;
                let holds = self.condition(&arguments[0])?;
                let message = self.value(&arguments[1])?;
                let format = Format::parse(b"assert failed: %s", vec![message.ty], &self.types, span)?;
                let head = format!("{}: ERROR: ", self.source.place(span)).into();
                let complain = Action::Tell(head, Arc::new(format), vec![message.code]);
                Action::If(holds, Vec::new(), vec![complain, Action::Exit(Code::Integer(1))])
            }
            "static_assert" => {
                check_count(function, arguments.len(), 2, 2, span)?;
                if self.constant(&arguments[0])? == 0 {
                    let message = self.literal_text(&arguments[1])?;
                    return Err(Diagnostic::error(span, String::from_utf8_lossy(&message)));
                }
                Action::Evaluate(Code::Integer(1))
            }
            "fail" => return Err(Diagnostic::error(span, self.failure(arguments, span)?)),
            _ => return Ok(None),
        }))
    }

    /// The text of `fail`, whose arguments are all known now.
    fn failure(&mut self, arguments: &[Expr], span: Span) -> Result<String, Diagnostic> {
        let (format, values) = self.formatted("fail", arguments, span)?;
        let mut text = String::from_utf8_lossy(&format.texts[0]).into_owned();
        for (value, rest) in values.iter().zip(&format.texts[1..]) {
            match value {
                Code::Integer(number) => text.push_str(&(*number as i64).to_string()),
                Code::Text(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                _ => return Err(Diagnostic::error(span, "fail() takes literals only")),
            }
            text.push_str(&String::from_utf8_lossy(rest));
        }
        Ok(text)
    }

    /// The branches of an `if`: of one that is decided now only the one that is taken.
    pub(super) fn branch(
        &mut self,
        condition: &Expr,
        then: &[Stmt],
        otherwise: &[Stmt],
        into: &mut Vec<Action>,
    ) -> Result<(), Diagnostic> {
        match self.condition(condition)? {
            Code::Integer(value) => {
                into.extend(self.statements(if value != 0 { then } else { otherwise }));
            }
            code => into.push(Action::If(code, self.statements(then), self.statements(otherwise))),
        }
        Ok(())
    }
}
