//! Reads a script by recursive descent: blocks, attach points, statements. Expressions are in [`super::expressions`].

use crate::lang::operator::BinaryOp;
use std::collections::HashMap;

use super::super::Span;
use super::ast::{Block, MapDeclaration, RawPoint, Script, Step, Stmt, StmtKind, Target, WhenFull};
use super::ast::{Expr, ExprKind};
use super::ctypes::CParser;
use super::error::Diagnostic;
use super::lexer::{self, Token, TokenKind};
use super::preprocess::{self, Macro};
use super::types::Types;

/// How deep statements and expressions may nest.
pub(super) const DEPTH: u32 = 48;

/// What a script was read to.
pub(super) struct Parsed {
    pub(super) script: Script,
    pub(super) types: Types,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Reads one text: the script, or what a macro stands for.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) types: Types,
    pub(super) macros: &'a HashMap<String, Macro>,
    pub(super) depth: u32,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

/// Parses a script; `environment` gives the variables that attach points name as `${NAME}`, and parameters by their
/// number.
pub(super) fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Parsed, Diagnostic> {
    if text.len() > lexer::TEXT_LIMIT {
        return Err(Diagnostic::error(Span::new(0, 0), "the script is longer than 1 MiB"));
    }
    let plain = preprocess::run(text)?;
    let types = super::headers::types();
    let mut parser = Parser { text: &plain.text, at: 0, types, macros: &plain.macros, depth: 0, environment };
    let mut script = Script::default();
    while parser.peek()?.kind != TokenKind::End {
        parser.top_level(&mut script)?;
    }
    super::macros::expand(&mut script)?;
    if script.blocks.is_empty() {
        let end = text.trim_end().len();
        return Err(Diagnostic::error(Span::new(end, end), "No probes to attach"));
    }
    Ok(Parsed { script, types: parser.types, warnings: plain.warnings })
}

impl<'a> Parser<'a> {
    /// A parser of what a macro stands for.
    pub(super) fn of_macro<'b>(&'b self, body: &'b str) -> Parser<'b> {
        Parser {
            text: body,
            at: 0,
            types: self.types.clone(),
            macros: self.macros,
            depth: self.depth + 1,
            environment: self.environment,
        }
    }

    pub(super) fn peek(&self) -> Result<Token, Diagnostic> {
        lexer::token(self.text, self.at)
    }

    pub(super) fn peek_after(&self, token: &Token) -> Result<Token, Diagnostic> {
        lexer::token(self.text, token.span.end as usize)
    }

    pub(super) fn next(&mut self) -> Result<Token, Diagnostic> {
        let token = self.peek()?;
        self.at = token.span.end as usize;
        Ok(token)
    }

