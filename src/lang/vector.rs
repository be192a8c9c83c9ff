//! Registers that are wider than a number: their members and elements by gdb's names, and how they are shown.

use super::types::Scalar;
use super::{float, Format, RegisterId, RegisterName, Type, Value};

/// What a value of such a register is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// All of a vector register, of so many bytes: a union of its ways to be divided.
    Union(u8),
    /// So many elements.
    Row(Element, u8),
    /// One element that is no number to calculate with.
    One(Element),
    /// An 80-bit float.
    Float,
}

/// An element of a vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Element {
    Bfloat16,
    Half,
    Float,
    Double,
    Int8,
    Int16,
    Int32,
    Int64,
    Int128,
    Uint128,
}

/// As gdb orders and names them; `_` stands for the count.
const ELEMENTS: [(Element, &str, &str); 9] = [
    (Element::Bfloat16, "_bfloat16", "bf16"),
    (Element::Half, "_half", "h"),
    (Element::Float, "_float", "f"),
    (Element::Double, "_double", "d"),
    (Element::Int8, "_int8", "i8"),
    (Element::Int16, "_int16", "i16"),
    (Element::Int32, "_int32", "i32"),
    (Element::Int64, "_int64", "i64"),
    (Element::Int128, "_int128", "i128"),
];

/// An array with more equal elements than this in a row shows them once, as gdb has it.
const REPEATS: usize = 10;

impl Element {
    /// Its size in bytes.
    pub fn size(self) -> usize {
        match self {
            Element::Int8 => 1,
            Element::Bfloat16 | Element::Half | Element::Int16 => 2,
            Element::Float | Element::Int32 => 4,
            Element::Double | Element::Int64 => 8,
            Element::Int128 | Element::Uint128 => 16,
        }
    }

    /// The type that is calculated with, where it is a number of the language.
    fn number(self) -> Option<Type> {
        Some(match self {
            Element::Float => Type::FLOAT,
            Element::Double => Type::DOUBLE,
            Element::Int8 => Type::scalar(Scalar::Byte),
            Element::Int16 | Element::Int32 | Element::Int64 => Type::signed(self.size()),
            Element::Bfloat16 | Element::Half | Element::Int128 | Element::Uint128 => return None,
        })
    }

    fn is_float(self) -> bool {
        matches!(self, Element::Bfloat16 | Element::Half | Element::Float | Element::Double)
    }

    fn show(self, bytes: &[u8], format: Format) -> String {
        let word = bytes.iter().rev().fold(0u128, |word, byte| word << 8 | u128::from(*byte));
        match (format, self) {
            (Format::Natural | Format::Text | Format::Float, Element::Half) => float::small(word as u16, 10, 5),
            (Format::Natural | Format::Text | Format::Float, Element::Bfloat16) => float::small(word as u16, 7, 4),
            (Format::Float, _) if !self.is_float() && self.size() < 16 => {
                let as_float = if self.size() == 8 { Type::DOUBLE } else { Type::FLOAT };
                match self.size() {
                    4 | 8 => number(word as u64, as_float, Format::Natural),
                    size => number(word as u64, Type::signed(size), Format::Natural),
                }
            }
            (_, Element::Int128 | Element::Uint128) => wide_integer(word, self, format),
            _ => number(word as u64, self.number().unwrap_or(Type::signed(self.size())), format),
        }
    }
}

/// Sixteen bytes as an integer.
fn wide_integer(word: u128, element: Element, format: Format) -> String {
    match format {
        Format::Hex | Format::Address => format!("{word:#x}"),
        Format::ZeroHex => format!("0x{word:032x}"),
        Format::Octal => format!("0{word:o}"),
        Format::Binary => format!("{word:b}"),
        Format::Unsigned => word.to_string(),
        Format::Decimal => (word as i128).to_string(),
        _ if element == Element::Int128 => (word as i128).to_string(),
        _ => word.to_string(),
    }
}

fn number(raw: u64, ty: Type, format: Format) -> String {
    super::format::format_plain(&Value::from_raw(raw, ty), format, &super::NoLabels)
}

impl Shape {
    /// Its size in bytes; of a float gdb's, which is that of a `long double` in memory.
    pub fn size(self) -> usize {
        match self {
            Shape::Union(bytes) => bytes.into(),
            Shape::Row(element, count) => element.size() * usize::from(count),
            Shape::One(element) => element.size(),
            Shape::Float => 16,
        }
    }

