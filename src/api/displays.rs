//! Expressions that are shown at every stop.

use serde::{Deserialize, Serialize};

use super::command::Toggle;
use super::reply::Reply;

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DisplayRow {
    /// Counts from 1.
    pub id: u32,
    /// The format without the slash: `x`, `4xg`, `i`; may be empty.
    pub spec: String,
    /// The expression.
    pub expression: String,
    /// Whether it is shown at stops.
    pub enabled: Toggle,
    /// What it came to: a text, or instructions. `None` where it means nothing in the selected frame, and in lists.
    pub shown: Option<Reply>,
}

/// `display`, `undisplay` and their kin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum DisplayChange {
    /// One more, shown at once.
    Add { spec: String, expression: String },
    /// Shows all that are enabled now.
    Show,
    /// Lists all, without looking at the target.
    List,
    /// Takes these away; none means all.
    Remove { ids: Vec<u32> },
    /// Enables or disables these; none means all.
    Enable { ids: Vec<u32>, to: Toggle },
}
