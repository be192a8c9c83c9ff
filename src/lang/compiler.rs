//! Reads an expression by recursive descent and emits code as it goes; the depth of the recursion is bounded.

use super::arith::{self, UnaryOp};
use super::code::{Code, Op};
use super::debug::DebugType;
use super::emitter::{Emitter, Operand, OperandKind};
use super::lexer::{self, Token, TokenKind};
use super::library::Use;
use super::operator::{BinaryOp, Infix, Logical};
use super::typed::TypedValue;
use super::vector::Vector;
use crate::base::VirtAddr;

use super::{symbol, typename, Fault, LangError, Names, RegisterName, Span, Type, Value};

/// How deep the functions below may call each other; a pair of parentheses takes three.
pub(super) const NESTING: usize = 256;

/// The state of the compilation of one text.
pub(super) struct Compiler<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) emitter: Emitter,
    pub(super) names: &'a dyn Names,
    /// Values that are not in memory.
    pub(super) held: Vec<(TypedValue, u16)>,
    pub(super) vectors: Vec<Vector>,
    /// The last reference that was followed, and the part of the text that it is.
    pub(super) reference: Option<(Span, DebugType)>,
    /// In how many parts that are not evaluated the token is.
    pub(super) unevaluated: u32,
    pub(super) nesting: usize,
    end: Token,
}

