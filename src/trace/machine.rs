//! Runs a program's probes: a walk over the compiled tree, with the script's maps.

use std::sync::Arc;

use super::functions;
use super::hit::Hit;
use super::map::Map;
use super::record::{MapRows, Output, Record};
use super::value::{little_endian, Value};
use crate::lang::operator::{BinaryOp, Logical};
use crate::lang::script::ast::{Step, StepOrder};
use crate::lang::script::number;
use crate::lang::script::program::{Action, Builtin, Code, Key, MapId, Program};
use crate::lang::script::types::{Aggregate, Sign};

/// How often the loops of one hit go round before it is ended: the task stands meanwhile.
const TURNS: u64 = 1 << 20;

/// Clocks, users and processors, which only the system knows.
pub trait Machinery {
    /// A clock, nanoseconds.
    fn clock(&self, clock: crate::lang::script::program::Clock) -> u64;
    /// How many processors there are.
    fn processors(&self) -> u32;
}

/// A script that runs.
pub struct Machine {
    program: Arc<Program>,
    pub(super) maps: Vec<Map>,
    output: Output,
    machinery: Box<dyn Machinery + Send>,
    started: u64,
    random: u64,
    exit: Option<i32>,
    signals: Vec<u64>,
    stop: StopWish,
    turns: u64,
    /// Maps that were told to be full.
    told_full: Vec<bool>,
    told_endless: bool,
}

/// Whether a probe wants its hit to be a stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopWish {
    /// It does not.
    GoOn,
    /// It has called `stop()`.
    Stop,
}

/// How a statement ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
    Return,
}

/// A hit under way: the probe's variables, and what it hit.
pub(super) struct Frame<'a> {
    pub(super) hit: &'a dyn Hit,
    variables: Vec<Value>,
}

impl Machine {
    /// A script that has not run yet.
    pub fn new(program: Arc<Program>, output: Output, machinery: Box<dyn Machinery + Send>) -> Machine {
        let started = machinery.clock(crate::lang::script::program::Clock::Boot);
        let maps = program.maps.iter().map(|_| Map::default()).collect::<Vec<_>>();
        let told_full = vec![false; maps.len()];
        Machine {
            program,
            maps,
            output,
            machinery,
            started,
            random: started | 1,
            exit: None,
            signals: Vec::new(),
            stop: StopWish::GoOn,
            turns: 0,
            told_full,
            told_endless: false,
        }
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Where its records go.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// The exit code, once the script has called `exit`.
    pub fn exit(&self) -> Option<i32> {
        self.exit
    }

    /// The signals that the script sent to the task of the last hit.
    pub fn take_signals(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.signals)
    }

    /// Whether the last hit is to be a stop; asked once.
    pub fn take_stop(&mut self) -> StopWish {
        std::mem::replace(&mut self.stop, StopWish::GoOn)
    }

    /// Runs a probe for a hit.
    pub fn run(&mut self, probe: usize, hit: &dyn Hit) {
        if self.exit.is_some() {
            return;
        }
        self.run_always(probe, hit);
    }

    /// Runs a probe also after `exit`: END.
    pub fn run_always(&mut self, probe: usize, hit: &dyn Hit) {
        let program = Arc::clone(&self.program);
        let Some(probe) = program.probes.get(probe) else { return };
        self.turns = 0;
        // An empty vector takes no memory.
        let mut frame = Frame { hit, variables: Vec::new() };
        if let Some(predicate) = &probe.predicate {
            if !self.eval(predicate, &mut frame).is_true() {
                return;
            }
        }
        frame.variables.resize(probe.variables, Value::None);
        self.actions(&probe.body, &mut frame);
    }

    /// Queues every map that has a value, by name.
    pub fn print_maps(&mut self) {
        let mut order: Vec<usize> = (0..self.maps.len()).collect();
        order.sort_by(|a, b| self.program.maps[*a].name.cmp(&self.program.maps[*b].name));
        for at in order {
            if !self.maps[at].is_empty() {
                let rows = self.rows(MapId(at as u16), None, 1);
                self.output.send_surely(Record::Map(rows));
            }
        }
    }

