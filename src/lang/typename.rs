//! Type names: `unsigned long long **`, `uint8_t`, `const char *`.

use super::lexer::{Token, TokenKind};
use super::{Fault, LangError, Scalar, Type};

/// The words that a type is built from.
#[derive(Default)]
struct Words {
    count: usize,
    signed: usize,
    unsigned: usize,
    short: usize,
    long: usize,
    /// `int`, or `char`, `double`, `uint8_t`.. as a whole.
    base: Option<Scalar>,
    bases: usize,
}

/// The type that the tokens start with and how many tokens it has; `None` if they start with no type.
pub(super) fn parse(text: &str, tokens: &[Token]) -> Option<Result<(Type, usize), LangError>> {
    let first = tokens.first()?;
    let mut words = Words::default();
    let mut used = 0;
    while let Some(token) = tokens.get(used) {
        let known = token.kind == TokenKind::Name && words.take(token.span.of(text));
        if !known {
            break;
        }
        used += 1;
    }
    if words.count == 0 {
        return None;
    }
    let mut span = tokens.get(used - 1).map_or(first.span, |last| first.span.to(last.span));
    let mut ty = match words.scalar() {
        Some(scalar) => Type::scalar(scalar),
        None => return Some(Err(Fault::BadType.at(span))),
    };
    while let Some(token) = tokens.get(used) {
        let is_const = token.kind == TokenKind::Name && is_qualifier(token.span.of(text));
        if token.kind == TokenKind::Punct("*") {
            span = span.to(token.span);
            ty = match ty.pointer() {
                Ok(pointer) => pointer,
                Err(fault) => return Some(Err(fault.at(span))),
            };
        } else if !is_const {
            break;
        }
        used += 1;
    }
    Some(Ok((ty, used)))
}

fn is_qualifier(word: &str) -> bool {
    matches!(word, "const" | "volatile")
}

impl Words {
    /// Adds a word; false if it is no part of a type.
    fn take(&mut self, word: &str) -> bool {
        let counter = match word {
            "signed" => &mut self.signed,
            "unsigned" => &mut self.unsigned,
            "short" => &mut self.short,
            "long" => &mut self.long,
            _ if is_qualifier(word) => {
                self.count += 1;
                return true;
            }
            _ => match base(word) {
                Some(scalar) => {
                    self.base = Some(scalar);
                    &mut self.bases
                }
                None => return false,
            },
        };
        *counter += 1;
        self.count += 1;
        true
    }

    /// The type they make, if they make one.
    fn scalar(&self) -> Option<Scalar> {
        let signs = self.signed + self.unsigned;
        if signs > 1 || self.bases > 1 || self.short > 1 || self.long > 2 || (self.short > 0 && self.long > 0) {
            return None;
        }
        let sized = self.short + self.long > 0;
        let unsigned = self.unsigned > 0;
        let pick = |signed: Scalar, other: Scalar| Some(if unsigned { other } else { signed });
        match self.base {
            None if signs == 0 && !sized => None,
            None | Some(Scalar::I32) if self.short > 0 => pick(Scalar::I16, Scalar::U16),
            None | Some(Scalar::I32) if self.long > 0 => pick(Scalar::I64, Scalar::U64),
            None | Some(Scalar::I32) => pick(Scalar::I32, Scalar::U32),
            Some(Scalar::Char) if !sized && signs > 0 => pick(Scalar::I8, Scalar::U8),
            Some(scalar) if !sized && signs == 0 => Some(scalar),
            Some(_) => None,
        }
    }
}

/// The words that are a type by themselves.
fn base(word: &str) -> Option<Scalar> {
    Some(match word {
        "void" => Scalar::Void,
        "bool" | "_Bool" => Scalar::Bool,
        "char" => Scalar::Char,
        "int" => Scalar::I32,
        "float" => Scalar::Float,
        "double" => Scalar::Double,
        "int8_t" => Scalar::I8,
        "uint8_t" => Scalar::U8,
        "int16_t" => Scalar::I16,
        "uint16_t" => Scalar::U16,
        "int32_t" => Scalar::I32,
        "uint32_t" => Scalar::U32,
        "int64_t" | "ssize_t" | "intptr_t" | "ptrdiff_t" => Scalar::I64,
        "uint64_t" | "size_t" | "uintptr_t" => Scalar::U64,
        _ => return None,
    })
}
