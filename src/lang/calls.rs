//! Calls of the program's functions in an expression.
//!
//! A call is made while the text is compiled, as what it gives has to be known: its arguments are evaluated, and whoever
//! implements [`Calls`] answers, or says that the answer comes later and the text is then to be compiled anew. What need
//! not be evaluated, as the right side of `&&`, calls nothing.

use super::compiler::Compiler;
use super::debug::DebugType;
use super::emitter::{Operand, OperandKind};
use super::lexer::TokenKind;
use super::typed::{Held, TypedValue};
use super::{machine, Environment, Fault, Found, LangError, Span, Value};
use crate::base::VirtAddr;
use crate::binary::dwarf::Shape;

/// What is called.
#[derive(Clone, PartialEq, Debug)]
pub enum Callee {
    /// A function by its name: another that is called so may be meant.
    Named {
        /// As written.
        name: String,
        /// One of that name.
        at: VirtAddr,
    },
    /// A function by its address.
    Pointed {
        /// Its first instruction.
        at: VirtAddr,
        /// The function's type, if it is described.
        ty: Option<DebugType>,
    },
    /// A member function.
    Method {
        /// As written, without a class.
        name: String,
        /// The class of the object that it is called for.
        class: DebugType,
        /// The object.
        object: VirtAddr,
    },
}

/// An argument of a call.
#[derive(Clone, Debug)]
pub enum CallArgument {
    /// A number or pointer.
    Number {
        /// Its value.
        value: Value,
        /// Its type, if it is described.
        ty: Option<DebugType>,
        /// Where it is, if that is in memory.
        place: Option<VirtAddr>,
    },
    /// A record.
    Object {
        /// It.
        value: TypedValue,
        /// The module of its type.
        module: u16,
    },
    /// A string literal, without its NUL.
    Text(Vec<u8>),
}

/// What is wanted of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallPurpose {
    /// What it returns.
    Result,
    /// Only what type that has: any value of it does.
    Type,
}

/// What a call gives.
#[derive(Clone, Debug)]
pub enum CallResult {
    /// A value of a described type.
    Described {
        /// The value.
        value: TypedValue,
        /// The module of its type.
        module: u16,
    },
    /// A number, where no type is described.
    Plain(Value),
}

/// Makes calls.
pub trait Calls {
    /// What arguments are evaluated in.
    fn environment(&self) -> &dyn Environment;

    /// What a condition came to when it was evaluated first, as it does `now`, or has done before the text was compiled anew.
    fn decide(&self, now: bool) -> bool;

    /// The result of a call. [`Fault::CallPending`]: it is to be made first.
    fn call(&self, callee: &Callee, arguments: &[CallArgument], purpose: CallPurpose) -> Result<CallResult, Fault>;
}

