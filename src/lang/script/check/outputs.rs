//! Functions that are statements: what prints, what changes maps, what ends the script.

use std::sync::Arc;

use super::super::super::Span;
use super::super::ast::{Expr, ExprKind};
use super::super::error::Diagnostic;
use super::super::format::Format;
use super::super::point::Point;
use super::super::program::{Action, Code, MapId};
use super::super::types::{Aggregate, Ty};
use super::calls::check_count;
use super::{Checker, Safety};

/// What `time()` prints when it is not told.
const TIME_FORMAT: &str = "%H:%M:%S\n";

/// Whether a function of that name is a statement.
pub(super) fn is_statement(name: &str) -> bool {
    matches!(
        name,
        "printf"
            | "print"
            | "time"
            | "cat"
            | "system"
            | "join"
            | "exit"
            | "clear"
            | "zero"
            | "signal"
            | "stop"
            | "errorf"
            | "warnf"
            | "assert"
            | "static_assert"
            | "fail"
    )
}

impl Checker<'_> {
    /// An expression that stands by itself.
    pub(super) fn expression_statement(&mut self, expression: &Expr) -> Result<Action, Diagnostic> {
        let span = expression.span;
        let (function, arguments): (&str, &[Expr]) = match &expression.kind {
            ExprKind::Call(name, arguments) => (name, arguments),
            ExprKind::Name(name) if is_statement(name) => (name, &[]),
            // What is chosen may be something to do.
            ExprKind::Conditional(condition, then, otherwise) => {
                let condition = self.condition(condition)?;
                let (then, otherwise) = (self.expression_statement(then)?, self.expression_statement(otherwise)?);
                return Ok(Action::If(condition, vec![then], vec![otherwise]));
            }
            _ => {
                let value = self.value(expression)?;
                return Ok(Action::Evaluate(value.code));
            }
        };
        if let Some(action) = self.complaint(function, arguments, span)? {
            return Ok(action);
        }
        let count = |least, most| check_count(function, arguments.len(), least, most, span);
        Ok(match function {
            "printf" => {
                let (format, values) = self.formatted(function, arguments, span)?;
                Action::Printf(format, values)
            }
            "cat" => {
                let (format, values) = self.formatted(function, arguments, span)?;
                Action::Cat(format, values)
            }
            "system" => {
                self.needs_unsafe(function, span)?;
                let (format, values) = self.formatted(function, arguments, span)?;
                Action::System(format, values)
            }
            "print" => self.print(arguments, span)?,
            "time" => {
                count(0, 1)?;
                Action::Time(self.text_or(arguments.first(), TIME_FORMAT)?)
            }
            "join" => {
                count(1, 2)?;
                let array = self.value(&arguments[0])?;
                Action::Join(array.code, self.text_or(arguments.get(1), " ")?)
            }
            "exit" => {
                count(0, 1)?;
                Action::Exit(self.exit_status(arguments.first())?)
            }
            "clear" => {
                count(1, 1)?;
                Action::Clear(self.whole_map(function, &arguments[0], span)?)
            }
            "zero" => {
                count(1, 1)?;
                Action::Zero(self.whole_map(function, &arguments[0], span)?)
            }
            "stop" => {
                count(0, 0)?;
                self.stop(span)?
            }
            "signal" => {
                count(1, 1)?;
                self.needs_unsafe(function, span)?;
                Action::Signal(self.signal_number(&arguments[0])?)
            }
            _ => Action::Evaluate(self.value(expression)?.code),
        })
    }

    /// A literal text, or what it is where it is left out.
    fn text_or(&mut self, argument: Option<&Expr>, default: &str) -> Result<Arc<str>, Diagnostic> {
        let Some(argument) = argument else { return Ok(default.into()) };
        Ok(String::from_utf8_lossy(&self.literal_text(argument)?).into())
    }

    fn exit_status(&mut self, argument: Option<&Expr>) -> Result<Code, Diagnostic> {
        let Some(argument) = argument else { return Ok(Code::Integer(0)) };
        let value = self.value(argument)?;
        if !value.ty.is_number() && value.ty != Ty::Unknown {
            let text = format!("exit() only supports int arguments ({} provided)", self.types.name(&value.ty));
            return Err(Diagnostic::error(argument.span, text));
        }
        Ok(value.code)
    }

    /// The map that is meant as a whole, not one of its values.
    fn whole_map(&mut self, function: &str, argument: &Expr, span: Span) -> Result<MapId, Diagnostic> {
        let ExprKind::Map(name, keys) = &argument.kind else {
            return Err(Diagnostic::error(span, format!("{function}() expects a map to be provided")));
        };
        if !keys.is_empty() {
            let text = format!("The map passed to {function}() should not be indexed by a key");
            return Err(Diagnostic::error(span, text));
        }
        let map = self.map(name);
        self.read_map(map, argument.span)?;
        Ok(map)
    }

    fn stop(&self, span: Span) -> Result<Action, Diagnostic> {
        if self.value_blocks > 0 {
            return Err(Diagnostic::error(span, "stop() used inside of a block that has a value"));
        }
        match &self.context.point {
            Point::Function { .. }
            | Point::Usdt { .. }
            | Point::Syscall { .. }
            | Point::AnySyscall { .. }
            | Point::Accepted => Ok(Action::Stop),
            other => {
                let text = format!("stop() can not be used with '{}' probes", other.kind());
                Err(Diagnostic::error(span, text).with_hint("it stops a thread at a function or in a system call"))
            }
        }
    }

    fn needs_unsafe(&self, function: &str, span: Span) -> Result<(), Diagnostic> {
        if self.options.safety == Safety::Unsafe {
            return Ok(());
        }
        let text = format!("{function}() is an unsafe function being used in safe mode");
        Err(Diagnostic::error(span, text).with_hint("--unsafe allows it"))
    }

    fn signal_number(&mut self, argument: &Expr) -> Result<Code, Diagnostic> {
        let value = self.value(argument)?;
        match value.code {
            Code::Text(name) => {
                let name = String::from_utf8_lossy(&name).into_owned();
                match crate::base::Signal::find_by_name(&name) {
                    Some(signal) => Ok(Code::Integer(signal.0 as u64)),
                    None => Err(Diagnostic::error(argument.span, format!("{name} is not a valid signal"))),
                }
            }
            code if value.ty.is_number() => Ok(code),
            _ => Err(Diagnostic::error(argument.span, "signal() only supports string literals or integers")),
        }
    }

    pub(super) fn formatted(
        &mut self,
        function: &str,
        arguments: &[Expr],
        span: Span,
    ) -> Result<(Arc<Format>, Vec<Code>), Diagnostic> {
        let Some((format, rest)) = arguments.split_first() else {
            return Err(Diagnostic::error(span, format!("{function}() requires at least one argument (0 provided)")));
        };
        let ExprKind::Text(text) = &format.kind else {
            return Err(Diagnostic::error(
                format.span,
                format!("{function}() expects a string literal as first argument"),
            ));
        };
        let (mut types, mut codes) = (Vec::new(), Vec::new());
        for argument in rest {
            let value = self.value(argument)?;
            types.push(value.ty);
            codes.push(value.code);
        }
        let format = Format::parse(text, types, &self.types, span)?;
        Ok((Arc::new(format), codes))
    }

    /// `print(@x)`, `print(@x, top, div)`, `print(value)`.
    fn print(&mut self, arguments: &[Expr], span: Span) -> Result<Action, Diagnostic> {
        check_count("print", arguments.len(), 1, 3, span)?;
        if let ExprKind::Map(name, keys) = &arguments[0].kind {
            let known = self.map_ids.get(name).map(|id| self.maps[usize::from(id.0)].clone());
            if keys.is_empty() {
                let map = self.map(name);
                self.read_map(map, arguments[0].span)?;
                let mut limits = arguments[1..].iter().map(|one| self.value(one).map(|value| value.code));
                let top = limits.next().transpose()?;
                let divide = limits.next().transpose()?;
                return Ok(Action::PrintMap { map, top, divide });
            }
            if let Some(Ty::Aggregate(
                one @ (Aggregate::Histogram(_) | Aggregate::Linear { .. } | Aggregate::Series(_)),
            )) = known.map(|one| one.value)
            {
                let text = format!(
                    "Map type {} cannot print the value of individual keys. You must print the whole map.",
                    one.name()
                );
                return Err(Diagnostic::error(span, text));
            }
        }
        if arguments.len() > 1 {
            let text = format!("Non-map print() only takes 1 argument, {} found", arguments.len());
            return Err(Diagnostic::error(span, text));
        }
        let value = self.value(&arguments[0])?;
        if value.ty == Ty::Void {
            return Err(Diagnostic::error(arguments[0].span, "print() takes a value"));
        }
        Ok(Action::Print(value.ty, value.code))
    }
}
