//! Reads expressions: C's, with maps, tuples and calls.

use super::super::Span;
use super::ast::{Expr, ExprKind, Step, StepOrder, TypeBase, TypeName, UnaryOp};
use super::change::{Change, Placer};
use super::error::Diagnostic;
use super::lexer::{Token, TokenKind};
use super::parser::Parser;
use crate::lang::operator::{BinaryOp, Infix};

/// A predicate ends at `/`, which elsewhere divides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slash {
    Divides,
    Ends,
}

/// How many operators of one precedence may follow one another: what is compiled recurses over them.
const CHAIN: u32 = 256;
/// The longest text that a macro is expanded to, bytes.
const EXPANSION_LIMIT: usize = 1 << 16;

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expr, Diagnostic> {
        self.conditional(Slash::Divides)
    }

    /// The condition between the slashes of a block.
    pub(super) fn predicate(&mut self) -> Result<Expr, Diagnostic> {
        self.conditional(Slash::Ends)
    }

    fn conditional(&mut self, slash: Slash) -> Result<Expr, Diagnostic> {
        let condition = self.binary(0, slash)?;
        if !self.take("?")? {
            return Ok(condition);
        }
        let then = self.conditional(slash)?;
        self.expect(":")?;
        let otherwise = self.conditional(slash)?;
        let span = condition.span.to(otherwise.span);
        Ok(Expr { kind: ExprKind::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise)), span })
    }

    fn binary(&mut self, least: u8, slash: Slash) -> Result<Expr, Diagnostic> {
        let mut left = self.unary()?;
        for _ in 0..CHAIN {
            let token = self.peek()?;
            let TokenKind::Punct(punct) = token.kind else { return Ok(left) };
            let Some(infix) = Infix::parse(punct) else { return Ok(left) };
            let ends = infix == Infix::Binary(BinaryOp::Div) && slash == Slash::Ends && self.closes(&token)?;
            if infix.precedence() <= least || ends {
                return Ok(left);
            }
            self.next()?;
            self.deeper(token.span)?;
            let right = self.binary(infix.precedence(), slash)?;
            self.depth -= 1;
            let span = left.span.to(right.span);
            let (one, two) = (Box::new(left), Box::new(right));
            let kind = match infix {
                Infix::Binary(op) => ExprKind::Binary(op, one, two),
                Infix::Logical(op) => ExprKind::Logical(op, one, two),
            };
            left = Expr { kind, span };
        }
        Err(Diagnostic::error(left.span, "syntax: the expression is too long"))
    }

    /// Whether this slash ends the predicate: an action follows it.
    fn closes(&self, slash: &Token) -> Result<bool, Diagnostic> {
        let after = self.peek_after(slash)?;
        Ok(matches!(after.kind, TokenKind::Punct("{") | TokenKind::End))
    }

    fn unary(&mut self) -> Result<Expr, Diagnostic> {
        let token = self.peek()?;
        let TokenKind::Punct(punct) = token.kind else { return self.postfix() };
        let op = match punct {
            "-" => UnaryOp::Negate,
            "!" => UnaryOp::Not,
            "~" => UnaryOp::Invert,
            "*" => UnaryOp::Deref,
            "&" => UnaryOp::AddressOf,
            "++" | "--" => {
                self.next()?;
                self.deeper(token.span)?;
                let operand = self.unary()?;
                self.depth -= 1;
                let by = if punct == "++" { Step::Up } else { Step::Down };
                let target = self.step_target(&operand.kind, token.span, by)?;
                let kind = ExprKind::Step { target, by, order: StepOrder::Prefix };
                return Ok(Expr { kind, span: token.span.to(operand.span) });
            }
            "(" => {
                if let Some(ty) = self.cast_type()? {
                    self.deeper(token.span)?;
                    let operand = self.unary()?;
                    self.depth -= 1;
                    let span = token.span.to(operand.span);
                    return Ok(Expr { kind: ExprKind::Cast(ty, Box::new(operand)), span });
                }
                return self.postfix();
            }
            _ => return self.postfix(),
        };
        self.next()?;
        self.deeper(token.span)?;
        let operand = self.unary()?;
        self.depth -= 1;
        let span = token.span.to(operand.span);
        Ok(Expr { kind: ExprKind::Unary(op, Box::new(operand)), span })
    }

    fn postfix(&mut self) -> Result<Expr, Diagnostic> {
        let mut operand = self.primary()?;
        for _ in 0..CHAIN {
            let token = self.peek()?;
            let TokenKind::Punct(punct) = token.kind else { return Ok(operand) };
            let start = operand.span;
            let kind = match punct {
                "." | "->" => {
                    self.next()?;
                    let member = self.next()?;
                    match member.kind {
                        TokenKind::Integer(at) => ExprKind::TupleField(Box::new(operand), at as usize),
                        TokenKind::Name => ExprKind::Field(Box::new(operand), member.span.of(self.text).to_owned()),
                        _ => return Err(Diagnostic::error(member.span, "syntax: expected a field")),
                    }
                }
                "[" => {
                    self.next()?;
                    let index = self.expression()?;
                    self.expect("]")?;
                    ExprKind::Index(Box::new(operand), Box::new(index))
                }
                "++" | "--" => {
                    let by = if punct == "++" { Step::Up } else { Step::Down };
                    let target = self.step_target(&operand.kind, token.span, by)?;
                    self.next()?;
                    ExprKind::Step { target, by, order: StepOrder::Postfix }
                }
                _ => return Ok(operand),
            };
            operand = Expr { kind, span: Span { start: start.start, end: self.at as u32 } };
        }
        Err(Diagnostic::error(operand.span, "syntax: the expression is too long"))
    }

    fn primary(&mut self) -> Result<Expr, Diagnostic> {
        let token = self.next()?;
        let text = token.span.of(self.text);
        let kind = match &token.kind {
            TokenKind::Integer(value) => ExprKind::Integer(*value),
            TokenKind::Text(bytes) => self.texts(bytes.clone())?,
            TokenKind::Variable => ExprKind::Variable(text.to_owned()),
            TokenKind::Parameter(number) => ExprKind::Parameter(*number),
            TokenKind::ParameterCount => ExprKind::ParameterCount,
            TokenKind::Map => {
                let name = text.to_owned();
                let mut keys = Vec::new();
                if self.take("[")? {
                    keys = self.list("]")?;
                    if keys.is_empty() {
                        return Err(Diagnostic::error(self.peek()?.span, "syntax: expected expression"));
                    }
                }
                ExprKind::Map(name, keys)
            }
            TokenKind::Punct("(") => self.parenthesized_or_tuple(&token)?,
            TokenKind::Punct("{") => {
                self.at = token.span.start as usize;
                let (body, value) = self.block_with_value()?;
                ExprKind::Block(body, value)
            }
            TokenKind::Name => return self.named(&token),
            _ => return Err(Diagnostic::error(token.span, "syntax: expected expression")),
        };
        Ok(Expr { kind, span: Span { start: token.span.start, end: self.at as u32 } })
    }

    /// `(a)`, `(a, b)`, `(a,)`, `()`.
    fn parenthesized_or_tuple(&mut self, open: &Token) -> Result<ExprKind, Diagnostic> {
        let name = self.peek()?;
        if name.kind == TokenKind::Name && self.peek_after(&name)?.kind == TokenKind::Punct("=") {
            let error = Diagnostic::error(name.span, "records are not supported");
            return Err(error.with_hint("a tuple holds the same values: ($a, $b).0"));
        }
        self.deeper(open.span)?;
        let mut parts = self.list(")")?;
        self.depth -= 1;
        let trailing_comma = self.text[..self.at - 1].trim_end().ends_with(',');
        Ok(match parts.len() {
            1 if !trailing_comma => parts.remove(0).kind,
            _ => ExprKind::Tuple(parts),
        })
    }

    /// Texts that stand side by side are one, as in C.
    fn texts(&mut self, mut bytes: Vec<u8>) -> Result<ExprKind, Diagnostic> {
        while let TokenKind::Text(more) = self.peek()?.kind {
            self.next()?;
            bytes.extend(more);
        }
        Ok(ExprKind::Text(bytes))
    }

    fn list(&mut self, close: &'static str) -> Result<Vec<Expr>, Diagnostic> {
        let mut parts = Vec::new();
        if self.take(close)? {
            return Ok(parts);
        }
        loop {
            parts.push(self.expression()?);
            if self.take(close)? {
                return Ok(parts);
            }
            if !self.take(",")? {
                let span = self.peek()?.span;
                return Err(Diagnostic::error(span, format!("syntax: expected '{close}'")));
            }
            if self.take(close)? {
                return Ok(parts);
            }
        }
    }

    fn named(&mut self, token: &Token) -> Result<Expr, Diagnostic> {
        let name = token.span.of(self.text);
        if let Some(expanded) = self.expand(token)? {
            return Ok(expanded);
        }
        let kind = match name {
            "true" => ExprKind::Bool(true),
            "false" => ExprKind::Bool(false),
            "sizeof" if self.is_punct("(")? => self.size_of()?,
            "offsetof" if self.is_punct("(")? => self.offset_of()?,
            _ if self.take("(")? => {
                self.deeper(token.span)?;
                let arguments = self.list(")")?;
                self.depth -= 1;
                ExprKind::Call(name.to_owned(), arguments)
            }
            _ => ExprKind::Name(name.to_owned()),
        };
        Ok(Expr { kind, span: Span { start: token.span.start, end: self.at as u32 } })
    }

    /// What a `#define` stands for, at the place where it is used.
    fn expand(&mut self, token: &Token) -> Result<Option<Expr>, Diagnostic> {
        let name = token.span.of(self.text);
        let Some(found) = self.macros.get(name) else { return Ok(None) };
        let mut body = found.body.clone();
        if let Some(parameters) = &found.parameters {
            self.expect("(")?;
            let mut given = Vec::new();
            if !self.take(")")? {
                loop {
                    let start = self.at;
                    self.expression()?;
                    given.push(self.text[start..self.at].trim().to_owned());
                    if self.take(")")? {
                        break;
                    }
                    self.expect(",")?;
                }
            }
            if given.len() != parameters.len() {
                let text = format!("macro '{name}' takes {} arguments, {} given", parameters.len(), given.len());
                return Err(Diagnostic::error(token.span, text));
            }
            body = substitute(&body, parameters, &given);
        }
        let span = Span { start: token.span.start, end: self.at as u32 };
        if body.len() > EXPANSION_LIMIT {
            return Err(Diagnostic::error(span, format!("Macro recursion: {name}")));
        }
        let mut inner = self.of_macro(&body);
        inner.deeper(span).map_err(|_| Diagnostic::error(span, format!("Macro recursion: {name}")))?;
        let placed = |error: Diagnostic| Diagnostic { span, ..error };
        let mut expression = inner.expression().map_err(placed)?;
        if inner.peek().map_err(placed)?.kind != TokenKind::End {
            let text = format!("unable to expand macro as an expression: {body}");
            return Err(Diagnostic::error(span, text));
        }
        Placer(span).expr(&mut expression)?;
        Ok(Some(expression))
    }

    fn size_of(&mut self) -> Result<ExprKind, Diagnostic> {
        let before = self.at;
        if let Some(ty) = self.cast_type()? {
            return Ok(ExprKind::SizeOf(ty));
        }
        self.at = before;
        self.expect("(")?;
        let operand = self.expression()?;
        self.expect(")")?;
        Ok(ExprKind::Call("sizeof".into(), vec![operand]))
    }

    fn offset_of(&mut self) -> Result<ExprKind, Diagnostic> {
        self.expect("(")?;
        let ty = self.type_name()?;
        self.expect(",")?;
        let mut path = Vec::new();
        loop {
            let member = self.next()?;
            if member.kind != TokenKind::Name {
                return Err(Diagnostic::error(member.span, "syntax: expected a field"));
            }
            path.push(member.span.of(self.text).to_owned());
            if !self.take(".")? {
                break;
            }
        }
        self.expect(")")?;
        Ok(ExprKind::OffsetOf(ty, path))
    }

    /// `(type)`, if that is what stands here.
    fn cast_type(&mut self) -> Result<Option<TypeName>, Diagnostic> {
        let before = self.at;
        self.expect("(")?;
        let token = self.peek()?;
        let name = self.name_of(&token);
        let is_type =
            matches!(name, "struct" | "union" | "enum" | "const" | "typeof") || self.types.find_named(name).is_some();
        if is_type && self.macros.get(name).is_none() {
            let ty = self.type_name()?;
            if self.take(")")? {
                return Ok(Some(ty));
            }
        }
        self.at = before;
        Ok(None)
    }

    /// What stands behind `typeof`: a type or an expression in parentheses.
    fn type_of(&mut self) -> Result<TypeBase, Diagnostic> {
        let open = self.peek()?.span;
        self.deeper(open)?;
        let base = match self.cast_type()? {
            Some(ty) if ty.stars == 0 && ty.dims.is_empty() => ty.base,
            Some(ty) => {
                let zero = Expr { kind: ExprKind::Integer(0), span: ty.span };
                let span = ty.span;
                TypeBase::Of(Box::new(Expr { kind: ExprKind::Cast(ty, Box::new(zero)), span }))
            }
            None => {
                self.expect("(")?;
                let operand = self.expression()?;
                self.expect(")")?;
                TypeBase::Of(Box::new(operand))
            }
        };
        self.depth -= 1;
        Ok(base)
    }

    /// `struct sockaddr *`, `uint64`, `int8[4]`.
    pub(super) fn type_name(&mut self) -> Result<TypeName, Diagnostic> {
        let first = self.peek()?;
        let mut words: Vec<&str> = Vec::new();
        let mut base = None;
        loop {
            let token = self.peek()?;
            let word = token.span.of(self.text);
            if token.kind != TokenKind::Name {
                break;
            }
            match word {
                "const" | "volatile" => {}
                "typeof" if words.is_empty() && base.is_none() => {
                    self.next()?;
                    base = Some(self.type_of()?);
                    continue;
                }
                "struct" | "union" | "enum" if words.is_empty() && base.is_none() => {
                    self.next()?;
                    let tag = self.next()?;
                    let name = tag.span.of(self.text).to_owned();
                    base = Some(if word == "enum" { TypeBase::Enum(name) } else { TypeBase::Record(name) });
                    continue;
                }
                _ if base.is_some() => break,
                _ => words.push(word),
            }
            self.next()?;
        }
        let base = base.unwrap_or_else(|| TypeBase::Plain(super::ctypes::ordered(&words)));
        let mut stars = 0u8;
        while self.take("*")? {
            stars = stars.saturating_add(1);
            let token = self.peek()?;
            if matches!(self.name_of(&token), "const" | "volatile") {
                self.next()?;
            }
        }
        let mut dims = Vec::new();
        while self.take("[")? {
            let token = self.next()?;
            match token.kind {
                TokenKind::Integer(count) => {
                    dims.push(count);
                    self.expect("]")?;
                }
                TokenKind::Punct("]") => dims.push(0),
                _ => return Err(Diagnostic::error(token.span, "syntax: expected an array's length")),
            }
        }
        let span = Span { start: first.span.start, end: self.at as u32 };
        Ok(TypeName { base, stars, dims, span })
    }
}

/// Puts arguments for parameters, whole words only.
fn substitute(body: &str, parameters: &[String], given: &[String]) -> String {
    let mut text = String::new();
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let length = super::lexer::name_length(rest);
        if length == 0 {
            text.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let word = &rest[..length];
        match parameters.iter().position(|one| one == word) {
            Some(at) => text.push_str(&given[at]),
            None => text.push_str(word),
        }
        rest = &rest[length..];
    }
    text
}
