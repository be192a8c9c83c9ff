//! C's definitions at the top of a script, and in the built-in headers: structures, unions, enumerations, typedefs.

use super::super::Span;
use super::ast::{TypeBase, TypeName};
use super::error::Diagnostic;
use super::lexer::{self, Token, TokenKind};
use super::types::{Definition, Enumeration, Field, RecordId, Ty, Types};

/// How deep structures may nest.
const DEPTH: u32 = 32;
/// No array in memory is longer, elements.
const LONGEST_ARRAY: u64 = 1 << 24;

/// The words of a type that is built of several.
const WORDS: [&str; 8] = ["unsigned", "signed", "char", "short", "int", "long", "void", "_Bool"];
/// Words that say nothing of a value's layout.
const QUALIFIERS: [&str; 8] = ["const", "volatile", "restrict", "static", "extern", "inline", "__user", "__kernel"];

/// Reads definitions out of a text.
pub(super) struct CParser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) types: &'a mut Types,
    depth: u32,
}

/// Where members are placed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Struct,
    Union,
}

impl<'a> CParser<'a> {
    pub(super) fn new(text: &'a str, at: usize, types: &'a mut Types) -> Self {
        Self { text, at, types, depth: 0 }
    }

    /// Every definition up to the end of the text.
    pub(super) fn all(&mut self) -> Result<(), Diagnostic> {
        while self.peek()?.kind != TokenKind::End {
            if !self.definition()? {
                return Err(self.unexpected("a struct, union, enum or typedef")?);
            }
        }
        Ok(())
    }