    /// The name of its type in gdb.
    pub fn type_name(self) -> String {
        let of = |element: Element| ELEMENTS.iter().find(|(own, ..)| *own == element).map_or("u128", |one| one.2);
        match self {
            Shape::Union(bytes) => format!("union vec{}", u32::from(bytes) * 8),
            Shape::Row(element, count) => format!("v{count}{}", of(element)),
            Shape::One(Element::Bfloat16) => "bfloat16".to_owned(),
            Shape::One(Element::Half) => "float16".to_owned(),
            Shape::One(Element::Uint128) => "uint128_t".to_owned(),
            Shape::One(_) => "int128_t".to_owned(),
            Shape::Float => "i387_ext".to_owned(),
        }
    }

    /// What `ptype` shows: a union's members.
    pub fn definition(self) -> String {
        let Shape::Union(_) = self else { return self.type_name() };
        let members = self.members().into_iter().map(|(name, shape)| format!("    {} {name};\n", shape.type_name()));
        format!("{} {{\n{}}}", self.type_name(), members.collect::<String>())
    }

    fn members(self) -> Vec<(String, Shape)> {
        let Shape::Union(bytes) = self else { return Vec::new() };
        let row = |(element, name, _): &(Element, &str, &str)| {
            let count = bytes / element.size() as u8;
            (count > 1).then(|| (format!("v{count}{name}"), Shape::Row(*element, count)))
        };
        let whole = (bytes == 16).then(|| ("uint128".to_owned(), Shape::One(Element::Uint128)));
        ELEMENTS.iter().filter_map(row).chain(whole).collect()
    }

    /// The member of that name.
    pub fn member(self, name: &str) -> Option<Shape> {
        self.members().into_iter().find(|(own, _)| own == name).map(|(_, shape)| shape)
    }

    /// The number that such an element is, if the language can calculate with it.
    pub(super) fn number(self) -> Option<Type> {
        match self {
            Shape::One(element) => element.number(),
            _ => None,
        }
    }

    /// The bytes as text, as gdb's `print` shows them. In a union the floats are numbers with no format only.
    pub fn show(self, bytes: &[u8], format: Format) -> String {
        match self {
            Shape::Union(_) => {
                let member = |(name, shape): (String, Shape)| format!("{name} = {}", shape.show(bytes, format));
                format!("{{{}}}", self.members().into_iter().map(member).collect::<Vec<_>>().join(", "))
            }
            Shape::Row(element, _) => {
                let shown: Vec<String> =
                    bytes.chunks_exact(element.size()).map(|part| element.show(part, format)).collect();
                format!("{{{}}}", folded(&shown).join(", "))
            }
            Shape::One(element) => element.show(bytes, format),
            Shape::Float => show_float(bytes, format),
        }
    }
}

/// Runs of equal elements as one.
fn folded(shown: &[String]) -> Vec<String> {
    let run = |run: &[String]| match run.len() {
        count if count >= REPEATS => vec![format!("{} <repeats {count} times>", run[0])],
        _ => run.to_vec(),
    };
    shown.chunk_by(|left, right| left == right).flat_map(run).collect()
}

fn show_float(bytes: &[u8], format: Format) -> String {
    let mut padded = [0; 16];
    let length = bytes.len().min(10);
    padded[..length].copy_from_slice(&bytes[..length]);
    let word = u128::from_le_bytes(padded);
    match format {
        Format::Natural | Format::Float | Format::Text => {
            super::typed::numbers::float_text(&padded, None).unwrap_or_else(|| "?".to_owned())
        }
        _ => wide_integer(word, Element::Uint128, format),
    }
}

/// A register that is wider than a number. The numbers behind its own stand for its bytes from there on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VectorName {
    /// Its first byte.
    pub id: RegisterId,
    /// For a [`Shape::Float`] the number that stands for its value as a `double`.
    pub double: RegisterId,
    /// What it is.
    pub shape: Shape,
}

impl VectorName {
    /// The part that begins at a byte.
    fn part(self, offset: usize, shape: Shape) -> VectorName {
        VectorName { id: RegisterId(self.id.0.saturating_add(offset as u16)), shape, ..self }
    }
}

/// The bytes of such a register, or of a part of it, as the history keeps them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VectorValue {
    /// The lowest first.
    pub bytes: Vec<u8>,
    /// What they are.
    pub shape: Shape,
}

impl VectorValue {
    /// As `print` shows it.
    pub fn show(&self, format: Format) -> String {
        self.shape.show(&self.bytes, format)
    }

