//! The `/FMT` of `x`: a count, a format letter and a unit, with gdb's carry-over from one command to the next.

use super::{Fault, Format, LangError, Scalar, Span, Type};

/// What `x` shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExamineKind {
    /// Units of memory as values.
    Values(Format),
    /// `s`: strings.
    Strings,
    /// `i`: instructions.
    Instructions,
}

/// The size of what `x` shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// `b`, 1 byte.
    Byte,
    /// `h`, 2 bytes.
    Half,
    /// `w`, 4 bytes.
    Word,
    /// `g`, 8 bytes.
    Giant,
}

impl Unit {
    /// In bytes.
    pub fn size(self) -> usize {
        match self {
            Unit::Byte => 1,
            Unit::Half => 2,
            Unit::Word => 4,
            Unit::Giant => 8,
        }
    }

    fn from_letter(letter: char) -> Option<Unit> {
        Some(match letter {
            'b' => Unit::Byte,
            'h' => Unit::Half,
            'w' => Unit::Word,
            'g' => Unit::Giant,
            _ => return None,
        })
    }
}

/// How much memory `x` shows, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExamineFormat {
    /// How many units, strings or instructions.
    pub count: u32,
    /// As what.
    pub kind: ExamineKind,
    /// Of which size.
    pub unit: Unit,
}

impl Default for ExamineFormat {
    /// `1xw`.
    fn default() -> ExamineFormat {
        ExamineFormat { count: 1, kind: ExamineKind::Values(Format::Hex), unit: Unit::Word }
    }
}

impl ExamineFormat {
    /// Reads `4xg`, the part after the `/`; what it leaves out comes from `last`, but for the count, which is 1.
    pub fn parse(text: &str, last: ExamineFormat) -> Result<ExamineFormat, LangError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, letters) = text.split_at(digits);
        let count = match number {
            "" => 1,
            _ => number.parse().map_err(|_| Fault::BadCount.at(Span::new(0, digits)))?,
        };
        let (mut kind, mut unit) = (None, None);
        for (at, letter) in letters.char_indices() {
            let start = digits + at;
            let refuse = |fault: Fault| fault.at(Span::new(start, start + letter.len_utf8()));
            if let Some(size) = Unit::from_letter(letter) {
                unit = Some(size);
                continue;
            }
            kind = Some(match letter {
                'i' => ExamineKind::Instructions,
                's' => ExamineKind::Strings,
                _ => ExamineKind::Values(Format::from_letter(letter).map_err(refuse)?),
            });
        }
        let kind = kind.unwrap_or(last.kind);
        Ok(ExamineFormat { count, kind, unit: unit_for(kind, unit, last.unit) })
    }

    /// The type to read each unit as, for [`super::format_value`]; `None` for strings and instructions.
    pub fn unit_type(self) -> Option<Type> {
        let ExamineKind::Values(format) = self.kind else { return None };
        let size = self.unit.size();
        Some(match (format, size) {
            (Format::Address, 8) => Type::VOID_POINTER,
            (Format::Float, 4) => Type::FLOAT,
            (Format::Float, 8) => Type::DOUBLE,
            (Format::Char, 1) => Type::scalar(Scalar::Char),
            (Format::Unsigned | Format::Hex | Format::ZeroHex | Format::Octal | Format::Binary, _) => {
                Type::unsigned(size)
            }
            _ => Type::signed(size),
        })
    }
}

/// The unit, where none may have been given: addresses are giants, strings bytes, floats as the last unit allows.
fn unit_for(kind: ExamineKind, given: Option<Unit>, last: Unit) -> Unit {
    match (kind, given) {
        (ExamineKind::Values(Format::Address), _) => Unit::Giant,
        (_, Some(unit)) => unit,
        (ExamineKind::Strings | ExamineKind::Values(Format::Char), None) => Unit::Byte,
        (ExamineKind::Values(Format::Float), None) if last.size() < 4 => Unit::Giant,
        _ => last,
    }
}
