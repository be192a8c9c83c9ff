//! Casts, and what types a script writes.

use super::super::super::Span;
use super::super::ast::{Expr, Stmt, TypeBase, TypeName};
use super::super::ctypes;
use super::super::error::Diagnostic;
use super::super::number::narrow;
use super::super::program::Code;
use super::super::types::Ty;
use super::operand::{Operand, Place};
use super::Checker;

impl Checker<'_> {
    /// What a written type means.
    pub(super) fn resolve(&mut self, name: &TypeName) -> Result<Ty, Diagnostic> {
        let base = match (&name.base, ctypes::base(&self.types, name)?) {
            (TypeBase::Of(expression), _) => self.operand(expression)?.ty,
            (_, base) => base.unwrap_or(Ty::Unknown),
        };
        if matches!(base, Ty::Text | Ty::Buffer) && !name.dims.is_empty() {
            let error = Diagnostic::error(name.span, "a text has no length of its own here");
            return Err(error.with_hint("str(pointer, length) and buf(pointer, length) read so many bytes"));
        }
        Ok(ctypes::suffixed(base, name))
    }

    pub(super) fn cast(&mut self, ty: Ty, inner: &Expr, span: Span) -> Result<Operand, Diagnostic> {
        let value = self.operand(inner)?;
        // An array's value as a number: its first bytes.
        if let (Place::Memory(_), Ty::Array(..), Ty::Integer(..)) = (value.place, &value.ty, &ty) {
            let operand = Operand { ty: ty.clone(), ..value };
            return self.load(operand, span);
        }
        let value = self.load(value, span)?;
        let is_number = value.ty.is_number() || matches!(value.ty, Ty::Unknown);
        match &ty {
            Ty::Integer(bytes, sign) if is_number => {
                let code = match value.code {
                    Code::Integer(number) => Code::Integer(narrow(number, *bytes, *sign)),
                    code if *bytes < 8 => Code::Narrow(Box::new(code), *bytes, *sign),
                    code => code,
                };
                Ok(Operand::value(code, ty))
            }
            Ty::Integer(bytes, sign) if matches!(value.ty, Ty::Buffer | Ty::Array(..)) => {
                let (of, bytes, sign) = (Box::new(value.code), *bytes, *sign);
                Ok(Operand::value(Code::Part { of, offset: 0, bytes, sign, bits: None }, ty))
            }
            Ty::Bool if is_number => Ok(Operand::value(Code::Truth(Box::new(value.code)), ty)),
            Ty::Pointer(_) | Ty::Enum(_) if is_number => Ok(Operand::value(value.code, ty)),
            Ty::Array(of, count) => match self.as_array(of, *count, &value) {
                Some(array) => Ok(array),
                None => Err(self.no_cast(&value.ty, &ty, span)),
            },
            _ if ty == value.ty => Ok(value),
            _ => Err(self.no_cast(&value.ty, &ty, span)),
        }
    }

    fn no_cast(&self, from: &Ty, to: &Ty, span: Span) -> Diagnostic {
        let text = format!("Cannot cast from \"{}\" to \"{}\"", self.types.name(from), self.types.name(to));
        Diagnostic::error(span, text)
    }

    /// The bytes of a number or a text as an array; one without a length is as long as they are.
    fn as_array(&self, of: &Ty, count: u64, value: &Operand) -> Option<Operand> {
        let element = self.types.size(of).max(1);
        let size = match (&value.ty, &value.code) {
            (Ty::Text, Code::Text(text)) => text.len() as u64 + 1,
            (Ty::Text, _) => count * element,
            (ty, _) if ty.is_number() => self.types.size(ty),
            (Ty::Array(..), _) => self.types.size(&value.ty),
            _ => return None,
        };
        let count = if count == 0 { size / element } else { count };
        let fits = count * element == size || (value.ty == Ty::Text && count * element >= size);
        (fits && count > 0 && matches!(of, Ty::Integer(..) | Ty::Bool)).then(|| {
            let code = Code::BytesOf(Box::new(value.code.clone()), (count * element) as u32);
            Operand::value(code, Ty::Array(of.clone().into(), count))
        })
    }

    pub(super) fn offset_of(&mut self, ty: &TypeName, path: &[String], span: Span) -> Result<Operand, Diagnostic> {
        let mut current = self.resolve(ty)?;
        let mut offset = 0;
        for name in path {
            let Ty::Record(record) = current else {
                let text = format!("'{}' is not a C type.", self.types.name(&current));
                return Err(Diagnostic::error(span, text));
            };
            let field = self.find_field(record, name, span)?;
            offset += field.offset;
            current = field.ty;
        }
        Ok(Operand::value(Code::Integer(offset), Ty::ULONG))
    }

    /// `{ .. ; value }`.
    pub(super) fn block_value(
        &mut self,
        body: &[Stmt],
        value: Option<&Expr>,
        span: Span,
    ) -> Result<Operand, Diagnostic> {
        let Some(value) = value else {
            let error = Diagnostic::error(span, "the block has no value");
            return Err(error.with_hint("its last expression is its value where no semicolon follows"));
        };
        let loops = std::mem::replace(&mut self.loops, 0);
        self.value_blocks += 1;
        let actions = self.statements(body);
        self.value_blocks -= 1;
        self.loops = loops;
        let value = self.value(value)?;
        Ok(match actions.is_empty() {
            true => value,
            false => Operand::value(Code::Block(actions, Box::new(value.code)), value.ty),
        })
    }
}
