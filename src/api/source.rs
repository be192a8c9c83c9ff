//! Source lines, and what is asked of them.

use serde::{Deserialize, Serialize};

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    /// The file as it was given to the compiler: `source/server/server.cc`.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1; 0: not known.
    pub column: u32,
}

/// Lines of a file, to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceText {
    /// The file that was read.
    pub path: String,
    /// The number of the first of `lines`.
    pub first: u32,
    /// Without their newlines; empty where the file is not to be had.
    pub lines: Vec<String>,
    /// The line that the thread stands at.
    pub current: Option<u32>,
    /// Why there are no lines, or why they may be the wrong ones.
    pub note: Option<String>,
}

/// What is asked about the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum SourceQuery {
    /// Lines around a place; `None`: the ones after what was listed last, first those around the selected frame's.
    List { place: Option<String> },
    /// The lines before what was listed last.
    ListBefore,
    /// The code of a line; `None`: of the selected frame's.
    Line { place: Option<String> },
    /// The selected frame's source file.
    File,
    /// Paths that begin with `from` are looked for under `to`. Without `to` the rule is dropped, without both all are
    /// listed.
    Map { from: Option<String>, to: Option<String> },
}
