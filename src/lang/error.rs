//! What is wrong with an expression, and where in its text.

use crate::base::MemError;

use super::Type;

/// The bytes `start..end` of an expression's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The span of byte offsets; texts are far shorter than 4 GiB.
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    /// The part of `text` it covers; empty if it does not fit.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}

/// An expression that cannot be compiled or evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct LangError {
    /// What is wrong.
    pub fault: Fault,
    /// Where.
    pub span: Span,
}

/// What can be wrong with an expression.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The text is longer than any sensible expression.
    #[error("the expression is longer than {0} bytes")]
    TooLong(usize),
    /// Parentheses or operators nest too deeply.
    #[error("the expression nests too deeply")]
    TooDeep,
    /// There is nothing to evaluate.
    #[error("an expression is expected")]
    Empty,
    /// A byte that starts no token.
    #[error("invalid character `{0}` in expression")]
    BadCharacter(char),
    /// A number that cannot be read.
    #[error("invalid number `{0}`")]
    BadNumber(String),
    /// A number that needs more than 64 bits.
    #[error("the number is too large for 64 bits")]
    NumberTooLarge,
    /// A quote without its partner.
    #[error("unmatched {0} quote")]
    UnmatchedQuote(&'static str),
    /// An unknown or incomplete backslash escape.
    #[error("invalid escape sequence")]
    BadEscape,
    /// `''`.
    #[error("empty character constant")]
    EmptyCharacter,
    /// Something else than the grammar asks for.
    #[error("{wanted} expected, not {found}")]
    Unexpected {
        /// What the grammar asks for.
        wanted: &'static str,
        /// What there is.
        found: String,
    },
    /// The operand ends, but the text does not.
    #[error("unexpected {0} after the expression")]
    Trailing(String),
    /// `=` where only `set` may have one.
    #[error("an assignment is not an expression: use `set`")]
    AssignmentInExpression,
    /// `set` without `=`.
    #[error("an assignment needs a top-level `=`")]
    NoAssignment,
    /// The left side of `=` names no storage.
    #[error("the left side of an assignment must be a register, a variable, or memory such as {{int}}ADDRESS")]
    NotAssignable,
    /// No symbol has that name.
    #[error("no symbol \"{0}\" in the current context")]
    NoSymbol(String),
    /// No register or variable has that name.
    #[error("no register or variable \"${0}\"")]
    NoVariable(String),
    /// A member of `$_siginfo` that is not there.
    #[error("$_siginfo has no {0} here: it is that of the selected thread while that stands with a signal")]
    NoSignal(String),
    /// A type where a value is expected.
    #[error("a type is not a value: write a cast such as (int)x")]
    TypeAsValue,
    /// `unsigned float` and the like.
    #[error("no such type")]
    BadType,
    /// `f(1)`.
    #[error("functions of the program cannot be called")]
    Call,
    /// A built-in function with the wrong number of arguments.
    #[error("{name} takes {wanted} argument(s)")]
    Arguments {
        /// The function.
        name: &'static str,
        /// How many it takes.
        wanted: usize,
    },
    /// A string literal that is neither compared with a string object nor in `$_streq` or `$_strlen`.
    #[error("a string literal can only be compared: a C++ string with == \"text\", a pointer with $_streq(pointer, \"text\")")]
    StringAsValue,
    /// `*1.5`, `*(void*)p`.
    #[error("attempt to take the contents of a value of type `{0}`")]
    NotPointer(Type),
    /// `&1`.
    #[error("attempt to take the address of a value that is not in memory")]
    NoAddress,
    /// An operator that these types do not have.
    #[error("operator `{operator}` does not apply to `{left}` and `{right}`")]
    Operands {
        /// As written.
        operator: &'static str,
        /// Of the left operand.
        left: Type,
        /// Of the right operand.
        right: Type,
    },
    /// An operator that this type does not have.
    #[error("operator `{operator}` does not apply to `{operand}`")]
    Operand {
        /// As written.
        operator: &'static str,
        /// Of its operand.
        operand: Type,
    },
    /// A conversion that C has not.
    #[error("cannot convert `{from}` to `{to}`")]
    Conversion {
        /// Of the value.
        from: Type,
        /// The type asked for.
        to: Type,
    },
    /// Integer division or remainder by 0.
    #[error("division by zero")]
    DivisionByZero,
    /// A shift by a negative number of bits.
    #[error("negative shift count")]
    NegativeShift,
    /// The difference of pointers into things of different sizes.
    #[error("pointers to different types cannot be subtracted")]
    PointerDifference,
    /// A value that the compiler kept nowhere.
    #[error("the value has been optimized out")]
    OptimisedOut,
    /// A value whose place cannot be told.
    #[error("the value cannot be told: {0}")]
    Unknown(String),
    /// A record or array where a number is needed.
    #[error("a value of type `{0}` is not a number")]
    NotNumber(String),
    /// `.` or `->` of something without members.
    #[error("a value of type `{0}` has no members")]
    NoMembers(String),
    /// A register that a frame further in could change.
    #[error("not saved: a function that this frame called may have changed it (`frame 0` has its value now)")]
    NotSaved,
    /// An element of a register that is not there.
    #[error("there is no element {index}: the register has {count} of these, from 0 on")]
    NoElement {
        /// The one that was asked for.
        index: i64,
        /// How many there are.
        count: u8,
    },
    /// `[` behind what has no elements.
    #[error("`{0}` has no elements: choose a member, as in `.v4_float[0]`")]
    NoElements(String),
    /// An element of a register is chosen when the expression is compiled.
    #[error("a register's element is chosen by a constant")]
    VariableElement,
    /// No member of that name.
    #[error("there is no member named {name} in `{of}`")]
    NoMember {
        /// As written.
        name: String,
        /// The record's type.
        of: String,
    },
    /// An element that a container does not have.
    #[error("there is no element {index}: it has {count}")]
    OutOfRange {
        /// The number that was asked for.
        index: i64,
        /// How many there are.
        count: u64,
    },
    /// The first or last element of a container that has none.
    #[error("it has no elements")]
    EmptyContainer,
    /// A key that a container does not have.
    #[error("it has no such key; it has {0} element(s)")]
    NoKey(u64),
    /// A key that was not looked for in all elements.
    #[error("the key is not among the first {0} elements, and no more are looked at")]
    Unsearched(u64),
    /// A key that cannot be compared.
    #[error("keys of type `{0}` cannot be looked for: integers, enumerators, pointers, and strings by a literal can")]
    KeyType(String),
    /// A text for a number, or the other way round.
    #[error("a key of type `{of}` is looked for by {wanted}")]
    KeyForm {
        /// The key's type.
        of: String,
        /// What it takes.
        wanted: &'static str,
    },
    /// An optional without a value.
    #[error("the optional holds no value")]
    NoValue,
    /// A container whose members contradict each other: not made yet, gone already, or overwritten.
    #[error("the container is not in order: {0}")]
    Corrupt(&'static str),
    /// `thing.f(1)` of a library's class, of which only some functions are known.
    #[error("`{0}` cannot be called: of the libraries' classes only what is read without running the program is known (size, empty, front, back, at, data, get, value, contains ..)")]
    UnknownMethod(String),
    /// A string without an end.
    #[error("no NUL within {0} bytes")]
    Unterminated(u64),
    /// The process's memory.
    #[error(transparent)]
    Memory(#[from] MemError),
    /// The format letters of `x/FMT` or `print/FMT`.
    #[error("invalid format letter `{0}`")]
    BadFormat(char),
    /// The count of `x/FMT`.
    #[error("invalid count")]
    BadCount,
    /// The compiler emitted code that the machine cannot run: a bug of rdbg.
    #[error("internal error: bad expression code")]
    BadCode,
}

impl Fault {
    /// The fault, at its place.
    pub fn at(self, span: Span) -> LangError {
        LangError { fault: self, span }
    }
}
