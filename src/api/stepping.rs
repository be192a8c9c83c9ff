//! Stepping by source lines.

use serde::{Deserialize, Serialize};

/// How a step by lines goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineStepKind {
    /// `step`: into functions that have lines.
    Into,
    /// `next`: calls, inlined ones too, as a whole.
    Over,
    /// `until`: as `next`, but not back to an earlier line.
    Until,
}

/// What `skip` keeps `step` out of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", content = "what", rename_all = "snake_case")]
pub enum SkipRule {
    /// A function, by its qualified name.
    Function(String),
    /// A source file, by the last parts of its path.
    File(String),
    /// Functions whose demangled name matches.
    Regex(String),
}

/// What is done with the rules of `skip`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum SkipChange {
    /// Add one; without a rule, one for the selected frame's function.
    Add { rule: Option<SkipRule> },
    /// Remove one by its number, or all.
    Delete { number: Option<u32> },
    /// List them.
    List,
}
