//! Registers: `info registers`, and setting them.

use crate::api::{ApiError, RegisterRow, RegisterSet, RegisterValue, Reply};
use crate::arch::{from_double, ExtendedKind, ExtendedPart, ExtendedRegister, Register};
use crate::base::{ExtendedRegs, Inferior, InferiorError, Regs, Tid};
use crate::engine::state::Engine;
use crate::lang::vector::Shape;
use crate::lang::{self, FlagSet, Format, RegisterId, RegisterName, Type, Value};
use crate::target::unwind::FrameRegs;

use super::expressions::register_name;

/// A register of either kind.
#[derive(Clone, Copy)]
enum Chosen {
    General(Register),
    Extended(ExtendedRegister),
}

/// Whether a register has no value in an outer frame: functions may change it, and nobody saved it. The vector
/// registers are all the callee's to change (psABI, 3.2.3), the control words are not.
pub(super) fn is_lost(frame: &FrameRegs, id: RegisterId) -> bool {
    match (Register::from_number(id.0), ExtendedRegister::at_number(id.0)) {
        (Some(register), _) => match register.whole().dwarf() {
            Some(number) => frame.get(number).is_none(),
            None => register.is_volatile(),
        },
        (None, Some((register, _))) => !register.is_control(),
        (None, None) => false,
    }
}

/// What a number of a vector register's byte stands for.
pub(super) fn read_part(regs: &ExtendedRegs, register: ExtendedRegister, part: ExtendedPart) -> u64 {
    let bytes = register.read(regs);
    match part {
        ExtendedPart::Double => {
            let mut extended = [0; 10];
            extended.copy_from_slice(bytes.get(..10).unwrap_or(&[0; 10]));
            crate::arch::to_double(&extended).to_bits()
        }
        ExtendedPart::From(first) => {
            bytes.iter().skip(first).take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
        }
    }
}

impl<I: Inferior> Engine<I> {
    /// Sets a register, or a part of one, in the innermost frame.
    pub(super) fn set_register(&mut self, tid: Tid, register: RegisterName, value: Value) -> Result<(), ApiError> {
        if self.selected_frame().is_ok_and(|(_, shown)| shown.physical != 0) {
            return Err(
                ApiError::user("registers can be set in the innermost frame only").with_hint("`frame 0` selects it")
            );
        }
        let fail = |error: InferiorError| ApiError::target(error.to_string());
        if let Some(general) = Register::from_number(register.id.0) {
            let mut regs = self.inferior.regs(tid).map_err(fail)?;
            general.write(&mut regs, value.to_raw());
            return self.inferior.set_regs(tid, &regs).map_err(fail);
        }
        let (extended, part) = ExtendedRegister::at_number(register.id.0)
            .ok_or_else(|| ApiError::user("what the session tells cannot be set: `thread N` selects a thread"))?;
        let mut regs = self.inferior.extended_regs(tid).map_err(fail)?;
        let raw = value.to_raw().to_le_bytes();
        let written = match part {
            ExtendedPart::From(first) => extended.write(&mut regs, first, &raw[..register.width().min(8)]),
            ExtendedPart::Double => extended.write(&mut regs, 0, &from_double(value.as_f64())),
        };
        written.ok_or_else(|| ApiError::user(format!("this CPU or kernel keeps no {}", extended.name())))?;
        self.inferior.set_extended_regs(tid, &regs).map_err(fail)
    }

    /// `info registers`.
    pub(in crate::engine) fn registers(&self, set: &RegisterSet) -> Result<Reply, ApiError> {
        let tid = self.selected_tid()?;
        let gone = || ApiError::target("the thread has gone");
        let regs = self.selected_frame_regs().ok_or_else(gone)?;
        let frame = self.outer_frame_regs();
        let mut extended = None;
        let chosen = self.chosen(set, &mut || self.extended(tid, &mut extended).cloned())?;
        let mut rows = Vec::new();
        for one in chosen {
            let (name, id) = match one {
                Chosen::General(register) => (register.name().to_owned(), RegisterId(register.number())),
                Chosen::Extended(register) => (register.name(), RegisterId(register.number())),
            };
            let value = match one {
                _ if frame.is_some_and(|frame| is_lost(&frame, id)) => RegisterValue::NotSaved,
                Chosen::General(register) => self.general_value(register, &regs),
                Chosen::Extended(register) => extended_value(register, self.extended(tid, &mut extended)?),
            };
            rows.push(RegisterRow { name, value });
        }
        Ok(Reply::Registers { rows })
    }

