//! In which units a name stands, and where: found in the sections' bytes, before any unit is parsed.
//!
//! An entry's name is a string of .debug_info, or an offset of one in .debug_str, or an index of such an offset in
//! .debug_str_offsets (DWARF 5, 7.5.5 and 7.26). So the string is looked for, and then its offsets. What is found can be
//! something else that looks the same: whoever reads a unit decides. What is not found stands nowhere.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::AhoCorasick;
use gimli::SectionId;
use memchr::memmem::Finder;
use rayon::prelude::*;

use super::sections::DebugFile;
use super::units::{UnitKind, UnitTable};
use super::{Dwarf, EntryId, UnitId};

/// Bytes that one processor looks through at a time.
const STRIDE: usize = 4 << 20;
/// Strings that end in a name, where linkers keep one as the end of another. Of more every unit is read instead.
const TAILS: usize = 512;
/// Mentions of a name that are kept. Of more every unit is read instead.
const MENTIONS: usize = 4 << 20;

/// The units that mention a name.
#[derive(Default, Debug)]
pub(super) struct Mentions {
    units: BTreeMap<UnitId, Places>,
}

/// Where in a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Places {
    /// At these offsets from the unit's start, in order; nowhere else.
    At(Vec<u64>),
    /// It cannot be told.
    Anywhere,
}

/// A file that is searched, and what kind its units are.
#[derive(Clone, Copy)]
struct Searched<'a> {
    file: &'a DebugFile,
    units: &'a UnitTable,
    kind: UnitKind,
}

/// A name's offsets, and itself.
fn patterns<'a>(offsets: &[&'a [[u8; 4]]], text: &'a [u8]) -> Vec<&'a [u8]> {
    offsets.iter().flat_map(|some| some.iter()).map(<[u8; 4]>::as_slice).chain([text]).collect()
}

impl Places {
    /// Whether the name can stand in a part of the unit.
    pub fn any_in(&self, part: Range<u64>) -> bool {
        match self {
            Places::Anywhere => true,
            Places::At(offsets) => {
                let first = offsets.partition_point(|one| *one < part.start);
                offsets.get(first).is_some_and(|one| *one < part.end)
            }
        }
    }
}

impl Mentions {
    /// The units in their order.
    pub fn units(&self) -> Vec<(UnitId, &Places)> {
        self.units.iter().map(|(unit, places)| (*unit, places)).collect()
    }

    /// A unit mentions it, too.
    pub fn add(&mut self, unit: UnitId, places: Places) {
        self.units.insert(unit, places);
    }

    /// Whether a unit mentions it.
    pub fn has(&self, unit: UnitId) -> bool {
        self.units.contains_key(&unit)
    }

    fn everywhere(dwarf: &Dwarf) -> Self {
        let units = 0..dwarf.units().len();
        Mentions { units: units.map(|unit| (UnitId::own(unit), Places::Anywhere)).collect() }
    }
}

impl Dwarf {
    /// Looks for a name without scopes.
    pub(super) fn mentions(&self, name: &str) -> Mentions {
        if name.is_empty() || name.contains('\0') {
            return Mentions::default();
        }
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        let mut mentions = self.own_mentions(&text).unwrap_or_else(|| Mentions::everywhere(self));
        self.add_split_mentions(name, &mut mentions);
        mentions
    }

    /// Those in the file and in the one that it has in common with others; `None`: there are too many.
    fn own_mentions(&self, text: &[u8]) -> Option<Mentions> {
        let words =
            |strings: Vec<usize>| -> Vec<[u8; 4]> { strings.iter().map(|at| (*at as u32).to_le_bytes()).collect() };
        let own = words(self.strings_of(&self.file, text)?);
        let mut mentions = Mentions::default();
        let mut common = Vec::new();
        if let Some(one) = self.supplement() {
            common = words(self.strings_of(&one.file, text)?);
            let searched = Searched { file: &one.file, units: one.units(), kind: UnitKind::Common };
            self.add_places(searched, &patterns(&[&common], text), &[SectionId::DebugInfo], &mut mentions)?;
        }
        let searched = Searched { file: &self.file, units: self.units(), kind: UnitKind::Own };
        let sections = [SectionId::DebugInfo, SectionId::DebugTypes];
        self.add_places(searched, &patterns(&[&own, &common], text), &sections, &mut mentions)?;
        self.add_indexed(&own, &mut mentions);
        Some(mentions)
    }

    /// Where units of the file can refer to these entries of others (DW_FORM_ref_addr, DW_FORM_ref_sup4: the offset in the
    /// section).
    pub(super) fn references(&self, entries: &[EntryId]) -> Mentions {
        let offsets = entries.iter().filter_map(|one| self.offset_of(*one));
        let offsets = offsets.filter_map(|at| u32::try_from(at).ok());
        let offsets: Vec<[u8; 4]> = offsets.map(u32::to_le_bytes).collect();
        let patterns: Vec<&[u8]> = offsets.iter().map(<[u8; 4]>::as_slice).collect();
        let searched = Searched { file: &self.file, units: self.units(), kind: UnitKind::Own };
        let mut mentions = Mentions::default();
        let found = self.add_places(searched, &patterns, &[SectionId::DebugInfo], &mut mentions);
        found.map_or_else(|| Mentions::everywhere(self), |()| mentions)
    }