    fn rows(&self, map: MapId, top: Option<usize>, divide: u64) -> MapRows {
        let rows = self.map(map).iter().map(|(key, cell)| (key.clone(), cell.clone())).collect();
        MapRows { map, rows, top, divide: divide.max(1) }
    }

    fn map(&self, id: MapId) -> &Map {
        &self.maps[usize::from(id.0)]
    }

    fn map_sign(&self, id: MapId) -> Sign {
        self.program.maps[usize::from(id.0)].value.sign()
    }

    fn actions(&mut self, actions: &[Action], frame: &mut Frame<'_>) -> Flow {
        for action in actions {
            let flow = self.action(action, frame);
            if flow != Flow::On || self.exit.is_some() {
                return flow;
            }
        }
        Flow::On
    }

    /// Whether a loop may go round once more.
    fn turn(&mut self) -> bool {
        self.turns += 1;
        if self.turns == TURNS {
            self.tell_endless();
        }
        self.turns < TURNS
    }

    fn action(&mut self, action: &Action, frame: &mut Frame<'_>) -> Flow {
        match action {
            Action::Evaluate(code) => {
                self.eval(code, frame);
            }
            Action::SetVariable(slot, code) => {
                let value = self.eval(code, frame);
                self.set_variable(frame, slot.0, value);
            }
            Action::SetMap(map, key, code) => {
                let value = self.eval(code, frame);
                let key = self.key(key, frame);
                self.set_map(*map, key, value);
            }
            Action::Aggregate(map, key, aggregate, code) => {
                let value = self.eval(code, frame).number();
                let key = self.key(key, frame);
                let room = self.program.maps[usize::from(map.0)].room;
                let now = match aggregate {
                    Aggregate::Series(_) => self.machinery.clock(crate::lang::script::program::Clock::Real),
                    _ => 0,
                };
                if self.maps[usize::from(map.0)].gather(key, *aggregate, value, now, room).is_err() {
                    self.tell_full(*map);
                }
            }
            Action::If(condition, then, otherwise) => {
                let holds = self.eval(condition, frame).is_true();
                return self.actions(if holds { then } else { otherwise }, frame);
            }
            Action::Return => return Flow::Return,
            Action::Break => return Flow::Break,
            Action::Continue => return Flow::Continue,
            Action::While(..) | Action::ForMap(..) | Action::ForRange(..) => return self.repeat(action, frame),
            other => self.put_out(other, frame),
        }
        Flow::On
    }

    fn repeat(&mut self, action: &Action, frame: &mut Frame<'_>) -> Flow {
        match action {
            Action::While(condition, body) => {
                while self.eval(condition, frame).is_true() && self.turn() {
                    match self.actions(body, frame) {
                        Flow::Return => return Flow::Return,
                        Flow::Break => break,
                        Flow::On | Flow::Continue => {}
                    }
                    if self.exit.is_some() {
                        break;
                    }
                }
            }
            Action::ForMap(slot, map, body) => {
                let sign = self.map_sign(*map);
                let rows: Vec<Value> = self
                    .map(*map)
                    .iter()
                    .map(|(key, cell)| Value::Tuple([key.clone(), cell.value(sign)].into()))
                    .collect();
                for row in rows {
                    self.set_variable(frame, slot.0, row);
                    match self.actions(body, frame) {
                        Flow::Return => return Flow::Return,
                        Flow::Break => break,
                        Flow::On | Flow::Continue => {}
                    }
                }
            }
            Action::ForRange(slot, from, to, body) => {
                let from = self.eval(from, frame).number() as i64;
                let to = self.eval(to, frame).number() as i64;
                for at in from..to {
                    if !self.turn() {
                        break;
                    }
                    self.set_variable(frame, slot.0, Value::Number(at as u64));
                    match self.actions(body, frame) {
                        Flow::Return => return Flow::Return,
                        Flow::Break => break,
                        Flow::On | Flow::Continue => {}
                    }
                }
            }
            _ => {}
        }
        Flow::On
    }

