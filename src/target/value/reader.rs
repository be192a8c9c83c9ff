//! Values out of registers and memory at a function's first instruction.

use std::cell::OnceCell;

use super::shape::{EnumerationNames, RecordField, Shape, Sign, ViewOrder};
use super::text_object::read_text;
use crate::arch::{integer_argument, ArgumentPlace, IntegerRegister, SseRegister};
use crate::base::{ReadMem, Regs, VectorRegs, VirtAddr};
use crate::target::syscalls::{c_text, pointer};
use crate::target::AddressSpace;

/// Of a record in the caller's frame so much is read, bytes.
const RECORD_SIZE: usize = 256;

/// What a hit gives to read arguments from.
pub struct ArgumentReader<'a> {
    /// Names for addresses.
    pub space: &'a AddressSpace,
    /// The process's memory, without rdbg's patches.
    pub mem: &'a dyn ReadMem,
    /// The registers of the task, which stands at the function's first instruction.
    pub regs: &'a Regs,
    vectors: &'a dyn Fn() -> Option<VectorRegs>,
    fetched: OnceCell<Option<VectorRegs>>,
}

impl<'a> ArgumentReader<'a> {
    /// A reader. `vectors` is asked at most once, and only when an argument is in an SSE register.
    pub fn new(
        space: &'a AddressSpace,
        mem: &'a dyn ReadMem,
        regs: &'a Regs,
        vectors: &'a dyn Fn() -> Option<VectorRegs>,
    ) -> Self {
        ArgumentReader { space, mem, regs, vectors, fetched: OnceCell::new() }
    }

    /// The argument at `place` as text.
    pub fn read(&self, shape: &Shape, place: ArgumentPlace) -> String {
        let shown = match (shape, place) {
            (Shape::Record(fields), ArgumentPlace::Stack { offset }) => self.record_at(fields, shape.size(), offset),
            _ => self.value(place).map(|value| self.show(shape, value)),
        };
        shown.unwrap_or_else(|| "<unreadable>".to_owned())
    }

    /// A record in the caller's frame, so many bytes above the stack pointer.
    fn record_at(&self, fields: &[RecordField], size: usize, offset: u64) -> Option<String> {
        let mut bytes = vec![0; size.min(RECORD_SIZE)];
        self.mem.read_exact(self.regs.sp().offset(offset), &mut bytes).ok()?;
        Some(self.record(fields, &bytes))
    }

