//! What the text of a C++ type says of the type's size, place and meaning.

use std::sync::Arc;

use super::class;
use super::text_object::TextLayout;
use crate::arch::{FloatWidth, ParameterClass};

/// Whether an integer has a sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// It has.
    Signed,
    /// It has not.
    Unsigned,
}

/// Which of two words comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ViewOrder {
    /// absl, libc++.
    DataFirst,
    /// libstdc++'s string_view.
    SizeFirst,
}

/// What a value of a type is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// An integer of 1, 2, 4 or 8 bytes.
    Integer(u8, Sign),
    /// `bool`.
    Bool,
    /// A character of 1, 2 or 4 bytes.
    Character(u8),
    /// `__int128`.
    Wide(Sign),
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `long double`.
    LongDouble,
    /// `__float128`.
    Quad,
    /// An address about whose target no more is known.
    Pointer,
    /// `char*`: a NUL-terminated text.
    CText,
    /// An array of so many characters, by reference: usually a literal.
    Literal(u64),
    /// The address of a function.
    Function,
    /// A pointer to a member function: address or vtable offset, and adjustment.
    MemberFunction,
    /// A reference, or a pointer to what is worth reading.
    Reference(Box<Shape>),
    /// A string, always in memory.
    Text(TextLayout),
    /// A string view, in two words.
    View(ViewOrder),
    /// A span or initializer list: address and number of elements.
    Span,
    /// A class that is passed by the address of a copy, by its short name.
    Object(String),
    /// A number of units of time.
    Duration(String),
    /// An optional of a small type.
    Optional(Box<Shape>),
    /// An empty class: in no register.
    Empty,
    /// An enumeration or a class of unknown size.
    Unknown,
    /// An enumeration of so many bytes whose names are known.
    Enumeration(u8, Arc<EnumerationNames>),
    /// A record that is passed itself, not by its address; without members it is not shown.
    Record(Arc<[RecordField]>),
}

/// The names of an enumeration's values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnumerationNames {
    /// Whether the values have a sign.
    pub sign: Sign,
    /// Each value with its name.
    pub values: Vec<(i128, String)>,
}

/// A member of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordField {
    /// Its name; empty for an anonymous one.
    pub name: String,
    /// From the record's start, bytes.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// What it is.
    pub shape: Shape,
}

impl Shape {
    /// How a parameter of this type is passed. None: in no place at all.
    pub fn class(&self) -> Option<ParameterClass> {
        Some(match self {
            Shape::Float => ParameterClass::Sse { width: FloatWidth::Single },
            Shape::Double => ParameterClass::Sse { width: FloatWidth::Double },
            Shape::Quad => ParameterClass::Sse { width: FloatWidth::Quad },
            Shape::LongDouble => ParameterClass::X87,
            Shape::Wide(_) | Shape::View(_) | Shape::Span | Shape::MemberFunction => ParameterClass::IntegerPair,
            Shape::Optional(inner) if inner.size() == 8 => ParameterClass::IntegerPair,
            Shape::Empty => return None,
            _ => ParameterClass::Integer,
        })
    }

    /// How many bytes a value takes in memory.
    pub fn size(&self) -> usize {
        match self {
            Shape::Integer(bytes, _) | Shape::Character(bytes) | Shape::Enumeration(bytes, _) => usize::from(*bytes),
            Shape::Record(fields) => fields.iter().map(|one| one.offset + one.size).max().unwrap_or(0),
            Shape::Bool | Shape::Empty => 1,
            Shape::Float => 4,
            Shape::Optional(inner) => inner.size() * 2,
            Shape::Wide(_) | Shape::View(_) | Shape::Span | Shape::MemberFunction => 16,
            Shape::LongDouble | Shape::Quad => 16,
            _ => 8,
        }
    }

    /// Whether a parameter's first word is an address.
    pub fn starts_with_address(&self) -> bool {
        let by_address = matches!(self, Shape::Pointer | Shape::CText | Shape::Literal(_) | Shape::Function);
        by_address
            || matches!(self, Shape::Reference(_) | Shape::Text(_) | Shape::Object(_) | Shape::Span | Shape::Unknown)
            || matches!(self, Shape::View(ViewOrder::DataFirst))
    }

    /// The shape of a type as the demangler writes it.
    pub fn parse(text: &str) -> Shape {
        let text = strip_qualifiers(text);
        if let Some(shape) = declarator(text) {
            return shape;
        }
        if let Some(target) = text.strip_suffix("&&").or_else(|| text.strip_suffix('&')) {
            return match Shape::parse(target) {
                Shape::Unknown | Shape::Reference(_) => Shape::Pointer,
                inner => Shape::Reference(Box::new(inner)),
            };
        }
        if let Some(target) = text.strip_suffix('*') {
            return pointer_to(target);
        }
        fundamental(text).unwrap_or_else(|| class::parse(text))
    }
}

fn pointer_to(target: &str) -> Shape {
    if target.ends_with("::") {
        return Shape::Integer(8, Sign::Signed);
    }
    match strip_qualifiers(target) {
        "char" => Shape::CText,
        target => match Shape::parse(target) {
            text @ (Shape::Text(_) | Shape::View(_)) => Shape::Reference(Box::new(text)),
            _ => Shape::Pointer,
        },
    }
}

/// Pointers and references to functions, arrays and members: the ones with parentheses around the sign.
fn declarator(text: &str) -> Option<Shape> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' => depth = depth.saturating_sub(1),
            b'(' if depth == 0 => {
                let inside = &text[at + 1..];
                let (sign, after) = inside.split_once(')')?;
                if sign.ends_with("::*") || sign.contains("::*") {
                    return Some(Shape::MemberFunction);
                }
                if !sign.starts_with(['*', '&']) {
                    return None;
                }
                return Some(array(text[..at].trim(), after.trim()).unwrap_or(Shape::Function));
            }
            _ => {}
        }
    }
    None
}

