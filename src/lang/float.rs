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

/// A float of 16 bits, of which `bits` are the fraction.
pub(super) fn small(raw: u16, bits: u32, digits: usize) -> String {
    let (fraction, field) = (raw & ((1 << bits) - 1), raw >> bits & (0x7fff >> bits));
    let sign = if raw & 0x8000 != 0 { "-" } else { "" };
    let highest = 0x7fff >> bits;
    let bias = i32::from(highest >> 1);
    let size = match field {
        _ if field == highest && fraction == 0 => "inf".to_owned(),
        _ if field == highest => format!("nan({fraction:#x})"),
        0 => general(f64::from(fraction) * f64::powi(2.0, 1 - bias - bits as i32), digits),
        _ => {
            let mantissa = f64::from(fraction | 1 << bits);
            general(mantissa * f64::powi(2.0, i32::from(field) - bias - bits as i32), digits)
        }
    };
    format!("{sign}{size}")
}

/// `mantissa * 2^exponent` with so many digits, as `%g` has it: for numbers that are wider than a `double`.
pub(super) fn wide(mantissa: u128, exponent: i32, digits: usize) -> String {
    // In limbs of nine decimal digits, the lowest first; factors are below one limb, so that carries are.
    const LIMB: u64 = 1_000_000_000;
    let mut limbs: Vec<u64> = Vec::new();
    let mut rest = mantissa;
    while rest > 0 {
        limbs.push((rest % u128::from(LIMB)) as u64);
        rest /= u128::from(LIMB);
    }
    let mut scale = |factor: u64| {
        let mut carry = 0;
        for limb in &mut limbs {
            let product = *limb * factor + carry;
            (*limb, carry) = (product % LIMB, product / LIMB);
        }
        limbs.extend((carry > 0).then_some(carry));
    };
    // m / 2^n is m * 5^n / 10^n.
    let (factor, power, places) = if exponent < 0 { (5, 12, -exponent) } else { (2, 29, 0) };
    let count = exponent.unsigned_abs();
    (0..count / power).for_each(|_| scale(u64::pow(factor, power)));
    scale(u64::pow(factor, count % power));
    let Some((top, lower)) = limbs.split_last() else { return "0".to_owned() };
    let all = lower.iter().rev().fold(top.to_string(), |text, limb| format!("{text}{limb:09}"));
    let point = all.len() as i32 - 1 - places;
    let (kept, point) = rounded(all.as_bytes(), digits, point);
    if point < -4 || point >= digits as i32 {
        return with_exponent(trimmed(&format!("{}.{}", &kept[..1], &kept[1..])), point);
    }
    let whole = match usize::try_from(point) {
        Ok(point) => format!("{}.{}", &kept[..=point], &kept[point + 1..]),
        Err(_) => format!("0.{}{kept}", "0".repeat(point.unsigned_abs() as usize - 1)),
    };
    trimmed(&whole).to_owned()
}

/// The first digits, rounded half to even and filled with zeros, and the exponent of the first.
fn rounded(all: &[u8], digits: usize, point: i32) -> (String, i32) {
    let mut kept: Vec<u8> = all.iter().copied().chain(std::iter::repeat(b'0')).take(digits).collect();
    let cut = all.get(digits..).unwrap_or_default();
    let odd = kept.last().is_some_and(|last| last % 2 == 1);
    let up = match cut.split_first() {
        Some((b'5', rest)) => odd || rest.iter().any(|digit| *digit != b'0'),
        Some((first, _)) => *first > b'5',
        None => false,
    };
    let mut point = point;
    if up {
        match kept.iter().rposition(|digit| *digit != b'9') {
            Some(at) => {
                kept[at] += 1;
                kept[at + 1..].fill(b'0');
            }
            None => {
                kept.fill(b'0');
                kept[0] = b'1';
                point += 1;
            }
        }
    }
    (kept.into_iter().map(char::from).collect(), point)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_numbers_have_all_their_digits() {
        // glibc's printf of the same long doubles, by "%.21Lg".
        assert_eq!(wide(1 << 63, -63, 21), "1");
        assert_eq!(wide(0xd555_5555_5555_5555, -65, 21), "0.416666666666666666658");
        assert_eq!(wide(u128::from(u64::MAX), 16383 - 63, 21), "1.18973149535723176502e+4932");
        assert_eq!(wide(1, -16445, 21), "3.64519953188247460253e-4951");
        assert_eq!(wide(0xd1b7_1758_e219_652c, -77, 21), "0.000100000000000000000001");
        assert_eq!(wide(0xa7c5_ac47_1b47_8423, -77, 21), "7.99999999999999999996e-05");
        assert_eq!(wide(0, 0, 21), "0");
        // A double's digits are those that Rust finds.
        for number in [1.0f64, 0.1, 123456.789, 1e23, 5e-324, f64::MAX, 0.5] {
            let bits = number.to_bits();
            let (field, fraction) = ((bits >> 52) as i32, bits & 0xf_ffff_ffff_ffff);
            let (mantissa, exponent) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
            assert_eq!(wide(u128::from(mantissa), exponent, 17), general(number, 17));
        }
    }
}
