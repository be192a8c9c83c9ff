//! The values of number and character literals.

use super::{Fault, Scalar, Type, Value};

/// The value of a number: `0x1f`, `0b101`, `0o17`, `017`, `1'000`, `1_000`, `5ul`, `1.5e3f`.
pub(super) fn number(text: &str) -> Result<Value, Fault> {
    let bad = || Fault::BadNumber(text.to_owned());
    let plain: String = text.chars().filter(|c| !matches!(c, '\'' | '_')).collect::<String>().to_ascii_lowercase();
    let (radix, digits) = match (plain.get(..2), plain.as_bytes()) {
        (Some("0x"), _) => (16, &plain[2..]),
        (Some("0b"), _) => (2, &plain[2..]),
        (Some("0o"), _) => (8, &plain[2..]),
        (_, [b'0', b'0'..=b'9', ..]) if !plain.contains(['.', 'e']) => (8, &plain[1..]),
        _ => (10, plain.as_str()),
    };
    if radix == 10 && digits.contains(['.', 'e']) {
        return float(digits).ok_or_else(bad);
    }
    let end = digits.find(['u', 'l']).unwrap_or(digits.len());
    let (digits, suffix) = digits.split_at(end);
    let (unsigned, long) = match suffix {
        "" => (false, false),
        "u" => (true, false),
        "l" | "ll" => (false, true),
        "ul" | "ull" | "lu" | "llu" => (true, true),
        _ => return Err(bad()),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(bad());
    }
    let value = u64::from_str_radix(digits, radix).map_err(|_| Fault::NumberTooLarge)?;
    let any_sign = radix != 10;
    let scalar = match value {
        _ if !unsigned && !long && value <= i32::MAX as u64 => Scalar::I32,
        _ if !long && (unsigned || any_sign) && value <= u64::from(u32::MAX) => Scalar::U32,
        _ if !unsigned && value <= i64::MAX as u64 => Scalar::I64,
        _ => Scalar::U64,
    };
    Ok(Value::from_raw(value, Type::scalar(scalar)))
}

fn float(text: &str) -> Option<Value> {
    let (digits, ty) = match text.strip_suffix('f') {
        Some(digits) => (digits, Type::FLOAT),
        None => (text.strip_suffix('l').unwrap_or(text), Type::DOUBLE),
    };
    let numeric = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-'));
    if !numeric {
        return None;
    }
    Some(Value::from_f64(digits.parse().ok()?, ty))
}

/// A character constant.
pub(super) fn character(byte: u8) -> Value {
    Value::from_raw(u64::from(byte), Type::CHAR)
}

/// The byte that a backslash escape at the start of `text` stands for, and the escape's length.
pub(super) fn escape(text: &[u8]) -> Result<(u8, usize), Fault> {
    let letter = text.get(1).copied().ok_or(Fault::BadEscape)?;
    let byte = match letter {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'a' => 7,
        b'b' => 8,
        b'e' => 27,
        b'f' => 12,
        b'v' => 11,
        b'\\' | b'\'' | b'"' | b'?' => letter,
        b'x' => return digits(&text[2..], 16, 2).map(|(byte, len)| (byte, len + 2)),
        b'0'..=b'7' => return digits(&text[1..], 8, 3).map(|(byte, len)| (byte, len + 1)),
        _ => return Err(Fault::BadEscape),
    };
    Ok((byte, 2))
}

/// The byte of up to `limit` digits, and how many there are.
fn digits(text: &[u8], radix: u32, limit: usize) -> Result<(u8, usize), Fault> {
    let mut value = 0;
    let mut len = 0;
    while let Some(digit) = text.get(len).and_then(|byte| char::from(*byte).to_digit(radix)) {
        if len == limit {
            break;
        }
        value = value * radix + digit;
        len += 1;
    }
    if len == 0 {
        return Err(Fault::BadEscape);
    }
    u8::try_from(value).map(|byte| (byte, len)).map_err(|_| Fault::BadEscape)
}
