//! A compiled expression.

use crate::base::VirtAddr;

use super::code::Code;
use super::compiler::Compiler;
use super::debug::DebugType;
use super::emitter::{BitField, Operand, OperandKind};
use super::lexer::TokenKind;
use super::typed::{Held, TypedValue};
use super::vector::{Shape, Vector, VectorValue};
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
        /// How many; more than 8 of a record or array.
        size: usize,
    },
    /// Bits of a word in memory.
    Bits {
        /// The word.
        at: VirtAddr,
        /// Which of its bits.
        field: BitField,
    },
    /// A convenience variable, by its name without the `$`.
    Variable(String),
}

/// An expression that can be evaluated any number of times.
#[derive(Clone, Debug)]
pub struct Expression {
    code: Code,
    /// How many instructions give the address of what is in memory.
    address_code: usize,
    ty: Type,
    kind: OperandKind,
    origin: Option<DebugType>,
    /// Its type where it is a reference as a whole; `origin` is then of what that means.
    reference: Option<DebugType>,
    /// A value that is not in memory, with the module of its type.
    held: Option<(TypedValue, u16)>,
    vector: Option<Vector>,
}

/// What an expression came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A number or address, of a type without description.
    Plain(Value),
    /// A vector register, or a part of one that is no number.
    Vector(VectorValue),
    /// A value of a described type.
    Described {
        /// The value.
        value: TypedValue,
        /// The module of its type.
        module: u16,
    },
}

impl Expression {
    /// Compiles a text; what its names mean is decided now.
    pub fn compile(text: &str, names: &dyn Names) -> Result<Expression, LangError> {
        let mut compiler = Compiler::new(text, names)?;
        let operand = compiler.comma()?;
        let expression = Expression::finish(&mut compiler, operand)?;
        let span = compiler.span();
        match compiler.token().kind {
            TokenKind::End => Ok(expression),
            TokenKind::Punct(punct) if super::assignment::is_operator(punct) => {
                Err(Fault::AssignmentInExpression.at(span))
            }
            _ => Err(Fault::Trailing(compiler.found_text()).at(span)),
        }
    }

    /// Takes the code of `operand` from the compiler. That of a thing in memory ends with reading it.
    pub(super) fn finish(compiler: &mut Compiler<'_>, operand: Operand) -> Result<Expression, LangError> {
        let address_code = compiler.emitter.mark().0;
        let vector = compiler.vector_of(operand);
        let held = match operand.kind {
            OperandKind::Vector(_) => None,
            OperandKind::Held(index) => compiler.held.get(index as usize).cloned(),
            OperandKind::Memory if operand.ty.is_opaque() => None,
            _ => {
                compiler.emitter.value(operand)?;
                None
            }
        };
        let Operand { ty, kind, origin, span } = operand;
        let reference = compiler.reference.filter(|(whole, _)| *whole == span && kind == OperandKind::Memory);
        let reference = reference.map(|(_, ty)| ty);
        Ok(Expression { code: compiler.take_code(), address_code, ty, kind, origin, reference, held, vector })
    }

    /// Whether evaluating it later can come to a value: what is not in memory is known only now.
    pub fn is_known_later(&self) -> bool {
        self.held.is_none()
    }

    /// The type of a vector register, or of a part of one.
    pub fn vector_shape(&self) -> Option<Shape> {
        self.vector.as_ref().map(Vector::shape)
    }

    /// Its described type; of a reference that of the reference.
    pub fn described_type(&self) -> Option<DebugType> {
        self.reference.or(self.origin)
    }

    /// What it comes to, records and arrays too.
    pub fn outcome(&self, env: &dyn Environment) -> Result<Outcome, LangError> {
        if let Some((value, module)) = &self.held {
            return Ok(Outcome::Described { value: value.clone(), module: *module });
        }
        if let Some(vector) = &self.vector {
            return Ok(Outcome::Vector(vector.value(env)));
        }
        let Some(DebugType { module, id }) = self.origin else { return Ok(Outcome::Plain(self.evaluate(env)?)) };
        if let Some(Place::Memory { at, .. }) = self.place(env)? {
            if let Some(DebugType { module, id }) = self.reference {
                let value = TypedValue { ty: id, place: Held::Bytes(at.0.to_le_bytes().to_vec()) };
                return Ok(Outcome::Described { value, module });
            }
            let value = TypedValue { ty: id, place: Held::Memory(at) };
            return Ok(Outcome::Described { value, module });
        }
        if self.kind == OperandKind::Symbol {
            let value = TypedValue { ty: id, place: Held::Memory(self.evaluate(env)?.as_addr()) };
            return Ok(Outcome::Described { value, module });
        }
        let bytes = self.evaluate(env)?.to_raw().to_le_bytes().to_vec();
        Ok(Outcome::Described { value: TypedValue { ty: id, place: Held::Bytes(bytes) }, module })
    }

    /// The type of its value.
    pub fn ty(&self) -> Type {
        self.vector_register().map_or(self.ty, |register| register.ty)
    }

    /// Computes its value; of a record or array its address. Allocates nothing, but for an x87 register.
    pub fn evaluate(&self, env: &dyn Environment) -> Result<Value, LangError> {
        if let Some((value, _)) = &self.held {
            let fault = match &value.place {
                Held::Unknown(reason) => Fault::Unknown(reason.clone()),
                Held::OptimisedOut | Held::Torn(..) => Fault::OptimisedOut,
                _ => Fault::NoAddress,
            };
            return Err(fault.at(Default::default()));
        }
        if let Some(vector) = &self.vector {
            let number = vector.value(env).number();
            return number.ok_or_else(|| Fault::NotNumber(vector.shape().type_name()).at(Default::default()));
        }
        machine::run(&self.code, self.code.ops.len(), env)
    }

    /// The register or the memory that it names, which `watch` and `set` need; `None` if it is only a value.
    pub fn place(&self, env: &dyn Environment) -> Result<Option<Place>, LangError> {
        let address = || machine::run(&self.code, self.address_code, env).map(|value| value.as_addr());
        match self.kind {
            OperandKind::Register(name) => Ok(Some(Place::Register(name))),
            OperandKind::Memory => Ok(Some(Place::Memory { at: address()?, size: self.ty.size() })),
            OperandKind::Bits(field) => Ok(Some(Place::Bits { at: address()?, field })),
            OperandKind::Vector(_) => Ok(self.vector_register().map(Place::Register)),
            OperandKind::Value | OperandKind::Symbol | OperandKind::Held(_) => Ok(None),
        }
    }

    /// Whether it names storage, see [`Expression::place`].
    pub fn is_assignable(&self) -> bool {
        matches!(self.kind, OperandKind::Register(_) | OperandKind::Memory | OperandKind::Bits(_))
            || self.vector_register().is_some()
    }

    /// The register that an x87 register is written by.
    fn vector_register(&self) -> Option<RegisterName> {
        match &self.vector {
            Some(Vector::Register(name)) => Vector::register(*name),
            _ => None,
        }
    }

    /// Whether a condition with that value holds.
    pub fn is_true(value: &Value) -> bool {
        value.is_true()
    }
}