    /// Where any of these bytes stand in sections of units; `None`: there are too many places.
    fn add_places(
        &self,
        searched: Searched<'_>,
        patterns: &[&[u8]],
        sections: &[SectionId],
        mentions: &mut Mentions,
    ) -> Option<()> {
        let searcher = AhoCorasick::new(patterns).ok()?;
        let longest = patterns.iter().map(|one| one.len()).max().unwrap_or(1);
        for section in sections {
            let found = self.search((searched.file, *section), longest, &|part, first| {
                let mut hits = Vec::new();
                let mut from = 0;
                while let Some(hit) = searcher.find(aho_corasick::Input::new(part).range(from..)) {
                    hits.push(first + hit.start());
                    from = hit.start() + 1;
                }
                hits
            })?;
            for entry in found.into_iter().filter_map(|at| searched.units.entry_at(*section, at)) {
                let unit = entry.unit.index(UnitKind::Own).map_or(entry.unit, |at| UnitId::new(searched.kind, at));
                let places = mentions.units.entry(unit).or_insert_with(|| Places::At(Vec::new()));
                if let Places::At(offsets) = places {
                    offsets.push(entry.offset);
                }
            }
        }
        Some(())
    }

    /// The offsets of a string, with the 0 behind it, in .debug_str: where it is one by itself, else wherever one ends so.
    /// `None`: there are too many.
    fn strings_of(&self, file: &DebugFile, text: &[u8]) -> Option<Vec<usize>> {
        let finder = Finder::new(text);
        let whole = file.section(SectionId::DebugStr);
        let tails = self.search((file, SectionId::DebugStr), text.len(), &|part, first| {
            let hits = finder.find_iter(part).map(|at| first + at);
            // A linker that joins strings by their ends keeps no second copy of one.
            let is_string = |at: &usize| *at == 0 || whole.get(*at - 1) == Some(&0);
            let (own, tails): (Vec<usize>, Vec<usize>) = hits.partition(is_string);
            if own.is_empty() {
                tails
            } else {
                own
            }
        })?;
        let is_string = |at: &usize| *at == 0 || whole.get(*at - 1) == Some(&0);
        let own: Vec<usize> = tails.iter().copied().filter(is_string).collect();
        let found = if own.is_empty() { tails } else { own };
        (found.len() <= TAILS).then_some(found)
    }

    /// Looks through a section on all processors; `longest` is how far what is looked for can reach into the next part.
    /// `None`: there is more than can be kept.
    fn search(
        &self,
        (file, section): (&DebugFile, SectionId),
        longest: usize,
        find: &(dyn Fn(&[u8], usize) -> Vec<usize> + Sync),
    ) -> Option<Vec<usize>> {
        let bytes = file.section(section);
        let starts: Vec<usize> = (0..bytes.len()).step_by(STRIDE).collect();
        let parts = starts.into_par_iter().filter(|_| !self.progress.is_cancelled()).map(|start| {
            let end = (start + STRIDE + longest - 1).min(bytes.len());
            let mut found = find(&bytes[start..end], start);
            found.retain(|at| *at < start + STRIDE);
            file.release(section, start..end);
            found
        });
        let parts: Vec<Vec<usize>> = parts.collect();
        let total: usize = parts.iter().map(Vec::len).sum();
        (total <= MENTIONS).then(|| parts.concat())
    }

    /// The units that name strings by their index, where one of the indexed offsets is among these.
    fn add_indexed(&self, offsets: &[[u8; 4]], mentions: &mut Mentions) {
        let table = self.file.section(SectionId::DebugStrOffsets);
        if table.is_empty() || offsets.is_empty() {
            return;
        }
        let is_one = |word: &[u8]| offsets.iter().any(|one| one == word);
        let indexed: Vec<usize> =
            table.par_chunks_exact(4).enumerate().filter(|(_, word)| is_one(word)).map(|(at, _)| at * 4).collect();
        if indexed.is_empty() {
            return;
        }
        let mut bases: Vec<(usize, UnitId)> = Vec::new();
        for (unit, entry) in self.units().entries() {
            bases.extend(entry.strings.map(|base| (base.0, unit)));
        }
        bases.sort_unstable();
        for at in indexed {
            let after = bases.partition_point(|(base, _)| *base <= at);
            let Some((base, _)) = bases[..after].last().copied() else { continue };
            for (_, unit) in bases[..after].iter().rev().take_while(|(one, _)| *one == base) {
                mentions.units.insert(*unit, Places::Anywhere);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_unit_holds_a_mention_or_does_not() {
        let places = Places::At(vec![10, 20, 21]);
        assert!(places.any_in(0..11) && places.any_in(20..21) && places.any_in(21..90));
        assert!(!places.any_in(0..10) && !places.any_in(11..20) && !places.any_in(22..90));
        assert!(Places::Anywhere.any_in(0..1));
    }
}
