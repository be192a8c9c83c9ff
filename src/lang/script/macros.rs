//! `macro f($x, y, @z) { .. }`: its body stands wherever it is named, with what it was given in its parameters' places.
//! Variables of its own are other than those of the same name where it is used; maps it has only those that it is given.

use super::super::Span;
use super::ast::{Expr, ExprKind, MacroDefinition, MacroParameter, Script, Stmt};
use super::change::Change;
use super::error::Diagnostic;
use super::lexer::TokenKind;
use super::parser::Parser;

/// How deep what macros are expanded to may nest: what is compiled recurses over it.
const DEPTH: usize = 128;
/// How many expressions macros may put in, all in all.
const EXPRESSIONS: usize = 1 << 17;

impl Parser<'_> {
    /// `macro name(a, $b, @c) { .. }`.
    pub(super) fn macro_definition(&mut self) -> Result<MacroDefinition, Diagnostic> {
        self.next()?;
        let name = self.next()?;
        if name.kind != TokenKind::Name {
            return Err(Diagnostic::error(name.span, "syntax: expected a name"));
        }
        let mut parameters = Vec::new();
        if self.take("(")? {
            while !self.take(")")? {
                let parameter = self.next()?;
                let text = parameter.span.of(self.text).to_owned();
                parameters.push(match parameter.kind {
                    TokenKind::Variable => MacroParameter::Variable(text),
                    TokenKind::Map => MacroParameter::Map(text),
                    TokenKind::Name => MacroParameter::Expression(text),
                    _ => return Err(Diagnostic::error(parameter.span, "syntax: expected a parameter")),
                });
                if !self.take(",")? && !self.is_punct(")")? {
                    return Err(Diagnostic::error(self.peek()?.span, "syntax: expected ')'"));
                }
            }
        }
        let (body, value) = self.block_with_value()?;
        Ok(MacroDefinition { name: name.span.of(self.text).to_owned(), parameters, body, value, span: name.span })
    }
}

/// Puts macros in where they are used, in all blocks.
pub(super) fn expand(script: &mut Script) -> Result<(), Diagnostic> {
    let macros = std::mem::take(&mut script.macros);
    if macros.is_empty() {
        return Ok(());
    }
    let mut expander = Expander { macros: &macros, calls: 0, expressions: 0, depth: 0, open: Vec::new() };
    for block in &mut script.blocks {
        if let Some(predicate) = &mut block.predicate {
            expander.expr(predicate)?;
        }
        expander.stmts(&mut block.body)?;
    }
    Ok(())
}

/// Finds the macros that are used and puts their bodies in.
struct Expander<'a> {
    macros: &'a [MacroDefinition],
    /// How many macros were put in.
    calls: usize,
    /// How many expressions they were, and what they were given.
    expressions: usize,
    depth: usize,
    /// The macros that are being put in, the outermost first.
    open: Vec<&'a str>,
}

impl Expander<'_> {
    fn deeper(&mut self, span: Span) -> Result<(), Diagnostic> {
        self.depth += 1;
        if self.depth > DEPTH || self.expressions > EXPRESSIONS {
            return Err(Diagnostic::error(span, "what the macros stand for is too large"));
        }
        Ok(())
    }
}

impl Change for Expander<'_> {
    fn stmt(&mut self, stmt: &mut Stmt) -> Result<(), Diagnostic> {
        self.deeper(stmt.span)?;
        self.stmt_parts(stmt)?;
        self.depth -= 1;
        Ok(())
    }

    fn expr(&mut self, expr: &mut Expr) -> Result<(), Diagnostic> {
        self.deeper(expr.span)?;
        self.parts(expr)?;
        self.call(expr)?;
        self.depth -= 1;
        Ok(())
    }
}

