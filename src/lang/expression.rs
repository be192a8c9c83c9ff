//! A compiled expression.

use crate::base::VirtAddr;

use super::code::Code;
use super::compiler::Compiler;
use super::emitter::{Operand, OperandKind};
use super::lexer::TokenKind;
use super::{machine, Environment, Fault, LangError, Names, RegisterName, Type, Value};

/// Storage that an expression names, or an assignment writes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A register.
    Register(RegisterName),
    /// Bytes of memory.
    Memory {
        /// The first one.
        at: VirtAddr,
        /// How many, at most 8.
        size: usize,
    },
    /// A convenience variable, by its name without the `$`.
    Variable(String),
}

/// An expression that can be evaluated any number of times.
#[derive(Clone, Debug)]
pub struct Expression {
    code: Code,
    ty: Type,
    kind: OperandKind,
}

impl Expression {
    /// Compiles a text; what its names mean is decided now.
    pub fn compile(text: &str, names: &dyn Names) -> Result<Expression, LangError> {
        let mut compiler = Compiler::new(text, names)?;
        let operand = compiler.expression()?;
        let expression = Expression::finish(&mut compiler, operand)?;
        let span = compiler.span();
        match compiler.token().kind {
            TokenKind::End => Ok(expression),
            TokenKind::Punct(punct) if super::assignment::is_operator(punct) => {
                Err(Fault::AssignmentInExpression.at(span))
            }
            _ => Err(Fault::Trailing(compiler.found()).at(span)),
        }
    }

    /// Takes the code of `operand` from the compiler. That of a thing in memory ends with reading it.
    pub(super) fn finish(compiler: &mut Compiler<'_>, operand: Operand) -> Result<Expression, LangError> {
        compiler.emitter.value(operand)?;
        Ok(Expression { code: compiler.take_code(), ty: operand.ty, kind: operand.kind })
    }

    /// The type of its value.
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Computes its value. Allocates nothing.
    pub fn evaluate(&self, env: &dyn Environment) -> Result<Value, LangError> {
        machine::run(&self.code, self.code.ops.len(), env)
    }

    /// The register or the memory that it names, which `watch` and `set` need; `None` if it is only a value.
    pub fn place(&self, env: &dyn Environment) -> Result<Option<Place>, LangError> {
        match self.kind {
            OperandKind::Register(name) => Ok(Some(Place::Register(name))),
            OperandKind::Memory => {
                let address = machine::run(&self.code, self.code.ops.len().saturating_sub(1), env)?;
                Ok(Some(Place::Memory { at: address.as_addr(), size: self.ty.size() }))
            }
            OperandKind::Value | OperandKind::Symbol => Ok(None),
        }
    }

    /// Whether it names storage, see [`Expression::place`].
    pub fn is_assignable(&self) -> bool {
        matches!(self.kind, OperandKind::Register(_) | OperandKind::Memory)
    }

    /// Whether a condition with that value holds.
    pub fn is_true(value: &Value) -> bool {
        value.is_true()
    }
}
