//! The stack machine that runs compiled expressions. Allocates nothing.

use crate::base::VirtAddr;

use super::code::{Answer, Code, Contained, Container, End, KeyFrom, Op, STACK};
use super::containers::{Key, KeyKind, Source, Which};
use super::string_functions::object_equals;
use super::{Environment, Fault, LangError, Type, Value};

/// How far a string is followed before its NUL is given up on, bytes.
const STRING_LIMIT: u64 = 1 << 20;

/// Bytes of a string that are read at a time. Divides the page size, so a read never needs a page that the string does
/// not reach.
const CHUNK: u64 = 64;

struct Stack {
    slots: [Value; STACK],
    len: usize,
}

impl Stack {
    fn push(&mut self, value: Value) -> Result<(), Fault> {
        let slot = self.slots.get_mut(self.len).ok_or(Fault::BadCode)?;
        *slot = value;
        self.len += 1;
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        self.len = self.len.checked_sub(1).ok_or(Fault::BadCode)?;
        self.slots.get(self.len).copied().ok_or(Fault::BadCode)
    }
}

/// Runs the first `count` instructions and gives the value they leave.
pub(super) fn run(code: &Code, count: usize, env: &dyn Environment) -> Result<Value, LangError> {
    let mut stack = Stack { slots: [Value::int(0); STACK], len: 0 };
    let ops = code.ops.get(..count).unwrap_or(&code.ops);
    let mut at = 0;
    while let Some(op) = ops.get(at) {
        let next = step(*op, code, &mut stack, env);
        let next = next.map_err(|fault| fault.at(code.spans.get(at).copied().unwrap_or_default()))?;
        at = match next {
            Some(target) => target as usize,
            None => at + 1,
        };
    }
    stack.pop().map_err(|fault| fault.at(Default::default()))
}

/// Runs one instruction; gives the target of a jump that is taken.
fn step(op: Op, code: &Code, stack: &mut Stack, env: &dyn Environment) -> Result<Option<u32>, Fault> {
    let truth = |holds: bool| Value::int(i32::from(holds));
    let result = match op {
        Op::Push(index) => code.constants.get(index as usize).copied().ok_or(Fault::BadCode)?,
        Op::Register(name) => Value::from_raw(env.register(name.id), name.ty),
        Op::Load(ty) => load(stack.pop()?.as_addr(), ty, env)?,
        Op::Cast(ty) => stack.pop()?.convert(ty)?,
        Op::Unary(op) => op.apply(stack.pop()?)?,
        Op::Binary(op) => {
            let right = stack.pop()?;
            op.apply(stack.pop()?, right)?
        }
        Op::Truth => truth(stack.pop()?.is_true()),
        Op::JumpIfFalse(target) => return Ok((!stack.pop()?.is_true()).then_some(target)),
        Op::JumpIfTrue(target) => return Ok(stack.pop()?.is_true().then_some(target)),
        Op::Jump(target) => return Ok(Some(target)),
        Op::StringsEqual => {
            let right = stack.pop()?.as_addr();
            truth(strings_equal(stack.pop()?.as_addr(), right, env)?)
        }
        Op::EqualsLiteral(index) => {
            let text = code.texts.get(index as usize).ok_or(Fault::BadCode)?;
            truth(equals_literal(stack.pop()?.as_addr(), text, env)?)
        }
        Op::ObjectEquals(form, index) => {
            let text = code.texts.get(index as usize).ok_or(Fault::BadCode)?;
            truth(object_equals(&InMemory { object: stack.pop()?.as_addr(), env }, form, text)?)
        }
        Op::VirtualBase(before) => {
            let object = stack.pop()?.as_addr();
            let table = load(object, Type::ULONG, env)?.bits();
            let offset = load(VirtAddr(table.wrapping_sub(u64::from(before))), Type::ULONG, env)?.bits();
            Value::from_raw(object.0.wrapping_add(offset), Type::ULONG)
        }
        Op::Engaged(flag) => {
            let object = stack.pop()?;
            let mut byte = [0];
            env.read(object.as_addr().offset(flag.into()), &mut byte)?;
            if byte == [0] {
                return Err(Fault::NoValue);
            }
            object
        }
        Op::Count(of) => {
            let source = InMemory { object: stack.pop()?.as_addr(), env };
            Value::from_raw(count(container(code, of)?, &source)?, Type::ULONG)
        }
        Op::Element(of) => {
            let index = stack.pop()?.as_i64();
            element(container(code, of)?, Which::Number(index), &InMemory { object: stack.pop()?.as_addr(), env })?
        }
        Op::End(of, end) => {
            let which = if end == End::First { Which::First } else { Which::Last };
            element(container(code, of)?, which, &InMemory { object: stack.pop()?.as_addr(), env })?
        }
        Op::Start(of) => {
            let Container::Sequence(sequence) = container(code, of)? else { return Err(Fault::BadCode) };
            let source = InMemory { object: stack.pop()?.as_addr(), env };
            Value::from_raw(sequence.start(&source)?.0, Type::ULONG)
        }
        Op::Find(of, from, answer) => {
            let number = if from == KeyFrom::Stack { Some(stack.pop()?) } else { None };
            let source = InMemory { object: stack.pop()?.as_addr(), env };
            find(code, of, (from, number), answer, &source)?
        }
        Op::Drop => {
            stack.pop()?;
            return Ok(None);
        }
        Op::StringLength => Value::int(string_length(stack.pop()?.as_addr(), env)? as i32),
    };
    stack.push(result)?;
    Ok(None)
}

