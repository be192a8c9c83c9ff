//! Splits an expression's text into tokens.

use super::{literal, Fault, LangError, Span, Value};

/// The longest text that is taken for an expression, bytes.
pub(super) const TEXT_LIMIT: usize = 1 << 16;

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// What a token is; names are read from the text by their span.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A number, `true` or a character.
    Constant(Value),
    /// A character with a prefix, and the type that the prefix means: `L'a'`.
    Wide(Value, &'static str),
    /// A string literal, without its quotes and escapes.
    Text(Vec<u8>),
    /// A keyword, type, or symbol: `main`, `A::B::f`, `main.main`, `malloc@plt`.
    Name,
    /// `'A::f(int)'`; the span of the token includes the quotes.
    Quoted,
    /// `$name`; the span includes the `$`.
    Variable,
    /// An operator or bracket.
    Punct(&'static str),
    /// The end of the text.
    End,
}

/// Operators and brackets, longer ones before their prefixes.
const PUNCTS: [&str; 44] = [
    "<<=", ">>=", "->", "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
    "::", "=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">", "?", ":", "(", ")", "[", "]", "{", "}", ",",
    ".", ";",
];

/// All tokens of the text, [`TokenKind::End`] last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, LangError> {
    if text.len() > TEXT_LIMIT {
        return Err(Fault::TooLong(TEXT_LIMIT).at(Span::new(TEXT_LIMIT, text.len())));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or("");
        at += rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        let (kind, len) = if rest.is_empty() { (TokenKind::End, 0) } else { token(rest, at)? };
        let ends = kind == TokenKind::End;
        tokens.push(Token { kind, span: Span::new(at, at + len) });
        if ends {
            return Ok(tokens);
        }
        at += len;
    }
}

/// Names with dots taken apart, but for those that `is_symbol` knows: `a.b` is `a`, `.` and `b`.
pub(super) fn split_members(text: &str, tokens: Vec<Token>, is_symbol: &dyn Fn(&str) -> bool) -> Vec<Token> {
    let mut split = Vec::with_capacity(tokens.len());
    for token in tokens {
        let name = token.span.of(text);
        if token.kind != TokenKind::Name || !name.contains('.') || is_symbol(name) {
            split.push(token);
            continue;
        }
        let mut start = token.span.start as usize;
        for (index, part) in name.split('.').enumerate() {
            if index > 0 {
                split.push(Token { kind: TokenKind::Punct("."), span: Span::new(start, start + 1) });
                start += 1;
            }
            split.push(Token { kind: TokenKind::Name, span: Span::new(start, start + part.len()) });
            start += part.len();
        }
    }
    split
}

/// The token that `rest` starts with and its length; `at` is where `rest` starts in the text.
fn token(rest: &str, at: usize) -> Result<(TokenKind, usize), LangError> {
    let bytes = rest.as_bytes();
    let first = bytes.first().copied().unwrap_or(0);
    let second = bytes.get(1).copied().unwrap_or(0);
    match first {
        b'0'..=b'9' => number(rest, at),
        b'.' if second.is_ascii_digit() => number(rest, at),
        b'"' => string(rest, at),
        b'\'' => quoted(rest, at),
        b'$' => {
            let len = 1 + rest[1..].bytes().take_while(|byte| is_name_byte(*byte)).count();
            Ok((TokenKind::Variable, len))
        }
        _ => {
            if let Some(found) = wide(rest, at) {
                return Ok(found);
            }
            let len = name_length(rest);
            if len > 0 {
                return Ok((TokenKind::Name, len));
            }
            match PUNCTS.iter().find(|punct| rest.starts_with(**punct)) {
                Some(punct) => Ok((TokenKind::Punct(punct), punct.len())),
                None => {
                    let found = rest.chars().next().unwrap_or(' ');
                    Err(Fault::BadCharacter(found).at(Span::new(at, at + found.len_utf8())))
                }
            }
        }
    }
}

/// Prefixes of character constants, and their types.
const WIDE: [(&str, &str); 4] = [("u8'", "char8_t"), ("L'", "wchar_t"), ("u'", "char16_t"), ("U'", "char32_t")];