    pub(super) fn name_of(&self, token: &Token) -> &'a str {
        if token.kind == TokenKind::Name {
            token.span.of(self.text)
        } else {
            ""
        }
    }

    pub(super) fn is_punct(&self, punct: &'static str) -> Result<bool, Diagnostic> {
        Ok(self.peek()?.kind == TokenKind::Punct(punct))
    }

    pub(super) fn take(&mut self, punct: &'static str) -> Result<bool, Diagnostic> {
        let is_it = self.is_punct(punct)?;
        if is_it {
            self.next()?;
        }
        Ok(is_it)
    }

    pub(super) fn expect(&mut self, punct: &'static str) -> Result<Span, Diagnostic> {
        let token = self.next()?;
        if token.kind == TokenKind::Punct(punct) {
            Ok(token.span)
        } else {
            Err(Diagnostic::error(token.span, format!("syntax: expected '{punct}'")))
        }
    }

    pub(super) fn deeper(&mut self, span: Span) -> Result<(), Diagnostic> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Diagnostic::error(span, "syntax: the script nests too deeply"));
        }
        Ok(())
    }

    fn top_level(&mut self, script: &mut Script) -> Result<(), Diagnostic> {
        let token = self.peek()?;
        match self.name_of(&token) {
            "struct" | "union" | "enum" | "typedef" => {
                let mut definitions = CParser::new(self.text, self.at, &mut self.types);
                definitions.definition()?;
                self.at = definitions.at;
            }
            "config" if self.peek_after(&token)?.kind == TokenKind::Punct("=") => {
                self.next()?;
                self.next()?;
                self.config(script)?;
            }
            "macro" => {
                let definition = self.macro_definition()?;
                script.macros.push(definition);
            }
            "let" => {
                let declaration = self.map_declaration()?;
                script.maps.push(declaration);
            }
            "import" => {
                let error = Diagnostic::error(token.span, "'import' is not supported: a script is one file");
                return Err(error.with_hint("put what is needed of the other file into the script"));
            }
            "fn" => {
                let error = Diagnostic::error(token.span, "'fn' is not supported");
                return Err(error.with_hint("macro NAME($a) { .. } is put in where it is called"));
            }
            _ => {
                let block = self.block()?;
                script.blocks.push(block);
            }
        }
        Ok(())
    }

    /// `config = { name = value; name = value }`.
    fn config(&mut self, script: &mut Script) -> Result<(), Diagnostic> {
        self.expect("{")?;
        while !self.take("}")? {
            let name = self.next()?;
            self.expect("=")?;
            let value = self.next()?;
            let text = match &value.kind {
                TokenKind::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                TokenKind::Name | TokenKind::Integer(_) => value.span.of(self.text).to_owned(),
                _ => return Err(Diagnostic::error(value.span, "syntax: expected a value")),
            };
            script.config.push((name.span.of(self.text).to_owned(), text, name.span));
            if !self.take(";")? && !self.is_punct("}")? {
                return Err(Diagnostic::error(self.peek()?.span, "syntax: expected ';'"));
            }
        }
        Ok(())
    }

    /// `let @x = lruhash(100);`.
    fn map_declaration(&mut self) -> Result<MapDeclaration, Diagnostic> {
        self.next()?;
        let map = self.next()?;
        if map.kind != TokenKind::Map {
            return Err(Diagnostic::error(map.span, "syntax: expected a map"));
        }
        self.expect("=")?;
        let kind = self.next()?;
        let when_full = match self.name_of(&kind) {
            "hash" | "percpuhash" => WhenFull::Refuse,
            "lruhash" | "percpulruhash" => WhenFull::Evict,
            other => {
                let error = Diagnostic::error(kind.span, format!("Invalid bpf map type: {other}"));
                return Err(error.with_hint("there are hash, lruhash, percpuhash and percpulruhash"));
            }
        };
        self.expect("(")?;
        let limit = self.next()?;
        let TokenKind::Integer(count @ 1..) = limit.kind else {
            return Err(Diagnostic::error(limit.span, "syntax: expected the most keys of the map"));
        };
        self.expect(")")?;
        self.expect(";")?;
        Ok(MapDeclaration { name: map.span.of(self.text).to_owned(), limit: count as usize, when_full, span: map.span })
    }

    fn block(&mut self) -> Result<Block, Diagnostic> {
        let mut points = Vec::new();
        loop {
            let point = self.attach_point()?;
            if let Some(point) = point {
                points.push(point);
            }
            if !self.take(",")? {
                break;
            }
            // A comma before the predicate or the action is taken for what was meant.
            if self.is_punct("{")? || self.is_punct("/")? {
                break;
            }
        }
        if points.is_empty() {
            return Err(Diagnostic::error(self.peek()?.span, "No attach points for probe"));
        }
        let mut predicate = None;
        if self.take("/")? {
            let condition = self.predicate()?;
            if !self.take("/")? {
                return Err(Diagnostic::error(self.peek()?.span, "syntax: expected '/' to close predicate"));
            }
            predicate = Some(condition);
        }
        Ok(Block { points, predicate, body: self.braced()? })
    }

    /// Reads an attach point, in which spaces, commas and braces end it unless they are quoted.
    fn attach_point(&mut self) -> Result<Option<RawPoint>, Diagnostic> {
        let start = lexer::skip_space(self.text, self.at)?;
        let rest = self.text[start..].to_owned();
        let mut text = String::new();
        let mut letters = rest.char_indices().peekable();
        let mut end = rest.len();
        let mut quoted = false;
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => quoted = !quoted,
                _ if quoted => text.push(letter),
                '$' if rest[at..].starts_with("${") => {
                    let name: String =
                        letters.by_ref().skip(1).map(|(_, one)| one).take_while(|one| *one != '}').collect();
                    text.push_str(&self.environment_value(&name, start + at)?);
                }
                // `$1`: a parameter; empty where it was not given.
                '$' if rest[at + 1..].starts_with(|digit: char| digit.is_ascii_digit()) => {
                    let mut number = String::new();
                    while let Some((_, digit)) = letters.next_if(|(_, one)| one.is_ascii_digit()) {
                        number.push(digit);
                    }
                    text.push_str(&(self.environment)(&number).unwrap_or_default());
                }
                ',' | '{' => {
                    end = at;
                    break;
                }
                '/' if !text.contains(':') && !text.is_empty() => {
                    end = at;
                    break;
                }
                _ if letter.is_whitespace() => {
                    end = at;
                    break;
                }
                _ => text.push(letter),
            }
        }
        self.at = start + end;
        let span = Span::new(start, start + end);
        if quoted {
            return Err(Diagnostic::error(span, "syntax: unterminated string"));
        }
        if text.is_empty() && end == 0 {
            return match rest.chars().next() {
                Some('{') | Some(',') | None => Ok(None),
                Some(_) => Err(Diagnostic::error(span, "syntax: expected a probe")),
            };
        }
        Ok(Some(RawPoint { text, span }))
    }

    fn environment_value(&self, name: &str, at: usize) -> Result<String, Diagnostic> {
        (self.environment)(name).ok_or_else(|| {
            let span = Span::new(at, at + name.len() + 3);
            Diagnostic::error(span, format!("the environment has no variable '{name}'"))
                .with_hint(format!("set it: {name}=VALUE rdbg trace .."))
        })
    }

    /// `{ statements }`.
    pub(super) fn braced(&mut self) -> Result<Vec<Stmt>, Diagnostic> {
        Ok(self.braced_until()?.0)
    }

    /// `{ statements value }`: an expression that no semicolon follows is the block's value.
    pub(super) fn block_with_value(&mut self) -> Result<(Vec<Stmt>, Option<Box<Expr>>), Diagnostic> {
        let (mut body, last) = self.braced_until()?;
        let value = match (last, body.pop()) {
            (LastStatement::Open, Some(Stmt { kind: StmtKind::Expr(value), .. })) => Some(Box::new(value)),
            (_, last) => {
                body.extend(last);
                None
            }
        };
        Ok((body, value))
    }

    fn braced_until(&mut self) -> Result<(Vec<Stmt>, LastStatement), Diagnostic> {
        let open = self.expect("{")?;
        self.deeper(open)?;
        let mut body = Vec::new();
        let mut last = LastStatement::Ended;
        loop {
            while self.take(";")? {
                last = LastStatement::Ended;
            }
            if self.take("}")? {
                break;
            }
            if self.peek()?.kind == TokenKind::End {
                return Err(Diagnostic::error(self.peek()?.span, "syntax: expected '}'"));
            }
            let statement = self.statement()?;
            let is_block = ends_with_brace(&statement.kind);
            body.push(statement);
            last = LastStatement::Open;
            if !is_block && !self.is_punct("}")? {
                self.expect(";")?;
                last = LastStatement::Ended;
            }
        }
        self.depth -= 1;
        Ok((body, last))
    }

    fn statement(&mut self) -> Result<Stmt, Diagnostic> {
        let token = self.peek()?;
        let kind = match (&token.kind, self.name_of(&token)) {
            (_, "if") => self.if_statement()?,
            (_, "while") => {
                self.next()?;
                let condition = self.parenthesized()?;
                StmtKind::While { condition, body: self.braced()? }
            }
            (_, "unroll") => {
                self.next()?;
                let count = self.parenthesized()?;
                StmtKind::Unroll { count, body: self.braced()? }
            }
            (_, "for") => self.for_statement()?,
            (_, "let") => self.let_statement()?,
            (_, "return") => {
                self.next()?;
                if !self.is_punct(";")? && !self.is_punct("}")? {
                    self.expression()?;
                }
                StmtKind::Return
            }
            (_, "break") => {
                self.next()?;
                StmtKind::Break
            }
            (_, "continue") => {
                self.next()?;
                StmtKind::Continue
            }
            (TokenKind::Punct("{"), _) => StmtKind::Block(self.braced()?),
            _ => self.expression_or_assignment()?,
        };
        Ok(Stmt { kind, span: Span::new(token.span.start as usize, self.at) })
    }

    fn parenthesized(&mut self) -> Result<Expr, Diagnostic> {
        self.expect("(")?;
        let inner = self.expression()?;
        self.expect(")")?;
        Ok(inner)
    }

    fn if_statement(&mut self) -> Result<StmtKind, Diagnostic> {
        self.next()?;
        let condition = self.parenthesized()?;
        let then = self.braced()?;
        let token = self.peek()?;
        let mut otherwise = Vec::new();
        if self.name_of(&token) == "else" {
            self.next()?;
            let inner = self.peek()?;
            otherwise = match self.name_of(&inner) {
                "if" => {
                    self.deeper(inner.span)?;
                    let kind = self.if_statement()?;
                    self.depth -= 1;
                    vec![Stmt { kind, span: Span::new(inner.span.start as usize, self.at) }]
                }
                _ => self.braced()?,
            };
        }
        Ok(StmtKind::If { condition, then, otherwise })
    }

    /// `for ($kv : @map) { }`, `for $i : 0..10 { }`.
    fn for_statement(&mut self) -> Result<StmtKind, Diagnostic> {
        self.next()?;
        let parenthesized = self.take("(")?;
        let variable = self.next()?;
        if variable.kind != TokenKind::Variable {
            return Err(Diagnostic::error(variable.span, "syntax: expected a variable"));
        }
        let variable = variable.span.of(self.text).to_owned();
        self.expect(":")?;
        let from = self.expression()?;
        let kind = if self.take("..")? {
            let to = self.expression()?;
            (from, Some(to))
        } else {
            (from, None)
        };
        if parenthesized {
            self.expect(")")?;
        }
        let body = self.braced()?;
        match kind {
            (from, Some(to)) => Ok(StmtKind::ForRange { variable, from, to, body }),
            (from, None) => match from.kind {
                ExprKind::Map(map, keys) if keys.is_empty() => Ok(StmtKind::ForMap { variable, map, body }),
                _ => Err(Diagnostic::error(from.span, "syntax: expected a map or a range")),
            },
        }
    }

    fn let_statement(&mut self) -> Result<StmtKind, Diagnostic> {
        self.next()?;
        let variable = self.next()?;
        if variable.kind != TokenKind::Variable {
            return Err(Diagnostic::error(variable.span, "syntax: expected a variable"));
        }
        let ty = if self.take(":")? { Some(self.type_name()?) } else { None };
        let value = if self.take("=")? { Some(self.expression()?) } else { None };
        Ok(StmtKind::Let { name: variable.span.of(self.text).to_owned(), ty, value })
    }

    fn expression_or_assignment(&mut self) -> Result<StmtKind, Diagnostic> {
        let left = self.expression()?;
        let token = self.peek()?;
        let TokenKind::Punct(punct) = token.kind else { return Ok(StmtKind::Expr(left)) };
        let op = match punct {
            // A value that nobody wants.
            "=" if matches!(&left.kind, ExprKind::Name(name) if name == "_") => {
                self.next()?;
                return Ok(StmtKind::Expr(self.expression()?));
            }
            "=" => None,
            _ if BinaryOp::parse_compound(punct).is_some_and(|op| !op.is_comparison()) => {
                BinaryOp::parse_compound(punct)
            }
            _ => return Ok(StmtKind::Expr(left)),
        };
        let Some(target) = as_target(&left.kind) else {
            return Err(Diagnostic::error(left.span, "syntax: only a variable or a map can be assigned to"));
        };
        self.next()?;
        Ok(StmtKind::Assign { target, op, value: self.expression()? })
    }

    /// What `++` applies to.
    pub(super) fn step_target(&self, operand: &ExprKind, span: Span, step: Step) -> Result<Target, Diagnostic> {
        let _ = step;
        as_target(operand)
            .ok_or_else(|| Diagnostic::error(span, "syntax: increment/decrement requires a variable or map"))
    }
}

/// How the last statement of a block ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastStatement {
    /// By a semicolon.
    Ended,
    /// By the block's end.
    Open,
}

fn as_target(kind: &ExprKind) -> Option<Target> {
    match kind {
        ExprKind::Variable(name) => Some(Target::Variable(name.clone())),
        ExprKind::Map(name, keys) => Some(Target::Map(name.clone(), keys.clone())),
        _ => None,
    }
}

fn ends_with_brace(kind: &StmtKind) -> bool {
    matches!(
        kind,
        StmtKind::If { .. }
            | StmtKind::While { .. }
            | StmtKind::Unroll { .. }
            | StmtKind::ForMap { .. }
            | StmtKind::ForRange { .. }
            | StmtKind::Block(_)
    )
}
