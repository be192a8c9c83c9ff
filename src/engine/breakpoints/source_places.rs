//! Breakpoints on source lines: from FILE:LINE to the places in a module.

use super::Pattern;
use crate::api::ApiError;
use crate::base::Inferior;
use crate::binary::dwarf::{LineMatches, SourceName};
use crate::binary::{FunctionMatch, Matches};
use crate::engine::state::Engine;

impl<I: Inferior> Engine<I> {
    /// What a line of a file means; without a file, of the selected frame's.
    pub(super) fn parse_line_place(&self, file: Option<&str>, line: u32) -> Result<Pattern, ApiError> {
        if line == 0 {
            return Err(ApiError::user("lines count from 1"));
        }
        let file = match file {
            Some(name) => SourceName::new(&self.sources.unmapped(name)),
            None => SourceName::new(&self.current_file()?),
        };
        Ok(Pattern::Line { file, line })
    }

    /// A line's addresses in one module as a search's answer; a line without code is told of.
    pub(super) fn line_matches(&mut self, id: u32, found: LineMatches) -> Matches {
        let asked = match self.breakpoints.get(&id).map(|one| &one.pattern) {
            Some(Pattern::Line { line, .. }) => *line,
            _ => found.line,
        };
        if !found.addresses.is_empty() {
            let mut notes = Vec::new();
            if found.line != asked {
                notes.push(format!("line {asked} has no code; the next that has is {}", found.line));
            }
            if found.files.len() > 1 {
                let files: Vec<String> = found.files.iter().cloned().collect();
                notes.push(format!("several files have that name: {}", files.join(", ")));
            }
            if !notes.is_empty() {
                self.set_note(id, notes.join("; "));
            }
        }
        let place = FunctionMatch::nameless;
        let functions: Vec<FunctionMatch> = found.addresses.into_iter().map(place).collect();
        Matches { total: functions.len(), functions }
    }

    /// What `info breakpoints` says of a breakpoint besides.
    pub(super) fn set_note(&mut self, id: u32, note: String) {
        if let Some(breakpoint) = self.breakpoints.get_mut(&id) {
            breakpoint.note = Some(note);
        }
    }
}
