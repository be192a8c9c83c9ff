//! Elements of the libraries' containers, and those of their classes' functions that are answered from the object's bytes:
//! `queue[5]`, `words["a"].first`, `items.size()`, `shared.get()`. Nothing is called in the program.

use crate::binary::dwarf::{Shape, TypeId, Types};

use super::code::{Answer, Container, End, KeyFrom, Op};
use super::compiler::Compiler;
use super::containers::{Bits, Entry, KeyKind, Keyed, Sequence};
use super::debug::DebugType;
use super::emitter::{Operand, OperandKind};
use super::lexer::TokenKind;
use super::library::{text_form_of, Use};
use super::operator::BinaryOp;
use super::{Fault, LangError, Span, Type, Value};

/// An object of a container that is known.
#[derive(Clone, Copy)]
struct Known {
    /// Its class.
    ty: DebugType,
    container: Container,
    /// Of a keyed container: what its elements are made of.
    entry: Option<Entry>,
}

impl Compiler<'_> {
    /// `[index]` or `[key]` of the container whose address is on the stack, from behind the bracket on; `None`: it is none
    /// that is known.
    pub(super) fn contained_element(&mut self, object: Operand) -> Result<Option<Operand>, LangError> {
        let Some(known) = self.known(object) else { return Ok(None) };
        let is_indexed = match known.container {
            Container::Sequence(one) => one.is_indexed(),
            Container::Bits(_) => true,
            Container::Keyed(one, ..) => one.is_unique() && known.entry.is_some_and(|entry| entry.mapped.is_some()),
        };
        if !is_indexed {
            return Ok(None);
        }
        self.element_of(object, known, "]", "`]`").map(Some)
    }

    /// `(..)` behind the name of a function of a library's object whose address is on the stack; `None`: it is of no class
    /// that is known.
    pub(super) fn method(&mut self, object: Operand, name: &str, span: Span) -> Result<Option<Operand>, LangError> {
        let Some(ty) = object.origin.filter(|_| object.kind == OperandKind::Memory) else { return Ok(None) };
        let ty = self.defined(ty);
        let known = self.known(object);
        let is_optional = self.engaged_flag(ty).is_some();
        if known.is_none() && !is_optional && !self.is_pointer_object(ty) {
            return Ok(None);
        }
        self.at += 1;
        let answered = match known {
            Some(known) => self.container_function(object, known, name, span)?,
            None if is_optional => self.optional_function(object, ty, name, span)?,
            None if name == "get" => {
                self.end_of_call()?;
                let part = self.library_part(object, Use::Target, span)?.ok_or(Fault::BadCode.at(span))?;
                Some(self.rvalue(part)?)
            }
            None => None,
        };
        answered.map(Some).ok_or_else(|| Fault::UnknownMethod(name.to_owned()).at(span))
    }

    fn known(&self, object: Operand) -> Option<Known> {
        let ty = self.defined(object.origin.filter(|_| object.kind == OperandKind::Memory)?);
        let (container, entry) = self.look(ty, container_of).flatten()?;
        Some(Known { ty, container, entry })
    }

    /// An element by its number or key, up to what closes that.
    fn element_of(
        &mut self,
        object: Operand,
        known: Known,
        close: &'static str,
        wanted: &'static str,
    ) -> Result<Operand, LangError> {
        if let (Container::Keyed(..), Some(entry)) = (known.container, known.entry) {
            let from = self.key(known, entry)?;
            let span = object.span.to(self.span());
            self.require(close, wanted)?;
            let container = self.emitter.container(known.container);
            self.emitter.emit(Op::Find(container, from, Answer::Place), span)?;
            let (distance, id) = entry.mapped.unwrap_or(entry.key);
            self.add(distance, span)?;
            return self.in_memory(DebugType { id, ..known.ty }, span);
        }
        let index = self.value()?;
        if !index.ty.is_integer() {
            let object = object.ty;
            return Err(Fault::Operands { operator: "[]", left: object, right: index.ty }.at(index.span));
        }
        self.emitter.cast(index, Type::LONG, index.span)?;
        let span = object.span.to(self.span());
        self.require(close, wanted)?;
        let container = self.emitter.container(known.container);
        self.emitter.emit(Op::Element(container), span)?;
        self.found_element(known, span)
    }

    /// The element whose address, or of a vector of bool whose value, is on the stack.
    fn found_element(&mut self, known: Known, span: Span) -> Result<Operand, LangError> {
        match known.container {
            Container::Sequence(one) => self.in_memory(DebugType { id: one.of, ..known.ty }, span),
            _ => Ok(Operand { kind: OperandKind::Value, ty: Type::BOOL, span, origin: None }),
        }
    }

    /// A key: a literal, or a number that is left on the stack.
    fn key(&mut self, known: Known, entry: Entry) -> Result<KeyFrom, LangError> {
        let Container::Keyed(_, kind, _) = known.container else { return Err(Fault::BadCode.at(self.span())) };
        let ty = DebugType { id: entry.key.1, ..known.ty };
        let of = |compiler: &Self| compiler.look(ty, |types, id| types.name(id)).unwrap_or_else(|| "?".to_owned());
        let span = self.span();
        match (kind, self.token().kind.clone()) {
            (Some(KeyKind::Text(_)), TokenKind::Text(text)) => {
                self.at += 1;
                Ok(KeyFrom::Text(self.emitter.text(text)))
            }
            (Some(KeyKind::Text(_)), _) => Err(Fault::KeyForm { of: of(self), wanted: "a literal: \"text\"" }.at(span)),
            (Some(KeyKind::Number { .. }), TokenKind::Text(_)) => {
                Err(Fault::KeyForm { of: of(self), wanted: "a number" }.at(span))
            }
            (Some(KeyKind::Number { .. }), _) => {
                let value = self.value()?;
                self.emitter.cast(value, self.arithmetic(ty), span)?;
                Ok(KeyFrom::Stack)
            }
            (None, _) => Err(Fault::KeyType(of(self)).at(span)),
        }
    }

    fn container_function(
        &mut self,
        object: Operand,
        known: Known,
        name: &str,
        span: Span,
    ) -> Result<Option<Operand>, LangError> {
        let sequence = match known.container {
            Container::Sequence(one) => Some(one),
            _ => None,
        };
        let is_keyed = matches!(known.container, Container::Keyed(..));
        match name {
            "size" | "length" | "empty" => {
                self.end_of_call()?;
                let container = self.emitter.container(known.container);
                self.emitter.emit(Op::Count(container), span)?;
                if name != "empty" {
                    return Ok(Some(Operand { kind: OperandKind::Value, ty: Type::ULONG, span, origin: None }));
                }
                self.emitter.push(Value::from_raw(0, Type::ULONG), span)?;
                self.emitter.emit(Op::Binary(BinaryOp::Eq), span)?;
                self.truth(span).map(Some)
            }
            "front" | "back" if !is_keyed => {
                self.end_of_call()?;
                let container = self.emitter.container(known.container);
                let end = if name == "front" { End::First } else { End::Last };
                self.emitter.emit(Op::End(container, end), span)?;
                self.found_element(known, span).map(Some)
            }
            "data" | "c_str" if sequence.is_some_and(|one| one.is_contiguous()) => {
                self.end_of_call()?;
                let container = self.emitter.container(known.container);
                self.emitter.emit(Op::Start(container), span)?;
                let of = sequence.map_or(known.ty.id, |one| one.of);
                let element = self.arithmetic(DebugType { id: of, ..known.ty });
                let ty = element.pointer().map_err(|fault| fault.at(span))?;
                self.emitter.emit(Op::Cast(ty), span)?;
                let origin = Some(DebugType { id: of.pointer(), ..known.ty });
                Ok(Some(Operand { kind: OperandKind::Value, ty, span, origin }))
            }
            "at" if !is_keyed || known.entry.is_some_and(|entry| entry.mapped.is_some()) => {
                if sequence.is_some_and(|one| !one.is_indexed()) {
                    return Ok(None);
                }
                self.element_of(object, known, ")", "`)`").map(Some)
            }
            "contains" | "count" => {
                let (Container::Keyed(keyed, ..), Some(entry)) = (known.container, known.entry) else {
                    return Ok(None);
                };
                if name == "count" && !keyed.is_unique() {
                    return Ok(None);
                }
                let from = self.key(known, entry)?;
                self.require(")", "`)`")?;
                let container = self.emitter.container(known.container);
                self.emitter.emit(Op::Find(container, from, Answer::Presence), span)?;
                let is_there = self.truth(span)?;
                match name {
                    "count" => self.emitter.cast(is_there, Type::ULONG, span).map(Some),
                    _ => Ok(Some(is_there)),
                }
            }
            _ => Ok(None),
        }
    }

    fn optional_function(
        &mut self,
        object: Operand,
        ty: DebugType,
        name: &str,
        span: Span,
    ) -> Result<Option<Operand>, LangError> {
        match name {
            "value" => {
                self.end_of_call()?;
                self.library_part(object, Use::Target, span)
            }
            "has_value" => {
                self.end_of_call()?;
                self.add(self.engaged_flag(ty).unwrap_or(0).into(), span)?;
                self.emitter.emit(Op::Load(Type::BOOL), span)?;
                self.truth(span).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The truth value on the stack, as C++'s.
    fn truth(&mut self, span: Span) -> Result<Operand, LangError> {
        self.emitter.emit(Op::Cast(Type::BOOL), span)?;
        Ok(Operand { kind: OperandKind::Value, ty: Type::BOOL, span, origin: None })
    }

    fn end_of_call(&mut self) -> Result<(), LangError> {
        self.require(")", "`)`")
    }
}

/// A container's layout, and what its elements are made of.
fn container_of(types: &Types<'_>, id: TypeId) -> Option<(Container, Option<Entry>)> {
    if types.view(id).shape != Shape::Record {
        return None;
    }
    if let Some(bits) = Bits::of(types, id) {
        return Some((Container::Bits(bits), None));
    }
    if let Some(sequence) = Sequence::of(types, id) {
        return Some((Container::Sequence(sequence), None));
    }
    let keyed = Keyed::of(types, id)?;
    let entry = keyed.entry(types)?;
    let (distance, key) = entry.key;
    let kind = text_form_of(types, key).map(KeyKind::Text).or_else(|| KeyKind::of_number(types, key));
    Some((Container::Keyed(keyed, kind, distance), Some(entry)))
}