    /// The number that it is to calculate with; `None` of a whole vector.
    pub(super) fn number(&self) -> Option<Value> {
        let mut word = [0; 8];
        let length = self.bytes.len().min(8);
        word[..length].copy_from_slice(&self.bytes[..length]);
        match self.shape {
            Shape::Float => {
                let mut extended = [0; 10];
                extended.copy_from_slice(self.bytes.get(..10)?);
                Some(Value::double(crate::arch::to_double(&extended)))
            }
            shape => Some(Value::from_raw(u64::from_le_bytes(word), shape.number()?)),
        }
    }
}

/// A vector, or part of one, in an expression.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Vector {
    /// It is read when the expression is evaluated.
    Register(VectorName),
    /// It is known.
    Kept(VectorValue),
}

impl Vector {
    pub(super) fn shape(&self) -> Shape {
        match self {
            Vector::Register(name) => name.shape,
            Vector::Kept(value) => value.shape,
        }
    }

    /// The part that begins at a byte.
    pub(super) fn part(&self, offset: usize, shape: Shape) -> Vector {
        match self {
            Vector::Register(name) => Vector::Register(name.part(offset, shape)),
            Vector::Kept(value) => {
                let bytes = value.bytes.get(offset..).unwrap_or_default();
                Vector::Kept(VectorValue { bytes: bytes[..bytes.len().min(shape.size())].to_vec(), shape })
            }
        }
    }

    /// The register that is read for its number.
    pub(super) fn register(name: VectorName) -> Option<RegisterName> {
        match name.shape {
            Shape::Float => Some(RegisterName { id: name.double, ty: Type::DOUBLE }),
            shape => Some(RegisterName { id: name.id, ty: shape.number()? }),
        }
    }

    /// Its bytes now.
    pub(super) fn value(&self, env: &dyn super::Environment) -> VectorValue {
        match self {
            Vector::Kept(value) => value.clone(),
            Vector::Register(name) => {
                let words = name.shape.size().div_ceil(8) as u16;
                let word = |index: u16| env.register(RegisterId(name.id.0.saturating_add(index * 8))).to_le_bytes();
                let mut bytes: Vec<u8> = (0..words).flat_map(word).collect();
                bytes.truncate(name.shape.size());
                VectorValue { bytes, shape: name.shape }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_shown_as_gdb_does() {
        // gdb 13's `p $xmm0` and `p $ymm1` of the same bytes.
        let mut bytes = vec![0; 16];
        (bytes[6], bytes[7]) = (0xf8, 0x3f);
        let whole = VectorValue { bytes, shape: Shape::Union(16) };
        assert_eq!(
            whole.show(Format::Natural),
            "{v8_bfloat16 = {0, 0, 0, 1.938, 0, 0, 0, 0}, v8_half = {0, 0, 0, 1.9922, 0, 0, 0, 0}, v4_float = {0, \
             1.9375, 0, 0}, v2_double = {1.5, 0}, v16_int8 = {0, 0, 0, 0, 0, 0, -8, 63, 0, 0, 0, 0, 0, 0, 0, 0}, \
             v8_int16 = {0, 0, 0, 16376, 0, 0, 0, 0}, v4_int32 = {0, 1073217536, 0, 0}, v2_int64 = \
             {4609434218613702656, 0}, uint128 = 4609434218613702656}"
        );
        let mut bytes = vec![0; 32];
        (bytes[2], bytes[3]) = (16, 64);
        let whole = VectorValue { bytes, shape: Shape::Union(32) };
        assert_eq!(
            whole.show(Format::Hex),
            "{v16_bfloat16 = {0x0, 0x4010, 0x0 <repeats 14 times>}, v16_half = {0x0, 0x4010, 0x0 <repeats 14 times>}, \
             v8_float = {0x40100000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0}, v4_double = {0x40100000, 0x0, 0x0, 0x0}, \
             v32_int8 = {0x0, 0x0, 0x10, 0x40, 0x0 <repeats 28 times>}, v16_int16 = {0x0, 0x4010, 0x0 <repeats 14 \
             times>}, v8_int32 = {0x40100000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0}, v4_int64 = {0x40100000, 0x0, 0x0, \
             0x0}, v2_int128 = {0x40100000, 0x0}}"
        );
    }

    #[test]
    fn small_floats_have_their_special_values() {
        for (raw, shown) in [(0x3c00, "1"), (0xbc00, "-1"), (0x7c00, "inf"), (0x7e00, "nan(0x200)"), (1, "5.9605e-08")]
        {
            assert_eq!(float::small(raw, 10, 5), shown);
        }
        for (raw, shown) in [(0x3f80, "1"), (0xff80, "-inf"), (0x4049, "3.141")] {
            assert_eq!(float::small(raw, 7, 4), shown);
        }
    }
}