impl Expander<'_> {
    /// Puts a macro's body in the place of its call, if the expression is one.
    fn call(&mut self, expr: &mut Expr) -> Result<(), Diagnostic> {
        let (name, given) = match &expr.kind {
            ExprKind::Call(name, given) => (name, given.as_slice()),
            ExprKind::Name(name) => (name, &[][..]),
            _ => return Ok(()),
        };
        let macros = self.macros;
        let mut named = macros.iter().filter(|one| one.name == *name).peekable();
        let Some(first) = named.peek().copied() else { return Ok(()) };
        let Some(found) = named.find(|one| one.parameters.len() == given.len()) else {
            let (name, wanted) = (&first.name, first.parameters.len());
            let text = format!("Call to macro has wrong number of arguments: {name}(): {wanted}, not {}", given.len());
            return Err(Diagnostic::error(expr.span, text));
        };
        if self.open.contains(&found.name.as_str()) {
            return Err(Diagnostic::error(expr.span, format!("Recursive macro call: {name}")));
        }
        check_given(found, given)?;
        self.calls += 1;
        let given = given.iter().cloned().map(|one| {
            let mut counter = Counter(0);
            let mut one = one;
            counter.expr(&mut one)?;
            Ok((one, counter.0))
        });
        let given = given.collect::<Result<_, Diagnostic>>()?;
        let mut filler = Filler { found, given, number: self.calls, expressions: &mut self.expressions };
        let (mut body, mut value) = (found.body.clone(), found.value.clone());
        filler.stmts(&mut body)?;
        value.iter_mut().try_for_each(|value| filler.expr(value))?;
        self.open.push(&found.name);
        self.stmts(&mut body)?;
        value.iter_mut().try_for_each(|value| self.expr(value))?;
        self.open.pop();
        expr.kind = ExprKind::Block(body, value);
        Ok(())
    }
}

/// Counts expressions.
struct Counter(usize);

impl Change for Counter {
    fn expr(&mut self, expr: &mut Expr) -> Result<(), Diagnostic> {
        self.0 += 1;
        self.parts(expr)
    }
}

/// A parameter that stands for a variable or map must have been given one.
fn check_given(found: &MacroDefinition, given: &[Expr]) -> Result<(), Diagnostic> {
    for (parameter, given) in found.parameters.iter().zip(given) {
        let (name, what) = match (parameter, &given.kind) {
            (MacroParameter::Variable(name), kind) if !matches!(kind, ExprKind::Variable(_)) => (name, "variable"),
            (MacroParameter::Map(name), kind) if !matches!(kind, ExprKind::Map(_, keys) if keys.is_empty()) => {
                (name, "map")
            }
            _ => continue,
        };
        let text = format!("Mismatched arg: {}() expects a {what} for {name}", found.name);
        return Err(Diagnostic::error(given.span, text));
    }
    Ok(())
}

/// Puts what a macro was given into its body.
struct Filler<'a> {
    found: &'a MacroDefinition,
    /// Each with the number of its expressions.
    given: Vec<(Expr, usize)>,
    /// Keeps its variables apart from all others.
    number: usize,
    expressions: &'a mut usize,
}

impl Filler<'_> {
    fn given(&self, wanted: &MacroParameter) -> Option<&(Expr, usize)> {
        self.found.parameters.iter().position(|one| one == wanted).map(|at| &self.given[at])
    }
}

impl Change for Filler<'_> {
    fn expr(&mut self, expr: &mut Expr) -> Result<(), Diagnostic> {
        *self.expressions += 1;
        if let ExprKind::Name(name) = &expr.kind {
            if let Some((given, count)) = self.given(&MacroParameter::Expression(name.clone())) {
                let count = *count;
                *expr = given.clone();
                *self.expressions += count;
                if *self.expressions > EXPRESSIONS {
                    return Err(Diagnostic::error(expr.span, "what the macros stand for is too large"));
                }
                return Ok(());
            }
        }
        self.parts(expr)
    }

    fn variable(&mut self, name: &mut String) {
        *name = match self.given(&MacroParameter::Variable(name.clone())).map(|(given, _)| &given.kind) {
            Some(ExprKind::Variable(outer)) => outer.clone(),
            // No script can name this one.
            _ => format!("{name} of {}() {}", self.found.name, self.number),
        };
    }

    fn map(&mut self, name: &mut String, span: Span) -> Result<(), Diagnostic> {
        match self.given(&MacroParameter::Map(name.clone())).map(|(given, _)| &given.kind) {
            Some(ExprKind::Map(outer, _)) => {
                name.clone_from(outer);
                Ok(())
            }
            _ => {
                let text = format!("Unhygienic access to map: {name}. Maps must be passed into {}()", self.found.name);
                Err(Diagnostic::error(span, text))
            }
        }
    }
}
