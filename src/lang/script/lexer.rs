//! Splits a script into tokens, one at a time: an attach point is read raw, so how a text is split depends on where the
//! parser is.

use super::super::{literal, Span};
use super::error::Diagnostic;

/// The longest script that is taken, bytes.
pub(super) const TEXT_LIMIT: usize = 1 << 20;

/// A token and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// What a token is. Names are read from the text by their span.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum TokenKind {
    Integer(u64),
    Text(Vec<u8>),
    Name,
    /// `$name`; the span includes the `$`.
    Variable,
    /// `$1`.
    Parameter(usize),
    /// `$#`.
    ParameterCount,
    /// `@name`; the span includes the `@`.
    Map,
    Punct(&'static str),
    End,
}

/// Operators and brackets, longer ones before their prefixes.
const PUNCTS: [&str; 47] = [
    "<<=", ">>=", "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++",
    "--", "->", "..", "=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">", "?", ":", "(", ")", "[", "]",
    "{", "}", ",", ".", ";", "#",
];

/// What a duration's suffix makes of its number: nanoseconds.
const DURATIONS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Skips spaces and comments from `at` on.
pub(super) fn skip_space(text: &str, mut at: usize) -> Result<usize, Diagnostic> {
    loop {
        let rest = text.get(at..).unwrap_or("");
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if trimmed.starts_with("//") {
            at += trimmed.find('\n').unwrap_or(trimmed.len());
        } else if let Some(comment) = trimmed.strip_prefix("/*") {
            let Some(end) = comment.find("*/") else {
                return Err(Diagnostic::error(Span::new(at, at + 2), "syntax: unterminated comment"));
            };
            at += end + 4;
        } else {
            return Ok(at);
        }
    }
}

/// The token at `at`, or after the spaces and comments there.
pub(super) fn token(text: &str, at: usize) -> Result<Token, Diagnostic> {
    let at = skip_space(text, at)?;
    let rest = &text[at..];
    let bytes = rest.as_bytes();
    let (kind, length) = match bytes.first() {
        None => (TokenKind::End, 0),
        Some(b'0'..=b'9') => number(rest, at)?,
        Some(b'"') => string(rest, at)?,
        Some(b'$') => variable(rest, at)?,
        Some(b'@') => (TokenKind::Map, 1 + name_length(&rest[1..])),
        Some(first) if is_name_start(*first) => (TokenKind::Name, name_length(rest)),
        Some(_) => match PUNCTS.iter().find(|punct| rest.starts_with(**punct)) {
            Some(punct) => (TokenKind::Punct(punct), punct.len()),
            None => {
                let found = rest.chars().next().unwrap_or(' ');
                let span = Span::new(at, at + found.len_utf8());
                return Err(Diagnostic::error(span, format!("syntax: invalid character '{found}'")));
            }
        },
    };
    Ok(Token { kind, span: Span::new(at, at + length) })
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// The length of the identifier that `rest` starts with.
pub(super) fn name_length(rest: &str) -> usize {
    match rest.as_bytes().first() {
        Some(first) if is_name_start(*first) => {
            rest.bytes().take_while(|byte| is_name_start(*byte) || byte.is_ascii_digit()).count()
        }
        _ => 0,
    }
}

fn variable(rest: &str, at: usize) -> Result<(TokenKind, usize), Diagnostic> {
    if rest.starts_with("$#") {
        return Ok((TokenKind::ParameterCount, 2));
    }
    let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        let span = Span::new(at, at + 1 + digits);
        let number = rest[1..1 + digits].parse::<usize>().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            Diagnostic::error(span, format!("syntax: param {} is out of integer range", &rest[..1 + digits]))
        })?;
        return Ok((TokenKind::Parameter(number), 1 + digits));
    }
    match name_length(&rest[1..]) {
        0 => Err(Diagnostic::error(Span::new(at, at + 1), "syntax: expected identifier after '$'")),
        length => Ok((TokenKind::Variable, 1 + length)),
    }
}