    fn record(&self, fields: &[RecordField], bytes: &[u8]) -> String {
        let one = |field: &RecordField| {
            let end = field.offset.saturating_add(field.size);
            let text = match (bytes.get(field.offset..end), &field.shape) {
                (Some(part), Shape::Record(inner)) => self.record(inner, part),
                (Some(part), shape) if part.len() <= 16 && *shape != Shape::Unknown => {
                    self.show(shape, part.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte)))
                }
                _ => "..".to_owned(),
            };
            match field.name.as_str() {
                "" => text,
                name => format!("{name}={text}"),
            }
        };
        match fields {
            [] => "{..}".to_owned(),
            fields => format!("{{{}}}", fields.iter().map(one).collect::<Vec<_>>().join(", ")),
        }
    }

    /// The low word of the argument at `place`.
    pub fn word(&self, place: ArgumentPlace) -> Option<u64> {
        self.value(place).map(|value| value as u64)
    }

    /// The name of the function at an address, without parameters, and how far into it the address lies.
    pub fn function_name(&self, at: VirtAddr) -> Option<String> {
        let named = self.space.find_symbol(at).filter(|named| named.module.is_executable(at))?;
        let name = crate::binary::symbols::demangle_without_parameters(&named.name).into_owned();
        Some(if named.offset == 0 { name } else { format!("{name}+{}", named.offset) })
    }

    /// The 16 bytes at a place, of which the shape may need fewer.
    fn value(&self, place: ArgumentPlace) -> Option<u128> {
        let integer = |register: IntegerRegister| u128::from(integer_argument(self.regs, register));
        Some(match place {
            ArgumentPlace::Integer(register) => integer(register),
            ArgumentPlace::IntegerPair(low, high) => integer(low) | integer(high) << 64,
            ArgumentPlace::Sse(register) => self.sse(register)?,
            ArgumentPlace::SsePair(low, high) => u128::from(self.sse(low)? as u64) | self.sse(high)? << 64,
            ArgumentPlace::IntegerThenSse(low, high) => integer(low) | self.sse(high)? << 64,
            ArgumentPlace::SseThenInteger(low, high) => u128::from(self.sse(low)? as u64) | integer(high) << 64,
            ArgumentPlace::Stack { offset } => {
                let at = self.regs.sp().offset(offset);
                let mut bytes = [0; 16];
                let got = self.mem.read_mem(at, &mut bytes).ok().filter(|got| *got >= 8)?;
                bytes[got..].fill(0);
                u128::from_le_bytes(bytes)
            }
        })
    }

    fn sse(&self, register: SseRegister) -> Option<u128> {
        let vectors = self.fetched.get_or_init(|| (self.vectors)()).as_ref()?;
        vectors.xmm.get(usize::from(register.0)).map(|bytes| u128::from_le_bytes(*bytes))
    }

    /// A value of up to 16 bytes as text.
    fn show(&self, shape: &Shape, value: u128) -> String {
        let (low, high) = (value as u64, (value >> 64) as u64);
        match shape {
            Shape::Integer(bytes, sign) => integer(low, *bytes, *sign),
            Shape::Bool => ["false", "true"][usize::from(low as u8 != 0)].to_owned(),
            Shape::Character(bytes) => character(low, *bytes),
            Shape::Wide(Sign::Signed) => (value as i128).to_string(),
            Shape::Wide(Sign::Unsigned) => value.to_string(),
            Shape::Float => float(f64::from(f32::from_bits(low as u32)), format!("{:?}", f32::from_bits(low as u32))),
            Shape::Double => float(f64::from_bits(low), format!("{:?}", f64::from_bits(low))),
            Shape::LongDouble => extended(value),
            Shape::Quad => format!("{value:#x}"),
            Shape::Pointer => pointer(low),
            Shape::CText => self.text_at(low, |at| c_text(self.mem, at)),
            Shape::Literal(count) => self.text_at(low, |at| read_text(self.mem, at, count.saturating_sub(1))),
            Shape::Function => match self.function_name(VirtAddr(low)) {
                Some(name) => format!("{low:#x} <{name}>"),
                None => pointer(low),
            },
            Shape::MemberFunction if low & 1 == 1 => format!("virtual method at vtable+{:#x}", low - 1),
            Shape::MemberFunction => self.show(&Shape::Function, value),
            Shape::Reference(inner) => self.reference(inner, low),
            Shape::Text(layout) => self.text_at(low, |at| layout.read(self.mem, at)),
            Shape::View(order) => self.view(*order, low, high),
            Shape::Span => format!("{{data={}, size={high}}}", pointer(low)),
            Shape::Object(name) => format!("{name} at {}", pointer(low)),
            Shape::Duration(unit) => format!("{}{unit}", low as i64),
            Shape::Optional(inner) => self.optional(inner, value),
            Shape::Empty => "{}".to_owned(),
            Shape::Unknown => unknown(low),
            Shape::Enumeration(bytes, names) => enumerator(low, *bytes, names),
            Shape::Record(fields) => self.record(fields, &value.to_le_bytes()),
        }
    }

    /// What `read` makes of an address, or the address where it makes nothing of it.
    fn text_at(&self, at: u64, read: impl Fn(VirtAddr) -> Option<String>) -> String {
        if at == 0 {
            return "NULL".to_owned();
        }
        read(VirtAddr(at)).unwrap_or_else(|| pointer(at))
    }

    fn view(&self, order: ViewOrder, low: u64, high: u64) -> String {
        let (data, size) = match order {
            ViewOrder::DataFirst => (low, high),
            ViewOrder::SizeFirst => (high, low),
        };
        let text = read_text(self.mem, VirtAddr(data), size);
        text.unwrap_or_else(|| format!("{{data={}, size={size}}}", pointer(data)))
    }

    fn optional(&self, inner: &Shape, value: u128) -> String {
        let engaged = value >> (inner.size() * 8) & 0xff;
        if engaged == 0 {
            "nullopt".to_owned()
        } else {
            self.show(inner, value)
        }
    }

    /// What a reference refers to. It need not hold anything yet, so its address is shown where that matters.
    fn reference(&self, inner: &Shape, at: u64) -> String {
        if at == 0 {
            return "NULL".to_owned();
        }
        match inner {
            Shape::Text(_) | Shape::Object(_) => return self.show(inner, at.into()),
            Shape::Unknown | Shape::Pointer | Shape::Empty | Shape::Function => return pointer(at),
            _ => {}
        }
        let mut bytes = [0; 16];
        let size = inner.size().min(bytes.len());
        match self.mem.read_exact(VirtAddr(at), &mut bytes[..size]) {
            Err(_) => pointer(at),
            Ok(()) if matches!(inner, Shape::View(_)) => self.show(inner, u128::from_le_bytes(bytes)),
            Ok(()) => format!("@{at:#x}: {}", self.show(inner, u128::from_le_bytes(bytes))),
        }
    }
}

