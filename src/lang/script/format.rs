//! The format of a `printf`, read once.

use super::super::Span;
use super::error::Diagnostic;
use super::types::{Ty, Types};

/// A format: texts and specifiers in turn, a text first and last.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Format {
    /// One more than specifiers.
    pub texts: Vec<Vec<u8>>,
    /// What stands between them.
    pub specs: Vec<Spec>,
    /// The types of the arguments.
    pub types: Vec<Ty>,
}

/// `%-16s`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spec {
    /// `-`: to the left.
    pub align: Align,
    /// `+`, ` ` before positive numbers.
    pub plus: Option<char>,
    /// `#`.
    pub alternate: bool,
    /// `0`.
    pub zeros: bool,
    /// The least width, letters.
    pub width: usize,
    /// Cuts texts, letters.
    pub precision: Option<usize>,
    /// How much of a number counts: `hh` 1, `h` 2, none 4, `l` 8 bytes.
    pub bytes: u8,
    /// What it makes of its argument.
    pub kind: SpecKind,
}

/// Where a shorter text stands in its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// `-`.
    Left,
    /// Else.
    Right,
}

/// What a specifier makes of its argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpecKind {
    /// `%d`, `%i`.
    Signed,
    /// `%u`.
    Unsigned,
    /// `%o`.
    Octal,
    /// `%x`.
    Hex,
    /// `%X`.
    UpperHex,
    /// `%p`.
    Pointer,
    /// `%c`.
    Character,
    /// `%s`.
    Text,
    /// `%r`.
    Bytes,
    /// `%rx`.
    BytesEscaped,
    /// `%rh`.
    BytesSpaced,
}

/// No width or precision is greater.
const WIDEST: usize = 4096;

impl Format {
    /// Reads a format and holds it against the types of its arguments.
    pub(super) fn parse(text: &[u8], types: Vec<Ty>, known: &Types, span: Span) -> Result<Format, Diagnostic> {
        let mut format = Format { texts: vec![Vec::new()], specs: Vec::new(), types };
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let last = format.texts.len() - 1;
            if rest.starts_with(b"%%") {
                format.texts[last].push(b'%');
                at += 2;
            } else if let (b'%', Some((spec, length))) = (rest[0], specifier(rest)) {
                format.specs.push(spec);
                format.texts.push(Vec::new());
                at += length;
            } else {
                format.texts[last].push(rest[0]);
                at += 1;
            }
        }
        format.check(known).map_err(|message| Diagnostic::error(span, message))?;
        Ok(format)
    }

    fn check(&self, known: &Types) -> Result<(), String> {
        let (given, wanted) = (self.types.len(), self.specs.len());
        if given != wanted {
            let few = if given < wanted { "not enough" } else { "too many" };
            return Err(format!("{few} arguments for format string ({given} supplied, {wanted} expected)"));
        }
        for (spec, ty) in self.specs.iter().zip(&self.types) {
            let fits = match spec.kind {
                SpecKind::Text => !matches!(ty, Ty::Void),
                SpecKind::Bytes | SpecKind::BytesEscaped | SpecKind::BytesSpaced => *ty == Ty::Buffer,
                _ => ty.is_number() || matches!(ty, Ty::Unknown | Ty::Aggregate(_)),
            };
            if !fits {
                return Err(format!(
                    "unsupported format specifier for type '{}': {}",
                    known.name(ty),
                    spec.kind.letter()
                ));
            }
        }
        Ok(())
    }
}

impl SpecKind {
    fn letter(self) -> &'static str {
        match self {
            SpecKind::Signed => "d",
            SpecKind::Unsigned => "u",
            SpecKind::Octal => "o",
            SpecKind::Hex => "x",
            SpecKind::UpperHex => "X",
            SpecKind::Pointer => "p",
            SpecKind::Character => "c",
            SpecKind::Text => "s",
            SpecKind::Bytes => "r",
            SpecKind::BytesEscaped => "rx",
            SpecKind::BytesSpaced => "rh",
        }
    }
}