/// A character constant with a prefix.
fn wide(rest: &str, at: usize) -> Option<(TokenKind, usize)> {
    let (prefix, ty) = WIDE.iter().find(|(prefix, _)| rest.starts_with(prefix))?;
    let start = prefix.len() - 1;
    match quoted(rest.get(start..)?, at + start).ok()? {
        (TokenKind::Constant(value), used) => Some((TokenKind::Wide(value, ty), start + used)),
        _ => None,
    }
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_name_byte(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// The length of the name that `rest` starts with, its qualifiers and suffixes included; 0 for none.
pub(super) fn name_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let mut at = if rest.starts_with("::") { 2 } else { 0 };
    if !is_name_start(byte(at)) {
        return 0;
    }
    loop {
        while is_name_byte(byte(at)) {
            at += 1;
        }
        let next = byte(at + 1);
        at = match byte(at) {
            b':' if next == b':' && is_name_start(byte(at + 2)) => at + 2,
            b':' if next == b':' && byte(at + 2) == b'~' && is_name_start(byte(at + 3)) => at + 3,
            b'.' if is_name_byte(next) => at + 1,
            b'@' if is_name_start(next) => at + 1,
            _ => return at,
        };
    }
}

fn number(rest: &str, at: usize) -> Result<(TokenKind, usize), LangError> {
    let bytes = rest.as_bytes();
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut len = 0;
    while let Some(byte) = bytes.get(len) {
        let next = bytes.get(len + 1).copied().unwrap_or(0);
        let after_exponent = len > 0 && !hex && matches!(bytes[len - 1], b'e' | b'E') && next.is_ascii_digit();
        match byte {
            b'\'' if next.is_ascii_alphanumeric() => {}
            b'+' | b'-' if after_exponent => {}
            b'.' | b'_' => {}
            byte if byte.is_ascii_alphanumeric() => {}
            _ => break,
        }
        len += 1;
    }
    let value = literal::number(&rest[..len]).map_err(|fault| fault.at(Span::new(at, at + len)))?;
    Ok((TokenKind::Constant(value), len))
}

fn string(rest: &str, at: usize) -> Result<(TokenKind, usize), LangError> {
    let mut text = Vec::new();
    let mut len = 1;
    loop {
        let tail = rest.as_bytes().get(len..).unwrap_or(&[]);
        match tail.first() {
            None => return Err(Fault::UnmatchedQuote("double").at(Span::new(at, at + 1))),
            Some(b'"') => return Ok((TokenKind::Text(text), len + 1)),
            Some(byte) => {
                let (byte, used) = match byte {
                    b'\\' => literal::escape(tail).map_err(|fault| fault.at(Span::new(at + len, at + len + 1)))?,
                    byte => (*byte, 1),
                };
                text.push(byte);
                len += used;
            }
        }
    }
}

/// A character constant, or anything else in single quotes: a symbol's name.
fn quoted(rest: &str, at: usize) -> Result<(TokenKind, usize), LangError> {
    let bytes = rest.as_bytes();
    let tail = bytes.get(1..).unwrap_or(&[]);
    if tail.first() == Some(&b'\\') {
        let (byte, used) = literal::escape(tail).map_err(|fault| fault.at(Span::new(at + 1, at + 2)))?;
        if tail.get(used) != Some(&b'\'') {
            return Err(Fault::UnmatchedQuote("single").at(Span::new(at, at + 1)));
        }
        return Ok((TokenKind::Constant(literal::character(byte)), used + 2));
    }
    match tail.iter().position(|byte| *byte == b'\'') {
        None => Err(Fault::UnmatchedQuote("single").at(Span::new(at, at + 1))),
        Some(0) => Err(Fault::EmptyCharacter.at(Span::new(at, at + 2))),
        Some(1) => Ok((TokenKind::Constant(literal::character(tail[0])), 3)),
        Some(len) => Ok((TokenKind::Quoted, len + 2)),
    }
}
