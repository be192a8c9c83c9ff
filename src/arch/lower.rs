//! From a decoded instruction to the operation that emulates it.

use iced_x86::{Code, ConditionCode, Instruction, Mnemonic, OpKind, Register as IcedRegister};

use crate::base::VirtAddr;

use super::alu::{Binary, BitChange, Condition, Shift, Unary};
use super::emulate::{Extension, Operation, Target, Test};
use super::operand::{Address, AddressSize, Place, SegmentBase, Value};
use super::register::{mask, Slot, View, BY_ENCODING};

/// The operation of an instruction; `None` if it is not one of those that are emulated. A locked one never is: what it
/// promises to other threads cannot be kept from outside.
pub(super) fn lower(instruction: &Instruction) -> Option<Operation> {
    if instruction.has_lock_prefix() {
        return None;
    }
    stack(instruction)
        .or_else(|| transfer(instruction))
        .or_else(|| moves(instruction))
        .or_else(|| arithmetic(instruction))
        .or_else(|| conditional(instruction))
}

fn slot(register: IcedRegister) -> Option<Slot> {
    register.is_gpr().then(|| BY_ENCODING.get(register.full_register().number()).copied()).flatten()
}

fn view(register: IcedRegister) -> Option<View> {
    let shift = match register {
        IcedRegister::AH | IcedRegister::BH | IcedRegister::CH | IcedRegister::DH => 8,
        _ => 0,
    };
    Some(View { slot: slot(register)?, width: u8::try_from(register.size()).ok()?, shift })
}

/// The memory operand's address.
pub(super) fn address(instruction: &Instruction) -> Option<Address> {
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    let part = |register: IcedRegister| match register {
        // iced has added the instruction's own address to the displacement.
        IcedRegister::None | IcedRegister::RIP | IcedRegister::EIP => Some(None),
        register => slot(register).map(Some),
    };
    let is_short = base == IcedRegister::EIP || base.is_gpr32() || index.is_gpr32();
    Some(Address {
        base: part(base)?,
        index: part(index)?,
        scale: u8::try_from(instruction.memory_index_scale()).ok()?,
        segment: match instruction.memory_segment() {
            IcedRegister::FS => SegmentBase::Fs,
            IcedRegister::GS => SegmentBase::Gs,
            _ => SegmentBase::Flat,
        },
        size: if is_short { AddressSize::Bits32 } else { AddressSize::Bits64 },
        displacement: instruction.memory_displacement64(),
    })
}

pub(super) fn place(instruction: &Instruction, operand: u32) -> Option<Place> {
    match instruction.op_kind(operand) {
        OpKind::Register => view(instruction.op_register(operand)).map(Place::Register),
        OpKind::Memory => {
            let width = u8::try_from(instruction.memory_size().size()).ok().filter(|width| (1..=8).contains(width))?;
            Some(Place::Memory { at: address(instruction)?, width })
        }
        _ => None,
    }
}

/// An operand, an immediate cut to `width` bytes.
pub(super) fn value(instruction: &Instruction, operand: u32, width: u8) -> Option<Value> {
    match instruction.try_immediate(operand) {
        Ok(immediate) => Some(Value::Immediate(immediate & mask(width))),
        Err(_) => place(instruction, operand).map(Value::Place),
    }
}

fn register(instruction: &Instruction, operand: u32) -> Option<View> {
    match place(instruction, operand)? {
        Place::Register(view) => Some(view),
        Place::Memory { .. } => None,
    }
}

fn stack(instruction: &Instruction) -> Option<Operation> {
    Some(match instruction.mnemonic() {
        Mnemonic::Push => match value(instruction, 0, 8)? {
            Value::Place(Place::Register(View { slot, width: 8, .. })) => Operation::PushRegister(slot),
            value @ Value::Place(place) => Operation::Push { value, width: place.width() },
            value @ Value::Immediate(_) => {
                let width = if instruction.stack_pointer_increment() == -2 { 2 } else { 8 };
                Operation::Push { value, width }
            }
        },
        Mnemonic::Pop => Operation::Pop(place(instruction, 0)?),
        Mnemonic::Leave if instruction.code() == Code::Leaveq => Operation::Leave,
        Mnemonic::Ret if instruction.code() == Code::Retnq => Operation::Return { release: 0 },
        Mnemonic::Ret if instruction.code() == Code::Retnq_imm16 => {
            Operation::Return { release: u64::from(instruction.immediate16()) }
        }
        _ => return None,
    })
}