fn array(element: &str, after: &str) -> Option<Shape> {
    let count = after.strip_prefix('[')?;
    let count: u64 = count.split(']').next()?.trim().parse().unwrap_or_default();
    Some(match strip_qualifiers(element) {
        "char" if count > 0 => Shape::Literal(count),
        _ => Shape::Pointer,
    })
}

/// Without cv-qualifiers on either side.
pub fn strip_qualifiers(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let words = ["const", "volatile", "__restrict", "restrict"];
        let ended = words.iter().find_map(|word| {
            let rest = text.strip_suffix(word)?;
            rest.ends_with([' ', '*', '&', '>']).then(|| rest.trim_end())
        });
        let begun = words.iter().find_map(|word| text.strip_prefix(word)?.strip_prefix(' '));
        match ended.or(begun) {
            Some(rest) => text = rest.trim(),
            None => return text,
        }
    }
}

fn fundamental(text: &str) -> Option<Shape> {
    use Sign::{Signed, Unsigned};
    Some(match text {
        "bool" => Shape::Bool,
        "char" | "char8_t" => Shape::Character(1),
        "char16_t" => Shape::Character(2),
        "wchar_t" | "char32_t" => Shape::Character(4),
        "signed char" => Shape::Integer(1, Signed),
        "unsigned char" | "std::byte" => Shape::Integer(1, Unsigned),
        "short" => Shape::Integer(2, Signed),
        "unsigned short" => Shape::Integer(2, Unsigned),
        "int" | "std::memory_order" => Shape::Integer(4, Signed),
        "unsigned int" | "unsigned" => Shape::Integer(4, Unsigned),
        "long" | "long long" => Shape::Integer(8, Signed),
        "unsigned long" | "unsigned long long" | "std::align_val_t" => Shape::Integer(8, Unsigned),
        "__int128" => Shape::Wide(Signed),
        "unsigned __int128" => Shape::Wide(Unsigned),
        "float" => Shape::Float,
        "double" => Shape::Double,
        "long double" => Shape::LongDouble,
        "__float128" => Shape::Quad,
        "decltype(nullptr)" | "std::nullptr_t" => Shape::Pointer,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fundamental_types_and_pointers() {
        assert_eq!(Shape::parse("unsigned short const"), Shape::Integer(2, Sign::Unsigned));
        assert_eq!(Shape::parse("char const*"), Shape::CText);
        assert_eq!(Shape::parse("char const* const"), Shape::CText);
        assert_eq!(Shape::parse("char const* const*"), Shape::Pointer);
        assert_eq!(Shape::parse("void (*)(int, char const*)"), Shape::Function);
        assert_eq!(Shape::parse("void (&)(int)"), Shape::Function);
        assert_eq!(Shape::parse("int (A::*)(long) const"), Shape::MemberFunction);
        assert_eq!(Shape::parse("int A::*"), Shape::Integer(8, Sign::Signed));
        assert_eq!(Shape::parse("char const (&) [6]"), Shape::Literal(6));
        assert_eq!(Shape::parse("int&"), Shape::Reference(Box::new(Shape::Integer(4, Sign::Signed))));
        assert_eq!(Shape::parse("Envoy::Network::Address const&"), Shape::Pointer);
        assert_eq!(Shape::parse("Envoy::Mode"), Shape::Unknown);
    }

    #[test]
    fn classes_of_the_standard_libraries() {
        let cxx11 = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
        assert_eq!(Shape::parse(cxx11), Shape::Text(TextLayout::Cxx11));
        let libcxx = "std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char> > const&";
        assert_eq!(Shape::parse(libcxx), Shape::Reference(Box::new(Shape::Text(TextLayout::Libcxx))));
        assert_eq!(Shape::parse("absl::string_view"), Shape::View(ViewOrder::DataFirst));
        assert_eq!(Shape::parse("absl::lts_20230125::string_view"), Shape::View(ViewOrder::DataFirst));
        let view = "std::basic_string_view<char, std::char_traits<char> >";
        assert_eq!(Shape::parse(view), Shape::View(ViewOrder::SizeFirst));
        let view = "std::__1::basic_string_view<char, std::__1::char_traits<char> >";
        assert_eq!(Shape::parse(view), Shape::View(ViewOrder::DataFirst));
        assert_eq!(Shape::parse("std::function<void (int)>"), Shape::Object("std::function".to_owned()));
        let unique = "std::__1::unique_ptr<A, std::__1::default_delete<A> >";
        assert_eq!(Shape::parse(unique), Shape::Object("std::unique_ptr".to_owned()));
        let duration = "std::chrono::duration<long, std::ratio<1l, 1000l> >";
        assert_eq!(Shape::parse(duration), Shape::Duration("ms".to_owned()));
        let duration = "std::__1::chrono::duration<long long, std::__1::ratio<(long long)1, (long long)1000000000> >";
        assert_eq!(Shape::parse(duration), Shape::Duration("ns".to_owned()));
        assert_eq!(Shape::parse("std::span<int, (unsigned long)18446744073709551615>"), Shape::Span);
        assert_eq!(Shape::parse("std::span<int, 4ul>"), Shape::Pointer);
        assert_eq!(Shape::parse("std::vector<int, std::allocator<int> >::iterator"), Shape::Unknown);
        assert_eq!(Shape::parse("std::optional<unsigned int>").class(), Some(ParameterClass::Integer));
        assert_eq!(Shape::parse("std::optional<unsigned long>").class(), Some(ParameterClass::IntegerPair));
        assert_eq!(Shape::parse("absl::Span<int const>"), Shape::Span);
    }
}
