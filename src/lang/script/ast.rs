//! A script as it is written.

use super::super::Span;
use crate::lang::operator::{BinaryOp, Logical};

/// A whole script.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// `config = { name = value; .. }`.
    pub config: Vec<(String, String, Span)>,
    /// `let @x = hash(100);`.
    pub maps: Vec<MapDeclaration>,
    /// `macro f(x) { .. }`; none is left when the script has been read.
    pub macros: Vec<MacroDefinition>,
    /// The action blocks, in order.
    pub blocks: Vec<Block>,
}

/// A map that is declared, with the most keys that it takes.
#[derive(Clone, Debug)]
pub struct MapDeclaration {
    /// With its `@`.
    pub name: String,
    /// How many keys.
    pub limit: usize,
    /// What becomes of one more.
    pub when_full: WhenFull,
    /// Where it stands.
    pub span: Span,
}

/// What a map that has all the keys that it takes does with another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenFull {
    /// It is not taken.
    Refuse,
    /// The key that was changed longest ago goes.
    Evict,
}

/// Code that is put in wherever it is named.
#[derive(Clone, Debug)]
pub struct MacroDefinition {
    /// Its name.
    pub name: String,
    /// What it is given.
    pub parameters: Vec<MacroParameter>,
    /// What it does.
    pub body: Vec<Stmt>,
    /// What it is, if it has a value.
    pub value: Option<Box<Expr>>,
    /// Where its name stands.
    pub span: Span,
}

/// What a macro is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MacroParameter {
    /// `$x`: a variable of the place where the macro is used.
    Variable(String),
    /// `@x`: a map.
    Map(String),
    /// `x`: an expression.
    Expression(String),
}

/// Probes, a predicate and an action.
#[derive(Clone, Debug)]
pub struct Block {
    /// What it hangs on; never empty.
    pub points: Vec<RawPoint>,
    /// The action runs only where this holds.
    pub predicate: Option<Expr>,
    /// The action.
    pub body: Vec<Stmt>,
}

/// An attach point as it is written: `uprobe:/bin/bash:readline`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawPoint {
    /// Its text, without quotes and with variables of the environment filled in.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// Which.
    pub kind: StmtKind,
    /// Where it stands.
    pub span: Span,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// Evaluates.
    Expr(Expr),
    /// `target = value`, `target += value`.
    Assign { target: Target, op: Option<BinaryOp>, value: Expr },
    /// `let $x`, `let $x: uint64 = 1`.
    Let { name: String, ty: Option<TypeName>, value: Option<Expr> },
    /// `if`.
    If { condition: Expr, then: Vec<Stmt>, otherwise: Vec<Stmt> },
    /// `while`.
    While { condition: Expr, body: Vec<Stmt> },
    /// `unroll (n)`.
    Unroll { count: Expr, body: Vec<Stmt> },
    /// `for ($kv : @map)`.
    ForMap { variable: String, map: String, body: Vec<Stmt> },
    /// `for ($i : 0..10)`.
    ForRange { variable: String, from: Expr, to: Expr, body: Vec<Stmt> },
    /// `{ .. }`.
    Block(Vec<Stmt>),
    /// `return`.
    Return,
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// What can be assigned to.
#[derive(Clone, Debug)]
pub enum Target {
    /// `$x`.
    Variable(String),
    /// `@x`, `@x[1, 2]`.
    Map(String, Vec<Expr>),
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The forms of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number: its 64 bits.
    Integer(u64),
    /// `"text"`.
    Text(Vec<u8>),
    /// `true`, `false`.
    Bool(bool),
    /// A builtin, a constant, or an argument of a function by itself.
    Name(String),
    /// `$x`.
    Variable(String),
    /// `$1`.
    Parameter(usize),
    /// `$#`.
    ParameterCount,
    /// `@x[1, 2]`.
    Map(String, Vec<Expr>),
    /// `-x`, `!x`, `~x`, `*x`, `&x`.
    Unary(UnaryOp, Box<Expr>),
    /// `x++`, `--x`.
    Step { target: Target, by: Step, order: StepOrder },
    /// `a + b`.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a && b`.
    Logical(Logical, Box<Expr>, Box<Expr>),
    /// `c ? a : b`.
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a.b`, `a->b`.
    Field(Box<Expr>, String),
    /// `a.0`.
    TupleField(Box<Expr>, usize),
    /// `a[i]`.
    Index(Box<Expr>, Box<Expr>),
    /// `f(a, b)`.
    Call(String, Vec<Expr>),
    /// `(type)x`.
    Cast(TypeName, Box<Expr>),
    /// `sizeof(type)`.
    SizeOf(TypeName),
    /// `offsetof(type, a.b)`.
    OffsetOf(TypeName, Vec<String>),
    /// `(a, b)`.
    Tuple(Vec<Expr>),
    /// `{ .. ; value }`: without a value it can only be a statement.
    Block(Vec<Stmt>, Option<Box<Expr>>),
}

/// `++` or `--`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// One more.
    Up,
    /// One less.
    Down,
}

/// Whether a step's value is the one before or after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepOrder {
    /// `++x`.
    Prefix,
    /// `x++`.
    Postfix,
}

/// Operators with one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    /// `-`.
    Negate,
    /// `!`.
    Not,
    /// `~`.
    Invert,
    /// `*`.
    Deref,
    /// `&`.
    AddressOf,
}

/// A type as it is written: `struct sockaddr *`, `uint8[16]`.
#[derive(Clone, Debug)]
pub struct TypeName {
    /// `struct`, `union` or `enum` and a tag; or a name alone.
    pub base: TypeBase,
    /// How many stars.
    pub stars: u8,
    /// `[n]`, outermost first.
    pub dims: Vec<u64>,
    /// Where it stands.
    pub span: Span,
}

/// What a type is built on.
#[derive(Clone, Debug)]
pub enum TypeBase {
    /// `struct tag` or `union tag`.
    Record(String),
    /// `enum tag`.
    Enum(String),
    /// `int`, `unsigned long`, `uint64`, a typedef.
    Plain(String),
    /// `typeof(expression)`.
    Of(Box<Expr>),
}
