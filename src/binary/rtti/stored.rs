//! Recovered names as they are stored in a pack, so that they need not be recovered again: a table of records in address
//! order, and their texts. Nothing in it is trusted: an offset that leads nowhere is a name that is not there.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::super::image::Image;
use super::super::symbols::{file_name, Literals, Strings};
use super::super::{FunctionRange, Matches, NamePattern, NameSource};
use super::search::{collect, Matcher};
use super::{Forward, Recovered, RecoveredName, Sureness};
use crate::base::FileAddr;

/// Bytes of a record: address (8), size, text, alternatives, forward (4 each), arguments (6), sureness, source.
const RECORD: usize = 32;
/// A longer text is taken for none.
const MAX_TEXT: usize = 256 << 10;
/// In the byte of sureness: no pattern finds the function.
const HIDDEN: u8 = 0x80;
/// An argument that is none of the caller's.
const NO_ARGUMENT: u8 = 0xff;
const SURENESS: [Sureness; 4] = [Sureness::Certain, Sureness::Likely, Sureness::Ambiguous, Sureness::Hint];
const SOURCES: [NameSource; 3] = [NameSource::Rtti, NameSource::Startup, NameSource::Hint];

/// The stored names of a file's functions.
#[derive(Clone)]
pub struct StoredNames {
    image: Arc<Image>,
    records: Range<usize>,
    text: Range<usize>,
}

/// One function.
#[derive(Clone, Copy)]
struct Record<'a> {
    raw: &'a [u8],
    text: &'a [u8],
}

/// The two tables of a pack.
pub(in crate::binary) struct Tables {
    /// Records, one behind the other.
    pub records: Vec<u8>,
    /// What they point to: texts that end in NUL; the first one is empty.
    pub text: Vec<u8>,
}

impl Recovered {
    /// Every name and every hint, to be stored. Reads the whole code.
    pub(in crate::binary) fn tables(&self) -> Tables {
        let mut tables = Tables { records: Vec::new(), text: vec![0] };
        let named: Vec<FileAddr> = self.named_functions().collect();
        self.progress.stage(&format!("naming the functions of {}", file_name(self.image.path())), named.len() as u64);
        let named = named.into_par_iter().filter(|_| !self.progress.is_cancelled()).filter_map(|at| {
            self.progress.advance(1);
            let function = self.unwind.find_function(at).filter(|function| function.start == at)?;
            let name = self.name_of(function)?;
            let alternatives = match name.sureness {
                Sureness::Ambiguous => self.candidates(at).join("\n"),
                _ => String::new(),
            };
            Some((name, alternatives, self.forward(function)))
        });
        let named: Vec<_> = named.collect();
        // Code that was read need not stay resident while the names are put together.
        let release = || self.image.release(0..self.image.bytes().len());
        release();
        let hinted = self.hinted().par_iter().map(|(function, text)| {
            let text = text.clone();
            let name = RecoveredName { text, function: *function, sureness: Sureness::Hint, source: NameSource::Hint };
            (name, String::new(), self.forward(*function))
        });
        let mut all: Vec<_> = named.into_par_iter().chain(hinted).collect();
        release();
        all.par_sort_unstable_by_key(|(name, ..)| name.function);
        all.dedup_by_key(|(name, ..)| name.function.start);
        for (name, alternatives, forward) in all {
            let hidden = if self.is_findable(name.function.start) { 0 } else { HIDDEN };
            tables.add(&name, hidden, &alternatives, forward.as_ref());
        }
        tables
    }
}

impl Tables {
    fn add(&mut self, name: &RecoveredName, hidden: u8, alternatives: &str, forward: Option<&Forward>) {
        let size = u32::try_from(name.function.end.since(name.function.start)).unwrap_or(u32::MAX);
        let places = [name.text.as_str(), alternatives, forward.map_or("", |one| &one.function)];
        let places = places.map(|text| self.place(text));
        self.records.extend(name.function.start.0.to_le_bytes());
        [size].into_iter().chain(places).for_each(|word| self.records.extend(word.to_le_bytes()));
        let arguments = forward.map_or([None; 6], |one| one.arguments);
        self.records.extend(arguments.map(|argument| argument.unwrap_or(NO_ARGUMENT)));
        let number = |position: Option<usize>| position.unwrap_or(0) as u8;
        self.records.push(number(SURENESS.iter().position(|one| *one == name.sureness)) | hidden);
        self.records.push(number(SOURCES.iter().position(|one| *one == name.source)));
    }

    /// Where a text is put; 0 for an empty one, and for one that finds no room.
    fn place(&mut self, text: &str) -> u32 {
        let Ok(at) = u32::try_from(self.text.len()) else { return 0 };
        if text.is_empty() {
            return 0;
        }
        self.text.extend(text.bytes().filter(|byte| *byte != 0));
        self.text.push(0);
        at
    }
}

impl<'a> Record<'a> {
    fn word(self, at: usize) -> u32 {
        super::super::symbols::u32_at(self.raw, at)
    }

    fn function(self) -> FunctionRange {
        let start = FileAddr(super::super::dynamic::word(self.raw, 0));
        FunctionRange { start, end: FileAddr(start.0.saturating_add(self.word(8).into())) }
    }

