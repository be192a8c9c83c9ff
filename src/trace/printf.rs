//! What `printf` prints: C's conversions, with the widths of C's `int` where no length is given.

use std::fmt::Write;

use super::show::Shower;
use super::value::Value;
use crate::lang::script::format::{Align, Format, Spec, SpecKind};
use crate::lang::script::number::narrow;
use crate::lang::script::types::{Sign, Ty};

/// The text of a format and its values.
pub fn format(format: &Format, values: &[Value], shower: &mut Shower) -> Vec<u8> {
    let mut text = Vec::new();
    for (at, part) in format.texts.iter().enumerate() {
        text.extend_from_slice(part);
        if let Some(spec) = format.specs.get(at) {
            let ty = format.types.get(at).unwrap_or(&Ty::LONG);
            let value = values.get(at).unwrap_or(&Value::None);
            text.extend(convert(spec, ty, value, shower));
        }
    }
    text
}

fn convert(spec: &Spec, ty: &Ty, value: &Value, shower: &mut Shower) -> Vec<u8> {
    let mut shown = match spec.kind {
        // Texts keep the bytes that they have.
        SpecKind::Text => match value {
            Value::Text(text) => text.bytes().to_vec(),
            other => shower.value(ty, other).into_bytes(),
        },
        SpecKind::Character => vec![value.number() as u8],
        SpecKind::Bytes => super::show::escape_bytes(value.bytes()).into_bytes(),
        SpecKind::BytesEscaped => hex(value.bytes(), "\\x", "").into_bytes(),
        SpecKind::BytesSpaced => hex(value.bytes(), "", " ").into_bytes(),
        _ => number(spec, value.number()).into_bytes(),
    };
    if let (Some(precision), SpecKind::Text) = (spec.precision, spec.kind) {
        shown.truncate(precision);
    }
    pad(spec, shown)
}

fn hex(bytes: &[u8], before: &str, between: &str) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{before}{byte:02x}", if at == 0 { "" } else { between });
    }
    text
}

/// A number by its specifier, not padded yet.
pub fn number(spec: &Spec, number: u64) -> String {
    let unsigned = narrow(number, spec.bytes, Sign::Unsigned);
    match spec.kind {
        SpecKind::Signed => {
            let signed = narrow(number, spec.bytes, Sign::Signed) as i64;
            match spec.plus {
                Some(plus) if signed >= 0 => format!("{plus}{signed}"),
                _ => signed.to_string(),
            }
        }
        SpecKind::Octal if spec.alternate => format!("0{unsigned:o}"),
        SpecKind::Octal => format!("{unsigned:o}"),
        SpecKind::Hex if spec.alternate => format!("{unsigned:#x}"),
        SpecKind::Hex => format!("{unsigned:x}"),
        SpecKind::UpperHex if spec.alternate => format!("0X{unsigned:X}"),
        SpecKind::UpperHex => format!("{unsigned:X}"),
        SpecKind::Pointer => format!("{number:#x}"),
        _ => unsigned.to_string(),
    }
}

/// Fills up to the specifier's width.
pub fn pad(spec: &Spec, mut shown: Vec<u8>) -> Vec<u8> {
    let length = String::from_utf8_lossy(&shown).chars().count();
    let Some(missing) = spec.width.checked_sub(length).filter(|missing| *missing > 0) else { return shown };
    if spec.align == Align::Left {
        shown.extend(std::iter::repeat_n(b' ', missing));
        return shown;
    }
    let numeric = !matches!(spec.kind, SpecKind::Text | SpecKind::Character | SpecKind::Bytes);
    let fill = if spec.zeros && numeric { b'0' } else { b' ' };
    // Zeros stand behind the sign.
    let at = usize::from(fill == b'0' && matches!(shown.first(), Some(b'-' | b'+')));
    shown.splice(at..at, std::iter::repeat_n(fill, missing));
    shown
}