    /// The image, which is read once for a command.
    fn extended<'a>(&self, tid: Tid, read: &'a mut Option<ExtendedRegs>) -> Result<&'a ExtendedRegs, ApiError> {
        let regs = match read.take() {
            Some(regs) => regs,
            None => self.inferior.extended_regs(tid).map_err(|error| ApiError::target(error.to_string()))?,
        };
        Ok(read.insert(regs))
    }

    fn chosen(
        &self,
        set: &RegisterSet,
        image: &mut dyn FnMut() -> Result<ExtendedRegs, ApiError>,
    ) -> Result<Vec<Chosen>, ApiError> {
        let general = || Register::all().iter().copied().map(Chosen::General);
        let extended = |wanted: &dyn Fn(ExtendedKind) -> bool, image: &ExtendedRegs| -> Vec<Chosen> {
            let all = ExtendedRegister::all(image).into_iter();
            all.filter(|one| wanted(one.kind())).map(Chosen::Extended).collect()
        };
        let is_vector = |kind| matches!(kind, ExtendedKind::Vector(_) | ExtendedKind::ControlFlags);
        Ok(match set {
            RegisterSet::General => general().collect(),
            RegisterSet::All => general().chain(extended(&|_| true, &image()?)).collect(),
            RegisterSet::Vectors => widest(extended(&is_vector, &image()?)),
            RegisterSet::Floats => {
                let is_x87 = |one: &Chosen| match one {
                    Chosen::Extended(register) => register.component() == crate::base::Component::X87,
                    Chosen::General(_) => false,
                };
                extended(&|_| true, &image()?).into_iter().filter(is_x87).collect()
            }
            RegisterSet::Named(names) => names.iter().map(|name| named(name)).collect::<Result<_, _>>()?,
        })
    }

    /// A value with what its type says of it: flags, or the symbol of an address.
    fn general_value(&self, register: Register, regs: &Regs) -> RegisterValue {
        let name = register_name(register);
        let raw = register.read(regs);
        let value = Value::from_raw(raw, name.ty);
        let shown = match name.ty {
            Type::VOID_POINTER => format!("{raw:#x}"),
            _ => self.with_environment(|environment| lang::format_labelled(&value, Format::Natural, environment, self)),
        };
        RegisterValue::Word { value: raw, width: register.width(), shown }
    }

    /// The registers that are known in the selected frame, unless it is the innermost, where all are.
    pub(super) fn outer_frame_regs(&self) -> Option<FrameRegs> {
        let (_, shown) = self.selected_frame().ok()?;
        (shown.physical != 0).then_some(shown.frame.regs)
    }
}

fn named(name: &str) -> Result<Chosen, ApiError> {
    if let Some(register) = Register::find(name) {
        return Ok(Chosen::General(register));
    }
    match ExtendedRegister::find(name).filter(|one| one.exists()) {
        Some(register) => Ok(Chosen::Extended(register)),
        None if ExtendedRegister::find(name).is_some() => {
            Err(ApiError::user(format!("this CPU has no register `{name}`")))
        }
        None => Err(ApiError::user(format!("there is no register `{name}`"))
            .with_hint("`info all-registers` shows those that there are")),
    }
}

/// The vector registers in their full width alone, as narrower ones are parts of those.
fn widest(chosen: Vec<Chosen>) -> Vec<Chosen> {
    let width = |one: &Chosen| match one {
        Chosen::Extended(register) => match register.kind() {
            ExtendedKind::Vector(bytes) => bytes,
            _ => 0,
        },
        Chosen::General(_) => 0,
    };
    let widest = chosen.iter().map(width).max().unwrap_or(0);
    chosen.into_iter().filter(|one| [0, widest].contains(&width(one))).collect()
}

fn extended_value(register: ExtendedRegister, regs: &ExtendedRegs) -> RegisterValue {
    let bytes = register.read(regs);
    let word = || bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let width = register.size() as u8;
    match register.kind() {
        ExtendedKind::Vector(size) => {
            let shown = Shape::Union(size).show(&bytes, Format::Hex);
            RegisterValue::Wide { bytes, shown }
        }
        ExtendedKind::Float => {
            let shown = Shape::Float.show(&bytes, Format::Natural);
            RegisterValue::Float { bytes, shown }
        }
        ExtendedKind::ControlFlags => RegisterValue::Word { value: word(), width, shown: FlagSet::Vector.show(word()) },
        ExtendedKind::Integer(_) => RegisterValue::Word { value: word(), width, shown: word().to_string() },
    }
}