/// `0x1f`, `017`, `1_000`, `1e6`, `5ms`, `123UL`.
fn number(rest: &str, at: usize) -> Result<(TokenKind, usize), Diagnostic> {
    let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let text = &rest[..length];
    let bad = || Diagnostic::error(Span::new(at, at + length), format!("syntax: invalid integer: {text}"));
    Ok((TokenKind::Integer(parse_integer(text).ok_or_else(bad)?), length))
}

/// The value of a number as scripts write it; durations are in nanoseconds.
pub fn parse_integer(text: &str) -> Option<u64> {
    let plain = text.replace('_', "").to_ascii_lowercase();
    if let Some(hex) = plain.strip_prefix("0x") {
        return u64::from_str_radix(hex.trim_end_matches(['u', 'l']), 16).ok();
    }
    let end = plain.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, suffix) = plain.split_at(end);
    let radix = if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 };
    let value = u64::from_str_radix(digits, radix).ok()?;
    if let Some((_, scale)) = DURATIONS.iter().find(|(name, _)| *name == suffix) {
        return value.checked_mul(*scale);
    }
    if let Some(exponent) = suffix.strip_prefix('e') {
        return value.checked_mul(10u64.checked_pow(exponent.parse().ok()?)?);
    }
    suffix.bytes().all(|byte| matches!(byte, b'u' | b'l')).then_some(value)
}

fn string(rest: &str, at: usize) -> Result<(TokenKind, usize), Diagnostic> {
    let mut text = Vec::new();
    let mut length = 1;
    loop {
        let tail = rest.as_bytes().get(length..).unwrap_or(&[]);
        match tail.first() {
            None => {
                let end = at + rest.len();
                return Err(Diagnostic::error(Span::new(end, end), "syntax: unterminated string"));
            }
            Some(b'"') => return Ok((TokenKind::Text(text), length + 1)),
            Some(b'\\') => {
                let span = Span::new(at + length, (at + length + 2).min(at + rest.len()));
                let (byte, used) =
                    literal::escape(tail).map_err(|_| Diagnostic::error(span, "syntax: invalid escape character"))?;
                text.push(byte);
                length += used;
            }
            Some(byte) => {
                text.push(*byte);
                length += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        let (mut at, mut kinds) = (0, Vec::new());
        loop {
            let one = token(text, at).unwrap();
            at = one.span.end as usize;
            if one.kind == TokenKind::End {
                return kinds;
            }
            kinds.push(one.kind);
        }
    }

    #[test]
    fn numbers_take_every_form_that_bpftrace_has() {
        for (text, value) in [("0x1F", 31), ("017", 15), ("1_000_000", 1_000_000), ("2e3", 2000), ("5UL", 5)] {
            assert_eq!(parse_integer(text), Some(value), "{text}");
        }
        assert_eq!((parse_integer("3ms"), parse_integer("1m")), (Some(3_000_000), Some(60_000_000_000)));
        assert_eq!((parse_integer("1b"), parse_integer("99999999999999999999")), (None, None));
        assert_eq!(parse_integer("18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn tokens_are_split_and_comments_passed_over() {
        let found = kinds("/* a */ @x[$y] ++ // rest\n -> \"a\\n\" $1 $#");
        let expected = [
            TokenKind::Map,
            TokenKind::Punct("["),
            TokenKind::Variable,
            TokenKind::Punct("]"),
            TokenKind::Punct("++"),
            TokenKind::Punct("->"),
            TokenKind::Text(b"a\n".to_vec()),
            TokenKind::Parameter(1),
            TokenKind::ParameterCount,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_token_is_told_with_its_place() {
        for (text, start) in [("`", 0), ("\"abc", 4), ("$ x", 0), ("$0", 0), ("/* x", 0), ("1b", 0), ("\"\\q\"", 1)] {
            assert_eq!(token(text, 0).unwrap_err().span.start, start, "{text}");
        }
    }
}
