//! Values as text, by gdb's format letters.

use crate::base::VirtAddr;

use super::value::mask;
use super::{float, text, Environment, Fault, Scalar, Type, Value};

/// How `print/FMT` and `x/FMT` show a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// No letter: as the type suggests.
    #[default]
    Natural,
    /// `x`.
    Hex,
    /// `z`: hexadecimal with all its zeros.
    ZeroHex,
    /// `d`.
    Decimal,
    /// `u`.
    Unsigned,
    /// `o`.
    Octal,
    /// `t`.
    Binary,
    /// `a`: with the nearest symbol.
    Address,
    /// `c`.
    Char,
    /// `s`.
    Text,
    /// `f`.
    Float,
}

impl Format {
    /// The format of a letter. `i` is none: instructions are no values.
    pub fn from_letter(letter: char) -> Result<Format, Fault> {
        Ok(match letter {
            'x' => Format::Hex,
            'z' => Format::ZeroHex,
            'd' => Format::Decimal,
            'u' => Format::Unsigned,
            'o' => Format::Octal,
            't' => Format::Binary,
            'a' => Format::Address,
            'c' => Format::Char,
            's' => Format::Text,
            'f' => Format::Float,
            other => return Err(Fault::BadFormat(other)),
        })
    }
}

/// The symbol that an address belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// How many bytes the address lies past it.
    pub offset: u64,
}

/// Names for addresses.
pub trait Labels {
    /// The symbol that holds the address.
    fn label(&self, at: VirtAddr) -> Option<Label>;
}

/// No names at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLabels;

impl Labels for NoLabels {
    fn label(&self, _at: VirtAddr) -> Option<Label> {
        None
    }
}

/// The value as `print` shows it after `$1 = `, without symbols.
pub fn format_value(value: &Value, format: Format, read: &dyn Environment) -> String {
    format_labelled(value, format, read, &NoLabels)
}

/// The value as `print` shows it after `$1 = `, with `<main+4>` behind addresses.
pub fn format_labelled(value: &Value, format: Format, read: &dyn Environment, labels: &dyn Labels) -> String {
    let ty = value.ty();
    if ty == Type::VOID {
        return "void".to_owned();
    }
    let raw = value.to_raw();
    let size = ty.size();
    match format {
        Format::Natural | Format::Text => natural(*value, read, labels),
        Format::Hex => format!("{raw:#x}"),
        Format::ZeroHex => format!("0x{raw:0width$x}", width = size * 2),
        Format::Decimal => Value::from_raw(raw, Type::signed(size)).as_i64().to_string(),
        Format::Unsigned => raw.to_string(),
        Format::Octal if raw == 0 => "0".to_owned(),
        Format::Octal => format!("0{raw:o}"),
        Format::Binary => format!("{raw:b}"),
        Format::Address => address(raw, labels),
        Format::Char => {
            let byte = if ty.is_float() { value.as_i64() as u64 } else { raw } & mask(1);
            let unsigned = matches!(ty.as_scalar(), Some(Scalar::U8 | Scalar::U16 | Scalar::U32 | Scalar::U64));
            character(Value::from_raw(byte, if unsigned { Type::unsigned(1) } else { Type::CHAR }))
        }
        Format::Float => match size {
            4 => float::text(Value::from_raw(raw, Type::FLOAT)),
            8 => float::text(Value::from_raw(raw, Type::DOUBLE)),
            _ => number(*value),
        },
    }
}

/// The value of a number by a format letter, without looking at what it could point to.
pub(super) fn format_plain(value: &Value, format: Format, labels: &dyn Labels) -> String {
    format_labelled(value, format, &NoMemory, labels)
}

/// Where there are neither registers nor memory.
pub(super) struct NoMemory;

impl Environment for NoMemory {
    fn register(&self, _: super::RegisterId) -> u64 {
        0
    }

    fn read(&self, at: VirtAddr, _: &mut [u8]) -> Result<(), crate::base::MemError> {
        Err(crate::base::MemError::Unmapped(at))
    }
}

/// As the type suggests.
fn natural(value: Value, read: &dyn Environment, labels: &dyn Labels) -> String {
    let ty = value.ty();
    let at = value.bits();
    match (ty.pointee(), ty.as_scalar()) {
        (Some(target), _) if target.is_character() => text_pointer(at, read, labels),
        (Some(_), _) => format!("({ty}) {}", address(at, labels)),
        (None, Some(Scalar::Code)) => address(at, labels),
        (None, Some(Scalar::Bool)) if at < 2 => (at == 1).to_string(),
        (None, Some(Scalar::Char | Scalar::I8 | Scalar::U8)) => character(value),
        (None, Some(Scalar::Flags(set))) => set.show(at),
        _ if ty.is_float() => float::text(value),
        _ => number(value),
    }
}

fn number(value: Value) -> String {
    if value.ty().is_signed() {
        value.as_i64().to_string()
    } else {
        value.bits().to_string()
    }
}

/// `0x401136 <main+4>`.
fn address(at: u64, labels: &dyn Labels) -> String {
    match labels.label(VirtAddr(at)) {
        Some(Label { name, offset: 0 }) => format!("{at:#x} <{name}>"),
        Some(Label { name, offset }) => format!("{at:#x} <{name}+{offset}>"),
        None => format!("{at:#x}"),
    }
}

/// `97 'a'`.
fn character(value: Value) -> String {
    format!("{} {}", number(value), text::quote_char(value.to_raw() as u8))
}

/// `0x402004 "text"`.
fn text_pointer(at: u64, read: &dyn Environment, labels: &dyn Labels) -> String {
    let shown = address(at, labels);
    if at == 0 {
        return shown;
    }
    match text::read_string(VirtAddr(at), text::SHOWN_LIMIT, read) {
        Some(string) => format!("{shown} {}", string.quoted()),
        None => format!("{shown} <error: Cannot access memory at address {at:#x}>"),
    }
}
