//! A walk over a script's expressions and statements that may change each.

use super::super::Span;
use super::ast::{Expr, ExprKind, Stmt, StmtKind, Target, TypeBase, TypeName};
use super::error::Diagnostic;

/// Changes a script's parts in place.
pub(super) trait Change {
    fn expr(&mut self, expr: &mut Expr) -> Result<(), Diagnostic>;

    /// A variable's name.
    fn variable(&mut self, _name: &mut String) {}

    /// A map's name.
    fn map(&mut self, _name: &mut String, _span: Span) -> Result<(), Diagnostic> {
        Ok(())
    }

    fn stmts(&mut self, stmts: &mut [Stmt]) -> Result<(), Diagnostic> {
        stmts.iter_mut().try_for_each(|stmt| self.stmt(stmt))
    }

    fn target(&mut self, target: &mut Target, span: Span) -> Result<(), Diagnostic> {
        match target {
            Target::Variable(name) => {
                self.variable(name);
                Ok(())
            }
            Target::Map(name, keys) => {
                self.map(name, span)?;
                keys.iter_mut().try_for_each(|key| self.expr(key))
            }
        }
    }

    fn type_name(&mut self, ty: &mut TypeName) -> Result<(), Diagnostic> {
        match &mut ty.base {
            TypeBase::Of(of) => self.expr(of),
            _ => Ok(()),
        }
    }

    fn stmt(&mut self, stmt: &mut Stmt) -> Result<(), Diagnostic> {
        self.stmt_parts(stmt)
    }

    /// Everything that a statement is made of.
    fn stmt_parts(&mut self, stmt: &mut Stmt) -> Result<(), Diagnostic> {
        let span = stmt.span;
        match &mut stmt.kind {
            StmtKind::Expr(value) => self.expr(value),
            StmtKind::Assign { target, value, .. } => {
                self.target(target, span)?;
                self.expr(value)
            }
            StmtKind::Let { name, ty, value } => {
                if let Some(value) = value {
                    self.expr(value)?;
                }
                if let Some(ty) = ty {
                    self.type_name(ty)?;
                }
                self.variable(name);
                Ok(())
            }
            StmtKind::If { condition, then, otherwise } => {
                self.expr(condition)?;
                self.stmts(then)?;
                self.stmts(otherwise)
            }
            StmtKind::While { condition: head, body } | StmtKind::Unroll { count: head, body } => {
                self.expr(head)?;
                self.stmts(body)
            }
            StmtKind::ForMap { variable, map, body } => {
                self.variable(variable);
                self.map(map, span)?;
                self.stmts(body)
            }
            StmtKind::ForRange { variable, from, to, body } => {
                self.expr(from)?;
                self.expr(to)?;
                self.variable(variable);
                self.stmts(body)
            }
            StmtKind::Block(body) => self.stmts(body),
            StmtKind::Return | StmtKind::Break | StmtKind::Continue => Ok(()),
        }
    }

    /// Everything that an expression is made of.
    fn parts(&mut self, expr: &mut Expr) -> Result<(), Diagnostic> {
        let span = expr.span;
        match &mut expr.kind {
            ExprKind::Variable(name) => {
                self.variable(name);
                Ok(())
            }
            ExprKind::Map(name, keys) => {
                self.map(name, span)?;
                keys.iter_mut().try_for_each(|key| self.expr(key))
            }
            ExprKind::Unary(_, one) | ExprKind::Field(one, _) | ExprKind::TupleField(one, _) => self.expr(one),
            ExprKind::Step { target, .. } => self.target(target, span),
            ExprKind::Binary(_, one, two) | ExprKind::Logical(_, one, two) | ExprKind::Index(one, two) => {
                self.expr(one)?;
                self.expr(two)
            }
            ExprKind::Conditional(one, two, three) => {
                self.expr(one)?;
                self.expr(two)?;
                self.expr(three)
            }
            ExprKind::Call(_, parts) | ExprKind::Tuple(parts) => parts.iter_mut().try_for_each(|part| self.expr(part)),
            ExprKind::Cast(ty, one) => {
                self.type_name(ty)?;
                self.expr(one)
            }
            ExprKind::SizeOf(ty) | ExprKind::OffsetOf(ty, _) => self.type_name(ty),
            ExprKind::Block(body, value) => {
                self.stmts(body)?;
                value.iter_mut().try_for_each(|value| self.expr(value))
            }
            ExprKind::Integer(_)
            | ExprKind::Text(_)
            | ExprKind::Bool(_)
            | ExprKind::Name(_)
            | ExprKind::Parameter(_)
            | ExprKind::ParameterCount => Ok(()),
        }
    }
}

/// Gives all parts one place: where the macro was used that they come from.
pub(super) struct Placer(pub(super) Span);

impl Change for Placer {
    fn expr(&mut self, expr: &mut Expr) -> Result<(), Diagnostic> {
        expr.span = self.0;
        self.parts(expr)
    }

    fn stmt(&mut self, stmt: &mut Stmt) -> Result<(), Diagnostic> {
        stmt.span = self.0;
        self.stmt_parts(stmt)
    }
}