/// An enumeration's value by its name; of flags the names of all that are set.
fn enumerator(value: u64, bytes: u8, names: &EnumerationNames) -> String {
    let text = integer(value, bytes, names.sign);
    let number: i128 = text.parse().unwrap_or_default();
    if let Some((_, name)) = names.values.iter().find(|(one, _)| *one == number) {
        return name.clone();
    }
    let is_flag = |flag: i128| flag >= 0 && flag & flag.wrapping_sub(1) == 0;
    if number <= 0 || names.values.iter().any(|(flag, _)| !is_flag(*flag)) {
        return text;
    }
    let set = names.values.iter().filter(|(flag, _)| number & flag != 0);
    let (rest, mut shown) = set.fold((number, Vec::new()), |(rest, mut shown), (flag, name)| {
        shown.push(name.clone());
        (rest & !flag, shown)
    });
    if rest != 0 {
        shown.push(format!("{rest:#x}"));
    }
    shown.join("|")
}

fn integer(value: u64, bytes: u8, sign: Sign) -> String {
    let shift = 64 - 8 * u32::from(bytes.clamp(1, 8));
    match sign {
        Sign::Signed => (((value << shift) as i64) >> shift).to_string(),
        Sign::Unsigned => ((value << shift) >> shift).to_string(),
    }
}

fn character(value: u64, bytes: u8) -> String {
    let code = match bytes {
        1 => value & 0xff,
        2 => value & 0xffff,
        _ => value & 0xffff_ffff,
    };
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(one) if bytes > 1 || one.is_ascii() => {
            if one.is_control() {
                format!("{code} '{}'", one.escape_default())
            } else {
                format!("'{}'", if one == '\'' { "\\'".to_owned() } else { one.to_string() })
            }
        }
        _ => code.to_string(),
    }
}

/// A float, in gdb's words where it is not a number.
fn float(value: f64, text: String) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else if value.is_infinite() {
        (if value > 0.0 { "inf" } else { "-inf" }).to_owned()
    } else {
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    }
}

/// The 80-bit format, rounded to 64 bits.
fn extended(value: u128) -> String {
    let (mantissa, top) = (value as u64, (value >> 64) as u16);
    let sign = if top & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(top & 0x7fff);
    if exponent == 0x7fff {
        let is_infinite = mantissa << 1 == 0;
        return float(if is_infinite { sign * f64::INFINITY } else { f64::NAN }, String::new());
    }
    // In two steps: 2^-16446 is no f64, although its product with a mantissa might be one.
    let half = (exponent - 16383 - 63) / 2;
    let scaled = mantissa as f64 * 2f64.powi(half) * 2f64.powi(exponent - 16383 - 63 - half);
    float(sign * scaled, format!("{:?}", sign * scaled))
}

/// An enumeration, most likely; or eight bytes of a class.
fn unknown(value: u64) -> String {
    match (u32::try_from(value), value as i64) {
        (Ok(low), _) => (low as i32).to_string(),
        (_, signed @ i64::MIN..0) if i32::try_from(signed).is_ok() => signed.to_string(),
        _ => format!("{value:#x}"),
    }
}
