//! From an address to its source line, and from a source line to its addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::entry::{EntryId, Session};
use super::lines::{LineRow, LineTable, SourceFile};
use super::sections::Slice;
use super::{Dwarf, Instance, SourceName, UnitId};
use crate::base::FileAddr;

/// What the source says of an address.
#[derive(Clone, Debug)]
pub struct CodePlace {
    /// The unit's line table.
    pub table: Arc<LineTable>,
    /// The address's row.
    pub row: LineRow,
    /// One past the row's last byte.
    pub end: FileAddr,
}

/// The places of one source line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LineMatches {
    /// The line that has code: the one that was asked for, or the next; 0 where there is none.
    pub line: u32,
    /// One for each copy of the code: function, template instance, inlined call.
    pub addresses: Vec<FileAddr>,
    /// The files that the name means, by their full paths.
    pub files: BTreeSet<String>,
}

/// A line's row, and the copy of a function that it is in.
struct Candidate {
    addr: FileAddr,
    unit: UnitId,
}

impl std::fmt::Debug for LineTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineTable").field("rows", &self.rows().count()).finish_non_exhaustive()
    }
}

impl CodePlace {
    /// The row's file.
    pub fn file(&self) -> Option<&SourceFile> {
        self.table.file(&self.row)
    }

    /// Where the line's code ends: behind the rows of the same line that follow without a gap.
    pub fn line_end(&self) -> FileAddr {
        self.table.end_of_line(&self.row)
    }

    /// The file that an inlined call's site names.
    pub fn file_of_call(&self, call: &super::CallSite) -> Option<&SourceFile> {
        self.table.files().get(call.file as usize)
    }
}

impl Dwarf {
    /// The source line of an address.
    pub fn find_line(&self, at: FileAddr) -> Option<CodePlace> {
        let unit = self.units().unit_at(at)?;
        let table = self.table(&Session::new(self), unit)?;
        let span = table.find(at)?;
        Some(CodePlace { row: span.row, end: span.end, table })
    }

    /// Where a line's code begins, in each copy of it. A line without code means the next one of its file that has some.
    pub fn addresses_of_line(&self, name: &SourceName, line: u32) -> LineMatches {
        self.units().read_entries();
        let mut programs = BTreeMap::new();
        for (unit, entry) in self.units().entries() {
            if let Some(lines) = entry.lines {
                programs.entry(lines.0).or_insert(unit);
            }
        }
        let programs: Vec<UnitId> = programs.into_values().collect();
        let wanted = || !self.progress.is_cancelled();
        let named = programs.into_par_iter().filter(|unit| wanted() && self.names_file(*unit, name));
        let named: Vec<UnitId> = named.collect();
        let stage = format!("reading the line tables of {}", crate::binary::symbols::file_name(self.file.path()));
        self.progress.stage(&stage, named.len() as u64);
        let found = named.into_par_iter().filter(|_| wanted()).filter_map(|unit| {
            let found = self.rows_of_line(unit, name, line);
            self.progress.advance(1);
            found
        });
        let found: Vec<Found> = found.collect();
        let mut matches = LineMatches::default();
        for one in &found {
            matches.files.extend(one.files.iter().cloned());
        }
        matches.line = match found.iter().filter_map(|one| one.line).min() {
            Some(line) => line,
            None => return matches,
        };
        let best = found.into_iter().filter(|one| one.line == Some(matches.line));
        matches.addresses = self.one_per_copy(best.flat_map(|one| one.candidates).collect());
        matches
    }

    /// Whether a unit's line program names the file: its header only is read.
    fn names_file(&self, unit: UnitId, name: &SourceName) -> bool {
        let dwarf = self.file.read();
        let Some(entry) = self.units().entry(unit) else { return false };
        let Some(offset) = entry.lines else { return false };
        let Ok(program) = dwarf.debug_line.program(offset, 8, None, None) else { return false };
        let header = program.header();
        let files = header.file_names().iter();
        let mut paths = files.map(|file| file.path_name());
        paths.any(|path| string_of(&dwarf, path).is_some_and(|path| name.may_be(&path)))
    }