fn transfer(instruction: &Instruction) -> Option<Operation> {
    let is_near = instruction.op_kind(0) == OpKind::NearBranch64;
    let direct = || is_near.then(|| VirtAddr(instruction.near_branch64()));
    let indirect = || place(instruction, 0).filter(|place| place.width() == 8).map(Target::Indirect);
    if instruction.is_jcc_short_or_near() {
        return Some(Operation::JumpIf { test: test(instruction)?, target: direct()? });
    }
    if instruction.is_jmp_short_or_near() {
        return direct().map(|target| Operation::Jump(Target::Direct(target)));
    }
    if instruction.is_jmp_near_indirect() {
        return indirect().map(Operation::Jump);
    }
    if instruction.is_call_near() {
        return direct().map(|target| Operation::Call(Target::Direct(target)));
    }
    if instruction.is_call_near_indirect() {
        return indirect().map(Operation::Call);
    }
    if instruction.has_rep_prefix() || instruction.has_repne_prefix() {
        // Reserved before a loop; some CPUs then test for the opposite condition.
        return None;
    }
    let rcx = |width: u8| View { slot: Slot::Rcx, width, shift: 0 };
    Some(match instruction.code() {
        Code::Jrcxz_rel8_64 => Operation::JumpIfZero { counter: rcx(8), target: direct()? },
        Code::Jecxz_rel8_64 => Operation::JumpIfZero { counter: rcx(4), target: direct()? },
        Code::Loop_rel8_64_RCX => Operation::Loop { counter: rcx(8), test: None, target: direct()? },
        Code::Loop_rel8_64_ECX => Operation::Loop { counter: rcx(4), test: None, target: direct()? },
        Code::Loope_rel8_64_RCX | Code::Loopne_rel8_64_RCX => {
            Operation::Loop { counter: rcx(8), test: Some(test(instruction)?), target: direct()? }
        }
        Code::Loope_rel8_64_ECX | Code::Loopne_rel8_64_ECX => {
            Operation::Loop { counter: rcx(4), test: Some(test(instruction)?), target: direct()? }
        }
        _ => return None,
    })
}

fn moves(instruction: &Instruction) -> Option<Operation> {
    Some(match instruction.mnemonic() {
        Mnemonic::Nop | Mnemonic::Endbr64 | Mnemonic::Endbr32 => Operation::Nothing,
        Mnemonic::Mov => {
            let to = place(instruction, 0)?;
            match (to, value(instruction, 1, to.width())?) {
                (
                    Place::Register(View { slot: to, width: 8, .. }),
                    Value::Place(Place::Register(View { slot: from, width: 8, .. })),
                ) => Operation::MoveRegister { to, from },
                (to, from) => Operation::Move { to, from },
            }
        }
        Mnemonic::Movzx => extend(instruction, Extension::Zero)?,
        Mnemonic::Movsx | Mnemonic::Movsxd => extend(instruction, Extension::Sign)?,
        Mnemonic::Lea => Operation::Lea { to: register(instruction, 0)?, address: address(instruction)? },
        Mnemonic::Xchg => Operation::Exchange { a: register(instruction, 0)?, b: register(instruction, 1)? },
        Mnemonic::Bswap => Operation::SwapBytes(register(instruction, 0).filter(|view| view.width >= 4)?),
        Mnemonic::Cbw => Operation::WidenAccumulator { width: 2 },
        Mnemonic::Cwde => Operation::WidenAccumulator { width: 4 },
        Mnemonic::Cdqe => Operation::WidenAccumulator { width: 8 },
        Mnemonic::Cwd => Operation::SignIntoData { width: 2 },
        Mnemonic::Cdq => Operation::SignIntoData { width: 4 },
        Mnemonic::Cqo => Operation::SignIntoData { width: 8 },
        _ => return None,
    })
}