    /// One definition, if one begins here.
    pub(super) fn definition(&mut self) -> Result<bool, Diagnostic> {
        let token = self.peek()?;
        match self.word(&token) {
            "struct" | "union" | "enum" => {
                self.base_type()?;
                self.take_punct(";")?;
            }
            "typedef" => {
                self.next()?;
                let base = self.base_type()?;
                let (name, ty) = self.declarator(base)?;
                self.types.add_typedef(&name, ty);
                self.expect(";")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A parameter of a system call, `struct sockaddr *umyaddr`: its name and type. What it points to need not be known.
    pub(super) fn parameter(text: &str, types: &mut Types) -> (String, Ty) {
        let mut parser = CParser::new(text, 0, types);
        let declared = parser.base_type().and_then(|base| parser.declarator(base));
        let (name, ty) = declared.unwrap_or_else(|_| {
            let name =
                text.rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default();
            let ty = if text.contains('*') { Ty::Void.pointer() } else { Ty::ULONG };
            (name.to_owned(), ty)
        });
        (name, ty)
    }

    fn peek(&self) -> Result<Token, Diagnostic> {
        lexer::token(self.text, self.at)
    }

    fn next(&mut self) -> Result<Token, Diagnostic> {
        let token = self.peek()?;
        self.at = token.span.end as usize;
        Ok(token)
    }

    fn word(&self, token: &Token) -> &'a str {
        if token.kind == TokenKind::Name {
            token.span.of(self.text)
        } else {
            ""
        }
    }

    fn take_punct(&mut self, punct: &'static str) -> Result<bool, Diagnostic> {
        let is_it = self.peek()?.kind == TokenKind::Punct(punct);
        if is_it {
            self.next()?;
        }
        Ok(is_it)
    }

    fn expect(&mut self, punct: &'static str) -> Result<Span, Diagnostic> {
        let token = self.next()?;
        if token.kind == TokenKind::Punct(punct) {
            Ok(token.span)
        } else {
            Err(Diagnostic::error(token.span, format!("syntax: expected '{punct}'")))
        }
    }

    fn unexpected(&self, wanted: &str) -> Result<Diagnostic, Diagnostic> {
        Ok(Diagnostic::error(self.peek()?.span, format!("syntax: expected {wanted}")))
    }

    fn name(&mut self) -> Result<&'a str, Diagnostic> {
        let token = self.next()?;
        match token.kind {
            TokenKind::Name => Ok(token.span.of(self.text)),
            _ => Err(Diagnostic::error(token.span, "syntax: expected a name")),
        }
    }

    /// A type without its stars: a structure with or without its members, an enumeration, or plain words.
    fn base_type(&mut self) -> Result<Ty, Diagnostic> {
        self.skip_qualifiers()?;
        let token = self.peek()?;
        let ty = match self.word(&token) {
            "struct" => self.record(Layout::Struct)?,
            "union" => self.record(Layout::Union)?,
            "enum" => self.enumeration()?,
            _ => self.plain()?,
        };
        self.skip_qualifiers()?;
        Ok(ty)
    }

    fn skip_qualifiers(&mut self) -> Result<(), Diagnostic> {
        loop {
            let token = self.peek()?;
            match self.word(&token) {
                "__attribute__" => {
                    self.next()?;
                    self.skip_parentheses()?;
                }
                word if QUALIFIERS.contains(&word) => {
                    self.next()?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn skip_parentheses(&mut self) -> Result<(), Diagnostic> {
        self.expect("(")?;
        let mut open = 1;
        while open > 0 {
            let token = self.next()?;
            match token.kind {
                TokenKind::Punct("(") => open += 1,
                TokenKind::Punct(")") => open -= 1,
                TokenKind::End => return Err(Diagnostic::error(token.span, "syntax: expected ')'")),
                _ => {}
            }
        }
        Ok(())
    }

    fn plain(&mut self) -> Result<Ty, Diagnostic> {
        let first = self.peek()?;
        let mut words: Vec<&str> = Vec::new();
        loop {
            let token = self.peek()?;
            let word = self.word(&token);
            if QUALIFIERS.contains(&word) {
                self.next()?;
            } else if WORDS.contains(&word) || (words.is_empty() && !word.is_empty()) {
                words.push(word);
                self.next()?;
                if !WORDS.contains(&word) {
                    break;
                }
            } else {
                break;
            }
        }
        let name = ordered(&words);
        self.types
            .find_named(&name)
            .ok_or_else(|| Diagnostic::error(first.span, format!("Cannot resolve unknown type \"{name}\"")))
    }

    fn record(&mut self, layout: Layout) -> Result<Ty, Diagnostic> {
        let keyword = self.next()?;
        self.skip_qualifiers()?;
        let token = self.peek()?;
        let id = match token.kind {
            TokenKind::Name => {
                let tag = self.name()?;
                self.types.tagged(tag)
            }
            _ => self.types.anonymous("struct <anonymous>".into()),
        };
        if !self.take_punct("{")? {
            return Ok(Ty::Record(id));
        }
        if self.types.record(id).state == Definition::Complete {
            // A script that brings its own definition of what a header has: the script's counts.
            *self.types.record_mut(id) =
                super::types::Record { name: self.types.record(id).name.clone(), ..Default::default() };
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Diagnostic::error(keyword.span, "the structures nest too deeply"));
        }
        while !self.take_punct("}")? {
            self.members(id, layout)?;
        }
        self.depth -= 1;
        let packed = self.packed()?;
        let record = self.types.record_mut(id);
        record.state = Definition::Complete;
        match packed {
            true => pack(self.types, id),
            false => record.size = record.size.next_multiple_of(record.align.max(1)),
        }
        Ok(Ty::Record(id))
    }

    fn packed(&mut self) -> Result<bool, Diagnostic> {
        let before = self.at;
        self.skip_qualifiers()?;
        Ok(self.text[before..self.at].contains("packed"))
    }

    /// `int a, *b[4];`, `int c : 3;`, `struct { .. };`
    fn members(&mut self, id: RecordId, layout: Layout) -> Result<(), Diagnostic> {
        let base = self.base_type()?;
        if self.take_punct(";")? {
            return self.place(id, layout, Field { name: String::new(), offset: 0, ty: base, bits: None });
        }
        loop {
            let (name, ty, width) = if self.take_punct(":")? {
                (String::new(), base.clone(), Some(self.constant()?))
            } else {
                let (name, ty) = self.declarator(base.clone())?;
                let width = if self.take_punct(":")? { Some(self.constant()?) } else { None };
                (name, ty, width)
            };
            let bits = width.map(|width| (0, width.min(64) as u8));
            self.place(id, layout, Field { name, offset: 0, ty, bits })?;
            if !self.take_punct(",")? {
                self.expect(";")?;
                return Ok(());
            }
        }
    }

    fn place(&mut self, id: RecordId, layout: Layout, mut field: Field) -> Result<(), Diagnostic> {
        if matches!(field.ty, Ty::Record(inner) if self.types.record(inner).state == Definition::Named) {
            let name = self.types.name(&field.ty);
            let span = self.peek()?.span;
            return Err(Diagnostic::error(span, format!("Cannot resolve unknown type \"{name}\"")));
        }
        let (size, align) = (self.types.size(&field.ty), self.types.align(&field.ty));
        let record = self.types.record_mut(id);
        match (layout, field.bits) {
            (Layout::Union, _) => record.size = record.size.max(size),
            (Layout::Struct, None) => {
                field.offset = record.size.next_multiple_of(align);
                record.size = field.offset.saturating_add(size);
            }
            (Layout::Struct, Some((_, width))) => place_bits(record, &mut field, size, width),
        }
        record.align = record.align.max(align);
        if field.bits.is_none_or(|_| !field.name.is_empty()) {
            record.fields.push(field);
        }
        Ok(())
    }

    fn enumeration(&mut self) -> Result<Ty, Diagnostic> {
        self.next()?;
        let token = self.peek()?;
        let name = if token.kind == TokenKind::Name { self.name()?.to_owned() } else { String::new() };
        if !self.take_punct("{")? {
            let found = self.types.find_enum(&name).map(Ty::Enum);
            return found
                .ok_or_else(|| Diagnostic::error(token.span, format!("Cannot resolve unknown type \"enum {name}\"")));
        }
        let mut one = Enumeration { name, values: Vec::new() };
        let mut next = 0u64;
        while !self.take_punct("}")? {
            let name = self.name()?.to_owned();
            if self.take_punct("=")? {
                next = self.constant_with(&one.values)?;
            }
            one.values.push((name, next));
            next = next.wrapping_add(1);
            if !self.take_punct(",")? {
                self.expect("}")?;
                break;
            }
        }
        Ok(Ty::Enum(self.types.add_enum(one)))
    }

    fn declarator(&mut self, base: Ty) -> Result<(String, Ty), Diagnostic> {
        let mut ty = base;
        loop {
            self.skip_qualifiers()?;
            if !self.take_punct("*")? {
                break;
            }
            ty = ty.pointer();
        }
        if self.take_punct("(")? {
            // A function pointer: what it takes and gives says nothing of its layout.
            self.expect("*")?;
            let name = self.name()?.to_owned();
            self.expect(")")?;
            self.skip_parentheses()?;
            return Ok((name, Ty::Void.pointer()));
        }
        let name = self.name()?.to_owned();
        let mut dims = Vec::new();
        while self.take_punct("[")? {
            let count = if self.peek()?.kind == TokenKind::Punct("]") { 0 } else { self.constant()? };
            dims.push(count.min(LONGEST_ARRAY));
            self.expect("]")?;
        }
        for count in dims.into_iter().rev() {
            ty = Ty::Array(ty.into(), count);
        }
        self.skip_qualifiers()?;
        Ok((name, ty))
    }

    fn constant(&mut self) -> Result<u64, Diagnostic> {
        self.constant_with(&[])
    }

    /// A constant of numbers, names, `+ - * << |`, from left to right.
    fn constant_with(&mut self, own: &[(String, u64)]) -> Result<u64, Diagnostic> {
        let mut value = self.constant_term(own)?;
        loop {
            let operator = self.peek()?.kind;
            let apply: fn(u64, u64) -> u64 = match operator {
                TokenKind::Punct("+") => u64::wrapping_add,
                TokenKind::Punct("-") => u64::wrapping_sub,
                TokenKind::Punct("*") => u64::wrapping_mul,
                TokenKind::Punct("|") => |a, b| a | b,
                TokenKind::Punct("<<") => |a, b| a.checked_shl(b as u32).unwrap_or(0),
                _ => return Ok(value),
            };
            self.next()?;
            value = apply(value, self.constant_term(own)?);
        }
    }

    fn constant_term(&mut self, own: &[(String, u64)]) -> Result<u64, Diagnostic> {
        let token = self.next()?;
        let bad = || Diagnostic::error(token.span, "syntax: expected a constant");
        match token.kind {
            TokenKind::Integer(value) => Ok(value),
            TokenKind::Punct("-") => self.constant_term(own).map(u64::wrapping_neg),
            TokenKind::Punct("(") => {
                let value = self.constant_with(own)?;
                self.expect(")")?;
                Ok(value)
            }
            TokenKind::Name => {
                let name = token.span.of(self.text);
                let own = own.iter().find(|(one, _)| one == name).map(|(_, value)| *value);
                own.or_else(|| self.types.find_constant(name).map(|(value, _)| value)).ok_or_else(bad)
            }
            _ => Err(bad()),
        }
    }
}

/// Places a bit-field: in the storage unit that the last one began, where it fits there.
fn place_bits(record: &mut super::types::Record, field: &mut Field, size: u64, width: u8) {
    let unit_bits = size * 8;
    let last_end = match record.fields.last() {
        Some(Field { offset, bits: Some((first, width)), .. }) => offset * 8 + u64::from(*first) + u64::from(*width),
        _ => record.size * 8,
    };
    let unit = last_end / unit_bits * unit_bits;
    let start = if last_end + u64::from(width) > unit + unit_bits || width == 0 { unit + unit_bits } else { last_end };
    field.offset = start / unit_bits * size;
    field.bits = Some(((start - field.offset * 8) as u8, width));
    record.size = record.size.max(field.offset + size);
}

/// Lays a structure out without padding.
fn pack(types: &mut Types, id: RecordId) {
    let fields = types.record(id).fields.clone();
    let mut size = 0;
    for (at, field) in fields.iter().enumerate() {
        types.record_mut(id).fields[at].offset = size;
        size += types.size(&field.ty);
    }
    let record = types.record_mut(id);
    (record.size, record.align) = (size, 1);
}

/// Words of a type in the order in which tables have them: `long unsigned int` is `unsigned long`.
pub(super) fn ordered(words: &[&str]) -> String {
    let count = |word: &str| words.iter().filter(|one| **one == word).count();
    let Some(first) = words.iter().find(|word| !matches!(**word, "unsigned" | "signed" | "int" | "long" | "short"))
    else {
        let sign = if count("unsigned") > 0 { "unsigned " } else { "" };
        let size = match (count("long"), count("short")) {
            (0, 0) => "int",
            (0, _) => "short",
            (1, _) => "long",
            _ => "long long",
        };
        return format!("{sign}{size}");
    };
    if count("unsigned") > 0 {
        format!("unsigned {first}")
    } else {
        (*first).to_owned()
    }
}

/// The type that a written one is built on; `None` for `typeof`, of whose expression only the check knows the type.
pub(super) fn base(types: &Types, name: &TypeName) -> Result<Option<Ty>, Diagnostic> {
    let unknown = |text: String| Diagnostic::error(name.span, format!("Cannot resolve unknown type \"{text}\""));
    Ok(Some(match &name.base {
        TypeBase::Record(tag) => Ty::Record(types.find_record(tag).ok_or_else(|| unknown(format!("struct {tag}")))?),
        TypeBase::Enum(tag) => Ty::Enum(types.find_enum(tag).ok_or_else(|| unknown(format!("enum {tag}")))?),
        TypeBase::Plain(plain) => types.find_named(plain).ok_or_else(|| unknown(plain.clone()))?,
        TypeBase::Of(_) => return Ok(None),
    }))
}

/// The pointers and arrays that are written behind a type.
pub(super) fn suffixed(mut ty: Ty, name: &TypeName) -> Ty {
    for _ in 0..name.stars {
        ty = ty.pointer();
    }
    for count in name.dims.iter().rev() {
        ty = Ty::Array(ty.into(), *count);
    }
    ty
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Types {
        let mut types = Types::default();
        CParser::new(text, 0, &mut types).all().unwrap();
        types
    }

    fn offset(types: &Types, tag: &str, field: &str) -> u64 {
        types.find_field(types.find_record(tag).unwrap(), field).unwrap().offset
    }

    #[test]
    fn members_lie_where_the_compiler_puts_them() {
        let types = parse(
            "struct a { char c; int i; struct { short s; long l; }; union { int u; char v[9]; } w; void (*f)(int); };",
        );
        let found = types.find_record("a").map(|id| types.record(id).size);
        assert_eq!(found, Some(48));
        assert_eq!([offset(&types, "a", "i"), offset(&types, "a", "l"), offset(&types, "a", "f")], [4, 16, 40]);
    }

    #[test]
    fn bit_fields_share_their_unit() {
        let types = parse("struct b { unsigned a:3, b:5; unsigned c:25; int d; };");
        let id = types.find_record("b").unwrap();
        let bits = |name: &str| types.find_field(id, name).map(|one| (one.offset, one.bits));
        assert_eq!(bits("b"), Some((0, Some((3, 5)))));
        assert_eq!(bits("c"), Some((4, Some((0, 25)))));
        assert_eq!((bits("d"), types.record(id).size), (Some((8, None)), 12));
    }

    #[test]
    fn enumerations_are_constants_and_typedefs_are_types() {
        let types = parse("enum e { A = 3, B, C = A + 10, D = 1 << 4 }; typedef unsigned long word; struct p { word w[A]; } __attribute__((packed));");
        assert_eq!(types.find_constant("B").map(|one| one.0), Some(4));
        assert_eq!((types.find_constant("C").unwrap().0, types.find_constant("D").unwrap().0), (13, 16));
        assert_eq!(types.record(types.find_record("p").unwrap()).size, 24);
    }

    #[test]
    fn malformed_definitions_are_told_where_they_are_wrong() {
        for text in [
            "struct a { int; ",
            "struct a { nonsense x; };",
            "struct a { struct b c; };",
            "enum { A = x };",
            "struct a { int x[ };",
        ] {
            let mut types = Types::default();
            assert!(CParser::new(text, 0, &mut types).all().is_err(), "{text}");
        }
    }
}