    fn rows_of_line(&self, unit: UnitId, name: &SourceName, line: u32) -> Option<Found> {
        let session = Session::new(self);
        let open = session.skeleton(unit).ok()?;
        // A header's lines are in many units: their tables are not kept.
        let table = LineTable::decode(&session.dwarf, &open.unit, open.root.lines?, &|at| self.is_code(at)).ok()?;
        let wanted: Vec<bool> = table.files().iter().map(|file| name.is(&file.path)).collect();
        let is_wanted = |row: &&LineRow| row.is_stmt && wanted.get(row.file as usize) == Some(&true);
        let best = table.rows().filter(is_wanted).map(|row| row.line).filter(|one| *one >= line).min();
        let files = table.files().iter().filter(|file| name.is(&file.path)).map(|file| file.path.clone()).collect();
        let rows = table.rows().filter(is_wanted).filter(|row| Some(row.line) == best);
        let candidates = rows.map(|row| Candidate { addr: row.addr, unit }).collect();
        Some(Found { line: best, candidates, files })
    }

    /// Of the rows in one copy of a function, the lowest of each run of the code that it is a part of: what is inlined is
    /// often scattered in a run, and passed through piece by piece. At a function's first instruction the place after its
    /// prologue is meant, where the frame stands.
    fn one_per_copy(&self, candidates: Vec<Candidate>) -> Vec<FileAddr> {
        let session = Session::new(self);
        let mut lowest: BTreeMap<(Option<EntryId>, FileAddr), FileAddr> = BTreeMap::new();
        for Candidate { addr, unit } in candidates {
            let unit = self.units().unit_at(addr).unwrap_or(unit);
            let chain = self.instances_in(&session, unit, addr);
            let (copy, run, addr) = match chain.last() {
                None => (None, addr, addr),
                Some(instance) => {
                    let whole = chain.first().unwrap_or(instance);
                    let run = whole.ranges.iter().find(|(start, end)| *start <= addr && addr < *end);
                    let run = run.map_or(addr, |(start, _)| *start);
                    let past = match chain.len() {
                        1 => self.after_prologue(&session, unit, instance).filter(|_| addr == instance.start()),
                        _ => None,
                    };
                    (Some(instance.entry), run, past.unwrap_or(addr))
                }
            };
            let kept = lowest.entry((copy, run)).or_insert(addr);
            *kept = addr.min(*kept);
        }
        let addresses: BTreeSet<FileAddr> = lowest.into_values().collect();
        addresses.into_iter().collect()
    }

    /// Where a function's body begins: at the row that says so, else at its second row. `None` where optimised code has
    /// no prologue to speak of: what GCC optimised tells where variables are from the first instruction on, and mixes the
    /// frame's making with other lines.
    pub(super) fn after_prologue(&self, session: &Session<'_>, unit: UnitId, function: &Instance) -> Option<FileAddr> {
        let (start, end) = *function.ranges.first()?;
        let table = self.table(session, unit)?;
        let rows = table.rows_in(start, end);
        let marked = rows.iter().find(|row| row.prologue_end);
        if marked.is_none() && session.is_optimised_by_gcc(unit) {
            return None;
        }
        let second = rows.iter().find(|row| row.addr > start && row.line != 0 && row.is_stmt);
        let body = marked.or(second)?.addr;
        // An inlined call that has begun before belongs to the body.
        let inlined = |at| self.instances_in(session, unit, at).len() > 1;
        let in_call = |one: &Instance, at| one.call.is_some() && !one.is_call_begun_at(at);
        let is_amid = |at| self.instances_in(session, unit, at).iter().any(|one| in_call(one, at));
        (!inlined(start) && !is_amid(body)).then_some(body)
    }

    /// Where the body of the function at an address begins.
    pub fn body_of(&self, at: FileAddr) -> Option<FileAddr> {
        let unit = self.units().unit_at(at)?;
        let session = Session::new(self);
        let chain = self.instances_in(&session, unit, at);
        self.after_prologue(&session, unit, chain.first()?)
    }
}

/// What one unit has of a line.
struct Found {
    line: Option<u32>,
    candidates: Vec<Candidate>,
    files: Vec<String>,
}

/// A string attribute of a line program's header, which needs no unit.
fn string_of<'a>(dwarf: &gimli::Dwarf<Slice<'a>>, value: gimli::AttributeValue<Slice<'a>>) -> Option<Slice<'a>> {
    match value {
        gimli::AttributeValue::String(text) => Some(text),
        gimli::AttributeValue::DebugLineStrRef(offset) => dwarf.debug_line_str.get_str(offset).ok(),
        gimli::AttributeValue::DebugStrRef(offset) => dwarf.debug_str.get_str(offset).ok(),
        _ => None,
    }
}