fn extend(instruction: &Instruction, extension: Extension) -> Option<Operation> {
    Some(Operation::Extend { to: register(instruction, 0)?, from: place(instruction, 1)?, extension })
}

fn arithmetic(instruction: &Instruction) -> Option<Operation> {
    let binary = |operation: Binary| {
        let to = place(instruction, 0)?;
        Some(Operation::Binary { operation, to, from: value(instruction, 1, to.width())? })
    };
    let unary = |operation: Unary| Some(Operation::Unary { operation, to: place(instruction, 0)? });
    let shift = |operation: Shift| {
        Some(Operation::Shift { operation, to: place(instruction, 0)?, count: value(instruction, 1, 1)? })
    };
    let bit = |change: BitChange| {
        let (to, index) = (place(instruction, 0)?, value(instruction, 1, 1)?);
        // With a register index the memory operand is a string of bits of any length.
        let is_string = matches!((to, index), (Place::Memory { .. }, Value::Place(_)));
        (!is_string).then_some(Operation::Bit { change, to, index })
    };
    match instruction.mnemonic() {
        Mnemonic::Add => binary(Binary::Add),
        Mnemonic::Adc => binary(Binary::AddCarry),
        Mnemonic::Sub => binary(Binary::Subtract),
        Mnemonic::Sbb => binary(Binary::SubtractBorrow),
        Mnemonic::And => binary(Binary::And),
        Mnemonic::Or => binary(Binary::Or),
        Mnemonic::Xor => binary(Binary::Xor),
        Mnemonic::Cmp => binary(Binary::Compare),
        Mnemonic::Test => binary(Binary::Test),
        Mnemonic::Inc => unary(Unary::Increment),
        Mnemonic::Dec => unary(Unary::Decrement),
        Mnemonic::Neg => unary(Unary::Negate),
        Mnemonic::Not => unary(Unary::Not),
        Mnemonic::Shl | Mnemonic::Sal => shift(Shift::Left),
        Mnemonic::Shr => shift(Shift::Right),
        Mnemonic::Sar => shift(Shift::RightSigned),
        Mnemonic::Rol => shift(Shift::RotateLeft),
        Mnemonic::Ror => shift(Shift::RotateRight),
        Mnemonic::Bt => bit(BitChange::Keep),
        Mnemonic::Bts => bit(BitChange::Set),
        Mnemonic::Btr => bit(BitChange::Reset),
        Mnemonic::Btc => bit(BitChange::Complement),
        _ => None,
    }
}

/// setcc and cmovcc.
fn conditional(instruction: &Instruction) -> Option<Operation> {
    let test = test(instruction)?;
    match (instruction.op_count(), place(instruction, 0)?) {
        (1, to) if to.width() == 1 => Some(Operation::SetIf { test, to }),
        (2, Place::Register(to)) => place(instruction, 1).map(|from| Operation::MoveIf { test, to, from }),
        _ => None,
    }
}

fn test(instruction: &Instruction) -> Option<Test> {
    let (condition, expected) = match instruction.condition_code() {
        ConditionCode::None => return None,
        ConditionCode::o => (Condition::Overflow, true),
        ConditionCode::no => (Condition::Overflow, false),
        ConditionCode::b => (Condition::Below, true),
        ConditionCode::ae => (Condition::Below, false),
        ConditionCode::e => (Condition::Equal, true),
        ConditionCode::ne => (Condition::Equal, false),
        ConditionCode::be => (Condition::BelowOrEqual, true),
        ConditionCode::a => (Condition::BelowOrEqual, false),
        ConditionCode::s => (Condition::Sign, true),
        ConditionCode::ns => (Condition::Sign, false),
        ConditionCode::p => (Condition::Parity, true),
        ConditionCode::np => (Condition::Parity, false),
        ConditionCode::l => (Condition::Less, true),
        ConditionCode::ge => (Condition::Less, false),
        ConditionCode::le => (Condition::LessOrEqual, true),
        ConditionCode::g => (Condition::LessOrEqual, false),
    };
    Some(Test { condition, expected })
}