impl<'a> Compiler<'a> {
    /// Splits the text; nothing is compiled yet.
    pub(super) fn new(text: &'a str, names: &'a dyn Names) -> Result<Compiler<'a>, LangError> {
        let mut tokens = lexer::tokens(text)?;
        if names.debug().is_some() {
            // `a.b` is a member, unless it is a symbol's name, as Go has them.
            tokens = lexer::split_members(text, tokens, &|name| names.symbol(name).is_some());
        }
        let end = Token { kind: TokenKind::End, span: Span::new(text.len(), text.len()) };
        Ok(Compiler {
            text,
            tokens,
            at: 0,
            emitter: Emitter::default(),
            names,
            held: Vec::new(),
            vectors: Vec::new(),
            reference: None,
            unevaluated: 0,
            nesting: 0,
            end,
        })
    }

    pub(super) fn token(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&self.end)
    }

    pub(super) fn span(&self) -> Span {
        self.token().span
    }

    /// What stands at `at`, for an error message.
    pub(super) fn found_text(&self) -> String {
        match self.span().of(self.text) {
            "" => "the end".to_owned(),
            text => format!("`{}`", text.chars().take(40).collect::<String>()),
        }
    }

    /// That nothing is left.
    pub(super) fn at_end(&self) -> Result<(), LangError> {
        match self.token().kind {
            TokenKind::End => Ok(()),
            _ => Err(Fault::Trailing(self.found_text()).at(self.span())),
        }
    }

    pub(super) fn at_punct(&self, text: &str) -> bool {
        matches!(self.token().kind, TokenKind::Punct(punct) if punct == text)
    }

    pub(super) fn accept(&mut self, text: &str) -> bool {
        let there = self.at_punct(text);
        self.at += usize::from(there);
        there
    }

    pub(super) fn require(&mut self, text: &'static str, wanted: &'static str) -> Result<(), LangError> {
        if self.accept(text) {
            return Ok(());
        }
        Err(Fault::Unexpected { wanted, found: self.found_text() }.at(self.span()))
    }

    /// The code so far; the compiler goes on with none.
    pub(super) fn take_code(&mut self) -> Code {
        std::mem::take(&mut self.emitter).finish()
    }

    /// Whether a register has that name.
    pub(super) fn is_register(&self, name: &str) -> bool {
        self.names.register(name).is_some() || self.names.vector(name).is_some()
    }

    /// Runs one of the functions below, one level deeper.
    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Result<Operand, LangError>) -> Result<Operand, LangError> {
        if self.nesting >= NESTING {
            return Err(Fault::TooDeep.at(self.span()));
        }
        self.nesting += 1;
        let operand = read(self);
        self.nesting -= 1;
        operand
    }

    /// A whole expression, and its value on the stack.
    pub(super) fn value(&mut self) -> Result<Operand, LangError> {
        let operand = self.expression()?;
        self.rvalue(operand)
    }

    /// A whole expression.
    pub(super) fn expression(&mut self) -> Result<Operand, LangError> {
        self.deeper(Self::conditional)
    }

    /// Whole expressions with commas between them: what the last one comes to. The others are worked out as well.
    pub(super) fn comma(&mut self) -> Result<Operand, LangError> {
        loop {
            let (_, before) = self.emitter.mark();
            let operand = self.expression()?;
            if !self.accept(",") {
                return Ok(operand);
            }
            if operand.kind == OperandKind::Memory && !operand.ty.is_opaque() {
                self.rvalue(operand)?;
            }
            while self.emitter.mark().1 > before {
                self.emitter.emit(Op::Drop, operand.span)?;
            }
        }
    }

    fn conditional(&mut self) -> Result<Operand, LangError> {
        let mark = self.emitter.mark();
        let condition = self.binary(0)?;
        if !self.at_punct("?") {
            return Ok(condition);
        }
        let condition = self.condition(condition)?;
        self.at += 1;
        let decided = self.decide(condition.span, mark)?;
        let (skips_left, skips_right) = (decided == Some(false), decided == Some(true));
        let to_right = self.emitter.jump(Op::JumpIfFalse(0), condition.span)?;
        let left = self.unless(skips_left, Self::value)?;
        self.require(":", "`:`")?;
        let to_end = self.emitter.jump(Op::Jump(0), left.span)?;
        self.emitter.land(to_right);
        self.emitter.other_branch();
        let right = self.unless(skips_right, Self::value)?;
        self.emitter.land(to_end);
        let span = condition.span.to(right.span);
        let ty = arith::conditional(left.ty, right.ty).map_err(|fault| fault.at(span))?;
        // Either branch may have come here, so the conversion is not left out when the right one needs none.
        self.emitter.emit(Op::Cast(ty), span)?;
        Ok(Operand { kind: OperandKind::Value, ty, span, origin: None })
    }

    /// The value of an operand that is to be true or false.
    fn condition(&mut self, operand: Operand) -> Result<Operand, LangError> {
        let value = self.rvalue(operand)?;
        UnaryOp::Not.result(value.ty).map_err(|fault| fault.at(value.span))?;
        Ok(value)
    }

    /// Operators that bind at least so tightly.
    fn binary(&mut self, loosest: u8) -> Result<Operand, LangError> {
        let mark = self.emitter.mark();
        let mut left = self.unary()?;
        while let TokenKind::Punct(punct) = self.token().kind {
            let Some(infix) = Infix::parse(punct) else { break };
            let level = infix.precedence();
            if level < loosest {
                break;
            }
            self.at += 1;
            left = match infix {
                Infix::Logical(Logical::And) => self.short_circuit(left, level, (Op::JumpIfFalse(0), mark))?,
                Infix::Logical(Logical::Or) => self.short_circuit(left, level, (Op::JumpIfTrue(0), mark))?,
                Infix::Binary(op) => {
                    if let Some(compared) = self.text_comparison(left, op)? {
                        left = compared;
                        continue;
                    }
                    let left = self.rvalue(left)?;
                    let right = self.deeper(|compiler| compiler.binary(level + 1))?;
                    let right = self.rvalue(right)?;
                    self.apply(op, left, right)?
                }
            };
        }
        Ok(left)
    }

    /// Applies an operator to the top two values.
    pub(super) fn apply(&mut self, op: BinaryOp, left: Operand, right: Operand) -> Result<Operand, LangError> {
        let span = left.span.to(right.span);
        let ty = op.result(left.ty, right.ty).map_err(|fault| fault.at(span))?;
        self.emitter.emit(Op::Binary(op), span)?;
        // A pointer that was moved points to the same type.
        let moved = |one: Operand| one.origin.filter(|_| ty.is_pointer() && one.ty == ty);
        Ok(Operand { kind: OperandKind::Value, ty, span, origin: moved(left).or_else(|| moved(right)) })
    }

    /// `&&` and `||` after their left operand, whose code begins at `mark`; `jump` leaves when that decides.
    fn short_circuit(
        &mut self,
        left: Operand,
        level: u8,
        (jump, mark): (Op, (usize, usize)),
    ) -> Result<Operand, LangError> {
        let left = self.condition(left)?;
        let decided = i32::from(jump == Op::JumpIfTrue(0));
        let skipped = self.decide(left.span, mark)? == Some(decided == 1);
        let to_decided = self.emitter.jump(jump, left.span)?;
        let right = self.unless(skipped, |compiler| compiler.deeper(|compiler| compiler.binary(level + 1)))?;
        let right = self.condition(right)?;
        self.emitter.emit(Op::Truth, right.span)?;
        let to_end = self.emitter.jump(Op::Jump(0), right.span)?;
        self.emitter.land(to_decided);
        self.emitter.other_branch();
        let span = left.span.to(right.span);
        self.emitter.push(Value::int(decided), span)?;
        self.emitter.land(to_end);
        Ok(Operand { kind: OperandKind::Value, ty: Type::INT, span, origin: None })
    }

    pub(super) fn unary(&mut self) -> Result<Operand, LangError> {
        self.deeper(Self::prefix)
    }

    fn prefix(&mut self) -> Result<Operand, LangError> {
        let start = self.span();
        let TokenKind::Punct(punct) = self.token().kind else {
            return match start.of(self.text) {
                "sizeof" => self.sizeof(),
                "alignof" | "_Alignof" | "__alignof__" => self.alignof(),
                _ => self.postfix(),
            };
        };
        // The functions that call each other for a parenthesis hold little: the depth that is allowed must fit the stack.
        match punct {
            "*" => self.contents(start),
            "&" => self.address_prefix(start),
            "{" => self.braces(start),
            "(" if self.starts_cast() => self.cast(start),
            _ => match UnaryOp::parse(punct) {
                Some(op) => self.unary_operator(op, start),
                None => self.postfix(),
            },
        }
    }

    fn unary_operator(&mut self, op: UnaryOp, start: Span) -> Result<Operand, LangError> {
        self.at += 1;
        let operand = self.unary()?;
        let value = self.rvalue(operand)?;
        let span = start.to(value.span);
        let ty = op.result(value.ty).map_err(|fault| fault.at(span))?;
        self.emitter.emit(Op::Unary(op), span)?;
        Ok(Operand { kind: OperandKind::Value, ty, span, origin: None })
    }

    /// `*pointer`.
    fn contents(&mut self, start: Span) -> Result<Operand, LangError> {
        self.at += 1;
        let operand = self.unary()?;
        self.target_of(operand, start.to(operand.span))
    }

    /// What a pointer, or a library's object that is one, points to.
    fn target_of(&mut self, operand: Operand, span: Span) -> Result<Operand, LangError> {
        let is_optional = operand.origin.is_some_and(|ty| self.engaged_flag(self.defined(ty)).is_some());
        match self.library_part(operand, Use::Target, span)? {
            Some(part) if is_optional || !part.ty.is_pointer() => Ok(part),
            Some(part) => {
                let pointer = self.rvalue(part)?;
                self.dereference(pointer, span)
            }
            None => {
                let pointer = self.rvalue(operand)?;
                self.dereference(pointer, span)
            }
        }
    }

    /// `&thing`.
    fn address_prefix(&mut self, start: Span) -> Result<Operand, LangError> {
        self.at += 1;
        let operand = self.unary()?;
        let span = start.to(operand.span);
        match operand.origin {
            Some(_) => self.address_of(operand, span),
            None => address(operand, span),
        }
    }

    pub(super) fn constant(&mut self, value: Value, span: Span) -> Result<Operand, LangError> {
        self.emitter.push(value, span)?;
        Ok(Operand { kind: OperandKind::Value, ty: value.ty(), span, origin: None })
    }

    /// The thing at the address on the stack. An integer is taken for a pointer to `long`, as gdb does.
    fn dereference(&mut self, pointer: Operand, span: Span) -> Result<Operand, LangError> {
        if let Some(target) = self.described_target(pointer, span)? {
            return Ok(target);
        }
        if pointer.ty == Type::CODE {
            return Ok(Operand { kind: OperandKind::Symbol, ty: Type::CODE, span, origin: pointer.origin });
        }
        if let Some(ty) = pointer.ty.pointee() {
            return Ok(Operand { kind: OperandKind::Memory, ty, span, origin: None });
        }
        if !pointer.ty.is_integer() {
            return Err(Fault::NotPointer(pointer.ty).at(span));
        }
        let pointer_type = Type::LONG.pointer().map_err(|fault| fault.at(span))?;
        self.emitter.cast(pointer, pointer_type, span)?;
        Ok(Operand { kind: OperandKind::Memory, ty: Type::LONG, span, origin: None })
    }

    pub(super) fn postfix(&mut self) -> Result<Operand, LangError> {
        let mark = self.emitter.mark();
        let mut operand = self.primary()?;
        loop {
            operand = match self.token().kind {
                TokenKind::Punct("(") => self.call(operand, mark)?,
                TokenKind::Punct("." | "->") => self.selection(operand, mark)?,
                TokenKind::Punct("[") => self.subscript(operand)?,
                _ => return Ok(operand),
            };
        }
    }

    /// `.name` and `->name` behind an operand.
    fn selection(&mut self, operand: Operand, mark: (usize, usize)) -> Result<Operand, LangError> {
        let is_arrow = self.at_punct("->");
        self.at += 1;
        let span = self.span();
        if self.token().kind != TokenKind::Name {
            return Err(Fault::Unexpected { wanted: "a member's name", found: self.found_text() }.at(span));
        }
        let name = span.of(self.text).to_owned();
        self.at += 1;
        let whole = operand.span.to(span);
        let object = if is_arrow { self.target_of(operand, whole)? } else { operand };
        if self.at_punct("(") {
            if let Some(answer) = self.method(object, &name, whole)? {
                return Ok(answer);
            }
            if let Some(called) = self.method_call(object, &name, mark)? {
                return Ok(called);
            }
        }
        self.member(object, &name, whole)
    }

    /// `[index]` behind an operand.
    fn subscript(&mut self, operand: Operand) -> Result<Operand, LangError> {
        self.at += 1;
        if let OperandKind::Vector(_) = operand.kind {
            return self.vector_element(operand);
        }
        if let Some(element) = self.contained_element(operand)? {
            return Ok(element);
        }
        let object = self.library_part(operand, Use::Element, operand.span)?;
        let left = self.rvalue(object.unwrap_or(operand))?;
        let index = self.value()?;
        let span = left.span.to(self.span());
        self.require("]", "`]`")?;
        let refuse = Fault::Operands { operator: "[]", left: left.ty, right: index.ty };
        if !left.ty.is_pointer() && !index.ty.is_pointer() {
            return Err(refuse.at(span));
        }
        let sum = self.apply(BinaryOp::Add, left, index).map_err(|error| refuse.at(error.span))?;
        let sum = Operand { origin: left.origin.or(index.origin).filter(|_| sum.ty.is_pointer()), ..sum };
        self.dereference(sum, span)
    }

    fn primary(&mut self) -> Result<Operand, LangError> {
        let Token { kind, span } = self.token().clone();
        match kind {
            TokenKind::Constant(value) => {
                self.at += 1;
                self.constant(value, span)
            }
            TokenKind::Wide(value, ty) => {
                self.at += 1;
                self.wide(value, ty, span)
            }
            TokenKind::Text(_) => Err(Fault::StringAsValue.at(span)),
            TokenKind::Variable => self.variable(),
            TokenKind::Name => self.name(),
            TokenKind::Quoted => {
                self.at += 1;
                let quoted = span.of(self.text);
                let name = quoted.get(1..quoted.len() - 1).unwrap_or("");
                if let Some(found) = self.scoped(name, span)? {
                    return Ok(found);
                }
                if let Some(found) = self.names.debug().and_then(|debug| debug.variable(name)) {
                    return self.found(found, span);
                }
                match self.names.symbol(name) {
                    Some(at) => self.code_at(at, span),
                    None => Err(Fault::NoSymbol(name.to_owned()).at(span)),
                }
            }
            TokenKind::Punct("(") => {
                self.at += 1;
                let inner = self.comma()?;
                let end = self.span();
                self.require(")", "`)`")?;
                Ok(Operand { span: span.to(end), ..inner })
            }
            TokenKind::End if self.at == 0 => Err(Fault::Empty.at(span)),
            _ => Err(Fault::Unexpected { wanted: "an expression", found: self.found_text() }.at(span)),
        }
    }

    /// `::name` behind a scope in quotes: a source file, or a function. `None`: something else stands there.
    fn scoped(&mut self, scope: &str, start: Span) -> Result<Option<Operand>, LangError> {
        let own = self.span().of(self.text).strip_prefix("::").filter(|_| self.token().kind == TokenKind::Name);
        let Some(own) = own else { return Ok(None) };
        let span = start.to(self.span());
        self.at += 1;
        let debug = self.names.debug();
        let of_file = || debug.and_then(|debug| debug.in_file(scope, own)).filter(|_| !scope.contains('('));
        let of_function = || debug.and_then(|debug| debug.variable(&format!("{scope}::{own}")));
        match of_file().or_else(of_function) {
            Some(found) => self.found(found, span).map(Some),
            None => Err(Fault::NoSymbol(format!("'{scope}'::{own}")).at(span)),
        }
    }

    /// The function or place in the code that a symbol's name means, with the function's type where it is described.
    pub(super) fn code_at(&mut self, at: VirtAddr, span: Span) -> Result<Operand, LangError> {
        let operand = self.constant(Value::code(at), span)?;
        let origin = self.names.debug().and_then(|debug| debug.function_type(at));
        Ok(Operand { kind: OperandKind::Symbol, origin, ..operand })
    }

    pub(super) fn read_register(&mut self, name: RegisterName, span: Span) -> Result<Operand, LangError> {
        if self.names.is_lost(name.id) {
            return Err(Fault::NotSaved.at(span));
        }
        self.emitter.emit(Op::Register(name), span)?;
        Ok(Operand { kind: OperandKind::Register(name), ty: name.ty, span, origin: None })
    }

    fn variable(&mut self) -> Result<Operand, LangError> {
        let span = self.span();
        self.at += 1;
        let name = span.of(self.text).strip_prefix('$').unwrap_or("");
        match name {
            "_streq" => return self.streq(span),
            "_strlen" => return self.strlen(span),
            "_siginfo" => return self.siginfo(span),
            _ => {}
        }
        if let Some(register) = self.names.register(name) {
            return self.read_register(register, span);
        }
        if let Some(vector) = self.vector_named(name, span)? {
            return Ok(vector);
        }
        if let Some(found) = self.names.debug().and_then(|debug| debug.kept(name)) {
            return self.found(found, span);
        }
        match self.names.variable(name) {
            Some(value) => self.constant(value, span),
            None => Err(Fault::NoVariable(name.to_owned()).at(span)),
        }
    }

    /// `.member` of `$_siginfo`, by its own name or behind the unions that it is in.
    fn siginfo(&mut self, start: Span) -> Result<Operand, LangError> {
        let mut member = None;
        while self.at_punct(".") {
            self.at += 1;
            let name = self.span().of(self.text);
            member = name.rsplit('.').next().filter(|name| !name.is_empty());
            self.at += 1;
        }
        let span = Span { start: start.start, end: self.span().start.max(start.end) };
        let Some(member) = member else {
            let wanted = "a member: .si_signo, .si_code, .si_addr, .si_pid, .si_uid or .si_status";
            return Err(Fault::Unexpected { wanted, found: self.found_text() }.at(span));
        };
        match self.names.variable(&format!("_siginfo.{member}")) {
            Some(value) => self.constant(value, span),
            None => Err(Fault::NoSignal(member.to_owned()).at(start)),
        }
    }

    fn name(&mut self) -> Result<Operand, LangError> {
        let span = self.span();
        let name = span.of(self.text);
        let keyword = match name {
            "true" => Some(Value::from_raw(1, Type::BOOL)),
            "false" => Some(Value::from_raw(0, Type::BOOL)),
            "nullptr" | "NULL" => Some(Value::from_raw(0, Type::VOID_POINTER)),
            _ => None,
        };
        if let Some(value) = keyword {
            self.at += 1;
            return self.constant(value, span);
        }
        if let Some(register) = is_argument(name).then(|| self.names.register(name)).flatten() {
            self.at += 1;
            return self.read_register(register, span);
        }
        if matches!(name, "static_cast" | "reinterpret_cast" | "const_cast") {
            return self.named_cast();
        }
        if typename::parse(self.text, std::slice::from_ref(self.token())).is_some() {
            return Err(Fault::TypeAsValue.at(span));
        }
        if let Some(operand) = self.described_name(span)? {
            return Ok(operand);
        }
        let rest = self.text.get(span.start as usize..).unwrap_or("");
        let Some((at, len)) = symbol::longest(rest, self.names) else {
            return Err(Fault::NoSymbol(name.to_owned()).at(span));
        };
        let span = self.pass(span, len);
        self.code_at(at, span)
    }
}

/// `&operand`.
fn address(operand: Operand, span: Span) -> Result<Operand, LangError> {
    match operand.kind {
        OperandKind::Memory => {
            let ty = operand.ty.pointer().map_err(|fault| fault.at(span))?;
            Ok(Operand { kind: OperandKind::Value, ty, span, origin: None })
        }
        OperandKind::Symbol => Ok(Operand { kind: OperandKind::Value, span, ..operand }),
        OperandKind::Value
        | OperandKind::Bits(_)
        | OperandKind::Register(_)
        | OperandKind::Held(_)
        | OperandKind::Vector(_) => Err(Fault::NoAddress.at(span)),
    }
}

/// The bare words that are registers.
fn is_argument(name: &str) -> bool {
    let number = name.strip_prefix("arg").unwrap_or("");
    name == "retval" || (!number.is_empty() && number.len() <= 2 && number.bytes().all(|byte| byte.is_ascii_digit()))
}
