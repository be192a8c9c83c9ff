//! Expressions: each gives an operand, a value or a thing in the program's memory that is read when its value is needed.

use super::super::super::Span;
use super::super::ast::{Expr, ExprKind, Target, UnaryOp};
use super::super::error::Diagnostic;
use super::super::program::{Builtin, Code};
use super::super::types::{Aggregate, Field, RecordId, Sign, Ty};
use super::{Checker, Phase};
use crate::lang::operator::BinaryOp;

/// No object in memory that is read whole is larger, bytes.
const LARGEST_OBJECT: u64 = 4096;

/// What an expression compiled to.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) code: Code,
    pub(super) ty: Ty,
    pub(super) place: Place,
}

/// What an operand's code gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The value.
    Value,
    /// The address at which the value lies; for a bit-field its first bit and width too.
    Memory(Option<(u8, u8)>),
}

impl Operand {
    pub(super) fn value(code: Code, ty: Ty) -> Operand {
        Operand { code, ty, place: Place::Value }
    }

    fn memory(at: Code, ty: Ty) -> Operand {
        Operand { code: at, ty, place: Place::Memory(None) }
    }

    /// A number that is written out and has no minus: it takes the sign of what it meets.
    pub(super) fn is_literal(&self) -> bool {
        matches!(self.code, Code::Integer(value) if value as i64 >= 0)
    }
}

