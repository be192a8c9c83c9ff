//! The prompt's `printf "FORMAT", EXPR, ..`: C's conversions over values of the target.

use super::script::format::{specifier, Spec, SpecKind};
use super::{float, literal, Value};

/// A `printf` line, taken apart.
#[derive(Clone, PartialEq, Debug)]
pub struct Printf {
    /// Texts and conversions in turn.
    pub pieces: Vec<Piece>,
    /// The expressions, as many as there are conversions.
    pub arguments: Vec<String>,
}

/// A part of a format.
#[derive(Clone, PartialEq, Debug)]
pub enum Piece {
    /// As it is.
    Text(Vec<u8>),
    /// A conversion of C's that a script's `printf` has too.
    Plain(Spec),
    /// `%f`, `%e`, `%g`.
    Float(FloatSpec),
}

/// `%8.3f`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FloatSpec {
    /// The conversion's letter, in lower case.
    pub letter: u8,
    /// The least width, letters.
    pub width: usize,
    /// Digits: behind the point, or for `g` all.
    pub precision: usize,
}

impl Printf {
    /// Takes `"FORMAT", EXPR, ..` apart.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence's part.
    pub fn parse(text: &str) -> Result<Printf, String> {
        let (format, rest) = quoted(text.trim())?;
        let pieces = pieces(&format)?;
        let arguments = match rest.trim_start() {
            "" => Vec::new(),
            more => parted(more.strip_prefix(',').ok_or("a comma must follow the format")?),
        };
        let wanted = pieces.iter().filter(|piece| !matches!(piece, Piece::Text(_))).count();
        if arguments.len() != wanted {
            return Err(format!("the format takes {wanted} values, and {} are given", arguments.len()));
        }
        if arguments.iter().any(String::is_empty) {
            return Err("a value is missing between two commas".to_owned());
        }
        Ok(Printf { pieces, arguments })
    }
}

/// The bytes of the literal at the start of `text`, and what follows it.
fn quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let body = text.strip_prefix('"').ok_or("the format must stand in double quotes")?;
    let bytes = body.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        match bytes.get(at) {
            None => return Err("the format's quote does not end".to_owned()),
            Some(b'"') => return Ok((out, &body[at + 1..])),
            Some(b'\\') => {
                let (byte, length) = literal::escape(&bytes[at..]).map_err(|fault| fault.to_string())?;
                out.push(byte);
                at += length;
            }
            Some(byte) => {
                out.push(*byte);
                at += 1;
            }
        }
    }
}

fn pieces(format: &[u8]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = Vec::new();
    let mut at = 0;
    while at < format.len() {
        let rest = &format[at..];
        let (piece, length) = match rest {
            [b'%', b'%', ..] => (None, 2),
            [b'%', ..] => conversion(rest)?,
            _ => (None, 1),
        };
        match piece {
            None => text.push(rest[0]),
            Some(piece) => {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(piece);
            }
        }
        at += length;
    }
    pieces.push(Piece::Text(text));
    Ok(pieces)
}

fn conversion(rest: &[u8]) -> Result<(Option<Piece>, usize), String> {
    if let Some((spec, length)) = specifier(rest) {
        if !matches!(spec.kind, SpecKind::Bytes | SpecKind::BytesEscaped | SpecKind::BytesSpaced) {
            return Ok((Some(Piece::Plain(spec)), length));
        }
    }
    let end = rest.iter().position(u8::is_ascii_alphabetic).ok_or("`%` at the end of the format")?;
    let numbers = String::from_utf8_lossy(&rest[1..end]).into_owned();
    let (width, precision) = numbers.split_once('.').unwrap_or((&numbers, "6"));
    let letter = rest[end].to_ascii_lowercase();
    let small = |digits: &str| digits.parse::<usize>().ok().filter(|number| *number <= 100);
    match (letter, small(width).or(width.is_empty().then_some(0)), small(precision)) {
        (b'f' | b'e' | b'g', Some(width), Some(precision)) => {
            Ok((Some(Piece::Float(FloatSpec { letter, width, precision })), end + 1))
        }
        _ => Err(format!("`{}` is no conversion", String::from_utf8_lossy(&rest[..=end]))),
    }
}

/// The texts between commas that stand in no brackets or quotes.
fn parted(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quote, mut escaped) = (0i32, None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth <= 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

impl FloatSpec {
    /// A number as C prints it.
    pub fn text(self, value: &Value) -> String {
        let number = value.as_f64();
        let shown = match self.letter {
            _ if !number.is_finite() => float::text(Value::from_f64(number, super::Type::DOUBLE)),
            b'f' => format!("{number:.*}", self.precision),
            b'e' => float::scientific(number, self.precision),
            _ => float::general(number, self.precision.max(1)),
        };
        format!("{shown:>width$}", width = self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Type;

    #[test]
    fn a_line_is_a_format_and_its_values() {
        let line = Printf::parse(r#""fd=%d 100%% %s\n", f(a, b[1,2]), "x,\"y""#).unwrap();
        assert_eq!(line.arguments, ["f(a, b[1,2])", r#""x,\"y""#]);
        assert!(
            matches!(&line.pieces[..], [Piece::Text(a), Piece::Plain(_), Piece::Text(b), Piece::Plain(_), Piece::Text(c)]
            if a == b"fd=" && b == b" 100% " && c == b"\n")
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, wrong) in [
            ("fd", "double quotes"),
            (r#""open"#, "does not end"),
            (r#""%d""#, "takes 1 values, and 0"),
            (r#""x", 1"#, "takes 0 values, and 1"),
            (r#""%d" 1"#, "a comma"),
            (r#""%d", "#, "missing"),
            (r#""%y", 1"#, "`%y` is no conversion"),
            (r#""%r", 1"#, "`%r` is no conversion"),
            (r#""%9999999f", 1"#, "no conversion"),
            (r#""100%", 1"#, "at the end"),
            (r#""\q""#, "escape"),
        ] {
            let error = Printf::parse(line).unwrap_err();
            assert!(error.contains(wrong), "{line}: {error}");
        }
    }

    #[test]
    fn floats_are_printed_as_c_does() {
        let value = Value::from_f64(1234.5678, Type::DOUBLE);
        for (format, shown) in [
            ("%f", "1234.567800"),
            ("%.1f", "1234.6"),
            ("%e", "1.234568e+03"),
            ("%g", "1234.57"),
            ("%10.2f", "   1234.57"),
        ] {
            let Piece::Float(spec) = Printf::parse(&format!("\"{format}\", 1")).unwrap().pieces[1] else { panic!() };
            assert_eq!(spec.text(&value), shown, "{format}");
        }
    }
}