    /// Actions that leave a record, or change a map as a whole.
    fn put_out(&mut self, action: &Action, frame: &mut Frame<'_>) {
        let record = match action {
            Action::Printf(format, codes) => Record::Printf(Arc::clone(format), self.values(codes, frame)),
            Action::Cat(format, codes) => Record::Cat(Arc::clone(format), self.values(codes, frame)),
            Action::System(format, codes) => Record::System(Arc::clone(format), self.values(codes, frame)),
            Action::Tell(place, format, codes) => {
                Record::Told(Arc::clone(place), Arc::clone(format), self.values(codes, frame))
            }
            Action::Print(ty, code) => Record::Value(ty.clone(), self.eval(code, frame)),
            Action::PrintMap { map, top, divide } => {
                let top = top.as_ref().map(|code| self.eval(code, frame).number() as usize).filter(|top| *top > 0);
                let divide = divide.as_ref().map_or(1, |code| self.eval(code, frame).number());
                Record::Map(self.rows(*map, top, divide))
            }
            Action::Time(format) => {
                let now = self.machinery.clock(crate::lang::script::program::Clock::Real);
                Record::Time(Arc::clone(format), now)
            }
            Action::Join(array, separator) => {
                let at = self.eval(array, frame).number();
                Record::Join(functions::texts_at(frame.hit, at, self.program.config.max_strlen), Arc::clone(separator))
            }
            Action::Clear(map) => return self.maps[usize::from(map.0)].clear(),
            Action::Zero(map) => return self.maps[usize::from(map.0)].zero(),
            Action::Exit(code) => {
                self.exit = Some(self.eval(code, frame).number() as i32);
                return;
            }
            Action::Stop => {
                self.stop = StopWish::Stop;
                return;
            }
            Action::Signal(code) => {
                let number = self.eval(code, frame).number();
                return self.signals.push(number);
            }
            _ => return,
        };
        self.output.send(record);
    }

    fn values(&mut self, codes: &[Code], frame: &mut Frame<'_>) -> Vec<Value> {
        codes.iter().map(|code| self.eval(code, frame)).collect()
    }

    pub(super) fn set_variable(&mut self, frame: &mut Frame<'_>, slot: u16, value: Value) {
        if let Some(place) = frame.variables.get_mut(usize::from(slot)) {
            *place = value;
        }
    }

    fn set_map(&mut self, map: MapId, key: Value, value: Value) {
        let room = self.program.maps[usize::from(map.0)].room;
        if self.maps[usize::from(map.0)].set(key, value, room).is_err() {
            self.tell_full(map);
        }
    }

    /// Says once that a loop was ended: it is at every hit.
    fn tell_endless(&mut self) {
        if !std::mem::replace(&mut self.told_endless, true) {
            let text = format!("a loop was ended after {TURNS} rounds: the task stands while it runs");
            self.output.send_surely(Record::Warning(text));
        }
    }

    /// Says once that a map takes no more keys.
    fn tell_full(&mut self, map: MapId) {
        let at = usize::from(map.0);
        if !std::mem::replace(&mut self.told_full[at], true) {
            let name = &self.program.maps[at].name;
            let limit = self.program.maps[at].room.limit;
            let text =
                format!("Map full; can't update element of {name}. It has {limit} keys: raise max_map_keys in config");
            self.output.send_surely(Record::Warning(text));
        }
    }

    fn key(&mut self, key: &Key, frame: &mut Frame<'_>) -> Value {
        match key {
            None => Value::None,
            Some(code) => self.eval(code, frame),
        }
    }

