//! The scopes that one worker has met, and the names that it has added lately. A header that many units include is described in
//! each of them: most names have been added from an earlier unit, and are known by where their text is, without a look at it.

use super::gather::Named;
use super::Kind;

/// The most lines of names, 64 bytes each. A unit of a large C++ program has some tens of thousands of names.
const LINES: usize = 1 << 16;
/// Bytes of debug information for which there is one line.
const PER_LINE: usize = 256;
/// Places where one can be, all in one line of the processor's cache.
const WAYS: usize = 4;
/// Scopes that are kept from one unit to the next, 16 bytes each.
const SCOPES: usize = 1 << 19;
/// What is in a scope of a larger number is not kept.
const NUMBERS: u32 = (1 << 24) - 1;
/// Text of up to this many bytes is its own key.
const SHORT: usize = 8;
/// In place of a short text's length.
const BY_PLACE: u8 = 15;

/// A name as an entry has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Text<'a> {
    /// Begins where these bytes do, and ends at their first NUL. Entries of one text share the place.
    From(&'a [u8]),
    /// These bytes; entries of one text share them.
    Shared(&'a [u8]),
    /// These bytes, which are in the entry itself.
    Own(&'a [u8]),
}

impl<'a> Text<'a> {
    /// Its bytes; `None` where there are none, or they do not end.
    pub fn bytes(self) -> Option<&'a [u8]> {
        let bytes = match self {
            Text::From(rest) => &rest[..memchr::memchr(0, rest)?],
            Text::Shared(bytes) | Text::Own(bytes) => bytes,
        };
        (!bytes.is_empty()).then_some(bytes)
    }

    /// What stands for it: its place, or itself and its length. `None`: as good as no other entry has it.
    fn key(self) -> Option<(u64, u8)> {
        match self {
            Text::From(bytes) | Text::Shared(bytes) => Some((bytes.as_ptr().addr() as u64, BY_PLACE)),
            Text::Own(text) => {
                let mut bytes = [0; SHORT];
                bytes.get_mut(..text.len())?.copy_from_slice(text);
                Some((u64::from_le_bytes(bytes), text.len() as u8))
            }
        }
    }
}

/// A scope of this worker: its number. One scope can have several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ScopeId(u32);

impl ScopeId {
    /// That of what is in no scope.
    pub const ROOT: ScopeId = ScopeId(0);
}

/// Whether a scope's name can be left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Inline {
    Yes,
    No,
}

/// A text in a scope, and what it is the name of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Question {
    text: u64,
    /// The scope's number, and in the upper byte what else there is.
    about: u32,
}

impl Question {
    /// `None`: it is asked once only.
    pub fn new(outer: ScopeId, text: Text<'_>, kind: Kind, inline: Inline) -> Option<Question> {
        let (text, len) = text.key()?;
        let rest = len << 4 | u8::from(inline == Inline::Yes) << 3 | kind as u8;
        let outer = Some(outer.0).filter(|number| *number < NUMBERS)?;
        Some(Question { text, about: u32::from(rest) << 24 | outer })
    }

    /// The number of the line where it can be, of a power of two.
    fn line(self, lines: usize) -> usize {
        let mixed = (self.text ^ u64::from(self.about).rotate_right(24)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The upper bits depend on all others. Of one line there is none to take.
        (mixed >> 1 >> (u64::BITS - 1 - lines.trailing_zeros())) as usize
    }
}

/// A question, and the scope of the name that it asks for. The question's parts are its own: it would be half as large again.
#[derive(Clone, Copy)]
struct Slot {
    text: u64,
    about: u32,
    answer: ScopeId,
}

/// Of no scope that there is.
const EMPTY: Slot = Slot { text: 0, about: u32::MAX, answer: ScopeId::ROOT };

/// The questions that can be in one line, the latest first.
#[derive(Clone)]
#[repr(align(64))]
struct Line([Slot; WAYS]);

/// What was added lately: in a full line a question takes the place of the earliest.
pub(super) struct Lately {
    lines: Vec<Line>,
    scopes: Vec<Named>,
}

impl Lately {
    /// For units of so much debug information together, bytes.
    pub fn new(size: usize) -> Lately {
        let lines = (size / PER_LINE).clamp(1, LINES).next_power_of_two();
        Lately { lines: vec![Line([EMPTY; WAYS]); lines], scopes: vec![Named::ROOT] }
    }