impl Checker<'_> {
    /// An expression's value.
    pub(super) fn value(&mut self, expression: &Expr) -> Result<Operand, Diagnostic> {
        let operand = self.operand(expression)?;
        self.load(operand, expression.span)
    }

    /// Reads a thing in memory; arrays of `char` are texts.
    pub(super) fn load(&mut self, operand: Operand, span: Span) -> Result<Operand, Diagnostic> {
        let Place::Memory(bits) = operand.place else { return Ok(operand) };
        let at = Box::new(operand.code);
        let size = self.types.size(&operand.ty);
        Ok(match &operand.ty {
            Ty::Record(_) | Ty::Array(..) => {
                if size > LARGEST_OBJECT {
                    let text = format!("'{}' is too large to be read whole", self.types.name(&operand.ty));
                    return Err(Diagnostic::error(span, text));
                }
                let bytes = Code::LoadBytes { at, size: size as u32 };
                match &operand.ty {
                    Ty::Array(of, _) if **of == Ty::CHAR => Operand::value(Code::TextOf(Box::new(bytes)), Ty::Text),
                    _ => Operand::value(bytes, operand.ty),
                }
            }
            Ty::Void => return Err(Diagnostic::error(span, "Can not dereference a pointer to 'void'")),
            ty => {
                let (bytes, sign) = (size as u8, ty.sign());
                Operand::value(Code::Load { at, bytes, sign, bits }, operand.ty)
            }
        })
    }

    /// A condition: whether a value is something.
    pub(super) fn condition(&mut self, expression: &Expr) -> Result<Code, Diagnostic> {
        let value = self.value(expression)?;
        match value.ty {
            Ty::Text | Ty::Buffer | Ty::Void | Ty::Stack(_) | Ty::KernelStack | Ty::Record(_) => {
                let text = format!("Invalid condition: {}", self.types.name(&value.ty));
                Err(Diagnostic::error(expression.span, text))
            }
            _ => Ok(value.code),
        }
    }

    pub(super) fn operand(&mut self, expression: &Expr) -> Result<Operand, Diagnostic> {
        let span = expression.span;
        Ok(match &expression.kind {
            ExprKind::Integer(value) => {
                let sign = if *value > i64::MAX as u64 { Sign::Unsigned } else { Sign::Signed };
                Operand::value(Code::Integer(*value), Ty::Integer(8, sign))
            }
            ExprKind::Bool(value) => Operand::value(Code::Integer(u64::from(*value)), Ty::Bool),
            ExprKind::Text(bytes) => Operand::value(Code::Text(bytes.as_slice().into()), Ty::Text),
            ExprKind::Name(name) => self.named(name, span)?,
            ExprKind::Variable(name) => match self.variable(name) {
                Some(slot) => Operand::value(Code::Variable(slot), self.variables[usize::from(slot.0)].1.clone()),
                None => return Err(Diagnostic::error(span, format!("Undefined or undeclared variable: {name}"))),
            },
            ExprKind::Parameter(number) => self.parameter(*number),
            ExprKind::ParameterCount => Operand::value(Code::Integer(self.options.parameters.len() as u64), Ty::LONG),
            ExprKind::Map(name, keys) => self.map_value(name, keys, span)?,
            ExprKind::Unary(op, inner) => self.unary(*op, inner, span)?,
            ExprKind::Step { target, by, order } => self.step(target, *by, *order, span)?,
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right, span)?,
            ExprKind::Logical(op, left, right) => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                Operand::value(Code::Logical(*op, Box::new(left), Box::new(right)), Ty::Bool)
            }
            ExprKind::Conditional(condition, then, otherwise) => {
                let condition = self.condition(condition)?;
                let (then, otherwise) = (self.value(then)?, self.value(otherwise)?);
                let ty = self.merge(&then.ty, &otherwise.ty).ok_or_else(|| {
                    let (a, b) = (self.types.name(&then.ty), self.types.name(&otherwise.ty));
                    let text = format!("Branches must return the same type or compatible types: have '{a}' and '{b}'");
                    Diagnostic::error(span, text)
                })?;
                let parts = (Box::new(condition), Box::new(then.code), Box::new(otherwise.code));
                Operand::value(Code::Conditional(parts.0, parts.1, parts.2), ty)
            }
            ExprKind::Field(of, name) => self.field(of, name, span)?,
            ExprKind::TupleField(of, at) => self.tuple_field(of, *at, span)?,
            ExprKind::Index(of, index) => self.index(of, index, span)?,
            ExprKind::Call(function, arguments) => self.call(function, arguments, span)?,
            ExprKind::Cast(ty, inner) => {
                let ty = self.resolve(ty)?;
                self.cast(ty, inner, span)?
            }
            ExprKind::SizeOf(ty) => {
                let ty = self.resolve(ty)?;
                Operand::value(Code::Integer(self.types.size(&ty)), Ty::ULONG)
            }
            ExprKind::OffsetOf(ty, path) => self.offset_of(ty, path, span)?,
            ExprKind::Tuple(parts) => {
                let parts: Vec<Operand> = parts.iter().map(|part| self.value(part)).collect::<Result<_, _>>()?;
                let types: Vec<Ty> = parts.iter().map(|part| part.ty.clone()).collect();
                if let Some(Ty::Aggregate(one)) = types.iter().find(|ty| matches!(ty, Ty::Aggregate(_))) {
                    let text = format!("Map type {} cannot exist inside a tuple.", one.name());
                    return Err(Diagnostic::error(span, text));
                }
                let codes = parts.into_iter().map(|part| part.code).collect();
                Operand::value(Code::Tuple(codes), Ty::Tuple(types.into()))
            }
            ExprKind::Block(body, value) => self.block_value(body, value.as_deref(), span)?,
        })
    }

    /// `$1`: a number where it is one, else a text; 0 where it was not given.
    fn parameter(&mut self, number: usize) -> Operand {
        match self.options.parameters.get(number - 1) {
            None => Operand::value(Code::Integer(0), Ty::LONG),
            Some(text) => {
                let negative = text.strip_prefix('-').and_then(super::super::lexer::parse_integer);
                let value = super::super::lexer::parse_integer(text).or(negative.map(u64::wrapping_neg));
                match value {
                    Some(value) => Operand::value(Code::Integer(value), Ty::LONG),
                    None => Operand::value(Code::Text(text.as_bytes().into()), Ty::Text),
                }
            }
        }
    }

    pub(super) fn map_value(&mut self, name: &str, keys: &[Expr], span: Span) -> Result<Operand, Diagnostic> {
        let (id, key) = self.map_key(name, keys, span)?;
        let ty = self.read_map(id, span)?;
        let ty = match ty {
            Ty::Aggregate(
                aggregate @ (Aggregate::Histogram(_)
                | Aggregate::Linear { .. }
                | Aggregate::Stats(_)
                | Aggregate::Series(_)),
            ) => {
                let text = format!(
                    "Map value '{}' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. `{name} = {}(..)`.",
                    aggregate.name(),
                    aggregate.function()
                );
                return Err(Diagnostic::error(span, text));
            }
            Ty::Aggregate(Aggregate::Count) => Ty::ULONG,
            Ty::Aggregate(_) => Ty::Integer(8, ty.sign()),
            other => other,
        };
        Ok(Operand::value(Code::Map(id, key), ty))
    }

    fn unary(&mut self, op: UnaryOp, inner: &Expr, span: Span) -> Result<Operand, Diagnostic> {
        if op == UnaryOp::AddressOf {
            let operand = self.operand(inner)?;
            return match operand.place {
                Place::Memory(None) => Ok(Operand::value(operand.code, operand.ty.pointer())),
                _ => Err(Diagnostic::error(span, "the & operator takes something in the program's memory")),
            };
        }
        let value = self.value(inner)?;
        let wrong = |checker: &Self, sign: &str| {
            let text = format!(
                "The {sign} operator can not be used on expressions of types '{}'",
                checker.types.name(&value.ty)
            );
            Diagnostic::error(span, text)
        };
        match op {
            UnaryOp::Deref => match &value.ty {
                Ty::Pointer(to) => Ok(Operand::memory(value.code.clone(), (**to).clone())),
                Ty::Integer(..) | Ty::Unknown => Ok(Operand::memory(value.code.clone(), Ty::ULONG)),
                _ => Err(wrong(self, "*")),
            },
            UnaryOp::Not if value.ty.is_number() || value.ty == Ty::Unknown => {
                Ok(Operand::value(Code::Not(Box::new(value.code)), Ty::Bool))
            }
            UnaryOp::Not => Err(wrong(self, "!")),
            _ if !matches!(value.ty, Ty::Integer(..) | Ty::Bool | Ty::Enum(_) | Ty::Unknown) => {
                Err(wrong(self, if op == UnaryOp::Negate { "-" } else { "~" }))
            }
            UnaryOp::Negate => {
                let code = match value.code {
                    Code::Integer(number) => Code::Integer(number.wrapping_neg()),
                    code => Code::Negate(Box::new(code)),
                };
                Ok(Operand::value(code, Ty::LONG))
            }
            _ => {
                let sign = value.ty.sign();
                Ok(Operand::value(Code::Invert(Box::new(value.code)), Ty::Integer(8, sign)))
            }
        }
    }

    fn step(
        &mut self,
        target: &Target,
        by: super::super::ast::Step,
        order: super::super::ast::StepOrder,
        span: Span,
    ) -> Result<Operand, Diagnostic> {
        match target {
            Target::Variable(name) => {
                let Some(slot) = self.variable(name) else {
                    return Err(Diagnostic::error(span, format!("Undefined or undeclared variable: {name}")));
                };
                let ty = self.variables[usize::from(slot.0)].1.clone();
                let size = self.stride(&ty, span)?;
                Ok(Operand::value(Code::StepVariable { slot, by, order, size }, ty))
            }
            Target::Map(name, keys) => {
                let (map, key) = self.map_key(name, keys, span)?;
                let at = usize::from(map.0);
                if self.maps[at].value == Ty::Unknown {
                    self.assign_map(map, &Ty::LONG, span)?;
                }
                self.assigned[at] = true;
                let ty = self.maps[at].value.clone();
                let size = self.stride(&ty, span)?;
                Ok(Operand::value(Code::StepMap { map, key, by, order, size }, ty))
            }
        }
    }

    /// By how much a value moves when 1 is added.
    fn stride(&self, ty: &Ty, span: Span) -> Result<u64, Diagnostic> {
        match ty {
            Ty::Pointer(to) => Ok(self.types.size(to).max(1)),
            Ty::Integer(..) | Ty::Unknown => Ok(1),
            other => {
                let text =
                    format!("The ++ operator can not be used on expressions of types '{}'", self.types.name(other));
                Err(Diagnostic::error(span, text))
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Result<Operand, Diagnostic> {
        let (a, b) = (self.value(left)?, self.value(right)?);
        let known = |ty: &Ty| ty.is_number() || *ty == Ty::Unknown;
        if matches!(op, BinaryOp::Eq | BinaryOp::Ne) && !(known(&a.ty) && known(&b.ty)) {
            return self.sameness(op, a, b, span);
        }
        if !known(&a.ty) || !known(&b.ty) {
            let (x, y) = (self.types.name(&a.ty), self.types.name(&b.ty));
            let text = format!("Type mismatch for '{}': comparing {x} with {y}", op.text());
            return Err(Diagnostic::error(span, text));
        }
        let sign = sign_of(&a, &b);
        if let (Code::Integer(x), Code::Integer(y)) = (&a.code, &b.code) {
            if let Some(value) = super::super::number::apply(op, sign, *x, *y) {
                let ty = if op.is_comparison() { Ty::Bool } else { Ty::LONG };
                return Ok(Operand::value(Code::Integer(value), ty));
            }
        }
        let (a, b, ty) = self.scaled(op, a, b, sign);
        Ok(Operand::value(Code::Binary(op, sign, Box::new(a), Box::new(b)), ty))
    }

    /// Pointers move by the size of what they point to.
    fn scaled(&self, op: BinaryOp, a: Operand, b: Operand, sign: Sign) -> (Code, Code, Ty) {
        if op.is_comparison() {
            return (a.code, b.code, Ty::Bool);
        }
        let times = |code: Code, size: u64| match code {
            Code::Integer(value) => Code::Integer(value.wrapping_mul(size)),
            code => Code::Binary(BinaryOp::Mul, Sign::Unsigned, Box::new(code), Box::new(Code::Integer(size))),
        };
        match (op, &a.ty, &b.ty) {
            (BinaryOp::Add | BinaryOp::Sub, Ty::Pointer(to), Ty::Integer(..) | Ty::Bool) => {
                let size = self.types.size(to).max(1);
                (a.code, times(b.code, size), a.ty.clone())
            }
            (BinaryOp::Add, Ty::Integer(..), Ty::Pointer(to)) => {
                let size = self.types.size(to).max(1);
                (times(a.code, size), b.code, b.ty.clone())
            }
            (BinaryOp::Sub, _, _) => (a.code, b.code, Ty::LONG),
            _ => (a.code, b.code, Ty::Integer(8, sign)),
        }
    }

    /// `==` and `!=` of texts, tuples, bytes.
    fn sameness(&mut self, op: BinaryOp, a: Operand, b: Operand, span: Span) -> Result<Operand, Diagnostic> {
        let textual = |ty: &Ty| matches!(ty, Ty::Text | Ty::Buffer | Ty::User | Ty::Symbol | Ty::Inet);
        let fits = (textual(&a.ty) && textual(&b.ty)) || self.merge(&a.ty, &b.ty).is_some();
        if !fits {
            let (x, y) = (self.types.name(&a.ty), self.types.name(&b.ty));
            let text = format!("Type mismatch for '{}': comparing {x} with {y}", op.text());
            return Err(Diagnostic::error(span, text));
        }
        let same = Code::Same(Box::new(a.code), Box::new(b.code));
        let code = if op == BinaryOp::Eq { same } else { Code::Not(Box::new(same)) };
        Ok(Operand::value(code, Ty::Bool))
    }

    fn field(&mut self, of: &Expr, name: &str, span: Span) -> Result<Operand, Diagnostic> {
        if matches!(&of.kind, ExprKind::Name(one) if one == "args") {
            return self.args_field(name, span);
        }
        let operand = self.operand(of)?;
        let operand = match (&operand.ty, operand.place) {
            (Ty::Pointer(to), _) if matches!(**to, Ty::Record(_)) => {
                let target = (**to).clone();
                let pointer = self.load(operand, of.span)?;
                Operand::memory(pointer.code, target)
            }
            _ => operand,
        };
        let Ty::Record(record) = operand.ty else {
            if operand.ty == Ty::Unknown && self.phase == Phase::Infer {
                return Ok(Operand::value(Code::Integer(0), Ty::Unknown));
            }
            let text =
                format!("Can not access field '{name}' on expression of type '{}'", self.types.name(&operand.ty));
            return Err(Diagnostic::error(span, text));
        };
        let field = self.find_field(record, name, span)?;
        Ok(self.part(operand, field.offset, field.ty, field.bits))
    }

    pub(super) fn find_field(&self, record: RecordId, name: &str, span: Span) -> Result<Field, Diagnostic> {
        self.types.find_field(record, name).ok_or_else(|| {
            let text = format!("'{}' has no field named '{name}'", self.types.record(record).name);
            Diagnostic::error(span, text)
        })
    }

    /// A part of an object: of memory an address further on, of a value bytes out of it.
    fn part(&self, of: Operand, offset: u64, ty: Ty, bits: Option<(u8, u8)>) -> Operand {
        if let Place::Memory(_) = of.place {
            let code = match (of.code, offset) {
                (code, 0) => code,
                (Code::Integer(at), _) => Code::Integer(at.wrapping_add(offset)),
                (code, _) => {
                    Code::Binary(BinaryOp::Add, Sign::Unsigned, Box::new(code), Box::new(Code::Integer(offset)))
                }
            };
            return Operand { code, ty, place: Place::Memory(bits) };
        }
        let (of, offset) = (Box::new(of.code), offset as u32);
        let size = self.types.size(&ty);
        match &ty {
            Ty::Array(element, _) if **element == Ty::CHAR => {
                let bytes = Code::PartBytes { of, offset, size: size as u32 };
                Operand::value(Code::TextOf(Box::new(bytes)), Ty::Text)
            }
            _ if ty.is_object() => Operand::value(Code::PartBytes { of, offset, size: size as u32 }, ty),
            _ => {
                let sign = ty.sign();
                Operand::value(Code::Part { of, offset, bytes: size as u8, sign, bits }, ty)
            }
        }
    }

    fn tuple_field(&mut self, of: &Expr, at: usize, span: Span) -> Result<Operand, Diagnostic> {
        if self.is_function_args(of) {
            return Ok(self.function_argument(&at.to_string(), span));
        }
        let value = self.value(of)?;
        match &value.ty {
            Ty::Tuple(parts) => match parts.get(at) {
                Some(ty) => Ok(Operand::value(Code::TuplePart(Box::new(value.code), at as u8), ty.clone())),
                None => {
                    let text = format!("Invalid tuple index: {at}. Found {} elements in tuple.", parts.len());
                    Err(Diagnostic::error(span, text))
                }
            },
            Ty::Unknown if self.phase == Phase::Infer => {
                Ok(Operand::value(Code::TuplePart(Box::new(value.code), at as u8), Ty::Unknown))
            }
            other => {
                let text = format!("Can not access index '{at}' on expression of type '{}'", self.types.name(other));
                Err(Diagnostic::error(span, text))
            }
        }
    }

    fn index(&mut self, of: &Expr, index: &Expr, span: Span) -> Result<Operand, Diagnostic> {
        let operand = self.operand(of)?;
        let index_value = self.value(index)?;
        if !matches!(index_value.ty, Ty::Integer(..) | Ty::Unknown | Ty::Enum(_)) {
            return Err(Diagnostic::error(index.span, "The array index operator [] only accepts integer indices"));
        }
        if let (Ty::Tuple(_), Code::Integer(at)) = (&operand.ty, &index_value.code) {
            return self.tuple_field(of, *at as usize, span);
        }
        let (element, at_memory) = match &operand.ty {
            Ty::Array(element, count) => {
                if let Code::Integer(at) = index_value.code {
                    if at >= *count && *count > 0 {
                        let text = format!("the index {at} is out of bounds for array of size {count}");
                        return Err(Diagnostic::error(span, text));
                    }
                }
                ((**element).clone(), operand.place != Place::Value)
            }
            Ty::Pointer(to) if **to != Ty::Void => ((**to).clone(), true),
            Ty::Unknown if self.phase == Phase::Infer => return Ok(Operand::value(Code::Integer(0), Ty::Unknown)),
            other => {
                let text = format!(
                    "The array index operator [] can only be used on arrays and pointers, found {}.",
                    self.types.name(other)
                );
                return Err(Diagnostic::error(span, text));
            }
        };
        let size = self.types.size(&element);
        if !at_memory {
            let Code::Integer(at) = index_value.code else {
                return Err(Diagnostic::error(index.span, "an array that is held as a value needs a constant index"));
            };
            return Ok(self.part(operand, at.wrapping_mul(size), element, None));
        }
        let base = match operand.ty {
            Ty::Pointer(_) => self.load(operand, of.span)?.code,
            _ => operand.code,
        };
        let offset = match index_value.code {
            Code::Integer(at) => Code::Integer(at.wrapping_mul(size)),
            code => Code::Binary(BinaryOp::Mul, Sign::Unsigned, Box::new(code), Box::new(Code::Integer(size))),
        };
        let code = Code::Binary(BinaryOp::Add, Sign::Unsigned, Box::new(base), Box::new(offset));
        Ok(Operand::memory(code, element))
    }

    /// Whether an expression is the `args` of a function's entry.
    fn is_function_args(&self, expression: &Expr) -> bool {
        use super::super::point::{Point, Side};
        matches!(&expression.kind, ExprKind::Name(name) if name == "args")
            && matches!(self.context.point, Point::Function { side: Side::Entry, .. })
    }

    /// The argument of the function that an expression names.
    pub(super) fn named_function_argument(&self, expression: &Expr) -> Option<String> {
        match &expression.kind {
            ExprKind::Field(of, name) if self.is_function_args(of) => Some(name.clone()),
            ExprKind::TupleField(of, at) if self.is_function_args(of) => Some(at.to_string()),
            _ => None,
        }
    }

    /// `args.name` and `args.0` of a function.
    fn function_argument(&mut self, name: &str, span: Span) -> Operand {
        let name: std::sync::Arc<str> = name.into();
        self.context.named.push((name.clone(), span));
        let code = Code::Call(super::super::program::Function::NamedArgument(name), Vec::new());
        Operand::value(code, Ty::LONG)
    }

    /// `args->name`, `args.name`.
    fn args_field(&mut self, name: &str, span: Span) -> Result<Operand, Diagnostic> {
        use super::super::point::{Point, Side};
        if let Point::Function { side: Side::Entry, .. } = self.context.point {
            return Ok(self.function_argument(name, span));
        }
        let Some(at) = self.context.fields.iter().position(|(one, _)| one == name) else {
            let what = match &self.context.point {
                Point::Syscall { name, side } => {
                    let side = if *side == Side::Entry { "enter" } else { "exit" };
                    format!("struct _tracepoint_syscalls_sys_{side}_{name}")
                }
                Point::AnySyscall { .. } => "struct _tracepoint_raw_syscalls".into(),
                _ => {
                    return Err(Diagnostic::error(
                        span,
                        "The args builtin can only be used with tracepoints and uprobes",
                    ))
                }
            };
            let names: Vec<&str> = self.context.fields.iter().map(|(one, _)| one.as_str()).collect();
            return Err(Diagnostic::error(span, format!("'{what}' has no field named '{name}'"))
                .with_hint(format!("it has {}", names.join(", "))));
        };
        let ty = self.context.fields[at].1.clone();
        let builtin = match name {
            "ret" => Builtin::ReturnValue,
            "id" | "__syscall_nr" => Builtin::SyscallNumber,
            "args" => return Ok(Operand::memory(Code::Builtin(Builtin::SyscallArguments), ty)),
            _ => Builtin::SyscallArgument(at as u8),
        };
        let code = Code::Builtin(builtin);
        Ok(match &ty {
            Ty::Integer(bytes, sign) if *bytes < 8 => {
                Operand::value(Code::Narrow(Box::new(code), *bytes, *sign), ty.clone())
            }
            _ => Operand::value(code, ty),
        })
    }
}

/// The sign in which two numbers meet: unsigned only where both are; one that is written out takes the other's.
fn sign_of(a: &Operand, b: &Operand) -> Sign {
    match (a.is_literal(), b.is_literal()) {
        (true, false) => b.ty.sign(),
        (false, true) => a.ty.sign(),
        _ if a.ty.sign() == Sign::Unsigned && b.ty.sign() == Sign::Unsigned => Sign::Unsigned,
        _ => Sign::Signed,
    }
}
