//! Vector registers, their members and elements in expressions.

use super::compiler::Compiler;
use super::emitter::{Operand, OperandKind};
use super::types::Scalar;
use super::vector::{Shape, Vector};
use super::{Fault, LangError, Span, Type};

impl Compiler<'_> {
    /// The vector that an operand is.
    pub(super) fn vector_of(&self, operand: Operand) -> Option<Vector> {
        match operand.kind {
            OperandKind::Vector(index) => self.vectors.get(index as usize).cloned(),
            _ => None,
        }
    }

    /// `$xmm0`, or `$1` that was one.
    pub(super) fn vector_named(&mut self, name: &str, span: Span) -> Result<Option<Operand>, LangError> {
        if let Some(register) = self.names.vector(name) {
            if self.names.is_lost(register.id) {
                return Err(Fault::NotSaved.at(span));
            }
            return self.vector(Vector::Register(register), span).map(Some);
        }
        let kept = self.names.vector_value(name).map(|value| self.vector(Vector::Kept(value), span));
        kept.transpose()
    }

    /// A part of a vector: a number where the language has such numbers.
    fn vector(&mut self, vector: Vector, span: Span) -> Result<Operand, LangError> {
        if vector.shape().number().is_some() {
            return self.number(vector, span);
        }
        let ty = Type::scalar(Scalar::Opaque(vector.shape().size() as u32));
        self.vectors.push(vector);
        Ok(Operand { kind: OperandKind::Vector(self.vectors.len() as u32 - 1), ty, span, origin: None })
    }

    /// The number that a part is.
    fn number(&mut self, vector: Vector, span: Span) -> Result<Operand, LangError> {
        let refused = || Fault::NotNumber(vector.shape().type_name()).at(span);
        match &vector {
            Vector::Register(name) => {
                let register = Vector::register(*name).ok_or_else(refused)?;
                self.read_register(register, span)
            }
            Vector::Kept(value) => {
                let value = value.number().ok_or_else(refused)?;
                self.constant(value, span)
            }
        }
    }

    /// Its value to calculate with: an x87 register's as a `double`.
    pub(super) fn vector_number(&mut self, operand: Operand) -> Result<Operand, LangError> {
        let vector = self.vector_of(operand).ok_or_else(|| Fault::BadCode.at(operand.span))?;
        let operand = self.number(vector, operand.span)?;
        self.emitter.value(operand)
    }

    /// `.v4_float` behind one.
    pub(super) fn vector_member(&mut self, operand: Operand, name: &str, span: Span) -> Result<Operand, LangError> {
        let vector = self.vector_of(operand).ok_or_else(|| Fault::BadCode.at(span))?;
        let of = vector.shape().type_name();
        if !matches!(vector.shape(), Shape::Union(_)) {
            return Err(Fault::NoMembers(of).at(operand.span));
        }
        let member = vector.shape().member(name);
        let shape = member.ok_or_else(|| Fault::NoMember { name: name.to_owned(), of }.at(span))?;
        self.vector(vector.part(0, shape), span)
    }

    /// `index]` behind a row of elements and `[`.
    pub(super) fn vector_element(&mut self, operand: Operand) -> Result<Operand, LangError> {
        let vector = self.vector_of(operand).ok_or_else(|| Fault::BadCode.at(operand.span))?;
        let Shape::Row(element, count) = vector.shape() else {
            return Err(Fault::NoElements(vector.shape().type_name()).at(operand.span));
        };
        let mark = self.emitter.mark();
        let index = self.value()?;
        let value = self.emitter.constant_since(mark).filter(|value| value.ty().is_integer());
        self.emitter.rewind(mark);
        let span = operand.span.to(self.span());
        self.require("]", "`]`")?;
        let index = value.ok_or_else(|| Fault::VariableElement.at(index.span))?.as_i64();
        match u8::try_from(index).ok().filter(|index| *index < count) {
            Some(index) => self.vector(vector.part(usize::from(index) * element.size(), Shape::One(element)), span),
            None => Err(Fault::NoElement { index, count }.at(span)),
        }
    }
}
