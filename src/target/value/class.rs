//! Classes of the standard libraries and of absl that are known by their names.

use super::shape::{strip_qualifiers, Shape, Sign, ViewOrder};
use super::text_object::TextLayout;

/// Classes with a copy constructor or destructor of their own: passed by the address of a copy (Itanium ABI, 3.1.2.3).
const BY_ADDRESS: &[&str] = &[
    "std::function",
    "std::move_only_function",
    "std::unique_ptr",
    "std::shared_ptr",
    "std::weak_ptr",
    "std::vector",
    "std::deque",
    "std::list",
    "std::forward_list",
    "std::map",
    "std::multimap",
    "std::set",
    "std::multiset",
    "std::unordered_map",
    "std::unordered_multimap",
    "std::unordered_set",
    "std::unordered_multiset",
    "std::queue",
    "std::stack",
    "std::priority_queue",
    "std::any",
    "std::thread",
    "std::promise",
    "std::future",
    "std::unique_lock",
    "std::exception_ptr",
    "std::locale",
    "std::allocator",
    "std::basic_string",
    "absl::AnyInvocable",
    "absl::Status",
    "absl::StatusOr",
    "absl::Cord",
    "absl::flat_hash_map",
    "absl::flat_hash_set",
    "absl::node_hash_map",
    "absl::node_hash_set",
    "absl::InlinedVector",
];
/// Empty classes that only choose an overload.
const EMPTY: &[&str] = &[
    "std::nothrow_t",
    "std::in_place_t",
    "std::in_place_type_t",
    "std::piecewise_construct_t",
    "std::allocator_arg_t",
    "std::integral_constant",
    "std::nullopt_t",
    "std::adopt_lock_t",
    "std::defer_lock_t",
    "std::input_iterator_tag",
    "std::forward_iterator_tag",
    "std::random_access_iterator_tag",
];
/// Views of text that are {data, size} whatever the standard library is.
const DATA_FIRST: &[&str] =
    &["absl::string_view", "re2::StringPiece", "google::protobuf::StringPiece", "rocksdb::Slice", "leveldb::Slice"];

/// The standard library that a name in `std` belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Library {
    /// `std::X`, `std::__cxx11::X`.
    Libstdcxx,
    /// `std::__1::X`, `std::__Cr::X`.
    Libcxx,
}

/// A type's name in parts.
struct ClassName<'a> {
    /// Without template arguments and inline namespaces.
    plain: String,
    library: Library,
    arguments: Vec<&'a str>,
}

/// The shape of a class by its name.
pub fn parse(text: &str) -> Shape {
    let Some(name) = split(text) else { return Shape::Unknown };
    let first = name.arguments.first().copied().map(strip_qualifiers);
    let plain = name.plain.as_str();
    match plain {
        "std::string" => Shape::Text(TextLayout::of_short_name(text)),
        "std::basic_string" if first == Some("char") => Shape::Text(match name.library {
            Library::Libcxx => TextLayout::Libcxx,
            Library::Libstdcxx if text.starts_with("std::__cxx11::") => TextLayout::Cxx11,
            Library::Libstdcxx => TextLayout::CopyOnWrite,
        }),
        "std::basic_string_view" if first != Some("char") => Shape::Span,
        "std::string_view" | "std::basic_string_view" => Shape::View(match name.library {
            Library::Libcxx => ViewOrder::DataFirst,
            Library::Libstdcxx => ViewOrder::SizeFirst,
        }),
        "std::span" if name.arguments.get(1).is_some_and(|extent| literal(extent) != Some(u64::MAX)) => Shape::Pointer,
        "std::span" | "absl::Span" | "std::initializer_list" => Shape::Span,
        "std::chrono::duration" => duration(&name.arguments),
        "std::chrono::time_point" => match name.arguments.get(1).map(|inner| Shape::parse(inner)) {
            Some(shape @ Shape::Duration(_)) => shape,
            _ => Shape::Integer(8, Sign::Signed),
        },
        "std::optional" | "absl::optional" => optional(first),
        "std::reference_wrapper" => Shape::Pointer,
        plain if DATA_FIRST.contains(&plain) => Shape::View(ViewOrder::DataFirst),
        plain if BY_ADDRESS.contains(&plain) => Shape::Object(name.plain),
        plain if EMPTY.contains(&plain) => Shape::Empty,
        _ => Shape::Unknown,
    }
}

fn optional(inner: Option<&str>) -> Shape {
    match inner.map(Shape::parse) {
        Some(
            inner @ (Shape::Integer(..)
            | Shape::Bool
            | Shape::Character(_)
            | Shape::Pointer
            | Shape::CText
            | Shape::Duration(_)),
        ) => Shape::Optional(Box::new(inner)),
        Some(Shape::Text(_) | Shape::Object(_)) => Shape::Object("std::optional".to_owned()),
        _ => Shape::Unknown,
    }
}

/// An integer that is a template argument: `1000l` or `(long)1000`, as demanglers differ.
fn literal(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.rsplit_once(')').map_or(text, |(_, digits)| digits);
    digits.trim_end_matches(['l', 'L', 'u', 'U']).parse().ok()
}

/// A duration with an integer of 64 bits in it, by its unit.
fn duration(arguments: &[&str]) -> Shape {
    let ratio = arguments.get(1).and_then(|ratio| split(ratio));
    let ratio = ratio.as_ref().map(|ratio| ratio.arguments.as_slice());
    let (numerator, denominator) = match ratio {
        Some([numerator, denominator]) => (literal(numerator), literal(denominator)),
        Some([numerator]) => (literal(numerator), Some(1)),
        _ => (Some(1), Some(1)),
    };
    if !matches!(arguments.first().copied(), Some("long" | "long long")) {
        return Shape::Unknown;
    }
    Shape::Duration(match (numerator, denominator) {
        (Some(1), Some(1)) => "s".to_owned(),
        (Some(1), Some(1_000)) => "ms".to_owned(),
        (Some(1), Some(1_000_000)) => "us".to_owned(),
        (Some(1), Some(1_000_000_000)) => "ns".to_owned(),
        (Some(60), Some(1)) => "min".to_owned(),
        (Some(3600), Some(1)) => "h".to_owned(),
        (Some(up), Some(down)) => format!("*{up}/{down}s"),
        _ => return Shape::Unknown,
    })
}

/// The parts of a type's name. None: it does not end with the class that its template arguments belong to.
fn split(text: &str) -> Option<ClassName<'_>> {
    let text = text.trim();
    let (head, arguments) = match text.find('<') {
        None => (text, Vec::new()),
        Some(open) => {
            let inside = text[open + 1..].strip_suffix('>')?;
            (&text[..open], split_arguments(inside)?)
        }
    };
    let mut library = Library::Libstdcxx;
    let mut plain = String::new();
    for part in head.split("::") {
        let is_inline = match plain.as_str() {
            "std" | "std::chrono" if part == "__cxx11" || part == "_V2" => true,
            "std" if part.starts_with("__") => {
                library = Library::Libcxx;
                true
            }
            "absl" => part.starts_with("lts_"),
            _ => false,
        };
        if !is_inline {
            if !plain.is_empty() {
                plain.push_str("::");
            }
            plain.push_str(part);
        }
    }
    Some(ClassName { plain, library, arguments })
}

/// Template arguments at the outermost level; None when the brackets close before the end.
fn split_arguments(text: &str) -> Option<Vec<&str>> {
    let (mut depth, mut start, mut found) = (0i32, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' | b')' | b']' => depth -= 1,
            b',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    found.push(text[start..].trim());
    Some(found)
}