/// An object in memory.
struct InMemory<'a> {
    object: VirtAddr,
    env: &'a dyn Environment,
}

impl Source for InMemory<'_> {
    fn object(&self) -> Result<VirtAddr, Fault> {
        Ok(self.object)
    }

    fn field(&self, offset: u64) -> Result<u64, Fault> {
        self.word(self.object.offset(offset))
    }

    fn read(&self, at: VirtAddr, into: &mut [u8]) -> Result<(), Fault> {
        Ok(self.env.read(at, into)?)
    }
}

fn container(code: &Code, of: Contained) -> Result<&Container, Fault> {
    code.containers.get(of.0 as usize).ok_or(Fault::BadCode)
}

fn count(container: &Container, source: &InMemory<'_>) -> Result<u64, Fault> {
    match container {
        Container::Sequence(one) => one.count(source),
        Container::Bits(one) => one.count(source),
        Container::Keyed(one, ..) => one.count(source),
    }
}

fn element(container: &Container, which: Which, source: &InMemory<'_>) -> Result<Value, Fault> {
    match container {
        Container::Sequence(one) => Ok(Value::from_raw(one.element(which, source)?.0, Type::ULONG)),
        Container::Bits(one) => Ok(Value::from_raw(one.bit(which, source)?.into(), Type::BOOL)),
        Container::Keyed(..) => Err(Fault::BadCode),
    }
}

/// The place of the element that has a key, or whether there is one.
fn find(
    code: &Code,
    of: Contained,
    (from, number): (KeyFrom, Option<Value>),
    answer: Answer,
    source: &InMemory<'_>,
) -> Result<Value, Fault> {
    let Container::Keyed(keyed, Some(kind), distance) = container(code, of)? else { return Err(Fault::BadCode) };
    let key = match (*kind, from, number) {
        (KeyKind::Number { size, is_signed }, KeyFrom::Stack, Some(number)) => {
            Key::Number { bits: number.to_raw(), size, is_signed }
        }
        (KeyKind::Text(form), KeyFrom::Text(index), _) => {
            Key::Text { text: code.texts.get(index as usize).ok_or(Fault::BadCode)?, form }
        }
        _ => return Err(Fault::BadCode),
    };
    let found = keyed.find(source, &key, *distance)?;
    match (answer, found) {
        (Answer::Presence, found) => Ok(Value::from_raw(found.is_some().into(), Type::BOOL)),
        (Answer::Place, Some(at)) => Ok(Value::from_raw(at.0, Type::ULONG)),
        (Answer::Place, None) => Err(Fault::NoKey(keyed.count(source)?)),
    }
}

fn load(at: VirtAddr, ty: Type, env: &dyn Environment) -> Result<Value, Fault> {
    let mut word = [0; 8];
    env.read(at, word.get_mut(..ty.size()).ok_or(Fault::BadCode)?)?;
    Ok(Value::from_raw(u64::from_le_bytes(word), ty))
}

/// Reads at least one byte from `at` up to the end of its chunk.
fn read_chunk<'a>(
    at: VirtAddr,
    buf: &'a mut [u8; CHUNK as usize],
    env: &dyn Environment,
) -> Result<&'a mut [u8], Fault> {
    let part = &mut buf[..(CHUNK - at.0 % CHUNK) as usize];
    env.read(at, part)?;
    Ok(part)
}

fn equals_literal(at: VirtAddr, text: &[u8], env: &dyn Environment) -> Result<bool, Fault> {
    let mut buf = [0; CHUNK as usize];
    let mut rest = text;
    let mut at = at;
    loop {
        let part = read_chunk(at, &mut buf, env)?;
        let same = part.len().min(rest.len());
        if part[..same] != rest[..same] {
            return Ok(false);
        }
        if let Some(end) = part.get(same) {
            return Ok(*end == 0);
        }
        at = at.offset(part.len() as u64);
        rest = &rest[same..];
    }
}

fn strings_equal(left: VirtAddr, right: VirtAddr, env: &dyn Environment) -> Result<bool, Fault> {
    let (mut first, mut second) = ([0; CHUNK as usize], [0; CHUNK as usize]);
    let mut done = 0;
    while done < STRING_LIMIT {
        let a = read_chunk(left.offset(done), &mut first, env)?;
        let b = read_chunk(right.offset(done), &mut second, env)?;
        for (x, y) in a.iter().zip(b.iter()) {
            if x != y {
                return Ok(false);
            }
            if *x == 0 {
                return Ok(true);
            }
        }
        done += a.len().min(b.len()) as u64;
    }
    Err(Fault::Unterminated(STRING_LIMIT))
}

fn string_length(at: VirtAddr, env: &dyn Environment) -> Result<u64, Fault> {
    let mut buf = [0; CHUNK as usize];
    let mut len = 0;
    while len < STRING_LIMIT {
        let part = read_chunk(at.offset(len), &mut buf, env)?;
        if let Some(end) = part.iter().position(|byte| *byte == 0) {
            return Ok(len + end as u64);
        }
        len += part.len() as u64;
    }
    Err(Fault::Unterminated(STRING_LIMIT))
}
