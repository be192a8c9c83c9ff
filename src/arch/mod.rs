//! Facts about x86-64: the register table, the SysV calling convention, disassembly, and how an instruction that a
//! breakpoint displaced is carried out: emulated, or run out of line from a scratch slot.

mod alu;
pub mod body;
pub mod call_frame;
pub mod calling;
pub mod disassemble;
pub mod emulate;
pub mod error;
pub mod extended;
pub mod interpret;
pub mod liveness;
mod lower;
mod operand;
pub mod register;
pub mod relocate;
mod scalar;
pub mod step_over;
#[cfg(test)]
mod test_memory;
mod vector;

pub use body::{read_body, Body, Call, CallKind, CallTarget, Extent};
pub use call_frame::{lay_out_call, CallFrame, CallOperand, CallSpec, Interrupted};
pub use calling::{
    integer_argument, integer_result, place_arguments, syscall_argument, ArgumentPlace, FloatWidth, IntegerRegister,
    ParameterClass, SseRegister,
};
pub use disassemble::{disassemble, DisassembledLine};
pub use emulate::{Effect, Emulation};
pub use error::ArchError;
pub use extended::{from_double, to_double, ExtendedKind, ExtendedPart, ExtendedRegister};
pub use interpret::interpret_function;
pub use liveness::is_dead_after;
pub use register::Register;
pub use relocate::{OutOfLine, SLOT_SIZE};
pub use step_over::{
    call_length, direct_target, leads_on, past_first_byte, plan_out_of_line, plan_step_over, PastFirstByte, StepOver,
};
