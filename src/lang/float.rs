//! Floating-point numbers as gdb prints them: C's `%g` with the digits that tell all values apart.

use super::{Type, Value};

/// A `float` with 9 digits, a `double` with 17.
pub(super) fn text(value: Value) -> String {
    let number = value.as_f64();
    let is_float = value.ty() == Type::FLOAT;
    if number.is_nan() {
        let raw = value.to_raw();
        let mantissa = if is_float { raw & 0x7f_ffff } else { raw & 0xf_ffff_ffff_ffff };
        let sign = if number.is_sign_negative() { "-" } else { "" };
        return format!("{sign}nan({mantissa:#x})");
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    general(number, if is_float { 9 } else { 17 })
}

/// `%.{digits}g`; at least one digit.
pub(super) fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{:.*e}", digits - 1, number);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        return with_exponent(trimmed(mantissa), exponent);
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{number:.decimals$}")).to_owned()
}

/// `%.{decimals}e`.
pub(super) fn scientific(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

/// An exponent has a sign and at least two digits.
fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// Without the zeros that end a fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}