/// The specifier at the start of `text`, and its length.
pub fn specifier(text: &[u8]) -> Option<(Spec, usize)> {
    let mut at = 1;
    let mut spec = Spec {
        align: Align::Right,
        plus: None,
        alternate: false,
        zeros: false,
        width: 0,
        precision: None,
        bytes: 4,
        kind: SpecKind::Text,
    };
    while let Some(flag) = text.get(at) {
        match flag {
            b'-' => spec.align = Align::Left,
            b'+' => spec.plus = Some('+'),
            b' ' => spec.plus = spec.plus.or(Some(' ')),
            b'#' => spec.alternate = true,
            b'0' => spec.zeros = true,
            _ => break,
        }
        at += 1;
    }
    spec.width = digits(text, &mut at).unwrap_or(0);
    if text.get(at) == Some(&b'.') {
        at += 1;
        spec.precision = Some(digits(text, &mut at).unwrap_or(0));
    }
    let length = text[at..].iter().take_while(|byte| b"hlLjzt".contains(byte)).count();
    spec.bytes = match &text[at..at + length] {
        b"hh" => 1,
        b"h" => 2,
        b"" => 4,
        _ => 8,
    };
    at += length;
    spec.kind = match text.get(at)? {
        b'd' | b'i' => SpecKind::Signed,
        b'u' => SpecKind::Unsigned,
        b'o' => SpecKind::Octal,
        b'x' => SpecKind::Hex,
        b'X' => SpecKind::UpperHex,
        b'p' => SpecKind::Pointer,
        b'c' => SpecKind::Character,
        b's' => SpecKind::Text,
        b'r' => match text.get(at + 1) {
            Some(b'x') => SpecKind::BytesEscaped,
            Some(b'h') => SpecKind::BytesSpaced,
            _ => SpecKind::Bytes,
        },
        _ => return None,
    };
    let letters = if matches!(spec.kind, SpecKind::BytesEscaped | SpecKind::BytesSpaced) { 2 } else { 1 };
    Some((spec, at + letters))
}

fn digits(text: &[u8], at: &mut usize) -> Option<usize> {
    let count = text[*at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[*at..*at + count]).ok()?.parse::<usize>();
    *at += count;
    (count > 0).then(|| number.unwrap_or(WIDEST).min(WIDEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, types: Vec<Ty>) -> Result<Format, String> {
        Format::parse(text.as_bytes(), types, &Types::default(), Span::default()).map_err(|error| error.message)
    }

    #[test]
    fn a_format_is_texts_and_specifiers_in_turn() {
        let found = parse("comm:%-16s: 100%% fd=%d\n", vec![Ty::Text, Ty::INT]).unwrap();
        assert_eq!(found.texts, [b"comm:".to_vec(), b": 100% fd=".to_vec(), b"\n".to_vec()]);
        assert_eq!((found.specs[0].align, found.specs[0].width), (Align::Left, 16));
        let found = parse("%08lx %.3s %rh", vec![Ty::LONG, Ty::Text, Ty::Buffer]).unwrap();
        assert_eq!((found.specs[0].zeros, found.specs[0].width, found.specs[0].bytes), (true, 8, 8));
        assert_eq!((found.specs[1].precision, found.specs[2].kind), (Some(3), SpecKind::BytesSpaced));
    }

    #[test]
    fn arguments_must_fit() {
        assert_eq!(
            parse("%d %d", vec![Ty::INT]).unwrap_err(),
            "not enough arguments for format string (1 supplied, 2 expected)"
        );
        assert!(parse("", vec![Ty::INT]).unwrap_err().starts_with("too many"));
        assert_eq!(parse("%d", vec![Ty::Text]).unwrap_err(), "unsupported format specifier for type 'string': d");
        assert!(parse("%s %q 5%", vec![Ty::INT]).is_ok());
    }
}
