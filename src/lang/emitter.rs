//! Appends instructions to code, and keeps account of the machine's stack.

use super::code::{Code, Contained, Container, Op, STACK};
use super::debug::DebugType;
use super::operator::BinaryOp;
use super::value::convertible;
use super::{Fault, LangError, RegisterName, Span, Type, Value};

/// What an operand's code has left on the machine's stack.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum OperandKind {
    /// Its value.
    Value,
    /// Its address: a thing in memory that was not read yet.
    Memory,
    /// The value of a register.
    Register(RegisterName),
    /// The address of a symbol.
    Symbol,
    /// The address of the word that holds it.
    Bits(BitField),
    /// Nothing: the compiler holds the value of that number, which is not in memory.
    Held(u32),
    /// Nothing: it is the vector of that number, of the compiler's.
    Vector(u32),
}

/// Bits of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BitField {
    /// Bytes of the word: 1, 2, 4 or 8.
    pub bytes: u8,
    /// The least significant bit.
    pub low: u8,
    /// How many; all are in the word.
    pub count: u8,
}

impl BitField {
    /// The word with other bits there.
    pub fn replace(self, word: u64, bits: u64) -> u64 {
        let mask = u64::MAX >> (64 - u32::from(self.count)) << self.low;
        word & !mask | bits << self.low & mask
    }
}

/// A part of an expression that code was emitted for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Operand {
    pub(super) kind: OperandKind,
    pub(super) ty: Type,
    pub(super) span: Span,
    /// Its type as debug information has it.
    pub(super) origin: Option<DebugType>,
}

/// Code under construction.
#[derive(Default)]
pub(super) struct Emitter {
    code: Code,
    depth: usize,
}

/// A jump whose target is not known yet.
pub(super) struct Pending(usize);

impl Emitter {
    /// Appends an instruction.
    pub(super) fn emit(&mut self, op: Op, span: Span) -> Result<(), LangError> {
        self.depth = self.depth.checked_add_signed(op.growth()).ok_or(Fault::BadCode.at(span))?;
        if self.depth > STACK {
            return Err(Fault::TooDeep.at(span));
        }
        self.code.ops.push(op);
        self.code.spans.push(span);
        Ok(())
    }

    /// Appends a constant.
    pub(super) fn push(&mut self, value: Value, span: Span) -> Result<(), LangError> {
        let index = self.code.constants.len() as u32;
        self.code.constants.push(value);
        self.emit(Op::Push(index), span)
    }

    /// Keeps a string literal, and gives its index.
    pub(super) fn text(&mut self, text: Vec<u8>) -> u32 {
        self.code.texts.push(text);
        self.code.texts.len() as u32 - 1
    }

    /// Keeps a container's layout.
    pub(super) fn container(&mut self, container: Container) -> Contained {
        self.code.containers.push(container);
        Contained(self.code.containers.len() as u32 - 1)
    }

    /// Appends a jump, to be given its target by [`Emitter::land`].
    pub(super) fn jump(&mut self, op: Op, span: Span) -> Result<Pending, LangError> {
        self.emit(op, span)?;
        Ok(Pending(self.code.ops.len() - 1))
    }

    /// Makes a jump go here.
    pub(super) fn land(&mut self, jump: Pending) {
        let here = self.code.ops.len() as u32;
        if let Some(Op::Jump(target) | Op::JumpIfFalse(target) | Op::JumpIfTrue(target)) = self.code.ops.get_mut(jump.0)
        {
            *target = here;
        }
    }

    /// Starts the other branch: what the one before left on the stack is not there.
    pub(super) fn other_branch(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The value that the code after `mark` comes to, if it needs neither registers nor memory.
    pub(super) fn constant_since(&self, mark: (usize, usize)) -> Option<Value> {
        let plain = |op: &Op| matches!(op, Op::Push(_) | Op::Cast(_) | Op::Unary(_) | Op::Binary(_) | Op::Truth);
        let ops = self.code.ops.get(mark.0..)?.to_vec();
        let spans = self.code.spans.get(mark.0..)?.to_vec();
        if !ops.iter().all(plain) {
            return None;
        }
        let code = Code { ops, spans, constants: self.code.constants.clone(), ..Code::default() };
        super::machine::run(&code, code.ops.len(), &super::format::NoMemory).ok()
    }

    /// Where the code ends now, to go back to.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.code.ops.len(), self.depth)
    }

    /// Forgets the instructions after `mark`.
    pub(super) fn rewind(&mut self, mark: (usize, usize)) {
        self.code.ops.truncate(mark.0);
        self.code.spans.truncate(mark.0);
        self.depth = mark.1;
    }

    /// Reads the operand if it is in memory, so that its value is on the stack.
    pub(super) fn value(&mut self, operand: Operand) -> Result<Operand, LangError> {
        match operand.kind {
            OperandKind::Memory if operand.ty == Type::VOID => {
                return Err(Fault::NotPointer(Type::VOID_POINTER).at(operand.span));
            }
            OperandKind::Memory => self.emit(Op::Load(operand.ty), operand.span)?,
            OperandKind::Bits(field) => self.load_bits(field, operand.ty, operand.span)?,
            _ => {}
        }
        Ok(Operand { kind: OperandKind::Value, ..operand })
    }

    /// Reads the word and keeps the bits, by a shift to either end.
    fn load_bits(&mut self, field: BitField, ty: Type, span: Span) -> Result<(), LangError> {
        let (low, count) = (i32::from(field.low), i32::from(field.count));
        self.emit(Op::Load(Type::unsigned(field.bytes.into())), span)?;
        self.emit(Op::Cast(Type::ULONG), span)?;
        self.push(Value::int(64 - low - count), span)?;
        self.emit(Op::Binary(BinaryOp::Shl), span)?;
        self.emit(Op::Cast(if ty.is_signed() { Type::LONG } else { Type::ULONG }), span)?;
        self.push(Value::int(64 - count), span)?;
        self.emit(Op::Binary(BinaryOp::Shr), span)?;
        self.emit(Op::Cast(ty), span)
    }

    /// Converts a value.
    pub(super) fn cast(&mut self, operand: Operand, ty: Type, span: Span) -> Result<Operand, LangError> {
        convertible(operand.ty, ty).map_err(|fault| fault.at(span))?;
        if operand.ty != ty {
            self.emit(Op::Cast(ty), span)?;
        }
        Ok(Operand { kind: OperandKind::Value, ty, span, origin: None })
    }

    /// The code.
    pub(super) fn finish(self) -> Code {
        self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bits_of_a_word_are_kept() {
        let field = |low, count| BitField { bytes: 8, low, count };
        assert_eq!(field(4, 3).replace(0xffff, 0), 0xff8f);
        assert_eq!(field(4, 3).replace(0, 0xffff), 0x70);
        assert_eq!(field(0, 64).replace(5, 7), 7);
        assert_eq!(field(63, 1).replace(0, 1), 1 << 63);
    }
}
