//! Types in an expression: casts, `{type} address`, sizeof, alignof, decltype.

use super::compiler::{Compiler, NESTING};
use super::containers::alignment;
use super::debug::DebugType;
use super::emitter::{Operand, OperandKind};
use super::lexer::TokenKind;
use super::{typename, Fault, LangError, Span, Type, Value};

/// How much deeper an expression in decltype counts than what stands around it.
const DEEPER: usize = 8;

/// A type that is named.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// By C's words.
    Plain(Type),
    /// As debug information has it.
    Described(DebugType),
}

impl Compiler<'_> {
    /// `{type} address`.
    pub(super) fn braces(&mut self, start: Span) -> Result<Operand, LangError> {
        self.at += 1;
        let described = match self.type_of_operand(self.at) {
            Some(found) => match found? {
                (Named::Described(ty), used) => Some((ty, used)),
                (Named::Plain(_), _) => None,
            },
            None => self.described_type(self.at),
        };
        if let Some((ty, used)) = described {
            self.at += used;
            self.require("}", "`}`")?;
            let address = self.unary()?;
            self.rvalue(address)?;
            return self.in_memory(ty, start.to(address.span));
        }
        let ty = self.type_name()?;
        self.require("}", "`}`")?;
        let pointer = ty.pointer().map_err(|fault| fault.at(start))?;
        let value = self.unary()?;
        let value = self.rvalue(value)?;
        let span = start.to(value.span);
        self.emitter.cast(value, pointer, span)?;
        Ok(Operand { kind: OperandKind::Memory, ty, span, origin: None })
    }

    /// Whether a type's name and `)` follow the `(`.
    pub(super) fn starts_cast(&self) -> bool {
        let after = self.tokens.get(self.at + 1..).unwrap_or(&[]);
        typename::parse(self.text, after).is_some() || self.cast_type().is_some()
    }

    /// The type between parentheses, which is no plain one.
    fn cast_type(&self) -> Option<(Named, usize)> {
        let ends =
            |used: usize| self.tokens.get(self.at + 1 + used).map(|one| &one.kind) == Some(&TokenKind::Punct(")"));
        let found = self.type_of_operand(self.at + 1).and_then(Result::ok);
        let found = found.or_else(|| self.described_type(self.at + 1).map(|(ty, used)| (Named::Described(ty), used)));
        found.filter(|(_, used)| ends(*used))
    }

    pub(super) fn cast(&mut self, start: Span) -> Result<Operand, LangError> {
        let after = self.tokens.get(self.at + 1..).unwrap_or(&[]);
        let (named, used) = match typename::parse(self.text, after) {
            Some(plain) => plain.map(|(ty, used)| (Named::Plain(ty), used))?,
            None => match self.cast_type() {
                Some(found) => found,
                None => return self.postfix(),
            },
        };
        self.at += 1 + used;
        self.require(")", "`)`")?;
        let operand = self.unary()?;
        self.converted(operand, named, start.to(operand.span))
    }

    /// `static_cast<type>(operand)`, `reinterpret_cast` and `const_cast`, which all convert as `(type)` does.
    pub(super) fn named_cast(&mut self) -> Result<Operand, LangError> {
        let start = self.span();
        self.at += 1;
        self.require("<", "`<`")?;
        let (named, used) = self.named_type(self.at)?;
        self.at += used;
        // `vector<vector<int>>(x)` ends with one token.
        let closed = self.tokens.get(self.at - 1).is_some_and(|last| last.kind == TokenKind::Punct(">>"));
        if !closed {
            self.require(">", "`>`")?;
        }
        self.require("(", "`(`")?;
        let operand = self.comma()?;
        let span = start.to(self.span());
        self.require(")", "`)`")?;
        self.converted(operand, named, span)
    }

    fn converted(&mut self, operand: Operand, named: Named, span: Span) -> Result<Operand, LangError> {
        match named {
            Named::Described(ty) => self.described_cast(operand, ty, span),
            Named::Plain(ty) => {
                let value = self.rvalue(operand)?;
                self.emitter.cast(value, ty, span)
            }
        }
    }

    fn type_name(&mut self) -> Result<Type, LangError> {
        let after = self.tokens.get(self.at..).unwrap_or(&[]);
        match typename::parse(self.text, after) {
            Some(ty) => {
                let (ty, used) = ty?;
                self.at += used;
                Ok(ty)
            }
            None => Err(Fault::Unexpected { wanted: "a type", found: self.found_text() }.at(self.span())),
        }
    }

    /// The type that the tokens from the one numbered `from` on name, and how many they are.
    fn named_type(&self, from: usize) -> Result<(Named, usize), LangError> {
        if let Some(found) = self.type_of_operand(from) {
            return found;
        }
        if let Some(plain) = typename::parse(self.text, self.tokens.get(from..).unwrap_or(&[])) {
            return plain.map(|(ty, used)| (Named::Plain(ty), used));
        }
        let described = self.described_type(from).map(|(ty, used)| (Named::Described(ty), used));
        described.ok_or_else(|| {
            let span = self.tokens.get(from).map_or(self.span(), |one| one.span);
            Fault::Unexpected { wanted: "a type", found: format!("`{}`", span.of(self.text)) }.at(span)
        })
    }

    /// `decltype(operand)` and `typeof(operand or type)`, with the stars behind it; `None`: no such word stands there.
    pub(super) fn type_of_operand(&self, from: usize) -> Option<Result<(Named, usize), LangError>> {
        let word = self.tokens.get(from).filter(|one| one.kind == TokenKind::Name)?;
        if !matches!(word.span.of(self.text), "decltype" | "typeof" | "__typeof__" | "__typeof") {
            return None;
        }
        let (mut depth, mut last) = (0usize, None);
        for (at, token) in self.tokens.iter().enumerate().skip(from + 1) {
            match token.kind {
                TokenKind::Punct("(") => depth += 1,
                TokenKind::Punct(")") => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                last = (at > from + 1).then_some(at);
                break;
            }
        }
        let span = |at: usize| self.tokens.get(at).map_or(word.span, |one| one.span);
        let Some(last) = last else {
            return Some(Err(Fault::Unexpected { wanted: "`(` and `)`", found: self.found_text() }.at(word.span)));
        };
        let inner = self.text.get(span(from + 1).end as usize..span(last).start as usize).unwrap_or("");
        let whole = word.span.to(span(last));
        let named = self.type_of_text(inner).map_err(|error| error.fault.at(whole));
        Some(named.map(|named| self.with_stars(named, last + 1, from)))
    }

    /// The type of an expression, or that a type's name means.
    fn type_of_text(&self, text: &str) -> Result<Named, LangError> {
        let mut inner = Compiler::new(text, self.names)?;
        inner.nesting = self.nesting + DEEPER;
        if inner.nesting >= NESTING {
            return Err(Fault::TooDeep.at(Span::default()));
        }
        if let Ok((named, used)) = inner.named_type(0) {
            if inner.tokens.get(used).is_none_or(|one| one.kind == TokenKind::End) {
                return Ok(named);
            }
        }
        let operand = inner.comma()?;
        inner.at_end()?;
        Ok(operand.origin.map_or(Named::Plain(operand.ty), Named::Described))
    }

    fn with_stars(&self, mut named: Named, mut at: usize, from: usize) -> (Named, usize) {
        while matches!(self.tokens.get(at).map(|one| &one.kind), Some(TokenKind::Punct("*"))) {
            named = match named {
                Named::Described(ty) => Named::Described(DebugType { id: ty.id.pointer(), ..ty }),
                Named::Plain(ty) => Named::Plain(ty.pointer().unwrap_or(Type::VOID_POINTER)),
            };
            at += 1;
        }
        (named, at - from)
    }

    /// `sizeof(type)` or `sizeof operand`, whose code is thrown away: it is not evaluated.
    pub(super) fn sizeof(&mut self) -> Result<Operand, LangError> {
        let start = self.span();
        self.at += 1;
        let (named, span) = self.type_or_operand(start)?;
        let size = match named {
            Named::Plain(ty) => ty.size() as u64,
            Named::Described(ty) => self.look(ty, |types, id| types.size(id)).unwrap_or(0),
        };
        self.constant(Value::from_raw(size, Type::ULONG), span)
    }

    /// `alignof(type)` and `alignof(operand)`.
    pub(super) fn alignof(&mut self) -> Result<Operand, LangError> {
        let start = self.span();
        self.at += 1;
        let (named, span) = self.type_or_operand(start)?;
        let align = match named {
            Named::Plain(ty) => ty.size() as u64,
            Named::Described(ty) => self.look(self.defined(ty), alignment).unwrap_or(1),
        };
        self.constant(Value::from_raw(align, Type::ULONG), span)
    }

    /// What sizeof and alignof are asked for: `(type)`, or an operand.
    fn type_or_operand(&mut self, start: Span) -> Result<(Named, Span), LangError> {
        if self.at_punct("(") {
            if let Ok((named, used)) = self.named_type(self.at + 1) {
                let ends = self.tokens.get(self.at + 1 + used).map(|one| &one.kind) == Some(&TokenKind::Punct(")"));
                if ends || matches!(named, Named::Plain(_)) {
                    self.at += 1 + used;
                    let span = start.to(self.span());
                    self.require(")", "`)`")?;
                    return Ok((named, span));
                }
            } else if let Some(Err(error)) = typename::parse(self.text, self.tokens.get(self.at + 1..).unwrap_or(&[])) {
                return Err(error);
            }
        }
        let mark = self.emitter.mark();
        let operand = self.unary()?;
        self.emitter.rewind(mark);
        let named = operand.origin.map_or(Named::Plain(operand.ty), Named::Described);
        Ok((named, start.to(operand.span)))
    }

    /// A wide character, of the type that the program has for it.
    pub(super) fn wide(&mut self, value: Value, ty: &'static str, span: Span) -> Result<Operand, LangError> {
        let found = self.names.debug().and_then(|debug| debug.find_type(ty));
        let operand = self.constant(value, span)?;
        match found {
            Some(ty) => {
                let kind = self.arithmetic(ty);
                let cast = self.emitter.cast(operand, kind, span)?;
                Ok(Operand { origin: Some(ty), ..cast })
            }
            None => Ok(operand),
        }
    }
}