impl<'a> Compiler<'a> {
    /// Whether the text may call functions.
    fn calls(&self, span: Span) -> Result<&'a dyn Calls, LangError> {
        self.names.calls().ok_or_else(|| Fault::Call.at(span))
    }

    /// What the code so far leaves on top of the stack. Jumps whose targets are not known yet are never taken there: what
    /// lies behind one that is taken is not evaluated.
    fn value_now(&self, calls: &dyn Calls) -> Result<Value, LangError> {
        let code = self.emitter.so_far();
        machine::run(code, code.ops.len(), calls.environment())
    }

    /// Whether the condition whose code begins at `mark` holds, where functions may be called: then that is settled now,
    /// whatever a call changes, and the code becomes what it came to.
    pub(super) fn decide(&mut self, span: Span, mark: (usize, usize)) -> Result<Option<bool>, LangError> {
        let Some(calls) = self.names.calls().filter(|_| self.unevaluated == 0) else { return Ok(None) };
        let decided = calls.decide(self.value_now(calls)?.is_true());
        self.emitter.rewind(mark);
        self.emitter.push(Value::int(i32::from(decided)), span)?;
        Ok(Some(decided))
    }

    /// Compiles a part that is not evaluated, or is.
    pub(super) fn unless<T>(
        &mut self,
        skipped: bool,
        read: impl FnOnce(&mut Self) -> Result<T, LangError>,
    ) -> Result<T, LangError> {
        self.unevaluated += u32::from(skipped);
        let operand = read(self);
        self.unevaluated -= u32::from(skipped);
        operand
    }

    /// A member function of the object that the scope's function was called for, by its name alone.
    pub(super) fn own_method(&mut self, name: &str, span: Span) -> Result<Option<Operand>, LangError> {
        let is_call = self.tokens.get(self.at + 1).is_some_and(|one| one.kind == TokenKind::Punct("("));
        let debug = self.names.debug().filter(|_| is_call && self.names.calls().is_some());
        let Some(this) = debug.and_then(|debug| debug.local("this")) else { return Ok(None) };
        let (mark, held) = (self.emitter.mark(), self.held.len());
        let this = self.found(this, span)?;
        let object = match this.kind {
            OperandKind::Held(_) => None,
            _ => {
                let pointer = self.rvalue(this)?;
                self.described_target(pointer, span)?
            }
        };
        if let Some(object) = object {
            self.at += 1;
            if let Some(called) = self.method_call(object, name, mark)? {
                return Ok(Some(called));
            }
            self.at -= 1;
        }
        self.emitter.rewind(mark);
        self.held.truncate(held);
        Ok(None)
    }

    /// `callee(..)`, with the token at the parenthesis. `mark` is where the callee's code begins.
    pub(super) fn call(&mut self, operand: Operand, mark: (usize, usize)) -> Result<Operand, LangError> {
        let span = operand.span.to(self.span());
        let calls = self.calls(span)?;
        let callee = self.callee(operand, calls)?;
        self.emitter.rewind(mark);
        self.finish_call(&callee, operand.span, calls)
    }

    /// `object.name(..)`, if the class of the object whose address is on the stack declares that function.
    pub(super) fn method_call(
        &mut self,
        object: Operand,
        name: &str,
        mark: (usize, usize),
    ) -> Result<Option<Operand>, LangError> {
        let Some(ty) = object.origin.filter(|_| object.kind == OperandKind::Memory) else { return Ok(None) };
        let class = self.defined(ty);
        if !self.declares(class, name) {
            return Ok(None);
        }
        let calls = self.calls(object.span.to(self.span()))?;
        let at = if self.unevaluated > 0 { VirtAddr(0) } else { self.value_now(calls)?.as_addr() };
        self.emitter.rewind(mark);
        let callee = Callee::Method { name: name.to_owned(), class, object: at };
        self.finish_call(&callee, object.span, calls).map(Some)
    }

    fn callee(&mut self, operand: Operand, calls: &dyn Calls) -> Result<Callee, LangError> {
        let value = match operand.kind {
            OperandKind::Symbol => operand,
            _ => self.rvalue(operand)?,
        };
        let at = if self.unevaluated > 0 { VirtAddr(0) } else { self.value_now(calls)?.as_addr() };
        let name = operand.span.of(self.text);
        let is_name =
            operand.kind == OperandKind::Symbol && name.starts_with(|one: char| one.is_alphabetic() || one == '_');
        if is_name {
            let at = self.names.symbol(name).unwrap_or(at);
            return Ok(Callee::Named { name: name.to_owned(), at });
        }
        let ty = value.origin.and_then(|ty| match self.shape(ty) {
            Shape::Function => Some(ty),
            Shape::Pointer(to) => Some(DebugType { id: to, ..ty }),
            _ => None,
        });
        if ty.is_none() && value.ty.is_float() {
            return Err(Fault::NotFunction.at(operand.span));
        }
        Ok(Callee::Pointed { at, ty })
    }

    fn finish_call(&mut self, callee: &Callee, start: Span, calls: &dyn Calls) -> Result<Operand, LangError> {
        let arguments = self.arguments(calls)?;
        let span = start.to(self.tokens.get(self.at.wrapping_sub(1)).map_or(start, |one| one.span));
        let purpose = if self.unevaluated > 0 { CallPurpose::Type } else { CallPurpose::Result };
        match calls.call(callee, &arguments, purpose).map_err(|fault| fault.at(span))? {
            CallResult::Plain(value) => self.constant(value, span),
            CallResult::Described { value, module } => self.found(Found::Value { value, module }, span),
        }
    }

    /// The arguments between parentheses, which are taken.
    fn arguments(&mut self, calls: &dyn Calls) -> Result<Vec<CallArgument>, LangError> {
        self.require("(", "`(`")?;
        let mut arguments = Vec::new();
        while !self.at_punct(")") {
            let mark = self.emitter.mark();
            arguments.push(self.argument(calls)?);
            self.emitter.rewind(mark);
            if !self.accept(",") {
                break;
            }
        }
        self.require(")", "`)`")?;
        Ok(arguments)
    }

    fn argument(&mut self, calls: &dyn Calls) -> Result<CallArgument, LangError> {
        if let TokenKind::Text(text) = &self.token().kind {
            let text = text.clone();
            let ends = self.tokens.get(self.at + 1).is_some_and(|one| matches!(one.kind, TokenKind::Punct("," | ")")));
            if ends {
                self.at += 1;
                return Ok(CallArgument::Text(text));
            }
        }
        let operand = self.expression()?;
        if let OperandKind::Held(index) = operand.kind {
            let (value, module) = self.held.get(index as usize).cloned().ok_or(Fault::BadCode.at(operand.span))?;
            return match value.place {
                Held::Bytes(_) | Held::Memory(_) => Ok(CallArgument::Object { value, module }),
                // What it lacks is told as for any other use.
                _ => self.rvalue(operand).and(Err(Fault::OptimisedOut.at(operand.span))),
            };
        }
        let shape = operand.origin.map(|ty| self.shape(self.defined(ty)));
        let in_memory = operand.kind == OperandKind::Memory;
        let place = match in_memory && self.unevaluated == 0 {
            true => Some(self.value_now(calls)?.as_addr()),
            false => None,
        };
        if let (Some(ty), Some(Shape::Record | Shape::Union)) = (operand.origin, shape) {
            let value = TypedValue { ty: ty.id, place: Held::Memory(place.unwrap_or(VirtAddr(0))) };
            return Ok(CallArgument::Object { value, module: ty.module });
        }
        let value = self.rvalue(operand)?;
        let number = match self.unevaluated {
            0 => self.value_now(calls)?,
            _ => Value::from_raw(0, value.ty),
        };
        Ok(CallArgument::Number { value: number, ty: value.origin, place })
    }
}
