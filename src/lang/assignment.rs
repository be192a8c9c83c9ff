//! `PLACE = VALUE`, for `set`.

use super::compiler::Compiler;
use super::emitter::{Operand, OperandKind};
use super::lexer::TokenKind;
use super::operator::BinaryOp;
use super::{Environment, Expression, Fault, LangError, Names, Place, Span, Value};

/// A compiled assignment.
#[derive(Clone, Debug)]
pub struct Assignment {
    target: Target,
    value: Expression,
}

#[derive(Clone, Debug)]
enum Target {
    Variable(String),
    Storage(Box<Expression>, Span),
}

/// Whether a token assigns: `=`, `+=`...
pub(super) fn is_operator(punct: &str) -> bool {
    punct == "=" || BinaryOp::parse_compound(punct).is_some()
}

/// How a text changes something, where it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change<'t> {
    /// `place = value`, `place += value`: of the place.
    Assigned(&'t str),
    /// `++place` and `--place`; `by` is `+= 1` or `-= 1`.
    Before { place: &'t str, by: &'static str },
    /// `place++` and `place--`, which comes to what was there before.
    Behind { place: &'t str, by: &'static str },
}

/// What a text changes; `None`: nothing, it is an expression.
pub fn change_in(text: &str) -> Option<Change<'_>> {
    let tokens = super::lexer::tokens(text).ok()?;
    let mut depth = 0i32;
    for token in &tokens {
        match token.kind {
            TokenKind::Punct("(" | "[" | "{") => depth += 1,
            TokenKind::Punct(")" | "]" | "}") => depth -= 1,
            TokenKind::Punct(punct) if depth == 0 && is_operator(punct) => {
                return Some(Change::Assigned(text.get(..token.span.start as usize)?.trim()));
            }
            _ => {}
        }
    }
    let step = |first: usize| {
        let (one, other) = (tokens.get(first)?, tokens.get(first + 1)?);
        let by = match (&one.kind, &other.kind) {
            (TokenKind::Punct("+"), TokenKind::Punct("+")) => "+= 1",
            (TokenKind::Punct("-"), TokenKind::Punct("-")) => "-= 1",
            _ => return None,
        };
        (one.span.end == other.span.start).then_some((one.span.start as usize, other.span.end as usize, by))
    };
    // `print -- x` ends its options.
    let is_tight =
        |end: usize| tokens.get(2).is_some_and(|one| one.kind != TokenKind::End && one.span.start as usize == end);
    if let Some((_, end, by)) = step(0).filter(|(_, end, _)| is_tight(*end)) {
        return Some(Change::Before { place: text.get(end..)?.trim(), by });
    }
    let (start, _, by) = step(tokens.len().checked_sub(3)?)?;
    let place = text.get(..start)?.trim();
    (!place.is_empty()).then_some(Change::Behind { place, by })
}

impl Assignment {
    /// Compiles `$rax = 5`, `*(int*)$rsi += 1`, `{char}0x1234 = 'a'` or `$mine = $rdi`.
    pub fn compile(text: &str, names: &dyn Names) -> Result<Assignment, LangError> {
        let mut compiler = Compiler::new(text, names)?;
        let target = target(&mut compiler)?;
        let TokenKind::Punct(punct) = compiler.token().kind else { return Err(stray(&compiler)) };
        if !is_operator(punct) {
            return Err(stray(&compiler));
        }
        let operator = compiler.at;
        let left = match BinaryOp::parse_compound(punct) {
            Some(op) => {
                compiler.at = 0;
                let operand = compiler.expression()?;
                Some((op, compiler.rvalue(operand)?))
            }
            None => None,
        };
        compiler.at = operator + 1;
        let operand = compiler.expression()?;
        if matches!(target, Target::Variable(_)) && left.is_none() {
            let value = Expression::finish(&mut compiler, operand)?;
            return compiler.at_end().map(|()| Assignment { target, value });
        }
        let mut value = compiler.rvalue(operand)?;
        if let Some((op, left)) = left {
            value = compiler.apply(op, left, value)?;
        }
        if let Target::Storage(storage, _) = &target {
            value = compiler.emitter.cast(value, storage.ty(), value.span)?;
        }
        let operand = Operand { kind: OperandKind::Value, ..value };
        let value = Expression::finish(&mut compiler, operand)?;
        compiler.at_end().map(|()| Assignment { target, value })
    }

    /// The convenience variable that is assigned to, by its name without the `$`.
    pub fn variable(&self) -> Option<&str> {
        match &self.target {
            Target::Variable(name) => Some(name),
            Target::Storage(..) => None,
        }
    }

    /// Where to write, and what: the low [`Place::Memory`] `size` bytes of [`Value::to_raw`].
    pub fn resolve(&self, env: &dyn Environment) -> Result<(Place, Value), LangError> {
        let place = match &self.target {
            Target::Variable(name) => Place::Variable(name.clone()),
            Target::Storage(storage, span) => storage.place(env)?.ok_or(Fault::NotAssignable.at(*span))?,
        };
        Ok((place, self.value.evaluate(env)?))
    }
}

/// The fault of a text that goes on with something else than `=`.
fn stray(compiler: &Compiler<'_>) -> LangError {
    match compiler.token().kind {
        TokenKind::End => Fault::NoAssignment.at(compiler.span()),
        _ => Fault::Trailing(compiler.found_text()).at(compiler.span()),
    }
}

/// Compiles the left side, up to the operator.
fn target(compiler: &mut Compiler<'_>) -> Result<Target, LangError> {
    let first = compiler.token().clone();
    let assigned = matches!(compiler.tokens.get(1), Some(next) if matches!(next.kind, TokenKind::Punct(punct) if is_operator(punct)));
    let name = first.span.of(compiler.text).strip_prefix('$').unwrap_or("");
    if first.kind == TokenKind::Variable && assigned && !compiler.is_register(name) {
        // `$`, `$$` and `$1` are the history, which nobody writes.
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !named {
            return Err(Fault::NotAssignable.at(first.span));
        }
        compiler.at = 1;
        return Ok(Target::Variable(name.to_owned()));
    }
    let operand = compiler.expression()?;
    let storage = Expression::finish(compiler, operand)?;
    if !storage.is_assignable() && compiler.token().kind != TokenKind::End {
        return Err(Fault::NotAssignable.at(operand.span));
    }
    Ok(Target::Storage(Box::new(storage), operand.span))
}

#[cfg(test)]
mod tests {
    use super::{change_in, Change};

    #[test]
    fn what_changes_is_told_from_what_is_looked_at() {
        assert_eq!(change_in("a[i = 2] = 5"), Some(Change::Assigned("a[i = 2]")));
        assert_eq!(change_in("x <<= 1"), Some(Change::Assigned("x")));
        assert_eq!(change_in("p->x++"), Some(Change::Behind { place: "p->x", by: "+= 1" }));
        assert_eq!(change_in("--x"), Some(Change::Before { place: "x", by: "-= 1" }));
        for text in ["x == 5", "x - -1", "x <= y", "- -x", "x + +y", "-- x", "", "+", "++", "'a' != b"] {
            assert_eq!(change_in(text), None, "{text}");
        }
    }
}
