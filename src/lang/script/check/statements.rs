//! Statements.

use super::super::super::Span;
use super::super::ast::{Expr, ExprKind, Stmt, StmtKind, Target};
use super::super::error::Diagnostic;
use super::super::program::{Action, Code, Key, MapId};
use super::super::types::{Aggregate, Series, SeriesValue, Sign, Ty};
use super::operand::Operand;
use super::Checker;
use crate::lang::operator::BinaryOp;

/// The most times that `unroll` repeats.
const UNROLL_LIMIT: u64 = 100;
/// The most intervals of a time series.
const SERIES_LIMIT: u64 = 10_000;

impl Checker<'_> {
    /// Compiles statements; what is wrong with one does not keep the next from being looked at.
    pub(super) fn statements(&mut self, body: &[Stmt]) -> Vec<Action> {
        let mut actions = Vec::new();
        for statement in body {
            if let Err(error) = self.statement(statement, &mut actions) {
                self.errors.push(error);
            }
        }
        actions
    }

    fn statement(&mut self, statement: &Stmt, into: &mut Vec<Action>) -> Result<(), Diagnostic> {
        let action = match &statement.kind {
            StmtKind::Expr(Expr { kind: ExprKind::Block(body, value), .. }) => {
                into.extend(self.statements(body));
                return value.iter().try_for_each(|value| {
                    let kind = StmtKind::Expr((**value).clone());
                    self.statement(&Stmt { kind, span: value.span }, into)
                });
            }
            StmtKind::Expr(expression) => self.expression_statement(expression)?,
            StmtKind::Assign { target, op, value } => self.assignment(target, *op, value, statement.span)?,
            StmtKind::Let { name, ty, value } => {
                let declared = match ty {
                    Some(ty) => self.resolve(ty)?,
                    None => Ty::Unknown,
                };
                let Some(value) = value else {
                    self.assign_variable(name, &declared, statement.span)?;
                    return Ok(());
                };
                let value = self.value(value)?;
                let slot = self.assign_variable(name, &declared, statement.span)?;
                match &declared {
                    Ty::Integer(bytes, sign) if value.ty.is_number() => {
                        let code = Code::Narrow(Box::new(value.code), *bytes, *sign);
                        Action::SetVariable(slot, code)
                    }
                    _ => {
                        self.assign_variable(name, &value.ty, statement.span)?;
                        Action::SetVariable(slot, value.code)
                    }
                }
            }
            StmtKind::If { condition, then, otherwise } => {
                return self.branch(condition, then, otherwise, into);
            }
            StmtKind::While { condition, body } => {
                let condition = self.condition(condition)?;
                Action::While(condition, self.in_loop(body))
            }
            StmtKind::Unroll { count, body } => {
                let times = self.constant(count)?;
                if !(1..=UNROLL_LIMIT).contains(&times) {
                    let (what, limit) = if times < 1 { ("minimum", 1) } else { ("maximum", UNROLL_LIMIT) };
                    return Err(Diagnostic::error(count.span, format!("unroll {what} value is {limit}")));
                }
                let body = self.statements(body);
                (0..times).for_each(|_| into.extend(body.iter().cloned()));
                return Ok(());
            }
            StmtKind::ForMap { variable, map, body } => self.for_map(variable, map, body, statement.span)?,
            StmtKind::ForRange { variable, from, to, body } => {
                let (start, end) = (self.value(from)?, self.value(to)?);
                for (side, name, span) in [(&start, "start", from.span), (&end, "end", to.span)] {
                    if !matches!(side.ty, Ty::Integer(..) | Ty::Unknown) {
                        let text = format!("Loop range requires an integer for the {name} value");
                        return Err(Diagnostic::error(span, text));
                    }
                }
                let slot = self.assign_variable(variable, &Ty::LONG, statement.span)?;
                Action::ForRange(slot, start.code, end.code, self.in_loop(body))
            }
            StmtKind::Block(body) => {
                into.extend(self.statements(body));
                return Ok(());
            }
            StmtKind::Return if self.value_blocks > 0 => {
                return Err(Diagnostic::error(statement.span, "return used inside of a block that has a value"));
            }
            StmtKind::Return => Action::Return,
            StmtKind::Break | StmtKind::Continue if self.loops == 0 => {
                let name = if matches!(statement.kind, StmtKind::Break) { "break" } else { "continue" };
                return Err(Diagnostic::error(statement.span, format!("{name} used outside of a loop")));
            }
            StmtKind::Break => Action::Break,
            StmtKind::Continue => Action::Continue,
        };
        into.push(action);
        Ok(())
    }

    fn in_loop(&mut self, body: &[Stmt]) -> Vec<Action> {
        self.loops += 1;
        let actions = self.statements(body);
        self.loops -= 1;
        actions
    }

    fn for_map(&mut self, variable: &str, map: &str, body: &[Stmt], span: Span) -> Result<Action, Diagnostic> {
        let id = self.map(map);
        let value = self.read_map(id, span)?;
        let info = self.maps[usize::from(id.0)].clone();
        if info.key.is_empty() && value != Ty::Unknown {
            let text = format!("{map} has no explicit keys (scalar map), and cannot be used for iteration");
            return Err(Diagnostic::error(span, text));
        }
        let value = match value {
            Ty::Aggregate(
                Aggregate::Histogram(_) | Aggregate::Linear { .. } | Aggregate::Stats(_) | Aggregate::Series(_),
            ) => {
                let text = format!("Loop expression does not support type: {}", self.types.name(&value));
                return Err(Diagnostic::error(span, text));
            }
            Ty::Aggregate(_) => Ty::LONG,
            other => other,
        };
        let key = match info.key.as_slice() {
            [one] => one.clone(),
            several => Ty::Tuple(several.into()),
        };
        let slot = self.assign_variable(variable, &Ty::Tuple([key, value].into()), span)?;
        Ok(Action::ForMap(slot, id, self.in_loop(body)))
    }

    /// A map's number and its key's code.
    pub(super) fn map_key(&mut self, name: &str, keys: &[Expr], span: Span) -> Result<(MapId, Key), Diagnostic> {
        let mut types = Vec::new();
        let mut codes = Vec::new();
        for key in keys {
            let value = self.value(key)?;
            if matches!(value.ty, Ty::Void | Ty::Aggregate(_)) {
                let text = format!("{} cannot be used as a map key", self.types.name(&value.ty));
                return Err(Diagnostic::error(key.span, text));
            }
            types.push(value.ty);
            codes.push(value.code);
        }
        // One key that is a tuple is the same as several keys.
        if let [Ty::Tuple(parts)] = types.as_slice() {
            types = parts.to_vec();
        }
        let id = self.map(name);
        self.use_keys(id, types, span)?;
        let key = match codes.len() {
            0 => None,
            1 => codes.pop().map(Box::new),
            _ => Some(Box::new(Code::Tuple(codes))),
        };
        Ok((id, key))
    }

    fn assignment(
        &mut self,
        target: &Target,
        op: Option<BinaryOp>,
        value: &Expr,
        span: Span,
    ) -> Result<Action, Diagnostic> {
        if let (Target::Map(name, keys), None, ExprKind::Call(function, arguments)) = (target, op, &value.kind) {
            if let Some((aggregate, code)) = self.aggregate(function, arguments, value.span)? {
                let (id, key) = self.map_key(name, keys, span)?;
                self.assign_map(id, &Ty::Aggregate(aggregate), span)?;
                let merged = match self.maps[usize::from(id.0)].value {
                    Ty::Aggregate(merged) => merged,
                    _ => aggregate,
                };
                return Ok(Action::Aggregate(id, key, merged, code));
            }
        }
        let whole;
        let value = match op {
            None => value,
            Some(op) => {
                let kind = match target {
                    Target::Variable(name) => ExprKind::Variable(name.clone()),
                    Target::Map(name, keys) => ExprKind::Map(name.clone(), keys.clone()),
                };
                let left = Expr { kind, span };
                whole = Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(value.clone())), span };
                if let Target::Map(name, keys) = target {
                    // `@x += 1` makes the map.
                    let (id, _) = self.map_key(name, keys, span)?;
                    if self.maps[usize::from(id.0)].value == Ty::Unknown {
                        self.assign_map(id, &Ty::LONG, span)?;
                    }
                    self.assigned[usize::from(id.0)] = true;
                }
                &whole
            }
        };
        let value = self.value(value)?;
        if value.ty == Ty::Void {
            return Err(Diagnostic::error(span, "Invalid expression for assignment"));
        }
        match target {
            Target::Variable(name) => {
                let slot = self.assign_variable(name, &value.ty, span)?;
                Ok(Action::SetVariable(slot, value.code))
            }
            Target::Map(name, keys) => {
                let (id, key) = self.map_key(name, keys, span)?;
                self.assign_map(id, &value.ty, span)?;
                Ok(Action::SetMap(id, key, value.code))
            }
        }
    }

    /// `count()`, `sum(x)`..: what goes into the map, if that is what is called.
    fn aggregate(
        &mut self,
        function: &str,
        arguments: &[Expr],
        span: Span,
    ) -> Result<Option<(Aggregate, Code)>, Diagnostic> {
        let (least, most) = match function {
            "count" => (0, 0),
            "sum" | "avg" | "min" | "max" | "stats" => (1, 1),
            "hist" => (1, 2),
            "lhist" => (4, 4),
            "tseries" => (3, 4),
            _ => return Ok(None),
        };
        super::calls::check_count(function, arguments.len(), least, most, span)?;
        if function == "count" {
            return Ok(Some((Aggregate::Count, Code::Integer(1))));
        }
        let value = self.value(&arguments[0])?;
        if !value.ty.is_number() && value.ty != Ty::Unknown {
            let text =
                format!("{function}() only supports integer arguments ({} provided)", self.types.name(&value.ty));
            return Err(Diagnostic::error(arguments[0].span, text));
        }
        let sign = if value.is_literal() { Sign::Signed } else { value.ty.sign() };
        let aggregate = match function {
            "sum" => Aggregate::Sum(sign),
            "avg" => Aggregate::Average(sign),
            "min" => Aggregate::Min(sign),
            "max" => Aggregate::Max(sign),
            "stats" => Aggregate::Stats(sign),
            "hist" => {
                let bits = arguments.get(1).map(|bits| self.constant(bits)).transpose()?.unwrap_or(0);
                if bits > 5 {
                    let text = format!("hist() requires a bits argument between 0 and 5 ({bits} provided)");
                    return Err(Diagnostic::error(arguments[1].span, text));
                }
                Aggregate::Histogram(bits as u8)
            }
            "tseries" => self.series(arguments, sign, span)?,
            _ => self.linear(arguments, span)?,
        };
        Ok(Some((aggregate, value.code)))
    }

    /// `tseries(value, interval, count, "max")`.
    fn series(&mut self, arguments: &[Expr], sign: Sign, span: Span) -> Result<Aggregate, Diagnostic> {
        let (interval, count) = (self.constant(&arguments[1])?, self.constant(&arguments[2])?);
        if (interval as i64) <= 0 {
            let text = format!("tseries() interval_ns must be >= 1 ({} provided)", interval as i64);
            return Err(Diagnostic::error(span, text));
        }
        if !(1..=SERIES_LIMIT).contains(&count) {
            let text = format!("tseries() num_intervals must be 1 to {SERIES_LIMIT} ({} provided)", count as i64);
            return Err(Diagnostic::error(span, text));
        }
        let name = arguments.get(3).map(|one| self.literal_text(one)).transpose()?;
        let value = match name.as_deref() {
            None => SeriesValue::Last,
            Some(b"avg") => SeriesValue::Mean,
            Some(b"min") => SeriesValue::Least,
            Some(b"max") => SeriesValue::Greatest,
            Some(b"sum") => SeriesValue::Sum,
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                let text = format!("tseries() expects one of the following aggregation functions: avg, max, min, sum (\"{other}\" provided)");
                return Err(Diagnostic::error(arguments[3].span, text));
            }
        };
        Ok(Aggregate::Series(Series { interval, count: count as u16, value, sign }))
    }

    fn linear(&mut self, arguments: &[Expr], span: Span) -> Result<Aggregate, Diagnostic> {
        let mut constants = [0i64; 3];
        for (into, argument) in constants.iter_mut().zip(&arguments[1..]) {
            *into = self.constant(argument)? as i64;
        }
        let [min, max, step] = constants;
        let error = |text: String| Err(Diagnostic::error(span, text));
        if step <= 0 {
            return error(format!("lhist() step must be >= 1 ({step} provided)"));
        }
        if min > max {
            return error("lhist() min must be less than max".into());
        }
        if (max - min) / step > 1000 {
            return error(format!("lhist() too many buckets, must be <= 1000 (would need {})", (max - min) / step));
        }
        Ok(Aggregate::Linear { min, max, step })
    }

    /// A number that is known now.
    pub(super) fn constant(&mut self, expression: &Expr) -> Result<u64, Diagnostic> {
        let value: Operand = self.value(expression)?;
        match value.code {
            Code::Integer(value) => Ok(value),
            _ => Err(Diagnostic::error(expression.span, "expected an integer literal")),
        }
    }
}
