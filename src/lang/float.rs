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

/// `%.{digits}g`.
fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{:.*e}", digits - 1, number);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{number:.decimals$}")).to_owned()
}

/// Without the zeros that end a fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}
