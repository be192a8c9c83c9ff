//! What expressions have of text: `$_streq` and `$_strlen` of C strings, and comparisons of string objects.

use super::arith::UnaryOp;
use super::code::{Op, TextForm};
use super::compiler::Compiler;
use super::containers::{Key, Source};
use super::emitter::{Operand, OperandKind};
use super::lexer::TokenKind;
use super::operator::BinaryOp;
use super::{Fault, LangError, Span, Type, Value};

impl Compiler<'_> {
    /// One argument of a string function: a literal, or an address that is left on the stack.
    fn string_argument(&mut self) -> Result<Option<Vec<u8>>, LangError> {
        if let TokenKind::Text(text) = &self.token().kind {
            let text = text.clone();
            self.at += 1;
            return Ok(Some(text));
        }
        let value = self.value()?;
        if !value.ty.is_address() && !value.ty.is_integer() {
            return Err(Fault::NotPointer(value.ty).at(value.span));
        }
        Ok(None)
    }

    /// The `)` that ends the call that starts at `start`.
    fn end_call(&mut self, start: Span, name: &'static str, wanted: usize) -> Result<Span, LangError> {
        let span = start.to(self.span());
        if self.accept(")") {
            return Ok(span);
        }
        let comma = self.at_punct(",");
        let fault = Fault::Unexpected { wanted: "`)`", found: self.found_text() };
        Err(if comma { Fault::Arguments { name, wanted }.at(span) } else { fault.at(self.span()) })
    }

    /// `$_streq(A, B)`: whether two C strings are the same.
    pub(super) fn streq(&mut self, start: Span) -> Result<Operand, LangError> {
        self.require("(", "`(`")?;
        let left = self.string_argument()?;
        if !self.accept(",") {
            return Err(Fault::Arguments { name: "$_streq", wanted: 2 }.at(start.to(self.span())));
        }
        let right = self.string_argument()?;
        let span = self.end_call(start, "$_streq", 2)?;
        match (left, right) {
            (Some(left), Some(right)) => {
                return self.constant(Value::int(i32::from(until_nul(&left) == until_nul(&right))), span);
            }
            (Some(text), None) | (None, Some(text)) => {
                let index = self.emitter.text(until_nul(&text).to_vec());
                self.emitter.emit(Op::EqualsLiteral(index), span)?;
            }
            (None, None) => self.emitter.emit(Op::StringsEqual, span)?,
        }
        Ok(Operand { kind: OperandKind::Value, ty: Type::INT, span, origin: None })
    }

    /// `object == "text"` and `object != "text"`, of a string object whose address is on the stack and a literal that is
    /// next; `None`: it is something else.
    pub(super) fn text_comparison(&mut self, object: Operand, op: BinaryOp) -> Result<Option<Operand>, LangError> {
        let TokenKind::Text(text) = &self.token().kind else { return Ok(None) };
        let is_comparison = matches!(op, BinaryOp::Eq | BinaryOp::Ne) && object.kind == OperandKind::Memory;
        let form = object.origin.filter(|_| is_comparison).and_then(|ty| self.text_form(ty));
        let Some(form) = form else { return Ok(None) };
        let index = self.emitter.text(text.clone());
        let span = object.span.to(self.span());
        self.at += 1;
        self.emitter.emit(Op::ObjectEquals(form, index), span)?;
        if op == BinaryOp::Ne {
            self.emitter.emit(Op::Unary(UnaryOp::Not), span)?;
        }
        Ok(Some(Operand { kind: OperandKind::Value, ty: Type::INT, span, origin: None }))
    }

    /// `$_strlen(A)`.
    pub(super) fn strlen(&mut self, start: Span) -> Result<Operand, LangError> {
        self.require("(", "`(`")?;
        let text = self.string_argument()?;
        let span = self.end_call(start, "$_strlen", 1)?;
        if let Some(text) = text {
            return self.constant(Value::int(until_nul(&text).len() as i32), span);
        }
        self.emitter.emit(Op::StringLength, span)?;
        Ok(Operand { kind: OperandKind::Value, ty: Type::INT, span, origin: None })
    }
}

/// A C string ends at its first NUL.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or(&[])
}

/// Whether a string object has exactly this text.
pub(super) fn object_equals(source: &dyn Source, form: TextForm, text: &[u8]) -> Result<bool, Fault> {
    // Another length is told without a look at the letters.
    let (_, length) = form.place(source.object()?, source)?;
    let key = Key::Text { text, form };
    Ok(length == text.len() as u64 && key.compare(source.object()?, source)?.is_eq())
}