    fn string(self, at: usize) -> &'a str {
        let rest = self.text.get(self.word(at) as usize..).unwrap_or_default();
        let rest = &rest[..rest.len().min(MAX_TEXT)];
        let end = memchr::memchr(0, rest).unwrap_or(0);
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    }

    fn sureness(self) -> Sureness {
        let number = usize::from(self.raw[30] & !HIDDEN);
        SURENESS.get(number).copied().unwrap_or(Sureness::Hint)
    }

    fn name(self) -> Option<RecoveredName> {
        let text = self.string(12);
        let source = SOURCES.get(usize::from(self.raw[31])).copied().unwrap_or(NameSource::Hint);
        let (function, sureness) = (self.function(), self.sureness());
        (!text.is_empty()).then(|| RecoveredName { text: text.to_owned(), function, sureness, source })
    }

    fn is_hint(self) -> bool {
        self.sureness() == Sureness::Hint
    }
}

impl StoredNames {
    /// The tables in two sections of a file; `None` where the records are not whole, or not in order.
    pub(in crate::binary) fn open(
        image: &Arc<Image>,
        records: Range<usize>,
        text: Range<usize>,
    ) -> Option<StoredNames> {
        let stored = StoredNames { image: image.clone(), records, text };
        let starts = (0..stored.len()).map(|number| stored.record(number).function().start);
        let whole = stored.image.slice(&stored.records).len() % RECORD == 0;
        (whole && starts.is_sorted_by(|a, b| a < b)).then_some(stored)
    }

    /// How many functions have a name or a hint.
    pub fn len(&self) -> usize {
        self.image.slice(&self.records).len() / RECORD
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name, or the hint, of the function that an address lies in.
    pub(in crate::binary) fn name_at(&self, at: FileAddr) -> Option<RecoveredName> {
        self.record_at(at)?.name()
    }

    /// As [`Recovered::functions_named`].
    pub(in crate::binary) fn functions_named(&self, pattern: &NamePattern, limit: usize) -> Matches {
        let matcher = Matcher::new(pattern);
        let findable = |one: &Record<'_>| !one.is_hint() && one.raw[30] & HIDDEN == 0;
        let accepts = |one: &Record<'_>| {
            let alternatives = one.string(16);
            matcher.accepts(one.string(12)) || alternatives.lines().any(|line| matcher.accepts(line))
        };
        let found = self.select(matcher.literals.as_ref(), |one| findable(one) && accepts(one));
        collect(found, limit)
    }

    /// As [`Recovered::functions_hinted`].
    pub(in crate::binary) fn functions_hinted(&self, pattern: &NamePattern, limit: usize) -> Matches {
        let NamePattern::Regex(regex) = pattern else { return Matches::default() };
        let literals = Literals::of_regex(regex.as_str());
        collect(self.select(literals.as_ref(), |one| one.is_hint() && regex.is_match(one.string(12))), limit)
    }

    /// As [`Recovered::complete`].
    pub(in crate::binary) fn complete(&self, prefix: &str, limit: usize) -> Vec<String> {
        let completes = |one: &Record<'_>| one.sureness() < Sureness::Ambiguous && one.string(12).starts_with(prefix);
        let found = self.select(Literals::all_of(prefix).as_ref(), completes);
        let mut names: Vec<String> = found.into_iter().map(|name| name.text).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(limit);
        names
    }

    /// As [`Recovered::candidates`].
    pub(in crate::binary) fn candidates(&self, start: FileAddr) -> Vec<String> {
        let found = self.record_at(start).filter(|one| one.function().start == start);
        found.map_or_else(Vec::new, |one| one.string(16).lines().map(str::to_owned).collect())
    }

    /// As [`Recovered::forward_of`].
    pub(in crate::binary) fn forward_of(&self, start: FileAddr) -> Option<Forward> {
        let found = self.record_at(start).filter(|one| one.function().start == start)?;
        let function = found.string(20).to_owned();
        let argument = |number: usize| Some(found.raw[24 + number]).filter(|argument| *argument != NO_ARGUMENT);
        let arguments = std::array::from_fn(argument);
        (!function.is_empty()).then_some(Forward { function, arguments })
    }

    /// As [`Recovered::source_at`].
    pub(in crate::binary) fn source_at(&self, start: FileAddr) -> Option<NameSource> {
        let found = self.record_at(start).filter(|one| one.function().start == start && !one.is_hint())?;
        SOURCES.get(usize::from(found.raw[31])).copied()
    }

    /// The names that `accepts` takes, of those whose texts the literals admit.
    fn select(&self, literals: Option<&Literals>, accepts: impl Fn(&Record<'_>) -> bool + Sync) -> Vec<RecoveredName> {
        let candidates = literals.map(|literals| Strings(self.image.slice(&self.text)).find(literals, |_| {}));
        let admitted = |one: &Record<'_>| {
            candidates.as_ref().is_none_or(|found| [12, 16].iter().any(|at| found.contains(one.word(*at) as usize)))
        };
        let numbers = (0..self.len()).into_par_iter().map(|number| self.record(number));
        numbers.filter(|one| admitted(one) && accepts(one)).filter_map(Record::name).collect()
    }

    /// One that there is.
    fn record(&self, number: usize) -> Record<'_> {
        let raw = &self.image.slice(&self.records)[number * RECORD..][..RECORD];
        Record { raw, text: self.image.slice(&self.text) }
    }

    fn record_at(&self, at: FileAddr) -> Option<Record<'_>> {
        let (mut first, mut end) = (0, self.len());
        while first < end {
            let middle = first.midpoint(end);
            match self.record(middle).function().start <= at {
                true => first = middle + 1,
                false => end = middle,
            }
        }
        let found = self.record(first.checked_sub(1)?);
        found.function().contains(at).then_some(found)
    }
}
