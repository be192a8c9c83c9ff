//! Line tables (DWARF 5, section 6.2): a unit's program decoded once to sorted rows.

use std::ops::Range;

use gimli::{Dwarf, LineProgramHeader};

use super::sections::Slice;
use crate::base::FileAddr;

/// More rows than this in one unit are not believed: 24 bytes each.
const ROW_LIMIT: usize = 40_000_000;

/// One row: from its address on, code belongs to that line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineRow {
    /// Where.
    pub addr: FileAddr,
    /// From 1; 0: no line of the source.
    pub line: u32,
    /// Index of the table's files.
    pub(super) file: u32,
    /// From 1; 0: the line as a whole.
    pub column: u16,
    /// A good place to stop (is_stmt).
    pub is_stmt: bool,
    /// The function's frame is set up here (prologue_end).
    pub prologue_end: bool,
}

/// The rows of one unit that is in the file's memory image, in address order.
pub struct LineTable {
    rows: Vec<LineRow>,
    /// Contiguous runs of code: from the first row's address to the end_sequence's.
    sequences: Vec<Sequence>,
    files: Vec<SourceFile>,
}

struct Sequence {
    start: FileAddr,
    end: FileAddr,
    rows: Range<usize>,
}

/// A source file as a unit names it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceFile {
    /// As it was given to the compiler, with its directory: `source/server/server.cc`.
    pub name: String,
    /// With the directory that the compiler ran in, where `name` is relative.
    pub path: String,
}

/// A row and the bytes of code that are its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineSpan {
    /// The row.
    pub row: LineRow,
    /// One past its last byte.
    pub end: FileAddr,
}

impl LineTable {
    /// Decodes a line program. `is_code` tells whether an address is in the memory image: sections that the linker
    /// dropped leave rows behind, at 0 or at the highest address.
    pub(super) fn decode<'a>(
        dwarf: &Dwarf<Slice<'a>>,
        unit: &gimli::Unit<Slice<'a>>,
        offset: gimli::DebugLineOffset,
        is_code: &dyn Fn(FileAddr) -> bool,
    ) -> gimli::Result<Self> {
        let size = unit.encoding().address_size;
        let program = dwarf.debug_line.program(offset, size, unit.comp_dir, unit.name)?;
        let files = read_files(dwarf, unit, program.header());
        let mut table = LineTable { rows: Vec::new(), sequences: Vec::new(), files };
        let mut first = 0;
        // Whether the line that the rows are in has been parted by discriminators.
        let mut is_parted = false;
        let mut rows = program.rows();
        while let Some((_, row)) = rows.next_row()? {
            let addr = FileAddr(row.address());
            if row.end_sequence() {
                table.end_sequence(first, addr, is_code);
                first = table.rows.len();
                continue;
            }
            if table.rows.len() >= ROW_LIMIT {
                break;
            }
            let decoded = LineRow {
                addr,
                line: row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(u32::MAX)),
                file: u32::try_from(row.file_index()).unwrap_or(u32::MAX),
                column: match row.column() {
                    gimli::ColumnType::LeftEdge => 0,
                    gimli::ColumnType::Column(column) => u16::try_from(column.get()).unwrap_or(u16::MAX),
                },
                is_stmt: row.is_stmt(),
                prologue_end: row.prologue_end(),
            };
            let last = table.rows[first..].last();
            let goes_on = last.is_some_and(|last| (last.line, last.file) == (decoded.line, decoded.file));
            is_parted = row.discriminator() != 0 || (is_parted && goes_on);
            // Parts of a line that discriminators tell apart, for profilers, are one place to stop, as gdb has it.
            if !(goes_on && is_parted) || decoded.prologue_end {
                table.rows.push(decoded);
            }
        }
        table.rows.truncate(first);
        table.rows.shrink_to_fit();
        table.sequences.sort_unstable_by_key(|one| one.start);
        Ok(table)
    }

    fn end_sequence(&mut self, first: usize, end: FileAddr, is_code: &dyn Fn(FileAddr) -> bool) {
        let rows = &mut self.rows[first..];
        let Some(start) = rows.first().map(|row| row.addr) else { return };
        if !is_code(start) || end <= start || rows.iter().any(|row| row.addr < start || row.addr > end) {
            self.rows.truncate(first);
            return;
        }
        // A stable sort: of rows at one address the last is the one that counts.
        rows.sort_by_key(|row| row.addr);
        self.sequences.push(Sequence { start, end, rows: first..self.rows.len() });
    }

    /// How many bytes of memory the table takes.
    pub(super) fn size(&self) -> usize {
        let names: usize = self.files.iter().map(|file| file.name.len() + file.path.len() + 48).sum();
        self.rows.len() * size_of::<LineRow>() + self.sequences.len() * size_of::<Sequence>() + names
    }

    /// The row that an address belongs to: of several at one address the last that is a statement, as gdb has it; else
    /// the last.
    pub fn find(&self, at: FileAddr) -> Option<LineSpan> {
        let rows = self.rows_of_sequence(at)?;
        let after = rows.partition_point(|row| row.addr <= at);
        let last = *rows[..after].last()?;
        let there = rows[..after].iter().rev().take_while(|row| row.addr == last.addr);
        let row = there.into_iter().find(|row| row.is_stmt).copied().unwrap_or(last);
        Some(LineSpan { row, end: self.end_of(row) })
    }

    fn rows_of_sequence(&self, at: FileAddr) -> Option<&[LineRow]> {
        self.sequence_at(at).map(|one| &self.rows[one.rows.clone()])
    }

    fn sequence_at(&self, at: FileAddr) -> Option<&Sequence> {
        let after = self.sequences.partition_point(|one| one.start <= at);
        self.sequences[..after].iter().rev().take(8).find(|one| at < one.end)
    }

    /// Where the code of a row ends: at the next row with a higher address, or its sequence's end.
    fn end_of(&self, row: LineRow) -> FileAddr {
        let Some(sequence) = self.sequence_at(row.addr) else { return row.addr };
        let rows = &self.rows[sequence.rows.clone()];
        let after = rows.partition_point(|one| one.addr <= row.addr);
        rows.get(after).map_or(sequence.end, |next| next.addr)
    }

    /// Where the rows of a row's line that follow it end.
    pub(super) fn end_of_line(&self, row: &LineRow) -> FileAddr {
        let Some(sequence) = self.sequence_at(row.addr) else { return row.addr };
        let rows = &self.rows[sequence.rows.clone()];
        let after = rows.partition_point(|one| one.addr <= row.addr);
        let other = rows[after..].iter().find(|one| (one.line, one.file) != (row.line, row.file));
        other.map_or(sequence.end, |next| next.addr)
    }

    /// All rows, sequence by sequence.
    pub fn rows(&self) -> impl Iterator<Item = &LineRow> {
        self.sequences.iter().flat_map(|one| &self.rows[one.rows.clone()])
    }

    /// The rows whose addresses lie in a range, in address order.
    pub fn rows_in(&self, start: FileAddr, end: FileAddr) -> &[LineRow] {
        let Some(rows) = self.rows_of_sequence(start) else { return &[] };
        &rows[rows.partition_point(|row| row.addr < start)..rows.partition_point(|row| row.addr < end)]
    }

    /// The file of a row.
    pub fn file(&self, row: &LineRow) -> Option<&SourceFile> {
        self.files.get(row.file as usize)
    }

    pub(super) fn files(&self) -> &[SourceFile] {
        &self.files
    }
}

