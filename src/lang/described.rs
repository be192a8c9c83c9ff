//! Expressions over what debug information describes: variables, members, elements, types by name.

use crate::binary::dwarf::{Bits, Member, MemberKind, Shape, TypeId, Types};

use super::code::Op;
use super::compiler::Compiler;
use super::debug::{arithmetic_type, with_types, DebugType, Found};
use super::emitter::{BitField, Operand, OperandKind};
use super::lexer::TokenKind;
use super::operator::BinaryOp;
use super::typed::{Held, Inspector, Style, TypedValue};
use super::{Fault, LangError, NoLabels, Span, Type, Value};

/// How deep a member is looked for in bases and anonymous members.
const DEPTH: u32 = 16;

/// The way from an object to one of its members.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// So many bytes on.
    Offset(u64),
    /// To a virtual base, whose offset is so many bytes before the virtual table's address point.
    VirtualBase(u64),
}

impl Compiler<'_> {
    pub(super) fn look<T>(&self, ty: DebugType, use_it: impl FnOnce(&Types<'_>, TypeId) -> T) -> Option<T> {
        with_types(self.names.debug()?, ty.module, |types| use_it(types, ty.id))
    }

    pub(super) fn shape(&self, ty: DebugType) -> Shape {
        self.look(ty, |types, id| types.view(id).shape.clone()).unwrap_or(Shape::Other)
    }

    pub(super) fn arithmetic(&self, ty: DebugType) -> Type {
        self.look(ty, arithmetic_type).unwrap_or(Type::VOID)
    }

    fn type_text(&self, ty: DebugType) -> String {
        self.look(ty, |types, id| types.name(id)).unwrap_or_else(|| "?".to_owned())
    }

    /// What a found name leaves on the stack.
    pub(super) fn found(&mut self, found: Found, span: Span) -> Result<Operand, LangError> {
        match found {
            Found::Constant { ty, number } => {
                let kind = self.arithmetic(ty);
                self.emitter.push(Value::from_raw(number as u64, kind), span)?;
                Ok(Operand { kind: OperandKind::Value, ty: kind, span, origin: Some(ty) })
            }
            Found::Register { register, ty } => {
                let kind = self.arithmetic(ty);
                let register = super::RegisterName { id: register.id, ty: kind };
                self.emitter.emit(Op::Register(register), span)?;
                self.settled(Operand { kind: OperandKind::Register(register), ty: kind, span, origin: Some(ty) })
            }
            Found::Relative { register, offset, ty } => {
                self.emitter.emit(Op::Register(super::RegisterName { id: register.id, ty: Type::ULONG }), span)?;
                self.add(offset as u64, span)?;
                self.in_memory(ty, span)
            }
            Found::Pointed { register, offset, distance, ty } => {
                self.emitter.emit(Op::Register(super::RegisterName { id: register.id, ty: Type::ULONG }), span)?;
                self.add(offset as u64, span)?;
                self.emitter.emit(Op::Load(Type::ULONG), span)?;
                self.add(distance as u64, span)?;
                self.in_memory(ty, span)
            }
            Found::Value { value, module } => self.value_of(value, module, span),
        }
    }

    fn value_of(&mut self, value: TypedValue, module: u16, span: Span) -> Result<Operand, LangError> {
        let ty = DebugType { module, id: value.ty };
        match value.place {
            Held::Memory(at) => {
                self.emitter.push(Value::from_raw(at.0, Type::ULONG), span)?;
                self.in_memory(ty, span)
            }
            Held::Bits(start, bits) => {
                self.emitter.push(Value::from_raw(start.0, Type::ULONG), span)?;
                self.bit_field(ty, bits, span)
            }
            Held::Bytes(ref bytes) => {
                let kind = self.arithmetic(ty);
                if kind.is_opaque() {
                    return Ok(self.held(value, module, span));
                }
                let raw = bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
                self.emitter.push(Value::from_raw(raw, kind), span)?;
                self.settled(Operand { kind: OperandKind::Value, ty: kind, span, origin: Some(ty) })
            }
            _ => Ok(self.held(value, module, span)),
        }
    }

    /// A value that is not in memory; nothing is left on the stack but a place holder.
    fn held(&mut self, value: TypedValue, module: u16, span: Span) -> Operand {
        let ty = DebugType { module, id: value.ty };
        let kind = self.arithmetic(ty);
        self.held.push((value, module));
        Operand { kind: OperandKind::Held(self.held.len() as u32 - 1), ty: kind, span, origin: Some(ty) }
    }

    /// The thing of a type at the address on the stack.
    pub(super) fn in_memory(&mut self, ty: DebugType, span: Span) -> Result<Operand, LangError> {
        let operand = Operand { kind: OperandKind::Memory, ty: self.arithmetic(ty), span, origin: Some(ty) };
        match self.shape(ty) {
            Shape::Function => Ok(Operand { kind: OperandKind::Symbol, ty: Type::CODE, span, origin: Some(ty) }),
            _ => self.settled(operand),
        }
    }

    /// A reference means what it refers to.
    fn settled(&mut self, operand: Operand) -> Result<Operand, LangError> {
        let Some(ty) = operand.origin else { return Ok(operand) };
        let Shape::Reference(to) = self.shape(ty) else { return Ok(operand) };
        if operand.kind == OperandKind::Memory {
            self.emitter.emit(Op::Load(Type::ULONG), operand.span)?;
        }
        self.reference = Some((operand.span, ty));
        self.in_memory(DebugType { id: to, ..ty }, operand.span)
    }

    /// The operand's value on the stack. An array is the address of its first element.
    pub(super) fn rvalue(&mut self, operand: Operand) -> Result<Operand, LangError> {
        if let OperandKind::Vector(_) = operand.kind {
            return self.vector_number(operand);
        }
        let Some(ty) = operand.origin else { return self.emitter.value(operand) };
        let span = operand.span;
        if let OperandKind::Held(index) = operand.kind {
            let place = self.held.get(index as usize).map(|(value, _)| value.place.clone());
            return Err(match place {
                Some(Held::OptimisedOut | Held::Torn(..)) => Fault::OptimisedOut.at(span),
                Some(Held::Unknown(reason)) => Fault::Unknown(reason).at(span),
                _ => Fault::NotNumber(self.type_text(ty)).at(span),
            });
        }
        match (operand.kind, self.shape(ty)) {
            (OperandKind::Memory, Shape::Array(of, _)) => {
                let element = DebugType { id: of, ..ty };
                let pointer = self.arithmetic(element).pointer().map_err(|fault| fault.at(span))?;
                self.emitter.emit(Op::Cast(pointer), span)?;
                let origin = Some(DebugType { id: of.pointer(), ..ty });
                Ok(Operand { kind: OperandKind::Value, ty: pointer, span, origin })
            }
            (OperandKind::Memory, _) if operand.ty.is_opaque() => Err(Fault::NotNumber(self.type_text(ty)).at(span)),
            _ => self.emitter.value(operand),
        }
    }

    /// `&operand` of something that is described.
    pub(super) fn address_of(&mut self, operand: Operand, span: Span) -> Result<Operand, LangError> {
        match (operand.kind, operand.origin) {
            (OperandKind::Memory, Some(ty)) => {
                let pointer = operand.ty.pointer().map_err(|fault| fault.at(span))?;
                self.emitter.emit(Op::Cast(pointer), span)?;
                let origin = Some(DebugType { id: ty.id.pointer(), ..ty });
                Ok(Operand { kind: OperandKind::Value, ty: pointer, span, origin })
            }
            (OperandKind::Symbol, Some(ty)) => {
                let origin = Some(DebugType { id: ty.id.pointer(), ..ty });
                Ok(Operand { kind: OperandKind::Value, ty: Type::CODE, span, origin })
            }
            (OperandKind::Held(index), _) => match self.held.get(index as usize).map(|(value, _)| &value.place) {
                Some(Held::Unknown(reason)) => Err(Fault::Unknown(reason.clone()).at(span)),
                _ => Err(Fault::NoAddress.at(span)),
            },
            _ => Err(Fault::NoAddress.at(span)),
        }
    }

    /// `*pointer`, whose value is on the stack.
    pub(super) fn described_target(&mut self, pointer: Operand, span: Span) -> Result<Option<Operand>, LangError> {
        let Some(ty) = pointer.origin else { return Ok(None) };
        match self.shape(ty) {
            Shape::Pointer(to) => {
                let to = DebugType { id: to, ..ty };
                if self.shape(to) == Shape::Void {
                    return Err(Fault::NotPointer(Type::VOID_POINTER).at(span));
                }
                self.in_memory(to, span).map(Some)
            }
            _ => Ok(None),
        }
    }

    pub(super) fn add(&mut self, offset: u64, span: Span) -> Result<(), LangError> {
        if offset == 0 {
            return Ok(());
        }
        self.emitter.emit(Op::Cast(Type::ULONG), span)?;
        self.emitter.push(Value::from_raw(offset, Type::ULONG), span)?;
        self.emitter.emit(Op::Binary(BinaryOp::Add), span)
    }

    /// `operand.name`; of a pointer too, as gdb has it.
    pub(super) fn member(&mut self, operand: Operand, name: &str, span: Span) -> Result<Operand, LangError> {
        if let OperandKind::Vector(_) = operand.kind {
            return self.vector_member(operand, name, span);
        }
        let Some(ty) = operand.origin else { return Err(Fault::NoMembers(operand.ty.to_string()).at(operand.span)) };
        if let OperandKind::Held(index) = operand.kind {
            return self.held_member(index, name, span);
        }
        if let Shape::Pointer(_) = self.shape(ty) {
            let pointer = self.rvalue(operand)?;
            return match self.described_target(pointer, span)? {
                Some(target) => self.member(target, name, span),
                None => Err(Fault::NoMembers(self.type_text(ty)).at(operand.span)),
            };
        }
        let ty = self.defined(ty);
        if operand.kind != OperandKind::Memory || !matches!(self.shape(ty), Shape::Record | Shape::Union) {
            return Err(Fault::NoMembers(self.type_text(ty)).at(operand.span));
        }
        let Some((steps, member)) = self.look(ty, |types, id| path_to(types, id, name, DEPTH)).flatten() else {
            if let Some(function) = self.member_function(ty, name, span)? {
                return Ok(function);
            }
            return Err(Fault::NoMember { name: name.to_owned(), of: self.type_text(ty) }.at(span));
        };
        if member.kind == MemberKind::Static {
            let qualified = self.look(ty, |types, id| types.member_name(id, &member)).unwrap_or_default();
            let found = self.names.debug().and_then(|debug| debug.variable(&qualified));
            self.emitter.emit(Op::Drop, span)?;
            return self.found(found.ok_or_else(|| Fault::NoSymbol(qualified).at(span))?, span);
        }
        self.walk(&steps, span)?;
        let ty = DebugType { id: member.ty, ..ty };
        match member.bits {
            Some(bits) => self.bit_field(ty, bits, span),
            None => {
                self.add(member.offset, span)?;
                self.in_memory(ty, span)
            }
        }
    }

    /// The function that a class or its bases declare under a name, in place of the object on the stack.
    fn member_function(&mut self, ty: DebugType, name: &str, span: Span) -> Result<Option<Operand>, LangError> {
        let qualified = self.look(ty, |types, id| class_with_function(types, id, name, DEPTH)).flatten();
        let Some(at) = qualified.and_then(|class| self.names.symbol(&format!("{class}::{name}"))) else {
            return Ok(None);
        };
        self.emitter.emit(Op::Drop, span)?;
        self.code_at(at, span).map(Some)
    }

    /// Goes from the object whose address is on the stack to the part that a member is in.
    pub(super) fn walk(&mut self, steps: &[Step], span: Span) -> Result<(), LangError> {
        for step in steps {
            match *step {
                Step::Offset(offset) => self.add(offset, span)?,
                Step::VirtualBase(before) => {
                    let before = u32::try_from(before).map_err(|_| Fault::BadType.at(span))?;
                    self.emitter.emit(Op::VirtualBase(before), span)?;
                }
            }
        }
        Ok(())
    }

    fn held_member(&mut self, index: u32, name: &str, span: Span) -> Result<Operand, LangError> {
        let Some((value, module)) = self.held.get(index as usize).cloned() else { return Err(Fault::BadCode.at(span)) };
        let Some(debug) = self.names.debug() else { return Err(Fault::BadCode.at(span)) };
        let found = with_types(debug, module, |types| {
            let inspector = Inspector::new(types, debug.memory(), &NoLabels, Style::default());
            inspector.member(&value, name)
        });
        match found.flatten() {
            Some(part) => self.value_of(part, module, span),
            None => {
                let of = self.type_text(DebugType { module, id: value.ty });
                Err(Fault::NoMember { name: name.to_owned(), of }.at(span))
            }
        }
    }

    /// A class that is only declared in its unit, as another one defines it.
    pub(super) fn defined(&self, ty: DebugType) -> DebugType {
        let defined = self.look(ty, |types, id| types.definition(id)).flatten();
        defined.map_or(ty, |id| DebugType { id, ..ty })
    }

    /// The bits of the record whose address is on the stack.
    fn bit_field(&mut self, ty: DebugType, bits: Bits, span: Span) -> Result<Operand, LangError> {
        let kind = self.arithmetic(ty);
        let (first, low) = (bits.first / 8, (bits.first % 8) as u32);
        let bytes = (low + bits.count).div_ceil(8).next_power_of_two();
        if bytes > 8 || bits.count == 0 || kind.is_opaque() {
            return Err(Fault::BadType.at(span));
        }
        self.add(first, span)?;
        let field = BitField { bytes: bytes as u8, low: low as u8, count: bits.count as u8 };
        Ok(Operand { kind: OperandKind::Bits(field), ty: kind, span, origin: Some(ty) })
    }

    /// The variable, member of `this`, or enumerator with the longest name that the text goes on with: of the function,
    /// else of its class, else of the program.
    pub(super) fn described_name(&mut self, span: Span) -> Result<Option<Operand>, LangError> {
        let Some(debug) = self.names.debug() else { return Ok(None) };
        let name = span.of(self.text).to_owned();
        if debug.local(&name).is_none() {
            if let Some(found) = self.own_member(&name, span)? {
                return Ok(Some(found));
            }
        }
        let rest = self.text.get(span.start as usize..).unwrap_or("");
        let variable = super::symbol::longest_by(rest, span.of(self.text).len(), &|name| {
            if name.contains('(') {
                return None;
            }
            debug.variable(name)
        });
        let Some((found, length)) = variable else { return Ok(None) };
        let span = self.pass(span, length);
        self.found(found, span).map(Some)
    }

    /// A member of the object that the function was called for.
    fn own_member(&mut self, name: &str, span: Span) -> Result<Option<Operand>, LangError> {
        let this = self.names.debug().filter(|_| !name.contains("::")).and_then(|debug| debug.local("this"));
        let Some(this) = this else { return Ok(None) };
        let mark = (self.emitter.mark(), self.held.len());
        let this = self.found(this, span)?;
        let object = this.origin.and_then(|ty| match self.shape(ty) {
            Shape::Pointer(to) => Some(self.defined(DebugType { id: to, ..ty })),
            _ => None,
        });
        let is_member = object.and_then(|ty| self.look(ty, |types, id| path_to(types, id, name, DEPTH).is_some()));
        if is_member != Some(true) {
            self.emitter.rewind(mark.0);
            self.held.truncate(mark.1);
            return Ok(None);
        }
        self.at += 1;
        self.member(this, name, span).map(Some)
    }

    /// Takes the tokens of a name of so many bytes.
    pub(super) fn pass(&mut self, span: Span, length: usize) -> Span {
        let end = span.start + length as u32;
        while self.token().kind != TokenKind::End && self.span().start < end {
            self.at += 1;
        }
        Span { start: span.start, end }
    }

    /// A type's name from the token numbered `from` on, with its stars, and how many tokens that is: `struct S *`.
    pub(super) fn described_type(&self, from: usize) -> Option<(DebugType, usize)> {
        let debug = self.names.debug()?;
        let word =
            |at: usize| self.tokens.get(at).filter(|one| one.kind == TokenKind::Name).map(|one| one.span.of(self.text));
        let is_qualifier = |word: &str| matches!(word, "const" | "volatile");
        let mut at = from;
        let mut tagged = false;
        while let Some(one) =
            word(at).filter(|one| matches!(*one, "struct" | "class" | "union" | "enum") || is_qualifier(one))
        {
            tagged |= !is_qualifier(one);
            at += 1;
        }
        let start = self.tokens.get(at)?.span.start;
        let first = word(at)?.len();
        let rest = self.text.get(start as usize..)?;
        let (mut ty, length) = super::symbol::longest_by(rest, first, &|name| {
            // A variable hides a type of its name, unless the type is called by what it is.
            if name.contains('(') || !tagged && debug.local(name).is_some() {
                return None;
            }
            let ty = debug.find_type(name)?;
            // Only C has types and variables under one name.
            let has_tag = |types: &Types<'_>, id| types.name(id).starts_with(types.keyword(id));
            let hidden = !tagged && self.look(ty, has_tag) == Some(true) && debug.variable(name).is_some();
            (!hidden).then_some(ty)
        })?;
        let end = start + length as u32;
        while self.tokens.get(at).is_some_and(|one| one.kind != TokenKind::End && one.span.start < end) {
            at += 1;
        }
        loop {
            match self.tokens.get(at).map(|one| &one.kind) {
                Some(TokenKind::Punct("*" | "&")) => ty = DebugType { id: ty.id.pointer(), ..ty },
                Some(TokenKind::Name) if word(at).is_some_and(is_qualifier) => {}
                _ => return Some((ty, at - from)),
            }
            at += 1;
        }
    }

    /// Converts the value on the stack to a described type.
    pub(super) fn described_cast(&mut self, operand: Operand, ty: DebugType, span: Span) -> Result<Operand, LangError> {
        let kind = self.arithmetic(ty);
        if kind.is_opaque() {
            // A cast of a thing in memory to its own or another record is another look at the same bytes.
            if operand.kind == OperandKind::Memory {
                return Ok(Operand { ty: kind, span, origin: Some(ty), ..operand });
            }
            return Err(Fault::NotNumber(self.type_text(ty)).at(span));
        }
        let value = self.rvalue(operand)?;
        let cast = self.emitter.cast(value, kind, span)?;
        Ok(Operand { origin: Some(ty), ..cast })
    }
}