    /// Begins another unit: scopes of earlier ones are not asked for by their numbers any more.
    pub fn begin(&mut self) {
        if self.scopes.len() > SCOPES {
            self.lines.fill(Line([EMPTY; WAYS]));
            self.scopes.truncate(1);
        }
    }

    /// What a scope is called.
    pub fn named(&self, scope: ScopeId) -> Named {
        self.scopes[scope.0 as usize]
    }

    /// A number for a scope.
    pub fn scope(&mut self, named: Named) -> ScopeId {
        match u32::try_from(self.scopes.len()) {
            _ if named == Named::ROOT => ScopeId::ROOT,
            Ok(number) => {
                self.scopes.push(named);
                ScopeId(number)
            }
            // A unit of 4 GiB of nothing but scopes.
            Err(_) => ScopeId::ROOT,
        }
    }

    /// The scope that the name is of, if it has been added.
    pub fn get(&self, question: Question) -> Option<ScopeId> {
        let line = &self.lines[question.line(self.lines.len())].0;
        let known = line.iter().find(|one| one.text == question.text && one.about == question.about);
        known.map(|one| one.answer)
    }

    /// Keeps that it has been.
    pub fn keep(&mut self, question: Question, answer: ScopeId) {
        let at = question.line(self.lines.len());
        let line = &mut self.lines[at].0;
        line.rotate_right(1);
        line[0] = Slot { text: question.text, about: question.about, answer };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_its_texts_place_or_by_a_short_text() {
        let strings = b"store\0store\0";
        let ask = |text| Question::new(ScopeId::ROOT, text, Kind::Class, Inline::No);
        let (first, second) = (Text::From(strings), Text::From(&strings[6..]));
        assert_eq!((first.bytes(), second.bytes()), (Some(&b"store"[..]), Some(&b"store"[..])));
        let mut lately = Lately::new(1 << 20);
        let store = lately.scope(Named::of("store"));
        lately.keep(ask(first).unwrap(), store);
        assert_eq!(lately.get(ask(first).unwrap()).map(|scope| lately.named(scope)), Some(Named::of("store")));
        assert_eq!(lately.get(ask(Text::Shared(&strings[..5])).unwrap()), Some(store));
        for (outer, text, kind, inline) in [
            (ScopeId::ROOT, second, Kind::Class, Inline::No),
            (store, first, Kind::Class, Inline::No),
            (ScopeId::ROOT, first, Kind::Value, Inline::No),
            (ScopeId::ROOT, first, Kind::Class, Inline::Yes),
        ] {
            assert_eq!(lately.get(Question::new(outer, text, kind, inline).unwrap()), None, "{text:?} {kind:?}");
        }
        // Two entries' own texts are in two places.
        assert_eq!(ask(Text::Own(b"it")), ask(Text::Own(&b"bit"[1..])));
        assert_ne!(ask(Text::Own(b"it")), ask(Text::Own(b"it\0")));
        assert_eq!(ask(Text::Own(b"value_type")), None);
        assert_eq!(Question::new(ScopeId(NUMBERS), first, Kind::Class, Inline::No), None);
        // One that does not end, and one that is none.
        assert_eq!(
            (Text::From(b"stor").bytes(), Text::From(b"\0a").bytes(), Text::Own(b"").bytes()),
            (None, None, None)
        );
    }

    #[test]
    fn scopes_are_forgotten_between_units_when_there_are_many() {
        let mut lately = Lately::new(1 << 20);
        let scope = (0..=SCOPES).map(|number| lately.scope(Named::of(&number.to_string()))).last().unwrap();
        let question = Question::new(scope, Text::Own(b"it"), Kind::Class, Inline::No).unwrap();
        lately.keep(question, scope);
        assert_eq!(lately.get(question), Some(scope));
        lately.begin();
        assert_eq!(lately.get(question), None);
        assert_eq!(lately.named(ScopeId::ROOT), Named::ROOT);
    }
}