/// The files of a program, so that a row's index is an index of the list: before DWARF 5 they count from 1.
fn read_files<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &gimli::Unit<Slice<'a>>,
    header: &LineProgramHeader<Slice<'a>>,
) -> Vec<SourceFile> {
    let mut files = Vec::with_capacity(header.file_names().len() + 1);
    if header.version() < 5 {
        files.push(SourceFile::default());
    }
    for entry in header.file_names() {
        let text = |value| dwarf.attr_string(unit, value).map(|text| text.to_string_lossy()).unwrap_or_default();
        let name = text(entry.path_name());
        let directory = entry.directory(header).map(text).unwrap_or_default();
        // Before version 5 directory 0 is the compiler's, which is not part of the name as given.
        let is_compilers = entry.directory_index() == 0;
        let compilers = unit.comp_dir.map(|one| one.to_string_lossy()).unwrap_or_default();
        let given = if is_compilers { name.to_string() } else { join(&directory, &name) };
        let base = if is_compilers && !directory.is_empty() { &directory } else { &compilers };
        let path = normalise(&join(base, &given));
        files.push(SourceFile { name: given, path });
    }
    files
}

/// `name` in `directory`, unless it is absolute.
pub(super) fn join(directory: &str, name: &str) -> String {
    if name.starts_with('/') || directory.is_empty() {
        return name.to_owned();
    }
    format!("{}/{name}", directory.trim_end_matches('/'))
}

/// A path without `.`, `//` and `..`.
pub(super) fn normalise(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_made_plain() {
        assert_eq!(normalise(&join("/src/", "./a/../b/c.cc")), "/src/b/c.cc");
        assert_eq!(normalise(&join("/src", "/abs/c.cc")), "/abs/c.cc");
        assert_eq!(normalise("../x.c"), "../x.c");
        assert_eq!(join("", "x.c"), "x.c");
    }

    fn row(addr: u64, line: u32) -> LineRow {
        LineRow { addr: FileAddr(addr), line, file: 0, column: 0, is_stmt: true, prologue_end: false }
    }

    #[test]
    fn the_last_row_at_an_address_counts_and_dropped_code_does_not() {
        let mut table = LineTable { rows: Vec::new(), sequences: Vec::new(), files: Vec::new() };
        table.rows.extend([row(0x10, 1), row(0x18, 2), row(0x18, 3), row(0x20, 4)]);
        table.end_sequence(0, FileAddr(0x30), &|_| true);
        table.rows.push(row(0, 9));
        table.end_sequence(4, FileAddr(8), &|at| at.0 != 0);
        let found = table.find(FileAddr(0x1f)).unwrap();
        assert_eq!((found.row.line, found.end), (3, FileAddr(0x20)));
        assert_eq!(table.find(FileAddr(0x2f)).unwrap().end, FileAddr(0x30));
        assert_eq!((table.find(FileAddr(0x30)), table.find(FileAddr(4))), (None, None));
        assert_eq!(table.rows().count(), 4);
    }
}