/// The class, or the base of one, that declares a function under a name.
fn class_with_function(types: &Types<'_>, id: TypeId, name: &str, depth: u32) -> Option<String> {
    if types.methods(id).iter().any(|one| one.name == name) {
        return Some(types.name(types.view(id).id));
    }
    let depth = depth.checked_sub(1)?;
    let members = types.members(id);
    let mut bases = members.iter().filter(|one| matches!(one.kind, MemberKind::Base | MemberKind::VirtualBase { .. }));
    bases.find_map(|base| class_with_function(types, base.ty, name, depth))
}

/// The way to a member by its name, in the record itself, its anonymous members and its bases. A name with a scope is
/// that of the class which declares it.
fn path_to(types: &Types<'_>, id: TypeId, name: &str, depth: u32) -> Option<(Vec<Step>, Member)> {
    let (scope, leaf) = name.rsplit_once("::").unwrap_or(("", name));
    let is_scope = |class: &str| class == scope || class.strip_suffix(scope).is_some_and(|rest| rest.ends_with("::"));
    let name = if scope.is_empty() || is_scope(&types.name(types.view(id).id)) { leaf } else { name };
    let members = types.members(id);
    if let Some(own) = members.iter().find(|one| one.name.as_deref() == Some(name)) {
        return Some((Vec::new(), own.clone()));
    }
    let depth = depth.checked_sub(1)?;
    members.iter().filter(|one| one.name.is_none()).find_map(|one| {
        let (mut steps, found) = path_to(types, one.ty, name, depth)?;
        let step = match one.kind {
            MemberKind::VirtualBase { before } => Step::VirtualBase(before),
            _ => Step::Offset(one.offset),
        };
        steps.insert(0, step);
        Some((steps, found))
    })
}