    /// A value.
    pub(super) fn eval(&mut self, code: &Code, frame: &mut Frame<'_>) -> Value {
        match code {
            Code::Integer(number) => Value::Number(*number),
            Code::Text(bytes) => Value::text(bytes),
            Code::Variable(slot) => frame.variables.get(usize::from(slot.0)).cloned().unwrap_or_default(),
            Code::Map(map, key) => {
                let key = self.key(key, frame);
                let sign = self.map_sign(*map);
                self.map(*map).find(&key).map_or(Value::None, |cell| cell.value(sign))
            }
            Code::Builtin(builtin) => self.builtin(*builtin, frame.hit),
            Code::Load { at, bytes, sign, bits } => {
                let at = self.eval(at, frame).number();
                Value::Number(load(frame.hit, at, *bytes, *sign, *bits))
            }
            Code::LoadBytes { at, size } => {
                let at = self.eval(at, frame).number();
                Value::Bytes(functions::bytes_at(frame.hit, at, *size as usize).into())
            }
            Code::Part { of, offset, bytes, sign, bits } => {
                let whole = self.eval(of, frame);
                let tail = whole.bytes().get(*offset as usize..).unwrap_or_default();
                let raw = little_endian(tail.get(..usize::from(*bytes)).unwrap_or(tail));
                Value::Number(take_bits(raw, *bytes, *sign, *bits))
            }
            Code::PartBytes { of, offset, size } => {
                let whole = self.eval(of, frame);
                let tail = whole.bytes().get(*offset as usize..).unwrap_or_default();
                Value::Bytes(tail.get(..*size as usize).unwrap_or(tail).into())
            }
            Code::TextOf(of) => {
                let whole = self.eval(of, frame);
                let bytes = whole.bytes();
                Value::text(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
            }
            Code::BytesOf(of, size) => {
                let value = self.eval(of, frame);
                let mut bytes = match &value {
                    Value::Number(number) => number.to_le_bytes().to_vec(),
                    other => other.bytes().to_vec(),
                };
                bytes.resize(*size as usize, 0);
                Value::Bytes(bytes.into())
            }
            Code::Block(actions, value) => {
                self.actions(actions, frame);
                self.eval(value, frame)
            }
            Code::Tuple(parts) => Value::Tuple(self.values(parts, frame).into()),
            Code::TuplePart(of, at) => self.eval(of, frame).part(usize::from(*at)),
            Code::Conditional(condition, then, otherwise) => {
                let holds = self.eval(condition, frame).is_true();
                self.eval(if holds { then } else { otherwise }, frame)
            }
            Code::Same(a, b) => {
                let (a, b) = (self.eval(a, frame), self.eval(b, frame));
                Value::Number(u64::from(functions::same(&a, &b)))
            }
            Code::Call(function, arguments) => functions::call(self, function, arguments, frame),
            Code::StepVariable { slot, by, order, size } => {
                let before = frame.variables.get(usize::from(slot.0)).map_or(0, Value::number);
                let after = stepped(before, *by, *size);
                self.set_variable(frame, slot.0, Value::Number(after));
                Value::Number(if *order == StepOrder::Prefix { after } else { before })
            }
            Code::StepMap { map, key, by, order, size } => {
                let key = self.key(key, frame);
                let sign = self.map_sign(*map);
                let before = self.map(*map).find(&key).map_or(0, |cell| cell.number(sign));
                let after = stepped(before, *by, *size);
                self.set_map(*map, key, Value::Number(after));
                Value::Number(if *order == StepOrder::Prefix { after } else { before })
            }
            arithmetic => Value::Number(self.arithmetic(arithmetic, frame)),
        }
    }

    fn arithmetic(&mut self, code: &Code, frame: &mut Frame<'_>) -> u64 {
        match code {
            Code::Negate(of) => self.eval(of, frame).number().wrapping_neg(),
            Code::Not(of) => u64::from(!self.eval(of, frame).is_true()),
            Code::Truth(of) => u64::from(self.eval(of, frame).is_true()),
            Code::Invert(of) => !self.eval(of, frame).number(),
            Code::Narrow(of, bytes, sign) => number::narrow(self.eval(of, frame).number(), *bytes, *sign),
            Code::Logical(Logical::And, a, b) => {
                u64::from(self.eval(a, frame).is_true() && self.eval(b, frame).is_true())
            }
            Code::Logical(Logical::Or, a, b) => {
                u64::from(self.eval(a, frame).is_true() || self.eval(b, frame).is_true())
            }
            Code::Binary(op, sign, a, b) => {
                let (a, b) = (self.eval(a, frame).number(), self.eval(b, frame).number());
                // A division by zero gives 0, as BPF's does.
                number::apply(*op, *sign, a, b).unwrap_or(if *op == BinaryOp::Rem { a } else { 0 })
            }
            _ => 0,
        }
    }

    fn builtin(&mut self, builtin: Builtin, hit: &dyn Hit) -> Value {
        use crate::lang::script::program::Clock;
        Value::Number(match builtin {
            Builtin::Pid => hit.pid(),
            Builtin::Tid => hit.tid(),
            Builtin::Uid => u64::from(hit.owner().0),
            Builtin::Gid => u64::from(hit.owner().1),
            Builtin::Comm => return Value::Text(hit.comm()),
            Builtin::Nanoseconds => self.machinery.clock(Clock::Boot),
            Builtin::Elapsed => self.machinery.clock(Clock::Boot).wrapping_sub(self.started),
            Builtin::Cpu => hit.cpu(),
            Builtin::Cpus => u64::from(self.machinery.processors()),
            Builtin::Random => self.random(),
            Builtin::Argument(number) => hit.argument(number),
            Builtin::ReturnValue => hit.return_value(),
            Builtin::Register(number) => hit.register(number),
            Builtin::SyscallArgument(at) => hit.syscall().arguments.get(usize::from(at)).copied().unwrap_or(0),
            Builtin::SyscallNumber => hit.syscall().number,
            Builtin::SyscallArguments => functions::SYSCALL_ARGUMENTS,
            Builtin::Function => return Value::Text(hit.function()),
            Builtin::Probe => return Value::Text(hit.probe()),
            Builtin::ProbeType => {
                return Value::text(hit.probe().bytes().split(|byte| *byte == b':').next().unwrap_or_default())
            }
            Builtin::UserName => return Value::User(hit.owner().0),
            Builtin::ControlGroup => hit.control_group(),
            Builtin::ParentPid => hit.parent(),
            Builtin::ChildPid => hit.child(),
            Builtin::Jiffies => self.machinery.clock(Clock::Boot) / 4_000_000,
            Builtin::Duration => hit.duration(),
            Builtin::Signal => hit.signal(),
        })
    }

    /// xorshift64, of which bpftrace's `rand` has 32 bits.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 32
    }

    pub(super) fn clock(&self, clock: crate::lang::script::program::Clock) -> u64 {
        self.machinery.clock(clock)
    }
}

fn stepped(before: u64, by: Step, size: u64) -> u64 {
    match by {
        Step::Up => before.wrapping_add(size),
        Step::Down => before.wrapping_sub(size),
    }
}

fn take_bits(raw: u64, bytes: u8, sign: Sign, bits: Option<(u8, u8)>) -> u64 {
    match bits {
        Some((first, width)) => number::bits(raw, first, width, sign),
        None => number::narrow(raw, bytes, sign),
    }
}

/// A number in memory; 0 where it cannot be read, as a failed probe read gives.
fn load(hit: &dyn Hit, at: u64, bytes: u8, sign: Sign, bits: Option<(u8, u8)>) -> u64 {
    let mut buf = [0; 8];
    let length = usize::from(bytes.min(8));
    if functions::read_at(hit, at, &mut buf[..length]) < length {
        return 0;
    }
    take_bits(u64::from_le_bytes(buf), bytes, sign, bits)
}
