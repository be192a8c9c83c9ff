//! DWARF expressions in call frame information (DWARF 5, 2.5 and 6.4.2).

use gimli::{Encoding, EndianSlice, EvaluationResult, Expression, Format, LittleEndian, Location, Value};

use super::frame::FrameRegs;
use crate::base::{ReadMem, VirtAddr};

/// No compiler writes an expression that takes longer; one that loops must end.
const MAX_STEPS: u32 = 1000;
/// The steps that the evaluation asks back for are bounded by this.
const MAX_QUESTIONS: u32 = 1000;
const ENCODING: Encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 5 };

/// The value of an expression: a CFA, or where a register is stored. `initial` is on the stack at its start.
pub fn evaluate(bytes: &[u8], initial: Option<u64>, regs: &FrameRegs, mem: &dyn ReadMem) -> Result<u64, String> {
    let text = |error: gimli::Error| format!("a DWARF expression is malformed: {error}");
    let mut evaluation = Expression(EndianSlice::new(bytes, LittleEndian)).evaluation(ENCODING);
    evaluation.set_max_iterations(MAX_STEPS);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    let mut result = evaluation.evaluate().map_err(text)?;
    for _ in 0..MAX_QUESTIONS {
        result = match result {
            EvaluationResult::Complete => {
                let pieces = evaluation.as_result();
                return match pieces.first().map(|piece| &piece.location) {
                    Some(Location::Address { address }) => Ok(*address),
                    _ => Err("a DWARF expression has no value".to_owned()),
                };
            }
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = regs
                    .get(register.0)
                    .ok_or_else(|| format!("a DWARF expression needs register {}, whose value is lost", register.0))?;
                evaluation.resume_with_register(Value::Generic(value)).map_err(text)?
            }
            EvaluationResult::RequiresMemory { address, size, .. } => {
                let mut word = [0; 8];
                let size = usize::from(size).min(8);
                mem.read_exact(VirtAddr(address), &mut word[..size]).map_err(|error| error.to_string())?;
                evaluation.resume_with_memory(Value::Generic(u64::from_le_bytes(word))).map_err(text)?
            }
            other => return Err(format!("a DWARF expression asks for {other:?}")),
        };
    }
    Err("a DWARF expression asks for too much".to_owned())
}
